"""One HTTP/2 connection shared by threads or tasks: who reads, who waits. No helper thread, no helper task.

Laws:

- the *guard* covers the machine, the outbox and the books, and never a wait or I/O: taking a stream id, registering the
  stream, encoding its head and appending it to the outbox are one step;
- reading is a *role*: whoever waits and finds nobody reading reads for everybody, and on leaving, for whatever reason,
  wakes one of those who wait to take over; a lone user never makes a waiter;
- only the reader waits on the socket: for input, and while the outbox holds something, for room too. So as long as anybody
  waits for anything, what is queued goes out;
- a condition is looked at, and its waiter registered, under one holding of the guard, so no wake-up is lost; the reader's
  own condition counts: who makes it true interrupts the reader;
- a time limit that passes, or a cancellation, is the waiter's own affair and harms no other stream.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from ..backends.base import FOREVER, Backend, ByteStream, Interrupted, Waiter
from ..errors import (
    LimitExceeded,
    NetworkError,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    Timeout,
    WriteTimeout,
)
from ..protocol.h2_machine import H2Machine
from ..wire.h2_errors import H2ErrorCode
from .h2_output import H2Output, Place, fresh

__all__ = ["H2Core"]

_READ_SIZE = 256 * 1024
_NOW = -FOREVER  # a deadline that has passed: do what can be done without waiting


class H2Core(H2Output):
    """Moves bytes between a byte stream and an HTTP/2 machine for many users at once. Base of `H2Connection`."""

    def __init__(self, stream: ByteStream, backend: Backend, machine: H2Machine) -> None:
        super().__init__(stream, backend, machine)
        stream.allow_interrupts()
        self._reading = False
        self._reads_for: Place | None = None  # where the reader would wait, while it waits for the peer
        self._called = False  # the reader was interrupted, and has not looked again yet
        self._waiting: dict[Waiter, Place] = {}
        self._heir: Waiter | None = None  # woken to take the role over, and not there yet
        self._rounds = 0  # how often input was taken
        self._answers = 0  # bytes that input made this side queue since the outbox was last empty
        self._after_input: Place = []
        self._shares_turns = backend.colour == "async"

    # -- waiting -------------------------------------------------------------------------------------------------------

    async def wait_until(
        self,
        ready: Callable[[], bool],
        place: Place,
        deadline: float,
        late: type[ReadTimeout | WriteTimeout] = ReadTimeout,
    ) -> None:
        """Wait until `ready()`, making the connection progress meanwhile.

        Args:
            ready: looked at under the guard; must be quick and must not raise.
            place: where whoever makes `ready` true looks for those to wake.
            late: what to raise at the deadline.

        Raises:
            Timeout: `late`, or that of the I/O done for everybody; nothing is lost.
            EngineError: the connection broke while `ready` was false.
        """
        heir = False
        waiter: Waiter | None = None
        while True:
            with self.guard:
                if waiter is not None and waiter is self._heir:
                    self._heir = None
                    heir = True
                done = ready()
                if done and heir:
                    # Woken to take the role over, for which there is no need here any more.
                    self._promote()
                if done:
                    break
                if self._fault is not None:
                    raise fresh(self._fault)
                flush, waiter = self._take_part(place)
            try:
                if flush:
                    await self._flush(FOREVER, quiet=True, at_once=True)
                    continue
                if waiter is not None:
                    await self._follow(waiter, deadline, late)
                else:
                    await self._read(ready, place, deadline)
                    heir = False
            except Timeout as error:
                with self.guard:
                    if ready():
                        return
                if isinstance(error, late) and not isinstance(error, Interrupted):
                    raise
                raise late(str(error)) from None
        if heir and self._outbox:
            self.flush_without_waiting()

    def _take_part(self, place: Place) -> tuple[bool, Waiter | None]:
        """Find something to do while waiting at `place`: to flush, or else to follow, or else to read. Under the guard."""
        coming = self._somebody_comes
        if self._outbox and not self._flushing and not self._stuck and not coming:
            self._flushing = True
            return True, None
        if not self._reading and not coming:
            self._reading = True
            self._reads_for = place
            return False, None
        waiter = self.backend.create_waiter()
        place.append(waiter)
        self._waiting[waiter] = place
        return False, waiter

    async def _follow(self, waiter: Waiter, deadline: float, late: type[Timeout]) -> None:
        try:
            woken = await waiter.wait(deadline)
        except BaseException:
            # It may have been woken to take the role over: somebody else must.
            self._decline(waiter)
            raise
        if not woken:
            self._decline(waiter)
            raise late("the peer did not go on in time")

    async def wait_for_room(self, deadline: float) -> None:
        """Wait until the outbox has room.

        Raises:
            WriteTimeout: it had none in time.
            EngineError: the connection broke.
        """
        if not self.has_room:
            await self.wait_until(self._has_room_or_none, self.room, deadline, WriteTimeout)

    def _has_room_or_none(self) -> bool:
        return self.has_room or self._write_fault is not None

    async def _wait_for_output(self, target: int, deadline: float) -> None:
        await self.wait_until(
            lambda: self.bytes_sent >= target or self._write_fault is not None, self.room, deadline, WriteTimeout
        )
        with self.guard:
            if self._write_fault is not None and self.bytes_sent < target:
                raise fresh(self._fault or self._write_fault)

    def _decline(self, waiter: Waiter) -> None:
        """A follower gives up waiting. Not under the guard."""
        with self.guard:
            self._unregister(waiter)
            if waiter is self._heir:
                self._heir = None
            self._promote()
        if self._outbox and not self._stuck:
            self.flush_without_waiting()

    def _unregister(self, waiter: Waiter) -> None:
        place = self._waiting.pop(waiter, None)
        if place is not None and waiter in place:
            place.remove(waiter)

    def wake(self, place: Place) -> None:
        """Wake those who wait at `place`, the reader too. Under the guard."""
        if place:
            for waiter in place:
                self._waiting.pop(waiter, None)
                waiter.wake()
            place.clear()
        if place is self._reads_for:
            self._interrupt()

    def wake_some(self, place: Place, count: int) -> None:
        """Wake the `count` who wait longest at `place`, or the reader. Under the guard."""
        if place is self._reads_for:
            self._interrupt()
        for waiter in place[:count]:
            self._waiting.pop(waiter, None)
            waiter.wake()
        del place[:count]

    def wake_all(self) -> None:
        """Wake everybody. Under the guard."""
        for place in list(self._waiting.values()):
            self.wake(place)
        self.wake(self.room)
        self.wake(self._after_input)
        if self._reads_for is not None:
            self._interrupt()

    def _interrupt(self) -> None:
        """Have the reader look again. Under the guard."""
        self._reads_for = None
        self._called = True
        self.stream.interrupt()

    def _promote(self) -> None:
        """Wake one follower if the role is free, and nobody else is on the way to it. Under the guard."""
        if self._waiting and self._heir is None and not self._reading:
            waiter = next(iter(self._waiting))
            self._unregister(waiter)
            self._heir = waiter
            waiter.wake()

    @property
    def _somebody_comes(self) -> bool:
        """Whether, on an event loop, another task will look at the outbox when it is its turn. Under the guard."""
        return self._shares_turns and (self._called or self._heir is not None)

    def _output_is_left(self) -> None:
        if self._reading:
            self._interrupt()
        else:
            self._promote()

    async def send_soon(self, deadline: float) -> None:
        """`flush_by`; but where another task of an event loop is reading, it sends, and with it what others queue this turn."""
        if not (self.has_room and self._write_fault is None and self._leave_to_reader()):
            await self.flush_by(deadline)

    def flush_soon(self) -> None:
        """`flush_without_waiting`, with the same exception as `send_soon`."""
        if self._outbox and not self._leave_to_reader():
            self.flush_without_waiting()

    def _leave_to_reader(self) -> bool:
        if self._shares_turns and self._reads_for is not None:
            self._interrupt()  # one thread, so no guard
        return self._somebody_comes

    # -- reading -------------------------------------------------------------------------------------------------------

    async def _read(self, ready: Callable[[], bool], place: Place, deadline: float) -> None:
        """Read for everybody until `ready()`; the caller has taken the role."""
        try:
            while True:
                data = await self._hear(deadline)
                with self.guard:
                    self._reads_for = None
                    if data is not None:
                        self._feed(data)
                    done = self._fault is not None or ready()
                    if not done:
                        self._reads_for = place
                if self._due and self._fault is None:
                    # Else the owner is told below, who then closes the connection: first the peer learns why.
                    self.run_due()
                if done:
                    return
        except NetworkError as error:
            with self.guard:
                self.fail(error)
        except Exception:
            raise
        except BaseException:
            # Ctrl-C: what others wait for may have been received, and have got no further.
            if not self.stream.is_waiting_for_input:
                self.cut_off(ReadError("reading was interrupted in the middle"))
            raise
        finally:
            self._stop_reading()

    def _stop_reading(self) -> None:
        """Give the reader's role back. Not under the guard."""
        with self.guard:
            self._reading = self._called = False
            self._reads_for = None
            self.wake(self._after_input)
            self._promote()
            left = bool(self._outbox) and not self._flushing and not self._stuck and not self._somebody_comes
        if left:
            self.flush_without_waiting()
        elif self._due:
            self.run_due()

    async def _hear(self, deadline: float) -> bytes | None:
        """The reader's wait: for input, and for room while something is to be sent. None: look again.

        Raises:
            ReadTimeout, WriteTimeout: at the deadline.
            ReadError: the connection broke.
        """
        if self._outbox:
            with self.guard:
                writing = bool(self._outbox) and not self._flushing
                if writing:
                    self._flushing = True
            if writing:
                return await self._send_and_hear(deadline)
        try:
            data = await self.stream.receive_some(_READ_SIZE, deadline)
        except Interrupted:
            data = None
        self._called = False
        return data

    async def _send_and_hear(self, deadline: float) -> bytes | None:
        """`_hear` while the outbox holds something; the caller has taken the flusher's role, too."""
        try:
            with self.guard:
                data = self._next_output()
            sent = await self.stream.send_some(data, deadline, or_readable=True)
            if not sent:
                return await self.stream.receive_some(_READ_SIZE, _NOW)
            with self.guard:
                self._reads_for = None
                self._sent_some(sent)
        except ReadTimeout:
            pass  # an interrupt, or input that is no data to those above TLS
        except (ReadError, WriteTimeout):
            raise
        except NetworkError as error:
            self._sending_failed(error)
        finally:
            with self.guard:
                self._flushing = self._called = False
                self._reads_for = None
                self.wake(self.room)
        return None

    async def take_input(self) -> None:
        """Take what has come already, unless somebody is reading: how an idle connection learns of its end. Never waits."""
        with self.guard:
            if self._reading or self._fault is not None or not self.stream.is_readable():
                return
            self._reading = True
        try:
            await self._read(lambda: not self.stream.is_readable(), [], _NOW)
        except Timeout:
            return  # below TLS something came that is no data

    def _feed(self, data: bytes) -> None:
        """Take input and act on what it means. Under the guard."""
        self._rounds += 1
        self.wake(self._after_input)
        if self._fault is not None:
            return
        if not data:
            self._ended()
            return
        try:
            self._handle(data)
        except RemoteProtocolError as error:
            self.fail(error)
        except BaseException:
            # Cut short in the middle (Ctrl-C), or a mistake of ours: what the peer says next would be misunderstood.
            self.fail(ReadError("what the peer sent could not be taken in whole"))
            raise
        before = len(self._outbox)
        self._collect()
        self._answers = self._answers + len(self._outbox) - before if before else 0
        if self._answers > self.machine.limits.max_queued_answers and self._fault is None:
            limit = LimitExceeded("the peer does not read what it is answered")
            self.machine.say_goaway(int(H2ErrorCode.ENHANCE_YOUR_CALM), str(limit).encode())
            self.fail(limit)
            self._collect()

    @abstractmethod
    def _handle(self, data: bytes) -> None:
        """Feed the machine and dispatch its events. Under the guard."""

    @abstractmethod
    def _ended(self) -> None:
        """The peer ended its side. Under the guard."""
