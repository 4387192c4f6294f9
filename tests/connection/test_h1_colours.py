"""The same connection class on real sockets, blocking and asyncio."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable, Coroutine

import pytest

from drivetrain.engine.backends.base import FOREVER, Backend
from drivetrain.engine.connection.h1_connection import H1Connection
from drivetrain.engine.connection.h1_server_stream import H1ServerStream
from drivetrain.engine.errors import ClosedError, ReadTimeout, WriteTimeout
from drivetrain.engine.wire.headers import Headers
from tests.connection.colours import Drive, on_both
from tests.connection.h1_support import accept, answer_one, read_answer, request, response

Exchange = Callable[[Backend, H1Connection, H1Connection], Coroutine[None, None, None]]
_EMPTY = response("200", ("content-length", "0"))


def run(drive: Drive[None], exchange: Exchange) -> None:
    async def main(backend: Backend) -> None:
        near, far = socket.socketpair()
        client = H1Connection(await backend.adopt_socket(near), backend, "client")
        server = H1Connection(await backend.adopt_socket(far), backend, "server")
        try:
            await exchange(backend, client, server)
        finally:
            client.close()
            server.close()

    drive(main)


@on_both
def test_whole_exchanges(drive: Drive[None]) -> None:
    async def exchange(backend: Backend, client: H1Connection, server: H1Connection) -> None:
        for number in range(3):
            stream = client.new_stream()
            await stream.write_headers(request("POST", f"/{number}"), False)
            await stream.write_chunk(b"ques")
            await stream.write_chunk(b"tion")
            await stream.write_headers(Headers([("x-sum", "8")]), True)
            theirs = await accept(server, 5)
            head = await theirs.get_headers()
            assert head is not None
            assert head.get(":path") == f"/{number}"
            assert await theirs.get_body_as_string(5) == b"question"
            trailers = await theirs.get_headers()
            assert trailers is not None
            assert trailers.get("x-sum") == "8"
            await theirs.write_headers(response("103"), False)
            await answer_one(theirs)
            assert await read_answer(stream, 5) == ("200", b"hello")
            assert client.is_usable()
        assert client.pollfd() == client.stream.fileno()
        assert client.events() == "r"

    run(drive, exchange)


@on_both
def test_time_limits_leave_the_calls_repeatable(drive: Drive[None]) -> None:
    async def exchange(backend: Backend, client: H1Connection, server: H1Connection) -> None:
        with pytest.raises(ReadTimeout):
            await server.get_next_incoming_stream(0.01)
        stream = client.new_stream()
        await stream.write_headers(request("PUT", "/", ("content-length", "4"), ("expect", "100-continue")), False)
        with pytest.raises(ReadTimeout):
            await stream.get_headers(0.01)
        theirs = await accept(server, 5)
        with pytest.raises(ReadTimeout):
            await theirs.get_next_chunk(0.01)
        head = await stream.get_headers(5)
        assert head is not None
        assert head.get(":status") == "100"
        await stream.write_chunk(b"bo")
        with pytest.raises(ReadTimeout):
            await theirs.get_body_as_string(0.01)
        await stream.write_chunk(b"dy", True)
        assert await theirs.get_body_as_string(5) == b"body"
        await answer_one(theirs)
        assert await read_answer(stream, 5) == ("200", b"hello")

    run(drive, exchange)


@on_both
def test_what_the_system_does_not_take_waits_in_the_outbox(drive: Drive[None]) -> None:
    size = 8 * 1024 * 1024

    async def exchange(backend: Backend, client: H1Connection, server: H1Connection) -> None:
        stream = client.new_stream()
        await stream.write_headers(request("PUT", "/", ("content-length", str(size))), False)
        with pytest.raises(WriteTimeout):
            await stream.write_body_from_string(bytes(size), 0.02)
        assert client.events() == "rw"
        received = 0

        async def read() -> None:
            nonlocal received
            theirs = await accept(server, 5)
            while (piece := await theirs.get_next_chunk(5)) is not None:
                received += len(piece)
            await theirs.write_headers(_EMPTY, True)

        reader = backend.spawn(read(), "server")
        await client.flush(5)
        assert await read_answer(stream, 5) == ("200", b"")
        assert await reader.join(backend.now() + 5)
        assert received == size
        assert client.is_usable()

    run(drive, exchange)


@on_both
def test_three_pipelined_requests_answered_out_of_order(drive: Drive[None]) -> None:
    async def exchange(backend: Backend, client: H1Connection, server: H1Connection) -> None:
        async def handle(stream: H1ServerStream, number: int) -> None:
            await answer_one(stream, b"answer %d" % number)

        async def read(number: int) -> None:
            results[number] = await read_answer(streams[number], 5)

        results: dict[int, tuple[str, bytes]] = {}
        streams = [client.new_stream() for _ in range(3)]
        for number, stream in enumerate(streams):
            await stream.write_headers(request("GET", f"/{number}"), True, 5)
        theirs = [await accept(server, 5) for _ in range(3)]
        tasks = [backend.spawn(handle(theirs[number], number), f"handler {number}") for number in (2, 1, 0)]
        tasks += [backend.spawn(read(number), f"reader {number}") for number in (2, 1, 0)]
        for task in tasks:
            assert await task.join(backend.now() + 5)
        assert results == {number: ("200", b"answer %d" % number) for number in range(3)}
        assert client.is_usable()

    run(drive, exchange)


@on_both
def test_many_writers_never_mix_their_bytes(drive: Drive[None]) -> None:
    async def exchange(backend: Backend, client: H1Connection, server: H1Connection) -> None:
        async def ask(number: int) -> None:
            stream = client.new_stream()
            body = bytes([number]) * 50_000
            await stream.write_headers(request("PUT", f"/{number}", ("content-length", "50000")), False, 5)
            await stream.write_chunk(body[:20_000], False, 5)
            await stream.write_chunk(body[20_000:], True, 5)
            assert await read_answer(stream, 5) == ("200", b"")
            done.append(number)

        done: list[int] = []
        tasks = [backend.spawn(ask(number), f"client {number}") for number in range(8)]
        for _ in range(8):
            theirs = await accept(server, 5)
            head = await theirs.get_headers()
            assert head is not None
            number = int((head.get(":path") or "")[1:])
            assert await theirs.get_body_as_string(5) == bytes([number]) * 50_000
            await theirs.write_headers(_EMPTY, True, 5)
        for task in tasks:
            assert await task.join(backend.now() + 5)
        assert sorted(done) == list(range(8))

    run(drive, exchange)


@on_both
def test_an_early_answer_stops_an_upload(drive: Drive[None]) -> None:
    async def exchange(backend: Backend, client: H1Connection, server: H1Connection) -> None:
        stream = client.new_stream()
        await stream.write_headers(request("PUT"), False)
        theirs = await accept(server, 5)
        await theirs.write_headers(response("413", ("content-length", "2")), False)
        await theirs.write_chunk(b"no", True)
        # No server reads this; the buffers in between are finite.
        while await stream.write_piece_unless_answered(bytes(1 << 20), backend.now() + 5):
            pass
        assert await read_answer(stream, 5) == ("413", b"no")
        assert not client.is_usable()

    run(drive, exchange)


@on_both
def test_the_end_of_the_peer(drive: Drive[None]) -> None:
    async def exchange(backend: Backend, client: H1Connection, server: H1Connection) -> None:
        stream = client.new_stream()
        await stream.write_headers(request("GET", "/", ("connection", "close")), True)
        theirs = await accept(server, 5)
        await theirs.write_headers(response(), False)
        await theirs.write_body_from_file(io.BytesIO(b"until the end"))
        assert await read_answer(stream, 5) == ("200", b"until the end")
        assert await server.get_next_incoming_stream(5) is None
        assert not client.is_usable()

    run(drive, exchange)


@on_both
def test_line_by_line_and_take_socket(drive: Drive[None]) -> None:
    async def exchange(backend: Backend, client: H1Connection, server: H1Connection) -> None:
        await client.write_request_line("GET", "/", 1.1)
        await client.write_header("Host", "a")
        await client.write_headers_done(5)
        assert await server.read_request_line(5) == ("GET", "/", 1.1)
        assert not await server.read_headers_done(5)
        assert await server.read_header(5) == ("Host", "a")
        assert await server.read_headers_done(5)
        with pytest.raises(ReadTimeout):
            await server.read_body_by_length(1, 0.01)
        await server.write_body_chunk(b"chunk", 5)
        await server.write_body_plain(b"beyond")
        assert await client.read_body_chunk(5) == (b"chunk", None)
        taken = client.take_socket()
        assert taken is not None
        try:
            data = b""
            while len(data) < 6:
                data += await taken.receive_some(100, backend.now() + 5)
            assert data == b"beyond"
        finally:
            taken.close()
        with pytest.raises(ClosedError):
            await client.read_header(5)

    run(drive, exchange)


@on_both
def test_close_wakes_those_who_wait_for_their_turn(drive: Drive[None]) -> None:
    async def exchange(backend: Backend, client: H1Connection, server: H1Connection) -> None:
        caught: list[type[BaseException]] = []

        async def wait() -> None:
            stream = client.new_stream()
            try:
                await stream.write_headers(request(), True)
            except ClosedError as error:
                caught.append(type(error))

        first = client.new_stream()
        await first.write_headers(request("PUT"), False)
        task = backend.spawn(wait(), "second")
        while not client.waiters:
            await backend.sleep_until(backend.now() + 0.001)
        client.close()
        assert await task.join(backend.now() + 5)
        assert caught == [ClosedError]

    run(drive, exchange)


@on_both
def test_shutdown_of_both_sides(drive: Drive[None]) -> None:
    async def exchange(backend: Backend, client: H1Connection, server: H1Connection) -> None:
        stream = client.new_stream()
        await stream.write_headers(request(), True)
        await accept(server, 5)
        await server.shutdown(timeout=5)
        assert await read_answer(stream, 5) == ("503", b"")
        while client.is_usable():  # an event loop hears of the end in its next round
            await backend.sleep_until(backend.now() + 0.001)
        await client.shutdown(timeout=5)
        assert await server.stream.receive_some(1, FOREVER) == b""

    run(drive, exchange)
