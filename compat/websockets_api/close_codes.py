"""Close codes of WebSocket connections (RFC 6455 section 7.4 and IANA's registry), apart from `frames` for `exceptions`."""

from __future__ import annotations

import enum

from drivetrain.compat.websockets_api.originals import as_original

__all__ = ["CloseCode"]


@as_original("frames")
class CloseCode(enum.IntEnum):
    """Why a connection was closed. Three of them are never sent: 1005, 1006 and 1015."""

    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RCVD = 1005
    ABNORMAL_CLOSURE = 1006
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015
