"""Pipes in memory: two streams that are each other's peer."""

from __future__ import annotations

import errno
import os

from ...errors import ReadError, ReadTimeout, WriteError, WriteTimeout
from ..base import Address, ByteStream, Interrupted
from ..sockets import CLOSED_HERE
from .scheduler import Event, Scheduler

__all__ = ["MemoryStream"]


class MemoryStream(ByteStream):
    """One end of a pipe. Made by `MemoryBackend.pipe` and by connecting.

    Args:
        scheduler: who runs the tasks.
        capacity: how many bytes may be on the way to the peer; None for no limit.
        piece: how many bytes at most one `receive_some` gives and one `send_some` takes; None for no limit. With 1, code
            shows whether it depends on where the pieces are cut.
        local: this end.
        remote: the other end.
    """

    def __init__(
        self, scheduler: Scheduler, capacity: int | None, piece: int | None, local: Address, remote: Address
    ) -> None:
        self._scheduler = scheduler
        self._capacity = capacity
        self._piece = piece
        self._local, self._remote = local, remote
        self._peer = self
        self._input = bytearray()
        self._input_ended = False
        self._output_ended = False
        self._fault = 0  # the errno that broke the connection
        self._closed = False
        self._interrupted = False
        self._changed = Event()

    def connect_to(self, peer: MemoryStream) -> None:
        """Make `peer` the other end of this stream."""
        self._peer = peer

    async def receive_some(self, max_bytes: int, deadline: float) -> bytes:
        """See `ByteStream.receive_some`."""
        while not (self._input or self._input_ended or self._fault or self._closed):
            if self._take_interrupt():
                raise Interrupted("interrupted")
            if not await self._scheduler.wait(self._changed, deadline, f"input from {self._remote.host}"):
                if not self.is_readable():
                    raise ReadTimeout("no data came in time")
        if self._closed:
            raise ReadError(CLOSED_HERE)
        if self._input:
            size = max_bytes if self._piece is None else min(max_bytes, self._piece)
            data = bytes(self._input[:size])
            del self._input[:size]
            self._peer._changed.wake_all()
            return data
        if self._fault:
            raise ReadError(self._fault, os.strerror(self._fault))
        return b""

    async def send_some(self, data: bytes | bytearray | memoryview, deadline: float, or_readable: bool = False) -> int:
        """See `ByteStream.send_some`."""
        while True:
            self._check_writable()
            size = min(len(data), self._room())
            if size or not data:
                break
            if or_readable and (self.is_readable() or self._take_interrupt()):
                return 0
            if deadline <= self._scheduler.now:
                raise WriteTimeout("the peer did not take the data in time")
            await self._scheduler.wait(self._changed, deadline, f"room for output to {self._remote.host}")
        if self._peer._closed:
            # As in TCP: the first segment for a socket that is gone is answered with a reset.
            self._break(errno.ECONNRESET)
        else:
            self._peer._input += data[:size]
            self._peer._changed.wake_all()
        return size

    def _room(self) -> int:
        room = 2**62 if self._piece is None else self._piece
        if self._capacity is not None and not self._peer._closed:
            room = min(room, self._capacity - len(self._peer._input))
        return room

    def _check_writable(self) -> None:
        if self._closed:
            raise WriteError(CLOSED_HERE)
        if self._fault:
            raise WriteError(self._fault, os.strerror(self._fault))
        if self._output_ended:
            raise WriteError(errno.EPIPE, os.strerror(errno.EPIPE))

    async def send_eof(self, deadline: float) -> None:
        """See `ByteStream.send_eof`; never waits here."""
        if not self._output_ended or self._closed:
            self._check_writable()
            self._end_output()

    def _end_output(self) -> None:
        self._output_ended = True
        self._peer._input_ended = True
        self._peer._changed.wake_all()

    def _break(self, code: int) -> None:
        self._fault = code
        self._changed.wake_all()

    def reset(self) -> None:
        """Close this end so that the other one sees "connection reset by peer" after the input it has."""
        self._peer._break(errno.ECONNRESET)
        self.close()

    def interrupt(self) -> None:
        """See `ByteStream.interrupt`."""
        self._interrupted = True
        self._changed.wake_all()

    def _take_interrupt(self) -> bool:
        taken, self._interrupted = self._interrupted, False
        return taken

    def is_readable(self) -> bool:
        """See `ByteStream.is_readable`."""
        return bool(self._input or self._input_ended or self._fault or self._closed)

    def close(self) -> None:
        """See `ByteStream.close`. As in TCP, input that nobody took resets the connection."""
        if not self._closed:
            self._closed = True
            if self._input:
                self._peer._break(errno.ECONNRESET)
                self._input.clear()
            self._end_output()
            self._changed.wake_all()

    @property
    def is_closed(self) -> bool:
        """See `ByteStream.is_closed`."""
        return self._closed

    @property
    def local_address(self) -> Address:
        """See `ByteStream.local_address`."""
        return self._local

    @property
    def peer_address(self) -> Address:
        """See `ByteStream.peer_address`."""
        return self._remote

    def fileno(self) -> int:
        """See `ByteStream.fileno`: always -1."""
        return -1
