"""The blocking backend as the engine sees it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, ClassVar, TypeVar, cast

from ..base import Backend, ByteStream, Colour, ConnectAttempt, Listener, SocketOption, TaskHandle, Waiter
from ..clock import Clock
from .connect import BlockingConnectAttempt, wait_any
from .listener import BlockingListener
from .stream import BlockingStream
from .threads import BlockingTask, BlockingWaiter, call_by

__all__ = ["BlockingBackend"]

T = TypeVar("T")
_LONGEST_SLEEP = 3600.0


class BlockingBackend(Backend):
    """Plain sockets and threads; the clock is `time.monotonic`. Coroutines over it never suspend: run them with `run`."""

    colour: ClassVar[Colour] = "blocking"
    # No frame of ours around what is called several times a request.
    now = staticmethod(Clock.now)

    def create_guard(self) -> AbstractContextManager[Any]:
        """See `Backend.create_guard`."""
        return threading.Lock()

    def create_waiter(self) -> Waiter:
        """See `Backend.create_waiter`."""
        return BlockingWaiter()

    async def sleep_until(self, deadline: float) -> None:
        """See `Backend.sleep_until`."""
        while (left := deadline - self.now()) > 0:
            time.sleep(min(left, _LONGEST_SLEEP))  # noqa: ASYNC251 - to block is what this backend is for

    async def run_blocking(self, function: Callable[[], T], deadline: float) -> T:
        """See `Backend.run_blocking`. Without a deadline it is a plain call in this thread."""
        return call_by(function, deadline)

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> TaskHandle:
        """See `Backend.spawn`."""
        return BlockingTask(coroutine, name)

    def start_connect(
        self,
        family: int,
        address: tuple[Any, ...] | str,
        local_address: tuple[Any, ...] | None = None,
        socket_options: tuple[SocketOption, ...] | None = None,
    ) -> ConnectAttempt:
        """See `Backend.start_connect`."""
        return BlockingConnectAttempt(family, address, local_address, socket_options)

    async def wait_any_connect(self, attempts: list[ConnectAttempt], deadline: float) -> ConnectAttempt | None:
        """See `Backend.wait_any_connect`."""
        return wait_any(cast("list[BlockingConnectAttempt]", attempts), deadline)

    async def adopt_socket(self, sock: socket.socket) -> ByteStream:
        """See `Backend.adopt_socket`."""
        return BlockingStream(sock)

    def adopt_listener(self, sock: socket.socket) -> Listener:
        """See `Backend.adopt_listener`."""
        return BlockingListener(sock)
