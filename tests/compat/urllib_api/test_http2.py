"""`urlopen` over HTTP/2: an `http.client.HTTPResponse` in all that programs do with it, on one connection."""

from __future__ import annotations

import gc
import http.client
import io
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import ContentTooShortError, HTTPError, URLError
from urllib.request import HTTPCookieProcessor, Request, urlretrieve

import pytest

from drivetrain.compat import urllib_api
from drivetrain.compat.urllib_api.errors import opening_error
from drivetrain.engine import Client, H2Error, errors
from tests.compat.http2 import INTERNAL_ERROR, REFUSED_STREAM, cancelled
from tests.compat.urllib_api.conftest import Library
from tests.compat.urllib_api.recorder import Recorder
from tests.support.certificates import Certificates
from tests.support.h2_server import Exchange, H2Server, hold, pages, pattern


@pytest.fixture
def context(certificates: Certificates) -> ssl.SSLContext:
    """What clients use."""
    return certificates.client_context()


@pytest.fixture
def serve(certificates: Certificates) -> Callable[..., H2Server]:
    """Makes servers that speak HTTP/2 over TLS, and HTTP/1.1 with whoever wants that."""

    def make(answer: Callable[[Exchange], None] = pages, **options: Any) -> H2Server:
        both = certificates.server_context(["h2", "http/1.1"])
        return H2Server(answer, context=both, fallback=Recorder(), **options)

    return make


@pytest.fixture
def server(serve: Callable[..., H2Server]) -> Iterator[H2Server]:
    """One that answers by path."""
    with serve() as made:
        yield made


@pytest.fixture
def fetch(context: ssl.SSLContext) -> Callable[..., Any]:
    """`urlopen` with the context of the tests."""

    def call(url: str | Request, *args: Any, **options: Any) -> Any:
        return urllib_api.urlopen(url, *args, context=context, **options)

    return call


def parted(*fields: tuple[str, str], then: Callable[[Exchange], None] | None = None) -> Callable[[Exchange], None]:
    """An answer of which three bytes come."""

    def answer(exchange: Exchange) -> None:
        exchange.head(200, *fields)
        exchange.data(b"a\nb")
        if then is not None:
            then(exchange)

    return answer


# -- the version -------------------------------------------------------------------------------------------------------


def test_a_context_of_ones_own_speaks_it(
    server: H2Server, context: ssl.SSLContext, original: Library, ours: Library
) -> None:
    for _ in range(2):
        with ours.urlopen(f"{server.url}/bytes/1000", context=context) as response:
            assert (response.version, response.status, response.read()) == (20, 200, pattern(1000))
    assert server.connections == 1
    # Whoever else has the context is not given HTTP/2, which it may not speak.
    with original.urlopen(server.url, context=context) as response:
        assert (response.version, response.read()) == (11, b"ok")
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context)
    connection.request("GET", "/")
    assert connection.getresponse().version == 11
    connection.close()
    assert ours.get(f"{server.url}/bytes/10", context=context) == pattern(10)
    assert server.connections == 3


def test_the_default_context_speaks_it(
    server: H2Server, certificates: Certificates, monkeypatch: pytest.MonkeyPatch, library: Library
) -> None:
    monkeypatch.setattr(ssl, "_create_default_https_context", certificates.client_context)
    with library.urlopen(server.url) as response:
        assert response.version == (20 if library.keeps else 11)


def test_pinning_the_version(server: H2Server, context: ssl.SSLContext) -> None:
    with Client(ssl_context=context, version=1.1) as client:
        opener = urllib_api.build_opener(urllib_api.HTTPSHandler(client=client))
        with opener.open(server.url) as response:
            assert (response.version, response.read()) == (11, b"ok")


def test_in_clear_it_is_known_beforehand() -> None:
    with H2Server() as server, Client(version=2) as client:
        opener = urllib_api.build_opener(urllib_api.HTTPHandler(client=client))
        with opener.open(f"{server.url}/echo", b"body") as response:
            assert (response.version, response.read()) == (20, b"body")


# -- requests ----------------------------------------------------------------------------------------------------------


def test_what_is_sent(server: H2Server, fetch: Callable[..., Any]) -> None:
    headers = {"Connection": "close", "X-Kept": "1", "Keep-Alive": "5"}
    assert fetch(Request(f"{server.url}/echo", b"body", headers)).read() == b"body"
    sent = server.exchanges[0].fields
    assert sent[:4] == [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", f"127.0.0.1:{server.port}"),
        (":path", "/echo"),
    ]
    assert {name for name, _ in sent[4:]} == {
        "accept-encoding",
        "content-length",
        "content-type",
        "user-agent",
        "x-kept",
    }


def test_host_becomes_the_authority(server: H2Server, fetch: Callable[..., Any]) -> None:
    fetch(Request(server.url, headers={"Host": "other.example"})).close()
    assert server.exchanges[0].get(":authority") == "other.example"
    assert server.exchanges[0].get("host") is None


@pytest.mark.parametrize("kind", ["bytes", "file", "iterator"])
def test_uploads(server: H2Server, fetch: Callable[..., Any], kind: str) -> None:
    whole = pattern(300_000)
    data = {"bytes": whole, "file": io.BytesIO(whole), "iterator": iter([whole[:1000], whole[1000:]])}[kind]
    assert fetch(f"{server.url}/echo", data).read() == whole
    assert server.exchanges[0].get("transfer-encoding") is None


def test_redirects_and_cookies(serve: Callable[..., H2Server], context: ssl.SSLContext) -> None:
    def answer(exchange: Exchange) -> None:
        if exchange.path == "/start":
            exchange.respond(302, b"gone", ("location", "/end"), ("set-cookie", "a=1"), ("set-cookie", "b=2"))
        else:
            exchange.respond(200, "; ".join(value for name, value in exchange.fields if name == "cookie").encode())

    with serve(answer) as server:
        opener = urllib_api.build_opener(HTTPCookieProcessor(), urllib_api.HTTPSHandler(context=context))
        with opener.open(f"{server.url}/start") as response:
            assert response.geturl() == f"{server.url}/end"
            assert response.read() == b"a=1; b=2"
        assert server.connections == 1


# -- responses ---------------------------------------------------------------------------------------------------------


def test_what_it_says(serve: Callable[..., H2Server], fetch: Callable[..., Any]) -> None:
    fields = [("content-type", "text/plain; charset=utf-8"), ("x-twice", "1"), ("x-twice", "2")]
    with serve(lambda exchange: exchange.respond(200, b"0123456789", *fields)) as server:
        response = fetch(f"{server.url}/path?q")
        assert isinstance(response, http.client.HTTPResponse)
        assert (response.version, response.status, response.code, response.getcode()) == (20, 200, 200, 200)
        assert response.reason == response.msg == "OK"
        # In the case that programs know them in.
        assert response.getheaders() == [*((name.title(), value) for name, value in fields), ("Content-Length", "10")]
        assert response.getheader("Content-Type") == response.info()["CONTENT-TYPE"] == "text/plain; charset=utf-8"
        assert response.info().get_content_charset() == "utf-8"
        assert response.headers.get_all("X-Twice") == ["1", "2"]
        assert (response.length, response.chunked, response.chunk_left) == (10, False, None)
        assert (response.will_close, response.debuglevel) == (False, 0)
        assert not response.isclosed()
        assert not response.closed
        with pytest.raises(io.UnsupportedOperation):
            response.fileno()
        assert response.read(4) == b"0123"
        assert response.length == 6
        assert response.peek(2)[:2] == b"45"
        assert response.read1(2) == b"45"
        buffer = bytearray(3)
        assert response.readinto(buffer) == 3
        assert buffer == b"678"
        assert response.readline() == b"9"
        assert response.isclosed()
        assert response.length == 0
        assert response.read() == b""
        response.close()
        server.wait(lambda: server.wire.open_count() == 0)
        assert server.wire.resets == {}


def test_an_error_status(serve: Callable[..., H2Server], fetch: Callable[..., Any]) -> None:
    with serve(lambda exchange: exchange.respond(404, b"nothing")) as server:
        with pytest.raises(HTTPError, match="HTTP Error 404: Not Found") as caught:
            fetch(server.url)
        with caught.value as error:
            assert (error.code, error.reason, error.read()) == (404, "Not Found", b"nothing")


def test_a_body_of_unknown_length(serve: Callable[..., H2Server], fetch: Callable[..., Any]) -> None:
    with serve(hold, early=True) as server, ThreadPoolExecutor(1) as worker:
        future = worker.submit(fetch, server.url)
        exchange = server.next()
        exchange.head(200)
        response = future.result()
        assert (response.length, response.chunked, response.will_close) == (None, False, False)
        for line in (b"one\n", b"two\n"):
            exchange.data(line + b"rest")
            assert response.readline() == line
            assert response.read1(4) == b"rest"
        exchange.data(b"three\nfour", end=True)
        assert list(response) == [b"three\n", b"four"]
        assert response.isclosed()


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_without_a_body(serve: Callable[..., H2Server], fetch: Callable[..., Any], method: str) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.head(*((200, ("content-length", "100")) if method == "HEAD" else (204,)), end=True)  # type: ignore[arg-type]

    with serve(answer) as server:
        with fetch(Request(server.url, method=method)) as response:
            assert (response.length, response.read()) == (0, b"")
        server.wait(lambda: server.wire.open_count() == 0)
        assert server.wire.resets == {}


# -- sharing -----------------------------------------------------------------------------------------------------------


def test_threads_use_one_connection(server: H2Server, fetch: Callable[..., Any]) -> None:
    def work(number: int) -> None:
        with fetch(f"{server.url}/echo", b"%d" % number) as response:
            assert response.read() == b"%d" % number

    with ThreadPoolExecutor(50) as threads:
        list(threads.map(work, range(200)))
    assert server.connections == 1
    assert len(server.exchanges) == 200


@pytest.mark.parametrize("end", ["close", "drop"])
def test_giving_up_resets_that_stream_only(server: H2Server, fetch: Callable[..., Any], end: str) -> None:
    given_up, kept = (fetch(f"{server.url}/bytes/3000000") for _ in range(2))
    assert given_up.read(10) == kept.read(10)
    if end == "close":
        given_up.close()
    del given_up
    gc.collect(0)
    assert kept.read() == pattern(3_000_000)[10:]
    fetch(f"{server.url}/echo").close()
    server.wait(lambda: cancelled(server))
    assert cancelled(server) == [1]
    assert server.connections == 1


def test_a_timeout_loses_nothing_and_harms_nobody(serve: Callable[..., H2Server], fetch: Callable[..., Any]) -> None:
    with serve(parted()) as server:
        sibling = fetch(server.url)
        response = fetch(server.url, timeout=0.1)
        with pytest.raises(TimeoutError, match="timed out"):
            response.read(10)
        server.exchanges[1].data(b"cd", end=True)
        assert response.read(10) == b"a\nbcd"
        server.exchanges[0].data(b"", end=True)
        assert sibling.read() == b"a\nb"
        assert (server.connections, server.wire.resets) == (1, {})


# -- failures ----------------------------------------------------------------------------------------------------------


def test_nothing_is_answered_in_time(server: H2Server, fetch: Callable[..., Any]) -> None:
    sibling = fetch(f"{server.url}/bytes/3000000")
    with pytest.raises(TimeoutError, match="timed out"):
        fetch(f"{server.url}/held", timeout=0.1)
    assert sibling.read() == pattern(3_000_000)
    server.wait(lambda: cancelled(server) == [3])
    assert server.connections == 1


def test_a_stream_reset_before_its_response(serve: Callable[..., H2Server], fetch: Callable[..., Any]) -> None:
    with serve(lambda exchange: exchange.reset(INTERNAL_ERROR)) as server:
        with pytest.raises(http.client.RemoteDisconnected, match="INTERNAL_ERROR") as caught:
            fetch(server.url)
        assert isinstance(caught.value, ConnectionResetError)
        assert isinstance(caught.value.__cause__, H2Error)


def test_tls_that_is_too_weak(fetch: Callable[..., Any], certificates: Certificates) -> None:
    context = certificates.server_context(["h2", "http/1.1"])
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    with H2Server(context=context, fallback=Recorder(), tolerate=(OSError,)) as server:
        assert fetch(server.url).version == 11


def test_requests_that_are_not_looked_at(serve: Callable[..., H2Server], fetch: Callable[..., Any]) -> None:
    def answer(exchange: Exchange) -> None:
        if exchange.id == 1 or exchange.path == "/never":
            exchange.reset(REFUSED_STREAM)
        else:
            exchange.respond(200, bytes(exchange.body))

    with serve(answer) as server:
        assert fetch(server.url, b"body").read() == b"body"
        with pytest.raises(URLError) as caught:
            fetch(f"{server.url}/never", b"body")
        assert isinstance(caught.value.reason, ConnectionRefusedError)
        assert isinstance(caught.value.__cause__, errors.StreamRefused)


def test_a_server_that_goes_away(serve: Callable[..., H2Server], fetch: Callable[..., Any]) -> None:
    def answer(exchange: Exchange) -> None:
        if len(server.wires) == 1 and exchange.id == 3:
            exchange.wire.goaway(1)
        else:
            exchange.respond(200, b"%d" % len(server.wires))

    with serve(answer) as server:
        assert [fetch(server.url, b"x").read() for _ in range(3)] == [b"1", b"2", b"2"]


LENGTH = (("content-length", "10"),)


@pytest.mark.parametrize("fields", [(), LENGTH], ids=["open", "length"])
@pytest.mark.parametrize("read", [lambda r: r.read(), lambda r: r.read(10), list], ids=["whole", "size", "lines"])
def test_a_reset_in_the_middle(
    serve: Callable[..., H2Server], fetch: Callable[..., Any], fields: Any, read: Callable[[Any], Any]
) -> None:
    with serve(parted(*fields)) as server:
        response = fetch(server.url)
        assert response.read1(2) == b"a\n"
        server.exchanges[0].reset(INTERNAL_ERROR)
        with pytest.raises(http.client.IncompleteRead) as caught:
            read(response)
        assert caught.value.partial == b"b"
        assert caught.value.expected == (7 if fields else None)
        assert isinstance(caught.value.__cause__, H2Error)
        assert response.isclosed()


@pytest.mark.parametrize("fields", [(), LENGTH], ids=["open", "length"])
@pytest.mark.parametrize("size", [None, 10])
def test_the_connection_ends_in_the_middle(
    serve: Callable[..., H2Server], fetch: Callable[..., Any], fields: Any, size: int | None
) -> None:
    """Only where Content-Length lets the program see it is less returned, as by http.client."""
    with serve(parted(*fields)) as server:
        response = fetch(server.url)
        assert response.read(2) == b"a\n"
        server.wire.close()
        if fields and size:
            assert response.read(size) == b"b"
            assert response.length == 7
        else:
            with pytest.raises(http.client.IncompleteRead):
                response.read(size)


def test_a_download_that_is_cut_short(
    serve: Callable[..., H2Server], context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    def close(exchange: Exchange) -> None:
        exchange.wire.close()

    monkeypatch.setattr(ssl, "_create_default_https_context", lambda: context)
    monkeypatch.setattr("urllib.request.urlopen", urllib_api.urlopen)
    with serve(parted(*LENGTH, then=close)) as server, pytest.raises(ContentTooShortError):
        urlretrieve(server.url, str(tmp_path / "file"))


def test_what_a_flood_of_fields_comes_as() -> None:
    error = errors.LimitExceeded("more than 100 field lines", 431, "field count")
    assert type(opening_error(error)) is http.client.HTTPException
    assert type(opening_error(errors.LimitExceeded("field line longer than 10 bytes", 431))) is http.client.LineTooLong


def test_a_connection_that_breaks_before_the_response(
    serve: Callable[..., H2Server], fetch: Callable[..., Any]
) -> None:
    with serve(lambda exchange: exchange.wire.close()) as server:
        with pytest.raises(http.client.RemoteDisconnected):
            fetch(server.url, b"x")
        assert len(server.exchanges) == 1
