"""A byte stream with bytes in front of it that were read too early: what an upgraded protocol starts from."""

from __future__ import annotations

import ssl

from ..backends.base import Address, ByteStream

__all__ = ["PrefixedStream"]


class PrefixedStream(ByteStream):
    """`stream`, but `prefix` is received first. Everything else goes straight through."""

    def __init__(self, stream: ByteStream, prefix: bytes) -> None:
        self._stream = stream
        self._prefix = prefix

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
    def local_address(self) -> Address:
        """See `ByteStream.local_address`."""
        return self._stream.local_address

    @property
    def peer_address(self) -> Address:
        """See `ByteStream.peer_address`."""
        return self._stream.peer_address

    @property
    def ssl_object(self) -> ssl.SSLObject | None:
        """See `ByteStream.ssl_object`."""
        return self._stream.ssl_object

    def fileno(self) -> int:
        """See `ByteStream.fileno`."""
        return self._stream.fileno()
