"""Programs that put something of their own below urllib3: what they replace has its effect with the engine too."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
import urllib3.connection
import urllib3.connectionpool
import urllib3.util.connection

from drivetrain.compat.requests_api import EngineAdapter
from tests.compat.requests_api.support import OK, Recorder, session_with
from tests.support.certificates import Certificates
from tests.support.proxies import ConnectProxy
from tests.support.servers import RawServer

network: Any = urllib3.util.connection


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(OK)


@pytest.fixture
def server(recorder: Recorder) -> Iterator[RawServer]:
    with RawServer(recorder) as started:
        yield started


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What urllib3's pools were asked to send."""
    sent: list[str] = []
    original = urllib3.connectionpool.HTTPConnectionPool.urlopen

    def urlopen(self: Any, method: str, url: str, *args: Any, **options: Any) -> Any:
        sent.append(url)
        return original(self, method, url, *args, **options)

    monkeypatch.setattr(urllib3.connectionpool.HTTPConnectionPool, "urlopen", urlopen)
    return sent


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """`create_connection` leads to this machine from now on, whoever was asked for; how it was called, and by which thread."""
    called: list[Any] = []
    original = network.create_connection

    def create_connection(address: Any, *args: Any, **options: Any) -> Any:
        called.append((address, args, options, threading.current_thread()))
        return original(("127.0.0.1", address[1]), *args, **options)

    monkeypatch.setattr(network, "create_connection", create_connection)
    return called


class TestCreateConnection:
    def test_names_of_ones_own(
        self, kind: Any, server: RawServer, recorder: Recorder, elsewhere: list[Any], pools: list[str]
    ) -> None:
        with session_with(kind()) as session:
            for _ in range(2):
                assert session.get(f"http://made.up.test:{server.port}/x", timeout=5).text == "ok"
        assert f"Host: made.up.test:{server.port}" in recorder.lines
        assert len(elsewhere) == 1
        address, args, options, thread = elsewhere[0]
        assert address == ("made.up.test", server.port)
        assert 0 < args[0] <= 5
        assert options["source_address"] is None
        assert list(options["socket_options"]) == [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        assert thread is threading.current_thread()
        assert bool(pools) == (kind is not EngineAdapter)

    def test_without_a_time_limit(self, kind: Any, server: RawServer, elsewhere: list[Any]) -> None:
        with session_with(kind()) as session:
            assert session.get(f"http://made.up.test:{server.port}/").text == "ok"
        assert elsewhere[0][1] == (None,)

    def test_https(self, kind: Any, tmp_path: Path, elsewhere: list[Any]) -> None:
        certificates = Certificates.create(tmp_path, ["made.up.test"])
        with RawServer(Recorder(OK), context=certificates.server_context()) as server, session_with(kind()) as session:
            url = f"https://made.up.test:{server.port}/"
            assert session.get(url, verify=str(certificates.ca_file)).text == "ok"

    def test_proxies(self, kind: Any, server: RawServer, elsewhere: list[Any]) -> None:
        with ConnectProxy() as proxy, session_with(kind()) as session:
            proxies = {"http": f"http://proxy.test:{proxy.port}"}
            assert session.get(f"http://127.0.0.1:{server.port}/", proxies=proxies).text == "ok"
        assert [call[0] for call in elsewhere] == [("proxy.test", proxy.port)]

    @pytest.mark.parametrize(
        ("error", "reason", "text"),
        [
            (ConnectionRefusedError(111, "not today"), "NewConnectionError", "[Errno 111] not today"),
            (OSError("it is forbidden"), "NewConnectionError", "Failed to establish a new connection: it is forbidden"),
            (socket.gaierror(-2, "who?"), "NameResolutionError", "Failed to resolve 'made.up.test' ([Errno -2] who?)"),
            (TimeoutError("timed out"), "ConnectTimeoutError", "timed out. (connect timeout=None)"),
        ],
    )
    def test_failures(
        self, kind: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str, text: str
    ) -> None:
        def create_connection(*args: Any, **options: Any) -> Any:
            raise error

        monkeypatch.setattr(network, "create_connection", create_connection)
        with session_with(kind()) as session, pytest.raises(requests.ConnectionError) as caught:
            session.get("http://made.up.test/")
        found: Any = caught.value.args[0].reason
        assert type(found).__name__ == reason
        assert text in str(found)
        assert isinstance(caught.value, requests.ConnectTimeout) == (reason == "ConnectTimeoutError")

    def test_an_error_of_ones_own(self, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """As guards raise who let nobody connect to some addresses."""

        class Forbidden(Exception):
            pass

        def create_connection(*args: Any, **options: Any) -> Any:
            raise Forbidden

        monkeypatch.setattr(network, "create_connection", create_connection)
        with session_with(kind()) as session, pytest.raises(Forbidden):
            session.get("http://127.0.0.1:1/")

    def test_connections_that_are_there_stay(
        self, kind: Any, server: RawServer, request: pytest.FixtureRequest
    ) -> None:
        with session_with(kind()) as session:
            url = f"http://127.0.0.1:{server.port}/"
            assert session.get(url).text == "ok"
            called: list[Any] = request.getfixturevalue("elsewhere")
            assert session.get(url).text == "ok"
        assert not called


class TestFamilies:
    @pytest.mark.parametrize("how", ["allowed_gai_family", "HAS_IPV6"])
    def test_only_one(
        self, kind: Any, monkeypatch: pytest.MonkeyPatch, server: RawServer, how: str, pools: list[str]
    ) -> None:
        asked: list[Any] = []

        def getaddrinfo(host: Any, port: Any, family: int = 0, *args: Any, **options: Any) -> Any:
            asked.append((host, family))
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(network, how, (lambda: socket.AF_INET) if how == "allowed_gai_family" else False)
        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        with session_with(kind()) as session:
            assert session.get(f"http://made.up.test:{server.port}/").text == "ok"
        assert asked == [("made.up.test", socket.AF_INET)]
        assert bool(pools) == (kind is not EngineAdapter)


class TestGetaddrinfo:
    @pytest.mark.parametrize("host", ["made.up.test", "127.0.0.99", "x.localhost"])
    def test_it_is_asked(self, kind: Any, monkeypatch: pytest.MonkeyPatch, server: RawServer, host: str) -> None:
        asked: list[Any] = []

        def getaddrinfo(name: str, port: int, family: int = 0, kind: int = 0) -> Any:
            asked.append((name, port, family, kind))
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        with session_with(kind()) as session:
            assert session.get(f"http://{host}:{server.port}/").text == "ok"
        assert asked == [(host, server.port, 0, socket.SOCK_STREAM)]

    def test_it_fails(self, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def getaddrinfo(*args: Any, **options: Any) -> Any:
            raise socket.gaierror(-2, "who?")

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        with session_with(kind()) as session, pytest.raises(requests.ConnectionError) as caught:
            session.get("http://127.0.0.1:1/")
        assert "Failed to resolve '127.0.0.1' ([Errno -2] who?)" in str(caught.value)


class TestSocketOptions:
    def test_those_that_are_usual(self, kind: Any, monkeypatch: pytest.MonkeyPatch, server: RawServer) -> None:
        """The list is what counts; to put another one in its place is too late."""
        seen: list[Any] = []
        original = network._set_socket_options
        option = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        usual: Any = urllib3.connection.HTTPConnection.default_socket_options

        def set_options(sock: Any, options: Any) -> None:
            original(sock, options)
            seen.append(sock.getsockopt(*option[:2]))

        usual.append(option)
        try:
            monkeypatch.setattr(network, "_set_socket_options", set_options)
            with session_with(kind()) as session:
                assert session.get(server.url).text == "ok"
        finally:
            usual.remove(option)
        monkeypatch.setattr(urllib3.connection.HTTPConnection, "default_socket_options", [option])
        with session_with(kind()) as session:
            assert session.get(server.url).text == "ok"
        assert seen == [1, 0]

    def test_they_count_by_themselves(self, monkeypatch: pytest.MonkeyPatch, server: RawServer) -> None:
        called: list[Any] = []
        original = network.create_connection
        option = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        usual: Any = urllib3.connection.HTTPConnection.default_socket_options

        class Socket(socket.socket):
            def setsockopt(self, *args: Any) -> None:  # type: ignore[override]
                called.append(args)
                super().setsockopt(*args)

        monkeypatch.setattr(socket, "socket", Socket)
        usual.append(option)
        try:
            with session_with(EngineAdapter()) as session:
                assert session.get(server.url).text == "ok"
        finally:
            usual.remove(option)
        assert option in called
        assert network.create_connection is original


class TestConnections:
    """Where urllib3's connections are not its own, they send: those who put others there want to see all of it."""

    def test_a_class_of_ones_own(self, kind: Any, monkeypatch: pytest.MonkeyPatch, server: RawServer) -> None:
        seen: list[str] = []

        class Recording(urllib3.connection.HTTPConnection):
            def request(self, method: str, url: str, *args: Any, **options: Any) -> None:
                seen.append(f"{method} {url}")
                super().request(method, url, *args, **options)

        monkeypatch.setattr(urllib3.connectionpool.HTTPConnectionPool, "ConnectionCls", Recording)
        with session_with(kind()) as session:
            assert session.post(f"{server.url}/x", data=b"body").text == "ok"
        assert seen == ["POST /x"]

    def test_a_connect_of_ones_own(self, kind: Any, monkeypatch: pytest.MonkeyPatch, server: RawServer) -> None:
        seen: list[str] = []

        def new_connection(self: Any) -> Any:
            seen.append(self.host)
            return socket.create_connection(("127.0.0.1", self.port))

        monkeypatch.setattr(urllib3.connection.HTTPConnection, "_new_conn", new_connection)
        with session_with(kind()) as session:
            assert session.get(f"http://made.up.test:{server.port}/").text == "ok"
        assert seen == ["made.up.test"]
