"""Which version of HTTP a new connection speaks: what ALPN agreed on, else what the client's first bytes are."""

from __future__ import annotations

from typing import NamedTuple

from ..backends.base import ByteStream
from ..errors import ConnectionClosed, ReadTimeout

__all__ = ["Choice", "choose_version"]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Choice(NamedTuple):
    """What a client speaks."""

    is_h2: bool
    received: bytes
    """What was read to find out."""


async def choose_version(stream: ByteStream, version: float | None, deadline: float) -> Choice:
    """Find out what the client speaks. A server that is pinned to HTTP/1 looks at nothing but ALPN.

    Raises:
        ReadTimeout, ConnectionClosed: the client sent nothing.
        ReadError: the connection broke.
    """
    session = stream.ssl_object
    agreed = None if session is None else session.selected_alpn_protocol()
    if agreed is not None or version in (1.0, 1.1):
        return Choice(agreed == "h2", b"")
    received = b""
    while received == _PREFACE[: len(received)] and len(received) < len(_PREFACE):
        try:
            data = await stream.receive_some(64 * 1024, deadline)
        except ReadTimeout:
            if received:
                break  # HTTP/1 has an answer to a header section that does not come in time
            raise
        if not data:
            if received:
                break
            raise ConnectionClosed("the client closed the connection before its first request")
        received += data
    return Choice(received[: len(_PREFACE)] == _PREFACE, received)
