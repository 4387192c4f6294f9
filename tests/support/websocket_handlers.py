"""What our servers do with WebSockets of other people's clients, in both colours.

A path means the same as in `websocket_programs.servers`: /echo sends back what comes; /pieces sends it back in frames of 1000
bytes, a Ping between them; /ping measures a round trip and says how long it took; /close?code=C&reason=R closes with that;
/gone cuts the connection after a greeting; /refused is not accepted. Compression is accepted where it is offered, and "b" of
the subprotocols.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from drivetrain.engine import AsyncServer, AsyncWebSocket, H2Limits, Headers, Server, WebSocket, WebSocketLimits
from drivetrain.engine.errors import WebSocketError, WebSocketHandshakeError

__all__ = [
    "OPTIONS",
    "SERVERS",
    "Served",
    "handle_async",
    "handle_sync",
    "serving_async",
    "serving_sync",
    "talk_async",
    "talk_sync",
]

PIECE = 1000
OPTIONS: dict[str, Any] = {"compression": True, "limits": WebSocketLimits(max_message_size=None)}
H2 = H2Limits(enable_connect_protocol=True)


def pieces_of(message: Any) -> Iterator[Any]:
    return (message[at : at + PIECE] for at in range(0, len(message), PIECE))


def closing(path: str) -> tuple[int, str]:
    query = parse_qs(urlsplit(path).query)
    return int(query["code"][0]), query["reason"][0]


def handle_sync(_: Any, stream: Any) -> None:
    talk_sync(stream, stream.get_headers())


def talk_sync(stream: Any, headers: Headers) -> None:
    """Answer a request that was read."""
    path = headers[":path"]
    if path == "/refused":
        WebSocket.refuse(stream, WebSocketHandshakeError("not here", 403), 5)
        return
    websocket = WebSocket.from_stream(stream, headers, **OPTIONS)
    assert websocket is not None
    websocket.accept(protocols=["b"], timeout=10)
    with websocket, contextlib.suppress(WebSocketError):
        if path.startswith("/close"):
            websocket.close(*closing(path))
        elif path == "/gone":
            websocket.send("hello")
            websocket.receive(10)
            websocket.core.stream.close()
            return
        elif path == "/ping":
            websocket.send(f"{websocket.ping(timeout=10)}")
        for message in websocket:
            if path == "/pieces":
                websocket.send_pieces(pinging(websocket, message), "text" if isinstance(message, str) else "binary")
            else:
                websocket.send(message)


def pinging(websocket: Any, message: Any) -> Iterator[Any]:
    for piece in pieces_of(message):
        yield piece
        websocket.send_ping()


async def handle_async(_: Any, stream: Any) -> None:
    await talk_async(stream, await stream.get_headers())


async def talk_async(stream: Any, headers: Headers) -> None:
    """Answer a request that was read."""
    path = headers[":path"]
    if path == "/refused":
        await AsyncWebSocket.refuse(stream, WebSocketHandshakeError("not here", 403), 5)
        return
    websocket = AsyncWebSocket.from_stream(stream, headers, **OPTIONS)
    assert websocket is not None
    await websocket.accept(protocols=["b"], timeout=10)
    async with websocket:
        with contextlib.suppress(WebSocketError):
            if path.startswith("/close"):
                await websocket.close(*closing(path))
            elif path == "/gone":
                await websocket.send("hello")
                await websocket.receive(10)
                websocket.core.stream.close()
                return
            elif path == "/ping":
                await websocket.send(f"{await websocket.ping(timeout=10)}")
            async for message in websocket:
                if path == "/pieces":
                    kind: Any = "text" if isinstance(message, str) else "binary"
                    await websocket.send_pieces(pinging_async(websocket, message), kind)
                else:
                    await websocket.send(message)


async def pinging_async(websocket: Any, message: Any) -> AsyncIterator[Any]:
    for piece in pieces_of(message):
        yield piece
        await websocket.send_ping()


@dataclass
class Served:
    """A server that runs.

    Attributes:
        port: where.
        errors: what its handlers raised.
    """

    port: int = 0
    errors: list[BaseException] = field(default_factory=list)

    def note(self, _: Any, error: BaseException, context: str) -> None:
        self.errors.append(error)


@contextlib.contextmanager
def serving_sync(handler: Callable[..., Any] = handle_sync, **options: Any) -> Iterator[Served]:
    """A server of threads."""
    served = Served()
    with Server(handler, served.note, h2_limits=H2, **options) as server:
        served.port = server.localname().port or 0
        yield served


@contextlib.contextmanager
def serving_async(handler: Callable[..., Any] = handle_async, **options: Any) -> Iterator[Served]:
    """An asyncio server on a loop in a thread of its own."""
    ready = threading.Event()
    served = Served()
    found: dict[str, Any] = {}

    async def serve() -> None:
        async with AsyncServer(handler, served.note, h2_limits=H2, **options) as server:
            served.port = server.localname().port or 0
            found.update(loop=asyncio.get_running_loop(), stop=asyncio.Event())
            ready.set()
            await found["stop"].wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield served
    finally:
        found["loop"].call_soon_threadsafe(found["stop"].set)
        thread.join(10)


SERVERS = {"blocking": serving_sync, "asyncio": serving_async}
