"""The connection of a response, for code that asks urllib3's for its addresses and certificates."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from drivetrain.engine import Address, Response

__all__ = ["ConnectionView", "SocketView"]


def _as_socket_says(address: Address) -> Any:
    if address.family == socket.AF_INET6:
        return address.host, address.port, 0, 0
    return address.host if address.port is None else (address.host, address.port)


class SocketView:
    """The facts a socket tells, and none of its actions."""

    def __init__(self, response: Response) -> None:
        facts = response.connection
        self._peer = facts.peer
        self._local = facts.local
        self._tls: ssl.SSLObject | None = facts.ssl_object

    def getpeername(self) -> Any:
        """The address of the other end."""
        return _as_socket_says(self._peer)

    def getsockname(self) -> Any:
        """The address of this end."""
        return _as_socket_says(self._local)

    def __getattr__(self, name: str) -> Any:
        # getpeercert, cipher, version, selected_alpn_protocol, …: only a TLS socket has them.
        if name.startswith("_") or self._tls is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._tls, name)


class ConnectionView:
    """What `urllib3.response.HTTPResponse.connection` shows of a connection in use.

    Attributes:
        host, port: the origin.
    """

    def __init__(self, response: Response, host: str, port: int) -> None:
        self._response = response
        self.host = host
        self.port = port

    @property
    def sock(self) -> SocketView:
        """Its socket's facts."""
        return SocketView(self._response)

    @property
    def is_closed(self) -> bool:
        """Whether the response was given up or ended."""
        return False

    def close(self) -> None:
        """Give the response up, and the connection with it unless the response is complete or others use it (HTTP/2)."""
        self._response.close()
