"""Addresses of proxies, and which one the environment wants for a WebSocket."""

from __future__ import annotations

import dataclasses
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING

from drivetrain.compat.websockets_api.datastructures import Headers
from drivetrain.compat.websockets_api.exceptions import InvalidProxy
from drivetrain.compat.websockets_api.headers import build_authorization_basic, build_host
from drivetrain.compat.websockets_api.http11 import USER_AGENT

if TYPE_CHECKING:
    from drivetrain.compat.websockets_api.uri import WebSocketURI

__all__ = ["Proxy", "decoded", "get_proxy", "pair_of", "parse_proxy", "prepare_connect_request"]

_SCHEMES = ("socks5h", "socks5", "socks4a", "socks4", "https", "http")


@dataclasses.dataclass
class Proxy:
    """Where a proxy is, and how to speak to it.

    Attributes:
        scheme: socks5h, socks5, socks4a, socks4, https or http.
        host: in lower case.
        port: 443 or 80 where the address has none.
        username: from the address, decoded.
        password: from the address, decoded.
    """

    scheme: str
    host: str
    port: int
    username: str | None = None
    password: str | None = None

    @property
    def user_info(self) -> tuple[str, str] | None:
        """Name and password, if the address has them."""
        return pair_of(self.username, self.password)


def pair_of(username: str | None, password: str | None) -> tuple[str, str] | None:
    """Both of them; None without a name."""
    if username is None:
        return None
    if password is None:
        raise AssertionError("a name without a password")
    return username, password


def decoded(part: str | None) -> str | None:
    """A name or password out of a URI without its percent signs; UnicodeDecodeError when that is not UTF-8."""
    return None if part is None else urllib.parse.unquote(part, errors="strict")


def parse_proxy(proxy: str) -> Proxy:
    """Take the address of a proxy apart.

    Raises:
        InvalidProxy: it is not one.
        ValueError: it is not even a URI.
    """
    parts = urllib.parse.urlparse(proxy)
    if parts.scheme not in _SCHEMES:
        raise InvalidProxy(proxy, f"scheme {parts.scheme} isn't supported")
    if parts.hostname is None:
        raise InvalidProxy(proxy, "hostname isn't provided")
    meaningless = {"path": parts.path.removeprefix("/"), "query": parts.query, "fragment": parts.fragment}
    for name, part in meaningless.items():
        if part:
            raise InvalidProxy(proxy, f"{name} is meaningless")
    host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    if parts.username is not None and parts.password is None:
        raise InvalidProxy(proxy, "username provided without password")
    username, password = decoded(parts.username), decoded(parts.password)
    if not proxy.isascii():
        host = host.encode("idna").decode("ascii")
    return Proxy(parts.scheme, host, port, username, password)


def get_proxy(uri: WebSocketURI) -> str | None:
    """The address of the proxy that the environment, or the operating system, has for a URI; None for no proxy.

    A proxy for WebSockets is preferred to one for SOCKS, and that to those for https and http (RFC 6455 section 4.1).
    """
    proxies = urllib.request.getproxies()
    if not proxies or urllib.request.proxy_bypass(f"{uri.host}:{uri.port}"):
        return None
    for scheme in ("wss", "socks", "https") if uri.secure else ("ws", "socks", "https", "http"):
        address = proxies.get(scheme)
        if address is not None:
            # An operating system names the scheme of what it is for, not of how to speak to it.
            is_socks = scheme == "socks" and address.startswith("http://")
            return "socks5h://" + address.removeprefix("http://") if is_socks else address
    return None


def prepare_connect_request(proxy: Proxy, ws_uri: WebSocketURI, user_agent_header: str | None = USER_AGENT) -> bytes:
    """The request that asks an HTTP proxy for a way to a server.

    Args:
        proxy: whose credentials are sent, if it has any.
        ws_uri: of the server.
        user_agent_header: value of `User-Agent`; None for no such field.
    """
    headers = Headers(Host=build_host(ws_uri.host, ws_uri.port, ws_uri.secure))
    if user_agent_header is not None:
        headers["User-Agent"] = user_agent_header
    if proxy.user_info is not None:
        headers["Proxy-Authorization"] = build_authorization_basic(*proxy.user_info)
    target = build_host(ws_uri.host, ws_uri.port, ws_uri.secure, always_include_port=True)
    return f"CONNECT {target} HTTP/1.1\r\n".encode() + headers.serialize()
