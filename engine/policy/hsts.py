"""HTTP Strict Transport Security (RFC 6797; lua-http's `http.hsts`): which hosts are spoken to over TLS only.

Laws:

- only what came over TLS without a certificate error is to be stored; that is for the caller to see to;
- an IP address is never an HSTS host (section 8.1.1), and names are compared without regard to case and a trailing dot;
- a header with a malformed, repeated or missing directive says nothing at all (section 6.1).

Any number of threads may use one store.
"""

from __future__ import annotations

import heapq
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from ..util import TOKEN, is_ip
from ..wire.field_values import unquote
from .files import write_atomically

__all__ = ["HstsStore", "parse_sts"]

_NEVER = float("inf")
# One directive and what separates it from the next.
_DIRECTIVE = re.compile(rf'[ \t]*(?:({TOKEN})[ \t]*(?:=[ \t]*({TOKEN}|"(?:[^"\\]|\\.)*"))?)?[ \t]*(?:;|$)')
_is_seconds = re.compile("[0-9]+").fullmatch
_LINE = re.compile(r'(\.?)([^\s"]+)[ \t]+"([^"]*)"')
_TIME_FORMAT = "%Y%m%d %H:%M:%S"
# More than a century is for ever, whatever a server says; it keeps dates within what the file format can hold.
_LONGEST = 100 * 365 * 24 * 3600


def parse_sts(value: str) -> dict[str, str] | None:
    """Read a Strict-Transport-Security value.

    Returns:
        The directives by their names in lower case, values unquoted, "" where there is none; None when the value is
        malformed, names a directive twice, has no usable max-age, or a value for includeSubDomains.
    """
    directives: dict[str, str] = {}
    position = 0
    while position < len(value):
        match = _DIRECTIVE.match(value, position)
        if match is None or match.end() == position:
            return None
        position = match.end()
        if match.group(1) is None:
            continue
        name = match.group(1).lower()
        if name in directives:
            return None
        directives[name] = unquote(match.group(2) or "")
    if not _is_seconds(directives.get("max-age", "")) or directives.get("includesubdomains"):
        return None
    return directives


class _Entry:
    __slots__ = ("expires", "subdomains")

    def __init__(self, expires: float, subdomains: bool) -> None:
        self.expires = expires
        self.subdomains = subdomains


class HstsStore:
    """Known HSTS hosts.

    Args:
        max_items: how many hosts are kept; a full store takes no new ones. None for no limit.
        preload: whether the list that browsers ship is consulted too (package `hstspreload`, extra `hsts-preload`).
        clock: gives the time in seconds since the epoch.

    Raises:
        ImportError: `preload` without the package.
    """

    def __init__(
        self, max_items: int | None = None, *, preload: bool = False, clock: Callable[[], float] = time.time
    ) -> None:
        self.max_items = max_items
        self.clock = clock
        self._preloaded: Callable[[str], bool] | None = None
        self._entries: dict[str, _Entry] = {}
        self._due: list[tuple[float, str]] = []
        self._lock = threading.Lock()
        if preload:
            from hstspreload import in_hsts_preload  # here, for it is large, and an extra

            self._preloaded = in_hsts_preload

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<HstsStore of {len(self)} hosts>"

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            state = {**self.__dict__, "_entries": self._entries.copy(), "_due": self._due.copy()}
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def clone(self) -> HstsStore:
        """A copy with the same settings, independent from now on."""
        copy = HstsStore(self.max_items, clock=self.clock)
        copy._preloaded = self._preloaded
        with self._lock:
            copy._entries = {host: _Entry(entry.expires, entry.subdomains) for host, entry in self._entries.items()}
            copy._due = self._due.copy()
        return copy

    def store(self, host: str, directives: Mapping[str, Any]) -> bool:
        """Store, renew or (max-age 0) remove what a host said of itself.

        Args:
            host: a name; an IP address is refused.
            directives: as from `parse_sts`; names in any case. `max-age` is a number of seconds, as digits or an int.

        Returns:
            Whether the store now says what the directives say.
        """
        name = _canonical(host)
        given = {key.lower(): value for key, value in directives.items()}
        age = str(given.get("max-age", ""))
        if name is None or not _is_seconds(age):
            return False
        digits = age.lstrip("0")
        seconds = _LONGEST if len(digits) > 10 else min(int(digits or "0"), _LONGEST)
        if not seconds:
            self.remove(name)
            return True
        return self._put(name, self.clock() + seconds, given.get("includesubdomains", False) is not False)

    def store_header(self, host: str, value: str) -> bool:
        """`store` what a Strict-Transport-Security header says; False when it is malformed."""
        directives = parse_sts(value)
        return directives is not None and self.store(host, directives)

    def _put(self, name: str, expires: float, subdomains: bool) -> bool:
        with self._lock:
            self._clean()
            entries = self._entries
            if name not in entries and self.max_items is not None and len(entries) >= self.max_items:
                return False
            entries[name] = _Entry(expires, subdomains)
            if expires != _NEVER:
                heapq.heappush(self._due, (expires, name))
            if len(self._due) > 2 * len(entries) + 64:
                # Hosts that say it with every response would make it grow for ever.
                self._due = [(entry.expires, host) for host, entry in entries.items() if entry.expires != _NEVER]
                heapq.heapify(self._due)
        return True

    def remove(self, host: str) -> bool:
        """Forget a host; its own entry, not those of its superdomains. Returns True, as in lua-http."""
        name = _canonical(host)
        with self._lock:
            if name is not None:
                self._entries.pop(name, None)
        return True

    def check(self, host: str) -> bool:
        """Whether a host is to be spoken to over TLS only, by itself or by a superdomain that includes it."""
        if not self._entries and self._preloaded is None:
            return False
        name = _canonical(host)
        if name is None:
            return False
        with self._lock:
            self._clean()
            entries = self._entries
            if name in entries:
                return True
            parent = name
            while "." in parent:
                parent = parent.partition(".")[2]
                entry = entries.get(parent)
                if entry is not None and entry.subdomains:
                    return True
        return self._preloaded is not None and self._preloaded(name)

    def clean_due(self) -> float:
        """Seconds until the next entry expires, infinity when none will."""
        with self._lock:
            while self._due:
                expires, name = self._due[0]
                entry = self._entries.get(name)
                if entry is not None and entry.expires == expires:
                    return max(0.0, expires - self.clock())
                heapq.heappop(self._due)
        return _NEVER

    def clean(self) -> bool:
        """Remove what has expired. Returns True, as in lua-http."""
        with self._lock:
            self._clean()
        return True

    def _clean(self) -> None:
        due = self._due
        if not due:
            return
        now = self.clock()
        while due and due[0][0] <= now:
            expires, name = heapq.heappop(due)
            entry = self._entries.get(name)
            if entry is not None and entry.expires == expires:
                del self._entries[name]

    # -- files ---------------------------------------------------------------------------------------------------------

    def load(self, path: str | os.PathLike[str]) -> int:
        """Add what a file in curl's format holds (`--hsts`); lines that are none are skipped. Returns how many were added.

        Raises:
            OSError, UnicodeDecodeError: it cannot be read.
        """
        added = 0
        with open(path, encoding="utf-8") as file:
            for line in file:
                match = _LINE.match(line.strip())
                name = None if match is None or line.startswith("#") else _canonical(match.group(2))
                if match is None or name is None:
                    continue
                expires = _parse_time(match.group(3))
                if expires is not None and expires > self.clock():
                    added += self._put(name, expires, bool(match.group(1)))
        return added

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all entries to a file in curl's format, whole or not at all. Raises `OSError`."""
        with self._lock:
            self._clean()
            entries = sorted(self._entries.items())
        lines = ["# Hosts that are spoken to over TLS only, in the format of curl --hsts\n"]
        lines += [f'{"." * entry.subdomains}{host} "{_format_time(entry.expires)}"\n' for host, entry in entries]
        write_atomically(path, "".join(lines))


def _canonical(host: str) -> str | None:
    """A name as it is compared; None for an IP address and what is no name."""
    name = host.rstrip(".").lower()
    return None if not name or is_ip(name.strip("[]")) or not name.isascii() else name


def _parse_time(text: str) -> float | None:
    if text == "unlimited":
        return _NEVER
    try:
        return datetime.strptime(text, _TIME_FORMAT).replace(tzinfo=timezone.utc).timestamp()
    except (ValueError, OverflowError):
        return None


def _format_time(expires: float) -> str:
    if expires == _NEVER:
        return "unlimited"
    return datetime.fromtimestamp(expires, timezone.utc).strftime(_TIME_FORMAT)
