"""How a connection ended, in the terms of `websockets`: its `Close`, and `ConnectionClosed` with its cause.

The cause (`__cause__`) says what went wrong: what the peer broke (`ProtocolError`, `PayloadTooBig`, `UnicodeDecodeError`), how
the connection was lost (`EOFError`, an `OSError`), or that the peer did not take part in closing (`TimeoutError`).
"""

from __future__ import annotations

import os
import re

from drivetrain.compat.websockets_api.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    PayloadTooBig,
    ProtocolError,
)
from drivetrain.compat.websockets_api.frames import OK_CLOSE_CODES, Close, CloseCode
from drivetrain.engine import WebSocketClose, WebSocketConnection
from drivetrain.engine.errors import EngineError, NetworkError, WebSocketClosed

__all__ = ["build_close_exc", "to_close", "to_os_error"]

_DECODER_SAYS = re.compile(r".*can't decode byte 0x([0-9a-f]{2}) in position ([0-9]+): (.+)", re.DOTALL).fullmatch
_FRAME_SIZE = re.compile(r"a frame of ([0-9]+) bytes, where ([0-9]+) are allowed").fullmatch


def to_close(close: WebSocketClose | None) -> Close | None:
    """A Close frame of the engine as one of `frames`."""
    return None if close is None else Close(close.code, close.reason)


def build_close_exc(
    core: WebSocketConnection | None,
    connection_exc: BaseException | None,
    max_size: int | None,
    has_failed: bool = False,
) -> ConnectionClosed:
    """What to raise to those who use a closed connection.

    Args:
        core: the connection, None where there never was one.
        connection_exc: what broke it, where that is known better than the engine knows.
        max_size: the limit on messages, for what the peer did wrong.
        has_failed: whether this side failed it on its own account: what the peer said then does not count.
    """
    received = sent = None
    then_sent = None
    if core is not None:
        received, sent = None if has_failed else to_close(core.close_received), to_close(core.close_sent)
        if received is not None and sent is not None:
            then_sent = bool(core.peer_closed_first)
    is_ok = (
        received is not None and sent is not None and received.code in OK_CLOSE_CODES and sent.code in OK_CLOSE_CODES
    )
    exc = (ConnectionClosedOK if is_ok else ConnectionClosedError)(received, sent, then_sent)
    exc.__cause__ = connection_exc
    if connection_exc is None and core is not None:
        if core.failure is not None:
            exc.__cause__ = _fault_of_peer(core.failure, max_size)
        elif core.fault is not None:
            exc.__cause__ = _loss(core.fault, sent)
    return exc


def _fault_of_peer(failure: WebSocketClose, max_size: int | None) -> Exception:
    """What the peer did wrong."""
    if failure.code == CloseCode.MESSAGE_TOO_BIG:
        frame = _FRAME_SIZE(failure.reason)
        if frame is not None:
            return PayloadTooBig(int(frame[1]), int(frame[2]))
        return PayloadTooBig(None, 0 if max_size is None else max_size)
    if failure.code == CloseCode.INVALID_DATA and "compressed" not in failure.reason:
        return _not_utf8(failure.reason)
    return ProtocolError(failure.reason)


def _not_utf8(reason: str) -> UnicodeDecodeError:
    """What Python's decoder raised, of which `reason` is the text. The data before the fault are not known any more."""
    found = _DECODER_SAYS(reason)
    if found is None:
        return UnicodeDecodeError("utf-8", b"\xff", 0, 1, reason or "invalid UTF-8")
    start = int(found[2])
    return UnicodeDecodeError("utf-8", bytes(start) + bytes([int(found[1], 16)]), start, start + 1, found[3])


def _loss(fault: EngineError, sent: Close | None) -> BaseException | None:
    """How the connection was lost."""
    if isinstance(fault, NetworkError):
        return to_os_error(fault)
    if not isinstance(fault, WebSocketClosed):
        return None
    # Without a Pong in time a Close frame is sent, and no answer to it waited for.
    return EOFError("unexpected end of stream") if sent is None else TimeoutError("timed out while closing connection")


def to_os_error(error: EngineError) -> OSError:
    """The `OSError` that the system gave, or one like it: `ConnectionResetError` and so on go by the errno."""
    cause: BaseException | None = error.__cause__
    while isinstance(cause, EngineError):
        cause = cause.__cause__
    if isinstance(cause, OSError):
        return cause
    number = getattr(error, "errno", None)
    if number is None:
        return OSError(str(error))
    return OSError(number, os.strerror(number))
