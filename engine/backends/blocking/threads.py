"""Threads as the blocking backend uses them: signals between two of them, tasks, and calls with a time limit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from ...errors import Timeout
from ..base import FOREVER, TaskHandle, Waiter
from ..clock import Clock
from .driver import run

__all__ = ["BlockingTask", "BlockingWaiter", "call_by", "seconds_until"]

T = TypeVar("T")


def seconds_until(deadline: float) -> float:
    """How long a lock or thread may be waited for: -1 for ever (as `Lock.acquire` has it), otherwise 0 or more."""
    if deadline == FOREVER:
        return -1
    return min(max(deadline - Clock.now(), 0.0), threading.TIMEOUT_MAX)


class BlockingWaiter(Waiter):
    """See `Waiter`. One bare lock, held until `wake`: an `Event` would cost six times as much."""

    __slots__ = ("_lock", "_woken")

    def __init__(self) -> None:
        self._woken = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def wake(self) -> None:
        """See `Waiter.wake`."""
        if not self._woken:
            self._woken = True
            self._open()

    async def wait(self, deadline: float) -> bool:
        """See `Waiter.wait`."""
        if self._woken:
            return True
        if not self._lock.acquire(timeout=seconds_until(deadline)):
            return self._woken
        self._open()  # for whoever waits beside or after us
        return True

    def _open(self) -> None:
        try:
            self._lock.release()
        except RuntimeError:
            pass  # two threads did it at the same time


class BlockingTask(TaskHandle):
    """See `TaskHandle`: a daemon thread. Its uncaught error goes to `threading.excepthook`."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        self._thread = threading.Thread(target=run, args=(coroutine,), name=name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no more threads, or the interpreter is about to end
            coroutine.close()
            raise

    def cancel(self) -> None:
        """See `TaskHandle.cancel`: without effect here."""

    @property
    def is_current(self) -> bool:
        """See `TaskHandle.is_current`."""
        return self._thread is threading.current_thread()

    async def join(self, deadline: float) -> bool:
        """See `TaskHandle.join`."""
        seconds = seconds_until(deadline)
        self._thread.join(None if seconds < 0 else seconds)
        return not self._thread.is_alive()


class _Call(Generic[T]):
    """One call in a thread of its own and what came of it."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._result: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._result.append(self._function())
        except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the caller
            self._error = error

    def result(self) -> T:
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # the traceback holds this frame: no cycle
        return self._result[0]


def call_by(function: Callable[[], T], deadline: float) -> T:
    """Call `function`, in a daemon thread if there is a deadline; raises `Timeout` when it is not done by then."""
    if deadline == FOREVER:
        return function()
    call = _Call(function)
    thread = threading.Thread(target=call.run, name="drivetrain call with deadline", daemon=True)
    thread.start()
    thread.join(seconds_until(deadline))
    if thread.is_alive():
        raise Timeout("a blocking call was not done in time")
    return call.result()
