"""Time limits, on a virtual clock: which limit cuts what, and when exactly."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from drivetrain.engine import PoolLimits, Timeouts, errors, parse_uri
from drivetrain.engine.backends.base import FOREVER, ByteStream
from drivetrain.engine.policy.options import timeouts_of
from drivetrain.engine.policy.redirects import RedirectPolicy
from drivetrain.engine.policy.response_core import ResponseCore
from drivetrain.engine.policy.timeouts import NO_TIMEOUTS
from tests.policy.scripted import ADDRESS, URL, World, read_head

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class TestValues:
    @pytest.mark.parametrize("value", [-1, math.nan, "1", True])
    def test_what_is_no_limit_is_refused(self, value: float) -> None:
        for name in ("total", "connect", "read", "write", "pool"):
            with pytest.raises(ValueError, match=name):
                Timeouts(**{name: value})

    def test_with_total(self) -> None:
        assert Timeouts(1, 2, 3, 4, 5).with_total(None) == Timeouts(None, 2, 3, 4, 5)

    def test_arguments(self) -> None:
        base = Timeouts(read=3)
        assert timeouts_of(7, base) == Timeouts(total=7, read=3)
        assert timeouts_of(None, base) == NO_TIMEOUTS
        assert timeouts_of(Timeouts(pool=1), base) == Timeouts(pool=1)


async def read_all(core: ResponseCore) -> bytes:
    pieces: list[bytes] = []
    await core.read_all(pieces)
    return b"".join(pieces)


def expect_cut(world: World, error: type[Exception], after: float, timeouts: Timeouts, **request: object) -> None:
    """Expect a request, body included, to fail with `error` exactly `after` seconds."""

    async def test() -> None:
        start = world.backend.now()
        core = None
        with pytest.raises(error) as caught:
            core = await world.send(timeouts=timeouts, **request)  # type: ignore[arg-type]
            await read_all(core)
        if core is not None:
            core.close()
        assert type(caught.value) is error
        assert world.backend.now() - start == pytest.approx(after)
        assert world.agent.pool.statistics().open == 0

    world.run(test)


async def silent(stream: ByteStream) -> None:
    await read_head(stream)
    await stream.receive_some(1, FOREVER)


def dripping(world: Callable[[], World], head: bytes) -> Callable[[ByteStream], object]:
    async def serve(stream: ByteStream) -> None:
        await read_head(stream)
        backend = world().backend
        await stream.send_all(head, FOREVER)
        while True:
            await backend.sleep_until(backend.now() + 1)
            await stream.send_all(b"x", FOREVER)

    return serve


class TestTotal:
    def test_a_silent_server(self) -> None:
        expect_cut(World(silent), errors.ReadTimeout, 5, Timeouts(total=5))

    @pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"])
    def test_a_dripping_server_cannot_outlive_it(self, head: bytes) -> None:
        world = World(dripping(lambda: world, head))  # type: ignore[arg-type]
        expect_cut(world, errors.ReadTimeout, 10.5, Timeouts(total=10.5, read=3))

    def test_it_covers_reading_in_pieces(self) -> None:
        world = World(dripping(lambda: world, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"))  # type: ignore[arg-type]

        async def test() -> None:
            core = await world.send(timeouts=Timeouts(total=3.5))
            for _ in range(3):
                assert await core.read_raw() == b"x"
            for _ in range(2):
                with pytest.raises(errors.ReadTimeout):
                    await core.read_raw()
            assert world.backend.now() == 1003.5
            core.close()
            assert world.agent.pool.statistics().open == 0

        world.run(test)

    def test_it_covers_redirects(self) -> None:
        async def serve(stream: ByteStream) -> None:
            while await read_head(stream):
                await world.backend.sleep_until(world.backend.now() + 1)
                await stream.send_all(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", FOREVER)

        world = World(serve)
        expect_cut(world, errors.ReadTimeout, 2.5, Timeouts(total=2.5))

    def test_it_covers_a_redirects_body(self) -> None:
        head = b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 100\r\n\r\n"
        world = World(dripping(lambda: world, head))  # type: ignore[arg-type]
        expect_cut(world, errors.ReadTimeout, 2.5, Timeouts(total=2.5))

    def test_it_covers_the_wait_for_a_connection(self) -> None:
        world = World(silent, pool=PoolLimits(max_per_origin=1))

        async def test() -> None:
            connection, _ = await world.agent.pool.acquire(world.agent.origins.key_for(parse_uri(URL)), FOREVER)
            with pytest.raises(errors.PoolTimeout):
                await world.send(timeouts=Timeouts(total=4, pool=9))
            assert world.backend.now() == 1004
            world.agent.pool.release(connection, False)

        world.run(test)

    def test_it_covers_connecting(self) -> None:
        world = World(silent)
        world.backend.route(ADDRESS, FOREVER)
        expect_cut(world, errors.ConnectTimeout, 2, Timeouts(total=2, connect=60))

    def test_it_covers_sending(self) -> None:
        async def deaf(stream: ByteStream) -> None:
            await world.backend.sleep_until(FOREVER)

        world = World(deaf, capacity=1000)
        expect_cut(world, errors.WriteTimeout, 2, Timeouts(total=2, write=60), method="PUT", content=bytes(100_000))


class TestPhases:
    def test_connect(self) -> None:
        world = World(silent)
        world.backend.route(ADDRESS, FOREVER)
        expect_cut(world, errors.ConnectTimeout, 3, Timeouts(connect=3))

    def test_read(self) -> None:
        expect_cut(World(silent), errors.ReadTimeout, 3, Timeouts(read=3))

    def test_read_counts_from_the_last_byte(self) -> None:
        async def serve(stream: ByteStream) -> None:
            await read_head(stream)
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", FOREVER)
            for _ in range(3):
                await world.backend.sleep_until(world.backend.now() + 2)
                await stream.send_all(b"x", FOREVER)
            await world.backend.sleep_until(FOREVER)

        world = World(serve)
        expect_cut(world, errors.ReadTimeout, 9, Timeouts(read=3))

    @pytest.mark.parametrize("content", [bytes(60_000), bytes(100_000), [bytes(1000)] * 100])
    def test_write(self, content: object) -> None:
        async def deaf(stream: ByteStream) -> None:
            await world.backend.sleep_until(FOREVER)

        world = World(deaf, capacity=1000)
        expect_cut(world, errors.WriteTimeout, 3, Timeouts(write=3), method="PUT", content=content)

    def test_pool(self) -> None:
        world = World(silent, pool=PoolLimits(max_per_origin=1))

        async def test() -> None:
            connection, _ = await world.agent.pool.acquire(world.agent.origins.key_for(parse_uri(URL)), FOREVER)
            with pytest.raises(errors.PoolTimeout):
                await world.send(timeouts=Timeouts(pool=3))
            assert world.backend.now() == 1003
            world.agent.pool.release(connection, False)

        world.run(test)

    def test_those_of_one_request_do_not_stay_with_the_connection(self) -> None:
        async def serve(stream: ByteStream) -> None:
            delay = 0
            while await read_head(stream):
                await world.backend.sleep_until(world.backend.now() + delay)
                await stream.send_all(OK, FOREVER)
                delay = 5

        world = World(serve)

        async def test() -> None:
            assert await read_all(await world.send(timeouts=Timeouts(read=1))) == b"ok"
            assert await read_all(await world.send()) == b"ok"
            assert world.connections == 1

        world.run(test)

    def test_an_unanswered_expectation_ends_after_a_second(self) -> None:
        heard: list[bytes] = []

        async def serve(stream: ByteStream) -> None:
            await read_head(stream)
            started = world.backend.now()
            heard.append(await stream.receive_some(100, FOREVER))
            assert world.backend.now() - started == pytest.approx(1.0)
            await stream.send_all(OK, FOREVER)

        world = World(serve)

        async def test() -> None:
            outgoing = world.composer.compose("PUT", URL, content=b"body", headers={"expect": "100-continue"})
            core = await world.agent.send(outgoing, Timeouts(read=30), RedirectPolicy())
            assert await read_all(core) == b"ok"
            assert heard == [b"body"]

        world.run(test)
