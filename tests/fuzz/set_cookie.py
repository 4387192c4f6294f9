"""Whatever a server puts into Set-Cookie, the store's next Cookie field is a valid field value, made of whole cookies."""

from __future__ import annotations

from drivetrain.engine.policy.cookie_store import CookieStore
from drivetrain.engine.wire.cookies import MAX_PAIR_OCTETS, parse_cookie, parse_setcookie
from drivetrain.engine.wire.headers import Headers
from drivetrain.engine.wire.uri import parse_uri

SEEDS = (
    b"a=b; Path=/; Domain=example.com; Secure; HttpOnly; SameSite=Lax; Max-Age=10",
    b"a=b; Expires=Wed, 21 Oct 2037 07:28:00 GMT",
    b"__Host-a=b; Secure; Path=/\n=x\nabc",
    b'a="b; c"; =; ;;=; Max-Age=-9999999999999999999',
    b"a=\xff\x85\xa0\t; domain=.EXAMPLE.com",
)

_URI = parse_uri("https://www.example.com/a/b")


def check(data: bytes) -> None:
    store = CookieStore()
    store.time = lambda: 1_000_000_000.0
    lines = data.decode("latin-1").split("\n")
    accepted = store.store_from_response(_URI, Headers.adopt([("set-cookie", line) for line in lines]))
    assert len(store) <= accepted <= len(lines)
    field = store.lookup_for_uri(_URI)
    Headers([("cookie", field)])
    sent = parse_cookie(field)
    for cookie in store:
        assert parse_setcookie(cookie.pair) is not None
        assert len(cookie.pair) <= MAX_PAIR_OCTETS + 1
        assert cookie.domain in ("www.example.com", "example.com")
        assert cookie.expires is None or 1e9 < cookie.expires <= 1e9 + store.max_age
        if cookie.path in ("/", "/a", "/a/b"):
            assert cookie.name in sent
