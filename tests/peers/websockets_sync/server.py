"""The server: that of the `websockets` library, in clear, over TLS and on a UNIX-domain socket. Nothing of ours is imported.

python -m tests.peers.websockets_sync.server PORT TLS_PORT PATH CERTIFICATE KEY
"""

from __future__ import annotations

import contextlib
import logging
import ssl
import sys
import threading
from collections import Counter
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

import websockets.exceptions
from websockets.sync.server import serve, unix_serve

__all__ = ["main"]

ATTEMPTS: Counter[str] = Counter()


def handle(websocket: Any) -> None:
    path = websocket.request.path
    query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
    if path.startswith(("/echo", "/flaky")):
        for message in websocket:
            websocket.send(message)
    elif path == "/types":
        for message in websocket:
            websocket.send(f"{type(message).__name__} {message!r}")
    elif path == "/fragments":
        websocket.send(["a", "", "böc", "ä" * 20_000])
        websocket.send([b"1", b"23", b"4" * 70_000])
        websocket.send(["last", "one"])
        websocket.recv()
    elif path.startswith("/count"):
        for number in range(3):
            websocket.send(str(number))
        websocket.close(int(query["code"]), query.get("reason", ""))
    elif path.startswith("/fields"):
        websocket.send("\n".join(f"{name}: {value}" for name, value in websocket.request.headers.raw_items()))
        for _ in websocket:
            pass


def answer_early(websocket: Any, request: Any) -> Any:
    """Redirects and refusals, which are no WebSockets."""
    parts = urlsplit(request.path)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    if parts.path in ("/moved", "/round"):
        response = websocket.respond(HTTPStatus.FOUND, "elsewhere\n")
        response.headers["Location"] = query.get("to", "/echo" if parts.path == "/moved" else "/round")
        return response
    if parts.path == "/flaky":
        ATTEMPTS[parts.query] += 1
        return websocket.respond(HTTPStatus.SERVICE_UNAVAILABLE, "no\n") if ATTEMPTS[parts.query] % 3 else None
    if parts.path == "/status":
        return websocket.respond(HTTPStatus(int(query["code"])), "no\n")
    return None


def handle_to_the_end(websocket: Any) -> None:
    with contextlib.suppress(websockets.exceptions.ConnectionClosed):
        handle(websocket)


def main(port: str, tls_port: str, path: str, certificate: str, key: str) -> None:
    """Serve until the process is ended."""
    logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    options: dict[str, Any] = {
        "process_request": answer_early,
        "select_subprotocol": lambda _, offered: "b" if "b" in offered else None,
        "max_size": None,
        "max_queue": None,
        "ping_interval": None,
    }
    servers = [
        serve(handle_to_the_end, "127.0.0.1", int(port), **options),
        serve(handle_to_the_end, "127.0.0.1", int(tls_port), ssl=context, **options),
        unix_serve(handle_to_the_end, path, **options),
    ]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
