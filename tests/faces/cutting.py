"""A coroutine that is cancelled at its n-th wait, whatever that is: for trying every n until it is done before."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

__all__ = ["MODES", "Cut", "cut"]

T = TypeVar("T")

# While it waits, or just when what it waited for has come: `Task.cancel` can hit either.
MODES = ("waiting", "woken")


class Cut(Exception):
    """The coroutine was cancelled where it was to be."""


async def cut(coroutine: Coroutine[Any, Any, T], at: int, mode: str, then: Callable[[], object] | None = None) -> T:
    """Await `coroutine`, cancelled at its wait number `at`.

    Args:
        at: from 1.
        mode: of `MODES`.
        then: called right before it is cancelled.

    Returns:
        What it returned, when it had fewer waits, or went on in spite of it.

    Raises:
        Cut: it was cancelled.
    """
    task = asyncio.current_task()
    assert task is not None
    cancelled = []

    def cancel() -> None:
        cancelled.append(True)
        if then is not None:
            then()

    try:
        return await _counted(coroutine, at, mode, task, cancel)
    except asyncio.CancelledError:
        if not cancelled:
            raise
        if hasattr(task, "uncancel") and task.cancelling():
            task.uncancel()
        raise Cut from None


@types.coroutine
def _counted(
    coroutine: Coroutine[Any, Any, T], at: int, mode: str, task: asyncio.Task[Any], cancel: Callable[[], None]
) -> Generator[Any, Any, T]:
    value: Any = None
    error: BaseException | None = None
    number = 0
    while True:
        try:
            waiting = coroutine.send(value) if error is None else coroutine.throw(error)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        value = error = None
        number += 1
        if number == at and mode == "waiting":
            cancel()
            task.cancel()
        try:
            value = yield waiting
        except BaseException as raised:
            error = raised
        if number == at and mode == "woken" and error is None:
            cancel()
            error = asyncio.CancelledError()
