"""Pool: how shared connections go out of use: retired, idle, stale, with the pool, left to a forked parent."""

from __future__ import annotations

import os

import pytest

from drivetrain.engine.errors import ClosedError, UsageError
from tests.connection.pool_support import SHARED as S
from tests.connection.pool_support import (
    Call,
    SharingKey,
    SharingPool,
    done,
)

T = SharingKey("other")


class TestRetiring:
    def test_users_stay_and_the_last_one_closes_it(self) -> None:
        hand = SharingPool(shares=3)
        one = hand.join()
        hand.join()
        hand.pool.retire(one)
        hand.pool.retire(one)
        two = hand.join()
        assert two is not one
        hand.give(one)
        assert one.closes == 0
        hand.give(one)
        assert one.closes == 1
        assert hand.figures("open", "users", "closed") == (1, 1, 1)

    def test_an_idle_one_is_closed_at_once(self) -> None:
        hand = SharingPool()
        one = hand.join()
        hand.give(one)
        hand.pool.retire(one)
        assert one.closes == 1
        assert hand.figures("open", "idle") == (0, 0)

    def test_it_wakes_one_waiter_to_open_another_for_all(self) -> None:
        hand = SharingPool(shares=2)
        one = hand.join()
        hand.join()
        hand.slow = True
        queue = [hand.call(S) for _ in range(3)]
        hand.pool.retire(one)
        assert hand.figures("opening", "waiting") == (1, 2)
        done(queue)
        assert done(queue) == [True, True, False]
        assert len(hand.fleet.made) == 2

    def test_not_reusable_takes_no_new_users_and_leaves_the_others_alone(self) -> None:
        hand = SharingPool(shares=3)
        one = hand.join()
        hand.join()
        hand.join()
        hand.give(one, reusable=False)
        assert one.closes == 0
        assert hand.join() is not one
        hand.give(one)
        assert one.closes == 0
        hand.give(one)
        assert one.closes == 1

    @pytest.mark.parametrize("how", ["release", "retire"])
    def test_a_closed_one_is_done_away_with_at_once(self, how: str) -> None:
        hand = SharingPool(shares=3, max_connections=1)
        one = hand.join()
        hand.join()
        hand.join()
        waiting = hand.call("a")
        one.broken = True
        hand.give(one, reusable=False) if how == "release" else hand.pool.retire(one)
        assert one.closes == 1
        assert waiting.step().connection.key == "a"
        hand.give(one, reusable=False)
        hand.give(one)
        assert hand.figures("open", "users", "closed") == (1, 1, 1)

    def test_users_who_leave_while_somebody_closes_it(self) -> None:
        hand = SharingPool(shares=3)
        one = hand.join()
        hand.join()
        hand.join()
        one.broken = True
        close = one.close

        def close_slowly() -> None:
            one.close = close  # type: ignore[method-assign]
            hand.give(one)
            hand.give(one, reusable=False)
            assert one.closes == 0
            close()

        one.close = close_slowly  # type: ignore[method-assign]
        hand.give(one, reusable=False)
        assert one.closes == 1
        assert hand.figures("open", "users", "closed") == (0, 0, 1)
        assert not hand.pool._ledger._origins

    def test_a_draining_one_counts_against_the_limit_of_sockets(self) -> None:
        hand = SharingPool(max_per_origin=1)
        one = hand.join()
        hand.pool.retire(one)
        waiting = hand.call(S)
        assert not waiting.step().done
        hand.give(one)
        assert waiting.step().connection is not one

    def test_detaching_is_refused(self) -> None:
        hand = SharingPool()
        one = hand.join()
        with pytest.raises(UsageError):
            hand.pool.detach(one)
        assert hand.figures("users") == (1,)


class TestIdle:
    def test_expiry_counts_from_the_last_user(self) -> None:
        hand = SharingPool(keepalive_expiry=30.0)
        one = hand.join()
        hand.join()
        hand.give(one)
        hand.backend.clock += 1000
        assert hand.join() is one
        hand.give(one, one)
        hand.backend.clock += 29
        assert hand.join() is one
        hand.give(one)
        hand.backend.clock += 30
        assert hand.join() is not one
        assert (one.closes, *hand.figures("expired", "stale")) == (1, 1, 0)

    def test_one_in_use_is_not_evicted(self) -> None:
        hand = SharingPool(max_connections=2)
        one, two = hand.join(S), hand.join(T)
        hand.give(two)
        assert hand.take("c").key == "c"
        assert (one.closes, two.closes) == (0, 1)
        assert not hand.call("d").done

    def test_max_idle(self) -> None:
        hand = SharingPool(max_idle=0)
        one = hand.join()
        hand.join()
        hand.give(one)
        assert one.closes == 0
        hand.give(one)
        assert one.closes == 1

    def test_a_stale_one_is_replaced_while_the_others_wait_for_the_outcome(self) -> None:
        hand = SharingPool(shares=9, max_shared_per_origin=3)
        one = hand.join()
        hand.give(one)
        others: list[Call] = []

        def is_usable() -> bool:
            others.extend([hand.call(S), hand.call(S)])
            return False

        one.is_usable = is_usable  # type: ignore[method-assign]
        two = hand.join()
        assert [call.step().connection for call in others] == [two, two]
        assert (one.closes, len(hand.fleet.made)) == (1, 2)
        assert hand.figures("stale", "users", "created") == (1, 3, 2)

    @pytest.mark.parametrize("what", ["usable", "goodbye", "no room", "interrupted"])
    def test_what_the_check_may_find(self, what: str) -> None:
        hand = SharingPool(shares=9)
        one = hand.join()
        hand.give(one)
        others: list[Call] = []

        def is_usable() -> bool:
            others.append(hand.call(S))
            if what == "goodbye":
                hand.pool.retire(one)
            if what == "no room":
                one.shares = 0
                hand.pool.capacity_changed(one)
            if what == "interrupted":
                raise KeyboardInterrupt
            return True

        one.is_usable = is_usable  # type: ignore[method-assign]
        call = hand.call(S)
        assert isinstance(call.error, KeyboardInterrupt) == (what == "interrupted")
        connection = others[0].step().connection
        assert (connection is one) == (what == "usable")
        assert one.closes == (what != "usable")
        assert hand.figures("open", "users") == (1, 1 if what == "interrupted" else 2)

    def test_fresh_takes_one_in_use_but_replaces_an_idle_one(self) -> None:
        hand = SharingPool()
        one = hand.join()
        assert hand.join(fresh=True) is one
        hand.give(one, one)
        two = hand.join(fresh=True)
        assert two is not one
        assert (one.closes, hand.fleet.most_total) == (1, 1)

    def test_fresh_waits_for_the_opening_too(self) -> None:
        hand = SharingPool(shares=5, slow=True)
        queue = [hand.call(S, fresh=True) for _ in range(4)]
        assert done(queue) == [True] * 4
        assert len(hand.fleet.made) == 1

    def test_exclusive_and_shared_ones_of_one_origin(self) -> None:
        hand = SharingPool(shares=None)
        plain = hand.take(S)
        hand.shares = 2
        one = hand.join()
        hand.give(plain)
        assert hand.join() is one  # preferred
        assert hand.take(S) is plain
        waiting = hand.call(S)
        assert not waiting.done
        hand.give(plain)  # as good as a share
        assert waiting.step().connection is plain
        assert hand.figures("in_use", "users", "waiting") == (2, 3, 0)


class TestClosing:
    def test_close_lets_users_finish(self) -> None:
        hand = SharingPool(shares=3)
        one, idle = hand.join(S), hand.join(T)
        hand.join(S)
        hand.give(idle)
        hand.pool.close()
        assert (one.closes, idle.closes) == (0, 1)
        with pytest.raises(ClosedError):
            hand.join(S)
        one.shares = 9
        hand.pool.capacity_changed(one)
        hand.give(one)
        assert one.closes == 0
        hand.give(one)
        assert one.closes == 1
        assert not hand.pool._ledger._origins

    def test_close_fails_who_waits_for_room_or_for_the_first(self) -> None:
        hand = SharingPool(shares=1, slow=True)
        queue = [hand.call(S) for _ in range(3)]
        hand.pool.close()
        for call in queue:
            with pytest.raises(ClosedError):
                _ = call.step().connection
        assert not hand.fleet.open_connections
        assert not hand.pool._ledger._origins

    def test_close_during_the_check(self) -> None:
        hand = SharingPool()
        one = hand.join()
        hand.give(one)

        def is_usable() -> bool:
            hand.pool.close()
            return True

        one.is_usable = is_usable  # type: ignore[method-assign]
        with pytest.raises(ClosedError):
            hand.join()
        assert (one.closes, *hand.figures("open", "opening")) == (1, 0, 0)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_a_forked_child_shares_nothing_with_its_parent(self) -> None:
        hand = SharingPool(shares=3)
        one, idle = hand.join(S), hand.join(T)
        hand.give(idle)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                assert hand.figures("open", "users", "opening") == (0, 0, 0)
                assert (one.closes, idle.closes) == (0, 1)
                assert hand.join(S) is not one
                hand.pool.retire(one)
                assert one.closes == 0
                hand.give(one)
                assert one.closes == 1
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert hand.join(S) is one
        assert idle.closes == 0
