"""HSTS through both clients (RFC 6797): who said it over TLS is spoken to over TLS, before anything touches the network."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from drivetrain.engine import HstsStore, Request
from drivetrain.engine.errors import ProxyError, TLSError
from tests.faces.policy_support import World, moved, say
from tests.support.proxies import ConnectProxy

REFUSAL = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"


def sts(value: str = "max-age=1000") -> tuple[str, str]:
    return "strict-transport-security", value


def clear(url: str) -> str:
    return url.replace("https:", "http:", 1)


class TestUpgrade:
    def test_from_the_first_word_on(self, world: World) -> None:
        """The port is kept, so the plain request arrives at the TLS port, upgraded; nothing else would be understood."""
        world.secure.pages["/in"] = say(200, sts())
        client = world.client()
        client.get(world.secure.at("/in"))
        response = client.get(clear(world.secure.at("/x?y#z")))
        assert response.url == world.secure.at("/x?y#z")
        assert response.connection.tls_version
        assert response.history == []
        assert [headers.get(":scheme", "https") for headers in world.secure.seen] == ["https", "https"]
        assert world.secure.told(":authority") == [f"origin.example:{world.secure.port}"] * 2

    def test_a_port_that_speaks_no_tls_fails(self, world: World) -> None:
        client = world.client(hsts=known())
        with pytest.raises(TLSError):
            client.get(world.plain.at("/"))
        assert world.plain.seen == []
        world.plain.errors.clear()

    @pytest.mark.parametrize(
        ("url", "target"),
        [
            ("http://origin.example/", "origin.example:443"),
            ("http://origin.example:80/", "origin.example:443"),
            ("http://origin.example:443/", "origin.example:443"),
            ("http://origin.example:8080/", "origin.example:8080"),
            ("http://ORIGIN.example./", "origin.example.:443"),
        ],
    )
    def test_the_port(self, clients: Any, url: str, target: str) -> None:
        """A proxy tells where the client wanted to go: CONNECT instead of a plain request shows the upgrade as well."""
        with ConnectProxy(answer=REFUSAL) as proxy:
            client = clients(proxies=proxy.url, hsts=known())
            with pytest.raises(ProxyError) as caught:
                client.get(url)
        assert caught.value.status == 403
        assert [head.split(b" ")[:2] for head in proxy.heads] == [[b"CONNECT", target.encode()]]

    @pytest.mark.parametrize(
        ("said", "upgraded"),
        [
            ("max-age=1000; includeSubDomains", True),
            ("max-age=1000", False),
            ('max-age="1000"; IncludeSubdomains', True),
        ],
    )
    def test_subdomains(self, world: World, said: str, upgraded: bool) -> None:
        world.secure.pages["/in"] = say(200, sts(said))
        client = world.client()
        client.get(world.secure.at("/in"))
        assert client.hsts.check("sub.origin.example") == upgraded
        origin = world.secure if upgraded else world.plain
        client.get(clear(origin.at("/sub", "sub.origin.example")))
        assert origin.paths[-1] == "/sub"
        client.get(world.plain.at("/", "other.example"))

    def test_secure_cookies_go_along(self, world: World) -> None:
        world.secure.pages["/in"] = say(200, sts(), ("set-cookie", "a=1; Path=/; Secure"))
        client = world.client()
        client.get(world.secure.at("/in"))
        client.get(clear(world.secure.at("/")), headers={"Cookie": "mine=1"})
        assert world.secure.told("cookie") == [None, "mine=1; a=1"]


class TestWhatCounts:
    def test_over_http_it_does_not(self, world: World) -> None:
        world.plain.pages["/in"] = say(200, sts())
        client = world.client()
        for path in ("/in", "/"):
            assert client.get(world.plain.at(path)).status == 200
        assert len(client.hsts) == 0

    def test_unverified_it_does_not(self, world: World) -> None:
        world.secure.pages["/in"] = say(200, sts())
        client = world.client(verify=False)
        client.get(world.secure.at("/in"))
        assert len(client.hsts) == 0

    def test_with_an_unverified_name_it_does_not(self, world: World) -> None:
        world.secure.pages["/in"] = say(200, sts())
        context = world.certificates.client_context()
        context.check_hostname = False
        assert context.verify_mode is ssl.CERT_REQUIRED
        client = world.client(ssl_context=context)
        client.get(world.secure.at("/in"))
        assert len(client.hsts) == 0

    def test_of_an_address_it_does_not(self, world: World) -> None:
        world.secure.pages["/in"] = say(200, sts())
        client = world.client()
        client.get(world.secure.at("/in", "127.0.0.1"))
        assert len(client.hsts) == 0

    def test_the_first_header_counts(self, world: World) -> None:
        world.secure.pages["/in"] = say(200, sts("max-age=0"), sts("max-age=1000"))
        world.secure.pages["/other"] = say(200, sts("max-age=1000"), sts("max-age=0"))
        client = world.client()
        client.get(world.secure.at("/in"))
        client.get(world.secure.at("/other", "other.example"))
        assert [client.hsts.check(host) for host in ("origin.example", "other.example")] == [False, True]

    @pytest.mark.parametrize("said", ["", "max-age", "max-age=1; max-age=2", "includeSubDomains", "max-age=-1"])
    def test_malformed_it_does_not(self, world: World, said: str) -> None:
        world.secure.pages["/in"] = say(200, sts(said))
        client = world.client()
        client.get(world.secure.at("/in"))
        assert len(client.hsts) == 0

    def test_of_errors_and_redirects_it_does(self, world: World) -> None:
        world.secure.pages["/in"] = moved(world.secure.at("/lost", "other.example"), 302, sts())
        world.secure.pages["/lost"] = say(404, sts())
        client = world.client()
        client.get(world.secure.at("/in"))
        assert [client.hsts.check(host) for host in ("origin.example", "other.example")] == [True, True]

    def test_zero_takes_it_back(self, world: World) -> None:
        world.secure.pages["/out"] = say(200, sts("max-age=0"))
        client = world.client(hsts=known())
        client.get(world.secure.at("/out"))
        client.get(world.plain.at("/"))
        assert world.plain.paths == ["/"]

    def test_switched_off(self, world: World) -> None:
        world.secure.pages["/in"] = say(200, sts())
        client = world.client(hsts=False)
        client.get(world.secure.at("/in"))
        client.get(world.plain.at("/"))
        assert client.hsts is None
        assert world.plain.paths == ["/"]


class TestRedirects:
    def test_to_http_is_upgraded(self, world: World) -> None:
        world.plain.pages["/a"] = moved(clear(world.secure.at("/b", "other.example")))
        client = world.client(hsts=known("other.example"))
        response = client.get(world.plain.at("/a"))
        assert response.url == world.secure.at("/b", "other.example")

    def test_back_to_http_within_the_host_changes_no_origin(self, world: World) -> None:
        """What is sent goes to the same origin as before, so credentials and the Referer stay."""
        world.secure.pages["/a"] = moved(clear(world.secure.at("/b")))
        client = world.client(hsts=known(), auth=("u", "p"))
        client.get(clear(world.secure.at("/a")), headers={"Cookie": "mine=1"})
        assert world.secure.paths == ["/a", "/b"]
        assert world.secure.told("cookie") == ["mine=1"] * 2
        first, second = world.secure.told("authorization")
        assert first == second is not None
        assert world.secure.told("referer") == [None, world.secure.at("/a")]

    def test_learnt_on_the_way(self, world: World) -> None:
        world.secure.pages["/a"] = moved(clear(world.secure.at("/b")), 302, sts())
        response = world.client().get(world.secure.at("/a"))
        assert [each.url for each in response.history] == [world.secure.at("/a")]
        assert response.url == world.secure.at("/b")


def known(host: str = "origin.example") -> HstsStore:
    store = HstsStore()
    assert store.store(host, {"max-age": 1000})
    return store


class TestRequest:
    """The request object of lua-http's kind; blocking, so that one colour is enough."""

    def make(self, url: str, world: World) -> Request:
        request = Request.from_uri(url)
        request.host = "127.0.0.1"
        request.ctx = world.certificates.client_context(["h2", "http/1.1"])
        request.sendname = "origin.example"
        request.hsts = known()
        request.cookie_store = None
        request.proxies = None
        return request

    def test_upgraded(self, world: World) -> None:
        headers, stream = self.make(clear(world.secure.at("/x")), world).go(5)
        assert headers.get(":status") == "200"
        assert stream.checktls() is not None
        stream.shutdown()

    def test_a_redirect_is_read_from_the_upgraded_place(self, world: World) -> None:
        world.secure.pages["/a"] = moved("/b")
        request = self.make(clear(world.secure.at("/a")), world)
        request.headers.append("authorization", "Bearer x")
        _, stream = request.go(5)
        stream.shutdown()
        assert world.secure.paths == ["/a", "/b"]
        assert world.secure.told("authorization") == ["Bearer x"] * 2
        assert world.secure.told("referer") == [None, world.secure.at("/a")]
        assert request.to_uri() == clear(world.secure.at("/a"))

    def test_no_referer_from_the_upgraded_place_into_the_clear(self, world: World) -> None:
        world.secure.pages["/a"] = moved(world.plain.at("/b", "127.0.0.1"))
        _, stream = self.make(clear(world.secure.at("/a")), world).go(5)
        stream.shutdown()
        assert world.plain.told("referer") == [None]
