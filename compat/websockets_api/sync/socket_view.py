"""What programs do with `connection.socket`, which the engine keeps for itself."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from drivetrain.engine import WebSocketConnection

__all__ = ["SocketView"]

_OF_THE_SESSION = frozenset(
    {
        "cipher",
        "compression",
        "context",
        "get_channel_binding",
        "getpeercert",
        "selected_alpn_protocol",
        "server_hostname",
        "server_side",
        "session",
        "session_reused",
        "shared_ciphers",
        "version",
    }
)


class SocketView:
    """The socket below a connection: its addresses, its options, its TLS session, its end. Reading and writing are the engine's.

    Args:
        core: the connection.
    """

    def __init__(self, core: WebSocketConnection) -> None:
        self._core = core

    def fileno(self) -> int:
        """The descriptor, -1 when it is closed. Over HTTP/2 others use it, too."""
        return self._core.stream.fileno()

    @contextmanager
    def _shared(self) -> Iterator[socket.socket]:
        """The socket, for a moment: a second descriptor of it that is closed at once."""
        number = self.fileno()
        if number < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        with socket.socket(fileno=socket.dup(number)) as sock:
            yield sock

    def getsockname(self) -> Any:
        """This end of the connection, in the form of its address family."""
        with self._shared() as sock:
            return sock.getsockname()

    def getpeername(self) -> Any:
        """The other end of the connection: the proxy's, where there is one."""
        with self._shared() as sock:
            return sock.getpeername()

    def getsockopt(self, *args: Any) -> Any:
        """See `socket.socket.getsockopt`."""
        with self._shared() as sock:
            return sock.getsockopt(*args)

    def setsockopt(self, *args: Any) -> None:
        """See `socket.socket.setsockopt`."""
        with self._shared() as sock:
            sock.setsockopt(*args)

    @property
    def family(self) -> socket.AddressFamily | int:
        """The address family."""
        with self._shared() as sock:
            return sock.family

    @property
    def type(self) -> socket.SocketKind | int:
        """The kind of socket."""
        with self._shared() as sock:
            return sock.type

    @property
    def proto(self) -> int:
        """The protocol number."""
        with self._shared() as sock:
            return sock.proto

    def shutdown(self, how: int) -> None:
        """Shut down one or both halves of the connection: it is lost then, without a closing handshake."""
        if self._core.version >= 2:
            self._core.abort()  # the socket is not ours alone
            return
        with self._shared() as sock:
            sock.shutdown(how)

    def close(self) -> None:
        """Give the connection up, without a closing handshake."""
        self._core.abort()

    def __getattr__(self, name: str) -> Any:
        """What `ssl.SSLSocket` tells about its session."""
        session = self._core.checktls() if name in _OF_THE_SESSION else None
        if session is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(session, name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} fd={self.fileno()}>"
