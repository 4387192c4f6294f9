"""reason_phrases: the registry, both spellings of a code, and "Unassigned"."""

from __future__ import annotations

import pytest

from drivetrain.engine.wire.reason_phrases import REASON_PHRASES, reason_phrase


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (100, "Continue"),
        (103, "Early Hints"),
        (200, "OK"),
        (308, "Permanent Redirect"),
        (413, "Content Too Large"),
        (418, "I'm a teapot"),
        (422, "Unprocessable Content"),
        (425, "Too Early"),
        (511, "Network Authentication Required"),
    ],
)
def test_known_codes_as_number_and_as_text(status: int, phrase: str) -> None:
    assert reason_phrase(status) == phrase
    assert reason_phrase(str(status)) == phrase
    assert REASON_PHRASES[status] == phrase


@pytest.mark.parametrize("status", [0, 99, 306, 342, 599, 1000, "342", "", "abc", "0200", " 200"])
def test_unknown_codes(status: int | str) -> None:
    assert reason_phrase(status) == "Unassigned"


def test_every_phrase_can_stand_in_a_status_line() -> None:
    assert all(100 <= code <= 599 for code in REASON_PHRASES)
    assert all(phrase.isascii() and phrase.isprintable() and phrase.strip() for phrase in REASON_PHRASES.values())


def test_the_registry_is_read_only() -> None:
    with pytest.raises(TypeError):
        REASON_PHRASES[200] = "Fine"  # type: ignore[index]
