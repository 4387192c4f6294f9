"""An HTTP/1 connection: one byte stream, one machine, and the order in which pipelined streams take their turns.

Laws:

- streams read their responses and write theirs in the order of the requests (`pipeline`); one writes its request at a
  time, in the order in which they asked (`write_queue`), and keeps its turn until the last byte went out or failed to;
- whoever breaks the protocol, here or there, makes the connection unfit for another exchange.

A connection is used by one thread or task at a time, except that one may read while another writes, and that pipelined
streams may each have their own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal

from ..backends.base import Backend, ByteStream, Waiter
from ..errors import (
    ClosedError,
    LocalProtocolError,
    ReadTimeout,
    RemoteProtocolError,
    UsageError,
    WriteTimeout,
)
from ..protocol.h1 import DEFAULT_LIMITS
from ..protocol.h1_client import H1ClientMachine
from ..protocol.h1_events import RequestReceived
from ..protocol.h1_limits import H1Limits
from ..protocol.h1_server import H1ServerMachine
from ..protocol.h1_tolerant_client import H1TolerantClientMachine
from .h1_client_stream import H1ClientStream
from .h1_lines import H1Lines
from .h1_server_stream import H1ServerStream
from .h1_stream import H1Stream
from .prefixed_stream import PrefixedStream

__all__ = ["H1Connection", "IdleHandler"]

IdleHandler = Callable[["H1Connection"], None]


class H1Connection(H1Lines):
    """One HTTP/1.0 or HTTP/1.1 connection (lua-http's `http.h1_connection`).

    Args:
        stream: the connected byte stream; the connection owns it from now on.
        backend: the stream's backend.
        role: "client" or "server".
        version: 1.0 or 1.1, what this side speaks.
        limits: bounds on the peer's input.
        scheme: servers only, "http" or "https": what `:scheme` says.
        tolerant: clients only: take responses that RFC 9112 forbids, see `H1TolerantClientMachine`.

    Attributes:
        type: the role, "client" or "server".
        version: 1.0 or 1.1, what this side speaks.
        read_timeout, write_timeout: seconds without progress after which a read or write fails, None for no limit. They
            hold beside the deadline or timeout of each call.
        accept_ragged_end: take the end of a TLS connection without its goodbye (close_notify) for the end of a body that
            lasts until the connection ends. Off by default, because an attacker can cut a connection (RFC 9112 section 9.8).
        requests: how many requests began on this connection.
        pipeline: the streams under way, in the order of their requests.
        idle_handler: see `onidle`.
        write_queue: the client's streams that are sending a request or wait to, in order.
    """

    def __init__(
        self,
        stream: ByteStream,
        backend: Backend,
        role: Literal["client", "server"] = "client",
        version: float = 1.1,
        limits: H1Limits = DEFAULT_LIMITS,
        scheme: str = "http",
        tolerant: bool = False,
    ) -> None:
        if version not in (1.0, 1.1):
            raise UsageError(f"HTTP/1 has versions 1.0 and 1.1, not {version!r}")
        if role not in ("client", "server"):
            raise UsageError(f"a connection is of type 'client' or 'server', not {role!r}")
        client = H1TolerantClientMachine if tolerant else H1ClientMachine
        machine = client(version, limits) if role == "client" else H1ServerMachine(version, limits, scheme)
        super().__init__(stream, backend, machine)
        self.type = role
        self.version = version
        self.requests = 0
        self.pipeline: deque[H1Stream] = deque()
        self.write_queue: deque[H1Stream] = deque()
        self.waiters: list[Waiter] = []
        self._guard = backend.create_guard()
        self.idle_handler: IdleHandler | None = None

    def __repr__(self) -> str:
        return f"<H1Connection {self.type} version={self.version}{' closed' if self.is_closed else ''}>"

    # -- streams -------------------------------------------------------------------------------------------------------

    def new_stream(self) -> H1ClientStream:
        """A stream for the next request. It takes its place in the pipeline when its headers are written.

        Raises:
            LocalProtocolError: on a server, which only answers.
            ClosedError: the connection was closed or its socket taken.
        """
        if self.type != "client":
            raise LocalProtocolError("only a client opens streams in HTTP/1")
        if self._no_writing:
            raise ClosedError(self._no_writing)
        return H1ClientStream(self, self.machine)

    async def get_next_incoming_stream(self, timeout: float | None = None) -> H1ServerStream | None:
        """Wait for the next request (server), first of all until the one before has been received whole.

        Returns:
            Its stream, with the head ready for `get_headers`; None when no further request will come.

        Raises:
            ReadTimeout: none came in `timeout` seconds; the connection stays usable.
            RemoteProtocolError: it could not be parsed; `refuse` answers it.
        """
        return await self.next_incoming_stream(self.deadline_after(timeout))

    async def next_incoming_stream(self, deadline: float) -> H1ServerStream | None:
        """`get_next_incoming_stream` with a deadline."""
        machine = self.machine
        if not isinstance(machine, H1ServerMachine):
            raise LocalProtocolError("only a server has incoming streams in HTTP/1")
        if machine.receiving and machine.keep_alive and not self.is_closed:
            await self._wait_until(lambda: not (machine.receiving and machine.keep_alive), deadline, ReadTimeout)
        while machine.keep_alive and not self.is_closed:
            try:
                event = machine.next_event()
            except RemoteProtocolError as error:
                self.remember("r", error)
                raise
            if event is None:
                await self.receive(deadline)
            elif isinstance(event, RequestReceived):
                stream = H1ServerStream(self, machine, event)
                self.requests += 1
                self.pipeline.append(stream)
                return stream
            else:
                break
        return None

    async def refuse(self, error: RemoteProtocolError, deadline: float) -> None:
        """Answer a request that could not be parsed with the status its error names, after those before it, and close."""
        machine = self.machine
        if not isinstance(machine, H1ServerMachine):
            raise LocalProtocolError("only a server refuses requests")
        machine.expect_refusal()
        stream = H1ServerStream(self, machine, None)
        stream.fault = error
        self.pipeline.append(stream)
        await stream.refuse(error.status, deadline)

    def stream_changed(self, stream: H1Stream) -> None:
        """Told by a stream whose state changed: a closed one leaves its places, and whoever waits looks again."""
        if self.write_queue and stream.state in ("closed", "half closed (local)"):
            self.leave_write_queue(stream)
        if stream.state == "closed":
            if self.pipeline and self.pipeline[0] is stream:
                self.pipeline.popleft()
            elif stream in self.pipeline:
                self.pipeline.remove(stream)
            handler = self.idle_handler
            if handler is not None and not self.pipeline and not self.write_queue and not self.is_closed:
                handler(self)
        if self.waiters:
            self._wake_waiters()

    # -- turns ---------------------------------------------------------------------------------------------------------

    async def wait_to_read(self, stream: H1Stream, deadline: float) -> None:
        """Wait until the responses before that of `stream` have been read."""
        await self._wait_until(lambda: self._is_first(stream), deadline, ReadTimeout)

    async def wait_to_respond(self, stream: H1Stream, deadline: float) -> None:
        """Wait until the responses before that of `stream` have been sent."""
        await self._wait_until(lambda: self._is_first(stream), deadline, WriteTimeout)

    async def wait_to_write(self, stream: H1Stream, deadline: float) -> None:
        """Wait until the requests before that of `stream`, which stands in the write queue, have been sent."""
        queue = self.write_queue
        await self._wait_until(lambda: queue[0] is stream, deadline, WriteTimeout)

    def leave_write_queue(self, stream: H1Stream) -> None:
        """Give up a place in the write queue, or the turn itself."""
        queue = self.write_queue
        if queue and queue[0] is stream:
            queue.popleft()
        elif stream in queue:
            queue.remove(stream)
        if self.waiters:
            self._wake_waiters()

    def _is_first(self, stream: H1Stream) -> bool:
        pipeline = self.pipeline
        return stream.state == "closed" or (bool(pipeline) and pipeline[0] is stream)

    async def _wait_until(
        self, condition: Callable[[], bool], deadline: float, late: type[ReadTimeout | WriteTimeout]
    ) -> None:
        woken = True
        while True:
            # Registered before the look: a change in between wakes it, so changes need no lock when nobody waits.
            waiter = self.backend.create_waiter()
            with self._guard:
                self.waiters.append(waiter)
            try:
                if self.is_closed:
                    raise ClosedError("the connection was closed")
                if condition():
                    return
                if not woken:
                    raise late("another stream of the connection has its turn")
                woken = await waiter.wait(deadline)
            finally:
                with self._guard:
                    if waiter in self.waiters:
                        self.waiters.remove(waiter)

    def _wake_waiters(self) -> None:
        with self._guard:
            waiters = self.waiters.copy()
            self.waiters.clear()
        for waiter in waiters:
            waiter.wake()

    # -- the connection's life -----------------------------------------------------------------------------------------

    async def connect(self, timeout: float | None = None) -> bool:
        """Nothing is left to do: the byte stream is connected and HTTP/1 exchanges nothing first. Returns True."""
        if self.is_closed:
            raise ClosedError(self._no_writing or "the connection was closed")
        return True

    def onidle(self, *handler: IdleHandler | None) -> IdleHandler | None:
        """Return the handler called with the connection when its last stream ended; with an argument, replace it.

        It is called in the middle of the operation that ended the stream, and must neither wait nor raise.
        """
        old = self.idle_handler
        if handler:
            (self.idle_handler,) = handler
        return old

    def is_usable(self) -> bool:
        """Whether a request can be sent now. Costs one system call.

        Nothing must be under way, both sides willing, and neither bytes nor an end waiting: that would be a stale
        connection (RFC 9112 section 9.3).
        """
        return self.machine.can_continue and not self._outbox and not self._taken and not self.stream.is_readable()

    @property
    def is_closed(self) -> bool:
        """Whether the connection was closed or its socket taken."""
        return self._taken or self.stream.is_closed

    async def shutdown(self, directions: str = "rw", timeout: float | None = None) -> None:
        """End the connection in order: streams first, then the byte stream's directions (lua-http's `shutdown`).

        Args:
            directions: "w" shuts the streams down and ends the output, which the peer sees; "r" makes later reads fail
                once what came already is used up; "rw" does both. The socket stays open until `close`.
            timeout: seconds for all of it, None for no limit.
        """
        deadline = self.deadline_after(timeout)
        if "w" in directions:
            while self.pipeline:
                await self.pipeline[0].shutdown(None if timeout is None else max(0.0, deadline - self.backend.now()))
        self.machine.keep_alive = False
        if "w" in directions and not self.is_closed:
            await self.flush_by(deadline)
            await self.stream.send_eof(deadline)
            self._no_writing = "the connection was shut down for writing"
        if "r" in directions:
            self._no_reading = self._no_reading or "the connection was shut down for reading"
        self._wake_waiters()

    def close(self) -> None:
        """Release the socket now, without a `shutdown`. Streams under way fail with `ClosedError`.

        Idempotent; from any thread.
        """
        self.machine.keep_alive = False
        if not self._taken:
            self._no_reading = self._no_writing = "the connection was closed"
            self.stream.close()
        self._wake_waiters()

    def take_socket(self) -> ByteStream | None:
        """Hand over the byte stream, with what was received and not used in front, for another protocol to go on with.

        The streams under way are closed without touching it, and the connection cannot be used afterwards. What the
        outbox holds is lost: `flush` first. Returns None when the socket was taken before.
        """
        if self._taken:
            return None
        self._taken = True
        self._no_reading = self._no_writing = "the socket of this connection was taken"
        self.machine.keep_alive = False
        rest = self.machine.take_buffered()
        for stream in [*self.pipeline, *self.write_queue]:
            stream.cut_off(self._no_reading)
        self._wake_waiters()
        return PrefixedStream(self.stream, rest) if rest else self.stream
