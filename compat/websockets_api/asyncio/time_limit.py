"""A limit on the time that a piece of a task takes: `asyncio.timeout`, which Python 3.10 has not."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

__all__ = ["TimeLimit"]


class TimeLimit:
    """An async context manager that cancels what runs in it when the time is over, and raises `TimeoutError` then.

    Args:
        seconds: None for no limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[Any] | None = None
        self._requests = 0
        self._is_over = False

    async def __aenter__(self) -> None:
        if self._seconds is None:
            return
        self._task = task = asyncio.current_task()
        assert task is not None
        if hasattr(task, "cancelling"):
            self._requests = task.cancelling()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._end)

    def _end(self) -> None:
        assert self._task is not None
        self._is_over = True
        self._task.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._is_over:
            return
        task = self._task
        if task is not None and hasattr(task, "uncancel") and task.uncancel() > self._requests:
            return  # somebody else cancels it, too
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error
