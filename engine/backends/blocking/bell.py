"""How one thread ends another's `poll`: a pair of sockets, one of which is polled."""

from __future__ import annotations

import socket
import threading

__all__ = ["Bell"]


class Bell:
    """Rings until somebody hushes it. Any thread may ring; those who poll `sock` notice.

    Attributes:
        sock: readable while the bell rings.
    """

    __slots__ = ("_lock", "_ringing", "_string", "sock")

    def __init__(self) -> None:
        self.sock, self._string = socket.socketpair()
        self.sock.setblocking(False)
        self._string.setblocking(False)
        self._lock = threading.Lock()
        self._ringing = False

    def ring(self) -> None:
        """Make `sock` readable. Never waits."""
        with self._lock:
            # Not on a closed one: the system may have given its number to somebody else.
            if not self._ringing and self._string.fileno() >= 0:
                self._ringing = True
                self._string.send(b"!")

    def hush(self) -> bool:
        """Be quiet again; whether it rang."""
        with self._lock:
            rang, self._ringing = self._ringing, False
            if rang and self.sock.fileno() >= 0:
                self.sock.recv(1)
            return rang

    def close(self) -> None:
        """Release the descriptors. Idempotent; who polls must have left."""
        with self._lock:
            self.sock.close()
            self._string.close()
