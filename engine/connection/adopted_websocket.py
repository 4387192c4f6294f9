"""A WebSocket whose handshake somebody else made: servers that word every field of their answers themselves."""

from __future__ import annotations

from ..backends.base import Backend, ByteStream
from ..protocol.websocket_deflate import DeflateOptions, DeflateParameters
from ..protocol.websocket_handshake import Agreement
from ..protocol.websocket_limits import DEFAULT_WEBSOCKET_LIMITS, WebSocketLimits
from ..wire.headers import Headers, HeaderSource
from .websocket import WebSocketConnection
from .websocket_options import WebSocketOptions, build_websocket
from .websocket_pump import CLOSE_TIMEOUT

__all__ = ["adopt_websocket"]


def adopt_websocket(
    stream: ByteStream,
    backend: Backend,
    *,
    is_client: bool,
    protocol: str | None = None,
    deflate: DeflateParameters | None = None,
    compression: DeflateOptions | None = None,
    limits: WebSocketLimits = DEFAULT_WEBSOCKET_LIMITS,
    close_timeout: float = CLOSE_TIMEOUT,
    ping_interval: float | None = None,
    ping_timeout: float | None = 20.0,
    request: HeaderSource = (),
    response: HeaderSource = (),
    version: float = 1.1,
    reason: str = "",
) -> WebSocketConnection:
    """The connection that follows a handshake. Nothing is sent, and nothing about the handshake is checked.

    Args:
        stream: behind the handshake; the connection owns it from now on.
        backend: the stream's.
        is_client: which side this is.
        protocol: the subprotocol that was agreed on.
        deflate: what was agreed on about compression, None for none.
        compression: how to compress (level, memory, from which size on) where that was agreed on.
        limits, close_timeout, ping_interval, ping_timeout: see `WebSocketOptions`.
        request, response: the handshake's fields.
        version: of HTTP below.
        reason: the reason phrase of the response.
    """
    options = WebSocketOptions(compression or deflate is not None, limits, close_timeout, ping_interval, ping_timeout)
    return build_websocket(
        stream,
        backend,
        Agreement(protocol, deflate),
        options,
        Headers(request),
        Headers(response),
        is_client=is_client,
        version=version,
        reason=reason,
    )
