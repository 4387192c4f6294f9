"""field_values: comma lists, quoted strings and parameters, on good input and on any."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.util import maybe_quote
from drivetrain.engine.wire.field_values import has_list_item, parse_parameters, split_list, unquote


@pytest.mark.parametrize(
    ("value", "members"),
    [
        ("", []),
        (" , ,\t", []),
        ("gzip", ["gzip"]),
        (" gzip ,\tdeflate,,br", ["gzip", "deflate", "br"]),
        ('a="x, y", b', ['a="x, y"', "b"]),
        (r'a="x\", y", b', [r'a="x\", y"', "b"]),
        ('a="never closed, b', ['a="never closed', "b"]),
    ],
)
def test_split_list(value: str, members: list[str]) -> None:
    assert split_list(value) == members


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["close"], True),
        (["Keep-Alive, CLOSE"], True),
        (["te", "x ,close"], True),
        (["closed"], False),
        (["not-close, closet"], False),
        (['"a, close"'], False),
        ([], False),
    ],
)
def test_has_list_item(values: list[str], found: bool) -> None:
    assert has_list_item(values, "close") is found


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ('"a b"', "a b"),
        (r'"a\"\\b"', 'a"\\b'),
        ("token", "token"),
        ('"', '"'),
        ('""', ""),
        ('"open', '"open'),
        ("", ""),
    ],
)
def test_unquote(text: str, content: str) -> None:
    assert unquote(text) == content


@pytest.mark.parametrize(
    ("value", "main", "parameters"),
    [
        ("text/html", "text/html", {}),
        ("text/html; Charset=UTF-8", "text/html", {"charset": "UTF-8"}),
        ('a ;x="1; 2" ;y = 3;flag; ;=bad;x=again', "a", {"x": "1; 2", "y": "3", "flag": ""}),
        (r'form-data; name="a\"b"; filename="c d.txt"', "form-data", {"name": 'a"b', "filename": "c d.txt"}),
        ('a; x=open"quote; y=1', "a", {"x": 'open"quote', "y": "1"}),
        ("", "", {}),
        (";", "", {}),
        ("; max-age=5", "", {"max-age": "5"}),
    ],
)
def test_parse_parameters(value: str, main: str, parameters: dict[str, str]) -> None:
    assert parse_parameters(value) == (main, parameters)


TEXT = st.text(st.sampled_from('ab=;, "\\\t\xe9'), max_size=12)


@given(TEXT)
def test_every_input_has_a_reading(value: str) -> None:
    main, parameters = parse_parameters(value)
    assert ";" not in main
    assert all(name == name.lower() and name for name in parameters)
    assert all(member and member == member.strip(" \t") for member in split_list(value))


@given(TEXT)
def test_unquote_inverts_maybe_quote(text: str) -> None:
    quoted = maybe_quote(text)
    assert quoted is not None
    assert unquote(quoted) == text


@given(st.lists(TEXT, max_size=4))
def test_quoted_members_survive_a_list_and_parameters(texts: list[str]) -> None:
    quoted = [maybe_quote(text) or "" for text in texts]
    assert split_list(", ".join(quoted)) == quoted
    value = "x" + "".join(f"; p{i}={text}" for i, text in enumerate(quoted))
    assert parse_parameters(value) == ("x", {f"p{i}": text for i, text in enumerate(texts)})
