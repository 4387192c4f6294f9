"""When the steps of a request happened."""

from __future__ import annotations

__all__ = ["Timings"]


class Timings:
    """Points in time on the backend's monotonic clock, in seconds; None for what has not happened.

    Attributes:
        started: the call began.
        connected: a connection was at hand, new or reused.
        head_received: the final response's head was complete.
        complete: the body was read to its end.
    """

    __slots__ = ("complete", "connected", "head_received", "started")

    def __init__(self, started: float) -> None:
        self.started = started
        self.connected: float | None = None
        self.head_received: float | None = None
        self.complete: float | None = None

    @property
    def total(self) -> float | None:
        """Seconds from the beginning to the end of the body."""
        return None if self.complete is None else self.complete - self.started

    @property
    def time_to_head(self) -> float | None:
        """Seconds from the beginning to the complete head of the final response."""
        return None if self.head_received is None else self.head_received - self.started

    def __repr__(self) -> str:
        return f"Timings(time_to_head={self.time_to_head}, total={self.total})"
