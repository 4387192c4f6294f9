"""A short run of the targets of what servers and users say to a user agent."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import challenges, content_codings, location, proxy_uri, retry_after, sts_header
from tests.fuzz.test_cookie_targets import inputs

TARGETS: dict[Any, bytes] = {
    sts_header: b";",
    location: b"/",
    challenges: b",",
    retry_after: b" ",
    proxy_uri: b":",
}


@pytest.fixture(autouse=True)
def _far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever takes a date for one of here is found out."""
    monkeypatch.setenv("TZ", "XYZ-9")
    getattr(time, "tzset", int)()
    yield
    monkeypatch.undo()
    getattr(time, "tzset", int)()


@pytest.mark.parametrize("target", TARGETS, ids=lambda module: module.__name__.rpartition(".")[2])
def test_text(target: Any) -> None:
    @given(inputs(target.SEEDS, TARGETS[target]))
    @settings(deadline=None)
    def run(data: bytes) -> None:
        target.check(data)

    run()


@given(
    st.integers(0, len(content_codings.LISTS) - 1),
    st.integers(0, 16),
    st.lists(st.sampled_from([seed[2:] for seed in content_codings.SEEDS]) | st.binary(max_size=30), max_size=4),
)
@settings(deadline=None)
def test_codings(codings: int, size: int, parts: list[bytes]) -> None:
    content_codings.check(bytes([codings, size]) + b"".join(parts))


@pytest.mark.parametrize("target", [*TARGETS, content_codings], ids=lambda module: module.__name__.rpartition(".")[2])
def test_the_seeds(target: Any) -> None:
    check: Callable[[bytes], None] = target.check
    for seed in target.SEEDS:
        for end in range(len(seed) + 1):
            check(seed[:end])
        for start, end in itertools.combinations(range(0, len(seed), 7), 2):
            check(seed[:start] + seed[end:])


def test_dates_are_those_of_greenwich() -> None:
    for seed in retry_after.SEEDS[1:5]:
        headers = retry_after.Headers([("retry-after", seed.decode())])
        assert retry_after.retry_after(headers, lambda: 2_139_722_880.0 - 60) == 60.0
