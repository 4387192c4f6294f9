"""Odd heads of responses are read as `http.client` reads them."""

from __future__ import annotations

import http.client
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.wire.h1_odd_head import find_odd_head_end, parse_odd_head, parse_odd_length

some_lines = st.sampled_from(
    [
        *("A: 1", "b:2  ", "no colon", "D : x", " fold", "\tfold", "From me", "From: x", ": nothing", "E(f): y"),
        *("\x01: x", "g:\x07", "\xc4: x", "h: \xc4", "Content-Length: 5", "A: 3", "i:\x0bj", "k:\x85l"),
    ]
)
ends = st.sampled_from(["\r\n", "\n"])


@given(ends, st.lists(st.tuples(some_lines, ends), max_size=6), ends)
def test_fields_are_those_of_http_client(first: str, lines: list[tuple[str, str]], last: str) -> None:
    head = f"HTTP/1.1 200 OK{first}{''.join(line + end for line, end in lines)}{last}"
    data = head.encode("latin-1") + b"body\n\n"
    end = find_odd_head_end(data, 0, 0)
    file = io.BytesIO(data)
    file.readline()
    expected = http.client.parse_headers(file)
    assert end == file.tell() == len(head)
    # Blanks at the ends and folds apart.
    fields = [(name, " ".join(filter(None, map(str.strip, value.split("\n"))))) for name, value in expected.items()]
    assert parse_odd_head(data[:end].decode("latin-1")) == (1.1, "200", "OK", fields)


@given(st.lists(st.sampled_from([b"\r", b"\n", b"a"]), max_size=12), st.integers(0, 12), st.integers(0, 3))
def test_where_the_head_ends_does_not_depend_on_the_pieces(parts: list[bytes], cut: int, start: int) -> None:
    data = bytes(start) + b"".join(parts)
    first = find_odd_head_end(data[: start + cut], start, start)
    whole = find_odd_head_end(data, start, start)
    assert first in (-1, whole)
    if first < 0:
        assert find_odd_head_end(data, start, min(len(data), start + cut)) == whole


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("HTTP/1.1 200 OK", (1.1, "200", "OK", [])),
        ("HTTP/1.0 404", (1.0, "404", "", [])),
        ("HTTP/0.9 200 x", (1.0, "200", "x", [])),
        ("HTTP/1.7\t200  All \x01 right ", (1.1, "200", "All \x01 right", [])),
        (" HTTP/1.1 0200 OK", (1.1, "200", "OK", [])),
        ("HTTP/1.1 099 OK", None),
        ("HTTP/1.1 1000 OK", None),
        ("HTTP/1.1 2OO OK", None),
        ("HTTP/2 200 OK", None),
        ("http/1.1 200 OK", None),
        ("HTTP/1.1", None),
        ("ICY 200 OK", None),
        ("HTTP/1.1 200 O\rK", None),
        ("HTTP/1.1 200 O\0K", None),
        ("", None),
    ],
)
def test_status_lines(line: str, expected: object) -> None:
    assert parse_odd_head(f"{line}\n" if line else "") == expected


def test_a_bare_cr_in_a_field_is_refused() -> None:
    assert parse_odd_head("HTTP/1.1 200 OK\nA: 1\rSet-Cookie: 2\n") is None


@pytest.mark.parametrize(
    ("value", "length"), [("5", 5), (" 5 ", 5), ("+5", 5), ("-5", None), ("5.0", None), ("", None), ("0x5", None)]
)
def test_lengths(value: str, length: int | None) -> None:
    assert parse_odd_length(value) == length
