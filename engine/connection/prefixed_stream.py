"""A byte stream with bytes in front of it that were read too early: what an upgraded protocol starts from."""

from __future__ import annotations

import ssl

from ..backends.base import ByteStream
from .layered_stream import LayeredStream

__all__ = ["PrefixedStream"]


class PrefixedStream(LayeredStream):
    """`stream`, but `prefix` is received first. Everything else goes straight through."""

    def __init__(self, stream: ByteStream, prefix: bytes) -> None:
        super().__init__(stream)
        self._prefix = prefix

    def unread(self, data: bytes) -> None:
        """Put `data` in front of what is still to be received."""
        self._prefix = data + self._prefix

    async def receive_some(self, max_bytes: int, deadline: float) -> bytes:
        """See `ByteStream.receive_some`."""
        if self._prefix:
            data, self._prefix = self._prefix[:max_bytes], self._prefix[max_bytes:]
            return data
        return await self._stream.receive_some(max_bytes, deadline)

    async def send_some(self, data: bytes | bytearray | memoryview, deadline: float, or_readable: bool = False) -> int:
        """See `ByteStream.send_some`."""
        return await self._stream.send_some(data, deadline, or_readable)

    async def send_eof(self, deadline: float) -> None:
        """See `ByteStream.send_eof`."""
        await self._stream.send_eof(deadline)

    def is_readable(self) -> bool:
        """See `ByteStream.is_readable`."""
        return bool(self._prefix) or self._stream.is_readable()

    def close(self) -> None:
        """See `ByteStream.close`."""
        self._stream.close()

    @property
    def is_closed(self) -> bool:
        """See `ByteStream.is_closed`."""
        return self._stream.is_closed

    @property
    def ended_cleanly(self) -> bool:
        """See `ByteStream.ended_cleanly`."""
        return self._stream.ended_cleanly

    @property
    def ssl_object(self) -> ssl.SSLObject | None:
        """See `ByteStream.ssl_object`."""
        return self._stream.ssl_object
