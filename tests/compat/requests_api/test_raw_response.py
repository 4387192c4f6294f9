"""`response.raw` is urllib3's response in all that programs do with it."""

from __future__ import annotations

import gzip
import io
import shutil
import socket
import zlib
from typing import Any

import pytest
import requests
import urllib3
from urllib3.exceptions import ResponseNotChunked
from urllib3.response import BaseHTTPResponse, HTTPResponse

from tests.compat.requests_api.support import OK, Recorder, answer, chunked
from tests.support.certificates import Certificates
from tests.support.servers import RawServer, answering, read_head, read_until_eof

BODY = bytes(range(256)) * 40
ZIPPED = gzip.compress(BODY)
PLAIN = answer(BODY, "Content-Type: text/plain", "Set-Cookie: a=1", "X-Twice: 1", "Set-Cookie: b=2", "x-twice: 2")
CODED = answer(ZIPPED, "Content-Encoding: gzip")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"ab", b"cde", BODY)
CHUNKED_CODED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n" + chunked(
    ZIPPED[:50], ZIPPED[50:]
)
TILL_CLOSE = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + BODY
ANSWERS = {
    "length": PLAIN,
    "coded": CODED,
    "chunked": CHUNKED,
    "chunked and coded": CHUNKED_CODED,
    "till close": TILL_CLOSE,
}
CONTENT = {"chunked": b"abcde" + BODY}


def serve(data: bytes) -> RawServer:
    def handler(connection: socket.socket) -> None:
        while read_head(connection):
            connection.sendall(data)
            if data is TILL_CLOSE:
                return

    return RawServer(handler, tolerate=(ConnectionError, AssertionError))


@pytest.fixture(params=ANSWERS)
def case(request: pytest.FixtureRequest) -> Any:
    """An answer, its content."""
    return ANSWERS[request.param], CONTENT.get(request.param, BODY)


def test_what_it_says(session: requests.Session) -> None:
    with serve(PLAIN) as server:
        raw = session.get(f"{server.url}/path?q", stream=True).raw
        assert isinstance(raw, HTTPResponse)
        assert isinstance(raw, BaseHTTPResponse)
        assert isinstance(raw, io.IOBase)
        assert (raw.status, raw.reason, raw.version, raw.version_string) == (200, "OK", 11, "HTTP/1.1")
        assert isinstance(raw.headers, urllib3.HTTPHeaderDict)
        assert raw.headers.getlist("set-cookie") == ["a=1", "b=2"]
        assert raw.headers["X-TWICE"] == "1, 2"
        assert raw.getheader("content-type") == "text/plain"
        assert raw.getheader("nothing", "else") == "else"
        assert raw.getheaders()["Content-Length"] == str(len(BODY))
        assert raw.info() is raw.headers
        assert raw.geturl() == raw.url == "/path?q"
        assert raw.decode_content is False
        assert raw.chunked is False
        assert raw.length_remaining == len(BODY)
        assert isinstance(raw.retries, urllib3.Retry)
        assert raw.get_redirect_location() is False
        assert raw.readable()
        assert not raw.closed
        assert not raw.isclosed()
        assert raw.connection is not None
        assert raw._original_response.msg.get_all("Set-Cookie") == ["a=1", "b=2"]
        assert raw.data == BODY
        assert raw.data == BODY
        assert raw.isclosed()


def test_reading_it_whole(session: requests.Session, case: Any) -> None:
    data, content = case
    with serve(data) as server:
        response = session.get(server.url)
        assert response.content == content
        assert response.raw.closed
        assert response.raw.read() == b""
        assert next(iter(response.iter_content(1000))) == content[:1000]
        assert session.get(server.url, stream=True).raw.read(decode_content=True) == content


@pytest.mark.parametrize("size", [1, 7, 1000, 65536, 10**6, None])
def test_iterating(session: requests.Session, case: Any, size: int | None) -> None:
    data, content = case
    if size == 1:
        data, content = PLAIN, BODY
    with serve(data) as server:
        response = session.get(server.url, stream=True)
        pieces = list(response.iter_content(size))
        assert b"".join(pieces) == content
        assert all(pieces)
        assert size is None or all(len(piece) <= size for piece in pieces)
        assert response.raw.closed
        raw = session.get(server.url, stream=True).raw
        assert b"".join(raw.stream(size, decode_content=True)) == content
        assert list(raw.stream(size)) == []


def test_pieces_of_a_body_with_a_length_have_the_size(session: requests.Session) -> None:
    with serve(PLAIN) as server:
        sizes = [len(piece) for piece in session.get(server.url, stream=True).iter_content(8_000)]
        assert sizes == [8_000, len(BODY) - 8_000]


def test_reading_by_pieces(session: requests.Session, case: Any) -> None:
    data, content = case
    with serve(data) as server:
        raw = session.get(server.url, stream=True).raw
        raw.decode_content = True
        first = raw.read(10)
        assert first == content[:10]
        assert raw.tell() > 0
        rest = bytearray(len(content))
        count = 0
        while got := raw.readinto(memoryview(rest)[count : count + 5000]):
            count += got
        assert first + rest[:count] == content
        assert raw.read(10) == raw.read() == raw.read1() == b""


def test_read1(session: requests.Session, case: Any) -> None:
    data, content = case
    with serve(data) as server:
        raw = session.get(server.url, stream=True).raw
        got = b""
        while piece := raw.read1(4096, decode_content=True):
            assert len(piece) <= 4096
            got += piece
        assert got == content


def test_coded_bytes_are_to_be_had(session: requests.Session) -> None:
    with serve(CODED) as server:
        assert session.get(server.url, stream=True).raw.read() == ZIPPED
        assert b"".join(session.get(server.url, stream=True).raw.stream(100)) == ZIPPED
        response = session.get(server.url)
        assert response.content == BODY
        assert response.raw.tell() == len(ZIPPED)


@pytest.mark.parametrize(
    ("coding", "encode"), [("deflate", zlib.compress), ("gzip", gzip.compress), ("x-gzip", gzip.compress)]
)
def test_codings(session: requests.Session, coding: str, encode: Any) -> None:
    with serve(answer(encode(BODY), f"Content-Encoding: {coding}")) as server:
        assert session.get(server.url).content == BODY


def test_copying_to_a_file(session: requests.Session, case: Any) -> None:
    data, content = case
    target = io.BytesIO()
    with serve(data) as server, session.get(server.url, stream=True) as response:
        response.raw.decode_content = True
        shutil.copyfileobj(response.raw, target)
    assert target.getvalue() == content


def test_lines(session: requests.Session) -> None:
    text = "eins\nzwei\r\ndrei\n\nünf".encode()
    with serve(answer(text, "Content-Type: text/plain; charset=utf-8")) as server:
        assert list(session.get(server.url, stream=True).iter_lines()) == text.splitlines()
        assert list(session.get(server.url, stream=True).iter_lines(3, decode_unicode=True))[-1] == "ünf"
        assert list(session.get(server.url, stream=True).raw) == text.splitlines(keepends=True)
        raw = session.get(server.url, stream=True).raw
        raw.auto_close = False
        assert [line.strip() for line in io.TextIOWrapper(raw, "utf-8")] == ["eins", "zwei", "drei", "", "ünf"]


def test_chunks_are_there_as_soon_as_they_come(session: requests.Session) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    zipped = zlib.compressobj(wbits=31)
    coded = [zipped.compress(piece) + zipped.flush(zlib.Z_SYNC_FLUSH) for piece in (b"one\n", b"two\n")]
    for first, second, extra in ((b"one\n", b"two\n", b""), (*coded, b"Content-Encoding: gzip\r\n")):

        def handler(
            connection: socket.socket, first: bytes = first, second: bytes = second, extra: bytes = extra
        ) -> None:
            read_head(connection)
            connection.sendall(head[:-2] + extra + b"\r\n" + chunked(first)[:-5])
            assert connection.recv(1) == b"", "the client waited for more than it needed"
            assert second

        with RawServer(handler) as server:
            response = session.get(server.url, stream=True, timeout=5)
            pieces = response.iter_content(4096)
            assert next(pieces) == b"one\n"
            response.close()


def test_read_chunked(session: requests.Session) -> None:
    with serve(CHUNKED) as server:
        assert b"".join(session.get(server.url, stream=True).raw.read_chunked(1000)) == b"abcde" + BODY
    with serve(PLAIN) as server, pytest.raises(ResponseNotChunked):
        list(session.get(server.url, stream=True).raw.read_chunked())


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_no_body(session: requests.Session, status: str) -> None:
    reply = f"HTTP/1.1 {status}\r\nContent-Encoding: gzip\r\n\r\n".encode()
    with RawServer(answering(reply, OK)) as server:
        response = session.get(server.url)
        assert response.content == b""
        assert response.reason == status[4:]
        assert session.get(server.url).text == "ok"
        assert server.connections == 1


def test_head(session: requests.Session) -> None:
    with RawServer(
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nContent-Encoding: gzip\r\n\r\n", OK)
    ) as server:
        response = session.head(server.url)
        assert response.headers["content-length"] == "100"
        assert response.content == b""
        assert session.get(server.url).text == "ok"
        assert server.connections == 1


# -- the connection ----------------------------------------------------------------------------------------------------


def finish_by_reading(response: requests.Response) -> None:
    assert response.raw.read(2) == b"ok"


def finish_by_reading_on(response: requests.Response) -> None:
    assert response.raw.read(100) == b"ok"


def finish_by_draining(response: requests.Response) -> None:
    response.raw.drain_conn()
    response.raw.release_conn()


def finish_by_content(response: requests.Response) -> None:
    assert response.content == b"ok"


@pytest.mark.parametrize(
    "finish", [finish_by_reading, finish_by_reading_on, finish_by_draining, finish_by_content], ids=lambda f: f.__name__
)
def test_a_connection_is_used_again(session: requests.Session, finish: Any) -> None:
    with RawServer(Recorder(OK)) as server:
        for _ in range(3):
            response = session.get(server.url, stream=True)
            finish(response)
            assert response.raw.closed or response.raw.isclosed()
        assert server.connections == 1


def test_closing_gives_up(session: requests.Session) -> None:
    gone: list[bytes] = []

    def handler(connection: socket.socket) -> None:
        if read_head(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
            gone.append(read_until_eof(connection))

    with RawServer(handler) as server:
        with session.get(server.url, stream=True) as response:
            assert response.raw.read(3) == b"abc"
        assert response.raw.closed
        assert session.get(server.url, stream=True).raw.read(1) == b"a"
        assert server.connections == 2
        session.close()
    assert gone[0] == b""


def test_a_response_that_is_dropped_unread_frees_its_connection(engine_session: requests.Session) -> None:
    with RawServer(Recorder(answer(b"x" * 100_000)), tolerate=(ConnectionError, AssertionError)) as server:
        for _ in range(3):
            engine_session.get(server.url, stream=True)
        assert engine_session.get(server.url).content == b"x" * 100_000
        adapter = engine_session.get_adapter("http://")
        statistics = adapter._engine_clients.plain().statistics  # type: ignore[attr-defined]
        assert (statistics.in_use, statistics.idle) == (0, 1)


def test_the_socket_under_it(session: requests.Session, certificates: Certificates) -> None:
    with RawServer(Recorder(OK), context=certificates.server_context()) as server:
        url = f"https://localhost:{server.port}"
        response = session.get(url, stream=True, verify=str(certificates.ca_file))
        sock = response.raw.connection.sock
        assert sock.getpeername()[1] == server.port
        assert ("DNS", "localhost") in sock.getpeercert()["subjectAltName"]
        assert sock.version().startswith("TLS")
        assert response.raw._connection.sock.cipher()[0]
        assert response.content == b"ok"


def test_wrapping_what_is_inside(session: requests.Session) -> None:
    """As cachecontrol does: the file in the response is replaced by one that keeps what is read."""

    class Keeping:
        def __init__(self, file: Any) -> None:
            self.file = file
            self.kept = b""

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def read(self, amt: int | None = None) -> bytes:
            data: bytes = self.file.read(amt)
            self.kept += data
            return data

    with serve(PLAIN) as server:
        response = session.get(server.url, stream=True)
        keeping = response.raw._fp = Keeping(response.raw._fp)
        assert response.content == BODY
        assert keeping.kept == BODY
