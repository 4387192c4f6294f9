"""On which CPUs client and server run: of a small exchange, that can decide more than who sends it.

Where the scheduler may choose, it puts the two on one CPU for one contender and on two for the next. On two, the client goes to
sleep for the answer; on virtual machines its CPU is then halted, and to wake it costs the client more than all that a lean
library does for the request.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["PLACES", "placed"]

PLACES = {
    "": "client and server wherever the scheduler puts them",
    "one": "client and server on one CPU",
    "two": "client and server on a CPU each",
}


@contextlib.contextmanager
def placed(cpus: str, servers: Sequence[int]) -> Iterator[tuple[str, set[int] | None]]:
    """Keep the servers where they are to run while the block lasts.

    Args:
        cpus: "one", "two", or "" for wherever the scheduler puts them. It is "" too where the system has no such thing, or not
            as many CPUs.
        servers: the numbers of their processes; those that these have started go with them.

    Yields:
        What it came to, of the same three; and the CPUs for the client, None for any.
    """
    if not cpus or sys.platform != "linux":
        yield "", None
        return
    allowed = sorted(os.sched_getaffinity(0))
    if cpus == "two" and len(allowed) < 2:
        yield "", None
        return
    # The first one often has the interrupts of devices to deal with.
    client, server = {allowed[-1]}, {allowed[-1] if cpus == "one" else allowed[0]}
    before = {pid: os.sched_getaffinity(pid) for started in servers for pid in (started, *_started_by(started))}
    try:
        for pid in before:
            os.sched_setaffinity(pid, server)
        yield cpus, client
    finally:
        for pid, anywhere in before.items():
            os.sched_setaffinity(pid, anywhere)


def _started_by(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
