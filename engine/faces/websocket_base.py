"""What the WebSocket faces of both colours share: where a WebSocket comes from, and what is known about it."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any, TypedDict, TypeVar

from ..backends.base import FOREVER, Address, Backend
from ..connection.server_serving import ServerStream
from ..connection.websocket import WebSocketConnection
from ..connection.websocket_options import WebSocketOptions
from ..connection.websocket_pump import CLOSE_TIMEOUT
from ..connection.websocket_server import WebSocketRequest, refuse_websocket
from ..errors import UsageError, WebSocketHandshakeError
from ..policy.auth import AuthSource
from ..policy.options import ClientOptions
from ..policy.timeouts import TimeoutTypes
from ..policy.websockets import check_websocket_uri
from ..protocol.websocket_deflate import DeflateOptions, DeflateParameters
from ..protocol.websocket_events import Close
from ..protocol.websocket_handshake import ClientHandshake
from ..protocol.websocket_limits import DEFAULT_WEBSOCKET_LIMITS, WebSocketLimits
from ..wire.headers import Headers, HeaderSource
from ..wire.uri import Uri, parse_uri
from .client_base import ClientBase

__all__ = [
    "WebSocketArguments",
    "WebSocketBase",
    "WebSocketPlan",
    "accept_request",
    "refuse_request",
    "take_settings",
]

W = TypeVar("W", bound="WebSocketBase")

_SETTINGS = ("close_timeout", "compression", "limits", "ping_interval", "ping_timeout")


class WebSocketArguments(TypedDict, total=False):
    """Keyword arguments of `Client.websocket` and `AsyncClient.websocket`.

    Keys:
        auth: how to authenticate, instead of the client's way.
        timeout: seconds for opening it, or a `Timeouts`; None for no limit at all. Without it the client's.
        follow_redirects: without it the client's setting.
        close_timeout, compression, limits, ping_interval, ping_timeout: see `WebSocketOptions`.
    """

    auth: AuthSource
    timeout: TimeoutTypes
    follow_redirects: bool
    close_timeout: float
    compression: DeflateOptions | bool
    limits: WebSocketLimits
    ping_interval: float | None
    ping_timeout: float | None


class WebSocketPlan:
    """What a client's WebSocket is going to ask for when it connects.

    Args:
        uri: of the scheme ws or wss.
        protocols: the subprotocols it speaks, the best first.
        headers: further fields of the request.
        client: the client to connect by, or the settings of one of its own.
        options: of `WebSocketArguments`, those that are not settings of the WebSocket.

    Raises:
        InvalidURL, UsageError: nothing can be connected to that.
        TypeError: there is no such option.
    """

    __slots__ = ("_client", "_options", "headers", "protocols", "uri")

    def __init__(
        self,
        uri: str | Uri,
        protocols: Sequence[str],
        headers: HeaderSource | None,
        client: ClientBase[Any] | ClientOptions,
        options: Mapping[str, Any],
    ) -> None:
        self.uri = check_websocket_uri(parse_uri(uri) if isinstance(uri, str) else uri)
        self.protocols = ClientHandshake(protocols).protocols
        self.headers = Headers(headers)
        unknown = set(options) - {"auth", "follow_redirects", "timeout"}
        if unknown:
            raise TypeError(f"unknown option {min(unknown)!r}")
        self._client = client
        self._options = options

    async def open(self, backend: Backend, settings: WebSocketOptions, timeout: float | None) -> WebSocketConnection:
        """Connect. A client of its own ends with what it was made for."""
        lasting = isinstance(self._client, ClientBase)
        client = self._client if isinstance(self._client, ClientBase) else ClientBase(backend, self._client)
        try:
            return await client._open_websocket(
                self.uri, self.protocols, self.headers, settings, self._options, timeout
            )
        finally:
            if not lasting:
                client._agent.close()


def take_settings(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tell the settings of a WebSocket from the other options."""
    settings = {name: value for name, value in options.items() if name in _SETTINGS}
    return settings, {name: value for name, value in options.items() if name not in _SETTINGS}


class WebSocketBase:
    """A WebSocket of either colour, connected or not yet. See `WebSocket` and `AsyncWebSocket`.

    Attributes:
        close_timeout: seconds to wait for the peer's side of the closing handshake.
        compression, limits, ping_interval, ping_timeout: see `WebSocketOptions`. They count when the handshake is made.
    """

    __slots__ = (
        "_core",
        "_plan",
        "_request",
        "close_timeout",
        "compression",
        "limits",
        "ping_interval",
        "ping_timeout",
    )

    def __init__(self, plan: WebSocketPlan | None, request: WebSocketRequest | None) -> None:
        self._plan = plan
        self._request = request
        self._core: WebSocketConnection | None = None
        self.close_timeout = CLOSE_TIMEOUT
        self.compression: DeflateOptions | bool = False
        self.limits: WebSocketLimits = DEFAULT_WEBSOCKET_LIMITS
        self.ping_interval: float | None = None
        self.ping_timeout: float | None = 20.0

    @classmethod
    def _of(cls: type[W], plan: WebSocketPlan | None, request: WebSocketRequest | None, settings: dict[str, Any]) -> W:
        self = cls(plan, request)
        for name, value in settings.items():
            if name not in _SETTINGS:
                raise TypeError(f"unknown setting {name!r}")
            setattr(self, name, value)
        return self

    def _options(self) -> WebSocketOptions:
        return WebSocketOptions(
            self.compression, self.limits, self.close_timeout, self.ping_interval, self.ping_timeout
        )

    def _opening(self, backend: Backend, timeout: float | None) -> Coroutine[Any, Any, WebSocketConnection]:
        """What connects it."""
        if self._plan is None:
            raise UsageError("a server's WebSocket is accepted, not connected")
        if self._core is not None:
            raise UsageError("the WebSocket was connected before")
        return self._plan.open(backend, self._options(), timeout)

    def _requested(self) -> WebSocketRequest:
        """What to accept."""
        if self._request is None:
            raise UsageError("a client's WebSocket is connected, not accepted")
        if self._core is not None:
            raise UsageError("the WebSocket was accepted before")
        return self._request

    @property
    def core(self) -> WebSocketConnection:
        """The connection behind it, for engine coroutines.

        Raises:
            UsageError: the handshake was not made yet.
        """
        if self._core is None:
            raise UsageError("the handshake comes first: connect (client) or accept (server)")
        return self._core

    # -- facts ---------------------------------------------------------------------------------------------------------

    @property
    def type(self) -> str:
        """The role, "client" or "server"."""
        return "client" if self._request is None else "server"

    @property
    def request(self) -> Headers | None:
        """The handshake's request; of a client, None before it connected."""
        if self._request is not None:
            return self._request.handshake.headers
        return None if self._core is None else self._core.request

    @property
    def response(self) -> Headers | None:
        """The handshake's response, None before there was one."""
        return None if self._core is None else self._core.response

    @property
    def protocol(self) -> str | None:
        """The subprotocol that was agreed on."""
        return None if self._core is None else self._core.protocol

    @property
    def protocols(self) -> tuple[str, ...]:
        """The subprotocols that the client offers, the best first."""
        return self._plan.protocols if self._plan is not None else tuple(self._requested_protocols())

    def _requested_protocols(self) -> Sequence[str]:
        return () if self._request is None else self._request.handshake.protocols

    @property
    def origin(self) -> str | None:
        """On a server, the page that the client is on (RFC 6455 section 10.2); None where it says none."""
        return None if self._request is None else self._request.handshake.origin

    @property
    def deflate(self) -> DeflateParameters | None:
        """What was agreed on about compression."""
        return None if self._core is None else self._core.machine.deflate

    @property
    def version(self) -> float | None:
        """The version of HTTP below, None before it is known."""
        return None if self._core is None else self._core.version

    @property
    def latency(self) -> float | None:
        """See `WebSocketConnection`."""
        return None if self._core is None else self._core.latency

    @property
    def is_closed(self) -> bool:
        """Whether the connection below was closed."""
        return self._core is not None and self._core.is_closed

    @property
    def close_received(self) -> Close | None:
        """The peer's Close frame, None before or without one."""
        return None if self._core is None else self._core.close_received

    @property
    def close_sent(self) -> Close | None:
        """This side's Close frame, None before or without one."""
        return None if self._core is None else self._core.close_sent

    @property
    def close_code(self) -> int | None:
        """See `WebSocketConnection.close_code`."""
        return None if self._core is None else self._core.close_code

    @property
    def close_reason(self) -> str | None:
        """See `WebSocketConnection.close_reason`."""
        return None if self._core is None else self._core.close_reason

    def localname(self) -> Address:
        """This end of the connection."""
        return self.core.localname()

    def peername(self) -> Address:
        """The next hop: the proxy, where there is one."""
        return self.core.peername()

    def checktls(self) -> ssl.SSLObject | None:
        """See `WebSocketConnection.checktls`."""
        return self.core.checktls()

    def __repr__(self) -> str:
        state = "new" if self._core is None else "closed" if self._core.is_closed else "open"
        return f"<{type(self).__name__} {self.type} {state}>"


async def accept_request(
    request: WebSocketRequest,
    headers: Headers,
    protocols: Sequence[str],
    options: WebSocketOptions,
    origins: Collection[str | None] | None,
    hosts: Collection[str] | None,
    timeout: float | None,
) -> WebSocketConnection:
    """`WebSocketRequest.accept` with a timeout in seconds, which begins where the stream lives: clocks are bound to loops."""
    deadline = FOREVER if timeout is None else request.stream.connection.backend.now() + timeout
    return await request.accept(deadline, headers, protocols, options, origins, hosts)


async def refuse_request(stream: ServerStream, error: WebSocketHandshakeError, timeout: float | None) -> None:
    """`refuse_websocket` with a timeout in seconds."""
    deadline = FOREVER if timeout is None else stream.connection.backend.now() + timeout
    await refuse_websocket(stream, error, deadline)
