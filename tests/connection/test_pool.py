"""Pool: reuse, expiry, opening, closing and forks, each step by hand and without real time."""

from __future__ import annotations

import asyncio
import math
import os

import pytest

from drivetrain.engine.backends.blocking import BlockingBackend, run
from drivetrain.engine.connection.pool import Pool
from drivetrain.engine.connection.pool_limits import PoolLimits, PoolStatistics
from drivetrain.engine.errors import ClosedError, ConnectError, UsageError
from tests.connection.pool_support import Call, FakeConnection, Fleet, Gate, HandPool


class TestReuse:
    def test_an_idle_connection_serves_again_and_says_so(self) -> None:
        hand = HandPool()
        first = hand.call()
        assert not first.reused
        hand.give(first.connection)
        again = hand.call()
        assert again.connection is first.connection
        assert again.reused
        assert hand.figures("open", "idle", "in_use", "created", "reused", "waits") == (1, 0, 1, 1, 1, 0)

    def test_the_connection_used_last_is_taken_first(self) -> None:
        hand = HandPool()
        one, two, three = hand.take(), hand.take(), hand.take()
        hand.give(two, one, three)
        assert [hand.take(), hand.take(), hand.take()] == [three, one, two]

    def test_keys_do_not_mix(self) -> None:
        hand = HandPool()
        hand.give(hand.take("a"))
        assert hand.take("b").key == "b"
        assert hand.take("a") is hand.fleet.made[0]

    def test_fresh_leaves_idle_connections_alone(self) -> None:
        hand = HandPool()
        old = hand.take()
        hand.give(old)
        new = hand.call(fresh=True)
        assert new.connection is not old
        assert not new.reused
        assert hand.figures("open", "idle") == (2, 1)

    def test_fresh_at_the_limit_replaces_an_idle_connection(self) -> None:
        hand = HandPool(max_per_origin=1)
        old = hand.take()
        hand.give(old)
        assert hand.take(fresh=True) is not old
        assert (old.closes, hand.fleet.most_total) == (1, 1)
        assert hand.figures("open", "evicted") == (1, 1)

    def test_a_connection_not_reusable_is_closed(self) -> None:
        hand = HandPool()
        one = hand.take()
        hand.give(one, reusable=False)
        assert one.closes == 1
        assert hand.take() is not one
        assert hand.figures("open", "closed", "created") == (1, 1, 2)

    def test_a_second_release_is_refused(self) -> None:
        hand = HandPool()
        one = hand.take()
        hand.give(one)
        for reusable in (True, False):
            with pytest.raises(UsageError):
                hand.give(one, reusable=reusable)
        assert hand.figures("open", "idle") == (1, 1)

    def test_an_unknown_connection_is_closed_and_not_counted(self) -> None:
        hand = HandPool()
        stranger = hand.fleet.make("a")
        hand.give(stranger)
        assert stranger.closes == 1
        assert hand.figures("open", "closed") == (0, 0)

    def test_detach_frees_the_room_and_leaves_the_connection_open(self) -> None:
        hand = HandPool(max_connections=1)
        one = hand.take()
        waiting = hand.call("b")
        hand.pool.detach(one)
        assert one.closes == 0
        assert waiting.step().connection.key == "b"
        hand.pool.detach(one)  # no longer known: nothing happens
        hand.give(waiting.connection)
        with pytest.raises(UsageError):
            hand.pool.detach(waiting.connection)
        assert hand.figures("open", "idle", "closed") == (1, 1, 0)

    def test_a_connection_left_by_a_finalizer_is_closed_at_the_next_opening(self) -> None:
        hand = HandPool(max_connections=1)
        lost = hand.take()
        hand.pool.release_from_finalizer(lost)
        assert lost.closes == 0
        assert hand.take() is not lost
        assert lost.closes == 1
        assert hand.fleet.most_total == 1

    def test_a_finalizer_after_the_release_does_no_harm(self) -> None:
        hand = HandPool()
        one, two = hand.take(), hand.take()
        hand.give(one)
        hand.pool.release_from_finalizer(one)
        hand.give(two)
        assert (one.closes, two.closes) == (0, 0)
        assert hand.figures(
            "idle",
        ) == (2,)


class TestStaleAndExpired:
    def test_a_stale_connection_is_closed_and_the_next_one_tried(self) -> None:
        hand = HandPool()
        one, two, three = hand.take(), hand.take(), hand.take()
        hand.give(one, two, three)
        three.usable = two.usable = False
        assert hand.take() is one
        assert [three.closes, two.closes, one.closes] == [1, 1, 0]
        assert hand.figures("open", "stale", "reused", "closed", "created") == (1, 2, 1, 2, 3)

    def test_when_all_are_stale_one_is_opened_in_their_room(self) -> None:
        hand = HandPool(max_per_origin=2)
        one, two = hand.take(), hand.take()
        hand.give(one, two)
        one.usable = two.usable = False
        call = hand.call()
        assert not call.reused
        assert hand.figures("open", "stale", "reused", "opening") == (1, 2, 0, 0)
        assert hand.fleet.most_total == 2

    def test_who_found_a_stale_connection_keeps_its_room_before_later_callers(self) -> None:
        hand = HandPool(opener=None, max_per_origin=1)
        one = hand.take()
        hand.give(one)
        later: list[Call] = []

        def is_usable() -> bool:
            later.append(hand.call())
            return False

        one.is_usable = is_usable  # type: ignore[method-assign]
        first = hand.call()
        assert first.connection is not one
        assert not later[0].done
        hand.give(first.connection)
        assert later[0].step().connection is first.connection

    def test_an_error_in_the_check_loses_no_room(self) -> None:
        hand = HandPool(max_connections=1)
        one = hand.take()
        hand.give(one)

        def interrupt() -> bool:
            raise KeyboardInterrupt

        one.is_usable = interrupt  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            hand.take()
        assert one.closes == 1
        assert hand.take() is not one

    def test_a_handed_over_connection_is_checked_too(self) -> None:
        hand = HandPool(max_connections=1)
        one = hand.take()
        waiting = hand.call()
        one.usable = False
        hand.give(one)
        assert waiting.step().connection is not one
        assert one.closes == 1
        assert hand.figures("stale", "reused", "open") == (1, 0, 1)

    def test_an_expired_connection_is_not_used(self) -> None:
        hand = HandPool(keepalive_expiry=30.0)
        one = hand.take()
        hand.give(one)
        hand.backend.clock += 29.0
        assert hand.take() is one
        hand.give(one)
        hand.backend.clock += 30.0
        assert hand.take() is not one
        assert hand.figures("expired", "stale", "reused") == (1, 0, 1)

    def test_time_in_use_does_not_age_a_connection(self) -> None:
        hand = HandPool(keepalive_expiry=30.0, max_connections=1)
        one = hand.take()
        waiting = hand.call()
        hand.backend.clock += 1000.0
        hand.give(one)
        assert waiting.step().connection is one

    def test_a_release_prunes_what_expired_elsewhere(self) -> None:
        hand = HandPool(keepalive_expiry=30.0)
        others = [hand.take(key) for key in "bcd"]
        hand.give(*others)
        hand.backend.clock += 10.0
        one = hand.take("a")
        hand.give(one)
        hand.backend.clock += 25.0
        hand.give(hand.take("a"))
        assert [connection.closes for connection in others] == [1, 1, 1]
        assert one.closes == 0
        assert hand.figures("expired", "open") == (3, 1)

    def test_no_expiry_and_no_reuse_at_all(self) -> None:
        forever = HandPool(keepalive_expiry=None)
        one = forever.take()
        forever.give(one)
        forever.backend.clock += 1e9
        assert forever.take() is one
        for limits in ({"keepalive_expiry": 0}, {"max_idle": 0}):
            never = HandPool(**limits)
            two = never.take()
            never.give(two)
            assert two.closes == 1
            assert never.figures("open") == (0,)

    def test_max_idle_closes_the_one_idle_longest(self) -> None:
        hand = HandPool(max_idle=2)
        one, two, three = hand.take("a"), hand.take("b"), hand.take("c")
        hand.give(two, one, three)
        assert [one.closes, two.closes, three.closes] == [0, 1, 0]
        assert hand.figures("idle", "evicted") == (2, 1)


class TestOpening:
    def test_a_failed_opening_gives_the_room_to_the_next(self) -> None:
        async def fail(key: str, deadline: float) -> FakeConnection:
            raise ConnectError("refused")

        hand = HandPool(opener=fail, max_connections=1)
        for _ in range(3):
            with pytest.raises(ConnectError):
                hand.take()
        assert hand.figures("open", "opening", "created", "closed") == (0, 0, 0, 0)

    @pytest.mark.parametrize("error", [ConnectError("refused"), asyncio.CancelledError(), KeyboardInterrupt()])
    def test_an_opening_cut_short_wakes_the_next(self, error: BaseException) -> None:
        async def open_at_gate(key: str, deadline: float) -> FakeConnection:
            await Gate()
            return hand.fleet.make(key)

        hand = HandPool(opener=open_at_gate, max_connections=1)
        first, second, third = hand.call("a"), hand.call("a"), hand.call("b")
        assert hand.figures("opening", "waiting") == (1, 2)
        assert first.throw(error).error is error
        assert not second.step().done  # it stands at the gate now
        second.cancel()
        third.step()
        assert third.step().connection.key == "b"
        assert hand.figures("opening", "waiting", "open") == (0, 0, 1)

    def test_key_and_deadline_reach_the_opener(self) -> None:
        seen: list[tuple[object, float]] = []

        async def note(key: str, deadline: float) -> FakeConnection:
            seen.append((key, deadline))
            return hand.fleet.make(key)

        hand = HandPool(opener=note)
        assert hand.call("a", deadline=1234.5).done
        assert seen == [("a", 1234.5)]


class TestClosing:
    def test_close(self) -> None:
        hand = HandPool(max_connections=2)
        idle, held = hand.take("a"), hand.take("b")
        hand.give(idle)
        hand.pool.close()
        assert hand.pool.is_closed
        assert (idle.closes, held.closes) == (1, 0)
        hand.give(held)
        assert held.closes == 1
        for key in "ab":
            with pytest.raises(ClosedError):
                hand.take(key)
        hand.pool.close()
        assert hand.figures("open", "closed") == (0, 2)
        assert not hand.pool._ledger._origins

    def test_close_fails_those_who_wait(self) -> None:
        hand = HandPool(max_connections=1)
        held = hand.take("a")
        queue = [hand.call(key) for key in "abc"]
        hand.pool.close()
        for call in queue:
            with pytest.raises(ClosedError):
                _ = call.step().connection
        assert hand.figures("waiting") == (0,)
        hand.give(held)
        assert held.closes == 1
        assert not hand.pool._ledger._origins

    @pytest.mark.parametrize("reusable", [True, False], ids=["connection", "room"])
    @pytest.mark.parametrize("cancelled", [True, False])
    def test_close_between_being_served_and_running(self, reusable: bool, cancelled: bool) -> None:
        hand = HandPool(max_connections=1)
        held = hand.take()
        waiting = hand.call()
        hand.give(held, reusable=reusable)
        hand.pool.close()
        waiting.cancel() if cancelled else waiting.step()
        if waiting.error is None:
            hand.give(waiting.connection)
        assert not hand.fleet.open_connections
        assert hand.figures("open", "opening", "waiting") == (0, 0, 0)

    def test_close_while_opening(self) -> None:
        async def open_at_gate(key: str, deadline: float) -> FakeConnection:
            await Gate()
            return hand.fleet.make(key)

        hand = HandPool(opener=open_at_gate)
        call = hand.call()
        hand.pool.close()
        with pytest.raises(ClosedError):
            _ = call.step().connection
        assert len(hand.fleet.made) == 1
        assert not hand.fleet.open_connections

    def test_close_during_the_check_of_a_connection_that_turns_out_stale(self) -> None:
        hand = HandPool()
        one = hand.take()
        hand.give(one)

        def is_usable() -> bool:
            hand.pool.close()
            return False

        one.is_usable = is_usable  # type: ignore[method-assign]
        with pytest.raises(ClosedError):
            hand.take()
        assert (one.closes, len(hand.fleet.made)) == (1, 1)
        assert hand.figures("open", "opening") == (0, 0)

    def test_close_idle_keeps_the_pool_usable(self) -> None:
        hand = HandPool(max_connections=3)
        one, two, held = hand.take("a"), hand.take("b"), hand.take("b")
        hand.give(one, two)
        hand.pool.close_idle()
        assert (one.closes, two.closes, held.closes) == (1, 1, 0)
        hand.give(held)
        assert hand.take("b") is held


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_starts_empty_and_the_parent_keeps_its_connections() -> None:
    hand = HandPool(max_connections=2)
    idle, held = hand.take(), hand.take("b")
    hand.give(idle)
    pid = os.fork()
    if pid == 0:  # the child reports by its exit status: an exception here would run the rest of the suite twice
        code = 1
        try:
            assert hand.figures("open", "idle", "created", "opening") == (0, 0, 0, 0)
            assert (idle.closes, held.closes) == (1, 0)
            new = hand.take()
            assert new not in (idle, held)
            hand.give(held)  # came from the parent: closed, not kept
            assert held.closes == 1
            hand.give(new)
            assert hand.take() is new
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert (idle.closes, held.closes) == (0, 0)
    assert hand.take() is idle


def test_statistics_are_a_plain_value() -> None:
    statistics = HandPool().pool.statistics()
    assert statistics == PoolStatistics(*[0] * 12)


def test_a_release_inside_an_operation_of_the_same_thread_does_not_hang() -> None:
    """What a finalizer run by the garbage collector may do; the next call closes the connection."""
    fleet = Fleet()
    pool = Pool(BlockingBackend(), PoolLimits(), fleet.open)
    connection, _ = run(pool.acquire("origin", math.inf))
    with pool._guard:
        pool.release(connection, False)
        assert connection.closes == 0
    assert pool.statistics().in_use == 1
    pool.close_idle()
    assert connection.closes == 1
    assert pool.statistics().in_use == 0
