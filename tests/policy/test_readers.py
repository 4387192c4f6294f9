"""Reading in units over a network in memory, whose pieces are cut in every place."""

from __future__ import annotations

import gzip

import pytest

from drivetrain.engine import errors
from drivetrain.engine.backends.base import FOREVER, ByteStream
from drivetrain.engine.policy.readers import BodyReader, ByteReader, RawReader
from tests.policy.scripted import World, read_head


def serving(*pieces: bytes, coding: str = "") -> World:
    """A server that sends each piece as a chunk of its own, one second after the other."""

    async def serve(stream: ByteStream) -> None:
        await read_head(stream)
        field = f"Content-Encoding: {coding}\r\n".encode() if coding else b""
        await stream.send_all(b"HTTP/1.1 200 OK\r\n%sTransfer-Encoding: chunked\r\n\r\n" % field, FOREVER)
        for piece in pieces:
            await world.backend.sleep_until(world.backend.now() + 1)
            await stream.send_all(b"%x\r\n%s\r\n" % (len(piece), piece), FOREVER)
        await stream.send_all(b"0\r\n\r\n", FOREVER)
        await stream.receive_some(1, FOREVER)

    world = World(serve)
    return world


def test_byte_reader() -> None:
    world = serving(b"abc", b"defg", b"h")

    async def test() -> None:
        core = await world.send()
        reader = ByteReader(core)
        assert await reader.take_some(2) == b"ab"
        assert await reader.take_some(10) == b"c"
        assert reader.take_buffered() == b""
        assert await reader.take(3) == b"def"
        assert reader.take_buffered(0) == b""
        assert await reader.next() == b"g"
        reader.put_back(b"xy")
        assert await reader.take(2) == b"xy"
        assert await reader.take_rest() == b"h"
        assert await reader.take(1) is None
        assert await reader.next() is None
        assert await reader.take_some(1) == b""

    world.run(test)


def test_sized_byte_reader() -> None:
    world = serving(b"abc", b"defg", b"h")

    async def test() -> None:
        reader = ByteReader(await world.send(), 3)
        assert [await reader.next() for _ in range(4)] == [b"abc", b"def", b"gh", None]

    world.run(test)
    with pytest.raises(ValueError):
        ByteReader(None, 0)  # type: ignore[arg-type]


def test_raw_reader_leaves_codings_on() -> None:
    data = gzip.compress(b"plain")
    world = serving(data[:9], data[9:], coding="gzip")

    async def test() -> None:
        reader = RawReader(await world.send())
        assert [await reader.next() for _ in range(3)] == [data[:9], data[9:], None]

    world.run(test)


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_a_time_limit_loses_nothing(coding: str) -> None:
    plain = b"one\ntwo\nthree\n"
    data = gzip.compress(plain) if coding else plain
    world = serving(*(data[at : at + 3] for at in range(0, len(data), 3)), coding=coding)

    async def test() -> None:
        core = await world.send()
        body = BodyReader(core)
        late = 0
        while body.content is None:
            # Each second a piece comes, and each half second patience ends.
            core.connection.read_timeout = 0.5
            try:
                await body.read(None)
            except errors.ReadTimeout:
                late += 1
        assert body.content == plain
        assert late >= len(data) // 3

    world.run(test)


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_lines_after_a_time_limit(coding: str) -> None:
    plain = "ein\nzwö\r\ndrei".encode()
    data = gzip.compress(plain) if coding else plain
    world = serving(*(data[at : at + 1] for at in range(len(data))), coding=coding)

    async def test() -> None:
        core = await world.send()
        core.connection.read_timeout = 0.7
        reader = BodyReader(core).lines("utf-8")
        lines: list[str] = []
        ended = False
        while not ended:
            try:
                line = await reader.next()
                ended = line is None
                lines += [] if line is None else [line]
            except errors.ReadTimeout:
                pass
        assert lines == ["ein", "zwö", "drei"]

    world.run(test)


def test_mixture() -> None:
    world = serving(b"abcdef", b"line\nrest")

    async def test() -> None:
        body = BodyReader(await world.send())
        assert await body.read(1) == b"a"
        assert await body.pieces(2).next() == b"bc"
        assert await body.pieces(None).next() == b"def"
        assert await body.lines("ascii").next() == "line"
        assert body.lines("ascii") is body.lines("ascii")
        assert body.content is None

    world.run(test)
