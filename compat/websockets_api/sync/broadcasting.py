"""One message to many connections of threads."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from drivetrain.compat.websockets_api.exceptions import ConcurrencyError
from drivetrain.compat.websockets_api.protocol import State
from drivetrain.compat.websockets_api.typing import DataLike
from drivetrain.engine import run_blocking

if TYPE_CHECKING:
    from drivetrain.compat.websockets_api.sync.connection import Connection

__all__ = ["broadcast"]


def broadcast(
    connections: Iterable[Connection],
    message: DataLike,
    *,
    raise_exceptions: bool = False,
    text: bool | None = None,
    **kwargs: Any,
) -> None:
    """Send one message to many connections, by as many threads as a `ThreadPoolExecutor` takes.

    Connections that are not open are left out, and so are those where a message in fragments is being sent.

    Args:
        connections: where to.
        message: str, bytes, or the like.
        raise_exceptions: whether to raise what went wrong, in an `ExceptionGroup`, when all is done. Otherwise it is logged.
        text: as for `Connection.send`.
        kwargs: for the `ThreadPoolExecutor`: `max_workers` and so on.

    Raises:
        TypeError: `message` is none of these.
        ValueError: `raise_exceptions` on Python 3.10, which has no exception groups.
    """
    if not isinstance(message, (str, bytes, bytearray, memoryview)):
        raise TypeError("data must be str or bytes")
    if raise_exceptions and sys.version_info < (3, 11):
        raise ValueError("raise_exceptions requires at least Python 3.11")
    faults: list[Exception] = []

    def send(connection: Connection) -> None:
        fault = _send(connection, message, text)
        if fault is not None:
            faults.append(fault)
            if not raise_exceptions:
                cause = fault.__cause__
                why = "" if cause is None else ": " + traceback.format_exception_only(type(cause), cause)[-1].strip()
                connection.logger.warning("skipped broadcast: %s%s", fault, why)

    with ThreadPoolExecutor(**kwargs) as executor:
        list(executor.map(send, connections))
    if raise_exceptions and faults:
        raise ExceptionGroup("skipped broadcast", faults)  # type: ignore[name-defined]  # noqa: F821


def _send(connection: Connection, message: DataLike, text: bool | None) -> Exception | None:
    """Send to one; returns what went wrong."""
    if connection.state is not State.OPEN:
        return None
    if connection.send_in_progress:
        return ConcurrencyError("sending a fragmented message")
    try:
        run_blocking(connection.core.send(message, None if text is None else "text" if text else "binary"))
    except Exception as error:  # noqa: BLE001 - whatever it is, the others get their message
        fault = RuntimeError("failed to write message")
        fault.__cause__ = error
        return fault
    return None
