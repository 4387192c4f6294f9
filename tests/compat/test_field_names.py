"""Names of fields of HTTP/2 in the case of HTTP/1.1."""

from __future__ import annotations

import pytest

from drivetrain.compat.field_names import fields_as_written, name_as_written


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Content-Type",
            "Set-Cookie",
            "Location",
            "ETag",
            "WWW-Authenticate",
            "X-RateLimit-Remaining".title(),
            "X-Request-ID",
        ),
        *("X", "A--B", "-A", "X-1-A"),
    ],
)
def test_names(name: str) -> None:
    assert name_as_written(name.lower()) == name


def test_fields() -> None:
    fields = [(":status", "200"), ("a-b", "1"), ("etag", "2"), ("a-b", "3")]
    assert fields_as_written(fields, "2") == [("A-B", "1"), ("ETag", "2"), ("A-B", "3")]
    assert fields_as_written(fields, "1.1") == fields[1:]
