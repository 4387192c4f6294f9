"""Receiving as iteration: over messages, and over the frames of one message."""

from __future__ import annotations

import asyncio
import codecs
from typing import TYPE_CHECKING, Any

from drivetrain.compat.websockets_api.exceptions import ConnectionClosedOK
from drivetrain.compat.websockets_api.frames import CloseCode
from drivetrain.compat.websockets_api.typing import Data
from drivetrain.engine.errors import EngineError

if TYPE_CHECKING:
    from drivetrain.compat.websockets_api.asyncio.connection import Connection

__all__ = ["Frames", "Messages"]

_new_decoder = codecs.getincrementaldecoder("utf-8")


class Messages:
    """The messages of a connection, until it is closed in order."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __aiter__(self) -> Messages:
        return self

    async def __anext__(self) -> Data:
        try:
            return await self._connection.recv()
        except ConnectionClosedOK:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        """End the iteration; nothing happens to the connection."""


class Frames:
    """The frames of the next message of a connection. See `Connection.recv_streaming`.

    Args:
        connection: where from. Nothing is received before the first frame is asked for.
        decode: True to have binary frames as text, False to have text as bytes.
    """

    __slots__ = ("_connection", "_decode", "_decoder", "_ended", "_is_first")

    def __init__(self, connection: Connection, decode: bool | None) -> None:
        self._connection = connection
        self._decode = decode
        self._decoder = _new_decoder() if decode else None
        self._is_first = True
        self._ended = False

    def __aiter__(self) -> Frames:
        return self

    async def __anext__(self) -> Data:
        connection, failure = self._connection, None
        if self._ended:
            raise StopAsyncIteration
        if self._is_first:
            if connection.is_streaming:
                raise await connection.no_message(None, "recv_streaming")
            connection.is_streaming = True
        try:
            frame = await self._next_frame()
            if frame is not None:
                return frame
        except EngineError as error:
            failure = error
        except UnicodeDecodeError as error:
            await connection.fail(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}", error)
        except asyncio.CancelledError:
            if self._is_first:
                connection.is_streaming = False
            raise
        self._ended, connection.is_streaming = True, False
        raise await connection.no_message(failure, "recv_streaming")

    async def _next_frame(self) -> Data | None:
        """The next frame, of which the engine makes several pieces where it is large; None when the connection is closed."""
        parts: list[Any] = []
        while True:
            piece = await self._connection.core.receive_piece()
            if piece is None:
                return None
            self._is_first = False
            parts.append(piece.data)
            if piece.frame_finished:
                break
        if piece.last:
            self._ended, self._connection.is_streaming = True, False
        frame: Data = parts[0] if len(parts) == 1 else parts[0][:0].join(parts)
        if isinstance(frame, str):
            return frame.encode() if self._decode is False else frame
        return frame if self._decoder is None else self._decoder.decode(frame, piece.last)

    async def aclose(self) -> None:
        """End the iteration. A message that was begun stays begun: nothing else can be received."""
        self._ended = True
