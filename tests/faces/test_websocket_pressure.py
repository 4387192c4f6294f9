"""Slow readers over real sockets: whoever sends has to wait, and nothing piles up on either side."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from drivetrain.engine import AsyncClient, Client, WebSocketLimits
from drivetrain.engine.errors import WriteTimeout
from drivetrain.engine.faces.async_websocket import AsyncWebSocket
from drivetrain.engine.faces.websocket import WebSocket
from drivetrain.engine.protocol.websocket_events import Piece
from drivetrain.engine.protocol.websocket_machine import WebSocketMachine
from tests.connection.websocket_support import BINARY, CLOSE, TEXT, close_payload, frame
from tests.faces.serving import KINDS, serving
from tests.faces.test_websocket_loss import REQUEST, accepting
from tests.faces.websocket_support import LIMITS, WebSockets
from tests.support.servers import RawServer, read_head

SIZE = 100_000
MESSAGE = b"x" * SIZE
# What the system keeps for a connection on the loopback, both ways, is far below.
MOST = 30_000_000
STUCK = 0.1  # seconds in which nothing goes out any more


@pytest.fixture(params=["blocking", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Iterator[WebSockets]:
    made = WebSockets(request.param)
    yield made
    made.close()


class Fountain:
    """Handlers that send until nothing goes out any more, then wait for a sign, and send a last message.

    Those of coroutines echo at /echo.

    Attributes:
        sent: how many messages went out; the next one was begun.
        kept: how many bytes waited to be sent then.
        stuck: set when it is so.
        go_on: the sign.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.kept = 0
        self.stuck = threading.Event()
        self.go_on = threading.Event()

    def note(self, websocket: Any) -> None:
        self.kept = websocket.core._waiting_output
        self.stuck.set()

    def serve_sync(self, _: Any, stream: Any) -> None:
        websocket = WebSocket.from_stream(stream, stream.get_headers())
        assert websocket is not None
        websocket.accept()
        with contextlib.suppress(WriteTimeout):
            while self.sent * SIZE < MOST:
                websocket.send(MESSAGE, timeout=STUCK)
                self.sent += 1
        self.note(websocket)
        assert self.go_on.wait(20)
        websocket.send("last", timeout=20)
        websocket.close()

    async def serve_async(self, _: Any, stream: Any) -> None:
        headers = await stream.get_headers()
        websocket = AsyncWebSocket.from_stream(stream, headers)
        assert websocket is not None
        await websocket.accept()
        if headers[":path"] == "/echo":
            async for message in websocket:
                await websocket.send(message)
            return
        with contextlib.suppress(WriteTimeout):
            while self.sent * SIZE < MOST:
                await websocket.send(MESSAGE, timeout=STUCK)
                self.sent += 1
        self.note(websocket)
        if websocket.core.backend.colour == "async":
            assert await asyncio.to_thread(self.go_on.wait, 20)
        else:
            assert self.go_on.wait(20)
        await websocket.send("last", timeout=20)
        await websocket.close()

    def check(self) -> None:
        assert self.stuck.wait(20)
        assert 0 < self.sent * SIZE < MOST
        assert self.kept <= SIZE + 14
        self.go_on.set()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind[0]}-{'async' if kind[1] else 'sync'}")
class TestAClientThatDoesNotRead:
    def test_it_is_waited_for(self, kind: tuple[str, bool]) -> None:
        fountain = Fountain()
        handler = fountain.serve_async if kind[1] else fountain.serve_sync
        with serving(kind[0], handler) as running, socket.create_connection(running.address, timeout=20) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            sock.sendall(REQUEST)
            read_head(sock)
            fountain.check()
            machine = WebSocketMachine("client")
            heard: list[Any] = []
            parts: list[Any] = []
            while machine.is_receiving:
                machine.receive(sock.recv(1 << 20))
                while isinstance(event := machine.next_event(), Piece):
                    parts.append(event.data)
                    if event.last:
                        heard.append(parts[0][:0].join(parts))
                        parts.clear()
            sock.sendall(frame(CLOSE, close_payload(1000), masked=True))
            assert heard == [MESSAGE] * (fountain.sent + 1) + ["last"]
            assert running.errors == []

    def test_of_ours(self, kind: tuple[str, bool], connect: WebSockets) -> None:
        """One that is connected, and does nothing."""
        fountain = Fountain()
        handler = fountain.serve_async if kind[1] else fountain.serve_sync
        with serving(kind[0], handler) as running:
            websocket = connect(f"ws://127.0.0.1:{running.port}/")
            if connect.loop is None:
                fountain.check()
            else:
                connect.loop.run_until_complete(asyncio.to_thread(fountain.check))
            assert list(websocket) == [MESSAGE] * (fountain.sent + 1) + ["last"]
            assert running.errors == []


class Flood:
    """A server that sends until nothing goes out any more, then what is left and a Close frame.

    Attributes:
        sent: how many bytes went out before it was stuck.
        count: how many messages there are in all.
    """

    def __init__(self) -> None:
        self.sent = self.count = 0
        self.stuck = threading.Event()

    def __call__(self, sock: Any) -> None:
        sock.sendall(accepting(read_head(sock)))
        data = frame(BINARY, MESSAGE)
        rest = b""
        sock.settimeout(STUCK)
        try:
            while self.sent < MOST:
                rest = rest or data
                size = sock.send(rest)
                self.sent += size
                rest = rest[size:]
        except TimeoutError:
            self.stuck.set()
        sock.settimeout(20)
        self.count = (self.sent + len(rest)) // len(data)
        sock.sendall(rest + frame(TEXT, "last") + frame(CLOSE, close_payload(1000)))
        assert len(sock.recv(100)) == 8


class TestAServerThatFloods:
    """Where nobody receives, the queue is filled, and no more."""

    def test_blocking(self) -> None:
        flood = Flood()
        limits = WebSocketLimits(max_queue=3)
        with RawServer(flood) as server, Client() as client:
            websocket = client.websocket(f"ws://127.0.0.1:{server.port}/", timeout=20, limits=limits)
            pump = threading.Thread(target=websocket.pump)
            pump.start()
            assert flood.stuck.wait(20)
            assert flood.sent < MOST
            assert len(websocket.core._queue or ()) <= 3
            assert list(websocket) == [MESSAGE] * flood.count + ["last"]
            pump.join(20)

    def test_asyncio(self) -> None:
        async def main() -> None:
            async with AsyncClient() as client:
                websocket = await client.websocket(f"ws://127.0.0.1:{server.port}/", timeout=20, limits=limits)
                pump = asyncio.ensure_future(websocket.pump())
                assert await asyncio.to_thread(flood.stuck.wait, 20)
                assert flood.sent < MOST
                assert len(websocket.core._queue or ()) <= 3
                heard = [message async for message in websocket]
                assert heard == [MESSAGE] * flood.count + ["last"]
                await pump

        flood = Flood()
        limits = WebSocketLimits(max_queue=3)
        with RawServer(flood) as server:
            asyncio.run(main())


def test_one_that_is_not_read_holds_up_no_other_on_its_connection() -> None:
    fountain = Fountain()

    async def main(port: int) -> None:
        async with AsyncClient(version=2) as client:
            slow = await client.websocket(f"ws://127.0.0.1:{port}/fountain", timeout=20)
            other = await client.websocket(f"ws://127.0.0.1:{port}/echo", timeout=20)
            await asyncio.to_thread(fountain.check)
            for _ in range(10):
                await other.send("x" * SIZE)
                assert await other.receive(20) == "x" * SIZE
            await other.close()
            assert [message async for message in slow] == [MESSAGE] * (fountain.sent + 1) + ["last"]
            assert client.statistics.created == 1

    with serving("asyncio", fountain.serve_async, h2_limits=LIMITS) as running:
        asyncio.run(main(running.port))
        assert running.errors == []
