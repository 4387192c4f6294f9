"""The workers that serve the streams of one HTTP/2 connection, under the deterministic scheduler."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest

from drivetrain.engine.backends.base import FOREVER, TaskHandle, Waiter
from drivetrain.engine.backends.memory import MemoryBackend
from drivetrain.engine.connection.server_workers import StreamWorkers


class Request:
    """What the workers look at of a stream, and when it may be answered."""

    def __init__(self, backend: MemoryBackend) -> None:
        self.state = "open"
        self.may_end: Waiter = backend.create_waiter()
        self.begun = self.ended = self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Counting(MemoryBackend):
    """Counts the tasks that are started, and can run out of them."""

    started = 0
    exhausted = False

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> TaskHandle:
        if self.exhausted:
            coroutine.close()
            raise RuntimeError("can't start new thread")
        self.started += 1
        return super().spawn(coroutine, name)


class Pool:
    def __init__(self, limit: int) -> None:
        self.backend = Counting()
        self.idle = 0
        self.workers = StreamWorkers(self.backend, limit, self.serve, self.on_idle, "worker")

    async def serve(self, request: Any) -> None:
        if request.state == "closed":
            return
        request.begun = True
        await request.may_end.wait(FOREVER)
        request.ended = True

    async def on_idle(self) -> None:
        self.idle += 1

    def submit(self, count: int) -> list[Request]:
        requests: list[Any] = [Request(self.backend) for _ in range(count)]
        for request in requests:
            self.workers.submit(request)
        return requests

    async def pause(self, seconds: float = 0.001) -> None:
        await self.backend.sleep_until(self.backend.now() + seconds)


def test_all_at_once_up_to_the_limit() -> None:
    pool = Pool(3)

    async def main() -> None:
        requests = pool.submit(5)
        await pool.pause()
        assert [request.begun for request in requests] == [True, True, True, False, False]
        assert (pool.workers.active, pool.idle) == (5, 0)
        for request in reversed(requests):
            request.may_end.wake()
        await pool.pause()
        assert all(request.ended for request in requests)
        assert (pool.workers.active, pool.idle) == (0, 1)
        await pool.workers.close()

    pool.backend.run(main())


def test_a_worker_goes_on_to_the_next_stream_and_ends_when_none_comes() -> None:
    pool = Pool(10)

    async def main() -> None:
        for _ in range(4):
            (request,) = pool.submit(1)
            request.may_end.wake()
            await pool.pause()
            assert request.ended
        assert pool.backend.started == 1
        await pool.pause(5)
        pool.submit(1)[0].may_end.wake()
        await pool.pause()
        assert pool.backend.started == 2
        await pool.workers.close()

    pool.backend.run(main())


def test_what_was_taken_back_before_its_turn_is_forgotten() -> None:
    pool = Pool(2)

    async def main() -> None:
        served = pool.submit(2)
        await pool.pause()
        for _ in range(100):
            pool.submit(1)[0].state = "closed"
            assert pool.workers.active <= 2 + 2 * 2 + 1
        (last,) = pool.submit(1)
        for request in [*served, last]:
            request.may_end.wake()
        await pool.pause()
        assert last.ended
        assert (pool.workers.active, pool.idle) == (0, 1)
        await pool.workers.close()

    pool.backend.run(main())


def test_when_there_are_no_more_threads() -> None:
    pool = Pool(10)

    async def main() -> None:
        pool.backend.exhausted = True
        with pytest.raises(RuntimeError, match="new thread"):
            pool.submit(1)
        assert pool.workers.active == 0
        pool.backend.exhausted = False
        (first,) = pool.submit(1)
        await pool.pause()
        pool.backend.exhausted = True
        # Somebody will come to it.
        (second,) = pool.submit(1)
        for request in (first, second):
            request.may_end.wake()
        await pool.pause()
        assert second.ended
        await pool.workers.close()

    pool.backend.run(main())


def test_cancelling() -> None:
    pool = Pool(10)

    async def main() -> None:
        requests = pool.submit(3)
        await pool.pause()
        assert pool.workers.is_current is False
        pool.workers.cancel()
        await pool.workers.close()
        assert not any(request.ended for request in requests)
        assert pool.workers.active == 0

    pool.backend.run(main())


def test_a_poke_is_an_idle_call_of_its_own() -> None:
    pool = Pool(10)

    async def main() -> None:
        pool.workers.poke()
        await pool.workers.close()
        assert pool.idle == 1
        pool.backend.exhausted = True
        with pytest.raises(RuntimeError, match="new thread"):
            pool.workers.poke()
        await pool.workers.close()

    pool.backend.run(main())
