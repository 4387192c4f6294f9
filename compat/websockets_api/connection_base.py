"""What connections of both colours share: who they are, what they were set to, and how they ended.

A connection is made before its handshake (servers show it to `process_request`; clients make it by `create_connection`), and
gets the engine's connection when that is over: see `attach` in the classes of either colour, which begins with
`ConnectionBase._adopt`. It is in state CONNECTING until then.
"""

from __future__ import annotations

import logging
import socket
import uuid
import weakref
from typing import Any

from drivetrain.compat.websockets_api.exceptions import ConnectionClosed
from drivetrain.compat.websockets_api.http11 import Request, Response
from drivetrain.compat.websockets_api.http_views import to_request, to_response
from drivetrain.compat.websockets_api.protocol import State
from drivetrain.compat.websockets_api.protocol_view import ProtocolView
from drivetrain.compat.websockets_api.settings import MaxQueue, Settings, WriteLimit, split_max_queue, split_write_limit
from drivetrain.compat.websockets_api.typing import LoggerLike, Subprotocol
from drivetrain.engine import Address, WebSocketConnection

__all__ = ["ConnectionBase", "to_socket_address"]


def to_socket_address(address: Address) -> Any:
    """An address as the `socket` module has it: (host, port), four elements for IPv6, the path for UNIX-domain sockets."""
    if address.family == getattr(socket, "AF_UNIX", -1):
        return address.host or ""
    if address.family == socket.AF_INET6:
        return (address.host, address.port, 0, 0)
    return None if address.host is None else (address.host, address.port)


class _ConnectionLogger(logging.LoggerAdapter):  # type: ignore[type-arg]
    """Logs for a connection, which it does not keep; its records do, for they may be looked at later."""

    def __init__(self, logger: Any, connection: Any) -> None:
        super().__init__(logger, {"websocket": weakref.proxy(connection)})
        self._connection = weakref.ref(connection)

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        """See the base class."""
        connection = self._connection()
        kwargs["extra"] = self.extra if connection is None else {"websocket": connection}
        return msg, kwargs


class ConnectionBase:
    """See the module.

    Args:
        protocol: the view of the protocol that belongs to this connection.
        ping_interval, ping_timeout, close_timeout, max_queue, write_limit: see `settings.Settings`.

    Attributes:
        protocol: see above.
        core: the engine's connection. Only after `attach`.
        logger: for this connection; its records have the attribute `websocket`.
        debug: whether the logger wants to know everything.
        ping_interval, ping_timeout, close_timeout: in seconds; None for none, for ever, for ever.
        max_queue_high, max_queue_low, write_limit_high, write_limit_low: see `settings`.
    """

    core: WebSocketConnection

    def __init__(
        self,
        protocol: ProtocolView,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: MaxQueue = 16,
        write_limit: WriteLimit = 1 << 15,
    ) -> None:
        self.protocol = protocol
        self.ping_interval = ping_interval
        self.ping_timeout = ping_timeout
        self.close_timeout = close_timeout
        self.max_queue_high, self.max_queue_low = split_max_queue(max_queue)
        self.write_limit_high, self.write_limit_low = split_write_limit(write_limit)
        protocol.logger = _ConnectionLogger(protocol.logger, self)
        self.logger: LoggerLike = protocol.logger
        self.debug = protocol.debug
        self._request: Request | None = None
        self._response: Response | None = None

    @property
    def settings(self) -> Settings:
        """What the engine's connection is to be set to."""
        return Settings(
            self.ping_interval,
            self.ping_timeout,
            self.close_timeout,
            (self.protocol.max_message_size, self.protocol.max_fragment_size),
            (self.max_queue_high, self.max_queue_low),
            (self.write_limit_high, self.write_limit_low),
        )

    def _adopt(self, core: WebSocketConnection, request: Request | None, response: Response | None) -> None:
        """Take the engine's connection over, after the handshake. The first step of `attach`.

        Args:
            core: the connection.
            request, response: the handshake; None to look at it when somebody asks.
        """
        self.core = self.protocol.core = core
        if request is not None:
            self._request = request
        if response is not None:
            self._response = response
        # They are asked for when it is too late to ask the system.
        core.localname()
        core.peername()
        if self.debug:
            self.logger.debug("= connection is %s", State.OPEN.name)

    # -- the handshake -------------------------------------------------------------------------------------------------

    @property
    def request(self) -> Request | None:
        """The request of the handshake; None before there was one."""
        if self._request is None:
            core = self.protocol.core
            if core is not None and core.request is not None:
                self._request = to_request(core.request)
        return self._request

    @request.setter
    def request(self, request: Request | None) -> None:
        self._request = request

    @property
    def response(self) -> Response | None:
        """The response of the handshake; None before there was one."""
        if self._response is None:
            core = self.protocol.core
            if core is not None and core.response is not None:
                self._response = to_response(core.response, core.reason)
        return self._response

    @response.setter
    def response(self, response: Response | None) -> None:
        self._response = response

    # -- facts ---------------------------------------------------------------------------------------------------------

    @property
    def id(self) -> uuid.UUID:
        """Identifies the connection, in logs."""
        return self.protocol.id

    @property
    def local_address(self) -> Any:
        """This end of the connection, as `socket.getsockname` has it; None before it is open."""
        core = self.protocol.core
        return None if core is None else to_socket_address(core.localname())

    @property
    def remote_address(self) -> Any:
        """The other end (a proxy, where there is one), as `socket.getpeername` has it; None before it is open."""
        core = self.protocol.core
        return None if core is None else to_socket_address(core.peername())

    @property
    def latency(self) -> float:
        """Seconds from the last Ping that was answered to its Pong; 0.0 before there was one."""
        core = self.protocol.core
        return (core.latency or 0.0) if core is not None else 0.0

    @property
    def state(self) -> State:
        """The state of the WebSocket (RFC 6455). To handle the end, catch `ConnectionClosed` instead of looking at it."""
        return self.protocol.state

    @property
    def subprotocol(self) -> Subprotocol | None:
        """The subprotocol that was agreed on, None for none."""
        return self.protocol.subprotocol

    @property
    def close_code(self) -> int | None:
        """The peer's close code, 1006 where there was none; None while the connection is not closed."""
        return self.protocol.close_code

    @property
    def close_reason(self) -> str | None:
        """The peer's reason for closing, "" where there was none; None while the connection is not closed."""
        return self.protocol.close_reason

    @property
    def close_exc(self) -> ConnectionClosed:
        """What to raise to those who use the closed connection; a new exception each time.

        Raises:
            AssertionError: it is not closed yet.
        """
        return self.protocol.close_exc

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.protocol.side.name.lower()} {self.state.name.lower()}>"
