"""The adapters of requests and urllib through tinyproxy and microsocks, to nginx: the engine sends, http.client never."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPPasswordMgrWithDefaultRealm

import pytest
import requests
from requests.adapters import HTTPAdapter

from drivetrain.compat import urllib_api
from drivetrain.compat.requests_api import EngineAdapter
from tests.support.certificates import Certificates
from tests.support.http_client_watch import http_client_refused
from tests.support.peers import Nginx
from tests.support.proxy_peers import Microsocks, Tinyproxy

pytestmark = pytest.mark.peers

CONTENT = bytes(range(256)) * 1000
USER, PASSWORD = "me", "secret"
SCHEMES = pytest.mark.parametrize("scheme", ["http", "https"])


@pytest.fixture(scope="module")
def site(nginx: Nginx) -> Nginx:
    (nginx.files / "adapted").write_bytes(CONTENT)
    return nginx


@pytest.fixture(scope="module")
def tinyproxy(tmp_path_factory: pytest.TempPathFactory, site: Nginx) -> Iterator[Tinyproxy]:
    with Tinyproxy(tmp_path_factory.mktemp("tinyproxy"), site.tls_port) as peer:
        yield peer


@pytest.fixture(scope="module")
def strict_tinyproxy(tmp_path_factory: pytest.TempPathFactory, site: Nginx) -> Iterator[Tinyproxy]:
    with Tinyproxy(tmp_path_factory.mktemp("tinyproxy"), site.tls_port, (USER, PASSWORD)) as peer:
        yield peer


@pytest.fixture(scope="module")
def microsocks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Microsocks]:
    with Microsocks(tmp_path_factory.mktemp("microsocks")) as peer:
        yield peer


@pytest.fixture(scope="module")
def strict_microsocks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Microsocks]:
    with Microsocks(tmp_path_factory.mktemp("microsocks"), (USER, PASSWORD)) as peer:
        yield peer


@pytest.fixture
def only_engine() -> Iterator[None]:
    with http_client_refused():
        yield
    urllib_api.close_connections()


@pytest.fixture
def session(certificates: Certificates) -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.mount("http://", EngineAdapter())
        made.mount("https://", EngineAdapter())
        made.verify = str(certificates.ca_file)
        yield made


@pytest.fixture
def trust(certificates: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificates.ca_file))


def url_of(site: Nginx, scheme: str) -> str:
    return f"{site.url if scheme == 'http' else site.tls_url}/adapted"


def proxy_of(peer: Any, scheme: str, credentials: str = f"{USER}:{PASSWORD}@") -> str:
    return f"{scheme}://{credentials}127.0.0.1:{peer.port}"


@pytest.mark.usefixtures("only_engine")
@SCHEMES
@pytest.mark.parametrize("peer", ["tinyproxy", "strict_tinyproxy", "microsocks", "strict_microsocks"])
def test_both_adapters(
    request: pytest.FixtureRequest, session: requests.Session, trust: Any, site: Nginx, scheme: str, peer: str
) -> None:
    found = request.getfixturevalue(peer)
    address = proxy_of(
        found, "socks5h" if "socks" in peer else "http", f"{USER}:{PASSWORD}@" if "strict" in peer else ""
    )
    for _ in range(2):
        response = session.get(url_of(site, scheme), proxies={scheme: address})
        assert (response.status_code, response.content) == (200, CONTENT)
    opener = urllib_api.build_opener(urllib_api.ProxyHandler({scheme: address}), urllib_api.HTTPSHandler(context=trust))
    for _ in range(2):
        with opener.open(url_of(site, scheme), timeout=20) as answer:
            assert answer.read() == CONTENT


@pytest.mark.usefixtures("only_engine")
@SCHEMES
@pytest.mark.parametrize("version", ["socks5", "socks5h"])
def test_the_resolving_of_socks(
    session: requests.Session, microsocks: Microsocks, site: Nginx, scheme: str, version: str
) -> None:
    url = url_of(site, scheme).replace("127.0.0.1", "localhost")
    assert session.get(url, proxies={"all": proxy_of(microsocks, version, "")}).content == CONTENT


def test_what_tinyproxy_says_of_missing_credentials(
    session: requests.Session, strict_tinyproxy: Tinyproxy, site: Nginx, certificates: Certificates
) -> None:
    """The same with requests' own adapter."""
    proxies = {"all": proxy_of(strict_tinyproxy, "http", "")}
    texts = []
    with requests.Session() as original:
        original.mount("https://", HTTPAdapter())
        original.verify = str(certificates.ca_file)
        for each in (original, session):
            assert each.get(url_of(site, "http"), proxies=proxies).status_code == 407
            with pytest.raises(requests.exceptions.ProxyError, match="Tunnel connection failed: 407 ") as caught:
                each.get(url_of(site, "https"), proxies=proxies)
            texts.append(str(caught.value))
    assert texts[0] == texts[1]


def test_a_port_that_tinyproxy_does_not_connect_to(session: requests.Session, tinyproxy: Tinyproxy) -> None:
    with pytest.raises(requests.exceptions.ProxyError, match="Tunnel connection failed: 403 "):
        session.get("https://localhost:9/", proxies={"all": proxy_of(tinyproxy, "http", "")})


def test_what_microsocks_says(
    session: requests.Session, microsocks: Microsocks, strict_microsocks: Microsocks, site: Nginx
) -> None:
    with pytest.raises(requests.exceptions.ConnectionError, match="0x05: Connection refused"):
        session.get("http://127.0.0.1:9/", proxies={"all": proxy_of(microsocks, "socks5h", "")})
    for credentials in ("", f"{USER}:wrong@"):
        with pytest.raises(requests.exceptions.ConnectionError, match="SOCKS proxy"):
            session.get(site.url, proxies={"all": proxy_of(strict_microsocks, "socks5h", credentials)})


@pytest.mark.usefixtures("only_engine")
def test_urllib_answers_tinyproxy(strict_tinyproxy: Tinyproxy, site: Nginx) -> None:
    address = proxy_of(strict_tinyproxy, "http", "")
    bare = urllib_api.build_opener(urllib_api.ProxyHandler({"http": address, "https": address}))
    with pytest.raises(HTTPError, match="407") as caught:
        bare.open(url_of(site, "http"), timeout=20)
    caught.value.close()
    with pytest.raises(URLError, match="Tunnel connection failed: 407 "):
        bare.open(url_of(site, "https"), timeout=20)
    manager = HTTPPasswordMgrWithDefaultRealm()
    manager.add_password(None, address, USER, PASSWORD)
    opener = urllib_api.build_opener(
        urllib_api.ProxyHandler({"http": address}), urllib_api.ProxyBasicAuthHandler(manager)
    )
    with opener.open(url_of(site, "http"), timeout=20) as answer:
        assert answer.read() == CONTENT


@pytest.mark.usefixtures("only_engine")
def test_the_environment(
    session: requests.Session, monkeypatch: pytest.MonkeyPatch, strict_tinyproxy: Tinyproxy, site: Nginx
) -> None:
    monkeypatch.setenv("http_proxy", proxy_of(strict_tinyproxy, "http"))
    assert session.get(url_of(site, "http")).content == CONTENT
    with urllib_api.build_opener().open(url_of(site, "http"), timeout=20) as answer:
        assert answer.read() == CONTENT
        assert "tinyproxy" in (answer.headers["Via"] or "")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert "Via" not in session.get(url_of(site, "http")).headers
