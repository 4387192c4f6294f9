"""How an asyncio connection ends, and what those who use it are told."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from drivetrain.compat.websockets_api.asyncio.client import connect
from drivetrain.compat.websockets_api.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    PayloadTooBig,
    ProtocolError,
)
from drivetrain.compat.websockets_api.protocol import State
from drivetrain.engine import AsyncWebSocket
from tests.compat.websockets_api.asyncio.support import by_hand, echo, frame, hanging, opened, pause, raw, run, serving
from tests.support.websocket_raw import accept_raw, read_frame


def ending(websocket: Any) -> tuple[Any, ...]:
    """What the exception of a closed connection says."""
    exc = websocket.close_exc
    sides = [None if close is None else (close.code, close.reason) for close in (exc.rcvd, exc.sent)]
    return (type(exc), *sides, exc.rcvd_then_sent)


def cut(connection: socket.socket) -> None:
    """Agree, and end the connection without a word."""
    accept_raw(connection)


def reset(connection: socket.socket) -> None:
    """Agree, wait for something, and have the system reset the connection."""
    accept_raw(connection)
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# --- by this side -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        ((), (1000, "")),
        ((1001,), (1001, "")),
        ((1000, "bye"), (1000, "bye")),
        ((3000, "ü" * 61), (3000, "ü" * 61)),
        ((4999,), (4999, "")),
        ((None,), (1005, "")),
    ],
)
def test_close(arguments: tuple[Any, ...], seen: tuple[int, str]) -> None:
    async def main() -> None:
        async with serving() as served:
            websocket = await connect(served.uri, proxy=None)
            await websocket.close(*arguments)
            assert websocket.state is State.CLOSED
            kind = ConnectionClosedOK if seen[0] in (1000, 1001, 1005) else ConnectionClosedError
            assert ending(websocket) == (kind, seen, seen, False)
            await websocket.close(1008, "again")  # does nothing
            assert websocket.close_code == seen[0]
        assert served.ends == [seen]

    run(main())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((999,), "invalid status code"),
        ((1005,), "invalid status code"),
        ((1006,), "invalid status code"),
        ((1015,), "invalid status code"),
        ((5000,), "invalid status code"),
        ((1000, "x" * 124), "control frame too long"),
        ((None, "why"), "cannot send a reason without a code"),
    ],
)
def test_a_close_that_cannot_be_sent_changes_nothing(arguments: tuple[Any, ...], text: str) -> None:
    async def main() -> None:
        async with opened() as websocket:
            with pytest.raises(ProtocolError, match=text):
                await websocket.close(*arguments)
            await websocket.send("x")
            assert await websocket.recv() == "x"

    run(main())


@pytest.mark.parametrize(("error", "code"), [(None, 1000), (ValueError, 1011), (asyncio.CancelledError, 1011)])
def test_leaving_the_context_closes(error: type[BaseException] | None, code: int) -> None:
    async def main() -> None:
        async with serving() as served:
            with pytest.raises(error) if error is not None else contextlib.nullcontext():
                async with connect(served.uri, proxy=None) as websocket:
                    if error is not None:
                        raise error
            assert websocket.close_code == code
        assert served.ends == [(code, "")]

    run(main())


def test_messages_that_came_before_are_still_received() -> None:
    async def talking(websocket: AsyncWebSocket) -> None:
        for number in range(3):
            await websocket.send(str(number))
        await websocket.close(1001, "done")

    async def main() -> None:
        async with opened(talking) as websocket:
            await websocket.wait_closed()
            assert [await websocket.recv() for _ in range(3)] == ["0", "1", "2"]
            for _ in range(2):
                with pytest.raises(ConnectionClosedOK, match=r"received 1001 \(going away\) done; then sent 1001"):
                    await websocket.recv()

    run(main())


def test_every_use_of_a_closed_connection_says_so() -> None:
    async def main() -> None:
        async with opened() as websocket:
            await websocket.close()
            calls: list[Callable[[], Any]] = [
                websocket.recv,
                lambda: anext(websocket.recv_streaming()),
                lambda: websocket.send("x"),
                lambda: websocket.send(b"x"),
                lambda: websocket.send(["x"]),
                websocket.ping,
                websocket.pong,
            ]
            seen = []
            for call in calls:
                with pytest.raises(ConnectionClosedOK) as caught:
                    await call()
                seen.append(caught.value)
            assert len({id(exc) for exc in seen}) == len(calls)  # each has a traceback of its own
            assert [message async for message in websocket] == []
            await websocket.wait_closed()

    run(main())


def test_closing_ends_those_who_wait() -> None:
    async def main() -> None:
        async with opened() as websocket:
            waiting = [
                asyncio.create_task(websocket.recv()),
                asyncio.create_task(websocket.wait_closed()),
            ]
            await pause(0.01)
            await asyncio.gather(websocket.close(), websocket.close(1001))
            results = await asyncio.gather(*waiting, return_exceptions=True)
            assert isinstance(results[0], ConnectionClosedOK)
            assert results[1] is None

    run(main())


def test_closing_in_the_middle_of_a_message() -> None:
    async def main() -> None:
        async with serving() as served:
            websocket = await connect(served.uri, proxy=None)

            async def parts() -> Any:
                yield "a"
                await websocket.close()
                yield "b"

            with pytest.raises(ConnectionClosedError):
                await websocket.send(parts())
            sent = websocket.close_exc.sent
            assert sent is not None
            assert (sent.code, sent.reason) == (1011, "close during fragmented message")

    run(main())


def test_a_peer_that_does_not_answer_is_left_after_close_timeout() -> None:
    async def main(uri: str) -> None:
        websocket = await connect(uri, proxy=None, close_timeout=0.1)
        begin = time.monotonic()
        await websocket.close()
        assert 0.05 < time.monotonic() - begin < 2
        assert ending(websocket) == (ConnectionClosedError, None, (1000, ""), None)
        assert isinstance(websocket.close_exc.__cause__, TimeoutError)
        assert str(websocket.close_exc.__cause__) == "timed out while closing connection"
        assert (websocket.close_code, websocket.close_reason) == (1006, "")

    with raw(hanging()) as uri:
        run(main(uri))


def test_without_close_timeout_the_peer_has_time() -> None:
    def slow(connection: socket.socket) -> None:
        accept_raw(connection)
        assert read_frame(connection).opcode == 8
        answered.wait(10)
        connection.sendall(frame(8, b"\x03\xe8"))

    answered = threading.Event()

    async def main(uri: str) -> None:
        websocket = await connect(uri, proxy=None, close_timeout=None)
        closing = asyncio.create_task(websocket.close())
        await pause(0.3)
        assert not closing.done()
        assert websocket.state is State.CLOSING
        answered.set()
        await closing
        assert isinstance(websocket.close_exc, ConnectionClosedOK)

    with raw(slow) as uri:
        try:
            run(main(uri))
        finally:
            answered.set()


def test_close_timeout_may_be_set_later() -> None:
    async def main(uri: str) -> None:
        websocket = await connect(uri, proxy=None)
        websocket.close_timeout = 0.05
        begin = time.monotonic()
        await websocket.close()
        assert time.monotonic() - begin < 2

    with raw(hanging()) as uri:
        run(main(uri))


# --- by the peer ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999])
def test_iteration_ends_when_it_was_closed_in_order_and_raises_otherwise(code: int) -> None:
    async def talking(websocket: AsyncWebSocket) -> None:
        await websocket.send("a")
        await websocket.close(code, "why")

    async def main() -> None:
        async with opened(talking) as websocket:
            messages = []
            if code in (1000, 1001):
                messages = [message async for message in websocket]
            else:
                with pytest.raises(ConnectionClosedError, match=f"received {code} .*why; then sent {code} .*why"):
                    async for message in websocket:
                        messages.append(message)
            assert messages == ["a"]
            assert (websocket.close_code, websocket.close_reason) == (code, "why")

    run(main())


def test_iteration_ends_after_a_close_without_a_code() -> None:
    async def main(uri: str) -> None:
        async with connect(uri, proxy=None) as websocket:
            assert [message async for message in websocket] == []
            assert (websocket.close_code, websocket.close_reason) == (1005, "")

    with raw(by_hand(frame(8))) as uri:
        run(main(uri))


@pytest.mark.parametrize(("handler", "cause"), [(cut, EOFError), (reset, ConnectionResetError)])
def test_a_lost_connection(handler: Callable[[socket.socket], None], cause: type[BaseException]) -> None:
    async def main(uri: str) -> None:
        async with connect(uri, proxy=None) as websocket:
            if handler is reset:
                await websocket.send("x")
            with pytest.raises(ConnectionClosedError, match="no close frame received or sent") as caught:
                await websocket.recv()
            assert isinstance(caught.value.__cause__, cause)
            with pytest.raises(ConnectionClosedError):
                await websocket.send("x")
            assert ending(websocket) == (ConnectionClosedError, None, None, None)
            assert websocket.close_code == 1006

    with raw(handler) as uri:
        run(main(uri))


def test_it_is_noticed_while_nobody_receives() -> None:
    async def main(uri: str) -> None:
        async with connect(uri, proxy=None) as websocket:
            await websocket.wait_closed()
            assert websocket.state is State.CLOSED

    with raw(cut) as uri:
        run(main(uri))


@pytest.mark.parametrize(
    ("data", "code", "cause"),
    [
        (frame(1, b"a", 0xC0), 1002, ProtocolError),
        (frame(3), 1002, ProtocolError),
        (b"\x81\x81abcda", 1002, ProtocolError),
        (frame(0, b"a"), 1002, ProtocolError),
        (frame(9, b"a" * 126), 1002, ProtocolError),
        (frame(8, b"\x03\xe7"), 1002, ProtocolError),
        (frame(1, b"\xff"), 1007, UnicodeDecodeError),
        (frame(1, b"x" * 1001), 1009, PayloadTooBig),
        (frame(1, b"x" * 600, 0) + frame(0, b"x" * 600), 1009, PayloadTooBig),
    ],
)
def test_a_peer_that_breaks_the_protocol(data: bytes, code: int, cause: type[Exception]) -> None:
    async def main(uri: str) -> None:
        async with connect(uri, proxy=None, max_size=1000, compression=None) as websocket:
            with pytest.raises(ConnectionClosedError) as caught:
                await websocket.recv()
            assert caught.value.sent is not None
            assert caught.value.sent.code == code
            assert isinstance(caught.value.__cause__, cause)
            assert websocket.state is State.CLOSED

    with raw(by_hand(data)) as uri:
        run(main(uri))


def test_binary_that_is_no_text() -> None:
    async def main() -> None:
        async with serving() as served:
            websocket = await connect(served.uri, proxy=None)
            await websocket.send(b"a\xffb")
            with pytest.raises(ConnectionClosedError) as caught:
                await websocket.recv(decode=True)
            assert isinstance(caught.value.__cause__, UnicodeDecodeError)
            websocket = await connect(served.uri, proxy=None)
            await websocket.send(b"a\xffb")
            with pytest.raises(ConnectionClosedError) as caught:
                await anext(websocket.recv_streaming(decode=True))
            assert isinstance(caught.value.__cause__, UnicodeDecodeError)
        assert served.ends == [(1007, "invalid start byte at position 1")] * 2

    run(main())


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("max_size", "fits"),
    [(None, True), (2000, True), (1999, False), ((None, 2000), True), ((None, 1999), False), ((1999, None), False)],
)
def test_max_size(max_size: Any, fits: bool) -> None:
    async def main() -> None:
        async with opened(compression=None, max_size=max_size) as websocket:
            await websocket.send("x" * 2000)
            if fits:
                assert len(await websocket.recv()) == 2000
                return
            with pytest.raises(ConnectionClosedError, match="message too big") as caught:
                await websocket.recv()
            assert isinstance(caught.value.__cause__, PayloadTooBig)

    run(main())


def test_max_size_of_fragments() -> None:
    async def main() -> None:
        async with opened(compression=None, max_size=(3000, 1000)) as websocket:
            await websocket.send("x")
            assert await websocket.recv() == "x"

    run(main())
    data = frame(1, b"x" * 900, 0) * 1 + frame(0, b"x" * 900, 0) + frame(0, b"x" * 900)

    async def by_fragments(uri: str, fits: bool, max_size: Any) -> None:
        async with connect(uri, proxy=None, compression=None, max_size=max_size) as websocket:
            if fits:
                assert len(await websocket.recv()) == 2700
            else:
                with pytest.raises(ConnectionClosedError, match="1009"):
                    await websocket.recv()

    for fits, max_size in [(True, (3000, 1000)), (False, (2000, 1000)), (False, (3000, 800))]:
        with raw(by_hand(data)) as uri:
            run(by_fragments(uri, fits, max_size))


def test_max_queue_holds_a_peer_back() -> None:
    sent = []

    async def flooding(websocket: AsyncWebSocket) -> None:
        for number in range(3000):
            await websocket.send(bytes(10_000), timeout=5)
            sent.append(number)
        await echo(websocket)

    async def main() -> None:
        async with opened(flooding, compression=None, max_size=10_000, max_queue=2) as websocket:
            await pause(0.5)
            assert 0 < len(sent) < 3000
            for _ in range(3000):
                assert len(await websocket.recv()) == 10_000

    run(main())


@pytest.mark.parametrize("max_queue", [None, (None, None), 0, 5000, (5000, 10)])
def test_max_queue_without_a_limit_that_matters(max_queue: Any) -> None:
    async def talking(websocket: AsyncWebSocket) -> None:
        for number in range(500):
            await websocket.send(str(number))
        await echo(websocket)

    async def main() -> None:
        async with opened(talking, max_queue=max_queue) as websocket:
            await pause(0.05)
            assert [await websocket.recv() for _ in range(500)] == [str(number) for number in range(500)]

    run(main())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_queue": (1, 2)}, "high must be greater than or equal to low"),
        ({"max_queue": (1, -1)}, "low must be positive or equal to zero"),
        ({"write_limit": (1, 2)}, "must be >= low"),
    ],
)
def test_limits_that_contradict_themselves(options: dict[str, Any], text: str) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match=text):
            await connect("ws://localhost:1", proxy=None, **options)

    run(main())


# --- keeping alive ----------------------------------------------------------------------------------------------------


def test_a_peer_that_answers_pings_is_kept() -> None:
    async def main() -> None:
        async with opened(ping_interval=0.02, ping_timeout=1) as websocket:
            await pause(0.2)
            assert websocket.latency > 0
            assert websocket.state is State.OPEN

    run(main())


@pytest.mark.parametrize("receiving", [True, False])
def test_one_that_does_not_is_given_up(receiving: bool) -> None:
    async def main(uri: str) -> None:
        async with connect(uri, proxy=None, ping_interval=0.05, ping_timeout=0.05) as websocket:
            if not receiving:
                await websocket.wait_closed()
            with pytest.raises(ConnectionClosedError, match=r"sent 1011 \(internal error\) keepalive ping timeout"):
                await websocket.recv()
            assert websocket.close_code == 1006

    with raw(hanging()) as uri:
        run(main(uri))


@pytest.mark.parametrize("options", [{"ping_interval": None}, {"ping_interval": 0.02, "ping_timeout": None}])
def test_unless_that_is_not_wanted(options: dict[str, Any]) -> None:
    async def main(uri: str) -> None:
        async with connect(uri, proxy=None, close_timeout=0.01, **options) as websocket:
            await pause(0.2)
            assert websocket.state is State.OPEN

    with raw(hanging()) as uri:
        run(main(uri))


# --- the helper task --------------------------------------------------------------------------------------------------


def test_a_program_that_cancels_every_task_can_still_say_goodbye() -> None:
    async def main() -> None:
        async with serving() as served:
            websocket = await connect(served.uri, proxy=None)
            mine = {task for task in asyncio.all_tasks() if "pump" in repr(task.get_coro())}
            assert mine
            for task in mine:
                task.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert websocket.state is State.OPEN
            await websocket.send("x")
            assert await websocket.recv() == "x"
            await websocket.close(1001)
            assert websocket.state is State.CLOSED
        assert served.ends == [(1001, "")]

    run(main())


def test_nothing_is_left_of_a_closed_connection() -> None:
    async def main() -> None:
        async with opened() as websocket:
            await websocket.send("x")
            await websocket.recv()
        left = weakref.ref(websocket)
        del websocket
        await asyncio.sleep(0)
        gc.collect()
        assert left() is None

    run(main())


def test_cancelling_a_close_drops_the_connection() -> None:
    async def main(uri: str) -> None:
        websocket = await connect(uri, proxy=None)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(websocket.close(), 0.05)
        await asyncio.wait_for(websocket.wait_closed(), 2)
        with pytest.raises(ConnectionClosed):
            await websocket.recv()

    with raw(hanging()) as uri:
        run(main(uri))
