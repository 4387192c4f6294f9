"""What the module of this name has in `websockets`: the server's protocol (see `sans_io`).

`serve`, `unix_serve`, `broadcast`, `WebSocketServer` and `WebSocketServerProtocol` are those of `legacy.server`, and deprecated
here. The server for asyncio is in `asyncio.server`, that for threads in `sync.server`.
"""

from __future__ import annotations

import warnings
from typing import Any

from drivetrain.compat.websockets_api import sans_io
from drivetrain.compat.websockets_api.imports import lazy_names

__all__ = ["ServerConnection", "ServerProtocol"]

ServerProtocol = sans_io.ServerProtocol


class ServerConnection(ServerProtocol):
    """Deprecated: `ServerProtocol`, as it was called until version 10."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn("ServerConnection was renamed to ServerProtocol", DeprecationWarning, stacklevel=1)
        super().__init__(*args, **kwargs)


_DEPRECATED = ("WebSocketServer", "WebSocketServerProtocol", "broadcast", "serve", "unix_serve")
__getattr__, __dir__ = lazy_names(__name__, deprecated=dict.fromkeys(_DEPRECATED, "legacy.server"))
