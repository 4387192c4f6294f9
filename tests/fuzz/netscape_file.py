"""Whatever a cookie file holds, loading it gives cookies that, saved and loaded again, are the same ones."""

from __future__ import annotations

import io

from drivetrain.engine.policy.cookie_rules import Cookie
from drivetrain.engine.policy.cookie_store import CookieStore

SEEDS = (
    b"# Netscape HTTP Cookie File\nexample.com\tFALSE\t/\tFALSE\t0\ta\tb\n",
    b"#HttpOnly_.example.com\tTRUE\t/a\tTRUE\t2000000000\ta\tb\r\n\n#c\n",
    b"\xef\xbb\xbfexample.com:80\tTRUE\t/\tfalse\t1e300\t\tb\n[::1]\tFALSE\t/\tFALSE\t\ta\t",
    b".com\tTRUE\t/\tFALSE\t-1\t__Host-a\tb\nexample.com\tFALSE\t/\tFALSE\tnan\ta\tb",
)


def _load(data: bytes) -> CookieStore:
    store = CookieStore()
    store.time = lambda: 1_000_000_000.0
    store.load_from_file(io.BytesIO(data))
    return store


def check(data: bytes) -> None:
    store = _load(data)
    saved = io.BytesIO()
    assert store.save_to_file(saved) == len(store)
    assert [_columns(cookie) for cookie in _load(saved.getvalue())] == [_columns(cookie) for cookie in store]


def _columns(cookie: Cookie) -> tuple[object, ...]:
    expires = None if cookie.expires is None else min(int(min(cookie.expires, 1e15)), 253402300799)
    flags = (cookie.host_only, cookie.secure, cookie.http_only)
    return cookie.name, cookie.value, cookie.domain, cookie.path, expires, *flags
