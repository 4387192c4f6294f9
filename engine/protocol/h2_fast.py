"""The h2 library's common cases by a shorter way; everything else is left to the library itself.

The library builds objects for each frame, consults state machines for what it could look up, and walks over all streams to
count them, which together cost more than the rest of a request. Each method here looks at the library's own books, does what
the library would have done to them when the case is the common one and nothing is wrong, and otherwise has changed nothing
and calls the library. So every refusal, and every rare frame, is the library's.

Besides: header blocks are encoded by `HpackContext` (the library's encoder loses a size update that is followed by another,
lets its table grow as far as the peer likes, and indexes never-indexed fields it knows); content-length is not looked at
(the connection does, for a mismatch is the fault of one stream); fewer closed streams are remembered.
"""

from __future__ import annotations

from typing import Any

from h2.connection import AllowedStreamIDs, ConnectionState
from h2.connection import H2Connection as PublicLibrary
from h2.connection import _decode_headers as decode_block
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    InformationalResponseReceived,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError as LibraryError
from h2.settings import SettingCodes
from h2.stream import H2Stream, StreamClosedBy, StreamState
from h2.utilities import is_informational_response
from hpack import Decoder, HPACKError, OversizedHeaderListError

from ..wire.hpack_context import HpackContext
from ..wire.hpack_table import CountingTable

__all__ = ["FastLibrary", "HpackDecoder", "HpackEncoder"]

_DATA, _HEADERS, _RST_STREAM, _WINDOW_UPDATE, _CONTINUATION = 0x0, 0x1, 0x3, 0x8, 0x9
_END_STREAM, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x4, 0x8, 0x20
_MOST_KNOWN, _LONGEST_KNOWN = 64, 512  # header blocks, and their bytes
_READY = (ConnectionState.CLIENT_OPEN, ConnectionState.SERVER_OPEN)
_OPEN, _HALF_LOCAL, _HALF_REMOTE, _CLOSED = (
    StreamState.OPEN,
    StreamState.HALF_CLOSED_LOCAL,
    StreamState.HALF_CLOSED_REMOTE,
    StreamState.CLOSED,
)


class HpackEncoder(HpackContext):
    """`HpackContext` with the names under which the library uses its encoder."""

    encode = HpackContext.encode_fields

    @property
    def header_table(self) -> Any:
        """The table."""
        return self._table

    @property
    def header_table_size(self) -> int:
        """How large the table may become."""
        return self.dynamic_max

    @header_table_size.setter
    def header_table_size(self, value: int) -> None:
        self.set_max_dynamic_table_size(value)


class _CompressionError(LibraryError):
    """A header block that does not decode (RFC 9113 section 4.3); the library takes it for any other fault."""

    error_code = ErrorCodes.COMPRESSION_ERROR


class HpackDecoder(Decoder):
    """hpack's decoder, whose errors have the code they should have."""

    def decode(self, data: bytes, raw: bool = False) -> Any:
        """See hpack's."""
        try:
            return super().decode(data, raw)
        except OversizedHeaderListError:
            raise
        except HPACKError as error:
            raise _CompressionError(f"a header block does not decode: {type(error).__name__}") from None


class _Stream(H2Stream):
    """A stream whose content-length is somebody else's business."""

    def _initialize_content_length(self, headers: object) -> None:
        return

    def _track_content_length(self, length: int, end_stream: bool) -> None:
        return


def _event(kind: type[Event], stream_id: int, **values: Any) -> Any:
    """An event as the library fills it in; its constructors differ between versions."""
    event: Any = kind.__new__(kind)
    event.stream_id = stream_id
    event.stream_ended = event.priority_updated = None
    event.__dict__.update(values)
    return event


def _head(length: int, kind: int, flags: int, stream_id: int) -> bytes:
    return (length << 48 | kind << 40 | flags << 32 | stream_id).to_bytes(9, "big")


def _awaits_answer(stream: H2Stream) -> bool:
    """Whether it is a request's of this side, and no final response has come yet."""
    machine = stream.state_machine
    if not machine.client or machine.headers_received:
        return False
    return machine.state is _OPEN or machine.state is _HALF_LOCAL


class FastLibrary(PublicLibrary):
    """See the module."""

    # A peer may go on for a round trip after a reset; later frames for a stream that is forgotten end the connection.
    MAX_CLOSED_STREAMS = 2048

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self.encoder: Any = HpackEncoder()
        self._dead: set[int] = set()  # closed, and still among the streams
        self.decoder = HpackDecoder()
        self.decoder.header_table = self._table = CountingTable()
        # What header blocks were decoded to, as long as the table stays as it was.
        self._known_blocks: dict[bytes, Any] = {}
        self._known_at = 0

    # -- streams -------------------------------------------------------------------------------------------------------

    def _begin_new_stream(self, stream_id: int, allowed_ids: AllowedStreamIDs | int) -> H2Stream:
        outbound = stream_id % 2 == int(self.config.client_side)
        highest = self.highest_outbound_stream_id if outbound else self.highest_inbound_stream_id
        if stream_id <= highest or stream_id % 2 != int(allowed_ids):
            return super()._begin_new_stream(stream_id, AllowedStreamIDs(allowed_ids))
        stream = _Stream(
            stream_id,
            config=self.config,
            inbound_window_size=self.local_settings.initial_window_size,
            outbound_window_size=self.remote_settings.initial_window_size,
        )
        stream.max_outbound_frame_size = self.max_outbound_frame_size
        self.streams[stream_id] = stream
        if outbound:
            self.highest_outbound_stream_id = stream_id
        else:
            self.highest_inbound_stream_id = stream_id
        return stream

    def free_slots(self, limit: int) -> int:
        """How many streams of this side may be opened until `limit` are open. Counts them only when it must."""
        free = limit - len(self.streams) + len(self._dead)
        if free > 0:
            return free
        outbound = int(self.config.client_side)
        count = sum(stream.open and number % 2 == outbound for number, stream in self.streams.items())
        return max(0, limit - count)

    def _open_streams(self, remainder: int) -> int:
        count: int = super()._open_streams(remainder)  # which buries the dead, too
        self._dead.clear()
        return count

    def _over(self, stream: H2Stream, closed_by: StreamClosedBy) -> None:
        """Both sides have ended."""
        stream.state_machine.state = _CLOSED
        stream.state_machine.stream_closed_by = closed_by
        self._dead.add(stream.stream_id)

    def reset_stream(self, stream_id: int, error_code: Any = 0) -> None:
        """See the library's: and the stream is not counted any more."""
        super().reset_stream(stream_id, error_code)
        self._bury(stream_id)

    def _bury(self, stream_id: int) -> None:
        """Count a stream no more if the library has closed it."""
        stream = self.streams.get(stream_id)
        if stream is not None and stream.closed:
            self._dead.add(stream_id)

    def bury_dead(self) -> None:
        """Move closed streams out of the way. Not before what was received with their end was acted on."""
        for stream_id in self._dead:
            stream = self.streams.get(stream_id)
            if stream is not None and stream.closed:
                del self.streams[stream_id]
                self._closed_streams[stream_id] = stream.closed_by
        self._dead.clear()

    # -- receiving -----------------------------------------------------------------------------------------------------

    def receive_frame(self, frame: bytes, kind: int, flags: int) -> list[Event]:
        """`receive_data` for one whole frame that does not stand in the middle of a header section."""
        if self.state_machine.state in _READY and len(frame) - 9 <= self.max_inbound_frame_size:
            stream_id = int.from_bytes(frame[5:9], "big") & 0x7FFFFFFF
            if kind == _DATA and not flags & _PADDED:
                events = self._take_data(stream_id, frame, flags)
            elif kind == _HEADERS and flags & (_END_HEADERS | _PADDED | _PRIORITY) == _END_HEADERS:
                try:
                    events = self._take_headers(stream_id, frame, flags)
                except LibraryError as error:
                    self._terminate_connection(error.error_code)
                    raise
            else:
                events = None
            if events is not None:
                return events
        return self.receive_data(frame)

    def receive_data(self, data: Any) -> list[Event]:
        """See the library's."""
        events = super().receive_data(data)
        for event in events:
            if isinstance(event, (StreamEnded, StreamReset)) and event.stream_id:
                self._bury(event.stream_id)
        return events

    def _take_data(self, stream_id: int, frame: bytes, flags: int) -> list[Event] | None:
        stream = self.streams.get(stream_id)
        if stream is None:
            return None
        machine = stream.state_machine
        if not machine.headers_received or (machine.state is not _OPEN and machine.state is not _HALF_LOCAL):
            return None
        length = len(frame) - 9
        ours, its = self._inbound_flow_control_window_manager, stream._inbound_window_manager
        if length > ours.current_window_size or length > its.current_window_size:
            return None
        ours.current_window_size -= length
        its.current_window_size -= length
        event = _event(DataReceived, stream_id, data=frame[9:], flow_controlled_length=length)
        if not flags & _END_STREAM:
            return [event]
        event.stream_ended = ended = self._end_received(stream)
        return [event, ended]

    def _end_received(self, stream: H2Stream) -> Event:
        if stream.state_machine.state is _OPEN:
            stream.state_machine.state = _HALF_REMOTE
        else:
            self._over(stream, StreamClosedBy.RECV_END_STREAM)
        return _event(StreamEnded, stream.stream_id)  # type: ignore[no-any-return]

    def _take_headers(self, stream_id: int, frame: bytes, flags: int) -> list[Event] | None:
        """The head of a request or response. What is wrong with it once it is decoded is refused as the library would."""
        stream = self.streams.get(stream_id)
        event: Any
        if self.config.client_side:
            if stream is None or not _awaits_answer(stream):
                return None
            fields = self._decode(frame[9:])
            if is_informational_response(fields):
                if flags & _END_STREAM:
                    raise LibraryError("an informational response does not end the message")
                return [_event(InformationalResponseReceived, stream_id, headers=fields)]
            stream.state_machine.headers_received = True
            event = _event(ResponseReceived, stream_id, headers=fields)
        else:
            if stream is not None or stream_id % 2 == 0 or stream_id <= self.highest_inbound_stream_id:
                return None
            fields = self._decode(frame[9:])
            if is_informational_response(fields):
                raise LibraryError("an informational response of a client")
            stream = self._begin_new_stream(stream_id, AllowedStreamIDs.ODD)
            machine = stream.state_machine
            machine.state, machine.client, machine.headers_received = _OPEN, False, True
            event = _event(RequestReceived, stream_id, headers=fields)
        if not flags & _END_STREAM:
            return [event]
        event.stream_ended = ended = self._end_received(stream)
        return [event, ended]

    def _decode(self, block: bytes) -> Any:
        """The fields of a header block. Answers to one sort of request are often alike to the byte."""
        table, known = self._table, self._known_blocks
        if self._known_at != table.changes:
            known.clear()
            self._known_at = table.changes
        fields = known.get(block)
        if fields is None:
            fields = decode_block(self.decoder, block)
            if self._known_at == table.changes and len(block) <= _LONGEST_KNOWN and len(known) < _MOST_KNOWN:
                known[block] = fields
        return fields

    def _local_settings_acked(self) -> Any:
        # What was known to decode may break the new limits.
        self._known_blocks.clear()
        changes = super()._local_settings_acked()
        if SettingCodes.INITIAL_WINDOW_SIZE in changes:
            # Where windows are smaller now, what was taken before is worth a WINDOW_UPDATE: nothing else may ever come.
            for stream_id in self.streams:
                self._open_window(stream_id, 0)
        return changes

    def acknowledge_received_data(self, acknowledged_size: int, stream_id: int) -> None:
        """See the library's."""
        stream = self.streams.get(stream_id)
        if (
            stream is None
            and stream_id > self.highest_inbound_stream_id
            and stream_id > self.highest_outbound_stream_id
        ):
            super().acknowledge_received_data(acknowledged_size, stream_id)
            return
        more = self._inbound_flow_control_window_manager.process_bytes(acknowledged_size)
        if more:
            self._data_to_send += _head(4, _WINDOW_UPDATE, 0, 0) + more.to_bytes(4, "big")
        self._open_window(stream_id, acknowledged_size)

    def _open_window(self, stream_id: int, size: int) -> None:
        """Count `size` bytes of a stream as taken, and let as many come if it is worth a frame."""
        stream = self.streams.get(stream_id)
        if stream is not None and stream.open:
            more = stream._inbound_window_manager.process_bytes(size)
            if more:
                self._data_to_send += _head(4, _WINDOW_UPDATE, 0, stream_id) + more.to_bytes(4, "big")

    # -- sending -------------------------------------------------------------------------------------------------------

    def take_output(self) -> bytearray:
        """`data_to_send` without a copy."""
        output, self._data_to_send = self._data_to_send, bytearray()
        return output

    def send_headers(self, stream_id: int, headers: Any, end_stream: bool = False, *priority: Any, **more: Any) -> None:
        """See the library's; the fields are bytes."""
        stream = self.streams.get(stream_id)
        if (
            priority
            or more
            or self.state_machine.state not in _READY
            or not self._may_send_head(stream_id, stream, headers)
        ):
            super().send_headers(stream_id, headers, end_stream, *priority, **more)
            if end_stream:
                self._bury(stream_id)
            return
        if stream is None:
            stream = self._begin_new_stream(stream_id, AllowedStreamIDs.ODD)
            stream.state_machine.state = _OPEN
            stream.state_machine.client = True
            for name, value in headers:
                if name == b":method":
                    stream.request_method = value
                elif name == b":authority":
                    stream._authority = value
                elif name[:1] != b":":
                    break
        stream.state_machine.headers_sent = True
        self._put_block(stream_id, self.encoder.encode(headers), end_stream)
        if end_stream:
            self._end_sent(stream)

    def _may_send_head(self, stream_id: int, stream: H2Stream | None, headers: Any) -> bool:
        """Whether it is a request on a new stream, or a final response on an open one."""
        if stream is None:
            return bool(
                self.config.client_side
                and stream_id % 2
                and self.highest_outbound_stream_id < stream_id <= self.HIGHEST_ALLOWED_STREAM_ID
                and len(self.streams) < self.remote_settings.max_concurrent_streams
            )
        machine = stream.state_machine
        return (
            not machine.client
            and not machine.headers_sent
            and (machine.state is _OPEN or machine.state is _HALF_REMOTE)
            and not is_informational_response(headers)
        )

    def _put_block(self, stream_id: int, block: bytes, end_stream: bool) -> None:
        most = self.max_outbound_frame_size
        ending = _END_STREAM if end_stream else 0
        if len(block) <= most:
            self._data_to_send += _head(len(block), _HEADERS, _END_HEADERS | ending, stream_id) + block
            return
        self._data_to_send += _head(most, _HEADERS, ending, stream_id) + block[:most]
        for start in range(most, len(block), most):
            piece = block[start : start + most]
            last = _END_HEADERS if start + most >= len(block) else 0
            self._data_to_send += _head(len(piece), _CONTINUATION, last, stream_id) + piece

    def _end_sent(self, stream: H2Stream) -> None:
        if stream.state_machine.state is _OPEN:
            stream.state_machine.state = _HALF_LOCAL
        else:
            self._over(stream, StreamClosedBy.SEND_END_STREAM)

    def send_data(self, stream_id: int, data: Any, end_stream: bool = False, pad_length: Any = None) -> None:
        """See the library's."""
        stream = self.streams.get(stream_id)
        size = len(data)
        if (
            stream is None
            or pad_length is not None
            or self.state_machine.state not in _READY
            or (stream.state_machine.state is not _OPEN and stream.state_machine.state is not _HALF_REMOTE)
            or size > self.outbound_flow_control_window
            or size > stream.outbound_flow_control_window
            or size > self.max_outbound_frame_size
        ):
            super().send_data(stream_id, data, end_stream, pad_length)
            if end_stream:
                self._bury(stream_id)
            return
        self.outbound_flow_control_window -= size
        stream.outbound_flow_control_window -= size
        self._data_to_send += _head(size, _DATA, _END_STREAM if end_stream else 0, stream_id)
        self._data_to_send += data
        if end_stream:
            self._end_sent(stream)

    def end_stream(self, stream_id: int) -> None:
        """See the library's."""
        super().end_stream(stream_id)
        self._bury(stream_id)
