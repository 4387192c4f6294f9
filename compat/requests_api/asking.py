"""What is asked before a request goes past urllib3: whether anybody has something to say to how an adapter sends.

These are functions, not methods, for the reason that `planning` gives. Each is asked for every request, or for every request
that does not go the `short_way`.
"""

from __future__ import annotations

import http.client
import ssl
from types import NoneType
from typing import Any

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from urllib3 import PoolManager
from urllib3.poolmanager import pool_classes_by_scheme

from drivetrain.compat.replaced import LIMITS
from drivetrain.compat.requests_api.originals import WATCHES
from drivetrain.compat.requests_api.unix_sockets import is_unix

__all__ = [
    "BUILD_RESPONSE",
    "CERT_VERIFY",
    "CLASSES",
    "DOORS",
    "GET_POOL",
    "POOL_KEY",
    "goes_elsewhere",
    "hands_out_pools",
    "has_begun",
    "is_understood",
    "may_send",
    "tells_pools",
    "told_of",
]

# What requests' class did when this module was imported; see `planning`.
BUILD_RESPONSE = HTTPAdapter.build_response
GET_POOL = HTTPAdapter.get_connection_with_tls_context
# Whoever overrides these, or tells the pool manager more, has something to say to urllib3's pools, where it is read then.
POOL_KEY = HTTPAdapter.build_connection_pool_key_attributes
CERT_VERIFY = HTTPAdapter.cert_verify
CLASSES = dict(pool_classes_by_scheme)

DOORS: set[Any] = set()
"""What an adapter's `get_connection_with_tls_context` may be without anybody's way of his own to a pool."""

_ELSEWHERE = frozenset({"dialer", "unix_socket"})
_CONTEXTS = (ssl.SSLContext, NoneType)
_UNDERSTOOD = frozenset({"block", "maxsize", "ssl_context"})


def has_begun(adapter: Any) -> bool:
    """Whether it has clients, for the pool manager that is there now and as that was told."""
    manager, context, limits = adapter._engine_begun_with
    if manager is not getattr(adapter, "poolmanager", None) or LIMITS(http.client) != limits:
        return False
    told = getattr(manager, "connection_pool_kw", None)
    return context is (told.get("ssl_context") if isinstance(told, dict) else None)


def told_of(manager: Any) -> dict[str, Any]:
    """What a pool manager was told; a subclass may have none."""
    told = getattr(manager, "connection_pool_kw", None)
    return told if isinstance(told, dict) else {}


def may_send(adapter: Any, request: PreparedRequest, proxies: Any) -> bool:
    """Whether nobody has put anything below urllib3's pools that has to see a request. Asked for every one."""
    url = request.url or ""
    watch = WATCHES[getattr(adapter, "_engine_stands_in", False)][bool(proxies) or url[:5] == "https"]
    return watch.unchanged() or is_unix(url) or goes_elsewhere(adapter)


def is_understood(adapter: Any) -> bool:
    """Whether its pool manager is of requests' kind, and was told nothing that only urllib3's pools know."""
    manager = getattr(adapter, "poolmanager", None)
    return (
        type(manager) is PoolManager
        and _UNDERSTOOD.issuperset(told_of(manager))
        and isinstance(adapter._engine_begun_with[1], _CONTEXTS)
    )


def goes_elsewhere(adapter: Any) -> bool:
    """Whether it has been given a way to where urllib3 knows none."""
    return not _ELSEWHERE.isdisjoint(adapter._engine_options)


def tells_pools(adapter: Any) -> bool:
    """Whether urllib3's pools are told, or made, in a way that is not requests'."""
    return (
        not is_understood(adapter)
        or getattr(adapter.build_connection_pool_key_attributes, "__func__", None) is not POOL_KEY
        or getattr(adapter.cert_verify, "__func__", None) is not CERT_VERIFY
        or adapter.poolmanager.pool_classes_by_scheme != CLASSES
    )


def hands_out_pools(adapter: Any) -> bool:
    """Whether a subclass, or somebody else, has a way of its own from a request to a pool."""
    if getattr(adapter.get_connection_with_tls_context, "__func__", None) not in DOORS:
        return True
    return HTTPAdapter.get_connection_with_tls_context is not GET_POOL
