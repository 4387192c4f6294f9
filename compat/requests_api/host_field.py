"""Host, where requests sends something else than the engine: that has one spelling for every address, and requests the URL's.

Only what is sent differs: connections, cookies, HSTS and no_proxy go by the address.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from urllib3.connection import port_by_scheme
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

__all__ = ["host_as_written"]


@lru_cache(maxsize=1000)
def host_as_written(origin: str, is_forwarded: bool) -> str | None:
    """The value of the field; None where the engine's is the same.

    Args:
        origin: a URL up to its path.
        is_forwarded: whether a proxy is sent the whole URL.
    """
    try:
        parts = parse_url(origin)
    except LocationParseError:
        return None
    host = parts.host or ""
    is_usual = parts.port is None or parts.port == port_by_scheme.get(parts.scheme or "")
    names_port = is_forwarded and is_usual and parts.port is not None
    if not names_port and not _is_spelled_otherwise(host, is_forwarded):
        return None
    if is_forwarded:
        return parts.netloc
    name = host.rstrip(".").lower()
    return name if is_usual else f"{name}:{parts.port}"


def _is_spelled_otherwise(host: str, is_forwarded: bool) -> bool:
    if host.startswith("["):
        return "%" not in host  # a zone is nobody else's business
    if host.endswith("."):
        return not is_forwarded
    if not host.rpartition(".")[2][:1].isdigit():
        return False
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return True
    return False
