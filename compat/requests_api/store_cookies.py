"""The engine's `CookieStore` in requests: as the jar of a session, and behind an adapter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import requests.cookies
from requests import PreparedRequest
from requests.cookies import RequestsCookieJar

from drivetrain.engine import CookieStore, StoreCookieJar

__all__ = ["StoreRequestsCookieJar", "learn_cookies", "with_cookies"]

_cookie_header: Callable[[Any, Any], str | None] = requests.cookies.get_cookie_header
_extract: Callable[[Any, Any, Any], None] = requests.cookies.extract_cookies_to_jar


class StoreRequestsCookieJar(RequestsCookieJar, StoreCookieJar):  # type: ignore[misc]  # a mapping, so says the stub
    """A `session.cookies` whose cookies are those of a store, which others may use at the same time.

    ::

        store = CookieStore()
        session.cookies = StoreRequestsCookieJar(store)

    Cookies are taken from responses by the store's rules: public suffixes, prefixes, limits. See `StoreCookieJar`. Which ones a
    request is sent is still up to requests, which copies them into a jar of its own for every request.

    Args:
        store: a `drivetrain.engine.CookieStore`; None for a new one.
        policy: an `http.cookiejar.CookiePolicy` to ask beside the store's rules.
    """


def with_cookies(request: PreparedRequest, store: CookieStore) -> PreparedRequest:
    """The request as it is to be sent: itself, or a copy with the store's cookies.

    What the program wrote goes before what the store has of the same name; what a session's jar has from earlier responses
    does not, for somebody else may have renewed it in the store since.
    """
    bare: Any = request.copy()
    own = bare.headers.pop("Cookie", None) or ""
    found = _cookie_header(StoreRequestsCookieJar(store), bare)
    if not found:
        return request
    pairs = {_name_of(pair): pair for pair in found.split("; ")}
    jar: Any = request._cookies  # type: ignore[attr-defined]
    # What a program puts into a jar has no domain, unless it says so.
    received = {cookie.name for cookie in jar or () if cookie.domain}
    kept = [pair for pair in own.split("; ") if pair and not (_name_of(pair) in received and _name_of(pair) in pairs)]
    given = set(map(_name_of, kept))
    bare.headers["Cookie"] = "; ".join([*kept, *(pair for name, pair in pairs.items() if name not in given)])
    sent: PreparedRequest = bare
    return sent


def _name_of(pair: str) -> str:
    return pair.partition("=")[0]


def learn_cookies(store: CookieStore, request: PreparedRequest, raw: Any) -> None:
    """Take the cookies that a response sets. Args: raw: urllib3's response."""
    _extract(StoreRequestsCookieJar(store), request, raw)
