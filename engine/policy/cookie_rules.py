"""`Cookie`, and what has to be true of one before a store takes it (RFC 6265bis section 5.7, steps 2 to 22).

Everything that is decided by the cookie, the request it came with and the list of public suffixes is decided here; what
depends on the cookies already stored (steps 16 and 23) is the store's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..wire.cookie_dates import parse_cookie_date
from ..wire.cookies import MAX_ATTRIBUTE_OCTETS, MAX_PAIR_OCTETS, has_control, octets
from ..wire.headers import Headers
from ..wire.uri import Uri
from .cookie_matching import canonical_host, default_path, domain_match, host_of_authority, request_path
from .cookie_suffixes import PublicSuffixes, is_same_site

__all__ = ["Attributes", "Cookie", "CookieSource", "is_storable", "receive"]

Attributes = Mapping[str, "str | float | bool | None"]
"""Attributes of a cookie by name, as `parse_setcookie` gives them. Beyond that: any case; numbers for Max-Age (seconds)
and Expires (since the epoch); None and False for an attribute that is not there."""


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie of a store.

    Args:
        name, value: may each be empty, not both; one character per byte.
        domain: a canonical host.
        path: starts with a slash.
        host_only: goes to `domain` only, not to what is below it.
        secure: goes over TLS only.
        http_only: hidden from whatever is not HTTP.
        same_site: "strict", "lax", "none", or None for a cookie that did not say; that one counts as lax.
        expires: seconds since the epoch, None for a session cookie.
        creation_time: seconds since the epoch; a cookie that replaces another keeps that one's.
    """

    name: str
    value: str
    domain: str
    path: str = "/"
    host_only: bool = True
    secure: bool = False
    http_only: bool = False
    same_site: str | None = None
    expires: float | None = None
    creation_time: float = 0.0

    @property
    def is_persistent(self) -> bool:
        """Whether it outlives the session."""
        return self.expires is not None

    @property
    def pair(self) -> str:
        """What goes into the Cookie field (section 5.8.3 step 4)."""
        return f"{self.name}={self.value}" if self.name else self.value

    def __repr__(self) -> str:
        """All but the value, which may be a secret."""
        wide = "" if self.host_only else "*."
        return f"<Cookie {self.name[:80]!r} for {wide}{self.domain}{self.path}>"


@dataclass(frozen=True, slots=True)
class CookieSource:
    """The request by whose response a cookie came.

    Args:
        host: canonical.
        path: without query.
        is_http: False for scripts and other ways that are not HTTP.
        is_secure: over TLS.
        site_for_cookies: see `is_same_site`; None: the request is of the same site.
        is_top_level: the user went to this address, rather than a part of another page being fetched.
    """

    host: str
    path: str
    is_http: bool = True
    is_secure: bool = False
    site_for_cookies: str | None = None
    is_top_level: bool = False

    @classmethod
    def of_uri(cls, uri: Uri, site_for_cookies: str | None, is_top_level: bool) -> CookieSource | None:
        """Describe a request for `uri`; None if its host has no canonical form."""
        host = canonical_host(uri.host)
        if host is None:
            return None
        return cls(host, request_path(uri.target), True, uri.is_secure, site_for_cookies, is_top_level)

    @classmethod
    def of_headers(
        cls, headers: Headers, host: str | None, site_for_cookies: str | None, is_top_level: bool
    ) -> CookieSource | None:
        """Describe a request by its headers; None for CONNECT, which has no cookies, and for one without a host.

        Args:
            host: the host where there is neither `:authority` nor Host.
        """
        if headers.get(":method") == "CONNECT":
            return None
        scheme = headers.get(":scheme", "http").lower()
        authority = headers.get(":authority") or headers.get("host")
        canonical = host_of_authority(authority, scheme) if authority else canonical_host(host or "")
        if canonical is None:
            return None
        path = request_path(headers.get(":path", "/"))
        return cls(canonical, path, True, scheme in ("https", "wss"), site_for_cookies, is_top_level)


def receive(
    source: CookieSource,
    name: str,
    value: str,
    params: Attributes,
    now: float,
    max_age: float,
    psl: PublicSuffixes | None,
) -> Cookie | None:
    """Make the cookie that `source` sets, or None if it may not.

    Args:
        params: may hold attributes that mean nothing.
        now: seconds since the epoch. A cookie to be deleted is one that has expired by then.
        max_age: seconds a cookie may last; what would last longer is cut to it (section 5.5).
        psl: None: every domain may have cookies.
    """
    given = {key.lower(): text for key, text in params.items() if text is not None and text is not False}
    domain = _domain(given.get("domain"), source.host, psl)
    if domain is None:
        return None
    path = given.get("path")
    is_path = isinstance(path, str) and path.startswith("/") and octets(path) <= MAX_ATTRIBUTE_OCTETS
    same_site = str(given.get("samesite", "")).lower()
    cookie = Cookie(
        name,
        value,
        domain or source.host,
        str(path) if is_path else default_path(source.path),
        host_only=not domain,
        secure="secure" in given,
        http_only="httponly" in given,
        same_site=same_site if same_site in ("strict", "lax", "none") else None,
        expires=_expiry(given, now, max_age),
        creation_time=now,
    )
    if (cookie.secure and not source.is_secure) or (cookie.http_only and not source.is_http):
        return None
    if not _may_set(source, cookie, psl) or not is_storable(cookie, psl):
        return None
    # A __Host- cookie has to ask for the path "/"; that its default is the same does not count (step 21).
    return None if cookie.name.lower().startswith("__host-") and not is_path else cookie


def _domain(attribute: str | float | bool | None, host: str, psl: PublicSuffixes | None) -> str | None:
    """Return what the Domain attribute asks for: "" for the host alone, None if it may not (steps 7 to 10)."""
    if not isinstance(attribute, str) or octets(attribute) > MAX_ATTRIBUTE_OCTETS:
        return ""
    domain = attribute.removeprefix(".")
    if not domain:
        return ""
    if not domain.isascii() or not domain_match(host, domain := domain.lower()):
        return None
    if psl is not None and psl.is_public(domain):
        return "" if domain == host else None
    return domain


def _expiry(given: Mapping[str, str | float | bool], now: float, max_age: float) -> float | None:
    """Return when a cookie expires, None for a session cookie (sections 5.6.1, 5.6.2 and 5.7 step 6)."""
    seconds = given.get("max-age")
    if isinstance(seconds, str):
        seconds = _delta_seconds(seconds)
    if seconds is not None and not math.isnan(seconds):
        return -math.inf if seconds <= 0 else now + min(float(seconds), max_age)
    date = given.get("expires")
    if isinstance(date, str):
        date = parse_cookie_date(date)
    return None if date is None or math.isnan(date) else min(float(date), now + max_age)


def _delta_seconds(text: str) -> float | None:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return None
    # int() refuses very long numbers, float() takes them for infinity.
    return -float(digits) if text.startswith("-") else float(digits)


def _may_set(source: CookieSource, cookie: Cookie, psl: PublicSuffixes | None) -> bool:
    """Apply SameSite to the setting of a cookie (steps 18 and 19)."""
    if cookie.same_site == "none":
        return cookie.secure
    site = source.site_for_cookies
    if site is None or is_same_site(source.host, source.is_secure, site, psl):
        return True
    return source.is_http and source.is_top_level


def is_storable(cookie: Cookie, psl: PublicSuffixes | None) -> bool:
    """Tell whether a cookie may be stored, wherever it comes from: a response, a file, a program (steps 2 to 4, 9, 20 to 22).

    Beyond the RFC, which has read its cookies from a header: no semicolon in name or value, no "=" in a name, and no
    character above U+00FF, for the cookie could not be sent or would be read as another.
    """
    name, value = cookie.name, cookie.value
    if not (name or value) or "=" in name or ";" in name or ";" in value or (not name and "=" in value):
        return False
    if has_control(name) or has_control(value) or octets(name) + octets(value) > MAX_PAIR_OCTETS:
        return False
    if not (name.isascii() and value.isascii()) and max(name + value) > "\xff":
        return False
    if not cookie.path.startswith("/") or has_control(cookie.path) or canonical_host(cookie.domain) != cookie.domain:
        return False
    # A value without a name must not pass for a name with a promise (step 22).
    promise = (name or value).lower()
    if promise.startswith("__secure-") and not (name and cookie.secure):
        return False
    if promise.startswith("__host-") and not (name and cookie.secure and cookie.host_only and cookie.path == "/"):
        return False
    return cookie.host_only or psl is None or not psl.is_public(cookie.domain)
