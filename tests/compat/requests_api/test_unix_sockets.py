"""`http+unix://` URLs: the path of a socket where the host is, as requests-unixsocket and docker's client write it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import pytest
import requests
import requests.adapters
import responses
import urllib3.exceptions
from urllib3.util import Retry

import drivetrain.compat
from drivetrain.compat import requests_api
from drivetrain.compat.requests_api import EngineAdapter
from tests.compat.requests_api.support import OK, Recorder, answer, session_with
from tests.support.servers import RawServer, read_until_eof


@pytest.fixture
def path(short_tmp_path: Path) -> str:
    return str(short_tmp_path / "A socket")


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(OK)


@pytest.fixture
def server(path: str, recorder: Recorder) -> Iterator[RawServer]:
    with RawServer(recorder, path=path) as made:
        yield made


@pytest.fixture(params=["mounted", "module", "installed"])
def unix(request: pytest.FixtureRequest) -> Iterator[requests.Session]:
    """A session that takes such URLs."""
    if request.param == "installed":
        drivetrain.compat.install("requests")
    with (requests_api if request.param == "module" else requests).Session() as session:
        kind = {"mounted": EngineAdapter, "module": requests_api.adapters.HTTPAdapter}.get(request.param)
        session.mount("http+unix://", (kind or requests.adapters.HTTPAdapter)())
        yield session
    drivetrain.compat.uninstall()


def url_of(path: str, target: str = "/") -> str:
    return f"http+unix://{quote(path, safe='')}{target}"


def test_the_wire_and_the_response(unix: requests.Session, server: RawServer, path: str, recorder: Recorder) -> None:
    for _ in range(2):
        response = unix.post(url_of(path, "/v1/x?a=b c#part"), data={"k": "v"})
        assert response.text == "ok"
    assert recorder.lines[0] == "POST /v1/x?a=b%20c HTTP/1.1"
    assert "Host: localhost" in recorder.lines
    assert recorder.bodies == [b"k=v"] * 2
    assert server.connections == 1
    assert response.url == url_of(path, "/v1/x?a=b%20c#part")
    assert response.request.url == response.url
    assert unix.get(url_of(path), headers={"Host": "mine.test"}).text == "ok"
    assert "Host: mine.test" in recorder.lines


def test_redirects(unix: requests.Session, server: RawServer, path: str, recorder: Recorder) -> None:
    recorder.answers = [answer(b"", "Location: next?x#y", status="302 Found"), OK]
    response = unix.get(url_of(path, "/a/b"))
    assert response.url == url_of(path, "/a/next?x#y")
    assert recorder.lines[0] == "GET /a/next?x HTTP/1.1"
    assert urljoin("http+unix://%2fa/b/c", "../d") == "http+unix://%2fa/d"


def test_no_proxy_is_used(
    unix: requests.Session, server: RawServer, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("all_proxy", "http://proxy.invalid")
    assert unix.get(url_of(path)).text == "ok"
    assert unix.get(url_of(path), proxies={"http+unix": "socks5://proxy.invalid"}).text == "ok"
    with requests.Session() as session:
        session.mount("http+unix://", EngineAdapter(proxy="http://proxy.invalid"))
        assert session.get(url_of(path)).text == "ok"


def test_every_socket_for_itself(unix: requests.Session, server: RawServer, path: str) -> None:
    other = f"{path}2"
    with RawServer(Recorder(answer(b"other")), path=other):
        assert [unix.get(url_of(name)).text for name in (path, other, path)] == ["ok", "other", "ok"]
    assert server.connections == 1


def test_nobody_listens(unix: requests.Session, path: str) -> None:
    with pytest.raises(requests.ConnectionError) as caught:
        unix.get(url_of(path, "/x"))
    assert "HTTPConnectionPool(host='localhost', port=80): Max retries exceeded with url: /x" in str(caught.value)
    assert isinstance(caught.value.args[0].reason, urllib3.exceptions.NewConnectionError)
    assert isinstance(caught.value.args[0].reason.__cause__, FileNotFoundError)
    assert path in str(caught.value)
    Path(path).touch()
    with pytest.raises(requests.ConnectionError) as caught:
        unix.get(url_of(path))
    assert isinstance(caught.value.args[0].reason.__cause__, ConnectionRefusedError)


def test_time_limits(unix: requests.Session, path: str) -> None:
    with RawServer(lambda connection: read_until_eof(connection), path=path), pytest.raises(requests.ReadTimeout):
        unix.get(url_of(path), timeout=0.1)


def test_retries(server: RawServer, path: str, recorder: Recorder) -> None:
    recorder.answers = [answer(b"", status="503 Busy"), OK]
    with requests.Session() as session:
        session.mount("http+unix://", EngineAdapter(max_retries=Retry(1, status_forcelist=[503])))
        assert session.get(url_of(path)).text == "ok"


def test_without_a_path(unix: requests.Session) -> None:
    with pytest.raises(requests.exceptions.InvalidURL):
        unix.get("http+unix:///x")


def test_what_test_libraries_let_pass(unix: requests.Session, server: RawServer, path: str) -> None:
    with responses.RequestsMock() as mocked:
        mocked.add_passthru(url_of(path))
        assert unix.get(url_of(path, "/x")).text == "ok"


def test_an_adapter_with_pools_of_its_own(kind: Any, server: RawServer, path: str) -> None:
    """As those of requests-unixsocket and docker are made; urllib3's pool is theirs then."""

    class Connection(urllib3.connection.HTTPConnection):
        def _new_conn(self) -> socket.socket:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(path)
            return connection

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = Connection

    class Adapter(kind):  # type: ignore[misc]
        def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
            return Pool("localhost")

        def request_url(self, request: Any, proxies: Any) -> str:
            return str(request.path_url)

    with requests.Session() as session:
        session.mount("http+unix://", Adapter())
        assert session.get(url_of(path, "/x")).text == "ok"


def test_what_only_urllib3_could_do_is_refused(path: str) -> None:
    class Adapter(EngineAdapter):
        def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
            pool = super().get_connection_with_tls_context(*args, **options)
            pool.ConnectionCls = urllib3.connection.HTTPConnection
            return pool

    with (
        session_with(Adapter()) as session,
        pytest.raises(urllib3.exceptions.LocationValueError, match="only the engine sends GET /x"),
    ):
        session.mount("http+unix://", session.get_adapter("http://"))
        session.get(url_of(path, "/x"))


def test_tls_has_nothing_to_do_with_it(server: RawServer, path: str) -> None:
    class Adapter(EngineAdapter):
        def cert_verify(self, conn: Any, *args: Any) -> None:
            super().cert_verify(conn, *args)
            conn.assert_fingerprint = "00"

    with requests.Session() as session:
        session.mount("http+unix://", Adapter())
        assert session.get(url_of(path)).text == "ok"


@pytest.mark.parametrize("installed", [False, True])
def test_a_subclass_is_told_of_proxies(kind: Any, installed: bool, path: str) -> None:
    """As adapters have it that refuse them."""
    told: list[Any] = []
    if installed:
        drivetrain.compat.install("requests")
    try:
        base: Any = requests.adapters.HTTPAdapter if installed else kind

        class Adapter(base):  # type: ignore[misc]
            def get_connection_with_tls_context(
                self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
            ) -> Any:
                told.append(dict(proxies or {}))
                raise ValueError("no proxies here")

        with requests.Session() as session:
            session.mount("http+unix://", Adapter())
            with pytest.raises(ValueError, match="no proxies here"):
                session.get(f"http+unix://{quote(path, safe='')}/", proxies={"http+unix": "http://10.0.0.1:1"})
    finally:
        drivetrain.compat.uninstall()
    assert told[0]["http+unix"] == "http://10.0.0.1:1"
