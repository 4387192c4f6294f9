"""Sides and states of a connection. `Protocol` is a name only; see `sans_io`."""

from __future__ import annotations

import enum

from drivetrain.compat.websockets_api import sans_io
from drivetrain.compat.websockets_api.frames import Frame
from drivetrain.compat.websockets_api.http11 import Request, Response
from drivetrain.compat.websockets_api.originals import as_original

__all__ = [
    "CLIENT",
    "CLOSED",
    "CLOSING",
    "CONNECTING",
    "OPEN",
    "SEND_EOF",
    "SERVER",
    "Event",
    "Protocol",
    "Side",
    "State",
]

Protocol = sans_io.Protocol

Event = Request | Response | Frame
"""What a connection receives."""


@as_original("protocol")
class Side(enum.IntEnum):
    """Which end of a connection this is."""

    SERVER = 0
    CLIENT = 1


SERVER = Side.SERVER
CLIENT = Side.CLIENT


@as_original("protocol")
class State(enum.IntEnum):
    """How far a connection is; the states follow one another."""

    CONNECTING = 0
    OPEN = 1
    CLOSING = 2
    CLOSED = 3


CONNECTING = State.CONNECTING
OPEN = State.OPEN
CLOSING = State.CLOSING
CLOSED = State.CLOSED

SEND_EOF = b""
"""Stands among bytes to be sent for the end of the stream."""
