"""Whether a program has put something of its own below requests, so that urllib3 has to send what it asks for.

Some of it decides where a request goes and whether it may: other classes of connections or of sockets, ways to connect, contexts
of TLS. Recorders, guards and proxies for a whole process do that, and no adapter goes past them. The rest wants to see requests,
or to print them, as tracers do, and has its effect on adapters that stand in the place of requests' own.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import Any

import urllib3.connection
import urllib3.connectionpool
import urllib3.util.ssl_

from drivetrain.compat.replaced import GREEN, Watch

__all__ = ["WATCHES", "find_replaced"]

_pools = urllib3.connectionpool
_connections = urllib3.connection
_tls = urllib3.util.ssl_

_HOMES = (
    *("http.client", "socket", "_socket", "ssl", "_ssl"),
    *("urllib3.connection", "urllib3.connectionpool", "urllib3.util.ssl_"),
    *GREEN,
)
_DECIDING: list[tuple[Any, tuple[str, ...]]] = [
    (socket, ("socket", "socket.__init__", "socket.connect")),
    (_pools.HTTPConnectionPool, ("ConnectionCls", "_new_conn")),
    (_connections.HTTPConnection, ("_new_conn", "connect")),
]
_DECIDING_TLS: list[tuple[Any, tuple[str, ...]]] = [
    (socket, ("socket", "socket.__init__", "socket.connect")),
    (_pools.HTTPSConnectionPool, ("ConnectionCls", "_new_conn")),
    (_connections.HTTPSConnection, ("_new_conn", "connect")),
    (_connections, ("create_urllib3_context", "ssl_wrap_socket")),
    (_tls, ("create_urllib3_context", "SSLContext", "SSLContext.wrap_socket")),
    (ssl, ("SSLContext",)),
]
_TELLING: list[tuple[Any, tuple[str, ...]]] = [
    (http.client, ("parse_headers",)),
    (http.client.HTTPConnection, ("putrequest", "putheader", "getresponse")),
    (http.client.HTTPResponse, ("begin", "read")),
]
_TELLING_OF_POOLS = ("urlopen", "_make_request")
_TELLING_OF_CONNECTIONS = (
    *("request", "putrequest", "putheader", "_send_output", "send", "getresponse", "debuglevel"),
)
_TELLING_IN_CLEAR = [
    (_pools.HTTPConnectionPool, _TELLING_OF_POOLS),
    (_connections.HTTPConnection, _TELLING_OF_CONNECTIONS),
]
_TELLING_BY_TLS = [
    (_pools.HTTPSConnectionPool, _TELLING_OF_POOLS),
    (_connections.HTTPSConnection, _TELLING_OF_CONNECTIONS),
]


def _watch(*places: tuple[Any, tuple[str, ...]]) -> Watch:
    return Watch(*places, homes=_HOMES)


WATCHES = (
    (_watch(*_DECIDING), _watch(*_DECIDING_TLS)),
    (_watch(*_DECIDING, *_TELLING, *_TELLING_IN_CLEAR), _watch(*_DECIDING_TLS, *_TELLING, *_TELLING_BY_TLS)),
)
"""What is to be unchanged for the engine to send a request past urllib3.

By whether the adapter stands in the place of requests' own, and whether TLS may be spoken.
"""


def find_replaced() -> dict[str, str]:
    """What is replaced now below adapters that stand in the place of requests', and by whom."""
    in_clear, by_tls = WATCHES[True]
    return {**in_clear.find_replaced(), **by_tls.find_replaced()}
