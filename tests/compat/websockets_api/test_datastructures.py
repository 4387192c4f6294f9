"""Header fields: a mapping in which names may occur several times."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from drivetrain.compat.websockets_api.datastructures import Headers, MultipleValuesError
from drivetrain.compat.websockets_api.exceptions import InvalidHeaderValue

VALUES = some.text(some.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=10)
FIELDS = some.lists(some.tuples(some.sampled_from(["A", "a", "B-C", "d"]), VALUES), max_size=8)


@given(FIELDS)
def test_it_keeps_what_it_is_given(fields: list[tuple[str, str]]) -> None:
    headers = Headers(fields)
    assert list(headers.raw_items()) == fields
    assert headers.get_all("A") == [value for name, value in fields if name.lower() == "a"]
    assert len(headers) == len({name.lower() for name, _ in fields}) == len(list(headers))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    assert str(headers) == lines + "\r\n"
    assert headers.serialize() == (lines + "\r\n").encode("iso-8859-1")
    for twin in (
        headers.copy(),
        copy.copy(headers),
        copy.deepcopy(headers),
        pickle.loads(pickle.dumps(headers)),
        Headers(headers),
    ):
        assert twin == headers
        assert list(twin.raw_items()) == fields


def test_one_value_and_several() -> None:
    headers = Headers({"Set-Cookie": "a"}, Date="today")
    assert headers["set-cookie"] == "a"
    assert headers.get("Missing") is None
    headers["set-Cookie"] = "b"
    with pytest.raises(MultipleValuesError, match="'SET-COOKIE'"):
        headers["SET-COOKIE"]
    with pytest.raises(MultipleValuesError):
        headers.get("Set-Cookie", "x")
    with pytest.raises(KeyError, match="missing"):
        headers["Missing"]
    assert headers.get_all("Set-Cookie") == ["a", "b"]
    del headers["SET-COOKIE"]
    assert "Set-Cookie" not in headers
    assert repr(headers) == "Headers([('Date', 'today')])"
    headers.clear()
    assert (len(headers), list(headers.raw_items()), str(headers)) == (0, [], "\r\n")


def test_a_copy_is_another() -> None:
    headers = Headers(a="1")
    twin = headers.copy()
    twin["a"] = "2"
    assert headers["A"] == "1"
    headers.get_all("a").append("3")
    assert headers.get_all("a") == ["1"]


def test_equality_is_that_of_values() -> None:
    assert Headers(a="1") == Headers(A="1")
    assert Headers(a="1") != Headers(a="2")
    assert Headers([("a", "1"), ("a", "2")]) != Headers([("a", "2"), ("a", "1")])
    assert Headers(a="1") != {"a": "1"}


@pytest.mark.parametrize("value", ["a\r\nEvil: yes", "a\nb", "\x00", "\x7f", "日"])
def test_a_value_that_would_end_the_line_is_refused(value: str) -> None:
    headers = Headers()
    with pytest.raises(InvalidHeaderValue) as caught:
        headers["X"] = value
    assert (caught.value.name, caught.value.value, len(headers)) == ("X", value, 0)
    with pytest.raises(InvalidHeaderValue):
        Headers([("X", value)])
    headers.set_insecure("X", value)
    assert headers["x"] == value


def test_names_in_a_test_of_membership() -> None:
    headers = Headers(a="1")
    assert "A" in headers
    assert 1 not in headers


def test_updates_add() -> None:
    class Keyed:
        def keys(self) -> list[str]:
            return ["a", "b"]

        def __getitem__(self, key: str) -> str:
            return key * 2

    headers = Headers(a="1")
    headers.update(Headers([("a", "2"), ("a", "3")]))
    headers.update([("a", "4")], b="5")
    headers.update(Keyed())
    assert headers.get_all("a") == ["1", "2", "3", "4", "aa"]
    assert headers.get_all("b") == ["5", "bb"]


@pytest.mark.parametrize(("args", "text"), [((), ""), (("a",), "'a'"), (("a", "b"), "('a', 'b')")])
def test_words_of_the_error(args: tuple[Any, ...], text: str) -> None:
    assert str(MultipleValuesError(*args)) == text
