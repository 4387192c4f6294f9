"""Which proxy a request goes through (lua-http's `http.proxies`), and what a request for one looks like.

The rules for the environment are those that curl, Python and lua-http share:

- `http_proxy` counts in lower case only: under CGI a request's own "Proxy" field becomes the variable `HTTP_PROXY`. Under a
  gateway (`REQUEST_METHOD` or `GATEWAY_INTERFACE` is set) neither counts, but `CGI_HTTP_PROXY` does;
- `https_proxy`, `all_proxy` and `no_proxy` count in both cases, lower case first;
- `all_proxy` is for schemes without one of their own; ws goes with http, wss with https;
- a variable that is set and empty says that there is none; in lower case it overrules the one in upper case;
- `no_proxy` is read by `NoProxy`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from ..connection.proxy import Proxy
from ..errors import InvalidURL, UsageError
from ..util import scheme_to_port
from ..wire.headers import Headers
from ..wire.uri import Uri
from .no_proxy import NoProxy

__all__ = ["Proxies", "ProxiesSource", "for_origin", "forwarded", "make_proxies"]

_FAMILY = {"ws": "http", "wss": "https"}


class Proxies:
    """A choice of proxies by scheme, and the hosts that need none.

    Args:
        http, https: for these schemes (and ws, wss), a URI (see `Proxy.from_uri`), a `Proxy`, or None or "" for none.
        all: for schemes without one of their own.
        no_proxy: hosts to reach directly, see `NoProxy`.

    Raises:
        InvalidURL, UsageError: a URI is not that of a proxy.
    """

    def __init__(
        self,
        http: str | Proxy | None = None,
        https: str | Proxy | None = None,
        all: str | Proxy | None = None,
        no_proxy: str = "",
    ) -> None:
        given = {"http": http, "https": https, "all": all}
        self._proxies: dict[str, Proxy | InvalidURL] = {}
        for key, proxy in given.items():
            if isinstance(proxy, Proxy):
                self._proxies[key] = proxy
            elif proxy and proxy.strip():
                self._proxies[key] = Proxy.from_uri(proxy)
        self._exceptions = NoProxy(no_proxy)

    def __bool__(self) -> bool:
        return bool(self._proxies)

    def __repr__(self) -> str:
        shown = {key: proxy for key, proxy in self._proxies.items() if isinstance(proxy, Proxy)}
        return f"<Proxies {shown} except {self._exceptions.text!r}>"

    def update(self, getenv: Callable[[str], str | None] = os.environ.get) -> Proxies:
        """Read the environment; what is not set there stays as it is.

        A variable that is not the URI of a proxy fails the requests it is for, in `choose`, and no others.

        Args:
            getenv: returns the value of a variable, or None.

        Returns:
            This object.
        """
        under_gateway = getenv("REQUEST_METHOD") or getenv("GATEWAY_INTERFACE")
        names = {
            "http": ("CGI_HTTP_PROXY",) if under_gateway else ("http_proxy",),
            "https": ("https_proxy", "HTTPS_PROXY"),
            "all": ("all_proxy", "ALL_PROXY"),
        }
        for key, variables in names.items():
            name, value = _first_set(getenv, variables)
            if value is not None:
                self._set(key, name, value)
        _, value = _first_set(getenv, ("no_proxy", "NO_PROXY"))
        if value is not None:
            self._exceptions = NoProxy(value)
        return self

    def _set(self, key: str, name: str, value: str) -> None:
        if not value.strip():
            self._proxies.pop(key, None)
            return
        try:
            self._proxies[key] = Proxy.from_uri(value)
        except UsageError as error:
            self._proxies[key] = InvalidURL(f"the environment variable {name} is not the URI of a proxy: {error}")

    def choose(self, scheme: str, host: str, port: int | None = None) -> Proxy | None:
        """The proxy for an origin, or None to reach it directly.

        Args:
            scheme: "http", "https", "ws" or "wss".
            host: a name or an IP address, with or without brackets.
            port: None for the scheme's default.

        Raises:
            InvalidURL: the environment variable for it is not the URI of a proxy.
        """
        proxies = self._proxies
        if not proxies:
            return None
        proxy = proxies.get(_FAMILY.get(scheme, scheme)) or proxies.get("all")
        if proxy is None or self._exceptions.matches(host, port or scheme_to_port.get(scheme, 0)):
            return None
        if isinstance(proxy, InvalidURL):
            raise InvalidURL(str(proxy))
        return proxy


ProxiesSource = Proxies | Proxy | Mapping[str, Any] | str | bool | None
"""What a `proxies` argument may be; see `make_proxies`."""


def make_proxies(source: ProxiesSource) -> Proxies | None:
    """Read a `proxies` argument: True for the environment, False or None for none, one proxy for everything, or a mapping.

    Raises:
        InvalidURL, UsageError: a URI is not that of a proxy, or the mapping has an unknown key.
    """
    if source is True:
        return Proxies().update() or None
    if not source:
        return None
    if isinstance(source, Proxies):
        return source
    if isinstance(source, (str, Proxy)):
        return Proxies(all=source)
    unknown = set(source) - {"http", "https", "all", "no_proxy"}
    if unknown:
        raise UsageError(
            f"proxies are given for http, https, all and no_proxy, not for {', '.join(map(repr, sorted(unknown)))}"
        )
    return Proxies(**source)


def _first_set(getenv: Callable[[str], str | None], names: tuple[str, ...]) -> tuple[str, str | None]:
    for name in names:
        value = getenv(name)
        if value is not None:
            return name, value
    return "", None


def forwarded(headers: Headers, uri: Uri, proxy: Proxy, authorization: str | None = None) -> Headers:
    """The request for a plain http origin as it is sent to an HTTP proxy, where `proxy.needs_tunnel` says no.

    The target is the whole URI (RFC 9112 section 3.2.2), without user information and fragment, unless the headers have one
    of that form already; the proxy's own fields are added, in the place of any of the same name.

    Args:
        headers: as for the origin; it is not changed.
        uri: what is requested.
        proxy: who is asked.
        authorization: a Proxy-Authorization value in the place of that of the credentials.
    """
    request = headers.clone()
    target = headers.get(":path", uri.target)
    # RFC 9112 section 3.2.4: "OPTIONS *" has no path in this form.
    path = target if target.startswith("/") else "" if target == "*" else uri.target
    if target.startswith("/") or "://" not in target:
        request.upsert(":path", f"{uri.scheme}://{uri.authority}{path}")
    own = proxy.fields(authorization)
    for name, _ in own:
        request.delete(name)
    for name, value in own:
        request.append(name, value)
    return request


def for_origin(headers: Headers) -> Headers:
    """The request as an origin may see it, directly or through a tunnel: without Proxy-Authorization.

    The same object where there is nothing to take out.
    """
    if not headers.has("proxy-authorization"):
        return headers
    request = headers.clone()
    request.delete("proxy-authorization")
    return request
