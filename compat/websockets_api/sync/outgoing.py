"""Sending a message in fragments, as they come out of an iterable."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from drivetrain.compat.websockets_api.exceptions import ConcurrencyError
from drivetrain.compat.websockets_api.frames import CloseCode

if TYPE_CHECKING:
    from drivetrain.compat.websockets_api.sync.connection import Connection

__all__ = ["send_fragments"]

_new_decoder = codecs.getincrementaldecoder("utf-8")


def send_fragments(connection: Connection, message: Any, text: bool | None) -> None:
    """Send a message in fragments; see `Connection.send`.

    Raises:
        TypeError: it is no iterable of text or of bytes. Once it was begun, that closes the connection.
        ConnectionClosed, ConcurrencyError: see there.
    """
    if isinstance(message, Mapping):
        raise TypeError("data is a dict-like object")
    if not isinstance(message, Iterable):
        raise TypeError("data must be str, bytes, or iterable")
    chunks = iter(message)
    try:
        first = next(chunks)
    except StopIteration:
        return
    try:
        connection.begin_fragments()
        _send_all(connection, first, chunks, text)
    except ConcurrencyError:
        raise  # nothing was begun
    except Exception:
        connection.fail(CloseCode.INTERNAL_ERROR, "error in fragmented message")
        raise
    connection.send_in_progress = False


def _send_all(connection: Connection, first: Any, chunks: Iterator[Any], text: bool | None) -> None:
    is_str = isinstance(first, str)
    if not is_str and not isinstance(first, (bytes, bytearray, memoryview)):
        raise TypeError("iterable must contain bytes or str")
    kinds: Any = str if is_str else (bytes, bytearray, memoryview)
    is_text = is_str if text is None else text
    outgoing = connection.core.new_message("text" if is_text else "binary")
    # Fragments of bytes may end in the middle of a character.
    decoder = _new_decoder() if is_text and not is_str else None
    chunk: Any = first
    while True:
        if not isinstance(chunk, kinds):
            raise TypeError("iterable must contain uniform types")
        if decoder is not None:
            chunk = decoder.decode(bytes(chunk))
        elif is_str and not is_text:
            chunk = chunk.encode()
        connection.drive_sending(outgoing.send(chunk))
        try:
            chunk = next(chunks)
        except StopIteration:
            break
    if decoder is not None:
        decoder.decode(b"", True)
    connection.drive_sending(outgoing.end())
