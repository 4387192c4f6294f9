"""Through proxies."""

from __future__ import annotations

import contextlib
from typing import Any

from tests.peers.websockets_sync.base import Library, Site, facts, scenario, tried
from tests.support.proxies import ConnectProxy, SocksProxy


def heads_of(lib: Library, proxy: ConnectProxy) -> list[str]:
    return [head.decode().replace(lib.client.USER_AGENT, "<version>") for head in proxy.heads]


def echoed(lib: Library, site: Site, base: str, **options: Any) -> Any:
    with contextlib.closing(lib.open(base + "/echo", **options)) as websocket:
        websocket.send("through")
        return websocket.recv(10), facts(websocket)


@scenario
def through_a_proxy(lib: Library, site: Site) -> Any:
    found = []
    for options in ({}, {"user_agent_header": None}, {"additional_headers": {"X-One": "1"}}):
        with ConnectProxy() as proxy:
            address = f"http://127.0.0.1:{proxy.port}"
            found.append((tried(echoed, lib, site, site.base, proxy=address, **options), heads_of(lib, proxy)))
    with ConnectProxy() as proxy:
        address = f"http://127.0.0.1:{proxy.port}"
        found.append((tried(echoed, lib, site, site.secure, ssl=site.context, proxy=address), heads_of(lib, proxy)))
    return found


@scenario
def through_a_proxy_with_credentials(lib: Library, site: Site) -> Any:
    found = []
    for credentials in ("user:pa%20ss@", "user:wrong@", ""):
        with ConnectProxy(credentials="user:pa ss") as proxy:
            address = f"http://{credentials}127.0.0.1:{proxy.port}"
            kind, value = tried(echoed, lib, site, site.base, proxy=address)
            if kind == "raised":
                value = value[:3], value[3]["fields"]  # ours has the body as well
            found.append((kind, value, heads_of(lib, proxy)[:1]))
    return found


@scenario
def through_a_proxy_over_tls(lib: Library, site: Site) -> Any:
    found = []
    with ConnectProxy(context=site.server_context) as proxy:
        address = f"https://localhost:{proxy.port}"
        for base, options in ((site.base, {}), (site.secure, {"ssl": site.context})):
            found.append(tried(echoed, lib, site, base, proxy=address, proxy_ssl=site.context, **options))
        found.append(tried(echoed, lib, site, site.base, proxy=address)[1][0])
    with ConnectProxy(context=site.server_context) as proxy:
        address = f"https://127.0.0.1:{proxy.port}"
        options = {"proxy": address, "proxy_ssl": site.context, "proxy_server_hostname": "localhost"}
        found.append(tried(echoed, lib, site, site.base, **options))
    found.append(tried(lib.open, site.base, proxy="http://127.0.0.1:1", proxy_ssl=site.context))
    return found


@scenario
def proxies_that_refuse(lib: Library, site: Site) -> Any:
    found: list[Any] = []
    answers = (
        b"HTTP/1.1 403 Forbidden\r\nX-Why: because\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
        b"",
    )
    for answer in answers:
        with ConnectProxy(answer=answer) as proxy:
            found.append(tried(lib.open, site.base, proxy=f"http://127.0.0.1:{proxy.port}"))
    found.append(tried(lib.open, site.base, proxy="http://127.0.0.1:1"))
    for address in ("ftp://127.0.0.1/", "nonsense", "http://127.0.0.1:1/path"):
        found.append(tried(lib.open, site.base, proxy=address)[1][:2])
    return found


@scenario
def through_a_socks_proxy(lib: Library, site: Site) -> Any:
    found = []
    for scheme in ("socks5", "socks5h", "socks4", "socks4a"):
        with SocksProxy() as proxy:
            address = f"{scheme}://127.0.0.1:{proxy.port}"
            found.append((tried(echoed, lib, site, site.base, proxy=address), proxy.asked))
    with SocksProxy(credentials=(b"user", b"password")) as proxy:
        address = f"socks5h://user:password@127.0.0.1:{proxy.port}"
        found.append((tried(echoed, lib, site, site.base, proxy=address), proxy.asked))
    with SocksProxy(refusals={"refused.example": 2}) as proxy:
        address = f"socks5h://127.0.0.1:{proxy.port}"
        found.append((tried(lib.open, "ws://refused.example/", proxy=address), proxy.asked))
    return found
