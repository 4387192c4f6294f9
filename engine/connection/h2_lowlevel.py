"""What an `H2Connection` offers below messages: single frames and single steps (lua-http's `http.h2_connection`).

For programs that drive a connection from an event loop of their own (`pollfd`, `events`, `timeout`, `step`), that test peers,
or that need a frame of their own. Whoever reads, be it by frames, by steps or for a stream, has the role of the reader: one at a
time, and what one leaves unread is the next one's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..backends.base import Backend, ByteStream
from ..errors import (
    ClosedError,
    ConnectionClosed,
    EngineError,
    IncompleteMessage,
    NetworkError,
    ReadTimeout,
    WriteTimeout,
)
from ..protocol.h2_machine import H2Machine
from ..wire import h2_frames as wire
from ..wire.h2_errors import H2Error, H2ErrorCode
from .h2_lowlevel_controls import H2Controls
from .h2_output import Place, fresh
from .prefixed_stream import PrefixedStream

if TYPE_CHECKING:
    from .h2_connection import H2Connection

__all__ = ["H2IdleHandler", "H2LowLevel"]

H2IdleHandler = Callable[["H2Connection"], None]


class H2LowLevel(H2Controls):
    """Base of `H2Connection`. See the module."""

    def __init__(self, stream: ByteStream, backend: Backend, machine: H2Machine) -> None:
        super().__init__(stream, backend, machine)
        self._idle_handler: H2IdleHandler | None = None

    # -- foreign event loops -------------------------------------------------------------------------------------------

    def timeout(self) -> float | None:
        """Seconds after which to call `step` whatever `pollfd` says: 0 while input waits to be used, None for no need."""
        return 0.0 if self._fault is None and self.stream.is_readable() else None

    def empty(self) -> bool:
        """Whether nothing will come any more, because the peer ended the connection, it broke or was closed."""
        return self._fault is not None

    async def step(self, timeout: float | None = None) -> bool:
        """Send what is queued and handle the next input, as much as one read gives: what a foreign event loop calls.

        Streams get what is theirs of it, requests that came wait for `get_next_incoming_stream`. Where another user of
        the connection is reading, this waits for what that one gets. Several frames may be handled (lua-http: one), and
        more than one read's worth while the peer takes none of what is queued.

        Args:
            timeout: seconds, 0 to handle only what is there, None for no limit.

        Returns:
            True, after a time limit and at the end of the connection too: see `empty`.

        Raises:
            RemoteProtocolError, NetworkError: what ended the connection.
        """
        rounds = self._rounds
        try:
            await self.wait_until(lambda: self._rounds != rounds, self._after_input, self.deadline_after(timeout))
        except ReadTimeout:
            return True
        except EngineError:
            if self._fault is None:
                raise
        if self._fault is not None and not isinstance(self._fault, (ConnectionClosed, ClosedError)):
            raise fresh(self._fault)
        await self.flush_now()
        return True

    async def loop(self, timeout: float | None = None) -> bool:
        """`step` until the connection is `empty` (True), or for `timeout` seconds (False)."""
        deadline = self.deadline_after(timeout)
        while not self.empty():
            await self.step(None if timeout is None else max(0.0, deadline - self.backend.now()))
            if self.backend.now() >= deadline:
                break
        return self.empty()

    async def connect(self, timeout: float | None = None) -> bool:
        """Send the preface and the settings, as every use of the connection does by itself; returns True."""
        if self.is_closed:
            raise ClosedError("the connection was closed")
        await self.flush_by(self.deadline_after(timeout))
        return True

    async def flush(self, timeout: float | None = None) -> None:
        """Send what is queued; raises `WriteTimeout` when some is left, which goes out with what is done next."""
        await self.flush_by(self.deadline_after(timeout))

    def onidle(self, *handler: H2IdleHandler | None) -> H2IdleHandler | None:
        """Return the handler called with the connection when its last stream ended; with an argument, replace it.

        It is called by whoever ended the stream, and must neither wait nor raise.
        """
        old = self._idle_handler
        if handler:
            (self._idle_handler,) = handler
        return old

    def became_idle(self) -> None:
        """The last stream is over. Under the guard."""
        if self._idle_handler is not None:
            self.call_later(self._tell_idle)

    def _tell_idle(self) -> None:
        if self._idle_handler is not None and not self.streams:
            self._idle_handler(self._me)

    # -- any frame -----------------------------------------------------------------------------------------------------

    async def read_http2_frame(self, timeout: float | None = None) -> tuple[int, int, int, bytes] | None:
        """Take the next frame away from the connection, unhandled: its books do not know of it.

        The client's preface (on a server) and a frame or header section that the connection has begun to take in are
        handled by it first. A header block taken here is missing in the connection's compression context.

        Returns:
            (type, flags, stream id, payload); None when the peer ended the connection between frames.

        Raises:
            ReadTimeout: nothing is lost, and what came is the next reader's.
            IncompleteMessage: the connection ended in the middle of a frame.
            H2Error: FRAME_SIZE_ERROR, the frame is larger than this side accepts; it stays unread.
        """
        deadline = self.deadline_after(timeout)
        place: Place = []
        if not await self._take_reading(place, deadline):
            return None
        data = b""
        try:
            while True:
                data = await self._handle_rest(data)
                frame = None if self.machine.missing_input else self._cut_frame(data)
                if frame is not None:
                    data = data[wire.FRAME_HEADER_SIZE + len(frame[3]) :]
                    self.machine.frame_taken()
                    return frame
                more = await self._hear_for(place, deadline)
                if more is None:
                    continue
                if not more:
                    if data:
                        raise IncompleteMessage("the connection ended in the middle of a frame")
                    with self.guard:
                        self._feed(b"")
                    return None
                data += more
        except NetworkError as error:
            with self.guard:
                self.fail(error)
                told = self._fault or error
            raise fresh(told) from error
        finally:
            if data:
                self._unread(data)
            self._stop_reading()
            self.flush_without_waiting()

    async def _hear_for(self, place: Place, deadline: float) -> bytes | None:
        """`_hear` in the reader's role, looking again when the connection broke meanwhile."""
        with self.guard:
            if self._fault is not None:
                raise fresh(self._fault)
            self._reads_for = place
        try:
            return await self._hear(deadline)
        except WriteTimeout as error:
            raise ReadTimeout(str(error)) from None

    async def _handle_rest(self, data: bytes) -> bytes:
        """Let the machine have what is missing of a frame it has begun to take in; returns what is behind."""
        while data and (missing := self.machine.missing_input):
            piece, data = data[:missing], data[missing:]
            with self.guard:
                self._feed(piece)
                fault = self._fault
            self.run_due()
            if fault is not None:
                raise fresh(fault)
            self.flush_without_waiting()
        return data

    def _cut_frame(self, data: bytes) -> tuple[int, int, int, bytes] | None:
        if len(data) < wire.FRAME_HEADER_SIZE:
            return None
        head = wire.parse_frame_head(data)
        if head.length > self.machine.library.max_inbound_frame_size:
            raise H2Error(H2ErrorCode.FRAME_SIZE_ERROR, f"a frame of {head.length} bytes")
        end = wire.FRAME_HEADER_SIZE + head.length
        return None if len(data) < end else (head.type, head.flags, head.stream_id, data[wire.FRAME_HEADER_SIZE : end])

    def _unread(self, data: bytes) -> None:
        """Put back what was received and not used. The caller is the reader."""
        stream = self.stream
        if not isinstance(stream, PrefixedStream):
            stream = self.stream = PrefixedStream(stream, b"")
        stream.unread(data)

    async def _take_reading(self, place: Place, deadline: float) -> bool:
        """Become the reader, sending what is queued first; False when nothing will come any more."""
        waiter = None
        while True:
            flush = False
            with self.guard:
                if waiter is not None and waiter is self._heir:
                    self._heir = None
                if self._fault is not None:
                    if isinstance(self._fault, ConnectionClosed):
                        return False
                    raise fresh(self._fault)
                waiter = None
                if self._outbox and not self._flushing and not self._stuck:
                    flush = self._flushing = True
                elif not self._reading:
                    self._reading = True
                    return True
                else:
                    waiter = self.backend.create_waiter()
                    place.append(waiter)
                    self._waiting[waiter] = place
            if waiter is not None:
                await self._follow(waiter, deadline, ReadTimeout)
            elif flush:
                await self._flush(deadline, quiet=True, at_once=True)

    async def write_http2_frame(
        self,
        type: int,
        flags: int,
        streamid: int,
        payload: bytes,
        timeout: float | None = None,
        flush: bool = True,
    ) -> None:
        """Write a frame as it is: nothing is checked but its size, and the connection's books do not know of it.

        Args:
            type, flags, streamid, payload: what the frame says.
            timeout: seconds for sending, None for no limit. A `WriteTimeout` means that only the sending was not finished:
                the rest goes out with what is done next.
            flush: whether to send now.

        Raises:
            LocalProtocolError: the payload is larger than the peer's MAX_FRAME_SIZE.
            UsageError: a number that does not fit its field.
        """
        with self.guard:
            self.check_open()
            self.by_hand.raw(type, flags, streamid, payload)
            self._collect()
        if flush:
            await self.flush_by(self.deadline_after(timeout))
