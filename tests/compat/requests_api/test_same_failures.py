"""Every failure a program may meet, with requests' own adapter and with ours: the same classes, inside too, the same words."""

from __future__ import annotations

import gzip
import io
import json
import re
import socket
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from drivetrain.compat import requests_api
from drivetrain.compat.requests_api import EngineAdapter
from tests.compat.requests_api.support import OK, Recorder, answer, describe, echoing, full_listener, session_with
from tests.support.certificates import Certificates
from tests.support.peers import free_ports
from tests.support.servers import Handler, RawServer, read_exactly, read_head, read_until_eof

MakeSession = Callable[[], requests.Session]
WAYS: dict[str, MakeSession] = {
    "requests": lambda: session_with(HTTPAdapter()),
    "mounted": lambda: session_with(EngineAdapter()),
    "module": requests_api.Session,
}


def outcomes(use: Callable[[requests.Session], object]) -> list[str]:
    """What the same use of each kind of session ends with; they must agree, and it must be an error."""
    found: dict[str, list[str]] = {}
    requests_of: dict[str, Any] = {}
    for name, make in WAYS.items():
        with make() as session:
            try:
                use(session)
            except Exception as error:
                found[name] = [cls.__name__ for cls in type(error).__mro__ if cls.__module__ != "builtins"]
                found[name] += describe(error)
                request, response = getattr(error, "request", None), getattr(error, "response", None)
                requests_of[name] = (request is None, response is None, isinstance(error, requests.RequestException))
    assert list(found) == list(WAYS), "no error"
    ours = found.pop("mounted"), found.pop("module")
    assert ours == (found["requests"], found["requests"])
    assert len(set(requests_of.values())) == 1
    return found["requests"]


def hang_up(connection: socket.socket) -> None:
    """Nothing must be left unread, or the peer gets a reset."""
    if b"content-length: 4" in read_head(connection).lower():
        read_exactly(connection, 4)


def reset(connection: socket.socket) -> None:
    read_head(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def silent(connection: socket.socket) -> None:
    read_until_eof(connection)


# --- before there is an answer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("retries", [0, 2])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nobody_listens(scheme: str, retries: int) -> None:
    url = f"{scheme}://127.0.0.1:{free_ports(1)[0]}/path?q"

    def use(session: requests.Session) -> None:
        session.get_adapter(url).max_retries = Retry.from_int(retries)
        session.get(url)

    said = outcomes(use)
    assert said[0] == "ConnectionError"
    assert "Max retries exceeded with url: /path?q" in said[-3]


def test_a_name_that_is_none() -> None:
    said = outcomes(lambda session: session.get("http://nowhere.invalid/x"))
    assert said[0] == "ConnectionError"
    assert any(line.startswith("NameResolutionError: ") for line in said)


@pytest.mark.parametrize("host", ["a%20b", "256.1.1.1"])
def test_what_requests_takes_for_a_name(host: str) -> None:
    for make in WAYS.values():
        with make() as session, pytest.raises(requests.ConnectionError, match=f"Failed to resolve '{host}'") as caught:
            session.get(f"http://{host}/")
        assert type(caught.value) is requests.ConnectionError
        assert isinstance(caught.value.args[0].reason, urllib3.exceptions.NameResolutionError)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("timeout", [0.1, (0.1, 5), (0.1, None)], ids=repr)
def test_connecting_takes_too_long(scheme: str, timeout: Any) -> None:
    with full_listener() as port:
        said = outcomes(lambda session: session.get(f"{scheme}://127.0.0.1:{port}/", timeout=timeout))
    assert said[:3] == ["ConnectTimeout", "ConnectionError", "Timeout"]


@pytest.mark.parametrize("timeout", [0.1, (5, 0.1), (None, 0.1)], ids=repr)
def test_no_answer_comes(timeout: Any) -> None:
    with RawServer(silent) as server:
        said = outcomes(lambda session: session.get(f"{server.url}/x", timeout=timeout))
    assert said[:2] == ["ReadTimeout", "Timeout"]
    assert said[-1].endswith("Read timed out. (read timeout=0.1)")


# A reset that finds the body still on its way is told by one of two system calls, whichever comes first.
@pytest.mark.parametrize(("handler", "data"), [(hang_up, None), (hang_up, b"body"), (reset, None)])
def test_the_connection_breaks(handler: Handler, data: Any) -> None:
    with RawServer(handler, tolerate=(OSError,)) as server:
        said = outcomes(lambda session: session.post(server.url, data=data))
    assert said[0] == "ConnectionError"
    assert "Connection aborted." in said[-2]


def test_a_status_that_stays() -> None:
    retry = Retry(2, status_forcelist=[503], backoff_factor=0)

    def use(session: requests.Session) -> None:
        session.get_adapter("http://").max_retries = retry
        session.get(f"{server.url}/x")

    with RawServer(Recorder(answer(b"", status="503 Busy"))) as server:
        said = outcomes(use)
        assert server.connections == 3
    assert said[0] == "RetryError"
    assert said[-1] == "ResponseError: too many 503 error responses"


@pytest.mark.parametrize("reads", [0, 1])
def test_retries_of_reads(reads: int) -> None:
    for handler, patience in ((silent, 0.1), (hang_up, 9)):
        with RawServer(handler) as server:

            def use(session: requests.Session, url: str = server.url, patience: float = patience) -> None:
                session.get_adapter("http://").max_retries = Retry(total=3, read=reads, backoff_factor=0)
                session.get(url, timeout=patience)

            outcomes(use)
            assert server.connections == 3 * (reads + 1)


# --- TLS ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def secure(certificates: Certificates) -> Iterator[RawServer]:
    with RawServer(Recorder(OK), context=certificates.server_context()) as server:
        yield server


def test_certificates(secure: RawServer, certificates: Certificates, tmp_path: Path) -> None:
    stranger = Certificates.create(tmp_path, ["other.test"])
    url = f"https://localhost:{secure.port}/x"
    said = outcomes(lambda session: session.get(url, verify=str(stranger.ca_file)))
    assert said[0] == "SSLError"
    assert "CERTIFICATE_VERIFY_FAILED" in said[-1]
    with RawServer(Recorder(OK), context=stranger.server_context()) as other:
        url = f"https://localhost:{other.port}/x"
        said = outcomes(lambda session: session.get(url, verify=str(stranger.ca_file)))
    assert "Hostname mismatch" in said[-1]


def test_no_certificates(secure: RawServer, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("nothing")
    url = f"https://localhost:{secure.port}/x"
    for options in (
        {"verify": "/nowhere/ca.pem"},
        {"cert": "/nowhere/c.pem"},
        {"cert": (str(nothing), "/nowhere/k.pem")},
        {"verify": False, "cert": str(nothing)},
    ):

        def use(session: requests.Session, options: Any = options) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                session.get(url, **options)

        said = outcomes(use)
        assert said[0] in ("OSError", "SSLError") or said[0].startswith("OSError")


def test_no_tls_at_the_other_end() -> None:
    def handler(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(OK)

    with RawServer(handler, tolerate=(OSError,)) as server:
        found = []
        for make in WAYS.values():
            with make() as session, pytest.raises(requests.exceptions.SSLError) as caught:
                session.get(f"https://localhost:{server.port}/", timeout=5)
            found.append([line.partition(":")[0] for line in describe(caught.value)])
    assert found == [found[0]] * 3


# --- the body of an answer ------------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\n"
BODIES = {
    "short": (b"Content-Length: 10\r\n\r\nabc", "ChunkedEncodingError"),
    "a short chunk": (b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc", "ChunkedEncodingError"),
    "no last chunk": (b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "ChunkedEncodingError"),
    "no chunk size": (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "ChunkedEncodingError"),
    "no gzip": (b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", "ContentDecodingError"),
    "short gzip": (
        b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + gzip.compress(b"x" * 99)[:5] + b"\r\n",
        "ChunkedEncodingError",
    ),
    "no deflate": (b"Content-Encoding: deflate\r\nContent-Length: 3\r\n\r\n\xff\xff\xff", "ContentDecodingError"),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", BODIES)
def test_the_body_is_broken(name: str, streamed: bool) -> None:
    text, kind = BODIES[name]

    def use(session: requests.Session) -> None:
        response = session.get(server.url, stream=streamed)
        b"".join(response.iter_content(2))

    found = []
    with RawServer(echoing(HEAD + text, then_wait=False)) as server:
        for make in WAYS.values():
            with make() as session, pytest.raises(requests.RequestException) as caught:
                use(session)
            # http.client tells less of what it misses, and its parser's own error; the classes are what programs catch.
            found.append([line.partition(":")[0] for line in describe(caught.value)][:2])
            assert type(caught.value).__name__ == kind
    assert found == [found[0]] * 3


def test_how_much_is_missing() -> None:
    with RawServer(echoing(HEAD + b"Content-Length: 10\r\n\r\nabc", then_wait=False)) as server:
        said = outcomes(lambda session: session.get(server.url))
    assert "IncompleteRead(3 bytes read, 7 more expected)" in " ".join(said)


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 10\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]
)
def test_the_body_stops_coming(framing: bytes) -> None:
    with RawServer(echoing(HEAD + framing, then_wait=True)) as server:
        said = outcomes(lambda session: session.get(server.url, timeout=0.1))
    assert said[0] == "ConnectionError"
    assert said[-1].endswith("Read timed out.")


@pytest.mark.parametrize("content", [b"", b"{", b"<html>"])
def test_no_json(content: bytes) -> None:
    with RawServer(Recorder(answer(content))) as server:
        said = outcomes(lambda session: session.get(server.url).json())
    assert said[:2] == ["JSONDecodeError", "InvalidJSONError"]
    assert json.JSONDecodeError.__name__ in said


def test_a_stream_that_was_read() -> None:
    def use(session: requests.Session) -> None:
        response = session.get(server.url, stream=True)
        list(response.iter_content(1))
        list(response.iter_content(1))

    with RawServer(Recorder(OK)) as server:
        assert outcomes(use)[0] == "StreamConsumedError"


def test_statuses() -> None:
    with RawServer(Recorder(answer(b"", status="418 I'm a teapot"))) as server:
        said = outcomes(lambda session: session.get(f"{server.url}/x").raise_for_status())
    assert re.fullmatch(r"HTTPError: 418 Client Error: I'm a teapot for url: http://127\.0\.0\.1:\d+/x", said[-1])


# --- redirects ------------------------------------------------------------------------------------------------------------


def test_too_many_redirects() -> None:
    def use(session: requests.Session) -> None:
        session.max_redirects = 2
        session.get(server.url)

    with RawServer(Recorder(answer(b"", "Location: /", status="302 Found"))) as server:
        assert outcomes(use)[-1] == "TooManyRedirects: Exceeded 2 redirects."


@pytest.mark.parametrize("location", ["nothing://x", "http://[", "http://*.test/", "mailto:x"])
def test_redirects_that_lead_nowhere(location: str) -> None:
    with RawServer(Recorder(answer(b"", f"Location: {location}", status="302 Found"))) as server:
        assert outcomes(lambda session: session.get(server.url))


def test_a_body_that_cannot_be_sent_again() -> None:
    class OnceOnly(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *args: Any) -> int:
            raise OSError("no way back")

    def use(session: requests.Session) -> None:
        session.put(server.url, data=OnceOnly(b"body"))

    with RawServer(Recorder(answer(b"", "Location: /", status="307 Temporary Redirect"))) as server:
        assert outcomes(use)[0] == "UnrewindableBodyError"


# --- what cannot be asked ---------------------------------------------------------------------------------------------------

WRONG: list[dict[str, Any]] = [
    {"url": "no-scheme"},
    {"url": "nothing://a.test"},
    {"url": "http://"},
    {"url": "http://a b/"},
    {"url": "http://.a.test"},
    {"url": "http://a.test:port/"},
    {"url": "http://*.a.test/"},
    {"url": "http://a.test", "headers": {"A": "b\r\nc"}},
    {"url": "http://a.test", "headers": {"A": 1}},
    {"url": "http://127.0.0.1:1", "headers": {"A": "€"}},
    {"url": "http://127.0.0.1:1", "timeout": 0},
    {"url": "http://127.0.0.1:1", "timeout": -1},
    {"url": "http://127.0.0.1:1", "timeout": "x"},
    {"url": "http://127.0.0.1:1", "timeout": (1, 2, 3)},
    {"url": "http://127.0.0.1:1", "timeout": True},
    {"url": "http://127.0.0.1:1", "proxies": {"http": "http://"}},
    {"url": "http://127.0.0.1:1", "proxies": {"http": "/path/only"}},
    {"url": "http://127.0.0.1:1", "proxies": {"http": "ftp://proxy.test"}},
    {"url": "http://127.0.0.1:1", "proxies": {"http": "http://a.test:port"}},
    {"url": "http://127.0.0.1:1", "json": {"a": float("nan")}},
    {"url": "http://127.0.0.1:1", "files": {"a": None}, "data": "text"},
]


@pytest.mark.parametrize("options", WRONG, ids=repr)
def test_what_cannot_be_asked(options: dict[str, Any]) -> None:
    assert outcomes(lambda session: session.request("POST", **options))
