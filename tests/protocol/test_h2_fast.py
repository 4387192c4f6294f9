"""The short ways through the h2 library lead where its own ways lead."""

from __future__ import annotations

from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection as PublicLibrary
from h2.events import DataReceived
from h2.exceptions import ProtocolError
from hpack import Decoder, Encoder, NeverIndexedHeaderTuple
from hyperframe.frame import DataFrame, Frame, HeadersFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from drivetrain.engine.protocol.h2_fast import FastLibrary, HpackEncoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ASK = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"x"), (b":path", b"/")]
BLOCKS = {"answer": [(b":status", b"200")], "early": [(b":status", b"103")], "trailers": [(b"x", b"y")], "request": ASK}


def configuration(client: bool) -> H2Configuration:
    return H2Configuration(
        client_side=client,
        header_encoding=None,
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
        validate_inbound_headers=False,
        normalize_inbound_headers=False,
    )


steps = st.one_of(
    st.tuples(st.just("send head"), st.sampled_from([1, 3, 5]), st.sampled_from(["answer", "early"]), st.booleans()),
    st.tuples(st.just("send data"), st.sampled_from([1, 3, 5]), st.sampled_from([b"", b"abc"]), st.booleans()),
    st.tuples(st.just("send reset"), st.sampled_from([1, 3, 5])),
    st.tuples(st.just("took"), st.sampled_from([1, 3, 5]), st.integers(1, 40_000)),
    st.tuples(st.just("head"), st.sampled_from([1, 3, 5, 7]), st.sampled_from(sorted(BLOCKS)), st.booleans()),
    st.tuples(
        st.just("data"),
        st.sampled_from([1, 3, 5, 7]),
        st.integers(0, 40_000),
        st.booleans(),
        st.sampled_from([0, 0, 9]),
    ),
    st.tuples(st.just("reset"), st.sampled_from([1, 3, 5, 7])),
    st.tuples(st.just("window"), st.sampled_from([0, 1, 3, 7]), st.integers(1, 2**31 - 1)),
)


def frame_of(step: tuple[Any, ...], encoder: Encoder) -> Frame:
    kind, stream_id, *more = step
    if kind == "head":
        frame: Frame = HeadersFrame(stream_id, encoder.encode(BLOCKS[more[0]]), flags=["END_HEADERS"])
    elif kind == "data":
        frame = DataFrame(stream_id, bytes(more[0]))
        if more[2]:
            frame.flags.add("PADDED")
            frame.pad_length = more[2]
    elif kind == "reset":
        return RstStreamFrame(stream_id, error_code=8)
    else:
        return WindowUpdateFrame(stream_id, window_increment=more[0])
    if more[1]:
        frame.flags.add("END_STREAM")
    return frame


def do(library: Any, step: tuple[Any, ...]) -> None:
    kind, stream_id, *more = step
    if kind == "send head":
        block = ASK if library.config.client_side else BLOCKS[more[0]]
        library.send_headers(stream_id, block, end_stream=more[1])
    elif kind == "send data":
        library.send_data(stream_id, more[0], end_stream=more[1])
    elif kind == "send reset":
        library.reset_stream(stream_id, 8)
    else:
        library.acknowledge_received_data(more[0], stream_id)


def outcome(action: Any) -> Any:
    try:
        return action()
    except (ProtocolError, ValueError, KeyError, AssertionError) as error:
        return type(error)


def books(library: Any) -> Any:
    library._open_streams(0)
    windows = {
        number: (stream.outbound_flow_control_window, stream.inbound_flow_control_window, stream.state_machine.state)
        for number, stream in library.streams.items()
    }
    return windows, library.outbound_flow_control_window, library.inbound_flow_control_window


@settings(max_examples=200, deadline=None)
@given(st.booleans(), st.lists(steps, max_size=25))
def test_the_same_as_the_librarys_own(client: bool, plan: list[tuple[Any, ...]]) -> None:
    slow, fast = PublicLibrary(configuration(client)), FastLibrary(configuration(client))
    encoder, read = Encoder(), [Decoder(), Decoder()]
    begin = (b"" if client else PREFACE) + SettingsFrame(0).serialize()
    for library in (slow, fast):
        library.initiate_connection()
        library.receive_data(begin)
    if client:
        for number in (1, 3):
            for library in (slow, fast):
                library.send_headers(number, ASK, end_stream=number == 1)
    for step in plan:
        if step[0].startswith("send") or step[0] == "took":
            results = [outcome(lambda library=library, step=step: do(library, step)) for library in (slow, fast)]
            assert results[0] == results[1]
            if results[0] is not None:
                return  # the library's states are not to be relied on any more
        else:
            data = frame_of(step, encoder).serialize()
            expected = outcome(lambda data=data: slow.receive_data(data))
            events = outcome(lambda data=data: fast.receive_frame(data, data[3], data[4]))
            if isinstance(expected, type):
                assert events == expected
                return
            assert [type(event) for event in events] == [type(event) for event in expected]
            for mine, its in zip(events, expected, strict=True):
                for name in ("stream_id", "headers", "data", "flow_controlled_length", "error_code", "delta"):
                    assert getattr(mine, name, None) == getattr(its, name, None)
                assert (getattr(mine, "stream_ended", None) is None) == (getattr(its, "stream_ended", None) is None)
            fast.bury_dead()
        assert books(fast) == books(slow)
        assert frames_in(fast.data_to_send(), read[0]) == frames_in(slow.data_to_send(), read[1])


def frames_in(data: bytes, decoder: Decoder) -> list[Any]:
    found = []
    while data:
        if data.startswith(PREFACE):
            data = data[len(PREFACE) :]
            continue
        frame, length = Frame.parse_frame_header(memoryview(data[:9]))
        frame.parse_body(memoryview(data[9 : 9 + length]))
        data = data[9 + length :]
        what = decoder.decode(frame.data) if isinstance(frame, HeadersFrame) else frame.serialize_body()
        found.append((type(frame), frame.stream_id, sorted(frame.flags), what))
    return found


def test_a_block_larger_than_a_frame_is_split() -> None:
    fast = FastLibrary(configuration(True))
    fast.initiate_connection()
    fast.receive_data(SettingsFrame(0).serialize())
    fast.data_to_send()
    fast.send_headers(1, [*ASK, (b"x", b"\xff" * 40_000)], end_stream=True)
    data = bytes(fast.take_output())
    kinds, block = [], b""
    while data:
        frame, length = Frame.parse_frame_header(memoryview(data[:9]))
        frame.parse_body(memoryview(data[9 : 9 + length]))
        assert length <= 16_384
        kinds.append((type(frame).__name__, sorted(frame.flags)))
        block += frame.data
        data = data[9 + length :]
    assert kinds == [
        ("HeadersFrame", ["END_STREAM"]),
        ("ContinuationFrame", []),
        ("ContinuationFrame", ["END_HEADERS"]),
    ]
    assert list(Decoder(100_000).decode(block, raw=True))[-1] == (b"x", b"\xff" * 40_000)


def test_closed_streams_do_not_count() -> None:
    fast = FastLibrary(configuration(True))
    fast.initiate_connection()
    fast.receive_data(SettingsFrame(0).serialize())
    for number in (1, 3, 5):
        fast.send_headers(number, ASK, end_stream=True)
    assert fast.free_slots(3) == 0
    answer = HeadersFrame(3, Encoder().encode(BLOCKS["answer"]), flags=["END_HEADERS", "END_STREAM"]).serialize()
    fast.receive_frame(answer, 1, 5)
    assert fast.free_slots(3) == 1
    fast.reset_stream(5, 8)
    assert (fast.free_slots(3), fast.open_outbound_streams, fast.free_slots(3)) == (2, 1, 2)
    fast.send_headers(7, ASK)
    assert fast.free_slots(3) == 1


class TestEncoder:
    def test_a_size_set_twice_is_announced_twice(self) -> None:
        encoder, decoder = HpackEncoder(), Decoder()
        decoder.decode(encoder.encode([(b"x", b"y")]))
        encoder.header_table_size = 0
        encoder.header_table_size = 4096
        block = encoder.encode([(b"x", b"y")])
        assert block[0] == 0x20
        assert decoder.decode(block) == [("x", "y")]
        assert len(decoder.header_table.dynamic_entries) == len(encoder.header_table.dynamic_entries) == 1

    def test_the_peer_cannot_make_the_table_grow(self) -> None:
        encoder = HpackEncoder()
        encoder.header_table_size = 2**32 - 1
        assert encoder.header_table_size == 4096

    def test_never_indexed_fields_stay_so(self) -> None:
        encoder, decoder = HpackEncoder(), Decoder()
        secret = NeverIndexedHeaderTuple(b"x", b"secret")
        for fields in ([(b"x", b"secret")], [secret], [(b"x", b"secret")], [secret]):
            (found,) = decoder.decode(encoder.encode(fields))
            assert found.indexable is (fields[0] is not secret)

    @given(st.lists(st.lists(st.tuples(st.sampled_from([b"a", b"b", b":path"]), st.binary(max_size=60)), max_size=8)))
    def test_what_is_remembered_holds(self, blocks: list[list[tuple[bytes, bytes]]]) -> None:
        encoder, decoder = HpackEncoder(header_table_size=200), Decoder()
        decoder.header_table_size = 200
        for fields in blocks:
            assert [(*field,) for field in decoder.decode(encoder.encode(fields), raw=True)] == fields


def test_data_is_bytes() -> None:
    fast = FastLibrary(configuration(True))
    fast.initiate_connection()
    fast.receive_data(SettingsFrame(0).serialize())
    fast.send_headers(1, ASK)
    fast.receive_frame(HeadersFrame(1, Encoder().encode(BLOCKS["answer"]), flags=["END_HEADERS"]).serialize(), 1, 4)
    (event,) = fast.receive_frame(DataFrame(1, b"abc").serialize(), 0, 0)
    assert isinstance(event, DataReceived)
    assert event.data == b"abc"
    with pytest.raises(ProtocolError):
        fast.receive_frame(DataFrame(9, b"abc").serialize(), 0, 0)
