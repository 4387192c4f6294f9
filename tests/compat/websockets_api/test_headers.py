"""Header fields of the handshake: read, refused, written and read again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from drivetrain.compat.websockets_api import headers
from drivetrain.compat.websockets_api.exceptions import InvalidHeaderFormat, InvalidHeaderValue

TOKEN_CHARACTERS = "-!#$%&'*+.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
TOKENS = some.text(TOKEN_CHARACTERS, min_size=1, max_size=8)
PARAMETERS = some.lists(some.tuples(TOKENS, some.none() | TOKENS), max_size=3)
EXTENSIONS = some.lists(some.tuples(TOKENS, PARAMETERS), min_size=1, max_size=3)
# What is between the items of a list.
COMMAS = some.sampled_from([",", ", ", " ,", "\t,\t", ",,", ", ,"])
ANYTHING = some.lists(some.sampled_from([*'ab=;,"\\ \t/()é', "permessage-deflate"]), max_size=12).map("".join)


@given(EXTENSIONS)
def test_extensions_there_and_back(extensions: Any) -> None:
    assert headers.parse_extension(headers.build_extension(extensions)) == extensions


@given(some.lists(TOKENS, min_size=1, max_size=4), COMMAS)
def test_lists_there_and_back(names: Any, comma: str) -> None:
    assert headers.parse_subprotocol(headers.build_subprotocol(names)) == names
    headers.validate_subprotocols(names)
    field = comma.join(names)
    assert headers.parse_connection(field) == headers.parse_upgrade(field) == names


@given(some.text(some.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20))
def test_quoted_strings_there_and_back(text: str) -> None:
    written = headers.build_quoted_string(text)
    assert headers.parse_quoted_string(f"x{written}y", 1, "X") == (text, 1 + len(written))


@given(
    some.text(some.characters(exclude_categories=["Cs"], exclude_characters=":"), max_size=20), some.text(max_size=20)
)
def test_credentials_there_and_back(username: str, password: str) -> None:
    assert headers.parse_authorization_basic(headers.build_authorization_basic(username, password)) == (
        username,
        password,
    )


@given(some.binary(max_size=12).filter(lambda data: b":" not in data))
def test_credentials_that_are_not_text(data: bytes) -> None:
    username = data.decode(errors="surrogateescape")
    assert headers.parse_authorization_basic(headers.build_authorization_basic(username, "")) == (username, "")


def fault_of(parse: Callable[[str], Any], field: str) -> str | None:
    """What is said of a field that cannot be read; None when it can."""
    try:
        assert parse(field)
    except InvalidHeaderFormat as error:
        return error.value
    return None


@given(ANYTHING)
def test_what_cannot_be_read_is_refused_in_one_way(field: str) -> None:
    for parse in (headers.parse_connection, headers.parse_upgrade, headers.parse_extension, headers.parse_subprotocol):
        fault = fault_of(parse, field)
        assert fault is None or fault.endswith(f" in {field}")


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("foo", [("foo", [])]),
        ("foo, bar", [("foo", []), ("bar", [])]),
        ('foo; a; b=1; c = "2"', [("foo", [("a", None), ("b", "1"), ("c", "2")])]),
        ('foo; a="x\\y"', [("foo", [("a", "xy")])]),
        (",, foo ,, bar ,,", [("foo", []), ("bar", [])]),
        ("foo;a , bar\t;\tb", [("foo", [("a", None)]), ("bar", [("b", None)])]),
    ],
)
def test_extensions(field: str, found: Any) -> None:
    assert headers.parse_extension(field) == found
    assert headers.parse_extension_list(field) == found


@pytest.mark.parametrize(
    ("parse", "field", "fault"),
    [
        ("parse_extension", "", "expected token at 0 in "),
        ("parse_extension", ",,", "expected token at 2 in ,,"),
        ("parse_extension", "foo bar", "expected comma at 4 in foo bar"),
        ("parse_extension", "foo;", "expected token at 4 in foo;"),
        ("parse_extension", "foo; a=", "expected token at 7 in foo; a="),
        ("parse_extension", 'foo; a="b', 'expected quoted string at 7 in foo; a="b'),
        ("parse_extension", 'foo; a="b c"', 'invalid quoted header content at 7 in foo; a="b c"'),
        ("parse_extension", 'foo; a=""', 'invalid quoted header content at 7 in foo; a=""'),
        ("parse_connection", "keep-alive, ?", "expected token at 12 in keep-alive, ?"),
        ("parse_upgrade", "h2c/", "expected comma at 3 in h2c/"),
        ("parse_upgrade", "(", "expected protocol at 0 in ("),
        ("parse_subprotocol", "a/b", "expected comma at 1 in a/b"),
        ("parse_authorization_basic", "Basic", "expected space after scheme at 5 in Basic"),
        ("parse_authorization_basic", "Basic ?", "expected token68 at 6 in Basic ?"),
        ("parse_authorization_basic", "Basic YQ== x", "trailing data at 10 in Basic YQ== x"),
    ],
)
def test_what_is_wrong_with_a_field(parse: str, field: str, fault: str) -> None:
    with pytest.raises(InvalidHeaderFormat) as caught:
        getattr(headers, parse)(field)
    assert caught.value.value == fault


@pytest.mark.parametrize(
    ("field", "fault"),
    [
        ("Digest x", "unsupported scheme: Digest"),
        ("Basic x", "expected base64-encoded credentials"),
        ("basic YQ==", "expected username:password credentials"),
    ],
)
def test_credentials_that_are_refused(field: str, fault: str) -> None:
    with pytest.raises(InvalidHeaderValue) as caught:
        headers.parse_authorization_basic(field)
    assert (caught.value.name, caught.value.value) == ("Authorization", fault)


def test_a_colon_would_end_the_name() -> None:
    with pytest.raises(AssertionError):
        headers.build_authorization_basic("a:b", "c")


def test_a_protocol_may_have_a_version() -> None:
    assert headers.parse_upgrade("websocket, h2c/2") == ["websocket", "h2c/2"]


def test_the_realm_is_quoted() -> None:
    assert headers.build_www_authenticate_basic('a "b"') == 'Basic realm="a \\"b\\"", charset="UTF-8"'
    with pytest.raises(ValueError, match="invalid characters for quoted-string encoding"):
        headers.build_www_authenticate_basic("日")


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("chat", TypeError),
        ({"chat"}, TypeError),
        (None, TypeError),
        (["a b"], ValueError),
        ([""], ValueError),
        (["é"], ValueError),
    ],
)
def test_subprotocols_that_cannot_be_asked_for(given: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="subprotocol"):
        headers.validate_subprotocols(given)


@pytest.mark.parametrize(
    ("host", "port", "secure", "always", "field"),
    [
        ("example.com", 80, False, False, "example.com"),
        ("example.com", 443, True, False, "example.com"),
        ("example.com", 443, False, False, "example.com:443"),
        ("example.com", 80, False, True, "example.com:80"),
        ("127.0.0.1", 8080, True, False, "127.0.0.1:8080"),
        ("::1", 80, False, False, "[::1]"),
        ("::1", 8080, False, False, "[::1]:8080"),
    ],
)
def test_host(host: str, port: int, secure: bool, always: bool, field: str) -> None:
    assert headers.build_host(host, port, secure, always_include_port=always) == field


def test_blanks_are_tabs_and_spaces() -> None:
    assert [headers.parse_OWS(" \t\nx", start) for start in range(4)] == [2, 2, 2, 3]
    assert [headers.peek_ahead("ab", start) for start in range(3)] == ["a", "b", None]
