"""How a WebSocket over HTTP/2 ends: a stream has no TIME_WAIT, so its server need not go first (RFC 6455 section 7.1.1)."""

from __future__ import annotations

import asyncio
import threading

from drivetrain.engine import H2Limits
from drivetrain.engine.faces.async_websocket import AsyncWebSocket, connect_async_websocket
from drivetrain.engine.protocol.websocket_events import Close
from tests.faces.serving import serving
from tests.protocol.websocket_support import close_payload, frame

LIMITS = H2Limits(enable_connect_protocol=True)


def test_the_client_who_closes_first_does_not_wait() -> None:
    closed = threading.Event()

    async def handler(server, stream) -> None:
        websocket = AsyncWebSocket.from_stream(stream, await stream.get_headers())
        assert websocket is not None
        await websocket.accept()
        raw = websocket.core.stream
        await raw.receive_some(100, 1e9)  # the client's Close frame
        await raw.send_all(frame(8, close_payload(1000)), 1e9)
        await asyncio.to_thread(closed.wait, 20)  # and the stream is left as it is

    async def main(port: int) -> None:
        websocket = await connect_async_websocket(f"ws://127.0.0.1:{port}/", version=2, close_timeout=15)
        try:
            await asyncio.wait_for(websocket.close(), 5)
            assert websocket.close_received == Close(1000)
        finally:
            closed.set()

    with serving("asyncio", handler, h2_limits=LIMITS) as running:
        asyncio.run(main(running.port))


def test_a_server_that_closes_first_gets_the_answer_whole() -> None:
    told = []

    async def handler(server, stream) -> None:
        websocket = AsyncWebSocket.from_stream(stream, await stream.get_headers())
        assert websocket is not None
        await websocket.accept()
        await websocket.close(4000, "bye")
        told.append(websocket.close_received)

    async def main(port: int) -> None:
        websocket = await connect_async_websocket(f"ws://127.0.0.1:{port}/", version=2)
        assert await websocket.receive(10) is None

    with serving("asyncio", handler, h2_limits=LIMITS) as running:
        asyncio.run(main(running.port))
    assert told == [Close(4000, "bye")]
