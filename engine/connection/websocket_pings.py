"""The Pings of one WebSocket that wait for their Pongs."""

from __future__ import annotations

import os
from collections.abc import Callable

from ..errors import UsageError

__all__ = ["OnPong", "Pings"]

OnPong = Callable[[float | None], None]
"""Told how long it took until the Pong came, in seconds; None when none will come."""


class Pings:
    """Pings under way, the oldest first. Under the WebSocket's guard, all of it, and what is told of them, too."""

    __slots__ = ("_under_way",)

    def __init__(self) -> None:
        self._under_way: dict[bytes, tuple[float, OnPong | None]] | None = None  # idle connections are many

    def choose(self, data: bytes | None) -> bytes:
        """What the next one is to carry: `data`, or something new where that is None.

        Raises:
            UsageError: one with the same data is under way.
        """
        under_way = self._under_way or {}
        if data is not None:
            if data in under_way:
                raise UsageError("a Ping with the same data is under way")
            return data
        while (key := os.urandom(4)) in under_way:
            pass
        return key

    def sent(self, key: bytes, now: float, on_pong: OnPong | None) -> None:
        """Note one that was sent."""
        if self._under_way is None:
            self._under_way = {}
        self._under_way[key] = (now, on_pong)

    def answered(self, data: bytes, now: float) -> tuple[float, list[bytes]] | None:
        """A Pong came, which answers the Pings before its own, too (RFC 6455 section 5.5.3).

        Returns:
            How long its own took, and the keys of all that were answered; None for a Pong that nobody asked for.
        """
        under_way = self._under_way
        if not under_way or data not in under_way:
            return None
        latency, keys = 0.0, []
        for key, (sent_at, on_pong) in list(under_way.items()):
            del under_way[key]
            keys.append(key)
            latency = now - sent_at
            if on_pong is not None:
                on_pong(latency)
            if key == data:
                break
        if not under_way:
            self._under_way = None
        return latency, keys

    def forget(self, key: bytes) -> None:
        """Nobody waits for this one any more."""
        if self._under_way is not None:
            self._under_way.pop(key, None)

    def end(self) -> None:
        """No Pong will come any more."""
        under_way, self._under_way = self._under_way, None
        for _, on_pong in (under_way or {}).values():
            if on_pong is not None:
                on_pong(None)
