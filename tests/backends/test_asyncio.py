"""What the asyncio backend has of its own: its timer, back-pressure, transports, misuse."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from drivetrain.engine.backends.asyncio_ import AsyncioBackend
from drivetrain.engine.backends.asyncio_.stream import AsyncioStream
from drivetrain.engine.backends.base import FOREVER, ByteStream
from drivetrain.engine.errors import ReadError, ReadTimeout, WriteError
from tests.backends.contract import noise, receive_until_end
from tests.backends.harness import run_on_loop, uvloop_loop

backend = AsyncioBackend()
Body = Callable[[ByteStream, socket.socket], Coroutine[Any, Any, None]]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop_loop], ids=["asyncio", "uvloop"])
def with_peer(request: pytest.FixtureRequest) -> Callable[[Body], None]:
    """Run a body with a stream and the bare socket at its other end."""

    def run(body: Body) -> None:
        async def main() -> None:
            one, two = socket.socketpair()
            stream = await backend.adopt_socket(one)
            try:
                await body(stream, two)
            finally:
                stream.close()
                two.close()

        run_on_loop(request.param, main())

    return run


def test_buffered_input_comes_without_suspending(with_peer: Callable[[Body], None]) -> None:
    async def body(stream: ByteStream, peer: socket.socket) -> None:
        peer.send(b"abc")
        assert await stream.receive_some(1, FOREVER) == b"a"
        for expected in (b"b", b"c"):
            with pytest.raises(StopIteration) as caught:
                stream.receive_some(1, FOREVER).send(None)
            assert caught.value.value == expected

    with_peer(body)


def test_one_timer_for_many_reads(with_peer: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(stream: ByteStream, peer: socket.socket) -> None:
        assert isinstance(stream, AsyncioStream)
        armed: list[float] = []
        arm = stream._arm

        def counting(deadline: float) -> None:
            armed.append(deadline)
            arm(deadline)

        monkeypatch.setattr(AsyncioStream, "_arm", lambda self, deadline: counting(deadline))
        for _ in range(20):
            asyncio.get_running_loop().call_soon(peer.send, b"x")
            assert await stream.receive_some(1, backend.now() + 10) == b"x"
        assert len(armed) == 1
        with pytest.raises(ReadTimeout):
            await stream.receive_some(1, backend.now() + 0.01)
        assert len(armed) == 2

    with_peer(body)


def test_reading_pauses_while_nobody_takes(with_peer: Callable[[Body], None]) -> None:
    async def body(stream: ByteStream, peer: socket.socket) -> None:
        peer.setblocking(False)
        data = noise(8 << 20)
        sent = 0
        idle = 0
        while idle < 50:  # until the system and the stream are full
            try:
                sent += peer.send(data[sent : sent + 65536])
                idle = 0
            except BlockingIOError:
                idle += 1
                await asyncio.sleep(0)
        assert sent < len(data)
        got = b""
        while len(got) < sent:
            got += await stream.receive_some(100_000, FOREVER)
        peer.shutdown(socket.SHUT_WR)
        assert got + await receive_until_end(stream) == data[:sent]

    with_peer(body)


def test_many_small_pieces_count_for_what_they_cost(with_peer: Callable[[Body], None]) -> None:
    async def body(stream: ByteStream, peer: socket.socket) -> None:
        assert isinstance(stream, AsyncioStream)
        count = 0
        while not stream._paused:
            assert count < 10_000
            stream.get_buffer(-1)[:1] = b"x"  # as the loop does it for a peer that sends byte by byte
            stream.buffer_updated(1)
            count += 1
        assert count > 1_000
        peer.send(b"end")
        got = b""
        while len(got) < count + 3:
            got += await stream.receive_some(100, FOREVER)
        assert got == b"x" * count + b"end"
        assert stream._held == 0

    with_peer(body)


def test_two_receivers_are_refused(with_peer: Callable[[Body], None]) -> None:
    async def body(stream: ByteStream, peer: socket.socket) -> None:
        task = asyncio.ensure_future(stream.receive_some(1, FOREVER))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="two tasks"):
            await stream.receive_some(1, FOREVER)
        peer.send(b"x")
        assert await task == b"x"

    with_peer(body)


def test_an_uncaught_error_of_a_task_reaches_the_loops_handler() -> None:
    seen: list[BaseException | None] = []

    async def fail() -> None:
        raise KeyError("lost")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context.get("exception")))
        task = backend.spawn(fail(), "failing")
        assert await task.join(FOREVER)
        del task
        await asyncio.sleep(0)

    asyncio.run(main())
    assert [type(error) for error in seen] == [KeyError]


def test_a_cancelled_call_in_a_thread_is_left_alone() -> None:
    async def main() -> None:
        gate = threading.Event()
        task = asyncio.ensure_future(backend.run_blocking(gate.wait, FOREVER))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.set()

    asyncio.run(main())


def test_a_call_that_outlives_its_loop_is_quiet() -> None:
    gate = threading.Event()
    before = set(threading.enumerate())

    async def main() -> None:
        backend_call = asyncio.ensure_future(backend.run_blocking(gate.wait, FOREVER))
        await asyncio.sleep(0)
        backend_call.cancel()

    asyncio.run(main())
    gate.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


def test_unsent_output_does_not_keep_a_closed_stream_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivetrain.engine.backends.asyncio_.stream._LINGER", 0.02)

    async def main() -> None:
        one, two = socket.socketpair()
        stream = await backend.adopt_socket(one)
        with pytest.raises(WriteError):
            while True:
                try:
                    await stream.send_some(bytes(200_000), backend.now() + 0.01)
                except TimeoutError:
                    stream.close()
        for _ in range(1000):
            if one.fileno() == -1:
                break
            await backend.sleep_until(backend.now() + 0.002)
        assert one.fileno() == -1
        two.close()

    asyncio.run(main())


def test_the_loops_end_is_not_a_hang() -> None:
    async def main() -> None:
        one, two = socket.socketpair()
        stream = await backend.adopt_socket(one)
        task = backend.spawn(reading(stream), "reader")
        await asyncio.sleep(0)
        two.close()
        assert await task.join(FOREVER)
        stream.close()

    async def reading(stream: ByteStream) -> None:
        assert await stream.receive_some(1, FOREVER) == b""
        with pytest.raises(ReadError):
            stream.close()
            await stream.receive_some(1, FOREVER)

    asyncio.run(main())
    assert isinstance(backend, AsyncioBackend)
