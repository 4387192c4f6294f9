"""Exchanges between two HTTP/2 connections in memory: bodies, windows, resets, time limits."""

from __future__ import annotations

import pytest

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.errors import ClosedError, IncompleteMessage, PoolTimeout, ReadError, ReadTimeout, WriteTimeout
from drivetrain.engine.protocol.h2_limits import H2Limits
from drivetrain.engine.wire.h2_errors import H2Error
from drivetrain.engine.wire.headers import Headers
from tests.connection.h2_support import Duo, accept, ask, duo, echo, echo_pieces, exchange, get, meet, ok, serve

SMALL = H2Limits(stream_window=70_000, connection_window=100_000, max_frame_size=16_384)


def check_nothing_left(both: Duo) -> None:
    assert both.client.streams == {}
    assert both.server.streams == {}


@pytest.mark.parametrize("piece", [None, 1])
def test_messages_with_all_their_parts(piece: int | None) -> None:
    both = duo(piece=piece)

    async def main() -> None:
        stream = both.client.new_stream()
        assert stream.state == "idle"
        await stream.write_headers(get("/up", ("cookie", "a=1; b=2"), method="POST"), False)
        assert stream.state == "open"
        await stream.write_chunk(b"ques")
        await stream.write_chunk(b"tion")
        await stream.write_headers(Headers([("x-sum", "8")]), True)
        assert stream.state == "half closed (local)"
        theirs = await accept(both.server)
        head = await theirs.get_headers()
        assert head is not None
        assert (head.get(":path"), head.get("cookie")) == ("/up", "a=1; b=2")
        assert await theirs.get_body_as_string() == b"question"
        trailers = await theirs.get_headers()
        assert trailers is not None
        assert trailers.get("x-sum") == "8"
        assert theirs.has_trailers
        await theirs.write_headers(ok("103", ("link", "</a>")), False)
        await theirs.write_headers(ok("200"), False)
        await theirs.write_chunk(b"answer")
        await theirs.write_headers(Headers([("x-end", "1")]), True)
        statuses = [(await stream.get_headers() or ok()).get(":status") for _ in range(2)]
        assert statuses == ["103", "200"]
        assert stream.response is not None
        assert await stream.get_body_as_string() == b"answer"
        last = await stream.get_headers()
        assert last is not None
        assert last.get("x-end") == "1"
        assert await stream.get_headers() is None
        assert stream.is_over
        assert stream.state == theirs.state == "closed"

    both.run(main())
    check_nothing_left(both)


@pytest.mark.parametrize("handler", [echo, echo_pieces])
@pytest.mark.parametrize("capacity", [None, 50_000])
def test_bodies_larger_than_the_windows_both_ways(handler, capacity: int | None) -> None:
    """With the pipe full in both directions too: whoever cannot send takes what comes."""
    both = duo(SMALL, SMALL, capacity=capacity)
    body = bytes(range(256)) * 2000

    async def read(stream, into: list[bytes]) -> None:
        await stream.get_headers()
        into.append(await stream.get_body_as_string())

    async def main() -> None:
        both.backend.spawn(serve(both.server, both.backend, handler), "server")
        got: list[bytes] = []
        stream = both.client.new_stream()
        await stream.write_headers(get("/", method="POST"), False)
        reader = both.backend.spawn(read(stream, got), "reader")
        await stream.write_chunk(body, True)
        assert await reader.join(FOREVER)
        assert got[0].endswith(body)

    both.run(main())
    check_nothing_left(both)


def test_a_full_pipe_both_ways_with_one_user_at_each_end() -> None:
    """Windows far larger than the pipe: neither side may wait for the other to read first."""
    both = duo(capacity=1000)
    body = bytes(300_000)

    async def answer() -> None:
        stream = await accept(both.server)
        await stream.get_headers()
        await stream.write_message(ok(), body, FOREVER)
        assert await stream.get_body_as_string() == body

    async def main() -> None:
        task = both.backend.spawn(answer(), "server")
        assert await exchange(both.client, "/", body) == body
        assert await task.join(FOREVER)

    both.run(main())
    check_nothing_left(both)


def test_a_slow_reader_stalls_nobody_and_holds_its_window_only() -> None:
    both = duo(SMALL)

    async def big(stream) -> None:
        await stream.get_headers()
        await stream.write_message(ok(), bytes(1_000_000), FOREVER)

    async def main() -> None:
        slow = await ask(both.client)
        both.backend.spawn(big(await accept(both.server)), "big")
        await slow.get_headers()
        both.backend.spawn(serve(both.server, both.backend), "server")
        for number in range(20):
            assert await exchange(both.client, f"/{number}") == f"/{number}".encode()
        held = sum(len(data) for data, _ in slow._pieces)
        assert 0 < held <= SMALL.stream_window
        assert len(await slow.get_body_as_string()) == 1_000_000

    both.run(main())
    check_nothing_left(both)


def test_credit_of_abandoned_streams_comes_back() -> None:
    both = duo(SMALL)

    async def big(stream) -> None:
        await stream.get_headers()
        with pytest.raises(H2Error, match="CANCEL"):
            await stream.write_message(ok(), bytes(1_000_000), FOREVER)

    async def main() -> None:
        for _ in range(10):
            stream = await ask(both.client)
            task = both.backend.spawn(big(await accept(both.server)), "big")
            await stream.get_headers()
            await stream.shutdown()
            await stream.shutdown()
            with pytest.raises(ClosedError):
                await stream.get_next_chunk()
            await both.client.ping(5)
            assert await task.join(FOREVER)
        window = both.client.machine.library.inbound_flow_control_window
        assert window >= SMALL.connection_window // 2

    both.run(main())
    check_nothing_left(both)


def test_what_was_given_up_does_not_look_like_an_end() -> None:
    both = duo()

    async def main() -> None:
        both.backend.spawn(serve(both.server, both.backend), "server")
        stream = await ask(both.client, "/x")
        await stream.get_headers()
        await both.client.ping(5)
        assert stream.state == "closed"
        stream.drain_buffered()
        with pytest.raises(ClosedError):
            await stream.get_body_as_string()

    both.run(main())


def test_reset_by_the_server_leaves_siblings_alone() -> None:
    both = duo()

    async def main() -> None:
        bad = await ask(both.client, "/bad")
        (await accept(both.server)).cancel(0x2)
        both.backend.spawn(serve(both.server, both.backend), "server")
        assert await exchange(both.client, "/good") == b"/good"
        for _ in range(2):
            with pytest.raises(H2Error, match="INTERNAL_ERROR"):
                await bad.get_headers()

    both.run(main())
    check_nothing_left(both)


def test_a_timeout_of_the_reader_hands_the_role_over() -> None:
    both = duo()
    results: dict[int, object] = {}

    async def wait(number: int) -> None:
        stream = await ask(both.client, f"/{number}")
        try:
            head = await stream.get_headers(number if number % 2 else None)
            assert head is not None
            results[number] = await stream.get_body_as_string()
        except ReadTimeout:
            results[number] = "late"
            await stream.shutdown()

    async def main() -> None:
        tasks = [both.backend.spawn(wait(number), f"wait {number}") for number in range(1, 31)]
        streams = [await accept(both.server) for _ in tasks]
        await both.backend.sleep_until(both.backend.now() + 40)
        for stream in streams:
            if stream.state != "closed":
                both.backend.spawn(echo(stream), "echo")
        for task in tasks:
            assert await task.join(both.backend.now() + 100)

    both.run(main())
    assert results == {n: "late" if n % 2 else f"/{n}".encode() for n in range(1, 31)}
    check_nothing_left(both)


def test_a_cancelled_reader_hands_the_role_over() -> None:
    both = duo()
    done: list[int] = []

    async def wait(number: int) -> None:
        stream = await ask(both.client, f"/{number}")
        try:
            await stream.get_headers()
            assert await stream.get_body_as_string() == f"/{number}".encode()
            done.append(number)
        finally:
            await stream.shutdown()

    async def main() -> None:
        tasks = [both.backend.spawn(wait(number), f"wait {number}") for number in range(30)]
        streams = [await accept(both.server) for _ in tasks]
        for number in [0, 1, 2, 7, 29, 28, 3, 15]:
            tasks[number].cancel()
            await tasks[number].join(FOREVER)
        for stream in streams:
            both.backend.spawn(answer(stream), "echo")
        for task in tasks:
            assert await task.join(both.backend.now() + 100)

    async def answer(stream) -> None:
        try:
            await echo(stream)
        except H2Error:
            await stream.shutdown()

    both.run(main())
    assert sorted(done) == [n for n in range(30) if n not in (0, 1, 2, 7, 29, 28, 3, 15)]
    check_nothing_left(both)


def test_a_write_timeout_leaves_the_rest_for_the_next() -> None:
    both = duo(capacity=1000)

    async def main() -> None:
        stream = both.client.new_stream()
        stream.write_timeout = 5
        with pytest.raises(WriteTimeout):
            await stream.write_message(get("/", method="POST"), bytes(20_000), FOREVER)
        both.backend.spawn(serve(both.server, both.backend), "server")
        assert await exchange(both.client, "/next") == b"/next"
        await stream.get_headers()
        assert await stream.get_body_as_string() == b"/" + bytes(20_000)

    both.run(main())
    check_nothing_left(both)


def test_a_stream_that_cannot_send_is_late_alone() -> None:
    both = duo(server=SMALL)

    async def main() -> None:
        stream = both.client.new_stream()
        stream.write_timeout = 3
        with pytest.raises(WriteTimeout):
            await stream.write_message(get("/", method="POST"), bytes(200_000), FOREVER)
        theirs = await accept(both.server)
        await stream.shutdown()
        both.backend.spawn(serve(both.server, both.backend), "server")
        assert await exchange(both.client, "/next") == b"/next"
        await theirs.get_headers()
        with pytest.raises(H2Error, match="CANCEL"):
            await theirs.get_body_as_string()

    both.run(main())
    check_nothing_left(both)


def test_streams_queue_in_order_with_deadlines() -> None:
    both = duo(server=H2Limits(max_concurrent_streams=2))
    order: list[str] = []

    async def one(number: int) -> None:
        assert await exchange(both.client, f"/{number}") == f"/{number}".encode()

    async def main() -> None:
        await meet(both)
        first = [await ask(both.client, f"/first{number}") for number in range(2)]
        with pytest.raises(PoolTimeout):
            await both.client.new_stream().write_headers(get("/late"), True, 3)
        tasks = [both.backend.spawn(one(number), f"one {number}") for number in range(10)]
        while len(order) < 12:
            stream = await accept(both.server)
            assert len(both.server.streams) <= 2
            order.append((await stream.get_headers() or ok()).get(":path") or "")
            await stream.write_message(ok(), order[-1].encode(), FOREVER)
        for stream in first:
            assert (await stream.get_headers() or ok("0")).get(":status") == "200"
        for task in tasks:
            assert await task.join(FOREVER)

    both.run(main())
    assert order == ["/first0", "/first1", *(f"/{number}" for number in range(10))]
    assert not both.client._queue


def test_a_place_freed_by_this_side_is_noticed() -> None:
    both = duo(server=H2Limits(max_concurrent_streams=1))

    async def main() -> None:
        await meet(both)
        first = await ask(both.client, "/first")
        task = both.backend.spawn(ask(both.client, "/second"), "second")  # type: ignore[arg-type]
        await both.backend.sleep_until(both.backend.now() + 1)
        await first.shutdown()
        assert await task.join(both.backend.now() + 1)
        assert len(both.client.streams) == 1

    both.run(main())


def test_an_early_answer_ends_the_upload() -> None:
    both = duo(server=SMALL)

    async def refuse() -> None:
        stream = await accept(both.server)
        await stream.get_headers()
        await both.backend.sleep_until(both.backend.now() + 1)
        await stream.write_message(ok("413"), b"too much", FOREVER)
        await stream.shutdown()

    async def main() -> None:
        both.backend.spawn(refuse(), "server")
        stream = both.client.new_stream()
        await stream.write_headers(get("/", method="POST"), False)
        assert not await stream.write_piece_unless_answered(bytes(1_000_000), both.backend.now() + 60)
        assert (await stream.get_headers() or ok()).get(":status") == "413"
        assert await stream.get_body_as_string() == b"too much"

    both.run(main())
    check_nothing_left(both)


def test_shutdown_answers_for_a_silent_handler() -> None:
    both = duo()

    async def main() -> None:
        stream = await ask(both.client)
        theirs = await accept(both.server)
        await theirs.get_headers()
        await theirs.shutdown()
        assert (await stream.get_headers() or ok()).get(":status") == "503"
        assert await stream.get_next_chunk() is None

    both.run(main())
    check_nothing_left(both)


def test_a_body_cut_by_the_server_is_no_whole_body() -> None:
    both = duo()

    async def main() -> None:
        stream, whole = await ask(both.client), await ask(both.client)
        theirs, other = await accept(both.server), await accept(both.server)
        await theirs.write_headers(ok(), False)
        await theirs.write_chunk(b"half")
        await other.write_message(ok(), b"whole", FOREVER)
        both.server.close()
        await stream.get_headers()
        await whole.get_headers()
        assert await whole.get_body_as_string() == b"whole"
        with pytest.raises((IncompleteMessage, ReadError)):
            await stream.get_body_as_string()

    both.run(main())
    assert both.client.streams == {}


def test_a_body_may_be_waited_for_before_its_head_is_read() -> None:
    both = duo()

    async def main() -> None:
        stream = both.client.new_stream()
        await stream.write_headers(get("/", method="POST"), False)
        theirs = await accept(both.server)
        with pytest.raises(ReadTimeout):
            await theirs.get_next_chunk(5)
        await stream.write_chunk(b"x", True)
        assert await theirs.get_body_as_string(5) == b"x"
        assert await theirs.get_headers(5) is not None

    both.run(main())
