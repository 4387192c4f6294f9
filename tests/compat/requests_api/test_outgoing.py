"""What goes over the wire is what requests puts there."""

from __future__ import annotations

import array
import enum
import io
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import SKIP_HEADER

from drivetrain.compat.requests_api import EngineAdapter
from tests.compat.requests_api.support import Recorder, session_with
from tests.support.servers import RawServer


def wire_of(send: Any) -> list[tuple[bytes, bytes]]:
    """What a server sees of the requests that `send(session, url)` makes, ports left out: by requests', then by our adapter."""
    seen = []
    for kind in (HTTPAdapter, EngineAdapter):
        recorder = Recorder()
        with RawServer(recorder) as server, session_with(kind()) as session:
            send(session, server.url)
        head = b"".join(recorder.heads).replace(str(server.port).encode(), b"PORT")
        seen.append((head, b"|".join(recorder.bodies)))
    return seen


def letters() -> Iterator[bytes]:
    yield b"a"
    yield b""
    yield b"bc"


class Sized:
    def __iter__(self) -> Iterator[bytes]:
        return iter([b"12", b"345"])

    def __len__(self) -> int:
        return 5


class Duck:
    """Has `read`, and nothing else of a file but its length."""

    def __init__(self, data: Any) -> None:
        self._data = io.BytesIO(data) if isinstance(data, bytes) else io.StringIO(data)
        self.len = len(data)

    def read(self, size: int) -> Any:
        return self._data.read(size)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._data)


BODIES: dict[str, Any] = {
    "nothing": dict,
    "bytes": lambda: {"data": b"\x00\xff"},
    "text": lambda: {"data": "grüße"},
    "form": lambda: {"data": {"a": "1", "b": ["2", "3"]}},
    "json": lambda: {"json": {"a": [1, None]}},
    "bytearray": lambda: {"data": bytearray(b"abc")},
    "file": lambda: {"data": io.BytesIO(b"x" * 70_000)},
    "partly read file": lambda: {"data": read_a_bit(io.BytesIO(b"0123456789"))},
    "empty file": lambda: {"data": io.BytesIO()},
    "text file": lambda: {"data": io.StringIO("plain text")},
    "duck": lambda: {"data": Duck(b"quack" * 10_000)},
    "text duck": lambda: {"data": Duck("quack")},
    "generator": lambda: {"data": letters()},
    "text generator": lambda: {"data": iter(["ä", "b"])},
    "sized iterable": lambda: {"data": Sized()},
    "multipart": lambda: {
        "files": {"f": ("name.txt", io.BytesIO(b"content"), "text/plain")},
        "data": {"field": "value"},
    },
}


def read_a_bit(file: io.BytesIO) -> io.BytesIO:
    file.read(3)
    return file


@pytest.mark.parametrize("name", BODIES)
def test_bodies_look_the_same(name: str) -> None:
    plain, ours = wire_of(lambda session, url: session.post(url, **BODIES[name]()))
    if name == "multipart":
        plain, ours = [tuple(part.replace(boundary_in(seen[0]), b"B") for part in seen) for seen in (plain, ours)]
    assert ours == plain


class Named(str, enum.Enum):
    FIELD = "X-Named"
    VALUE = "a value"


class Shown(str):
    """Text that shows itself as another: what counts is its characters."""

    __slots__ = ()

    def __str__(self) -> str:
        return "shown"


def boundary_in(head: bytes) -> bytes:
    return head.split(b"boundary=")[1].split(b"\r\n")[0]


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"x-lower": "1", "X-UPPER": "2", "uSER-aGENT": "me"}},
        {"headers": {"X-Bytes": b"\xe9\xff", b"X-Name": "n"}},
        {"headers": {"Host": "other.example", "Accept": "text/html"}},
        {"headers": {"User-Agent": None, "Accept-Encoding": None, "Connection": None}},
        {"headers": {"Latin": "é"}},
        {"headers": {Named.FIELD: Named.VALUE, "X-Shown": Shown("abc"), Shown("X-Own"): "own"}},
        {"params": {"q": "a b", "ü": "€"}},
        {"auth": ("user", "pass")},
        {"cookies": {"c": "1"}},
    ],
    ids=lambda options: str(options),
)
def test_headers_look_the_same(options: Any) -> None:
    plain, ours = wire_of(lambda session, url: session.get(url + "/p%2fq/../r?x=[1]&y=%zz#f", **options))
    assert ours == plain


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "TRACE"])
def test_methods_without_a_body_look_the_same(method: str) -> None:
    plain, ours = wire_of(lambda session, url: session.request(method, url))
    if method == "HEAD":
        return  # the recorder's body is wrong there; only that both got through matters
    assert ours == plain


def test_a_prepared_request_may_be_edited() -> None:
    def send(session: requests.Session, url: str) -> None:
        prepared = session.prepare_request(requests.Request("POST", url, data=b"abc"))
        del prepared.headers["Content-Length"]
        del prepared.headers["User-Agent"]
        prepared.headers["Accept-Encoding"] = SKIP_HEADER
        session.send(prepared)

    plain, ours = wire_of(send)
    assert ours == plain
    assert b"Transfer-Encoding: chunked" in ours[0]
    assert b"Accept-Encoding" not in ours[0]


def test_a_body_that_is_a_buffer() -> None:
    def send(session: requests.Session, url: str) -> None:
        prepared = session.prepare_request(requests.Request("PUT", url))
        prepared.body = array.array("H", [1, 2])  # type: ignore[assignment]
        prepared.headers["Content-Length"] = "4"
        session.send(prepared)

    plain, ours = wire_of(send)
    assert ours == plain
    assert len(ours[1]) == 4


def test_a_file_from_disk_is_sent_with_its_length(tmp_path: Path, session: requests.Session) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789" * 50_000)
    recorder = Recorder()
    with RawServer(recorder) as server, path.open("rb") as file:
        assert session.put(server.url, data=file).text == "ok"
    assert recorder.bodies == [path.read_bytes()]
    assert "Content-Length: 500000" in recorder.lines


def test_a_generator_with_a_length_keeps_the_length_only(engine_session: requests.Session) -> None:
    recorder = Recorder()
    with RawServer(recorder) as server:
        engine_session.post(server.url, data=letters(), headers={"Content-Length": "3"})
    assert recorder.bodies == [b"abc"]
    assert "Transfer-Encoding: chunked" not in recorder.lines


def test_what_cannot_be_a_header_is_refused(session: requests.Session) -> None:
    with RawServer(Recorder()) as server:
        with pytest.raises(requests.exceptions.InvalidHeader):
            session.get(server.url, headers={"A": "b\r\nEvil: 1"})
        with pytest.raises(UnicodeEncodeError):
            session.get(server.url, headers={"A": "€"})
        prepared = session.prepare_request(requests.Request("GET", server.url))
        prepared.headers["A"] = "b\r\nEvil: 1"
        with pytest.raises(ValueError):
            session.send(prepared)
        assert session.get(server.url).text == "ok"


@pytest.mark.parametrize(
    "host",
    [
        *("127.1", "2130706433", "0x7f.1", "0X7F.1", "0177.0.0.1", "127.0.0.001", "me:secret@127.1", "127.0.0.1"),
        *(
            "[::FFFF:7f00:1]",
            "[::ffff:127.0.0.1]",
            "[0::ffff:7f00:1]",
            "localhost.",
            "LocalHost",
            "xn--bcher-kva.",
            "a.1x",
        ),
    ],
)
@pytest.mark.parametrize("own", [None, "own.test"])
def test_host_is_spelled_as_in_the_url(monkeypatch: pytest.MonkeyPatch, host: str, own: str | None) -> None:
    connect = socket.create_connection

    def connect_here(address: Any, *_: Any, **options: Any) -> Any:
        return connect(("127.0.0.1", address[1]))

    monkeypatch.setattr("urllib3.util.connection.create_connection", connect_here)
    headers = {} if own is None else {"Host": own}

    def send(session: requests.Session, url: str) -> None:
        session.get(f"http://{host}:{url.rpartition(':')[2]}/x", headers=headers)

    theirs, ours = wire_of(send)
    assert ours == theirs


@pytest.mark.parametrize("host", ["127.1", "127.1:80", "[0:0::1]:81", "origin.test:80", "me:secret@0x7f.1"])
def test_a_proxy_is_sent_the_url_as_written(host: str) -> None:
    def send(session: requests.Session, url: str) -> None:
        session.get(f"http://{host}/x?y", proxies={"http": url})

    theirs, ours = wire_of(send)
    assert ours == theirs


@pytest.mark.parametrize("name", ["X/A", "X(1)", "X[1]", "X A", "{x}"])
@pytest.mark.parametrize("body", [None, b"body"])
def test_names_that_only_http_client_takes(name: str, body: Any) -> None:
    original, ours = wire_of(lambda session, url: session.post(f"{url}/p", data=body, headers={name: "v"}))
    assert ours == original
    assert f"{name}: v".encode("latin-1") in ours[0]


@pytest.mark.parametrize("value", ["a\x01b", "a\x7fb"])
def test_values_that_only_http_client_takes(value: str) -> None:
    original, ours = wire_of(lambda session, url: session.get(f"{url}/p", headers={"X-A": value}))
    assert ours == original


@pytest.mark.parametrize("method", ["GE(T)", "GE/T", "GE T", "@", "G\xc9T"])
def test_methods_that_nobody_takes(kind: Any, method: str) -> None:
    refused = pytest.raises(ValueError, match="Method cannot contain non-token")
    with RawServer(Recorder()) as server, session_with(kind()) as session, refused:
        session.request(method, server.url)


def test_chunks_without_a_body() -> None:
    original, ours = wire_of(lambda session, url: session.get(f"{url}/p", headers={"Transfer-Encoding": "chunked"}))
    assert ours == original
    assert b"Transfer-Encoding: chunked" in ours[0]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_length_that_says_nothing(method: str, engine_session: requests.Session) -> None:
    """As programs pass it on that serve requests without a body. Where the original sends it empty, ours leaves it out."""
    recorder = Recorder()
    with RawServer(recorder) as server:
        for value in ("", " "):
            request = engine_session.prepare_request(requests.Request(method, server.url))
            request.headers["Content-Length"] = value
            assert engine_session.send(request).text == "ok"
        assert engine_session.post(server.url, data=iter([b"x"]), headers={"Content-Length": ""}).text == "ok"
    assert b"content-length" not in b"".join(recorder.heads).lower()
    assert recorder.bodies[-1] == b"x"
