"""Limits on what a WebSocket peer can make this side keep."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UsageError

__all__ = ["DEFAULT_WEBSOCKET_LIMITS", "WebSocketLimits"]


@dataclass(frozen=True, slots=True)
class WebSocketLimits:
    """Sizes in bytes. Passing one of the first two ends the connection with code 1009, before the memory is used.

    Args:
        max_message_size: of a message, unpacked; None for no limit, for those who receive piece by piece.
        max_frame_size: of a frame's payload as it is on the wire, None for no limit.
        max_queue: how many pieces of messages (those that are small count one each) may wait to be received while somebody
            reads who does not receive them; with more, nothing is read until some are taken, and the peer has to wait.
        queue_size: how many bytes those may be.
        max_outbox: with so much waiting to be sent, senders wait.
    """

    max_message_size: int | None = 16 * 1024 * 1024
    max_frame_size: int | None = None
    max_queue: int = 16
    queue_size: int = 1024 * 1024
    max_outbox: int = 64 * 1024

    def __post_init__(self) -> None:
        for size in (self.max_message_size, self.max_frame_size):
            if size is not None and size < 0:
                raise UsageError("a limit on sizes is not below zero")
        if self.max_queue < 1 or self.queue_size < 1 or self.max_outbox < 1:
            raise UsageError("a queue without room would stop everything")


DEFAULT_WEBSOCKET_LIMITS = WebSocketLimits()
