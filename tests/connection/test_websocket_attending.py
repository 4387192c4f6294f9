"""A WebSocket's pump on an event loop: it must notice whatever those who receive and send leave behind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from drivetrain.engine import AsyncioBackend, WebSocketConnection
from drivetrain.engine.errors import WebSocketClosed
from drivetrain.engine.protocol.websocket_machine import WebSocketMachine
from tests.connection.websocket_support import CLOSE, PING, PONG, TEXT, close_payload, frame

Scenario = Callable[[WebSocketConnection, socket.socket], Awaitable[None]]
LARGE = bytes(8_000_000)


def play(scenario: Scenario) -> None:
    """Run a scenario with a WebSocket that has a pump, and with its peer's socket."""

    async def scene() -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        backend = AsyncioBackend()
        websocket = WebSocketConnection(await backend.adopt_socket(ours), backend, WebSocketMachine("client"))
        pump = asyncio.ensure_future(websocket.pump())
        await asyncio.sleep(0)
        with theirs:
            try:
                await asyncio.wait_for(scenario(websocket, theirs), 20)
            finally:
                websocket.abort()
                await asyncio.wait_for(pump, 5)

    asyncio.run(scene())


def deliver(websocket: WebSocketConnection, data: bytes) -> None:
    """Have input come at this very moment, as the loop does it."""
    stream: Any = websocket.stream
    stream.get_buffer(-1)[: len(data)] = data
    stream.buffer_updated(len(data))


async def read_from(peer: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(peer, 1 << 20)


async def read_size(peer: socket.socket, size: int) -> None:
    while size > 0:
        data = await read_from(peer)
        assert data
        size -= len(data)
    assert size == 0


async def start(doing: Awaitable[Any]) -> asyncio.Future[Any]:
    task = asyncio.ensure_future(doing)
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def cancel(task: asyncio.Future[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def test_input_that_comes_when_the_receiver_is_cancelled() -> None:
    async def scenario(websocket: WebSocketConnection, peer: socket.socket) -> None:
        receiving = await start(websocket.receive())
        deliver(websocket, frame(TEXT, "hello") + frame(PING, b"there?"))
        await cancel(receiving)
        assert (await read_from(peer))[0] == 0x80 | PONG
        assert await websocket.receive() == "hello"

    play(scenario)


def test_the_end_comes_when_the_receiver_is_cancelled() -> None:
    async def scenario(websocket: WebSocketConnection, peer: socket.socket) -> None:
        receiving = await start(websocket.receive())
        deliver(websocket, frame(CLOSE, close_payload(1001)))
        await cancel(receiving)
        assert (await read_from(peer))[0] == 0x80 | CLOSE

    play(scenario)


def test_more_that_comes_before_the_receiver_has_run() -> None:
    async def scenario(websocket: WebSocketConnection, peer: socket.socket) -> None:
        receiving = await start(websocket.receive())
        deliver(websocket, frame(TEXT, "one"))
        deliver(websocket, frame(PING, b"there?"))
        assert await receiving == "one"
        assert (await read_from(peer))[0] == 0x80 | PONG

    play(scenario)


def test_what_a_cancelled_sender_leaves_is_sent() -> None:
    async def scenario(websocket: WebSocketConnection, peer: socket.socket) -> None:
        receiving = await start(websocket.receive())
        sending = await start(websocket.send(LARGE))
        assert not sending.done()
        await cancel(sending)
        await read_size(peer, len(LARGE) + 14)
        await cancel(receiving)

    play(scenario)


def test_an_answer_that_cannot_be_sent_at_once() -> None:
    async def scenario(websocket: WebSocketConnection, peer: socket.socket) -> None:
        stream: Any = websocket.stream
        stream.pause_writing()
        peer.send(frame(PING, b"there?"))
        while not websocket._outbox:
            await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        stream.resume_writing()
        assert (await read_from(peer))[0] == 0x80 | PONG

    play(scenario)


def test_one_helper_sends_all_that_was_posted() -> None:
    async def scenario(websocket: WebSocketConnection, peer: socket.socket) -> None:
        stream: Any = websocket.stream
        stream.pause_writing()
        before = len(asyncio.all_tasks())
        for _ in range(500):
            websocket.post(b"x")
        assert len(asyncio.all_tasks()) == before + 1
        stream.resume_writing()
        await read_size(peer, 500 * 7)
        stream.pause_writing()
        websocket.post(b"y")
        assert len(asyncio.all_tasks()) == before + 1
        stream.resume_writing()
        await read_size(peer, 7)
        assert len(asyncio.all_tasks()) == before

    play(scenario)


def test_a_helper_ends_with_the_connection() -> None:
    async def scenario(websocket: WebSocketConnection, peer: socket.socket) -> None:
        before = len(asyncio.all_tasks())
        websocket.post(LARGE)
        assert len(asyncio.all_tasks()) == before + 1
        await start(asyncio.sleep(0))
        websocket.abort()
        try:
            await websocket.receive()
        except WebSocketClosed:
            pass
        await start(asyncio.sleep(0))
        assert len(asyncio.all_tasks()) == before - 1  # the pump has ended, too

    play(scenario)


def test_giving_up_drops_what_the_peer_does_not_read() -> None:
    async def scenario(websocket: WebSocketConnection, peer: socket.socket) -> None:
        await start(websocket.send(bytes(1_000_000)))
        stream: Any = websocket.stream
        assert stream._transport.get_write_buffer_size()
        websocket.abort()
        await start(asyncio.sleep(0))
        assert stream._lost
        with contextlib.suppress(ConnectionResetError):
            while await read_from(peer):
                pass

    play(scenario)
