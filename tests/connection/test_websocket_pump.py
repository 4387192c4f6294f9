"""What a WebSocket does by itself while nobody receives, on real sockets and in memory."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from drivetrain.engine import AsyncioBackend, BlockingBackend, WebSocketClose, WebSocketConnection, run_blocking
from drivetrain.engine.errors import UsageError, WebSocketClosed
from drivetrain.engine.protocol.websocket_machine import WebSocketMachine

Scenario = Callable[[WebSocketConnection, socket.socket, "Steps"], Awaitable[None]]


class Steps:
    """Blocking work on the peer's end, off the loop where there is one."""

    def __init__(self, is_async: bool) -> None:
        self._is_async = is_async

    async def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        if self._is_async:
            return await asyncio.get_running_loop().run_in_executor(None, function, *args)
        return function(*args)


async def _scene(backend: Any, scenario: Scenario, is_async: bool, keep_alive: tuple[float, float] | None) -> None:
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    with theirs:
        stream = await backend.adopt_socket(ours)
        websocket = WebSocketConnection(stream, backend, WebSocketMachine("client"))
        if keep_alive is not None:
            websocket.keep_alive(*keep_alive)
        pump = backend.spawn(websocket.pump(), "pump")
        try:
            await scenario(websocket, theirs, Steps(is_async))
        finally:
            websocket.abort()
            assert await pump.join(backend.now() + 10)


@pytest.fixture(params=["blocking", "asyncio"])
def play(request: pytest.FixtureRequest) -> Callable[..., None]:
    def run(scenario: Scenario, keep_alive: tuple[float, float] | None = None) -> None:
        if request.param == "blocking":
            run_blocking(_scene(BlockingBackend(), scenario, False, keep_alive))
        else:
            asyncio.run(_scene(AsyncioBackend(), scenario, True, keep_alive))

    return run


def unmasked(data: bytes) -> bytes:
    """The payload of one short masked frame."""
    key = data[2:6]
    return bytes(byte ^ key[at % 4] for at, byte in enumerate(data[6:]))


def test_pings_are_answered_and_messages_kept(play: Any) -> None:
    async def scenario(websocket: WebSocketConnection, peer: socket.socket, step: Steps) -> None:
        for number in range(3):
            peer.sendall(b"\x81\x01%d\x89\x01%d" % (number, number))
            answer = await step(peer.recv, 100)
            assert answer[:2] == b"\x8a\x81"
            assert unmasked(answer) == b"%d" % number
        assert [await websocket.receive(10) for _ in range(3)] == ["0", "1", "2"]
        # And again after somebody received.
        peer.sendall(b"\x89\x01z")
        assert unmasked(await step(peer.recv, 100)) == b"z"

    play(scenario)


def test_a_ping_behind_the_message_that_is_received(play: Any) -> None:
    async def scenario(websocket: WebSocketConnection, peer: socket.socket, step: Steps) -> None:
        peer.sendall(b"\x81\x01a\x81\x01b\x89\x01p")
        assert await websocket.receive(10) == "a"
        assert unmasked(await step(peer.recv, 100)) == b"p"
        assert await websocket.receive(10) == "b"

    play(scenario)


def test_the_closing_handshake(play: Any) -> None:
    async def scenario(websocket: WebSocketConnection, peer: socket.socket, step: Steps) -> None:
        peer.sendall(b"\x88\x05\x03\xe9bye")
        answer = await step(peer.recv, 100)
        assert answer[0] == 0x88
        assert unmasked(answer) == b"\x03\xe9bye"
        peer.shutdown(socket.SHUT_WR)  # the server goes first
        assert await step(peer.recv, 100) == b""
        assert await websocket.receive(10) is None
        assert websocket.is_closed
        assert websocket.peer_closed_first is True
        assert websocket.close_received == WebSocketClose(1001, "bye")

    play(scenario)


def test_a_lost_connection_is_noticed(play: Any) -> None:
    async def scenario(websocket: WebSocketConnection, peer: socket.socket, step: Steps) -> None:
        told: list[float | None] = []
        done = threading.Event()

        def on_pong(latency: float | None) -> None:
            told.append(latency)
            done.set()

        await websocket.start_ping(b"x", on_pong)
        await step(peer.recv, 100)
        peer.shutdown(socket.SHUT_WR)
        assert await step(done.wait, 10)
        assert told == [None]
        with pytest.raises(WebSocketClosed):
            await websocket.receive(10)
        assert isinstance(websocket.fault, WebSocketClosed)

    play(scenario)


def test_pings_are_told_of_their_pongs(play: Any) -> None:
    async def scenario(websocket: WebSocketConnection, peer: socket.socket, step: Steps) -> None:
        told: list[tuple[str, float | None]] = []
        done = threading.Event()
        assert await websocket.start_ping(b"a", lambda latency: told.append(("a", latency))) == b"a"
        with pytest.raises(UsageError):
            await websocket.start_ping(b"a")
        await websocket.start_ping(b"b", lambda latency: (told.append(("b", latency)), done.set())[1])
        await step(peer.recv, 100)
        peer.sendall(b"\x8a\x01b")  # the later one answers both
        assert await step(done.wait, 10)
        assert [name for name, _ in told] == ["a", "b"]
        assert all(latency is not None and latency >= 0 for _, latency in told)
        assert websocket.latency == told[1][1]

    play(scenario)


def test_keeping_alive_while_nobody_receives(play: Any) -> None:
    async def scenario(websocket: WebSocketConnection, peer: socket.socket, step: Steps) -> None:
        ping = await step(peer.recv, 10)
        assert ping[:2] == b"\x89\x84"
        peer.sendall(b"\x8a\x04" + unmasked(ping))
        second = await step(peer.recv, 10)
        assert second[:2] == b"\x89\x84"  # to which no answer comes
        rest = b""
        while more := await step(peer.recv, 100):
            rest += more
        assert unmasked(rest) == b"\x03\xf3keepalive ping timeout"
        with pytest.raises(WebSocketClosed, match="in time"):
            await websocket.receive(10)

    play(scenario, (0.01, 0.05))


def test_posting(play: Any) -> None:
    async def scenario(websocket: WebSocketConnection, peer: socket.socket, step: Steps) -> None:
        websocket.post("a")
        assert unmasked(await step(peer.recv, 100)) == b"a"
        message = websocket.new_message("text")
        await message.send("b")
        assert websocket.is_fragmented
        with pytest.raises(UsageError, match="fragments"):
            websocket.post("c")
        await message.end()
        assert not websocket.is_fragmented
        large = bytes(4_000_000)
        websocket.post(large)  # more than anybody takes at once
        websocket.post(b"end")
        await step(_read_until, peer, len(large) + 14 + 6 + 3 + 7 + 6)
        websocket.abort()
        with pytest.raises(WebSocketClosed):
            websocket.post("d")

    play(scenario)


def _read_until(peer: socket.socket, size: int) -> None:
    while size > 0:
        data = peer.recv(1 << 20)
        assert data
        size -= len(data)


def test_giving_up_wakes_who_receives(play: Any) -> None:
    async def scenario(websocket: WebSocketConnection, peer: socket.socket, step: Steps) -> None:
        if isinstance(websocket.backend, BlockingBackend):
            threading.Timer(0.05, websocket.abort).start()
        else:
            asyncio.get_running_loop().call_soon(websocket.abort)
        with pytest.raises(WebSocketClosed, match="gave the connection up"):
            await websocket.receive(10)
        websocket.abort()
        assert websocket.is_closed

    play(scenario)
