"""Public suffixes: the domains under which anybody may have a name, and which therefore get no cookies (RFC 6265bis 5.7).

The list is that of publicsuffix.org, from the package `publicsuffixlist`, which carries it along and asks no network. It
is read when it is first needed, once per process.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from ..util import is_ip
from .cookie_matching import canonical_host

__all__ = ["PublicSuffixes", "default_public_suffixes", "is_same_site"]


class PublicSuffixes(Protocol):
    """What a cookie store asks of a list; `publicsuffixlist.PublicSuffixList` is one. Thread-safe."""

    def is_public(self, domain: str, /) -> bool:
        """Tell whether `domain`, in its ASCII form, is a public suffix itself ("co.uk")."""
        ...

    def privatesuffix(self, domain: str, /) -> str | None:
        """Return the registrable domain of `domain` ("example.co.uk"), None if it is a public suffix or malformed."""
        ...


@lru_cache(maxsize=1)
def default_public_suffixes() -> PublicSuffixes:
    """Return the list that is installed. The first call reads it, which takes about 0.1 s."""
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


def is_same_site(host: str, is_secure: bool, site: str, psl: PublicSuffixes | None) -> bool:
    """Tell whether a canonical host belongs to the site that a request comes from (RFC 6265bis section 5.2).

    Args:
        site: a host, or an origin ("https://example.com"), whose scheme then counts as well; "" belongs to nothing.
        psl: hosts of one registrable domain are one site; None: only equal hosts are.
    """
    scheme, separator, rest = site.partition("://")
    if separator and (scheme.lower() in ("https", "wss")) is not is_secure:
        return False
    authority = (rest if separator else site).partition("/")[0]
    if authority.count(":") == 1 or "]:" in authority:
        authority = authority.rpartition(":")[0]
    other = canonical_host(authority)
    if other is None or host == other:
        return other is not None
    if psl is None or is_ip(host) or is_ip(other):
        return False
    registrable = psl.privatesuffix(host)
    return registrable is not None and registrable == psl.privatesuffix(other)
