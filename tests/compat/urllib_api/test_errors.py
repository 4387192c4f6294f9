"""What users catch: the same exceptions, at the same moments, from both libraries."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import struct
import sys
import threading
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request

import pytest

from drivetrain.compat.urllib_api.errors import lacks_only_trailers, opening_error, os_error, reading_error
from drivetrain.engine import errors
from tests.compat.urllib_api.conftest import Library
from tests.compat.urllib_api.recorder import Recorder, response
from tests.support.certificates import Certificates
from tests.support.servers import RawServer, read_head, read_until_eof


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def sending(answer: bytes) -> Any:
    """A handler that answers and closes."""

    def handler(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(answer)

    return handler


def silent(connection: socket.socket) -> None:
    read_until_eof(connection)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# -- status ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found", "500 Oh no", "304 Not Modified"])
def test_http_error(library: Library, status: str) -> None:
    body = b"" if status.startswith("304") else b"the reason"
    with RawServer(Recorder((response(body, status, "X-Why: because"),))) as server:
        with pytest.raises(HTTPError) as caught:
            library.urlopen(f"{server.url}/missing")
        error = caught.value
        with error:
            assert (error.code, error.status, error.getcode()) == (int(status[:3]),) * 3
            assert (error.reason, error.msg) == (status[4:], status[4:])
            assert error.headers["X-Why"] == "because"
            assert error.hdrs is error.info()
            assert error.geturl() == error.url == error.filename == f"{server.url}/missing"
            assert str(error) == f"HTTP Error {status[:3]}: {status[4:]}"
            assert error.read(3) == body[:3]
            assert error.read() == body[3:]


def test_an_error_read_to_its_end_keeps_the_connection(ours: Library) -> None:
    recorder = Recorder((response(b"no", "404 Not Found"), response(b"yes")))
    with RawServer(recorder) as server:
        with pytest.raises(HTTPError) as caught:
            ours.urlopen(server.url)
        assert caught.value.read() == b"no"
        assert ours.get(server.url) == b"yes"
        caught.value.close()
    assert [len(requests) for requests in recorder.requests] == [2]


def test_the_redirect_loop_is_an_http_error(library: Library) -> None:
    with RawServer(Recorder((response(b"", "302 Found", "Location: /again"),))) as server:
        with pytest.raises(HTTPError, match="infinite loop") as caught:
            library.urlopen(f"{server.url}/again")
        caught.value.close()


# -- connecting --------------------------------------------------------------------------------------------------------


def test_refused(library: Library) -> None:
    with pytest.raises(URLError) as caught:
        library.urlopen(f"http://127.0.0.1:{closed_port()}/")
    assert type(caught.value.reason) is ConnectionRefusedError
    assert "Connection refused" in str(caught.value)


@pytest.mark.parametrize("host", ["name.invalid", "a_b.invalid", "x" * 60 + ".invalid"])
def test_unknown_name(library: Library, host: str) -> None:
    with pytest.raises(URLError) as caught:
        library.urlopen(f"http://{host}/", timeout=20)
    assert isinstance(caught.value.reason, socket.gaierror)


def test_unknown_authority(library: Library, certificates: Certificates) -> None:
    with RawServer(silent, context=certificates.server_context()) as server, pytest.raises(URLError) as caught:
        library.urlopen(server.url)
    assert type(caught.value.reason) is ssl.SSLCertVerificationError
    assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value)


def test_wrong_name(library: Library, certificates: Certificates) -> None:
    other = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificates.authority.issue_cert("other.example").configure_cert(other)
    with RawServer(silent, context=other) as server, pytest.raises(URLError) as caught:
        library.urlopen(server.url, context=certificates.client_context())
    assert type(caught.value.reason) is ssl.SSLCertVerificationError


def test_https_to_a_plain_server(library: Library, certificates: Certificates) -> None:
    def handler(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        read_until_eof(connection)

    with RawServer(handler, tolerate=(ConnectionError,)) as server, pytest.raises(URLError) as caught:
        library.urlopen(f"https://localhost:{server.port}/", context=certificates.client_context())
    assert isinstance(caught.value.reason, ssl.SSLError)


def test_a_timeout_in_the_handshake(library: Library, certificates: Certificates) -> None:
    with RawServer(silent) as server, pytest.raises(URLError) as caught:
        library.urlopen(f"https://localhost:{server.port}/", context=certificates.client_context(), timeout=0.05)
    assert isinstance(caught.value.reason, TimeoutError)


def test_a_timeout_while_connecting(library: Library) -> None:
    with socket.socket() as full:
        # A listener whose queue is full lets nobody in, and says nothing.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        try:
            for _ in range(4):
                sock = socket.socket()
                sock.setblocking(False)
                sock.connect_ex(full.getsockname())
                waiting.append(sock)
            with pytest.raises(URLError) as caught:
                library.urlopen(f"http://127.0.0.1:{full.getsockname()[1]}/", timeout=0.05)
        finally:
            for sock in waiting:
                sock.close()
    assert isinstance(caught.value.reason, TimeoutError)
    assert str(caught.value.reason) == "timed out"


# -- sending -----------------------------------------------------------------------------------------------------------


def test_a_peer_that_takes_nothing(library: Library) -> None:
    done = threading.Event()
    with RawServer(lambda connection: done.wait(10)) as server:
        with pytest.raises(URLError) as caught:
            library.urlopen(Request(server.url, bytes(16 * 1024 * 1024)), timeout=0.1)
        done.set()
    assert isinstance(caught.value.reason, TimeoutError)


def test_an_error_of_the_body_comes_through(library: Library) -> None:
    def body() -> Any:
        yield b"one"
        raise LookupError("mine")

    with RawServer(read_until_eof) as server, pytest.raises(LookupError, match="mine"):
        library.urlopen(Request(server.url, body()))


# -- waiting for the head ----------------------------------------------------------------------------------------------


def test_no_answer_in_time(library: Library) -> None:
    with RawServer(silent) as server, pytest.raises(TimeoutError) as caught:
        library.urlopen(server.url, timeout=0.05)
    assert str(caught.value) == "timed out"


def test_the_default_timeout(library: Library) -> None:
    socket.setdefaulttimeout(0.05)
    try:
        with RawServer(silent) as server, pytest.raises(TimeoutError):
            library.urlopen(server.url)
    finally:
        socket.setdefaulttimeout(None)


@pytest.mark.parametrize("timeout", [-1, "1", float("nan")])
def test_no_timeout_at_all(ours: Library, timeout: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        ours.urlopen("http://127.0.0.1:9/", timeout=timeout)


def test_closed_without_an_answer(library: Library) -> None:
    with RawServer(sending(b"")) as server, pytest.raises(http.client.RemoteDisconnected) as caught:
        library.urlopen(server.url)
    assert isinstance(caught.value, ConnectionResetError)
    assert str(caught.value) == "Remote end closed connection without response"


def test_reset_instead_of_an_answer(library: Library) -> None:
    def handler(connection: socket.socket) -> None:
        read_head(connection)
        reset(connection)

    with RawServer(handler) as server, pytest.raises(ConnectionResetError):
        library.urlopen(server.url)


@pytest.mark.parametrize("line", [b"nonsense", b"FTP/1.1 200 OK", b"HTTP/1.1 abc OK", b"HTTP/1.1 99 OK"])
def test_bad_status_line(library: Library, line: bytes) -> None:
    with RawServer(sending(line + b"\r\n\r\n")) as server, pytest.raises(http.client.BadStatusLine):
        library.urlopen(server.url)


def test_another_version(library: Library) -> None:
    with RawServer(sending(b"HTTP/2.0 200 OK\r\n\r\n")) as server, pytest.raises(http.client.UnknownProtocol):
        library.urlopen(server.url)


def test_a_line_without_end(library: Library) -> None:
    answer = b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 70_000 + b"\r\n\r\n"
    with RawServer(sending(answer), tolerate=(ConnectionError,)) as server, pytest.raises(http.client.LineTooLong):
        library.urlopen(server.url)


def test_too_many_fields(library: Library) -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n"
    server = RawServer(sending(answer), tolerate=(ConnectionError,))
    with server, pytest.raises(http.client.HTTPException, match="more than 100"):
        library.urlopen(server.url)


def test_the_limits_of_http_client_hold(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http.client, "_MAXHEADERS", 300)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + b"X: y\r\n" * 200 + b"\r\n"
    with RawServer(sending(answer)) as server, library.urlopen(server.url) as got:
        assert len(got.headers.get_all("X")) == 200


def test_what_says_in_two_ways_how_long_it_is_is_refused(ours: Library) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok"
    with RawServer(sending(answer)) as server, pytest.raises(http.client.HTTPException, match="Content-Length"):
        ours.urlopen(server.url)


def test_tls_that_breaks_in_the_handshake(library: Library) -> None:
    def handler(connection: socket.socket) -> None:
        connection.recv(1)
        reset(connection)

    with RawServer(handler) as server, pytest.raises(URLError) as caught:
        library.urlopen(f"https://127.0.0.1:{server.port}/", timeout=5)
    assert type(caught.value.reason) is ConnectionResetError
    assert str(caught.value) == "<urlopen error [Errno 104] Connection reset by peer>" or sys.platform != "linux"


def test_an_alert_after_the_handshake(library: Library, certificates: Certificates) -> None:
    context = certificates.server_context(ask_client=True)
    client = certificates.client_context()
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    with (
        RawServer(silent, context=context, tolerate=(OSError,)) as server,
        pytest.raises(OSError) as caught,  # by the reading or, when the end came sooner, by the sending
    ):
        library.urlopen(f"https://localhost:{server.port}/", context=client, timeout=5)
    error = caught.value.reason if isinstance(caught.value, URLError) else caught.value
    assert isinstance(error, (ssl.SSLError, ConnectionError))
    assert type(error) is not ConnectionError


def test_a_context_for_servers(library: Library) -> None:
    with RawServer(silent) as server, pytest.raises(URLError) as caught:
        library.urlopen(f"https://localhost:{server.port}/", context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    assert type(caught.value.reason) is ssl.SSLError


# -- reading the body --------------------------------------------------------------------------------------------------

SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcd"
SHORT_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5\r\nde"


def test_a_short_body_read_whole(library: Library) -> None:
    with RawServer(sending(SHORT)) as server, library.urlopen(server.url) as got:
        with pytest.raises(http.client.IncompleteRead) as caught:
            got.read()
        assert (caught.value.partial, caught.value.expected) == (b"abcd", 6)
        assert got.isclosed()
        assert got.read() == b""


def test_a_short_body_read_by_size(library: Library) -> None:
    with RawServer(sending(SHORT)) as server, library.urlopen(server.url) as got:
        assert got.read(3) == b"abc"
        assert got.read(5) == b"d"
        assert got.read(5) == b""
        assert got.isclosed()


def test_a_short_body_read_otherwise(library: Library) -> None:
    with RawServer(sending(SHORT)) as server:
        with library.urlopen(server.url) as got:
            assert got.readinto(bytearray(10)) == 4
        with library.urlopen(server.url) as got:
            assert (got.read1(10), got.read1(10)) == (b"abcd", b"")
        with library.urlopen(server.url) as got:
            assert (got.readline(), got.readline()) == (b"abcd", b"")


@pytest.mark.parametrize("how", ["read", "by size", "readinto"])
def test_a_short_chunked_body(library: Library, how: str) -> None:
    with RawServer(sending(SHORT_CHUNK)) as server, library.urlopen(server.url) as got:
        with pytest.raises(http.client.IncompleteRead) as caught:
            got.read() if how == "read" else got.read(20) if how == "by size" else got.readinto(bytearray(20))
        assert caught.value.partial.startswith(b"abc")


def test_nothing_of_a_short_chunked_body_is_lost(ours: Library) -> None:
    with RawServer(sending(SHORT_CHUNK)) as server, ours.urlopen(server.url) as got:
        with pytest.raises(http.client.IncompleteRead) as caught:
            got.read()
        assert caught.value.partial == b"abcde"


@pytest.mark.parametrize("size", [b"zz", b"-1"])
def test_a_bad_chunk(library: Library, size: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\nabc\r\n" % size
    with (
        RawServer(sending(answer)) as server,
        library.urlopen(server.url) as got,
        pytest.raises((http.client.IncompleteRead, ValueError)),
    ):
        got.read()


def test_a_missing_end_of_the_trailers_is_forgiven(library: Library) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
    with RawServer(sending(answer)) as server:
        assert library.get(server.url) == b"abc"
        with library.urlopen(server.url) as got:
            assert got.read(10) == b"abc"


def test_a_body_that_stalls(library: Library) -> None:
    def handler(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcd")
        read_until_eof(connection)

    with RawServer(handler) as server, library.urlopen(server.url, timeout=0.05) as got:
        with pytest.raises(TimeoutError) as caught:
            got.read()
        assert not isinstance(caught.value, URLError)


def test_a_stalled_body_can_be_read_on(ours: Library) -> None:
    go_on = threading.Event()

    def handler(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nabcd")
        assert go_on.wait(10)
        connection.sendall(b"efgh")
        read_until_eof(connection)

    with RawServer(handler) as server, ours.urlopen(server.url, timeout=0.05) as got:
        assert got.read(1) == b"a"
        for attempt in (got.read, lambda: got.read(7), lambda: got.readline(), lambda: got.readinto(bytearray(7))):
            with pytest.raises(TimeoutError):
                attempt()
            assert got.length == 7
        go_on.set()
        data = b""
        while len(data) < 7:
            try:
                data += got.read()
            except TimeoutError:
                continue
        assert data == b"bcdefgh"


def test_a_body_that_is_reset(library: Library) -> None:
    read = threading.Event()

    def handler(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcd")
        assert read.wait(10)
        reset(connection)

    with RawServer(handler) as server, library.urlopen(server.url) as got:
        assert got.read(4) == b"abcd"
        read.set()
        with pytest.raises(ConnectionResetError):
            got.read()


def test_tls_cut_short_ends_a_body_as_in_http_client(library: Library, certificates: Certificates) -> None:
    # The server closes the socket below TLS, without a close_notify.
    with RawServer(sending(b"HTTP/1.1 200 OK\r\n\r\nbody"), context=certificates.server_context()) as server:
        assert library.get(server.url, context=certificates.client_context()) == b"body"


# -- the table ---------------------------------------------------------------------------------------------------------


def test_errors_without_their_cause() -> None:
    assert type(os_error(errors.ConnectError(111, "refused"))) is ConnectionRefusedError
    assert type(os_error(errors.ReadError("closed"))) is ConnectionError
    assert isinstance(os_error(errors.ResolveError("no such name")), socket.gaierror)
    assert isinstance(os_error(errors.TLSError("failed")), ssl.SSLError)


def test_what_has_no_counterpart_comes_as_it_is() -> None:
    error = errors.ClosedError("closed")
    assert opening_error(error) is error
    assert reading_error(error, b"", None) is error


def test_the_cause_is_kept(ours: Library) -> None:
    with pytest.raises(URLError) as caught:
        ours.urlopen(f"http://127.0.0.1:{closed_port()}/")
    assert isinstance(caught.value.__cause__, errors.ConnectError)


def test_what_counts_as_a_missing_trailer_section() -> None:
    assert not lacks_only_trailers(errors.IncompleteMessage("the connection ended inside a chunk"))
    assert not lacks_only_trailers(errors.ReadError("trailer section"))
    assert lacks_only_trailers(errors.IncompleteMessage("the connection ended inside them", part="trailers"))


def test_a_response_kept_by_an_error_is_a_file(library: Library) -> None:
    with RawServer(Recorder((response(b"a\nb\n", "500 Oh no"),))) as server:
        with pytest.raises(HTTPError) as caught:
            library.urlopen(server.url)
        with caught.value as error, io.TextIOWrapper(error.fp, encoding="ascii") as text:
            assert list(text) == ["a\n", "b\n"]


# -- too much ------------------------------------------------------------------------------------------------------------

_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
_FINAL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 150 + _FINAL, "interim responses", id="interim"),
        pytest.param(_CHUNKED + b"A: b\r\n" * 150 + b"\r\n", "trailers", id="trailers"),
    ],
)
def test_too_many(library: Library, answer: bytes, what: str) -> None:
    if not (library.keeps or hasattr(http.client, "_MAXINTERIMRESPONSES")):
        pytest.skip("the original reads on for ever before Python 3.14.7")
    with RawServer(sending(answer), tolerate=(OSError,)) as server:
        with pytest.raises(http.client.HTTPException, match=f"^got more than 100 {what}$") as caught:
            library.get(server.url)
        assert type(caught.value) is http.client.HTTPException
