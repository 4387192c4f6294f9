"""Connection attempts of the blocking backend: opened without waiting, waited for together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..base import ByteStream, ConnectAttempt, SocketOption
from ..sockets import Opening
from .readiness import LONGEST_MS, WRITE, create_poller, milliseconds_until
from .stream import BlockingStream

__all__ = ["BlockingConnectAttempt", "wait_any"]

_RETRY_MS = 10.0  # how often to knock at an AF_UNIX listener whose queue is full


class BlockingConnectAttempt(ConnectAttempt):
    """See `ConnectAttempt`; `opening` is the socket at work."""

    __slots__ = ("opening",)

    def __init__(
        self, family: int, address: Any, local_address: Any, socket_options: tuple[SocketOption, ...] | None
    ) -> None:
        self.opening = Opening(family, address, local_address, socket_options)

    async def take(self) -> ByteStream:
        """See `ConnectAttempt.take`."""
        return BlockingStream(self.opening.take(), is_prepared=True)

    def abandon(self) -> None:
        """See `ConnectAttempt.abandon`."""
        self.opening.close()


def wait_any(attempts: Sequence[BlockingConnectAttempt], deadline: float) -> BlockingConnectAttempt | None:
    """Wait until one of `attempts` is over; None at the deadline."""
    for attempt in attempts:
        if attempt.opening.done:
            return attempt
    while True:
        waiting = [attempt.opening for attempt in attempts if not attempt.opening.must_retry]
        poller = create_poller(*((opening.sock, WRITE) for opening in waiting))
        timeout = milliseconds_until(deadline)
        retrying = len(waiting) < len(attempts)
        if retrying:
            timeout = _RETRY_MS if timeout is None else min(timeout, _RETRY_MS)
        ready = {number for number, _ in poller.poll(timeout)}
        for attempt in attempts:
            opening = attempt.opening
            if (opening.must_retry or opening.sock.fileno() in ready) and opening.check():
                return attempt
        if not ready and timeout is not None and timeout < LONGEST_MS and milliseconds_until(deadline) == 0:
            return None
