"""Helpers for the contract: a stream of bytes that shows every loss, repetition and swap; filling a stream up."""

from __future__ import annotations

import random

from drivetrain.engine.backends.base import FOREVER, ByteStream
from drivetrain.engine.errors import WriteTimeout

__all__ = ["Outbox", "noise", "receive_exactly", "receive_until_end"]

_NOISE = random.Random(7).randbytes(1 << 20)


def noise(size: int) -> bytes:
    """Bytes of which no two pieces are alike (up to 1 MiB, then again)."""
    return (_NOISE * (size // len(_NOISE) + 1))[:size]


class Outbox:
    """Data to be sent through waits that fail, continuing where it stopped, as the engine does."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sent = 0

    async def send(self, stream: ByteStream, deadline: float, or_readable: bool = False) -> bool:
        """Send until all is sent (True), or input came first (False)."""
        with memoryview(self.data) as view:
            while self.sent < len(view):
                count = await stream.send_some(view[self.sent :], deadline, or_readable)
                if not count:
                    return False
                self.sent += count
        return True

    async def fill(self, stream: ByteStream, deadline: float) -> None:
        """Send until the deadline, which must come before the end of the data."""
        try:
            await self.send(stream, deadline)
        except WriteTimeout:
            return
        raise AssertionError("the stream took everything")


async def receive_exactly(stream: ByteStream, size: int, deadline: float = FOREVER, at_once: int = 65536) -> bytes:
    """Receive `size` bytes, or fewer if the end comes."""
    pieces = []
    while size:
        piece = await stream.receive_some(min(size, at_once), deadline)
        if not piece:
            break
        assert len(piece) <= at_once
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


async def receive_until_end(stream: ByteStream, deadline: float = FOREVER) -> bytes:
    """Receive everything up to the peer's end."""
    return await receive_exactly(stream, 1 << 40, deadline)
