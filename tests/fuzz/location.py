"""Wherever a server sends the client, it goes to an http or https URI that means the same when read again, or nowhere."""

from __future__ import annotations

from drivetrain.engine.errors import RedirectError
from drivetrain.engine.policy.redirects import next_location, redirected_headers
from drivetrain.engine.wire.headers import Headers
from drivetrain.engine.wire.uri import parse_uri

SEEDS = (
    b"https://user:pw@other.example:8443/a/../b?c=d#e",
    b"//other.example/a b%zz",
    b"../../c;d?e=/../f",
    b"?q=\xc3\xbc",
    b"\xff\xe4",
    b"https://[::1%25eth0]:0/",
    b"http://127.1/\\\\evil@x",
    b"javascript:alert(1)",
    b"http://b\xc3\xbccher.example/",
)

BASE = parse_uri("https://me:secret@origin.example:444/dir/page?q=1#part")
CREDENTIALS = ("authorization", "cookie", "proxy-authorization")


def check(data: bytes) -> None:
    location = Headers.adopt([("location", data.decode("latin-1"))])
    refusal: RedirectError | None = None
    try:
        target = next_location(BASE, location, ("the start",))
    except RedirectError as error:
        refusal = error
    if refusal is not None:
        assert refusal.chain[0] == "the start"
        assert len(refusal.chain) == 2
        return
    assert target.scheme in ("http", "https")
    assert 0 <= target.port <= 65535
    text = target.to_string(with_userinfo=True)
    assert text.isascii()
    assert text.isprintable()
    assert parse_uri(text) == target
    assert "@" not in target.authority
    Headers([(":authority", target.authority), (":path", target.target)])
    sent = redirected_headers(Headers([(name, "mine") for name in CREDENTIALS]), BASE, target, True)
    if target.origin != BASE.origin:
        assert "mine" not in [value for name, value in sent if name in CREDENTIALS]
    assert sent.has("referer") == (target.scheme == "https")
    assert "secret" not in sent.get("referer", "")
