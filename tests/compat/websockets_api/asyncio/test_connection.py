"""An asyncio connection in use: receiving and sending."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from drivetrain.compat.websockets_api.asyncio.client import connect
from drivetrain.compat.websockets_api.exceptions import (
    ConcurrencyError,
    ConnectionClosedError,
)
from drivetrain.compat.websockets_api.protocol import State
from drivetrain.engine import AsyncWebSocket
from tests.compat.websockets_api.asyncio.support import by_hand, echo, frame, opened, pause, raw, run, serving
from tests.support.websocket_raw import accept_raw

# --- receiving --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["deflate", None])
@pytest.mark.parametrize("message", ["", "text ü", b"", b"\x00\xff", "ä" * 200_000, bytes(300_000)])
def test_messages_come_back(message: Any, compression: str | None) -> None:
    async def main() -> None:
        async with opened(compression=compression) as websocket:
            await websocket.send(message)
            assert await websocket.recv() == message

    run(main())


@pytest.mark.parametrize("sent", ["täxt", "täxt".encode()])
@pytest.mark.parametrize(("decode", "kind"), [(True, str), (False, bytes), (None, None)])
def test_decode_says_what_a_message_is_received_as(sent: Any, decode: bool | None, kind: type | None) -> None:
    async def main() -> None:
        async with opened() as websocket:
            for receive in (websocket.recv, lambda decode: anext(websocket.recv_streaming(decode))):
                await websocket.send(sent)
                message = await receive(decode)
                assert type(message) is (kind or type(sent))
                assert (message if isinstance(message, bytes) else message.encode()) == "täxt".encode()

    run(main())


def test_two_may_not_receive() -> None:
    async def main() -> None:
        async with opened() as websocket:
            first = asyncio.create_task(websocket.recv())
            await pause(0.01)
            text = "while another coroutine is already running recv or recv_streaming"
            with pytest.raises(ConcurrencyError, match=f"cannot call recv {text}"):
                await websocket.recv()
            with pytest.raises(ConcurrencyError, match=f"cannot call recv_streaming {text}"):
                await anext(websocket.recv_streaming())
            await websocket.send("x")
            assert await first == "x"
            await websocket.send("y")
            assert await websocket.recv() == "y"

    run(main())


def test_cancelling_a_receive_loses_nothing() -> None:
    async def main() -> None:
        async with opened() as websocket:
            received = []
            for number in range(200):
                task = asyncio.create_task(websocket.recv())
                await websocket.send(str(number))
                for _ in range(number % 7):
                    await asyncio.sleep(0)
                task.cancel()
                try:
                    received.append(await task)
                except asyncio.CancelledError:
                    continue
            while len(received) < 200:
                received.append(await websocket.recv())
            assert received == [str(number) for number in range(200)]

    run(main())


def test_cancelling_in_the_middle_of_a_message_loses_nothing() -> None:
    def handler(connection: socket.socket) -> None:
        by_hand(frame(1, b"a", 0))(connection)

    async def main(uri: str) -> None:
        async with connect(uri, proxy=None) as websocket:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(websocket.recv(), 0.05)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(websocket.recv(), 0.05)
            assert await anext(websocket.recv_streaming()) == "a"

    with raw(handler) as uri:
        run(main(uri))


class TestStreaming:
    def test_whole_frames_come_one_by_one(self) -> None:
        data = frame(1, b"a", 0) + frame(0, b"", 0) + frame(0, b"b" * 60_000, 0) + frame(0, b"c")

        async def main(uri: str) -> None:
            async with connect(uri, proxy=None, compression=None) as websocket:
                assert [part async for part in websocket.recv_streaming()] == ["a", "", "b" * 60_000, "c"]

        with raw(by_hand(data)) as uri:
            run(main(uri))

    def test_a_frame_of_many_reads_is_one(self) -> None:
        async def handle(websocket: AsyncWebSocket) -> None:
            await websocket.send(bytes(1_000_000))
            await echo(websocket)

        async def main() -> None:
            async with opened(handle, compression=None) as websocket:
                assert [len(part) async for part in websocket.recv_streaming()] == [1_000_000]

        run(main())

    def test_characters_across_frames(self) -> None:
        first, second = "ü".encode()[:1], "ü".encode()[1:]
        data = (frame(1, first, 0) + frame(0, second)) * 2 + frame(2, first, 0) + frame(0, second)

        async def main(uri: str) -> None:
            async with connect(uri, proxy=None) as websocket:
                assert "".join([part async for part in websocket.recv_streaming()]) == "ü"
                assert b"".join([part async for part in websocket.recv_streaming(False)]) == "ü".encode()
                assert [part async for part in websocket.recv_streaming(True)] == ["", "ü"]

        with raw(by_hand(data)) as uri:
            run(main(uri))

    def test_nothing_else_is_received_before_its_end(self) -> None:
        async def main(uri: str) -> None:
            async with connect(uri, proxy=None) as websocket:
                frames = websocket.recv_streaming()
                assert await anext(frames) == "a"
                with pytest.raises(ConcurrencyError):
                    await websocket.recv()
                with pytest.raises(ConcurrencyError):
                    await anext(websocket.recv_streaming())
                with pytest.raises(ConcurrencyError):
                    await anext(aiter(websocket))
                assert [part async for part in frames] == ["b"]
                assert await websocket.recv() == "next"

        with raw(by_hand(frame(1, b"a", 0) + frame(0, b"b") + frame(1, b"next"))) as uri:
            run(main(uri))

    def test_cancelling_before_the_first_frame_is_safe(self) -> None:
        async def main() -> None:
            async with opened() as websocket:
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(anext(websocket.recv_streaming()), 0.02)
                await websocket.send("x")
                assert await websocket.recv() == "x"

        run(main())

    def test_an_iterator_that_is_given_up(self) -> None:
        async def main(uri: str) -> None:
            async with connect(uri, proxy=None) as websocket:
                frames: Any = websocket.recv_streaming()
                await anext(frames)
                await frames.aclose()
                assert [part async for part in frames] == []
                with pytest.raises(ConcurrencyError):
                    await websocket.recv()

        with raw(by_hand(frame(1, b"a", 0) + frame(0, b"b"))) as uri:
            run(main(uri))


# --- sending ----------------------------------------------------------------------------------------------------------


async def items(*values: Any) -> AsyncIterator[Any]:
    for value in values:
        yield value


async def telling(websocket: AsyncWebSocket) -> None:
    """Tell of each message what its frames were."""
    while True:
        pieces: list[Any] = []
        while not pieces or websocket.core.is_mid_message:
            piece = await websocket.core.receive_piece()
            if piece is None:
                return
            pieces.append(piece.data)
        await websocket.send(repr(pieces))


@pytest.mark.parametrize(
    ("message", "text", "frames"),
    [
        ("a", None, ["a"]),
        ("a", True, ["a"]),
        ("a", False, [b"a"]),
        (b"a", None, [b"a"]),
        (b"a", False, [b"a"]),
        (b"a", True, ["a"]),
        (bytearray(b"a"), None, [b"a"]),
        (memoryview(b"abc")[1:], True, ["bc"]),
        (["a", "b"], None, ["a", "b", ""]),
        (["a", "b"], False, [b"a", b"b", b""]),
        (("a",), None, ["a", ""]),
        ([b"a", bytearray(b"b"), memoryview(b"c")], None, [b"a", b"b", b"c", b""]),
        ([b"a", b"b"], True, ["a", "b", ""]),
        (items("a", "b"), None, ["a", "b", ""]),
        (items(b"a"), True, ["a", ""]),
        ({"a": 1}.keys(), None, ["a", ""]),
    ],
)
def test_what_is_sent(message: Any, text: bool | None, frames: list[Any]) -> None:
    async def main() -> None:
        async with opened(telling, compression=None) as websocket:
            await websocket.send(message, text=text)
            assert await websocket.recv() == repr(frames)

    run(main())


@pytest.mark.parametrize("message", [[], (), items()])
def test_of_nothing_nothing_is_sent(message: Any) -> None:
    async def main() -> None:
        async with opened(telling) as websocket:
            await websocket.send(message)
            await websocket.send("x")
            assert await websocket.recv() == "['x']"

    run(main())


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"a": "b"}, "data is a dict-like object"),
        (1, "data must be str, bytes, iterable, or async iterable"),
        (None, "data must be str, bytes, iterable, or async iterable"),
    ],
)
def test_what_is_no_message_is_not_sent(message: Any, text: str) -> None:
    async def main() -> None:
        async with opened() as websocket:
            with pytest.raises(TypeError, match=text):
                await websocket.send(message)
            await websocket.send("x")
            assert await websocket.recv() == "x"

    run(main())


@pytest.mark.parametrize(
    ("message", "text", "error"),
    [(b"\xff", True, UnicodeDecodeError), ("\ud800", None, UnicodeEncodeError), ("\ud800", False, UnicodeEncodeError)],
)
def test_text_that_is_none_is_not_sent(message: Any, text: bool | None, error: type[Exception]) -> None:
    async def main() -> None:
        async with opened() as websocket:
            with pytest.raises(error):
                await websocket.send(message, text=text)
            await websocket.send("x")
            assert await websocket.recv() == "x"
            with pytest.raises(error):
                await websocket.send(["a", message] if text is None else [message], text=text)
            assert websocket.state is State.CLOSED

    run(main())


@pytest.mark.parametrize(
    ("message", "error", "text"),
    [
        (["a", b"b"], TypeError, "^iterable must contain uniform types"),
        ([1], TypeError, "^iterable must contain bytes or str"),
        (items(b"a", "b"), TypeError, "async iterable must contain uniform types"),
        (items(1), TypeError, "async iterable must contain bytes or str"),
        ((1 // number for number in (1, 0)), TypeError, "iterable must contain bytes or str"),
        (("x" * (1 // number) for number in (1, 0)), ZeroDivisionError, "division"),
    ],
)
def test_a_message_that_breaks_off_closes_the_connection(message: Any, error: type[Exception], text: str) -> None:
    async def main() -> None:
        async with serving() as served, connect(served.uri, proxy=None) as websocket:
            with pytest.raises(error, match=text):
                await websocket.send(message)
            assert websocket.state is State.CLOSED
            with pytest.raises(ConnectionClosedError) as caught:
                await websocket.recv()
            assert caught.value.sent is not None
            assert (caught.value.sent.code, caught.value.sent.reason) == (1011, "error in fragmented message")

    run(main())


def test_a_cancelled_message_in_fragments_closes_the_connection() -> None:
    async def parts() -> AsyncIterator[str]:
        yield "a"
        await pause(10)
        yield "b"

    async def main() -> None:
        async with opened() as websocket:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(websocket.send(parts()), 0.05)
            with pytest.raises(ConnectionClosedError):
                await websocket.send("x")
            assert websocket.state is State.CLOSED

    run(main())


def test_other_messages_wait_for_the_end_of_one_in_fragments() -> None:
    async def main() -> None:
        async with opened(telling, compression=None) as websocket:
            others = []

            async def parts() -> AsyncIterator[str]:
                yield "a"
                others.append(asyncio.create_task(websocket.send("second")))
                others.append(asyncio.create_task(websocket.send(["third"])))
                await pause(0.02)
                assert not any(task.done() for task in others)
                await (await websocket.ping())
                yield "b"

            await websocket.send(parts())
            await asyncio.gather(*others)
            assert [await websocket.recv() for _ in range(3)] == ["['a', 'b', '']", "['second']", "['third', '']"]

    run(main())


def test_senders_wait_for_a_peer_that_does_not_read() -> None:
    async def main(uri: str) -> None:
        async with connect(uri, proxy=None, compression=None, write_limit=1024, close_timeout=0.1) as websocket:
            sending = asyncio.gather(*(websocket.send(bytes(100_000)) for _ in range(200)), return_exceptions=True)
            await pause(0.3)
            assert not sending.done()
            assert websocket.transport.get_write_buffer_size() > 1024
            assert websocket.transport.get_write_buffer_limits() == (256, 1024)
        assert any(isinstance(error, ConnectionClosedError) for error in await sending)
        left.set()
        await pause(0.1)  # what the transport has is still being sent

    def accepting(connection: socket.socket) -> None:
        accept_raw(connection)
        left.wait(10)

    left = threading.Event()
    with raw(accepting) as uri:
        try:
            run(main(uri))
        finally:
            left.set()
