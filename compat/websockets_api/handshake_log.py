"""The opening handshake in the debug log, as it went over the wire."""

from __future__ import annotations

from drivetrain.compat.websockets_api.http11 import Request, Response
from drivetrain.compat.websockets_api.typing import LoggerLike

__all__ = ["log_handshake"]


def log_handshake(logger: LoggerLike, request: Request | None, response: Response | None, client: bool = True) -> None:
    """Write a handshake into a log, one line a field.

    Args:
        logger: where to.
        request, response: what there was of it.
        client: whether this side is the client.
    """
    ours, theirs = (">", "<") if client else ("<", ">")
    if request is not None:
        logger.debug("%s %s %s HTTP/1.1", ours, request.method, request.path)
        for name, value in request.headers.raw_items():
            logger.debug("%s %s: %s", ours, name, value)
    if response is not None:
        logger.debug("%s HTTP/1.1 %d %s", theirs, response.status_code, response.reason_phrase)
        for name, value in response.headers.raw_items():
            logger.debug("%s %s: %s", theirs, name, value)
        if response.body:
            logger.debug("%s [body] (%d bytes)", theirs, len(response.body))
