"""Time limits of a request: one deadline for the whole, and optional limits for the phases below it."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["DEFAULT_TIMEOUTS", "NO_TIMEOUTS", "TimeoutTypes", "Timeouts"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in seconds; None for no limit.

    Args:
        total: for the whole call: waiting for a connection, connecting, sending, every redirect and retry, and reading the
            body, also when that is read in pieces later.
        connect: resolving the name, connecting and the TLS handshake, together, for each new connection.
        read: how long the peer may send nothing while something is expected of it.
        write: how long the peer may take nothing while something is being sent.
        pool: waiting for a connection when all that are allowed are in use.
    """

    total: float | None = None
    connect: float | None = None
    read: float | None = None
    write: float | None = None
    pool: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0):
                raise ValueError(f"the {field.name} timeout is a number of seconds, zero or more, or None: {value!r}")

    def with_total(self, total: float | None) -> Timeouts:
        """The same limits with another `total`."""
        return Timeouts(total, self.connect, self.read, self.write, self.pool)


TimeoutTypes = Timeouts | float | None

# Nothing waits for ever by default: a peer that is silent for a minute is given up. The whole has no limit, because a
# large download that makes progress is not an error.
DEFAULT_TIMEOUTS = Timeouts(connect=30.0, read=60.0, write=60.0, pool=60.0)
NO_TIMEOUTS = Timeouts()
