"""requests' `proxies=` as proxies of the engine.

What requests does with a proxy's URL is done here the same way: a scheme is added, the adapter's `proxy_headers` says what the
proxy is sent. Where a program has made or told urllib3's proxy manager something (`proxy_manager_for`), that is read from the
manager, or from the pool that it makes.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import requests.adapters
import requests.utils
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidProxyURL
from requests.utils import get_auth_from_url
from urllib3 import ProxyManager
from urllib3.exceptions import ProxySchemeUnknown
from urllib3.poolmanager import pool_classes_by_scheme
from urllib3.util import Url, parse_url

from drivetrain.compat.requests_api.trust import NotUnderstood
from drivetrain.engine import NoProxy, Proxy
from drivetrain.engine.errors import UsageError

__all__ = ["Hop", "ProxyTable", "hop_of_pool", "is_exempt"]

_PROXY_MANAGER_FOR = HTTPAdapter.proxy_manager_for
_with_scheme: Callable[[str, str], str] = requests.utils.prepend_scheme_if_needed
_UNDERSTOOD = frozenset(
    {"block", "maxsize", "ssl_context", "_proxy", "_proxy_headers", "_proxy_config", "_socks_options"}
)
_SOCKS = {"socks": "socks5h", "socks4": "socks4", "socks4a": "socks4a", "socks5": "socks5", "socks5h": "socks5h"}
_MAX_KNOWN = 1000


class Hop(NamedTuple):
    """A proxy and how to speak TLS with what is behind it.

    Attributes:
        proxy: the engine's.
        context: for origins, in the place of one of the adapter's own; None for that.
        proxy_context: for the proxy; None for the settings of the request.
        assert_hostname, assert_fingerprint: as urllib3 has them, for the proxy's certificate.
    """

    proxy: Proxy
    context: ssl.SSLContext | None = None
    proxy_context: ssl.SSLContext | None = None
    assert_hostname: Any = None
    assert_fingerprint: str | None = None

    @property
    def has_own_tls(self) -> bool:
        """Whether TLS on this way is another matter than without a proxy."""
        return self.proxy.scheme == "https" or self.context is not None

    @property
    def identity(self) -> tuple[Any, ...]:
        """What is equal for requests that may share connections."""
        return (self.proxy.scheme == "https", *self[1:])


class ProxyTable:
    """Finds the proxy that a URL stands for, and remembers those that one adapter has asked for."""

    def __init__(self) -> None:
        self._known: dict[str, Hop] = {}

    def find(self, adapter: HTTPAdapter, chosen: str) -> Hop | None:
        """The proxy to use; None where a manager is to be asked for a pool.

        Args:
            adapter: whose hooks are called: `proxy_headers` once for each proxy, as by requests.
            chosen: what `select_proxy` returned.

        Raises:
            requests.exceptions.InvalidProxyURL: it is no URL of a proxy.
            urllib3.exceptions.LocationValueError: it is no URL at all, or of an unknown scheme.
        """
        managers: dict[str, Any] = adapter.proxy_manager
        if not managers and chosen in self._known:
            return self._known[chosen]
        url = _with_scheme(chosen, "http")
        parts = parse_url(url)
        if not parts.host:
            raise InvalidProxyURL("Please check proxy URL. It is malformed and could be missing the host.")
        is_overridden = type(adapter).proxy_manager_for is not _PROXY_MANAGER_FOR
        manager = adapter.proxy_manager_for(url) if is_overridden else managers.get(url)
        if manager is not None:
            return self._read(manager, url, parts)
        hop = self._known.get(chosen)
        if hop is None:
            headers = {} if _is_socks(parts) else adapter.proxy_headers(url)
            hop = Hop(_make_proxy(url, parts, headers))
            if len(self._known) < _MAX_KNOWN:
                self._known[chosen] = hop
        return hop

    def _read(self, manager: Any, url: str, parts: Url) -> Hop | None:
        """What a proxy manager was told, None where that is to be asked of its pools."""
        settings: Mapping[str, Any] = getattr(manager, "connection_pool_kw", {"unknown": True})
        if not _UNDERSTOOD.issuperset(settings):
            return None
        context = settings.get("ssl_context")
        if context is not None and not isinstance(context, ssl.SSLContext):
            return None
        if _is_socks(parts):
            is_plain = type(manager) is requests.adapters.SOCKSProxyManager
            return Hop(_make_proxy(url, parts, {}), context) if is_plain else None
        if type(manager) is not ProxyManager or manager.pool_classes_by_scheme != pool_classes_by_scheme:
            return None
        config: Any = manager.proxy_config
        if config.use_forwarding_for_https:
            return None
        own = (config.ssl_context, config.assert_hostname, config.assert_fingerprint)
        return Hop(_make_proxy(url, parts, manager.proxy_headers), context, *own)


def is_exempt(url: str, no_proxy: NoProxy) -> bool:
    """Whether `no_proxy` names the host of a URL."""
    parts = parse_url(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return bool(parts.host) and no_proxy.matches(parts.host or "", port)


def hop_of_pool(pool: Any) -> Hop | None:
    """The proxy that one of urllib3's pools goes through, None for none.

    Raises:
        NotUnderstood: requests for https are to be sent to the proxy itself, which the engine does not do.
        requests.exceptions.InvalidProxyURL: it is none.
    """
    socks: Any = pool.conn_kw.get("_socks_options")
    if socks:
        scheme = {(1, False): "socks4", (1, True): "socks4a", (2, False): "socks5"}.get(
            (socks["socks_version"], socks["rdns"]), "socks5h"
        )
        credentials = (socks["username"] or None, socks["password"] or None if socks["username"] else None)
        return Hop(_checked(scheme, socks["proxy_host"], socks["proxy_port"] or 1080, *credentials))
    if pool.proxy is None:
        return None
    config: Any = pool.proxy_config
    if config is None:
        return Hop(_make_proxy("", pool.proxy, pool.proxy_headers))
    if config.use_forwarding_for_https:
        raise NotUnderstood
    own = (config.ssl_context, config.assert_hostname, config.assert_fingerprint)
    return Hop(_make_proxy("", pool.proxy, pool.proxy_headers), None, *own)


def _is_socks(parts: Url) -> bool:
    return (parts.scheme or "").startswith("socks")


def _make_proxy(url: str, parts: Url, headers: Mapping[str, Any]) -> Proxy:
    scheme = parts.scheme or ""
    username = password = None
    if _is_socks(parts):
        if scheme not in _SOCKS:
            raise InvalidProxyURL(f"Unable to determine SOCKS version from {scheme}://{parts.host}")
        scheme = _SOCKS[scheme]
        name, secret = get_auth_from_url(url)
        username, password = (name, secret) if name else (None, None)
    elif scheme not in ("http", "https"):
        raise ProxySchemeUnknown(scheme)
    port = parts.port or {"http": 80, "https": 443}.get(scheme, 1080)
    fields = tuple((_text(name), _text(value)) for name, value in headers.items())
    return _checked(scheme, parts.host or "", port, username, password, fields)


def _checked(scheme: str, host: str, *more: Any) -> Proxy:
    try:
        return Proxy(scheme, host.strip("[]"), *more)
    except UsageError as error:
        raise InvalidProxyURL(str(error)) from error


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
