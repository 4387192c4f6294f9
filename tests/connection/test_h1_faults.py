"""Answers that come early, ends that come early, and faults of the peer."""

from __future__ import annotations

import pytest

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.errors import (
    ConnectionClosed,
    IncompleteMessage,
    LocalProtocolError,
    ReadError,
    RemoteProtocolError,
    WriteError,
    WriteTimeout,
)
from tests.connection.h1_support import (
    accept,
    asked,
    client_alone,
    read_answer,
    request,
    response,
    server_alone,
)

PUT = request("PUT", "/", ("content-length", "100"))


class TestEarlyAnswers:
    def test_an_upload_stops_when_the_answer_is_there(self) -> None:
        solo = client_alone(capacity=50)

        async def main() -> None:
            stream = solo.connection.new_stream()
            head = solo.backend.spawn(stream.write_headers(PUT, False), "head")
            while not await head.join(solo.backend.now() + 1):
                await solo.heard()
            await solo.heard()
            assert await stream.write_piece_unless_answered(b"x" * 40, FOREVER)
            solo.backend.spawn(
                solo.say(
                    b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno"
                ),
                "server",
            )
            assert not await stream.write_piece_unless_answered(b"x" * 40, FOREVER)
            assert stream.answered_early
            assert await read_answer(stream) == ("413", b"no")
            assert stream.state == "closed"
            assert not solo.connection.is_usable()
            with pytest.raises(LocalProtocolError):
                await stream.write_chunk(b"more")

        solo.run(main())

    def test_an_informational_response_does_not_stop_it(self) -> None:
        solo = client_alone(capacity=50)

        async def main() -> None:
            stream = solo.connection.new_stream()
            heard = bytearray()

            async def server() -> None:
                await solo.backend.sleep_until(solo.backend.now() + 1)
                await solo.say(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 ")
                await solo.backend.sleep_until(solo.backend.now() + 1)
                while not heard.endswith(b"x" * 100):
                    heard.extend(await solo.peer.receive_some(10, FOREVER))
                await solo.say(b"204 No Content\r\n\r\n")

            solo.backend.spawn(server(), "server")
            await stream.write_headers(PUT, False)
            assert await stream.write_piece_unless_answered(b"x" * 100, FOREVER)
            await stream.write_chunk(b"", True)
            assert await read_answer(stream) == ("204", b"")
            assert not stream.answered_early
            assert solo.connection.is_usable()

        solo.run(main())

    def test_a_timeout_leaves_the_rest_in_the_outbox(self) -> None:
        solo = client_alone(capacity=200)

        async def main() -> None:
            stream = solo.connection.new_stream()
            await stream.write_headers(request("PUT", "/", ("content-length", "300")), False)
            with pytest.raises(WriteTimeout):
                await stream.write_piece_unless_answered(b"y" * 300, solo.backend.now() + 1)
            heard = b""
            while not heard.endswith(b"y" * 300):
                heard += await solo.heard()
                try:
                    await solo.connection.flush(1)
                except WriteTimeout:
                    pass
            assert heard.count(b"y") == 300
            await stream.write_chunk(b"", True)

        solo.run(main())

    def test_the_answer_is_found_after_a_write_error(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = solo.connection.new_stream()
            await stream.write_headers(PUT, False)
            await solo.heard()
            await solo.say(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
            solo.peer.close()
            with pytest.raises(WriteError):
                for _ in range(3):
                    await stream.write_chunk(b"x" * 10)
            assert await stream.find_answer(FOREVER)
            assert stream.answered_early
            assert await read_answer(stream) == ("413", b"no")
            assert not solo.connection.is_usable()

        solo.run(main())

    def test_no_answer_is_found_where_there_is_none(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = solo.connection.new_stream()
            await stream.write_headers(PUT, False)
            solo.peer.reset()
            with pytest.raises(WriteError):
                await stream.write_chunk(b"x")
            assert not await stream.find_answer(FOREVER)
            assert not stream.answered_early

        solo.run(main())

    def test_a_peer_that_leaves_during_an_upload(self) -> None:
        solo = client_alone(capacity=100)

        async def main() -> None:
            stream = solo.connection.new_stream()
            await stream.write_headers(PUT, False)
            await solo.peer.send_eof(FOREVER)
            with pytest.raises(ConnectionClosed):
                await stream.write_piece_unless_answered(b"x" * 100, FOREVER)

        solo.run(main())

    def test_a_whole_answer_during_an_upload_leaves_the_upload_possible(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = solo.connection.new_stream()
            await stream.write_headers(PUT, False)
            await solo.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            assert await read_answer(stream) == ("200", b"")
            assert stream.state == "half closed (remote)"
            await stream.write_chunk(b"x" * 100, True)
            assert stream.state == "closed"
            assert solo.connection.is_usable()

        solo.run(main())


class TestEarlyEnds:
    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Le",
            b"HTTP/1.1 103 Early Hints\r\n\r\n",
        ],
    )
    def test_of_an_answer(self, answer: bytes) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            await solo.say(answer)
            await solo.peer.send_eof(FOREVER)
            for _ in range(2):
                with pytest.raises(IncompleteMessage):
                    await read_answer(stream)
            assert not solo.connection.is_usable()

        solo.run(main())

    def test_before_an_answer(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            await solo.peer.send_eof(FOREVER)
            for _ in range(2):
                with pytest.raises(ConnectionClosed):
                    await stream.get_headers()

        solo.run(main())

    def test_a_reset_is_no_end(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            await solo.say(b"HTTP/1.1 200 OK\r\n\r\nall of")
            await stream.get_headers()
            solo.peer.reset()
            assert await stream.get_next_chunk() == b"all of"
            with pytest.raises(ReadError):
                await stream.get_next_chunk()

        solo.run(main())

    def test_of_a_request(self) -> None:
        solo = server_alone()

        async def main() -> None:
            await solo.say(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell")
            await solo.peer.send_eof(FOREVER)
            stream = await accept(solo.connection)
            with pytest.raises(IncompleteMessage):
                await stream.get_body_as_string()
            assert isinstance(stream.fault, IncompleteMessage)

        solo.run(main())

    def test_a_body_until_the_end_of_tls_that_was_cut_is_refused(self) -> None:
        for accepted in (False, True):
            solo = client_alone()
            solo.connection.accept_ragged_end = accepted

            async def main(solo=solo, accepted=accepted) -> None:  # type: ignore[no-untyped-def]
                stream = await asked(solo)
                await solo.say(b"HTTP/1.1 200 OK\r\n\r\nall of it")
                solo.connection.stream = _Ragged(solo.connection.stream)
                await solo.peer.send_eof(FOREVER)
                if accepted:
                    assert await read_answer(stream) == ("200", b"all of it")
                else:
                    with pytest.raises(IncompleteMessage, match="TLS"):
                        await read_answer(stream)
                    assert await stream.get_next_chunk() == b"all of it"  # it was un-got
                    with pytest.raises(IncompleteMessage, match="TLS"):
                        await stream.get_next_chunk()

            solo.run(main())


class _Ragged:
    """A stream whose end came without the goodbye of TLS."""

    ended_cleanly = False

    def __init__(self, stream: object) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


class TestFaults:
    def test_a_fault_in_the_answer_ends_the_connection(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            await solo.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
            with pytest.raises(RemoteProtocolError):
                await stream.get_headers()
            assert not solo.connection.is_usable()
            await stream.shutdown()
            assert solo.connection.is_closed
            assert stream.state == "closed"

        solo.run(main())

    @pytest.mark.parametrize(
        ("body", "status"),
        [(b"x\r\n", b"400"), (b"1;" + b"e" * 20_000, b"400"), (b"0\r\n" + b"a: b\r\n" * 101 + b"\r\n", b"431")],
    )
    def test_a_fault_in_the_request_body_is_answered_by_shutdown(self, body: bytes, status: bytes) -> None:
        solo = server_alone()

        async def main() -> None:
            await solo.say(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
            stream = await accept(solo.connection)
            with pytest.raises(RemoteProtocolError):
                await stream.get_body_as_string()
            await stream.shutdown()
            heard = await solo.heard()
            assert heard.startswith(b"HTTP/1.1 " + status)
            assert b"connection: close" in heard.lower()
            assert stream.state == "closed"
            assert await solo.connection.get_next_incoming_stream(1) is None

        solo.run(main())


class TestServerShutdown:
    def test_an_unanswered_request_gets_503(self) -> None:
        solo = server_alone()

        async def main() -> None:
            await solo.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            stream = await accept(solo.connection)
            await stream.shutdown()
            assert (await solo.heard()).startswith(b"HTTP/1.1 503 ")
            assert stream.status == "503"
            await stream.shutdown()
            assert await solo.heard() == b""

        solo.run(main())

    def test_a_request_that_came_too_slowly_gets_408(self) -> None:
        solo = server_alone()

        async def main() -> None:
            await solo.say(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123")
            stream = await accept(solo.connection)
            try:
                await stream.get_body_as_string(5)
            except TimeoutError as error:
                stream.fault = error  # type: ignore[assignment]
            await stream.shutdown(5)
            assert (await solo.heard()).startswith(b"HTTP/1.1 408 ")

        solo.run(main())

    @pytest.mark.parametrize(("size", "kept"), [(10, True), (400 * 1024, True), (600 * 1024, False)])
    def test_an_unread_body_is_dropped_up_to_a_limit(self, size: int, kept: bool) -> None:
        solo = server_alone()

        async def main() -> None:
            await solo.say(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
            stream = await accept(solo.connection)
            await stream.write_headers(response("200", ("content-length", "0")), True)
            await stream.shutdown(5)
            assert stream.state == "closed"
            assert solo.connection.is_closed is not kept
            if kept:
                await solo.say(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
                assert (await accept(solo.connection)).state == "half closed (remote)"

        solo.run(main())

    def test_a_body_that_does_not_come_costs_the_connection(self) -> None:
        solo = server_alone()

        async def main() -> None:
            await solo.say(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123")
            stream = await accept(solo.connection)
            await stream.write_headers(response("200", ("content-length", "0")), True)
            start = solo.backend.now()
            await stream.shutdown(5)
            assert solo.backend.now() - start == 5
            assert solo.connection.is_closed

        solo.run(main())

    def test_a_part_of_an_answer_is_not_taken_for_the_whole(self) -> None:
        for fields in ([("content-length", "10")], []):
            solo = server_alone()

            async def main(solo=solo, fields=fields) -> None:  # type: ignore[no-untyped-def]
                await solo.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                stream = await accept(solo.connection)
                await stream.write_headers(response("200", *fields), False)
                await stream.write_chunk(b"part")
                await stream.shutdown()
                assert solo.connection.is_closed
                heard = await solo.heard()
                assert not heard.endswith(b"0\r\n\r\n")

            solo.run(main())

    def test_a_client_that_is_gone(self) -> None:
        solo = server_alone()

        async def main() -> None:
            await solo.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            stream = await accept(solo.connection)
            solo.peer.reset()
            await stream.shutdown()
            assert stream.state == "closed"
            assert solo.connection.is_closed

        solo.run(main())
