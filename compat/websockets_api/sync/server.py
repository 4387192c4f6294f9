"""The server for threads of the `websockets` API: `serve`, `Server`, `ServerConnection`.

Laws:

- connections are the engine's server's; each is served in the engine's thread for it, in which the program's handler runs, too;
- every connection ends with its handler: in order when that returns, with code 1011 when it raises;
- `Server.shutdown` returns when no handler runs any more.
"""

from __future__ import annotations

import logging
import math
import os
import re
import socket
import ssl as ssl_module
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, cast

from drivetrain.compat.websockets_api.frames import CloseCode
from drivetrain.compat.websockets_api.http11 import SERVER, Request, Response
from drivetrain.compat.websockets_api.protocol import State
from drivetrain.compat.websockets_api.server_auth import BasicGate, Credentials
from drivetrain.compat.websockets_api.serving import Answering, Opening, ServeSettings, Terms
from drivetrain.compat.websockets_api.settings import MaxQueue, MaxSize
from drivetrain.compat.websockets_api.sync import connection as connection_module
from drivetrain.compat.websockets_api.sync import server_connection
from drivetrain.compat.websockets_api.sync.server_connection import ProcessRequest, ProcessResponse
from drivetrain.compat.websockets_api.sync.socket_view import SocketView
from drivetrain.compat.websockets_api.typing import LoggerLike, Origin, PathLike, Subprotocol
from drivetrain.compat.websockets_api.utils import get_socket_name
from drivetrain.engine import BlockingBackend, ByteStream
from drivetrain.engine import Server as EngineServer
from drivetrain.engine.errors import ClosedError

__all__ = ["Server", "ServerConnection", "basic_auth", "broadcast", "serve", "unix_serve"]

ServerConnection = server_connection.ServerConnection
broadcast = connection_module.broadcast

_Handler = Callable[[ServerConnection], None]

_BACKEND = BlockingBackend()
_CLOSERS = 100  # so many connections are waited for at a time when a server is closed


class Server:
    """A server, as `serve` returns it: a context manager, which shuts it down.

    Args:
        sock: listens.
        handler: what handles connections.
        settings: what to say in handshakes.
        ssl: for TLS, None for none.

    Attributes:
        socket, handler, settings: see above.
        logger: for the server itself.
        all_connections: those that are open or were, as long as their handlers run.
        lock: held by whoever touches `all_connections`.
    """

    def __init__(
        self,
        sock: socket.socket,
        handler: _Handler,
        settings: ServeSettings,
        ssl: ssl_module.SSLContext | None = None,
    ) -> None:
        self.socket = sock
        self.handler = handler
        self.settings = settings
        self.logger: LoggerLike = settings.logger or logging.getLogger("websockets.server")
        self.lock = threading.Lock()
        self.all_connections: set[ServerConnection] = set()
        self.is_closing = False
        self._goodbye: tuple[int, str] | None = None
        self._accepting: int | None = None  # the thread that is in `serve_forever`
        self._asked: tuple[bool, int, str] | None = None  # how that is to shut the server down
        timeout = settings.open_timeout
        self._engine = EngineServer(
            None,
            self._report,
            on_connection=self._serve,
            socket=sock,
            context=ssl,
            connection_setup_timeout=math.inf if timeout is None else timeout,
        )
        self._engine.listen()

    @property
    def connections(self) -> set[ServerConnection]:
        """Those that are open now: what `broadcast` wants."""
        with self.lock:
            return {connection for connection in self.all_connections if connection.state is State.OPEN}

    # -- one connection ------------------------------------------------------------------------------------------------

    def _serve(self, _: EngineServer, stream: ByteStream) -> None:
        settings = self.settings
        opening = Opening(stream, _BACKEND, settings.open_timeout)
        view = SocketView(cast("Any", opening.core))
        protocol = settings.new_protocol(opening)
        connection: ServerConnection = settings.create_connection(view, protocol, self, **settings.connection)
        del opening, protocol, view  # most of it is of no use any more once the WebSocket is open
        try:
            connection.handshake(*settings.answering)
        except TimeoutError:
            return
        except Exception:
            connection.logger.exception("unexpected internal error")
            return
        if connection.protocol.core is not None:
            self._handle(connection)

    def _handle(self, connection: ServerConnection) -> None:
        with self.lock:
            self.all_connections.add(connection)
            goodbye = self._goodbye
        try:
            with connection:
                if goodbye is not None:
                    self._dismiss(connection, *goodbye)  # it came after the others were closed
                self.handler(connection)
        except Exception:
            connection.logger.exception("connection handler failed")
        finally:
            with self.lock:
                self.all_connections.discard(connection)
            connection.tell_closed()

    def _dismiss(self, connection: ServerConnection, code: int, reason: str) -> None:
        """Close a connection because the server closes, which must not depend on what it was told to say."""
        try:
            connection.close(code, reason)
        except Exception:
            connection.logger.exception("closing a connection failed")
            connection.close_socket()

    def _report(self, _: Any, error: BaseException, context: str) -> None:
        self.logger.error("error while %s", context, exc_info=error)

    # -- the server's life ---------------------------------------------------------------------------------------------

    def serve_forever(self) -> None:
        """Accept connections until another thread calls `shutdown`."""
        try:
            name = get_socket_name(self.socket)
        except OSError:
            return  # shut down already
        self.logger.info("server listening on %s", name)
        self._accepting = threading.get_ident()
        try:
            self._engine.loop()
        except ClosedError:
            return
        finally:
            self._accepting = None
        if self._asked is not None:
            self._shut_down(*self._asked)

    def shutdown(
        self, close_connections: bool = True, code: CloseCode | int = CloseCode.GOING_AWAY, reason: str = ""
    ) -> None:
        """Close the server, from another thread than those of its handlers; they are waited for. Idempotent.

        No more connections are accepted, and those in the middle of their handshakes are refused with status 503. Called on
        top of `serve_forever`, by a signal handler, it returns at once, and that waits.

        Args:
            close_connections: whether to close those that are open. Otherwise they last as long as their handlers want.
            code, reason: what those are told.
        """
        if self._accepting == threading.get_ident():
            # What is below goes on only after we have returned; it may hold a lock, or be about to start a thread.
            self._asked = (close_connections, int(code), reason)
            self.is_closing = True
            self._engine.stop_listening()
        else:
            self._shut_down(close_connections, int(code), reason)

    def _shut_down(self, close_connections: bool, code: int, reason: str) -> None:
        self.logger.info("server closing")
        with self.lock:
            self.is_closing = True
            if close_connections:
                self._goodbye = (code, reason)
        self._engine.stop_listening()
        if close_connections:
            connections = self.connections
            if connections:
                with ThreadPoolExecutor(min(len(connections), _CLOSERS)) as executor:
                    for connection in connections:
                        executor.submit(self._dismiss, connection, code, reason)
        self._engine.close(None)
        self.logger.info("server closed")

    def fileno(self) -> int:
        """The descriptor that listens, -1 when the server was shut down."""
        return self.socket.fileno()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()


def __getattr__(name: str) -> Any:
    if name == "WebSocketServer":
        warnings.warn("WebSocketServer was renamed to Server", DeprecationWarning, stacklevel=2)
        return Server
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def serve(
    handler: _Handler,
    host: str | None = None,
    port: int | None = None,
    *,
    sock: socket.socket | None = None,
    ssl: ssl_module.SSLContext | None = None,
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
    logger: LoggerLike | None = None,
    create_connection: Callable[..., ServerConnection] | None = None,
    **kwargs: Any,
) -> Server:
    """Serve WebSockets, by `serve_forever` of what this returns. It listens already.

    For what is not listed here see `serving`: `Terms`, `Answering`, `ServeSettings`.

    Args:
        handler: called with every connection that is open, in a thread of its own. The connection is closed when it returns.
        host, port: where to listen.
        sock: listens instead.
        ssl: for TLS.
        kwargs: as for `socket.create_server`: family, backlog, reuse_port, dualstack_ipv6.

    Raises:
        OSError: the address cannot be had.
        TypeError, ValueError: these cannot be served.
    """
    if ssl is None and "ssl_context" in kwargs:
        ssl = kwargs.pop("ssl_context")
        warnings.warn("ssl_context was renamed to ssl", DeprecationWarning, stacklevel=2)
    terms = Terms(origins, extensions, subprotocols, select_subprotocol, compression)
    answering = Answering(process_request, process_response, server_header)
    settings = ServeSettings(terms, answering, open_timeout, max_size, logger, create_connection or ServerConnection)
    settings.connection.update(ping_interval=ping_interval, ping_timeout=ping_timeout, close_timeout=close_timeout)
    settings.connection.update(max_queue=max_queue)
    listening = _listen(host, port, sock, kwargs)
    try:
        return Server(listening, handler, settings, ssl)
    except BaseException:
        if listening is not sock:
            listening.close()
        raise


def _listen(host: Any, port: Any, sock: socket.socket | None, kwargs: dict[str, Any]) -> socket.socket:
    unix, path = kwargs.pop("unix", False), kwargs.pop("path", None)
    if sock is not None:
        for name, value in (("host", host), ("port", port), ("path", path)):
            if value is not None:
                raise ValueError(f"{name} is incompatible with sock")
        return sock
    if not unix:
        return socket.create_server((host, port), **kwargs)
    if path is None:
        raise ValueError("missing path argument")
    kwargs.setdefault("family", socket.AF_UNIX)
    return socket.create_server(os.fspath(path), **kwargs)


def unix_serve(handler: _Handler, path: PathLike | None = None, **kwargs: Any) -> Server:
    """Serve WebSockets on a UNIX-domain socket.

    Args:
        handler: see `serve`.
        path: where to listen; nothing may be there yet.
        kwargs: as for `serve`.
    """
    return serve(handler, unix=True, path=path, **kwargs)


def basic_auth(
    realm: str = "",
    credentials: Credentials | None = None,
    check_credentials: Callable[[str, str], bool] | None = None,
) -> Callable[[ServerConnection, Request], Response | None]:
    """Make a `process_request` that lets in who has the right credentials, as `connection.username`. See `BasicGate`.

    Args:
        realm: what they are for.
        credentials: a name with its password, or several such pairs.
        check_credentials: instead of them, called with a name and a password.
    """
    gate = BasicGate(realm, credentials, check_credentials)

    def process_request(connection: ServerConnection, request: Request) -> Response | None:
        found = gate.read(connection, request)
        if not isinstance(found, tuple):
            return found
        if not gate.check(*found):
            return gate.refuse(connection)
        connection.username = found[0]
        return None

    return process_request
