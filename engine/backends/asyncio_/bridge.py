"""From a worker thread to the loop and back: how a blocking handler uses a stream that lives on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["LoopDriver"]

T = TypeVar("T")


class LoopDriver:
    """Runs coroutines on the loop it was made on, for other threads, which block until each is done.

    A call that is interrupted in its thread (Ctrl-C) cancels the coroutine.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def __call__(self, coroutine: Coroutine[Any, Any, T], /) -> T:
        """Run `coroutine` on the loop and return its result; never from the loop's own thread."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise
