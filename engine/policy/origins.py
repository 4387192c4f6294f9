"""From a URI to the key of the connections that may serve it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..connection.connector import OriginKey
from ..connection.dial import DialOptions, TlsOptions
from ..connection.proxy import Proxy
from ..errors import InvalidURL
from ..wire.uri import Uri

__all__ = ["Origins"]

_MAX_KEYS = 10_000


class Origins:
    """Makes and remembers `OriginKey`s: one object per origin, so that pools compare by identity.

    Args:
        tls: how to speak TLS with https origins.
        dial: how to connect.
        settings: further ones, see `OriginKey`.
    """

    def __init__(self, tls: TlsOptions, dial: DialOptions, **settings: Any) -> None:
        self._tls = tls
        self._dial = dial
        self._settings = settings
        self._keys: dict[tuple[object, ...], OriginKey] = {}
        self._without_websockets: dict[OriginKey, OriginKey] = {}

    def key_for(self, uri: Uri, proxy: Proxy | None = None) -> OriginKey:
        """The key for a URI's origin, through `proxy`; raises `InvalidURL` for a scheme other than http and https."""
        identity: tuple[object, ...] = uri.origin if proxy is None else (*uri.origin, proxy)
        key = self._keys.get(identity)
        if key is None:
            if uri.scheme not in ("http", "https"):
                raise InvalidURL(f"cannot send a request to the scheme {uri.scheme!r}")
            tls = self._tls if uri.scheme == "https" else None
            key = OriginKey(uri.scheme, uri.host, uri.port, tls, self._dial, **self._settings)
            if proxy is not None:
                key = key.through(proxy)
            self._remember(identity, key)
        return key

    def pin(self, key: OriginKey, version: float) -> OriginKey:
        """The key with the HTTP version pinned, which requests to the same origin get from now on."""
        pinned = key.pinned(version)
        place = (key.scheme, key.host, key.port)
        self._remember(place if key.proxy is None else (*place, key.proxy), pinned)
        return pinned

    def websocket_key_for(self, uri: Uri, proxy: Proxy | None = None) -> OriginKey:
        """`key_for` for WebSockets, which go through every proxy by a tunnel (RFC 6455 section 4.1)."""
        if proxy is None or uri.scheme == "https":
            key = self.key_for(uri, proxy)
        else:
            key = replace(self.key_for(uri), scheme="ws").through(proxy)
        return self._without_websockets.get(key, key)

    def pin_websocket(self, key: OriginKey) -> OriginKey:
        """The key for HTTP/1.1, which WebSockets to the same origin get from now on: over HTTP/2 it takes none."""
        if len(self._without_websockets) >= _MAX_KEYS:
            self._without_websockets.clear()
        pinned = self._without_websockets[key] = key.pinned(1.1)
        return pinned

    def _remember(self, identity: tuple[object, ...], key: OriginKey) -> None:
        if len(self._keys) >= _MAX_KEYS:
            self._keys.clear()
        self._keys[identity] = key
