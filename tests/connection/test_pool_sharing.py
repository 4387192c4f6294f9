"""Pool: connections that several users hold at once, each step by hand and without real time."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from drivetrain.engine.backends.blocking import BlockingBackend, run
from drivetrain.engine.connection.pool import Pool
from drivetrain.engine.connection.pool_limits import PoolLimits
from drivetrain.engine.errors import PoolTimeout, UsageError
from tests.connection.pool_support import SHARED as S
from tests.connection.pool_support import (
    Call,
    FakeConnection,
    Fleet,
    HandPool,
    SharedConnection,
    SharingKey,
    SharingPool,
    done,
)

T = SharingKey("other")


class TestUsers:
    def test_users_are_counted_and_the_connection_is_idle_without(self) -> None:
        hand = SharingPool(shares=3)
        one = hand.join()
        assert [hand.join(), hand.join()] == [one, one]
        assert hand.figures("open", "idle", "in_use", "users", "created", "reused") == (1, 0, 1, 3, 1, 2)
        hand.give(one, one)
        assert hand.figures("idle", "in_use", "users") == (0, 1, 1)
        hand.give(one)
        assert hand.figures("idle", "in_use", "users", "closed") == (1, 0, 0, 0)
        with pytest.raises(UsageError):
            hand.give(one)
        assert hand.join() is one

    def test_exclusive_connections_count_one_user_each(self) -> None:
        hand = SharingPool()
        one, _, _ = hand.take("a"), hand.take("a"), hand.join()
        hand.join()
        assert hand.figures("in_use", "users") == (3, 4)
        hand.give(one)
        assert hand.figures("in_use", "users") == (2, 3)

    def test_only_the_opener_is_told_that_nobody_used_it_before(self) -> None:
        hand = SharingPool(shares=5, slow=True)
        opener, waiting = hand.call(S), hand.call(S)
        opener.step()
        waiting.step()
        assert [opener.reused, waiting.reused, hand.call(S).reused] == [False, True, True]
        assert hand.call(S, fresh=True).reused is False  # for the caller who must not try again

    def test_full_ones_make_callers_wait_in_order(self) -> None:
        hand = SharingPool()
        one = hand.join()
        hand.join()
        queue = [hand.call(S) for _ in range(3)]
        assert hand.figures("open", "waiting") == (1, 3)
        hand.give(one)
        assert done(queue) == [True, False, False]
        newcomer = hand.call(S)
        hand.give(one, one)
        assert done([*queue, newcomer]) == [True, True, True, False]
        assert hand.figures("open", "users", "waiting") == (1, 2, 1)

    def test_a_second_one_when_configured(self) -> None:
        hand = SharingPool(max_shared_per_origin=2)
        one, _, two, _ = (hand.join() for _ in range(4))
        assert one is not two
        assert not hand.call(S).done
        assert len(hand.fleet.made) == 2

    def test_beyond_the_first_one_is_opened_at_a_time(self) -> None:
        hand = SharingPool(max_shared_per_origin=None, slow=True)
        queue = [hand.call(S) for _ in range(7)]
        opened = []
        while not all(done(queue)):
            opened.append((len(hand.fleet.made), hand.figures("opening")[0]))
        assert max(opening for _, opening in opened) == 1
        assert len(hand.fleet.made) == 4

    def test_one_in_use_is_preferred_to_an_idle_one(self) -> None:
        hand = SharingPool(shares=2, max_shared_per_origin=2)
        one, _, two = hand.join(), hand.join(), hand.join()
        hand.give(one, one)
        assert hand.join() is two
        assert hand.join() is one

    def test_capacity_is_known_per_connection_and_the_opener_always_gets_his(self) -> None:
        hand = SharingPool(shares=0)
        one = hand.join()
        assert hand.figures("users") == (1,)
        waiting = hand.call(S)
        one.shares = 2
        hand.pool.capacity_changed(one)
        assert waiting.step().connection is one

    def test_the_limit_per_origin_and_the_total_hold_for_connections(self) -> None:
        hand = SharingPool(shares=1, max_shared_per_origin=None, max_per_origin=2)
        assert hand.join() is not hand.join()
        assert not hand.call(S).done
        few = SharingPool(shares=50, max_connections=1)
        few.give(*[few.join() for _ in range(40)])
        assert few.join(T).key == T
        assert few.fleet.most_total == 1


async def _made(connection: FakeConnection) -> FakeConnection:
    return connection


class TestCapacity:
    def test_growth_wakes_as_many_as_there_is_room_for(self) -> None:
        hand = SharingPool()
        one = hand.join()
        hand.join()
        queue = [hand.call(S) for _ in range(5)]
        one.shares = 5
        hand.pool.capacity_changed(one)
        assert done(queue) == [True, True, True, False, False]
        hand.pool.capacity_changed(one)
        assert done(queue[3:]) == [False, False]

    @pytest.mark.parametrize("told", [True, False])
    def test_shrinking_drives_nobody_out(self, told: bool) -> None:
        hand = SharingPool(shares=5)
        one = hand.join()
        hand.join()
        hand.join()
        one.shares = 2
        if told:
            hand.pool.capacity_changed(one)
        waiting = hand.call(S)
        hand.give(one)
        assert not waiting.step().done
        hand.give(one)
        assert waiting.step().connection is one
        assert hand.figures("users", "open") == (2, 1)

    def test_without_capacity_and_users_it_is_closed(self) -> None:
        hand = SharingPool()
        one = hand.join()
        one.shares = 0
        waiting = hand.call(S)
        hand.give(one)
        assert one.closes == 1
        two = waiting.step().connection
        assert two is not one
        hand.give(two)
        assert isinstance(two, SharedConnection)
        two.shares = 0
        hand.pool.capacity_changed(two)
        assert two.closes == 1
        assert hand.figures("open", "idle", "opening") == (0, 0, 0)

    def test_strangers_and_exclusive_ones_are_ignored(self) -> None:
        hand = HandPool()
        one = hand.take()
        for connection in (one, hand.fleet.make("a"), hand.fleet.make_shared("a")):
            hand.pool.capacity_changed(connection)
            hand.pool.retire(connection)
        hand.give(one)
        assert hand.take() is one
        assert [connection.closes for connection in hand.fleet.made] == [0, 0, 0]


class TestFairness:
    def test_a_busy_shared_one_does_not_starve_another_origin(self) -> None:
        hand = SharingPool(shares=3, max_connections=1)
        one = hand.join()
        hand.join()
        starving = hand.call("a")
        hand.join()  # there is room still
        newcomer = hand.call(S)
        hand.give(one)  # its turn is over
        assert not newcomer.step().done
        hand.give(one, one)
        assert one.closes == 1
        plain = starving.step().connection
        assert not newcomer.step().done
        hand.give(plain)
        assert newcomer.step().connection.key == S

    def test_no_more_are_retired_than_origins_starve(self) -> None:
        hand = SharingPool(shares=3, max_connections=2)
        one, two = hand.join(S), hand.join(T)
        hand.join(S)
        hand.join(T)
        starving = hand.call("a")
        hand.give(one, two)
        assert hand.join(T) is two
        hand.give(one)
        assert starving.step().connection.key == "a"
        assert (one.closes, two.closes) == (1, 0)

    def test_the_own_line_goes_first_where_it_waits_longer(self) -> None:
        hand = SharingPool(shares=1, max_connections=1)
        one = hand.join()
        mine, other = hand.call(S), hand.call("a")
        hand.give(one)
        assert mine.step().connection is one
        hand.give(one)
        assert other.step().connection.key == "a"


class TestInterruptions:
    @pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit])
    def test_cancelled_after_being_served_passes_the_use_on(self, error: type[BaseException]) -> None:
        hand = SharingPool()
        one = hand.join()
        hand.join()
        queue = [hand.call(S) for _ in range(3)]
        hand.give(one)
        queue[0].throw(error())
        queue[1].throw(error())
        assert queue[2].step().connection is one
        assert hand.figures("users", "waiting", "reused") == (2, 0, 2)

    def test_interrupted_after_the_check_gives_back_the_use_only(self) -> None:
        hand = SharingPool(shares=3)
        one = hand.join()
        hand.give(one)
        others: list[Call] = []

        def interrupt() -> None:
            raise KeyboardInterrupt

        def is_usable() -> bool:
            others.append(hand.call(S))
            hand.backend.waiters[-1].wake = interrupt  # type: ignore[method-assign]
            return True

        one.is_usable = is_usable  # type: ignore[method-assign]
        assert isinstance(hand.call(S).error, KeyboardInterrupt)
        hand.backend.waiters[-1].woken = True
        assert others[0].step().connection is one
        assert hand.figures("users", "closed") == (1, 0)

    def test_a_newcomer_does_not_overtake_while_room_is_being_made(self) -> None:
        hand = SharingPool(shares=1, max_connections=3)
        idle = [hand.take("a"), hand.take("b")]
        hand.give(*idle)
        one = hand.join()
        waiting = hand.call(S)
        newcomers: list[Call] = []
        close = idle[0].close

        def close_slowly() -> None:
            newcomers.append(hand.call(S))
            close()

        idle[0].close = close_slowly  # type: ignore[method-assign]
        hand.pool.retire(one)
        assert not newcomers[0].done
        two = waiting.step().connection
        assert not newcomers[0].step().done
        hand.give(two)
        assert newcomers[0].step().connection is two

    def test_a_deadline_leaves_the_line(self) -> None:
        hand = SharingPool(shares=1)
        one = hand.join()
        hasty, patient = hand.call(S, deadline=hand.backend.clock + 5), hand.call(S)
        hand.backend.clock += 5
        assert isinstance(hasty.step().error, PoolTimeout)
        hand.give(one)
        assert patient.step().connection is one

    def test_served_but_retired_before_it_ran(self) -> None:
        hand = SharingPool(shares=1)
        one = hand.join()
        waiting = hand.call(S)
        hand.give(one)
        hand.pool.retire(one)
        hand.give(waiting.step().connection)
        assert one.closes == 1

    def test_a_finalizer_gives_back_the_use_only(self) -> None:
        hand = SharingPool()
        one = hand.join()
        hand.join()
        waiting = hand.call(S)
        hand.pool.release_from_finalizer(one)
        hand.take("a")  # any call that opens
        assert waiting.step().connection is one
        hand.pool.release_from_finalizer(one)
        hand.pool.release_from_finalizer(one)
        hand.pool.close_idle()
        assert hand.figures("users", "idle") == (1, 1)
        assert one.closes == 0

    def test_a_release_inside_an_operation_of_the_same_thread(self) -> None:
        fleet = Fleet()
        pool: Pool[str, Any] = Pool(
            BlockingBackend(), PoolLimits(), lambda key, deadline: _made(fleet.make_shared(key))
        )
        one, _ = run(pool.acquire(S, math.inf))
        assert run(pool.acquire(S, math.inf)) == (one, True)
        with pool._guard:
            pool.release(one, False)
        pool.release(one, True)
        assert one.closes == 1
        assert pool.statistics().open == 0
