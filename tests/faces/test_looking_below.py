"""What a response tells of how it comes: its chunks, its waits, and what a broken one lacked."""

from __future__ import annotations

import socket

import pytest

from drivetrain.engine import Client, Timeouts
from drivetrain.engine.errors import ConnectTimeout, IncompleteMessage, ReadTimeout
from tests.support.servers import RawServer, answering, read_head, read_until_eof

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_what_is_left_of_a_chunk() -> None:
    with (
        RawServer(answering(CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")) as server,
        Client() as client,
        client.stream("GET", server.url) as response,
    ):
        raw = response.raw()
        left = []
        while raw.read(1):
            left.append(raw.chunk_left)
        assert left == [2, 1, 0, 1, 0]


def test_nothing_is_left_of_a_body_that_has_no_chunks() -> None:
    with (
        RawServer(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")) as server,
        Client() as client,
        client.stream("GET", server.url) as response,
    ):
        raw = response.raw()
        assert raw.read() == b"abc"
        assert raw.chunk_left == 0


def test_the_limit_for_waits_can_be_changed() -> None:
    def handler(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(CHUNKED)
        read_until_eof(connection)

    with (
        RawServer(handler) as server,
        Client() as client,
        client.stream("GET", server.url, timeout=Timeouts(read=60)) as response,
    ):
        assert response.read_timeout == 60
        response.read_timeout = 0.01
        assert response.read_timeout == 0.01
        with pytest.raises(ReadTimeout):
            response.read(1)


@pytest.mark.parametrize(
    ("body", "missing", "present"), [(b"5\r\nhel", 2, 3), (b"5\r\nhello\r", 1, 1), (b"5", None, 0)]
)
def test_what_a_cut_chunk_lacks(body: bytes, missing: int | None, present: int) -> None:
    def handler(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(CHUNKED + body)

    with RawServer(handler) as server, Client() as client, pytest.raises(IncompleteMessage) as caught:
        client.get(server.url)
    assert (caught.value.missing, caught.value.present) == (missing, present)


def test_a_handshake_that_stalls() -> None:
    with (
        RawServer(lambda connection: [read_until_eof(connection)][:0]) as server,
        Client() as client,
        pytest.raises(ConnectTimeout) as caught,
    ):
        client.get(f"https://localhost:{server.port}/", timeout=Timeouts(connect=0.05))
    assert caught.value.during_tls
