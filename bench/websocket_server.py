"""A WebSocket echo server in a process of its own: `python -m bench.websocket_server`; aiohttp's, so that it is nobody's own.

Prints its port and serves until its input ends. It compresses for those who offer to.
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import WSMsgType, web

__all__ = ["main"]


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Send everything back."""
    websocket = web.WebSocketResponse(max_msg_size=0, compress=True)
    await websocket.prepare(request)
    async for message in websocket:
        if message.type is WSMsgType.TEXT:
            await websocket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await websocket.send_bytes(message.data)
    return websocket


async def serve() -> None:
    """Serve."""
    application = web.Application()
    application.router.add_get("/", echo)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


def main() -> None:
    """Serve until the input ends."""
    asyncio.run(serve())


if __name__ == "__main__":
    main()
