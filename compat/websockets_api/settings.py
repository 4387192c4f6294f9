"""The limits and times of a connection, as `websockets` has them, in terms of the engine.

Nothing here is bound to a colour. What `websockets` calls None ("no limit") is a figure here that nobody reaches, where the
engine insists on one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from drivetrain.engine import WebSocketLimits

__all__ = [
    "NO_LIMIT",
    "MaxQueue",
    "MaxSize",
    "Settings",
    "WriteLimit",
    "split_max_queue",
    "split_max_size",
    "split_write_limit",
]

MaxSize = int | None | tuple[int | None, int | None]
MaxQueue = int | None | tuple[int | None, int | None]
WriteLimit = int | tuple[int, int | None]

NO_LIMIT = 1 << 62
"""Stands for "no limit" where the engine wants a number, in bytes or pieces."""

# Of how many bytes the pieces of a large frame are at least supposed to be.
_PIECE = 16 * 1024
_DEFAULT_MESSAGE = 1 << 20
_MIN_INTERVAL = 0.001


def split_max_size(max_size: MaxSize) -> tuple[int | None, int | None]:
    """Read `max_size`: the limits on a message and on a frame (a fragment), in bytes; None for none."""
    if isinstance(max_size, int) or max_size is None:
        return max_size, None
    message, fragment = max_size
    return message, fragment


def split_max_queue(max_queue: MaxQueue) -> tuple[int | None, int | None]:
    """Read `max_queue`: the high-water and the low-water mark, in frames; None for no limit.

    Raises:
        ValueError: the marks contradict each other.
    """
    if isinstance(max_queue, int) or max_queue is None:
        high, low = max_queue, None
    else:
        high, low = max_queue
    if high is not None and low is None:
        low = high // 4
    if high is None and low is not None:
        high = low * 4
    if high is not None and low is not None:
        if low < 0:
            raise ValueError("low must be positive or equal to zero")
        if high < low:
            raise ValueError("high must be greater than or equal to low")
    return high, low


def split_write_limit(write_limit: WriteLimit) -> tuple[int, int]:
    """Read `write_limit`: the high-water and the low-water mark of what waits to be sent, in bytes.

    Raises:
        ValueError: the marks contradict each other.
    """
    high, low = (write_limit, None) if isinstance(write_limit, int) else write_limit
    if low is None:
        low = high // 4
    if not high >= low >= 0:
        raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
    return high, low


@dataclass(frozen=True)
class Settings:
    """What a connection is set to. The names and defaults are those of `connect` and `serve`; times in seconds.

    Args:
        ping_interval: between keep-alive Pings; None for none of them.
        ping_timeout: for their Pongs; None for ever.
        close_timeout: for the peer's side of the closing handshake; None for ever.
        max_size: of a message, or (message, fragment), in bytes; None for no limit.
        max_queue: how many frames may wait to be received, or (high, low); None for no limit.
        write_limit: how many bytes may wait to be sent before `send` waits, or (high, low).

    Raises:
        ValueError: `max_queue` or `write_limit` contradict themselves.
    """

    ping_interval: float | None = 20
    ping_timeout: float | None = 20
    close_timeout: float | None = 10
    max_size: MaxSize = _DEFAULT_MESSAGE
    max_queue: MaxQueue = 16
    write_limit: WriteLimit = 1 << 15

    def __post_init__(self) -> None:
        split_max_queue(self.max_queue)
        split_write_limit(self.write_limit)

    @property
    def limits(self) -> WebSocketLimits:
        """The engine's limits.

        The engine counts pieces, of which a large frame makes many. There must be room for `max_queue` frames of the largest
        size: while a queue is full nothing is read, and Pings are not answered.
        """
        message, fragment = split_max_size(self.max_size)
        high, _ = split_max_queue(self.max_queue)
        largest = _DEFAULT_MESSAGE if message is None else message
        if high is None:
            pieces, size = NO_LIMIT, NO_LIMIT
        else:
            pieces = max(high, 1) * (1 + largest // _PIECE)
            size = pieces * _PIECE
        return WebSocketLimits(
            max_message_size=message,
            max_frame_size=fragment,
            max_queue=pieces,
            queue_size=size,
            max_outbox=max(split_write_limit(self.write_limit)[0], 1),
        )

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments for the engine's `WebSocket.from_uri` and `from_stream`, and their asyncio twins."""
        interval = self.ping_interval
        return {
            "limits": self.limits,
            "close_timeout": math.inf if self.close_timeout is None else self.close_timeout,
            "ping_interval": None if interval is None else max(interval, _MIN_INTERVAL),
            "ping_timeout": self.ping_timeout,
        }
