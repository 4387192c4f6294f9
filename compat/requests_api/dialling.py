"""How TCP connections are made: as urllib3 is told to make them, and as programs make it make them.

Programs replace `urllib3.util.connection.create_connection` (names of their own, other addresses) and `allowed_gai_family` (only
IPv4), set `HAS_IPV6` there, or add to `HTTPConnection.default_socket_options`. All of them are looked at before each connection:
where one is not as it was, urllib3's function makes the connection, and the engine takes it from there. Where its connections
themselves are others, as with recorders of test suites, the whole request is left to it: see `originals`.
"""

from __future__ import annotations

import ipaddress
import socket
from functools import partial
from typing import Any, NamedTuple

import urllib3.util.connection
from urllib3.connection import HTTPConnection

from drivetrain.compat.replaced import Watch
from drivetrain.compat.requests_api.pool_log import tell_connection

__all__ = ["DEFAULT_WAY", "USUAL_OPTIONS", "Way", "dialling_options"]

_network: Any = urllib3.util.connection
_as_made = Watch((_network, ("create_connection", "allowed_gai_family", "HAS_IPV6", "_set_socket_options")))

USUAL_OPTIONS: Any = (HTTPConnection.__init__.__kwdefaults__ or {}).get("socket_options", ())
"""What urllib3 sets on sockets unless it is told otherwise: the very list, which programs add to."""

_NODELAY = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]


class Way(NamedTuple):
    """How to make TCP connections.

    Attributes:
        source_address: (host, port) to connect from, as `socket.bind` takes it.
        socket_options: for `socket.setsockopt`; None for the usual ones.
    """

    source_address: tuple[Any, ...] | None = None
    socket_options: tuple[tuple[Any, ...], ...] | None = None


DEFAULT_WAY = Way()


def dialling_options(way: Way) -> dict[str, Any]:
    """The options of a client that connects in this way."""
    options: dict[str, Any] = {"dialer": partial(_choose, way)}
    if way.socket_options is not None:
        options["socket_options"] = way.socket_options
    bind = _bind_of(way)
    return options if bind is None else {**options, "bind": bind}


def _choose(way: Way, host: str, port: int) -> Any:
    """What makes a connection; None for the engine itself. See `drivetrain.engine.ClientOptions`."""
    tell_connection()
    usual = USUAL_OPTIONS == _NODELAY or way.socket_options is not None
    if usual and _as_made.unchanged() and (way.source_address is None or _bind_of(way) is not None):
        return None
    return partial(_connect, way, host, port)


def _connect(way: Way, host: str, port: int, left: float | None) -> socket.socket:
    options = USUAL_OPTIONS if way.socket_options is None else list(way.socket_options)
    made: socket.socket = _network.create_connection(
        (host, port), left, source_address=way.source_address, socket_options=options
    )
    return made


def _bind_of(way: Way) -> str | None:
    """An address to bind as the engine has it; None where it has none like that, such as a name."""
    if way.source_address is None:
        return None
    try:
        host, port, *_ = way.source_address
        address = ipaddress.ip_address(host)
    except (TypeError, ValueError):
        return None
    return f"[{host}]:{port}" if address.version == 6 else f"{host}:{port}"
