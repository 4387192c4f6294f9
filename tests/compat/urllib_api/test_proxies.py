"""Requests through proxies: with the standard library's handlers and with ours, the same; and what only ours can do."""

from __future__ import annotations

import gc
import re
import socket
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPPasswordMgrWithDefaultRealm, Request

import pytest

from drivetrain.compat import urllib_api
from tests.compat.urllib_api.conftest import Library
from tests.compat.urllib_api.recorder import OK, Recorder, response
from tests.support.certificates import Certificates
from tests.support.h2_server import H2Server
from tests.support.peers import free_ports
from tests.support.proxies import ConnectProxy, SocksProxy
from tests.support.servers import Handler, RawServer, read_head, read_until_eof

BASIC = "Basic bWU6c2VjcmV0"  # me:secret
ProxyHandlers = pytest.mark.parametrize("ProxyHandler", [urllib.request.ProxyHandler, urllib_api.ProxyHandler])


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def secure(recorder: Recorder, certificates: Certificates) -> Iterator[RawServer]:
    with RawServer(recorder, context=certificates.server_context(), tolerate=(OSError,)) as server:
        yield server


@pytest.fixture
def opener_for(library: Library, certificates: Certificates) -> Callable[..., Any]:
    """Makes openers of either library that trust the tests' servers."""

    def make(*handlers: Any) -> Any:
        return library.build_opener(library.HTTPSHandler(context=certificates.client_context()), *handlers)

    return make


def described(error: BaseException) -> tuple[str, str]:
    reason = getattr(error, "reason", error)
    return type(error).__name__, re.sub("0x[0-9a-f]{6,}", "0x", f"{type(reason).__name__}: {reason}")


# -- plain http -----------------------------------------------------------------------------------------------------------


@ProxyHandlers
@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://origin.test/path?q=1#part", "{}"),
        ("http://origin.test:8080", "http://{}/ignored"),
        ("http://origin.test/", "http://me:secret@{}"),
        ("http://origin.test/", "{}"),
        ("http://origin.test/", "m%65:secr%65t@{}"),
        ("ftp://origin.test/file", "http://{}"),
    ],
)
def test_a_forwarded_request(library: Library, ProxyHandler: Any, url: str, address: str) -> None:
    recorder = Recorder()
    with RawServer(recorder) as proxy:
        address = address.format(f"127.0.0.1:{proxy.port}")
        opener = library.build_opener(ProxyHandler({"http": address, "ftp": address}))
        assert opener.open(url).read() == b"ok"
    (request,) = recorder.all
    assert request.lines[0] == f"GET {url} HTTP/1.1"
    assert request.value("host") == url.split("/")[2]
    assert request.value("proxy-authorization") == (BASIC if "@" in address else None)


def test_one_connection_serves_all_origins(recorder: Recorder, no_http_client: None) -> None:
    with RawServer(recorder) as proxy:
        opener = urllib_api.build_opener(urllib_api.ProxyHandler({"http": proxy.url}))
        for host in ("a", "b", "a"):
            assert opener.open(f"http://{host}.test/").read() == b"ok"
        assert proxy.connections == 1


def test_credentials_are_not_redirected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The original sends them to wherever the redirect leads."""
    direct = Recorder()
    with RawServer(direct) as server:
        forwarding = Recorder((response(b"", "302 Found", f"Location: {server.url}/next"),))
        with RawServer(forwarding) as proxy:
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            opener = urllib_api.build_opener(urllib_api.ProxyHandler({"http": proxy.url.replace("//", "//me:secret@")}))
            assert opener.open("http://origin.test/").read() == b"ok"
    assert forwarding.all[0].value("proxy-authorization") == BASIC
    assert direct.all[0].value("proxy-authorization") is None


def test_hosts_that_need_none_whatever_the_environment_says(recorder: Recorder) -> None:
    with RawServer(recorder) as proxy, RawServer(recorder) as direct:
        handler = urllib_api.ProxyHandler({"http": proxy.url}, no_proxy="127.0.0.0/8, .inside.test")
        opener = urllib_api.build_opener(handler)
        for url in (direct.url, "http://outside.test/"):
            opener.open(url, timeout=10).read()
        assert (direct.connections, proxy.connections) == (1, 1)


def test_a_request_that_is_used_again_has_the_credentials_of_each_proxy(recorder: Recorder) -> None:
    request = Request("http://origin.test/")
    with RawServer(recorder) as proxy:
        for user in ("me", "you", None):
            address = proxy.url if user is None else proxy.url.replace("//", f"//{user}:secret@")
            urllib_api.build_opener(urllib_api.ProxyHandler({"http": address})).open(request).read()
    first, second, third = [seen.value("proxy-authorization") for seen in recorder.all]
    assert first == BASIC
    assert second == third == "Basic eW91OnNlY3JldA=="


@ProxyHandlers
@pytest.mark.parametrize("scheme", ["Basic", "Digest"])
def test_a_proxy_that_asks_for_credentials(library: Library, ProxyHandler: Any, scheme: str) -> None:
    challenge = 'Proxy-Authenticate: Basic realm="x"'
    if scheme == "Digest":
        challenge = 'Proxy-Authenticate: Digest realm="x", nonce="abc", qop="auth"'
    recorder = Recorder((response(b"who?", "407 Proxy Authentication Required", challenge), OK))
    manager = HTTPPasswordMgrWithDefaultRealm()
    with RawServer(recorder) as proxy:
        manager.add_password(None, proxy.url, "me", "secret")
        manager.add_password(None, "http://origin.test/", "me", "secret")
        kind = urllib_api.ProxyBasicAuthHandler if scheme == "Basic" else urllib_api.ProxyDigestAuthHandler
        opener = library.build_opener(ProxyHandler({"http": proxy.url}), kind(manager))
        assert opener.open("http://origin.test/path").read() == b"ok"
    first, second = recorder.all
    assert first.value("proxy-authorization") is None
    said = second.value("proxy-authorization") or ""
    assert said.startswith(f"{scheme} ")
    if scheme == "Basic":
        assert said == BASIC
    else:
        assert 'uri="http://origin.test/path"' in said or 'uri="/path"' in said


def test_a_407_without_credentials(library: Library) -> None:
    with ConnectProxy(credentials="me:secret") as proxy:
        opener = library.build_opener(urllib.request.ProxyHandler({"http": proxy.url}))
        with pytest.raises(HTTPError, match="407") as caught:
            opener.open("http://origin.test/")
        with caught.value as refusal:
            assert refusal.read() == b"go away!\n"


# -- tunnels --------------------------------------------------------------------------------------------------------------


@ProxyHandlers
def test_a_tunnel(
    opener_for: Callable[..., Any],
    ProxyHandler: Any,
    secure: RawServer,
    recorder: Recorder,
) -> None:
    with ConnectProxy(credentials="me:secret") as proxy:
        opener = opener_for(ProxyHandler({"https": proxy.url.replace("//", "//me:secret@")}))
        for _ in range(2):
            assert opener.open(f"https://localhost:{secure.port}/path?q").read() == b"ok"
    assert proxy.heads[0].startswith(b"CONNECT localhost:%d HTTP/1." % secure.port)
    assert f"Proxy-Authorization: {BASIC}".encode() in proxy.heads[0]
    assert [request.lines[0] for request in recorder.all] == ["GET /path?q HTTP/1.1"] * 2
    assert [request.value("host") for request in recorder.all] == [f"localhost:{secure.port}"] * 2
    assert [request.value("proxy-authorization") for request in recorder.all] == [None, None]


def test_a_tunnel_is_kept(secure: RawServer, certificates: Certificates, no_http_client: None) -> None:
    with ConnectProxy() as proxy:
        opener = urllib_api.build_opener(
            urllib_api.HTTPSHandler(context=certificates.client_context()),
            urllib_api.ProxyHandler({"https": proxy.url}),
        )
        for _ in range(3):
            assert opener.open(f"https://localhost:{secure.port}/").read() == b"ok"
        assert (proxy.connections, secure.connections) == (1, 1)


@ProxyHandlers
def test_the_scheme_of_the_proxy_of_a_tunnel_says_nothing(
    opener_for: Callable[..., Any],
    ProxyHandler: Any,
    secure: RawServer,
) -> None:
    """Many have https_proxy=https://… and a proxy that speaks no TLS: the original works with that."""
    with ConnectProxy() as proxy:
        opener = opener_for(ProxyHandler({"https": proxy.url.replace("http:", "https:")}))
        assert opener.open(f"https://localhost:{secure.port}/").read() == b"ok"
    assert proxy.heads


@ProxyHandlers
def test_a_proxy_with_tls(
    opener_for: Callable[..., Any],
    ProxyHandler: Any,
    secure: RawServer,
    recorder: Recorder,
) -> None:
    opener = opener_for(ProxyHandler({"http": f"https://localhost:{secure.port}"}))
    assert opener.open("http://origin.test/path").read() == b"ok"
    assert recorder.all[0].lines[0] == "GET http://origin.test/path HTTP/1.1"
    assert recorder.all[0].value("host") == "origin.test"


@ProxyHandlers
def test_credentials_for_the_origin_in_a_tunnel(
    opener_for: Callable[..., Any],
    ProxyHandler: Any,
    certificates: Certificates,
) -> None:
    """Where the request is turned to the proxy twice."""
    recorder = Recorder((response(b"who?", "401 Unauthorized", 'WWW-Authenticate: Basic realm="x"'), OK))
    with (
        RawServer(recorder, context=certificates.server_context(), tolerate=(OSError,)) as server,
        ConnectProxy() as proxy,
    ):
        manager = HTTPPasswordMgrWithDefaultRealm()
        manager.add_password(None, "https://localhost/", "me", "secret")
        manager.add_password(None, f"https://localhost:{server.port}/", "me", "secret")
        manager.add_password(None, proxy.url, "me", "secret")
        manager.add_password(None, f"https://127.0.0.1:{proxy.port}/", "me", "secret")
        opener = opener_for(ProxyHandler({"https": proxy.url}), urllib_api.HTTPBasicAuthHandler(manager))
        assert opener.open(f"https://localhost:{server.port}/path").read() == b"ok"
    assert recorder.all[1].value("authorization") == BASIC


def test_http2_inside_a_tunnel(certificates: Certificates) -> None:
    with H2Server(context=certificates.server_context(["h2"])) as server, ConnectProxy() as proxy:
        opener = urllib_api.build_opener(
            urllib_api.HTTPSHandler(context=certificates.client_context()),
            urllib_api.ProxyHandler({"https": proxy.url}),
        )
        with opener.open(f"https://localhost:{server.port}/x") as answer:
            assert (answer.version, answer.read()) == (20, b"/x")


# -- errors ---------------------------------------------------------------------------------------------------------------


def hanging_up(connection: socket.socket) -> None:
    read_head(connection)


def resetting(connection: socket.socket) -> None:
    read_head(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def refusing(connection: socket.socket) -> None:
    read_head(connection)
    connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")


def talking_nonsense(connection: socket.socket) -> None:
    read_head(connection)
    connection.sendall(b"what?\r\n\r\n")


def silent(connection: socket.socket) -> None:
    read_head(connection)
    read_until_eof(connection)


def errors_of(url: str, proxy: str) -> list[tuple[str, str]]:
    """What either library says."""
    found = []
    for build_opener in (urllib.request.build_opener, urllib_api.build_opener):
        opener = build_opener(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
        with pytest.raises(Exception) as caught:  # which one is what is compared
            opener.open(url, timeout=0.3)
        found.append(described(caught.value))
        if isinstance(caught.value, HTTPError):
            caught.value.close()
        del caught
    gc.collect(1)
    return found


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("handler", [hanging_up, resetting, refusing, silent])
def test_errors(scheme: str, handler: Handler) -> None:
    with RawServer(handler, tolerate=(OSError,)) as proxy:
        theirs, ours = errors_of(f"{scheme}://origin.test/", proxy.url)
    assert ours == theirs
    if handler is refusing and scheme == "https":
        assert ours == ("URLError", "OSError: Tunnel connection failed: 407 Proxy Authentication Required")


def test_nonsense() -> None:
    with RawServer(talking_nonsense, tolerate=(OSError,)) as proxy:
        theirs, ours = errors_of("https://origin.test/", proxy.url)
    assert ours[0] == theirs[0] == "BadStatusLine"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nobody_listens(scheme: str) -> None:
    (port,) = free_ports(1)
    theirs, ours = errors_of(f"{scheme}://origin.test/", f"http://127.0.0.1:{port}")
    assert ours == theirs == ("URLError", "ConnectionRefusedError: [Errno 111] Connection refused")


def test_a_name_that_is_none() -> None:
    theirs, ours = errors_of("http://origin.test/", "http://proxy.invalid:3128")
    assert ours == theirs


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:port", "http:/missing", "http://"])
def test_no_proxy_at_all(proxy: str) -> None:
    theirs, ours = errors_of("http://origin.test/", proxy)
    assert ours[0] == theirs[0]


def test_the_certificate_of_the_origin(secure: RawServer) -> None:
    with ConnectProxy() as proxy:
        theirs, ours = errors_of(f"https://localhost:{secure.port}/", proxy.url)
    assert ours == theirs
    assert ours[1].startswith(ssl.SSLCertVerificationError.__name__)


# -- what only ours can do ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_http_client")
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("key", ["own", "all"])
def test_socks(certificates: Certificates, recorder: Recorder, scheme: str, key: str) -> None:
    context = certificates.server_context() if scheme == "https" else None
    with (
        RawServer(recorder, context=context, tolerate=(OSError,)) as server,
        SocksProxy(credentials=(b"me", b"s/t")) as proxy,
    ):
        address = f"socks5h://me:s%2Ft@127.0.0.1:{proxy.port}"
        opener = urllib_api.build_opener(
            urllib_api.HTTPSHandler(context=certificates.client_context()),
            urllib_api.ProxyHandler({scheme if key == "own" else "all": address}),
        )
        for _ in range(2):
            assert opener.open(f"{scheme}://localhost:{server.port}/path?q#part").read() == b"ok"
    assert proxy.asked == [(5, "localhost", server.port)]
    assert [request.lines[0] for request in recorder.all] == ["GET /path?q HTTP/1.1"] * 2
    assert recorder.all[0].value("host") == f"localhost:{server.port}"
    assert b"roxy" not in recorder.all[0].head


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_socks_and_credentials_for_the_origin(certificates: Certificates, scheme: str) -> None:
    recorder = Recorder((response(b"who?", "401 Unauthorized", 'WWW-Authenticate: Basic realm="x"'), OK))
    context = certificates.server_context() if scheme == "https" else None
    with RawServer(recorder, context=context, tolerate=(OSError,)) as server, SocksProxy() as proxy:
        manager = HTTPPasswordMgrWithDefaultRealm()
        manager.add_password(None, f"{scheme}://localhost:{server.port}/", "me", "secret")
        opener = urllib_api.build_opener(
            urllib_api.HTTPSHandler(context=certificates.client_context()),
            urllib_api.ProxyHandler({"all": f"socks5h://127.0.0.1:{proxy.port}"}),
            urllib_api.HTTPBasicAuthHandler(manager),
        )
        assert opener.open(f"{scheme}://localhost:{server.port}/path").read() == b"ok"
    assert [request.value("authorization") for request in recorder.all] == [None, BASIC]
    assert {request.lines[0] for request in recorder.all} == {"GET /path HTTP/1.1"}


def test_socks_is_never_passed_by() -> None:
    """A handler that knows no SOCKS must not send the request straight to its origin."""
    recorder = Recorder()
    with RawServer(recorder) as server, SocksProxy() as proxy:
        opener = urllib.request.build_opener(urllib_api.ProxyHandler({"http": f"socks5h://127.0.0.1:{proxy.port}"}))
        with pytest.raises(URLError):
            opener.open(f"{server.url}/")
    assert not recorder.all
    assert not proxy.asked


def test_errors_of_socks() -> None:
    (port,) = free_ports(1)
    with SocksProxy(refusals={"origin.test": 5}) as proxy:
        for address, kind in ((f"127.0.0.1:{port}", ConnectionRefusedError), (f"127.0.0.1:{proxy.port}", OSError)):
            opener = urllib_api.build_opener(urllib_api.ProxyHandler({"all": f"socks5h://{address}"}))
            with pytest.raises(URLError, match="refused") as caught:
                opener.open("http://origin.test/")
            assert isinstance(caught.value.reason, kind)


def test_no_proxy(library: Library, monkeypatch: pytest.MonkeyPatch, recorder: Recorder) -> None:
    direct = Recorder((response(b"direct"),))
    with RawServer(recorder) as proxy, RawServer(direct) as server:
        handler = urllib.request.ProxyHandler if library.name == "original" else urllib_api.ProxyHandler
        opener = library.build_opener(handler({"http": proxy.url}))
        assert opener.open(server.url).read() == b"ok"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert opener.open(server.url).read() == b"direct"
        if library.name == "ours":
            opener = library.build_opener(handler({"all": "socks5h://nowhere.invalid"}))
            assert opener.open(server.url).read() == b"direct"


def test_all_proxy_of_the_environment_says_nothing(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(Recorder()) as server:
        monkeypatch.setenv("all_proxy", "socks5h://nowhere.invalid")
        assert library.get(server.url) == b"ok"
