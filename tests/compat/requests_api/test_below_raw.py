"""What programs reach for below `response.raw`, with requests' own adapter and with ours: http.client's response, the socket.

docker-py does most of it, and requests that ask for another protocol.
"""

from __future__ import annotations

import gc
import io
import json
import select
import socket
import ssl
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool

from tests.compat.requests_api.support import OK, Recorder, answer, chunked
from tests.support.certificates import Certificates
from tests.support.servers import RawServer, read_exactly, read_head, read_until_eof

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=1\r\n\r\n"
UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}


@pytest.fixture(params=["clear", "tls"])
def place(request: pytest.FixtureRequest, certificates: Certificates) -> dict[str, Any]:
    """Arguments of `RawServer`, and what a session needs to trust it."""
    return {"context": certificates.server_context()} if request.param == "tls" else {}


def url_of(server: RawServer, place: dict[str, Any]) -> str:
    return f"https://localhost:{server.port}/" if place else server.url


def as_docker_reads(response: requests.Response) -> Iterator[bytes]:
    """The chunks of a response, one by one."""
    reader: Any = response.raw
    assert reader._fp.chunked
    while not reader.closed:
        data = reader.read(1)
        if not data:
            break
        if reader._fp.chunk_left:
            data += reader.read(reader._fp.chunk_left)
        yield data


def test_chunks_one_by_one(session: requests.Session, certificates: Certificates, place: dict[str, Any]) -> None:
    lines = [json.dumps({"line": number}).encode() + b"\r\n" for number in range(3)]
    with RawServer(Recorder(CHUNKED + chunked(*lines)), **place) as server:
        url = url_of(server, place)
        response = session.get(url, stream=True, verify=str(certificates.ca_file))
        assert list(as_docker_reads(response)) == lines
        assert session.get(url, verify=str(certificates.ca_file)).content == b"".join(lines)
        assert server.connections == 1


def test_a_chunk_that_comes_in_two_halves(session: requests.Session) -> None:
    asked = threading.Event()

    def handler(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(CHUNKED + b"6\r\nabc")
        assert asked.wait(10)
        connection.sendall(b"def\r\n0\r\n\r\n")
        read_until_eof(connection)

    with RawServer(handler) as server:
        response = session.get(server.url, stream=True)
        assert response.raw.read(1) == b"a"
        left = response.raw._fp.chunk_left  # type: ignore[union-attr]
        asked.set()
        assert left == 5
        assert response.raw.read(left) == b"bcdef"
        assert response.raw.read(1) == b""
        session.close()


def test_the_response_of_http_client(session: requests.Session) -> None:
    with RawServer(Recorder(answer(b"abcdef", "X-Name: value"))) as server:
        raw: Any = session.get(server.url, stream=True).raw
        for response in (raw._fp, raw._original_response):
            assert (response.status, response.reason, response.version) == (200, "OK", 11)
            assert response.getheader("x-name") == "value"
            assert response.msg["X-Name"] == "value"
            assert (response.chunked, response.length, response.will_close) == (False, 6, False)
            assert response.isclosed() is False
            assert response.fp.raw._sock.getpeername() == ("127.0.0.1", server.port)
            assert response.fileno() == raw.fileno() == response.fp.fileno() == raw.connection.sock.fileno() >= 0
            with pytest.raises(AttributeError):
                _ = response.no_such_thing
        assert raw.read(2) == b"ab"
        assert raw._fp.length == raw._original_response.length == 4
        assert raw._original_response.read(2) == b"cd"
        assert raw._fp.read() == b"ef"
        raw.release_conn()
        assert raw._fp.fp is None
        assert raw._original_response.isclosed() is True


def test_the_connection(session: requests.Session) -> None:
    with RawServer(Recorder(answer(b"abcdef"))) as server:
        raw: Any = session.get(server.url, stream=True, timeout=7).raw
        connection = raw.connection
        assert connection is raw._connection
        assert isinstance(connection, HTTPConnection)
        assert (connection.host, connection.port, connection.timeout) == ("127.0.0.1", server.port, 7)
        assert (connection.is_closed, connection.is_verified, connection.proxy, connection.auto_open) == (
            *(False, False, None),
            1,
        )
        assert (connection.proxy_is_verified, connection.has_connected_to_proxy) == (None, False)
        assert isinstance(connection.is_connected, bool)
        sock = connection.sock
        assert (sock.family, sock.type, sock.gettimeout()) == (socket.AF_INET, socket.SOCK_STREAM, 7)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        sock.settimeout(None)
        assert sock.gettimeout() is None
        assert isinstance(raw._pool, HTTPConnectionPool)
        assert (raw._pool.host, raw._pool.port) == ("127.0.0.1", server.port)
        assert raw.read() == b"abcdef"
        assert raw.connection is raw._connection is None


def test_a_verified_connection(session: requests.Session, certificates: Certificates) -> None:
    with RawServer(Recorder(OK), context=certificates.server_context()) as server:
        url = f"https://localhost:{server.port}/"
        raw: Any = session.get(url, stream=True, verify=str(certificates.ca_file)).raw
        assert isinstance(raw.connection, HTTPSConnection)
        assert raw.connection.is_verified is True
        sock = raw._fp.fp.raw._sock
        assert ("DNS", "localhost") in sock.getpeercert()["subjectAltName"]
        assert sock.context.verify_mode == ssl.CERT_REQUIRED
        assert raw.read() == b"ok"


def test_a_connection_that_was_released(session: requests.Session) -> None:
    with RawServer(Recorder(answer(b"abcdef"))) as server:
        raw: Any = session.get(server.url, stream=True).raw
        assert raw.connection is not None
        raw.release_conn()
        assert raw.connection is None
        assert raw.read() == b"abcdef"


def test_what_it_is_called(session: requests.Session) -> None:
    with RawServer(Recorder(OK)) as server:
        raw = session.get(server.url).raw
        assert repr(raw).startswith("<urllib3.response.HTTPResponse object at 0x")
        assert type(raw).__name__ == "HTTPResponse"


def test_chunks_are_supported(session: requests.Session) -> None:
    with RawServer(Recorder(CHUNKED + chunked(b"abc", b"def"))) as server:
        raw: Any = session.get(server.url, stream=True).raw
        assert raw.supports_chunked_reads() is True
        assert list(raw.read_chunked()) == [b"abc", b"def"]


def test_another_file_in_a_chunked_response(session: requests.Session) -> None:
    """As cachecontrol does."""
    with RawServer(Recorder(CHUNKED + chunked(b"abc", b"def"))) as server:
        raw: Any = session.get(server.url, stream=True).raw
        before, connection = raw._fp, raw.connection
        raw._fp = io.BytesIO(b"another")
        assert raw.supports_chunked_reads() is False
        assert b"".join(raw.stream(4)) == b"another"
        before.close()
        connection.close()


@pytest.mark.parametrize("way", ["raw", "socket"])
def test_shutting_down_ends_a_read_of_another_thread(
    session: requests.Session, certificates: Certificates, place: dict[str, Any], way: str
) -> None:
    def handler(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(CHUNKED + b"3\r\nabc\r\n")
        read_until_eof(connection)

    ended: list[object] = []

    def read(raw: Any) -> None:
        try:
            ended.append(raw.read(1))
        except Exception as error:
            ended.append(error)

    with RawServer(handler, tolerate=(ConnectionError, ssl.SSLError), **place) as server:
        raw: Any = session.get(url_of(server, place), stream=True, verify=str(certificates.ca_file)).raw
        assert raw.read(3) == b"abc"
        sock = raw._fp.fp.raw._sock
        reader = threading.Thread(target=read, args=(raw,))
        reader.start()
        if way == "raw":
            raw.shutdown()
        else:
            sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        reader.join(10)
        assert not reader.is_alive()
        assert len(ended) == 1
        raw.close()
        session.close()


def test_waits_can_be_made_longer(session: requests.Session) -> None:
    go_on = threading.Event()

    def handler(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(CHUNKED + b"3\r\nabc\r\n")
        assert go_on.wait(10)
        connection.sendall(b"0\r\n\r\n")
        read_until_eof(connection)

    with RawServer(handler) as server:
        raw: Any = session.get(server.url, stream=True, timeout=0.05).raw
        assert raw.read(3) == b"abc"
        raw._fp.fp.raw._sock.settimeout(None)
        timer = threading.Timer(0.2, go_on.set)
        timer.start()
        assert raw.read(1) == b""
        timer.join()
        session.close()


def test_looking_below_keeps_no_response_alive(engine_session: requests.Session) -> None:
    with RawServer(Recorder(answer(b"abcdef"))) as server:
        raw: Any = engine_session.get(server.url, stream=True).raw
        seen = (raw.connection.sock, raw._fp.fp.raw, raw._original_response.fp, raw._pool)
        gone = weakref.ref(raw)
        gc.disable()
        try:
            del raw
            assert gone() is None
        finally:
            gc.enable()
        assert len(seen) == 4


def test_another_protocol(session: requests.Session, certificates: Certificates, place: dict[str, Any]) -> None:
    """The socket itself is the program's then, as that of `docker attach`."""

    def handler(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        assert read_exactly(connection, 5) == b"hello"
        connection.sendall(b"world")
        read_until_eof(connection)

    with RawServer(handler, tolerate=(ConnectionError, ssl.SSLError), **place) as server:
        response = session.post(
            url_of(server, place), headers=UPGRADE, stream=True, verify=str(certificates.ca_file), timeout=10
        )
        assert response.status_code == 101
        sock: Any = response.raw._fp.fp.raw._sock  # type: ignore[union-attr]
        assert isinstance(sock, socket.socket)
        sock.sendall(b"hello")
        assert select.select([sock], [], [], 10)[0]
        assert sock.recv(5) == b"world"
        response.close()
        session.close()
