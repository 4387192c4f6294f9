"""The helper threads of connections: one each, for those that live long enough to need one.

To start a thread costs a good part of what opening and closing a connection does, and one that is opened, used and closed
needs no helper.

Laws:

- a connection that is still open after `_GRACE` seconds has a helper, which runs the engine's `pump`: answers Pings, keeps the
  connection alive, and closes it when the peer does. The helper ends with the connection;
- who waits for what only a helper can bring about calls it at once;
- the new ones wait for their time in one thread, which becomes the helper of the first that is open then. Without connections
  there are no threads; in a forked child there are none of the parent's.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable

from drivetrain.engine import WebSocketConnection, run_blocking

__all__ = ["Attendant"]

_GRACE = 0.05


class Attendant:
    """What goes on by itself with one connection.

    Args:
        core: the connection.

    Raises:
        RuntimeError: there can be no more threads.
    """

    __slots__ = ("_core", "_ended", "_pid", "due", "is_called")

    def __init__(self, core: WebSocketConnection) -> None:
        self._core = core
        self._ended = threading.Event()
        self._pid = os.getpid()
        self.due = time.monotonic() + _GRACE
        self.is_called = False
        _waiting.add(self)

    def call(self) -> None:
        """Have the helper come now, unless it is there already.

        Raises:
            RuntimeError: there can be no more threads.
        """
        if self.is_needed and _waiting.take(self):
            try:
                _start(self.attend)
            except RuntimeError:
                self.is_called = False
                raise

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the connection is closed; in a forked child, look only.

        Args:
            timeout: seconds; None for as long as it takes.

        Returns:
            Whether it is.
        """
        core = self._core
        if not core.is_closed and self._pid == os.getpid():
            self.call()
            self._ended.wait(timeout)
        return core.is_closed

    @property
    def is_needed(self) -> bool:
        """Whether the connection is open, and nobody came yet."""
        return not self.is_called and not self._core.is_closed

    def attend(self) -> None:
        """Be the helper."""
        try:
            run_blocking(self._core.pump())
        finally:
            self._ended.set()


class _WaitingRoom:
    """Those whose time has not come, the oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[Attendant] = deque()
        self._has_thread = False

    def add(self, attendant: Attendant) -> None:
        """Let one wait."""
        with self._lock:
            self._queue.append(attendant)
            is_first, self._has_thread = not self._has_thread, True
        if is_first:
            self._start()

    def _start(self) -> None:
        try:
            _start(self._sit)
        except RuntimeError:
            with self._lock:
                self._has_thread = False
            raise

    def take(self, attendant: Attendant) -> bool:
        """Let one wait no more; whether the caller was the first to say so, and is to see that it attends."""
        with self._lock:
            is_first, attendant.is_called = not attendant.is_called, True
        return is_first

    def _next(self) -> Attendant | None:
        with self._lock:
            self._has_thread = bool(self._queue)
            return self._queue.popleft() if self._queue else None

    def _sit(self) -> None:
        """The thread that waits, until it is needed for more."""
        while (attendant := self._next()) is not None:
            if attendant.is_needed:
                time.sleep(max(attendant.due - time.monotonic(), 0.0))
            if attendant.is_needed and self.take(attendant):
                self._be_replaced()
                attendant.attend()
                return

    def _be_replaced(self) -> None:
        with self._lock:
            self._has_thread = bool(self._queue)
            is_needed = self._has_thread
        if is_needed:
            try:
                self._start()
            except RuntimeError:
                return  # who waits now waits for the next connection, or to be called


def _start(target: Callable[[], None]) -> None:
    # A daemon: a program may end while connections are open.
    threading.Thread(target=target, name="drivetrain: WebSocket", daemon=True).start()


_waiting = _WaitingRoom()
if hasattr(os, "register_at_fork"):
    # The parent's threads are not there, and one of them may have held the lock.
    os.register_at_fork(after_in_child=_waiting.__init__)  # type: ignore[misc]
