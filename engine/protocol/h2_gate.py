"""The gate in front of the HTTP/2 machine: every frame's header is seen here before the frame is let through.

It counts what floods are made of, and keeps GOAWAY back: the h2 library takes no frame after one, although the streams that
the peer still answers run to their end (RFC 9113 section 6.8).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..errors import LimitExceeded, RemoteProtocolError
from ..wire.h2_errors import H2Error, H2ErrorCode
from .h2_limits import H2Limits

__all__ = ["PREFACE_SIZE", "Allowance", "GoAwayReceived", "H2Gate"]

_DATA, _HEADERS, _PRIORITY, _RST_STREAM, _SETTINGS, _PUSH_PROMISE, _PING, _GOAWAY, _WINDOW_UPDATE = range(9)
_CONTINUATION = 9
_END_STREAM, _ACK, _END_HEADERS = 0x1, 0x1, 0x4
_HEADER_SIZE = 9
_GOAWAY_MAX = 16 * 1024
_SMALL = 64  # bytes: what smaller frames bring is worth less than their handling
_LEAST_BLOCK = 16 * 1024  # a header block that is accepted whatever the limit, which counts decoded bytes
PREFACE_SIZE = 24


class GoAwayReceived(NamedTuple):
    """The peer opens no more streams and answers none above `last_stream_id` (RFC 9113 section 6.8)."""

    last_stream_id: int
    error_code: int
    debug_data: bytes


class Allowance:
    """So many at once, and so many more each second."""

    __slots__ = ("_left", "_most", "_per_second", "_since")

    def __init__(self, most: int, per_second: float) -> None:
        self._most = most
        self._per_second = per_second
        self._left = float(most)
        self._since = 0.0

    def take(self, now: float) -> bool:
        """Use one up; False when none is left."""
        self._left = min(self._most, self._left + max(0.0, now - self._since) * self._per_second) - 1
        self._since = now
        return self._left >= 0

    def give_back(self, count: float) -> None:
        """Allow for so many more, up to as many as there may be at once."""
        self._left = min(self._most, self._left + count)


class H2Gate:
    """Splits what is received into what the machine may see and the GOAWAYs among it.

    Args:
        limits: the flood limits.
        after_preface: a server's input begins with the client's preface, which is let through.

    Attributes:
        limits: as above; those on sizes may be changed.
        whole: whether the part that just came out is a frame from its beginning to its end, and no part of a header section
            that began before it. Then
        kind, flags: are its.
    """

    def __init__(self, limits: H2Limits, after_preface: bool) -> None:
        self.limits = limits
        self.whole = False
        self.kind = _SETTINGS
        self.flags = 0
        self._block = 0  # bytes of the header block that is coming
        self._left = PREFACE_SIZE if after_preface else 0
        self._held = b""
        self._goaway: bytearray | None = None
        self._continuations = 0
        self._begun = False
        self._in_headers = False
        self._sections = 0
        # Resets are a flood only where they throw work away that was asked for: on a server.
        self._count_resets = after_preface
        self._resets = Allowance(limits.max_resets, limits.resets_per_second)
        self._control = Allowance(limits.max_control_frames, limits.control_frames_per_second)
        self._small = Allowance(limits.max_small_frames, limits.small_frames_per_second)

    def split(self, data: bytes, now: float) -> Iterator[bytes | GoAwayReceived]:
        """Take input at the time `now` (seconds) and hand it out in parts, in order, none of them reaching over a frame's end.

        A part comes out before what follows it is looked at, so a fault does not hide what came before it.

        Raises:
            LimitExceeded: the peer floods this side.
            H2Error: FRAME_SIZE_ERROR, a frame is larger than this side takes.
            RemoteProtocolError: a GOAWAY is malformed or in the wrong place, or the peer did not begin with SETTINGS.
        """
        if type(data) is not bytes:
            data = bytes(data)
        if self._held:
            data, self._held = self._held + data, b""
        position = 0
        size = len(data)
        while position < size:
            self.whole = False
            if self._left:
                piece = data[position : position + self._left]
                position += len(piece)
                self._left -= len(piece)
                if self._goaway is None:
                    yield piece
                else:
                    self._goaway += piece
                    if not self._left:
                        payload, self._goaway = bytes(self._goaway), None
                        yield self._parse_goaway(payload)
                continue
            if size - position < _HEADER_SIZE:
                self._held = data[position:]
                return
            length = int.from_bytes(data[position : position + 3], "big")
            kind, flags = data[position + 3], data[position + 4]
            alone = not self._in_headers
            self._check_order(kind, flags)
            if length > self.limits.max_frame_size:
                raise H2Error(H2ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            if kind == _GOAWAY:
                if not self._control.take(now):
                    raise LimitExceeded("too many GOAWAY frames")
                self._open_goaway(length, data[position + 5 : position + 9])
                position += _HEADER_SIZE
                self._left = length
                continue
            self._count(kind, flags, length, now)
            end = position + _HEADER_SIZE + length
            if end <= size:
                self.whole, self.flags = alone, flags
            else:
                self._left = end - size
            yield data[position:end]
            position = end

    def data_sent(self, length: int) -> None:
        """This side sends so many bytes of data, which the peer opens its windows for again in as small steps as it likes."""
        self._small.give_back(length / 1024)

    def count_reset(self, now: float) -> None:
        """Count a stream this side had to reset for the peer's fault; raises `LimitExceeded` when there were too many."""
        if not self._resets.take(now):
            raise LimitExceeded("too many streams were reset")

    def _count(self, kind: int, flags: int, length: int, now: float) -> None:
        if kind == _DATA and length >= _SMALL:
            self._continuations = 0
            return
        if kind in (_HEADERS, _PUSH_PROMISE):
            self._block = 0
            self._count_block(length)
        elif kind == _RST_STREAM:
            if self._count_resets:
                self.count_reset(now)
        elif kind == _CONTINUATION:
            self._continuations += 1
            if self._continuations > self.limits.max_continuations:
                raise LimitExceeded("too many CONTINUATION frames in one header section")
            self._count_block(length)
            return
        elif (
            (kind == _DATA and length and not flags & _END_STREAM)
            or kind == _WINDOW_UPDATE
            or (kind in (_SETTINGS, _PING) and flags & _ACK)
        ):
            if not self._small.take(now):
                raise LimitExceeded("too many DATA frames of a few bytes, WINDOW_UPDATE frames or acknowledgements")
        elif (
            (kind in (_SETTINGS, _PING) and not flags & _ACK)
            or kind == _PRIORITY
            or kind > _CONTINUATION
            or (kind == _DATA and not length and not flags & _END_STREAM)
        ) and not self._control.take(now):
            raise LimitExceeded("too many SETTINGS, PING, PRIORITY, empty DATA or unknown frames")
        self._continuations = 0

    def _count_block(self, length: int) -> None:
        self._block += length
        if self._block > max(_LEAST_BLOCK, self.limits.max_header_list_size):
            raise LimitExceeded("too large a header block", status=431)

    def _check_order(self, kind: int, flags: int) -> None:
        """See to what the library does not: SETTINGS come first, and nothing cuts a header section in two."""
        if not self._begun:
            if kind != _SETTINGS or flags & _ACK:
                raise RemoteProtocolError("the peer does not speak HTTP/2: its first frame is not SETTINGS")
            self._begun = True
        if kind == _GOAWAY and self._in_headers:
            raise RemoteProtocolError("GOAWAY in the middle of a header section")
        self.kind = kind
        if kind in (_HEADERS, _PUSH_PROMISE, _CONTINUATION):
            self._in_headers = not flags & _END_HEADERS
            self._sections += kind != _CONTINUATION

    @property
    def missing(self) -> int:
        """How many bytes must still come, at least, of what has begun: preface, frame, header section. 0 between frames."""
        if self._left:
            return self._left
        return _HEADER_SIZE - len(self._held) if self._held or self._in_headers else 0

    def begin(self) -> None:
        """Do not wait for the peer's SETTINGS any more: somebody else has seen its first frames."""
        self._begun = True

    @property
    def open_section(self) -> int | None:
        """The number of the header section that began and did not end yet, None when there is none such."""
        in_frame = self._left > 0 and self.kind in (_HEADERS, _PUSH_PROMISE, _CONTINUATION)
        return self._sections if self._in_headers or in_frame else None

    def _open_goaway(self, length: int, stream_id: bytes) -> None:
        if not 8 <= length <= _GOAWAY_MAX:
            raise RemoteProtocolError(f"a GOAWAY frame of {length} bytes")
        if int.from_bytes(stream_id, "big") & 0x7FFFFFFF:
            raise RemoteProtocolError("a GOAWAY frame on a stream")
        self._goaway = bytearray()

    @staticmethod
    def _parse_goaway(payload: bytes) -> GoAwayReceived:
        last = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
        return GoAwayReceived(last, int.from_bytes(payload[4:8], "big"), payload[8:])
