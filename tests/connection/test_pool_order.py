"""Pool: limits, order of service, deadlines and cancellation, each step by hand and without real time."""

from __future__ import annotations

import asyncio
import math

import pytest

from drivetrain.engine.backends.memory import MemoryBackend
from drivetrain.engine.connection.pool import Pool
from drivetrain.engine.connection.pool_limits import PoolLimits
from drivetrain.engine.errors import PoolTimeout, UsageError
from tests.connection.pool_support import FakeConnection, Fleet, HandPool


class TestLimits:
    def test_at_the_total_the_connection_idle_longest_makes_room(self) -> None:
        hand = HandPool(max_connections=2)
        one, two = hand.take("a"), hand.take("b")
        hand.give(two, one)
        assert hand.take("c").key == "c"
        assert (one.closes, two.closes) == (0, 1)
        assert hand.fleet.most_total == 2

    def test_the_limit_per_origin_holds_back_only_that_origin(self) -> None:
        hand = HandPool(max_per_origin=1)
        hand.take("a")
        waiting = hand.call("a")
        assert not waiting.done
        assert hand.take("b").key == "b"
        assert hand.figures("waiting", "waits") == (1, 1)

    def test_served_in_order_within_an_origin(self) -> None:
        hand = HandPool(max_per_origin=1)
        held = hand.take()
        queue = [hand.call() for _ in range(10)]
        for place, call in enumerate(queue):
            hand.give(held, reusable=place % 3 != 0)
            assert [other.step().done for other in queue[place + 1 :]] == [False] * (len(queue) - place - 1)
            held = call.step().connection
        assert hand.figures("waiting", "waits", "open") == (0, 10, 1)

    def test_a_newcomer_does_not_overtake(self) -> None:
        hand = HandPool(max_per_origin=1)
        held = hand.take()
        first = hand.call()
        hand.give(held)  # handed over, though `first` has not run yet
        newcomer = hand.call()
        assert not newcomer.done
        assert first.step().connection is held
        assert not newcomer.step().done

    def test_the_total_goes_to_who_waited_longest_across_origins(self) -> None:
        hand = HandPool(max_connections=1)
        held = hand.take("a")
        other, mine = hand.call("b"), hand.call("a")
        hand.give(held)  # reusable by `mine`, but `other` was first
        assert held.closes == 1
        assert not mine.step().done
        hand.give(other.step().connection)
        assert mine.step().connection.key == "a"
        assert hand.fleet.most_total == 1

    def test_a_busy_origin_does_not_starve_others(self) -> None:
        hand = HandPool(max_connections=2)
        held = [hand.take("a"), hand.take("a")]
        busy = [hand.call("a") for _ in range(3)]
        starving = [hand.call(key) for key in "bcde"]
        turns = 0
        while not all(call.done for call in starving):
            turns += 1
            assert turns < 20
            busy.append(hand.call("a"))
            hand.give(held.pop(0))
            for call in busy + starving:
                if not call.done and call.step().done:
                    held.append(call.connection)
        assert turns <= 8

    def test_a_fresh_waiter_gets_the_room_not_the_connection(self) -> None:
        hand = HandPool(max_per_origin=1)
        held = hand.take()
        waiting = hand.call(fresh=True)
        hand.give(held)
        assert held.closes == 1
        assert not waiting.step().reused
        assert hand.fleet.most_total == 1

    def test_books_of_unused_origins_are_dropped(self) -> None:
        hand = HandPool(max_connections=3)
        for number in range(100):
            hand.give(hand.take(number))
        assert len(hand.pool._ledger._origins) == 3
        blocked = [hand.take(number) for number in range(97, 100)]
        with pytest.raises(PoolTimeout):
            _ = hand.call("x", deadline=hand.backend.clock).connection
        hand.give(*blocked, reusable=False)
        assert not hand.pool._ledger._origins

    @pytest.mark.parametrize(
        "limits",
        [
            {"max_connections": 0},
            {"max_per_origin": 0},
            {"max_idle": -1},
            {"keepalive_expiry": -1.0},
            {"keepalive_expiry": math.nan},
        ],
    )
    def test_senseless_limits_are_refused(self, limits: dict[str, float]) -> None:
        with pytest.raises(UsageError, match=next(iter(limits))):
            PoolLimits(**limits)  # type: ignore[arg-type]


class TestWaiting:
    def test_timeout_leaves_the_line(self) -> None:
        hand = HandPool(max_per_origin=1)
        held = hand.take()
        hasty, patient = hand.call(deadline=hand.backend.clock + 5), hand.call()
        hand.backend.clock += 5
        with pytest.raises(PoolTimeout, match="1 in use"):
            _ = hasty.step().connection
        hand.give(held)
        assert patient.step().connection is held

    def test_a_grant_at_the_last_moment_is_used(self) -> None:
        hand = HandPool(max_per_origin=1)
        held = hand.take()
        waiting = hand.call(deadline=hand.backend.clock + 5)
        waiter = hand.backend.waiters[0]
        hand.give(held)
        waiter.woken = False  # the deadline is noticed first
        hand.backend.clock += 5
        assert waiting.step().connection is held

    @pytest.mark.parametrize("reusable", [True, False], ids=["connection", "room"])
    @pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit])
    def test_cancelled_after_being_served_passes_it_on(self, reusable: bool, error: type[BaseException]) -> None:
        hand = HandPool(max_per_origin=1)
        held = hand.take()
        queue = [hand.call() for _ in range(4)]
        hand.give(held, reusable=reusable)
        for call in queue[:3]:
            assert hand.backend.wake_order[-1] is hand.backend.waiters[queue.index(call)]
            assert isinstance(call.throw(error()).error, error)
        assert (queue[3].step().connection is held) is reusable
        assert queue[3].reused is reusable
        assert hand.figures("open", "in_use", "opening", "waiting", "reused") == (1, 1, 0, 0, int(reusable))

    @pytest.mark.parametrize("reusable", [True, False], ids=["connection", "room"])
    def test_the_last_in_line_cancelled_after_being_served_leaves_it_idle_or_free(self, reusable: bool) -> None:
        hand = HandPool(max_connections=1)
        held = hand.take("a")
        waiting = hand.call("a")
        hand.give(held, reusable=reusable)
        waiting.cancel()
        assert hand.figures("open", "idle", "opening", "waiting") == (int(reusable), int(reusable), 0, 0)
        assert hand.take("b").key == "b"

    def test_cancelled_before_being_served_is_skipped(self) -> None:
        hand = HandPool(max_connections=1)
        held = hand.take("a")
        queue = [hand.call(key) for key in "bacab"]
        for index in (0, 1, 3):
            queue[index].cancel()
        hand.give(held)
        assert queue[4].step().connection.key == "b"  # an origin keeps its turn
        hand.give(queue[4].connection)
        assert queue[2].step().connection.key == "c"
        assert len(hand.fleet.open_connections) == 1

    def test_a_cancelled_one_passes_to_another_origin(self) -> None:
        hand = HandPool(max_connections=1)
        held = hand.take("a")
        mine, other = hand.call("a"), hand.call("b")
        hand.give(held)
        mine.cancel()
        assert held.closes == 1
        assert other.step().connection.key == "b"


def test_deadlines_on_the_memory_backend() -> None:
    """Whoever waits longer than its deadline leaves at that very moment; the rest are served in order."""
    backend = MemoryBackend()
    fleet = Fleet()
    pool: Pool[str, FakeConnection] = Pool(backend, PoolLimits(max_per_origin=1), fleet.open)
    log: list[tuple[str, float]] = []
    start = backend.now()

    async def use(name: str, patience: float, seconds: float) -> None:
        try:
            connection, _ = await pool.acquire("a", start + patience)
        except PoolTimeout:
            log.append((f"{name} gave up", backend.now() - start))
            return
        log.append((f"{name} served", backend.now() - start))
        await backend.sleep_until(backend.now() + seconds)
        pool.release(connection, True)

    async def main() -> None:
        users = [("one", 1.0, 10.0), ("two", 5.0, 1.0), ("three", 60.0, 10.0), ("four", 15.0, 1.0), ("five", 60.0, 1.0)]
        tasks = [backend.spawn(use(*user), user[0]) for user in users]
        for task in tasks:
            assert await task.join(math.inf)

    backend.run(main())
    assert log == [
        ("one served", 0.0),
        ("two gave up", 5.0),
        ("three served", 10.0),
        ("four gave up", 15.0),
        ("five served", 20.0),
    ]
    assert pool.statistics().idle == len(fleet.made) == 1
