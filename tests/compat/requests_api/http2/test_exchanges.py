"""Over HTTP/2 a program sends and sees what it did over HTTP/1.1."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.compat.http2 import cancelled
from tests.support.h2_server import Exchange, H2Server, hold, pattern


def test_what_belongs_to_a_connection_is_not_sent(session: requests.Session, server: H2Server) -> None:
    fields = {"Connection": "close, X-Hop", "Keep-Alive": "timeout=5", "X-Hop": "1", "X-Kept": "2"}
    assert session.post(f"{server.url}/echo", data=iter([b"ab", b"c"]), headers=fields).text == "abc"
    sent = server.exchanges[0].fields
    assert [name for name, _ in sent][:4] == [":method", ":scheme", ":authority", ":path"]
    names = {name for name, _ in sent}
    assert names.isdisjoint({"connection", "keep-alive", "transfer-encoding", "x-hop", "host", "content-length"})
    assert ("x-kept", "2") in sent
    assert {"user-agent", "accept", "accept-encoding"} < names


def test_host_becomes_the_authority(session: requests.Session, server: H2Server) -> None:
    session.get(server.url)
    session.get(server.url, headers={"Host": "other.example"})
    assert [exchange.get(":authority") for exchange in server.exchanges] == [
        f"127.0.0.1:{server.port}",
        "other.example",
    ]
    assert all(exchange.get("host") is None for exchange in server.exchanges)


def large_file() -> io.BytesIO:
    return io.BytesIO(pattern(300_000))


@pytest.mark.parametrize(
    "body",
    [pattern(300_000), large_file(), (pattern(100_000) for _ in range(3)), pattern(10), b""],
    ids=["bytes", "file", "generator", "short", "empty"],
)
def test_uploads(session: requests.Session, server: H2Server, body: Any) -> None:
    expected = body if isinstance(body, bytes) else None
    response = session.post(f"{server.url}/echo", data=body)
    exchange = server.exchanges[0]
    assert response.content == bytes(exchange.body)
    if expected is not None:
        assert response.content == expected
    else:
        assert len(response.content) == 300_000
    length = exchange.get("content-length")
    assert length == (None if isinstance(body, Iterator) and not hasattr(body, "read") else str(len(exchange.body)))


def test_forms_and_files(session: requests.Session, server: H2Server) -> None:
    assert session.post(f"{server.url}/echo", data={"a": "b c"}).text == "a=b+c"
    text = session.post(f"{server.url}/echo", files={"f": ("name", large_file())}).content
    assert pattern(300_000) in text
    assert session.put(f"{server.url}/echo", json={"a": [1]}).json() == {"a": [1]}


def test_expecting_to_continue(
    session: requests.Session, serve: Callable[..., H2Server], workers: ThreadPoolExecutor
) -> None:
    with serve(hold, early=True) as server:
        future = workers.submit(session.post, server.url, data=b"body", headers={"Expect": "100-continue"})
        exchange = server.next()
        exchange.head(100)
        server.wait(lambda: exchange.complete)
        exchange.respond(200, bytes(exchange.body))
        assert future.result().text == "body"
        refused = workers.submit(session.post, server.url, data=b"body", headers={"Expect": "100-continue"})
        server.next().respond(417, b"no")
        assert refused.result().status_code == 417


def test_redirects_and_cookies(session: requests.Session, serve: Callable[..., H2Server]) -> None:
    def answer(exchange: Exchange) -> None:
        if exchange.path == "/start":
            cookies = [("set-cookie", "a=1; Path=/"), ("set-cookie", "b=2; Path=/")]
            exchange.respond(302, b"gone", ("location", "/end"), *cookies)
        else:
            exchange.respond(200, "; ".join(value for name, value in exchange.fields if name == "cookie").encode())

    with serve(answer) as server:
        response = session.post(f"{server.url}/start", data=b"x")
        assert response.text == "a=1; b=2"
        assert response.request.method == "GET"
        assert [hop.status_code for hop in response.history] == [302]
        assert dict(session.cookies) == {"a": "1", "b": "2"}
        assert server.connections == 1


def test_what_it_says(session: requests.Session, serve: Callable[..., H2Server]) -> None:
    def answer(exchange: Exchange) -> None:
        fields = [("content-type", "text/plain; charset=utf-8"), ("set-cookie", "a=1"), ("set-cookie", "b=2")]
        exchange.respond(404, b"body", *fields, ("x-twice", "1"), ("x-twice", "2"))

    with serve(answer) as server:
        response = session.get(f"{server.url}/path?q", stream=True)
        raw = response.raw
        assert (response.status_code, response.reason, raw.reason) == (404, "Not Found", "Not Found")
        assert response.headers["Content-Type"] == raw.headers["CONTENT-TYPE"] == "text/plain; charset=utf-8"
        assert response.encoding == "utf-8"
        # In the case that programs know them in, which look into a plain dict of them.
        names = ["Content-Type", "Set-Cookie", "X-Twice", "Content-Length"]
        assert list(raw.headers) == list(response.headers) == names
        assert dict(response.headers)["Content-Type"] == "text/plain; charset=utf-8"
        assert raw.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
        assert response.headers["X-Twice"] == "1, 2"
        assert dict(response.cookies) == {"a": "1", "b": "2"}
        original = raw._original_response
        assert original.msg.get_all("set-cookie") == ["a=1", "b=2"]
        assert original.getheader("X-Twice") == "1, 2"
        assert ("X-Twice", "1") in original.getheaders()
        assert (raw.chunked, raw.length_remaining, raw.geturl()) == (False, 4, "/path?q")
        assert raw.data == b"body"
        assert raw.closed


def test_its_connection(session: requests.Session, server: H2Server) -> None:
    response = session.get(f"{server.url}/bytes/2000000", stream=True)
    connection = response.raw.connection
    assert (connection.host, connection.port, connection.is_closed) == ("127.0.0.1", server.port, False)
    sock = connection.sock
    assert sock.getpeername() == ("127.0.0.1", server.port)
    assert sock.getsockname()[1] != server.port
    assert sock.selected_alpn_protocol() == "h2"
    assert sock.getpeercert()["subjectAltName"]
    connection.close()
    server.wait(lambda: cancelled(server))
    assert session.get(f"{server.url}/echo").status_code == 200
    assert server.connections == 1


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("stream", [False, True])
def test_without_a_body(session: requests.Session, serve: Callable[..., H2Server], method: str, stream: bool) -> None:
    def answer(exchange: Exchange) -> None:
        if exchange.method == "HEAD":
            exchange.head(200, ("content-length", "100"), end=True)
        else:
            exchange.head(204, end=True)

    with serve(answer) as server:
        response = session.request(method, server.url, stream=stream)
        assert response.content == b""
        assert response.raw.closed
        server.wait(lambda: server.wire.open_count() == 0)
        assert server.wire.resets == {}


def test_a_body_that_is_made_while_it_is_sent(session: requests.Session, held: H2Server) -> None:
    """Without Content-Length it would be chunked over HTTP/1.1: nobody waits for a piece to become full."""
    with ThreadPoolExecutor(1) as worker:
        future = worker.submit(session.get, held.url, stream=True)
        exchange = held.next()
        exchange.head(200, ("content-type", "text/event-stream"))
        response = future.result()
    lines = response.iter_lines()
    for number in range(3):
        exchange.data(b"event %d\n\n" % number)
        assert next(lines) == b"event %d" % number
        assert next(lines) == b""
    exchange.data(b"", end=True)
    assert list(lines) == []
    assert response.raw.closed


@pytest.mark.parametrize("touched", [False, True])
def test_a_coded_body_that_is_made_while_it_is_sent(session: requests.Session, held: H2Server, touched: bool) -> None:
    packed = io.BytesIO()
    packer = gzip.GzipFile(fileobj=packed, mode="wb")
    with ThreadPoolExecutor(1) as worker:
        future = worker.submit(session.get, held.url, stream=True)
        exchange = held.next()
        exchange.head(200, ("content-encoding", "gzip"))
        response = future.result()
    assert not touched or response.raw.chunked is False
    pieces = response.iter_content(1000)
    for text in (b"one", b"two"):
        packer.write(text)
        packer.flush()
        exchange.data(packed.getvalue())
        packed.seek(0)
        packed.truncate()
        assert next(pieces) == text
    packer.close()
    exchange.data(packed.getvalue(), end=True)
    assert list(pieces) == []


@pytest.mark.parametrize("size", [1000, 65536, None])
def test_reading_in_pieces(session: requests.Session, server: H2Server, size: int | None) -> None:
    url, whole = f"{server.url}/bytes/300000", pattern(300_000)
    pieces = list(session.get(url, stream=True).iter_content(size))
    assert b"".join(pieces) == whole
    assert size is None or {len(piece) for piece in pieces[:-1]} == {size}
    assert b"".join(session.get(url, stream=True).raw.stream(size)) == whole
    raw = session.get(url, stream=True).raw
    assert raw.read(7) + raw.read(size) + raw.read() == whole
    assert raw.tell() == 300_000
    assert raw.isclosed()
    server.wait(lambda: server.wire.open_count() == 0)
    assert server.wire.resets == {}
