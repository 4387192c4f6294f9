"""The deprecated client for asyncio: `connect` with `extra_headers` and its other old arguments.

As `asyncio.client.connect`, but: it uses no proxies, failed handshakes raise `InvalidStatusCode`, as an iterator it connects
again after every failure, and as a context manager it closes the connection with code 1000 in any case.
"""

from __future__ import annotations

import asyncio
import sys
import urllib.parse
from collections.abc import Callable, Generator, Sequence
from types import TracebackType
from typing import Any

from drivetrain.compat.websockets_api import reconnecting
from drivetrain.compat.websockets_api.asyncio import client
from drivetrain.compat.websockets_api.datastructures import Headers, HeadersLike
from drivetrain.compat.websockets_api.exceptions import InvalidHeader, InvalidStatus, SecurityError
from drivetrain.compat.websockets_api.extensions.base import ClientExtensionFactory
from drivetrain.compat.websockets_api.http11 import USER_AGENT
from drivetrain.compat.websockets_api.legacy.exceptions import InvalidStatusCode, RedirectHandshake
from drivetrain.compat.websockets_api.legacy.protocol import WebSocketCommonProtocol, close_timeout_of, old_arguments
from drivetrain.compat.websockets_api.protocol_view import ProtocolView
from drivetrain.compat.websockets_api.typing import LoggerLike, Origin, Subprotocol
from drivetrain.compat.websockets_api.uri import parse_uri

__all__ = ["Connect", "WebSocketClientProtocol", "connect", "unix_connect"]

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_FOR_ONE_ORIGIN = frozenset(("authorization", "cookie", "proxy-authorization"))


class WebSocketClientProtocol(WebSocketCommonProtocol, client.ClientConnection):
    """A client's connection; made by `connect`.

    Args:
        logger: instead of "websockets.client".
        origin: value of the Origin field.
        extensions: factories of the extensions to offer.
        subprotocols: to offer, the best first.
        extra_headers: further fields of the request.
        user_agent_header: value of the User-Agent field, None for none.
        kwargs: as for `WebSocketCommonProtocol`.
    """

    is_client = True
    side = "client"

    def __init__(
        self,
        *,
        logger: LoggerLike | None = None,
        origin: Origin | None = None,
        extensions: Sequence[ClientExtensionFactory] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        extra_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
        **kwargs: Any,
    ) -> None:
        super().__init__(logger=logger, extensions=extensions, subprotocols=subprotocols, **kwargs)
        self.origin = self.protocol.origin = origin
        self.extra_headers = extra_headers
        self.user_agent_header = user_agent_header

    async def handshake(self, *args: Any, **kwargs: Any) -> None:
        """Connect to the server and ask for the WebSocket; called by `connect`, once.

        Raises:
            InvalidStatusCode: the server refused.
            RedirectHandshake: the server sends the client elsewhere.
            InvalidHandshake: something else is wrong with the answer.
        """
        try:
            await super().handshake(self.extra_headers, self.user_agent_header)
        except InvalidStatus as error:
            status, headers = error.response.status_code, error.response.headers
        else:
            return
        if status not in _REDIRECTS:
            raise InvalidStatusCode(status, headers)
        if "Location" not in headers:
            raise InvalidHeader("Location")
        raise RedirectHandshake(headers["Location"])


class Connect(client.connect):
    """Connect to a WebSocket server; see the module, and `asyncio.client.connect`.

    Args:
        uri: where to, of the scheme ws or wss.
        create_protocol: makes the connection: a subclass of `WebSocketClientProtocol`, or a function with its arguments.
        compression: "deflate" or None.
        extra_headers: further fields of the request.
        open_timeout: seconds for opening the connection, redirects included; None for no limit.
        logger, origin, extensions, subprotocols, user_agent_header: as for `WebSocketClientProtocol`.
        ping_interval, ping_timeout, close_timeout, max_size, max_queue, read_limit, write_limit: as for
            `WebSocketCommonProtocol`.
        kwargs: how to reach the server; and the deprecated `timeout`, `klass`, `legacy_recv` and `loop`.

    Attributes:
        protocol: the connection, when it is open.
        MAX_REDIRECTS_ALLOWED, BACKOFF_INITIAL, BACKOFF_MIN, BACKOFF_MAX, BACKOFF_FACTOR: see `reconnecting`.
    """

    MAX_REDIRECTS_ALLOWED = reconnecting.MAX_REDIRECTS
    BACKOFF_INITIAL = reconnecting.BACKOFF_INITIAL_DELAY
    BACKOFF_MIN = reconnecting.BACKOFF_MIN_DELAY
    BACKOFF_MAX = reconnecting.BACKOFF_MAX_DELAY
    BACKOFF_FACTOR = reconnecting.BACKOFF_FACTOR

    protocol: Any

    def __init__(
        self,
        uri: str,
        *,
        create_protocol: Callable[..., WebSocketClientProtocol] | None = None,
        logger: LoggerLike | None = None,
        compression: str | None = "deflate",
        origin: Origin | None = None,
        extensions: Sequence[ClientExtensionFactory] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        extra_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
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
        self._create_protocol = create_protocol or klass or WebSocketClientProtocol
        if not parse_uri(uri).secure and kwargs.get("ssl") is not None:
            raise ValueError("connect() received a ssl argument for a ws:// URI, use a wss:// URI to enable TLS")
        super().__init__(
            uri,
            origin=origin,
            extensions=extensions,
            subprotocols=subprotocols,
            compression=compression,
            additional_headers=extra_headers,
            user_agent_header=user_agent_header,
            proxy=None,
            process_exception=_is_never_final,
            open_timeout=open_timeout,
            reconnect_delays=self._delays,
            logger=logger,
            create_connection=self._make_protocol,
            **kwargs,
        )
        self._settings = {
            "logger": logger,
            "origin": origin,
            "subprotocols": subprotocols,
            "user_agent_header": user_agent_header,
            "ping_interval": ping_interval,
            "ping_timeout": ping_timeout,
            "close_timeout": close_timeout,
            "max_size": max_size,
            "max_queue": max_queue,
            "read_limit": read_limit,
            "write_limit": write_limit,
            "legacy_recv": legacy_recv,
            "loop": loop,
        }

    def _make_protocol(self, view: ProtocolView, **settings: Any) -> WebSocketClientProtocol:
        """Make the connection for one attempt; its own settings are `_settings`."""
        uri = self.ws_uri
        protocol = self._create_protocol(
            **self._settings,
            extensions=view.available_extensions,
            extra_headers=self.additional_headers,
            host=uri.host,
            port=uri.port,
            secure=uri.secure,
        )
        protocol.protocol.uri = uri
        return protocol

    def _delays(self) -> Generator[float, None, None]:
        return reconnecting.backoff(self.BACKOFF_INITIAL, self.BACKOFF_MIN, self.BACKOFF_MAX, self.BACKOFF_FACTOR)

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Say what to do about a failed attempt: what `handle_redirect` does, where it is a redirect."""
        if not isinstance(exc, RedirectHandshake):
            return exc
        self.handle_redirect(exc.uri)
        return self.uri

    def handle_redirect(self, uri: str) -> None:
        """Go on to another place. May be overridden.

        Args:
            uri: that place; may be relative.

        Raises:
            SecurityError: from TLS into the clear.
        """
        old, new_uri = self.ws_uri, urllib.parse.urljoin(self.uri, uri)
        new = parse_uri(new_uri)
        if old.secure and not new.secure:
            raise SecurityError("redirect from WSS to WS")
        if (old.secure, old.host, old.port) != (new.secure, new.host, new.port):
            for name in ("host", "port"):
                self.create_connection_kwargs.pop(name, None)
            if self.additional_headers is not None:
                items = Headers(self.additional_headers).raw_items()
                self.additional_headers = Headers(item for item in items if item[0].lower() not in _FOR_ONE_ORIGIN)
        self.uri, self.ws_uri = new_uri, new

    async def connect(self) -> client.ClientConnection:
        """Connect, redirects followed.

        Raises:
            asyncio.TimeoutError: it took too long.
        """
        try:
            self.protocol = await super().connect()
        except TimeoutError as error:
            if error.errno is None and sys.version_info < (3, 11):  # where it is another class
                raise asyncio.TimeoutError from error
            raise
        connected: client.ClientConnection = self.protocol
        return connected

    async def __aenter__(self) -> Any:
        return await self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.protocol.close()


def _is_never_final(_: Exception) -> None:
    """What stands for `process_exception`: every failure may pass."""


connect = Connect


def unix_connect(path: str | None = None, uri: str = "ws://localhost/", **kwargs: Any) -> Connect:
    """Connect to a server that listens on a UNIX-domain socket.

    Args:
        path: of the socket.
        uri: names the server.
        kwargs: as for `connect`.
    """
    return connect(uri=uri, path=path, unix=True, **kwargs)
