"""A WebSocket server of other people's: run by the Python of the peers' environment, it imports nothing of ours.

    python servers.py websockets|websockets-sync|aiohttp PORT TLS_PORT CERTIFICATE KEY

Whatever library serves, a path means the same: /echo sends back what comes; /pieces sends it back in frames of 1000 bytes,
a Ping between them; /close?code=C&reason=R closes with that; /gone cuts the connection after a greeting; /refused is not
accepted. The subprotocol is "b" where it is offered.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

SIZE = 1000


def pieces_of(message: Any) -> Iterator[Any]:
    return (message[at : at + SIZE] for at in range(0, len(message), SIZE))


def closing(path: str) -> tuple[int, str]:
    query = parse_qs(urlsplit(path).query)
    return int(query["code"][0]), query["reason"][0]


def choose(_: object, offered: list[Any]) -> Any:
    return "b" if "b" in offered else None


# --- websockets -------------------------------------------------------------------------------------------------------


async def serve_websockets(port: int, tls_port: int, context: ssl.SSLContext) -> None:
    from websockets.asyncio.server import serve

    async def handle(connection: Any) -> None:
        path = connection.request.path
        if path.startswith("/close"):
            await connection.close(*closing(path))
        elif path == "/gone":
            await connection.send("hello")
            await connection.recv()
            connection.transport.abort()
        async for message in connection:
            if path == "/pieces" and message:

                async def pieces(message: Any = message) -> AsyncIterator[Any]:
                    for piece in pieces_of(message):
                        yield piece
                        await connection.ping()

                await connection.send(pieces())
            else:
                await connection.send(message)

    def process(connection: Any, request: Any) -> Any:
        return connection.respond(403, "not here\n") if request.path == "/refused" else None

    options: dict[str, Any] = {"max_size": None, "select_subprotocol": choose, "process_request": process}
    async with (
        serve(handle, "127.0.0.1", port, **options),
        serve(handle, "127.0.0.1", tls_port, ssl=context, **options),
    ):
        await asyncio.Event().wait()


def serve_websockets_sync(port: int, tls_port: int, context: ssl.SSLContext) -> None:
    from websockets.sync.server import serve

    def handle(connection: Any) -> None:
        path = connection.request.path
        if path.startswith("/close"):
            connection.close(*closing(path))
        elif path == "/gone":
            connection.send("hello")
            connection.recv()
            connection.socket.close()
        for message in connection:
            if path == "/pieces" and message:

                def pieces(message: Any = message) -> Iterator[Any]:
                    for piece in pieces_of(message):
                        yield piece
                        connection.ping()

                connection.send(pieces())
            else:
                connection.send(message)

    def process(connection: Any, request: Any) -> Any:
        return connection.respond(403, "not here\n") if request.path == "/refused" else None

    options: dict[str, Any] = {"max_size": None, "select_subprotocol": choose, "process_request": process}
    with serve(handle, "127.0.0.1", tls_port, ssl=context, **options) as secure:
        threading.Thread(target=secure.serve_forever, daemon=True).start()
        with serve(handle, "127.0.0.1", port, **options) as server:
            server.serve_forever()


# --- aiohttp ----------------------------------------------------------------------------------------------------------


async def serve_aiohttp(port: int, tls_port: int, context: ssl.SSLContext) -> None:
    from aiohttp import WSMsgType, web

    async def handle(request: Any) -> Any:
        path = request.path_qs
        if path == "/refused":
            raise web.HTTPForbidden(text="not here\n")
        connection = web.WebSocketResponse(protocols=["b"], max_msg_size=0)
        await connection.prepare(request)
        if path.startswith("/close"):
            code, reason = closing(path)
            await connection.close(code=code, message=reason.encode())
        elif path == "/gone":
            await connection.send_str("hello")
            await connection.receive()
            request.transport.abort()
        async for message in connection:
            if message.type is WSMsgType.TEXT:
                await connection.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await connection.send_bytes(message.data)
        return connection

    application = web.Application()
    application.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await web.TCPSite(runner, "127.0.0.1", tls_port, ssl_context=context).start()
    await asyncio.Event().wait()


def main() -> None:
    kind, *numbers = sys.argv[1:4]
    port, tls_port = map(int, numbers)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*sys.argv[4:6])
    with contextlib.suppress(KeyboardInterrupt):
        if kind == "websockets-sync":
            serve_websockets_sync(port, tls_port, context)
        else:
            serve = serve_aiohttp if kind == "aiohttp" else serve_websockets
            asyncio.run(serve(port, tls_port, context))


if __name__ == "__main__":
    main()
