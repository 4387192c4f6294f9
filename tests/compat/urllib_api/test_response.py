"""The reading interface of `http.client.HTTPResponse`, on bodies of every framing, for both libraries."""

from __future__ import annotations

import copy
import http.client
import io
import pickle
import select
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import Request

import pytest

from tests.compat.urllib_api.conftest import Library
from tests.compat.urllib_api.recorder import Recorder, response
from tests.support.servers import RawServer, answering, read_head

BODY = b"first line\nsecond\n\nlast without end"
FIELDS = "Content-Type: text/plain; charset=utf-8\r\nX-Twice: a\r\nx-twice: b\r\nServer: J\xfcrgen\r\n"


def chunks(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


HEAD = f"HTTP/1.1 200 Fine \r\n{FIELDS}".encode("latin-1")
FRAMINGS = {
    "length": HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY,
    "chunked": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks(BODY[:7], BODY[7:20], BODY[20:]) + b"0\r\n\r\n",
    "until close": HEAD + b"Connection: close\r\n\r\n" + BODY,
    "HTTP/1.0": HEAD.replace(b"1.1", b"1.0") + b"\r\n" + BODY,
}


@pytest.fixture(params=FRAMINGS)
def framing(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@contextmanager
def opened(library: Library, answer: bytes, url: str = "/", **options: Any) -> Iterator[Any]:
    def handler(connection: Any) -> None:
        read_head(connection)
        connection.sendall(answer)

    with RawServer(handler) as server, library.urlopen(f"{server.url}{url}", **options) as got:
        yield got


def test_facts(library: Library, framing: str) -> None:
    with opened(library, FRAMINGS[framing], "/path?q=1#fragment") as got:
        assert isinstance(got, http.client.HTTPResponse)
        assert isinstance(got, io.BufferedIOBase)
        assert (got.status, got.code, got.getcode()) == (200, 200, 200)
        assert (got.reason, got.msg) == ("Fine", "Fine")
        assert got.version == (10 if framing == "HTTP/1.0" else 11)
        assert got.url == got.geturl()
        assert got.url.endswith("/path?q=1#fragment")
        assert got.length == (len(BODY) if framing == "length" else None)
        assert got.chunked == (framing == "chunked")
        assert (got.readable(), got.writable(), got.seekable()) == (True, False, False)
        assert not got.isclosed()
        assert not got.closed
        assert got.fileno() > 0


def test_headers(library: Library) -> None:
    with opened(library, FRAMINGS["length"]) as got:
        headers = got.headers
        assert isinstance(headers, http.client.HTTPMessage)
        assert got.info() is headers
        assert headers["content-TYPE"] == "text/plain; charset=utf-8"
        assert headers.get_content_type() == "text/plain"
        assert headers.get_content_charset() == "utf-8"
        assert headers.get_all("X-Twice") == ["a", "b"]
        assert headers.keys() == ["Content-Type", "X-Twice", "x-twice", "Server", "Content-Length"]
        assert headers.get_payload() == ""
        assert headers["absent"] is None
        assert str(headers).startswith("Content-Type: text/plain; charset=utf-8\nX-Twice: a\n")
        assert got.getheader("x-TWICE") == "a, b"
        assert got.getheader("absent", "default") == "default"
        assert got.getheader("Server") == "J\xfcrgen"
        assert got.getheaders()[1] == ("X-Twice", "a")
        with pytest.raises(AttributeError):
            headers.no_such_attribute  # noqa: B018


def test_headers_can_be_changed_and_replaced(library: Library) -> None:
    with opened(library, FRAMINGS["length"]) as got:
        got.headers.add_header("X-Added", "1", name="value")
        assert got.getheader("X-Added") == '1; name="value"'
        del got.headers["x-twice"]
        assert "X-Twice" not in got.info()
        got.headers = http.client.HTTPMessage()
        assert got.getheaders() == []


@pytest.mark.parametrize(
    ("fields", "closing"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", False),
    ],
)
def test_will_close(library: Library, fields: bytes, closing: bool) -> None:
    with opened(library, fields) as got:
        assert got.will_close is closing
        assert got.read() == b""


def test_read_whole(library: Library, framing: str) -> None:
    with opened(library, FRAMINGS[framing]) as got:
        assert got.read() == BODY
        assert got.isclosed()
        assert not got.closed
        assert got.fp is None
        assert (got.read(), got.read(5), got.read1(), got.peek(), got.readline()) == (b"", b"", b"", b"", b"")
        assert got.readinto(bytearray(4)) == 0
    assert got.closed


def test_read_by_size(library: Library, framing: str) -> None:
    with opened(library, FRAMINGS[framing]) as got:
        assert got.read(0) == b""
        assert got.read(8) == BODY[:8]
        assert got.read(4) == BODY[8:12]
        if framing == "length":
            assert got.length == len(BODY) - 12
        assert got.read() == BODY[12:]
        assert got.isclosed()


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_copyfileobj(library: Library, framing: str, size: int) -> None:
    target = io.BytesIO()
    with opened(library, FRAMINGS[framing]) as got:
        shutil.copyfileobj(got, target, size)
    assert target.getvalue() == BODY


def test_the_last_byte_ends_the_response(library: Library) -> None:
    with opened(library, FRAMINGS["length"]) as got:
        assert got.read(len(BODY)) == BODY
        assert got.isclosed()


def test_read1(library: Library, framing: str) -> None:
    with opened(library, FRAMINGS[framing]) as got:
        assert got.read1(0) == b""
        assert got.read1(3) == BODY[:3]
        data = BODY[:3]
        while piece := got.read1():
            data += piece
        assert data == BODY


def test_readinto(library: Library, framing: str) -> None:
    with opened(library, FRAMINGS[framing]) as got:
        buffer = bytearray(10)
        assert got.readinto(buffer) == 10
        assert buffer == BODY[:10]
        rest = bytearray(100)
        assert got.readinto(memoryview(rest)) == len(BODY) - 10
        assert rest.startswith(BODY[10:])


def test_readinto1(library: Library) -> None:
    with opened(library, FRAMINGS["length"]) as got:
        buffer = bytearray(4)
        assert got.readinto1(buffer) == 4
        assert buffer == BODY[:4]


def test_lines(library: Library, framing: str) -> None:
    with opened(library, FRAMINGS[framing]) as got:
        assert got.readline() == b"first line\n"
        assert got.readline(3) == b"sec"
        assert got.readline(100) == b"ond\n"
        assert got.readlines() == [b"\n", b"last without end"]
        assert got.readline() == b""


def test_iteration(library: Library, framing: str) -> None:
    with opened(library, FRAMINGS[framing]) as got:
        assert iter(got) is got
        assert list(got) == BODY.splitlines(keepends=True)


def test_peek(library: Library, framing: str) -> None:
    with opened(library, FRAMINGS[framing]) as got:
        assert BODY.startswith(got.peek(5)[:5])
        assert got.peek(1)
        assert got.read() == BODY


def test_as_the_file_under_others(library: Library, framing: str) -> None:
    with opened(library, FRAMINGS[framing]) as got, io.TextIOWrapper(got, encoding="utf-8") as text:
        assert text.readlines() == BODY.decode().splitlines(keepends=True)
    with opened(library, FRAMINGS[framing]) as got:
        assert io.BufferedReader(got).read(30) == BODY[:30]


def test_reading_a_closed_response(library: Library) -> None:
    with opened(library, FRAMINGS["length"]) as got:
        assert got.read(1) == BODY[:1]
        got.close()
        got.close()
        assert got.isclosed()
        assert got.closed
        assert (got.read(), got.read(1), got.readline(), got.peek()) == (b"", b"", b"", b"")
        with pytest.raises((AttributeError, OSError)):
            got.fileno()
        with pytest.raises(ValueError, match="closed"), got:
            pass


def test_fileno_is_for_waiting(library: Library) -> None:
    def handler(connection: Any) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        assert connection.recv(1) == b""

    with RawServer(handler) as server, library.urlopen(server.url) as got:
        assert select.select([got], [], [], 0)[0] == []


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize(
    "status", ["200 OK", "204 No Content", "205 Reset Content", "206 Partial Content", "299 A b\xe9"]
)
def test_responses_without_a_body(library: Library, method: str, status: str) -> None:
    length = "" if status[:3] == "204" else f"Content-Length: {5 if method == 'HEAD' else 0}\r\n"
    answer = f"HTTP/1.1 {status}\r\n{length}\r\n".encode("latin-1")
    with RawServer(answering(answer)) as server, library.urlopen(Request(server.url, method=method)) as got:
        assert got.status == int(status[:3])
        assert got.reason == status[4:]
        assert got.length == 0
        assert got.read() == b""
        assert got.isclosed()


def test_informational_responses_are_passed_over(library: Library) -> None:
    answer = b"HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + response(b"final")
    with opened(library, answer) as got:
        assert got.status == 200
        assert got.read() == b"final"
        assert "X-Early" not in got.headers


def test_early_hints_do_not_end_the_exchange(ours: Library) -> None:
    with opened(ours, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + response(b"final")) as got:
        assert (got.status, got.read()) == (200, b"final")


def test_content_codings_are_left_on(library: Library) -> None:
    with opened(library, response(b"\x1f\x8b no gzip", "200 OK", "Content-Encoding: gzip")) as got:
        assert got.read() == b"\x1f\x8b no gzip"


def test_trailers_are_dropped(library: Library) -> None:
    answer = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks(b"a") + b"0\r\nX-Trailer: 1\r\n\r\n"
    with opened(library, answer) as got:
        assert got.read() == b"a"
        assert "X-Trailer" not in got.headers


def test_a_large_body(library: Library) -> None:
    body = bytes(range(256)) * 8192
    with RawServer(Recorder((response(body),))) as server, library.urlopen(server.url) as got:
        pieces = []
        while piece := got.read(100_000):
            pieces.append(piece)
        assert {len(piece) for piece in pieces[:-1]} == {100_000}
        assert b"".join(pieces) == body


def test_long_lines_and_large_heads_are_taken(library: Library) -> None:
    fields = [f"X-{number}: {'v' * 20_000}" for number in range(10)]
    with opened(library, response(b"ok", "200 OK", *fields)) as got:
        assert got.headers["X-9"] == "v" * 20_000
        assert got.read() == b"ok"


def test_headers_are_copied_and_pickled_like_messages(ours: Library) -> None:
    for twin in (copy.copy, copy.deepcopy, lambda message: pickle.loads(pickle.dumps(message))):
        with opened(ours, FRAMINGS["length"]) as got:
            assert twin(got.headers)["X-Twice"] == "a"
            assert twin(got.headers).items() == got.headers.items()


def test_what_is_set_before_the_headers_are_looked_at_stays(ours: Library) -> None:
    with opened(ours, FRAMINGS["length"]) as got:
        got.headers.preamble = "mine"
        assert got.headers.preamble == "mine"
        assert got.headers["X-Twice"] == "a"
        assert got.headers.preamble == "mine"


def test_the_repr_names_the_status(ours: Library) -> None:
    with opened(ours, FRAMINGS["length"]) as got:
        assert "200 Fine" in repr(got)
