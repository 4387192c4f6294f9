"""Sending a message in fragments, which come out of an iterable of either kind."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from drivetrain.compat.websockets_api.exceptions import ConnectionClosed
from drivetrain.compat.websockets_api.frames import CloseCode
from drivetrain.compat.websockets_api.typing import DataLike
from drivetrain.engine.errors import EngineError

if TYPE_CHECKING:
    from drivetrain.compat.websockets_api.asyncio.connection import Connection

__all__ = ["send_fragments"]

_NOTHING: Any = object()
_new_decoder = codecs.getincrementaldecoder("utf-8")


async def send_fragments(
    connection: Connection, message: Iterable[DataLike] | AsyncIterable[DataLike], text: bool | None
) -> None:
    """Send each item of an iterable as a frame; nothing where there is none. See `Connection.send`."""
    later: AsyncIterator[DataLike] | None = None
    now: Iterator[DataLike] = iter(())
    prefix = ""
    if isinstance(message, Iterable):
        now = iter(message)
        first = next(now, _NOTHING)
    elif isinstance(message, AsyncIterable):
        later, prefix = aiter(message), "async "
        first = await anext(later, _NOTHING)
    else:
        raise TypeError("data must be str, bytes, iterable, or async iterable")
    if first is _NOTHING:
        return
    failure: Exception
    try:
        await _send_all(connection, first, now, later, text, prefix)
    except Exception as error:  # noqa: BLE001 - the engine's, or whatever an iterator raises
        failure = error
    else:
        return
    if isinstance(failure, EngineError):
        failure = await connection.not_sent(failure)
    if not isinstance(failure, ConnectionClosed):
        # The message cannot be completed, and nothing else can be sent in its middle.
        await connection.fail(CloseCode.INTERNAL_ERROR, "error in fragmented message")
    raise failure


async def _send_all(
    connection: Connection,
    first: DataLike,
    now: Iterator[DataLike],
    later: AsyncIterator[DataLike] | None,
    text: bool | None,
    prefix: str,
) -> None:
    is_text = isinstance(first, str)
    if not is_text and not isinstance(first, (bytes, bytearray, memoryview)):
        raise TypeError(f"{prefix}iterable must contain bytes or str")
    outgoing = connection.core.new_message("text" if (is_text if text is None else text) else "binary")
    # Fragments of bytes may end in the middle of a character.
    decoder = _new_decoder() if outgoing.is_text and not is_text else None
    item: Any = first
    try:
        while item is not _NOTHING:
            if not isinstance(item, str if is_text else (bytes, bytearray, memoryview)):
                raise TypeError(f"{prefix}iterable must contain uniform types")
            data: Any = item
            if decoder is not None:
                data = decoder.decode(bytes(data))
            elif is_text and not outgoing.is_text:
                data = data.encode()
            await outgoing.send(data)
            item = next(now, _NOTHING) if later is None else await anext(later, _NOTHING)
        if decoder is not None:
            decoder.decode(b"", True)
        await outgoing.end()
    except BaseException as error:
        if not isinstance(error, Exception):
            # It was cancelled: nobody waits for the goodbyes.
            await outgoing.abort(0.0)
        raise
