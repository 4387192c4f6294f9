"""The messages of a connection in its debug log. Used in the place of the engine's connection where somebody reads that log."""

from __future__ import annotations

import logging
from typing import Any

from drivetrain.compat.websockets_api.frames import Frame, Opcode
from drivetrain.compat.websockets_api.typing import Data, LoggerLike
from drivetrain.engine import WebSocketConnection

__all__ = ["FrameLog"]


class FrameLog:
    """`receive` and `send` of a connection, which write into a log what they do, one line a message.

    Args:
        core: the connection.
        logger: where to.
    """

    def __init__(self, core: WebSocketConnection, logger: LoggerLike) -> None:
        self._core = core
        self._logger = logger

    async def receive(self, timeout: float | None = None) -> Data | None:
        """See `WebSocketConnection.receive`."""
        message = await self._core.receive(timeout)
        if message is not None:
            self._note("<", message, None)
        return message

    async def send(self, data: Any, opcode: Any = None, timeout: float | None = None) -> None:
        """See `WebSocketConnection.send`."""
        self._note(">", data, opcode)
        await self._core.send(data, opcode, timeout)

    def _note(self, sign: str, data: Any, opcode: str | None) -> None:
        if self._logger.isEnabledFor(logging.DEBUG):
            is_text = isinstance(data, str)
            payload = data.encode("utf-8", "replace") if is_text else data
            kind = Opcode.TEXT if opcode == "text" or (opcode is None and is_text) else Opcode.BINARY
            self._logger.debug("%s %s", sign, Frame(kind, payload))
