"""Keys, masks, streams, types, versions, lazy names, and modules that only have names of others."""

from __future__ import annotations

import asyncio
import importlib
import logging
import socket
import sys
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from drivetrain.compat.websockets_api import imports, protocol, typing, utils, version
from drivetrain.compat.websockets_api.datastructures import Headers
from drivetrain.compat.websockets_api.exceptions import SecurityError
from drivetrain.compat.websockets_api.streams import StreamReader

PACKAGE = "drivetrain.compat.websockets_api"

# --- keys and masks --------------------------------------------------------------------------------------------------


def test_the_key_of_the_handshake() -> None:
    """RFC 6455 section 1.3."""
    assert utils.accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    keys = {utils.generate_key() for _ in range(20)}
    assert (len(keys), {len(key) for key in keys}) == (20, {24})


@given(some.binary(max_size=300), some.binary(min_size=4, max_size=4))
def test_masks(data: bytes, mask: bytes) -> None:
    masked = utils.apply_mask(data, mask)
    assert masked == bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
    assert utils.apply_mask(memoryview(masked), bytearray(mask)) == data


def test_every_other_byte_of_a_view() -> None:
    assert utils.apply_mask(memoryview(b"abcdef")[::2], b"\0\0\0\0") == b"ace"


@pytest.mark.parametrize("mask", [b"", b"abc", b"abcde"])
def test_a_mask_has_four_bytes(mask: bytes) -> None:
    with pytest.raises(ValueError, match="mask must contain 4 bytes"):
        utils.apply_mask(b"data", mask)


@pytest.fixture
def ipv4() -> Iterator[socket.socket]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


def test_names_of_sockets(ipv4: socket.socket) -> None:
    assert utils.get_socket_name(ipv4) == f"127.0.0.1:{ipv4.getsockname()[1]}"


@pytest.mark.parametrize(
    ("family", "address", "name"),
    [
        (socket.AF_INET6, ("::1", 80, 0, 0), "[::1]:80"),
        (getattr(socket, "AF_UNIX", "AF_UNIX"), "/run/x", "/run/x"),
    ],
)
def test_names_of_other_sockets(family: Any, address: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "AF_UNIX", family if isinstance(address, str) else "AF_UNIX", raising=False)
    sock: Any = types.SimpleNamespace(family=family, getsockname=lambda: address)
    assert utils.get_socket_name(sock) == name


def test_a_socket_of_no_known_kind() -> None:
    sock: Any = types.SimpleNamespace(family=-1, getsockname=lambda: "?")
    with pytest.raises(AssertionError, match="unsupported socket family"):
        utils.get_socket_name(sock)


# --- streams ---------------------------------------------------------------------------------------------------------


@given(some.binary(max_size=60), some.data())
def test_a_stream_in_pieces(content: bytes, data: Any) -> None:
    pieces = sorted(data.draw(some.lists(some.integers(0, len(content)), max_size=5)))
    size = data.draw(some.integers(0, len(content)))
    stream = StreamReader()
    reading = stream.read_exact(size)
    for start, end in zip([0, *pieces], [*pieces, len(content)], strict=True):
        stream.feed_data(content[start:end])
    stream.feed_eof()
    with pytest.raises(StopIteration) as read:
        next(reading)
    with pytest.raises(StopIteration) as rest:
        next(stream.read_to_eof(60))
    assert (read.value.value, rest.value.value) == (content[:size], content[size:])
    assert ended(stream)


def ended(stream: StreamReader) -> Any:
    """What `at_eof` returns; None while it waits."""
    try:
        next(stream.at_eof())
    except StopIteration as stop:
        return stop.value
    return None


def test_the_end_of_a_stream() -> None:
    stream = StreamReader()
    assert ended(stream) is None
    stream.feed_data(b"x")
    assert ended(stream) is False
    stream.discard()
    assert ended(stream) is None
    stream.feed_eof()
    assert ended(stream) is True
    with pytest.raises(EOFError, match="stream ended"):
        stream.feed_data(b"x")
    with pytest.raises(EOFError, match="stream ended"):
        stream.feed_eof()


def test_lines_and_their_limit() -> None:
    stream = StreamReader()
    reading = stream.read_line(5)
    for piece in (b"ab", b"cd", b"\nmore\n"):
        next(reading)
        stream.feed_data(piece)
    with pytest.raises(StopIteration) as line:
        next(reading)
    assert line.value.value == b"abcd\n"
    with pytest.raises(RuntimeError, match="read 5 bytes, expected no more than 4 bytes"):
        next(stream.read_line(4))
    with pytest.raises(SecurityError, match="read 5 bytes, expected no more than 3 bytes"):
        next(stream.read_line(3, SecurityError))
    with pytest.raises(SecurityError, match="read 5 bytes"):
        next(stream.read_to_eof(4, SecurityError))


@pytest.mark.parametrize(
    ("read", "fault"),
    [
        (lambda stream: stream.read_line(9), "stream ends after 2 bytes, before end of line"),
        (lambda stream: stream.read_exact(3), "stream ends after 2 bytes, expected 3 bytes"),
    ],
)
def test_a_stream_that_ends_early(read: Any, fault: str) -> None:
    stream = StreamReader()
    stream.feed_data(b"ab")
    stream.feed_eof()
    with pytest.raises(EOFError, match=fault):
        next(read(stream))


def test_less_than_nothing_cannot_be_read() -> None:
    with pytest.raises(AssertionError):
        next(StreamReader().read_exact(-1))


# --- names -----------------------------------------------------------------------------------------------------------


def test_types_can_be_asked_after_at_run_time() -> None:
    assert isinstance(b"", typing.BytesLike)
    assert isinstance(memoryview(b""), typing.DataLike)
    assert isinstance(logging.LoggerAdapter(logging.getLogger(), {}), typing.LoggerLike)
    assert isinstance("", typing.Data)
    assert typing.Subprotocol("chat") == "chat"


def test_the_version_is_one_of_the_api() -> None:
    assert version.version == version.tag == version.commit == "17.4"


def test_states_follow_one_another() -> None:
    states = [protocol.CONNECTING, protocol.OPEN, protocol.CLOSING, protocol.CLOSED]
    assert states == list(protocol.State) == [0, 1, 2, 3]
    assert [protocol.SERVER, protocol.CLIENT] == list(protocol.Side) == [0, 1]


def test_lazy_names(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType(f"{PACKAGE}.made_up")
    module.__dict__["here"] = 1
    monkeypatch.setitem(sys.modules, module.__name__, module)
    fetch, names = imports.lazy_names(module.__name__, {"Close": "frames", "uri": ""}, {"Headers": "datastructures"})
    assert fetch("Close") is importlib.import_module(f"{PACKAGE}.frames").Close
    assert fetch("uri") is importlib.import_module(f"{PACKAGE}.uri")
    with pytest.deprecated_call(match=r"^websockets.made_up.Headers is deprecated$"):
        assert fetch("Headers") is Headers
    with pytest.raises(AttributeError, match="has no attribute 'Tea'"):
        fetch("Tea")
    assert {"Close", "Headers", "here", "uri"} <= set(names())


# --- deprecated modules ----------------------------------------------------------------------------------------------


def fresh(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[str]]:
    """A module that is imported once more, and what it warns of."""
    monkeypatch.delitem(sys.modules, f"{PACKAGE}.{name}", raising=False)
    monkeypatch.delitem(vars(importlib.import_module(PACKAGE)), name, raising=False)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        module = importlib.import_module(f"{PACKAGE}.{name}")
    return module, [str(each.message) for each in warned if each.category is DeprecationWarning]


def test_http_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    module, warned = fresh("http", monkeypatch)
    assert module.Headers is Headers
    assert warned[-1].startswith("Headers and MultipleValuesError were moved")


def test_auth_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    module, warned = fresh("auth", monkeypatch)
    assert warned[-1].startswith("websockets.auth, an alias for websockets.legacy.auth, is deprecated")
    legacy = importlib.import_module(f"{PACKAGE}.legacy.auth")
    assert module.basic_auth_protocol_factory is legacy.basic_auth_protocol_factory
    assert module.BasicAuthWebSocketServerProtocol is legacy.BasicAuthWebSocketServerProtocol


def read(function: str, data: bytes, monkeypatch: pytest.MonkeyPatch) -> Any:
    module, _ = fresh("http", monkeypatch)

    async def reading() -> Any:
        stream = asyncio.StreamReader()
        stream.feed_data(data)
        stream.feed_eof()
        found = await getattr(module, function)(stream)
        return found, await stream.read()

    return asyncio.run(reading())


def test_heads_that_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    request = b"GET /a HTTP/1.1\r\nA: b\r\n\r\nrest"
    assert read("read_request", request, monkeypatch) == (("/a", Headers(A="b")), b"rest")
    response = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nbody"
    assert read("read_response", response, monkeypatch) == (
        (404, "Not Found", Headers({"Content-Length": "4"})),
        b"body",
    )


@pytest.mark.parametrize(
    ("function", "data", "error", "fault"),
    [
        ("read_request", b"POST / HTTP/1.1\r\n", ValueError, "unsupported HTTP method: POST"),
        ("read_request", b"GET / HTTP/1.0\r\n", ValueError, "unsupported HTTP version: HTTP/1.0"),
        ("read_request", b"GET /\r\n", ValueError, "invalid HTTP request line: GET /"),
        ("read_request", b"", EOFError, "connection closed while reading HTTP request line"),
        ("read_request", b"GET / HTTP/1.1\r\nA: b\r\n", EOFError, "connection closed while reading HTTP headers"),
        ("read_request", b"GET /" + b"x" * 9000, SecurityError, "read 9005 bytes"),
        ("read_response", b"HTTP/1.1 2000 x\r\n", ValueError, "invalid HTTP status code: 2000"),
        ("read_response", b"HTTP/1.1 20x x\r\n", ValueError, "invalid HTTP status code: 20x"),
        ("read_response", b"HTTP/1.1 200 \x00\r\n", ValueError, "invalid HTTP reason phrase: \x00"),
        ("read_response", b"HTTP/2 200 x\r\n", ValueError, "unsupported HTTP version: HTTP/2"),
    ],
)
def test_heads_that_are_refused(
    function: str, data: bytes, error: type[Exception], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(error, match=fault):
        read(function, data, monkeypatch)


def test_the_tests_are_of_this_tree() -> None:
    assert Path(utils.__file__).resolve().parent.name == "websockets_api"
