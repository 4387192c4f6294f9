"""Accepting connections and serving their requests one after the other, written once for both colours.

Laws:

- every wait for a client has a limit: the handshake, the first byte, the rest of a header section, an idle connection;
- whatever a handler does, its exchange ends: answered, completed or cut; its errors give 500 and reach `onerror`;
- closing lets what is in flight finish, until its time is up.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from ..backends.base import FOREVER, Backend, ByteStream, Listener, TaskHandle, Waiter
from ..errors import (
    ClosedError,
    EngineError,
    IncompleteMessage,
    NetworkError,
    ReadTimeout,
    RemoteProtocolError,
    Timeout,
    WriteTimeout,
)
from ..protocol.h1_server import H1ServerMachine
from .h1_connection import H1Connection
from .h1_server_stream import H1ServerStream
from .server_options import ServerOptions, bind_listener
from .tls_stream import wrap_tls

__all__ = ["ErrorHandler", "ServerCore", "StreamHandler"]

StreamHandler = Callable[[H1ServerStream], Awaitable[None]]
ErrorHandler = Callable[[Any, BaseException, str], None]

# After a refusal the client may still be sending; closing at once would reset the connection and destroy the answer on
# its way (RFC 9112 section 9.6). So much is read and dropped first, in bytes and seconds.
_LINGER_BYTES = 500 * 1024
_LINGER_TIME = 2.0
# How long to leave accept alone after it failed, when no finished connection can free a descriptor (lua-http waits 0.03 s).
_ACCEPT_PAUSE = 0.05
# How long a connection that was cut at the end of a graceful close is waited for.
_CUT_TIME = 1.0


class ServerCore:
    """The loop behind `Server` and `AsyncServer`.

    Args:
        backend: does the I/O.
        options: see `ServerOptions`.
        handler: serves one stream.
        onerror: called with (None, error, what was going on) for errors that nobody else sees.
    """

    def __init__(self, backend: Backend, options: ServerOptions, handler: StreamHandler, onerror: ErrorHandler) -> None:
        self.backend = backend
        self.options = options
        self._handler = handler
        self._onerror = onerror
        self._listener: Listener | None = None
        self._guard = backend.create_guard()
        self._tasks: dict[ByteStream, TaskHandle | None] = {}
        self._idle: set[ByteStream] = set()
        self._machines: dict[ByteStream, H1ServerMachine] = {}
        self._room_waiter: Waiter | None = None
        self.closing = False

    # -- listening -----------------------------------------------------------------------------------------------------

    def listen(self) -> Listener:
        """Bind and listen, once; later calls return the same listener. On an event loop: call it on the loop's thread."""
        if self.closing:
            raise ClosedError("the server was closed")
        if self._listener is None:
            self._listener = self.backend.adopt_listener(bind_listener(self.options))
        return self._listener

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._tasks)

    async def accept_loop(self, deadline: float = FOREVER) -> None:
        """Accept and serve until `deadline` or until the server is closed."""
        listener = self.listen()
        while not self.closing:
            if not await self._wait_for_room(deadline):
                return
            try:
                stream = await listener.accept(deadline)
            except NetworkError as error:
                self._report(error, "accepting a connection")
                await self.backend.sleep_until(min(deadline, self.backend.now() + _ACCEPT_PAUSE))
                continue
            if stream is None:
                return
            try:
                self.add_stream(stream)
            except Exception as error:  # noqa: BLE001 - one client that cannot be served does not end the server
                self._report(error, "serving a connection")
                await self.backend.sleep_until(min(deadline, self.backend.now() + _ACCEPT_PAUSE))

    def add_stream(self, stream: ByteStream) -> None:
        """Serve a connection that came from elsewhere (lua-http's `add_socket`)."""
        with self._guard:
            self._tasks[stream] = None
        try:
            handle = self.backend.spawn(self._serve(stream), f"drivetrain connection {stream.peer_address.host}")
        except BaseException:
            # No more threads, for one.
            stream.close()
            self._forget(stream)
            raise
        with self._guard:
            if stream in self._tasks:
                self._tasks[stream] = handle

    async def _wait_for_room(self, deadline: float) -> bool:
        limit = self.options.max_concurrent
        while limit is not None and not self.closing:
            with self._guard:
                if len(self._tasks) < limit:
                    return True
                waiter = self._room_waiter = self.backend.create_waiter()
            if not await waiter.wait(deadline):
                return False
        return not self.closing

    # -- one connection ------------------------------------------------------------------------------------------------

    async def _serve(self, stream: ByteStream) -> None:
        raw = stream
        taken = False
        try:
            setup_deadline = self.backend.now() + self.options.connection_setup_timeout
            scheme = "http"
            if self.options.context is not None:
                scheme = "https"
                stream = await wrap_tls(
                    raw,
                    self.options.context,
                    server_side=True,
                    server_hostname=None,
                    guard=self.backend.create_guard(),
                    deadline=setup_deadline,
                )
            connection = H1Connection(
                stream, self.backend, "server", self.options.version or 1.1, self.options.limits, scheme
            )
            try:
                await self._serve_connection(raw, connection, setup_deadline)
            finally:
                # A handler may have taken the byte stream over, to keep it beyond its own end.
                taken = connection.is_closed and not stream.is_closed
        except (NetworkError, Timeout, ClosedError):
            # A client that goes away, or stalls, is nobody's error (lua-http keeps silent about it too).
            pass
        except Exception as error:  # noqa: BLE001 - one connection's trouble does not end the server
            self._report(error, "serving a connection")
        finally:
            if not taken:
                stream.close()
                raw.close()
            self._forget(raw)

    def _forget(self, raw: ByteStream) -> None:
        with self._guard:
            self._tasks.pop(raw, None)
            self._idle.discard(raw)
            self._machines.pop(raw, None)
            waiter, self._room_waiter = self._room_waiter, None
        if waiter is not None:
            waiter.wake()

    async def _serve_connection(self, raw: ByteStream, connection: H1Connection, first_deadline: float) -> None:
        machine = connection.machine
        assert isinstance(machine, H1ServerMachine)
        connection.write_timeout = self.options.stream_timeout
        deadline = first_deadline
        while machine.keep_alive and not connection.is_closed:
            stream = await self._next_stream(raw, connection, deadline)
            if stream is None:
                break
            await self._handle(stream)
            if connection.is_closed:
                return
            deadline = self.backend.now() + self.options.intra_stream_timeout
        await self._end(connection)

    async def _next_stream(self, raw: ByteStream, connection: H1Connection, deadline: float) -> H1ServerStream | None:
        """Wait for a request, within the idle limit for its first byte and the header limit for the rest."""
        machine = connection.machine
        assert isinstance(machine, H1ServerMachine)
        with self._guard:
            if self.closing and not machine.buffered:
                return None
            self._idle.add(raw)
        connection.read_timeout = None
        try:
            if not machine.buffered:
                await connection.receive(deadline)
        except ReadTimeout:
            return None
        finally:
            with self._guard:
                self._idle.discard(raw)
                self._machines[raw] = machine
        connection.read_timeout = self.options.stream_timeout
        try:
            return await connection.next_incoming_stream(self.backend.now() + self.options.header_timeout)
        except ReadTimeout:
            await self._refuse(connection, RemoteProtocolError("the header section did not come in time", 408))
        except RemoteProtocolError as error:
            if not isinstance(error, IncompleteMessage):
                self._report(error, "reading a request")
            await self._refuse(connection, error)
        return None

    async def _refuse(self, connection: H1Connection, error: RemoteProtocolError) -> None:
        await connection.refuse(error, self.backend.now() + self.options.stream_timeout)

    async def _handle(self, stream: H1ServerStream) -> None:
        machine = stream.connection.machine
        assert isinstance(machine, H1ServerMachine)
        if self.closing:
            machine.refuse_further()
        try:
            await self._handler(stream)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises
            if not _is_the_clients(stream, error):
                self._report(error, "handling a request")
            await self._fail(stream, error)
        except BaseException:
            # Cancelled, or the process is ending: there is no time for goodbyes.
            stream.connection.close()
            raise
        if not machine.switched:
            await stream.shutdown(self.options.stream_timeout)
            if not stream.connection.is_closed:
                # What a write that timed out left behind must not wait for the client's next request.
                await stream.connection.flush_by(self.backend.now() + self.options.stream_timeout)

    async def _fail(self, stream: H1ServerStream, error: Exception) -> None:
        """Answer 500 when nothing was answered; a fault of the request itself is answered by `shutdown`."""
        if isinstance(error, WriteTimeout) and _is_the_clients(stream, error):
            stream.connection.close()
        if stream.status is not None or stream.connection.is_closed:
            return
        if isinstance(error, ReadTimeout) and _is_the_clients(stream, error):
            stream.fault = error
        elif stream.fault is None:
            try:
                await stream.refuse(500, self.backend.now() + self.options.stream_timeout)
            except EngineError:
                stream.connection.close()

    async def _end(self, connection: H1Connection) -> None:
        """Close after the last response, reading on for a moment where the client may still be sending."""
        machine = connection.machine
        if connection.is_closed or machine.switched or machine.keep_alive:
            # An idle connection may be closed at any time, and clients know it (RFC 9112 section 9.5).
            return
        deadline = self.backend.now() + _LINGER_TIME
        await connection.flush_by(deadline)
        await connection.stream.send_eof(deadline)
        dropped = 0
        while not machine.ended and dropped < _LINGER_BYTES:
            data = await connection.stream.receive_some(64 * 1024, deadline)
            if not data:
                return
            dropped += len(data)

    def _report(self, error: BaseException, context: str) -> None:
        self._onerror(None, error, context)

    # -- closing -------------------------------------------------------------------------------------------------------

    async def close(self, deadline: float) -> None:
        """Stop listening, close idle connections, let the others finish their exchange, and cut them at `deadline`.

        The connection whose handler calls it is not waited for.
        """
        with self._guard:
            self.closing = True
            idle = list(self._idle)
            for machine in self._machines.values():
                # Its thread may be completing the exchange at this moment; then there is nothing to refuse.
                with contextlib.suppress(IndexError):
                    machine.refuse_further()
            waiter, self._room_waiter = self._room_waiter, None
        if waiter is not None:
            waiter.wake()
        if self._listener is not None:
            self._listener.close()
        for stream in idle:
            stream.close()
        if not await self._join(deadline):
            with self._guard:
                late = list(self._tasks.items())
            for stream, handle in late:
                if handle is not None and handle.is_current:
                    continue
                stream.close()
                if handle is not None:
                    handle.cancel()
            # They see it at their next wait; a handler that never waits for its client is left behind.
            await self._join(self.backend.now() + _CUT_TIME)

    async def _join(self, deadline: float) -> bool:
        """Wait until no connection is left; False at the deadline."""
        while True:
            with self._guard:
                remaining = [handle for handle in self._tasks.values() if handle is None or not handle.is_current]
            if not remaining:
                return True
            for handle in remaining:
                if handle is not None and not await handle.join(deadline):
                    return False
            if self.backend.now() >= deadline:
                return False
            if None in remaining:
                # Just being started, by another thread.
                await self.backend.sleep_until(self.backend.now() + 0.001)


def _is_the_clients(stream: H1ServerStream, error: Exception) -> bool:
    """Whether an error of a handler says that its client went away or stalled, rather than somebody else it talked to."""
    if not isinstance(error, (NetworkError, Timeout, ClosedError)):
        return False
    connection = stream.connection
    seen = [type(connection.error(direction)) for direction in "rw"]
    return connection.is_closed or stream.state == "closed" or type(error) in seen
