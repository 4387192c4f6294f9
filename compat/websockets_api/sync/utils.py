"""A time limit shared by several steps."""

from __future__ import annotations

import time

__all__ = ["Deadline"]


class Deadline:
    """A point in time by which something is to be done.

    Args:
        timeout: seconds from now; None for no limit.

    Attributes:
        deadline: on the clock of `time.monotonic`; None for no limit.
    """

    def __init__(self, timeout: float | None) -> None:
        self.deadline: float | None = None if timeout is None else time.monotonic() + timeout

    def timeout(self, *, raise_if_elapsed: bool = True) -> float | None:
        """Seconds that are left; None where there is no limit.

        Args:
            raise_if_elapsed: whether to raise when nothing is left, instead of returning zero or less.

        Raises:
            TimeoutError: the time is over.
        """
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        if left <= 0 and raise_if_elapsed:
            raise TimeoutError("timed out")
        return left
