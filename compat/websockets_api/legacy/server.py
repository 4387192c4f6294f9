"""The deprecated server for asyncio: `serve`, whose handlers may take the path as a second argument.

As `asyncio.server.serve`, but: `process_request` gets the path and the fields of the request, and returns a status, fields and a
body; `extra_headers` go into the response; and without a subprotocol that both sides speak the connection is opened all the
same.
"""

from __future__ import annotations

import email.utils
import http
import inspect
import warnings
from collections.abc import Awaitable, Callable, Generator, Sequence
from types import TracebackType
from typing import Any

from drivetrain.compat.websockets_api.asyncio import server
from drivetrain.compat.websockets_api.datastructures import Headers, HeadersLike
from drivetrain.compat.websockets_api.exceptions import InvalidHandshake
from drivetrain.compat.websockets_api.http11 import SERVER, Request, Response
from drivetrain.compat.websockets_api.legacy import protocol
from drivetrain.compat.websockets_api.legacy.exceptions import AbortHandshake
from drivetrain.compat.websockets_api.legacy.protocol import WebSocketCommonProtocol, close_timeout_of, old_arguments
from drivetrain.compat.websockets_api.listening import Listening, create_server, create_unix_server
from drivetrain.compat.websockets_api.negotiation import ServerProtocolView
from drivetrain.compat.websockets_api.serving import Answering, ServeSettings, Terms
from drivetrain.compat.websockets_api.typing import LoggerLike, Origin, StatusLike, Subprotocol

__all__ = [
    "HTTPResponse",
    "HeadersLikeOrCallable",
    "Serve",
    "WebSocketServer",
    "WebSocketServerProtocol",
    "broadcast",
    "remove_path_argument",
    "serve",
    "unix_serve",
]

HeadersLikeOrCallable = HeadersLike | Callable[[str, Headers], HeadersLike]
"""Fields, or what makes them of the path and the fields of the request."""

HTTPResponse = tuple[StatusLike, HeadersLike, bytes]
"""Status, fields and body of an answer."""

broadcast = protocol.broadcast

_Handler = Callable[..., Awaitable[Any]]


class WebSocketServerProtocol(WebSocketCommonProtocol, server.ServerConnection):
    """A server's connection. `process_request` and `select_subprotocol` may be overridden.

    Args:
        ws_handler: what is to handle it.
        ws_server: whose connection it is.
        origins, server_header, open_timeout: as for `asyncio.server.serve`.
        extra_headers: further fields of the response, or what makes them of the path and the fields of the request.
        process_request, select_subprotocol: called instead of what these methods do.
        logger, extensions, subprotocols: see `WebSocketCommonProtocol`.
        kwargs: as for `WebSocketCommonProtocol`.
    """

    is_client = False
    side = "server"

    def __init__(
        self,
        ws_handler: _Handler,
        ws_server: WebSocketServer,
        *,
        logger: LoggerLike | None = None,
        origins: Sequence[Origin | None] | None = None,
        extensions: Sequence[Any] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        extra_headers: HeadersLikeOrCallable | None = None,
        server_header: str | None = SERVER,
        process_request: Callable[[str, Headers], Awaitable[HTTPResponse | None]] | None = None,
        select_subprotocol: Callable[[Sequence[Subprotocol], Sequence[Subprotocol]], Subprotocol] | None = None,
        open_timeout: float | None = 10,
        **kwargs: Any,
    ) -> None:
        super().__init__(logger=logger, extensions=extensions, subprotocols=subprotocols, **kwargs)
        self.ws_handler = remove_path_argument(ws_handler)
        self.ws_server = self.server = ws_server
        self.origins = origins
        self.extra_headers = extra_headers
        self.server_header = server_header
        self.open_timeout = open_timeout
        self._process_request = process_request
        self._select_subprotocol = select_subprotocol

    async def process_request(self, path: str, request_headers: Headers) -> HTTPResponse | None:
        """Answer the request, or do not.

        Args:
            path: with the query.
            request_headers: fields of the request.

        Returns:
            Status, fields and body of the answer; None to open the WebSocket.
        """
        if self._process_request is None:
            return None
        answer: Any = self._process_request(path, request_headers)
        if inspect.isawaitable(answer):
            answer = await answer
        else:
            warnings.warn("declare process_request as a coroutine", DeprecationWarning, stacklevel=1)
        found: HTTPResponse | None = answer
        return found

    def select_subprotocol(
        self, client_subprotocols: Sequence[Subprotocol], server_subprotocols: Sequence[Subprotocol]
    ) -> Subprotocol | None:
        """Choose one that both sides speak: by default the one that stands highest in both lists together.

        Returns:
            None where there is none.
        """
        if self._select_subprotocol is not None:
            return self._select_subprotocol(client_subprotocols, server_subprotocols)
        common = [name for name in client_subprotocols if name in server_subprotocols]
        ranks = {name: client_subprotocols.index(name) + server_subprotocols.index(name) for name in common}
        return min(sorted(ranks), key=ranks.__getitem__, default=None)


class WebSocketServer(server.Server):
    """A server, as `serve` returns it."""

    @property
    def websockets(self) -> set[Any]:
        """The connections that were opened and whose handlers run."""
        return set(self.all_connections)

    async def _start_listening(self) -> WebSocketServer:
        await self._start()  # type: ignore[unused-awaitable]  # a server can be awaited, to have it listen: it does
        return self

    @property
    def server(self) -> WebSocketServer:
        """What listens: this."""
        return self


class Serve:
    """Serve WebSockets: to be awaited, or used as an async context manager; both give a `WebSocketServer`.

    Args:
        ws_handler: called with every connection that is open; with its path, too, if it takes two arguments (deprecated).
        host, port: where to listen; several hosts in a sequence, None or "" for all interfaces.
        create_protocol: makes the connections: a subclass of `WebSocketServerProtocol`, or a function with its arguments.
        compression: "deflate" or None.
        logger, origins, extensions, subprotocols, extra_headers, server_header, process_request, select_subprotocol,
            open_timeout: as for `WebSocketServerProtocol`.
        ping_interval, ping_timeout, close_timeout, max_size, max_queue, read_limit, write_limit: as for
            `WebSocketCommonProtocol`.
        kwargs: as for asyncio's `create_server`; and the deprecated `timeout`, `klass`, `legacy_recv` and `loop`.

    Attributes:
        ws_server: the server, when it was started.
    """

    ws_server: WebSocketServer

    def __init__(
        self,
        ws_handler: _Handler,
        host: str | Sequence[str] | None = None,
        port: int | None = None,
        *,
        create_protocol: Callable[..., WebSocketServerProtocol] | None = None,
        logger: LoggerLike | None = None,
        compression: str | None = "deflate",
        origins: Sequence[Origin | None] | None = None,
        extensions: Sequence[Any] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        extra_headers: HeadersLikeOrCallable | None = None,
        server_header: str | None = SERVER,
        process_request: Callable[[str, Headers], Awaitable[HTTPResponse | None]] | None = None,
        select_subprotocol: Callable[[Sequence[Subprotocol], Sequence[Subprotocol]], Subprotocol] | None = None,
        open_timeout: float | None = 10,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = None,
        max_size: int | None = 2**20,
        max_queue: int | None = 2**5,
        read_limit: int = 2**16,
        write_limit: int = 2**16,
        **kwargs: Any,
    ) -> None:
        close_timeout = close_timeout_of(close_timeout, kwargs.pop("timeout", None))
        klass, legacy_recv, loop = old_arguments(kwargs)
        self._create_protocol = create_protocol or klass or WebSocketServerProtocol
        if origins is not None and "" in origins:
            warnings.warn("use None instead of '' in origins", DeprecationWarning, stacklevel=2)
            origins = [origin or None for origin in origins]
        self._handler = remove_path_argument(ws_handler)
        self._logger, self._address, self._options = logger, (host, port), kwargs
        terms = Terms(origins, extensions, subprotocols, _choose, compression)
        answering = Answering(_ask, _complete, None)
        self._settings = ServeSettings(terms, answering, open_timeout, max_size, logger, self._make_protocol)
        self._arguments = {
            "logger": logger,
            "origins": origins,
            "subprotocols": subprotocols,
            "extra_headers": extra_headers,
            "server_header": server_header,
            "process_request": process_request,
            "select_subprotocol": select_subprotocol,
            "open_timeout": open_timeout,
            "ping_interval": ping_interval,
            "ping_timeout": ping_timeout,
            "close_timeout": close_timeout,
            "max_size": max_size,
            "max_queue": max_queue,
            "read_limit": read_limit,
            "write_limit": write_limit,
            "legacy_recv": legacy_recv,
            "loop": loop,
            "host": host,
            "port": port,
            "secure": kwargs.get("ssl") is not None,
        }

    def _make_protocol(self, view: ServerProtocolView, ws_server: Any, **_: Any) -> WebSocketServerProtocol:
        made = self._create_protocol(self._handler, ws_server, **self._arguments, extensions=view.available_extensions)
        made.take_protocol(view)
        return made

    def _listen(self) -> Awaitable[Listening]:
        options = dict(self._options)
        if options.get("ssl") is not None:
            options.setdefault("ssl_handshake_timeout", self._settings.open_timeout)
        if options.pop("unix", False):
            return create_unix_server(**options)
        return create_server(*self._address, **options)

    async def _start(self) -> WebSocketServer:
        # Only now: programs call `serve` before there is an event loop.
        self.ws_server = made = WebSocketServer(_handle, self._settings, self._listen, self._logger)
        return await made._start_listening()

    def __await__(self) -> Generator[Any, None, WebSocketServer]:
        return self._start().__await__()

    async def __aenter__(self) -> WebSocketServer:
        return await self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.ws_server.close()
        await self.ws_server.wait_closed()


serve = Serve


def unix_serve(ws_handler: _Handler, path: str | None = None, **kwargs: Any) -> Serve:
    """Serve WebSockets on a UNIX-domain socket.

    Args:
        ws_handler: see `serve`.
        path: where to listen.
        kwargs: as for `serve`.
    """
    return serve(ws_handler, path=path, unix=True, **kwargs)


def remove_path_argument(ws_handler: _Handler) -> _Handler:
    """A handler with one argument, of one that takes the path as well."""
    signature = inspect.signature(ws_handler)
    try:
        signature.bind(None)
    except TypeError:
        try:
            signature.bind(None, "")
        except TypeError:
            return ws_handler  # which will say itself what is wrong
    else:
        return ws_handler
    warnings.warn("remove second argument of ws_handler", DeprecationWarning, stacklevel=3)

    async def handle(websocket: WebSocketServerProtocol) -> Any:
        return await ws_handler(websocket, websocket.path)

    return handle


# --- what `asyncio.server` calls --------------------------------------------------------------------------------------


async def _handle(connection: Any) -> None:
    await connection.ws_handler(connection)


def _choose(connection: WebSocketServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    available = connection.available_subprotocols
    return connection.select_subprotocol(offered, available) if offered and available else None


async def _ask(connection: WebSocketServerProtocol, request: Request) -> Response | None:
    """What the program answers; None for the handshake."""
    connection.path, connection.request_headers = request.path, request.headers
    answer: Any
    try:
        answer = connection.process_request(request.path, request.headers)
        if inspect.isawaitable(answer):
            answer = await answer
        else:
            warnings.warn("declare process_request as a coroutine", DeprecationWarning, stacklevel=1)
    except AbortHandshake as abort:
        answer = abort.status, abort.headers, abort.body
    except InvalidHandshake as error:
        return connection.protocol._refusal_for(error)
    if answer is None:
        return None
    status, fields, body = http.HTTPStatus(answer[0]), Headers(answer[1]), answer[2]
    defaults = {
        "Date": email.utils.formatdate(usegmt=True),
        "Content-Length": str(len(body)),
        "Content-Type": "text/plain",
        "Connection": "close",
    }
    fields.update({name: value for name, value in defaults.items() if name not in fields})
    return Response(status.value, status.phrase, fields, body)


def _complete(connection: WebSocketServerProtocol, request: Request, response: Response) -> None:
    """The program's own fields, and the server's name, in the answer."""
    headers, extra = response.headers, connection.extra_headers
    if response.status_code == 101:
        connection.origin = connection.protocol.origin
        if callable(extra):
            extra = extra(request.path, request.headers)
        if extra is not None:
            given = Headers(extra)
            if "Date" in given:
                del headers["Date"]
            headers.update(given)
    if connection.server_header is not None and "Server" not in headers:
        headers["Server"] = connection.server_header
    connection.response_headers = headers
