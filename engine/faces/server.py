"""The blocking server: a thread for each connection, and in HTTP/2 one for each request that is being served."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from ..backends.base import FOREVER, Address, ByteStream
from ..backends.blocking import BlockingBackend, run
from ..connection.server_core import ServerCore
from ..connection.server_options import ServerOptions
from ..connection.server_serving import ServerStream
from ..errors import UsageError
from .stream import make_stream_face

__all__ = [
    "ConnectionServer",
    "OnError",
    "Server",
    "ServerHandler",
    "check_handlers",
    "is_async_handler",
    "log_error",
    "report_error",
]

ServerHandler = Callable[["Server", Any], Awaitable[None] | None]
ConnectionServer = Callable[["Server", ByteStream], Awaitable[None] | None]
OnError = Callable[[Any, BaseException, str], None]

_logger = logging.getLogger("drivetrain.server")


def log_error(server: Any, error: BaseException, context: str) -> None:
    """The default error handler: logs to "drivetrain.server"."""
    _logger.error("%s: error while %s", type(server).__name__, context, exc_info=error)


def report_error(server: Any, handler: OnError, error: BaseException, context: str) -> None:
    """Call an error handler. Its own errors end in the log: a server does not stop for them."""
    try:
        handler(server, error, context)
    except Exception as fault:  # noqa: BLE001 - whatever a handler raises
        log_error(server, fault, f"reporting an error while {context}")


def is_async_handler(handler: Any) -> bool:
    """Whether calling `handler` gives a coroutine: an `async def`, a partial of one, an object with an async `__call__`."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004


def check_handlers(on_stream: Any, on_connection: Any) -> None:
    """Refuse a server that would serve nothing, or everything twice, with `UsageError`."""
    if (on_stream is None) == (on_connection is None):
        raise UsageError("a server has either on_stream or on_connection")


class Server:
    """An HTTP server of threads, for HTTP/1 and HTTP/2 (lua-http's `http.server`).

    A context manager: entering it starts the accept loop in a thread, leaving it closes the server.

    Args:
        on_stream: called as `on_stream(server, stream)` for every request: in HTTP/1 one after the other in the connection's
            thread, in HTTP/2 each in a thread of its own. A plain function gets a blocking `Stream`; an `async def` gets an
            `H1ServerStream` or `H2ServerStream` and may await nothing but the engine.
        on_connection: instead of `on_stream`, called as `on_connection(server, stream)` with the `ByteStream` of every
            connection, after the TLS handshake where there is one: no HTTP is spoken on it by the server. A plain function
            or an `async def`, in the connection's thread. The connection ends with the call.
        onerror: called as `onerror(server, error, context)` for errors of handlers and of requests that could not be
            parsed, from any thread; by default they are logged.
        options: see `ServerOptions`.

    Raises:
        ConnectError: on `listen`, `start` and `loop`, when the address cannot be had.
    """

    def __init__(
        self,
        on_stream: ServerHandler | None,
        onerror: OnError = log_error,
        *,
        on_connection: ConnectionServer | None = None,
        **options: Any,
    ) -> None:
        check_handlers(on_stream, on_connection)
        self._on_stream = on_stream
        self._on_connection = on_connection
        self._onerror = onerror
        passing = None if on_connection is None else self._pass_on
        self._core = ServerCore(BlockingBackend(), ServerOptions(**options), self._handle, self._report, passing)
        self._is_async = is_async_handler(on_stream)
        self._thread: threading.Thread | None = None

    async def _handle(self, stream: ServerStream) -> None:
        assert self._on_stream is not None
        result = self._on_stream(self, stream if self._is_async else make_stream_face(stream, run))
        if inspect.isawaitable(result):
            await result

    async def _pass_on(self, stream: ByteStream) -> None:
        assert self._on_connection is not None
        result = self._on_connection(self, stream)
        if inspect.isawaitable(result):
            await result

    def _report(self, _: Any, error: BaseException, context: str) -> None:
        report_error(self, self._onerror, error, context)

    def onerror(self, *handler: OnError) -> OnError:
        """Return the error handler; with an argument, replace it."""
        old = self._onerror
        if handler:
            (self._onerror,) = handler
        return old

    def listen(self) -> Address:
        """Bind and listen; returns the address. Idempotent."""
        return self._core.listen().address

    def localname(self) -> Address:
        """Where the server listens, with the port the system chose. Listens if it did not yet."""
        return self._core.listen().address

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._core.connections

    def loop(self, timeout: float | None = None) -> None:
        """Accept connections for `timeout` seconds, or until another thread closes the server."""
        run(self._core.accept_loop(FOREVER if timeout is None else self._core.backend.now() + timeout))

    def start(self) -> None:
        """Listen, and run `loop` in a thread of its own."""
        self.listen()
        if self._thread is None:
            self._thread = threading.Thread(target=self.loop, name="drivetrain server", daemon=True)
            self._thread.start()

    def stop_listening(self) -> None:
        """Accept no more, for `loop` to return; connections that are open are served on. From any thread. Idempotent."""
        self._core.stop_listening()

    def close(self, timeout: float | None = 10.0) -> None:
        """Stop accepting, close idle connections and wait until the others have finished their exchange.

        Args:
            timeout: seconds after which they are cut; None to wait for as long as it takes. Idempotent.
        """
        run(self._core.close(FOREVER if timeout is None else self._core.backend.now() + timeout))
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
