"""An ASGI application under uvicorn, and a client of it, in one process."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
import websockets


async def shout(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"].upper()})


class Server(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, *args: Any, **kwargs: Any) -> None:
        await super().startup(*args, **kwargs)
        self.ready.set()


async def main() -> None:
    config = uvicorn.Config(shout, port=0, log_level="error", lifespan="off")
    server = Server(config)
    serving = asyncio.ensure_future(server.serve())
    await server.ready.wait()
    print(config.ws_protocol_class.__name__)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with websockets.connect(f"ws://127.0.0.1:{port}") as websocket:
        await websocket.send("hello")
        print(await websocket.recv())
        print(type(websocket).__module__)
    server.should_exit = True
    await serving


asyncio.run(main())
