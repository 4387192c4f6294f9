"""Waiting until a descriptor is ready, with `select.poll` where there is one and `select.select` on Windows.

A poller is kept by whoever waits and is used by one thread at a time. Deadlines become milliseconds here, which `poll`
rounds up, so that a wait never ends before its deadline; signals that do not raise are waited through (PEP 475).
"""

from __future__ import annotations

import select
import selectors
import socket
from typing import Protocol

from ..base import FOREVER
from ..clock import Clock

__all__ = ["LONGEST_MS", "READ", "WRITE", "Poller", "create_poller", "milliseconds_until"]

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE
LONGEST_MS = 2**31 - 1  # what the system call takes: 24 days; waiters loop


class Poller(Protocol):
    """Waits for the descriptors it was made with."""

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """Wait up to `timeout` milliseconds, None for ever; return (descriptor, something) for each that is ready."""


class _SelectorPoller:
    """`selectors` behind the interface of `select.poll`: for Windows, and for programs that patch `poll` away."""

    def __init__(self, interests: list[tuple[socket.socket, int]]) -> None:
        self._selector = selectors.SelectSelector()
        for sock, events in interests:
            self._selector.register(sock.fileno(), events)

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        # Windows' select has no upper limit worth the name; an hour is as good as any for those who loop.
        seconds = None if timeout is None else min(timeout / 1000, 3600.0)
        return [(key.fd, events) for key, events in self._selector.select(seconds)]


def create_poller(*interests: tuple[socket.socket, int]) -> Poller:
    """Make a poller for pairs of a socket and `READ`, `WRITE` or both. Errors and hang-ups are always reported."""
    if not hasattr(select, "poll"):
        return _SelectorPoller(list(interests))
    poller = select.poll()
    for sock, events in interests:
        poller.register(sock, (select.POLLIN if events & READ else 0) | (select.POLLOUT if events & WRITE else 0))
    return poller


def milliseconds_until(deadline: float) -> float | None:
    """How long to poll: None for ever, 0 for a look when the deadline has passed, never more than the system takes."""
    if deadline == FOREVER:
        return None
    left = (deadline - Clock.now()) * 1000
    return 0 if left < 0 else min(left, LONGEST_MS)
