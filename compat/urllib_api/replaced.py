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
from operator import attrgetter
from typing import Any

__all__ = ["LIMITS", "is_as_made"]

_CONNECTION = attrgetter(
    "__init__",
    "connect",
    "request",
    "putrequest",
    "putheader",
    "endheaders",
    "send",
    "_send_request",
    "_send_output",
    "getresponse",
    "_http_vsn_str",
    "response_class",
)
_RESPONSE = attrgetter(
    "__init__", "begin", "_read_status", "read", "read1", "readinto", "readline", "getheader", "close"
)
_MODULE = attrgetter("parse_headers", "HTTPResponse")
_SOCKET = attrgetter("__init__", "connect", "sendall", "recv_into")
_NETWORK = attrgetter("socket", "create_connection", "getaddrinfo")

LIMITS = attrgetter("_MAXLINE", "_MAXHEADERS")
"""What of the module `http.client` programs raise for servers with huge heads."""

_Connection = http.client.HTTPConnection
_Secure = http.client.HTTPSConnection
_Response = http.client.HTTPResponse
# When this is imported nothing has been replaced in http.client. In `socket` something may have been, which is told by
# where it comes from.
_AS_MADE = _CONNECTION(_Connection), _CONNECTION(_Secure), _RESPONSE(_Response), _MODULE(http.client)
_GREEN = ("gevent.", "eventlet.")
_genuine: list[tuple[Any, ...]] = [(), ()]
_WRAP = vars(ssl.SSLContext)["wrap_socket"]
_WRAP_BIO = vars(ssl.SSLContext)["wrap_bio"]


def is_as_made(secure: bool, context: ssl.SSLContext | None = None) -> bool:
    """Whether nothing of the kind was replaced below a request.

    Args:
        secure: whether it is about TLS.
        context: its, None for the default one.
    """
    plain, over_tls, response, module = _AS_MADE
    if (
        _CONNECTION(_Connection) != plain
        or _RESPONSE(_Response) != response
        or _MODULE(http.client) != module
        or (secure and _CONNECTION(_Secure) != over_tls)
        or (context is not None and not _is_context_as_made(context))
    ):
        return False
    # This is asked for every request: what was found to be genuine last is known again by its identity.
    network = _NETWORK(socket)
    if network != _genuine[0]:
        if not all(map(_is_genuine, network)):
            return False
        _genuine[0] = network
    methods = _SOCKET(socket.socket)
    if methods != _genuine[1]:
        if not all(map(_is_genuine, methods)):
            return False
        _genuine[1] = methods
    return True


def _is_genuine(thing: Any) -> bool:
    """Whether a function or class is the standard library's, or what makes it wait for other greenlets."""
    if isinstance(thing, type):
        home = thing.__module__
    elif hasattr(thing, "__objclass__"):  # a method that is written in C
        home = thing.__objclass__.__module__
    else:
        # A function's module is what it says itself, or what it took over from one that it wraps.
        home = getattr(thing, "__globals__", {}).get("__name__", "")
    return home in ("socket", "_socket") or home.startswith(_GREEN)


@lru_cache(64)
def _wraps_as_made(wrap: Any, wrap_bio: Any) -> bool:
    # Who has another one for sockets, and the same for everything else, means the connections of http.client.
    return wrap is _WRAP or wrap_bio is not _WRAP_BIO or _is_genuine(wrap)


def _is_context_as_made(context: ssl.SSLContext) -> bool:
    """Whether a context speaks TLS over the engine's connections as it would over a socket."""
    kind = type(context)
    return _wraps_as_made(kind.wrap_socket, kind.wrap_bio) and "wrap_socket" not in vars(context)
