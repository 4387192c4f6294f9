"""A deterministic scheduler with a clock of its own.

A task waits in one place only, `Scheduler.wait`, for an `Event` (a list of tasks to wake) or a deadline. Woken tasks run in
the order of waking. The clock moves when no task can run.
"""

from __future__ import annotations

import heapq
import types
from collections import deque
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

from ..base import FOREVER, TaskHandle

__all__ = ["Cancelled", "Deadlock", "Event", "MemoryTask", "Scheduler"]

T = TypeVar("T")


class Cancelled(BaseException):
    """Thrown into a task of the memory backend at its next wait after `TaskHandle.cancel`."""


class Deadlock(RuntimeError):
    """Every task waits for another one; the message says who waits for what."""


class Event:
    """What tasks wait for: something may have changed, look again."""

    __slots__ = ("tasks",)

    def __init__(self) -> None:
        self.tasks: list[MemoryTask] = []

    def wake_all(self) -> None:
        """Wake every task that waits for this."""
        for task in self.tasks:
            task.wake(True)


class MemoryTask(TaskHandle):
    """See `TaskHandle`. `result` or `error` is set once it is `done`; `reason` says what it waits for."""

    def __init__(self, scheduler: Scheduler, coroutine: Coroutine[Any, Any, Any], name: str) -> None:
        self._scheduler = scheduler
        self._coroutine = coroutine
        self.name = name
        self.reason = ""
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.over = Event()
        self._asleep = False
        self._woken_by: bool | None = None  # what ended the wait: the event (True) or the deadline; None to begin with
        self._cancel = False
        scheduler.ready.append(self)

    def wake(self, by_event: bool) -> None:
        """End the wait of the task."""
        if self._asleep:
            self._asleep = False
            self._woken_by = by_event
            self._scheduler.ready.append(self)

    def fall_asleep(self) -> None:
        """Begin a wait."""
        self._asleep = True
        if self._cancel:
            self.wake(True)

    def cancel(self) -> None:
        """See `TaskHandle.cancel`."""
        if not self.done:
            self._cancel = True
            self.wake(True)

    async def join(self, deadline: float) -> bool:
        """See `TaskHandle.join`."""
        while not self.done:
            if not await self._scheduler.wait(self.over, deadline, f"the end of {self.name}"):
                break
        return self.done

    def step(self) -> None:
        """Run until the next wait or the end."""
        try:
            if self._cancel:
                self._cancel = False
                self._coroutine.throw(Cancelled())
            else:
                self._coroutine.send(self._woken_by)
        except StopIteration as end:
            self.result = end.value
        except Cancelled as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - kept for whoever runs the scheduler
            self.error = error
        else:
            return
        self.done = True
        self.over.wake_all()


class Scheduler:
    """Runs tasks; see the module."""

    def __init__(self, start: float) -> None:
        self.now = start
        self.ready: deque[MemoryTask] = deque()
        self.tasks: list[MemoryTask] = []
        self._current: MemoryTask | None = None
        self._timers: list[tuple[float, int, MemoryTask, list[bool]]] = []
        self._count = 0

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> MemoryTask:
        """Add a task; it runs when its turn comes."""
        task = MemoryTask(self, coroutine, name)
        self.tasks.append(task)
        return task

    async def wait(self, event: Event | None, deadline: float, reason: str) -> bool:
        """Wait until `event` (True) or `deadline` (False), or until cancelled."""
        task = self._current
        if task is None:
            raise RuntimeError("the memory backend works only inside its own run()")
        alive = [True]
        if deadline != FOREVER:
            self._count += 1
            heapq.heappush(self._timers, (deadline, self._count, task, alive))
        if event is not None:
            event.tasks.append(task)
        task.reason = reason
        task.fall_asleep()
        try:
            return await _suspend()
        finally:
            alive[0] = False
            if event is not None:
                event.tasks.remove(task)

    def run(self, coroutine: Coroutine[Any, Any, T], name: str = "main") -> T:
        """Run `coroutine` to its end, then cancel the tasks that are left and run those to theirs.

        Raises:
            Deadlock: nobody can go on.
            Exception: the error of `coroutine`, or else of the first task that failed.
        """
        if self._current is not None or self.tasks:
            coroutine.close()
            raise RuntimeError("run() called inside run()")
        main = self.spawn(coroutine, name)
        try:
            self._run_until_done(main)
        finally:
            tasks, self.tasks = self.tasks, []
            for task in tasks:
                task.cancel()
            while self.ready:
                self._step()
            for task in tasks:
                if not task.done:
                    self._run_until_done(task)
        for task in (main, *tasks):
            if task.error is not None and (task is main or not isinstance(task.error, Cancelled)):
                raise task.error
        return main.result  # type: ignore[no-any-return]

    def _run_until_done(self, main: MemoryTask) -> None:
        while not main.done:
            if self.ready:
                self._step()
            elif not self._advance():
                waiting = [f"{task.name} waits for {task.reason}" for task in self.tasks or [main] if not task.done]
                raise Deadlock("; ".join(waiting))

    def _step(self) -> None:
        task = self.ready.popleft()
        self._current = task
        try:
            task.step()
        finally:
            self._current = None

    def _advance(self) -> bool:
        """Let the time go on to the next deadline somebody waits for; False when there is none."""
        while self._timers:
            when, _, task, alive = heapq.heappop(self._timers)
            if alive[0]:
                self.now = max(self.now, when)
                task.wake(False)
                return True
        return False


@types.coroutine
def _suspend() -> Generator[None, bool, bool]:
    return (yield)
