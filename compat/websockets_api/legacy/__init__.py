"""Deprecated: the API that `websockets` had until version 13, on the connections of `asyncio`.

What differs from the original is in the modules. Its `framing`, `handshake` and `http`, parts of a protocol of its own, are
not here.
"""

from __future__ import annotations

import warnings

__all__: list[str] = []

warnings.warn(
    "websockets.legacy is deprecated; use websockets.asyncio, whose connect and serve have other arguments",
    DeprecationWarning,
    stacklevel=1,
)
