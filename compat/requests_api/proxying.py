"""requests' `proxies=` as proxies of the engine.

What requests does with a proxy's URL is done here the same way: a scheme is added, the adapter's `proxy_headers` says what the
proxy is sent. Where a program has made or told urllib3's proxy manager something (`proxy_manager_for`), that is read from the
manager; when the engine cannot do it, urllib3 sends the request.
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

from drivetrain.engine import NoProxy, Proxy
from drivetrain.engine.errors import UsageError

__all__ = ["Hop", "ProxyTable", "is_exempt"]

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
    """

    proxy: Proxy
    context: ssl.SSLContext | None = None
    proxy_context: ssl.SSLContext | None = None

    @property
    def has_own_tls(self) -> bool:
        """Whether TLS on this way is another matter than without a proxy."""
        return self.proxy.scheme == "https" or self.context is not None


class ProxyTable:
    """Finds the proxy that a URL stands for, and remembers those that one adapter has asked for."""

    def __init__(self) -> None:
        self._known: dict[str, Hop] = {}

    def find(self, adapter: HTTPAdapter, chosen: str) -> Hop | None:
        """The proxy to use; None when urllib3 must send the request.

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
        """What a proxy manager was told, None where that is more than the engine does."""
        settings: Mapping[str, Any] = getattr(manager, "connection_pool_kw", {"unknown": True})
        if not _UNDERSTOOD.issuperset(settings):
            return None
        context = settings.get("ssl_context")
        if _is_socks(parts):
            is_plain = type(manager) is requests.adapters.SOCKSProxyManager
            return Hop(_make_proxy(url, parts, {}), context) if is_plain else None
        if type(manager) is not ProxyManager or manager.pool_classes_by_scheme != pool_classes_by_scheme:
            return None
        config: Any = manager.proxy_config
        if config.use_forwarding_for_https or config.assert_hostname is not None or config.assert_fingerprint:
            return None
        return Hop(_make_proxy(url, parts, manager.proxy_headers), context, config.ssl_context)


def is_exempt(url: str, no_proxy: NoProxy) -> bool:
    """Whether `no_proxy` names the host of a URL."""
    parts = parse_url(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return bool(parts.host) and no_proxy.matches(parts.host or "", port)


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
    try:
        return Proxy(scheme, (parts.host or "").strip("[]"), port, username, password, fields)
    except UsageError as error:
        raise InvalidProxyURL(str(error)) from error


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
