"""Requests through proxies: what proxy and origin see is what they see of requests' own adapter, and the engine sends it."""

from __future__ import annotations

import io
import pickle
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import urllib3.connectionpool
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from drivetrain.compat.requests_api import EngineAdapter
from drivetrain.engine import Client
from tests.compat.requests_api.support import OK, Recorder, answer, session_with
from tests.support.certificates import Certificates
from tests.support.h2_server import H2Server
from tests.support.proxies import ConnectProxy, SocksProxy
from tests.support.servers import RawServer

BASIC = "Proxy-Authorization: Basic bWU6c2VjcmV0"  # me:secret


@pytest.fixture
def only_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every request of urllib3's pools an error."""

    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("urllib3 sends")

    monkeypatch.setattr(urllib3.connectionpool.HTTPConnectionPool, "urlopen", refuse)


@pytest.fixture
def exchanges(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The URLs of what the engine sends."""
    sent: list[str] = []
    original = Client.exchange

    def exchange(client: Client, method: str, url: str, *args: Any, **options: Any) -> Any:
        sent.append(url)
        return original(client, method, url, *args, **options)

    monkeypatch.setattr(Client, "exchange", exchange)
    return sent


@pytest.fixture
def origin() -> Recorder:
    return Recorder(OK)


@pytest.fixture
def secure(origin: Recorder, certificates: Certificates) -> Iterator[RawServer]:
    with RawServer(origin, context=certificates.server_context()) as server:
        yield server


@pytest.fixture
def trusting(session: requests.Session, certificates: Certificates) -> requests.Session:
    session.verify = str(certificates.ca_file)
    return session


def heads(kind: type[HTTPAdapter], url: str, make_url: Callable[[str], str], **options: Any) -> list[list[str]]:
    """The request heads that a forwarding proxy gets."""
    recorder = Recorder(OK)
    with RawServer(recorder) as proxy, session_with(kind()) as session:
        assert session.request(url=url, proxies={"http": make_url(proxy.url)}, **options).text == "ok"
    return [head.decode().split("\r\n")[:-2] for head in recorder.heads]


@pytest.mark.parametrize(
    ("url", "make_url", "options"),
    [
        ("http://origin.test/path?q=1#part", str, {}),
        ("http://user:pass@origin.test:8080", str, {}),
        ("http://origin.test/a%20b/ü", lambda url: url.removeprefix("http://"), {}),
        ("http://origin.test/", lambda url: url.replace("//", "//me:secret@"), {}),
        ("http://origin.test/", lambda url: url.replace("//", "//m%40e:s%3Aecret@") + "/ignored?too", {}),
        (
            "http://origin.test/",
            lambda url: url.replace("//", "//me:secret@"),
            {"headers": {"proxy-authorization": "x"}},
        ),
        ("http://origin.test/", str, {"headers": {"Proxy-Authorization": "mine", "Host": "other.test"}}),
        ("http://[::1]:81/x", str, {"method": "POST", "data": b"body"}),
        ("http://origin.test/x", str, {"method": "PUT", "data": iter([b"a", b"b"])}),
    ],
)
def test_a_forwarded_request(url: str, make_url: Callable[[str], str], options: dict[str, Any]) -> None:
    options = {"method": "GET", **options}
    seen = []
    for kind in (HTTPAdapter, EngineAdapter):
        if "data" in options and not isinstance(options["data"], bytes):
            options["data"] = iter([b"a", b"b"])
        ((line, *fields),) = heads(kind, url, make_url, **options)
        # The position of a Host that the program gave, and of the proxy's fields, may differ.
        seen.append((line, sorted(field.partition(":")[0].lower() + field.partition(":")[2] for field in fields)))
    assert seen[0] == seen[1]
    assert " http://" in seen[1][0]


@pytest.mark.usefixtures("only_engine")
def test_one_connection_to_a_proxy_serves_all_origins(engine_session: requests.Session) -> None:
    recorder = Recorder(OK)
    with RawServer(recorder) as proxy:
        for host in ("a.test", "b.test", "a.test"):
            assert engine_session.get(f"http://{host}/", proxies={"http": proxy.url}).text == "ok"
        assert proxy.connections == 1


@pytest.mark.usefixtures("only_engine")
def test_hosts_that_need_none_whatever_a_request_is_given() -> None:
    with RawServer(Recorder(OK)) as proxy, RawServer(Recorder(OK)) as direct, requests.Session() as session:
        session.mount("http://", EngineAdapter(no_proxy="127.0.0.0/8, .inside.test"))
        for url in (direct.url, "http://outside.test/"):
            assert session.get(url, proxies={"http": proxy.url}).text == "ok"
        assert (direct.connections, proxy.connections) == (1, 1)
        copy = pickle.loads(pickle.dumps(session.adapters["http://"]))
        assert copy.no_proxy.matches("www.inside.test", 80)


def test_a_tunnel(trusting: requests.Session, secure: RawServer, origin: Recorder) -> None:
    with ConnectProxy(credentials="me:secret") as proxy:
        proxies = {"https": proxy.url.replace("//", "//me:secret@")}
        for _ in range(2):
            response = trusting.get(f"https://localhost:{secure.port}/path", proxies=proxies)
            assert response.text == "ok"
    (head,) = proxy.heads
    assert head.split(b"\r\n")[0].startswith(b"CONNECT localhost:%d HTTP/1." % secure.port)
    assert BASIC.encode() in head
    assert b"User-Agent" not in head
    assert [head.split(b"\r\n")[0] for head in origin.heads] == [b"GET /path HTTP/1.1"] * 2
    assert b"roxy" not in origin.heads[0] + origin.heads[1]


@pytest.mark.usefixtures("only_engine")
def test_credentials_for_a_proxy_stay_away_from_the_origin(
    engine_session: requests.Session, secure: RawServer, origin: Recorder, certificates: Certificates
) -> None:
    with ConnectProxy() as proxy:
        headers = {"Proxy-Authorization": "mine"}
        url = f"https://localhost:{secure.port}/"
        verify = str(certificates.ca_file)
        assert engine_session.get(url, headers=headers, proxies={"all": proxy.url}, verify=verify).text == "ok"
    assert b"mine" not in proxy.heads[0] + origin.heads[0]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_with_tls(trusting: requests.Session, certificates: Certificates, scheme: str) -> None:
    """For http requests verifies nothing, and warns; we verify."""
    recorder = Recorder(OK)
    context = certificates.server_context() if scheme == "https" else None
    with (
        RawServer(recorder, context=context) as server,
        ConnectProxy(context=certificates.server_context()) as proxy,
    ):
        if scheme == "http" and not isinstance(trusting.adapters["http://"], EngineAdapter):
            with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
                response = trusting.get(f"http://localhost:{server.port}/", proxies={"all": proxy.url})
        else:
            response = trusting.get(f"{scheme}://localhost:{server.port}/", proxies={"all": proxy.url})
        assert response.text == "ok"
    assert proxy.heads
    assert recorder.heads


@pytest.mark.usefixtures("only_engine")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_with_tls_that_is_not_to_be_verified(
    engine_session: requests.Session, certificates: Certificates, scheme: str
) -> None:
    context = certificates.server_context() if scheme == "https" else None
    with (
        RawServer(Recorder(OK), context=context) as server,
        ConnectProxy(context=certificates.server_context()) as proxy,
    ):
        url = f"{scheme}://localhost:{server.port}/"
        with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
            response = engine_session.get(url, proxies={"all": proxy.url}, verify=False)
        assert response.text == "ok"


@pytest.mark.usefixtures("only_engine")
def test_trust_in_a_proxy_is_not_shared(engine_session: requests.Session, certificates: Certificates) -> None:
    with ConnectProxy(context=certificates.server_context()) as proxy, RawServer(Recorder(OK)) as server:
        verify = str(certificates.ca_file)
        assert engine_session.get(server.url, proxies={"all": proxy.url}, verify=verify).text == "ok"
        with pytest.raises(requests.exceptions.ProxyError, match="CERTIFICATE_VERIFY_FAILED"):
            engine_session.get(server.url, proxies={"all": proxy.url})


@pytest.mark.parametrize("asks", ["proxy", "origin"])
def test_a_client_certificate_is_for_the_origin(
    trusting: requests.Session, certificates: Certificates, asks: str
) -> None:
    contexts = [certificates.server_context(ask_client=asks == who) for who in ("proxy", "origin")]
    contexts[0].maximum_version = ssl.TLSVersion.TLSv1_2  # so that a refusal belongs to the handshake
    with RawServer(Recorder(OK), context=contexts[1]) as server, ConnectProxy(context=contexts[0]) as proxy:
        options: dict[str, Any] = {"proxies": {"all": proxy.url}, "cert": str(certificates.client_file)}
        url = f"https://localhost:{server.port}/"
        if asks == "origin":
            assert trusting.get(url, **options).text == "ok"
        else:
            with pytest.raises(requests.exceptions.ProxyError):
                trusting.get(url, **options)


@pytest.mark.usefixtures("only_engine")
def test_a_context_for_the_proxy(certificates: Certificates, secure: RawServer) -> None:
    with (
        ConnectProxy(context=certificates.server_context(ask_client=True)) as proxy,
        session_with(EngineAdapter(proxy_ssl_context=_client_context(certificates))) as session,
    ):
        url = f"https://localhost:{secure.port}/"
        assert session.get(url, proxies={"all": proxy.url}, verify=str(certificates.ca_file)).text == "ok"


def _client_context(certificates: Certificates) -> ssl.SSLContext:
    context = certificates.client_context()
    context.load_cert_chain(certificates.client_file)
    return context


@pytest.mark.usefixtures("only_engine")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_http2_inside_a_tunnel(certificates: Certificates, scheme: str) -> None:
    context = certificates.server_context() if scheme == "https" else None
    with (
        H2Server(context=certificates.server_context(["h2"])) as server,
        ConnectProxy(context=context) as proxy,
        session_with(EngineAdapter()) as session,
    ):
        verify = str(certificates.ca_file)
        response = session.get(f"https://localhost:{server.port}/x", proxies={"all": proxy.url}, verify=verify)
        assert (response.text, response.raw.version) == ("/x", 20)
    assert len(proxy.heads) == 1


# -- SOCKS ---------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("only_engine")
@pytest.mark.parametrize(
    ("scheme", "asked"),
    [
        ("socks5h", (5, "localhost")),
        ("socks5", (5, "127.0.0.1")),
        ("socks4", (4, "127.0.0.1")),
        ("socks4a", (4, "localhost")),
        ("socks", (5, "localhost")),
    ],
)
def test_socks(certificates: Certificates, scheme: str, asked: tuple[int, str]) -> None:
    recorder = Recorder(OK)
    with (
        RawServer(recorder, context=certificates.server_context()) as server,
        SocksProxy() as proxy,
        session_with(EngineAdapter(resolver={"localhost": "127.0.0.1"})) as session,
    ):
        url = f"https://localhost:{server.port}/path"
        proxies = {"https": f"{scheme}://me@127.0.0.1:{proxy.port}"}
        assert session.get(url, proxies=proxies, verify=str(certificates.ca_file)).text == "ok"
    assert proxy.asked == [(*asked, server.port)]
    assert recorder.lines[0] == "GET /path HTTP/1.1"


@pytest.mark.usefixtures("only_engine")
def test_socks_with_credentials(engine_session: requests.Session) -> None:
    recorder = Recorder(OK)
    with RawServer(recorder) as server, SocksProxy(credentials=(b"m@e", b"s/t")) as proxy:
        proxies = {"http": f"socks5h://m%40e:s%2Ft@127.0.0.1:{proxy.port}"}
        assert engine_session.get(f"http://made.up:{server.port}/path", proxies=proxies).text == "ok"
    assert proxy.users == [(b"m@e", b"s/t")]
    assert recorder.lines[:1] == ["GET /path HTTP/1.1"]
    assert b"roxy" not in recorder.heads[0]


# -- what subclasses do ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_headers(kind: Any, secure: RawServer, certificates: Certificates, scheme: str) -> None:
    class Adapter(kind):  # type: ignore[misc]
        asked: list[str] = []  # noqa: RUF012

        def proxy_headers(self, proxy: str) -> dict[str, str]:
            self.asked.append(proxy)
            return {**super().proxy_headers(proxy), "User-Agent": "for the proxy", "X-Session": "7"}

    plain = Recorder(OK)
    with RawServer(plain) as server, ConnectProxy() as proxy, session_with(Adapter()) as session:
        session.verify = str(certificates.ca_file)
        proxies = {"all": proxy.url.replace("//", "//me:secret@")}
        url = f"https://localhost:{secure.port}/" if scheme == "https" else server.url
        for _ in range(2):
            assert session.get(url, proxies=proxies).text == "ok"
    assert Adapter.asked == [proxies["all"]]
    lines = proxy.heads[0].decode().split("\r\n")
    assert {BASIC, "User-Agent: for the proxy", "X-Session: 7"} <= set(lines)
    assert len([line for line in lines if line.lower().startswith("user-agent")]) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_request_url(kind: Any, secure: RawServer, origin: Recorder, certificates: Certificates, scheme: str) -> None:
    class Adapter(kind):  # type: ignore[misc]
        def request_url(self, request: Any, proxies: Any) -> str:
            return str(super().request_url(request, proxies)) + "?signed"

    plain = Recorder(OK)
    with RawServer(plain) as forwarding, ConnectProxy() as tunnelling, session_with(Adapter()) as session:
        session.verify = str(certificates.ca_file)
        proxies = {"http": forwarding.url, "https": tunnelling.url}
        url = f"https://localhost:{secure.port}/x" if scheme == "https" else "http://origin.test/x"
        assert session.get(url, proxies=proxies).text == "ok"
    line = (origin if scheme == "https" else plain).lines[0]
    assert line == ("GET /x?signed HTTP/1.1" if scheme == "https" else "GET http://origin.test/x?signed HTTP/1.1")


@pytest.mark.parametrize("says", ["context", "known"])
def test_a_manager_that_was_told_what_the_engine_does(
    kind: Any, secure: RawServer, certificates: Certificates, exchanges: list[str], says: str
) -> None:
    class Adapter(kind):  # type: ignore[misc]
        if says == "context":

            def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
                context = ssl.create_default_context(cafile=str(certificates.ca_file))
                return super().proxy_manager_for(*args, ssl_context=context, **options)

    with ConnectProxy(credentials="me:secret", context=certificates.server_context()) as proxy:
        adapter = Adapter()
        address = proxy.url.replace("//", "//me:secret@")
        if says == "known":
            adapter.proxy_manager_for(address, proxy_ssl_context=certificates.client_context())
        with session_with(adapter) as session:
            session.verify = str(certificates.ca_file)
            assert session.get(f"https://localhost:{secure.port}/", proxies={"all": address}).text == "ok"
    assert len(exchanges) == (kind is EngineAdapter)


@pytest.mark.parametrize("settings", [{"source_address": ("127.0.0.1", 0)}, {"proxy_assert_hostname": "proxy.test"}])
def test_a_manager_that_was_told_more(kind: Any, exchanges: list[str], settings: dict[str, Any]) -> None:
    class Adapter(kind):  # type: ignore[misc]
        def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
            return super().proxy_manager_for(*args, **settings, **options)

    recorder = Recorder(OK)
    with RawServer(recorder) as proxy, session_with(Adapter()) as session:
        assert session.get("http://origin.test/", proxies={"http": proxy.url}).text == "ok"
        assert recorder.lines[0] == "GET http://origin.test/ HTTP/1.1"
    assert bool(exchanges) == (kind is EngineAdapter)


# -- sessions -------------------------------------------------------------------------------------------------------------


def test_the_environment(session: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(OK)
    with RawServer(recorder) as proxy, RawServer(Recorder(answer(b"direct"))) as server:
        monkeypatch.setenv("all_proxy", proxy.url)
        assert session.get("http://origin.test/").text == "ok"
        monkeypatch.setenv("no_proxy", "origin.test,127.0.0.0/8")
        assert session.get(f"{server.url}/").text == "direct"
        session.trust_env = False
        monkeypatch.delenv("no_proxy")
        assert session.get(f"{server.url}/").text == "direct"


def test_no_proxy_of_a_request(session: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(Recorder(OK)) as proxy, RawServer(Recorder(answer(b"direct"))) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert session.get(f"{server.url}/").text == "ok"
        assert session.get(f"{server.url}/", proxies={"no_proxy": "127.0.0.1"}).text == "direct"


def test_a_proxy_for_one_host(session: requests.Session) -> None:
    with RawServer(Recorder(OK)) as proxy, RawServer(Recorder(answer(b"direct"))) as server:
        proxies = {"http://origin.test": proxy.url}
        assert session.get("http://origin.test/", proxies=proxies).text == "ok"
        assert session.get(f"{server.url}/", proxies=proxies).text == "direct"


def test_a_redirect(session: requests.Session) -> None:
    recorder = Recorder(answer(b"", "Location: http://other.test/next", status="302 Found"), OK)
    with RawServer(recorder) as proxy:
        session.proxies = {"http": proxy.url.replace("//", "//me:secret@")}
        assert session.get("http://origin.test/").text == "ok"
    assert [head.split(b"\r\n")[0] for head in recorder.heads] == [
        b"GET http://origin.test/ HTTP/1.1",
        b"GET http://other.test/next HTTP/1.1",
    ]
    assert [head.count(BASIC.encode()) for head in recorder.heads] == [1, 1]


def test_retries_by_status_through_a_proxy(session: requests.Session) -> None:
    recorder = Recorder(answer(b"", status="503 Busy"), answer(b"", "Retry-After: 0", status="429 Slow"), OK)
    retries = Retry(total=3, status_forcelist=[503], backoff_factor=0)
    session.adapters["http://"].max_retries = retries
    with RawServer(recorder) as proxy:
        response = session.get("http://origin.test/x", proxies={"http": proxy.url})
    assert response.text == "ok"
    assert [entry.status for entry in response.raw.retries.history] == [503, 429]
    assert [entry.url for entry in response.raw.retries.history] == ["http://origin.test/x"] * 2


def test_a_407_of_a_forwarding_proxy_is_an_answer(session: requests.Session) -> None:
    with ConnectProxy(credentials="me:secret") as proxy:
        response = session.get("http://origin.test/", proxies={"http": proxy.url})
    assert (response.status_code, response.content) == (407, b"go away!\n")


def test_the_connection_of_a_body_that_breaks(session: requests.Session) -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"

    def handler(connection: Any) -> None:
        connection.recv(65536)
        connection.sendall(cut)

    with RawServer(handler) as proxy, pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        session.get("http://origin.test/", proxies={"http": proxy.url})


def test_uploads(trusting: requests.Session, secure: RawServer, origin: Recorder) -> None:
    with ConnectProxy() as proxy:
        url = f"https://localhost:{secure.port}/"
        for data in (io.BytesIO(b"file"), iter([b"in ", b"pieces"]), {"a": "b"}):
            assert trusting.post(url, data=data, proxies={"all": proxy.url}).text == "ok"  # type: ignore[arg-type]
    assert origin.bodies == [b"file", b"in pieces", b"a=b"]


@pytest.mark.usefixtures("only_engine")
def test_a_unix_socket_needs_no_proxy(short_tmp_path: Any) -> None:
    path = str(short_tmp_path / "s")
    recorder = Recorder(OK)
    with RawServer(recorder, path=path), session_with(EngineAdapter(unix_socket=path)) as session:
        assert session.get("http://origin.test/x", proxies={"all": "http://proxy.invalid"}).text == "ok"
    assert recorder.lines[0] == "GET /x HTTP/1.1"
