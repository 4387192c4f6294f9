"""The asyncio server: a task for each connection, and in HTTP/2 one for each request that is being served."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, cast

from ..backends.asyncio_ import AsyncioBackend
from ..backends.asyncio_.bridge import LoopDriver
from ..backends.base import FOREVER, Address, ByteStream, TaskHandle
from ..connection.server_core import ServerCore
from ..connection.server_options import ServerOptions
from ..connection.server_serving import ServerStream
from ..errors import UsageError
from .server import OnError, check_handlers, is_async_handler, log_error, report_error
from .stream import make_stream_face

__all__ = ["AsyncConnectionServer", "AsyncServer", "AsyncServerHandler"]

AsyncServerHandler = Callable[["AsyncServer", Any], Awaitable[None] | None]
AsyncConnectionServer = Callable[["AsyncServer", ByteStream], Awaitable[None]]


class AsyncServer:
    """An HTTP server of tasks, for HTTP/1 and HTTP/2 (lua-http's `http.server`).

    An async context manager: entering it starts the accept loop as a task, leaving it closes the server. It belongs to one
    event loop.

    Args:
        on_stream: called as `on_stream(server, stream)` for every request, in HTTP/2 for those of one connection at the same
            time. An `async def` gets an `H1ServerStream` or `H2ServerStream`; a plain function runs in a worker thread with a
            blocking `Stream`.
        on_connection: instead of `on_stream`, an `async def`, called as `on_connection(server, stream)` with the `ByteStream`
            of every connection, after the TLS handshake where there is one: no HTTP is spoken on it by the server. The
            connection ends with the call.
        onerror: called as `onerror(server, error, context)` for errors of handlers and of requests that could not be
            parsed; by default they are logged.
        options: see `ServerOptions`.

    Raises:
        ConnectError: on `listen`, `start` and `loop`, when the address cannot be had.
    """

    def __init__(
        self,
        on_stream: AsyncServerHandler | None,
        onerror: OnError = log_error,
        *,
        on_connection: AsyncConnectionServer | None = None,
        **options: Any,
    ) -> None:
        check_handlers(on_stream, on_connection)
        if on_connection is not None and not is_async_handler(on_connection):
            raise UsageError("on_connection is an async def")
        self._on_stream = on_stream
        self._on_connection = on_connection
        self._onerror = onerror
        passing = None if on_connection is None else self._pass_on
        self._core = ServerCore(AsyncioBackend(), ServerOptions(**options), self._handle, self._report, passing)
        self._is_async = is_async_handler(on_stream)
        self._task: TaskHandle | None = None

    async def _pass_on(self, stream: ByteStream) -> None:
        assert self._on_connection is not None
        await self._on_connection(self, stream)

    async def _handle(self, stream: ServerStream) -> None:
        on_stream = self._on_stream
        assert on_stream is not None
        if self._is_async:
            await cast("Awaitable[None]", on_stream(self, stream))
        else:
            face = make_stream_face(stream, LoopDriver())
            # A thread of its own: those of the loop's executor are few, and a slow handler may not hold up the others.
            await self._core.backend.run_blocking(lambda: on_stream(self, face), FOREVER)

    def _report(self, _: Any, error: BaseException, context: str) -> None:
        report_error(self, self._onerror, error, context)

    def onerror(self, *handler: OnError) -> OnError:
        """Return the error handler; with an argument, replace it."""
        old = self._onerror
        if handler:
            (self._onerror,) = handler
        return old

    async def listen(self) -> Address:
        """Bind and listen; returns the address. Idempotent."""
        return self._core.listen().address

    def localname(self) -> Address:
        """Where the server listens, with the port the system chose. Listens if it did not yet."""
        return self._core.listen().address

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._core.connections

    async def loop(self, timeout: float | None = None) -> None:
        """Accept connections for `timeout` seconds, or until the server is closed."""
        await self._core.accept_loop(FOREVER if timeout is None else self._core.backend.now() + timeout)

    async def start(self) -> None:
        """Listen, and run `loop` in a task of its own."""
        self._core.listen()
        if self._task is None:
            self._task = self._core.backend.spawn(self.loop(), "drivetrain server")

    def stop_listening(self) -> None:
        """Accept no more, for `loop` to return; connections that are open are served on. Idempotent."""
        self._core.stop_listening()

    async def close(self, timeout: float | None = 10.0) -> None:
        """Stop accepting, close idle connections and wait until the others have finished their exchange.

        Args:
            timeout: seconds after which they are cut; None to wait for as long as it takes. Idempotent.
        """
        deadline = FOREVER if timeout is None else self._core.backend.now() + timeout
        await self._core.close(deadline)
        if self._task is not None:
            await self._task.join(deadline)

    async def __aenter__(self) -> AsyncServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
