"""An HTTP/2 connection: streams by number, and what concerns all of them (RFC 9113).

Any number of threads (blocking) or tasks (asyncio) may use one at a time; see `h2_core` for how.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from h2 import events as library_events

from ..backends.base import FOREVER, Backend, ByteStream
from ..errors import (
    ClosedError,
    ConnectionClosed,
    EngineError,
    IncompleteMessage,
    LocalProtocolError,
    RemoteProtocolError,
    StreamRefused,
    WriteTimeout,
)
from ..protocol.h2_gate import GoAwayReceived
from ..protocol.h2_limits import H2Limits
from ..protocol.h2_machine import H2Machine
from ..wire.h2_errors import H2Error, H2ErrorCode
from ..wire.h2_fields import SectionKind, from_h2_fields
from ..wire.headers import Headers
from .h2_client_stream import H2ClientStream
from .h2_pushing import H2Pushing
from .h2_server_stream import H2ServerStream
from .h2_stream import H2Stream

__all__ = ["DEFAULT_H2_LIMITS", "H2Connection"]

DEFAULT_H2_LIMITS = H2Limits()


class H2Connection(H2Pushing):
    """One HTTP/2 connection (lua-http's `http.h2_connection`).

    Args:
        stream: the connected byte stream; the connection owns it from now on.
        backend: the stream's backend.
        role: "client" or "server".
        limits: what this side announces and enforces.
        upgrade: see `H2Machine.begin`; `h2_upgrade` has what goes with it.

    Attributes:
        version: 2.0.
        type: the role.
        streams: the open streams by id.
        requests: how many requests began on this connection.
        onchange: called with the connection, outside the guard, when it takes more streams, fewer, or none any more.
    """

    version = 2.0

    def __init__(
        self,
        stream: ByteStream,
        backend: Backend,
        role: Literal["client", "server"] = "client",
        limits: H2Limits = DEFAULT_H2_LIMITS,
        upgrade: bytes | None = None,
    ) -> None:
        super().__init__(stream, backend, H2Machine(role, limits))
        self.type = role
        self.requests = 0
        self._queue: deque[H2ClientStream] = deque()
        self.onchange: Callable[[H2Connection], None] | None = None
        self._forsaken: deque[H2ClientStream] = deque()
        self._dispatch: dict[type, Any] = {
            GoAwayReceived: self._on_goaway,
            library_events.RequestReceived: self._on_request,
            library_events.ResponseReceived: self._on_response,
            library_events.InformationalResponseReceived: self._on_response,
            library_events.TrailersReceived: self._on_trailers,
            library_events.DataReceived: self._on_data,
            library_events.StreamEnded: self._on_stream_ended,
            library_events.StreamReset: self._on_stream_reset,
            library_events.WindowUpdated: self._on_window,
            library_events.RemoteSettingsChanged: self._on_settings,
            library_events.PingAckReceived: self._on_ping_ack,
            library_events.SettingsAcknowledged: self._on_settings_acknowledged,
            library_events.PriorityUpdated: self._on_priority,
            library_events.PushedStreamReceived: self._on_push,
        }
        with self.guard:
            self.machine.begin(upgrade)
            self._collect()

    def __repr__(self) -> str:
        return f"<H2Connection {self.type} streams={len(self.streams)}{' closed' if self.is_closed else ''}>"

    # -- streams -------------------------------------------------------------------------------------------------------

    def new_stream(self, id: int | None = None) -> H2ClientStream:
        """A stream for a request; it takes its id when its headers are written, or `id` now (see `pick_id`)."""
        if self.type != "client":
            raise LocalProtocolError("only a client opens streams; see push_promise")
        stream = H2ClientStream(self)
        if id is not None:
            stream.pick_id(id)
        return stream

    def is_turn_to_open(self, stream: H2ClientStream) -> bool:
        """Whether `stream` is next in line and the peer takes one more, or nobody ever will. Under the guard."""
        if not self.machine.may_open or self.is_closed:
            return True
        return (not self._queue or self._queue[0] is stream) and self.machine.free_streams > 0

    def take_turn_to_open(self, stream: H2ClientStream) -> bool:
        """Take the turn if it is `stream`'s, else stand in line. Under the guard.

        Raises:
            StreamRefused: the connection takes no new streams any more.
        """
        if self._forsaken:
            self._reset_forsaken()
        if self.is_closed or not self.machine.may_open:
            self.leave_queue(stream)
            raise StreamRefused("the connection takes no new streams any more")
        if self.is_turn_to_open(stream):
            self.leave_queue(stream)
            return True
        if stream not in self._queue:
            self._queue.append(stream)
        return False

    def leave_queue(self, stream: H2ClientStream) -> None:
        """Give up a place in the line of those who want to open. Under the guard."""
        if stream in self._queue:
            self._queue.remove(stream)
            self._wake_next()

    def _wake_next(self) -> None:
        """Wake who is first in line if it is its turn. On leaving the line it passes that on. Under the guard."""
        if self._queue and self.is_turn_to_open(self._queue[0]):
            self.wake(self._queue[0].writing)

    def _openings_changed(self) -> None:
        """There may be room for streams, or never more. Under the guard."""
        self._wake_next()
        self.wake(self.opening)

    def forsake(self, stream: H2ClientStream) -> None:
        """Have a stream reset with what is done next on the connection: for finalizers, which must not take the guard."""
        self._forsaken.append(stream)

    def _reset_forsaken(self) -> None:
        while self._forsaken:
            self._forsaken.popleft().give_up()

    def _changed(self) -> None:
        """Have the owner told that `shares` or `is_open_for_more` changed. Under the guard."""
        if self.onchange is not None:
            self.call_later(self._tell_owner)

    def _tell_owner(self) -> None:
        if self.onchange is not None:
            self.onchange(self)

    @property
    def shares(self) -> int:
        """How many exchanges the peer lets this side have under way at once."""
        return self.machine.max_outbound_streams if self.machine.may_open else 0

    def opened(self, stream: H2Stream) -> None:
        """Register a stream that has its id. Under the guard."""
        assert stream.id is not None
        self.streams[stream.id] = stream
        stream.is_idle = False
        self.requests += 1
        self._pushes += stream.is_pushed
        if self.picked:
            self.picked.pop(stream.id, None)

    def forget(self, stream: H2Stream) -> None:
        """A stream is over: its place is free. Under the guard."""
        if stream.id is not None and self.streams.pop(stream.id, None) is not None:
            self._pushes -= stream.is_pushed
            self._openings_changed()
            if not self.streams:
                self.became_idle()
        if stream.id is not None and (self.picked or self.priorities):
            self.picked.pop(stream.id, None)
            self.priorities.remove(stream.id)

    def consumed(self, stream_id: int, flow: int) -> None:
        """A reader has taken `flow` bytes of its stream. Under the guard."""
        if self._fault is None:
            self.machine.consumed(stream_id, flow)
            self._collect()

    def collect(self) -> None:
        """Append what the machine wants to send to the outbox. Under the guard."""
        self._collect()

    # -- input, under the guard ----------------------------------------------------------------------------------------

    def _handle(self, data: bytes) -> None:
        now = self._now = self.backend.now()
        if self._forsaken:
            self._reset_forsaken()
        event: Any
        for event in self.machine.receive(data, now):
            handler = self._dispatch.get(type(event))
            if handler is None:
                continue
            try:
                handler(event)
            except H2Error as error:
                if not error.stream_error:
                    self.machine.say_goaway(int(error.code), str(error).encode())
                    raise
                self._reset(event.stream_id, error)
                self.machine.count_fault(now)
        if self.machine.error is not None:
            raise self.machine.error

    def _reset(self, stream_id: int, error: H2Error) -> None:
        self.machine.reset(stream_id, int(error.code))
        stream = self.streams.get(stream_id)
        if stream is not None:
            stream.failed(error)

    def _on_request(self, event: library_events.RequestReceived) -> None:
        if self.type == "client":
            # The library takes them for requests, and would keep them.
            raise H2Error(H2ErrorCode.PROTOCOL_ERROR, "HEADERS on a stream that the server did not promise")
        self.machine.highest_remote = max(self.machine.highest_remote, event.stream_id)
        extended = self.machine.announced_connect_protocol
        headers = from_h2_fields(event.headers, SectionKind.REQUEST, extended_connect=extended)
        if self.machine.said_goaway or len(self.streams) - self._pushes >= self.machine.limits.max_concurrent_streams:
            if not self.machine.said_goaway:
                self.machine.count_fault(self._now)
            self.machine.reset(event.stream_id, int(H2ErrorCode.REFUSED_STREAM))
            return
        self.request_received(event.stream_id, headers)

    def request_received(self, stream_id: int, headers: Headers) -> H2ServerStream:
        """Register a request of the client's as an incoming stream. Under the guard."""
        stream = H2ServerStream(self, stream_id)
        self.opened(stream)
        stream.head_received(headers)
        self._incoming.append(stream)
        self.wake(self.incoming)
        return stream

    def _on_response(
        self, event: library_events.ResponseReceived | library_events.InformationalResponseReceived
    ) -> None:
        headers = from_h2_fields(event.headers, SectionKind.RESPONSE)
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.head_received(headers)

    def _on_trailers(self, event: library_events.TrailersReceived) -> None:
        headers = from_h2_fields(event.headers, SectionKind.TRAILERS)
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.trailers_received(headers)

    def _on_data(self, event: library_events.DataReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is None:
            self.machine.consumed(event.stream_id, event.flow_controlled_length)
        else:
            stream.data_received(event.data, event.flow_controlled_length)

    def _on_stream_ended(self, event: library_events.StreamEnded) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.end_received()

    def _on_stream_reset(self, event: library_events.StreamReset) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            self._tell_reset(stream, event)
        if not event.remote_reset:
            # The library reset it for a fault of the peer.
            self.machine.count_fault(self._now)

    @staticmethod
    def _tell_reset(stream: H2Stream, event: library_events.StreamReset) -> None:
        code = H2ErrorCode(int(event.error_code))
        if code == H2ErrorCode.REFUSED_STREAM:
            stream.failed(StreamRefused("the peer refused the stream unseen"))
        else:
            stream.failed(H2Error.new(code, "the peer reset the stream", stream_error=True))

    def _on_window(self, event: library_events.WindowUpdated) -> None:
        if event.stream_id:
            stream = self.streams.get(event.stream_id)
            if stream is not None:
                self.wake(stream.writing)
        else:
            self._wake_senders()

    def _wake_senders(self) -> None:
        for stream in self.streams.values():
            if stream.writing:
                self.wake(stream.writing)

    def _on_settings(self, event: library_events.RemoteSettingsChanged) -> None:
        self.peer_settings_changed()

    def peer_settings_changed(self) -> None:
        """See `H2Controls.peer_settings_changed`."""
        self.machine.settings_received()
        self._openings_changed()
        self._wake_senders()
        self._changed()

    def _on_goaway(self, event: GoAwayReceived) -> None:
        """Streams above the last one were not looked at; those below run to their end (RFC 9113 section 6.8)."""
        for stream in list(self.streams.values()):
            if stream.is_ours and stream.id is not None and stream.id > event.last_stream_id:
                stream.failed(StreamRefused("the peer is closing the connection and did not look at the stream"))
        self._openings_changed()
        self.wake(self.incoming)
        self._changed()

    def going_away(self) -> None:
        """See `H2Controls.going_away`."""
        self._openings_changed()
        self.wake(self.incoming)
        self._changed()

    def _ended(self) -> None:
        for stream in list(self.streams.values()):
            if stream.was_answered:
                stream.failed(IncompleteMessage("the connection ended in the middle of an exchange"))
        self.fail(ConnectionClosed("the peer closed the connection"))

    def fail(self, error: EngineError) -> None:
        """See `H2Output.fail`."""
        if self._fault is None:
            self._fault = error
            for stream in list(self.streams.values()):
                stream.failed(error)
            self.wake_all()
            self._queue.clear()
            self._changed()

    # -- the connection's life -----------------------------------------------------------------------------------------

    @property
    def fault(self) -> EngineError | None:
        """What ended the connection, None while it has not."""
        return self._fault

    @property
    def answered_others(self) -> bool:
        """Whether the peer said goodbye after it had looked at some of the streams."""
        goaway = self.machine.goaway
        return goaway is not None and goaway.last_stream_id > 0

    @property
    def is_open_for_more(self) -> bool:
        """Whether a new stream may be opened, now or when one of those under way is over."""
        return self.machine.may_open and not self.is_closed

    def is_usable(self) -> bool:
        """Whether a request can be sent now."""
        return self.is_open_for_more

    async def shutdown(self, timeout: float | None = None) -> None:
        """Say GOAWAY, refuse new streams, and wait until those under way are over."""
        deadline = self.deadline_after(timeout)
        with self.guard:
            if self._fault is None and not self.machine.said_goaway:
                self.machine.say_goaway(int(H2ErrorCode.NO_ERROR))
                self._collect()
                self._openings_changed()
                self.wake(self.incoming)
        await self.wait_until(self._is_finished, self.opening, deadline)
        if not self.is_closed:
            await self.flush_by(deadline)

    @property
    def rounds(self) -> int:
        """How often input was taken."""
        return self._rounds

    async def flush_together(self) -> None:
        """Send in one go what other tasks queue when it is their turn next. Only on an event loop does it gain anything."""
        with self.guard:
            if self._flushing or self._fault is not None:
                return
            self._flushing = True
        try:
            await self.backend.sleep_until(self.backend.now())
        except BaseException:
            with self.guard:
                self._stop_flushing()
            raise
        # What does not go without waiting is sent by who waits for something next, as this caller is about to.
        await self._flush(FOREVER, quiet=True, at_once=True)

    async def end_output(self, deadline: float) -> None:
        """Send what is queued and end this side's output; what is queued afterwards is dropped. Reading goes on.

        Raises:
            WriteTimeout, WriteError.
        """
        while True:
            await self.flush_by(deadline)
            with self.guard:
                waiter = None
                if self._flushing:
                    waiter = self.backend.create_waiter()
                    self.room.append(waiter)
                elif not self._outbox:
                    self._flushing = True
                    break
            if waiter is not None and not await waiter.wait(deadline):
                raise WriteTimeout("the peer did not take the data in time")
        try:
            await self.stream.send_eof(deadline)
        finally:
            with self.guard:
                self._flushing = False
                self._write_fault = ClosedError("the connection was shut down for writing")
                self._outbox.clear()
                self.wake(self.room)  # the reader and a worker of a server may end the output at the same time

    def _is_finished(self) -> bool:
        return not self.streams or self._fault is not None

    def close(self) -> None:
        """Release the socket now. Streams under way fail with `ClosedError`. Idempotent; any thread."""
        with self.guard:
            self.fail(ClosedError("the connection was closed"))
            if not isinstance(self._fault, RemoteProtocolError):
                self._outbox.clear()
        if self._outbox:
            # The peer is told what it did wrong, as far as that goes without waiting.
            self.flush_without_waiting()
        self.stream.close()
        self.run_due()
