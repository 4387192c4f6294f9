"""One message to many connections of an event loop."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from drivetrain.compat.websockets_api.exceptions import ConcurrencyError
from drivetrain.compat.websockets_api.protocol import State
from drivetrain.compat.websockets_api.typing import DataLike
from drivetrain.engine.errors import EngineError

if TYPE_CHECKING:
    from drivetrain.compat.websockets_api.asyncio.connection import Connection

__all__ = ["broadcast"]


def broadcast(
    connections: Iterable[Connection],
    message: DataLike,
    *,
    text: bool | None = None,
    raise_exceptions: bool = False,
) -> None:
    """Send one message to many connections without waiting for any.

    Connections that are not open are left out, and so are those where a message in fragments is being sent. What a peer does
    not read waits here, without limit, until its connection ends.

    Args:
        connections: where to.
        message: str, bytes, or the like.
        text: as for `Connection.send`.
        raise_exceptions: whether to raise what went wrong, in an `ExceptionGroup`, when all is done. Otherwise it is logged.

    Raises:
        TypeError: `message` is none of these.
        ValueError: `raise_exceptions` on Python 3.10, which has no exception groups.
    """
    if not isinstance(message, (str, bytes, bytearray, memoryview)):
        raise TypeError("data must be str or bytes")
    if raise_exceptions and sys.version_info < (3, 11):
        raise ValueError("raise_exceptions requires at least Python 3.11")
    opcode: Literal["text", "binary"] | None = None if text is None else "text" if text else "binary"
    faults: list[Exception] = []
    for connection in connections:
        if connection.state is not State.OPEN:
            continue
        fault = _post(connection, message, opcode)
        if fault is None:
            continue
        if raise_exceptions:
            faults.append(fault)
        else:
            cause = fault.__cause__
            why = "" if cause is None else ": " + traceback.format_exception_only(type(cause), cause)[-1].strip()
            connection.logger.warning("skipped broadcast: %s%s", fault, why)
    if faults:
        raise ExceptionGroup("skipped broadcast", faults)  # type: ignore[name-defined]  # noqa: F821


def _post(connection: Connection, message: DataLike, opcode: Literal["text", "binary"] | None) -> Exception | None:
    """Send to one; returns what went wrong."""
    core = connection.core
    if core.is_fragmented:
        return ConcurrencyError("sending a fragmented message")
    try:
        core.post(message, opcode)
    except EngineError as error:
        fault = RuntimeError("failed to write message")
        fault.__cause__ = error
        return fault
    return None
