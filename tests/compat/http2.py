"""What the tests of both adapters have in common where the server speaks HTTP/2."""

from __future__ import annotations

from tests.support.h2_server import H2Server

__all__ = ["CANCEL", "INTERNAL_ERROR", "REFUSED_STREAM", "cancelled"]

INTERNAL_ERROR, REFUSED_STREAM, CANCEL = 0x2, 0x7, 0x8


def cancelled(server: H2Server) -> list[int]:
    """The streams of the newest connection that the client has given up."""
    frames = list(server.wire.frames)
    return [seen.stream_id for seen in frames if seen.kind == "RST_STREAM" and seen.payload[3] == CANCEL]
