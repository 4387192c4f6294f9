from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.errors import RemoteProtocolError
from drivetrain.engine.wire.h1_chunk import format_chunk, parse_chunk_line


@given(st.binary(min_size=1, max_size=300))
def test_what_is_formatted_is_parsed(data: bytes) -> None:
    line, _, rest = format_chunk(data).partition(b"\r\n")
    assert parse_chunk_line(line.decode()) == (len(data), "")
    assert rest == data + b"\r\n"


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        ("0", (0, "")),
        ("00fF", (255, "")),
        ("1;a=b", (1, ";a=b")),
        ('1 \t;a="b;c" ; d', (1, ' \t;a="b;c" ; d')),
        ("f" * 16, (2**64 - 1, "")),
    ],
)
def test_lines(line: str, parsed: tuple[int, str]) -> None:
    assert parse_chunk_line(line) == parsed


@pytest.mark.parametrize(
    "line", ["", " 1", "1 ", "+1", "-1", "0x1", "1_0", "g", "1 a", "1\r", "1;\r", "1;\0", "١", "0" * 17, ";a", "1\n"]
)
def test_malformed_lines(line: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_chunk_line(line)
