"""`NoProxy`: the hosts that are reached directly, with curl's meaning of `no_proxy`.

Entries are separated by commas or blanks. Case does not count, nor do dots around an entry:

- a name ("example.com", ".example.com") stands for itself and for every name below it;
- an IP address, IPv6 in brackets or not, stands for itself, however it is written;
- a network ("192.168.0.0/16", "2001:db8::/32") stands for the addresses in it;
- "*" stands for everything; there are no other wildcards;
- a port behind a name or address ("example.com:8080", "[::1]:8080") restricts the entry to it.

A name never stands for an address or the other way round: nothing is resolved. Names outside ASCII are compared in their
IDNA form. An entry that is none of these matches only a host of the very same spelling.

Ports, names outside ASCII, brackets, networks of 0 bits and "*" among other entries go beyond curl 7.88, which matches
nothing by them.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from ..errors import InvalidURL
from ..util import is_ip
from ..wire.uri import parse_uri

__all__ = ["NoProxy"]

_SEPARATORS = re.compile(r"[,\s]+")
_WITH_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]/]*):([0-9]{1,5})").fullmatch
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# Which ports an entry is for; None for all of them.
_Ports = frozenset[int] | None


class NoProxy:
    """The hosts to reach directly. See the module.

    Args:
        text: the list, as in the environment variable.
    """

    __slots__ = ("_addresses", "_everything", "_names", "_networks", "text")

    def __init__(self, text: str = "") -> None:
        self.text = text
        self._everything = False
        self._names: dict[str, _Ports] = {}
        self._addresses: dict[str, _Ports] = {}
        self._networks: list[tuple[_Network, int | None]] = []
        for entry in _SEPARATORS.split(text):
            if entry == "*":
                self._everything = True
            elif entry:
                self._add(entry)

    def _add(self, entry: str) -> None:
        port = None
        found = _WITH_PORT(entry)
        if found and not is_ip(entry):
            entry, port = found.group(1), int(found.group(2))
        if "/" in entry:
            network = _network(entry)
            if network is not None:
                self._networks.append((network, port))
            return
        host = _canonical(entry.lstrip("."))
        if host:
            known = self._addresses if is_ip(host) else self._names
            before = known.get(host, frozenset())
            known[host] = None if port is None or before is None else before | {port}

    def __bool__(self) -> bool:
        return bool(self._everything or self._names or self._addresses or self._networks)

    def __repr__(self) -> str:
        return f"NoProxy({self.text!r})"

    def matches(self, host: str, port: int) -> bool:
        """Whether this host, a name or an IP address with or without brackets, is reached directly on this port."""
        if self._everything:
            return True
        if not (self._names or self._addresses or self._networks):
            return False
        name = _canonical(host)
        if is_ip(name):
            return _has(self._addresses, name, port) or self._in_network(name, port)
        while name:
            if _has(self._names, name, port):
                return True
            name = name.partition(".")[2]
        return False

    def _in_network(self, address: str, port: int) -> bool:
        parsed = ipaddress.ip_address(address)
        return any(parsed in network and only in (None, port) for network, only in self._networks)


def _has(known: dict[str, _Ports], host: str, port: int) -> bool:
    ports = known.get(host, frozenset())
    return ports is None or port in ports


def _network(text: str) -> _Network | None:
    address, _, bits = text.partition("/")
    address = address.removeprefix("[").removesuffix("]")
    if not bits.isdecimal() or not is_ip(address):
        return None
    try:
        return ipaddress.ip_network(f"{address}/{int(bits)}", strict=False)
    except ValueError:  # too many bits, a zone
        return None


@lru_cache(1024)
def _canonical(host: str) -> str:
    """A host in the one spelling it has in URIs here; without brackets, final dot and zone."""
    bare = host.removeprefix("[").removesuffix("]").removesuffix(".")
    bracketed = f"[{bare}]" if ":" in bare else bare
    try:
        return parse_uri(f"http://{bracketed}").host.partition("%")[0].removesuffix(".")
    except InvalidURL:
        return bare.lower()
