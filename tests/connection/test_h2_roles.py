"""Who reads, who sends, who waits: the reader sends what others left, and hears of what others did."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.backends.blocking import run
from drivetrain.engine.backends.memory import MemoryStream
from drivetrain.engine.errors import ClosedError, EngineError, PoolTimeout, ReadTimeout, WriteTimeout
from tests.connection.h2_support import (
    DataFrame,
    HeadersFrame,
    Peer,
    RstStreamFrame,
    WindowUpdateFrame,
    accept,
    ask,
    duo,
    exchange,
    get,
    ok,
    serve,
)
from tests.connection.test_h2_threads import Threads


async def swallow(peer: Peer, frames: list) -> None:
    """Take what the connection sends, until nothing has come for a second."""
    while True:
        try:
            peer._input += await peer.stream.receive_some(1000, peer.backend.now() + 1)
        except ReadTimeout:
            return
        frames += peer.hear()


async def begun(peer: Peer) -> None:
    """Exchange settings, with wide windows."""
    await peer.begin(initial_window_size=1 << 20)
    await peer.say(WindowUpdateFrame(0, window_increment=1 << 20))
    await peer.connection.take_input()


def test_the_reader_sends_what_a_cancelled_flusher_left() -> None:
    peer = Peer("client", capacity=2000)

    async def main() -> None:
        backend, connection = peer.backend, peer.connection
        await begun(peer)
        stream = await ask(connection)
        answer = backend.spawn(_read_head(stream), "reader")
        await backend.sleep_until(backend.now() + 1)
        upload = connection.new_stream()
        sending = backend.spawn(_post(upload, 100_000), "sender")
        await backend.sleep_until(backend.now() + 1)
        assert connection.has_output
        sending.cancel()
        assert await sending.join(FOREVER)
        upload.cancel()
        # Nobody does anything on the connection any more but the reader, who waits.
        frames: list = []
        await swallow(peer, frames)
        assert not connection.has_output
        assert sum(len(frame.data) for frame in frames if isinstance(frame, DataFrame)) == 100_000
        assert [frame.stream_id for frame in frames if isinstance(frame, RstStreamFrame)] == [3]
        await peer.say(peer.answer(1, "END_STREAM"))
        assert await answer.join(backend.now() + 5)

    peer.run(main())


async def _read_head(stream) -> None:
    assert await stream.get_headers() is not None


async def _post(stream, size: int) -> None:
    await stream.write_message(get("/", method="POST"), bytes(size), FOREVER)


def test_a_late_flusher_leaves_its_output_to_the_reader() -> None:
    peer = Peer("client", capacity=2000)

    async def main() -> None:
        backend, connection = peer.backend, peer.connection
        await begun(peer)
        stream = await ask(connection)
        answer = backend.spawn(_read_head(stream), "reader")
        upload = connection.new_stream()
        with pytest.raises(EngineError):
            await upload.write_message(get("/", method="POST"), bytes(50_000), backend.now() + 3)
        frames: list = []
        await swallow(peer, frames)
        assert sum(len(frame.data) for frame in frames if isinstance(frame, DataFrame)) == 50_000
        await peer.say(peer.answer(1, "END_STREAM"))
        assert await answer.join(backend.now() + 5)

    peer.run(main())


def test_the_readers_own_stream_is_cancelled_by_somebody_else() -> None:
    peer = Peer("client")

    async def main() -> None:
        backend = peer.backend
        await begun(peer)
        stream = await ask(peer.connection)

        async def read() -> None:
            with pytest.raises(ClosedError):
                await stream.get_headers()

        reading = backend.spawn(read(), "reader")
        await backend.sleep_until(backend.now() + 1)
        stream.cancel()
        before = backend.now()
        assert await reading.join(before + 10)
        assert backend.now() == before

    peer.run(main())


def test_who_waits_to_open_is_told_at_once_of_a_place() -> None:
    peer = Peer("client")

    async def main() -> None:
        backend, connection = peer.backend, peer.connection
        await peer.begin(max_concurrent_streams=1)
        await connection.take_input()
        first = await ask(connection)
        order: list[int] = []

        async def open_another(number: int) -> None:
            await ask(connection, f"/{number}")
            order.append(number)

        waiting = [backend.spawn(open_another(number), f"waiter {number}") for number in range(3)]
        await backend.sleep_until(backend.now() + 1)
        before = backend.now()
        for _ in range(3):
            (stream,) = connection.streams.values()
            stream.cancel()
            await backend.sleep_until(backend.now())
        for task in waiting:
            assert await task.join(before + 1)
        assert backend.now() == before
        assert order == [0, 1, 2]
        assert first.state == "closed"
        assert [frame.stream_id for frame in peer.heard(HeadersFrame)] == [1, 3, 5, 7]

    peer.run(main())


def test_one_that_gives_up_waiting_to_open_holds_up_nobody() -> None:
    peer = Peer("client")

    async def main() -> None:
        backend, connection = peer.backend, peer.connection
        await peer.begin(max_concurrent_streams=1)
        await connection.take_input()
        first = await ask(connection)
        late = connection.new_stream()
        with pytest.raises(PoolTimeout):
            await late.write_headers(get(), True, 1)
        opening = backend.spawn(_ask(connection), "waiter")
        await backend.sleep_until(backend.now() + 1)
        first.cancel()
        assert await opening.join(backend.now() + 1)

    peer.run(main())


async def _ask(connection) -> None:
    await ask(connection)


def test_many_who_wait_for_few_places() -> None:
    both = duo()
    done: list[bytes] = []

    async def one(number: int) -> None:
        done.append(await exchange(both.client, f"/{number}"))

    async def main() -> None:
        both.backend.spawn(serve(both.server, both.backend), "server")
        tasks = [both.backend.spawn(one(number), f"task {number}") for number in range(1000)]
        for task in tasks:
            assert await task.join(both.backend.now() + 100)
        assert len(done) == 1000
        assert both.client.streams == {}
        assert not both.client._waiting

    both.run(main())


def test_two_who_end_the_output_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's reader and the worker of its last stream may: the second is not left waiting for the first."""
    peer = Peer("server")
    backend = peer.backend
    send_eof = MemoryStream.send_eof

    async def send_slowly(stream: MemoryStream, deadline: float) -> None:
        await backend.sleep_until(backend.now() + 1)
        await send_eof(stream, deadline)

    async def end() -> None:
        with contextlib.suppress(ClosedError):  # it has ended
            await peer.connection.end_output(backend.now() + 60)

    async def main() -> None:
        await begun(peer)
        before = backend.now()
        for task in [backend.spawn(end(), name) for name in ("reader", "worker")]:
            assert await task.join(FOREVER)
        assert backend.now() == before + 1

    monkeypatch.setattr(MemoryStream, "send_eof", send_slowly)
    peer.run(main())


class TestThreads:
    def test_a_blocked_reader_hears_that_its_stream_was_cancelled(self) -> None:
        with Threads(handler=None) as threads:
            stream = run(ask(threads.client))
            run(accept(threads.server))
            ended: list[float] = []

            def read() -> None:
                with pytest.raises(ClosedError):
                    run(stream.get_headers(20))
                ended.append(time.monotonic())

            reader = threading.Thread(target=read, daemon=True)
            reader.start()
            while threads.client._reads_for is None:
                run(threads.backend.sleep_until(threads.backend.now() + 0.001))
            started = time.monotonic()
            stream.cancel()
            reader.join(20)
            assert ended
            assert ended[0] - started < 5

    def test_a_blocked_reader_sends_what_a_late_sender_left(self) -> None:
        size = 3 << 20
        with Threads(handler=None) as threads:
            backend, client, server = threads.backend, threads.client, threads.server
            waiting = run(ask(client))
            requested = run(accept(server))
            answers: list[bytes | None] = []

            def read() -> None:
                run(waiting.get_headers(20))
                answers.append(run(waiting.get_body_as_string(20)))

            reader = threading.Thread(target=read, daemon=True)
            reader.start()
            while client._reads_for is None:
                run(backend.sleep_until(backend.now() + 0.001))
            with client.guard:
                # As much as windows and machine would allow, were they open: PINGs fill any buffer.
                for _ in range(size // 17):
                    client.machine.library.ping(b"12345678")
                client.collect()
            # Where the reader has begun to send it already, this does not wait.
            with contextlib.suppress(WriteTimeout):
                run(client.flush_by(backend.now() + 0.05))
            assert client.has_output
            # Off the socket, and away: the server need not answer them.
            while client.has_output:
                with contextlib.suppress(ReadTimeout):
                    run(server.stream.receive_some(1 << 20, backend.now() + 0.01))
            run(requested.write_message(ok(), b"late", FOREVER))
            reader.join(20)
            assert answers == [b"late"]
