"""The clock of everything that waits."""

from __future__ import annotations

import time

__all__ = ["Clock"]


class Clock:
    """The system's monotonic clock.

    It is in a class because libraries that stop time for a test put their own function wherever a module has
    `time.monotonic`: what is then waited for by one clock must not be measured by another, and sockets know no stopped time.
    """

    now = staticmethod(time.monotonic)
