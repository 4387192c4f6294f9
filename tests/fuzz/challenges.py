"""Whatever a server says of the authentication it wants is read without error, and what answers it can be sent and read."""

from __future__ import annotations

import re

from drivetrain.engine.policy.digest import DigestSession, choose_challenge
from drivetrain.engine.util import TOKEN
from drivetrain.engine.wire.challenges import parse_challenges, parse_info
from drivetrain.engine.wire.headers import Headers

SEEDS = (
    b'Digest realm="a \\"b\\"", nonce="n", qop="auth,auth-int", algorithm=SHA-256, userhash=true, opaque=""',
    b'Basic realm="r", Digest nonce=n, realm=r, algorithm=md5-sess, charset="utf-8"',
    b"Negotiate YII==, Basic\nDigest realm=x,nonce=y,stale=TRUE",
    b'Digest realm="\xe4\t", nonce="", qop=auth-int, algorithm=SHA-512-256-sess',
    b',, a b=c ,=, "x", Digest',
)

_is_token = re.compile(TOKEN).fullmatch
# What no field value that was received can hold.
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


def check(data: bytes) -> None:
    lines = [_CONTROLS.sub("", line) for line in data.decode("latin-1").split("\n")]
    challenges = parse_challenges(lines)
    for challenge in challenges:
        assert _is_token(challenge.scheme)
        assert all(_is_token(name) and name == name.lower() for name in challenge.parameters)
        assert challenge.token is None or not challenge.parameters
    assert all(map(_is_token, parse_info(lines[0])))
    chosen = choose_challenge(challenges)
    if chosen is None:
        return
    session = DigestSession(chosen, "Mufasa", "Circle of Life")
    if not session.is_usable:
        return
    value = session.authorize("POST", "/dir?a=b", b"body", "cnonce")
    Headers([("authorization", value)])
    (answer,) = parse_challenges([value])
    assert answer.scheme == "digest"
    for name in ("realm", "nonce", "opaque"):
        assert answer.parameters.get(name) == chosen.parameters.get(name)
    assert answer.parameters["uri"] == "/dir?a=b"
