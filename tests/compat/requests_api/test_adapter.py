"""The adapter's own options, what subclasses override, and what is left to urllib3."""

from __future__ import annotations

import pickle
import socket
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests
import requests.adapters
from requests.adapters import HTTPAdapter
from urllib3.poolmanager import PoolManager
from urllib3.util import Timeout

import drivetrain.compat
from drivetrain.compat.requests_api import EngineAdapter
from tests.compat.requests_api.support import OK, Recorder, answer, session_with
from tests.support.servers import RawServer, read_head, read_until_eof


def trickling(connection: socket.socket) -> None:
    """Sends a byte of a long body whenever the client says something; here: never."""
    read_head(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
    read_until_eof(connection)


@pytest.mark.parametrize(
    "timeout", [5, 5.0, None, (5, 6), (None, 6.0), (5, None), Timeout(5), Timeout(connect=1, read=2)]
)
def test_timeouts_that_are_kept(session: requests.Session, timeout: Any) -> None:
    with RawServer(Recorder(OK)) as server:
        assert session.get(server.url, timeout=timeout).text == "ok"
        assert session.get(server.url, timeout=timeout).text == "ok"


def test_a_timeout_of_urllib3(session: requests.Session) -> None:
    with RawServer(lambda connection: read_until_eof(connection)) as server:
        for timeout in (Timeout(connect=5, read=0.1), Timeout(total=0.1)):
            with pytest.raises(requests.ReadTimeout):
                session.get(server.url, timeout=timeout)


def test_a_total_timeout_covers_the_body() -> None:
    def handler(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        connection.settimeout(0.05)
        for _ in range(100):
            connection.sendall(b"x")
            try:
                if not connection.recv(1):
                    return
            except TimeoutError:
                pass

    with RawServer(handler, tolerate=(OSError,)) as server, session_with(EngineAdapter(total_timeout=0.3)) as session:
        began = time.monotonic()
        with pytest.raises(requests.ConnectionError, match="Read timed out"):
            session.get(server.url, timeout=10)
        assert time.monotonic() - began < 3


def test_options_reach_the_engine(short_tmp_path: Path) -> None:
    path = str(short_tmp_path / "s")
    recorder = Recorder(OK)
    with (
        RawServer(recorder, family=socket.AF_UNIX, path=path),
        session_with(EngineAdapter(unix_socket=path)) as session,
    ):
        assert session.get("http://anything.test/x").text == "ok"
    assert "Host: anything.test" in recorder.lines
    with RawServer(recorder) as server, session_with(EngineAdapter(version=1.0, bind="127.0.0.1")) as session:
        assert session.get(server.url).text == "ok"
    assert recorder.lines[0] == "GET / HTTP/1.0"


def test_unknown_options_are_refused() -> None:
    with pytest.raises(TypeError, match="verson"):
        EngineAdapter(verson=1.0)


# -- overriding --------------------------------------------------------------------------------------------------------


def test_building_the_response(kind: Any) -> None:
    class Adapter(kind):  # type: ignore[misc]
        def build_response(self, req: Any, resp: Any) -> requests.Response:
            response: requests.Response = super().build_response(req, resp)
            response.headers["X-Built"] = f"{resp.status} {resp.headers['content-length']}"
            return response

    with RawServer(Recorder(answer(b"ok", "Set-Cookie: a=1"))) as server, session_with(Adapter()) as session:
        response = session.get(server.url)
        assert response.headers["x-built"] == "200 2"
        assert response.cookies["a"] == "1"
        assert response.text == "ok"


def test_adding_headers(kind: Any) -> None:
    class Adapter(kind):  # type: ignore[misc]
        def add_headers(self, request: Any, **options: Any) -> None:
            request.headers["X-Added"] = str(options["stream"])

    recorder = Recorder(OK)
    with RawServer(recorder) as server, session_with(Adapter()) as session:
        session.get(server.url, stream=True).close()
    assert "X-Added: True" in recorder.lines


def test_another_target(kind: Any) -> None:
    class Adapter(kind):  # type: ignore[misc]
        def request_url(self, request: Any, proxies: Any) -> str:
            return "/prefix" + str(super().request_url(request, proxies))

    recorder = Recorder(OK)
    with RawServer(recorder) as server, session_with(Adapter()) as session:
        session.get(f"{server.url}/a?b")
    assert recorder.lines[0] == "GET /prefix/a?b HTTP/1.1"


def test_another_verification(kind: Any, certificates: Any) -> None:
    class Adapter(kind):  # type: ignore[misc]
        def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
            super().cert_verify(conn, url, str(certificates.ca_file), cert)

    with RawServer(Recorder(OK), context=certificates.server_context()) as server, session_with(Adapter()) as session:
        assert session.get(f"https://localhost:{server.port}/").text == "ok"


def test_extending_send(kind: Any) -> None:
    class Adapter(kind):  # type: ignore[misc]
        def send(self, request: Any, *args: Any, **options: Any) -> requests.Response:
            options["timeout"] = options.get("timeout") or 0.1
            response: requests.Response = super().send(request, *args, **options)
            return response

    with (
        RawServer(lambda connection: read_until_eof(connection)) as server,
        session_with(Adapter()) as session,
        pytest.raises(requests.ReadTimeout),
    ):
        session.get(server.url)


def test_a_pool_manager_of_ones_own_is_used(kind: Any) -> None:
    class Manager(PoolManager):
        asked: ClassVar[list[str | None]] = []

        def connection_from_host(self, host: Any, *args: Any, **options: Any) -> Any:
            self.asked.append(host)
            return super().connection_from_host(host, *args, **options)

    class Adapter(kind):  # type: ignore[misc]
        def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
            self.poolmanager = Manager(num_pools=connections, maxsize=maxsize, block=block, socket_options=[])

    Manager.asked.clear()
    with RawServer(Recorder(OK)) as server, session_with(Adapter()) as session:
        assert session.get(server.url).text == "ok"
    assert Manager.asked == ["127.0.0.1"]


def test_a_replacement_of_requests_send_is_used(
    engine_session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As test libraries do it that intercept every request."""

    def fake(self: HTTPAdapter, request: Any, **options: Any) -> requests.Response:
        response = requests.Response()
        response.status_code = 299
        response._content = b"fake"
        return response

    monkeypatch.setattr(HTTPAdapter, "send", fake)
    assert engine_session.get("http://nowhere.invalid/").status_code == 299


def test_it_is_an_adapter_of_requests() -> None:
    adapter = EngineAdapter()
    assert isinstance(adapter, HTTPAdapter)
    assert isinstance(adapter.poolmanager, PoolManager)
    adapter.close()


@pytest.mark.parametrize("installed", [False, True])
def test_a_subclass_without_a_pool_manager(kind: Any, installed: bool) -> None:
    """It can be made and closed, and says at the first request what it has not."""
    if installed:
        drivetrain.compat.install("requests")
    try:
        base: Any = requests.adapters.HTTPAdapter if installed else kind

        class Adapter(base):  # type: ignore[misc]
            def init_poolmanager(self, *args: Any, **options: Any) -> None:
                pass

        session = session_with(Adapter())
        with pytest.raises(AttributeError, match="'Adapter' object has no attribute 'poolmanager'"):
            session.get("http://127.0.0.1:1/")
    finally:
        drivetrain.compat.uninstall()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling(protocol: int) -> None:
    adapter = EngineAdapter(no_proxy="a.test", total_timeout=5, max_retries=3)
    copied = pickle.loads(pickle.dumps(adapter, protocol))
    assert copied.no_proxy.matches("a.test", 80)
    assert not copied.no_proxy.matches("b.test", 80)
    assert copied.max_retries.total == 3
    with RawServer(Recorder()) as server, session_with(copied) as session:
        assert session.get(server.url).text == "ok"
