"""Which hosts and paths a cookie goes to (RFC 6265bis sections 5.1.2 to 5.1.4)."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from functools import lru_cache

from ..errors import InvalidURL
from ..util import is_ip, split_authority

__all__ = [
    "canonical_host",
    "default_path",
    "domain_match",
    "host_of_authority",
    "path_match",
    "path_prefixes",
    "request_path",
    "suffixes",
]

_MAX_HOST = 1024  # characters; nothing that long becomes a name of 254 bytes
_IS_NAME = re.compile(r"(?:[a-z0-9\-_~!$&'()*+=]{1,63}\.)*[a-z0-9\-_~!$&'()*+=]{1,63}\.?").fullmatch
_IS_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]*").match


@lru_cache(maxsize=1024)
def canonical_host(host: str) -> str | None:
    """Give a host the one form in which cookies know it (section 5.1.2); None if it is no host.

    Names are in lower case, those outside ASCII in their xn-- form (UTS 46, IDNA 2008); IPv6 addresses are without
    brackets and shortened. The dot of the root at the end is kept: "example.com." is another host, as in browsers.
    """
    if len(host) > _MAX_HOST:
        return None
    if host[:1] == "[" and host[-1:] == "]":
        host = host[1:-1]
    if ":" in host:
        address, percent, zone = host.partition("%")
        if not is_ip(host) or (percent and not zone.isalnum()):
            return None
        return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, address)) + percent + zone
    name = host.lower() if host.isascii() else _to_ascii(host)
    return name if name is not None and len(name) <= 254 and _IS_NAME(name) else None


def _to_ascii(host: str) -> str | None:
    import idna  # Large tables which most programs never need

    try:
        return idna.encode(host, uts46=True).decode("ascii").lower()
    except UnicodeError:  # idna.IDNAError is one
        return None


def host_of_authority(authority: str, scheme: str) -> str | None:
    """Return the canonical host of an `:authority` or Host value; None if it has none."""
    try:
        return canonical_host(split_authority(authority, scheme)[0])
    except InvalidURL:
        return None


def domain_match(host: str, domain: str) -> bool:
    """Tell whether a canonical host is `domain` or below it (section 5.1.3). An IP address is below nothing."""
    return host == domain or (bool(domain) and host.endswith("." + domain) and not _is_address(host))


def _is_address(host: str) -> bool:
    """Tell whether a canonical host is an IP address; most names can be told by their last letter."""
    return ":" in host or (host[-1:].isdigit() and is_ip(host))


def suffixes(host: str) -> Iterator[str]:
    """Iterate over the domains a canonical host matches: itself, then its parents, the nearest first."""
    yield host
    if not _is_address(host):
        at = host.find(".")
        while 0 <= at < len(host) - 1:
            yield host[at + 1 :]
            at = host.find(".", at + 1)


def request_path(target: str) -> str:
    """Return the path of a request target, without its query: "/" for "*" and for whatever else has none."""
    if not target.startswith("/"):
        absolute = _IS_ABSOLUTE(target)
        target = target[absolute.end() :] if absolute else ""
    path = target.partition("?")[0].partition("#")[0]
    return path if path.startswith("/") else "/"


def default_path(path: str) -> str:
    """Return the path of a cookie that names none, from the path of its request (section 5.1.4)."""
    return path[: path.rfind("/")] or "/" if path.startswith("/") else "/"


def path_match(path: str, cookie_path: str) -> bool:
    """Tell whether a request to `path`, which has no query, gets cookies of `cookie_path` (section 5.1.4)."""
    if not path.startswith(cookie_path):
        return False
    return len(path) == len(cookie_path) or cookie_path.endswith("/") or path[len(cookie_path)] == "/"


def path_prefixes(path: str) -> Iterator[str]:
    """Iterate over every cookie path that `path` matches, the longest first."""
    end = len(path)
    yield path
    while (end := path.rfind("/", 0, end)) >= 0:
        if end + 1 < len(path):
            yield path[: end + 1]
        if end and path[end - 1] != "/":  # else it comes next, as a prefix that ends in a slash
            yield path[:end]
