"""The h2 library with what this engine needs beyond its public interface. The only module that touches its inside.

Reasons, each of which the library's public methods leave no other way for:

- a call that the library refuses moves its state machines to "closed" all the same, though nothing was sent. Whoever writes
  frames by hand must be able to be refused without losing the stream: `attempt` puts the states back;
- a header block that a program encoded itself must leave the library's own compression table where the peer's will be:
  `read_block` decodes it against a copy of that table;
- lua-http's `set_state` and `set_peer_settings` set what the library sets only on frames;
- a PRIORITY that makes a stream depend on itself is that stream's fault (RFC 7540 section 5.3.1), for which the library ends
  the connection;
- a body that is not as long as Content-Length says is the fault of its message alone (RFC 9113 section 8.1.1), for which the
  library ends the connection, unless HEADERS end the stream: then it says nothing. `H2Stream` counts instead;
- what a peer sends before it learns of a reset is to be ignored (RFC 9113 section 5.1), while the library answers each such
  DATA and HEADERS frame with another RST_STREAM, which looks like an attack to peers that count them, and forgets that it
  reset a promised stream. What comes on a stream that the peer itself has closed is answered, and counted;
- settings apply in the order of their frames (RFC 9113 section 6.5.3), while the library's `acknowledge` applies the oldest
  waiting value of every setting, whichever frame it went out in.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from h2.connection import ConnectionInputs, ConnectionState
from h2.errors import ErrorCodes
from h2.events import Event, PriorityUpdated, StreamReset
from h2.exceptions import ProtocolError as LibraryError
from h2.exceptions import StreamClosedError
from h2.settings import ChangedSetting, SettingCodes, Settings
from h2.stream import StreamClosedBy, StreamState
from hpack import Decoder, Encoder, HPACKError
from hyperframe.frame import (
    DataFrame,
    Frame,
    HeadersFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
)

from ..errors import LocalProtocolError
from ..wire.h2_fields import WireField
from .h2_fast import FastLibrary

__all__ = ["Library", "OrderedSettings"]

_STATES = {
    "open": StreamState.OPEN,
    "reserved (local)": StreamState.RESERVED_LOCAL,
    "half closed (local)": StreamState.HALF_CLOSED_LOCAL,
    "half closed (remote)": StreamState.HALF_CLOSED_REMOTE,
    "closed": StreamState.CLOSED,
}


class OrderedSettings(Settings):
    """This side's settings: what each SETTINGS frame said takes effect with its own acknowledgement.

    Attributes:
        sent: how many SETTINGS frames went out.
        acknowledged: how many of them the peer has acknowledged.
        on_acknowledged: called with the values that take effect.
    """

    def __init__(self, client: bool, initial_values: dict[SettingCodes, int]) -> None:
        super().__init__(client, initial_values)
        self.sent = 0
        self.acknowledged = 0
        self.on_acknowledged: Callable[[Mapping[int, int]], None] | None = None
        self._waiting: deque[Mapping[int, int]] = deque()

    def note_sent(self, values: Mapping[int, int]) -> int:
        """A SETTINGS frame with these values goes out; returns its number, counted from 1."""
        self._waiting.append(values)
        self.sent += 1
        return self.sent

    def hold_back(self, setting: SettingCodes, value: int) -> None:
        """Have `value` hold until what was said of the setting is acknowledged."""
        self._settings[setting] = deque((value,))

    def acknowledge(self) -> dict[SettingCodes | int, ChangedSetting]:
        """See the library's: now with the values of the oldest frame that waits."""
        if self._waiting:
            values = self._waiting.popleft()
            self.acknowledged += 1
            for setting, value in values.items():
                # The library never counts the peer's streams against this: see `H2Machine.begin`.
                if setting != SettingCodes.MAX_CONCURRENT_STREAMS:
                    self[setting] = value
            if self.on_acknowledged is not None:
                self.on_acknowledged(values)
        return super().acknowledge()


def _closed_reset(stream_id: int) -> StreamReset:
    """A stream had to be reset that was closed already, which peers are counted for as for any other."""
    event = StreamReset.__new__(StreamReset)
    event.stream_id, event.error_code, event.remote_reset = stream_id, ErrorCodes.STREAM_CLOSED, False
    return event


class _ReadyBlock:
    """Stands in for the encoder where a block is encoded already."""

    def encode(self, headers: object) -> bytes:
        # What the library makes of it is dropped, but it must not be empty.
        return b"\0"


class Library(FastLibrary):
    """See the module."""

    # -- receiving -----------------------------------------------------------------------------------------------------

    def _receive_priority_frame(self, frame: HeadersFrame | PriorityFrame) -> tuple[list[Frame], list[Event]]:
        if frame.depends_on != frame.stream_id:
            return super()._receive_priority_frame(frame)
        events = self.state_machine.process_input(ConnectionInputs.RECV_PRIORITY)
        event = PriorityUpdated()
        event.stream_id = event.depends_on = frame.stream_id
        event.weight, event.exclusive = frame.stream_weight + 1, frame.exclusive
        return [], [*events, event]

    def _handle_data_on_closed_stream(
        self, events: list[Event], exc: StreamClosedError, frame: DataFrame
    ) -> tuple[list[Frame], list[Event]]:
        frames, events = super()._handle_data_on_closed_stream(events, exc, frame)
        if self._stream_closed_by(exc.stream_id) is StreamClosedBy.SEND_RST_STREAM:
            if not exc._events:
                frames = [each for each in frames if not isinstance(each, RstStreamFrame)]
        elif not any(isinstance(event, StreamReset) for event in events):
            events.append(_closed_reset(exc.stream_id))
        return frames, events

    def _receive_headers_frame(self, frame: HeadersFrame) -> tuple[list[Frame], list[Event]]:
        closed_by = self._stream_closed_by(frame.stream_id)
        if closed_by is StreamClosedBy.SEND_RST_STREAM:
            # The table needs to know of it, and nobody else.
            self._decode(bytes(frame.data))
            return [], []
        if closed_by is StreamClosedBy.RECV_RST_STREAM:
            self._decode(bytes(frame.data))
            answer = RstStreamFrame(frame.stream_id, error_code=ErrorCodes.STREAM_CLOSED)
            return [answer], [_closed_reset(frame.stream_id)]
        return super()._receive_headers_frame(frame)

    def _receive_push_promise_frame(self, frame: PushPromiseFrame) -> tuple[list[Frame], list[Event]]:
        frames, events = super()._receive_push_promise_frame(frame)
        number = frame.promised_stream_id
        if frames and number not in self.streams:
            # Refused, as its request was reset; the answer to it is on its way all the same.
            self._closed_streams[number] = StreamClosedBy.SEND_RST_STREAM
            self.highest_inbound_stream_id = max(self.highest_inbound_stream_id, number)
        return frames, events

    def apply_peer_settings(self, values: Mapping[int, int]) -> None:
        """Do what SETTINGS of the peer's would, without an acknowledgement.

        Raises:
            LibraryError: values that a peer may not send.
        """
        self._receive_settings_frame(SettingsFrame(0, settings=dict(values)))

    def apply_own_settings(self) -> None:
        """Do what the acknowledgement of the oldest SETTINGS frame that waits would."""
        self._local_settings_acked()

    def change_windows(self, delta: int) -> None:
        """Have the peer's windows on all open streams be larger by `delta` bytes than they were."""
        self._inbound_flow_control_change_from_settings(0, delta)

    # -- sending -------------------------------------------------------------------------------------------------------

    @contextmanager
    def attempt(self, *stream_ids: int) -> Iterator[None]:
        """Let the library make a frame that it may refuse, and drop its output; a refusal leaves everything as it was.

        Raises:
            LocalProtocolError: it refused.
        """
        before = self.data_to_send()
        connection = self.state_machine.state
        highest = self.highest_outbound_stream_id
        streams = {number: self.streams.get(number) for number in stream_ids}
        machines = {number: dict(vars(stream.state_machine)) for number, stream in streams.items() if stream}
        try:
            yield
        except (LibraryError, ValueError, KeyError) as error:
            self.state_machine.state = connection
            self.highest_outbound_stream_id = highest
            for number, stream in streams.items():
                if stream is None:
                    self.streams.pop(number, None)
                else:
                    vars(stream.state_machine).update(machines[number])
            raise LocalProtocolError(f"HTTP/2: {type(error).__name__}: {error}") from error
        finally:
            self.clear_outbound_data_buffer()
            self._data_to_send += before

    @contextmanager
    def with_ready_block(self) -> Iterator[None]:
        """Have the library believe that header blocks are encoded already."""
        encoder = self.encoder
        self.encoder = cast("Encoder", _ReadyBlock())
        try:
            yield
        finally:
            self.encoder = encoder

    def read_block(self, block: bytes) -> tuple[list[WireField], Callable[[], None]]:
        """Decode a header block that somebody else encoded for this connection.

        Returns:
            Its fields, and what brings the compression table to where the block leaves the peer's: to be called when the
            block is sent.

        Raises:
            LocalProtocolError: the peer could not decode it.
        """
        table: Any = self.encoder.header_table
        trial = copy.copy(table)
        trial.dynamic_entries = table.dynamic_entries.copy()
        decoder = Decoder(2**31)
        decoder.header_table = trial
        decoder.max_allowed_table_size = self.remote_settings.header_table_size
        try:
            fields = list(decoder.decode(block, raw=True))
        except HPACKError as error:
            raise LocalProtocolError(f"the peer could not decode the header block: {type(error).__name__}") from None

        def commit() -> None:
            trial.resized = table.resized
            vars(table).update(vars(trial))

        return cast("list[WireField]", fields), commit

    # -- states --------------------------------------------------------------------------------------------------------

    def authority_of(self, stream_id: int) -> bytes | None:
        """The `:authority` of a request that went out on an open stream, None for want of either."""
        stream = self.streams.get(stream_id)
        return None if stream is None else stream._authority

    def force_state(self, stream_id: int, state: str) -> None:
        """Move a stream to a state as if the frames that lead there had been exchanged; an idle one is opened first."""
        stream = self.streams.get(stream_id)
        if stream is None:
            stream = self._begin_new_stream(stream_id, stream_id % 2)
            stream.state_machine.client = self.config.client_side
            stream.state_machine.headers_sent = self.config.client_side
            stream.state_machine.headers_received = not self.config.client_side
        if self.state_machine.state is ConnectionState.IDLE:
            client = self.config.client_side
            self.state_machine.state = ConnectionState.CLIENT_OPEN if client else ConnectionState.SERVER_OPEN
        stream.state_machine.state = _STATES[state]
