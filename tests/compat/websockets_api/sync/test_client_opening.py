"""How `connect` gets to a server, what it asks for, and what it raises where that fails."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivetrain.compat.websockets_api.exceptions import (
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
    SecurityError,
)
from drivetrain.compat.websockets_api.protocol import State
from drivetrain.compat.websockets_api.sync.client import (
    ClientConnection,
    connect,
    reconnect,
    unix_connect,
    unix_reconnect,
)
from drivetrain.engine import Client
from tests.support.certificates import Certificates
from tests.support.proxies import ConnectProxy, SocksProxy
from tests.support.servers import RawServer, answering, read_head, read_until_eof
from tests.support.websocket_handlers import Served, serving_sync
from tests.support.websocket_raw import accept_raw, read_until_close

QUIET: dict[str, Any] = {"proxy": None, "legacy": True}


@pytest.fixture
def served() -> Iterator[Served]:
    with serving_sync() as server:
        yield server
    assert server.errors == []


@pytest.fixture(scope="module")
def secure(certificates: Certificates) -> Iterator[Served]:
    with serving_sync(context=certificates.server_context(["http/1.1"])) as server:
        yield server
    assert server.errors == []


def echoes(websocket: ClientConnection) -> bool:
    websocket.send("echo")
    return websocket.recv(10) == "echo"


def head_sent(**options: Any) -> list[str]:
    """The lines of the request that `connect` sends with some keywords."""
    heads: list[bytes] = []

    def handler(sock: socket.socket) -> None:
        heads.append(accept_raw(sock))
        read_until_close(sock)

    with (
        RawServer(handler) as server,
        connect(f"ws://127.0.0.1:{server.port}/a?b", **{**QUIET, **options}) as websocket,
    ):
        assert websocket.request is not None
        shown = [f"{name}: {value}" for name, value in websocket.request.headers.raw_items()]
    lines = heads[0].decode().split("\r\n")
    assert lines[1:-2] == shown
    return [line.replace(str(server.port), "<port>") for line in lines[:-2] if not line.startswith("Sec-WebSocket-Key")]


# --- the request ------------------------------------------------------------------------------------------------------


def test_the_request_is_the_usual_one() -> None:
    lines = head_sent()
    assert lines[:-1] == [
        "GET /a?b HTTP/1.1",
        "Host: 127.0.0.1:<port>",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    ]
    assert lines[-1].startswith("User-Agent: Python/3.")


def test_the_request_has_what_it_was_given() -> None:
    lines = head_sent(
        origin="https://example.org",
        subprotocols=["a", "b"],
        compression=None,
        additional_headers=[("X-Two", "1"), ("X-Two", "2")],
        user_agent_header=None,
    )
    assert lines[2:] == [
        "Origin: https://example.org",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: a, b",
        "X-Two: 1",
        "X-Two: 2",
    ]


def test_what_was_agreed_on_is_shown(served: Served) -> None:
    with connect(f"ws://127.0.0.1:{served.port}/", subprotocols=["a", "b"], **QUIET) as websocket:
        assert (websocket.subprotocol, websocket.state) == ("b", State.OPEN)
        assert [extension.name for extension in websocket.protocol.extensions] == ["permessage-deflate"]
        assert websocket.response is not None
        assert websocket.response.status_code == 101
        assert websocket.remote_address == ("127.0.0.1", served.port)
        assert websocket.local_address == websocket.socket.getsockname()


# --- the way there ----------------------------------------------------------------------------------------------------


def test_it_goes_to_another_address(served: Served) -> None:
    uri, address = "ws://example.invalid/x", ("127.0.0.1", served.port)
    with connect(uri, address=address, source_address=("127.0.0.8", 0), timeout=5, **QUIET) as websocket:
        assert echoes(websocket)
        assert websocket.request is not None
        assert websocket.request.headers["Host"] == "example.invalid"
        assert websocket.local_address[0] == "127.0.0.8"


def test_it_uses_a_socket(served: Served) -> None:
    sock = socket.create_connection(("127.0.0.1", served.port))
    name = sock.getsockname()
    with connect("ws://example.invalid/x", sock=sock, legacy=True) as websocket:
        assert echoes(websocket)
        assert websocket.local_address == name


def test_a_socket_is_closed_where_it_is_of_no_use() -> None:
    with RawServer(answering(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")) as server:
        for options in ({}, {"additional_headers": {"Upgrade\n": "x"}}):
            sock = socket.create_connection(server.address)
            with pytest.raises((InvalidStatus, ValueError)):
                connect("ws://example.invalid/", sock=sock, **options)
            assert sock.fileno() == -1


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no UNIX-domain sockets here")
def test_it_goes_over_a_unix_socket(short_tmp_path: Path) -> None:
    path = short_tmp_path / "ws"

    def handler(sock: socket.socket) -> None:
        assert b"\r\nHost: localhost\r\n" in accept_raw(sock)
        read_until_close(sock)

    with RawServer(handler, path=str(path)):
        for where in (path, str(path), str(path).encode()):
            with unix_connect(where, legacy=True) as websocket:
                assert websocket.remote_address == str(path)
        with unix_reconnect(path) as websocket:
            assert websocket.state is State.OPEN


def test_a_unix_socket_needs_a_path() -> None:
    with pytest.raises(ValueError, match="missing path argument"):
        unix_connect()
    with socket.socket() as sock, pytest.raises(ValueError, match="path is incompatible with sock"):
        unix_connect("/path", sock=sock)
    assert unix_reconnect("/path").uri == "ws://localhost/"
    assert unix_reconnect("/path", ssl=ssl.create_default_context()).uri == "wss://localhost/"


def test_it_goes_over_tls(secure: Served, certificates: Certificates) -> None:
    context = certificates.client_context()
    uri, address = f"wss://example.invalid:{secure.port}/", ("127.0.0.1", secure.port)
    with connect(uri, ssl=context, server_hostname="localhost", address=address, **QUIET) as websocket:
        assert echoes(websocket)
        assert websocket.socket.version().startswith("TLS")
        assert websocket.socket.getpeercert()["subjectAltName"]
    sock = socket.create_connection(("127.0.0.1", secure.port))
    with connect("wss://localhost/", ssl=context, sock=sock, legacy=True) as websocket:
        assert echoes(websocket)


def test_certificates_are_checked(secure: Served, certificates: Certificates) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(f"wss://localhost:{secure.port}/", **QUIET)
    with pytest.raises(ssl.SSLCertVerificationError, match="other\\.example"):
        uri = f"wss://localhost:{secure.port}/"
        connect(uri, ssl=certificates.client_context(), server_hostname="other.example", **QUIET)


def test_it_goes_through_proxies(served: Served) -> None:
    uri = f"ws://127.0.0.1:{served.port}/"
    with ConnectProxy() as proxy, connect(uri, proxy=f"http://127.0.0.1:{proxy.port}", legacy=True) as websocket:
        assert echoes(websocket)
        assert proxy.heads[0].startswith(f"CONNECT 127.0.0.1:{served.port} HTTP/1.1\r\n".encode())
    with SocksProxy() as socks, connect(uri, proxy=f"socks5h://127.0.0.1:{socks.port}", legacy=True) as websocket:
        assert echoes(websocket)


def test_it_asks_the_environment_for_a_proxy(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with ConnectProxy() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("ws_proxy", f"http://127.0.0.1:{proxy.port}")
        with connect(f"ws://127.0.0.1:{served.port}/", legacy=True) as websocket:
            assert echoes(websocket)
        assert len(proxy.heads) == 1


def test_it_goes_by_the_rules_of_a_client(secure: Served, certificates: Certificates) -> None:
    """An extension of ours: through a client of the engine, of which it has the trust and the cookies."""
    uri, context = f"wss://localhost:{secure.port}/", certificates.client_context()
    with (
        Client(ssl_context=context, headers={"X-Of-The-Client": "1"}) as client,
        connect(uri, client=client, legacy=True) as websocket,
    ):
        assert echoes(websocket)
        assert websocket.request is not None
        assert websocket.request.headers["X-Of-The-Client"] == "1"


def test_it_shares_a_connection_of_http_2(certificates: Certificates) -> None:
    with (
        serving_sync(context=certificates.server_context(["h2", "http/1.1"])) as server,
        Client(ssl_context=certificates.client_context()) as client,
    ):
        uri = f"wss://localhost:{server.port}/"
        with connect(uri, client=client, legacy=True) as one, connect(uri, client=client, legacy=True) as other:
            assert (one.core.version, other.core.version) == (2.0, 2.0)
            assert one.local_address == other.local_address
            assert echoes(one)
            assert other.ping().wait(10)
            one.socket.shutdown(socket.SHUT_RDWR)
            assert one.state is State.CLOSED
            assert echoes(other)
        assert (one.close_code, other.close_code) == (1006, 1000)
        assert server.errors == []


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_nobody_is_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            connect(f"ws://127.0.0.1:{taken.getsockname()[1]}/", **QUIET)
    with pytest.raises(socket.gaierror):
        connect("ws://no-such-name.invalid/", **QUIET)


def test_nobody_answers_in_time() -> None:
    text = "timed out while waiting for handshake response"
    with RawServer(read_until_eof) as server, pytest.raises(TimeoutError, match=text) as caught:
        connect(f"ws://127.0.0.1:{server.port}/", open_timeout=0.05, **QUIET)
    assert type(caught.value) is TimeoutError


def test_a_refusal_has_the_whole_answer() -> None:
    answer = b"HTTP/1.1 403 No Way\r\nX-Why: because\r\nContent-Length: 4\r\n\r\nno!\n"
    with RawServer(answering(answer)) as server, pytest.raises(InvalidStatus, match="HTTP 403") as caught:
        connect(f"ws://127.0.0.1:{server.port}/", **QUIET)
    response = caught.value.response
    assert (response.status_code, response.reason_phrase, response.body) == (403, "No Way", b"no!\n")
    assert response.headers["X-Why"] == "because"


@pytest.mark.parametrize("ends", [True, False])
def test_an_answer_that_is_none(ends: bool) -> None:
    def handler(sock: socket.socket) -> None:
        read_head(sock)
        if not ends:
            sock.sendall(b"what?\r\n\r\n")

    with RawServer(handler) as server, pytest.raises(InvalidMessage, match="valid HTTP response") as caught:
        connect(f"ws://127.0.0.1:{server.port}/", **QUIET)
    assert isinstance(caught.value.__cause__, EOFError) is ends


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"nonsense": 1}, TypeError, "unexpected keyword argument 'nonsense'"),
        ({"compression": "gzip"}, ValueError, "unsupported compression: gzip"),
        ({"ssl": ssl.create_default_context()}, ValueError, "incompatible with a ws:// URI"),
        ({"subprotocols": "a"}, TypeError, "subprotocols"),
        ({"max_queue": (1, 2)}, ValueError, "high must be greater"),
        (
            {"proxy": "http://p", "proxy_ssl": ssl.create_default_context()},
            ValueError,
            "incompatible with an http:// proxy",
        ),
    ],
)
def test_keywords_that_do_not_fit(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        connect("ws://127.0.0.1:1/", **{**QUIET, **options})


@pytest.mark.parametrize("uri", ["http://127.0.0.1/", "ws://", "ws://127.0.0.1/#a"])
def test_uris_that_are_none(uri: str) -> None:
    with pytest.raises(InvalidURI):
        connect(uri)


def test_the_old_name_of_ssl(secure: Served, certificates: Certificates) -> None:
    with pytest.warns(DeprecationWarning, match="ssl_context was renamed to ssl"):
        websocket = connect(f"wss://localhost:{secure.port}/", ssl_context=certificates.client_context(), **QUIET)
    with websocket:
        assert echoes(websocket)


# --- redirects --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def redirecting(to: str, heads: list[str] | None = None) -> Iterator[str]:
    def handler(sock: socket.socket) -> None:
        head = read_head(sock).decode()
        if heads is not None:
            heads.append(head)
        sock.sendall(f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode())

    with RawServer(handler) as server:
        yield f"ws://127.0.0.1:{server.port}/first"


def test_redirects_are_followed(served: Served) -> None:
    with redirecting(f"ws://127.0.0.1:{served.port}/there") as uri, connect(uri, **QUIET) as websocket:
        assert echoes(websocket)
        assert websocket.request is not None
        assert websocket.request.path == "/there"


def test_credentials_do_not_go_elsewhere() -> None:
    heads: list[str] = []
    given = {"Authorization": "x", "Cookie": "a=b", "X-Kept": "1"}
    with redirecting("/nowhere", heads) as last, redirecting(last, heads) as uri, pytest.raises(SecurityError):
        connect(uri, additional_headers=given, **QUIET)
    assert ["Cookie" in head for head in heads[:2]] == [True, False]
    assert all("X-Kept: 1" in head for head in heads)
    assert len(heads) == 10


def test_redirects_that_are_not_followed(served: Served) -> None:
    with redirecting("http://127.0.0.1/") as uri, pytest.raises(InvalidURI):
        connect(uri, **QUIET)
    with redirecting("ws://elsewhere.invalid/") as uri:
        address = ("127.0.0.1", int(uri.split(":")[2].partition("/")[0]))
        with pytest.raises(ValueError, match="with an explicit host and port"):
            connect("ws://example.invalid/", address=address, **QUIET)
        with pytest.raises(ValueError, match="with a preexisting socket"):
            connect("ws://example.invalid/", sock=socket.create_connection(address), legacy=True)


def test_redirects_can_be_judged_by_others() -> None:
    class Judging(reconnect):
        def process_redirect(self, exc: Exception) -> Exception | str:
            return InvalidHandshake("not with us")

    with redirecting("/there") as uri, pytest.raises(InvalidHandshake, match="not with us") as caught:
        Judging(uri, proxy=None).connect()
    assert isinstance(caught.value.__cause__, InvalidStatus)


# --- again ------------------------------------------------------------------------------------------------------------


def test_connecting_again(caplog: pytest.LogCaptureFixture) -> None:
    answers = iter([503, 101, 502, 500, 101])

    def handler(sock: socket.socket) -> None:
        status = next(answers)
        if status == 101:
            accept_raw(sock)
            read_until_close(sock)
        else:
            read_head(sock)
            sock.sendall(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())

    asked = []

    def delays() -> Iterator[float]:
        asked.append("delays")
        while True:
            yield 0.0

    caplog.set_level(logging.INFO, "websockets.client")
    with RawServer(handler) as server:
        seen = []
        for websocket in reconnect(f"ws://127.0.0.1:{server.port}/", proxy=None, reconnect_delays=delays):
            assert websocket.state is State.OPEN
            assert [earlier.state for earlier in seen] == [State.CLOSED] * len(seen)
            seen.append(websocket)
            if len(seen) == 2:
                break
    assert asked == ["delays", "delays"]
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith("connect failed; reconnecting in 0.0 seconds: ")
    assert said[0].endswith("InvalidStatus: server rejected WebSocket connection: HTTP 503")
    assert len(said) == 3


@pytest.mark.parametrize("raises", [True, False])
def test_when_there_is_no_hope(raises: bool) -> None:
    def judge(error: Exception) -> Exception:
        if raises:
            raise KeyError("enough")
        return KeyError("enough")

    with RawServer(answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")) as server:
        uri = f"ws://127.0.0.1:{server.port}/"
        with pytest.raises(InvalidStatus):
            next(iter(reconnect(uri, proxy=None)))
        with pytest.raises(KeyError, match="enough") as caught:
            next(iter(reconnect(uri, proxy=None, process_exception=judge)))
    assert isinstance(caught.value.__cause__, InvalidStatus)


def test_what_connect_will_be(served: Served) -> None:
    connecter = connect(f"ws://127.0.0.1:{served.port}/", proxy=None, legacy=False)
    assert isinstance(connecter, reconnect)
    with connecter as websocket:
        assert echoes(websocket)
        with pytest.raises(RuntimeError, match="isn't reentrant"):
            connecter.__enter__()
    assert websocket.state is State.CLOSED
    with connecter as again:
        assert echoes(again)


def test_a_connection_without_context_manager_warns_once(served: Served) -> None:
    websocket = connect(f"ws://127.0.0.1:{served.port}/", proxy=None)
    with pytest.warns(DeprecationWarning, match="must be used as a context manager") as caught:
        websocket.send("a")
    websocket.close()
    assert [Path(entry.filename).name for entry in caught] == [Path(__file__).name]
    with connect(f"ws://127.0.0.1:{served.port}/", proxy=None) as managed:
        assert echoes(managed)


def test_a_connection_of_a_class_of_ones_own(served: Served) -> None:
    class Mine(ClientConnection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.received: list[Any] = []

        def recv(self, *args: Any, **kwargs: Any) -> Any:
            self.received.append(super().recv(*args, **kwargs))
            return self.received[-1]

    with connect(f"ws://127.0.0.1:{served.port}/", create_connection=Mine, **QUIET) as websocket:
        assert isinstance(websocket, Mine)
        assert echoes(websocket)
        assert websocket.received == ["echo"]


def test_a_connection_as_it_is_logged(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "mine")
    logger = logging.getLogger("mine")
    with connect(f"ws://127.0.0.1:{served.port}/", logger=logger, **QUIET) as websocket:
        assert echoes(websocket)
        assert websocket.logger.extra["websocket"].id == websocket.id  # type: ignore[union-attr, index]
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == "> GET / HTTP/1.1"
    assert "< HTTP/1.1 101 Switching Protocols" in said
    assert "> TEXT 'echo' [4 bytes]" in said
    assert "< TEXT 'echo' [4 bytes]" in said


def test_warnings_are_given_only_where_they_belong(served: Served) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        websocket = connect(f"ws://127.0.0.1:{served.port}/", **QUIET)
        assert echoes(websocket)
        websocket.close()
