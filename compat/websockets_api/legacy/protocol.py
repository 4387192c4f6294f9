"""What clients and servers of the deprecated API have in common: a connection for asyncio with the old attributes.

Receiving, sending and closing are those of `asyncio.connection`, whose exceptions are kinds of what was raised here:
`ConcurrencyError` is a RuntimeError. It is no `asyncio.Protocol`: what the engine reads and writes does not pass through it.
"""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

from drivetrain.compat.websockets_api.asyncio import connection
from drivetrain.compat.websockets_api.datastructures import Headers
from drivetrain.compat.websockets_api.exceptions import ConnectionClosed, InvalidState
from drivetrain.compat.websockets_api.frames import Close, CloseCode
from drivetrain.compat.websockets_api.http11 import Request, Response
from drivetrain.compat.websockets_api.protocol import Side, State
from drivetrain.compat.websockets_api.protocol_view import ProtocolView
from drivetrain.compat.websockets_api.typing import Data, LoggerLike
from drivetrain.engine import WebSocketConnection

__all__ = ["WebSocketCommonProtocol", "broadcast", "close_timeout_of", "old_arguments"]

broadcast = connection.broadcast


def close_timeout_of(close_timeout: float | None, timeout: float | None) -> float:
    """The limit of time for closing, in seconds, from the names that it has had."""
    if timeout is not None:
        warnings.warn("rename timeout to close_timeout", DeprecationWarning, stacklevel=1)
    if close_timeout is not None:
        return close_timeout
    return 10 if timeout is None else timeout


def old_arguments(kwargs: dict[str, Any]) -> tuple[Any, bool, Any]:
    """Take the oldest arguments of `connect` and `serve` out of the others.

    Returns:
        `klass`, `legacy_recv` and `loop`.
    """
    klass, loop = kwargs.pop("klass", None), kwargs.pop("loop", None)
    if klass is not None:
        warnings.warn("rename klass to create_protocol", DeprecationWarning, stacklevel=3)
    if loop is not None:
        warnings.warn("remove loop argument", DeprecationWarning, stacklevel=3)
    return klass, kwargs.pop("legacy_recv", False), loop


class WebSocketCommonProtocol(connection.Connection):
    """A connection with the attributes that connections had until version 13. See `WebSocketClientProtocol`.

    Args:
        logger: instead of "websockets.client" or "websockets.server".
        ping_interval, ping_timeout, close_timeout: as for `asyncio.connection.Connection`.
        max_size: of a message, in bytes; None for no limit.
        max_queue: how many messages may wait to be received; None for no limit.
        read_limit: has no effect.
        write_limit: how many bytes may wait to be sent before `send` waits.
        host, port, secure: deprecated attributes.
        legacy_recv: whether `recv` returns None when the connection is closed; deprecated.
        loop: deprecated, and has no effect.
        timeout: deprecated name of `close_timeout`.
        extensions, subprotocols: what this side would use.

    Attributes:
        is_client: whether this is the client's end.
        side: "client" or "server".
        path: what the request asks for; from the opening handshake on, as the next two.
        request_headers, response_headers: of the handshake.
        origin: what the client says to be on, None for nothing.
        available_extensions, available_subprotocols: what was given as `extensions` and `subprotocols`.
    """

    is_client: bool = True
    side: str = "undefined"

    path: str
    request_headers: Headers
    response_headers: Headers
    origin: Any = None

    def __init__(
        self,
        *,
        logger: LoggerLike | None = None,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = None,
        max_size: int | None = 2**20,
        max_queue: int | None = 2**5,
        read_limit: int = 2**16,
        write_limit: int = 2**16,
        host: str | None = None,
        port: int | None = None,
        secure: bool | None = None,
        legacy_recv: bool = False,
        loop: asyncio.AbstractEventLoop | None = None,
        timeout: float | None = None,
        extensions: Any = None,
        subprotocols: Any = None,
    ) -> None:
        if legacy_recv:
            warnings.warn("legacy_recv is deprecated", DeprecationWarning, stacklevel=1)
        if loop is not None:
            warnings.warn("remove loop argument", DeprecationWarning, stacklevel=1)
        view = ProtocolView(
            Side.CLIENT if self.is_client else Side.SERVER,
            max_size=max_size,
            logger=logger,
            extensions=extensions,
            subprotocols=subprotocols,
        )
        # Not super(): a server's connection wants its server there.
        connection.Connection.__init__(
            self,
            view,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout_of(close_timeout, timeout),
            max_queue=max_queue,
            write_limit=write_limit,
        )
        self.max_size = max_size
        self.max_queue = max_queue
        self.read_limit = read_limit
        self.write_limit = write_limit
        self.legacy_recv = legacy_recv
        self.available_extensions = extensions
        self.available_subprotocols = subprotocols
        self._host = host
        self._port = port
        self._secure = secure

    def take_protocol(self, view: ProtocolView) -> None:
        """Have another view of the protocol than the one that the constructor makes; before the handshake."""
        self.protocol = view
        view.logger, view.debug = self.logger, self.debug

    def attach(
        self, core: WebSocketConnection, request: Request | None = None, response: Response | None = None
    ) -> None:
        """Begin, when the handshake is over."""
        super().attach(core, request, response)
        if self.request is not None:
            self.path, self.request_headers = self.request.path, self.request.headers
        if self.response is not None:
            self.response_headers = self.response.headers
        self.connection_open()

    def connection_open(self) -> None:
        """Called when the connection is open; to be overridden."""

    # -- facts ---------------------------------------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        """Whether the connection is open; also False while it is being opened or closed."""
        return self.state is State.OPEN

    @property
    def closed(self) -> bool:
        """Whether the connection is closed; also False while it is being opened or closed."""
        return self.state is State.CLOSED

    @property
    def host(self) -> str | None:
        """Deprecated: the host that was connected to, or listened on."""
        self._warn_of_address("host", 0)
        return self._host

    @property
    def port(self) -> int | None:
        """Deprecated: the port that was connected to, or listened on."""
        self._warn_of_address("port", 1)
        return self._port

    @property
    def secure(self) -> bool | None:
        """Deprecated: whether there is TLS below."""
        warnings.warn("don't use secure", DeprecationWarning, stacklevel=2)
        return self._secure

    def _warn_of_address(self, name: str, index: int) -> None:
        instead = "remote_address" if self.is_client else "local_address"
        warnings.warn(f"use {instead}[{index}] instead of {name}", DeprecationWarning, stacklevel=3)

    @property
    def extensions(self) -> list[Any]:
        """The extensions that were agreed on."""
        return list(self.protocol.extensions)

    @property
    def close_rcvd(self) -> Close | None:
        """The peer's Close frame, None before or without one."""
        return self.protocol.close_rcvd

    @property
    def close_sent(self) -> Close | None:
        """This side's Close frame, None before or without one."""
        return self.protocol.close_sent

    @property
    def close_rcvd_then_sent(self) -> bool | None:
        """When both sides sent a Close frame, whether the peer's was first."""
        return self.protocol.close_rcvd_then_sent

    @property
    def connection_lost_waiter(self) -> asyncio.Future[None]:
        """Done when the connection is closed."""
        return self._closed

    # -- what is done --------------------------------------------------------------------------------------------------

    async def recv(self, decode: bool | None = None) -> Any:
        """Wait for the next message. To cancel it loses nothing.

        Returns:
            The message: text or bytes. None when the connection is closed, with `legacy_recv`.

        Raises:
            ConnectionClosed: the connection is closed.
            RuntimeError: somebody else is receiving.
        """
        if not self.legacy_recv:
            return await super().recv(decode)
        try:
            message: Data = await super().recv(decode)
        except ConnectionClosed:
            return None
        return message

    def connection_closed_exc(self) -> ConnectionClosed:
        """What to raise to those who use the closed connection."""
        return self.close_exc

    async def ensure_open(self) -> None:
        """Raise `ConnectionClosed` unless the connection is open.

        Raises:
            ConnectionClosed: it is closed; when it is being closed, after that.
            InvalidState: it was not opened yet.
        """
        state = self.state
        if state is State.CONNECTING:
            raise InvalidState("WebSocket connection isn't established yet")
        if state is not State.OPEN:
            await self.wait_closed()
            raise self.close_exc

    def fail_connection(self, code: int = CloseCode.ABNORMAL_CLOSURE, reason: str = "") -> None:
        """End the connection because of an error, without waiting for that.

        Args:
            code: what to tell the peer; nothing with 1006.
            reason: in words.
        """
        if self.protocol.core is None:
            self.protocol.is_lost = True
        elif code == CloseCode.ABNORMAL_CLOSURE:
            self.core.abort()
        else:
            self._failing = self.loop.create_task(self.fail(code, reason))
