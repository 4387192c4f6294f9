"""HTTP/2 frames as bytes, and the names and ranges of settings (RFC 9113 sections 4, 6 and 6.5.2; RFC 8441; RFC 9218).

What the frame writers of `connection.h2_frames` and the raw reading and writing of `connection.h2_lowlevel` put on the wire is
made here, by hyperframe. Nothing here knows whether a frame fits the state of its stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import NamedTuple

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

from ..errors import UsageError

__all__ = [
    "FRAME_HEADER_SIZE",
    "MAX_STREAM_ID",
    "MAX_WINDOW",
    "SETTINGS",
    "FrameHead",
    "FrameType",
    "Priority",
    "Setting",
    "SettingsLike",
    "check_padding",
    "check_stream_id",
    "check_uint",
    "continuation_frame",
    "data_frame",
    "goaway_frame",
    "headers_frame",
    "parse_frame_head",
    "ping_frame",
    "priority_frame",
    "push_promise_frame",
    "raw_frame",
    "settings_ack_frame",
    "settings_frame",
    "settings_of",
    "window_update_frame",
]

FRAME_HEADER_SIZE = 9
MAX_STREAM_ID = 2**31 - 1
MAX_WINDOW = 2**31 - 1
_MAX_UINT = 2**32 - 1
_MAX_PADDING = 255
_PADDED = "PADDED"


class FrameType(IntEnum):
    """The registered types. Every number from 0 to 255 is one on the wire; receivers ignore those they do not know."""

    DATA = 0x0
    HEADERS = 0x1
    PRIORITY = 0x2
    RST_STREAM = 0x3
    SETTINGS = 0x4
    PUSH_PROMISE = 0x5
    PING = 0x6
    GOAWAY = 0x7
    WINDOW_UPDATE = 0x8
    CONTINUATION = 0x9
    PRIORITY_UPDATE = 0x10


class Setting(IntEnum):
    """The registered settings that matter to this engine. Others may be sent and are ignored when they come."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6
    ENABLE_CONNECT_PROTOCOL = 0x8
    NO_RFC7540_PRIORITIES = 0x9


SETTINGS: Mapping[int | str, Setting] = MappingProxyType(
    {key: setting for setting in Setting for key in (int(setting), setting.name)}
)
"""The settings by number and by name. Read only."""

SettingsLike = Mapping[int | str, int | bool]
"""Values by the name of a `Setting`, such as "INITIAL_WINDOW_SIZE", or by number."""

_RANGES = {
    Setting.ENABLE_PUSH: (0, 1),
    Setting.INITIAL_WINDOW_SIZE: (0, MAX_WINDOW),
    Setting.MAX_FRAME_SIZE: (2**14, 2**24 - 1),
    Setting.ENABLE_CONNECT_PROTOCOL: (0, 1),
    Setting.NO_RFC7540_PRIORITIES: (0, 1),
}


class FrameHead(NamedTuple):
    """The nine bytes before a frame's payload; the reserved bit is left out of `stream_id`."""

    length: int
    type: int
    flags: int
    stream_id: int


class Priority(NamedTuple):
    """What RFC 7540 section 5.3 lets a client say about a stream; deprecated, and acted on by nobody here."""

    stream_dep: int = 0
    weight: int = 16
    exclusive: bool = False


# Checking what a program passes


def check_uint(value: int, name: str, most: int = _MAX_UINT, least: int = 0) -> int:
    """Return `value` if it is a whole number in range.

    Raises:
        UsageError: it is not; `name` says of what.
    """
    if not isinstance(value, int) or not least <= value <= most:
        raise UsageError(f"{name} is a whole number from {least} to {most}, not {value!r}")
    return int(value)


def check_stream_id(value: int, name: str = "a stream id") -> int:
    """Return `value` if it is the id of a stream, 0 (the connection's own) excluded; else raise `UsageError`."""
    return check_uint(value, name, MAX_STREAM_ID, 1)


def check_padding(padded: int | None) -> int | None:
    """Return the number of bytes to fill a frame up with, None for no padding; raises `UsageError` beyond 255."""
    return None if padded is None else check_uint(padded, "padding", _MAX_PADDING)


def settings_of(values: SettingsLike) -> dict[int, int]:
    """Turn settings by name or number into numbers, in their order.

    Raises:
        UsageError: an unknown name, a number or value out of range (RFC 9113 section 6.5.2), or one setting twice.
    """
    found: dict[int, int] = {}
    for key, value in values.items():
        if isinstance(key, str):
            if key not in SETTINGS:
                raise UsageError(f"no setting is called {key[:60]!r}")
            number = int(SETTINGS[key])
        else:
            number = check_uint(key, "a setting's number", 2**16 - 1)
        if number in found:
            raise UsageError(f"setting 0x{number:x} is there twice")
        least, most = _RANGES.get(SETTINGS.get(number, Setting.HEADER_TABLE_SIZE), (0, _MAX_UINT))
        found[number] = check_uint(value, f"setting 0x{number:x}", most, least)
    return found


# Frames


def parse_frame_head(data: bytes | bytearray | memoryview) -> FrameHead:
    """Take the first nine bytes apart."""
    return FrameHead(
        int.from_bytes(data[:3], "big"), data[3], data[4], int.from_bytes(data[5:9], "big") & MAX_STREAM_ID
    )


def raw_frame(type: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    """Any frame at all.

    Raises:
        UsageError: a number that does not fit its field.
    """
    check_uint(len(payload), "a payload's length", 2**24 - 1)
    frame = ExtensionFrame(
        check_uint(type, "a frame's type", 255),
        check_uint(stream_id, "a stream id", MAX_STREAM_ID),
        flag_byte=check_uint(flags, "a frame's flags", 255),
        body=bytes(payload),
    )
    frame.body_len = len(payload)  # hyperframe sets it on frames it has parsed
    return frame.serialize()


def _finished(frame: Frame, flags: Mapping[str, bool]) -> bytes:
    for flag, on in flags.items():
        if on:
            frame.flags.add(flag)
    return frame.serialize()


def data_frame(stream_id: int, payload: bytes, end_stream: bool, padded: int | None) -> bytes:
    """DATA; `padded` bytes of padding, None for a frame without."""
    frame = DataFrame(stream_id, payload, pad_length=padded or 0)
    return _finished(frame, {"END_STREAM": end_stream, _PADDED: padded is not None})


def headers_frame(
    stream_id: int,
    block: bytes,
    end_stream: bool,
    end_headers: bool,
    padded: int | None = None,
    priority: Priority | None = None,
) -> bytes:
    """HEADERS with the first or only piece of a header block."""
    frame = HeadersFrame(stream_id, block, pad_length=padded or 0)
    if priority is not None:
        frame.depends_on, frame.stream_weight = priority.stream_dep, priority.weight - 1
        frame.exclusive = priority.exclusive
    flags = {"END_STREAM": end_stream, "END_HEADERS": end_headers, _PADDED: padded is not None}
    return _finished(frame, {**flags, "PRIORITY": priority is not None})


def push_promise_frame(stream_id: int, promised: int, block: bytes, end_headers: bool, padded: int | None) -> bytes:
    """PUSH_PROMISE with the first or only piece of the promised request's header block."""
    frame = PushPromiseFrame(stream_id, promised, block, pad_length=padded or 0)
    return _finished(frame, {"END_HEADERS": end_headers, _PADDED: padded is not None})


def continuation_frame(stream_id: int, block: bytes, end_headers: bool) -> bytes:
    """CONTINUATION with a further piece of a header block."""
    return _finished(ContinuationFrame(stream_id, block), {"END_HEADERS": end_headers})


def priority_frame(stream_id: int, priority: Priority) -> bytes:
    """PRIORITY."""
    frame = PriorityFrame(stream_id)
    frame.depends_on, frame.stream_weight = priority.stream_dep, priority.weight - 1
    frame.exclusive = priority.exclusive
    return frame.serialize()


def settings_frame(values: Mapping[int, int]) -> bytes:
    """SETTINGS. Made here, because hyperframe cuts a setting's number down to 8 bits."""
    payload = b"".join(number.to_bytes(2, "big") + value.to_bytes(4, "big") for number, value in values.items())
    return raw_frame(FrameType.SETTINGS, 0, 0, payload)


def settings_ack_frame() -> bytes:
    """The acknowledgement of SETTINGS."""
    return _finished(SettingsFrame(0), {"ACK": True})


def ping_frame(payload: bytes, ack: bool) -> bytes:
    """PING, or the answer to one."""
    return _finished(PingFrame(0, payload), {"ACK": ack})


def goaway_frame(last_stream_id: int, code: int, debug_data: bytes) -> bytes:
    """GOAWAY."""
    return GoAwayFrame(0, last_stream_id=last_stream_id, error_code=code, additional_data=debug_data).serialize()


def window_update_frame(stream_id: int, increment: int) -> bytes:
    """WINDOW_UPDATE."""
    return WindowUpdateFrame(stream_id, window_increment=increment).serialize()
