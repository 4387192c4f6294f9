"""What a debug level prints: with both libraries the same, but for what is not sent here."""

from __future__ import annotations

import http.client
import io
import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.request import Request

import pytest

from drivetrain.compat import urllib_api
from drivetrain.engine import Client
from tests.compat.urllib_api.conftest import ORIGINAL, OURS, Library
from tests.compat.urllib_api.recorder import OK, Recorder, response
from tests.support.certificates import Certificates
from tests.support.h2_server import H2Server, pages
from tests.support.servers import RawServer, read_head

ANSWER = response(b"ok", "200 Fine", "X-A: 1", "X-A: 2", "Set-Cookie: a=b")


def printed(library: Library, capsys: pytest.CaptureFixture[str], make: Any) -> list[str]:
    capsys.readouterr()
    with RawServer(Recorder((ANSWER,))) as server:
        opener = library.build_opener(library.HTTPHandler(debuglevel=1))
        assert opener.open(make(server.url)).read() == b"ok"
    text = re.sub(r"127\.0\.0\.1:\d+", "HOST", capsys.readouterr().out)
    # The original says that it reads what is to be sent, in other words in each version.
    lines = [line for line in text.splitlines() if line.startswith(("send:", "reply:", "header:"))]
    return [line.replace(r"\r\nConnection: close", "") for line in lines]


def pieces() -> Iterator[bytes]:
    yield b"one"
    yield b"two"


@pytest.mark.parametrize(
    "make",
    [
        lambda url: url,
        lambda url: f"{url}/x?a=b",
        lambda url: Request(url, b"data", {"X-B": "ü"}),
        lambda url: Request(url, pieces()),
        lambda url: Request(url, io.BytesIO(b"of a file")),
        lambda url: Request(url, io.BytesIO(b"of a file"), {"Content-Length": "9"}),
        lambda url: Request(url, method="DELETE"),
    ],
    ids=["get", "query", "data", "pieces", "file", "file-with-length", "delete"],
)
def test_it_is_what_the_original_prints(make: Any, capsys: pytest.CaptureFixture[str], no_proxies: None) -> None:
    expected = printed(ORIGINAL, capsys, make)
    assert len([line for line in expected if line.startswith("header:")]) == 4
    assert printed(OURS, capsys, make) == expected


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def test_it_goes_through_the_engine(no_http_client: None, capsys: pytest.CaptureFixture[str]) -> None:
    with RawServer(Recorder()) as server:
        opener = urllib_api.build_opener(urllib_api.EngineHandler(debuglevel=1))
        for _ in range(2):
            assert opener.open(server.url).read() == b"ok"
        assert server.connections == 1
    assert capsys.readouterr().out.count("send: b'GET / HTTP/1.1") == 2


def test_the_level_of_the_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    with RawServer(Recorder()) as server:
        assert urllib_api.build_opener(urllib_api.HTTPHandler()).open(server.url).read() == b"ok"
    assert "reply: 'HTTP/1.1 200 OK" in capsys.readouterr().out


def test_over_http2(certificates: Certificates, capsys: pytest.CaptureFixture[str]) -> None:
    context = certificates.server_context(["h2"])
    with H2Server(pages, context=context) as server, Client(ssl_context=certificates.client_context()) as client:
        opener = urllib_api.build_opener(urllib_api.HTTPSHandler(1, client=client))
        assert opener.open(f"{server.url}/bytes/3").read()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("send: b'GET /bytes/3 HTTP/1.1\\r\\n")
    assert lines[1].startswith("reply: 'HTTP/2 200 ")
    assert any(line.startswith("header: content-length:") for line in lines)


def test_what_is_sent_twice_is_told_twice(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def close_after_one(connection: socket.socket) -> None:
        head = read_head(connection)
        length = head.count(b"Content-Length: 4") * 4
        while length:
            length -= len(connection.recv(length))
        connection.sendall(OK)

    (tmp_path / "file").write_bytes(b"data")
    with RawServer(close_after_one) as server, (tmp_path / "file").open("rb") as file:
        opener = urllib_api.build_opener(urllib_api.HTTPHandler(debuglevel=1))
        assert opener.open(server.url).read() == b"ok"
        request = Request(server.url, file, {"Content-Length": "4"}, method="PUT")
        assert opener.open(request).read() == b"ok"
    assert "send: b'data'" in capsys.readouterr().out
