"""Where the caller's fields stand in the request of a WebSocket handshake."""

from __future__ import annotations

import contextlib
import socket

import pytest

from drivetrain.engine import WebSocket
from drivetrain.engine.errors import WebSocketHandshakeError
from tests.support.servers import RawServer, read_head

OWN = ["Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"]


def names_sent(headers: list[tuple[str, str]]) -> list[str]:
    heads: list[bytes] = []

    def handler(connection: socket.socket) -> None:
        heads.append(read_head(connection))
        connection.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")

    with RawServer(handler) as server, contextlib.suppress(WebSocketHandshakeError):
        uri = f"ws://127.0.0.1:{server.port}/"
        WebSocket.from_uri(uri, headers=headers, default_headers=False, proxies=False).connect(10)
    return [line.partition(":")[0] for line in heads[0].decode().split("\r\n")[1:-2]]


@pytest.mark.parametrize(
    ("given", "first", "last"),
    [
        ([], ["Host"], []),
        (["X-A"], ["Host"], ["X-A"]),
        (["Host", "X-A"], ["Host"], ["X-A"]),
        (["Host", "Origin", "X-A"], ["Host", "Origin"], ["X-A"]),
        (["Host", "Authorization", "Origin"], ["Host", "Authorization", "Origin"], []),
        # What does not begin with Host says nothing about places; and each of them comes first once, in its order.
        (["Origin", "X-A"], ["Host"], ["Origin", "X-A"]),
        (["Host", "Origin", "Authorization"], ["Host", "Origin"], ["Authorization"]),
    ],
)
def test_their_places(given: list[str], first: list[str], last: list[str]) -> None:
    assert names_sent([(name, "a") for name in given]) == [*first, *OWN, *last]
