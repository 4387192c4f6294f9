"""Pool: the first connection to an origin whose connections may be shared, and who waits for it."""

from __future__ import annotations

import asyncio
import math

import pytest

from drivetrain.engine.backends.memory import MemoryBackend
from drivetrain.engine.connection.pool import Pool
from drivetrain.engine.connection.pool_limits import PoolLimits
from drivetrain.engine.errors import ConnectError, ConnectTimeout, PoolTimeout
from tests.connection.pool_support import SHARED as S
from tests.connection.pool_support import FakeConnection, Fleet, HandPool, SharingPool, done


async def _made(connection: FakeConnection) -> FakeConnection:
    return connection


async def _note(seen: list[float], deadline: float) -> FakeConnection:
    seen.append(deadline)
    raise ConnectError("refused")


class TestFirstConnection:
    def test_everybody_waits_for_the_first_and_shares_it(self) -> None:
        hand = SharingPool(shares=100, slow=True)
        queue = [hand.call(S) for _ in range(50)]
        assert hand.figures("opening", "waiting") == (1, 49)
        assert done(queue) == [True] * 50
        assert len(hand.fleet.made) == 1
        assert hand.figures("users", "created", "reused", "waits") == (50, 1, 49, 49)

    def test_up_to_its_capacity(self) -> None:
        hand = SharingPool(shares=3, slow=True)
        queue = [hand.call(S) for _ in range(5)]
        assert done(queue) == [True, True, True, False, False]

    def test_when_it_turns_out_exclusive_all_open_their_own_at_once(self) -> None:
        hand = SharingPool(shares=None, slow=True, max_per_origin=4)
        queue = [hand.call(S) for _ in range(6)]
        assert done(queue[:1]) == [True]
        assert hand.figures("open", "opening", "waiting") == (1, 3, 2)
        done(queue)
        assert done(queue) == [True] * 4 + [False] * 2
        assert hand.fleet.most_total == 4

    def test_an_origin_known_to_be_exclusive_makes_nobody_wait(self) -> None:
        hand = SharingPool(shares=None, slow=True)
        first = hand.call(S).step()
        others = [hand.call(S) for _ in range(3)]
        assert hand.figures("opening", "waiting") == (3, 0)
        hand.give(first.connection, *[call.step().connection for call in others], reusable=False)
        assert not hand.pool._ledger._origins  # forgotten with the last connection
        again = [hand.call(S) for _ in range(3)]
        assert hand.figures("opening", "waiting") == (1, 2)
        assert len(again) == 3

    def test_exclusive_ones_take_the_room_of_what_is_idle_elsewhere(self) -> None:
        hand = SharingPool(shares=None, slow=False, max_connections=3)
        idle = [hand.take("a"), hand.take("b")]
        hand.give(*idle)
        hand.slow = True
        queue = [hand.call(S) for _ in range(4)]
        done(queue[:1])
        assert [connection.closes for connection in idle] == [1, 1]
        assert hand.figures("evicted", "opening", "waiting") == (2, 2, 1)
        done(queue)
        assert done(queue) == [True, True, True, False]
        assert hand.fleet.most_total == 3

    def test_keys_that_do_not_share_open_one_each(self) -> None:
        hand = SharingPool(slow=True)
        calls = [hand.call("plain") for _ in range(3)]
        assert hand.figures("opening", "waiting") == (3, 0)
        assert done(calls) == [True] * 3

    def test_a_surprisingly_shared_one_serves_everybody_from_then_on(self) -> None:
        hand = HandPool(opener=None)
        hand.pool._opener = lambda key, deadline: _made(hand.fleet.make_shared(key, 9))
        assert hand.take("plain") is hand.take("plain")

    @pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), GeneratorExit()])
    def test_cancelling_the_opener_lets_the_next_one_open(self, error: BaseException) -> None:
        hand = SharingPool(slow=True)
        queue = [hand.call(S) for _ in range(4)]
        assert queue[0].throw(error).error is error
        assert hand.figures("opening", "waiting") == (1, 2)
        queue[1].cancel()  # before it ran
        assert done(queue[2:]) == [False, False]
        assert done(queue[2:]) == [True, True]
        assert len(hand.fleet.made) == 1

    def test_failures_are_for_the_one_who_opened_and_let_two_try(self) -> None:
        hand = SharingPool(slow=True)
        queue = [hand.call(S) for _ in range(16)]
        rounds = []
        while waiting := [call for call in queue if not call.done]:
            rounds.append(hand.figures("opening")[0])
            tries = waiting[: rounds[-1]]
            for call in tries:
                if rounds[1:]:
                    call.step()  # from the line to the gate
            for number, call in enumerate(tries):
                assert isinstance(call.throw(ConnectError(str(number))).error, ConnectError)
        assert rounds == [1, 2, 4, 8, 1]
        assert hand.figures("open", "opening", "waiting") == (0, 0, 0)
        assert not hand.pool._ledger._origins

    def test_success_after_a_failure_serves_all_and_a_surplus_one_only_its_opener(self) -> None:
        hand = SharingPool(shares=10, slow=True)
        queue = [hand.call(S) for _ in range(6)]
        queue[0].throw(ConnectError("refused"))
        done(queue[1:])
        assert hand.figures("opening", "waiting") == (2, 3)
        assert done(queue[1:]) == [True] * 5
        kept, surplus = queue[1].connection, queue[2].connection
        assert [call.connection is kept for call in queue[3:]] == [True] * 3
        assert hand.join() is kept
        hand.give(surplus)
        assert surplus.closes == 1
        assert hand.figures("open", "users") == (1, 5)

    def test_the_line_waits_for_the_opening_as_long_as_it_would_for_its_own(self) -> None:
        hand = SharingPool(slow=True)
        opener = hand.limited(wait=1.0, opening=30.0)
        hand.backend.clock += 10
        late = hand.limited(wait=1.0, opening=30.0)
        hand.backend.clock += 19  # far more than may be waited in a line
        assert not late.step().done
        hand.backend.clock += 1
        opener.throw(ConnectTimeout("too late"))
        seen: list[float] = []
        hand.pool._opener = lambda key, deadline: _note(seen, deadline)
        assert isinstance(late.step().error, ConnectError)
        assert seen == [hand.backend.clock + 10]  # the rest of its thirty seconds

    def test_nobody_waits_longer_than_its_own_connect_timeout(self) -> None:
        hand = SharingPool(slow=True)
        opener = hand.limited(wait=60.0, opening=30.0)
        queue = [hand.limited(wait=60.0, opening=30.0) for _ in range(3)]
        hand.backend.clock += 30
        for call in queue:
            assert isinstance(call.step().error, ConnectTimeout)
        assert not opener.step().error

    def test_after_the_opening_the_wait_for_room_has_its_own_limit(self) -> None:
        hand = SharingPool(shares=1, slow=True)
        opener, waiting = hand.limited(5.0, 30.0), hand.limited(5.0, 30.0)
        opener.step()
        hand.backend.clock += 30
        assert not waiting.step().done
        hand.backend.clock += 5
        assert isinstance(waiting.step().error, PoolTimeout)

    def test_an_exclusive_answer_gives_the_others_their_full_time_to_connect(self) -> None:
        hand = SharingPool(shares=None, slow=True)
        opener, waiting = hand.limited(None, 30.0), hand.limited(None, 30.0)
        hand.backend.clock += 20
        opener.step()
        seen: list[float] = []
        hand.pool._opener = lambda key, deadline: _note(seen, deadline)
        waiting.step()
        assert seen == [hand.backend.clock + 30]

    def test_waiting_for_a_room_of_the_total_is_no_connecting(self) -> None:
        hand = SharingPool(max_connections=1)
        hand.take("a")
        waiting = hand.limited(5.0, 1.0)
        hand.backend.clock += 5
        assert isinstance(waiting.step().error, PoolTimeout)


def test_deadlines_on_the_memory_backend() -> None:
    """A host that does not answer costs everybody its own connect timeout, and nobody more; then it answers."""
    backend = MemoryBackend()
    fleet = Fleet()
    start = backend.now()
    answers_at = start + 45.0
    log: list[tuple[str, float]] = []
    opened: list[float] = []

    async def connect(key: str, deadline: float) -> FakeConnection:
        opened.append(backend.now() - start)
        await backend.sleep_until(min(deadline, max(answers_at, backend.now() + 1.0)))
        if backend.now() >= deadline:
            raise ConnectTimeout("no answer")
        return fleet.make_shared(key, 2)

    pool: Pool[str, FakeConnection] = Pool(backend, PoolLimits(), connect)

    async def use(name: str, begin: float, seconds: float) -> None:
        await backend.sleep_until(start + begin)
        try:
            connection, _ = await pool.acquire(S, start + 80.0, wait_limit=5.0, open_limit=30.0)
        except (ConnectTimeout, PoolTimeout) as error:
            log.append((f"{name} {type(error).__name__}", backend.now() - start))
            return
        log.append((f"{name} served", backend.now() - start))
        await backend.sleep_until(backend.now() + seconds)
        pool.release(connection, True)

    async def main() -> None:
        users = [(f"early {number}", 0.0, 1.0) for number in range(3)]
        users += [("later 1", 20.0, 2.0), ("later 2", 20.0, 2.0), ("late 1", 46.0, 1.5), ("late 2", 46.0, 9.0)]
        users += [("late 3", 46.25, 9.0), ("late 4", 46.5, 1.0)]
        for task in [backend.spawn(use(*user), user[0]) for user in users]:
            assert await task.join(math.inf)

    backend.run(main())
    assert sorted(log[:3]) == [(f"early {number} ConnectTimeout", 30.0) for number in range(3)]
    assert log[3:] == [
        ("later 1 served", 45.0),
        ("later 2 served", 45.0),  # on a connection opened beside, because the first try of all had failed
        ("late 1 served", 46.0),
        ("late 2 served", 47.0),
        ("late 3 served", 47.5),
        ("late 4 PoolTimeout", 51.5),
    ]
    assert opened == [0.0, 30.0, 30.0, 30.0, 30.0]
    assert len(fleet.made) == 2
    assert pool.statistics().users == 0
