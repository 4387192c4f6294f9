"""A message that comes in parts, put together."""

from __future__ import annotations

__all__ = ["MessageParts"]

# A peer may send a byte at a time, and each would be an object.
_SMALL_PARTS = 256


class MessageParts:
    """Collects the parts of a message, all text or all bytes."""

    __slots__ = ("_large", "_small")

    def __init__(self) -> None:
        self._large: list[str | bytes] = []
        self._small: list[str | bytes] = []

    def add(self, part: str | bytes) -> None:
        """Append a part."""
        if part or not (self._small or self._large):
            self._small.append(part)
        if len(self._small) >= _SMALL_PARTS:
            self._large.append(_joined(self._small))
            self._small.clear()

    def join(self) -> str | bytes:
        """The message."""
        return _joined([*self._large, *self._small])


def _joined(parts: list[str | bytes]) -> str | bytes:
    return "".join(parts) if isinstance(parts[0], str) else b"".join(parts)  # type: ignore[arg-type]
