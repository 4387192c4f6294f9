"""Time limits and cancellation at every stage: nothing is lost, and the call can be repeated."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.errors import ReadTimeout, WriteTimeout
from tests.connection.h1_support import (
    Solo,
    accept,
    answer_one,
    asked,
    client_alone,
    read_answer,
    request,
    response,
    server_alone,
)

ANSWERS = [
    b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\nSum: 5\r\n\r\n",
]
REQUEST = b"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nSum: 5\r\n\r\n"


async def until_it_works(solo: Solo, call: Callable[[], Coroutine[Any, Any, Any]], cancel: bool) -> Any:
    """Call again and again, each time cut short: by a time limit in the call itself or, with `cancel`, from outside."""
    while True:
        if not cancel:
            try:
                return await call()
            except ReadTimeout:
                await solo.backend.sleep_until(solo.backend.now() + 1)
                continue
        results: list[Any] = []

        async def attempt(results: list[Any] = results) -> None:
            results.append(await call())

        task = solo.backend.spawn(attempt(), "attempt")
        if await task.join(solo.backend.now() + 0.5):
            return results[0]
        task.cancel()
        assert await task.join(FOREVER)


async def dribble(solo: Solo, data: bytes) -> None:
    for at in range(len(data)):
        await solo.backend.sleep_until(solo.backend.now() + 0.7)
        await solo.say(data[at : at + 1])


@pytest.mark.parametrize("cancel", [False, True], ids=["timeouts", "cancellation"])
@pytest.mark.parametrize("answer", ANSWERS, ids=["length", "chunked"])
def test_an_answer_that_comes_byte_by_byte(answer: bytes, cancel: bool) -> None:
    solo = client_alone()
    limit = None if cancel else 0.0

    async def main() -> None:
        stream = await asked(solo)
        solo.backend.spawn(dribble(solo, answer), "server")
        seen = []
        while stream.response is None:
            headers = await until_it_works(solo, lambda: stream.get_headers(limit), cancel)
            seen.append(headers.get(":status"))
        assert seen == (["103", "200"] if b"103" in answer else ["200"])
        assert await until_it_works(solo, lambda: stream.get_body_as_string(limit), cancel) == b"hello"
        trailers = await until_it_works(solo, lambda: stream.get_headers(limit), cancel)
        assert (trailers is not None) == (b"Sum" in answer)
        assert solo.connection.is_usable()

    solo.run(main())


@pytest.mark.parametrize("cancel", [False, True], ids=["timeouts", "cancellation"])
def test_a_request_that_comes_byte_by_byte(cancel: bool) -> None:
    solo = server_alone()
    limit = None if cancel else 0.0

    async def main() -> None:
        solo.backend.spawn(dribble(solo, REQUEST), "client")
        stream = await until_it_works(solo, lambda: solo.connection.get_next_incoming_stream(limit), cancel)
        headers = await stream.get_headers()
        assert headers.get(":path") == "/p"
        assert await until_it_works(solo, lambda: stream.get_body_as_string(limit), cancel) == b"hello"
        trailers = await stream.get_headers()
        assert trailers.get("sum") == "5"
        await answer_one(stream)
        assert (await solo.heard()).endswith(b"hello")

    solo.run(main())


@pytest.mark.parametrize("cancel", [False, True], ids=["timeouts", "cancellation"])
def test_what_was_not_sent_goes_out_by_flush(cancel: bool) -> None:
    solo = client_alone(capacity=7)
    connection = solo.connection
    body = b"0123456789" * 3

    async def interrupted(operation: Coroutine[Any, Any, None], name: str) -> None:
        if cancel:
            task = solo.backend.spawn(operation, name)
            await solo.backend.sleep_until(solo.backend.now() + 1)
            task.cancel()
            assert await task.join(FOREVER)
        else:
            with pytest.raises(WriteTimeout):
                await operation

    async def main() -> None:
        stream = connection.new_stream()
        limit = None if cancel else 1.0
        await interrupted(stream.write_headers(request("PUT", "/", ("content-length", "30")), False, limit), "head")
        assert stream.state == "open"
        await interrupted(stream.write_chunk(body, True, limit), "body")
        assert stream.state == "half closed (local)"
        assert not connection.is_usable()
        heard = b""
        while not heard.endswith(body):
            heard += await solo.heard()
            try:
                await connection.flush(1)
            except WriteTimeout:
                pass
        assert heard.startswith(b"PUT / HTTP/1.1\r\n")
        assert heard.count(b"0123456789") == 3
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        for at in range(0, len(answer), 7):
            with pytest.raises(ReadTimeout):
                await stream.get_headers(0)
            await solo.say(answer[at : at + 7])
        assert await read_answer(stream) == ("200", b"")
        assert connection.is_usable()

    solo.run(main())


def test_the_next_write_sends_what_the_last_one_left() -> None:
    solo = client_alone(capacity=20)

    async def main() -> None:
        stream = solo.connection.new_stream()
        with pytest.raises(WriteTimeout):
            await stream.write_headers(request("PUT", "/", ("content-length", "4")), False, 1)
        writing = solo.backend.spawn(stream.write_chunk(b"body", True), "body")
        heard = b""
        while not heard.endswith(b"body"):
            heard += await solo.peer.receive_some(100, FOREVER)
        assert await writing.join(FOREVER)
        assert heard.count(b"PUT") == 1

    solo.run(main())


def test_a_told_to_continue_that_timed_out_is_not_told_twice() -> None:
    solo = server_alone(capacity=10)

    async def main() -> None:
        say = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        solo.backend.spawn(solo.say(say), "client")
        stream = await accept(solo.connection)
        for _ in range(2):
            with pytest.raises(WriteTimeout):
                await stream.get_next_chunk(1)
            assert len(await solo.heard()) == 10
        with pytest.raises(ReadTimeout):
            await stream.get_next_chunk(1)
        assert await solo.heard() == b"HTTP/1.1 100 Continue\r\n\r\n"[20:]
        await solo.say(b"body")
        assert await stream.get_body_as_string(1) == b"body"

    solo.run(main())


class TestProgress:
    def test_read_timeout_limits_each_wait(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            solo.connection.read_timeout = 2.0
            start = solo.backend.now()
            with pytest.raises(ReadTimeout):
                await stream.get_headers(100)
            assert solo.backend.now() - start == 2.0
            with pytest.raises(ReadTimeout):
                await stream.get_headers(1)
            assert solo.backend.now() - start == 3.0
            # Slow but steady is no fault.
            solo.backend.spawn(dribble(solo, ANSWERS[0]), "server")
            assert await read_answer(stream) == ("200", b"hello")

        solo.run(main())

    def test_write_timeout_limits_each_wait(self) -> None:
        solo = client_alone(capacity=10)

        async def main() -> None:
            solo.connection.write_timeout = 2.0
            stream = solo.connection.new_stream()
            start = solo.backend.now()
            with pytest.raises(WriteTimeout):
                await stream.write_headers(request(), True)
            assert solo.backend.now() - start == 2.0

        solo.run(main())


def test_a_cancelled_wait_for_a_turn_leaves_the_queue() -> None:
    solo = client_alone()

    async def main() -> None:
        first, second, third = (solo.connection.new_stream() for _ in range(3))
        await first.write_headers(request("PUT", "/1"), False)
        task = solo.backend.spawn(second.write_headers(request("GET", "/2"), True), "second")
        last = solo.backend.spawn(third.write_headers(request("GET", "/3"), True), "third")
        await solo.backend.sleep_until(solo.backend.now() + 1)
        task.cancel()
        assert await task.join(FOREVER)
        await first.write_chunk(b"", True)
        assert await last.join(FOREVER)
        heard = await solo.heard()
        assert b"/2" not in heard
        assert heard.count(b"GET /3") == 1
        assert second.state == "idle"

    solo.run(main())


def test_a_response_whose_write_was_interrupted_is_completed_before_the_next() -> None:
    solo = server_alone(capacity=30)

    async def main() -> None:
        ask = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        solo.backend.spawn(solo.say(ask + ask), "client")
        first, second = await accept(solo.connection), await accept(solo.connection)
        with pytest.raises(WriteTimeout):
            await answer_slowly(first)
        assert first.state == "closed"
        task = solo.backend.spawn(answer_one(second, b"two"), "second")
        heard = b""
        while not heard.endswith(b"two"):
            heard += await solo.peer.receive_some(100, FOREVER)
        assert await task.join(FOREVER)
        assert heard.count(b"HTTP/1.1 200 OK") == 2
        assert b"y" * 100 + b"HTTP/1.1 200 OK" in heard

    async def answer_slowly(stream: Any) -> None:
        deadline = solo.backend.now() + 1
        await stream.write_message(response("200", ("content-length", "100")), b"y" * 100, deadline)

    solo.run(main())
