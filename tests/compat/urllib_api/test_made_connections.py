"""Handlers that make connections themselves: the engine stands in for those of http.client, and for no others."""

from __future__ import annotations

import functools
import http.client
import socket
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import URLError
from urllib.request import Request

import pytest

from drivetrain.compat import urllib_api
from drivetrain.compat.urllib_api.made_connections import Plan, plan_of
from tests.compat.urllib_api.conftest import Library
from tests.compat.urllib_api.recorder import Recorder, response
from tests.support.certificates import Certificates
from tests.support.http_client_watch import http_client_watched
from tests.support.servers import RawServer, read_head


def opener_with(library: Library, make: Callable[..., Any], **options: Any) -> urllib.request.OpenerDirector:
    """An opener whose handlers give `do_open` a function."""

    class Plain(library.HTTPHandler):  # type: ignore[name-defined, misc]
        def http_open(self, request: Request) -> Any:
            return self.do_open(make, request, **options)

    class Secure(library.HTTPSHandler):  # type: ignore[name-defined, misc]
        def https_open(self, request: Request) -> Any:
            return self.do_open(make, request, **options)

    opener: urllib.request.OpenerDirector = library.build_opener(Plain(), Secure())
    return opener


@pytest.fixture
def watched() -> Iterator[list[str]]:
    """Connections of http.client; ours must not make any."""
    with http_client_watched() as heard:
        yield heard


def test_a_function_that_makes_one(library: Library, watched: list[str]) -> None:
    seen: list[tuple[Any, ...]] = []

    def make(host: str, **options: Any) -> http.client.HTTPConnection:
        seen.append((host, options))
        return http.client.HTTPConnection(host, timeout=options["timeout"])

    with RawServer(Recorder()) as server:
        opener = opener_with(library, make)
        assert [opener.open(server.url, timeout=5).read() for _ in range(2)] == [b"ok", b"ok"]
        assert seen == [(f"127.0.0.1:{server.port}", {"timeout": 5})] * 2
        assert (server.connections, bool(watched)) == ((1, False) if library.keeps else (2, True))


def test_one_that_leads_elsewhere(library: Library) -> None:
    recorder = Recorder()
    with RawServer(recorder) as server:
        opener = opener_with(library, lambda _, **__: http.client.HTTPConnection("127.0.0.1", server.port))
        answer = opener.open("http://elsewhere.test/x")
        assert (answer.read(), answer.url) == (b"ok", "http://elsewhere.test/x")
    assert "Host: elsewhere.test" in recorder.all[0].lines
    assert recorder.all[0].lines[0] == "GET /x HTTP/1.1"


def test_a_client_certificate(library: Library, certificates: Certificates, watched: list[str]) -> None:
    context = certificates.client_context()
    context.load_cert_chain(certificates.client_file)

    def make(host: str, timeout: Any) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(host, timeout=timeout, context=context)

    with RawServer(Recorder(), context=certificates.server_context(ask_client=True)) as server:
        assert opener_with(library, make).open(server.url).read() == b"ok"
    assert bool(watched) == (not library.keeps)


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.filterwarnings("ignore:key_file, cert_file and check_hostname are deprecated:DeprecationWarning")
def test_arguments(library: Library, check: bool, tmp_path: Any, watched: list[str]) -> None:
    certificates = Certificates.create(tmp_path, ["elsewhere.test"])

    def make(host: str, timeout: Any, check: bool) -> http.client.HTTPSConnection:
        context = certificates.client_context()
        context.check_hostname = check
        return http.client.HTTPSConnection(host, timeout=timeout, context=context)

    with RawServer(Recorder(), context=certificates.server_context()) as server:
        opener = opener_with(library, make, check=check)
        if check:
            with pytest.raises(URLError, match="certificate verify failed") as caught:
                opener.open(server.url)
            assert isinstance(caught.value.reason, ssl.SSLCertVerificationError)
        else:
            assert opener.open(server.url).read() == b"ok"
    assert bool(watched) == (not library.keeps)


def test_its_time_limit(library: Library) -> None:
    with RawServer(lambda connection: (read_head(connection), connection.recv(1))) as server:
        opener = opener_with(library, lambda host, **_: http.client.HTTPConnection(host, timeout=0.05))
        with pytest.raises(TimeoutError):
            opener.open(server.url, timeout=60)


def test_a_class_of_its_own_is_used(library: Library) -> None:
    class Own(http.client.HTTPConnection):
        def connect(self) -> None:
            self.sock = socket.create_connection((self.host, self.port), 5)
            told.append("connected")

    told: list[str] = []
    with RawServer(Recorder((response(b"ok"),))) as server:
        assert opener_with(library, Own).open(server.url).read() == b"ok"
        assert opener_with(library, functools.partial(Own, blocksize=100)).open(server.url).read() == b"ok"
    assert told == ["connected"] * 2


def changed(name: str, value: object) -> http.client.HTTPConnection:
    made = http.client.HTTPConnection("127.0.0.1", 80)
    setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    "made",
    [
        object(),
        http.client.HTTPConnection("127.0.0.1", source_address=("127.0.0.1", 0)),
        changed("connect", print),
        changed("sock", object()),
        changed("_create_connection", print),
        changed("_tunnel_host", "origin.test"),
        changed("max_response_headers", 1000),
    ],
    ids=lambda made: type(made).__name__,
)
def test_what_only_itself_can_do(made: Any) -> None:
    assert plan_of(made) is None
    if hasattr(made, "sock"):
        made.sock = None


def test_plans() -> None:
    assert plan_of(http.client.HTTPConnection("[::1]:81", timeout=3)) == Plan("[::1]:81", False, None, 3)
    context = ssl.create_default_context()
    found = plan_of(http.client.HTTPSConnection("a.test", context=context))
    assert found is not None
    assert found[:3] == ("a.test:443", True, context)


def test_through_a_proxy(library: Library, watched: list[str]) -> None:
    recorder = Recorder()
    with RawServer(recorder) as server:
        opener = opener_with(library, http.client.HTTPConnection)
        request = Request("http://origin.test/x")
        request.set_proxy(f"127.0.0.1:{server.port}", "http")
        assert opener.open(request).read() == b"ok"
    assert recorder.all[0].lines[0] == "GET http://origin.test/x HTTP/1.1"


def test_no_host(library: Library) -> None:
    with pytest.raises(URLError, match="no host given"):
        opener_with(library, http.client.HTTPConnection).open("http:///x")


def test_ours_are_still_the_originals_handlers() -> None:
    assert issubclass(urllib_api.HTTPSHandler, urllib.request.HTTPSHandler)
