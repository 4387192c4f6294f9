"""Whether a program has put something of its own below `urllib.request`: then that is used, by way of `http.client`.

Programs lead `urllib.request` another way, record it or forbid it by replacing functions that it comes to in the end:
`socket.getaddrinfo` (names of their own, IPv4 only), `socket.socket` (PySocks, guards of test suites), methods of the
connections and responses of `http.client`, `SSLContext.wrap_socket`. The engine calls none of them, or calls them another
way; so requests are left to the original for as long as there is such a thing. What gevent and eventlet put there is not a
program's own: the engine runs on it.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from functools import lru_cache
from typing import Any

from drivetrain.compat.replaced import GREEN, Watch, is_at_home

__all__ = ["is_as_made"]

_HOMES = ("http.client", "socket", "_socket", *GREEN)
_CONNECTION = (
    *("__init__", "connect", "request", "putrequest", "putheader", "endheaders", "send", "_send_request"),
    *("_send_output", "getresponse", "response_class"),
)
_RESPONSE = ("__init__", "begin", "_read_status", "read", "read1", "readinto", "readline", "getheader", "close")
_NETWORK = (
    *("socket", "create_connection", "getaddrinfo"),
    *("socket.__init__", "socket.connect", "socket.sendall", "socket.recv_into"),
)


def _watch(kind: type) -> Watch:
    return Watch(
        (kind, _CONNECTION),
        (http.client.HTTPResponse, _RESPONSE),
        (http.client, ("parse_headers", "HTTPResponse")),
        (socket, _NETWORK),
        homes=_HOMES,
    )


_KINDS: Any = (http.client.HTTPConnection, http.client.HTTPSConnection)
_WATCHES = tuple(map(_watch, _KINDS))
_VERSIONS = tuple(kind._http_vsn_str for kind in _KINDS)
_WRAP = vars(ssl.SSLContext)["wrap_socket"]
_WRAP_BIO = vars(ssl.SSLContext)["wrap_bio"]


def is_as_made(secure: bool, context: ssl.SSLContext | None = None) -> bool:
    """Whether nothing of the kind was replaced below a request.

    Args:
        secure: whether it is about TLS.
        context: its, None for the default one.
    """
    if not _WATCHES[secure].unchanged() or _KINDS[secure]._http_vsn_str is not _VERSIONS[secure]:
        return False
    return context is None or _is_context_as_made(context)


@lru_cache(64)
def _wraps_as_made(wrap: Any, wrap_bio: Any) -> bool:
    # Who has another one for sockets, and the same for everything else, means the connections of http.client.
    return wrap is _WRAP or wrap_bio is not _WRAP_BIO or is_at_home(wrap, _HOMES)


def _is_context_as_made(context: ssl.SSLContext) -> bool:
    """Whether a context speaks TLS over the engine's connections as it would over a socket."""
    kind = type(context)
    return _wraps_as_made(kind.wrap_socket, kind.wrap_bio) and "wrap_socket" not in vars(context)
