"""A listening socket of the asyncio backend."""

from __future__ import annotations

import asyncio
import errno
import socket

from ...errors import ConnectError, NetworkError
from ..base import Address, ByteStream, Listener
from ..sockets import address_of, translated
from .connect import adopt
from .readiness import Watch
from .timing import Signal

__all__ = ["AsyncioListener"]

# The client went away between its connect and our accept.
_GONE = frozenset({errno.ECONNABORTED, errno.EPROTO})


class AsyncioListener(Listener):
    """See `Listener`. Several tasks of one loop may accept at the same time."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._address = address_of(sock, sock.getsockname())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[Signal] = []
        self._watch: Watch | None = None
        self._closed = False

    async def accept(self, deadline: float) -> ByteStream | None:
        """See `Listener.accept`."""
        self._loop = loop = asyncio.get_running_loop()
        while not self._closed:
            try:
                sock, name = self._sock.accept()
            except BlockingIOError:
                if not await self._ready(loop, deadline):
                    return None
                continue
            except OSError as fault:
                if fault.errno in _GONE:
                    continue
                raise translated(NetworkError, fault) from fault
            try:
                return await adopt(loop, sock, address_of(sock, name))
            except ConnectError:
                continue  # gone already
        return None

    async def _ready(self, loop: asyncio.AbstractEventLoop, deadline: float) -> bool:
        """Wait until there is something to look at; False when there is nothing more to wait for."""
        if deadline <= loop.time():
            return False
        signal = Signal(loop)
        self._waiting.append(signal)
        if self._watch is None:
            self._watch = Watch(loop, self._sock, False, self._wake_one)
        try:
            await signal.wait(deadline)
        finally:
            self._waiting.remove(signal)
            if not self._waiting:
                self._stop()
        return not self._closed

    def _wake_one(self) -> None:
        # Called again as long as a client waits, so one that was woken and cancelled at once does not hold up the rest.
        for signal in self._waiting:
            if signal.is_waiting:
                signal.fire()
                return

    def _stop(self) -> None:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    @property
    def address(self) -> Address:
        """See `Listener.address`."""
        return self._address

    def close(self) -> None:
        """See `Listener.close`."""
        if self._closed:
            return
        self._closed = True
        loop = self._loop
        try:
            here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if loop is None or loop is here or not loop.is_running():
            self._finish()
        else:
            loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        self._stop()
        self._sock.close()
        for signal in self._waiting:
            signal.fire()

    def fileno(self) -> int:
        """See `Listener.fileno`."""
        return -1 if self._closed else self._sock.fileno()
