"""What a program puts in the place of what `urllib.request` stands on has its effect, as with the original."""

from __future__ import annotations

import functools
import http.client
import socket
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import URLError

import pytest

import drivetrain.compat
from drivetrain.compat.urllib_api.replaced import is_as_made
from tests.compat.urllib_api.conftest import Library
from tests.compat.urllib_api.recorder import Recorder, response
from tests.support.certificates import Certificates
from tests.support.http_client_watch import http_client_watched
from tests.support.servers import RawServer, read_head

GETADDRINFO = socket.getaddrinfo
Told = list[Any]


def names_of_its_own(told: Told, patched: pytest.MonkeyPatch) -> None:
    def getaddrinfo(host: Any, *rest: Any, **options: Any) -> Any:
        told.append(host)
        return GETADDRINFO("127.0.0.1" if host == "name.test" else host, *rest, **options)

    patched.setattr(socket, "getaddrinfo", getaddrinfo)


def wrapped(told: Told, patched: pytest.MonkeyPatch) -> None:
    @functools.wraps(GETADDRINFO)
    def getaddrinfo(host: Any, *rest: Any, **options: Any) -> Any:
        told.append(host)
        return GETADDRINFO("127.0.0.1", *rest, **options)

    patched.setattr(socket, "getaddrinfo", getaddrinfo)


def another_connection(told: Told, patched: pytest.MonkeyPatch) -> None:
    original = socket.create_connection

    def create_connection(address: Any, *rest: Any, **options: Any) -> Any:
        told.append(address[0])
        return original(("127.0.0.1", address[1]), *rest, **options)

    patched.setattr(socket, "create_connection", create_connection)


def another_socket(told: Told, patched: pytest.MonkeyPatch) -> None:
    class Socket(socket.socket):
        def connect(self, address: Any) -> None:
            told.append("name.test")
            super().connect(("127.0.0.1", address[1]))

    names_of_its_own([], patched)
    patched.setattr(socket, "socket", Socket)


def another_connect(told: Told, patched: pytest.MonkeyPatch) -> None:
    original = http.client.HTTPConnection.connect

    def connect(self: Any) -> None:
        told.append(self.host)
        self.host = "127.0.0.1"
        original(self)

    patched.setattr(http.client.HTTPConnection, "connect", connect)


WAYS: list[Callable[[Told, pytest.MonkeyPatch], None]] = [
    names_of_its_own,
    wrapped,
    another_connection,
    another_socket,
    another_connect,
]


@pytest.mark.parametrize("way", WAYS)
def test_the_way_to_the_server(library: Library, way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: Told = []
    with RawServer(Recorder()) as server, monkeypatch.context() as patched:
        way(told, patched)
        assert library.get(f"http://name.test:{server.port}/") == b"ok"
    assert told == ["name.test"]


@pytest.mark.parametrize("way", WAYS)
def test_below_the_original(way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: Told = []
    with RawServer(Recorder()) as server, drivetrain.compat.installed("urllib"), monkeypatch.context() as patched:
        way(told, patched)
        with urllib.request.urlopen(f"http://name.test:{server.port}/") as answer:
            assert answer.read() == b"ok"
    assert told == ["name.test"]


@pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning"
)  # http.client closes what it is refused when it is collected
def test_a_kept_connection_is_no_way_around_a_guard(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def guard(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no network here")

    with RawServer(Recorder()) as server:
        assert library.get(server.url) == b"ok"
        for holder, name in ((socket, "socket"), (socket.socket, "connect")):
            with monkeypatch.context() as patched:
                patched.setattr(holder, name, guard)
                with pytest.raises(RuntimeError, match="no network here"):
                    library.urlopen(server.url)
        assert library.get(server.url) == b"ok"
        assert server.connections == (1 if library.keeps else 2)


def test_the_version_of_the_request(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    with RawServer(recorder) as server, monkeypatch.context() as patched:
        patched.setattr(http.client.HTTPConnection, "_http_vsn", 10)
        patched.setattr(http.client.HTTPConnection, "_http_vsn_str", "HTTP/1.0")
        assert library.get(server.url) == b"ok"
    assert recorder.all[0].lines[0] == "GET / HTTP/1.0"


def test_reading_that_forgives(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    original = http.client.HTTPResponse.read

    def read(self: Any, *args: Any) -> bytes:
        try:
            return original(self, *args)
        except http.client.IncompleteRead as error:
            return error.partial

    def cut(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

    with RawServer(cut) as server:
        with monkeypatch.context() as patched:
            patched.setattr(http.client.HTTPResponse, "read", read)
            assert library.get(server.url) == b"half"
        with pytest.raises(http.client.IncompleteRead):
            library.get(server.url)


def test_limits_that_are_raised_later(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = [f"X-{number}: y" for number in range(200)]
    with RawServer(Recorder((response(b"ok", "200 OK", *fields),))) as server:
        with pytest.raises(http.client.HTTPException, match="got more than 100 headers"):
            library.get(server.url)
        monkeypatch.setattr(http.client, "_MAXHEADERS", 1000)
        with http_client_watched() as heard:
            assert library.get(f"{server.url}/again") == b"ok"
        assert bool(heard) != library.keeps


class OtherName(ssl.SSLContext):
    """Sends another name than the one that is asked for."""

    def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
        return super().wrap_socket(sock, *args, **{**options, "server_hostname": "other.test"})


class BothWays(OtherName):
    """Knows what it does to all connections."""

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        return super().wrap_bio(*args, **options)


@pytest.fixture
def named(certificates: Certificates) -> Iterator[tuple[RawServer, list[str | None]]]:
    """A server, and the names it was called by."""
    names: list[str | None] = []
    context = certificates.server_context()
    context.sni_callback = lambda _, name, __: names.append(name)
    with RawServer(Recorder(), context=context) as server:
        yield server, names


def other_name(certificates: Certificates, kind: type[ssl.SSLContext] = OtherName) -> ssl.SSLContext:
    context = kind(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(certificates.ca_file)
    return context


def test_a_context_with_sockets_of_its_own(library: Library, certificates: Certificates, named: Any) -> None:
    server, names = named
    context = other_name(certificates)
    assert library.get(f"https://localhost:{server.port}/", context=context) == b"ok"
    assert names == ["other.test"]
    plain = other_name(certificates, ssl.SSLContext)
    plain.wrap_socket = functools.partial(OtherName.wrap_socket, context)  # type: ignore[method-assign, arg-type]
    assert library.get(f"https://localhost:{server.port}/", context=plain) == b"ok"
    assert names == ["other.test"] * 2


def test_a_context_that_is_the_same_for_all(ours: Library, certificates: Certificates, named: Any) -> None:
    server, names = named
    with http_client_watched() as heard:
        assert ours.get(f"https://localhost:{server.port}/", context=other_name(certificates, BothWays)) == b"ok"
    assert (heard, names) == ([], ["localhost"])


def test_what_was_set_on_a_connection(library: Library) -> None:
    recorder = Recorder()

    def make(host: str, **options: Any) -> http.client.HTTPConnection:
        made = http.client.HTTPConnection(host, **options)
        made._http_vsn, made._http_vsn_str = 10, "HTTP/1.0"  # type: ignore[attr-defined]
        return made

    class Handler(library.HTTPHandler):  # type: ignore[name-defined, misc]
        def http_open(self, request: urllib.request.Request) -> Any:
            return self.do_open(make, request)

    with RawServer(recorder) as server:
        assert library.build_opener(Handler()).open(server.url).read() == b"ok"
    assert recorder.all[0].lines[0] == "GET / HTTP/1.0"


@pytest.mark.skipif(not hasattr(urllib.request, "URLopener"), reason="there are none since Python 3.14")
@pytest.mark.filterwarnings("ignore:.*style of invoking requests is deprecated:DeprecationWarning")
def test_old_openers(monkeypatch: pytest.MonkeyPatch) -> None:
    told: Told = []
    recorder = Recorder((response(b"ok", "200 OK", "Connection: close"),))
    with RawServer(recorder) as server, drivetrain.compat.installed("urllib"), monkeypatch.context() as patched:
        names_of_its_own(told, patched)
        opener: Any = urllib.request.URLopener  # type: ignore[attr-defined]
        assert opener().open(f"http://name.test:{server.port}/").read() == b"ok"
    assert told == ["name.test"]


def test_what_greenlets_wait_by_is_no_replacement(monkeypatch: pytest.MonkeyPatch) -> None:
    green = {"__name__": "gevent.socket"}
    exec("def getaddrinfo(*_): ...", green)  # a function of a module of that name
    monkeypatch.setattr(socket, "getaddrinfo", green["getaddrinfo"])
    assert is_as_made(False)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [])
    assert not is_as_made(False)


def test_a_handler_with_a_client_of_its_own_stays_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from_patched: Told = []
    from drivetrain.compat.urllib_api import EngineHandler, build_opener
    from drivetrain.engine import Client

    monkeypatch.setattr(http.client.HTTPConnection, "connect", lambda _: from_patched.append(1))
    with RawServer(Recorder()) as server, Client(proxies=False) as client:
        assert build_opener(EngineHandler(client=client)).open(server.url).read() == b"ok"
        with pytest.raises((URLError, http.client.HTTPException, AttributeError)):
            build_opener().open(server.url, timeout=1)
    assert from_patched == [1]
