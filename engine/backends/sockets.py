"""What the socket-based backends share: opening, naming and preparing sockets, and turning `OSError` into our errors.

Nothing here waits.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, TypeVar

from ..errors import ConnectError, NetworkError, UsageError
from .base import Address, ByteStream, SocketOption

__all__ = [
    "CLOSED_HERE",
    "Opening",
    "SocketStream",
    "address_of",
    "has_nodelay",
    "is_connect_pending",
    "prepare",
    "set_nodelay",
    "translated",
]

CLOSED_HERE = "closed by this side"
Error = TypeVar("Error", bound=NetworkError)

# Windows reports a connect in progress as WSAEWOULDBLOCK. On AF_UNIX, EAGAIN means something else: see `Opening`.
_PENDING = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY, errno.EINTR})


def translated(kind: type[Error], fault: OSError) -> Error:
    """Make an error of `kind` with the errno and text of `fault`; raise it `from fault`."""
    if fault.errno is None:
        return kind(str(fault))
    return kind(fault.errno, fault.strerror or os.strerror(fault.errno))


def prepare(sock: socket.socket) -> None:
    """Make `sock` non-blocking and, on TCP, send small segments at once (TCP_NODELAY)."""
    sock.setblocking(False)
    set_nodelay(sock, True)


def set_nodelay(sock: socket.socket, value: bool) -> None:
    """Say whether small segments go out at once, where there are such."""
    if sock.family != getattr(socket, "AF_UNIX", None):
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, value)
        except OSError:
            pass  # not TCP, or (macOS) reset already: the next read or write will tell


def has_nodelay(sock: socket.socket) -> bool:
    """Whether small segments go out at once; so they do where nothing can be found out."""
    try:
        return bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    except OSError:
        return True


def address_of(sock: socket.socket, name: Any) -> Address:
    """Turn what `getsockname` or `getpeername` gave into an `Address`."""
    family = int(sock.family)
    if isinstance(name, tuple):
        return Address(family, name[0], name[1])
    # AF_UNIX: an unnamed socket has "" and one in Linux' abstract namespace bytes that begin with NUL.
    return Address(family, os.fsdecode(name) or None if isinstance(name, (str, bytes)) else None)


class SocketStream(ByteStream):
    """A byte stream on a socket of the system: its two ends, looked up once and remembered beyond the socket's end."""

    _sock: socket.socket
    _local: Address | None
    _peer: Address | None

    @property
    def local_address(self) -> Address:
        """See `ByteStream.local_address`."""
        if self._local is None:
            try:
                self._local = address_of(self._sock, self._sock.getsockname())
            except OSError:
                return Address(0)
        return self._local

    @property
    def peer_address(self) -> Address:
        """See `ByteStream.peer_address`."""
        if self._peer is None:
            try:
                self._peer = address_of(self._sock, self._sock.getpeername())
            except OSError:
                return Address(0)
        return self._peer


def is_connect_pending(family: int, code: int) -> bool:
    """Whether the errno of a `connect` means "wait until it is writable"."""
    return code in _PENDING and not (code == errno.EAGAIN and family == getattr(socket, "AF_UNIX", None))


class Opening:
    """A socket in the middle of a non-blocking connect.

    Args:
        family: `socket.AF_INET` or the like.
        address: where to, in numbers, as `socket.connect` takes it.
        local_address: where to bind first.
        socket_options: see `Backend.start_connect`.

    Raises:
        ConnectError: creating, setting an option, binding or connecting failed at once.
        UsageError: an option is none.

    Attributes:
        sock: the socket.
        done: whether the connect is over, well or not.
        error: the errno it failed with, 0 when it did not.
        must_retry: the listener's queue is full, which AF_UNIX reports instead of waiting. Readiness means nothing
            then: call `check` again after a while.
    """

    __slots__ = ("_address", "done", "error", "must_retry", "sock")

    def __init__(
        self, family: int, address: Any, local_address: Any, socket_options: tuple[SocketOption, ...] | None = None
    ) -> None:
        self._address = address
        self.done = self.must_retry = False
        self.error = 0
        try:
            self.sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as fault:
            raise translated(ConnectError, fault) from fault
        try:
            if socket_options is None:
                prepare(self.sock)
            else:
                self.sock.setblocking(False)
                _set_options(self.sock, socket_options)
            if local_address is not None:
                self.sock.bind(local_address)
            self._judge(self.sock.connect_ex(address))
            if self.error:
                raise ConnectError(self.error, os.strerror(self.error))
        except ConnectError:
            self.sock.close()
            raise
        except OSError as fault:
            self.sock.close()
            raise translated(ConnectError, fault) from fault
        except BaseException:
            self.sock.close()
            raise

    def _judge(self, code: int) -> None:
        if code in (0, errno.EISCONN):
            self.done = True
        elif code == errno.EAGAIN and not is_connect_pending(self.sock.family, code):
            self.must_retry = True
        elif not is_connect_pending(self.sock.family, code):
            self.done, self.error = True, code

    def check(self) -> bool:
        """Look, once the socket is ready (or some time passed, with `must_retry`), how it went; return `done`."""
        if self.done:
            return True
        if self.must_retry:
            self.must_retry = False
            self._judge(self.sock.connect_ex(self._address))
            return self.done
        try:
            self.error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not self.error:
                self.sock.getpeername()  # readiness can be spurious
        except OSError as fault:
            if fault.errno == errno.ENOTCONN:
                return False
            self.error = fault.errno or errno.EIO
        self.done = True
        return True

    def take(self) -> socket.socket:
        """Return the connected socket, or raise `ConnectError`."""
        if self.error:
            self.sock.close()
            raise ConnectError(self.error, os.strerror(self.error))
        if not self.done:
            raise RuntimeError("the connection attempt is not finished")
        return self.sock

    def close(self) -> None:
        """Release the socket. Idempotent."""
        self.sock.close()


def _set_options(sock: socket.socket, options: tuple[SocketOption, ...]) -> None:
    for option in options:
        try:
            sock.setsockopt(*option)
        except (TypeError, OverflowError) as error:
            raise UsageError(f"{option!r} is no socket option: {error}") from error
