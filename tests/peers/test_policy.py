"""The native client as a user agent against other people's programs: nginx, tinyproxy, squid, microsocks, Dante."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import brotli
import pytest

from drivetrain.engine import DigestAuth
from drivetrain.engine.errors import CertificateError, ProxyError, SocksError
from tests.faces.colours import COLOURS, Clients
from tests.support.certificates import Certificates
from tests.support.peers import Nginx
from tests.support.proxy_peers import Dante, Microsocks, Squid, Tinyproxy

pytestmark = pytest.mark.peers

TEXT = b"again and again " * 4000
NAMES = {"localhost": "127.0.0.1"}
LOCATIONS = """
location = /in { add_header Set-Cookie "a=1; Path=/; Secure"; add_header Set-Cookie "b=2; Path=/cookie";
                 add_header Strict-Transport-Security "max-age=1000; includeSubDomains"; return 200 in; }
location = /cookie { return 200 "$http_cookie"; }
location = /who { return 200 "$scheme $server_protocol $http_authorization|$http_proxy_authorization|$http_via"; }
location = /302 { return 302 /who; }
location = /to-clear { return 301 http://localhost:$port/who; }
location = /to-secure { return 308 https://localhost:$tls_port/who; }
location = /for-ever { return 302 /for-ever; }
location /members { auth_basic "members"; auth_basic_user_file $folder/users; try_files /text =404; }
location /text { default_type text/html; gzip on; gzip_min_length 1; gzip_http_version 1.0; }
location /coded { rewrite ^/coded/(.*)$$ /$$1.br break; add_header Content-Encoding br; default_type text/html; }
location /small { client_max_body_size 10k; dav_methods PUT; create_full_put_path on; }
"""


@pytest.fixture(params=COLOURS)
def clients(request: pytest.FixtureRequest) -> Iterator[Clients]:
    made = Clients(request.param)
    yield made
    made.close()


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Nginx]:
    folder = tmp_path_factory.mktemp("policy")
    # What nginx itself calls $name must survive the template.
    names = ("http_cookie", "scheme", "server_protocol", "http_authorization", "http_proxy_authorization", "http_via")
    locations = LOCATIONS
    for name in names:
        locations = locations.replace(f"${name}", f"$${name}")
    (folder / "users").write_text("me:{PLAIN}secret\n")
    with Nginx(folder, certificates, locations=locations) as nginx:
        (nginx.files / "text").write_bytes(TEXT)
        (nginx.files / "text.br").write_bytes(brotli.compress(TEXT))
        yield nginx


@pytest.fixture(params=["http", "https", "h2"])
def url(request: pytest.FixtureRequest, origin: Nginx) -> str:
    port = {"http": origin.port, "https": origin.tls_port, "h2": origin.h2_port}[request.param]
    return f"{'http' if request.param == 'http' else 'https'}://localhost:{port}"


def make(clients: Clients, certificates: Certificates, **options: Any) -> Any:
    return clients(**{"verify": certificates.ca_file, "resolver": NAMES, "proxies": False, **options})


class TestNginx:
    def test_cookies(self, clients: Clients, certificates: Certificates, origin: Nginx) -> None:
        client = make(clients, certificates, hsts=False)
        secure = f"https://localhost:{origin.h2_port}"
        client.get(secure + "/in")
        assert client.get(secure + "/cookie", headers={"Cookie": "mine=0"}).text == "mine=0; b=2; a=1"
        assert client.get(f"http://localhost:{origin.port}/cookie").text == "b=2"

    def test_hsts(self, clients: Clients, certificates: Certificates, origin: Nginx) -> None:
        client = make(clients, certificates)
        assert client.get(f"http://localhost:{origin.port}/who").text.startswith("http HTTP/1.1")
        client.get(f"http://localhost:{origin.port}/in")
        assert not client.hsts.check("localhost")
        client.get(f"https://localhost:{origin.tls_port}/in")
        assert client.hsts.check("localhost")
        assert client.get(f"http://localhost:{origin.tls_port}/who").text.startswith("https HTTP/1.1")
        assert client.get(f"http://localhost:{origin.h2_port}/who").text.startswith("https HTTP/2.0")

    def test_redirects(self, clients: Clients, certificates: Certificates, origin: Nginx, url: str) -> None:
        client = make(clients, certificates, auth=("me", "secret"), hsts=False)
        response = client.get(url + "/302#part")
        assert response.url == url + "/who#part"
        assert " Basic " in response.text
        assert " Basic " not in client.get(url + "/to-clear").text or url.startswith("http:")
        secured = client.get(url + "/to-secure")
        assert secured.text.startswith("https ")
        assert " Basic " not in secured.text or url.endswith(str(origin.tls_port))
        with pytest.raises(OSError, match="certificate"):
            make(clients, certificates, verify=True).get(f"http://localhost:{origin.port}/to-secure")

    def test_basic(self, clients: Clients, certificates: Certificates, url: str) -> None:
        client = make(clients, certificates)
        refused = client.get(url + "/members")
        assert (refused.status, refused.headers.get("www-authenticate")) == (401, 'Basic realm="members"')
        assert client.get(url + "/members", auth=("me", "wrong")).status == 401
        assert client.get(url + "/members", auth=("me", "secret")).content == TEXT
        assert client.get(url.replace("//", "//me:secret@") + "/members").content == TEXT

    def test_codings(self, clients: Clients, certificates: Certificates, url: str) -> None:
        client = make(clients, certificates)
        gzipped = client.get(url + "/text")
        assert (gzipped.headers.get("content-encoding"), gzipped.content) == ("gzip", TEXT)
        coded = client.get(url + "/coded/text", headers={"Accept-Encoding": "br"})
        assert (coded.headers.get("content-encoding"), coded.content) == ("br", TEXT)
        with client.stream("GET", url + "/text") as response:
            assert b"".join(response.iter_raw())[:2] == b"\x1f\x8b"
        assert client.head(url + "/text").content == b""
        plain = client.get(url + "/text", headers={"Accept-Encoding": "identity"})
        assert (plain.headers.get("content-encoding"), plain.content) == (None, TEXT)

    def test_an_expectation(self, clients: Clients, certificates: Certificates, origin: Nginx, url: str) -> None:
        client = make(clients, certificates)
        expect = {"Expect": "100-continue"}
        refused = client.put(url + "/small/file", content=bytes(20_000), headers=expect)
        assert refused.status == 413
        response = client.put(url + "/small/file", content=b"x" * 5000, headers=expect)
        assert response.status in (201, 204)
        assert (origin.files / "small" / "file").read_bytes() == b"x" * 5000
        early = [head.get(":status") for head in response.early_responses]
        assert early == (["100"] if response.http_version == "1.1" else early[:1])


@pytest.fixture(scope="module")
def tinyproxy(tmp_path_factory: pytest.TempPathFactory, origin: Nginx) -> Iterator[Tinyproxy]:
    with Tinyproxy(tmp_path_factory.mktemp("tinyproxy"), origin.tls_port) as peer:
        yield peer


@pytest.fixture(scope="module")
def strict_tinyproxy(tmp_path_factory: pytest.TempPathFactory, origin: Nginx) -> Iterator[Tinyproxy]:
    with Tinyproxy(tmp_path_factory.mktemp("tinyproxy"), origin.h2_port, ("me", "secret")) as peer:
        yield peer


@pytest.fixture(scope="module")
def squid() -> Iterator[Squid]:
    with Squid(("me", "secret")) as peer:
        yield peer


class TestHttpProxies:
    def test_tinyproxy(self, clients: Clients, certificates: Certificates, origin: Nginx, tinyproxy: Tinyproxy) -> None:
        client = make(clients, certificates, proxies=f"http://127.0.0.1:{tinyproxy.port}")
        for path in ("/who", "/302"):
            plain = client.get(f"http://localhost:{origin.port}{path}")
            assert plain.text.startswith("http ")
            assert "tinyproxy" in plain.text  # Via
            assert client.get(f"https://localhost:{origin.tls_port}{path}").text == "https HTTP/1.1 ||"
        with pytest.raises(ProxyError) as caught:  # a port that its configuration does not allow
            client.get(f"https://localhost:{origin.h2_port}/who")
        assert caught.value.status == 403
        with pytest.raises(CertificateError):
            make(clients, certificates, verify=True, proxies=f"http://127.0.0.1:{tinyproxy.port}").get(
                f"https://localhost:{origin.tls_port}/who"
            )

    @pytest.mark.parametrize("where", ["uri", "proxy_auth"])
    def test_tinyproxy_with_a_password(
        self, clients: Clients, certificates: Certificates, origin: Nginx, strict_tinyproxy: Tinyproxy, where: str
    ) -> None:
        address = f"127.0.0.1:{strict_tinyproxy.port}"
        told: dict[str, Any] = {"proxies": f"http://{address}", "proxy_auth": ("me", "secret")}
        client = make(
            clients, certificates, **told if where == "proxy_auth" else {"proxies": f"http://me:secret@{address}"}
        )
        for _ in range(2):
            plain = client.get(f"http://localhost:{origin.port}/who").text
            assert plain.startswith("http ")
            assert " ||" in plain
            assert client.get(f"https://localhost:{origin.h2_port}/who").text == "https HTTP/2.0 ||"
        assert client.get(f"http://localhost:{origin.port}/text").content == TEXT
        stranger = make(clients, certificates, proxies=f"http://{address}")
        assert stranger.get(f"http://localhost:{origin.port}/who").status == 407
        with pytest.raises(ProxyError) as caught:
            stranger.get(f"https://localhost:{origin.h2_port}/who")
        assert caught.value.status == 407

    def test_squid_with_digest(self, clients: Clients, certificates: Certificates, origin: Nginx, squid: Squid) -> None:
        """It counts the uses of a nonce, so that one that is used twice would be asked for again."""
        where = f"http://127.0.0.1:{squid.port}"
        client = make(clients, certificates, proxies=where, proxy_auth=DigestAuth("me", "secret"))
        for _ in range(3):
            plain = client.get(f"http://localhost:{origin.port}/who")
            assert (plain.status, plain.text.split(" ")[0]) == (200, "http")
            assert " ||" in plain.text
            assert client.get(f"https://localhost:{origin.h2_port}/who").text == "https HTTP/2.0 ||"
        content = clients.pieces([b"in", b"pieces"])  # sent once: squid knows the nonce
        assert client.post(f"http://localhost:{origin.port}/who", content=content).status == 200
        wrong = make(clients, certificates, proxies=where, proxy_auth=DigestAuth("me", "wrong"))
        assert wrong.get(f"http://localhost:{origin.port}/who").status == 407
        with pytest.raises(ProxyError) as caught:
            wrong.get(f"https://localhost:{origin.tls_port}/who")
        assert caught.value.status == 407


class TestSocks:
    @pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
    def test_microsocks(
        self, clients: Clients, certificates: Certificates, origin: Nginx, tmp_path: Path, scheme: str
    ) -> None:
        with Microsocks(tmp_path / "microsocks", ("me", "secret")) as peer:
            client = make(clients, certificates, proxies=f"{scheme}://me:secret@127.0.0.1:{peer.port}")
            assert client.get(f"http://localhost:{origin.port}/who").text == "http HTTP/1.1 ||"
            assert client.get(f"https://localhost:{origin.h2_port}/who").text == "https HTTP/2.0 ||"
            assert client.statistics.created == 2
            with pytest.raises(SocksError):
                wrong = make(clients, certificates, proxies=f"{scheme}://me:wrong@127.0.0.1:{peer.port}")
                wrong.get(f"http://localhost:{origin.port}/who")

    @pytest.mark.parametrize("scheme", ["socks4", "socks5", "socks5h"])  # it does not know 4a
    def test_dante(
        self, clients: Clients, certificates: Certificates, origin: Nginx, tmp_path: Path, scheme: str
    ) -> None:
        with Dante(tmp_path / "dante") as peer:
            client = make(clients, certificates, proxies=f"{scheme}://127.0.0.1:{peer.port}")
            assert client.get(f"http://localhost:{origin.port}/302").text == "http HTTP/1.1 ||"
            assert client.get(f"https://localhost:{origin.tls_port}/who").text == "https HTTP/1.1 ||"
