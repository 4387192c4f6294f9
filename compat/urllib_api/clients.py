"""The engine clients behind every opener: one per way of speaking TLS, shared by all openers, so that connections are too.

Laws:

- plain http needs no TLS context and has its own client: programs that never use https never load a trust store;
- https without a context uses what `ssl._create_default_https_context` makes, as `http.client` does, asked once per
  function: replacing that hook, as programs do to turn verification off for the process, takes effect with the next request;
- a context of the caller's has a client of its own; connections made under other verification settings of the same context
  are not used. The clients of the last few contexts are kept: a program that makes a context per call does not grow;
- nothing waits for room in a pool: the original opens a connection whenever it is asked to, and so does this. Only the
  number of idle connections is limited. A server that speaks HTTP/2 gets one connection, and what it allows at once.
"""

from __future__ import annotations

import http.client
import os
import ssl
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from drivetrain.compat.replaced import LIMITS
from drivetrain.engine import Client, H1Limits, PoolLimits

__all__ = ["SharedClients", "make_default_context", "shared_clients"]

_MAX_CLIENTS = 16
_MAX_IDLE = 32
# Room for a whole section of the longest lines http.client takes would be 6 MiB; servers that mean well stay far below.
_MAX_HEAD = 1024 * 1024


def make_default_context() -> ssl.SSLContext:
    """The context of https without one, made as `http.client.HTTPSConnection` makes it."""
    context: ssl.SSLContext = ssl._create_default_https_context()
    context.set_alpn_protocols(["http/1.1"])
    if context.post_handshake_auth is not None:
        context.post_handshake_auth = True
    return context


def _make_client(context: ssl.SSLContext | None, version: float | None = None) -> Client:
    max_line, max_fields = LIMITS(http.client)
    return Client(
        ssl_context=context,
        proxy_ssl_context=context,
        timeout=None,
        version=version,
        follow_redirects=False,
        pool=PoolLimits(max_connections=None, max_per_origin=None, max_idle=_MAX_IDLE),
        limits=H1Limits(max_line=max_line, max_fields=max_fields, max_head=max(_MAX_HEAD, max_line)),
        tolerate_weak_tls=True,
        # As http.client: many old servers and devices are not what RFC 9112 wants of them.
        tolerate_odd_responses=True,
        # As http.client, which sends the body at once.
        expect_100_timeout=0.0,
        # These are the affair of urllib's handlers.
        cookies=False,
        hsts=False,
        proxies=False,
        # As http.client: servers that end TLS without a goodbye are too many to refuse what they sent.
        accept_ragged_end=True,
    )


class SharedClients:
    """Finds the client for a request. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plain: Client | None = None
        self._limits = LIMITS(http.client)
        # Least recently used first. What a key identifies by its `id` is kept alive by the value.
        self._secure: OrderedDict[Hashable, tuple[Client, object]] = OrderedDict()

    def plain(self) -> Client:
        """The client for http."""
        if LIMITS(http.client) != self._limits:
            self._begin_anew()
        client = self._plain
        if client is None:
            made = _make_client(None)
            with self._lock:
                client = self._plain = self._plain or made
        return client

    def secure(self, context: ssl.SSLContext | None, version: float | None = None) -> Client:
        """The client for https with `context`, or the process's default one, and this version of HTTP, or the server's choice."""
        if context is None:
            factory = ssl._create_default_https_context
            return self._find((id(factory), version), factory, make_default_context, version)
        key = (id(context), context.verify_mode, context.check_hostname, version)
        return self._find(key, context, lambda: context, version)

    def _find(
        self, key: Hashable, kept_alive: object, make_context: Callable[[], ssl.SSLContext], version: float | None
    ) -> Client:
        clients = self._secure
        if LIMITS(http.client) != self._limits:
            self._begin_anew()
        with self._lock:
            if key in clients:
                clients.move_to_end(key)
                return clients[key][0]
        made = _make_client(make_context(), version)  # takes long: not under the lock
        with self._lock:
            client, _ = clients.setdefault(key, (made, kept_alive))
            surplus = clients.popitem(last=False)[1][0] if len(clients) > _MAX_CLIENTS else None
        if surplus is not None:
            surplus.close()
        return client

    def _begin_anew(self) -> None:
        """A program has changed the limits of http.client, which hold for what is read from now on."""
        self._limits = LIMITS(http.client)
        self.close()

    def close(self) -> None:
        """Close idle connections now and those in use when their responses end. The next request begins anew."""
        with self._lock:
            clients = [client for client, _ in self._secure.values()]
            if self._plain is not None:
                clients.append(self._plain)
            self._plain = None
            self._secure.clear()
        for client in clients:
            client.close()

    def restart_in_child(self) -> None:
        """Only the forking thread lives on, and another may have held the lock. The pools look after themselves."""
        self._lock = threading.Lock()


shared_clients = SharedClients()
"""The clients of this process."""

if sys.platform != "win32":
    os.register_at_fork(after_in_child=shared_clients.restart_in_child)
