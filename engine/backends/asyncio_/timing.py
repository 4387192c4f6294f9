"""Futures with a deadline: the one way in which this backend waits for rare things."""

from __future__ import annotations

import asyncio
from types import TracebackType

from ..base import FOREVER

__all__ = ["LONGEST", "Signal", "TimeLimit"]

LONGEST = 24 * 3600.0  # loops differ in what they make of a year; those who wait longer wait again


class Signal:
    """A future that can be fired more than once and waited for until a deadline; what it carries is only "look again"."""

    __slots__ = ("_future", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._future: asyncio.Future[None] = loop.create_future()

    def fire(self) -> None:
        """Wake the waiter."""
        if not self._future.done():
            self._future.set_result(None)

    @property
    def is_waiting(self) -> bool:
        """Whether nobody fired yet."""
        return not self._future.done()

    async def wait(self, deadline: float) -> None:
        """Return when fired, or at the deadline, or (with a far deadline) some time in between."""
        with TimeLimit(self._loop, deadline, self):
            await self._future


class TimeLimit:
    """Fires a signal when `deadline` comes, unless the block was left before."""

    __slots__ = ("_deadline", "_loop", "_signal", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, deadline: float, signal: Signal) -> None:
        self._loop = loop
        self._deadline = deadline
        self._signal = signal
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        if self._deadline != FOREVER:
            when = min(self._deadline, self._loop.time() + LONGEST)
            self._timer = self._loop.call_at(when, self._signal.fire)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
