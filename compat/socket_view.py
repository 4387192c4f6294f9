"""The socket below a response, for programs that look that deep: its addresses and options, its certificate, its end.

The socket itself stays the engine's: there is nothing here to receive or send with.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

from drivetrain.engine import Address, Response

__all__ = ["RawView", "SocketView"]


def _as_socket_says(address: Address) -> Any:
    if address.family == socket.AF_INET6:
        return address.host, address.port, 0, 0
    return address.host if address.port is None else (address.host, address.port)


class SocketView:
    """The facts that the socket of a response tells, and those of TLS where it is a TLS socket.

    Args:
        response: the engine's.
        is_over: whether the body was read to its end or given up.
        give_up: gives it up. Neither may lead to an object that holds this one.
    """

    def __init__(self, response: Response, is_over: Callable[[], bool], give_up: Callable[[], None]) -> None:
        facts = response.connection
        self._response = response
        self._is_over = is_over
        self._give_up = give_up
        self._is_shut = False
        self._peer = facts.peer
        self._local = facts.local
        self._tls: ssl.SSLObject | None = facts.ssl_object
        self.family = socket.AddressFamily(facts.peer.family)
        self.type = socket.SOCK_STREAM
        self.proto = 0 if facts.peer.port is None else socket.IPPROTO_TCP

    def getpeername(self) -> Any:
        """The address of the other end."""
        return _as_socket_says(self._peer)

    def getsockname(self) -> Any:
        """The address of this end."""
        return _as_socket_says(self._local)

    def fileno(self) -> int:
        """The descriptor of the connection, -1 where there is none any more."""
        return -1 if self._is_over() else self._response.fileno()

    def gettimeout(self) -> float | None:
        """Seconds that a read waits for the server, None for no limit."""
        seconds = self._response.read_timeout
        return None if seconds is None else float(seconds)

    def settimeout(self, value: float | None, /) -> None:
        """Have reads wait so long."""
        self._response.read_timeout = value

    def setblocking(self, flag: bool, /) -> None:
        """Have reads wait as long as it takes, or not at all."""
        self.settimeout(None if flag else 0.0)

    def getblocking(self) -> bool:
        """Whether reads wait at all."""
        return self.gettimeout() != 0.0

    def getsockopt(self, level: int, option: int, size: int = 0, /) -> int | bytes:
        """See `socket.socket.getsockopt`."""
        with self._duplicate() as own:
            return own.getsockopt(level, option, size) if size else own.getsockopt(level, option)

    def setsockopt(self, level: int, option: int, *value: Any) -> None:
        """See `socket.socket.setsockopt`. Over HTTP/2 the connection is shared with other requests."""
        with self._duplicate() as own:
            own.setsockopt(level, option, *value)

    def _duplicate(self) -> socket.socket:
        """The socket under a descriptor that can be closed."""
        return socket.socket(self.family, fileno=os.dup(self.fileno()))  # an OSError where there is none

    def shutdown(self, how: int, /) -> None:
        """Shut the connection down, which ends a read of another thread too; over HTTP/2, give the response up."""
        if self._response.http_version == "2":
            self._give_up()
            return
        self._is_shut = True
        with self._duplicate() as own:
            own.shutdown(how)

    def close(self) -> None:
        """Give the response up, unless the connection was shut down: then whoever reads will find that out."""
        if not self._is_shut:
            self._give_up()

    def __getattr__(self, name: str) -> Any:
        # getpeercert, cipher, version, selected_alpn_protocol, context, …
        if name.startswith("_") or self._tls is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._tls, name)


class RawView:
    """What stands where `socket.SocketIO` would: it has the socket, and no more.

    Args:
        response, is_over, give_up: see `SocketView`.
    """

    def __init__(self, response: Response, is_over: Callable[[], bool], give_up: Callable[[], None]) -> None:
        self._sock = SocketView(response, is_over, give_up)

    def fileno(self) -> int:
        """The descriptor of the connection."""
        return self._sock.fileno()
