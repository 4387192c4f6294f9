"""What an HTTP/2 connection sends: the outbox, who empties it, and calls put off until the guard was left.

Laws:

- one *flusher* at a time sends from the outbox, in order; it never waits. What the system does not take at once is left to
  who reads for everybody (`h2_core`), who waits for input and for room at the same time;
- what a timed-out or cancelled call leaves stays in the outbox.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any

from ..backends.base import FOREVER, Backend, ByteStream, Waiter
from ..errors import ClosedError, EngineError, NetworkError, WriteError, WriteTimeout
from ..protocol.h2_machine import H2Machine
from .transport_facts import TransportFacts

__all__ = ["H2Output", "Place", "fresh"]

_SEND_SIZE = 256 * 1024
# Senders wait while so much is queued for the socket, in bytes: flow control bounds what a stream may send, not what the
# system takes.
_OUTBOX_HIGH = 512 * 1024
# Seconds after which a guard that is still held is taken to be held by this very thread.
_GUARD_PATIENCE = 0.05
_NOW = -FOREVER  # a deadline that has passed: do what can be done without waiting

Place = list[Waiter]


def fresh(error: EngineError) -> EngineError:
    """A copy of an error that is told to many, each of whom raises it with a traceback of its own."""
    again = copy.copy(error).with_traceback(None)
    again.__cause__ = error.__cause__
    return again


class H2Output(TransportFacts, ABC):
    """The sending half of `H2Core`.

    Attributes:
        stream: the bytes' way out.
        backend: the stream's.
        machine: what makes the bytes.
        guard: held by whoever touches the machine, the outbox or the books.
        bytes_sent: how many bytes the system has taken so far.
        room: where those wait who want to queue more than there is room for, or to have sent what is queued.
    """

    def __init__(self, stream: ByteStream, backend: Backend, machine: H2Machine) -> None:
        self.stream = stream
        self.backend = backend
        self.machine = machine
        self.guard = backend.create_guard()
        self.bytes_sent = 0
        self.room: Place = []
        self._outbox: bytearray = bytearray()
        self._flushing = False
        self._stuck = False  # the system took no more when it was last asked
        self._fault: EngineError | None = None
        self._write_fault: EngineError | None = None
        self._due: deque[Callable[[], None]] = deque()

    # -- told to and by `H2Core` ---------------------------------------------------------------------------------------

    @abstractmethod
    def wake(self, place: Place) -> None:
        """Wake those who wait at `place`. Under the guard."""

    @abstractmethod
    def wake_all(self) -> None:
        """Wake everybody. Under the guard."""

    @abstractmethod
    def fail(self, error: EngineError) -> None:
        """The connection is over: tell every stream. Under the guard."""

    @abstractmethod
    def _output_is_left(self) -> None:
        """The flusher leaves, the system having taken no more. Under the guard."""

    @abstractmethod
    async def _wait_for_output(self, target: int, deadline: float) -> None:
        """Wait until `bytes_sent` is `target`, or sending is over."""

    def may_enter(self) -> bool:
        """Whether the guard can be had. Not where this very thread holds it, further down its stack.

        The garbage collector may run somebody's finalizer that closes a response (file wrappers do) in the middle of a step.
        """
        guard: Any = self.guard
        locked = getattr(guard, "locked", None)
        if locked is None or not locked():
            return True
        if guard.acquire(timeout=_GUARD_PATIENCE):
            guard.release()
            return True
        return False

    # -- telling others ------------------------------------------------------------------------------------------------

    def call_later(self, function: Callable[[], None]) -> None:
        """Have something called that has no place under the guard, as soon as it was left. It must not wait or raise."""
        self._due.append(function)

    def run_due(self) -> None:
        """Call what `call_later` was given. Not under the guard."""
        due = self._due
        while due:
            try:
                function = due.popleft()
            except IndexError:  # another thread was quicker
                return
            function()

    # -- the outbox ----------------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        """Append what the machine wants to send to the outbox. Under the guard, in the step that made the output."""
        output = self.machine.take_output()
        if output and self._write_fault is None:
            if self._outbox or type(output) is not bytearray:
                self._outbox += output
            else:
                self._outbox = output

    @property
    def has_output(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._outbox)

    @property
    def has_room(self) -> bool:
        """Whether senders may queue more. Under the guard."""
        return len(self._outbox) < _OUTBOX_HIGH

    @property
    def is_closed(self) -> bool:
        """Whether the connection broke or was closed."""
        return self._fault is not None or self._write_fault is not None or self.stream.is_closed

    # -- sending -------------------------------------------------------------------------------------------------------

    async def flush_by(self, deadline: float) -> None:
        """Send what is in the outbox, unless somebody is already at it, who then takes it along.

        Raises:
            WriteTimeout: some is left; whoever waits for something on the connection goes on with it.
            WriteError: the connection broke.
        """
        if self._due:
            self.run_due()
        with self.guard:
            if self._write_fault is not None:
                raise fresh(self._fault or self._write_fault)
            if self._flushing or not self._outbox:
                return
            self._flushing = True
        await self._flush(deadline)

    async def flush_now(self) -> None:
        """Send of the outbox what goes without waiting. A connection that broke is left for its readers to notice."""
        if self._due:
            self.run_due()
        if self._outbox:
            with self.guard:
                if self._flushing or not self._outbox:
                    return
                self._flushing = True
            await self._flush(FOREVER, quiet=True, at_once=True)

    def flush_without_waiting(self) -> None:
        """`flush_now` for callers that are no coroutines."""
        sending = self.flush_now()
        try:
            sending.send(None)
        except StopIteration:
            return
        sending.close()
        raise RuntimeError("a byte stream waited in spite of its deadline")

    async def _flush(self, deadline: float, *, quiet: bool = False, at_once: bool = False) -> None:
        """Empty the outbox; the caller has taken the flusher's role, which this gives back.

        Args:
            deadline: on the backend's clock.
            quiet: do not raise `WriteError`: readers will notice.
            at_once: do not wait; what cannot be sent is left.
        """
        mine, in_doubt = True, False
        target: int | None = None
        try:
            with self.guard:
                data = self._next_output()
            while data:
                in_doubt = True
                sent = await self.stream.send_some(data, _NOW)
                with self.guard:
                    data = self._sent_some(sent)
                    in_doubt = False
                    if not data:
                        self._flushing = mine = False
        except WriteTimeout:
            with self.guard:
                self._stuck = True
                # A goodbye on a connection that is over is worth an attempt and no wait.
                if not at_once and self._fault is None:
                    target = self.bytes_sent + len(self._outbox)
        except NetworkError as error:
            told = self._sending_failed(error)
            if not quiet:
                raise fresh(told) from error
        except Exception:
            raise
        except BaseException:
            if in_doubt and self.backend.colour == "blocking":
                # Ctrl-C, which tasks know nothing of: what was sent may be in the outbox still, and must not be sent twice.
                # And a peer that is given no more credit would be read from for ever.
                self.cut_off(WriteError("sending was interrupted in the middle"))
            raise
        finally:
            if mine:
                with self.guard:
                    self._stop_flushing()
        if target is not None:
            await self._wait_for_output(target, deadline)

    def _next_output(self) -> bytes:
        """What to send next. Under the guard."""
        outbox = self._outbox
        if len(outbox) <= _SEND_SIZE:
            return bytes(outbox)
        with memoryview(outbox) as view:
            return bytes(view[:_SEND_SIZE])

    def _sent_some(self, size: int) -> bytes:
        """The system took `size` bytes; returns what comes next. Under the guard."""
        outbox = self._outbox
        self.bytes_sent += size
        if size == len(outbox):
            outbox.clear()
        else:
            del outbox[:size]
        if size:
            self._stuck = False
            if self.has_room:
                self.wake(self.room)
        return self._next_output() if outbox else b""

    def _stop_flushing(self) -> None:
        """Give the flusher's role back. Under the guard."""
        self._flushing = False
        self.wake(self.room)
        if self._outbox:
            self._output_is_left()

    def cut_off(self, error: NetworkError) -> None:
        """End the connection at once: it is not known what was sent, or received. Not under the guard."""
        self._sending_failed(error)
        with self.guard:
            self.fail(error)

    def _sending_failed(self, error: NetworkError) -> EngineError:
        """Nothing can be sent any more; returns what to tell about it. Not under the guard."""
        with self.guard:
            # What the peer said before it stopped listening can still be read, and the reader then learns of the end.
            self._write_fault = error
            self._outbox.clear()
            self._stuck = False
            self.wake_all()
            return self._fault if isinstance(self._fault, ClosedError) else error
