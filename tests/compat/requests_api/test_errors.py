"""Failures are caught as they were with requests, and say what they said."""

from __future__ import annotations

import http.client
import pickle
import socket
from collections.abc import Callable
from typing import Any

import pytest
import requests
import urllib3.exceptions as inner

from drivetrain.compat.requests_api import EngineAdapter
from tests.compat.requests_api.support import OK, Recorder, answer, echoing, session_with
from tests.support.peers import free_ports
from tests.support.servers import RawServer, answering, read_head, read_until_eof

WAIT = 0.15


def silent(connection: socket.socket) -> None:
    read_until_eof(connection)


def resetting(connection: socket.socket) -> None:
    read_head(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def test_nobody_listens(session: requests.Session) -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}/path?q"
    with pytest.raises(requests.ConnectionError) as caught:
        session.get(url)
    error = caught.value
    assert type(error) is requests.ConnectionError
    assert error.request is not None
    assert error.request.url == url
    outer = error.args[0]
    assert isinstance(outer, inner.MaxRetryError)
    assert type(outer.reason) is inner.NewConnectionError
    assert isinstance(outer.reason.__cause__, ConnectionRefusedError)
    assert "Max retries exceeded with url: /path?q" in str(error)
    assert "Failed to establish a new connection: [Errno 111] Connection refused" in str(error)
    assert "HTTPConnectionPool(host='127.0.0.1', port=" in str(error)
    assert outer.pool.host == "127.0.0.1"
    assert pickle.loads(pickle.dumps(outer)).url == "/path?q"


def test_no_such_name(session: requests.Session) -> None:
    with pytest.raises(requests.ConnectionError) as caught:
        session.get("http://nowhere.invalid/")
    assert isinstance(caught.value.args[0].reason, inner.NameResolutionError)
    assert "Failed to resolve 'nowhere.invalid'" in str(caught.value)


def test_connecting_takes_too_long() -> None:
    # An address that drops everything is hard to find: a listener whose queue is full does the same.
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        for adapter in (requests.adapters.HTTPAdapter(), EngineAdapter()):
            with session_with(adapter) as session, pytest.raises(requests.ConnectTimeout) as caught:
                session.get(url, timeout=(WAIT, 5))
            assert isinstance(caught.value.args[0].reason, inner.ConnectTimeoutError)
            assert "timed out. (connect timeout=0.15)" in str(caught.value)
            assert isinstance(caught.value, requests.ConnectionError)


def test_no_answer_comes(session: requests.Session) -> None:
    with RawServer(silent) as server:
        with pytest.raises(requests.ReadTimeout) as caught:
            session.get(server.url, timeout=WAIT)
        assert type(caught.value.args[0]) is inner.ReadTimeoutError
        assert "Read timed out. (read timeout=0.15)" in str(caught.value)
        assert caught.value.request is not None


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "framing", [b"Content-Length: 10\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]
)
def test_the_body_stops_coming(session: requests.Session, streamed: bool, framing: bytes) -> None:
    with RawServer(echoing(b"HTTP/1.1 200 OK\r\n" + framing, then_wait=True)) as server:
        with pytest.raises(requests.ConnectionError) as caught:
            response = session.get(server.url, timeout=WAIT, stream=streamed)
            assert streamed
            list(response.iter_content(100))
        assert type(caught.value) is requests.ConnectionError
        assert isinstance(caught.value.args[0], inner.ReadTimeoutError)
        assert "Read timed out." in str(caught.value)


def test_the_peer_resets(session: requests.Session) -> None:
    with RawServer(resetting) as server, pytest.raises(requests.ConnectionError) as caught:
        session.post(server.url, data=b"x")
    protocol = caught.value.args[0]
    assert type(protocol) is inner.ProtocolError
    assert protocol.args[0] == "Connection aborted."
    assert isinstance(protocol.args[1], ConnectionResetError)


def test_the_peer_closes_without_an_answer(session: requests.Session) -> None:
    with (
        RawServer(lambda connection: read_head(connection)) as server,
        pytest.raises(requests.ConnectionError, match="Remote end closed connection without response") as caught,
    ):
        session.get(server.url)
    assert isinstance(caught.value.args[0].args[1], http.client.RemoteDisconnected)


def test_the_answer_is_not_http(session: requests.Session) -> None:
    with (
        RawServer(echoing(b"SSH-2.0-OpenSSH\r\n\r\n", then_wait=False)) as server,
        pytest.raises(requests.ConnectionError) as caught,
    ):
        session.get(server.url)
    assert isinstance(caught.value.args[0], inner.ProtocolError)
    assert isinstance(caught.value.args[0].args[1], http.client.BadStatusLine)


def test_the_head_is_cut_short(session: requests.Session) -> None:
    with (
        RawServer(echoing(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", then_wait=False)) as server,
        pytest.raises(requests.exceptions.ChunkedEncodingError),
    ):
        session.get(server.url)


def test_lengths_that_differ(session: requests.Session) -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"
    with (
        RawServer(echoing(reply, then_wait=False)) as server,
        pytest.raises(requests.exceptions.InvalidHeader, match="Content-Length"),
    ):
        session.get(server.url)


BROKEN = {
    "short body": (b"Content-Length: 10\r\n\r\nabc", "IncompleteRead"),
    "short chunk": (b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc", "IncompleteRead|ended"),
    "no last chunk": (b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "Response ended prematurely"),
    "bad chunk size": (b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n", "Connection broken"),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("streamed", [False, True])
def test_the_body_is_broken(session: requests.Session, name: str, streamed: bool) -> None:
    text, message = BROKEN[name]
    with (
        RawServer(echoing(b"HTTP/1.1 200 OK\r\n" + text, then_wait=False)) as server,
        pytest.raises(requests.exceptions.ChunkedEncodingError, match=message) as caught,
    ):
        response = session.get(server.url, stream=streamed)
        assert streamed
        list(response.iter_content(4096))
    assert isinstance(caught.value.args[0], inner.ProtocolError)


def test_how_much_is_missing_is_said(session: requests.Session) -> None:
    with (
        RawServer(echoing(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", then_wait=False)) as server,
        pytest.raises(requests.exceptions.ChunkedEncodingError) as caught,
    ):
        session.get(server.url)
    assert "IncompleteRead(3 bytes read, 7 more expected)" in str(caught.value)


def test_the_coding_is_broken(session: requests.Session) -> None:
    with (
        RawServer(answering(answer(b"no gzip at all", "Content-Encoding: gzip"))) as server,
        pytest.raises(requests.exceptions.ContentDecodingError),
    ):
        session.get(server.url)


@pytest.mark.parametrize("url", ["http://a b/", "http://.example.com", "http://host:port/"])
def test_no_url(session: requests.Session, url: str) -> None:
    with pytest.raises(requests.exceptions.InvalidURL):
        session.get(url)


def test_a_scheme_that_is_mounted_and_unknown(kind: Callable[[], Any]) -> None:
    with requests.Session() as session:
        session.mount("gopher://", kind())
        with pytest.raises(requests.exceptions.InvalidURL):
            session.get("gopher://localhost/")


def test_a_body_that_fails(session: requests.Session) -> None:
    def body() -> Any:
        yield b"a"
        raise RuntimeError("no more")

    with RawServer(Recorder(OK), tolerate=(AssertionError,)) as server:
        with pytest.raises(RuntimeError, match="no more"):
            session.post(server.url, data=body())
        assert session.get(server.url).text == "ok"


@pytest.mark.parametrize(
    "timeout", [0, -1, "1", True, (1,), (1, 2, 3), (0, 1), ("a", "b"), (True, 1)], ids=lambda value: repr(value)
)
def test_no_timeout(kind: Any, timeout: Any) -> None:
    with session_with(kind()) as session, pytest.raises(ValueError) as caught:
        session.get("http://127.0.0.1:1/", timeout=timeout)
    assert not isinstance(caught.value, requests.RequestException)
