"""What programs ask `connection.transport`: facts about the socket and its TLS session, and to give the connection up."""

from __future__ import annotations

from typing import Any

from drivetrain.compat.websockets_api.connection_base import to_socket_address
from drivetrain.compat.websockets_api.sync.socket_view import SocketView
from drivetrain.engine import WebSocketConnection

__all__ = ["TransportView"]


class TransportView:
    """What there is of an `asyncio.Transport` to look at. Reading and writing are the engine's.

    Args:
        core: the connection.
        write_limits: the low-water and the high-water mark of what waits to be sent, in bytes.
    """

    def __init__(self, core: WebSocketConnection, write_limits: tuple[int, int]) -> None:
        self._core = core
        self._write_limits = write_limits

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """See `asyncio.BaseTransport.get_extra_info`; known are socket, sockname, peername, and all that TLS has."""
        core = self._core
        if name == "socket":
            return SocketView(core)
        if name == "sockname":
            return to_socket_address(core.localname()) or default
        if name == "peername":
            return to_socket_address(core.peername()) or default
        session = core.checktls()
        if session is None:
            return default
        if name == "ssl_object":
            return session
        if name == "sslcontext":
            return session.context
        if name == "peercert":
            return session.getpeercert()
        if name == "cipher":
            return session.cipher()
        if name == "compression":
            return session.compression()
        return default

    def is_closing(self) -> bool:
        """Whether the connection below was closed, or is lost."""
        return self._core.is_closed

    def close(self) -> None:
        """Give the connection up without a closing handshake; what was sent is still delivered where that is possible."""
        self._core.abort(at_once=False)

    def abort(self) -> None:
        """Give the connection up, now."""
        self._core.abort()

    def get_write_buffer_size(self) -> int:
        """How many bytes wait to be sent."""
        return self._core.unsent

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The low-water and the high-water mark of what waits to be sent, in bytes."""
        return self._write_limits

    def can_write_eof(self) -> bool:
        """Whether half of the connection can be closed: not through this view."""
        return False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'closed' if self.is_closing() else 'open'}>"
