"""Proxies through both clients: who is asked for what, who learns what, and what a refusal becomes."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drivetrain.engine import DigestAuth, Headers, Proxies, Proxy, Server
from drivetrain.engine.errors import (
    CertificateError,
    ConnectTimeout,
    EngineError,
    InvalidURL,
    ProxyError,
    ReadTimeout,
    SocksError,
    UsageError,
)
from drivetrain.engine.wire.challenges import parse_challenges
from tests.faces.colours import Clients
from tests.faces.policy_support import NAMES, Origin, World, say
from tests.faces.test_client_policy_auth import DigestGate
from tests.support.certificates import Certificates
from tests.support.proxies import ConnectProxy, SocksProxy
from tests.support.servers import RawServer, read_head, read_until_eof


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def nowhere(host: str, port: int) -> list[str]:
    raise AssertionError(f"{host} was looked up")


async def nowhere_async(host: str, port: int) -> list[str]:
    raise AssertionError(f"{host} was looked up")


def blind(world: World) -> dict[str, Any]:
    """Options of a client that resolves nothing but addresses."""
    return {"resolver": nowhere if world.colour == "blocking" else nowhere_async}


class Speaker(RawServer):
    """A proxy that answers by itself, with what `answer` makes of a request's head; keeps its connections."""

    def __init__(self, answer: Callable[[bytes], bytes], **options: Any) -> None:
        super().__init__(self._handle, tolerate=(OSError,), **options)
        self.answer = answer
        self.heads: list[bytes] = []

    def _handle(self, connection: socket.socket) -> None:
        while head := read_head(connection):
            self.heads.append(head)
            connection.sendall(self.answer(head))

    @property
    def lines(self) -> list[str]:
        return [head.split(b"\r\n", 1)[0].decode() for head in self.heads]


def field(head: bytes, name: str) -> str | None:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.decode().lower() == name:
            return value.strip().decode()
    return None


def reply(body: bytes, status: int = 200, *fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *fields, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def target_of(head: bytes) -> bytes:
    return reply(head.split(b" ")[1])


class TestPlainRequests:
    def test_the_whole_uri_is_asked_for(self, clients: Clients) -> None:
        with Speaker(target_of) as proxy:
            client = clients(proxies=proxy.url)
            response = client.get("http://origin.example:8080/a?b=c#part")
            assert response.content == b"http://origin.example:8080/a?b=c"
            assert response.url == "http://origin.example:8080/a?b=c#part"
            assert field(proxy.heads[0], "host") == "origin.example:8080"
            assert response.connection.peer.port == proxy.port
            client.get("http://other.example/")
            client.options("http://other.example/x y")
            # One connection to the proxy carries requests for any number of origins.
            assert client.statistics.created == proxy.connections == 1
            client.close()
        assert proxy.lines[1:] == ["GET http://other.example/ HTTP/1.1", "OPTIONS http://other.example/x%20y HTTP/1.1"]

    def test_credentials_stay_with_the_proxy(self, world: World) -> None:
        with ConnectProxy(credentials="ü:s:x") as proxy:
            via = proxy.url.replace("//", "//%C3%BC:s%3Ax@")
            client = world.client(proxies=via, **blind(world))
            assert client.get(world.plain.at("/")).content == b"fine"
        assert field(proxy.heads[0], "proxy-authorization") == basic("ü", "s:x")
        assert world.plain.told("proxy-authorization") == [None]
        assert b"proxy" not in b"".join(str(line).lower().encode() for line in world.plain.seen)

    def test_a_body_goes_along(self, clients: Clients) -> None:
        bodies: list[bytes] = []

        def handler(connection: socket.socket) -> None:
            read_head(connection)
            bodies.append(connection.recv(100))
            connection.sendall(reply(b"got it"))

        with RawServer(handler) as proxy:
            assert clients(proxies=proxy.url).post("http://origin.example/", content=b"body").text == "got it"
        assert bodies == [b"body"]

    def test_a_refusal_is_an_answer(self, clients: Clients) -> None:
        """Nothing but its status tells whose it is; its cookies are nobody's."""
        refusal = reply(b"go away", 407, 'Proxy-Authenticate: Basic realm="r"', "Set-Cookie: a=1")
        with Speaker(lambda head: refusal) as proxy:
            client = clients(proxies=proxy.url)
            response = client.get("http://origin.example/")
            assert (response.status, response.content) == (407, b"go away")
            assert len(client.cookies) == 0
            client.close()

    def test_cookies_and_redirects_are_the_origins(self, clients: Clients) -> None:
        answers = {
            "http://origin.example/a": reply(b"", 302, "Location: /b", "Set-Cookie: a=1; Path=/"),
            "http://origin.example/b": reply(b"there", 200),
        }
        with Speaker(lambda head: answers[head.split(b" ")[1].decode()]) as proxy:
            client = clients(proxies=proxy.url)
            assert client.get("http://origin.example/a").text == "there"
            client.close()
        assert [field(head, "cookie") for head in proxy.heads] == [None, "a=1"]


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class DigestProxy:
    """What a proxy says that wants Digest and counts; other requests are passed to `then`."""

    def __init__(self, then: Callable[[bytes], bytes]) -> None:
        self.then = then
        self.used: list[tuple[str, int]] = []
        self.uris: list[str] = []

    def __call__(self, head: bytes) -> bytes:
        value = field(head, "proxy-authorization")
        if value is not None:
            (challenge,) = parse_challenges([value])
            given = challenge.parameters
            method = head.split(b" ")[0].decode()
            proof = md5(
                f"{md5('pu:r:pp')}:{given['nonce']}:{given['nc']}:{given['cnonce']}:auth:{md5(method + ':' + given['uri'])}"
            )
            use = (given["nonce"], int(given["nc"], 16))
            if proof == given["response"] and use not in self.used:
                self.used.append(use)
                self.uris.append(given["uri"])
                return self.then(head)
        return reply(b"who?", 407, 'Proxy-Authenticate: Digest realm="r", nonce="n", qop="auth"')


class TestProxyAuthentication:
    def test_basic_for_plain_requests(self, clients: Clients) -> None:
        with Speaker(target_of) as proxy:
            client = clients(proxies=proxy.url, proxy_auth=("u", "p"))
            client.get("http://origin.example/")
            client.close()
        assert [field(head, "proxy-authorization") for head in proxy.heads] == [basic("u", "p")]

    def test_basic_for_tunnels(self, world: World) -> None:
        with ConnectProxy(credentials="u:p") as proxy:
            client = world.client(proxies=proxy.url, proxy_auth=("u", "p"))
            assert client.get(world.secure.at("/")).http_version == world.version
        assert [field(head, "proxy-authorization") for head in proxy.heads] == [None, basic("u", "p")]
        assert world.secure.told("proxy-authorization") == [None]

    def test_digest_for_plain_requests(self, clients: Clients) -> None:
        says = DigestProxy(target_of)
        with Speaker(says) as proxy:
            client = clients(proxies=proxy.url, proxy_auth=DigestAuth("pu", "pp"))
            for path in ("/a", "/b"):
                assert client.get(f"http://origin.example{path}").status == 200
            client.close()
        assert says.used == [("n", 1), ("n", 2)]
        # The target as the proxy was sent it.
        assert says.uris == ["http://origin.example/a", "http://origin.example/b"]

    def test_digest_for_tunnels(self, world: World) -> None:
        says = DigestProxy(lambda head: reply(b"no such host", 502))
        with Speaker(says) as proxy:
            client = world.client(proxies=proxy.url, proxy_auth=DigestAuth("pu", "pp"))
            for _ in range(2):
                with pytest.raises(ProxyError) as caught:
                    client.get(world.secure.at("/"))
                assert (caught.value.status, caught.value.body) == (502, b"no such host")
        assert says.uris == [f"origin.example:{world.secure.port}"] * 2
        assert [count for _, count in says.used] == sorted(count for _, count in says.used)

    def test_of_the_proxy_and_of_the_origin(self, clients: Clients) -> None:
        """Every request has its own proof for the proxy, also the one that answers the origin's challenge."""

        def origin(head: bytes) -> bytes:
            if field(head, "authorization") is None:
                return reply(b"and you?", 401, 'WWW-Authenticate: Digest realm="o", nonce="o", qop="auth"')
            return reply(b"both of you")

        says = DigestProxy(origin)
        with Speaker(says) as proxy:
            options = {"proxy_auth": DigestAuth("pu", "pp"), "auth": DigestAuth("u", "p")}
            client = clients(proxies=proxy.url, **options)
            for _ in range(2):
                assert client.get("http://origin.example/").text == "both of you"
            client.close()
        assert says.used == [("n", 1), ("n", 2), ("n", 3)]
        assert len(proxy.heads) == 4
        proofs = [parse_challenges([value])[0] for head in proxy.heads if (value := field(head, "authorization"))]
        assert [(proof.parameters["uri"], proof.parameters["nc"]) for proof in proofs] == [
            ("/", "00000001"),
            ("/", "00000002"),
        ]

    def test_the_origins_through_a_tunnel(self, world: World) -> None:
        gate = world.secure.pages["/"] = DigestGate()
        with ConnectProxy() as proxy:
            client = world.client(proxies=proxy.url, auth=DigestAuth("u", "p"), proxy_auth=("no", "need"))
            assert client.get(world.secure.at("/")).status == 200
            assert len(proxy.heads) == 1
            client.close()
        assert gate.used == [("n0", 1)]

    def test_a_407_from_an_origin_is_not_answered(self, world: World) -> None:
        world.secure.pages["/"] = say(407, ("proxy-authenticate", 'Basic realm="phish"'))
        with ConnectProxy() as proxy:
            client = world.client(proxies=proxy.url, proxy_auth=("u", "p"))
            assert client.get(world.secure.at("/")).status == 407
            client.close()
        assert world.secure.told("proxy-authorization") == [None]


class TestTunnels:
    def test_refusals_are_told_from_answers(self, world: World) -> None:
        answer = reply(b"<h1>not this one</h1>", 403, "X-Why: policy", "Set-Cookie: a=1")
        with ConnectProxy(answer=answer) as proxy:
            client = world.client(proxies=proxy.url)
            with pytest.raises(ProxyError) as caught:
                client.get(world.secure.at("/"))
            assert (caught.value.status, caught.value.body) == (403, b"<h1>not this one</h1>")
            assert caught.value.headers.get("x-why") == "policy"
            assert client.statistics.open == 0
            assert len(client.cookies) == 0
        assert world.secure.seen == []

    def test_connections_are_kept(self, world: World) -> None:
        with ConnectProxy() as proxy:
            client = world.client(proxies=proxy.url, **blind(world))
            for _ in range(3):
                response = client.get(world.secure.at("/"))
            assert response.connection.reused
            assert response.connection.peer.port == proxy.port
            client.get(world.secure.at("/", "other.example"))
            assert client.statistics.created == proxy.connections == 2
            client.close()
        assert [head.split(b" ")[1].decode() for head in proxy.heads] == [
            f"{host}:{world.secure.port}" for host in ("origin.example", "other.example")
        ]

    def test_the_origin_sees_what_it_would_see_directly(self, world: World) -> None:
        with ConnectProxy(credentials="u:p") as proxy:
            client = world.client(proxies=proxy.url.replace("//", "//u:p@"))
            client.get(world.secure.at("/x"), headers={"Proxy-Authorization": "mine"})
            client.close()
        world.client().get(world.secure.at("/x"))
        through, directly = world.secure.seen
        assert list(through) == list(directly)

    def test_each_proxy_has_its_own_connections(self, world: World) -> None:
        with ConnectProxy() as one, ConnectProxy() as two:
            client = world.client(proxies=one.url)
            for proxy in (Proxy.from_uri(one.url), Proxy.from_uri(two.url), None, Proxy.from_uri(one.url)):
                if world.colour == "blocking":
                    with client.exchange("GET", world.secure.at("/"), [], proxy=proxy) as response:
                        assert response.read() == b"fine"
                else:
                    client.get(world.secure.at("/"))
            client.close()
            assert (one.connections, two.connections) == ((1, 1) if world.colour == "blocking" else (1, 0))

    def test_a_proxy_that_is_not_there(self, clients: Clients) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"http://u:secret@127.0.0.1:{unused.getsockname()[1]}"
            for target in ("http://origin.example/", "https://origin.example/"):
                with pytest.raises(ProxyError, match="out of reach") as caught:
                    clients(proxies=url).get(target)
                assert "secret" not in str(caught.value) + repr(caught.value)

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_a_silent_proxy(self, clients: Clients, scheme: str) -> None:
        with RawServer(read_until_eof) as proxy:
            started = time.monotonic()
            with pytest.raises((ConnectTimeout, ReadTimeout)):
                clients(proxies=proxy.url).get(f"{scheme}://origin.example/", timeout=0.3)
            assert time.monotonic() - started < 1


class TestChoice:
    def test_by_scheme(self, world: World) -> None:
        with ConnectProxy() as one, ConnectProxy() as two:
            client = world.client(proxies={"http": one.url, "https": two.url})
            client.get(world.plain.at("/"))
            client.get(world.secure.at("/"))
            client.close()
        assert [len(one.heads), len(two.heads)] == [1, 1]
        assert two.heads[0].startswith(b"CONNECT ")

    @pytest.mark.parametrize(
        ("no_proxy", "direct"),
        [
            ("origin.example", True),
            (".example", True),
            ("*", True),
            ("other.example", False),
            ("origin.example:1", False),
        ],
    )
    def test_exceptions(self, world: World, no_proxy: str, direct: bool) -> None:
        with ConnectProxy() as proxy:
            client = world.client(proxies=Proxies(all=proxy.url, no_proxy=no_proxy))
            client.get(world.plain.at("/"))
            client.close()
        assert len(proxy.heads) == (0 if direct else 1)
        assert len(world.plain.seen) == 1

    def test_the_environment_when_the_client_is_made(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        with ConnectProxy() as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            monkeypatch.setenv("NO_PROXY", "other.example")
            client = world.client(proxies=True)
            without = world.client(proxies=False)
            monkeypatch.delenv("http_proxy")
            later = world.client(proxies=True)
            client.get(world.plain.at("/"))
            assert len(proxy.heads) == 1
            client.get(world.plain.at("/", "other.example"))
            without.get(world.plain.at("/"))
            later.get(world.plain.at("/"))
            assert len(proxy.heads) == 1
            client.close()

    def test_under_a_gateway(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """A request's own field must not lead the program's requests elsewhere."""
        monkeypatch.setenv("REQUEST_METHOD", "GET")
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        assert world.client(proxies=True).get(world.plain.at("/")).status == 200

    def test_a_variable_that_is_no_proxy(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("https_proxy", "gopher://127.0.0.1")
        client = world.client(proxies=True)
        with pytest.raises(InvalidURL, match="https_proxy"):
            client.get(world.secure.at("/"))
        assert client.get(world.plain.at("/")).status == 200

    @pytest.mark.parametrize("proxies", ["gopher://127.0.0.1", {"ftp": "http://127.0.0.1"}, "http://u:p:q@"])
    def test_what_is_none(self, clients: Clients, proxies: Any) -> None:
        with pytest.raises(UsageError):
            clients(proxies=proxies)

    def test_a_unix_socket_needs_none(self, clients: Clients, short_tmp_path: Path) -> None:
        path = str(short_tmp_path / "s")
        with Origin(path=path) as origin:
            client = clients(unix_socket=path, proxies="http://127.0.0.1:1")
            assert client.get("http://origin.example/").status == 200
            client.close()
            assert len(origin.seen) == 1


KINDS = ["http", "https", "unix", "socks4a", "socks5", "socks5h"]


class TestKinds:
    """Every kind of proxy, to origins in clear and over TLS, whose names are verified through each."""

    @pytest.fixture(params=KINDS)
    def proxy(self, request: pytest.FixtureRequest, made_up: Certificates, short_tmp_path: Path) -> Any:
        kind = request.param
        if kind.startswith("socks"):
            credentials = (b"u", b"p") if kind.startswith("socks5") else None
            made: Any = SocksProxy(credentials=credentials)
        elif kind == "unix":
            made = ConnectProxy(path=str(short_tmp_path / "p"), family=socket.AF_UNIX, credentials="u:p")
        else:
            context = made_up.server_context(["http/1.1"]) if kind == "https" else None
            made = ConnectProxy(context=context, credentials="u:p")
        with made:
            if kind == "unix":
                path = str(short_tmp_path / "p").replace("/", "%2F")
                made.uri = f"http+unix://u:p@{path}"
            else:
                made.uri = f"{kind}://u:p@{'localhost' if kind == 'https' else '127.0.0.1'}:{made.port}"
            made.kind = kind
            made.options = {"proxy_ssl_context": made_up.client_context()} if kind == "https" else {}
            yield made

    def make(self, world: World, proxy: Any, **options: Any) -> Any:
        # Only "socks5" resolves here; "localhost" is where the https one lives.
        resolver = dict.fromkeys([*NAMES, "localhost"], "127.0.0.1")
        if proxy.kind != "socks5":
            resolver = dict.fromkeys(NAMES, "192.0.2.1") | {"localhost": "127.0.0.1"}
        return world.client(proxies=proxy.uri, **{**proxy.options, "resolver": resolver, **options})

    def test_both_origins(self, world: World, proxy: Any) -> None:
        client = self.make(world, proxy)
        assert client.get(world.plain.at("/")).http_version == "1.1"
        response = client.get(world.secure.at("/"))
        assert response.http_version == world.version
        assert response.connection.tls_version
        big = b"b" * 300_000
        assert client.put(world.secure.at("/big"), content=big).content == big
        client.close()
        assert len(world.plain.seen) == 1
        assert len(world.secure.seen) == 2

    def test_a_certificate_for_another_name(self, world: World, proxy: Any) -> None:
        client = self.make(world, proxy)
        with pytest.raises(CertificateError):
            # The secure origin's certificate is for `NAMES`, and "localhost".
            client.get(f"https://127.0.0.2:{world.secure.port}/")
        assert client.statistics.open == 0
        client.close()
        assert world.secure.seen == []
        world.secure.errors.clear()

    def test_a_stranger(self, world: World, proxy: Any, certificates: Certificates) -> None:
        client = self.make(world, proxy, verify=certificates.ca_file)
        with pytest.raises(CertificateError):
            client.get(world.secure.at("/"))
        client.close()
        assert world.secure.seen == []
        world.secure.errors.clear()

    def test_unverified_if_one_must(self, world: World, proxy: Any) -> None:
        client = self.make(world, proxy, verify=False)
        assert client.get(f"https://127.0.0.2:{world.secure.port}/").status == 200
        client.close()


class TestSecureProxies:
    def test_its_own_trust(self, world: World, made_up: Certificates) -> None:
        """What the origins are trusted by says nothing of the proxy."""
        with ConnectProxy(context=made_up.server_context()) as proxy:
            client = world.client(proxies=f"https://127.0.0.1:{proxy.port}")
            for url in (world.plain.at("/"), world.secure.at("/")):
                with pytest.raises(CertificateError):
                    client.get(url)
        assert proxy.heads == []

    def test_its_name_is_verified(self, world: World, certificates: Certificates, made_up: Certificates) -> None:
        with ConnectProxy(context=made_up.server_context()) as proxy:
            client = world.client(
                proxies=f"https://somewhere.example:{proxy.port}",
                proxy_ssl_context=made_up.client_context(),
                resolver={"somewhere.example": "127.0.0.1"},
            )
            with pytest.raises(CertificateError):
                client.get(world.secure.at("/"))
        assert proxy.heads == []


class H2Proxy:
    """Our own server as a proxy over HTTP/2: CONNECT alone."""

    def __init__(self, certificates: Certificates, alpn: list[str]) -> None:
        self.heads: list[Headers] = []
        self.versions: list[float | None] = []
        self.server = Server(self.serve, context=certificates.server_context(alpn))

    def serve(self, server: Server, stream: Any) -> None:
        headers = stream.get_headers()
        self.heads.append(headers)
        self.versions.append(stream.connection.version)
        if headers.get(":method") != "CONNECT" or headers.get("proxy-authorization") != basic("u", "p"):
            stream.write_headers(Headers([(":status", "407"), ("proxy-authenticate", 'Basic realm="r"')]), True)
            return
        with socket.create_connection(("127.0.0.1", int(headers.get(":authority").rpartition(":")[2])), 10) as origin:
            stream.write_headers(Headers([(":status", "200")]), False)
            back = threading.Thread(target=self.copy_back, args=(origin, stream))
            back.start()
            with contextlib.suppress(EngineError, OSError):  # whoever has enough goes
                for chunk in stream.each_chunk():
                    origin.sendall(chunk)
            with contextlib.suppress(OSError):
                origin.shutdown(socket.SHUT_RDWR)
            back.join()

    def copy_back(self, origin: socket.socket, stream: Any) -> None:
        with contextlib.suppress(EngineError, OSError):
            while data := origin.recv(65536):
                stream.write_chunk(data, False)
            stream.write_chunk(b"", True)


class TestOverHttp2:
    def test_a_tunnel(self, world: World, made_up: Certificates) -> None:
        proxy = H2Proxy(made_up, ["h2", "http/1.1"])
        with proxy.server:
            uri = f"https://u:p@localhost:{proxy.server.localname().port}"
            client = world.client(
                proxies=uri,
                proxy_ssl_context=made_up.client_context(),
                proxy_http2=True,
                resolver={"localhost": "127.0.0.1"},
            )
            big = b"b" * 300_000
            for _ in range(2):
                response = client.put(world.secure.at("/"), content=big)
                assert (response.http_version, response.content) == (world.version, big)
            with pytest.raises(CertificateError):
                client.get(f"https://127.0.0.2:{world.secure.port}/")
            # Requests themselves are sent by HTTP/1.1.
            assert client.get(world.plain.at("/")).status == 407
            client.close()
        assert proxy.versions == [2, 2, 1.1]
        assert [head.get(":authority") for head in proxy.heads] == [
            f"origin.example:{world.secure.port}",
            f"127.0.0.2:{world.secure.port}",
            f"origin.example:{world.plain.port}",
        ]
        assert world.secure.told("proxy-authorization") == [None, None]
        world.secure.errors.clear()

    def test_a_refusal(self, world: World, made_up: Certificates) -> None:
        proxy = H2Proxy(made_up, ["h2"])
        with proxy.server:
            client = world.client(
                proxies=f"https://u:wrong@localhost:{proxy.server.localname().port}",
                proxy_ssl_context=made_up.client_context(),
                proxy_http2=True,
                proxy_auth=("u", "p"),
                resolver={"localhost": "127.0.0.1"},
            )
            assert client.get(world.secure.at("/")).status == 200
            client.close()
        assert [head.get("proxy-authorization") for head in proxy.heads] == [basic("u", "wrong"), basic("u", "p")]


class TestSocks:
    def test_who_resolves(self, world: World) -> None:
        with SocksProxy() as proxy:
            for scheme in ("socks4", "socks4a", "socks5", "socks5h"):
                client = world.client(proxies=f"{scheme}://127.0.0.1:{proxy.port}")
                assert client.get(world.plain.at("/")).status == 200
                client.close()
        assert [(version, host) for version, host, _ in proxy.asked] == [
            (4, "127.0.0.1"),
            (4, "origin.example"),
            (5, "127.0.0.1"),
            (5, "origin.example"),
        ]

    def test_a_refusal(self, world: World) -> None:
        with SocksProxy(refusals={"origin.example": 2}) as proxy:
            client = world.client(proxies=f"socks5h://127.0.0.1:{proxy.port}")
            with pytest.raises(SocksError) as caught:
                client.get(world.secure.at("/"))
            assert caught.value.code == 2

    def test_a_wrong_password(self, world: World) -> None:
        with SocksProxy(credentials=(b"u", b"p")) as proxy:
            client = world.client(proxies=f"socks5h://u:wrong@127.0.0.1:{proxy.port}")
            with pytest.raises(SocksError) as caught:
                client.get(world.plain.at("/"))
            assert "wrong" not in str(caught.value)
        assert proxy.users == [(b"u", b"wrong")]

    def test_connections_are_kept(self, world: World) -> None:
        with SocksProxy() as proxy:
            client = world.client(proxies=f"socks5h://127.0.0.1:{proxy.port}")
            for _ in range(3):
                client.get(world.plain.at("/"))
            assert client.statistics.created == 1
            client.close()
        assert len(proxy.asked) == 1
