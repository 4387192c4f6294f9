"""The application hypercorn is given in the tests: files, uploads answered by their digest, trailers, a redirect.

WebSockets, too: see `websocket_programs.servers` for what a path means; /pieces and /gone it cannot serve.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

__all__ = ["application"]

PIECE = 256 * 1024

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def application(scope: Message, receive: Receive, send: Send) -> None:
    """An ASGI application."""
    if scope["type"] == "websocket":
        await _websocket(scope, receive, send)
    if scope["type"] != "http":
        return
    digest = await _digest_of_body(receive)
    path, headers = scope["path"], dict(scope["headers"])
    if scope["method"] in ("POST", "PUT"):
        await _answer(send, 200, digest.encode())
    elif path == "/moved":
        await _answer(send, 302, b"", (b"location", b"/small"))
    elif headers.get(b"if-none-match") == b'"1"':
        await _answer(send, 304, b"", (b"etag", b'"1"'))
    elif path == "/trailed":
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
        await send({"type": "http.response.body", "body": b"body"})
        await send({"type": "http.response.trailers", "headers": [(b"x-after", b"the body")]})
    else:
        await _send_file(send, path, scope["method"] == "HEAD")


async def _digest_of_body(receive: Receive) -> str:
    digest = hashlib.sha256()
    while True:
        message = await receive()
        digest.update(message.get("body", b""))
        if not message.get("more_body"):
            return digest.hexdigest()


async def _answer(send: Send, status: int, body: bytes, *fields: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(fields)})
    await send({"type": "http.response.body", "body": body})


async def _send_file(send: Send, path: str, head_only: bool) -> None:
    file = Path(os.environ["SERVED_FILES"], path.lstrip("/"))
    if not file.is_file():
        await _answer(send, 404, b"not found")
        return
    size = str(file.stat().st_size).encode()
    fields = [(b"content-length", size), (b"etag", b'"1"'), (b"content-type", b"application/octet-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    with file.open("rb") as content:
        while not head_only and (piece := content.read(PIECE)):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _websocket(scope: Message, receive: Receive, send: Send) -> None:
    await receive()
    if scope["path"] == "/refused":
        await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"not here\n"})
        return
    await send({"type": "websocket.accept", "subprotocol": "b" if "b" in scope["subprotocols"] else None})
    if scope["path"] == "/close":
        query = parse_qs(scope["query_string"].decode())
        await send({"type": "websocket.close", "code": int(query["code"][0]), "reason": query["reason"][0]})
        return
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": message.get("bytes"), "text": message.get("text")})
