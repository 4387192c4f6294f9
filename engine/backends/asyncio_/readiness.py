"""Being told when a bare socket is ready.

Loops on top of a selector have `add_reader`/`add_writer`. Windows' proactor loop has not: there the socket is looked at every
few milliseconds, which only connecting and accepting pay for.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable

__all__ = ["INTERVAL", "Watch"]

INTERVAL = 0.01  # seconds between two looks


class Watch:
    """Calls `callback` whenever `sock` is ready for writing (or for reading), until stopped."""

    __slots__ = ("_callback", "_loop", "_native", "_sock", "_timer", "_writing")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, writing: bool, callback: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._writing = writing
        self._callback = callback
        self._timer: asyncio.TimerHandle | None = None
        try:
            (loop.add_writer if writing else loop.add_reader)(sock.fileno(), callback)
            self._native = True
        except NotImplementedError:
            self._native = False
            self._timer = loop.call_later(0, self._look)

    def _look(self) -> None:
        self._timer = self._loop.call_later(INTERVAL, self._look)
        mine = [self._sock.fileno()]
        nobody: list[int] = []
        # A connect that failed shows up in the third list on Windows, and as writable elsewhere.
        if any(select.select(nobody if self._writing else mine, mine if self._writing else nobody, mine, 0)):
            self._callback()

    def stop(self) -> None:
        """Watch no more; call it before the socket is closed. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
        if self._native:
            self._native = False
            number = self._sock.fileno()
            if number >= 0 and not self._loop.is_closed():
                (self._loop.remove_writer if self._writing else self._loop.remove_reader)(number)
