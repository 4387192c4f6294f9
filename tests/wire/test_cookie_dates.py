"""Dates of cookies: the table, real dates in every notation, and any text."""

from __future__ import annotations

import calendar
import time
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.util import imf_date
from drivetrain.engine.wire.cookie_dates import parse_cookie_date
from tests.policy.cookie_support import cases, title


@pytest.mark.parametrize("case", cases("cookie_dates.json"), ids=title)
def test_the_table(case: dict[str, Any]) -> None:
    expect = case["expect"] and datetime.fromisoformat(case["expect"]).replace(tzinfo=timezone.utc).timestamp()
    assert parse_cookie_date(case["text"]) == expect


@given(st.datetimes().filter(lambda moment: moment.year >= 1601))
def test_every_second_is_read_as_utc(moment: datetime) -> None:
    seconds = calendar.timegm(moment.timetuple())
    year = f"{moment.year:04}"
    assert parse_cookie_date(f"{moment:%a, %d %b} {year} {moment:%H:%M:%S} GMT") == seconds
    assert parse_cookie_date(f"{moment:%A, %d-%b}-{year} {moment:%H:%M:%S} GMT") == seconds
    assert parse_cookie_date(f"{moment:%a %b %d %H:%M:%S} {year}") == seconds


@given(st.integers(0, 253402300799))
def test_the_dates_we_write_are_read(seconds: int) -> None:
    assert parse_cookie_date(imf_date(seconds)) == seconds


def test_the_local_time_zone_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(time, "tzset"):
        pytest.skip("this system has no tzset")
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Kathmandu")
        time.tzset()
        parse_cookie_date.cache_clear()
        try:
            assert parse_cookie_date("Thu, 01 Jan 1970 00:00:01 GMT") == 1
        finally:
            patch.undo()
            time.tzset()


@given(st.text(st.sampled_from("0123456789 :-,JanFebdec\x00\xff"), max_size=40) | st.text(max_size=40))
def test_any_text_is_a_date_or_none(text: str) -> None:
    found = parse_cookie_date(text)
    assert found is None or -11644473600 <= found <= 253402300799
