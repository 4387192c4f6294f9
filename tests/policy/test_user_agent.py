"""The request loop in memory: cancellation at every wait, many tasks, connections that are never left behind."""

from __future__ import annotations

import pytest

from drivetrain.engine import PoolLimits, errors
from drivetrain.engine.backends.base import FOREVER, ByteStream
from drivetrain.engine.backends.memory import Cancelled
from tests.policy.scripted import World, read_head

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def slow_pages(world: World, stream: ByteStream) -> None:
    """`/` sends to `/page`, and everything takes its time."""
    backend = world.backend

    async def say(*pieces: bytes) -> None:
        for piece in pieces:
            await backend.sleep_until(backend.now() + 0.3)
            await stream.send_all(piece, FOREVER)

    while head := await read_head(stream):
        if head.startswith(b"PUT / "):
            while not head.endswith(b"0\r\n\r\n"):
                await backend.sleep_until(backend.now() + 0.1)
                head += await stream.receive_some(300, FOREVER)
            await say(b"HTTP/1.1 307 See Other\r\nLocation: /page\r\n", b"Content-Length: 4\r\n\r\n", b"th", b"is")
        else:
            await say(b"HTTP/1.1 200 OK\r\nTransfer-", b"Encoding: chunked\r\n\r\n2\r\no", b"k\r\n", b"0\r\n\r\n")


class TestCancellation:
    def test_at_every_moment(self) -> None:
        """Cut one request after 0, 0.05, 0.1, … seconds of a virtual clock, until it is done before."""
        turns = 0
        while not _cut_after(0.05 * turns):
            turns += 1
            assert turns < 200
        assert turns > 20

    def test_while_waiting_for_a_connection(self) -> None:
        async def serve(stream: ByteStream) -> None:
            while await read_head(stream):
                await stream.send_all(OK, FOREVER)

        world = World(serve, pool=PoolLimits(max_per_origin=1))

        async def test() -> None:
            first = await world.send()
            waiting = world.backend.spawn(_swallow(world), "waiting")
            await world.backend.sleep_until(world.backend.now() + 1)
            assert world.agent.pool.statistics().waiting == 1
            waiting.cancel()
            await waiting.join(FOREVER)
            assert world.agent.pool.statistics().waiting == 0
            assert await first.read_raw() == b"ok"
            assert await first.read_raw() is None
            second = await world.send()
            assert second.reused
            second.close()

        world.run(test)


def _cut_after(seconds: float) -> bool:
    """Cancel a request with a redirect in it; True when it was done by then."""
    world = World(lambda stream: slow_pages(world, stream), capacity=500)
    world.backend.route(("192.0.2.1", 80), 0.2)
    done: list[bytes] = []

    async def work() -> None:
        core = await world.send(method="PUT", content=[bytes(400)] * 4)
        try:
            while (piece := await core.read_raw()) is not None:
                done.append(piece)
        finally:
            core.close()

    async def test() -> None:
        task = world.backend.spawn(work(), "request")
        await world.backend.sleep_until(world.backend.now() + seconds)
        task.cancel()
        assert await task.join(world.backend.now() + 1)
        figures = world.agent.pool.statistics()
        assert (figures.in_use, figures.opening, figures.waiting) == (0, 0, 0)
        if b"".join(done) == b"ok":
            # Nothing was left on the connection for the next one to trip over.
            core = await world.send("http://192.0.2.1/page")
            assert await core.read_raw() == b"o"
            core.close()

    world.run(test)
    return b"".join(done) == b"ok"


async def _swallow(world: World) -> None:
    with pytest.raises(Cancelled):
        await world.send()


class TestManyTasks:
    def test_under_a_limit(self) -> None:
        async def serve(stream: ByteStream) -> None:
            while head := await read_head(stream):
                await world.backend.sleep_until(world.backend.now() + 1)
                path = head.split()[1]
                await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(path), path), FOREVER)

        world = World(serve, pool=PoolLimits(max_per_origin=5))
        bodies: list[bytes | None] = []

        async def ask(number: int) -> None:
            core = await world.send(f"http://192.0.2.1/{number}")
            assert await core.read_raw() == b"/%d" % number
            assert await core.read_raw() is None
            bodies.append(b"")

        async def test() -> None:
            tasks = [world.backend.spawn(ask(number), f"client {number}") for number in range(100)]
            for task in tasks:
                await task.join(FOREVER)
            assert len(bodies) == 100
            assert world.backend.now() == 1020
            assert world.connections == 5

        world.run(test)


class TestRetries:
    def test_statistics_show_a_retry(self) -> None:
        async def serve(stream: ByteStream) -> None:
            await read_head(stream)
            await stream.send_all(OK, FOREVER)
            await read_head(stream)

        world = World(serve)

        async def test() -> None:
            for _ in range(2):
                core = await world.send()
                assert await core.read_raw() == b"ok"
                assert await core.read_raw() is None
            figures = world.agent.pool.statistics()
            assert (figures.created, figures.reused, figures.closed) == (2, 1, 1)

        world.run(test)

    def test_only_once(self) -> None:
        count = iter(range(10))

        async def serve(stream: ByteStream) -> None:
            await read_head(stream)
            if next(count) == 0:
                await stream.send_all(OK, FOREVER)
                await read_head(stream)

        world = World(serve)

        async def test() -> None:
            core = await world.send()
            assert await core.read_raw() == b"ok"
            assert await core.read_raw() is None
            with pytest.raises(errors.ConnectionClosed):
                await world.send()
            assert world.connections == 2

        world.run(test)
