"""A connected socket as a blocking `ByteStream`.

The socket is non-blocking, so that one thread may read while another writes and neither waits inside a system call that
the other needs; waiting is done by `poll`. A request and its answer cost three system calls: send, poll, recv.

Closing while another thread waits: a descriptor must not be closed under a thread that is about to use its number, for
the system may give the same number to somebody else's new connection. So `close` only shuts the connection down, which
wakes the thread, and the last thread to leave closes the descriptor. The order of the flags makes it safe: a user
announces itself first and looks at `_closed` after, `close` sets `_closed` first and looks for users after.
"""

from __future__ import annotations

import os
import socket
from typing import TypeVar

from ...errors import NetworkError, ReadError, ReadTimeout, WriteError, WriteTimeout
from ..base import FOREVER, Address, Interrupted
from ..sockets import CLOSED_HERE, SocketStream, prepare, translated
from .bell import Bell
from .readiness import LONGEST_MS, READ, WRITE, create_poller, milliseconds_until

__all__ = ["BlockingStream"]

Error = TypeVar("Error", bound=NetworkError)

# A program may have given SIGPIPE its deadly default back; ask for EPIPE instead where the system lets us.
_SEND_FLAGS = getattr(socket, "MSG_NOSIGNAL", 0)
# Asking recv for 128 KiB or more makes the allocator map and unmap pages each time (15 µs): not before input is plenty.
# Twice the larger size (a reader holds the last piece while the next is received) still fits what the C library keeps of
# freed memory; with more, every read pays for fresh pages.
_SMALL, _BIG = 64 * 1024, 256 * 1024


class BlockingStream(SocketStream):
    """See the module and `ByteStream`.

    Args:
        sock: a connected socket; the stream owns it from now on.
        peer: the peer's address where it is known, as `accept` returns it.
        is_prepared: whether it is non-blocking and has its options.
    """

    __slots__ = (
        "_bell",
        "_closed",
        "_eof_sent",
        "_local",
        "_look",
        "_more",
        "_peer",
        "_pid",
        "_poll",
        "_receiving",
        "_recv",
        "_send",
        "_sending",
        "_size",
        "_sock",
        "_waiting",
    )

    def __init__(self, sock: socket.socket, peer: Address | None = None, is_prepared: bool = False) -> None:
        if not is_prepared:
            prepare(sock)
        self._sock = sock
        self._send = sock.send
        self._recv = sock.recv
        self._poll = self._look = create_poller((sock, READ)).poll
        self._bell: Bell | None = None
        self._size = _SMALL
        self._more = False  # the last recv got all it asked for: there is probably more, and no need to poll first
        self._closed = self._receiving = self._sending = self._eof_sent = self._waiting = False
        self._local: Address | None = None
        self._peer = peer
        self._pid = os.getpid()

    async def receive_some(self, max_bytes: int, deadline: float) -> bytes:
        """See `ByteStream.receive_some`."""
        self._receiving = True
        self._waiting = False
        try:
            if self._closed:
                raise ReadError(CLOSED_HERE)
            size = self._size
            if max_bytes < size:
                size = max_bytes
            while True:
                if self._more:
                    self._more = False
                else:
                    timeout = None if deadline == FOREVER else milliseconds_until(deadline)
                    self._waiting = True
                    ready = self._poll(timeout)
                    self._waiting = False
                    if not ready and timeout != LONGEST_MS:
                        raise ReadTimeout("no data came in time")
                try:
                    data = self._recv(size)
                    break
                except BlockingIOError:
                    # The bell is among what is polled, so looking at it here costs those without one nothing.
                    self._listen()
                    continue
            if self._closed:
                raise ReadError(CLOSED_HERE)
            if len(data) == size:
                self._more = True
                if size == _SMALL:
                    self._size = _BIG
            elif len(data) < _SMALL:
                self._size = _SMALL
            return data
        except (ReadError, ReadTimeout):
            raise
        except OSError as fault:
            raise self._failure(ReadError, fault) from fault
        finally:
            self._receiving = False
            if self._closed:
                self._release()

    def _listen(self) -> None:
        if self._bell is not None and self._bell.hush():
            raise Interrupted("interrupted") from None

    def _failure(self, kind: type[Error], fault: OSError) -> Error:
        """What a failing system call means: the descriptor may be gone because `close` was called."""
        return kind(CLOSED_HERE) if self._closed else translated(kind, fault)

    async def send_some(self, data: bytes | bytearray | memoryview, deadline: float, or_readable: bool = False) -> int:
        """See `ByteStream.send_some`."""
        self._sending = True
        if or_readable:  # of who receives, too: an interrupt may have left it so
            self._waiting = False
        try:
            if self._closed:
                raise WriteError(CLOSED_HERE)
            try:
                return self._send(data, _SEND_FLAGS)
            except BlockingIOError:
                return self._send_slowly(data, deadline, or_readable)
        except (WriteError, WriteTimeout):
            raise
        except OSError as fault:
            raise self._failure(WriteError, fault) from fault
        finally:
            self._sending = False
            if self._closed:
                self._release()

    def _send_slowly(self, data: bytes | bytearray | memoryview, deadline: float, or_readable: bool) -> int:
        # A poller of its own: the stream's may be in use by the thread that reads.
        sock, bell = self._sock, self._bell
        if not or_readable:
            poller = create_poller((sock, WRITE))
        elif bell is None:
            poller = create_poller((sock, WRITE | READ))
        else:
            poller = create_poller((sock, WRITE | READ), (bell.sock, READ))
        while True:
            timeout = milliseconds_until(deadline)
            if or_readable:
                self._waiting = True
            ready = poller.poll(timeout)
            if or_readable:
                self._waiting = False
            if self._closed:
                raise WriteError(CLOSED_HERE)
            if not ready:
                if timeout is not None and timeout >= LONGEST_MS:
                    continue
                raise WriteTimeout("the peer did not take the data in time")
            try:
                return self._send(data, _SEND_FLAGS)
            except BlockingIOError:
                if or_readable and (self.is_readable() or (bell is not None and bell.hush())):
                    return 0

    async def send_eof(self, deadline: float) -> None:
        """See `ByteStream.send_eof`; never waits here."""
        if self._closed:
            raise WriteError(CLOSED_HERE)
        if not self._eof_sent:
            try:
                self._sock.shutdown(socket.SHUT_WR)
            except OSError as fault:
                raise translated(WriteError, fault) from fault
            self._eof_sent = True

    def allow_interrupts(self) -> None:
        """See `ByteStream.allow_interrupts`."""
        if self._bell is None and not self._closed:
            self._bell = Bell()
            self._poll = create_poller((self._sock, READ), (self._bell.sock, READ)).poll

    def interrupt(self) -> None:
        """See `ByteStream.interrupt`."""
        if self._bell is not None:
            self._bell.ring()

    @property
    def is_waiting_for_input(self) -> bool:
        """See `ByteStream.is_waiting_for_input`."""
        return self._waiting

    def is_readable(self) -> bool:
        """See `ByteStream.is_readable`."""
        if self._closed:
            return True
        try:
            # A poller serves one thread at a time; the stream's own is free unless somebody is receiving.
            shared = self._receiving and self._bell is None
            poll = create_poller((self._sock, READ)).poll if shared else self._look
            return bool(poll(0))
        except (OSError, ValueError, RuntimeError):  # closed in between, or asked by two threads at once
            return True

    def close(self) -> None:
        """See `ByteStream.close`. A thread that waits in this stream gets `ReadError` or `WriteError`."""
        self._closed = True
        if (self._receiving or self._sending) and self._pid == os.getpid():
            # In a forked child those are threads of the parent's, whose connection it is.
            try:
                self._sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # not connected any more: then nobody waits for long
        if not (self._receiving or self._sending):
            self._release()

    def _release(self) -> None:
        if not (self._receiving or self._sending):
            try:
                self._sock.close()
            except OSError:
                pass  # some systems report a reset here; the descriptor is gone all the same
            if self._bell is not None:
                self._bell.close()

    @property
    def is_closed(self) -> bool:
        """See `ByteStream.is_closed`."""
        return self._closed

    def fileno(self) -> int:
        """See `ByteStream.fileno`."""
        return -1 if self._closed else self._sock.fileno()
