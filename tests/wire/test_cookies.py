"""Cookie and Set-Cookie: the table, what `bake` writes and refuses, and any text."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.errors import UsageError
from drivetrain.engine.util import imf_date
from drivetrain.engine.wire.cookies import bake, octets, parse_cookie, parse_cookies, parse_setcookie
from drivetrain.engine.wire.headers import Headers
from tests.policy.cookie_support import cases, title

TOKENS = st.text(st.sampled_from("abcXYZ019!#$%&'*+-.^_`|~"), min_size=1, max_size=20)
VALUES = st.text(st.sampled_from("abcXYZ019!#$%&'()*+-./:<=>?@[]^_`{|}~"), max_size=20)


@pytest.mark.parametrize("case", cases("cookie_set_cookie.json"), ids=title)
def test_set_cookie(case: dict[str, Any]) -> None:
    found = parse_setcookie(case["text"])
    assert (found and list(found)) == case["expect"]


def test_limits_are_in_bytes() -> None:
    assert octets("a\xff") == 2
    assert octets("\u20ac") == 3
    assert octets("\ud800") == 3
    assert parse_setcookie("a" * 2048 + "=" + "\xe9" * 2048) is not None
    assert parse_setcookie("a" * 2048 + "=" + "\xe9" * 2049) is None
    assert parse_setcookie("a=b; Path=/" + "\xe9" * 1023) == ("a", "b", {"path": "/" + "\xe9" * 1023})
    assert parse_setcookie("a=b; Path=/x; Path=/" + "\xe9" * 1024) == ("a", "b", {"path": "/x"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a=b", {"a": "b"}),
        ("a=b; c=d", {"a": "b", "c": "d"}),
        ("a=b;c=d;;; ", {"a": "b", "c": "d"}),
        (" a = b c ", {"a": "b c"}),
        ("a=1; a=2", {"a": "1"}),
        ('a="b"; c', {"a": '"b"', "": "c"}),
        ("a=b=c; A=d", {"a": "b=c", "A": "d"}),
        ("a=b, c=d", {"a": "b, c=d"}),
        ("=", {}),
    ],
)
def test_cookie(text: str, expected: dict[str, str]) -> None:
    assert parse_cookie(text) == expected


def test_all_cookie_fields_of_a_request() -> None:
    headers = Headers([(":method", "GET"), ("cookie", "a=1; b=2"), ("Cookie", "c=3; a=4")])
    assert parse_cookies(headers) == {"a": "1", "b": "2", "c": "3"}
    assert parse_cookies(Headers()) == {}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "foo=bar"),
        ({"expiry_time": math.inf}, "foo=bar"),
        ({"expiry_time": 0}, "foo=bar; Expires=Thu, 01 Jan 1970 00:00:00 GMT"),
        ({"expiry_time": -math.inf}, "foo=bar; Max-Age=0"),
        (
            {"domain": "example.com", "path": "/", "secure_only": True, "http_only": True, "same_site": "LAX"},
            "foo=bar; Domain=example.com; Path=/; Secure; HttpOnly; SameSite=Lax",
        ),
        ({"same_site": "strict"}, "foo=bar; SameSite=Strict"),
        ({"same_site": "none", "secure_only": True}, "foo=bar; Secure; SameSite=None"),
        ({"name": "__Host-a", "secure_only": True, "path": "/"}, "__Host-a=bar; Path=/; Secure"),
        ({"value": '"a"'}, 'foo="a"'),
        ({"value": ""}, "foo="),
    ],
)
def test_bake(arguments: dict[str, Any], expected: str) -> None:
    assert bake(**{"name": "foo", "value": "bar", **arguments}) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "a=b"},
        {"name": "a\n"},
        {"value": "a;b"},
        {"value": "a b"},
        {"value": 'a"b'},
        {"value": '"'},
        {"value": "a\\b"},
        {"value": "a,b"},
        {"value": "\xe9"},
        {"value": "a\r\nb"},
        {"value": "x" * 4096},
        {"expiry_time": 1e18},
        {"domain": ""},
        {"domain": "a;b"},
        {"domain": "b\xfccher.example"},
        {"path": ""},
        {"path": "a"},
        {"path": "/a;b"},
        {"path": "/a\n"},
        {"same_site": "other"},
        {"same_site": ""},
        {"same_site": "none"},
        {"name": "__Secure-a"},
        {"name": "__host-a", "path": "/"},
        {"name": "__Host-a", "path": "/a", "secure_only": True},
        {"name": "__Host-a", "path": "/", "secure_only": True, "domain": "example.com"},
    ],
)
def test_bake_refuses(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        bake(**{"name": "foo", "value": "bar", **arguments})


@given(
    TOKENS.map(lambda name: "n" + name),
    VALUES,
    st.none() | st.integers(0, 253402300799),
    st.none() | st.just("example.com"),
    st.none() | st.sampled_from(["/", "/a b", "/x/y"]),
    st.booleans(),
    st.booleans(),
    st.none() | st.sampled_from(["strict", "lax"]),
)
def test_what_is_baked_is_read(
    name: str,
    value: str,
    expiry_time: int | None,
    domain: str | None,
    path: str | None,
    secure_only: bool,
    http_only: bool,
    same_site: str | None,
) -> None:
    expected = {
        "expires": None if expiry_time is None else imf_date(expiry_time),
        "domain": domain,
        "path": path,
        "secure": "" if secure_only else None,
        "httponly": "" if http_only else None,
        "samesite": same_site and same_site.capitalize(),
    }
    text = bake(name, value, expiry_time, domain, path, secure_only, http_only, same_site)
    assert parse_setcookie(text) == (name, value, {key: text for key, text in expected.items() if text is not None})


@given(st.dictionaries(TOKENS, VALUES, max_size=8))
def test_pairs_come_back(pairs: dict[str, str]) -> None:
    text = "; ".join(f"{name}={value}" for name, value in pairs.items())
    assert parse_cookie(text) == pairs


@given(st.text(st.sampled_from('ab=;, \t"\x00\x7f\xff\u20ac\ud800'), max_size=60) | st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    found = parse_setcookie(text)
    if found is not None:
        name, value, params = found
        assert ";" not in name + value
        assert "=" not in name
        assert name.strip(" \t") == name
        assert value.strip(" \t") == value
        assert all(key == key.strip(" \t") and key and ";" not in key + item for key, item in params.items())
    for name, value in parse_cookie(text).items():
        assert name or value
        assert ";" not in name + value
