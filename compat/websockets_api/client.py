"""What the module of this name has in `websockets`: the client's protocol (see `sans_io`), and when to connect again.

`connect`, `unix_connect` and `WebSocketClientProtocol` are those of `legacy.client`, and deprecated here. The client for
asyncio is in `asyncio.client`, that for threads in `sync.client`.
"""

from __future__ import annotations

import warnings
from typing import Any

from drivetrain.compat.websockets_api import reconnecting, sans_io
from drivetrain.compat.websockets_api.imports import lazy_names

__all__ = [
    "BACKOFF_FACTOR",
    "BACKOFF_INITIAL_DELAY",
    "BACKOFF_MAX_DELAY",
    "BACKOFF_MIN_DELAY",
    "ClientConnection",
    "ClientProtocol",
    "backoff",
    "process_exception",
]

BACKOFF_FACTOR = reconnecting.BACKOFF_FACTOR
BACKOFF_INITIAL_DELAY = reconnecting.BACKOFF_INITIAL_DELAY
BACKOFF_MAX_DELAY = reconnecting.BACKOFF_MAX_DELAY
BACKOFF_MIN_DELAY = reconnecting.BACKOFF_MIN_DELAY
backoff = reconnecting.backoff
process_exception = reconnecting.process_exception

ClientProtocol = sans_io.ClientProtocol


class ClientConnection(ClientProtocol):
    """Deprecated: `ClientProtocol`, as it was called until version 10."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn("ClientConnection was renamed to ClientProtocol", DeprecationWarning, stacklevel=1)
        super().__init__(*args, **kwargs)


_DEPRECATED = ("WebSocketClientProtocol", "connect", "unix_connect")
__getattr__, __dir__ = lazy_names(__name__, deprecated=dict.fromkeys(_DEPRECATED, "legacy.client"))
