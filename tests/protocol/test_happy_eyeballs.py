"""The race between addresses: order, head start, failures; every run of every driver keeps the laws."""

from __future__ import annotations

import math
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.errors import ConnectError, UsageError
from drivetrain.engine.protocol.happy_eyeballs import Race, order_addresses

V4, V6 = socket.AF_INET, socket.AF_INET6
ERROR = ConnectError(111, "refused")


def race_of(count: int, head_start: float = 0.25) -> Race[str]:
    return Race([(V4, f"127.0.0.{number}") for number in range(count)], head_start)


class TestOrder:
    def test_families_alternate_and_ipv6_begins(self) -> None:
        found = [(V4, "a"), (V4, "b"), (V4, "c"), (V6, "x"), (V6, "y")]
        assert order_addresses(found) == [(V6, "x"), (V4, "a"), (V6, "y"), (V4, "b"), (V4, "c")]

    def test_one_family_keeps_its_order(self) -> None:
        assert order_addresses([(V4, "b"), (V4, "a")]) == [(V4, "b"), (V4, "a")]

    def test_duplicates_are_dropped(self) -> None:
        assert order_addresses([(V4, "a"), (V4, "a"), (V6, "a"), (V4, "a")]) == [(V6, "a"), (V4, "a")]

    @given(st.lists(st.tuples(st.sampled_from([V4, V6]), st.integers(0, 9))))
    def test_nothing_is_lost_and_order_within_a_family_is_kept(self, found: list[tuple[int, int]]) -> None:
        ordered = order_addresses(found)
        for family in (V4, V6):
            unique = list(dict.fromkeys(pair for pair in found if pair[0] == family))
            assert [pair for pair in ordered if pair[0] == family] == unique
        assert len(ordered) == len(set(found))
        shorter = min(sum(pair[0] == family for pair in ordered) for family in (V4, V6))
        assert [pair[0] for pair in ordered[: 2 * shorter]] == [V6, V4] * shorter


class TestRace:
    def test_the_second_starts_after_the_head_start(self) -> None:
        race = race_of(2)
        assert race.start_next(10.0) == 0
        assert race.next_start == 10.25
        assert race.start_next(10.24) is None
        assert race.start_next(10.25) == 1
        assert race.next_start == math.inf
        assert race.running == {0, 1}

    def test_the_next_starts_at_once_when_the_last_one_failed(self) -> None:
        race = race_of(3)
        race.start_next(10.0)
        race.failed(0, ERROR)
        assert race.start_next(10.01) == 1
        assert race.next_start == 10.26

    def test_an_older_failure_leaves_the_head_start_of_the_last_alone(self) -> None:
        race = race_of(3)
        race.start_next(10.0)
        race.start_next(10.25)
        race.failed(0, ERROR)
        assert race.start_next(10.3) is None
        race.failed(1, ERROR)
        assert race.start_next(10.3) == 2

    def test_success_ends_it(self) -> None:
        race = race_of(3)
        race.start_next(10.0)
        race.start_next(10.25)
        race.succeeded(0)
        assert (race.is_over, race.winner, race.running) == (True, 0, {1})
        assert race.start_next(99.0) is None
        race.failed(1, ERROR)
        assert race.start_next(99.0) is None
        assert race.next_start == math.inf

    def test_a_late_success_does_not_take_the_place_of_the_first(self) -> None:
        race = race_of(2)
        race.start_next(10.0)
        race.start_next(10.25)
        race.succeeded(1)
        race.succeeded(0)
        assert race.winner == 1

    def test_all_failed(self) -> None:
        race = race_of(2)
        errors = [ConnectError(number, str(number)) for number in range(2)]
        race.start_next(10.0)
        race.start_next(10.25)
        race.failed(1, errors[1])
        assert not race.is_over
        race.failed(0, errors[0])
        assert race.is_over
        assert race.winner is None
        assert race.failures == [(1, errors[1]), (0, errors[0])]

    def test_without_head_start_all_start_at_once(self) -> None:
        race = race_of(3, head_start=0)
        assert [race.start_next(5.0) for _ in range(4)] == [0, 1, 2, None]

    def test_an_endless_head_start_waits_for_failure(self) -> None:
        race = race_of(2, head_start=math.inf)
        race.start_next(5.0)
        assert race.start_next(1e12) is None
        race.failed(0, ERROR)
        assert race.start_next(1e12) == 1

    def test_no_addresses(self) -> None:
        race = race_of(0)
        assert race.is_over
        assert race.start_next(0.0) is None

    @pytest.mark.parametrize("head_start", [-0.1, math.nan])
    def test_a_head_start_that_is_none(self, head_start: float) -> None:
        with pytest.raises(UsageError, match="head start"):
            race_of(1, head_start)

    def test_only_a_running_attempt_can_end(self) -> None:
        race = race_of(2)
        with pytest.raises(KeyError):
            race.failed(0, ERROR)


# Each step: how long the driver waits, then which running attempt (by position) ends, and how; None ends none.
STEP = st.tuples(st.floats(0, 0.5), st.one_of(st.none(), st.tuples(st.integers(0, 9), st.booleans())))


@given(st.integers(0, 6), st.sampled_from([0, 0.1, 0.25, math.inf]), st.lists(STEP, max_size=30))
def test_whatever_happens_the_laws_hold(
    count: int, head_start: float, steps: list[tuple[float, tuple[int, bool] | None]]
) -> None:
    race = race_of(count, head_start)
    now = 100.0
    started: list[tuple[int, float]] = []
    last_failed_at: dict[int, float] = {}
    for wait, event in steps:
        while (number := race.start_next(now)) is not None:
            assert race.winner is None
            if started:  # neither too early …
                previous, when = started[-1]
                assert now >= when + head_start or previous in last_failed_at or len(race.running) == 1
            started.append((number, now))
        if started and len(started) < count and race.winner is None:  # … nor too late
            assert now < race.next_start
            assert race.running
        if race.is_over:
            break
        now += wait
        if event is not None:
            running = sorted(race.running)
            number = running[event[0] % len(running)]
            if event[1]:
                race.succeeded(number)
            else:
                race.failed(number, ERROR)
                last_failed_at[number] = now
    assert [number for number, _ in started] == list(range(len(started)))  # in order, each at most once
    ended = [number for number, _ in race.failures] + ([race.winner] if race.winner is not None else [])
    assert sorted([*ended, *race.running]) == list(range(len(started)))
    assert race.is_over == (race.winner is not None or len(race.failures) == count)
