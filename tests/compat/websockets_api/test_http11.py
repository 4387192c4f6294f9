"""Requests and responses of the handshake, a byte at a time and in random pieces."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from drivetrain.compat.websockets_api import exceptions, http11
from drivetrain.compat.websockets_api.datastructures import Headers
from drivetrain.compat.websockets_api.http11 import Request, Response
from drivetrain.compat.websockets_api.streams import StreamReader

NOT_THERE = "not all there"
REQUEST = b"GET /chat?x=1 HTTP/1.1\r\nHost: example.com\r\nUpgrade:  websocket \r\n\r\n"
NAMES = some.text("abcXYZ-09", min_size=1, max_size=8)
VALUES = some.text(some.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=12).map(str.strip)
FIELDS = some.lists(some.tuples(NAMES, VALUES), max_size=5).filter(
    lambda fields: not {name.lower() for name, _ in fields} & {"content-length", "transfer-encoding"}
)


def feed(make: Callable[[StreamReader], Generator[None, None, Any]], data: bytes, pieces: list[int], end: bool) -> Any:
    """What a generator returns that is given `data` cut at `pieces`; the rest that it leaves is not looked at."""
    stream = StreamReader()
    parsing = make(stream)
    try:
        next(parsing)
        for start, stop in zip([0, *pieces], [*pieces, len(data)], strict=True):
            stream.feed_data(data[start:stop])
            next(parsing)
        if end:
            stream.feed_eof()
            next(parsing)
    except StopIteration as stop:
        return stop.value
    return NOT_THERE


def request(data: bytes, *, end: bool = False) -> Any:
    return feed(lambda stream: Request.parse(stream.read_line), data, list(range(1, len(data))), end)


def response(data: bytes, *, proxy: bool = False, end: bool = False, pieces: list[int] | None = None) -> Any:
    def make(stream: StreamReader) -> Generator[None, None, Response]:
        return Response.parse(stream.read_line, stream.read_exact, stream.read_to_eof, proxy)

    return feed(make, data, list(range(1, len(data))) if pieces is None else pieces, end)


# --- requests --------------------------------------------------------------------------------------------------------


def test_a_request() -> None:
    found = request(REQUEST)
    assert found == Request("/chat?x=1", Headers(Host="example.com", Upgrade="websocket"))
    assert (found.method, found.protocol) == ("GET", "HTTP/1.1")
    assert repr(found) == (
        "Request(path='/chat?x=1', headers=Headers([('Host', 'example.com'), ('Upgrade', 'websocket')]), "
        "method='GET', protocol='HTTP/1.1', _exception=None)"
    )


@given(
    some.sampled_from(["/", "/a?b=%20", "*"]),
    FIELDS,
    some.sampled_from(["GET", "POST"]),
    some.sampled_from(["1.0", "1.1"]),
)
def test_a_request_there_and_back(path: str, fields: list[tuple[str, str]], method: str, version: str) -> None:
    sent = Request(path, Headers(fields), method, f"HTTP/{version}")
    assert request(sent.serialize()) == sent


@pytest.mark.parametrize("length", range(0, len(REQUEST), 7))
def test_a_request_that_ends_early(length: int) -> None:
    assert request(REQUEST[:length]) == NOT_THERE
    where = "request line" if length < REQUEST.index(b"\n") else "headers"
    with pytest.raises(EOFError, match=f"connection closed while reading HTTP {where}"):
        request(REQUEST[:length], end=True)


@pytest.mark.parametrize(
    ("data", "error", "fault"),
    [
        (b"GET /\r\n", ValueError, "invalid HTTP request line: GET /"),
        (b"GET / HTTP/2\r\n", ValueError, "unsupported protocol; expected HTTP/1.1 or HTTP/1.0: GET / HTTP/2"),
        (b"GET / HTTP/1.1 x\r\n", ValueError, "unsupported protocol"),
        (b"GET /\xe9 HTTP/1.1\r\n", UnicodeDecodeError, "ascii"),
        (
            b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            NotImplementedError,
            "transfer codings aren't supported",
        ),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\n", ValueError, "unsupported request body"),
        (b"GET / HTTP/1.1\r\nHost\r\n", ValueError, "invalid HTTP header line: Host"),
        (b"GET / HTTP/1.1\r\nHo st: x\r\n", ValueError, "invalid HTTP header name: Ho st"),
        (b"GET / HTTP/1.1\r\n folded\xff: x\r\n", ValueError, r"invalid HTTP header name:  folded\\xff"),
        (b"GET / HTTP/1.1\r\nHost: \x00\r\n", ValueError, "invalid HTTP header value: \x00"),
        (b"GET / HTTP/1.1\n", EOFError, "connection closed while reading HTTP request line"),
        (b"GET /" + b"x" * 8192, exceptions.RequestLineTooLong, "read 8193 bytes, expected no more than 8192 bytes"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 8192, exceptions.HeaderLineTooLong, "read 8193 bytes"),
        (
            b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 129 + b"\r\n",
            exceptions.TooManyHeaders,
            "expected no more than 128 headers",
        ),
    ],
)
def test_requests_that_are_refused(data: bytes, error: type[Exception], fault: str) -> None:
    with pytest.raises(error, match=fault):
        request(data)


def test_a_request_may_say_that_it_has_no_body() -> None:
    assert request(b"GET / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n").path == "/"


# --- responses -------------------------------------------------------------------------------------------------------


@given(some.sampled_from([101, 200, 204, 404, 599]), VALUES, FIELDS, some.binary(max_size=30), some.data())
def test_a_response_there_and_back(code: int, reason: str, fields: Any, body: bytes, data: Any) -> None:
    if code in (101, 204):
        body = b""
    sent = Response(code, reason, Headers([*fields, ("Content-Length", str(len(body)))]), body)
    wire = sent.serialize()
    pieces = sorted(data.draw(some.lists(some.integers(0, len(wire)), max_size=6)))
    assert response(wire, pieces=pieces) == sent


@pytest.mark.parametrize(
    ("fields", "body", "found"),
    [
        (b"", b"to the end", b"to the end"),
        (b"Content-Length: 3\r\n", b"abcdef", b"abc"),
        (b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", b"abc0123456789"),
        (b"Transfer-Encoding: chunked\r\n", b"1\r\na\r\n0\r\nTrailer: x\r\n\r\n", b"a"),
    ],
)
def test_ways_to_tell_where_a_body_ends(fields: bytes, body: bytes, found: bytes) -> None:
    assert response(b"HTTP/1.1 400 Bad\r\n" + fields + b"\r\n" + body, end=True).body == found


@pytest.mark.parametrize("code", [101, 103, 204, 304])
def test_no_body_follows(code: int) -> None:
    assert response(f"HTTP/1.1 {code} \r\nContent-Length: 5\r\n\r\n".encode()).body == b""


def test_a_proxy_that_agrees() -> None:
    found = response(b"HTTP/1.0 200 Connection established\r\n\r\nthe tunnel", proxy=True)
    assert (found.status_code, found.body) == (200, b"")


@pytest.mark.parametrize(
    ("data", "error", "fault"),
    [
        (b"HTTP/1.1 200\r\n", ValueError, "invalid HTTP status line: HTTP/1.1 200"),
        (b"HTTP/1.0 200 OK\r\n", ValueError, "unsupported protocol; expected HTTP/1.1: HTTP/1.0 200 OK"),
        (b"HTTP/1.1 2x0 OK\r\n", ValueError, "invalid status code; expected integer; got 2x0"),
        (b"HTTP/1.1 099 OK\r\n", ValueError, "invalid status code; expected 100–599; got 099"),
        (b"HTTP/1.1 600 OK\r\n", ValueError, "invalid status code; expected 100–599; got 600"),
        (b"HTTP/1.1 200 \x01\r\n", ValueError, "invalid HTTP reason phrase: \x01"),
        (b"HTTP/1.1 200 " + b"x" * 8192, exceptions.StatusLineTooLong, "read 8193 bytes"),
        (
            b"HTTP/1.1 200 \r\nTransfer-Encoding: gzip\r\n\r\n",
            NotImplementedError,
            "transfer coding gzip isn't supported",
        ),
        (
            b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
            exceptions.SecurityError,
            "invalid chunk size: -1",
        ),
        (b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", ValueError, "chunk without CRLF"),
        (
            b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n100000\r\n",
            exceptions.SecurityError,
            "chunk too large: 1048576 bytes after 1 bytes",
        ),
        (b"HTTP/1.1 200 \r\nContent-Length: +1\r\n\r\n", exceptions.SecurityError, "invalid content length: "),
        (
            b"HTTP/1.1 200 \r\nContent-Length: 1048577\r\n\r\n",
            exceptions.SecurityError,
            "body too large: 1048577 bytes",
        ),
        (b"HTTP/1.1 200 \r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", LookupError, "'Content-Length'"),
    ],
)
def test_responses_that_are_refused(data: bytes, error: type[Exception], fault: str) -> None:
    with pytest.raises(error, match=fault):
        response(data)


def test_a_body_without_an_end_is_limited() -> None:
    stream = StreamReader()
    parsing = Response.parse(stream.read_line, stream.read_exact, stream.read_to_eof)
    stream.feed_data(b"HTTP/1.1 200 \r\n\r\n" + bytes(http11.MAX_BODY_SIZE + 1))
    with pytest.raises(exceptions.SecurityError, match="read 1048577 bytes, expected no more than 1048576 bytes"):
        next(parsing)


@pytest.mark.parametrize("message", [Request("/", Headers()), Response(200, "OK", Headers())])
def test_the_exception_of_a_message_is_deprecated(message: Any) -> None:
    with pytest.deprecated_call(match=rf"{type(message).__name__}.exception is deprecated"):
        assert message.exception is None


def test_limits_and_names_come_from_the_environment() -> None:
    settings = {
        "USER_AGENT": "me",
        "SERVER": "you",
        "MAX_NUM_HEADERS": "3",
        "MAX_LINE_LENGTH": "4_0",
        "MAX_BODY_SIZE": "5",
    }
    script = (
        f"import drivetrain.compat.websockets_api.http11 as h; print(*(repr(getattr(h, n)) for n in {list(settings)}))"
    )
    environment = {**os.environ, **{f"WEBSOCKETS_{name}": value for name, value in settings.items()}}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "'me' 'you' 3 40 5\n"
    assert f"Python/{sys.version_info[0]}.{sys.version_info[1]} websockets/17.4" == http11.USER_AGENT == http11.SERVER
