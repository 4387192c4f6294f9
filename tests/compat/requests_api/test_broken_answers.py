"""Answers that end too early, or make no sense, with requests' own adapter and with ours: the same errors, inside too."""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import Any

import pytest
import requests
import urllib3.exceptions

from drivetrain.compat.requests_api import EngineAdapter
from tests.compat.requests_api.support import OK, session_with
from tests.support.certificates import Certificates
from tests.support.servers import RawServer, read_head, read_until_eof

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def closing_after(data: bytes) -> Any:
    def handler(connection: socket.socket) -> None:
        if read_head(connection):
            connection.sendall(data)

    return handler


def failure(session: requests.Session, data: bytes, method: str = "GET") -> Any:
    """The error that an answer ends in after which the server closes."""
    with RawServer(closing_after(data)) as server, pytest.raises(requests.RequestException) as caught:
        session.request(method, server.url, timeout=10)
    return caught.value


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"5\r\nhel", "IncompleteRead(3 bytes read, 2 more expected)"),
        (b"5\r\nhello\r\n8\r\nabc", "IncompleteRead(3 bytes read, 5 more expected)"),
        (b"5\r\nhello", "IncompleteRead(0 bytes read, 2 more expected)"),
        (b"7000\r\n" + b"x" * 12_000, "IncompleteRead(1760 bytes read, 8480 more expected)"),
        (b"zz\r\nhello\r\n0\r\n\r\n", r"InvalidChunkLength(got length b'zz\r\n', 0 bytes read)"),
        (b"5\r\nhello\r\n\r\n", r"InvalidChunkLength(got length b'\r\n', 0 bytes read)"),
    ],
)
def test_chunks(session: requests.Session, body: bytes, text: str) -> None:
    error = failure(session, CHUNKED + body)
    assert type(error) is requests.exceptions.ChunkedEncodingError
    outer = error.args[0]
    assert type(outer) is urllib3.exceptions.ProtocolError
    assert outer.args[0] == f"Connection broken: {text}"
    assert repr(outer.args[1]) == text
    assert isinstance(outer.args[1], http.client.IncompleteRead)


def test_no_further_chunk(session: requests.Session) -> None:
    error = failure(session, CHUNKED + b"5\r\nhello\r\n")
    assert type(error) is requests.exceptions.ChunkedEncodingError
    assert error.args[0].args == ("Response ended prematurely",)


@pytest.mark.parametrize("line", ["<html>hello</html>", "HTTP/1.1 20", "SSH-2.0-OpenSSH_9\r\n"])
def test_no_status_line(session: requests.Session, line: str) -> None:
    error = failure(session, line.encode())
    assert type(error) is requests.ConnectionError
    outer = error.args[0]
    assert type(outer) is urllib3.exceptions.ProtocolError
    assert outer.args[0] == "Connection aborted."
    assert type(outer.args[1]) is http.client.BadStatusLine
    assert outer.args[1].args == (line,)


@pytest.mark.parametrize(
    ("head", "text"),
    [
        (b"HTTP/2.0 200 OK\r\n", "UnknownProtocol('HTTP/2.0')"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 120, "HTTPException('got more than 100 headers')"),
        (
            b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n",
            "LineTooLong('got more than 65536 bytes when reading header line')",
        ),
    ],
)
def test_heads_that_are_refused(engine_session: requests.Session, head: bytes, text: str) -> None:
    """In the words of http.client, where requests' own adapter has them from."""
    error = failure(engine_session, head + b"Content-Length: 0\r\n\r\n")
    assert type(error) is requests.ConnectionError
    assert repr(error.args[0].args[1]) == text


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304)])
def test_two_lengths_without_a_body(engine_session: requests.Session, method: str, status: int) -> None:
    """As with requests' own, which leaves its connection behind."""
    error = failure(engine_session, b"HTTP/1.1 %d X\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n" % status, method)
    assert type(error) is requests.exceptions.InvalidHeader
    assert "Content-Length contained multiple unmatching values" in str(error)


def test_a_redirect_to_no_port(session: requests.Session) -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:abc/\r\nContent-Length: 0\r\n\r\n"
    error = failure(session, head)
    assert type(error) is requests.exceptions.InvalidURL
    assert type(error.args[0]) is ValueError
    assert str(error) == "Port could not be cast to integer value as 'abc'"
    assert error.request.url == "http://127.0.0.1:abc/"


def test_what_was_cut_short_stays_so(session: requests.Session) -> None:
    """Also when it is asked for again, as that of a redirect is."""
    answers = [b"HTTP/1.1 302 Found\r\nLocation: /n\r\nContent-Length: 50\r\n\r\nabc", OK]

    def handler(connection: socket.socket) -> None:
        if read_head(connection):
            connection.sendall(answers.pop(0))

    with RawServer(handler) as server:
        response = session.get(server.url, timeout=10)
        assert response.text == "ok"
        with pytest.raises(requests.exceptions.ChunkedEncodingError) as caught:
            _ = response.history[0].content
    assert "IncompleteRead(3 bytes read, 47 more expected)" in str(caught.value)


def test_a_certificate_that_is_missed_after_the_handshake(
    engine_session: requests.Session, certificates: Certificates
) -> None:
    """TLS 1.3 tells of it when the client has finished already."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = certificates.server_context(ask_client=True)
    session = context.wrap_bio(incoming, outgoing, server_side=True)

    def handler(connection: socket.socket) -> None:
        with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
            while True:
                try:
                    session.do_handshake()
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    incoming.write(connection.recv(65536))
        connection.sendall(outgoing.read())
        read_until_eof(connection)

    with RawServer(handler) as server:
        url = f"https://localhost:{server.port}/"
        with pytest.raises(requests.exceptions.SSLError) as caught:
            engine_session.get(url, verify=str(certificates.ca_file), timeout=10)
    outer = caught.value.args[0]
    assert type(outer) is urllib3.exceptions.MaxRetryError
    assert type(outer.reason) is urllib3.exceptions.SSLError
    assert isinstance(outer.reason.args[0], ssl.SSLError)


def test_a_handshake_that_stalls(session: requests.Session) -> None:
    with RawServer(lambda connection: [read_until_eof(connection)][:0]) as server:
        url = f"https://localhost:{server.port}/"
        with pytest.raises(requests.exceptions.ReadTimeout) as caught:
            session.get(url, timeout=(0.05, 9))
    assert type(caught.value.args[0]) is urllib3.exceptions.ReadTimeoutError
    assert str(caught.value) == (
        f"HTTPSConnectionPool(host='localhost', port={server.port}): Read timed out. (read timeout=0.05)"
    )


def test_that_a_stalled_handshake_is_retried_as_reading_is() -> None:
    with (
        session_with(EngineAdapter(max_retries=requests.adapters.Retry(1, read=False))) as session,
        RawServer(lambda connection: [read_until_eof(connection)][:0]) as server,
    ):
        with pytest.raises(requests.exceptions.ReadTimeout):
            session.get(f"https://localhost:{server.port}/", timeout=0.05)
        assert server.connections == 1
