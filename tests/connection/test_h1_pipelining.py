"""Several requests under way on one connection: who waits for whom, and what the waiting must not change."""

from __future__ import annotations

import pytest

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.connection.h1_connection import H1Connection
from drivetrain.engine.connection.h1_server_stream import H1ServerStream
from drivetrain.engine.errors import ClosedError, ReadTimeout, RemoteProtocolError, WriteTimeout
from tests.connection.h1_support import (
    accept,
    answer_one,
    client_alone,
    duo,
    got,
    read_answer,
    request,
    response,
    server_alone,
)


@pytest.mark.parametrize("piece", [None, 3])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_three_requests_whose_answers_are_ready_in_any_order(order: tuple[int, ...], piece: int | None) -> None:
    pair = duo(piece=piece)
    seen: list[str] = []

    async def handle(stream: H1ServerStream, number: int) -> None:
        await pair.backend.sleep_until(pair.backend.now() + order[number])
        await answer_one(stream, b"answer %d" % number)
        seen.append(f"sent {number}")

    async def serve() -> None:
        for number in range(3):
            stream, headers = await got(pair.server)
            assert headers.get(":path") == f"/{number}"
            pair.backend.spawn(handle(stream, number), f"handler {number}")

    async def read(number: int) -> None:
        assert await read_answer(streams[number]) == ("200", b"answer %d" % number)
        seen.append(f"read {number}")

    streams = [pair.client.new_stream() for _ in range(3)]

    async def main() -> None:
        pair.backend.spawn(serve(), "server")
        for number, stream in enumerate(streams):
            await stream.write_headers(request("GET", f"/{number}"), True)
        assert len(pair.client.pipeline) == 3
        readers = [pair.backend.spawn(read(number), f"reader {number}") for number in (2, 0, 1)]
        for reader in readers:
            assert await reader.join(FOREVER)
        assert [word for word in seen if word.startswith("sent")] == ["sent 0", "sent 1", "sent 2"]
        assert [word for word in seen if word.startswith("read")] == ["read 0", "read 1", "read 2"]
        assert pair.client.is_usable()
        assert not pair.client.waiters
        assert not pair.server.waiters

    pair.run(main())


def test_a_request_waits_for_the_body_before_it_and_is_not_changed_meanwhile() -> None:
    solo = client_alone()

    async def main() -> None:
        first, second, third = (solo.connection.new_stream() for _ in range(3))
        await first.write_headers(request("PUT", "/1"), False)
        headers = request("GET", "/2", ("x", "before"))
        waiting = solo.backend.spawn(second.write_headers(headers, True), "second")
        also = solo.backend.spawn(third.write_headers(request("GET", "/3"), True), "third")
        await solo.backend.sleep_until(solo.backend.now() + 1)
        headers.upsert("x", "after")
        await first.write_chunk(b"body", True)
        assert await waiting.join(FOREVER)
        assert await also.join(FOREVER)
        heard = await solo.heard()
        assert heard.index(b"body") < heard.index(b"GET /2") < heard.index(b"GET /3")
        assert b"x: before" in heard
        assert b"after" not in heard

    solo.run(main())


def test_an_answer_waits_for_the_one_before_and_is_not_changed_meanwhile() -> None:
    solo = server_alone()

    async def main() -> None:
        await solo.say(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        first, second = await accept(solo.connection), await accept(solo.connection)
        headers = response("202", ("x", "before"), ("content-length", "0"))
        waiting = solo.backend.spawn(second.write_headers(headers, True), "second")
        await solo.backend.sleep_until(solo.backend.now() + 1)
        assert await solo.heard() == b""
        headers.upsert("x", "after")
        await first.write_headers(response("201"), False)
        await first.write_chunk(b"one")
        await first.write_chunk(b"two", True)
        assert await waiting.join(FOREVER)
        heard = await solo.heard()
        assert heard.index(b"201") < heard.index(b"two") < heard.index(b"202")
        assert b"x: before" in heard

    solo.run(main())


def test_waiting_for_a_turn_can_time_out_and_be_repeated() -> None:
    pair = duo()

    async def main() -> None:
        first, second = pair.client.new_stream(), pair.client.new_stream()
        await first.write_headers(request("PUT", "/1", ("content-length", "1")), False)
        for _ in range(2):
            with pytest.raises(WriteTimeout):
                await second.write_headers(request("GET", "/2"), True, 1)
        assert second.state == "idle"
        await first.write_chunk(b"x", True)
        await second.write_headers(request("GET", "/2"), True, 1)
        with pytest.raises(ReadTimeout):
            await second.get_headers(1)
        one, two = await accept(pair.server), None
        with pytest.raises(ReadTimeout):
            two = await pair.server.get_next_incoming_stream(1)  # the body of the first is not read yet
        assert await one.get_body_as_string() == b"x"
        two = await accept(pair.server, 1)
        with pytest.raises(WriteTimeout):
            await answer_one_in(two, 1)
        await answer_one(one, b"1")
        await answer_one_in(two, 1)
        with pytest.raises(ReadTimeout):
            await second.get_headers(1)
        assert await read_answer(first, 1) == ("200", b"1")
        assert await read_answer(second, 1) == ("200", b"")
        assert not pair.client.waiters
        assert not pair.server.waiters

    async def answer_one_in(stream: H1ServerStream, timeout: float) -> None:
        await stream.write_headers(response("200", ("content-length", "0")), True, timeout)

    pair.run(main())


def test_an_upload_that_is_still_being_sent_keeps_its_turn() -> None:
    """The bytes of two requests must not mix while the system takes the first one slowly."""
    solo = client_alone(capacity=10)

    async def main() -> None:
        first, second = solo.connection.new_stream(), solo.connection.new_stream()
        body = b"x" * 100
        one = solo.backend.spawn(
            first.write_message(request("PUT", "/1", ("content-length", "100")), body, FOREVER), "first"
        )
        two = solo.backend.spawn(second.write_headers(request("GET", "/2"), True), "second")
        heard = b""
        while not (one.done and two.done):  # type: ignore[attr-defined]
            heard += await solo.peer.receive_some(10, FOREVER)
            await solo.backend.sleep_until(solo.backend.now() + 0.1)
        heard += await solo.heard()
        first_head = heard.index(b"\r\n\r\n") + 4
        assert heard[first_head:].startswith(body + b"GET /2 ")

    solo.run(main())


def test_two_answers_do_not_mix_while_the_first_is_taken_slowly() -> None:
    solo = server_alone(capacity=10)

    async def main() -> None:
        first_say = solo.backend.spawn(
            solo.say(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"), "client"
        )
        first, second = await accept(solo.connection), await accept(solo.connection)
        assert await first_say.join(FOREVER)
        body = b"x" * 100
        length = response("200", ("content-length", "100"))
        one = solo.backend.spawn(first.write_message(length, body, FOREVER), "first")
        two = solo.backend.spawn(second.write_message(length, body, FOREVER), "second")
        heard = b""
        while not (one.done and two.done):  # type: ignore[attr-defined]
            heard += await solo.peer.receive_some(10, FOREVER)
            await solo.backend.sleep_until(solo.backend.now() + 0.1)
        heard += await solo.heard()
        assert heard.split(body)[0].count(b"HTTP/1.1 200") == 1
        assert heard.split(body)[1].startswith(b"HTTP/1.1 200")

    solo.run(main())


def test_the_last_of_several_requests_may_say_close() -> None:
    pair = duo()

    async def main() -> None:
        first, second = pair.client.new_stream(), pair.client.new_stream()
        await first.write_headers(request("GET", "/1"), True)
        await second.write_headers(request("GET", "/2", ("connection", "close")), True)
        one, two = await accept(pair.server), await accept(pair.server)
        assert await pair.server.get_next_incoming_stream(1) is None
        await answer_one(one, b"1")
        await answer_one(two, b"2")
        assert await read_answer(first) == ("200", b"1")
        assert first.response is not None
        assert not first.response.headers.has("connection")
        assert await read_answer(second) == ("200", b"2")
        assert not pair.client.is_usable()

    pair.run(main())


def test_a_request_that_cannot_be_parsed_is_refused_after_the_answers_before_it() -> None:
    solo = server_alone()
    connection = solo.connection

    async def main() -> None:
        await solo.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nNONSENSE\r\n\r\n")
        first = await accept(connection)
        with pytest.raises(RemoteProtocolError) as caught:
            await connection.get_next_incoming_stream()
        assert isinstance(connection.error("r"), RemoteProtocolError)
        refusing = solo.backend.spawn(connection.refuse(caught.value, FOREVER), "refusal")
        await solo.backend.sleep_until(solo.backend.now() + 1)
        assert await solo.heard() == b""
        await answer_one(first)
        assert await refusing.join(FOREVER)
        heard = await solo.heard()
        assert heard.index(b"200") < heard.index(b"HTTP/1.1 400 Bad Request")
        assert heard.endswith(b"\r\n\r\n")
        assert await solo.peer.receive_some(1, FOREVER) == b""
        assert await connection.get_next_incoming_stream() is None

    solo.run(main())


@pytest.mark.parametrize("how", ["close", "take", "shutdown"])
def test_those_who_wait_learn_that_the_connection_is_gone(how: str) -> None:
    solo = client_alone()
    connection: H1Connection = solo.connection
    caught: list[str] = []

    async def expect_closed(name: str, operation: object) -> None:
        with pytest.raises(ClosedError):
            await operation  # type: ignore[misc]
        caught.append(name)

    async def main() -> None:
        first, second, third = (connection.new_stream() for _ in range(3))
        await first.write_headers(request("GET", "/1"), True)
        await second.write_headers(request("PUT", "/2"), False)
        tasks = [
            solo.backend.spawn(expect_closed("reader", second.get_headers()), "reader"),
            solo.backend.spawn(expect_closed("writer", third.write_headers(request(), True)), "writer"),
        ]
        await solo.backend.sleep_until(solo.backend.now() + 1)
        if how == "close":
            connection.close()
        elif how == "take":
            taken = connection.take_socket()
            assert taken is not None
        else:
            await connection.shutdown()
        for task in tasks:
            assert await task.join(FOREVER)
        assert sorted(caught) == ["reader", "writer"]
        assert not connection.waiters
        with pytest.raises(ClosedError):
            await second.get_next_chunk()

    solo.run(main())
