"""The settings and the figures of a connection pool: plain values, nothing that acts."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UsageError

__all__ = ["PoolLimits", "PoolStatistics"]


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections a pool may hold, and for how long.

    Args:
        max_connections: connections in total, idle ones included; None for no limit. The default suits the 1,024
            descriptors a process is usually given: a tenth of them.
        max_per_origin: connections to one origin; None for no limit. RFC 9112 section 9.4 asks clients to limit them
        but
            names no figure. Half of the default total: one slow server cannot take every connection from all others.
        max_shared_per_origin: connections to one origin that several users share (HTTP/2) and that take new ones; None for
            no limit. Callers who find them full wait. RFC 9113 section 9.1 asks clients not to open more than one.
        max_idle: connections kept open without use, in total; None for no limit but `max_connections`. The one idle
            longest is closed first. 0 keeps none.
        keepalive_expiry: seconds after which an idle connection is not used any more; None for no limit. Less than
        the
            60 seconds after which common load balancers, and the 75 after which nginx, drop an idle connection:
            whoever reuses one at that very moment loses the request, and not every request may be repeated (RFC 9110
            9.2.2). Servers that close sooner are noticed by the check before reuse.
    """

    max_connections: int | None = 100
    max_per_origin: int | None = 50
    max_idle: int | None = None
    keepalive_expiry: float | None = 50.0
    max_shared_per_origin: int | None = 1

    def __post_init__(self) -> None:
        for name, least in (
            ("max_connections", 1),
            ("max_per_origin", 1),
            ("max_shared_per_origin", 1),
            ("max_idle", 0),
            ("keepalive_expiry", 0),
        ):
            value = getattr(self, name)
            if value is not None and not value >= least:  # "not >=" refuses NaN too
                raise UsageError(f"{name} must be None or at least {least}, not {value!r}")


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """What a pool holds now, and what it has done since it was made (or since the process was forked).

    Attributes:
        open: connections now: `idle` + `in_use`.
        idle: … ready for reuse.
        in_use: … handed out, or just being closed.
        opening: connections being opened; they count against the limits, not in `open`.
        waiting: callers in the queue now.
        users: exchanges under way: one for every exclusive connection in use, any number for a shared one.
        created: connections opened successfully.
        reused: acquisitions served by a connection that had served before.
        waits: acquisitions that had to queue.
        closed: connections closed by the pool for any reason; those below are among them.
        expired: … after `keepalive_expiry`.
        stale: … because the check before reuse found them closed or talking out of turn.
        evicted: … while idle, to make room for another origin or to keep to `max_idle`.
    """

    open: int
    idle: int
    in_use: int
    opening: int
    waiting: int
    created: int
    reused: int
    waits: int
    closed: int
    expired: int
    stale: int
    evicted: int
    users: int = 0
