"""The asyncio client of the `websockets` API: `connect` in its three forms, and `ClientConnection`.

The keywords are those of versions 15 to 17. One is ours: `client`, an engine `AsyncClient` to connect by, with its pool,
cookies, HSTS, proxies, credentials and HTTP/2; those that say how to reach the server have no effect then.
"""

from __future__ import annotations

import asyncio
import logging
import urllib.parse
from collections.abc import Callable, Generator, Sequence
from types import TracebackType
from typing import Any, Literal

from drivetrain.compat.websockets_api import reconnecting
from drivetrain.compat.websockets_api.asyncio.connection import Connection
from drivetrain.compat.websockets_api.asyncio.network import network_of, to_error_of_loop
from drivetrain.compat.websockets_api.asyncio.reconnecting_iterator import Reconnecting
from drivetrain.compat.websockets_api.datastructures import Headers, HeadersLike
from drivetrain.compat.websockets_api.exceptions import InvalidHandshake, InvalidStatus, ProxyError, SecurityError
from drivetrain.compat.websockets_api.extensions.base import ClientExtensionFactory
from drivetrain.compat.websockets_api.extensions.permessage_deflate import enable_client_permessage_deflate
from drivetrain.compat.websockets_api.handshake_log import log_handshake
from drivetrain.compat.websockets_api.headers import validate_subprotocols
from drivetrain.compat.websockets_api.http11 import USER_AGENT
from drivetrain.compat.websockets_api.http_views import to_request, to_response
from drivetrain.compat.websockets_api.opening import Plan
from drivetrain.compat.websockets_api.protocol import Side
from drivetrain.compat.websockets_api.protocol_view import ProtocolView
from drivetrain.compat.websockets_api.proxy import get_proxy
from drivetrain.compat.websockets_api.settings import MaxQueue, MaxSize, WriteLimit
from drivetrain.compat.websockets_api.typing import LoggerLike, Origin, PathLike, Subprotocol
from drivetrain.compat.websockets_api.uri import WebSocketURI, parse_uri
from drivetrain.engine import AsyncClient, AsyncWebSocket, WebSocketConnection
from drivetrain.engine.errors import EngineError

__all__ = [
    "MAX_REDIRECTS",
    "ClientConnection",
    "backoff",
    "connect",
    "process_exception",
    "unix_connect",
]

MAX_REDIRECTS = reconnecting.MAX_REDIRECTS
backoff = reconnecting.backoff
process_exception = reconnecting.process_exception

_REDIRECTS = frozenset((300, 301, 302, 303, 307, 308))
_FOR_ONE_ORIGIN = frozenset(("authorization", "cookie", "proxy-authorization"))
_Opener = Callable[["HeadersLike | None", "str | None"], Any]


class ClientConnection(Connection):
    """A client's connection; made by `connect`. See `Connection`."""

    opener: _Opener

    async def handshake(
        self, additional_headers: HeadersLike | None = None, user_agent_header: str | None = USER_AGENT
    ) -> None:
        """Connect to the server and ask for the WebSocket; called by `connect`, once.

        Args:
            additional_headers: further fields of the request.
            user_agent_header: value of the User-Agent field, None for none.

        Raises:
            OSError, InvalidHandshake, TimeoutError: there is none.
        """
        opener = self.opener
        del self.opener  # it knows this connection, which is to be freed as soon as nobody else does
        try:
            core: WebSocketConnection = await opener(additional_headers, user_agent_header)
        except Exception as error:
            self.protocol.is_lost = True
            self.protocol.handshake_exc = error
            if self.debug and isinstance(error, InvalidStatus):
                log_handshake(self.logger, None, error.response)
            raise
        if self.debug:
            response = None if core.response is None else to_response(core.response, core.reason)
            log_handshake(self.logger, None if core.request is None else to_request(core.request), response)
        self.attach(core)


# In lower case, for it is called like a function.
class connect:  # noqa: N801
    """Connect to a WebSocket server.

    As an asynchronous context manager it gives the connection, and closes it in the end. Awaited, it returns the connection.
    As an asynchronous iterator it connects again and again, whenever the connection was lost or could not be made, after
    longer and longer pauses; each connection is closed when the next is asked for.

    Args:
        uri: where to, of the scheme ws or wss.
        origin: value of the Origin field.
        extensions: factories of extensions to offer; permessage-deflate is the only one there is.
        subprotocols: to offer, the best first.
        compression: "deflate" or None.
        additional_headers: further fields of the request.
        user_agent_header: value of the User-Agent field, None for none.
        proxy: True for what the system says, None for none, or the URI of a proxy (http, https, socks4, socks4a, socks5,
            socks5h).
        process_exception: tells, as an iterator, failures that may pass from those to be raised; see `process_exception`.
        open_timeout: seconds for opening the connection, redirects included; None for no limit.
        ping_interval, ping_timeout, close_timeout: see `settings.Settings`.
        reconnect_delays: makes, as an iterator, the seconds to wait before each of the next attempts; see `backoff`.
        max_size, max_queue, write_limit: see `settings.Settings`.
        logger: instead of "websockets.client".
        create_connection: makes the connection, in place of `ClientConnection`, of which it returns a kind.
        client: an engine client to connect by; see the module.
        kwargs: how to reach the server: `ssl`, `server_hostname`, `ssl_handshake_timeout`, `sock`, `host`, `port`, `family`,
            `local_addr`, `happy_eyeballs_delay`, … as for `loop.create_connection`; those for TLS also with `proxy_` before
            them, for a proxy of the scheme https.

    Raises:
        InvalidURI: `uri` is none.
        ValueError: arguments do not go together.

    When connecting:

    Raises:
        InvalidProxy: `proxy` is no URI of a proxy.
        OSError: the server or the proxy cannot be reached.
        InvalidHandshake: there is no WebSocket there.
        TimeoutError: it took too long.
    """

    def __init__(
        self,
        uri: str,
        *,
        origin: Origin | None = None,
        extensions: Sequence[ClientExtensionFactory] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        compression: str | None = "deflate",
        additional_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
        proxy: str | Literal[True] | None = True,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        open_timeout: float | None = 10,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        reconnect_delays: Callable[[], Generator[float, None, None]] = backoff,
        max_size: MaxSize = 1 << 20,
        max_queue: MaxQueue = 16,
        write_limit: WriteLimit = 1 << 15,
        logger: LoggerLike | None = None,
        create_connection: Callable[..., ClientConnection] | None = None,
        client: AsyncClient | None = None,
        **kwargs: Any,
    ) -> None:
        self.uri = uri
        self.ws_uri = parse_uri(uri)
        if not self.ws_uri.secure and kwargs.get("ssl") is not None:
            raise ValueError("ssl argument is incompatible with a ws:// URI")
        if subprotocols is not None:
            validate_subprotocols(subprotocols)
        extensions = _with_compression(extensions, compression)
        logger = logger or logging.getLogger("websockets.client")
        create_connection = create_connection or ClientConnection
        self.additional_headers = additional_headers
        self.user_agent_header = user_agent_header
        self.proxy = proxy
        self.process_exception = process_exception
        self.open_timeout = open_timeout
        self.reconnect_delays = reconnect_delays
        self.logger = logger
        self.create_connection_kwargs = kwargs
        self.client = client

        handshake: dict[str, Any] = {"origin": origin, "extensions": extensions, "subprotocols": subprotocols}
        pings: dict[str, Any] = {"ping_interval": ping_interval, "ping_timeout": ping_timeout}
        limits: dict[str, Any] = {"close_timeout": close_timeout, "max_queue": max_queue, "write_limit": write_limit}

        def factory(uri: WebSocketURI) -> ClientConnection:
            protocol = ProtocolView(Side.CLIENT, max_size=max_size, logger=logger, uri=uri, **handshake)
            return create_connection(protocol, **pings, **limits)

        self.factory = factory

    # -- one attempt ---------------------------------------------------------------------------------------------------

    def _prepare(self, deadline: float | None) -> ClientConnection:
        """A connection that knows how to connect."""
        connection = self.factory(self.ws_uri)
        network = network_of(self.create_connection_kwargs, self.ws_uri, self._choose_proxy())

        async def open_by(headers: HeadersLike | None, user_agent: str | None) -> WebSocketConnection:
            view = connection.protocol
            plan = Plan(
                self.ws_uri,
                network,
                connection.settings,
                view.origin,
                view.available_extensions,
                view.available_subprotocols,
                headers,
                user_agent,
            )
            timeout = None if deadline is None else max(deadline - connection.loop.time(), 0.0)
            try:
                return await _open(plan, timeout, self.client)
            except EngineError as error:
                fault = to_error_of_loop(plan.translate(error), error)
            limit = network.tls_timeout
            if isinstance(fault, TimeoutError) and limit is not None and (timeout is None or limit < timeout):
                fault = ConnectionAbortedError(
                    f"SSL handshake is taking longer than {limit} seconds: aborting the connection"
                )
            raise fault

        connection.opener = open_by
        return connection

    def _choose_proxy(self) -> str | None:
        options = self.create_connection_kwargs
        if options.get("unix", False) or options.get("sock") is not None or self.client is not None:
            return None
        return get_proxy(self.ws_uri) if self.proxy is True else self.proxy

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Say what to do about a failed attempt. May be overridden.

        Returns:
            The URI to try instead, or the exception to raise: `exc` where it is no redirect.
        """
        if not (
            isinstance(exc, InvalidStatus)
            and exc.response.status_code in _REDIRECTS
            and "Location" in exc.response.headers
        ):
            return exc
        old, options = self.ws_uri, self.create_connection_kwargs
        new_uri = urllib.parse.urljoin(self.uri, exc.response.headers["Location"])
        new = parse_uri(new_uri)
        if options.get("sock") is not None:
            return ValueError(f"cannot follow redirect to {new_uri} with a preexisting socket")
        if old.secure and not new.secure:
            return SecurityError(f"cannot follow redirect to non-secure URI {new_uri}")
        if (old.secure, old.host, old.port) == (new.secure, new.host, new.port):
            return new_uri
        if options.get("unix", False):
            return ValueError(f"cannot follow cross-origin redirect to {new_uri} with a Unix socket")
        if options.get("host") is not None or options.get("port") is not None:
            return ValueError(f"cannot follow cross-origin redirect to {new_uri} with an explicit host or port")
        if self.additional_headers is not None:
            # They were meant for the old origin.
            items = Headers(self.additional_headers).raw_items()
            self.additional_headers = Headers(item for item in items if item[0].lower() not in _FOR_ONE_ORIGIN)
        return new_uri

    async def connect(self) -> ClientConnection:
        """Connect, redirects followed."""
        loop = asyncio.get_running_loop()
        deadline = None if self.open_timeout is None else loop.time() + self.open_timeout
        try:
            for _ in range(MAX_REDIRECTS):
                connection = self._prepare(deadline)
                try:
                    await connection.handshake(self.additional_headers, self.user_agent_header)
                except Exception as exc:
                    if not isinstance(exc, InvalidHandshake) or isinstance(exc, ProxyError):
                        raise  # no server answered
                    outcome = self.process_redirect(exc)
                    if outcome is exc:
                        raise
                    if isinstance(outcome, Exception):
                        raise outcome from exc
                    self.uri, self.ws_uri = outcome, parse_uri(outcome)
                else:
                    return connection
            raise SecurityError(f"more than {MAX_REDIRECTS} redirects")
        except (TimeoutError, asyncio.TimeoutError) as exc:
            raise TimeoutError("timed out during opening handshake") from exc

    # -- its three forms -----------------------------------------------------------------------------------------------

    def __await__(self) -> Generator[Any, None, ClientConnection]:
        return self.connect().__await__()

    async def __aenter__(self) -> ClientConnection:
        if hasattr(self, "connection"):
            raise RuntimeError("connect() isn't reentrant")
        self.connection = await self
        return await self.connection.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self.connection.__aexit__(kind, error, traceback)
        finally:
            del self.connection

    def __aiter__(self) -> Reconnecting:
        return Reconnecting(self)


def _with_compression(
    extensions: Sequence[ClientExtensionFactory] | None, compression: str | None
) -> Sequence[ClientExtensionFactory] | None:
    if compression == "deflate":
        return enable_client_permessage_deflate(extensions)
    if compression is not None:
        raise ValueError(f"unsupported compression: {compression}")
    return extensions


async def _open(plan: Plan, timeout: float | None, client: AsyncClient | None) -> WebSocketConnection:
    """Open a connection by the engine."""
    if client is not None:
        uri, protocols, headers, options = plan.client_arguments(timeout)
        pending = client.websocket(uri, protocols, headers, **options)
        return (await pending).core
    uri, protocols, headers, options = plan.arguments(timeout)
    websocket = AsyncWebSocket.from_uri(uri, protocols, headers, **options)
    await websocket.connect()
    return websocket.core


def unix_connect(path: PathLike | None = None, uri: str | None = None, **kwargs: Any) -> connect:
    """Connect to a server that listens on a UNIX-domain socket.

    Args:
        path: of the socket.
        uri: names the server; without it "ws://localhost/", with `ssl` "wss://localhost/".
        kwargs: as for `connect`.
    """
    if uri is None:
        uri = "ws://localhost/" if kwargs.get("ssl") is None else "wss://localhost/"
    return connect(uri=uri, unix=True, path=path, **kwargs)
