"""The streams an `H2Connection`'s peer opens, and server push: promising as a server, taking or refusing as a client."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any

from h2 import events as library_events

from ..backends.base import Backend, ByteStream
from ..errors import EngineError, LocalProtocolError, ReadTimeout, StreamRefused
from ..protocol.h2_machine import H2Machine
from ..wire.h2_errors import H2Error, H2ErrorCode
from ..wire.h2_fields import SectionKind, WireField, from_h2_fields
from ..wire.h2_frames import Priority
from ..wire.headers import Headers
from .h2_lowlevel import H2LowLevel
from .h2_output import Place
from .h2_push import H2PromisedStream, H2PushedStream, check_promised_request, is_same_authority, max_unclaimed
from .h2_server_stream import H2ServerStream

if TYPE_CHECKING:
    from .h2_stream import H2Stream

__all__ = ["H2Pushing"]


class H2Pushing(H2LowLevel):
    """Base of `H2Connection`. See `h2_push`.

    Attributes:
        opening: where those wait who want to open a stream, or for one to end.
        incoming: where those wait who want the next incoming stream.
    """

    def __init__(self, stream: ByteStream, backend: Backend, machine: H2Machine) -> None:
        super().__init__(stream, backend, machine)
        self.opening: Place = []
        self.incoming: Place = []
        self._incoming: deque[H2ServerStream | H2PushedStream] = deque()
        self._pushes = 0
        self._now = 0.0  # when the input came that is being handled

    @abstractmethod
    def opened(self, stream: H2Stream) -> None:
        """Register a stream that has its id. Under the guard."""

    @abstractmethod
    def _reset(self, stream_id: int, error: H2Error) -> None:
        """Reset a stream for a fault of the peer's. Under the guard."""

    def new_promised_stream(self, id: int | None = None) -> H2PromisedStream:
        """A stream for `write_push_promise_frame` (servers); it takes the next id, or `id`. `push_promise` does it all."""
        if self.machine.role != "server":
            raise LocalProtocolError("only a server promises streams")
        stream = self.make_promised_stream()
        stream.pick_id(id)
        return stream

    def make_promised_stream(self) -> H2PromisedStream:
        """A stream for a push, without an id."""
        return H2PromisedStream(self._me)

    def _on_push(self, event: library_events.PushedStreamReceived) -> None:
        """Take a push, or reset it: RFC 9113 section 8.4."""
        machine, number = self.machine, event.pushed_stream_id or 0
        machine.highest_remote = max(machine.highest_remote, number)
        scheme = "http" if self.checktls() is None else "https"
        try:
            request = from_h2_fields(event.headers or [], SectionKind.REQUEST)
            check_promised_request(request)
            if not is_same_authority(request, machine.library.authority_of(event.parent_stream_id or 0), scheme):
                raise H2Error(H2ErrorCode.PROTOCOL_ERROR, "a push for another authority", stream_error=True)
        except H2Error as error:
            self._reset(number, error)
            machine.count_fault(self._now)
            return
        limits = machine.limits
        waiting = sum(stream.is_pushed for stream in self._incoming)
        if self._pushes >= limits.max_concurrent_streams:
            machine.count_fault(self._now)
        elif waiting < max_unclaimed(limits.connection_window, limits.stream_window) and not machine.said_goaway:
            stream = H2PushedStream(self._me, number, request)
            self.opened(stream)
            self._incoming.append(stream)
            self.wake(self.incoming)
            return
        machine.reset(number, int(H2ErrorCode.REFUSED_STREAM))

    def check_push(self) -> None:
        """Refuse a push that the peer would not take. Under the guard.

        Raises:
            StreamRefused: the connection takes no new streams any more.
            LocalProtocolError: this is a client, the peer takes no pushes, or no more at the moment.
        """
        self.check_open()
        if self.machine.role != "server":
            raise LocalProtocolError("only a server pushes")
        if not self.machine.may_open:
            raise StreamRefused("the connection takes no new streams any more")
        if not self.machine.library.remote_settings.enable_push:
            raise LocalProtocolError("the client takes no pushes")
        if self._pushes >= self.machine.max_outbound_streams:
            raise LocalProtocolError("the client takes no more pushes at the moment")

    def check_promise(self, fields: list[WireField]) -> Headers:
        """Refuse a promise that the peer would have to reset; returns the promised request."""
        try:
            request = from_h2_fields(fields, SectionKind.REQUEST)
            check_promised_request(request)
        except H2Error as error:
            raise LocalProtocolError(error.message or str(error)) from None
        return request

    def promised(self, stream: H2PromisedStream, request: Headers, parent: int) -> None:
        """A promise was queued. Under the guard."""
        self.opened(stream)
        stream.promise_sent(request)
        self.priority_said(stream.id or 0, Priority(parent))

    # -- incoming streams, pushed or not --------------------------------------------------------------------------------

    async def get_next_incoming_stream(self, timeout: float | None = None) -> Any:
        """Wait for the next request (server) or push (client that takes them); None when no further one will come.

        Returns:
            An `H2ServerStream`, or on a client an `H2PushedStream`.
        """
        return await self.next_incoming_stream(self.deadline_after(timeout))

    async def next_incoming_stream(self, deadline: float) -> Any:
        """`get_next_incoming_stream` with a deadline."""
        while True:
            with self.guard:
                while self._incoming:
                    stream = self._incoming.popleft()
                    if not stream.is_lost:
                        return stream
                    stream.give_up()  # the peer has thought better of it: what it sent is nobody's
                if self._fault is not None or self.machine.goaway is not None or self.machine.said_goaway:
                    return None
            try:
                await self.wait_until(self._has_incoming, self.incoming, deadline, ReadTimeout)
            except ReadTimeout:
                raise
            except EngineError:
                continue

    def take_incoming_streams(self) -> list[H2ServerStream]:
        """The requests that have come already and that nobody has taken yet."""
        streams = []
        with self.guard:
            while self._incoming:
                stream = self._incoming.popleft()
                if stream.is_lost:
                    stream.give_up()
                elif isinstance(stream, H2ServerStream):
                    streams.append(stream)
        return streams

    def _has_incoming(self) -> bool:
        return bool(self._incoming) or self.machine.goaway is not None or self.machine.said_goaway
