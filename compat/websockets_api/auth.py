"""Deprecated: `legacy.auth`, as it was called until version 13."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    # One warning will do.
    warnings.simplefilter("ignore", DeprecationWarning)
    import drivetrain.compat.websockets_api.legacy.auth as _auth

__all__ = ["BasicAuthWebSocketServerProtocol", "basic_auth_protocol_factory"]

BasicAuthWebSocketServerProtocol = _auth.BasicAuthWebSocketServerProtocol
basic_auth_protocol_factory = _auth.basic_auth_protocol_factory

warnings.warn(
    "websockets.auth, an alias for websockets.legacy.auth, is deprecated; use basic_auth of websockets.asyncio.server",
    DeprecationWarning,
    stacklevel=1,
)
