"""Dates of cookies: the forgiving parser that RFC 6265 section 5.1.1 (and 6265bis after it) asks of user agents.

It reads IMF-fixdate, RFC 850 dates, asctime and what servers have invented since, always as UTC, and never raises.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["parse_cookie_date"]

_DELIMITERS = re.compile(r"[\x09\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])").match
_DAY_OF_MONTH = re.compile(r"([0-9]{1,2})(?![0-9])").match
_YEAR = re.compile(r"([0-9]{2,4})(?![0-9])").match
_MONTHS = {
    name: number
    for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1)  # noqa: SIM905
}
_MONTH_DAYS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FIRST_YEAR = 1601


@lru_cache(maxsize=256)
def parse_cookie_date(text: str) -> int | None:
    """Read a date as seconds since the epoch (negative before 1970); None if it is no date.

    Two digits of a year mean 1970 to 2069. A date that does not exist ("31 Feb") is none.
    """
    time: re.Match[str] | None = None
    day = month = year = None
    for token in _DELIMITERS.split(text):
        if time is None and (found := _TIME(token)):
            time = found
        elif day is None and (found := _DAY_OF_MONTH(token)):
            day = int(found[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS[token[:3].lower()]
        elif year is None and (found := _YEAR(token)):
            year = int(found[1])
    if time is None or day is None or month is None or year is None:
        return None
    if year < 100:
        year += 1900 if year >= 70 else 2000
    hour, minute, second = map(int, time.groups())
    if year < _FIRST_YEAR or hour > 23 or minute > 59 or second > 59:
        return None
    if not 1 <= day <= _days_in(year, month):
        return None
    return _days_since_epoch(year, month, day) * 86400 + hour * 3600 + minute * 60 + second


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _days_in(year: int, month: int) -> int:
    return 29 if month == 2 and _is_leap(year) else _MONTH_DAYS[month]


def _days_since_epoch(year: int, month: int, day: int) -> int:
    before = year - 1
    leap_days = before // 4 - before // 100 + before // 400
    days = before * 365 + leap_days + sum(_MONTH_DAYS[1:month]) + (1 if month > 2 and _is_leap(year) else 0) + day
    return days - 719163  # days from 0001-01-01 to 1970-01-01, both counted
