"""The pool on the real backends, under many threads, many tasks and forks: limits hold and no room gets lost."""

from __future__ import annotations

import asyncio
import math
import os
import random
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from drivetrain.engine.backends.asyncio_ import AsyncioBackend
from drivetrain.engine.backends.base import ByteStream
from drivetrain.engine.backends.blocking import BlockingBackend, run
from drivetrain.engine.connection.pool import Pool
from drivetrain.engine.connection.pool_limits import PoolLimits
from drivetrain.engine.errors import ConnectError, ConnectTimeout, PoolTimeout
from tests.connection.pool_support import SHARED, FakeConnection, Fleet, SharedConnection

LIMIT = 5


def enter(connection: FakeConnection) -> None:
    connection.users += 1
    assert connection.users == 1, "one connection for two"
    assert not connection.closes


def leave(connection: FakeConnection) -> None:
    connection.users -= 1


def finish(pool: Pool[Any, Any], fleet: Fleet) -> None:
    figures = pool.statistics()
    assert (figures.in_use, figures.opening, figures.waiting) == (0, 0, 0)
    assert figures.open == figures.idle <= LIMIT
    assert fleet.most_total <= LIMIT
    pool.close()
    assert not fleet.open_connections
    assert all(connection.closes == 1 for connection in fleet.made)
    assert not pool._ledger._origins


@pytest.fixture(autouse=True)
def _switch_threads_often() -> Iterator[None]:
    """Let threads interrupt each other every few bytecodes, not every 5 ms, where there is a global lock."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def in_threads(count: int, work: Any, begin: Any = None) -> None:
    errors: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(random.Random(number))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    if begin is not None:
        begin()
    for thread in threads:
        thread.join(30.0)
    assert not any(thread.is_alive() for thread in threads), "somebody was never served"
    assert errors == []


class TestThreads:
    @pytest.mark.parametrize("keys", ["a", "abcdefgh"], ids=["one origin", "more origins than connections"])
    def test_everybody_is_served_within_the_limit(self, keys: str) -> None:
        fleet = Fleet()
        pool: Pool[str, FakeConnection] = Pool(BlockingBackend(), PoolLimits(max_connections=LIMIT), fleet.open)

        def work(chance: random.Random) -> None:
            for _ in range(200):
                connection, _ = run(pool.acquire(chance.choice(keys), math.inf, chance.random() < 0.02))
                enter(connection)
                if chance.random() < 0.3:
                    os.sched_yield()
                leave(connection)
                connection.usable = chance.random() > 0.05
                pool.release(connection, chance.random() > 0.05)

        held = [run(pool.acquire(keys[0], math.inf))[0] for _ in range(LIMIT)]

        def begin() -> None:  # once all stand in line, so that there is something to hand over
            while pool.statistics().waiting < 50:
                os.sched_yield()
            for connection in held:
                pool.release(connection, True)

        in_threads(50, work, begin)
        figures = pool.statistics()
        assert figures.created + figures.reused == 50 * 200 + LIMIT
        assert figures.waits >= 50
        finish(pool, fleet)

    def test_timeouts_and_failures_lose_nothing(self) -> None:
        fleet = Fleet()

        async def unsteady(key: str, deadline: float) -> FakeConnection:
            if fleet.made and len(fleet.made) % 3 == 0 and random.random() < 0.5:
                raise ConnectError("refused")
            return fleet.make(key)

        limits = PoolLimits(max_connections=LIMIT, max_per_origin=3, keepalive_expiry=0.001)
        pool: Pool[str, FakeConnection] = Pool(BlockingBackend(), limits, unsteady)
        served = []

        def work(chance: random.Random) -> None:
            for _ in range(100):
                patience = chance.choice([0.0, 0.0001, 0.001, 10.0])
                try:
                    connection, _ = run(pool.acquire(chance.choice("abc"), time.monotonic() + patience))
                except (PoolTimeout, ConnectError):
                    continue
                enter(connection)
                os.sched_yield()
                leave(connection)
                served.append(1)
                pool.release(connection, chance.random() > 0.2)

        in_threads(20, work)
        assert len(served) > 100
        finish(pool, fleet)

    def test_close_in_the_middle(self) -> None:
        fleet = Fleet()
        pool: Pool[str, FakeConnection] = Pool(BlockingBackend(), PoolLimits(max_connections=LIMIT), fleet.open)
        turns = iter(range(500))

        def work(chance: random.Random) -> None:
            while True:
                try:
                    connection, _ = run(pool.acquire(chance.choice("abcdefg"), math.inf))
                except ValueError:  # ClosedError
                    return
                if next(turns, None) == 300:
                    pool.close()
                pool.release(connection, True)

        in_threads(20, work)
        assert pool.is_closed
        finish(pool, fleet)


class TestTasks:
    @pytest.mark.parametrize("seed", range(5))
    def test_cancellations_at_random_lose_nothing(self, seed: int) -> None:
        chance = random.Random(seed)
        fleet = Fleet()

        async def slowly(key: str, deadline: float) -> FakeConnection:
            await asyncio.sleep(0)
            if chance.random() < 0.1:
                raise ConnectError("refused")
            return fleet.make(key)

        served: list[str] = []

        async def work(pool: Pool[str, FakeConnection], key: str) -> None:
            for _ in range(5):
                try:
                    connection, _ = await pool.acquire(key, math.inf, chance.random() < 0.1)
                except ConnectError:
                    continue
                reusable = False
                try:
                    enter(connection)
                    for _ in range(chance.randrange(3)):
                        await asyncio.sleep(0)
                    reusable = chance.random() > 0.2
                finally:
                    leave(connection)
                    pool.release(connection, reusable)
                served.append(key)

        async def main() -> None:
            pool: Pool[str, FakeConnection] = Pool(
                AsyncioBackend(),
                PoolLimits(max_connections=LIMIT, max_per_origin=3),
                slowly,
            )
            tasks = [asyncio.create_task(work(pool, chance.choice("abcd"))) for _ in range(200)]
            while not all(task.done() for task in tasks):
                await asyncio.sleep(0)
                if chance.random() < 0.3:
                    chance.choice(tasks).cancel()
            errors = [task.exception() for task in tasks if not task.cancelled()]
            assert [error for error in errors if error is not None] == []
            assert any(task.cancelled() for task in tasks)
            finish(pool, fleet)

        asyncio.run(asyncio.wait_for(main(), 20))
        assert len(served) > 50

    def test_a_deadline_passes_while_others_wait_on(self) -> None:
        async def main() -> None:
            backend = AsyncioBackend()
            fleet = Fleet()
            pool: Pool[str, FakeConnection] = Pool(backend, PoolLimits(max_per_origin=1), fleet.open)
            held, _ = await pool.acquire("a", math.inf)
            patient = asyncio.create_task(pool.acquire("a", math.inf))
            with pytest.raises(PoolTimeout):
                await pool.acquire("a", backend.now() + 0.01)
            assert not patient.done()
            pool.release(held, True)
            assert await patient == (held, True)
            pool.release(held, True)
            finish(pool, fleet)

        asyncio.run(main())


class Crowd:
    """Counts who is on each shared connection."""

    def __init__(self, shares: int) -> None:
        self.fleet = Fleet()
        self.shares = shares
        self.lock = threading.Lock()
        self.most = 0

    async def open(self, key: str, deadline: float) -> FakeConnection:
        return self.fleet.make_shared(key, self.shares)

    def enter(self, connection: FakeConnection) -> None:
        assert isinstance(connection, SharedConnection)
        with self.lock:
            connection.users += 1
            self.most = max(self.most, connection.users)
        assert connection.broken or not connection.closes

    def leave(self, connection: FakeConnection) -> None:
        with self.lock:
            connection.users -= 1


class TestSharing:
    def test_a_hundred_threads_share_one_connection(self) -> None:
        crowd = Crowd(7)
        pool: Pool[str, FakeConnection] = Pool(BlockingBackend(), PoolLimits(), crowd.open)

        def work(chance: random.Random) -> None:
            for _ in range(50):
                connection, _ = run(pool.acquire(SHARED, math.inf, chance.random() < 0.1))
                crowd.enter(connection)
                os.sched_yield()
                crowd.leave(connection)
                pool.release(connection, True)

        in_threads(100, work)
        assert 1 < crowd.most <= 7
        figures = pool.statistics()
        assert figures.created + figures.reused == 100 * 50
        assert figures.users == 0
        # One at a time; a new one only for a `fresh` caller who found it idle.
        assert crowd.fleet.most_total == 1
        finish(pool, crowd.fleet)

    def test_while_its_capacity_changes_and_connections_come_and_go(self) -> None:
        crowd = Crowd(5)
        limits = PoolLimits(max_connections=LIMIT, max_shared_per_origin=2, keepalive_expiry=0.001)
        pool: Pool[str, FakeConnection] = Pool(BlockingBackend(), limits, crowd.open)
        served, late = [], []

        def change(connection: FakeConnection, chance: random.Random) -> None:
            assert isinstance(connection, SharedConnection)
            connection.shares = chance.randrange(9)
            pool.capacity_changed(connection)
            if chance.random() < 0.1:
                if chance.random() < 0.5:  # for good: another may have broken it before
                    connection.broken = True
                pool.retire(connection)

        def work(chance: random.Random) -> None:
            for _ in range(30):
                try:
                    patience = chance.choice([0.0, 0.001, 20.0, 20.0])
                    connection, _ = run(pool.acquire(SHARED, time.monotonic() + patience, chance.random() < 0.1))
                except PoolTimeout:
                    late.append(1)
                    continue
                except ConnectTimeout:
                    continue
                crowd.enter(connection)
                if chance.random() < 0.2:
                    change(connection, chance)
                if chance.random() < 0.02:
                    connection.usable = False
                crowd.leave(connection)
                served.append(1)
                pool.release(connection, chance.random() > 0.05)

        in_threads(100, work)
        assert len(served) > 1000
        assert crowd.most <= 9
        assert pool.statistics().users == 0
        figures = pool.statistics()
        assert (figures.in_use, figures.opening, figures.waiting) == (0, 0, 0)
        assert crowd.fleet.most_total <= LIMIT
        pool.close()
        assert not crowd.fleet.open_connections
        assert not pool._ledger._origins

    @pytest.mark.parametrize("seed", range(5))
    def test_cancelled_tasks_lose_no_use(self, seed: int) -> None:
        chance = random.Random(seed)
        fleet = Fleet()
        served: list[int] = []

        async def slowly(key: str, deadline: float) -> FakeConnection:
            await asyncio.sleep(0)
            if chance.random() < 0.2:
                raise ConnectError("refused")
            return fleet.make_shared(key, chance.randrange(1, 4)) if chance.random() < 0.8 else fleet.make(key)

        async def work(pool: Pool[str, FakeConnection]) -> None:
            for number in range(5):
                try:
                    connection, _ = await pool.acquire(SHARED, math.inf, chance.random() < 0.1)
                except ConnectError:
                    continue
                reusable = False
                try:
                    for _ in range(chance.randrange(3)):
                        await asyncio.sleep(0)
                    if isinstance(connection, SharedConnection) and chance.random() < 0.2:
                        connection.shares = chance.randrange(4)
                        pool.capacity_changed(connection)
                    reusable = chance.random() > 0.1
                finally:
                    pool.release(connection, reusable)
                served.append(number)

        async def main() -> None:
            limits = PoolLimits(max_connections=LIMIT, max_shared_per_origin=2)
            pool: Pool[str, FakeConnection] = Pool(AsyncioBackend(), limits, slowly)
            tasks = [asyncio.create_task(work(pool)) for _ in range(200)]
            while not all(task.done() for task in tasks):
                await asyncio.sleep(0)
                if chance.random() < 0.3:
                    chance.choice(tasks).cancel()
            errors = [task.exception() for task in tasks if not task.cancelled()]
            assert [error for error in errors if error is not None] == []
            assert any(task.cancelled() for task in tasks)
            assert pool.statistics().users == 0
            finish(pool, fleet)

        asyncio.run(asyncio.wait_for(main(), 20))
        assert len(served) > 50


class SocketConnection:
    """The least that keeps a real stream in a pool."""

    def __init__(self, stream: ByteStream, peer: socket.socket) -> None:
        self.stream = stream
        self.peer = peer

    def is_usable(self) -> bool:
        return not self.stream.is_closed and not self.stream.is_readable()

    def close(self) -> None:
        self.stream.close()

    async def echo(self, data: bytes) -> bytes:
        await self.stream.send_all(data, math.inf)
        self.peer.sendall(self.peer.recv(100))
        return await self.stream.receive_some(100, math.inf)


def in_child(check: Any) -> int:
    """Fork, run `check` in the child and return its exit status: 0 if it raised nothing."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            check()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
class TestFork:
    def test_parent_and_child_do_not_share_connections(self) -> None:
        backend = BlockingBackend()

        async def connect(key: str, deadline: float) -> SocketConnection:
            ours, theirs = socket.socketpair()
            return SocketConnection(await backend.adopt_socket(ours), theirs)

        pool: Pool[str, SocketConnection] = Pool(backend, PoolLimits(max_connections=1), connect)
        idle, _ = run(pool.acquire("a", math.inf))
        pool.release(idle, True)

        def check() -> None:
            assert pool.statistics().open == 0
            assert idle.stream.is_closed
            connection, reused = run(pool.acquire("a", math.inf))
            assert not reused
            assert run(connection.echo(b"child")) == b"child"
            pool.release(connection, True)
            assert run(pool.acquire("a", math.inf)) == (connection, True)

        assert in_child(check) == 0
        assert run(pool.acquire("a", math.inf)) == (idle, True)
        assert run(idle.echo(b"parent")) == b"parent"
        pool.release(idle, True)
        pool.close()
        idle.peer.close()

    def test_a_guard_held_by_another_thread_does_not_lock_up_the_child(self) -> None:
        pool: Pool[str, FakeConnection] = Pool(BlockingBackend(), PoolLimits(), Fleet().open)

        def check() -> None:
            connection, _ = run(pool.acquire("a", math.inf))
            pool.release(connection, True)
            assert pool.statistics().idle == 1

        with pool._guard:
            assert in_child(check) == 0

    def test_the_child_leaves_what_is_registered_with_the_loop_of_the_parent(self) -> None:
        async def main() -> None:
            fleet = Fleet()
            pool: Pool[str, FakeConnection] = Pool(AsyncioBackend(), PoolLimits(), fleet.open)
            idle, _ = await pool.acquire("a", math.inf)
            pool.release(idle, True)

            def check() -> None:
                assert pool.statistics().open == 0
                assert idle.closes == 0

            assert in_child(check) == 0
            pool.close()
            assert idle.closes == 1

        asyncio.run(main())
