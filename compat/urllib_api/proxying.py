"""Requests that were turned to a proxy (`Request.set_proxy`, `ProxyHandler`, the environment's proxies), for the engine.

What the original does is kept: plain http is sent to the proxy whole, an https origin is reached through CONNECT in clear,
whatever the scheme of the proxy, and only a host that `no_proxy` names is not. New are SOCKS proxies, and `all` among the
proxies that a program gives (`all_proxy` of the environment says nothing to urllib, and so says nothing here).
"""

from __future__ import annotations

import base64
import re
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import Request

from drivetrain.compat.urllib_api.sending import origin_of, target_of
from drivetrain.engine import NoProxy, Proxy, parse_uri

__all__ = ["ProxyHandler", "Way", "is_socks", "way_through"]

_match_socks = re.compile(r"socks(?:4a?|5h?)?://", re.IGNORECASE).match
_AUTHORIZATION = "Proxy-Authorization"


class Way(NamedTuple):
    """Where a request goes.

    Attributes:
        url: the root of the origin, or of the proxy where that is all there is to know.
        target: what is asked for.
        proxy: through whom, None for nobody.
        fields: what is sent with it.
    """

    url: str
    target: str
    proxy: Proxy | None
    fields: list[tuple[str, str]]


def is_socks(proxy: str | None) -> bool:
    """Whether a proxy, as a request or a handler has it, speaks SOCKS."""
    return proxy is not None and _match_socks(proxy) is not None


def way_through(request: Request, secure: bool, fields: list[tuple[str, str]]) -> Way:
    """The way of a request that was turned to a proxy.

    Args:
        request: with a proxy as its `host`.
        secure: whether TLS is spoken with `host`, or with the origin where there is a tunnel.
        fields: as they would be sent without a proxy. Credentials for the proxy are taken out of those for a tunnel.

    Raises:
        http.client.InvalidURL, URLError, UnicodeEncodeError: see `origin_of` and `target_of`.
        EngineError: it is no proxy.
    """
    tunnel: str | None = request._tunnel_host  # type: ignore[attr-defined]
    host = request.host or ""
    if tunnel is None and not is_socks(host):
        target = target_of(request)
        scheme, netloc = urlsplit(target)[:2]
        root = origin_of("https" if secure else "http", host)
        if scheme.lower() != "http" or not netloc:
            return Way(root, target, None, fields)
        proxy = parse_uri(root)
        origin = origin_of("http", netloc.rpartition("@")[2])
        return Way(origin, target, Proxy(proxy.scheme, proxy.host, proxy.port), fields)
    parts = urlsplit(request.full_url)
    # Of a request that was turned twice, as for an answer to 401, the selector is the whole URL.
    target = target_of(
        request, parts._replace(scheme="", netloc="", fragment="").geturl() if request.has_proxy() else None
    )
    own = tuple(field for field in fields if field[0] == _AUTHORIZATION)
    fields = [field for field in fields if field[0] != _AUTHORIZATION]
    origin = origin_of("https", tunnel) if tunnel else origin_of("http", parts.netloc)
    if is_socks(host):
        return Way(origin, target, Proxy.from_uri(host), fields)
    root_uri = parse_uri(origin_of("https" if secure else "http", host))
    return Way(origin, target, Proxy("http", root_uri.host, root_uri.port, headers=own), fields)


class ProxyHandler(urllib.request.ProxyHandler):
    """`urllib.request.ProxyHandler`, and SOCKS.

    Credentials of a proxy stay with the request they were for; the original's go along when it is redirected.

    Args:
        proxies: URLs of proxies by scheme; None for those of the environment. "all" is for http and https where they have
            none of their own. "socks5h://[user[:password]@]host[:port]", and socks5, socks4 and socks4a, reach http and https.
        no_proxy: hosts to reach directly beside those that the environment names, see `drivetrain.engine.NoProxy`.
    """

    def __init__(self, proxies: Mapping[str, str] | None = None, no_proxy: str = "") -> None:
        self._exempt = NoProxy(no_proxy)
        if proxies is not None and hasattr(proxies, "keys"):
            given = {name.lower(): url for name, url in proxies.items()}
            if given.get("all"):
                proxies = {"http": given["all"], "https": given["all"], **proxies}
        super().__init__(proxies)  # type: ignore[arg-type]

    def proxy_open(self, req: Request, proxy: str, type: str) -> Any:
        """See the original: turn a request to a proxy, for the next handler to send."""
        if req.host and (urllib.request.proxy_bypass(req.host) or self._is_exempt(req)):
            return None
        tunnel: str | None = req._tunnel_host  # type: ignore[attr-defined]
        if is_socks(proxy) and req.type in ("http", "https"):
            # Where the host is expected: a handler that knows no SOCKS then finds no such host, and sends nothing.
            if tunnel is None and not req.has_proxy():
                req.set_proxy(proxy, req.type)
            else:
                req.host = proxy
            return None
        scheme, user, password, host = urllib.request._parse_proxy(proxy)  # type: ignore[attr-defined]
        if user and password:
            _authorize(req, f"{unquote(user)}:{unquote(password)}")
        kind, selector = req.type, req.selector
        opened = super().proxy_open(req, f"{scheme}://{host}" if scheme else host, type)
        if tunnel is not None:
            # It was turned before, and is asked for once more: the original would ask for the whole URL in the tunnel.
            req.type, req.selector = kind, selector
        return opened

    def _is_exempt(self, request: Request) -> bool:
        if not self._exempt:
            return False
        place = urlsplit(f"//{request.host}")
        return self._exempt.matches(place.hostname or "", place.port or (443 if request.type == "https" else 80))


def _authorize(request: Request, credentials: str) -> None:
    """Give a request Basic credentials for a proxy, in the place of those it was given here before, and of no others."""
    value = "Basic " + base64.b64encode(credentials.encode()).decode("ascii")
    found = request.unredirected_hdrs.get(_AUTHORIZATION.capitalize())
    if found is None or found == getattr(request, "_proxy_credentials", None):
        request._proxy_credentials = value  # type: ignore[attr-defined]
        request.add_unredirected_header(_AUTHORIZATION, value)
