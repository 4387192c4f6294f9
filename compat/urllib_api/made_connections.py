"""Connections of `http.client` that a program made for a handler, and that the engine can stand in for.

A handler may give `do_open` a function, or arguments, of its own, such as those for a client certificate. What comes of that is
mostly one of the two connections of http.client, not connected yet: it says where to, and how to speak TLS.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import Any, NamedTuple

__all__ = ["PLAIN", "SECURE", "Plan", "plan_of"]

# Looked up once: who replaces them in http.client (recorders of traffic do) means to have the connections made by his own.
PLAIN = http.client.HTTPConnection
SECURE = http.client.HTTPSConnection

# What they have in themselves when they are made. More is a program's, which changes what they do.
_USUAL = frozenset(vars(PLAIN("localhost"))) | frozenset(
    {"_context", "_check_hostname", "key_file", "cert_file", "debuglevel", "_tunnel_host"}
)


class Plan(NamedTuple):
    """What the engine is to do.

    Attributes:
        host: "host:port" to connect to.
        secure: whether to speak TLS.
        context: how, None for the default way.
        timeout: as urllib has it.
    """

    host: str
    secure: bool
    context: ssl.SSLContext | None
    timeout: Any


def plan_of(made: Any) -> Plan | None:
    """What a connection would do; None where only itself can do it.

    Args:
        made: what a handler's function returned.
    """
    if type(made) not in (PLAIN, SECURE):
        return None
    its = vars(made)
    is_plain = made.sock is None and its.get("_tunnel_host") is None and made.source_address is None
    if its.get("max_response_headers") is not None:  # of Python 3.15
        return None
    if not is_plain or its.get("_create_connection") is not socket.create_connection or not its.keys() <= _USUAL:
        return None
    host = f"[{made.host}]" if ":" in made.host else made.host
    return Plan(f"{host}:{made.port}", type(made) is SECURE, its.get("_context"), made.timeout)
