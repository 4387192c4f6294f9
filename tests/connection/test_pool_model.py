"""The pool against a simple model: random calls, releases, failures and cancellations, checked after every step."""

from __future__ import annotations

import random
from typing import Any

import pytest

from drivetrain.engine.errors import ConnectError, PoolTimeout
from tests.connection.pool_support import (
    Call,
    FakeConnection,
    Gate,
    HandPool,
    HandWaiter,
    SharedConnection,
    SharingKey,
)

EXCLUSIVE = tuple("abcd")
MIXED = (SharingKey("a"), SharingKey("b"), "c", SharingKey("d"))


class Actor:
    """One caller: opening, waiting or holding, as told by what it stands at."""

    def __init__(self, world: World, key: str, fresh: bool, deadline: float) -> None:
        self.key = key
        self.opening = False
        self.fresh = fresh
        self.deadline = deadline
        waiters = world.hand.backend.waiters
        before = len(waiters)
        world.running = self
        self.call = Call(world.hand.pool.acquire(key, deadline, fresh))
        self.waiter: HandWaiter | None = waiters[before] if len(waiters) > before else None

    @property
    def queued(self) -> bool:
        return self.waiter is not None and not self.waiter.woken and not self.call.done


class World:
    def __init__(self, seed: int, keys: tuple[str, ...]) -> None:
        self.random = random.Random(seed)
        self.keys = keys
        self.shared_often = self.random.choice([0.1, 0.9, 1.0])
        self.most_shares: dict[SharedConnection, int] = {}
        limits: dict[str, Any] = {
            "max_connections": self.random.choice([1, 2, 3, 5, None]),
            "max_per_origin": self.random.choice([1, 2, 3, None]),
            "max_idle": self.random.choice([0, 1, 3, None]),
            "keepalive_expiry": self.random.choice([0.0, 5.0, None]),
            "max_shared_per_origin": self.random.choice([1, 1, 2, None]),
        }
        self.hand = HandPool(opener=self.open, **limits)
        self.total = limits["max_connections"] or 10**9
        self.per_origin = limits["max_per_origin"] or 10**9
        self.max_shared = limits["max_shared_per_origin"] or 10**9
        self.actors: list[Actor] = []
        self.holders: list[FakeConnection] = []
        self.detached = 0
        self.running: Actor | None = None
        self.queues: dict[str, list[Actor]] = {key: [] for key in keys}

    async def open(self, key: str, deadline: float) -> FakeConnection:
        actor = self.running
        assert actor is not None
        actor.opening = True
        try:
            await Gate()
            if self.random.random() < 0.2:
                raise ConnectError("refused")
            if isinstance(key, SharingKey) and self.random.random() < self.shared_often:
                connection = self.hand.fleet.make_shared(key, self.random.randrange(5))
                self.most_shares[connection] = max(1, connection.shares)
                return connection
            return self.hand.fleet.make(key)
        finally:
            actor.opening = False

    def act(self) -> None:
        acts = ["start", "start", "resume", "resume", "cancel", "release", "release", "disturb"]
        if self.keys is MIXED:
            acts += ["start", "resume", "resize", "retire"]
        getattr(self, self.random.choice(acts))()
        self.settle()
        self.check()

    def start(self) -> None:
        deadline = self.hand.backend.clock + self.random.choice([3.0, 1e9])
        actor = Actor(self, self.random.choice(self.keys), self.random.random() < 0.2, deadline)
        self.actors.append(actor)
        if actor.queued:
            self.queues[actor.key].append(actor)

    def resume(self) -> None:
        if self.actors:
            self.running = self.random.choice(self.actors)
            self.running.call.step()

    def cancel(self) -> None:
        if self.actors:
            self.running = self.random.choice(self.actors)
            self.running.call.cancel()

    def release(self) -> None:
        if self.holders:
            connection = self.holders.pop(self.random.randrange(len(self.holders)))
            if self.random.random() < 0.1 and not isinstance(connection, SharedConnection):
                self.hand.pool.detach(connection)
                self.detached += 1
                connection.close()
            else:
                self.hand.give(connection, reusable=self.random.random() < 0.7)

    def disturb(self) -> None:
        what = self.random.random()
        if what < 0.4:
            self.hand.backend.clock += self.random.random() * 4
        elif what < 0.8 and self.hand.fleet.open_connections:
            self.random.choice(self.hand.fleet.open_connections).usable = False
        elif what < 0.9:
            self.hand.pool.close_idle()
        elif self.holders:
            self.hand.pool.release_from_finalizer(self.holders.pop())

    def resize(self) -> None:
        if self.most_shares:
            connection = self.random.choice(list(self.most_shares))
            before, connection.shares = connection.shares, self.random.randrange(5)
            self.most_shares[connection] = max(self.most_shares[connection], connection.shares)
            if connection.shares > before or self.random.random() < 0.8:  # a loss need not be told at once
                self.hand.pool.capacity_changed(connection)

    def retire(self) -> None:
        if self.most_shares and self.random.random() < 0.5:
            connection = self.random.choice(list(self.most_shares))
            connection.broken = connection.broken or self.random.random() < 0.5
            self.hand.pool.retire(connection)

    def settle(self) -> None:
        """Collect who is done; check that those woken were the first in their origin's line."""
        for waiter in self.hand.backend.wake_order:
            key, place = next(
                (key, place)
                for key, queue in self.queues.items()
                for place, actor in enumerate(queue)
                if actor.waiter is waiter
            )
            assert place == 0, "served out of turn"
            self.queues[key].pop(0)
        self.hand.backend.wake_order.clear()
        for actor in [actor for actor in self.actors if actor.call.done]:
            self.actors.remove(actor)
            self.queues[actor.key] = [other for other in self.queues[actor.key] if other is not actor]
            if actor.call.error is None:
                connection = actor.call.connection
                assert connection.key == actor.key
                if isinstance(connection, SharedConnection):
                    assert connection.broken or not connection.closes
                else:
                    assert connection not in self.holders, "one connection for two"
                    assert not connection.closes
                assert not (actor.fresh and actor.call.reused)
                self.holders.append(connection)
            elif isinstance(actor.call.error, PoolTimeout):
                assert self.hand.backend.clock >= actor.deadline

    def check(self) -> None:
        pool, fleet = self.hand.pool, self.hand.fleet
        figures = pool.statistics()
        for connection in fleet.made:  # users of a broken one come back after it was closed
            assert connection.closes <= 1 or (isinstance(connection, SharedConnection) and connection.broken)
        assert figures.open == len(fleet.open_connections)
        assert figures.waiting == sum(len(queue) for queue in self.queues.values())
        assert figures.open + figures.opening <= self.total
        assert fleet.most_total <= self.total
        assert all(most <= self.per_origin for most in fleet.most_by_key.values())
        assert figures.created - figures.closed - self.detached == figures.open
        for origin in pool._ledger._origins.values():
            assert origin.rooms or origin.tickets
            assert origin.rooms <= self.per_origin
            assert not origin.idle or all(ticket.fresh for ticket in origin.tickets)
            if origin.tickets:  # nobody waits without need
                assert not origin.roomy
                opening = origin.rooms - origin.slots
                assert (
                    origin.rooms == self.per_origin
                    or (origin.sharing and (opening or origin.circulating == self.max_shared))
                    or (figures.open + figures.opening == self.total and not figures.idle)
                )
        self.check_sharing()

    def check_sharing(self) -> None:
        """Compare every running count with one made anew."""
        ledger = self.hand.pool._ledger
        slots = list(ledger._slots.values())
        shared = [slot for slot in slots if slot.shared is not None]
        for slot in shared:
            assert self.holders.count(slot.connection) <= slot.users <= self.most_shares[slot.connection]
            assert (slot in ledger._idle) == (not slot.users)
            assert not slot.checking
            assert not slot.doomed
            if slot.users < slot.connection.shares and not slot.retired:
                assert slot in slot.origin.roomy or not slot.users
        assert ledger._shared_users == sum(slot.users for slot in shared)
        assert ledger._busy_shared == sum(slot.users > 0 for slot in shared)
        assert ledger._draining == sum(slot.retired for slot in shared)
        exclusive = [slot for slot in slots if slot.shared is None and slot not in ledger._idle]
        assert self.hand.pool.statistics().users == len(exclusive) + ledger._shared_users
        for origin in ledger._origins.values():
            assert origin.slots == sum(slot.origin is origin for slot in slots)
            assert origin.checks == 0
            assert origin.circulating == sum(slot.origin is origin and not slot.retired for slot in shared)
            assert origin.circulating <= self.max_shared
            assert (origin in ledger._hungry) == (bool(origin.tickets) and ledger._may_open(origin))

    def drain(self) -> None:
        """Let everybody finish: whoever still waits must be served by the others' releases alone."""
        self.hand.backend.clock = 0.0  # no deadline passes any more
        for connection in self.most_shares:
            connection.shares = max(1, connection.shares)
            self.hand.pool.capacity_changed(connection)
        for _ in range(10_000):
            if not self.actors and not self.holders:
                break
            for actor in list(self.actors):
                if not actor.queued:
                    self.running = actor
                    actor.call.step()
            self.settle()
            for connection in self.holders:
                self.hand.give(connection)
            self.holders.clear()
            self.hand.pool.close_idle()
            self.settle()
            self.check()
        assert not self.actors, "somebody was never served"
        self.hand.pool.close_idle()
        self.check()


@pytest.mark.parametrize(
    ("keys", "seed"), [*((EXCLUSIVE, seed) for seed in range(60)), *((MIXED, seed) for seed in range(120))]
)
def test_books_hold_under_random_use(keys: tuple[str, ...], seed: int) -> None:
    world = World(seed, keys)
    for _ in range(150):
        world.act()
    world.drain()
    assert world.hand.pool.statistics().open == 0
    assert not world.hand.fleet.open_connections
    assert not world.hand.pool._ledger._origins


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("keys", [EXCLUSIVE, MIXED], ids=["exclusive", "mixed"])
def test_nothing_is_left_after_close_at_any_moment(keys: tuple[str, ...], seed: int) -> None:
    world = World(seed, keys)
    for _ in range(world.random.randrange(5, 60)):
        world.act()
    world.hand.pool.close()
    for actor in world.actors:
        world.running = actor
        while not actor.call.done:
            actor.call.step()
        if actor.call.error is None:
            world.holders.append(actor.call.connection)
    world.hand.give(*world.holders)
    figures = world.hand.pool.statistics()
    assert (figures.open, figures.opening, figures.waiting) == (0, 0, 0)
    assert not world.hand.fleet.open_connections
