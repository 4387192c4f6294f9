"""What a WebSocket can be set to, on either side."""

from __future__ import annotations

from dataclasses import dataclass

from ..backends.base import Backend, ByteStream
from ..errors import UsageError
from ..protocol.websocket_deflate import DeflateOptions
from ..protocol.websocket_handshake import Agreement
from ..protocol.websocket_limits import DEFAULT_WEBSOCKET_LIMITS, WebSocketLimits
from ..protocol.websocket_machine import WebSocketMachine
from ..wire.headers import Headers
from .websocket import WebSocketConnection
from .websocket_pump import CLOSE_TIMEOUT

__all__ = ["DEFAULT_WEBSOCKET_OPTIONS", "WebSocketOptions", "build_websocket"]

_DEFAULT_DEFLATE = DeflateOptions()


@dataclass(frozen=True, slots=True)
class WebSocketOptions:
    """Settings of a WebSocket; times in seconds.

    Args:
        compression: True, or how, to agree on permessage-deflate where the peer wants it too.
        limits: what the peer may send.
        close_timeout: how long to wait for the peer's side of the closing handshake.
        ping_interval: how often to send a keep-alive Ping, as long as somebody reads; None for never.
        ping_timeout: how long to wait for its Pong before the connection is given up; None for ever.
    """

    compression: DeflateOptions | bool = False
    limits: WebSocketLimits = DEFAULT_WEBSOCKET_LIMITS
    close_timeout: float = CLOSE_TIMEOUT
    ping_interval: float | None = None
    ping_timeout: float | None = 20.0

    def __post_init__(self) -> None:
        if self.ping_interval is not None and self.ping_interval <= 0:
            raise UsageError("ping_interval is above zero, or None")

    @property
    def deflate(self) -> DeflateOptions | None:
        """How to compress, None for not at all."""
        if isinstance(self.compression, DeflateOptions):
            return self.compression
        return _DEFAULT_DEFLATE if self.compression else None


DEFAULT_WEBSOCKET_OPTIONS = WebSocketOptions()


def build_websocket(
    stream: ByteStream,
    backend: Backend,
    agreement: Agreement,
    options: WebSocketOptions,
    request: Headers,
    response: Headers,
    *,
    is_client: bool,
    version: float,
    reason: str = "",
) -> WebSocketConnection:
    """The connection that follows a handshake."""
    machine = WebSocketMachine(
        "client" if is_client else "server", options.limits, agreement.deflate, options.deflate or _DEFAULT_DEFLATE
    )
    connection = WebSocketConnection(stream, backend, machine, agreement.protocol, request, response, version, reason)
    connection.close_timeout = options.close_timeout
    if options.ping_interval is not None:
        connection.keep_alive(options.ping_interval, options.ping_timeout)
    return connection
