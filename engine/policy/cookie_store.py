"""`CookieStore`: the cookies of a client (RFC 6265bis; lua-http's `http.cookie` store). No I/O but for cookie files.

Laws:

- what RFC 6265bis section 5.7 refuses is not stored, what section 5.8.3 withholds is not returned;
- cookies that have expired are gone before anything else happens;
- a full store evicts, in the RFC's order: expired cookies, then of a domain with too many the ones that are not Secure,
  then its others, then of all; the least recently used first. The newest is never the least recently used, but where a
  domain is full of Secure cookies, one that is not Secure has to go, and so is not stored;
- a request with no `site_for_cookies` is of the same site: a program that fetches what it was told to crosses none;
- any number of threads may use one store. No operation waits for anything but the others' short ones.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import IO, Any

from ..util import is_safe_method
from ..wire.cookies import octets, parse_setcookie
from ..wire.headers import Headers
from ..wire.uri import Uri
from .cookie_files import format_cookie_file, parse_cookie_file, read_cookie_file, write_cookie_file
from .cookie_index import CookieIndex, Entry
from .cookie_matching import canonical_host, request_path
from .cookie_rules import Attributes, Cookie, CookieSource, is_storable, receive
from .cookie_suffixes import PublicSuffixes, default_public_suffixes, is_same_site

__all__ = ["CookieStore"]

_MAX_AGE = 400 * 86400.0


class CookieStore:
    """See the module. Iterating gives a snapshot of the cookies, in the order of their creation.

    Args:
        psl: see the attribute.

    Attributes:
        psl: the public suffixes: an object with `is_public` and `privatesuffix`, True for the installed list, False for
            none: then "com" can have cookies.
        time: tells the time in seconds since the epoch.
        max_age: seconds a cookie lasts at most, 400 days as RFC 6265bis section 5.5 has it; infinity for no limit.
        max_cookie_length: bytes of name, "=" and value beyond which a cookie is not stored, and bytes of the Cookie
            field a lookup returns at most, unless it is told otherwise. Whatever it is, 4096 holds for name and value.
        max_cookies: how many cookies are stored; a lower number takes effect when the next one comes.
        max_cookies_per_domain: how many of one domain, likewise.
    """

    def __init__(self, psl: PublicSuffixes | bool = True) -> None:
        self.psl: PublicSuffixes | bool = psl
        self.time: Callable[[], float] = time.time
        self.max_age: float = _MAX_AGE
        self.max_cookie_length: float = math.inf
        self.max_cookies: float = math.inf
        self._max_per_domain: float = math.inf
        self._crowded: set[str] = set()
        self._lock = threading.Lock()
        self._index = CookieIndex()
        self._sites = self._index.sites  # to see without a lock that there is nothing to be looked up

    @property
    def max_cookies_per_domain(self) -> float:
        """See the class."""
        return self._max_per_domain

    @max_cookies_per_domain.setter
    def max_cookies_per_domain(self, limit: float) -> None:
        with self._lock:
            self._max_per_domain = limit
            self._crowded = {domain for domain, site in self._sites.items() if site.count > limit}

    # Storing

    def store(
        self,
        req_domain: str,
        req_path: str,
        req_is_http: bool,
        req_is_secure: bool,
        req_site_for_cookies: str | None,
        name: str,
        value: str,
        params: Attributes,
        is_top_level: bool = False,
    ) -> bool:
        """Take a cookie that a response sets.

        Args:
            req_domain: the host the request went to.
            req_path: its path; a query is dropped.
            req_is_http: False for a script, which can neither set nor replace HttpOnly cookies.
            req_is_secure: whether the request went over TLS.
            req_site_for_cookies: the host or origin of the page the request was made for; None: of the same site.
            name, value, params: as `parse_setcookie` returns them.
            is_top_level: whether the user went to this address, which may set cookies across sites.

        Returns:
            Whether it was accepted: stored, or if it has expired, removed.
        """
        host = canonical_host(req_domain)
        if host is None:
            return False
        source = CookieSource(
            host, request_path(req_path), req_is_http, req_is_secure, req_site_for_cookies, is_top_level
        )
        return self.receive(source, name, value, params)

    def store_from_request(
        self,
        req_headers: Headers,
        resp_headers: Headers,
        req_host: str | None = None,
        req_site_for_cookies: str | None = None,
        is_top_level: bool = False,
    ) -> int:
        """Take the cookies of a response, by the headers of its request.

        Args:
            req_headers: with `:authority` or Host, `:scheme`, `:path` and `:method`. CONNECT sets no cookies.
            req_host: the host, where neither is there.

        Returns:
            How many were accepted.
        """
        if not resp_headers.has("set-cookie"):
            return 0
        source = CookieSource.of_headers(req_headers, req_host, req_site_for_cookies, is_top_level)
        return self._receive_all(source, resp_headers)

    def store_from_response(
        self, uri: Uri, headers: Headers, site_for_cookies: str | None = None, is_top_level: bool = False
    ) -> int:
        """Take the cookies of a response to a request for `uri`; return how many were accepted."""
        if not headers.has("set-cookie"):
            return 0
        return self._receive_all(CookieSource.of_uri(uri, site_for_cookies, is_top_level), headers)

    def _receive_all(self, source: CookieSource | None, headers: Headers) -> int:
        accepted = 0
        for text in headers.get_as_sequence("set-cookie") if source is not None else ():
            found = parse_setcookie(text)
            if found is not None and source is not None:
                accepted += self.receive(source, *found)
        return accepted

    def receive(self, source: CookieSource, name: str, value: str, params: Attributes) -> bool:
        """Take a cookie as `store` does, by the description of its request."""
        now = self.time()
        cookie = self.preview(source, name, value, params)
        if cookie is None:
            return False
        with self._lock:
            self._index.expire(now)
            if not cookie.secure and not source.is_secure and self._index.would_overlay(cookie):
                return False
            return self._put(cookie, source.is_http, now)

    def preview(self, source: CookieSource, name: str, value: str, params: Attributes) -> Cookie | None:
        """Return the cookie that `receive` would store if it were the only one, None if it would refuse it."""
        # The list is big, and most cookies do not need it.
        wants_list = source.site_for_cookies is not None or any(key.lower() == "domain" for key in params)
        psl = self._suffixes() if wants_list else None
        return receive(source, name, value, params, self.time(), self.max_age, psl)

    def add(self, cookie: Cookie) -> bool:
        """Store a cookie that comes from no response but from a file, another store or the program itself.

        Returns:
            Whether it is stored. It is not if it has expired, is malformed, or claims a public suffix, or "__Secure-"
            or "__Host-" without keeping their promises.
        """
        if not is_storable(cookie, None if cookie.host_only else self._suffixes()):
            return False
        now = self.time()
        if not cookie.creation_time:
            cookie = replace(cookie, creation_time=now)
        with self._lock:
            self._index.expire(now)
            return (cookie.expires is None or cookie.expires > now) and self._put(cookie, True, now)

    def _put(self, cookie: Cookie, is_http: bool, now: float) -> bool:
        """Insert a cookie, replace one, or remove one by its expired successor; under the lock."""
        index = self._index
        old = index.find(cookie.domain, cookie.host_only, cookie.path, cookie.name)
        if old is not None and old.cookie.http_only and not is_http:
            return False
        if octets(cookie.name) + 1 + octets(cookie.value) > self.max_cookie_length:
            return False
        serial = None
        if old is not None:
            serial = old.serial
            index.remove(old)
            cookie = replace(cookie, creation_time=old.cookie.creation_time)
        if cookie.expires is not None and cookie.expires <= now:
            return True
        entry = index.insert(cookie, serial)
        index.shrink_site(cookie.domain, self._max_per_domain)
        index.shrink(self.max_cookies, self._crowded, self._max_per_domain)
        return entry.is_stored

    # Looking up

    def get(self, domain: str, path: str, name: str) -> str | None:
        """Return the value of the cookie of exactly this domain, path and name; the host-only one if there are two."""
        host = canonical_host(domain)
        now = self.time()
        with self._lock:
            self._index.expire(now)
            for host_only in (True, False):
                entry = self._index.find(host or "", host_only, path, name)
                if entry is not None:
                    return entry.cookie.value
        return None

    def lookup(
        self,
        domain: str,
        path: str,
        is_http: bool,
        is_secure: bool,
        is_safe_method: bool = False,
        site_for_cookies: str | None = None,
        is_top_level: bool = False,
        max_cookie_length: float | None = None,
    ) -> str:
        """Return the value of the Cookie field for a request, "" without cookies (RFC 6265bis section 5.8.3).

        Longer paths come first, then what was created earlier.

        Args:
            domain: the host the request goes to.
            path: its path; a query is dropped.
            is_http: False for a script, which does not see HttpOnly cookies.
            is_secure: whether the request goes over TLS.
            is_safe_method: whether its method is a safe one, which lax cookies want across sites.
            site_for_cookies: the host or origin of the page the request is made for; None: of the same site.
            is_top_level: whether the user goes to this address, which lax cookies want across sites.
            max_cookie_length: bytes to be returned at most; None: `max_cookie_length` of the store. The first cookie
                that does not fit and all after it are left out.
        """
        if not self._sites:
            return ""
        host = canonical_host(domain)
        if host is None:
            return ""
        request = CookieSource(host, request_path(path), is_http, is_secure, site_for_cookies, is_top_level)
        return self._field(self.visible(request, is_safe_method), max_cookie_length)

    def lookup_for_request(
        self,
        headers: Headers,
        host: str | None = None,
        site_for_cookies: str | None = None,
        is_top_level: bool = False,
        max_cookie_length: float | None = None,
    ) -> str:
        """Return the value of the Cookie field for a request with these headers, as `lookup`; "" for CONNECT.

        Args:
            headers: with `:authority` or Host, `:scheme`, `:path` and `:method`.
            host: the host, where neither is there.
        """
        if not self._sites:
            return ""
        request = CookieSource.of_headers(headers, host, site_for_cookies, is_top_level)
        if request is None:
            return ""
        return self._field(self.visible(request, is_safe_method(headers.get(":method", "GET"))), max_cookie_length)

    def lookup_for_uri(
        self, uri: Uri, method: str = "GET", site_for_cookies: str | None = None, is_top_level: bool = False
    ) -> str:
        """Return the value of the Cookie field for a request for `uri`, as `lookup`."""
        if not self._sites or method == "CONNECT":
            return ""
        request = CookieSource.of_uri(uri, site_for_cookies, is_top_level)
        return "" if request is None else self._field(self.visible(request, is_safe_method(method)), None)

    def visible(self, request: CookieSource, is_safe: bool = True) -> list[Cookie]:
        """Return the cookies that a request gets, in their order, and note that they were used."""
        if not self._sites:
            return []
        site = request.site_for_cookies
        is_same = site is None or is_same_site(request.host, request.is_secure, site, self._suffixes())
        is_lax = request.is_http and is_safe and request.is_top_level

        def is_visible(cookie: Cookie) -> bool:
            if (cookie.secure and not request.is_secure) or (cookie.http_only and not request.is_http):
                return False
            return is_same or cookie.same_site == "none" or (is_lax and cookie.same_site != "strict")

        now = self.time()
        with self._lock:
            self._index.expire(now)
            found = [entry for entry in self._index.matching(request.host, request.path) if is_visible(entry.cookie)]
            found.sort(key=_order)
            for entry in found:
                self._index.touch(entry)
        return [entry.cookie for entry in found]

    def _field(self, cookies: list[Cookie], limit: float | None) -> str:
        pairs = [cookie.pair for cookie in cookies]
        limit = self.max_cookie_length if limit is None else limit
        if limit == math.inf:
            return "; ".join(pairs)
        kept: list[str] = []
        length = -2
        for pair in pairs:
            length += 2 + octets(pair)
            if length > limit:
                break
            kept.append(pair)
        return "; ".join(kept)

    def _suffixes(self) -> PublicSuffixes | None:
        psl = self.psl
        if psl is True:
            return default_public_suffixes()
        return None if isinstance(psl, bool) else psl

    # Upkeep

    def remove(self, domain: str, path: str | None = None, name: str | None = None) -> int:
        """Remove the cookies of exactly this domain, or only those of one path, one name, or both.

        Returns:
            How many there were.
        """
        host = canonical_host(domain)
        with self._lock:
            entries = self._index.below(host or "", path, name)
            for entry in entries:
                self._index.remove(entry)
        return len(entries)

    def discard(self, cookie: Cookie) -> bool:
        """Remove the cookie with the identity of this one: domain, host_only, path and name; tell whether it was there."""
        with self._lock:
            entry = self._index.find(cookie.domain, cookie.host_only, cookie.path, cookie.name)
            if entry is not None:
                self._index.remove(entry)
        return entry is not None

    def clear(self) -> None:
        """Remove all cookies."""
        self._remove_all(lambda _: True)

    def end_session(self) -> int:
        """Remove all session cookies (RFC 6265bis section 5.7, end); return how many there were."""
        return self._remove_all(lambda cookie: not cookie.is_persistent)

    def _remove_all(self, is_meant: Callable[[Cookie], bool]) -> int:
        with self._lock:
            entries = [entry for entry in self._index.entries() if is_meant(entry.cookie)]
            for entry in entries:
                self._index.remove(entry)
        return len(entries)

    def clean_due(self) -> float:
        """Return the seconds until the next cookie expires: 0 if one has, infinity if none will."""
        now = self.time()
        with self._lock:
            return max(0.0, self._index.next_expiry() - now)

    def clean(self) -> int:
        """Remove all cookies that have expired; return how many there were. Other operations do so by themselves."""
        now = self.time()
        with self._lock:
            return self._index.expire(now)

    def __len__(self) -> int:
        """How many cookies there are, expired ones included that nobody has come across."""
        return self._index.count

    def __iter__(self) -> Iterator[Cookie]:
        now = self.time()
        with self._lock:
            self._index.expire(now)
            entries = sorted(self._index.entries(), key=lambda entry: entry.serial)
        return iter([entry.cookie for entry in entries])

    # Files

    def load_from_file(self, file: str | os.PathLike[str] | IO[Any], keep_session: bool = True) -> int:
        """Add the cookies of a Netscape cookie file (see `parse_cookie_file`); return how many.

        Args:
            file: a path, or a file open for reading. Binary is better: text in another encoding than ISO-8859-1 is not
                what was sent.
            keep_session: whether session cookies are loaded too.

        Raises:
            OSError: it cannot be read. Lines that are malformed are skipped.
        """
        cookies = parse_cookie_file(read_cookie_file(file))
        return sum(self.add(cookie) for cookie in cookies if keep_session or cookie.is_persistent)

    def save_to_file(self, file: str | os.PathLike[str] | IO[Any], keep_session: bool = True) -> int:
        """Write the cookies as a Netscape cookie file (see `format_cookie_file`); return how many.

        Args:
            file: a path, which is replaced in one step so that nobody ever sees half a file, and made readable for its
                owner only if it is new; or a file open for writing.
            keep_session: whether session cookies are written too.

        Raises:
            OSError: it cannot be written; what was there is untouched.
        """
        cookies = [cookie for cookie in self if keep_session or cookie.is_persistent]
        text, count = format_cookie_file(cookies)
        write_cookie_file(file, text)
        return count

    # Copies

    def __getstate__(self) -> dict[str, Any]:
        settings = ("psl", "time", "max_age", "max_cookie_length", "max_cookies", "_max_per_domain")
        return {"settings": {name: getattr(self, name) for name in settings}, "cookies": list(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]
        for cookie in state["cookies"]:
            self._index.insert(cookie)
        for name, value in state["settings"].items():
            setattr(self, name, value)


def _order(entry: Entry) -> tuple[int, int]:
    return -len(entry.cookie.path), entry.serial
