"""Challenges: every way in which a server may list what it accepts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.wire.challenges import Challenge, parse_challenges, parse_info


def shown(challenges: list[Challenge]) -> list[tuple[str, object]]:
    return [(challenge.scheme, challenge.token or challenge.parameters) for challenge in challenges]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (['Basic realm="simple"'], [("basic", {"realm": "simple"})]),
        # RFC 9110 section 11.6.1.
        (
            ['Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""'],
            [("basic", {"realm": "simple"}), ("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'})],
        ),
        (
            ["Basic realm=a", "Digest realm=b, nonce=c"],
            [("basic", {"realm": "a"}), ("digest", {"realm": "b", "nonce": "c"})],
        ),
        (["Negotiate"], [("negotiate", {})]),
        (["Negotiate, NTLM"], [("negotiate", {}), ("ntlm", {})]),
        (["Negotiate YII=, Basic realm=x"], [("negotiate", "YII="), ("basic", {"realm": "x"})]),
        (['Digest realm = "a, b" , nonce = "c"'], [("digest", {"realm": "a, b", "nonce": "c"})]),
        ([", ,Basic realm=x,,"], [("basic", {"realm": "x"})]),
        (["Basic realm=x, realm=y"], [("basic", {"realm": "x"})]),
        (["realm=x"], []),
        (["", "@@@"], []),
        # A parameter belongs to the challenge of its own line.
        (["Basic", "realm=x"], [("basic", {})]),
    ],
)
def test_challenges(values: list[str], expected: list[tuple[str, object]]) -> None:
    assert shown(parse_challenges(values)) == expected


@given(st.lists(st.text(max_size=60), max_size=4))
def test_nothing_a_server_says_is_an_error(values: list[str]) -> None:
    for challenge in parse_challenges(values):
        assert challenge.scheme == challenge.scheme.lower()


def test_information() -> None:
    assert parse_info('nextnonce="abc", qop=auth, rspauth="x", nonsense') == {
        "nextnonce": "abc",
        "qop": "auth",
        "rspauth": "x",
    }
