"""What one of urllib3's pools would do, for the engine to do it.

A subclass of requests' adapter says what it wants in the terms of urllib3: keywords of a `PoolManager`, attributes of a pool's
key, values that `cert_verify` or somebody else writes on a pool. All of it ends in the pool, so that is where it is read.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import LocationValueError

from drivetrain.compat.requests_api.dialling import USUAL_OPTIONS, Way
from drivetrain.compat.requests_api.proxying import Hop, hop_of_pool
from drivetrain.compat.requests_api.trust import NotUnderstood, TlsSettings

__all__ = ["EnginesPool", "Wishes", "read_pool"]

_CONNECTIONS: dict[Any, Any] = {HTTPConnectionPool: HTTPConnection, HTTPSConnectionPool: HTTPSConnection}
# What connections of urllib3's own classes can be told; more than that is an error of theirs.
_TOLD = frozenset(
    {
        *("blocksize", "ca_cert_data", "proxy", "proxy_config", "server_hostname", "socket_options", "source_address"),
        *("_socks_options", "ssl_context"),
    }
)
_OF_TLS = frozenset({"ca_cert_data", "server_hostname", "ssl_context"})
_OF_POOLS = (
    *("assert_fingerprint", "assert_hostname", "ca_cert_dir", "ca_certs", "cert_file", "cert_reqs", "key_file"),
    *("key_password", "ssl_maximum_version", "ssl_minimum_version", "ssl_version"),
)


class EnginesPool(HTTPSConnectionPool):
    """What stands for urllib3's pool where it has none: it sends nothing."""

    def urlopen(self, method: str, url: str, *args: Any, **options: Any) -> Any:
        """Refuse."""
        raise LocationValueError(f"only the engine sends {method} {url} to where it is to go")


class Wishes(NamedTuple):
    """What a pool would do.

    Attributes:
        settings: for TLS.
        way: how to connect, to a proxy where there is one.
        hop: the proxy.
        place: scheme, host and port that the pool is for, None where it stands for any.
    """

    settings: TlsSettings
    way: Way
    hop: Hop | None
    place: tuple[str, str, int | None] | None


def read_pool(pool: Any, system: bool, known: ssl.SSLContext | None) -> Wishes:
    """Read a pool.

    Args:
        pool: urllib3's.
        system: whether the request asked for the default trust.
        known: the adapter's own context, which is not told apart.

    Raises:
        NotUnderstood: it is of another class, uses other connections, has methods of its own, or is told what the engine
            does not do.
    """
    kind = type(pool)
    told: dict[str, Any] = dict(pool.conn_kw) if isinstance(pool, HTTPConnectionPool) else {}
    if kind is not EnginesPool and not _is_original(pool, kind):
        raise NotUnderstood
    if any(hasattr(kind, name) for name in vars(pool)) or not _TOLD.issuperset(told) or _is_told_tls(pool, told):
        raise NotUnderstood
    settings = TlsSettings(system)
    for name in _OF_POOLS:
        value = getattr(pool, name, None)
        if value is not None or name == "cert_reqs":
            setattr(settings, name, value)
    context = told.get("ssl_context")
    if context is not None and not isinstance(context, ssl.SSLContext):  # one of pyOpenSSL
        raise NotUnderstood
    if context is not None and context is not known:
        settings.ssl_context = context
    settings.ca_cert_data = told.get("ca_cert_data")
    settings.server_hostname = told.get("server_hostname")
    if settings.cert_reqs is None:  # nobody has said
        settings.cert_reqs = "CERT_REQUIRED" if context is None else context.verify_mode
    hop = hop_of_pool(pool)
    place = None if kind is EnginesPool else (pool.scheme, pool.host, pool.port)
    return Wishes(settings, _way_of(told, pool.proxy is not None), hop, place)


def _is_told_tls(pool: Any, told: dict[str, Any]) -> bool:
    """Whether a pool in clear was told what is an error there."""
    return pool.scheme == "http" and not _OF_TLS.isdisjoint(told)


def _is_original(pool: Any, kind: type) -> bool:
    connection = _CONNECTIONS.get(kind)
    if connection is None:
        socks: Any = sys.modules.get("urllib3.contrib.socks")  # which is there if PySocks is
        for scheme in ("", "S"):
            if socks is not None and kind is getattr(socks, f"SOCKSHTTP{scheme}ConnectionPool"):
                connection = getattr(socks, f"SOCKS{f'HTTP{scheme}' if scheme else ''}Connection")
    return connection is not None and pool.ConnectionCls is connection


def _way_of(told: dict[str, Any], is_proxied: bool) -> Way:
    source = told.get("source_address") or None
    options: Any = told.get("socket_options", USUAL_OPTIONS)
    chosen = None if options is USUAL_OPTIONS else tuple(map(_option, options or ()))
    if is_proxied and chosen == ():
        chosen = None  # urllib3's way to proxies, which does not show
    return Way(None if source is None else tuple(source), chosen)


def _option(option: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(bytes(part) if isinstance(part, (bytearray, memoryview)) else part for part in option)
