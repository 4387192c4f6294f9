"""Frames and close codes: what is sent, what is read, what is refused, what the log says."""

from __future__ import annotations

import pickle
from collections.abc import Generator
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as some

from drivetrain.compat.websockets_api import frames
from drivetrain.compat.websockets_api.exceptions import PayloadTooBig, ProtocolError
from drivetrain.compat.websockets_api.extensions import Extension
from drivetrain.compat.websockets_api.frames import Close, CloseCode, Frame, Opcode
from drivetrain.compat.websockets_api.streams import StreamReader

T = TypeVar("T")
NOT_THERE = "not all there"


def fed(parsing: Generator[None, None, T], stream: StreamReader, data: bytes) -> T | str:
    """What a generator returns that is given a byte at a time, and no end; `NOT_THERE` when it waits for more."""
    try:
        next(parsing)
        for index in range(len(data)):
            stream.feed_data(data[index : index + 1])
            next(parsing)
    except StopIteration as stop:
        value: T = stop.value
        return value
    return NOT_THERE


def parsed(data: bytes, **options: Any) -> Frame | str:
    stream = StreamReader()
    return fed(Frame.parse(stream.read_exact, **{"mask": False, **options}), stream, data)


# --- close codes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("close", "text"),
    [
        (Close(1000, ""), "1000 (OK)"),
        (Close(CloseCode.GOING_AWAY, "bye"), "1001 (going away) bye"),
        (Close(1006, ""), "1006 (abnormal closure [internal])"),
        (Close(1016, ""), "1016 (unknown)"),
        (Close(2999, ""), "2999 (unknown)"),
        (Close(3000, ""), "3000 (registered)"),
        (Close(4999, "é"), "4999 (private use) é"),
        (Close(5000, ""), "5000 (unknown)"),
    ],
)
def test_what_a_close_frame_says(close: Close, text: str) -> None:
    assert str(close) == text


@given(some.sampled_from([*sorted(frames.EXTERNAL_CLOSE_CODES), 3000, 3999, 4000, 4999]), some.text(max_size=30))
def test_a_close_frame_there_and_back(code: int, reason: str) -> None:
    close = Close(code, reason)
    assert Close.parse(close.serialize()) == close
    assert Close.parse(bytearray(close.serialize())) == Close.parse(memoryview(close.serialize()))


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_codes_that_are_not_sent(code: int) -> None:
    with pytest.raises(ProtocolError, match="invalid status code"):
        Close(code, "").serialize()
    with pytest.raises(ProtocolError, match="invalid status code"):
        Close.parse(code.to_bytes(2, "big"))


def test_bad_and_empty_close_frames() -> None:
    assert Close.parse(b"") == Close(CloseCode.NO_STATUS_RCVD, "")
    with pytest.raises(ProtocolError, match="close frame too short"):
        Close.parse(b"\x03")
    with pytest.raises(UnicodeDecodeError):
        Close.parse(b"\x03\xe8\xff")


def test_every_code_has_an_explanation() -> None:
    assert set(frames.CLOSE_CODE_EXPLANATIONS) == set(CloseCode)
    assert {1005, 1006, 1015} == set(CloseCode) - frames.EXTERNAL_CLOSE_CODES
    assert {1000, 1001, 1005} == frames.OK_CLOSE_CODES


# --- frames ----------------------------------------------------------------------------------------------------------

OPCODES = some.sampled_from(list(Opcode))


@given(OPCODES, some.binary(max_size=200), some.booleans(), some.booleans())
def test_a_frame_there_and_back(opcode: Opcode, data: bytes, fin: bool, mask: bool) -> None:
    frame = Frame(opcode, data, fin)
    if opcode in frames.CTRL_OPCODES and (len(data) > 125 or not fin):
        with pytest.raises(ProtocolError):
            frame.serialize(mask=mask)
    else:
        assert parsed(frame.serialize(mask=mask), mask=mask) == frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("mask", [False, True])
def test_every_way_to_write_a_length(size: int, mask: bool) -> None:
    frame = Frame(Opcode.BINARY, bytes(size))
    data = frame.serialize(mask=mask)
    assert len(data) == size + (2 if size < 126 else 4 if size < 65536 else 10) + 4 * mask
    stream = StreamReader()
    stream.feed_data(data)
    with pytest.raises(StopIteration) as done:
        next(Frame.parse(stream.read_exact, mask=mask))
    assert done.value.value == frame
    assert not stream.buffer


def test_the_wire() -> None:
    assert Frame(Opcode.TEXT, b"Hello").serialize(mask=False) == b"\x81\x05Hello"
    assert Frame(Opcode.TEXT, b"Hel", fin=False).serialize(mask=False) == b"\x01\x03Hel"
    assert parsed(b"\x81\x857\xfa!=\x7f\x9fMQX", mask=True) == Frame(Opcode.TEXT, b"Hello")


@pytest.mark.parametrize(
    ("data", "options", "fault"),
    [
        (b"\x83\x00", {}, "invalid opcode"),
        (b"\x81\x80", {}, "incorrect masking"),
        (b"\x81\x00", {"mask": True}, "incorrect masking"),
        (b"\xc1\x00", {}, "reserved bits must be 0"),
        (b"\xa1\x00", {}, "reserved bits must be 0"),
        (b"\x91\x00", {}, "reserved bits must be 0"),
        (b"\x09\x00", {}, "fragmented control frame"),
        (b"\x89\x7e\x00\x7e" + bytes(126), {}, "control frame too long"),
    ],
)
def test_frames_that_are_refused(data: bytes, options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ProtocolError, match=fault):
        parsed(data, **options)


@pytest.mark.parametrize(
    ("head", "size"), [(b"\x82\x05", 5), (b"\x82\x7e\x01\x00", 256), (b"\x82\x7f" + bytes(6) + b"\1\0", 256)]
)
def test_a_large_frame_is_refused_at_its_head(head: bytes, size: int) -> None:
    with pytest.raises(PayloadTooBig, match=f"frame with {size} bytes exceeds limit of {size - 1} bytes"):
        parsed(head, max_size=size - 1)
    assert parsed(head, max_size=size) == NOT_THERE


def test_the_stream_ends_inside() -> None:
    stream = StreamReader()
    stream.feed_data(b"\x81\x05He")
    stream.feed_eof()
    with pytest.raises(EOFError, match="stream ends after 2 bytes, expected 5 bytes"):
        next(Frame.parse(stream.read_exact, mask=False))


class Suffix(Extension):
    """Adds a letter, and takes it away; sets a bit."""

    def __init__(self, letter: bytes) -> None:
        self.letter = letter
        self.limits: list[int | None] = []

    def encode(self, frame: Frame) -> Frame:
        return Frame(frame.opcode, bytes(frame.data) + self.letter, rsv1=True)

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        self.limits.append(max_size)
        assert bytes(frame.data).endswith(self.letter)
        return Frame(frame.opcode, frame.data[:-1])


def test_extensions_undo_each_other() -> None:
    extensions = [Suffix(b"a"), Suffix(b"b")]
    frame = Frame(Opcode.TEXT, b"x")
    data = frame.serialize(mask=False, extensions=extensions)
    assert data == b"\xc1\x03xab"
    assert parsed(data, max_size=7, extensions=extensions) == frame
    assert [extension.limits for extension in extensions] == [[7], [7]]


def test_frames_are_values() -> None:
    frame = Frame(Opcode.TEXT, b"x", rsv1=True)
    assert pickle.loads(pickle.dumps(frame)) == frame != Frame(Opcode.TEXT, b"x")
    assert repr(frame).startswith("Frame(opcode=<Opcode.TEXT: 1>, data=b'x', fin=True, rsv1=True")
    assert frames.OP_TEXT is frames.TEXT is Opcode.TEXT


# --- in the log ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (Frame(Opcode.TEXT, b""), "TEXT '' [0 bytes]"),
        (Frame(Opcode.TEXT, b"a"), "TEXT 'a' [1 byte]"),
        (Frame(Opcode.TEXT, "é".encode(), fin=False), "TEXT 'é' [2 bytes, continued]"),
        (Frame(Opcode.TEXT, b"\xff\xfe"), "TEXT ff fe [binary, 2 bytes]"),
        (Frame(Opcode.BINARY, b"\x00\x01"), "BINARY 00 01 [2 bytes]"),
        (Frame(Opcode.BINARY, b"plain"), "BINARY 'plain' [text, 5 bytes]"),
        (Frame(Opcode.BINARY, memoryview(b"plain")), "BINARY 'plain' [text, 5 bytes]"),
        (Frame(Opcode.CONT, b""), "CONT '' [0 bytes]"),
        (Frame(Opcode.CONT, b"\xa9 x"), "CONT '\ufffd x' [text, 3 bytes]"),
        (Frame(Opcode.CONT, b"x\xc3", fin=False), "CONT 'x\ufffd' [text, 2 bytes, continued]"),
        (Frame(Opcode.CONT, b"\xff"), "CONT ff [binary, 1 byte]"),
        (Frame(Opcode.PING, b"ping"), "PING 'ping' [text, 4 bytes]"),
        (Frame(Opcode.PONG, "é".encode()), "PONG c3 a9 [binary, 2 bytes]"),
        (Frame(Opcode.CLOSE, b""), "CLOSE '' [0 bytes]"),
        (Frame(Opcode.CLOSE, b"\x03\xe8bye"), "CLOSE 1000 (OK) bye [5 bytes]"),
        (Frame(Opcode.CLOSE, b"\x03"), "CLOSE 03 [binary, 1 byte]"),
        (Frame(Opcode.TEXT, b"a" * 80), f"TEXT '{'a' * 47}...{'a' * 23}' [80 bytes]"),
        (Frame(Opcode.TEXT, b"a" * 1000), f"TEXT '{'a' * 47}...{'a' * 23}' [1000 bytes]"),
        (Frame(Opcode.BINARY, b"\xff" * 26), f"BINARY {'ff ' * 16}...{' ff' * 8} [26 bytes]"),
    ],
)
def test_what_the_log_says(frame: Frame, text: str) -> None:
    assert str(frame) == text


@given(OPCODES, some.binary(max_size=400), some.booleans())
def test_the_log_says_something_of_any_frame(opcode: Opcode, data: bytes, fin: bool) -> None:
    text = str(Frame(opcode, data, fin))
    assert text.startswith(f"{opcode.name} ")
    assert len(text) <= len(f"{opcode.name} ") + Frame.MAX_LOG_SIZE + len(" [binary, 400 bytes, continued]")


@given(some.text(alphabet="aé日😀", min_size=1, max_size=20), some.integers(0, 3), some.integers(0, 3))
def test_a_piece_of_text_looks_like_text(text: str, before: int, after: int) -> None:
    data = text.encode()
    piece = data[before : len(data) - after]
    assert frames.is_utf8_fragment(piece)
    assert frames.is_utf8_fragment(data, must_start_clean=True, must_end_clean=True)
    assert not frames.is_utf8_fragment(piece + b"\xff")
    assert not frames.is_utf8_fragment(b"\x00" + piece)
