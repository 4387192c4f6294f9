"""Subclasses that reach for urllib3's pools: the engine does what they are told, to the same effect."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import requests.adapters
import urllib3
import urllib3.connectionpool
import urllib3.exceptions
from requests_toolbelt.adapters.fingerprint import FingerprintAdapter
from requests_toolbelt.adapters.host_header_ssl import HostHeaderSSLAdapter
from requests_toolbelt.adapters.source import SourceAddressAdapter
from urllib3.util import Retry

import drivetrain.compat
from drivetrain.compat.requests_api import EngineAdapter
from tests.compat.requests_api.support import OK, Recorder, answer, session_with
from tests.support.certificates import Certificates
from tests.support.proxies import ConnectProxy, SocksProxy
from tests.support.servers import RawServer


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates.create(tmp_path, ["localhost"])


@pytest.fixture
def secure(certificates: Certificates) -> Iterator[RawServer]:
    with RawServer(Recorder(OK), context=certificates.server_context(), tolerate=(OSError,)) as server:
        yield server


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


def use(adapter: Any, certificates: Certificates, secure: RawServer, host: str = "localhost") -> str:
    """Ask the server; its certificate is for "localhost" only."""
    with session_with(adapter) as session:
        session.verify = str(certificates.ca_file)
        return session.get(f"https://{host}:{secure.port}/x").text


def by_engine(kind: Any, pools: list[str]) -> bool:
    """Whether the engine sent everything; requests' own adapter never does."""
    return kind is EngineAdapter and not pools


# --- the pool of a request ----------------------------------------------------------------------------------------------


def test_a_pool_that_is_only_looked_at(kind: Any, pools: list[str]) -> None:
    seen: list[tuple[str, int, str]] = []

    class Adapter(kind):  # type: ignore[misc]
        def get_connection_with_tls_context(
            self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
        ) -> Any:
            pool = super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
            assert isinstance(pool, urllib3.HTTPConnectionPool)
            seen.append((pool.host, pool.port, pool.scheme))
            return pool

    recorder = Recorder(answer(b"", status="503 Busy"), OK)
    adapter = Adapter(max_retries=Retry(2, status_forcelist=[503]))
    with RawServer(recorder) as server, session_with(adapter) as session:
        response = session.put(f"{server.url}/x?y", data=b"body", timeout=(3, 5))
        assert response.text == "ok"
        assert [entry.status for entry in response.raw.retries.history] == [503]
        with pytest.raises(requests.ConnectionError, match="Max retries exceeded"):
            session.get("http://127.0.0.1:1/")
    assert seen[0] == ("127.0.0.1", server.port, "http")
    assert recorder.lines[0] == "PUT /x?y HTTP/1.1"
    assert by_engine(kind, pools) == (kind is EngineAdapter)


@pytest.mark.parametrize(
    ("name", "value"),
    [("assert_hostname", False), ("assert_hostname", "localhost"), ("ssl_minimum_version", 771), ("num_requests", 7)],
)
def test_a_pool_that_is_told_something(
    kind: Any, pools: list[str], certificates: Certificates, secure: RawServer, name: str, value: Any
) -> None:
    class Adapter(kind):  # type: ignore[misc]
        def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
            pool = super().get_connection_with_tls_context(*args, **options)
            setattr(pool, name, value)
            return pool

    host = "127.0.0.1" if name == "assert_hostname" else "localhost"
    assert use(Adapter(), certificates, secure, host) == "ok"
    assert by_engine(kind, pools) == (kind is EngineAdapter)


def test_a_pool_whose_connections_are_told_something(kind: Any, pools: list[str]) -> None:
    class Adapter(kind):  # type: ignore[misc]
        def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
            pool = super().get_connection_with_tls_context(*args, **options)
            pool.conn_kw["source_address"] = ("127.0.0.5", 0)
            return pool

    peers: list[str] = []

    def handler(connection: Any) -> None:
        peers.append(connection.getpeername()[0])
        Recorder(OK)(connection)

    with RawServer(handler) as server, session_with(Adapter()) as session:
        for _ in range(2):
            assert session.get(server.url, headers={"Connection": "close"}).text == "ok"
    assert set(peers) == {"127.0.0.5"}
    assert by_engine(kind, pools) == (kind is EngineAdapter)


def test_attributes_of_a_pool(kind: Any, pools: list[str], certificates: Certificates, secure: RawServer) -> None:
    """Requests' documented way to a context for each request."""

    class Adapter(kind):  # type: ignore[misc]
        def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
            host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
            context = ssl.create_default_context(cafile=str(certificates.ca_file))
            return host, {**pool, "ssl_context": context, "assert_hostname": "localhost"}

    with session_with(Adapter()) as session:
        assert session.get(f"https://127.0.0.1:{secure.port}/", verify=str(certificates.ca_file)).text == "ok"
    assert by_engine(kind, pools) == (kind is EngineAdapter)


def test_a_send_that_was_copied(kind: Any, pools: list[str]) -> None:
    """Its own target and its own retries are what counts."""

    class Adapter(kind):  # type: ignore[misc]
        def send(self, request: Any, stream: bool = False, *args: Any, **options: Any) -> Any:
            pool = self.get_connection_with_tls_context(request, True)
            raw = pool.urlopen(
                method=request.method,
                url="/mine",
                body=request.body,
                headers=request.headers,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
                retries=Retry(1, status_forcelist=[503]),
                timeout=urllib3.Timeout(5),
            )
            return self.build_response(request, raw)

    recorder = Recorder(answer(b"", status="503 Busy"), OK)
    with RawServer(recorder) as server, session_with(Adapter()) as session:
        assert session.get(f"{server.url}/theirs").text == "ok"
    assert [head.split(b" ")[1] for head in recorder.heads] == [b"/mine"] * 2
    assert by_engine(kind, pools) == (kind is EngineAdapter)


def test_a_patched_class(kind: Any, pools: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    original = requests.adapters.HTTPAdapter.get_connection_with_tls_context
    asked: list[str] = []

    def patched(self: Any, request: Any, *args: Any, **options: Any) -> Any:
        asked.append(request.url)
        return original(self, request, *args, **options)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "get_connection_with_tls_context", patched)
    with RawServer(Recorder(OK)) as server, session_with(kind()) as session:
        assert session.get(server.url).text == "ok"
    assert len(asked) == 1


def test_socks_without_pysocks(monkeypatch: pytest.MonkeyPatch, pools: list[str]) -> None:
    def missing(*args: Any, **options: Any) -> None:
        raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")

    class Adapter(EngineAdapter):
        def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
            pool = super().get_connection_with_tls_context(*args, **options)
            for name, value in told.items():
                setattr(pool, name, value)
            return pool

    told: dict[str, Any] = {}
    monkeypatch.setattr(requests.adapters, "SOCKSProxyManager", missing)
    with RawServer(Recorder(OK)) as server, SocksProxy() as proxy, session_with(Adapter()) as session:
        proxies = {"http": f"socks5h://127.0.0.1:{proxy.port}"}
        assert session.get(f"http://made.up:{server.port}/", proxies=proxies).text == "ok"
        told["ConnectionCls"] = urllib3.connection.HTTPConnection  # which only urllib3 knows, and it knows no way
        with pytest.raises(urllib3.exceptions.LocationValueError, match="only the engine"):
            session.get(f"http://made.up:{server.port}/", proxies=proxies)
    assert proxy.asked == [(5, "made.up", server.port)]
    assert not pools


def test_the_deprecated_hook_is_not_asked(kind: Any, pools: list[str]) -> None:
    class Adapter(kind):  # type: ignore[misc]
        def get_connection(self, *args: Any, **options: Any) -> Any:
            raise AssertionError("requests does not call it any more")

    with RawServer(Recorder(OK)) as server, session_with(Adapter()) as session:
        assert session.get(server.url).text == "ok"
        with pytest.warns(DeprecationWarning, match="get_connection"):
            assert kind().get_connection(server.url).port == server.port
    assert by_engine(kind, pools) == (kind is EngineAdapter)


# --- verification ---------------------------------------------------------------------------------------------------------


def test_a_pinned_certificate_is_enforced(kind: Any, certificates: Certificates, secure: RawServer) -> None:
    pem = certificates.server_file.read_text().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----"
    right = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    for fingerprint in (right, "00" * 32):

        class Adapter(kind):  # type: ignore[misc]
            def cert_verify(self, conn: Any, *args: Any, pin: str = fingerprint) -> None:
                super().cert_verify(conn, *args)
                conn.assert_fingerprint = pin

        if fingerprint == right:
            assert use(Adapter(), certificates, secure) == "ok"
        else:
            with pytest.raises(requests.exceptions.SSLError, match="Fingerprints did not match"):
                use(Adapter(), certificates, secure)


# --- what libraries make of it --------------------------------------------------------------------------------------------


@pytest.fixture(params=[False, True], ids=["plain", "installed"])
def installed(request: pytest.FixtureRequest) -> Iterator[bool]:
    """With the engine installed below requests, classes that were derived from its adapter before are re-based."""
    if request.param:
        drivetrain.compat.install("requests")
    yield request.param
    drivetrain.compat.uninstall()


def test_adapters_of_the_toolbelt(installed: bool, certificates: Certificates, secure: RawServer) -> None:
    pem = certificates.server_file.read_text().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----"
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    assert use(FingerprintAdapter(digest), certificates, secure) == "ok"
    assert use(SourceAddressAdapter("127.0.0.1"), certificates, secure) == "ok"
    with pytest.raises(requests.exceptions.SSLError):
        use(FingerprintAdapter("00" * 32), certificates, secure)
    with session_with(HostHeaderSSLAdapter()) as session:
        url = f"https://127.0.0.1:{secure.port}/"
        options: dict[str, Any] = {"headers": {"Host": "localhost"}, "verify": str(certificates.ca_file)}
        assert isinstance(session.get_adapter(url), EngineAdapter) == installed
        assert session.get(url, **options).text == "ok"


class ForeignContext:
    """As those of pyOpenSSL: it can do what urllib3 asks of contexts, and is none."""

    def __init__(self, context: ssl.SSLContext) -> None:
        vars(self)["_context"] = context

    def __getattr__(self, name: str) -> Any:
        if name == "wrap_bio":
            raise AttributeError(name)
        return getattr(self._context, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._context, name, value)


@pytest.mark.parametrize("by_proxy", [False, True])
def test_a_context_that_is_none(
    kind: Any, pools: list[str], certificates: Certificates, secure: RawServer, by_proxy: bool
) -> None:
    class Adapter(kind):  # type: ignore[misc]
        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, **options, ssl_context=ForeignContext(ssl.create_default_context()))

        def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
            context = ForeignContext(ssl.create_default_context())
            return super().proxy_manager_for(*args, **options, ssl_context=context)

    with ConnectProxy() as proxy, session_with(Adapter()) as session:
        session.verify = str(certificates.ca_file)
        proxies = {"https": proxy.url} if by_proxy else {}
        assert session.get(f"https://localhost:{secure.port}/", proxies=proxies).text == "ok"
    assert pools
