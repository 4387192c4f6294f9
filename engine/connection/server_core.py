"""Accepting connections and finding out what is spoken on each, written once for both colours.

Laws:

- every wait for a client has a limit: the handshake, the first byte, the rest of a header section, an idle connection;
- whatever a handler does, its exchange ends: answered, completed or cut; its errors give 500 and reach `onerror`;
- closing lets what is in flight finish, until its time is up.

How requests are served is `server_h1`'s and `server_h2`'s matter.
"""

from __future__ import annotations

from ..backends.base import FOREVER, Backend, ByteStream, Listener, TaskHandle, Waiter
from ..errors import ClosedError, NetworkError, RemoteProtocolError, Timeout
from ..wire.h2_errors import H2Error, H2ErrorCode
from .h2_connection import H2Connection
from .h2_security import check_security
from .prefixed_stream import PrefixedStream
from .server_choice import choose_version
from .server_h1 import H1Serving
from .server_h2 import H2Serving
from .server_options import ServerOptions, bind_listener, prepare_context
from .server_passing import PassedOn
from .server_serving import ConnectionHandler, ErrorHandler, ServerContext, Serving, StreamHandler
from .tls_stream import wrap_tls

__all__ = ["ServerCore"]

# How long to leave accept alone after it failed, when no finished connection can free a descriptor (lua-http waits 0.03 s).
_ACCEPT_PAUSE = 0.05
# How long a connection that was cut at the end of a graceful close is waited for.
_CUT_TIME = 1.0


class _Connection:
    """An open connection.

    Attributes:
        raw: the accepted byte stream.
        task: what serves it, None while that is being started.
        serving: how, None before the client's first byte.
        is_begun: whether the task runs, or ran.
        is_dropped: whether it is not to run any more.
    """

    __slots__ = ("is_begun", "is_dropped", "raw", "serving", "task")

    def __init__(self, raw: ByteStream) -> None:
        self.is_begun = self.is_dropped = False
        self.raw = raw
        self.task: TaskHandle | None = None
        self.serving: Serving | None = None

    @property
    def is_current(self) -> bool | None:
        """Whether the caller is one of those who serve it; None while one is just being started."""
        if self.task is None:
            return None
        if self.task.is_current:
            return True
        return False if self.serving is None else self.serving.is_current

    def end_soon(self) -> bool:
        """See `Serving.end_soon`."""
        return self.serving is None or self.serving.end_soon()

    def close(self) -> None:
        """Release the byte stream now, which whoever is at it sees at the next wait."""
        if self.serving is not None:
            self.serving.cut()
        self.raw.close()

    def cut(self) -> None:
        """Close it for those too who wait for something else."""
        self.close()
        if self.task is not None:
            self.task.cancel()


class ServerCore:
    """The loop behind `Server` and `AsyncServer`.

    Args:
        backend: does the I/O.
        options: see `ServerOptions`.
        handler: serves one stream.
        onerror: called with (None, error, what was going on) for errors that nobody else sees.
        connection_handler: gets whole connections, on which then no HTTP is spoken here; None to serve streams.
    """

    def __init__(
        self,
        backend: Backend,
        options: ServerOptions,
        handler: StreamHandler,
        onerror: ErrorHandler,
        connection_handler: ConnectionHandler | None = None,
    ) -> None:
        self.backend = backend
        self.options = options
        self._context = ServerContext(backend, options, handler, onerror)
        self._connection_handler = connection_handler
        self._listener: Listener | None = None
        self._stopped = False
        self._guard = backend.create_guard()
        self._connections: dict[ByteStream, _Connection] = {}
        self._room_waiter: Waiter | None = None
        prepare_context(options)

    # -- listening -----------------------------------------------------------------------------------------------------

    def listen(self) -> Listener:
        """Bind and listen, once; later calls return the same listener. On an event loop: call it on the loop's thread."""
        if self._context.closing or (self._stopped and self._listener is None):
            raise ClosedError("the server was closed")
        if self._listener is None:
            self._listener = self.backend.adopt_listener(bind_listener(self.options))
        return self._listener

    def stop_listening(self) -> None:
        """Accept no more; connections that are open are served on. From any thread (of the loop). Idempotent."""
        self._stopped = True
        if self._listener is not None:
            self._listener.close()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    async def accept_loop(self, deadline: float = FOREVER) -> None:
        """Accept and serve until `deadline` or until the server is closed."""
        listener = self.listen()
        while not self._context.closing:
            if not await self._wait_for_room(deadline):
                return
            try:
                stream = await listener.accept(deadline)
            except NetworkError as error:
                self._context.report(error, "accepting a connection")
                await self.backend.sleep_until(min(deadline, self.backend.now() + _ACCEPT_PAUSE))
                continue
            if stream is None:
                return
            try:
                self.add_stream(stream)
            except Exception as error:  # noqa: BLE001 - one client that cannot be served does not end the server
                self._context.report(error, "serving a connection")
                await self.backend.sleep_until(min(deadline, self.backend.now() + _ACCEPT_PAUSE))

    def add_stream(self, stream: ByteStream) -> None:
        """Serve a connection that came from elsewhere (lua-http's `add_socket`). A server that was closed closes it."""
        record = _Connection(stream)
        with self._guard:
            closing = self._context.closing
            if not closing:
                self._connections[stream] = record
        if closing:
            stream.close()
            return
        try:
            record.task = self.backend.spawn(self._serve(record), f"drivetrain connection {stream.peer_address.host}")
        except BaseException:
            # No more threads, for one. But whom an interrupt reaches here may have started it all the same.
            with self._guard:
                record.is_dropped = not record.is_begun
            if record.is_dropped:
                stream.close()
                self._forget(stream)
            raise

    async def _wait_for_room(self, deadline: float) -> bool:
        limit = self.options.max_concurrent
        while limit is not None and not self._context.closing:
            with self._guard:
                if len(self._connections) < limit:
                    return True
                waiter = self._room_waiter = self.backend.create_waiter()
            if not await waiter.wait(deadline):
                return False
        return not self._context.closing

    # -- one connection ------------------------------------------------------------------------------------------------

    async def _serve(self, record: _Connection) -> None:
        with self._guard:
            record.is_begun = True
            if record.is_dropped:
                return
        try:
            serving: Serving | None = await self._open(record.raw)
            while serving is not None:
                with self._guard:
                    record.serving = serving
                    closing = self._context.closing
                if closing and serving.end_soon():
                    break  # it had no ears yet when the others were told
                serving = await serving.serve()
        except (NetworkError, Timeout, ClosedError):
            # A client that goes away, or stalls, is nobody's error (lua-http keeps silent about it too).
            pass
        except Exception as error:  # noqa: BLE001 - one connection's trouble does not end the server
            self._context.report(error, "serving a connection")
        finally:
            if record.serving is None or not record.serving.taken:
                record.close()
            self._forget(record.raw)

    async def _open(self, raw: ByteStream) -> Serving:
        """Do what comes before the first request: the handshake, and finding out what the client speaks."""
        options, context = self.options, self._context
        deadline = self.backend.now() + options.connection_setup_timeout
        stream = raw
        if options.context is not None:
            stream = await wrap_tls(
                raw,
                options.context,
                server_side=True,
                server_hostname=None,
                guard=self.backend.create_guard(),
                deadline=deadline,
            )
        if self._connection_handler is not None:
            return PassedOn(context, stream, self._connection_handler)
        try:
            choice = await choose_version(stream, options.version, deadline)
            if not choice.is_h2:
                refusal = RemoteProtocolError("only HTTP/2 is spoken here", 505) if options.version == 2 else None
                return H1Serving(context, stream, choice.received, deadline, refusal)
            refused = _why_not_h2(stream, options)
            if choice.received:
                stream = PrefixedStream(stream, choice.received)
            connection = H2Connection(stream, self.backend, "server", options.h2_limits)
            return H2Serving(context, connection, deadline, refused)
        except BaseException:
            stream.close()
            raise

    def _forget(self, raw: ByteStream) -> None:
        with self._guard:
            self._connections.pop(raw, None)
            waiter, self._room_waiter = self._room_waiter, None
        if waiter is not None:
            waiter.wake()

    # -- closing -------------------------------------------------------------------------------------------------------

    async def close(self, deadline: float) -> None:
        """Stop listening, close idle connections, let the others finish what is in flight, and cut them at `deadline`.

        The connection whose handler calls it is not waited for.
        """
        with self._guard:
            self._context.closing = True
            records = list(self._connections.values())
            waiter, self._room_waiter = self._room_waiter, None
        if waiter is not None:
            waiter.wake()
        if self._listener is not None:
            self._listener.close()
        # All are told before the first is closed: who sees that one closed may take it for a sign.
        for record in [record for record in records if record.end_soon()]:
            record.close()
        if not await self._join(deadline):
            with self._guard:
                records = list(self._connections.values())
            for record in records:
                if record.is_current is not True:
                    record.cut()
            # They see it at their next wait; a handler that never waits for its client is left behind.
            await self._join(self.backend.now() + _CUT_TIME)

    async def _join(self, deadline: float) -> bool:
        """Wait until no connection is left; False at the deadline."""
        while True:
            with self._guard:
                records = list(self._connections.values())
            remaining = [(record.task, record.is_current) for record in records]
            if all(is_current for _, is_current in remaining):
                return True
            for task, is_current in remaining:
                if is_current is False and task is not None and not await task.join(deadline):
                    return False
            if self.backend.now() >= deadline:
                return False
            if any(is_current is None for _, is_current in remaining):
                # Just being started, by another thread.
                await self.backend.sleep_until(self.backend.now() + 0.001)


def _why_not_h2(stream: ByteStream, options: ServerOptions) -> H2Error | None:
    """Why a connection on which HTTP/2 was chosen is refused, None when it is served."""
    if options.version in (1.0, 1.1):
        # The context agreed on what it was set to by somebody else in the meantime.
        return H2Error.new(H2ErrorCode.HTTP_1_1_REQUIRED, "only HTTP/1.1 is spoken here")
    session = stream.ssl_object
    if session is not None:
        try:
            check_security(session)
        except H2Error as error:
            return error
    return None
