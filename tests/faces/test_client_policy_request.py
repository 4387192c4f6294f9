"""What makes lua-http's kind of request a user agent: its proxy, its cookies and for whom they are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from drivetrain.engine import CookieStore, HstsStore, Proxies, Request
from drivetrain.engine.errors import CertificateError, ProxyError
from tests.faces.policy_support import Origin, moved, say
from tests.support.certificates import Certificates
from tests.support.proxies import ConnectProxy, SocksProxy


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as made:
        yield made
    assert made.errors == []


@pytest.fixture
def secure(made_up: Certificates) -> Iterator[Origin]:
    with Origin(made_up.server_context(["h2", "http/1.1"])) as made:
        yield made
    assert made.errors == []


def make(origin: Origin, path: str = "/", host: str = "127.0.0.1", **attributes: Any) -> Request:
    request = Request.from_uri(origin.at(path, host))
    request.proxies = None
    request.cookie_store = CookieStore()
    request.hsts = HstsStore()
    for name, value in attributes.items():
        assert hasattr(request, name)
        setattr(request, name, value)
    return request


def status(request: Request) -> str:
    headers, stream = request.go(5)
    stream.shutdown()
    return str(headers.get(":status"))


class TestProxies:
    def test_by_uri(self, origin: Origin) -> None:
        with ConnectProxy(credentials="u:p") as proxy:
            request = make(origin, host="origin.example", proxy=proxy.url.replace("//", "//u:p@"))
            assert status(request) == "200"
        assert proxy.heads[0].startswith(f"GET http://origin.example:{origin.port}/ HTTP/1.1".encode())
        assert origin.told("proxy-authorization") == [None]

    def test_a_tunnel_is_verified(self, secure: Origin, made_up: Certificates) -> None:
        with ConnectProxy() as proxy:
            request = make(secure, host="origin.example", proxy=proxy.url, ctx=made_up.client_context())
            assert status(request) == "200"
            with pytest.raises(CertificateError):
                status(make(secure, host="unknown.example", proxy=proxy.url, ctx=made_up.client_context()))
            with pytest.raises(CertificateError):
                status(make(secure, host="origin.example", proxy=proxy.url))
        assert {head.split(b" ")[0] for head in proxy.heads} == {b"CONNECT"}
        secure.errors.clear()

    def test_by_a_choice(self, origin: Origin) -> None:
        with SocksProxy() as proxy:
            proxies = Proxies(all=f"socks5h://127.0.0.1:{proxy.port}", no_proxy="127.0.0.1")
            assert status(make(origin, host="origin.example", proxies=proxies)) == "200"
            assert status(make(origin, proxies=proxies)) == "200"
            assert status(make(origin, proxies=proxies, proxy=False)) == "200"
        assert proxy.asked == [(5, "origin.example", origin.port)]

    def test_its_own_comes_first(self, origin: Origin) -> None:
        nobody = Proxies(all="http://127.0.0.1:1")
        with ConnectProxy() as proxy:
            assert status(make(origin, proxies=nobody, proxy=proxy.url)) == "200"
            assert status(make(origin, proxies=nobody, proxy=False)) == "200"
            with pytest.raises(ProxyError):
                status(make(origin, proxies=nobody))
        assert len(proxy.heads) == 1

    def test_a_connect_goes_to_whom_it_names(self, origin: Origin) -> None:
        with ConnectProxy() as proxy:
            request = Request.new_connect(proxy.url, f"origin.example:{origin.port}")
            request.proxies = Proxies(all="http://127.0.0.1:1")
            headers, stream = request.go(5)
            assert headers.get(":status") == "200"
            stream.write_chunk(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", False)
            assert stream.get_body_as_string(5).endswith(b"fine")
        assert origin.paths == ["/x"]

    def test_each_hop_chooses(self, origin: Origin) -> None:
        origin.pages["/a"] = moved(origin.at("/b", "origin.example"))
        with ConnectProxy() as proxy:
            assert status(make(origin, "/a", proxies=Proxies(http=proxy.url, no_proxy="127.0.0.1"))) == "200"
        assert [head.split(b" ")[1] for head in proxy.heads] == [origin.at("/b", "origin.example").encode()]

    def test_asyncio(self, origin: Origin) -> None:
        async def fetch() -> str | None:
            headers, stream = await make(origin, host="origin.example", proxy=proxy.url).go_async(5)
            await stream.get_body_as_string(5)
            return headers.get(":status")

        with ConnectProxy() as proxy:
            assert asyncio.run(fetch()) == "200"
        assert len(proxy.heads) == 1


class TestCookies:
    def test_its_store(self, origin: Origin) -> None:
        origin.pages["/set"] = say(200, ("set-cookie", "a=1; Path=/"))
        store = CookieStore()
        for path in ("/set", "/"):
            assert status(make(origin, path, cookie_store=store)) == "200"
        assert status(make(origin, cookie_store=None)) == "200"
        assert origin.told("cookie") == [None, "a=1", None]
        request = make(origin, cookie_store=store)
        status(request)
        assert not request.headers.has("cookie")

    def test_set_on_the_way(self, origin: Origin) -> None:
        origin.pages["/a"] = moved("/b", 302, ("set-cookie", "a=1; Path=/"))
        request = make(origin, "/a")
        request.headers.append("cookie", "mine=1")
        status(request)
        assert origin.told("cookie") == ["mine=1", "mine=1; a=1"]

    @pytest.mark.parametrize(
        ("site", "top", "method", "sent"),
        [
            (None, False, "GET", "strict=1; lax=1; none=1"),
            ("origin.example", False, "GET", "strict=1; lax=1; none=1"),
            ("other.example", True, "GET", "lax=1; none=1"),
            ("other.example", True, "POST", "none=1"),
            ("other.example", False, "GET", "none=1"),
        ],
    )
    def test_for_whom_they_are(
        self, secure: Origin, made_up: Certificates, site: str | None, top: bool, method: str, sent: str
    ) -> None:
        """RFC 6265bis section 5.8.3."""
        lines = [f"{name}=1; SameSite={name}; Path=/; Secure" for name in ("strict", "lax", "none")]
        secure.pages["/set"] = say(200, *[("set-cookie", line) for line in lines])
        common = {
            "cookie_store": CookieStore(),
            "ctx": made_up.client_context(),
            "host": "127.0.0.1",
            "sendname": "origin.example",
        }
        for path in ("/set", "/"):
            request = make(secure, path, "origin.example")
            for name, value in common.items():
                setattr(request, name, value)
            if path == "/":
                request.site_for_cookies, request.is_top_level = site, top
                request.headers.upsert(":method", method)
            assert status(request) == "200"
        assert secure.told("cookie") == [None, sent]


def test_defaults_are_shared() -> None:
    one, two = Request.from_uri("http://a.example/"), Request.from_uri("http://b.example/")
    assert one.cookie_store is two.cookie_store is not None
    assert one.hsts is two.hsts is not None
    assert one.proxies is two.proxies is not None
    assert (one.proxy, one.site_for_cookies, one.is_top_level) == (None, None, False)
    assert one.clone().cookie_store is one.cookie_store
