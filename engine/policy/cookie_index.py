"""The cookies of a store, arranged so that an operation looks at no more of them than it has to.

- by domain, then by path, then by name, host-only cookies apart: a lookup walks the parents of the host and the prefixes
  of the path, and sees nothing that does not match both;
- by expiry, in a heap: what has expired is at its top;
- by last access, in heaps made when a limit is first passed: what is to be evicted is at their top;
- Secure ones also by name and each parent of their domain: what a response over plain HTTP must not overlay.

Entries that were removed or changed stay in the heaps until they come up, or until they are the majority. Not
thread-safe: the store holds its lock.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable, Iterator

from .cookie_matching import path_match, path_prefixes, suffixes
from .cookie_rules import Cookie

__all__ = ["CookieIndex", "Entry"]

_SLACK = 64  # dead entries a heap may hold beside as many as there are living ones


class Entry:
    """A cookie in its place. `serial` orders by creation, `accessed` by last access; both only grow."""

    __slots__ = ("accessed", "cookie", "is_stored", "serial")

    def __init__(self, cookie: Cookie, serial: int, accessed: int) -> None:
        self.cookie = cookie
        self.serial = serial
        self.accessed = accessed
        self.is_stored = True


_Paths = dict[str, dict[str, Entry]]
_Rank = tuple[bool, int, Entry]


class _Ageing:
    """Entries by last access, earliest first; with `secure_last`, Secure ones after all others."""

    __slots__ = ("_heap", "_secure_last")

    def __init__(self, entries: Iterable[Entry], secure_last: bool) -> None:
        self._secure_last = secure_last
        self._heap = [self._rank(entry) for entry in entries]
        heapq.heapify(self._heap)

    def __len__(self) -> int:
        return len(self._heap)

    def _rank(self, entry: Entry) -> _Rank:
        return self._secure_last and entry.cookie.secure, entry.accessed, entry

    def add(self, entry: Entry) -> None:
        heapq.heappush(self._heap, self._rank(entry))

    def first(self) -> _Rank:
        """Return the rank of the entry to be evicted next; there must be one. Entries used meanwhile move back."""
        heap = self._heap
        while True:
            _, accessed, entry = heap[0]
            if not entry.is_stored:
                heapq.heappop(heap)
            elif entry.accessed != accessed:
                heapq.heapreplace(heap, self._rank(entry))
            else:
                return heap[0]


class _Site:
    """The cookies of one domain: `exact` the host-only ones, `wide` the others."""

    __slots__ = ("ageing", "count", "exact", "wide")

    def __init__(self) -> None:
        self.count = 0
        self.exact: _Paths = {}
        self.wide: _Paths = {}
        self.ageing: _Ageing | None = None

    def paths(self, cookie: Cookie) -> _Paths:
        return self.exact if cookie.host_only else self.wide

    def entries(self) -> Iterator[Entry]:
        for paths in (self.exact, self.wide):
            for names in paths.values():
                yield from names.values()

    def oldest(self) -> _Rank:
        if self.ageing is None:
            self.ageing = _Ageing(self.entries(), secure_last=True)
        return self.ageing.first()


def _collect(paths: _Paths, path: str, found: list[Entry]) -> None:
    """Add the entries whose path a request path matches. Costs the lesser of: paths stored, prefixes of the path."""
    if len(paths) <= 2 * path.count("/"):
        for cookie_path, names in paths.items():
            if path_match(path, cookie_path):
                found.extend(names.values())
        return
    for prefix in path_prefixes(path):
        names_there = paths.get(prefix)
        if names_there is not None:
            found.extend(names_there.values())


def _grown(ageing: _Ageing, entry: Entry, living: int) -> _Ageing | None:
    """Add an entry, or give the heap up, to be made anew, when it holds more dead entries than living ones."""
    if len(ageing) > 2 * living + _SLACK:
        return None
    ageing.add(entry)
    return ageing


class CookieIndex:
    """See the module.

    Attributes:
        sites: domain -> its cookies; empty if and only if there are none.
        count: how many cookies there are.
    """

    __slots__ = ("_accesses", "_ageing", "_expiries", "_secure", "_serials", "count", "sites")

    def __init__(self) -> None:
        self.sites: dict[str, _Site] = {}
        self.count = 0
        self._serials = itertools.count()
        self._accesses = itertools.count()
        self._expiries: list[tuple[float, int, Entry]] = []
        self._ageing: _Ageing | None = None
        self._secure: dict[tuple[str, str], dict[int, Entry]] = {}

    # Finding

    def find(self, domain: str, host_only: bool, path: str, name: str) -> Entry | None:
        """Return the entry with this identity (RFC 6265bis section 5.7 step 23)."""
        site = self.sites.get(domain)
        if site is None:
            return None
        return (site.exact if host_only else site.wide).get(path, {}).get(name)

    def matching(self, host: str, path: str) -> list[Entry]:
        """Return the entries whose domain and path match a request, in no order; no other is looked at."""
        found: list[Entry] = []
        for domain in suffixes(host):
            site = self.sites.get(domain)
            if site is not None:
                if domain == host:
                    _collect(site.exact, path, found)
                _collect(site.wide, path, found)
        return found

    def below(self, domain: str, path: str | None = None, name: str | None = None) -> list[Entry]:
        """Return the entries of exactly this domain, and of this path and name where given."""
        site = self.sites.get(domain)
        return [
            entry
            for entry in (site.entries() if site is not None else ())
            if path in (None, entry.cookie.path) and name in (None, entry.cookie.name)
        ]

    def would_overlay(self, cookie: Cookie) -> bool:
        """Tell whether a cookie from an insecure response would stand in for a Secure one (section 5.7 step 16)."""
        same_or_below = self._secure.get((cookie.domain, cookie.name), {})
        if any(path_match(cookie.path, entry.cookie.path) for entry in same_or_below.values()):
            return True
        above: list[Entry] = []
        for domain in itertools.islice(suffixes(cookie.domain), 1, None):
            site = self.sites.get(domain)
            if site is not None:
                _collect(site.exact, cookie.path, above)
                _collect(site.wide, cookie.path, above)
        return any(entry.cookie.secure and entry.cookie.name == cookie.name for entry in above)

    def entries(self) -> Iterator[Entry]:
        """Iterate over all entries, in no order."""
        for site in self.sites.values():
            yield from site.entries()

    def touch(self, entry: Entry) -> None:
        """Note that a cookie is being used."""
        entry.accessed = next(self._accesses)

    # Changing

    def insert(self, cookie: Cookie, serial: int | None = None) -> Entry:
        """Add a cookie whose identity is not there; `serial` is that of the one it replaces."""
        entry = Entry(cookie, next(self._serials) if serial is None else serial, next(self._accesses))
        site = self.sites.get(cookie.domain)
        if site is None:
            site = self.sites[cookie.domain] = _Site()
        site.paths(cookie).setdefault(cookie.path, {})[cookie.name] = entry
        site.count += 1
        self.count += 1
        if cookie.secure:
            for domain in suffixes(cookie.domain):
                self._secure.setdefault((domain, cookie.name), {})[entry.serial] = entry
        if cookie.expires is not None:
            self._note_expiry(cookie.expires, entry)
        if site.ageing is not None:
            site.ageing = _grown(site.ageing, entry, site.count)
        if self._ageing is not None:
            self._ageing = _grown(self._ageing, entry, self.count)
        return entry

    def remove(self, entry: Entry) -> None:
        """Take a cookie out; removing it twice does nothing."""
        if not entry.is_stored:
            return
        entry.is_stored = False
        cookie = entry.cookie
        site = self.sites[cookie.domain]
        paths = site.paths(cookie)
        del paths[cookie.path][cookie.name]
        if not paths[cookie.path]:
            del paths[cookie.path]
        site.count -= 1
        self.count -= 1
        if not site.count:
            del self.sites[cookie.domain]
        if cookie.secure:
            for domain in suffixes(cookie.domain):
                key = (domain, cookie.name)
                del self._secure[key][entry.serial]
                if not self._secure[key]:
                    del self._secure[key]

    # Expiry and eviction

    def _note_expiry(self, expires: float, entry: Entry) -> None:
        heap = self._expiries
        if len(heap) > 2 * self.count + _SLACK:
            heap[:] = [item for item in heap if item[2].is_stored]
            heapq.heapify(heap)
        # The access number is one nobody else has: entries are never compared.
        heapq.heappush(heap, (expires, next(self._accesses), entry))

    def next_expiry(self) -> float:
        """Return the earliest time at which a cookie expires, infinity if none does."""
        heap = self._expiries
        while heap and not heap[0][2].is_stored:
            heapq.heappop(heap)
        return heap[0][0] if heap else math.inf

    def expire(self, now: float) -> int:
        """Remove what has expired by `now`; return how many cookies that were."""
        removed = 0
        while self._expiries and self.next_expiry() <= now:
            self.remove(heapq.heappop(self._expiries)[2])
            removed += 1
        return removed

    def shrink_site(self, domain: str, limit: float) -> None:
        """Evict cookies of a domain until it has no more than `limit`: those that are not Secure first."""
        site = self.sites.get(domain)
        while site is not None and site.count > max(limit, 0):
            self.remove(site.oldest()[2])
            if not site.count:
                return

    def shrink(self, limit: float, crowded: set[str], site_limit: float) -> None:
        """Evict cookies until there are no more than `limit` (section 5.7, end).

        Args:
            crowded: domains with more than `site_limit` cookies, whose turn comes first; updated.
        """
        while self.count > max(limit, 0):
            if crowded:
                crowded &= {d for d in crowded if d in self.sites and self.sites[d].count > site_limit}
            if crowded:
                self.remove(min(self.sites[domain].oldest() for domain in crowded)[2])
                continue
            if self._ageing is None:
                self._ageing = _Ageing(self.entries(), secure_last=False)
            self.remove(self._ageing.first()[2])
