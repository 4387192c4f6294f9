"""Deprecated: `protocol`, as it was called until version 10."""

from __future__ import annotations

import warnings

from drivetrain.compat.websockets_api import protocol, sans_io

__all__ = ["SEND_EOF", "Connection", "Side", "State"]

SEND_EOF = protocol.SEND_EOF
Connection = sans_io.Protocol
Side = protocol.Side
State = protocol.State

warnings.warn(
    "websockets.connection was renamed to websockets.protocol and Connection was renamed to Protocol",
    DeprecationWarning,
    stacklevel=1,
)
