"""Every method of a WebSocket, cancelled at each of its waits over real sockets: nothing is lost, doubled or left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, NamedTuple

import pytest

from drivetrain.engine import AsyncClient, AsyncServer, WebSocketLimits
from drivetrain.engine.errors import EngineError, WebSocketClosed, WriteError
from drivetrain.engine.faces.async_websocket import AsyncWebSocket
from tests.faces.cutting import MODES, Cut, cut
from tests.faces.websocket_support import LIMITS
from tests.support.certificates import Certificates

# Name: version of HTTP, whether it is under TLS.
WAYS = {"h1": (1.1, False), "h1-tls": (1.1, True), "h2-tls": (2, True)}
LARGE = 140_000
FOR_EVER = 10_000


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Both(NamedTuple):
    """A client's WebSocket and the server's end of it."""

    client: AsyncWebSocket
    server: AsyncWebSocket

    def sides(self, role: str) -> tuple[AsyncWebSocket, AsyncWebSocket]:
        """The one of that role and the other."""
        return (self.client, self.server) if role == "client" else (self.server, self.client)


class World:
    """A server and a client in one loop, and WebSockets between them.

    Attributes:
        client: makes the WebSockets.
        server: its handlers stay as long as the test lets them.
        uri: the server's.
    """

    def __init__(self, way: str, certificates: Certificates) -> None:
        self.version, tls = WAYS[way]
        self._context = certificates.server_context(["h2", "http/1.1"]) if tls else None
        self.client = AsyncClient(version=self.version, verify=certificates.ca_file, proxies=False)
        self.errors: list[BaseException] = []
        self.server = AsyncServer(self._handle, self._note, context=self._context, h2_limits=LIMITS)
        self._accepted: asyncio.Queue[AsyncWebSocket] = asyncio.Queue()
        self._made: list[AsyncWebSocket] = []
        self._may_end = asyncio.Event()
        self.serve: Callable[[AsyncWebSocket], Coroutine[Any, Any, None]] | None = None

    def _note(self, _: Any, error: BaseException, context: str) -> None:
        self.errors.append(error)

    async def _handle(self, _: Any, stream: Any) -> None:
        limits = WebSocketLimits(max_message_size=None)
        websocket = AsyncWebSocket.from_stream(stream, await stream.get_headers(), compression=True, limits=limits)
        assert websocket is not None
        await websocket.accept()
        self._accepted.put_nowait(websocket)
        if self.serve is not None:
            await self.serve(websocket)
        else:
            await self._may_end.wait()
        await websocket.close(timeout=0)

    async def __aenter__(self) -> World:
        self._before = asyncio.all_tasks()
        await self.server.start()
        scheme, host = ("ws", "127.0.0.1") if self._context is None else ("wss", "localhost")
        self.uri = f"{scheme}://{host}:{self.server.localname().port}/"
        return self

    async def __aexit__(self, *error: object) -> None:
        self._may_end.set()
        for websocket in self._made:
            await websocket.close(timeout=0)
        await self.client.close()
        await self.server.close(5.0)
        assert self.server.connections == 0
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == self._before

    async def link(self, **settings: Any) -> Both:
        """A WebSocket."""
        options = {"limits": WebSocketLimits(max_message_size=None), "timeout": 20.0, **settings}
        number = f"{len(self._made)}"
        client = await self.client.websocket(self.uri, (), {"x-number": number}, **options)
        self._made.append(client)
        server = await self._accepted.get()
        while server.request.get("x-number") != number:  # type: ignore[union-attr]
            server = await self._accepted.get()
        both = Both(client, server)
        for websocket in both:
            with socket.socket(fileno=os.dup(websocket.core.stream.fileno())) as sock:
                # So that senders have to wait.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
        return both

    async def nudge(self) -> None:
        """Do something on a shared connection: what a cancelled call could not send goes out with it, and not before."""
        if self.version == 2:
            await (await self.link()).client.send("x", timeout=20)


def run(way: str, certificates: Certificates, main: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def enter() -> None:
        async with World(way, certificates) as world:
            await main(world)
            assert world.errors == []

    asyncio.run(asyncio.wait_for(enter(), 60))


def check_idle(websocket: AsyncWebSocket) -> None:
    """Nothing of what was cancelled is left."""
    core = websocket.core
    assert core._waiters == []
    assert not core._flushing
    assert not core._reading
    assert not core._receiving
    assert core.machine.close_sent is not None or not core.is_fragmented


async def listen(websocket: AsyncWebSocket, heard: list[Any]) -> None:
    with contextlib.suppress(EngineError):
        async for message in websocket:
            heard.append(message)


@pytest.mark.parametrize("role", ["client", "server"])
def test_receive(way: str, mode: str, role: str, certificates: Certificates) -> None:
    """Text and bytes, small and large, in one piece and in several, Pings between."""
    messages = ["", "é" * 100, b"x" * LARGE, b"y", "z" * LARGE]

    async def say(websocket: AsyncWebSocket) -> None:
        for message in messages:
            await websocket.send(message, compress=len(message) < LARGE)
            await websocket.send_ping()
            await websocket.send_pieces([message[:100], message[100:150], message[150:]])

    async def main(world: World) -> None:
        one, other = (await world.link(compression=True)).sides(role)
        for at in range(1, FOR_EVER):
            sayer = asyncio.ensure_future(say(other))
            heard: list[Any] = []
            cuts = 0
            while len(heard) < 2 * len(messages):
                try:
                    heard.append(await cut(one.receive(), at, mode))
                except Cut:
                    cuts += 1
            await sayer
            assert heard == [message for message in messages for _ in range(2)]
            check_idle(one)
            if not cuts:
                assert at > 1
                return

    run(way, certificates, main)


def test_receive_pieces(way: str, mode: str, certificates: Certificates) -> None:
    async def main(world: World) -> None:
        one, other = (await world.link()).sides("server")
        for at in range(1, FOR_EVER):
            parts = [b"%d" % number * 50_000 for number in range(6)]
            sayer = asyncio.ensure_future(other.send_pieces(parts))
            heard, cuts = b"", 0
            pieces = one.receive_pieces()
            while True:
                try:
                    heard += await cut(pieces.__anext__(), at, mode)  # type: ignore[operator, arg-type]
                except Cut:
                    cuts += 1
                except StopAsyncIteration:
                    break
            await sayer
            assert heard == b"".join(parts)
            check_idle(one)
            if not cuts:
                assert at > 1
                return

    run(way, certificates, main)


@pytest.mark.parametrize("role", ["client", "server"])
def test_send(way: str, mode: str, role: str, certificates: Certificates) -> None:
    """Others send at the same time; the receiver takes its time."""

    async def main(world: World) -> None:
        one, other = (await world.link(compression=True)).sides(role)
        for at in range(1, FOR_EVER):
            heard: list[Any] = []
            listener = asyncio.ensure_future(listen_for(other, heard))
            cuts = []
            beside = asyncio.ensure_future(one.send("beside"))
            for number in range(4):
                try:
                    await cut(one.send(b"%d" % number * LARGE, compress=False), at, mode)
                except Cut:
                    cuts.append(number)
            await beside
            await one.send("last")
            await listener
            assert heard.count("beside") == 1
            heard.remove("beside")
            numbers = [int(message[:1]) for message in heard[:-1]]
            assert numbers == sorted(set(numbers))
            assert set(range(4)) - set(cuts) <= set(numbers)
            assert all(message == b"%d" % number * LARGE for message, number in zip(heard, numbers, strict=False))
            check_idle(one)
            if not cuts:
                assert at > 1
                return

    async def listen_for(websocket: AsyncWebSocket, heard: list[Any]) -> None:
        while heard[-1:] != ["last"]:
            await asyncio.sleep(0)
            heard.append(await websocket.receive(20))

    run(way, certificates, main)


@pytest.mark.parametrize("role", ["client", "server"])
def test_send_pieces(way: str, mode: str, role: str, certificates: Certificates) -> None:
    """A message that was begun cannot be taken back: the WebSocket is closed then, unless it was taken whole."""

    async def main(world: World) -> None:
        outcomes = []
        for at in range(1, FOR_EVER):
            one, other = (await world.link()).sides(role)
            heard: list[Any] = []
            listener = asyncio.ensure_future(listen(other, heard))
            try:
                await cut(one.send_pieces([b"x" * 100_000] * 3), at, mode)
                outcomes.append("done")
            except Cut:
                outcomes.append("cut off" if one.is_closed else "cut late")
                await world.nudge()
            if one.is_closed:
                await listener
                assert heard == []
                assert other.close_code in (1006, 1011)
                check_idle(one)
                with pytest.raises((WebSocketClosed, WriteError)):
                    await one.send("more")
            else:
                await one.close()
                await listener
                assert heard == [b"x" * 300_000]
            if outcomes[-1] == "done":
                break
        assert outcomes[0] == "cut off"

    run(way, certificates, main)


def test_ping(way: str, mode: str, certificates: Certificates) -> None:
    async def main(world: World) -> None:
        one, other = await world.link()
        heard: list[Any] = []
        listener = asyncio.ensure_future(listen(other, heard))
        for at in range(1, FOR_EVER):
            try:
                assert await cut(one.ping(), at, mode) >= 0
                break
            except Cut:
                await one.send(f"{at}")
                assert await one.ping(timeout=10) >= 0
                assert one.core._pings._under_way is None
                check_idle(one)
        assert at > 1
        await one.close()
        await listener
        assert heard == [f"{number}" for number in range(1, at)]

    run(way, certificates, main)


@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_close(way: str, mode: str, role: str, busy: bool, certificates: Certificates) -> None:
    """It is closed then, in order or not; what was sent before it arrives where the end was in order."""

    async def main(world: World) -> None:
        for at in range(1, FOR_EVER):
            one, other = (await world.link()).sides(role)
            heard: list[Any] = []
            listener = asyncio.ensure_future(listen(other, heard))
            tasks = [asyncio.ensure_future(listen(one, []))]
            sent: list[bool] = []
            if busy:
                tasks += [asyncio.ensure_future(swallow(one.send(b"x" * LARGE), sent)) for _ in range(3)]
                tasks.append(asyncio.ensure_future(swallow(one.ping(), [])))
            await asyncio.sleep(0)
            try:
                await cut(one.close(4000, "bye"), at, mode)
                done = True
            except Cut:
                done = False
                await world.nudge()
            assert one.is_closed
            await asyncio.gather(*tasks)
            await listener
            check_idle(one)
            if other.close_code == 4000:
                assert heard == [b"x" * LARGE] * len(sent)
            else:
                assert other.close_code == 1006
            if done:
                assert other.close_code == 4000
                assert at > 1
                return

    run(way, certificates, main)


async def swallow(coroutine: Coroutine[Any, Any, Any], done: list[bool]) -> None:
    with contextlib.suppress(EngineError):
        await coroutine
        done.append(True)


def test_connect(way: str, mode: str, certificates: Certificates) -> None:
    """However far it came, nothing stays in use, here or there."""

    async def main(world: World) -> None:
        async def connect() -> AsyncWebSocket:
            return await world.client.websocket(world.uri, timeout=20.0)

        async def echo(websocket: AsyncWebSocket) -> None:
            async for message in websocket:
                await websocket.send(message)

        world.serve = echo
        for at in range(1, FOR_EVER):
            try:
                websocket = await cut(connect(), at, mode)
            except Cut:
                assert world.client.statistics.in_use == 0
                continue
            await websocket.send("x")
            assert await websocket.receive(20) == "x"
            await websocket.close()
            assert at > 3
            break
        assert world.client.statistics.users == 0
        async for _ in turns():
            if world.server.connections <= (world.version == 2):
                return

    run(way, certificates, main)


async def turns() -> AsyncIterator[None]:
    """Turns of the loop, for waiting for what nobody signals."""
    for _ in range(1_000_000):
        yield
        await asyncio.sleep(0)
    raise AssertionError("it did not come to pass")


def test_pump(way: str, mode: str, certificates: Certificates) -> None:
    """Cancelled, it leaves the WebSocket as it is, with what it read."""

    async def main(world: World) -> None:
        one, other = await world.link()
        for at in range(1, 20):
            await other.send_pieces(["a", "b" * 1000, "c"])
            pump = asyncio.ensure_future(cut(one.pump(), at, mode))
            async for _ in turns():
                if pump.done():
                    break
                await other.send_ping()
            with pytest.raises(Cut):
                await pump
            await other.send(f"{at}")
            assert await one.receive(20) == "a" + "b" * 1000 + "c"
            assert await one.receive(20) == f"{at}"
            check_idle(one)

    run(way, certificates, main)
