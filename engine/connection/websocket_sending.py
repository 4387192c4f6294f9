"""A message that is sent in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsproto.frame_protocol import Opcode

from ..errors import LocalProtocolError, UsageError
from ..protocol.websocket_library import Output
from ..protocol.websocket_machine import Payload, to_payload

if TYPE_CHECKING:
    from .websocket import WebSocketConnection

__all__ = ["OutgoingMessage"]


class OutgoingMessage:
    """A message that is sent in parts; made by `WebSocketConnection.new_message`.

    From its first part to its last it has the turn: other messages wait, control frames do not.

    Attributes:
        is_text: whether it is text.
    """

    __slots__ = ("_begun", "_compress", "_connection", "_ended", "_kind", "is_text")

    def __init__(self, connection: WebSocketConnection, kind: Opcode, compress: bool | None) -> None:
        self._connection = connection
        self._kind = kind
        self._compress = compress
        self._begun = self._ended = False
        self.is_text = kind is Opcode.TEXT

    async def send(self, data: Payload, last: bool = False, timeout: float | None = None) -> None:
        """Send a part, with `last` the last one.

        Args:
            data: str for a text, or what is UTF-8 by itself; bytes and the like for a binary message.
            last: whether the message ends with it.
            timeout: seconds.

        Raises:
            UsageError: it is not of the message's type.
            LocalProtocolError: the message was ended.
            WebSocketClosed, WriteTimeout, WriteError: see `WebSocketConnection.send`.
        """
        if isinstance(data, str) and not self.is_text:
            raise UsageError("a binary message has no text in it")
        kind, payload = to_payload(data, "text" if self.is_text else "binary")
        connection = self._connection

        def make() -> Output:
            if self._ended:
                raise LocalProtocolError("the message was ended")
            frame = connection.machine.send_part(kind, payload, last, self._compress)
            self._begun, self._ended = True, last
            return frame

        await connection.send_when(make, self._is_turn, timeout)

    def _is_turn(self) -> bool:
        machine = self._connection.machine
        return self._begun or self._ended or not machine.is_fragmented or machine.close_sent is not None

    async def end(self, timeout: float | None = None) -> None:
        """Send the end of the message. Idempotent."""
        if not self._ended:
            await self.send("" if self.is_text else b"", True, timeout)

    async def abort(self, timeout: float | None = None) -> None:
        """Give the message up. Once it was begun that can only be told by closing the WebSocket, with code 1011."""
        begun = self._begun and not self._ended
        self._ended = True
        if begun:
            await self._connection.close(1011, "a message was given up in the middle", timeout)
