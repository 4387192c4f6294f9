"""Frames as bytes, against hyperframe's parser; settings by name and number."""

from __future__ import annotations

from typing import Any

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.errors import UsageError
from drivetrain.engine.wire import h2_frames as wire

stream_ids = st.integers(1, 2**31 - 1)
payloads = st.binary(max_size=100)
paddings = st.none() | st.integers(0, 255)


def parsed(data: bytes) -> Any:
    frame, length = Frame.parse_frame_header(memoryview(data[:9]))
    assert len(data) == 9 + length
    frame.parse_body(memoryview(data[9:]))
    return frame


@given(stream_ids, payloads, st.booleans(), paddings)
def test_data(stream_id: int, payload: bytes, end_stream: bool, padded: int | None) -> None:
    frame = parsed(wire.data_frame(stream_id, payload, end_stream, padded))
    assert type(frame) is DataFrame
    assert (frame.stream_id, frame.data, frame.pad_length) == (stream_id, payload, padded or 0)
    assert set(frame.flags) == ({"END_STREAM"} if end_stream else set()) | ({"PADDED"} if padded is not None else set())


@given(
    stream_ids,
    st.binary(min_size=1, max_size=100),  # hyperframe's parser refuses padding alone
    st.booleans(),
    st.booleans(),
    paddings,
    st.none() | st.builds(wire.Priority, st.integers(0, 2**31 - 1), st.integers(1, 256), st.booleans()),
)
def test_headers(
    stream_id: int,
    block: bytes,
    end_stream: bool,
    end_headers: bool,
    padded: int | None,
    priority: wire.Priority | None,
) -> None:
    frame = parsed(wire.headers_frame(stream_id, block, end_stream, end_headers, padded, priority))
    assert type(frame) is HeadersFrame
    assert (frame.stream_id, frame.data, frame.pad_length) == (stream_id, block, padded or 0)
    assert ("END_STREAM" in frame.flags, "END_HEADERS" in frame.flags) == (end_stream, end_headers)
    if priority is not None:
        assert (frame.depends_on, frame.stream_weight + 1, frame.exclusive) == priority
    assert ("PRIORITY" in frame.flags) == (priority is not None)


@given(stream_ids, stream_ids, payloads, st.booleans(), paddings)
def test_push_promise(stream_id: int, promised: int, block: bytes, end_headers: bool, padded: int | None) -> None:
    promised -= promised % 2
    frame_bytes = wire.push_promise_frame(stream_id, promised or 2, block, end_headers, padded)
    frame = parsed(frame_bytes)
    assert type(frame) is PushPromiseFrame
    assert (frame.stream_id, frame.promised_stream_id, frame.data) == (stream_id, promised or 2, block)


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**31 - 1), payloads)
def test_raw(kind: int, flags: int, stream_id: int, payload: bytes) -> None:
    data = wire.raw_frame(kind, flags, stream_id, payload)
    assert wire.parse_frame_head(data) == (len(payload), kind, flags, stream_id)
    assert data[9:] == payload
    frame, length = Frame.parse_frame_header(memoryview(data[:9])) if kind > 0x20 else (None, len(payload))
    assert length == len(payload)
    assert frame is None or isinstance(frame, ExtensionFrame)


def test_the_reserved_bit_is_left_out() -> None:
    assert wire.parse_frame_head(b"\0\0\x05\x01\x04\x80\0\0\x07").stream_id == 7


def test_the_small_ones() -> None:
    assert parsed(wire.continuation_frame(5, b"block", True)).data == b"block"
    assert type(parsed(wire.continuation_frame(5, b"block", False))) is ContinuationFrame
    ping = parsed(wire.ping_frame(b"12345678", True))
    assert (type(ping), ping.opaque_data, set(ping.flags)) == (PingFrame, b"12345678", {"ACK"})
    goaway = parsed(wire.goaway_frame(7, 11, b"why"))
    assert type(goaway) is GoAwayFrame
    assert (goaway.last_stream_id, goaway.error_code, goaway.additional_data) == (7, 11, b"why")
    update = parsed(wire.window_update_frame(3, 2**31 - 1))
    assert (type(update), update.stream_id, update.window_increment) == (WindowUpdateFrame, 3, 2**31 - 1)
    priority = parsed(wire.priority_frame(3, wire.Priority(1, 256, True)))
    assert type(priority) is PriorityFrame
    assert (priority.depends_on, priority.stream_weight, priority.exclusive) == (1, 255, True)
    ack = parsed(wire.settings_ack_frame())
    assert (type(ack), ack.settings, set(ack.flags)) == (SettingsFrame, {}, {"ACK"})


@given(st.dictionaries(st.integers(7, 2**16 - 1), st.integers(0, 2**32 - 1), max_size=8))
def test_settings(values: dict[int, int]) -> None:
    values = {number: value for number, value in values.items() if number not in wire.SETTINGS}
    frame = parsed(wire.settings_frame(wire.settings_of(values)))  # type: ignore[arg-type]
    assert frame.settings == values


def test_settings_by_name() -> None:
    assert wire.settings_of({"ENABLE_PUSH": False, "MAX_FRAME_SIZE": 2**14, 0x4: 2**31 - 1}) == {
        2: 0,
        5: 2**14,
        4: 2**31 - 1,
    }
    assert wire.settings_of({}) == {}
    assert wire.SETTINGS["MAX_CONCURRENT_STREAMS"] is wire.SETTINGS[3]


@pytest.mark.parametrize(
    "values",
    [
        {"initial_window_size": 1},
        {"ENABLE_PUSH": 2},
        {"ENABLE_PUSH": "1"},
        {"INITIAL_WINDOW_SIZE": 2**31},
        {"MAX_FRAME_SIZE": 2**14 - 1},
        {-1: 0},
        {2**16: 0},
        {1.5: 0},
        {"ENABLE_PUSH": 1, 2: 1},
    ],
)
def test_settings_that_cannot_be(values: dict[Any, Any]) -> None:
    with pytest.raises(UsageError):
        wire.settings_of(values)


@pytest.mark.parametrize("value", [-1, 256, 1.0, "1", None])
def test_numbers_are_checked(value: Any) -> None:
    with pytest.raises(UsageError):
        wire.check_uint(value, "a number", 255)
    if value is not None:
        with pytest.raises(UsageError):
            wire.check_padding(value)


def test_stream_ids_are_checked() -> None:
    assert wire.check_stream_id(2**31 - 1) == 2**31 - 1
    for wrong in (0, 2**31, -1):
        with pytest.raises(UsageError):
            wire.check_stream_id(wrong)
