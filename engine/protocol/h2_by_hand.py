"""Frames that a program writes itself, one by one, with the machine's books kept right (lua-http's frame writers).

Laws:

- a frame that is legal moves the states, windows and tables exactly as one the machine made;
- a frame that is not legal raises `LocalProtocolError` (numbers out of range: `UsageError`) before anything was queued, and
  nothing has changed;
- a header block goes out in one piece, so that no frame of another stream comes in between (RFC 9113 section 4.3).

Not synchronised: callers hold their connection's guard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..errors import LocalProtocolError
from ..wire import h2_frames as wire
from ..wire.h2_fields import WireField
from .h2_machine import H2Machine

__all__ = ["H2ByHand", "HandBlock"]

_PRIORITY_SIZE, _PROMISED_SIZE = 5, 4


class HandBlock(NamedTuple):
    """A header block to send: pieces as a program encoded them, one for each frame, or fields to encode here."""

    pieces: Sequence[bytes] = ()
    fields: list[WireField] | None = None


class H2ByHand:
    """Writes frames into a machine's output. See the module."""

    def __init__(self, machine: H2Machine) -> None:
        self._machine = machine

    def _check_size(self, size: int) -> None:
        most = self._machine.library.max_outbound_frame_size
        if size > most:
            raise LocalProtocolError(f"a payload of {size} bytes; the peer takes frames of up to {most}")

    def raw(self, type: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Queue what the caller says; no books are kept."""
        self._check_size(len(payload))
        self._machine.put(wire.raw_frame(type, flags, stream_id, payload))

    def data(self, stream_id: int, payload: bytes, end_stream: bool, padded: int | None) -> None:
        """Queue DATA; padding counts against the windows as the payload does."""
        wire.check_padding(padded)
        library = self._machine.library
        with library.attempt(stream_id):
            library.send_data(stream_id, payload, end_stream, padded)
        self._machine.put(wire.data_frame(stream_id, payload, end_stream, padded))

    def fields_of(self, block: HandBlock) -> list[WireField]:
        """What a header block says.

        Raises:
            LocalProtocolError: the peer could not decode it.
        """
        if block.fields is not None:
            return block.fields
        return self._machine.library.read_block(b"".join(block.pieces))[0]

    def headers(
        self,
        stream_id: int,
        block: HandBlock,
        end_stream: bool,
        padded: int | None = None,
        priority: wire.Priority | None = None,
    ) -> None:
        """Queue HEADERS and the CONTINUATIONs it takes: a request, a response, or a trailer section."""
        overhead = (0 if padded is None else padded + 1) + (0 if priority is None else _PRIORITY_SIZE)
        library = self._machine.library
        self._check_pieces(block, overhead)
        fields, commit = (
            (block.fields, None) if block.fields is not None else library.read_block(b"".join(block.pieces))
        )
        with library.attempt(stream_id), library.with_ready_block():
            library.send_headers(stream_id, fields, end_stream)
        if commit is not None:
            commit()
        first, *rest = self._pieces(block, overhead)
        frame = wire.headers_frame(stream_id, first, end_stream, not rest, padded, priority)
        self._machine.put(frame + self._continued(stream_id, rest))

    def push_promise(self, stream_id: int, promised: int, block: HandBlock, padded: int | None = None) -> None:
        """Queue PUSH_PROMISE and the CONTINUATIONs it takes."""
        overhead = (0 if padded is None else padded + 1) + _PROMISED_SIZE
        library = self._machine.library
        self._check_pieces(block, overhead)
        fields, commit = (
            (block.fields, None) if block.fields is not None else library.read_block(b"".join(block.pieces))
        )
        with library.attempt(stream_id, promised), library.with_ready_block():
            library.push_stream(stream_id, promised, fields)
        if commit is not None:
            commit()
        first, *rest = self._pieces(block, overhead)
        frame = wire.push_promise_frame(stream_id, promised, first, not rest, padded)
        self._machine.put(frame + self._continued(stream_id, rest))

    def _check_pieces(self, block: HandBlock, overhead: int) -> None:
        for piece in block.pieces:
            self._check_size(len(piece) + overhead)
            overhead = 0

    def _pieces(self, block: HandBlock, overhead: int) -> Sequence[bytes]:
        if block.fields is None:
            return block.pieces or (b"",)
        library = self._machine.library
        encoded = library.encoder.encode(block.fields)
        most = library.max_outbound_frame_size
        first = most - overhead
        return [encoded[:first], *(encoded[at : at + most] for at in range(first, len(encoded), most))]

    @staticmethod
    def _continued(stream_id: int, pieces: Sequence[bytes]) -> bytes:
        last = len(pieces) - 1
        return b"".join(wire.continuation_frame(stream_id, piece, at == last) for at, piece in enumerate(pieces))

    def priority(self, stream_id: int, priority: wire.Priority) -> None:
        """Queue PRIORITY, which every state of a stream allows."""
        self._machine.put(wire.priority_frame(stream_id, priority))

    def reset(self, stream_id: int, code: int) -> None:
        """Queue RST_STREAM."""
        library = self._machine.library
        with library.attempt(stream_id):
            library.reset_stream(stream_id, code)
        self._machine.put(wire.raw_frame(wire.FrameType.RST_STREAM, 0, stream_id, code.to_bytes(4, "big")))

    def settings(self, values: Mapping[int, int]) -> int:
        """Queue SETTINGS; returns the frame's number. The values take effect with its acknowledgement."""
        machine = self._machine
        mine = machine.own_settings
        if machine.role == "server" and values.get(wire.Setting.ENABLE_PUSH):
            raise LocalProtocolError("a server does not take pushes")
        if values.get(wire.Setting.ENABLE_CONNECT_PROTOCOL) == 0 and machine.announced_connect_protocol:
            raise LocalProtocolError("ENABLE_CONNECT_PROTOCOL cannot be taken back (RFC 8441 section 3)")
        if values.get(wire.Setting.ENABLE_CONNECT_PROTOCOL):
            machine.announced_connect_protocol = True
        machine.put(wire.settings_frame(values))
        return mine.note_sent(values)

    def settings_ack(self) -> None:
        """Queue an acknowledgement of the peer's settings, beside those the machine sends by itself."""
        self._machine.put(wire.settings_ack_frame())

    def ping(self, payload: bytes, ack: bool) -> None:
        """Queue PING or an answer to one."""
        if len(payload) != 8:
            raise LocalProtocolError(f"a PING carries 8 bytes, not {len(payload)}")
        self._machine.put(wire.ping_frame(payload, ack))

    def goaway(self, last_stream_id: int | None, code: int, debug_data: bytes) -> None:
        """Queue GOAWAY; None for the highest stream of the peer's that was seen.

        Raises:
            LocalProtocolError: an earlier GOAWAY named a lower stream (RFC 9113 section 6.8).
        """
        machine = self._machine
        if last_stream_id is None:
            last_stream_id = min(machine.highest_remote, machine.last_stream_said)
        if last_stream_id > machine.last_stream_said:
            raise LocalProtocolError("a GOAWAY that names a higher stream than the one before")
        machine.say_goaway(code, debug_data, last_stream_id)

    def window_update(self, stream_id: int, increment: int) -> None:
        """Queue WINDOW_UPDATE: `increment` bytes more may come on a stream, or (0) on the connection."""
        library = self._machine.library
        stream = library.streams.get(stream_id)
        window = library.inbound_flow_control_window if stream is None else stream.inbound_flow_control_window
        if window + increment > wire.MAX_WINDOW:
            # The library would notice when it has added them up.
            raise LocalProtocolError(f"a window of {window + increment} bytes")
        with library.attempt(stream_id):
            library.increment_flow_control_window(increment, stream_id or None)
        self._machine.put(wire.window_update_frame(stream_id, increment))
