"""What goes over the wire is what the standard library sends, but for its `Connection: close`."""

from __future__ import annotations

import array
import enum
import gzip
import http.client
import io
import mmap
import socket
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import BaseHandler, Request

import pytest

from drivetrain.compat import urllib_api
from drivetrain.compat.urllib_api import EngineHandler
from tests.compat.urllib_api.conftest import ORIGINAL, OURS, Library
from tests.compat.urllib_api.recorder import OK, Recorder, Recording
from tests.support.servers import RawServer

CLOSE = b"Connection: close\r\n"
HEAD_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"


def exchange(library: Library, make: Callable[[str], Request | str], opener_headers: list | None = None) -> Recording:
    recorder = Recorder((HEAD_OK,) if make is REQUESTS["head"] else (OK,))
    with RawServer(recorder) as server:
        opener = library.build_opener()
        if opener_headers is not None:
            opener.addheaders = opener_headers
        with opener.open(make(f"http://localhost:{server.port}")) as response:
            assert response.read() == (b"" if make is REQUESTS["head"] else b"ok")
    (request,) = recorder.all
    head = request.head.replace(f":{server.port}".encode(), b":PORT")
    return Recording(head, request.body)


def pieces(*parts: bytes) -> Iterator[bytes]:
    yield from parts


def unredirected(url: str) -> Request:
    request = Request(url, headers={"X-Both": "redirected", "X-One": "1"})
    request.add_unredirected_header("X-Both", "unredirected")
    request.add_unredirected_header("X-Two", "2")
    return request


class Named(str, enum.Enum):
    FIELD = "X-Named"
    VALUE = "a value"


REQUESTS: dict[str, Callable[[str], Request | str]] = {
    "text": lambda url: url,
    "members of an enumeration": lambda url: Request(url, headers={Named.FIELD: Named.VALUE}),
    "no path, query": lambda url: f"{url}?a=b",
    "fragment": lambda url: f"{url}/a?b=c#fragment",
    "selector kept as it is": lambda url: f'{url}/a|b/../"c"/%7e{{}}?x=[1]&&y=^`',
    "wrapped": lambda url: f"<URL:{url}/wrapped>",
    "headers": lambda url: Request(url, headers={"x-lower": "a", "X-UPPER": "b", "sec-ch-ua": "c", "Accept": "*/*"}),
    "unredirected": unredirected,
    "latin-1 value": lambda url: Request(url, headers={"X-Name": "J\xfcrgen"}),
    "values that are no text": lambda url: Request(url, headers={"X-Number": 7, "X-Bytes": b"\xff"}),  # type: ignore[dict-item]
    "empty value": lambda url: Request(url, headers={"X-Empty": ""}),
    "own host": lambda url: Request(url, headers={"Host": "Example.COM"}),
    "own agent": lambda url: Request(url, headers={"User-Agent": "me/1"}),
    "own accept-encoding": lambda url: Request(url, headers={"Accept-Encoding": "gzip"}),
    "head": lambda url: Request(url, method="HEAD"),
    "delete": lambda url: Request(url, method="DELETE"),
    "post without data": lambda url: Request(url, method="POST"),
    "post lower-case": lambda url: Request(url, method="post"),
    "post": lambda url: Request(url, b"a=b"),
    "post of nothing": lambda url: Request(url, b""),
    "post with type": lambda url: Request(url, b"{}", {"Content-Type": "application/json", "X-After": "1"}),
    "put": lambda url: Request(url, b"data", method="PUT"),
    "get with data": lambda url: Request(url, b"data", method="GET"),
    "bytearray": lambda url: Request(url, bytearray(b"abc")),
    "memoryview": lambda url: Request(url, memoryview(b"abcdef")[2:]),
    "array": lambda url: Request(url, array.array("I", [1, 2, 3])),
    "iterable": lambda url: Request(url, [b"one", b"", b"two"]),
    "iterator": lambda url: Request(url, pieces(b"one", b"", b"two")),
    "iterator with length": lambda url: Request(url, pieces(b"one", b"two"), {"Content-Length": "6"}),
    "file": lambda url: Request(url, io.BytesIO(b"from a file")),
    "file with length": lambda url: Request(url, io.BytesIO(b"from a file"), {"Content-Length": 11}),  # type: ignore[dict-item]
    "text file": lambda url: Request(url, io.StringIO("J\xfcrgen")),
    "chunked bytes": lambda url: Request(url, b"bytes", {"Transfer-Encoding": "chunked"}),
}


@pytest.mark.parametrize("make", REQUESTS.values(), ids=REQUESTS)
def test_requests_are_the_originals(make: Callable[[str], Request | str]) -> None:
    expected, sent = exchange(ORIGINAL, make), exchange(OURS, make)
    assert CLOSE in expected.head
    assert sent.head == expected.head.replace(CLOSE, b"")
    assert sent.body == expected.body


def test_the_agent_and_the_order() -> None:
    sent = exchange(OURS, lambda url: Request(f"{url}/x", b"a", {"X-Own": "1"}))
    assert sent.lines == [
        "POST /x HTTP/1.1",
        "Accept-Encoding: identity",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Length: 1",
        "Host: localhost:PORT",
        f"User-Agent: Python-urllib/{sys.version_info[0]}.{sys.version_info[1]}",
        "X-Own: 1",
    ]


def test_the_headers_of_the_opener() -> None:
    headers = [("X-Opener", "1"), ("user-agent", "opener/1")]
    expected = exchange(ORIGINAL, lambda url: url, headers)
    sent = exchange(OURS, lambda url: url, headers)
    assert "User-Agent: opener/1" in sent.lines
    assert sent.head == expected.head.replace(CLOSE, b"")


@pytest.mark.parametrize("value", ["close", "keep-alive"])
def test_a_connection_field_of_the_callers_is_sent(value: str) -> None:
    assert exchange(OURS, lambda url: Request(url, headers={"Connection": value})).value("connection") == value


def test_a_file_is_read_from_where_it_stands(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        file.seek(4)
        sent = exchange(library, lambda url: Request(url, file, {"Content-Length": "6"}))
    assert sent.body == b"456789"


def test_a_compressed_file_is_sent_as_it_reads(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "data.gz"
    with gzip.open(path, "wb") as file:
        file.write(b"x" * 100_000)
    with gzip.open(path) as readable:
        assert exchange(library, lambda url: Request(url, readable)).body == b"x" * 100_000


def test_a_mapped_file(library: Library) -> None:
    with mmap.mmap(-1, 16) as mapped:
        mapped.write(b"abcdefgh")
        mapped.seek(2)
        assert exchange(library, lambda url: Request(url, mapped)).body == b"cdefgh" + bytes(8)


def test_a_large_body_in_many_pieces(library: Library) -> None:
    body = bytes(range(256)) * 4096
    assert exchange(library, lambda url: Request(url, io.BytesIO(body))).body == body


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda url: Request(url, "text"), TypeError),  # type: ignore[arg-type]
        (lambda url: Request(url, 7), TypeError),  # type: ignore[arg-type]
        (lambda url: f"{url}/a b", http.client.InvalidURL),
        (lambda url: f"{url}/a\r\nb", http.client.InvalidURL),
        (lambda url: f"{url}/\xfc", UnicodeEncodeError),
        (lambda url: Request(url, method="BAD\nMETHOD"), ValueError),
        (lambda url: Request(url, headers={"X": "a\r\nb: c"}), ValueError),
        (lambda url: Request(url, headers={"X\r\nY": "a"}), ValueError),
        (lambda url: Request(url, headers={"X": "\u20ac"}), ValueError),
        (lambda url: "http://localhost:port/", http.client.InvalidURL),
        (lambda url: "http://user:pass@localhost/", http.client.InvalidURL),
        (lambda url: "http://user@localhost/", URLError),
        (lambda url: "http://local host/", http.client.InvalidURL),
        (lambda url: "http:///path", URLError),
        (lambda url: "unknown://host/", URLError),
        (lambda url: "nothing", ValueError),
    ],
)
def test_what_cannot_be_sent(library: Library, make: Callable[[str], Request | str], error: type[Exception]) -> None:
    recorder = Recorder()
    with RawServer(recorder, tolerate=(AssertionError,)) as server, pytest.raises(error):
        library.get(make(f"http://localhost:{server.port}"), timeout=5)
    assert recorder.all == []


def test_both_framings_at_once_are_refused(ours: Library) -> None:
    with RawServer(Recorder()) as server, pytest.raises(ValueError, match="Content-Length"):
        ours.get(Request(server.url, b"x", {"Content-Length": "1", "Transfer-Encoding": "chunked"}))


def test_ipv6_and_an_explicit_default_port(library: Library) -> None:
    recorder = Recorder()
    with RawServer(recorder, family=socket.AF_INET6) as server:
        assert library.get(f"http://[::1]:{server.port}/") == b"ok"
    assert recorder.all[0].value("host") == f"[::1]:{server.port}"


def test_no_request_of_ours_uses_http_client(no_http_client: None) -> None:
    recorder = Recorder()
    with RawServer(recorder) as server:
        assert OURS.get(server.url) == b"ok"
        assert OURS.build_opener(EngineHandler).open(server.url, b"data").read() == b"ok"
        with pytest.raises(AssertionError, match="connects"):
            ORIGINAL.get(server.url)
    assert [request.body for request in recorder.all] == [b"", b"data"]


def test_what_is_done_to_one_request_is_not_done_to_the_next(library: Library) -> None:
    class Marking(BaseHandler):
        def http_request(self, request: Request) -> Request:
            assert not request.has_header("X-count")
            request.add_header("X-Count", "1")
            request.add_unredirected_header("X-Again", "2")
            request.full_url += "?marked"
            return request

    module: Any = urllib_api if library is OURS else urllib.request
    module.install_opener(library.build_opener(Marking))
    recorder = Recorder((OK,))
    with RawServer(recorder) as server:
        url = f"http://localhost:{server.port}/a"
        assert [library.get(url), library.get(url, b"x"), library.get(url)] == [b"ok"] * 3
    starts = [request.head.partition(b"\r\n")[0] for request in recorder.all]
    assert starts == [b"GET /a?marked HTTP/1.1", b"POST /a?marked HTTP/1.1", b"GET /a?marked HTTP/1.1"]
    assert all(request.head.count(b"X-Count: 1") == request.head.count(b"X-Again: 2") == 1 for request in recorder.all)


def test_a_url_that_is_none_is_refused_every_time(library: Library) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="unknown url type: 'nothing'"):
            library.urlopen("nothing")
