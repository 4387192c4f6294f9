"""Tasks as the asyncio backend uses them: signals between two of them, handles, and calls in threads."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from ...errors import Timeout
from ..base import FOREVER, TaskHandle, Waiter
from .timing import LONGEST, Signal

__all__ = ["AsyncioTask", "AsyncioWaiter", "Call"]

T = TypeVar("T")
# A loop itself keeps only weak references to its tasks.
_running: set[asyncio.Task[None]] = set()


class AsyncioWaiter(Waiter):
    """See `Waiter`. For tasks of one loop."""

    __slots__ = ("_futures", "_woken")

    def __init__(self) -> None:
        self._woken = False
        self._futures: list[asyncio.Future[None]] = []

    def wake(self) -> None:
        """See `Waiter.wake`."""
        self._woken = True
        for future in self._futures:
            _fire(future)

    async def wait(self, deadline: float) -> bool:
        """See `Waiter.wait`. One future and at most one timer: this is waited for once or twice a request."""
        loop = asyncio.get_running_loop()
        while not self._woken:
            future = loop.create_future()
            self._futures.append(future)
            timer = None
            if deadline != FOREVER:
                timer = loop.call_at(min(deadline, loop.time() + LONGEST), _fire, future)
            try:
                await future
            finally:
                self._futures.remove(future)
                if timer is not None:
                    timer.cancel()
            if deadline <= loop.time():
                break
        return self._woken


def _fire(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class AsyncioTask(TaskHandle):
    """See `TaskHandle`. An uncaught error is reported by the loop's exception handler, as for any task."""

    __slots__ = ("_task",)

    def __init__(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        self._task = asyncio.get_running_loop().create_task(coroutine, name=name)
        _running.add(self._task)
        self._task.add_done_callback(_running.discard)

    def cancel(self) -> None:
        """See `TaskHandle.cancel`."""
        self._task.cancel()

    @property
    def is_current(self) -> bool:
        """See `TaskHandle.is_current`."""
        return asyncio.current_task() is self._task

    async def join(self, deadline: float) -> bool:
        """See `TaskHandle.join`."""
        loop = asyncio.get_running_loop()
        while not self._task.done():
            signal = Signal(loop)

            def over(_: asyncio.Task[None], signal: Signal = signal) -> None:
                signal.fire()

            self._task.add_done_callback(over)
            try:
                await signal.wait(deadline)
            finally:
                self._task.remove_done_callback(over)
            if deadline <= loop.time():
                break
        return self._task.done()


class Call(Generic[T]):
    """One call in a daemon thread of its own.

    Not the loop's executor: its threads are few, and the end of the program waits for them (for a hanging name server).
    """

    def __init__(self, function: Callable[[], T]) -> None:
        self._loop = asyncio.get_running_loop()
        self._function = function
        self._signal = Signal(self._loop)
        self._result: list[T] = []
        self._error: BaseException | None = None
        context = contextvars.copy_context()
        name = "drivetrain call beside the loop"
        threading.Thread(target=context.run, args=(self._run,), name=name, daemon=True).start()

    def _run(self) -> None:
        try:
            self._result.append(self._function())
        except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the caller
            self._error = error
        try:
            self._loop.call_soon_threadsafe(self._fire)
        except RuntimeError:
            pass  # the loop was closed in the meantime: nobody wants to know

    def _fire(self) -> None:
        self._signal.fire()

    async def result(self, deadline: float) -> T:
        """Wait for the result or the error of the call; raises `Timeout` at the deadline."""
        while not self._result and self._error is None:
            await self._signal.wait(deadline)
            if deadline <= self._loop.time() and not self._result and self._error is None:
                raise Timeout("a blocking call was not done in time")
            if not self._signal.is_waiting:
                self._signal = Signal(self._loop)
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # the traceback holds this frame: no cycle
        return self._result[0]
