"""The asyncio backend as the engine sees it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, ClassVar, TypeVar, cast

from ..base import Backend, ByteStream, Colour, ConnectAttempt, Listener, SocketOption, TaskHandle, Waiter
from .connect import AsyncioConnectAttempt, adopt, wait_any
from .listener import AsyncioListener
from .tasks import AsyncioTask, AsyncioWaiter, Call
from .timing import Signal

__all__ = ["AsyncioBackend"]

T = TypeVar("T")


class AsyncioBackend(Backend):
    """The running asyncio loop, whichever it is. The clock is the loop's; every method but `adopt_listener` needs one."""

    colour: ClassVar[Colour] = "async"

    def now(self) -> float:
        """See `Backend.now`."""
        return asyncio.get_running_loop().time()

    def create_guard(self) -> AbstractContextManager[Any]:
        """See `Backend.create_guard`.

        A lock nobody ever waits for, since nothing is awaited while it is held: cheaper than `contextlib.nullcontext`.
        """
        return threading.Lock()

    def create_waiter(self) -> Waiter:
        """See `Backend.create_waiter`."""
        return AsyncioWaiter()

    async def sleep_until(self, deadline: float) -> None:
        """See `Backend.sleep_until`."""
        loop = asyncio.get_running_loop()
        if deadline <= loop.time():
            await asyncio.sleep(0)
        while deadline > loop.time():
            await Signal(loop).wait(deadline)

    async def run_blocking(self, function: Callable[[], T], deadline: float) -> T:
        """See `Backend.run_blocking`."""
        return await Call(function).result(deadline)

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> TaskHandle:
        """See `Backend.spawn`."""
        return AsyncioTask(coroutine, name)

    def start_connect(
        self,
        family: int,
        address: tuple[Any, ...] | str,
        local_address: tuple[Any, ...] | None = None,
        socket_options: tuple[SocketOption, ...] | None = None,
    ) -> ConnectAttempt:
        """See `Backend.start_connect`."""
        return AsyncioConnectAttempt(asyncio.get_running_loop(), family, address, local_address, socket_options)

    async def wait_any_connect(self, attempts: list[ConnectAttempt], deadline: float) -> ConnectAttempt | None:
        """See `Backend.wait_any_connect`."""
        return await wait_any(asyncio.get_running_loop(), cast("list[AsyncioConnectAttempt]", attempts), deadline)

    async def adopt_socket(self, sock: socket.socket) -> ByteStream:
        """See `Backend.adopt_socket`."""
        return await adopt(asyncio.get_running_loop(), sock)

    def adopt_listener(self, sock: socket.socket) -> Listener:
        """See `Backend.adopt_listener`."""
        return AsyncioListener(sock)
