"""The asyncio server of the `websockets` API: `serve`, `Server`, `ServerConnection`.

Laws:

- connections are the engine's servers', one for each socket listened on; each is served by the engine's task for it, in which
  the program's handler runs, too;
- every connection ends with its handler: in order when that returns, with code 1011 when it raises;
- a closed server has no task of its own left.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import socket
from collections.abc import Awaitable, Callable, Generator, Sequence
from types import TracebackType
from typing import Any

from drivetrain.compat.websockets_api.asyncio import connection as connection_module
from drivetrain.compat.websockets_api.asyncio import server_connection
from drivetrain.compat.websockets_api.asyncio.server_connection import ProcessRequest, ProcessResponse
from drivetrain.compat.websockets_api.asyncio.time_limit import TimeLimit
from drivetrain.compat.websockets_api.frames import CloseCode
from drivetrain.compat.websockets_api.http11 import SERVER, Request, Response
from drivetrain.compat.websockets_api.listening import Listening, create_server, create_unix_server
from drivetrain.compat.websockets_api.protocol import State
from drivetrain.compat.websockets_api.server_auth import BasicGate, Credentials
from drivetrain.compat.websockets_api.serving import Answering, Opening, ServeSettings, Terms
from drivetrain.compat.websockets_api.settings import MaxQueue, MaxSize, WriteLimit
from drivetrain.compat.websockets_api.typing import LoggerLike, Origin, PathLike, Subprotocol
from drivetrain.compat.websockets_api.utils import get_socket_name
from drivetrain.engine import AsyncioBackend, AsyncServer, ByteStream

__all__ = ["Server", "ServerConnection", "basic_auth", "broadcast", "serve", "unix_serve"]

ServerConnection = server_connection.ServerConnection
broadcast = connection_module.broadcast

_Handler = Callable[[ServerConnection], Awaitable[None]]

_BACKEND = AsyncioBackend()
_SETUP_TIMEOUT = 60.0  # seconds for a TLS handshake when nothing was said: asyncio's


class Server:
    """A server, as `serve` returns it: await it, or use it as an async context manager, to have it listen.

    Leaving the context closes it, and waits for that.

    Args:
        handler: what handles connections.
        settings: what to say in handshakes.
        listen: binds the sockets.
        logger: for the server itself; None for "websockets.server".

    Attributes:
        handler, settings, logger: see above.
        all_connections: those that are open or were, as long as their handlers run.
    """

    def __init__(
        self,
        handler: _Handler,
        settings: ServeSettings,
        listen: Callable[[], Awaitable[Listening]],
        logger: LoggerLike | None = None,
    ) -> None:
        self.handler = handler
        self.settings = settings
        self.logger: LoggerLike = logging.getLogger("websockets.server") if logger is None else logger
        self.all_connections: set[ServerConnection] = set()
        self.close_task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._listen = listen
        self._listening: Listening | None = None
        self._engines: list[AsyncServer] = []
        self._is_serving = self._is_closed = False
        self._goodbye: tuple[int, str] | None = None  # what those are told who are open while it closes
        self._handlers_done: asyncio.Future[None] = self._loop.create_future()

    @property
    def connections(self) -> set[ServerConnection]:
        """Those that are open now: what `broadcast` wants."""
        return {connection for connection in self.all_connections if connection.state is State.OPEN}

    # -- one connection ------------------------------------------------------------------------------------------------

    async def _serve(self, _: AsyncServer, stream: ByteStream) -> None:
        settings = self.settings
        opening = Opening(stream, _BACKEND, None)
        protocol = settings.new_protocol(opening)
        connection: ServerConnection = settings.create_connection(protocol, self, **settings.connection)
        del opening  # most of what it holds is of no use any more once the WebSocket is open
        try:
            async with TimeLimit(settings.open_timeout):
                await connection.handshake(*settings.answering)
        except TimeoutError:
            connection.transport.abort()
            return
        except Exception:
            connection.logger.exception("unexpected internal error")
            return
        if connection.state is State.OPEN:
            await self._handle(connection)

    async def _handle(self, connection: ServerConnection) -> None:
        self.all_connections.add(connection)
        try:
            async with connection:
                if self._goodbye is not None:
                    await self._dismiss(connection, *self._goodbye)  # it came after the others were closed
                await self.handler(connection)
        except Exception:
            connection.logger.exception("connection handler failed")
        finally:
            self.all_connections.discard(connection)

    async def _dismiss(self, connection: ServerConnection, code: int, reason: str) -> None:
        """Close a connection because the server closes, which must not depend on what it was told to say."""
        try:
            await connection.close(code, reason)
        except Exception:
            connection.logger.exception("closing a connection failed")
            connection.transport.abort()

    def _report(self, _: Any, error: BaseException, context: str) -> None:
        self.logger.error("error while %s", context, exc_info=error)

    # -- the server's life ---------------------------------------------------------------------------------------------

    async def _start(self) -> Server:
        if self._listening is None:
            self._listening = listening = await self._listen()
            try:
                self._engines = [self._new_engine(listening, sock) for sock in listening.sockets]
                for engine in self._engines:
                    await engine.listen()
                if listening.start_serving:
                    await self.start_serving()
            except BaseException:
                for engine in self._engines:
                    await engine.close()
                listening.close()
                self._is_serving, self._is_closed = False, True
                raise
            if listening.start_serving:
                for sock in self.sockets:
                    self.logger.info("server listening on %s", get_socket_name(sock))
        return self

    def _new_engine(self, listening: Listening, sock: socket.socket) -> AsyncServer:
        timeout = _SETUP_TIMEOUT if listening.setup_timeout is None else listening.setup_timeout
        return AsyncServer(
            None,
            self._report,
            on_connection=self._serve,
            socket=sock,
            context=listening.ssl,
            connection_setup_timeout=timeout,
        )

    def __await__(self) -> Generator[Any, None, Server]:
        return self._start().__await__()

    async def __aenter__(self) -> Server:
        return await self._start()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        await self.wait_closed()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that it belongs to."""
        return self._loop

    def is_serving(self) -> bool:
        """Whether it accepts connections."""
        return self._is_serving

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """Those it listens on; none when it was closed."""
        return () if self._listening is None or self._is_closed else tuple(self._listening.sockets)

    async def start_serving(self) -> None:
        """Begin to accept connections, if it did not from the beginning (`start_serving=False`). Idempotent.

        Raises:
            RuntimeError: it was closed.
        """
        if self._is_closed or self._listening is None:
            raise RuntimeError(f"server {self!r} is closed")
        if not self._is_serving:
            self._is_serving = True
            for sock in self._listening.sockets:
                sock.listen(self._listening.backlog)
            for engine in self._engines:
                await engine.start()

    async def serve_forever(self) -> None:
        """Serve until the server is closed, or this is cancelled, which closes it."""
        try:
            if not self._is_serving:
                await self.start_serving()
            await self.wait_closed()
        except asyncio.CancelledError:
            self.close()
            await self.wait_closed()
            raise

    def close(
        self, close_connections: bool = True, code: CloseCode | int = CloseCode.GOING_AWAY, reason: str = ""
    ) -> None:
        """Begin to close the server; `wait_closed` waits for the end of it. Idempotent.

        No more connections are accepted, those in the middle of their handshakes are refused with status 503, and the handlers
        are waited for.

        Args:
            close_connections: whether to close those that are open. Otherwise they last as long as their handlers want.
            code, reason: what those are told.
        """
        if self.close_task is None:
            self.close_task = self._loop.create_task(self._close(close_connections, code, reason))

    async def _close(self, close_connections: bool, code: CloseCode | int, reason: str) -> None:
        self.logger.info("server closing")
        self._is_serving, self._is_closed = False, True
        for engine in self._engines:
            engine.stop_listening()
        if close_connections:
            self._goodbye = (code, reason)
            closing = [asyncio.ensure_future(self._dismiss(each, code, reason)) for each in self.connections]
            if closing:
                await asyncio.wait(closing)
        for engine in self._engines:
            await engine.close(None)
        if self._listening is not None:
            self._listening.remove_paths()
        if not self._handlers_done.done():
            self._handlers_done.set_result(None)
        self.logger.info("server closed")

    async def wait_closed(self) -> None:
        """Wait until the server is closed: no connection is left, and no handler runs any more."""
        await asyncio.shield(self._handlers_done)


def serve(
    handler: _Handler,
    host: str | Sequence[str] | None = None,
    port: int | None = None,
    *,
    origins: Sequence[Origin | re.Pattern[str] | None] | None = None,
    extensions: Sequence[Any] | None = None,
    subprotocols: Sequence[Subprotocol] | None = None,
    select_subprotocol: Callable[[ServerConnection, Sequence[Subprotocol]], Subprotocol | None] | None = None,
    compression: str | None = "deflate",
    process_request: ProcessRequest | None = None,
    process_response: ProcessResponse | None = None,
    server_header: str | None = SERVER,
    open_timeout: float | None = 10,
    ping_interval: float | None = 20,
    ping_timeout: float | None = 20,
    close_timeout: float | None = 10,
    max_size: MaxSize = 2**20,
    max_queue: MaxQueue = 16,
    write_limit: WriteLimit = 2**15,
    logger: LoggerLike | None = None,
    create_connection: Callable[..., ServerConnection] | None = None,
    **kwargs: Any,
) -> Server:
    """Serve WebSockets: to be awaited, or used as an async context manager.

    For what is not listed here see `serving`: `Terms`, `Answering`, `ServeSettings`.

    Args:
        handler: called with every connection that is open, in a task of its own. The connection is closed when it returns.
        host, port: where to listen; several hosts in a sequence, None or "" for all interfaces.
        kwargs: as for asyncio's `create_server`: ssl, sock, family, reuse_port, backlog, start_serving and so on.

    Raises:
        OSError: when it is awaited: the address cannot be had.
        TypeError, ValueError: these cannot be served.
    """
    terms = Terms(origins, extensions, subprotocols, select_subprotocol, compression)
    answering = Answering(process_request, process_response, server_header)
    settings = ServeSettings(terms, answering, open_timeout, max_size, logger, create_connection or ServerConnection)
    settings.connection.update(ping_interval=ping_interval, ping_timeout=ping_timeout, close_timeout=close_timeout)
    settings.connection.update(max_queue=max_queue, write_limit=write_limit)
    if kwargs.get("ssl") is not None:
        kwargs.setdefault("ssl_handshake_timeout", open_timeout)

    def listen() -> Awaitable[Listening]:
        if kwargs.pop("unix", False):
            return create_unix_server(**kwargs)
        return create_server(host, port, **kwargs)

    return Server(handler, settings, listen, logger)


def unix_serve(handler: _Handler, path: PathLike | None = None, **kwargs: Any) -> Server:
    """Serve WebSockets on a UNIX-domain socket.

    Args:
        handler: see `serve`.
        path: where to listen. What another server has left there is removed.
        kwargs: as for `serve`.
    """
    return serve(handler, unix=True, path=path, **kwargs)


def basic_auth(
    realm: str = "",
    credentials: Credentials | None = None,
    check_credentials: Callable[[str, str], Awaitable[bool] | bool] | None = None,
) -> Callable[[ServerConnection, Request], Awaitable[Response | None]]:
    """Make a `process_request` that lets in who has the right credentials, as `connection.username`. See `BasicGate`.

    Args:
        realm: what they are for.
        credentials: a name with its password, or several such pairs.
        check_credentials: instead of them, called or awaited with a name and a password.
    """
    gate = BasicGate(realm, credentials, check_credentials)

    async def process_request(connection: ServerConnection, request: Request) -> Response | None:
        found = gate.read(connection, request)
        if not isinstance(found, tuple):
            return found
        is_right = gate.check(*found)
        if inspect.isawaitable(is_right):
            is_right = await is_right
        if not is_right:
            return gate.refuse(connection)
        connection.username = found[0]
        return None

    return process_request
