"""What the WebSocket machine says and takes: pieces of messages, control frames, and how a connection was closed."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "ABNORMAL",
    "NO_STATUS",
    "Close",
    "CloseReceived",
    "Event",
    "Failed",
    "Frame",
    "Piece",
    "PingReceived",
    "PongReceived",
    "is_valid_close_code",
]

NO_STATUS = 1005
"""Stands for a Close frame without a code (RFC 6455 section 7.4.1); never on the wire."""
ABNORMAL = 1006
"""Stands for the end of a connection without a Close frame; never on the wire."""


def is_valid_close_code(code: int) -> bool:
    """Whether a code may be in a Close frame: registered with IANA for that, or of a library's or application's own."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


class Close(NamedTuple):
    """What a Close frame says: a code (`NO_STATUS` where it has none) and a reason."""

    code: int
    reason: str = ""


class Frame(NamedTuple):
    """A frame to be sent as it is, for those who know what they do. `data` is neither compressed nor checked.

    Attributes:
        opcode: 0 to 15 (RFC 6455 section 5.2).
        data: the payload, unmasked.
        fin: whether it is the last frame of its message.
        rsv1, rsv2, rsv3: the reserved bits; with permessage-deflate `rsv1` says that a message is compressed.
    """

    opcode: int
    data: bytes = b""
    fin: bool = True
    rsv1: bool = False
    rsv2: bool = False
    rsv3: bool = False


class Piece(NamedTuple):
    """A part of a message, text or bytes; `last` with the last one, which may be empty.

    `frame_finished` says whether a frame ends with it: large frames come in several pieces.
    """

    data: str | bytes
    last: bool
    frame_finished: bool = True


class PingReceived(NamedTuple):
    """A Ping, to be answered with a Pong that carries the same."""

    data: bytes


class PongReceived(NamedTuple):
    """A Pong, asked for or not."""

    data: bytes


class CloseReceived(NamedTuple):
    """The peer's Close frame. Nothing follows it."""

    close: Close


class Failed(NamedTuple):
    """The peer broke the protocol or passed a limit: the connection must be failed with this Close frame."""

    close: Close


Event = Piece | PingReceived | PongReceived | CloseReceived | Failed
