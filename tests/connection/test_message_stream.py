"""The helpers every stream has, on an HTTP/1 connection in memory."""

from __future__ import annotations

import errno
import io
import re
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.connection.h1_client_stream import H1ClientStream
from drivetrain.engine.errors import IncompleteMessage, LocalProtocolError, ReadTimeout, UsageError, WriteTimeout
from tests.connection.h1_support import Solo, asked, client_alone, request


def with_body(
    body: bytes, test: Callable[[Solo, H1ClientStream], Coroutine[Any, Any, None]], *, piece: int | None = None
) -> None:
    """Run `test` with a stream whose response has `body`, which comes in pieces of `piece` bytes."""
    solo = client_alone(piece=piece)

    async def main() -> None:
        stream = await asked(solo)
        await solo.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await stream.get_headers()
        await test(solo, stream)

    solo.run(main())


@pytest.fixture(params=[None, 1, 3], ids=["whole", "bytewise", "by three"])
def piece(request: pytest.FixtureRequest) -> int | None:
    return request.param  # type: ignore[no-any-return]


class TestChars:
    def test_exactly_as_many_as_asked_for(self, piece: int | None) -> None:
        async def test(solo: Solo, stream: H1ClientStream) -> None:
            assert await stream.get_body_chars(4) == b"abcd"
            assert await stream.get_body_chars(0) == b""
            assert await stream.get_body_chars(1) == b"e"
            assert await stream.get_body_chars(100) == b"fgh"
            assert await stream.get_body_chars(1) is None

        with_body(b"abcdefgh", test, piece=piece)

    def test_a_timeout_loses_nothing(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            await solo.say(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nabc")
            for more in (b"d", b"efg"):
                with pytest.raises(ReadTimeout):
                    await stream.get_body_chars(8, 1)
                await solo.say(more)
            with pytest.raises(ReadTimeout):
                await stream.get_body_as_string(1)
            await solo.say(b"h")
            assert await stream.get_body_chars(8, 1) == b"abcdefgh"

        solo.run(main())


class TestUntil:
    @pytest.mark.parametrize("plain", [True, False])
    @pytest.mark.parametrize("pattern", ["--", b"--"])
    def test_up_to_a_match(self, piece: int | None, plain: bool, pattern: str | bytes) -> None:
        async def test(solo: Solo, stream: H1ClientStream) -> None:
            assert await stream.get_body_until(pattern, plain) == b"one"
            assert await stream.get_body_until(pattern, plain, include_pattern=True) == b"two--"
            assert await stream.get_body_until(pattern, plain) == b""
            assert await stream.get_body_until(pattern, plain) == b"rest-"
            assert await stream.get_body_until(pattern, plain) is None

        with_body(b"one--two----rest-", test, piece=piece)

    def test_by_expression(self, piece: int | None) -> None:
        async def test(solo: Solo, stream: H1ClientStream) -> None:
            assert await stream.get_body_until(re.compile(rb"[;,]")) == b"a.b"
            assert await stream.get_body_until(".", True) == b"c"
            assert await stream.get_body_until(r"\d\d", include_pattern=True) == b"d12"
            assert await stream.get_body_as_string() == b"e"

        with_body(b"a.b;c.d12e", test, piece=piece)

    def test_a_literal_is_found_across_many_pieces_in_linear_time(self) -> None:
        async def test(solo: Solo, stream: H1ClientStream) -> None:
            assert await stream.get_body_until(b"aaab", True) == b"a" * 199_997

        with_body(b"a" * 200_000 + b"b", test, piece=100)

    def test_a_timeout_loses_nothing(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            await solo.say(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nab\r")
            with pytest.raises(ReadTimeout):
                await stream.get_body_until("\r\n", timeout=1)
            await solo.say(b"\nc")
            assert await stream.get_body_until("\r\n", timeout=1) == b"ab"
            with pytest.raises(ReadTimeout):
                await stream.get_body_until("\r\n", timeout=1)
            await solo.say(b"d")
            assert await stream.get_body_until("\r\n", timeout=1) == b"cd"

        solo.run(main())


class TestWhole:
    def test_unget_puts_in_front(self) -> None:
        async def test(solo: Solo, stream: H1ClientStream) -> None:
            assert stream.unget(b"two ")
            assert stream.unget(b"")
            assert stream.unget(b"one ")
            assert await stream.get_next_chunk() == b"one "
            assert await stream.get_body_as_string() == b"two three"
            assert await stream.get_body_as_string() == b""
            # Even behind the end.
            assert stream.unget(b"again")
            assert await stream.get_next_chunk() == b"again"
            assert await stream.get_next_chunk() is None

        with_body(b"three", test)

    def test_each_chunk(self) -> None:
        async def test(solo: Solo, stream: H1ClientStream) -> None:
            chunks = [chunk async for chunk in stream.each_chunk()]
            assert max(map(len, chunks)) == 3
            assert b"".join(chunks) == b"abcdefg"

        with_body(b"abcdefg", test, piece=3)

    def test_to_a_file(self, piece: int | None) -> None:
        async def test(solo: Solo, stream: H1ClientStream) -> None:
            file = io.BytesIO()
            assert await stream.save_body_to_file(file) == 5
            assert file.getvalue() == b"hello"
            assert await stream.save_body_to_file(file) == 0

        with_body(b"hello", test, piece=piece)

    def test_a_file_that_cannot_be_written(self) -> None:
        class Full(io.BytesIO):
            def write(self, data: Any) -> int:
                raise OSError(errno.ENOSPC, "full")

        async def test(solo: Solo, stream: H1ClientStream) -> None:
            with pytest.raises(OSError, match="full"):
                await stream.save_body_to_file(Full())
            assert await stream.get_body_as_string() == b"hello"

        with_body(b"hello", test)

    def test_as_a_file(self) -> None:
        async def test(solo: Solo, stream: H1ClientStream) -> None:
            with await stream.get_body_as_file() as file:
                assert file.read() == b"hello"

        with_body(b"hello", test)

    def test_as_a_file_after_a_timeout(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            await solo.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhel")
            for more in (b"lo ", b"you!"):
                with pytest.raises(ReadTimeout):
                    await stream.get_body_as_file(1)
                await solo.say(more)
            with await stream.get_body_as_file(1) as file:
                assert file.read() == b"hello you!"

        solo.run(main())

    def test_as_a_file_that_is_given_up(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            await solo.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhel")
            with pytest.raises(ReadTimeout):
                await stream.get_body_as_file(1)
            await stream.shutdown()  # an unclosed file would be a ResourceWarning
            assert stream.state == "closed"

        solo.run(main())

    def test_as_a_file_that_ends_early(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            await solo.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhel")
            await solo.peer.send_eof(FOREVER)
            with pytest.raises(IncompleteMessage):
                await stream.get_body_as_file()

        solo.run(main())


class TestWriting:
    @pytest.mark.parametrize("body", ["grüße", "grüße".encode()])
    def test_from_a_string(self, body: str | bytes) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = solo.connection.new_stream()
            await stream.write_headers(request("PUT", "/", ("content-length", "7")), False)
            await stream.write_body_from_string(body)
            assert (await solo.heard()).endswith("\r\n\r\ngrüße".encode())
            assert stream.state == "half closed (local)"

        solo.run(main())

    @pytest.mark.parametrize(("count", "sent"), [(None, b"cdefg"), (3, b"cde"), (5, b"cdefg"), (0, b"")])
    def test_from_a_file_at_its_position(self, count: int | None, sent: bytes) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = solo.connection.new_stream()
            await stream.write_headers(request("PUT"), False)
            file = io.BytesIO(b"abcdefg")
            file.seek(2)
            await stream.write_body_from_file(file, count)
            chunk = b"%d\r\n%b\r\n" % (len(sent), sent) if sent else b""
            assert (await solo.heard()).endswith(b"\r\n\r\n" + chunk + b"0\r\n\r\n")
            assert stream.state == "half closed (local)"
            assert not file.closed

        solo.run(main())

    def test_a_file_goes_in_pieces(self) -> None:
        solo = client_alone()
        size = 3 * 1024 * 1024 + 5

        async def main() -> None:
            stream = solo.connection.new_stream()
            await stream.write_headers(request("PUT"), False)
            await stream.write_body_from_file(io.BytesIO(bytes(size)))
            heard = await solo.peer.receive_some(size * 2, FOREVER)
            assert heard.count(b"100000\r\n") == 3
            assert heard.endswith(b"\r\n5\r\n" + bytes(5) + b"\r\n0\r\n\r\n")

        solo.run(main())

    def test_a_file_that_is_too_short(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = solo.connection.new_stream()
            await stream.write_headers(request("PUT", "/", ("content-length", "10")), False)
            with pytest.raises(LocalProtocolError, match="3 bytes too early"):
                await stream.write_body_from_file(io.BytesIO(b"1234567"), 10)
            assert stream.state == "open"
            await stream.shutdown()
            assert solo.connection.is_closed

        solo.run(main())

    @pytest.mark.parametrize("count", [-1, 1.5, True, "1"])
    def test_a_count_that_is_none(self, count: Any) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = solo.connection.new_stream()
            await stream.write_headers(request("PUT"), False)
            with pytest.raises(UsageError):
                await stream.write_body_from_file(io.BytesIO(b"x"), count)

        solo.run(main())

    def test_a_file_goes_on_after_a_timeout(self) -> None:
        solo = client_alone(capacity=1500 * 1024)
        body = bytes(2 * 1024 * 1024) + b"end"

        async def main() -> None:
            stream = solo.connection.new_stream()
            await stream.write_headers(request("PUT", "/", ("content-length", str(len(body)))), False)
            file = io.BytesIO(body)
            with pytest.raises(WriteTimeout):
                await stream.write_body_from_file(file, timeout=1)
            heard = await solo.peer.receive_some(1 << 22, FOREVER)
            await stream.write_body_from_file(file, timeout=1)
            heard += await solo.peer.receive_some(1 << 22, FOREVER)
            assert heard.partition(b"\r\n\r\n")[2] == body

        solo.run(main())
