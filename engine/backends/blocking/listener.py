"""A listening socket of the blocking backend, which any thread may close while others wait in `accept`."""

from __future__ import annotations

import errno
import socket
import threading

from ...errors import NetworkError
from ..base import Address, ByteStream, Listener
from ..sockets import address_of, translated
from .readiness import LONGEST_MS, READ, create_poller, milliseconds_until
from .stream import BlockingStream

__all__ = ["BlockingListener"]

# The client went away between its connect and our accept, or somebody else accepted it.
_GONE = frozenset({errno.ECONNABORTED, errno.EAGAIN, errno.EWOULDBLOCK, errno.EPROTO})


class BlockingListener(Listener):
    """See `Listener`. Several threads may accept at the same time.

    `close` ends one side of a socket pair whose other side every `accept` polls too. The last thread to leave closes
    the descriptors, so that no number is polled that belongs to somebody else by then.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._address = address_of(sock, sock.getsockname())
        self._bell, self._string = socket.socketpair()
        self._lock = threading.Lock()
        self._waiting = 0
        self._closed = False

    async def accept(self, deadline: float) -> ByteStream | None:
        """See `Listener.accept`."""
        with self._lock:
            if self._closed:
                return None
            self._waiting += 1
        try:
            return self._accept(deadline)
        finally:
            with self._lock:
                self._waiting -= 1
                self._release()

    def _accept(self, deadline: float) -> ByteStream | None:
        poller = create_poller((self._sock, READ), (self._bell, READ))
        while True:
            timeout = milliseconds_until(deadline)
            ready = poller.poll(timeout)
            if self._closed or (not ready and timeout is not None and timeout < LONGEST_MS):
                return None
            try:
                sock, name = self._sock.accept()
            except OSError as fault:
                if fault.errno in _GONE:
                    continue
                raise translated(NetworkError, fault) from fault
            return BlockingStream(sock, address_of(sock, name))

    @property
    def address(self) -> Address:
        """See `Listener.address`."""
        return self._address

    def close(self) -> None:
        """See `Listener.close`."""
        with self._lock:
            self._closed = True
            self._string.close()
            self._release()

    def _release(self) -> None:
        """With the lock held: close what nobody uses any more."""
        if self._closed and not self._waiting:
            self._sock.close()
            self._bell.close()

    def fileno(self) -> int:
        """See `Listener.fileno`."""
        return -1 if self._closed else self._sock.fileno()
