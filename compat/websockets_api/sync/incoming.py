"""Receiving a message frame by frame, out of the pieces in which the engine gives it."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import TYPE_CHECKING

from drivetrain.compat.websockets_api.typing import Data
from drivetrain.engine import WebSocketPiece, run_blocking
from drivetrain.engine.errors import EngineError

if TYPE_CHECKING:
    from drivetrain.compat.websockets_api.sync.connection import Connection

__all__ = ["Fragments", "stream_message"]

_new_decoder = codecs.getincrementaldecoder("utf-8")


class Fragments:
    """Puts pieces together to frames, and makes of them what `decode` says.

    Args:
        decode: True for str, False for bytes, None for what the message is of.

    Attributes:
        are_begun: whether there was a piece.
        are_complete: whether the message ended.
    """

    def __init__(self, decode: bool | None) -> None:
        self._decode = decode
        self._decoder = _new_decoder() if decode else None
        self._text: list[str] = []
        self._bytes: list[bytes] = []
        self.are_begun = self.are_complete = False

    def add(self, piece: WebSocketPiece) -> Data | None:
        """Take the next piece; returns what the frame brought that ends with it, None in the middle of one.

        Raises:
            UnicodeDecodeError: bytes that are to be text are none.
        """
        self.are_begun = True
        data = piece.data
        if isinstance(data, str):
            self._text.append(data)
        else:
            self._bytes.append(data)
        if not piece.frame_finished:
            return None
        frame: Data
        if isinstance(data, str):
            frame = "".join(self._text)
            self._text.clear()
        else:
            frame = b"".join(self._bytes)
            self._bytes.clear()
        converted = self._converted(frame, piece.last)
        self.are_complete = piece.last
        return converted

    def _converted(self, frame: Data, last: bool) -> Data:
        if isinstance(frame, str):
            return frame.encode() if self._decode is False else frame
        return frame if self._decoder is None else self._decoder.decode(frame, last)


def stream_message(connection: Connection, decode: bool | None) -> Iterator[Data]:
    """Receive the next message frame by frame; for `Connection.recv_streaming`, which has seen to it that nobody else receives.

    Raises:
        ConnectionClosed, ConcurrencyError: see there.
    """
    fragments = Fragments(decode)
    while not fragments.are_complete:
        piece, fault = _next_piece(connection)
        if piece is None:
            if not fragments.are_begun:
                connection.leave_streaming()
            raise connection.why_not_streamed(fault)
        fragment, error = _taken(fragments, piece)
        if error is not None:
            raise connection.fail_text(error)
        if fragments.are_complete:
            connection.leave_streaming()
        if fragment is not None:
            yield fragment


def _next_piece(connection: Connection) -> tuple[WebSocketPiece | None, EngineError | None]:
    try:
        return run_blocking(connection.core.receive_piece()), None
    except EngineError as error:
        return None, error


def _taken(fragments: Fragments, piece: WebSocketPiece) -> tuple[Data | None, UnicodeDecodeError | None]:
    try:
        return fragments.add(piece), None
    except UnicodeDecodeError as error:
        return None, error
