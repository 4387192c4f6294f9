"""What a WebSocket sends: the outbox, who empties it, and whose turn it is to send a message.

Laws:

- a frame is made and queued in one step under the guard, so that frames go out in the order in which they were made, whoever
  sends: compression depends on it;
- one *flusher* at a time sends from the outbox; what a timed-out or cancelled one leaves is sent by whoever comes next:
  another sender, or who reads;
- a message in fragments has the turn until its last one; control frames may go between, other messages may not.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

from ..backends.base import FOREVER, Backend, ByteStream, Waiter
from ..errors import EngineError, NetworkError, Timeout, WebSocketClosed, WriteTimeout
from ..protocol.websocket_library import Output
from ..protocol.websocket_machine import WebSocketMachine

__all__ = ["WebSocketOutput", "fresh"]

# Frames up to this size go out together, in bytes.
_TOGETHER = 64 * 1024
_NO_TURN = "others had the turn until the time was over"
_NOW = -FOREVER  # a deadline that has passed: do what can be done without waiting


def fresh(error: EngineError) -> EngineError:
    """A copy of an error that is told to many, each of whom raises it with a traceback of its own."""
    again = copy.copy(error).with_traceback(None)
    again.__cause__ = error.__cause__
    return again


class WebSocketOutput:
    """The sending half of `WebSocketCore`.

    Attributes:
        stream: the connected byte stream: a socket's, or the tunnel of an HTTP/2 stream.
        backend: the stream's.
        machine: makes the frames.
        guard: held by whoever touches the machine, the outbox or the books; never during a wait.
    """

    __slots__ = (
        "_fault",
        "_flushing",
        "_has_helper",
        "_last_pong",
        "_offset",
        "_outbox",
        "_queued",
        "_sent",
        "_waiters",
        "_write_fault",
        "backend",
        "guard",
        "machine",
        "stream",
    )

    def __init__(self, stream: ByteStream, backend: Backend, machine: WebSocketMachine) -> None:
        self.stream = stream
        self.backend = backend
        self.machine = machine
        self.guard = backend.create_guard()
        self._outbox: list[bytes | memoryview] = []
        self._offset = 0  # bytes of the first of them that are sent already
        self._queued = 0  # bytes that ever were in the outbox, and
        self._sent = 0  # that left it
        self._flushing = False
        self._has_helper = False  # a task or thread of its own empties the outbox, or is going to
        self._last_pong: bytes | None = None  # to be answered when there is room
        self._waiters: list[Waiter] = []
        self._fault: EngineError | None = None  # how the connection was lost
        self._write_fault: EngineError | None = None  # and how, for those who send: others may still be reading

    # -- waiting -------------------------------------------------------------------------------------------------------

    def _register(self) -> Waiter:
        """Make a waiter for the next change. Under the guard, which is left before it is waited for."""
        waiter = self.backend.create_waiter()
        self._waiters.append(waiter)
        return waiter

    async def _follow(self, waiter: Waiter, deadline: float) -> bool:
        """Wait for the next change; False when the deadline came first."""
        woken = False
        try:
            woken = await waiter.wait(deadline)
        finally:
            if not woken:
                with self.guard:
                    if waiter in self._waiters:
                        self._waiters.remove(waiter)
        return woken

    def _wake(self) -> None:
        """Have everybody who waits look again. Under the guard."""
        waiters = self._waiters
        if waiters:
            for waiter in waiters:
                waiter.wake()
            waiters.clear()

    def _check_sending(self) -> None:
        """Raise what the connection was lost by. Under the guard."""
        fault = self._fault or self._write_fault
        if fault is not None:
            raise fresh(fault)

    # -- queueing ------------------------------------------------------------------------------------------------------

    @property
    def unsent(self) -> int:
        """How many bytes wait to be sent: those that the stream did not take yet."""
        return self._queued - self._sent

    @property
    def _waiting_output(self) -> int:
        return self._queued - self._sent

    def _put(self, frame: Output) -> int:
        """Queue a frame; returns the count of bytes up to its end. Under the guard, in the step that made it."""
        if isinstance(frame, bytes):
            if frame:
                self._outbox.append(frame)
                self._queued += len(frame)
            return self._queued
        for data in frame:
            if data:
                self._outbox.append(data)
                self._queued += len(data)
        return self._queued

    async def _send(self, make: Callable[[], Output], is_turn: Callable[[], bool], deadline: float) -> None:
        """Make a frame when there is room and it is its turn, and send it.

        Args:
            make: makes the frame; called once, under the guard. What it raises comes through, and nothing was sent.
            is_turn: whether it may be made; under the guard.
            deadline: for all of it.

        Raises:
            WriteTimeout: the frame was not made, or (when it was) not sent whole yet.
        """
        limit = self.machine.limits.max_outbox
        is_first, target = False, 0
        while True:
            flush, waiter = False, None
            with self.guard:
                if self._write_fault is not None or self._fault is not None:
                    if self._fault is None:
                        self.machine.check_open()  # in order, and then nobody minds that nothing can be sent any more
                    self._check_sending()
                if self._queued - self._sent < limit and is_turn():
                    is_first = not self._outbox and not self._flushing
                    target = self._put(make())
                    self._flushing = self._flushing or is_first
                    break
                if self._outbox and not self._flushing:
                    self._flushing = flush = True
                else:
                    waiter = self._register()
            if flush:
                try:
                    await self._flush(deadline)
                except WriteTimeout:
                    raise WriteTimeout(_NO_TURN) from None
            elif waiter is not None and not await self._follow(waiter, deadline):
                raise WriteTimeout(_NO_TURN)
        if is_first:
            await self._flush_first(deadline)
        else:
            await self._flush_to(target, deadline)

    @property
    def _is_quiet(self) -> bool:
        """Whether nothing waits to be sent, nobody sends, and nothing is wrong. Under the guard."""
        return not (self._outbox or self._flushing or self._write_fault or self._fault)

    async def _flush_first(self, deadline: float) -> None:
        """`_flush` for one who put a frame into an empty outbox and has taken the flusher's role."""
        data = self._outbox[0]
        try:
            sent = await self.stream.send_some(data, deadline)
        except BaseException as error:
            self._stop_flushing(error)
            raise
        with self.guard:
            self._sent_some(sent)
            if not self._outbox:
                self._flushing = False
                if self._waiters:
                    self._wake()
                return
        await self._flush(deadline)

    async def _flush_to(self, target: int, deadline: float) -> None:
        """See that what was queued up to `target` goes out."""
        while True:
            waiter = None
            with self.guard:
                if self._sent >= target:
                    return
                self._check_sending()
                if self._flushing:
                    waiter = self._register()
                else:
                    self._flushing = True
            if waiter is None:
                await self._flush(deadline)
            elif not await self._follow(waiter, deadline):
                raise WriteTimeout("the peer did not take the data in time")

    async def flush_by(self, deadline: float) -> None:
        """Send all that is queued.

        Raises:
            WriteTimeout, WriteError, WebSocketClosed.
        """
        await self._flush_to(self._queued, deadline)

    async def _flush_now(self) -> None:
        """Send of the outbox what goes without waiting, unless somebody is at it. Errors are left for readers to notice."""
        with self.guard:
            if self._flushing or not self._outbox:
                return
            self._flushing = True
        try:
            await self._flush(_NOW)
        except (NetworkError, Timeout):
            return

    # -- sending -------------------------------------------------------------------------------------------------------

    async def _flush(self, deadline: float) -> None:
        """Empty the outbox; the caller has taken the flusher's role, which this gives back."""
        try:
            while True:
                with self.guard:
                    if not self._outbox:
                        self._flushing = False
                        self._wake()
                        return
                    data = self._next_output()
                sent = await self.stream.send_some(data, deadline)
                with self.guard:
                    self._sent_some(sent)
        except BaseException as error:
            self._stop_flushing(error)
            raise

    def _stop_flushing(self, error: BaseException) -> None:
        """Give the flusher's role back, because of an error. Not under the guard."""
        with self.guard:
            self._flushing = False
            if isinstance(error, NetworkError):
                self._sending_failed(error)
            self._wake()
            if self._outbox:
                self._output_is_left()

    def _output_is_left(self) -> None:
        """Who was sending has gone, and there is more. Under the guard."""

    def _flush_soon(self) -> None:
        """Have what is in the outbox sent, by somebody who has nothing else to do, unless somebody is at it."""
        with self.guard:
            if self._has_helper or self._flushing or not self._outbox:
                return
            self._has_helper = True
        try:
            self.backend.spawn(self._flush_by_and_by(), "drivetrain: WebSocket output")
        except BaseException:
            self._has_helper = False
            raise

    async def _flush_by_and_by(self) -> None:
        try:
            while True:
                with self.guard:
                    if not self._outbox:
                        self._has_helper = False
                        return
                await self.flush_by(FOREVER)
        except BaseException as error:
            self._has_helper = False
            if not isinstance(error, (NetworkError, WebSocketClosed)):  # which are told to those who send or receive
                raise

    def _next_output(self) -> bytes | memoryview:
        """What to send next. Under the guard."""
        outbox = self._outbox
        first = outbox[0]
        if len(outbox) > 1:
            size = count = 0
            while count < len(outbox) and (size := size + len(outbox[count])) <= _TOGETHER:
                count += 1
            if count > 1:
                first = b"".join(outbox[:count])
                outbox[:count] = [first]
        return memoryview(first)[self._offset :] if self._offset else first

    def _sent_some(self, size: int) -> None:
        """The system took `size` bytes of what `_next_output` gave. Under the guard."""
        if not self._outbox:
            return  # given up meanwhile
        self._sent += size
        size += self._offset
        if size == len(self._outbox[0]):
            del self._outbox[0]
            size = 0
            if self._last_pong is not None and not self._outbox:
                self._outbox_is_empty()
        self._offset = size

    def _outbox_is_empty(self) -> None:
        """A Ping was not answered for want of room. Under the guard."""

    def _give_up_output(self) -> None:
        """What waits to be sent is not going to be. Under the guard."""
        machine = self.machine
        self._outbox.clear()
        self._offset = 0
        if self._write_fault is None:
            self._write_fault = WebSocketClosed("the WebSocket was closed", machine.close_received, machine.close_sent)

    def _sending_failed(self, error: NetworkError) -> None:
        """Nothing can be sent any more. What the peer said before can still be read. Under the guard."""
        self._outbox.clear()
        self._offset = 0
        self._write_fault = fresh(error)
