"""Where a response's connection goes: back to the pool, or closed; and what reading says afterwards."""

from __future__ import annotations

import gc

import pytest

from drivetrain.engine import PoolStatistics, errors
from drivetrain.engine.backends.base import FOREVER, ByteStream
from drivetrain.engine.policy.response_core import ResponseCore
from tests.policy.scripted import World, read_head


def answering(answer: bytes) -> World:
    async def serve(stream: ByteStream) -> None:
        while await read_head(stream):
            await stream.send_all(answer, FOREVER)

    return World(serve)


def figures(world: World) -> PoolStatistics:
    return world.agent.pool.statistics()


HELD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde"


def test_read_to_the_end() -> None:
    world = answering(WHOLE)

    async def test() -> None:
        core = await world.send()
        assert not core.is_complete
        assert await core.read_raw() == b"abcde"
        assert await core.read_raw() is None
        assert core.is_complete
        assert (figures(world).idle, figures(world).in_use) == (1, 0)
        core.close()
        core.abandon()
        core.forsake()
        assert figures(world).idle == 1
        assert await core.read_raw() is None
        assert core.timings.complete is not None

    world.run(test)


@pytest.mark.parametrize(("answer", "kept"), [(HELD, False), (WHOLE, True)])
def test_closed_before_the_end(answer: bytes, kept: bool) -> None:
    world = answering(answer)

    async def test() -> None:
        core = await world.send()
        core.close()
        core.close()
        assert not core.is_complete
        assert (figures(world).idle, figures(world).in_use) == (int(kept), 0)
        for read in (core.read_raw, core.read_decoded):
            with pytest.raises(errors.ClosedError):
                await read()

    world.run(test)


def test_abandoned() -> None:
    world = answering(WHOLE)

    async def test() -> None:
        core = await world.send()
        core.abandon()
        assert figures(world).open == 0
        with pytest.raises(errors.ClosedError):
            await core.read_raw()

    world.run(test)


def test_garbage_gives_its_connection_back() -> None:
    world = answering(HELD)

    async def test() -> None:
        core: ResponseCore | None = await world.send()
        assert figures(world).in_use == 1
        core = None  # noqa: F841
        gc.collect()
        world.agent.pool.close_idle()
        assert figures(world).in_use == 0

    world.run(test)


def test_says_close() -> None:
    world = answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx")

    async def test() -> None:
        core = await world.send()
        assert await core.read_raw() == b"x"
        assert await core.read_raw() is None
        assert figures(world).open == 0

    world.run(test)


def test_bytes_after_the_answer_spoil_the_connection() -> None:
    world = answering(WHOLE + b"HTTP/1.1 200 Smuggled\r\n\r\n")

    async def test() -> None:
        core = await world.send()
        assert await core.read_raw() == b"abcde"
        assert await core.read_raw() is None
        assert figures(world).open == 0

    world.run(test)


def test_lent_to_its_stream() -> None:
    world = answering(WHOLE)

    async def test() -> None:
        core = await world.send()
        core.release_at_end()
        assert await core.stream.get_body_as_string() == b"abcde"
        assert (figures(world).idle, figures(world).in_use) == (1, 0)
        core = await world.send()
        assert core.reused
        core.release_at_end()
        core.connection.close()
        world.agent.sweep()
        assert figures(world).open == 0

    world.run(test)


@pytest.mark.parametrize(
    ("value", "codings"),
    [
        ("gzip", ["gzip"]),
        ("X-GZIP", ["x-gzip"]),
        ("deflate ", ["deflate"]),
        ("br", ["br"]),
        ("gzip, br", ["gzip", "br"]),
        ("identity", []),
        ("identity, zstd,", ["zstd"]),
        ("gzip, compress", []),
    ],
)
def test_which_codings_are_removed(value: str, codings: list[str]) -> None:
    world = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Encoding: %s\r\n\r\n" % value.encode())

    async def test() -> None:
        core = await world.send()
        assert core.content_codings() == codings
        core.close()

    world.run(test)
