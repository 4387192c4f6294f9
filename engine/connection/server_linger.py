"""Closing a connection whose client may still be sending."""

from __future__ import annotations

from ..backends.base import ByteStream

__all__ = ["LINGER_TIME", "drop_input"]

# Closing at once would reset the connection and destroy the last answer on its way (RFC 9112 section 9.6). So much is read
# and dropped first, in bytes and seconds.
_LINGER_BYTES = 500 * 1024
LINGER_TIME = 2.0


async def drop_input(stream: ByteStream, deadline: float) -> None:
    """Read on until the client ends its side, or has sent enough.

    Raises:
        ReadTimeout, ReadError: which is an end as good as any.
    """
    dropped = 0
    while dropped < _LINGER_BYTES:
        data = await stream.receive_some(64 * 1024, deadline)
        if not data:
            return
        dropped += len(data)
