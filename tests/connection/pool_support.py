"""What the pool's tests share: connections that count, and a backend whose every suspension is resumed by hand."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Coroutine, Generator
from contextlib import nullcontext
from typing import Any, TypeVar

from drivetrain.engine.connection.pool import Pool
from drivetrain.engine.connection.pool_limits import PoolLimits

F = TypeVar("F", bound="FakeConnection")


class Fleet:
    """Makes connections and keeps the books that the pool's are compared with. Thread-safe."""

    def __init__(self) -> None:
        self.made: list[FakeConnection] = []
        self.open_now: dict[Any, int] = {}
        self.most_total = 0
        self.most_by_key: dict[Any, int] = {}
        self._lock = threading.Lock()

    def make(self, key: Any) -> FakeConnection:
        return self._register(FakeConnection(self, key))

    def make_shared(self, key: Any, shares: int = 2) -> SharedConnection:
        return self._register(SharedConnection(self, key, shares))

    def _register(self, connection: F) -> F:
        key = connection.key
        with self._lock:
            self.made.append(connection)
            self.open_now[key] = self.open_now.get(key, 0) + 1
            self.most_by_key[key] = max(self.most_by_key.get(key, 0), self.open_now[key])
            self.most_total = max(self.most_total, sum(self.open_now.values()))
        return connection

    def count_close(self, connection: FakeConnection) -> None:
        with self._lock:
            connection.closes += 1
            if connection.closes == 1:
                self.open_now[connection.key] -= 1

    @property
    def open_connections(self) -> list[FakeConnection]:
        return [connection for connection in self.made if not connection.closes]

    async def open(self, key: Any, deadline: float) -> FakeConnection:
        return self.make(key)


class FakeConnection:
    def __init__(self, fleet: Fleet, key: Any) -> None:
        self.fleet = fleet
        self.key = key
        self.closes = 0
        self.usable = True
        self.users = 0

    def is_usable(self) -> bool:
        return self.usable and not self.closes

    def close(self) -> None:
        self.fleet.count_close(self)


class SharedConnection(FakeConnection):
    """What HTTP/2 is to the pool; by default two may use it."""

    def __init__(self, fleet: Fleet, key: Any, shares: int = 2) -> None:
        super().__init__(fleet, key)
        self.shares = shares
        self.broken = False

    @property
    def is_closed(self) -> bool:
        return self.broken or bool(self.closes)


class SharingKey(str):
    """An origin whose connections may turn out to be shared."""

    __slots__ = ()
    may_share = True


SHARED = SharingKey("shared")


class Gate:
    """An awaitable that stays pending until the test steps the coroutine that stands at it."""

    def __await__(self) -> Generator[Gate, None, None]:
        yield self


class HandWaiter:
    def __init__(self, backend: HandBackend) -> None:
        self.backend = backend
        self.woken = False

    def wake(self) -> None:
        if not self.woken:
            self.woken = True
            self.backend.wake_order.append(self)

    async def wait(self, deadline: float) -> bool:
        while not self.woken and self.backend.clock < deadline:
            await Gate()
        return self.woken


class HandBackend:
    """Just what the pool uses of a backend; the test decides when time passes and who runs."""

    colour = "blocking"

    def __init__(self) -> None:
        self.clock = 1000.0
        self.waiters: list[HandWaiter] = []
        self.wake_order: list[HandWaiter] = []

    def now(self) -> float:
        return self.clock

    def create_guard(self) -> Any:
        return nullcontext()

    def create_waiter(self) -> HandWaiter:
        waiter = HandWaiter(self)
        self.waiters.append(waiter)
        return waiter


class Call:
    """A coroutine run by hand, one step at a time."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.coroutine = coroutine
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.step()

    def step(self) -> Call:
        return self._advance(lambda: self.coroutine.send(None))

    def throw(self, error: BaseException) -> Call:
        return self._advance(lambda: self.coroutine.throw(error))

    def cancel(self) -> Call:
        return self.throw(asyncio.CancelledError())

    def _advance(self, resume: Any) -> Call:
        assert not self.done
        try:
            resume()
        except StopIteration as stop:
            self.done, self.value = True, stop.value
        except BaseException as error:
            self.done, self.error = True, error
        return self

    @property
    def connection(self) -> FakeConnection:
        assert self.done, "still waiting"
        if self.error is not None:
            raise self.error
        connection: FakeConnection = self.value[0]
        return connection

    @property
    def reused(self) -> bool:
        assert self.done, "still waiting"
        assert self.error is None
        reused: bool = self.value[1]
        return reused


class HandPool:
    """A pool on a `HandBackend`, with short names for what tests do all the time."""

    def __init__(self, opener: Any = None, **limits: Any) -> None:
        self.backend = HandBackend()
        self.fleet = Fleet()
        self.pool: Pool[Any, Any] = Pool(self.backend, PoolLimits(**limits), opener or self.fleet.open)  # type: ignore[arg-type]

    def call(self, key: Any = "a", deadline: float = math.inf, fresh: bool = False) -> Call:
        return Call(self.pool.acquire(key, deadline, fresh))

    def take(self, key: Any = "a", fresh: bool = False) -> FakeConnection:
        return self.call(key, fresh=fresh).connection

    def give(self, *connections: FakeConnection, reusable: bool = True) -> None:
        for connection in connections:
            self.pool.release(connection, reusable)

    def figures(self, *names: str) -> tuple[int, ...]:
        statistics = self.pool.statistics()
        return tuple(getattr(statistics, name) for name in names)


class SharingPool(HandPool):
    """Opens shared connections of `shares` users, or exclusive ones for `shares` None; `slow` ones wait at a gate."""

    def __init__(self, shares: int | None = 2, slow: bool = False, **limits: Any) -> None:
        super().__init__(self.open, **limits)
        self.shares = shares
        self.slow = slow

    async def open(self, key: Any, deadline: float) -> FakeConnection:
        if self.slow:
            await Gate()
        if self.shares is None or not getattr(key, "may_share", False):
            return self.fleet.make(key)
        return self.fleet.make_shared(key, self.shares)

    def join(self, key: Any = SHARED, fresh: bool = False) -> SharedConnection:
        connection = self.call(key, fresh=fresh).connection
        assert isinstance(connection, SharedConnection)
        return connection

    def limited(self, wait: float | None, opening: float | None, key: Any = SHARED) -> Call:
        return Call(self.pool.acquire(key, math.inf, wait_limit=wait, open_limit=opening))


def done(calls: list[Call]) -> list[bool]:
    return [call.done or call.step().done for call in calls]
