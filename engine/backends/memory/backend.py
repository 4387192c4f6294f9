"""The memory backend as the engine and its tests see it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, ClassVar, TypeVar, cast

from ...errors import UsageError
from ..base import (
    FOREVER,
    Address,
    Backend,
    ByteStream,
    Colour,
    ConnectAttempt,
    Listener,
    SocketOption,
    TaskHandle,
    Waiter,
)
from .network import MemoryConnectAttempt, MemoryListener, MemoryNetwork
from .scheduler import Event, Scheduler
from .stream import MemoryStream

__all__ = ["MemoryBackend"]

T = TypeVar("T")


class _MemoryWaiter(Waiter):
    """See `Waiter`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._event = Event()
        self._woken = False

    def wake(self) -> None:
        """See `Waiter.wake`."""
        self._woken = True
        self._event.wake_all()

    async def wait(self, deadline: float) -> bool:
        """See `Waiter.wait`."""
        while not self._woken:
            if not await self._scheduler.wait(self._event, deadline, "a waiter to be woken"):
                break
        return self._woken


class MemoryBackend(Backend):
    """A network in memory with a virtual clock; see the package.

    Args:
        start: what the clock shows at the beginning, in seconds.
    """

    colour: ClassVar[Colour] = "async"

    def __init__(self, start: float = 1000.0) -> None:
        self._scheduler = Scheduler(start)
        self._network = MemoryNetwork(self._scheduler)

    # -- for tests -----------------------------------------------------------------------------------------------------

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` and what it spawns. Tasks that are left when it ends are cancelled.

        Raises:
            Deadlock: every task waits for another.
            Exception: the coroutine's own error; else the first uncaught error of a spawned task.
        """
        return self._scheduler.run(coroutine)

    def pipe(self, capacity: int | None = None, piece: int | None = None) -> tuple[MemoryStream, MemoryStream]:
        """Make two connected streams. `capacity` bounds the bytes on the way in each direction, `piece` those of a call."""
        return self._network.pipe(capacity, piece, Address(0, "one end"), Address(0, "the other end"))

    def listen(
        self, address: tuple[Any, ...] | str, capacity: int | None = None, piece: int | None = None
    ) -> MemoryListener:
        """Make an address that `start_connect` reaches; `capacity` and `piece` as in `pipe`."""
        if isinstance(address, tuple) and address[1] == 0:
            address = (address[0], self._network.pick_port())
        return MemoryListener(self._network, address, capacity, piece)

    def route(self, address: tuple[Any, ...] | str, delay: float = 0.0, error: int = 0) -> None:
        """Make connects to `address` take `delay` seconds (FOREVER: a black hole) and then fail with errno `error`."""
        self._network.routes[tuple(address[:2]) if isinstance(address, tuple) else address] = (delay, error)

    # -- Backend -------------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """See `Backend.now`: virtual."""
        return self._scheduler.now

    def create_guard(self) -> AbstractContextManager[Any]:
        """See `Backend.create_guard`."""
        return contextlib.nullcontext()

    def create_waiter(self) -> Waiter:
        """See `Backend.create_waiter`."""
        return _MemoryWaiter(self._scheduler)

    async def sleep_until(self, deadline: float) -> None:
        """See `Backend.sleep_until`."""
        await self._scheduler.wait(None, deadline, "time to pass")

    async def run_blocking(self, function: Callable[[], T], deadline: float) -> T:
        """See `Backend.run_blocking`: calls it, in no time."""
        return function()

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> TaskHandle:
        """See `Backend.spawn`."""
        return self._scheduler.spawn(coroutine, name)

    def start_connect(
        self,
        family: int,
        address: tuple[Any, ...] | str,
        local_address: tuple[Any, ...] | None = None,
        socket_options: tuple[SocketOption, ...] | None = None,
    ) -> ConnectAttempt:
        """See `Backend.start_connect`."""
        return MemoryConnectAttempt(self._network, family, address, local_address)

    async def wait_any_connect(self, attempts: list[ConnectAttempt], deadline: float) -> ConnectAttempt | None:
        """See `Backend.wait_any_connect`."""
        first = min(cast("list[MemoryConnectAttempt]", attempts), key=lambda attempt: attempt.ready_at)
        if first.ready_at > deadline:
            await self._scheduler.wait(None, deadline, "a connect")
            return None
        if first.ready_at > self.now():
            reason = "a connect that never ends" if first.ready_at == FOREVER else "a connect"
            await self._scheduler.wait(None, first.ready_at, reason)
        return first

    async def adopt_socket(self, sock: socket.socket) -> ByteStream:
        """See `Backend.adopt_socket`: refused, there are no sockets here."""
        raise UsageError("the memory backend has no use for a socket: connect to an address of its own")

    def adopt_listener(self, sock: socket.socket) -> Listener:
        """See `Backend.adopt_listener`: refused, there are no sockets here."""
        raise UsageError("the memory backend has no use for a socket: use listen()")
