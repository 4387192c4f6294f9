"""One HTTP/2 connection shared by many threads, or many tasks, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable

from drivetrain.engine.backends.asyncio_ import AsyncioBackend
from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.backends.blocking import BlockingBackend, run
from drivetrain.engine.connection.h2_connection import H2Connection
from drivetrain.engine.errors import ClosedError, ReadTimeout
from drivetrain.engine.protocol.h2_limits import H2Limits
from tests.connection.h2_support import accept, ask, echo, echo_pieces, exchange, ok, serve

JOIN = 20


class Threads:
    """A client and a server on a socket pair; the server answers each request in a thread."""

    def __init__(self, limits: H2Limits | None = None, handler: object = echo) -> None:
        self.backend = BlockingBackend()
        near, far = socket.socketpair()
        self.client = H2Connection(run(self.backend.adopt_socket(near)), self.backend, "client", limits or H2Limits())
        self.server = H2Connection(run(self.backend.adopt_socket(far)), self.backend, "server", limits or H2Limits())
        self.handler = handler
        self.task = None

    def __enter__(self) -> Threads:
        if self.handler is not None:
            self.task = self.backend.spawn(serve(self.server, self.backend, self.handler), "server")
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()
        self.server.close()
        if self.task is not None:
            run(self.task.join(FOREVER))

    @staticmethod
    def each(count: int, work: Callable[[int], None]) -> None:
        faults: list[BaseException] = []

        def guarded(number: int) -> None:
            try:
                work(number)
            except BaseException as error:
                faults.append(error)

        threads = [threading.Thread(target=guarded, args=(number,), daemon=True) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(JOIN)
        assert not any(thread.is_alive() for thread in threads), "a wake-up was lost"
        assert not faults, faults[0]


def test_many_threads() -> None:
    with Threads() as both:

        def work(number: int) -> None:
            for turn in range(20):
                path = f"/{number}-{turn}"
                assert run(exchange(both.client, path, b"x" * number if number % 2 else None)).startswith(path.encode())

        both.each(100, work)
        assert both.client.requests == 2000
        run(both.client.ping(5))
        assert both.client.streams == {}
        assert both.server.streams == {}


def test_a_limit_of_streams_is_obeyed_by_threads() -> None:
    with Threads(H2Limits(max_concurrent_streams=3)) as both:
        run(both.client.ping(5))

        def work(number: int) -> None:
            for turn in range(5):
                assert run(exchange(both.client, f"/{number}-{turn}")) == f"/{number}-{turn}".encode()

        both.each(30, work)
        assert both.client.streams == {}


def test_large_bodies_both_ways_in_threads() -> None:
    body = bytes(range(256)) * 4000
    limits = H2Limits(stream_window=100_000, connection_window=300_000)
    with Threads(limits) as both:

        def work(number: int) -> None:
            assert run(exchange(both.client, f"/{number}", body)) == f"/{number}".encode() + body

        both.each(8, work)


def test_pieces_echoed_while_they_are_sent() -> None:
    body = bytes(range(256)) * 4700  # more than either window with its credit would be the program's own deadlock
    with Threads(handler=echo_pieces) as both:

        def work(number: int) -> None:
            assert run(exchange(both.client, f"/{number}", body)) == body

        # Sockets and windows fill up in both directions: neither end reads only after it has sent.
        both.each(1, work)


def test_time_limits_of_some_harm_no_others() -> None:
    with Threads(handler=None) as both:
        late = threading.Semaphore(0)

        def work(number: int) -> None:
            stream = run(ask(both.client, f"/{number}"))
            if number % 2:
                try:
                    run(stream.get_headers(0.01 * (number % 5)))
                except ReadTimeout:
                    run(stream.shutdown())
                    late.release()
            else:
                assert run(stream.get_headers(JOIN)) is not None
                assert run(stream.get_body_as_string(JOIN)) == b"fine"

        def answer() -> None:
            streams = []
            while len(streams) < 30:
                stream = run(accept(both.server))
                head = run(stream.get_headers())
                if int((head or ok()).get(":path", "/0")[1:]) % 2 == 0:
                    streams.append(stream)
            for _ in range(30):
                late.acquire()
            for stream in streams:
                run(stream.write_message(ok(), b"fine", FOREVER))

        server = threading.Thread(target=answer, daemon=True)
        server.start()
        both.each(60, work)
        server.join(JOIN)
        assert both.client.streams == {}


def test_close_from_another_thread() -> None:
    with Threads(handler=None) as both:
        waiting = threading.Barrier(21)
        ended = []

        def work(number: int) -> None:
            if number == 20:
                waiting.wait()
                both.client.close()
                return
            stream = run(ask(both.client))
            waiting.wait()
            try:
                run(stream.get_headers())
            except ClosedError:
                ended.append(number)

        both.each(21, work)
        assert len(ended) == 20


async def _pair(limits: H2Limits) -> tuple[AsyncioBackend, H2Connection, H2Connection]:
    backend = AsyncioBackend()
    near, far = socket.socketpair()
    client = H2Connection(await backend.adopt_socket(near), backend, "client", limits)
    return backend, client, H2Connection(await backend.adopt_socket(far), backend, "server", limits)


def test_many_tasks_some_of_them_cancelled() -> None:
    async def one(client: H2Connection, number: int) -> bytes:
        stream = await ask(client, f"/{number}", b"b" * number)
        try:
            await stream.get_headers()
            return await stream.get_body_as_string()
        finally:
            await stream.shutdown()

    async def answer(stream) -> None:
        try:
            await echo(stream)
        except Exception:
            await stream.shutdown()

    async def main() -> None:
        backend, client, server = await _pair(H2Limits(max_concurrent_streams=50, max_resets=1000))
        task = backend.spawn(serve(server, backend, answer), "server")
        await client.ping(5)
        tasks = [asyncio.ensure_future(one(client, number)) for number in range(500)]
        for turn in range(8):
            await asyncio.sleep(0)
            for number in range(turn, 500, 11):
                tasks[number].cancel()
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), JOIN)
        for number, result in enumerate(results):
            if not isinstance(result, asyncio.CancelledError):
                assert result == f"/{number}".encode() + b"b" * number
        assert sum(isinstance(result, bytes) for result in results) > 100
        await client.ping(5)
        assert client.streams == {}
        assert server.streams == {}
        assert not client._waiting
        client.close()
        server.close()
        assert await task.join(backend.now() + 5)

    asyncio.run(main())


def test_large_bodies_both_ways_in_tasks() -> None:
    body = bytes(range(256)) * 8000

    async def main() -> None:
        backend, client, server = await _pair(H2Limits(stream_window=100_000, connection_window=300_000))
        task = backend.spawn(serve(server, backend), "server")
        results = await asyncio.wait_for(asyncio.gather(*(exchange(client, "/", body) for _ in range(4))), JOIN)
        assert all(result == b"/" + body for result in results)
        client.close()
        server.close()
        assert await task.join(backend.now() + 5)

    asyncio.run(main())
