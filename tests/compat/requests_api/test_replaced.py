"""What programs put below requests has its effect on requests that the engine would have sent, and for as long as it is there."""

from __future__ import annotations

import functools
import http.client
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import requests
import urllib3.connection
import urllib3.connectionpool
import urllib3.util.ssl_
from requests.adapters import HTTPAdapter

import drivetrain.compat
from drivetrain.compat.replaced import NOTED, Watch
from drivetrain.compat.requests_api import EngineAdapter
from tests.compat.requests_api.support import OK, Recorder, answer, listening, session_with
from tests.support.certificates import Certificates
from tests.support.proxies import ConnectProxy
from tests.support.servers import RawServer

Pool = urllib3.connectionpool.HTTPConnectionPool
Connection = urllib3.connection.HTTPConnection
INSTALLED, MOUNTED = "installed", "mounted"


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(Recorder(OK), tolerate=(OSError,)) as started:
        yield started


@pytest.fixture(params=["requests", INSTALLED, MOUNTED])
def door(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == INSTALLED:
        drivetrain.compat.install("requests")
    yield request.param
    drivetrain.compat.uninstall()


@pytest.fixture
def used(door: str, server: RawServer) -> Iterator[requests.Session]:
    """A session with a connection that is kept."""
    with (
        requests.Session()
        if door == INSTALLED
        else session_with(EngineAdapter() if door == MOUNTED else HTTPAdapter()) as session
    ):
        assert session.get(server.url).text == "ok"
        yield session


@pytest.fixture
def sent() -> Iterator[list[str]]:
    """What `http.client` has sent."""
    events: list[str] = []
    with listening(lambda event, _: events.append(event) if event == "http.client.send" else None):
        yield events


def counted(monkeypatch: pytest.MonkeyPatch, place: Any, name: str) -> list[str]:
    """Count the calls of a method, from now on."""
    called: list[str] = []
    original = getattr(place, name)

    @functools.wraps(original)
    def method(self: Any, *args: Any, **options: Any) -> Any:
        called.append(name)
        return original(self, *args, **options)

    monkeypatch.setattr(place, name, method)
    return called


class Recording(Connection):
    """As recorders have it."""

    seen: list[str]

    def request(self, method: str, url: str, *args: Any, **options: Any) -> None:
        self.seen.append(f"{method} {url}")
        super().request(method, url, *args, **options)


class Refused(RuntimeError):
    pass


# --- what decides where a request goes ----------------------------------------------------------------------------------


def test_a_class_of_connections(used: Any, server: RawServer, monkeypatch: pytest.MonkeyPatch, sent: list[str]) -> None:
    Recording.seen = []
    used.mount("http://", type(used.get_adapter(server.url))())  # the original keeps the connections that it has
    used.get(server.url)
    with monkeypatch.context() as patch:
        patch.setattr(Pool, "ConnectionCls", Recording)
        used.get_adapter(server.url).close()
        assert used.get(f"{server.url}/x").text == "ok"
    assert Recording.seen == ["GET /x"]
    used.get_adapter(server.url).close()
    del sent[:]
    assert used.get(server.url).text == "ok"
    assert Recording.seen == ["GET /x"]
    assert bool(sent) == (type(used.get_adapter(server.url)) is HTTPAdapter)


def test_a_recorder_that_comes_later(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection that the engine has is not used any more, and not as long as the recorder is there."""
    Recording.seen = []
    with session_with(EngineAdapter()) as session:
        session.get(server.url)
        monkeypatch.setattr(Pool, "ConnectionCls", Recording)
        for _ in range(2):
            assert session.post(f"{server.url}/x", data=b"body").text == "ok"
        monkeypatch.undo()
        assert session.get(server.url).text == "ok"
    assert Recording.seen == ["POST /x"] * 2


@pytest.mark.parametrize("how", ["class", "connect", "__init__"])
def test_sockets(used: Any, server: RawServer, door: str, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    def refuse(sock: Any, *args: Any, **options: Any) -> Any:
        if how == "connect":
            sock.close()
        raise Refused

    class Guarded(socket.socket):
        def __new__(cls, *args: Any, **options: Any) -> Any:
            raise Refused

    if how == "class":
        monkeypatch.setattr(socket, "socket", Guarded)
    else:
        monkeypatch.setattr(socket.socket, how, refuse)
    used.get_adapter(server.url).close()
    with pytest.raises(Refused):
        used.get(server.url)


def test_sockets_of_ones_own(used: Any, server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those that lead a whole process through a proxy."""
    port = server.port

    class Leading(socket.socket):
        def connect(self, address: Any) -> None:
            super().connect(("127.0.0.1", port))

    monkeypatch.setattr(socket, "socket", Leading)
    assert used.get("http://127.0.0.9:1/").text == "ok"


def test_green_sockets_are_as_good(server: RawServer, sent: list[str]) -> None:
    holder: Any = type(sys)("holder")
    holder.__name__ = "socket"
    holder.socket = socket.socket
    watch = Watch((holder, ("socket", "socket.connect")), homes=("socket", "_socket", "gevent."))
    green = type("socket", (socket.socket,), {"__module__": "gevent.made.up"})
    holder.socket = green
    assert watch.unchanged()
    holder.socket = type("socket", (socket.socket,), {"__module__": "somebody.elses"})
    assert not watch.unchanged()
    assert NOTED.pop("socket.socket") == "somebody.elses"


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (urllib3.util.ssl_, "SSLContext"),
        (urllib3.connection, "create_urllib3_context"),
        (urllib3.connection, "ssl_wrap_socket"),
        (ssl.SSLContext, "wrap_socket"),
    ],
)
def test_contexts(door: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Any, name: str) -> None:
    """As those that ask the system whom it trusts."""
    certificates = Certificates.create(tmp_path, ["localhost"])
    adapter: Any = EngineAdapter() if door == MOUNTED else requests.adapters.HTTPAdapter()
    made: list[str] = []
    original = getattr(place, name)
    with (
        RawServer(Recorder(OK), context=certificates.server_context(), tolerate=(OSError,)) as server,
        session_with(adapter) as session,
    ):
        session.verify = str(certificates.ca_file)
        url = f"https://localhost:{server.port}/"
        assert session.get(url).text == "ok"
        adapter.close()
        if isinstance(original, type):
            kind: Any = type("Own", (original,), {"__init__": lambda *_, **__: made.append(name)})
            monkeypatch.setattr(place, name, kind)
        else:

            def replacement(*args: Any, **options: Any) -> Any:
                if not options.get("server_side"):
                    made.append(name)
                return original(*args, **options)

            monkeypatch.setattr(place, name, replacement)
        assert session.get(url).text == "ok"
    assert made


# --- what looks on ------------------------------------------------------------------------------------------------------

LOOKING_ON = [
    (Pool, "urlopen"),
    (Pool, "_make_request"),
    (Connection, "request"),
    (Connection, "putheader"),
    (http.client.HTTPConnection, "send"),
    (http.client.HTTPConnection, "putrequest"),
    (http.client.HTTPConnection, "putheader"),
    (http.client.HTTPConnection, "getresponse"),
    (http.client.HTTPResponse, "begin"),
]


@pytest.mark.parametrize(("place", "name"), LOOKING_ON, ids=[f"{p.__module__}.{n}" for p, n in LOOKING_ON])
def test_tracers(
    used: Any, server: RawServer, door: str, monkeypatch: pytest.MonkeyPatch, place: Any, name: str, sent: list[str]
) -> None:
    called = counted(monkeypatch, place, name)
    assert used.get(server.url).text == "ok"
    assert bool(called) == (door != MOUNTED)
    monkeypatch.undo()
    del sent[:]
    assert used.get(server.url).text == "ok"
    assert bool(sent) == (door == "requests")


def test_a_proxy_of_a_function(used: Any, server: RawServer, door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As tracers make them: they say that they are that function, and of its module."""
    called: list[int] = []
    original: Any = Pool.urlopen

    class Wrapper:
        __hash__ = None  # type: ignore[assignment]

        def __getattr__(self, name: str) -> Any:
            return getattr(original, name)

        def __eq__(self, other: object) -> bool:
            return bool(original == other)

        def __get__(self, pool: Any, kind: Any = None) -> Any:
            return self if pool is None else functools.partial(self, pool)

        def __call__(self, *args: Any, **options: Any) -> Any:
            called.append(1)
            return original(*args, **options)

    monkeypatch.setattr(Pool, "urlopen", Wrapper())
    assert used.get(server.url).text == "ok"
    assert bool(called) == (door != MOUNTED)


def test_the_debug_level(
    used: Any, server: RawServer, door: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    used.get_adapter(server.url).close()
    assert used.get(f"{server.url}/x").text == "ok"
    assert ("send: b'GET /x HTTP/1.1" in capsys.readouterr().out) == (door != MOUNTED)


def test_a_tracer_that_was_there_before(server: RawServer) -> None:
    """It began before the engine was imported, and goes on."""
    program = f"""
import http.client
calls = []
def begin(self, *args, original=http.client.HTTPConnection.putrequest, **options):
    calls.append(args)
    return original(self, *args, **options)
original, http.client.HTTPConnection.putrequest = http.client.HTTPConnection.putrequest, begin
import drivetrain.compat, requests
gaps = drivetrain.compat.install("requests").gaps
assert any("http.client.HTTPConnection.putrequest" in gap and "__main__" in gap for _, gap in gaps), gaps
requests.get("{server.url}")
assert len(calls) == 1
http.client.HTTPConnection.putrequest = original
requests.get("{server.url}")
assert len(calls) == 1
"""
    ran = subprocess.run([sys.executable, "-c", program], check=False, timeout=60, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_report_says_who(server: RawServer, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(f"""
import http.client, requests
original = http.client.HTTPConnection.putrequest
http.client.HTTPConnection.putrequest = lambda *args, **options: original(*args, **options)
requests.get("{server.url}")
""")
    command = [sys.executable, "-m", "drivetrain.compat", "run", "--report", str(script)]
    ran = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    assert "1 connections went past the engine" in ran.stderr
    assert "http.client.HTTPConnection.putrequest is replaced, by __main__" in ran.stderr


# --- limits -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1000, float("inf")])
def test_limits_of_heads(used: Any, door: str, monkeypatch: pytest.MonkeyPatch, limit: Any, sent: list[str]) -> None:
    fields = [f"X-{number}: a" for number in range(150)]
    with RawServer(Recorder(answer(b"ok", *fields)), tolerate=(OSError,)) as server:
        with pytest.raises(requests.ConnectionError):
            used.get(server.url)
        monkeypatch.setattr(http.client, "_MAXHEADERS", limit)
        assert len(used.get(server.url).headers) == 151
    assert bool(sent) == (door == "requests")


@pytest.mark.parametrize("proxied", [False, True])
def test_what_urllib3_has_to_send_trusts_nobody_else(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, proxied: bool
) -> None:
    """An adapter's own context counts there too; through a proxy urllib3 has no place for it."""

    class Watching(urllib3.connection.HTTPSConnection):
        def connect(self) -> None:
            contexts.append(self.ssl_context)
            super().connect()

    contexts: list[Any] = []
    context = ssl.create_default_context(cafile=certificates.ca_file)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "")
    with (
        RawServer(Recorder(OK), context=certificates.server_context(), tolerate=(OSError,)) as server,
        ConnectProxy() as proxy,
        session_with(EngineAdapter(ssl_context=context)) as session,
    ):
        url = f"https://localhost:{server.port}"
        proxies = {"https": proxy.url} if proxied else {}
        assert session.get(url, proxies=proxies).text == "ok"
        monkeypatch.setattr(urllib3.connectionpool.HTTPSConnectionPool, "ConnectionCls", Watching)
        if proxied:
            with pytest.raises(requests.exceptions.SSLError, match="without the adapter's ssl_context"):
                session.get(url, proxies=proxies)
        else:
            assert session.get(url).text == "ok"
    assert contexts == [] if proxied else [context]


def test_a_mock_of_send_is_called_as_with_requests(used: requests.Session, server: RawServer) -> None:
    made = requests.Response()
    made.status_code = 299
    with mock.patch("requests.adapters.HTTPAdapter.send", return_value=made) as send:
        assert used.get(server.url, timeout=3).status_code == 299
    (request,), options = send.call_args
    assert (request.url, request.method) == (f"{server.url}/", "GET")
    assert options["timeout"] == 3
    assert used.get(server.url).text == "ok"


def test_a_mock_of_send_that_knows_its_signature_sees_the_adapter(used: requests.Session, server: RawServer) -> None:
    with mock.patch("requests.adapters.HTTPAdapter.send", autospec=True) as send:
        send.return_value = made = requests.Response()
        made.status_code = 299
        assert used.get(server.url).status_code == 299
    adapter, request = send.call_args[0]
    assert adapter is used.get_adapter(server.url)
    assert request.url == f"{server.url}/"
