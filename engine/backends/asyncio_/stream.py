"""A connected transport as an asyncio `ByteStream`.

One `asyncio.BufferedProtocol`, because with a plain `Protocol` the selector loop asks the system for 256 KiB on every read,
and allocating that costs more than the whole of the rest (15 µs). All streams of a loop receive into one buffer, out of which
what came is copied at once: idle connections, of which there may be thousands, have none. Only where the system fills buffers
while nobody looks, as on Windows, has each stream its own.

Waiting for input creates one future. The timer for read deadlines is armed when there is none or the new deadline is
earlier, and is otherwise left alone: when it fires early it is set again. So a keep-alive connection with a timeout on
each request makes one timer per timeout that really passes, not one per read.

What arrives goes into the buffer first and is taken out by the task that was woken. A task that is cancelled or times out
at that very moment therefore loses nothing.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
from collections import deque
from collections.abc import Callable
from typing import cast
from weakref import WeakKeyDictionary

from ...errors import ReadError, ReadTimeout, WriteError, WriteTimeout
from ..base import FOREVER, Address, Interrupted
from ..sockets import CLOSED_HERE, SocketStream, translated
from .timing import LONGEST, Signal

__all__ = ["AsyncioStream"]

_SMALL, _BIG = 16 * 1024, 256 * 1024  # what one read may bring; a stream's own buffer is small until it was full
_HIGH_WATER = 256 * 1024  # bytes waiting to be received from which on reading pauses, until less than half are left
_PER_CHUNK = 64  # what each piece of input costs beside its bytes, for a peer may send them one by one
_LARGEST_SEND = 1024 * 1024  # bytes the transport may have to keep for one call
_LINGER = 10.0  # seconds for sending, after `close`, what was reported as sent but the system did not take yet
_PROACTOR = getattr(asyncio, "ProactorEventLoop", ())
_buffers: WeakKeyDictionary[asyncio.AbstractEventLoop, memoryview] = WeakKeyDictionary()
_TICK = 0.001  # a loop may count in milliseconds: a timer that fires this early is on time


def _buffer_of(loop: asyncio.AbstractEventLoop) -> memoryview:
    """What a new stream receives into."""
    if isinstance(loop, _PROACTOR):
        return memoryview(bytearray(_SMALL))
    view = _buffers.get(loop)
    if view is None:
        view = _buffers[loop] = memoryview(bytearray(_BIG))
    return view


class AsyncioStream(asyncio.BufferedProtocol, SocketStream):
    """See the module and `ByteStream`. Made by the loop's `create_connection`, whose protocol it is."""

    __slots__ = (
        "_announce",
        "_armed_for",
        "_buffer",
        "_chunks",
        "_closed",
        "_deadline",
        "_eof",
        "_eof_sent",
        "_fault",
        "_held",
        "_interrupted",
        "_local",
        "_loop",
        "_lost",
        "_offset",
        "_paused",
        "_peer",
        "_reader",
        "_room",
        "_sock",
        "_timed_out",
        "_timer",
        "_transport",
        "_view",
        "_write",
        "_write_paused",
        "_writer",
        "_writer_reads",
    )

    _transport: asyncio.Transport
    _sock: socket.socket
    _write: Callable[[bytes | bytearray | memoryview], None]

    def __init__(self, loop: asyncio.AbstractEventLoop, peer: Address | None = None) -> None:
        self._loop = loop
        self._view = _buffer_of(loop)
        self._chunks: deque[bytes] = deque()
        self._offset = 0  # bytes of _chunks[0] that are taken already
        self._held = 0  # bytes in _chunks that are not, and `_PER_CHUNK` for each
        self._paused = self._eof = self._lost = self._closed = self._interrupted = False
        self._fault: BaseException | None = None  # why the connection was lost
        self._reader: asyncio.Future[None] | None = None
        self._announce: Callable[[], None] | None = None
        self._deadline = FOREVER  # of the read that waits, or waited last
        self._timed_out = False
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = FOREVER
        self._write_paused = self._eof_sent = self._writer_reads = False
        self._writer: Signal | None = None
        self._local: Address | None = None
        self._peer = peer

    # -- called by the loop --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; called by the loop."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._write = self._transport.write
        self._sock = transport.get_extra_info("socket")

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where the next input is to be put; called by the loop."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """Take input; called by the loop."""
        view = self._view
        self._chunks.append(bytes(view[:nbytes]))
        self._held += nbytes + _PER_CHUNK
        if nbytes == len(view) < _BIG:
            self._view = memoryview(bytearray(_BIG))
        if self._held >= _HIGH_WATER and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake_reader()

    def eof_received(self) -> bool:
        """Note the peer's end and keep our own side open; called by the loop."""
        self._eof = True
        self._wake_reader()
        return True

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note that it is over; called by the loop."""
        self._lost = True
        self._fault = exc
        self._disarm()
        if exc is not None and not self._closed and not self._eof:
            self._take_what_came()
        self._wake_reader()
        if self._writer is not None:
            self._writer.fire()

    def _take_what_came(self) -> None:
        """After a failed write: the peer may have answered before it went away, and the loop reads no more."""
        try:
            while data := os.read(self._sock.fileno(), _BIG):
                self._chunks.append(data)
                self._held += len(data) + _PER_CHUNK
                if self._held >= _HIGH_WATER:
                    return
        except (OSError, ValueError):
            return  # nothing more there, or no descriptor that can be read like this

    def pause_writing(self) -> None:
        """Hold senders back; called by the loop."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """Let senders go on; called by the loop."""
        self._write_paused = False
        if self._writer is not None:
            self._writer.fire()

    def _wake_reader(self) -> None:
        reader = self._reader
        if reader is not None:
            self._reader = None
            if not reader.done():
                reader.set_result(None)
        elif self._announce is not None:
            self._announce()
        if self._writer_reads and self._writer is not None:
            self._writer.fire()

    # -- receiving -----------------------------------------------------------------------------------------------------

    async def receive_some(self, max_bytes: int, deadline: float) -> bytes:
        """See `ByteStream.receive_some`. Does not suspend when input is buffered."""
        chunks = self._chunks
        while not chunks:
            if self._eof or self._lost or self._closed:
                return self._end()
            if self._interrupted:
                self._interrupted = False
                raise Interrupted("interrupted")
            if self._reader is not None:
                raise RuntimeError("two tasks receive from one stream at the same time")
            self._deadline, self._timed_out = deadline, False
            if deadline < self._armed_for:
                self._arm(deadline)
            reader = self._reader = self._loop.create_future()
            try:
                await reader
            finally:
                if self._reader is reader:
                    self._reader = None
            if self._timed_out and not self.is_readable():
                raise ReadTimeout("no data came in time")
        if self._closed:
            raise ReadError(CLOSED_HERE)
        data, offset = chunks[0], self._offset
        if offset or len(data) > max_bytes:
            size = len(data)
            data = data[offset : offset + max_bytes]
            self._offset = offset = offset + len(data)
            self._held -= len(data)
            if offset == size:
                del chunks[0]
                self._held -= _PER_CHUNK
                self._offset = 0
        else:
            del chunks[0]
            self._held -= len(data) + _PER_CHUNK
        if self._paused and self._held < _HIGH_WATER // 2:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return data

    def _end(self) -> bytes:
        """What a read without input gives: the peer's end, or the error that ended everything."""
        if self._closed:
            raise ReadError(CLOSED_HERE)
        if self._eof:
            return b""
        if isinstance(self._fault, OSError):
            raise translated(ReadError, self._fault) from self._fault
        raise ReadError(errno.ECONNABORTED, "the connection was lost") from self._fault

    def _arm(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = deadline
        self._timer = self._loop.call_at(min(deadline, self._loop.time() + LONGEST), self._on_timer)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._armed_for = FOREVER

    def _on_timer(self) -> None:
        self._timer, self._armed_for = None, FOREVER
        if self._reader is None or self._deadline == FOREVER:
            return  # the next read that has a deadline arms it again
        if self._deadline - self._loop.time() > _TICK:
            self._arm(self._deadline)
        elif self._input_waits_below():
            # A loop that looks at timers before sockets has not delivered it yet; a past deadline must not hide it.
            self._armed_for = self._deadline
            self._timer = self._loop.call_later(_TICK, self._on_timer)
        else:
            self._timed_out = True
            self._wake_reader()

    def _input_waits_below(self) -> bool:
        try:
            if hasattr(select, "poll"):
                poller = select.poll()
                poller.register(self._sock.fileno(), select.POLLIN)
                return bool(poller.poll(0))
            return bool(select.select([self._sock.fileno()], [], [], 0)[0])
        except (OSError, ValueError):
            return False

    # -- sending -------------------------------------------------------------------------------------------------------

    async def send_some(self, data: bytes | bytearray | memoryview, deadline: float, or_readable: bool = False) -> int:
        """See `ByteStream.send_some`. Suspends only while the transport holds more than it wants to."""
        if self._write_paused:
            if not await self._writable(deadline, or_readable):
                return 0
        if self._lost or self._closed or self._eof_sent or self._transport.is_closing():
            raise self._write_error()
        size = len(data)
        if size == 0:
            return 0
        if type(data) is not bytes or size > _LARGEST_SEND:
            # The transport may keep what it could not send: it must get an object that nobody changes or releases.
            size = min(size, _LARGEST_SEND)
            view = memoryview(data)[:size]
            data = view if type(view.obj) is bytes else bytes(view)
        self._write(data)
        return size

    async def _writable(self, deadline: float, or_readable: bool) -> bool:
        """Wait until the transport takes more (or is lost: True); False when input came first."""
        self._writer_reads = or_readable
        try:
            while self._write_paused and not self._lost and not self._closed:
                if or_readable and (self._interrupted or self.is_readable()):
                    self._interrupted = False
                    return False
                if deadline <= self._loop.time():
                    raise WriteTimeout("the peer did not take the data in time")
                self._writer = Signal(self._loop)
                await self._writer.wait(deadline)
            return True
        finally:
            self._writer = None
            self._writer_reads = False

    def _write_error(self) -> WriteError:
        if self._closed:
            return WriteError(CLOSED_HERE)
        if isinstance(self._fault, OSError):
            return translated(WriteError, self._fault)
        if self._eof_sent and not self._lost:
            return WriteError(errno.EPIPE, "this side was ended before")
        return WriteError(errno.ECONNABORTED, "the connection was lost")

    async def send_eof(self, deadline: float) -> None:
        """See `ByteStream.send_eof`; never waits here: the end follows what the transport still holds."""
        if self._closed or self._lost:
            raise self._write_error()
        if not self._eof_sent:
            self._eof_sent = True
            try:
                self._transport.write_eof()
            except OSError as fault:
                raise translated(WriteError, fault) from fault

    # -- the rest ------------------------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """See `ByteStream.interrupt`."""
        if not self._interrupted:
            self._interrupted = True
            self._wake_reader()

    def announce_input(self, callback: Callable[[], None] | None) -> bool:
        """See `ByteStream.announce_input`."""
        self._announce = callback
        return True

    def is_readable(self) -> bool:
        """See `ByteStream.is_readable`. Knows what the loop has delivered so far."""
        return bool(self._chunks) or self._eof or self._lost or self._closed

    def close(self) -> None:
        """See `ByteStream.close`. What was reported as sent is still sent, for some seconds, by the loop."""
        if self._closed:
            return
        self._closed = True
        self._disarm()
        self._chunks.clear()
        if not self._lost:
            if self._transport.get_write_buffer_size() and not self._fault:
                self._transport.close()
                self._timer = self._loop.call_later(_LINGER, self._transport.abort)
            else:
                self._transport.abort()
        self._wake_reader()
        if self._writer is not None:
            self._writer.fire()

    def abort(self) -> None:
        """See `ByteStream.abort`."""
        if not self._lost:
            self._transport.abort()
        self.close()
        self._disarm()

    @property
    def is_closed(self) -> bool:
        """See `ByteStream.is_closed`."""
        return self._closed

    def fileno(self) -> int:
        """See `ByteStream.fileno`."""
        return -1 if self._closed or self._lost else self._sock.fileno()
