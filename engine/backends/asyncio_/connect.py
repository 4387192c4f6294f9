"""Connection attempts of the asyncio backend, and the making of streams from connected sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

from ...errors import ConnectError
from ..base import Address, ByteStream, ConnectAttempt, SocketOption
from ..sockets import Opening, has_nodelay, prepare, set_nodelay, translated
from .readiness import INTERVAL, Watch
from .stream import AsyncioStream
from .timing import Signal

__all__ = ["AsyncioConnectAttempt", "adopt", "wait_any"]


async def adopt(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, peer: Address | None = None, is_prepared: bool = False
) -> AsyncioStream:
    """Give a connected socket a transport; the socket is closed when that fails or is cancelled.

    Args:
        is_prepared: whether it is non-blocking and has its options, which stay as they are.
    """
    try:
        if not is_prepared:
            prepare(sock)
        nodelay = has_nodelay(sock)
        if sock.family == getattr(socket, "AF_UNIX", None):
            _, stream = await loop.create_unix_connection(lambda: AsyncioStream(loop, peer), sock=sock)
        else:
            _, stream = await loop.create_connection(lambda: AsyncioStream(loop, peer), sock=sock)
    except OSError as fault:
        sock.close()
        raise translated(ConnectError, fault) from fault
    except BaseException:
        sock.close()
        raise
    if not nodelay:
        set_nodelay(sock, False)  # transports turn it on
    return stream


class AsyncioConnectAttempt(ConnectAttempt):
    """See `ConnectAttempt`. The loop watches the socket from the beginning."""

    __slots__ = ("_loop", "_opening", "_timer", "_watch", "waiter")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        family: int,
        address: Any,
        local_address: Any,
        socket_options: tuple[SocketOption, ...] | None,
    ) -> None:
        self._loop = loop
        self._opening = Opening(family, address, local_address, socket_options)
        self._watch: Watch | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.waiter: Signal | None = None
        self._go_on()

    @property
    def done(self) -> bool:
        """Whether the connect is over."""
        return self._opening.done

    def _go_on(self) -> None:
        opening = self._opening
        if opening.must_retry:
            self._timer = self._loop.call_later(INTERVAL, self._look)
        elif not opening.done and self._watch is None:
            self._watch = Watch(self._loop, opening.sock, True, self._look)

    def _look(self) -> None:
        if self._opening.check():
            self._stop()
            if self.waiter is not None:
                self.waiter.fire()
        else:
            self._go_on()

    def _stop(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        if self._timer is not None:
            self._timer.cancel()

    async def take(self) -> ByteStream:
        """See `ConnectAttempt.take`."""
        return await adopt(self._loop, self._opening.take(), is_prepared=True)

    def abandon(self) -> None:
        """See `ConnectAttempt.abandon`."""
        self._stop()
        self._opening.close()


async def wait_any(
    loop: asyncio.AbstractEventLoop, attempts: Sequence[AsyncioConnectAttempt], deadline: float
) -> AsyncioConnectAttempt | None:
    """Wait until one of `attempts` is over; None at the deadline."""
    while True:
        signal = Signal(loop)
        for attempt in attempts:
            if attempt.done:
                return attempt
            attempt.waiter = signal
        try:
            await signal.wait(deadline)
        finally:
            for attempt in attempts:
                attempt.waiter = None
        if deadline <= loop.time() and not any(attempt.done for attempt in attempts):
            return None
