"""A cookie jar of requests over the engine's `CookieStore`."""

from __future__ import annotations

from requests.cookies import RequestsCookieJar

from drivetrain.engine import StoreCookieJar

__all__ = ["StoreRequestsCookieJar"]


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
