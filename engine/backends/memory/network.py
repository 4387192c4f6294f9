"""Names to connect to in memory: listeners, and how long a connect takes or how it fails."""

from __future__ import annotations

import errno
import os
from collections import deque
from typing import Any

from ...errors import ConnectError
from ..base import FOREVER, Address, ByteStream, ConnectAttempt, Listener
from .scheduler import Event, Scheduler
from .stream import MemoryStream

__all__ = ["MemoryConnectAttempt", "MemoryListener", "MemoryNetwork"]


class MemoryNetwork:
    """What can be connected to.

    Attributes:
        listeners: by address.
        routes: by address, how long a connect takes, in seconds, and the errno it then fails with (0: it succeeds).
        changed: fired when a connect is over or a client waits.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.listeners: dict[Any, MemoryListener] = {}
        self.routes: dict[Any, tuple[float, int]] = {}
        self.changed = Event()
        self._last_port = 49151

    def pick_port(self) -> int:
        """A port nobody used before."""
        self._last_port += 1
        return self._last_port

    def pipe(
        self, capacity: int | None, piece: int | None, near: Address, far: Address
    ) -> tuple[MemoryStream, MemoryStream]:
        """Two streams, each other's peer."""
        one = MemoryStream(self.scheduler, capacity, piece, near, far)
        two = MemoryStream(self.scheduler, capacity, piece, far, near)
        one.connect_to(two)
        two.connect_to(one)
        return one, two


class MemoryConnectAttempt(ConnectAttempt):
    """See `ConnectAttempt`. `ready_at` is when it is over, on the scheduler's clock."""

    def __init__(self, network: MemoryNetwork, family: int, address: Any, local_address: Any) -> None:
        self._network = network
        self._address = address
        self._near = _address_of(family, local_address or ("local", network.pick_port()))
        delay, self._error = network.routes.get(_key(address), (0.0, 0))
        self.ready_at = network.scheduler.now + delay if delay != FOREVER else FOREVER
        self._abandoned = False
        self._family = family

    async def take(self) -> ByteStream:
        """See `ConnectAttempt.take`."""
        listener = self._network.listeners.get(_key(self._address))
        if self._abandoned:
            raise ConnectError(errno.ECANCELED, "the attempt was abandoned")
        if self.ready_at > self._network.scheduler.now:
            raise RuntimeError("the connection attempt is not finished")
        code = self._error or (0 if listener else errno.ECONNREFUSED)
        if listener is None or code:
            raise ConnectError(code, os.strerror(code))
        return listener.connect_from(self._near, _address_of(self._family, self._address))

    def abandon(self) -> None:
        """See `ConnectAttempt.abandon`."""
        self._abandoned = True


class MemoryListener(Listener):
    """See `Listener`. Streams it gives have the `capacity` and `piece` of `MemoryStream`."""

    def __init__(self, network: MemoryNetwork, address: Any, capacity: int | None, piece: int | None) -> None:
        self._network = network
        self._key = _key(address)
        self._address = _address_of(0, address)
        self._capacity, self._piece = capacity, piece
        self._queue: deque[ByteStream] = deque()
        self._closed = False
        if self._key in network.listeners:
            raise ConnectError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        network.listeners[self._key] = self

    def connect_from(self, near: Address, far: Address) -> ByteStream:
        """Queue one end of a new pipe for `accept` and return the other."""
        client, server = self._network.pipe(self._capacity, self._piece, near, far)
        self._queue.append(server)
        self._network.changed.wake_all()
        return client

    async def accept(self, deadline: float) -> ByteStream | None:
        """See `Listener.accept`."""
        network = self._network
        while not self._closed:
            if self._queue:
                return self._queue.popleft()
            if not await network.scheduler.wait(network.changed, deadline, f"a client at {self._address.host}"):
                if not self._queue:
                    break
        return None

    @property
    def address(self) -> Address:
        """See `Listener.address`."""
        return self._address

    def close(self) -> None:
        """See `Listener.close`. Clients nobody accepted are closed."""
        if not self._closed:
            self._closed = True
            del self._network.listeners[self._key]
            while self._queue:
                self._queue.popleft().close()
            self._network.changed.wake_all()

    def fileno(self) -> int:
        """See `Listener.fileno`: always -1."""
        return -1


def _key(address: Any) -> Any:
    """What identifies an address: host and port, without flow label and scope; a path."""
    return tuple(address[:2]) if isinstance(address, tuple) else address


def _address_of(family: int, address: Any) -> Address:
    return Address(family, address[0], address[1]) if isinstance(address, tuple) else Address(family, str(address))
