"""Reading and writing line by line."""

from __future__ import annotations

import pytest

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.errors import (
    ClosedError,
    ConnectionClosed,
    EngineError,
    IncompleteMessage,
    InvalidHeader,
    LimitExceeded,
    LocalProtocolError,
    ReadTimeout,
    RemoteProtocolError,
    UsageError,
    WriteTimeout,
)
from tests.connection.h1_support import Solo, client_alone, server_alone


def everything(solo: Solo) -> bytes:
    return solo.connection.machine.take_buffered()


class TestHeads:
    def test_request_line(self) -> None:
        solo = server_alone(piece=1)

        async def main() -> None:
            await solo.say(b"M-SEARCH * HTTP/1.1\r\nGET /a?b HTTP/1.0\r\nrest")
            assert await solo.connection.read_request_line() == ("M-SEARCH", "*", 1.1)
            assert await solo.connection.read_request_line() == ("GET", "/a?b", 1.0)

        solo.run(main())
        assert not everything(solo)  # byte by byte nothing was read beyond the line

    def test_one_empty_line_before_a_request_is_skipped(self) -> None:
        solo = server_alone()

        async def main() -> None:
            await solo.say(b"\r\nGET / HTTP/1.1\r\n")
            assert await solo.connection.read_request_line() == ("GET", "/", 1.1)
            await solo.say(b"\r\n\r\nGET / HTTP/1.1\r\n")
            with pytest.raises(RemoteProtocolError, match="request line"):
                await solo.connection.read_request_line()

        solo.run(main())
        assert everything(solo) == b"\r\n\r\nGET / HTTP/1.1\r\n"

    @pytest.mark.parametrize(
        ("line", "status"),
        [
            (b"GET / HTTP/1.1\n", 400),
            (b"\n", 400),
            (b"\r\n\n", 400),
            (b"GET  / HTTP/1.1\r\n", 400),
            (b"GET / HTTP/3.0\r\n", 505),
            (b"G(T / HTTP/1.1\r\n", 400),
            (b"GET /\r\n", 400),
        ],
    )
    def test_a_refused_request_line_stays_to_be_read(self, line: bytes, status: int) -> None:
        solo = server_alone()

        async def main() -> None:
            await solo.say(line)
            for _ in range(2):
                with pytest.raises(RemoteProtocolError) as caught:
                    await solo.connection.read_request_line()
                assert caught.value.status == status
            assert await solo.connection.read_body_by_length(-100) == line

        solo.run(main())

    def test_status_line(self) -> None:
        solo = client_alone(piece=3)

        async def main() -> None:
            await solo.say(b"HTTP/1.1 200 Very well\r\nHTTP/1.0 404 \r\nHTTP/1.1 500\r\nHTTP/1.1 20 x\r\n")
            assert await solo.connection.read_status_line() == (1.1, "200", "Very well")
            assert await solo.connection.read_status_line() == (1.0, "404", "")
            assert await solo.connection.read_status_line() == (1.1, "500", "")
            with pytest.raises(RemoteProtocolError):
                await solo.connection.read_status_line()

        solo.run(main())

    def test_headers(self) -> None:
        solo = server_alone(piece=2)

        async def main() -> None:
            connection = solo.connection
            await solo.say(b"Host: a\r\nX-Empty:\r\nx-Two: \t b c \t\r\n\r\nbody")
            assert await connection.read_headers_done() is False
            assert await connection.read_header() == ("Host", "a")
            assert await connection.read_header() == ("X-Empty", "")
            assert await connection.read_header() == ("x-Two", "b c")
            assert await connection.read_header() is None
            assert await connection.read_header() is None
            assert await connection.read_headers_done() is True
            assert await connection.read_body_by_length(4) == b"body"

        solo.run(main())

    @pytest.mark.parametrize("line", [b" a: b\r\n", b"a : b\r\n", b": b\r\n", b"ab\r\n", b"a: \0\r\n", b"a: b\n"])
    def test_a_refused_header_stays_to_be_read(self, line: bytes) -> None:
        solo = server_alone()

        async def main() -> None:
            await solo.say(line)
            with pytest.raises(RemoteProtocolError):
                await solo.connection.read_header()

        solo.run(main())
        assert everything(solo) == line

    def test_headers_done_waits_for_the_second_byte(self) -> None:
        solo = server_alone()

        async def main() -> None:
            await solo.say(b"\r")
            with pytest.raises(ReadTimeout):
                await solo.connection.read_headers_done(1)
            await solo.say(b"x")
            assert await solo.connection.read_headers_done(1) is False

        solo.run(main())
        assert everything(solo) == b"\rx"

    @pytest.mark.parametrize(
        ("method", "sent", "status"),
        [
            ("read_request_line", b"GET /12345678901 HTTP/1.1\r\n", 414),
            ("read_request_line", b"GET /123456789012345", 414),
            ("read_status_line", b"HTTP/1.1 200 12345678\r\n", 414),
            ("read_header", b"name: 234567890123456\r\n", 431),
            ("read_body_chunk", b"5;x=2345678901234567\r\n", 400),
        ],
    )
    def test_setmaxline(self, method: str, sent: bytes, status: int) -> None:
        solo = client_alone()
        read = getattr(solo.connection, method)

        async def main() -> None:
            solo.connection.setmaxline(19)
            await solo.say(sent)
            with pytest.raises(LimitExceeded) as caught:
                await read(1)
            assert caught.value.status == status

        solo.run(main())
        assert everything(solo) == sent

    def test_a_line_of_the_very_limit_passes(self) -> None:
        solo = client_alone()

        async def main() -> None:
            solo.connection.setmaxline(10)
            await solo.say(b"name: 7890\r\n")
            assert await solo.connection.read_header(1) == ("name", "7890")

        solo.run(main())

    def test_setmaxline_refuses_nonsense(self) -> None:
        with pytest.raises(UsageError):
            client_alone().connection.setmaxline(0)

    def test_the_end_of_the_connection(self) -> None:
        solo = server_alone()

        async def main() -> None:
            connection = solo.connection
            await solo.peer.send_eof(FOREVER)
            with pytest.raises(ConnectionClosed):
                await connection.read_request_line()
            with pytest.raises(IncompleteMessage):
                await connection.read_header()
            with pytest.raises(IncompleteMessage):
                await connection.read_headers_done()
            with pytest.raises(IncompleteMessage):
                await connection.read_body_chunk()

        solo.run(main())

    def test_the_end_inside_a_line(self) -> None:
        solo = server_alone()

        async def main() -> None:
            await solo.say(b"GET /")
            await solo.peer.send_eof(FOREVER)
            with pytest.raises(IncompleteMessage):
                await solo.connection.read_request_line()

        solo.run(main())
        assert everything(solo) == b"GET /"


class TestBodies:
    def test_by_length(self) -> None:
        solo = server_alone(piece=2)

        async def main() -> None:
            connection = solo.connection
            await solo.say(b"abcdefgh")
            assert await connection.read_body_by_length(0) == b""
            assert await connection.read_body_by_length(5) == b"abcde"
            assert await connection.read_body_by_length(-100) == b"f"
            assert await connection.read_body_by_length(-1) == b"g"
            await solo.peer.send_eof(FOREVER)
            with pytest.raises(IncompleteMessage):
                await connection.read_body_by_length(2)
            assert await connection.read_body_by_length(-2) == b"h"
            assert await connection.read_body_by_length(-2) == b""

        solo.run(main())

    def test_till_close(self) -> None:
        solo = client_alone()

        async def main() -> None:
            await solo.say(b"one")
            with pytest.raises(ReadTimeout):
                await solo.connection.read_body_till_close(1)
            await solo.say(b"two")
            await solo.peer.send_eof(FOREVER)
            assert await solo.connection.read_body_till_close(1) == b"onetwo"

        solo.run(main())

    def test_chunks(self) -> None:
        solo = client_alone(piece=5)

        async def main() -> None:
            connection = solo.connection
            await solo.say(b"3\r\nabc\r\n00A ;x=1;y\r\n0123456789\r\n0;last\r\nx: y\r\n\r\n")
            assert await connection.read_body_chunk() == (b"abc", None)
            assert await connection.read_body_chunk() == (b"0123456789", ";x=1;y")
            assert await connection.read_body_chunk() == (None, ";last")
            assert await connection.read_header() == ("x", "y")
            assert await connection.read_headers_done()

        solo.run(main())

    @pytest.mark.parametrize(
        "sent",
        [
            b"\r\n",
            b"x\r\n",
            b"-1\r\n",
            b"1 \r\na\r\n",
            b"3\nabc\r\n",
            b"3\r\nabcd\r\n",
            b"3\r\nabc\n\n",
            b"100000000\r\n",
        ],
    )
    def test_a_refused_chunk_stays_to_be_read(self, sent: bytes) -> None:
        solo = client_alone()

        async def main() -> None:
            await solo.say(sent)
            for _ in range(2):
                with pytest.raises(RemoteProtocolError):
                    await solo.connection.read_body_chunk(1)

        solo.run(main())
        assert everything(solo) == sent

    def test_a_chunk_is_read_after_any_number_of_timeouts(self) -> None:
        solo = client_alone()
        sent = b"5;e\r\nabcde\r\n"

        async def main() -> None:
            for at in range(len(sent)):
                with pytest.raises(ReadTimeout):
                    await solo.connection.read_body_chunk(0)
                await solo.say(sent[at : at + 1])
            assert await solo.connection.read_body_chunk(0) == (b"abcde", ";e")

        solo.run(main())

    def test_the_end_inside_a_chunk(self) -> None:
        solo = client_alone()

        async def main() -> None:
            await solo.say(b"5\r\nabc")
            await solo.peer.send_eof(FOREVER)
            with pytest.raises(IncompleteMessage):
                await solo.connection.read_body_chunk()

        solo.run(main())
        assert everything(solo) == b"5\r\nabc"


class TestWriting:
    def test_a_head_is_sent_when_it_is_done(self) -> None:
        solo = client_alone()

        async def main() -> None:
            connection = solo.connection
            await connection.write_request_line("GET", "/", 1.1)
            await connection.write_header("Host", "a")
            assert await solo.heard() == b""
            assert connection.events() is None  # memory has no descriptor
            await connection.write_headers_done()
            assert await solo.heard() == b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

        solo.run(main())

    def test_status_lines(self) -> None:
        solo = server_alone()

        async def main() -> None:
            await solo.connection.write_status_line(1.1, "404")
            await solo.connection.write_status_line(1.0, "299", "Quite fine")
            await solo.connection.write_status_line(1.1, "299")
            await solo.connection.flush()
            assert (
                await solo.heard()
                == b"HTTP/1.1 404 Not Found\r\nHTTP/1.0 299 Quite fine\r\nHTTP/1.1 299 Unassigned\r\n"
            )

        solo.run(main())

    def test_bodies(self) -> None:
        solo = server_alone()

        async def main() -> None:
            connection = solo.connection
            await connection.write_body_chunk(b"0123456789")
            await connection.write_body_chunk(b"")
            assert await solo.heard() == b"a\r\n0123456789\r\n"
            await connection.write_body_last_chunk()
            assert await solo.heard() == b""
            await connection.write_header("x", "y")
            await connection.write_headers_done()
            assert await solo.heard() == b"0\r\nx: y\r\n\r\n"
            await connection.write_body_plain(b"plain")
            assert await solo.heard() == b"plain"

        solo.run(main())

    def test_what_must_not_be_sent(self) -> None:
        solo = client_alone()

        async def main() -> None:
            connection = solo.connection
            for method, target in [("G T", "/"), ("GET", "/a b"), ("GET", ""), ("GET", "/\r\nx: y")]:
                with pytest.raises(LocalProtocolError):
                    await connection.write_request_line(method, target, 1.1)
            for name, value in [("a b", "c"), ("", "c"), (":path", "/"), ("a", "b\r\nc: d"), ("a", "b\0"), ("a", "€")]:
                with pytest.raises(InvalidHeader):
                    await connection.write_header(name, value)
            for status in ["20", "2000", "abc"]:
                with pytest.raises(LocalProtocolError):
                    await connection.write_status_line(1.1, status, "")
            with pytest.raises(UsageError):
                await connection.write_request_line("GET", "/", 2)
            with pytest.raises(UsageError):
                await connection.write_status_line(0.9, "200")
            await connection.flush()
            assert await solo.heard() == b""

        solo.run(main())

    def test_after_a_write_timeout_the_rest_is_flushed(self) -> None:
        solo = client_alone(capacity=4)

        async def main() -> None:
            connection = solo.connection
            with pytest.raises(WriteTimeout):
                await connection.write_body_plain(b"abcdefghij", 1)
            await connection.write_header("k", "v")  # queued behind
            assert await solo.heard() == b"abcd"
            with pytest.raises(WriteTimeout):
                await connection.flush(1)
            heard = await solo.heard()
            while len(heard) < len(b"efghijk: v\r\n"):
                try:
                    await connection.flush(1)
                except WriteTimeout:
                    pass
                heard += await solo.heard()
            assert heard == b"efghijk: v\r\n"

        solo.run(main())


class TestErrors:
    def test_the_last_error_of_each_direction_is_told_until_cleared(self) -> None:
        solo = client_alone(capacity=1)

        async def main() -> None:
            connection = solo.connection
            assert connection.error() is None
            with pytest.raises(ReadTimeout):
                await connection.read_status_line(1)
            with pytest.raises(WriteTimeout):
                await connection.write_body_plain(b"xy", 1)
            assert isinstance(connection.error("r"), ReadTimeout)
            assert isinstance(connection.error("w"), WriteTimeout)
            assert isinstance(connection.error("wr"), WriteTimeout)
            assert isinstance(connection.clearerr("r"), ReadTimeout)
            assert connection.error("r") is None
            assert isinstance(connection.error(), WriteTimeout)
            assert isinstance(connection.clearerr(), WriteTimeout)
            assert connection.clearerr() is None

        solo.run(main())

    def test_a_fault_is_remembered_without_what_it_held(self) -> None:
        solo = client_alone()

        async def main() -> EngineError | None:
            await solo.say(b"nonsense\r\n")
            with pytest.raises(RemoteProtocolError):
                await solo.connection.read_status_line()
            return solo.connection.clearerr("r")

        error = solo.run(main())
        assert isinstance(error, RemoteProtocolError)
        assert error.status == 400
        assert "status line" in str(error)
        assert error.__traceback__ is None

    def test_everything_is_refused_after_close(self) -> None:
        solo = client_alone()

        async def main() -> None:
            connection = solo.connection
            connection.close()
            with pytest.raises(ClosedError):
                await connection.read_status_line()
            with pytest.raises(ClosedError):
                await connection.write_request_line("GET", "/", 1.1)
            with pytest.raises(ClosedError):
                await connection.write_body_plain(b"x")

        solo.run(main())
