"""What the tests of the asyncio client share: a way to run, servers, and the frames that a scripted server sends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from drivetrain.compat.websockets_api.asyncio.client import ClientConnection, connect
from drivetrain.engine import AsyncServer, AsyncWebSocket, Headers, WebSocketLimits
from drivetrain.engine.errors import EngineError
from tests.support.servers import RawServer
from tests.support.websocket_raw import accept_raw, read_until_close

__all__ = ["Served", "by_hand", "echo", "frame", "hanging", "opened", "pause", "raw", "run", "serving"]

PATIENCE = 20.0
Handler = Callable[[AsyncWebSocket], Awaitable[None]]


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a test on a loop of its own, which must be left without tasks."""

    async def main() -> Any:
        result = await asyncio.wait_for(coroutine, PATIENCE)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            _, left = await asyncio.wait(left, timeout=2)
        assert not left, f"tasks left: {left}"
        return result

    return asyncio.run(main())


async def pause(seconds: float) -> None:
    """Let time pass, where it is to be seen that nothing happens in it, or what happens by the clock."""
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=seconds)


async def echo(websocket: AsyncWebSocket) -> None:
    """Send back what comes."""
    async for message in websocket:
        await websocket.send(message)


@dataclass
class Served:
    """A server that runs.

    Attributes:
        uri: of its root.
        requests: the heads of the handshakes it saw, in order.
        ends: how each WebSocket ended, as the server saw it: (code, reason).
        errors: what handlers raised.
    """

    uri: str = ""
    requests: list[Headers] = field(default_factory=list)
    ends: list[tuple[int | None, str | None]] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.uri.rpartition(":")[2])


@contextlib.asynccontextmanager
async def serving(
    handle: Handler = echo,
    *,
    compression: bool = True,
    protocols: tuple[str, ...] = (),
    scheme: str = "ws",
    **options: Any,
) -> AsyncIterator[Served]:
    """One of our servers on the running loop."""
    served = Served()

    async def handler(_: Any, stream: Any) -> None:
        headers = await stream.get_headers()
        served.requests.append(headers)
        limits = WebSocketLimits(max_message_size=None)
        websocket = AsyncWebSocket.from_stream(stream, headers, compression=compression, limits=limits)
        if websocket is None:
            await stream.write_headers(Headers([(":status", "200"), ("content-length", "0")]), True)
            return
        await websocket.accept(protocols=protocols)
        try:
            await handle(websocket)
        except EngineError:
            pass
        finally:
            await websocket.close()
            served.ends.append((websocket.close_code, websocket.close_reason))

    def note(_: Any, error: BaseException, __: str) -> None:
        served.errors.append(error)

    async with AsyncServer(handler, note, **options) as server:
        served.uri = f"{scheme}://localhost:{server.localname().port}"
        yield served


@contextlib.asynccontextmanager
async def opened(
    handle: Handler = echo, server_options: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[ClientConnection]:
    """A connection to a server of its own."""
    async with serving(handle, **(server_options or {})) as served:
        async with connect(served.uri, proxy=None, **options) as websocket:
            yield websocket
        assert served.errors == []


def frame(opcode: int, payload: bytes = b"", bits: int = 0x80) -> bytes:
    """A frame as a server sends it."""
    size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
    return bytes([bits | opcode]) + size + payload


def by_hand(data: bytes = b"", *fields: str) -> Callable[[socket.socket], None]:
    """Agrees to a handshake, sends some bytes, and waits for the client's Close frame."""

    def handler(connection: socket.socket) -> None:
        accept_raw(connection, *fields)
        connection.sendall(data)
        with contextlib.suppress(AssertionError, ConnectionError):
            read_until_close(connection)

    return handler


def hanging(data: bytes = b"") -> Callable[[socket.socket], None]:
    """Agrees to a handshake, sends some bytes, and says nothing more until the client is gone."""

    def handler(connection: socket.socket) -> None:
        accept_raw(connection)
        connection.sendall(data)
        with contextlib.suppress(ConnectionError):
            while connection.recv(65536):
                pass

    return handler


@contextlib.contextmanager
def raw(handler: Callable[[socket.socket], Any], **options: Any) -> Any:
    """A server by hand; gives its URI."""
    with RawServer(handler, tolerate=(ConnectionError,), **options) as server:
        yield f"ws://127.0.0.1:{server.port}" if options.get("path") is None else ""
