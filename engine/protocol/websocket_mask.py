"""Masking: XOR of a payload with a key of four bytes, repeated (RFC 6455 section 5.3).

Python has no loop that is fast enough, so payloads go through calls that are loops in C: as one whole number where they are
small, through tables where they are not. Where the `websockets` package is installed, the masker that it has compiled is
used; nothing else of it is loaded, and it is not needed.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
from collections.abc import Callable
from functools import lru_cache
from typing import Any

__all__ = ["Masker", "apply_mask", "apply_mask_in_python", "load_compiled"]

_Buffer = bytes | bytearray | memoryview
# Up to this size, in bytes, a payload is masked as one whole number; beyond it tables are faster.
_AS_NUMBER = 4 * 1024
# So much goes through the tables at a time: large blocks of memory are new ones each time, which is slow.
_PIECE = 64 * 1024


def apply_mask_in_python(data: _Buffer, key: bytes) -> bytes:
    """See `apply_mask`."""
    size = len(data)
    if size <= _AS_NUMBER:
        mask = int.from_bytes((key * (size // 4 + 1))[:size], "little")
        return (int.from_bytes(data, "little") ^ mask).to_bytes(size, "little")
    pieces = []
    for start in range(0, size, _PIECE):
        piece = bytearray(data[start : start + _PIECE])
        # Every fourth byte goes with the same byte of the key, and so through one table.
        for lane, byte in enumerate(key):
            piece[lane::4] = piece[lane::4].translate(_table(byte))
        pieces.append(piece)
    return b"".join(pieces)


@lru_cache(maxsize=256)
def _table(byte: int) -> bytes:
    return bytes(each ^ byte for each in range(256))


def load_compiled() -> Callable[[Any, Any], bytes] | None:
    """The compiled masker of the `websockets` package, loaded without the package; None where there is none."""
    try:
        package = importlib.machinery.PathFinder.find_spec("websockets")
        places = None if package is None else package.submodule_search_locations
        if not places:
            return None
        spec = importlib.machinery.PathFinder.find_spec("websockets.speedups", list(places))
        if spec is None or not isinstance(spec.loader, importlib.machinery.ExtensionFileLoader):
            return None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        function: Callable[[Any, Any], bytes] = module.apply_mask
        expected = apply_mask_in_python(b"drivetrain", b"\x01\x02\x03\x04")
        return function if function(b"drivetrain", b"\x01\x02\x03\x04") == expected else None
    except (ImportError, AttributeError, OSError, TypeError, ValueError):
        return None  # somebody else's package, in whatever state: the other one does


apply_mask: Callable[[_Buffer, bytes], bytes] = load_compiled() or apply_mask_in_python
"""Return `data` masked, or unmasked, with `key`, four bytes."""


class Masker:
    """Unmasks a payload that comes in pieces.

    Args:
        key: the four bytes.
    """

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def process(self, data: bytes) -> bytes:
        """The next piece, unmasked."""
        key = self._key
        turn = len(data) % 4
        if turn:
            self._key = key[turn:] + key[:turn]
        return apply_mask(data, key)
