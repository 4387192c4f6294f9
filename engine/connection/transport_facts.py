"""What a connection of any version can say about the stream of bytes below it."""

from __future__ import annotations

import ssl
from collections.abc import Sized

from ..backends.base import FOREVER, Address, Backend, ByteStream

__all__ = ["TransportFacts"]


class TransportFacts:
    """The facts about `stream` that lua-http's connections offer. Base of `H1Transport` and `H2Output`."""

    stream: ByteStream
    backend: Backend
    _outbox: Sized
    _taken = False  # whether the socket was given away

    def deadline_after(self, timeout: float | None) -> float:
        """Turn a timeout in seconds, None for no limit, into a deadline on the backend's clock."""
        return FOREVER if timeout is None else self.backend.now() + timeout

    def checktls(self) -> ssl.SSLObject | None:
        """The TLS session, or None on a connection in clear or without its socket."""
        return None if self._taken else self.stream.ssl_object

    def localname(self) -> Address:
        """This end of the connection; family 0 (AF_UNSPEC) once the socket was taken or closed."""
        return Address(0) if self._taken or self.stream.is_closed else self.stream.local_address

    def peername(self) -> Address:
        """The next hop: the proxy, where there is one; family 0 (AF_UNSPEC) once the socket was taken or closed."""
        return Address(0) if self._taken or self.stream.is_closed else self.stream.peer_address

    def pollfd(self) -> int | None:
        """The descriptor to poll in a foreign loop, None once there is none."""
        number = -1 if self._taken else self.stream.fileno()
        return None if number < 0 else number

    def events(self) -> str | None:
        """What the connection waits for on `pollfd`: "r", and "w" while the outbox holds bytes. None without a socket."""
        if self.pollfd() is None:
            return None
        return "rw" if self._outbox else "r"
