"""One HTTP/2 connection shared by threads or tasks: who reads, who writes, who waits. No helper thread, no helper task.

Laws:

- the *guard* covers the machine, the outbox and the books, and never a wait or I/O: taking a stream id, registering the
  stream, encoding its head and appending it to the outbox are one step;
- one *flusher* at a time drains the outbox, in order; what a timed-out or cancelled flush leaves, the next one continues;
- reading is a *role*: whoever waits and finds nobody reading reads for everybody, and on leaving, for whatever reason,
  wakes one of those who wait to take over; a lone user never makes a waiter;
- a condition is looked at, and its waiter registered, under one holding of the guard, so no wake-up is lost;
- a time limit that passes, or a cancellation, is the waiter's own affair and harms no other stream.
"""

from __future__ import annotations

import copy
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum

from ..backends.base import FOREVER, Address, Backend, ByteStream, Waiter
from ..errors import ClosedError, EngineError, NetworkError, ReadTimeout, RemoteProtocolError, Timeout, WriteTimeout
from ..protocol.h2_machine import H2Machine

__all__ = ["H2Core", "Place", "fresh"]

_READ_SIZE = 256 * 1024
_SEND_SIZE = 256 * 1024
# Senders wait while so much is queued for the socket, in bytes: flow control bounds what a stream may send, not what the
# system takes.
_OUTBOX_HIGH = 512 * 1024
_LOOK_AGAIN = 0.05  # seconds

Place = list[Waiter]


class _Job(Enum):
    FLUSH = "flush"
    READ = "read"


def fresh(error: EngineError) -> EngineError:
    """A copy of an error that is told to many, each of whom raises it with a traceback of its own."""
    again = copy.copy(error).with_traceback(None)
    again.__cause__ = error.__cause__
    return again


class H2Core(ABC):
    """Moves bytes between a byte stream and an HTTP/2 machine for many users at once. Base of `H2Connection`."""

    def __init__(self, stream: ByteStream, backend: Backend, machine: H2Machine) -> None:
        self.stream = stream
        self.backend = backend
        self.machine = machine
        self.guard = backend.create_guard()
        self.room: Place = []
        self._outbox = bytearray()
        self._reading = False
        self._flushing = False
        self._waiting: dict[Waiter, Place] = {}
        self._heir: Waiter | None = None  # woken to take a role over, and not there yet
        self._fault: EngineError | None = None
        self._write_fault: EngineError | None = None
        self._rounds = 0  # how often input was taken
        self._after_input: Place = []

    # -- waiting -------------------------------------------------------------------------------------------------------

    async def wait_until(
        self,
        ready: Callable[[], bool],
        place: Place,
        deadline: float,
        late: type[ReadTimeout | WriteTimeout] = ReadTimeout,
        from_within: bool = False,
    ) -> None:
        """Wait until `ready()`, making the connection progress meanwhile.

        Args:
            ready: looked at under the guard; must be quick and must not raise.
            place: where whoever makes `ready` true looks for those to wake.
            late: what to raise at the deadline.
            from_within: other users of this side may make `ready` true too, which nobody can tell a reader who waits for
                the peer: it looks again from time to time.

        Raises:
            Timeout: `late`, or that of the I/O done for everybody; nothing is lost.
            EngineError: the connection broke while `ready` was false.
        """
        heir = False
        waiter: Waiter | None = None
        while True:
            job = _Job.READ
            with self.guard:
                if waiter is not None and waiter is self._heir:
                    self._heir = None
                    heir = True
                if ready():
                    if heir:
                        # Woken to take a role over, for which there is no need here any more.
                        self._promote()
                    return
                waiter = None
                if self._fault is not None:
                    raise fresh(self._fault)
                if self._outbox and not self._flushing:
                    self._flushing = True
                    job = _Job.FLUSH
                elif not self._reading:
                    self._reading = True
                else:
                    waiter = self.backend.create_waiter()
                    place.append(waiter)
                    self._waiting[waiter] = place
            try:
                if waiter is not None:
                    await self._follow(waiter, deadline, late)
                elif job is _Job.FLUSH:
                    await self._flush(deadline, quiet=True)
                else:
                    await self._read(ready, deadline, from_within)
            except Timeout as error:
                with self.guard:
                    if ready():
                        return
                if isinstance(error, late):
                    raise
                raise late(str(error)) from None

    async def _follow(self, waiter: Waiter, deadline: float, late: type[Timeout]) -> None:
        try:
            woken = await waiter.wait(deadline)
        except BaseException:
            # It may have been woken to take a role over: somebody else must.
            with self.guard:
                self._decline(waiter)
            raise
        if not woken:
            with self.guard:
                self._decline(waiter)
            raise late("the peer did not go on in time")

    async def wait_for_room(self, deadline: float) -> None:
        """Wait until the outbox has room, by sending what is in it or behind whoever does.

        Raises:
            WriteTimeout: it had none in time.
            EngineError: the connection broke.
        """
        while True:
            with self.guard:
                if self._fault is not None:
                    raise fresh(self._fault)
                if self.has_room:
                    return
                waiter = None
                if self._flushing:
                    waiter = self.backend.create_waiter()
                    self.room.append(waiter)
                else:
                    self._flushing = True
            if waiter is None:
                await self._flush(deadline)
                continue
            try:
                if not await waiter.wait(deadline):
                    raise WriteTimeout("the peer did not take the data in time")
            finally:
                with self.guard:
                    if waiter in self.room:
                        self.room.remove(waiter)

    def _decline(self, waiter: Waiter) -> None:
        """A follower gives up waiting. Under the guard."""
        self._unregister(waiter)
        if waiter is self._heir:
            self._heir = None
        self._promote()

    def _unregister(self, waiter: Waiter) -> None:
        place = self._waiting.pop(waiter, None)
        if place is not None and waiter in place:
            place.remove(waiter)

    def wake(self, place: Place) -> None:
        """Wake those who wait at `place`. Under the guard."""
        for waiter in place:
            self._waiting.pop(waiter, None)
            waiter.wake()
        place.clear()

    def wake_all(self) -> None:
        """Wake everybody. Under the guard."""
        for waiter, place in self._waiting.items():
            place.clear()
            waiter.wake()
        self._waiting.clear()
        self.wake(self.room)
        self.wake(self._after_input)

    def _promote(self) -> None:
        """Wake one follower if a role is free for it, and nobody else is on the way to it. Under the guard."""
        if self._waiting and self._heir is None and (not self._reading or (self._outbox and not self._flushing)):
            waiter = next(iter(self._waiting))
            self._unregister(waiter)
            self._heir = waiter
            waiter.wake()

    # -- reading -------------------------------------------------------------------------------------------------------

    async def _read(self, ready: Callable[[], bool], deadline: float, from_within: bool) -> None:
        """Read for everybody until `ready()`; the caller has taken the role."""
        try:
            while True:
                until = min(deadline, self.backend.now() + _LOOK_AGAIN) if from_within else deadline
                try:
                    data = await self.stream.receive_some(_READ_SIZE, until)
                except ReadTimeout:
                    if until == deadline:
                        raise
                    return
                with self.guard:
                    self._feed(data)
                    done = self._fault is not None or ready()
                    flush = bool(self._outbox) and not self._flushing
                    if flush:
                        self._flushing = True
                if flush:
                    # Whoever has what it wants does not wait for the peer to take what others sent.
                    await self._flush(deadline, quiet=True, at_once=done, reading=True)
                if done or from_within:
                    return
        except NetworkError as error:
            with self.guard:
                self.fail(error)
        finally:
            with self.guard:
                self._reading = False
                self.wake(self._after_input)
                self._promote()

    async def take_input(self) -> None:
        """Take what has come already, unless somebody is reading: how an idle connection learns of its end. Never waits."""
        with self.guard:
            if self._reading or self._fault is not None or not self.stream.is_readable():
                return
            self._reading = True
        try:
            await self._read(lambda: not self.stream.is_readable(), self.backend.now(), False)
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
        self._collect()

    @abstractmethod
    def _handle(self, data: bytes) -> None:
        """Feed the machine and dispatch its events. Under the guard."""

    @abstractmethod
    def _ended(self) -> None:
        """The peer ended its side. Under the guard."""

    @abstractmethod
    def fail(self, error: EngineError) -> None:
        """The connection is over: tell every stream. Under the guard."""

    def _collect(self) -> None:
        """Append what the machine wants to send to the outbox. Under the guard, in the step that made the output."""
        output = self.machine.take_output()
        if self._write_fault is None:
            self._outbox += output

    # -- writing -------------------------------------------------------------------------------------------------------

    async def flush_by(self, deadline: float) -> None:
        """Send what is in the outbox, unless somebody is already at it, who then takes it along.

        Raises:
            WriteTimeout: some is left; whoever does something on the connection next goes on with it.
            WriteError: the connection broke.
        """
        with self.guard:
            if self._write_fault is not None:
                raise fresh(self._fault or self._write_fault)
            if self._flushing or not self._outbox:
                return
            self._flushing = True
        await self._flush(deadline)

    async def flush_now(self) -> None:
        """Send of the outbox what goes without waiting. A connection that broke is left for its readers to notice."""
        with self.guard:
            if self._flushing or not self._outbox:
                return
            self._flushing = True
        await self._flush(FOREVER, quiet=True, at_once=True)

    async def _flush(
        self, deadline: float, *, quiet: bool = False, at_once: bool = False, reading: bool = False
    ) -> None:
        """Drain the outbox; the caller has taken the role.

        While the peer takes nothing, its input is taken: it may be waiting for that itself.

        Args:
            deadline: on the backend's clock.
            quiet: do not raise `WriteError`: readers will notice.
            at_once: do not wait; what cannot be sent is left.
            reading: the caller has the role of the reader too.
        """
        mine = True
        try:
            while True:
                with self.guard:
                    if not self._outbox:
                        self._flushing = mine = False
                        self.wake(self.room)
                        return
                    data = bytes(self._outbox[:_SEND_SIZE])
                    rounds = self._rounds
                    # A goodbye on a connection that is over is worth an attempt and no wait.
                    at_once = at_once or self._fault is not None
                until = self.backend.now() if at_once else deadline
                sent = await self.stream.send_some(data, until, or_readable=not at_once)
                with self.guard:
                    del self._outbox[:sent]
                    if self.has_room:
                        self.wake(self.room)
                if not sent:
                    await self._take_turns(rounds, deadline, reading)
        except WriteTimeout:
            if not at_once:
                raise
        except NetworkError as error:
            with self.guard:
                # What the peer said before it stopped listening can still be read, and the reader then learns of the end.
                self._write_fault = error
                self._outbox.clear()
                self.wake_all()
                told: EngineError = self._fault if isinstance(self._fault, ClosedError) else error
            if not quiet:
                raise fresh(told) from error
        finally:
            if mine:
                with self.guard:
                    self._flushing = False
                    self.wake(self.room)
                    self._promote()

    async def _take_turns(self, rounds: int, deadline: float, reading: bool) -> None:
        """The peer takes nothing but has sent something: take that in, or let the reader do so."""
        with self.guard:
            if self._rounds != rounds or self._fault is not None:
                return
            waiter = None
            if self._reading and not reading:
                waiter = self.backend.create_waiter()
                self._after_input.append(waiter)
            else:
                self._reading = True
        if waiter is not None:
            try:
                # What came may be no data, below TLS.
                await waiter.wait(min(deadline, self.backend.now() + _LOOK_AGAIN))
            finally:
                with self.guard:
                    if waiter in self._after_input:
                        self._after_input.remove(waiter)
            return
        try:
            data = await self.stream.receive_some(_READ_SIZE, self.backend.now())
            with self.guard:
                self._feed(data)
        except ReadTimeout:
            return
        finally:
            if not reading:
                with self.guard:
                    self._reading = False
                    self._promote()

    @property
    def has_room(self) -> bool:
        """Whether senders may queue more. Under the guard."""
        return len(self._outbox) < _OUTBOX_HIGH

    def deadline_after(self, timeout: float | None) -> float:
        """Turn a timeout in seconds, None for no limit, into a deadline on the backend's clock."""
        return FOREVER if timeout is None else self.backend.now() + timeout

    # -- facts ---------------------------------------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether the connection broke or was closed."""
        return self._fault is not None or self._write_fault is not None or self.stream.is_closed

    def checktls(self) -> ssl.SSLObject | None:
        """The TLS session, or None on a connection in clear."""
        return self.stream.ssl_object

    def localname(self) -> Address:
        """This end of the connection; family 0 (AF_UNSPEC) once it is closed."""
        return Address(0) if self.stream.is_closed else self.stream.local_address

    def peername(self) -> Address:
        """The next hop: the proxy, where there is one; family 0 (AF_UNSPEC) once the connection is closed."""
        return Address(0) if self.stream.is_closed else self.stream.peer_address

    def pollfd(self) -> int | None:
        """The descriptor to poll in a foreign loop, None once there is none."""
        number = self.stream.fileno()
        return None if number < 0 else number

    def events(self) -> str | None:
        """What the connection waits for on `pollfd`: "r", and "w" while the outbox holds bytes. None without a socket."""
        if self.pollfd() is None:
            return None
        return "rw" if self._outbox else "r"

    def timeout(self) -> float | None:
        """Seconds after which to call again whatever `pollfd` says; None for no need."""
        return None
