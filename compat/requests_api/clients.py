"""The engine's clients behind one adapter: one in clear, and one for each way of doing TLS."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from drivetrain.compat.requests_api.proxying import Hop
from drivetrain.compat.requests_api.trust import TlsSettings, make_context
from drivetrain.engine import Client, PoolLimits, Response

__all__ = ["Clients", "limits_of"]


def limits_of(connections: int, maxsize: int, block: bool) -> PoolLimits:
    """The limits that an adapter's `pool_connections`, `pool_maxsize` and `pool_block` stand for.

    Without `block` any number of connections may be in use, and `maxsize` for each of `connections` hosts are kept
    afterwards; with it, `maxsize` is a limit for each host. urllib3 takes 0 for no limit. A host that speaks HTTP/2 has one
    connection for all requests, of which any number may be under way as far as `maxsize` is concerned.
    """
    return PoolLimits(
        max_connections=None,
        max_per_origin=(maxsize or None) if block else None,
        max_idle=connections * maxsize or None,
    )


class Clients:
    """Makes clients when they are first needed. Any number of threads may use one object.

    Args:
        options: keyword arguments for every client.

    Attributes:
        dropped: responses that were dropped unread; `sweep` closes them.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        # A body that lasts until the connection ends is taken as it is over TLS too, as by Python's ssl.
        # Cookies, proxies and the environment are the session's affair.
        own = {"cookies": False, "hsts": False, "proxies": False}
        self._options = {"accept_ragged_end": True, "tolerate_weak_tls": True, **own, **options}
        self._context = self._options.pop("ssl_context", None)
        self._lock = threading.Lock()
        self._plain: Client | None = None
        self._secure: dict[tuple[Any, ...], tuple[tuple[Any, ...], Client]] = {}
        self.dropped: deque[Response] = deque()

    def plain(self) -> Client:
        """The client for http."""
        client = self._plain
        if client is None:
            with self._lock:
                client = self._plain
                if client is None:
                    client = self._plain = Client(**self._options)
        return client

    def secure(self, settings: TlsSettings, hop: Hop | None = None) -> Client:
        """The client for https with these settings, and for https proxies; raises what `make_context` does.

        Args:
            hop: through what proxy. Only those that have TLS of their own, or contexts, need clients of their own.
        """
        identity, stamp = settings.identity, settings.stamp
        if hop is not None and (hop.proxy.scheme == "https" or hop.context is not None):
            identity = (*identity, hop.proxy.scheme == "https", hop.context, hop.proxy_context)
        found = self._secure.get(identity)
        if found is not None and found[0] == stamp:
            return found[1]
        with self._lock:
            found = self._secure.get(identity)
            if found is None or found[0] != stamp:
                made = self._make(settings, hop)
                if found is not None:
                    found[1].close()
                found = self._secure[identity] = (stamp, made)
        return found[1]

    def _make(self, settings: TlsSettings, hop: Hop | None) -> Client:
        if hop is None:
            return Client(ssl_context=make_context(settings, self._context), **self._options)
        options = dict(self._options)
        if hop.proxy.scheme == "https":
            given = hop.proxy_context or options.get("proxy_ssl_context")
            options["proxy_ssl_context"] = given or make_context(settings.for_proxy(), None)
        return Client(ssl_context=make_context(settings, hop.context or self._context), **options)

    def sweep(self) -> None:
        """Close what was dropped unread."""
        while self.dropped:
            try:
                response = self.dropped.popleft()
            except IndexError:  # another thread was quicker
                return
            response.close()

    def close(self) -> None:
        """Close idle connections now and those in use when their responses end. New clients are made when needed."""
        with self._lock:
            clients = [client for _, client in self._secure.values()]
            if self._plain is not None:
                clients.append(self._plain)
            self._plain = None
            self._secure = {}
        for client in clients:
            client.close()
        self.sweep()
