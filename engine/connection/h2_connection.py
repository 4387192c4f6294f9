"""An HTTP/2 connection: streams by number, and what concerns all of them (RFC 9113).

Any number of threads (blocking) or tasks (asyncio) may use one at a time; see `h2_core` for how.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Literal

from h2 import events as library_events

from ..backends.base import Backend, ByteStream
from ..errors import (
    ClosedError,
    ConnectionClosed,
    EngineError,
    IncompleteMessage,
    LocalProtocolError,
    ReadTimeout,
    StreamRefused,
)
from ..protocol.h2_gate import GoAwayReceived
from ..protocol.h2_limits import H2Limits
from ..protocol.h2_machine import H2Machine
from ..wire.h2_errors import H2Error, H2ErrorCode
from ..wire.h2_fields import SectionKind, from_h2_fields
from .h2_client_stream import H2ClientStream
from .h2_core import H2Core, Place, fresh
from .h2_server_stream import H2ServerStream
from .h2_stream import H2Stream

__all__ = ["DEFAULT_H2_LIMITS", "H2Connection"]

DEFAULT_H2_LIMITS = H2Limits()


class H2Connection(H2Core):
    """One HTTP/2 connection (lua-http's `http.h2_connection`).

    Args:
        stream: the connected byte stream; the connection owns it from now on.
        backend: the stream's backend.
        role: "client" or "server".
        limits: what this side announces and enforces.

    Attributes:
        version: 2.0.
        type: the role.
        streams: the open streams by id.
        requests: how many requests began on this connection.
    """

    version = 2.0

    def __init__(
        self,
        stream: ByteStream,
        backend: Backend,
        role: Literal["client", "server"] = "client",
        limits: H2Limits = DEFAULT_H2_LIMITS,
    ) -> None:
        super().__init__(stream, backend, H2Machine(role, limits))
        self.type = role
        self.streams: dict[int, H2Stream] = {}
        self.requests = 0
        self.opening: Place = []
        self.incoming: Place = []
        self._queue: deque[H2ClientStream] = deque()
        self._incoming: deque[H2ServerStream] = deque()
        self._pings: dict[bytes, Place] = {}
        self._ping_count = 0
        self._now = 0.0  # when the input came that is being handled
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
        }
        with self.guard:
            self.machine.begin()
            self._collect()

    def __repr__(self) -> str:
        return f"<H2Connection {self.type} streams={len(self.streams)}{' closed' if self.is_closed else ''}>"

    # -- streams -------------------------------------------------------------------------------------------------------

    def new_stream(self) -> H2ClientStream:
        """A stream for a request; it takes its id when its headers are written."""
        if self.type != "client":
            raise LocalProtocolError("only a client opens streams")
        if self.is_closed:
            raise ClosedError("the connection was closed")
        return H2ClientStream(self)

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
            self.wake(self.opening)

    def opened(self, stream: H2Stream) -> None:
        """Register a stream that has its id. Under the guard."""
        assert stream.id is not None
        self.streams[stream.id] = stream
        self.requests += 1

    def forget(self, stream: H2Stream) -> None:
        """A stream is over: its place is free. Under the guard."""
        if stream.id is not None and self.streams.pop(stream.id, None) is not None:
            self.wake(self.opening)

    def consumed(self, stream_id: int, flow: int) -> None:
        """A reader has taken `flow` bytes of its stream. Under the guard."""
        if self._fault is None:
            self.machine.consumed(stream_id, flow)
            self._collect()

    def collect(self) -> None:
        """Append what the machine wants to send to the outbox. Under the guard."""
        self._collect()

    async def get_next_incoming_stream(self, timeout: float | None = None) -> H2ServerStream | None:
        """Wait for the next request (server); None when no further one will come."""
        return await self.next_incoming_stream(self.deadline_after(timeout))

    async def next_incoming_stream(self, deadline: float) -> H2ServerStream | None:
        """`get_next_incoming_stream` with a deadline."""
        while True:
            with self.guard:
                while self._incoming:
                    stream = self._incoming.popleft()
                    if stream.state != "closed":  # else the client has thought better of it
                        return stream
                if self._fault is not None or self.machine.goaway is not None or self.machine.said_goaway:
                    return None
            try:
                await self.wait_until(self._has_incoming, self.incoming, deadline, ReadTimeout)
            except ReadTimeout:
                raise
            except EngineError:
                continue

    def _has_incoming(self) -> bool:
        return bool(self._incoming) or self.machine.goaway is not None or self.machine.said_goaway

    # -- input, under the guard ----------------------------------------------------------------------------------------

    def _handle(self, data: bytes) -> None:
        now = self._now = self.backend.now()
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
        self.machine.highest_remote = max(self.machine.highest_remote, event.stream_id)
        headers = from_h2_fields(event.headers, SectionKind.REQUEST)
        if self.machine.said_goaway or len(self.streams) >= self.machine.limits.max_concurrent_streams:
            if not self.machine.said_goaway:
                self.machine.count_fault(self._now)
            self.machine.reset(event.stream_id, int(H2ErrorCode.REFUSED_STREAM))
            return
        stream = H2ServerStream(self, event.stream_id)
        self.opened(stream)
        stream.head_received(headers)
        self._incoming.append(stream)
        self.wake(self.incoming)

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
        self.machine.settings_received()
        self.wake(self.opening)
        self._wake_senders()

    def _on_goaway(self, event: GoAwayReceived) -> None:
        """Streams above the last one were not looked at; those below run to their end (RFC 9113 section 6.8)."""
        for stream in list(self.streams.values()):
            if self.type == "client" and stream.id is not None and stream.id > event.last_stream_id:
                stream.failed(StreamRefused("the peer is closing the connection and did not look at the stream"))
        self.wake(self.opening)
        self.wake(self.incoming)

    def _on_ping_ack(self, event: library_events.PingAckReceived) -> None:
        place = self._pings.pop(event.ping_data, None)
        if place is not None:
            self.wake(place)

    def _ended(self) -> None:
        for stream in list(self.streams.values()):
            if stream.was_answered:
                stream.failed(IncompleteMessage("the connection ended in the middle of an exchange"))
        self.fail(ConnectionClosed("the peer closed the connection"))

    def fail(self, error: EngineError) -> None:
        """See `H2Core.fail`."""
        if self._fault is None:
            self._fault = error
            for stream in list(self.streams.values()):
                stream.failed(error)
            self.wake_all()
            self._queue.clear()

    # -- the connection's life -----------------------------------------------------------------------------------------

    @property
    def is_open_for_more(self) -> bool:
        """Whether a new stream may be opened, now or when one of those under way is over."""
        return self.machine.may_open and not self.is_closed

    def is_usable(self) -> bool:
        """Whether a request can be sent now."""
        return self.is_open_for_more

    async def ping(self, timeout: float | None = None) -> float:
        """Measure a round trip; returns seconds."""
        deadline = self.deadline_after(timeout)
        started = self.backend.now()
        place: Place = []
        with self.guard:
            if self._fault is not None:
                raise fresh(self._fault)
            self._ping_count += 1
            data = self._ping_count.to_bytes(8, "big")
            self.machine.library.ping(data)
            self._pings[data] = place
            self._collect()
        try:
            await self.flush_by(deadline)
            await self.wait_until(lambda: data not in self._pings, place, deadline)
        finally:
            with self.guard:
                self._pings.pop(data, None)
        return self.backend.now() - started

    async def shutdown(self, timeout: float | None = None) -> None:
        """Say GOAWAY, refuse new streams, and wait until those under way are over."""
        deadline = self.deadline_after(timeout)
        with self.guard:
            if self._fault is None and not self.machine.said_goaway:
                self.machine.say_goaway(int(H2ErrorCode.NO_ERROR))
                self._collect()
                self.wake(self.opening)
                self.wake(self.incoming)
        await self.wait_until(self._is_finished, self.opening, deadline, from_within=True)
        if not self.is_closed:
            await self.flush_by(deadline)

    def _is_finished(self) -> bool:
        return not self.streams or self._fault is not None

    def close(self) -> None:
        """Release the socket now. Streams under way fail with `ClosedError`. Idempotent; any thread."""
        with self.guard:
            self.fail(ClosedError("the connection was closed"))
            self._outbox.clear()
        self.stream.close()
