"""Servers of the `websockets` API in both colours, for tests that block: the asyncio one runs on a loop in its own thread."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from drivetrain.compat.websockets_api.asyncio import router as asyncio_router
from drivetrain.compat.websockets_api.asyncio import server as asyncio_server
from drivetrain.compat.websockets_api.exceptions import ConnectionClosedOK
from drivetrain.compat.websockets_api.sync import router as sync_router
from drivetrain.compat.websockets_api.sync import server as sync_server
from drivetrain.engine import WebSocket, connect_websocket, run_blocking

__all__ = [
    "COLOURS",
    "HANDSHAKE",
    "ROUTERS",
    "SERVERS",
    "Running",
    "answer_of",
    "coloured",
    "echo",
    "handshake",
    "open_raw",
    "read_head",
    "serving",
]

COLOURS = ("asyncio", "sync")
SERVERS: dict[str, Any] = {"asyncio": asyncio_server, "sync": sync_server}
ROUTERS: dict[str, Any] = {"asyncio": asyncio_router, "sync": sync_router}
PATIENCE = 10.0

_USUAL = (
    "Host: localhost",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)
_METHODS = ("close", "ping", "pong", "recv", "send", "wait_closed")


def handshake(*fields: str, path: str = "/") -> bytes:
    """A request for a WebSocket, with further fields."""
    return "\r\n".join([f"GET {path} HTTP/1.1", *_USUAL, *fields, "", ""]).encode()


HANDSHAKE = handshake()


class Awaited:
    """A connection of the sync colour whose methods are awaited, so that handlers of tests are written once."""

    def __init__(self, connection: Any) -> None:
        self.inner = connection

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if name not in _METHODS:
            return found

        async def call(*args: Any, **kwargs: Any) -> Any:
            return found(*args, **kwargs)

        return call


Handler = Callable[[Any], Coroutine[Any, Any, None]]


def coloured(colour: str, handler: Handler) -> Any:
    """A handler for a server of the colour, which may await nothing but methods of the connection."""
    if colour == "asyncio":
        return handler

    def handle(connection: Any) -> None:
        run_blocking(handler(Awaited(connection)))

    return handle


async def echo(connection: Any) -> None:
    """Send back what comes, until the end."""
    with contextlib.suppress(ConnectionClosedOK):
        while True:
            await connection.send(await connection.recv())


class Running:
    """A server that was started.

    Attributes:
        server: what `serve` returned.
        port: where it listens; 0 for a UNIX-domain socket.
    """

    def __init__(self, colour: str, make: Callable[[], Any]) -> None:
        self.colour = colour
        self.closed = False
        if colour == "sync":
            self.server = make()
            self._thread = threading.Thread(target=self.server.serve_forever, name="server of a test")
            self._thread.start()
            name = self.server.socket.getsockname()
        else:
            self.loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self.loop.run_forever, name="loop of a server")
            self._thread.start()
            try:
                self.server = self.wait(self._start(make))
                name = self.server.sockets[0].getsockname()
            except BaseException:
                self._end_loop()
                raise
        self.port = name[1] if isinstance(name, tuple) else 0

    async def _start(self, make: Callable[[], Any]) -> Any:
        return await make()

    def wait(self, value: Any) -> Any:
        """Finish what a method of the server or of a connection returned."""
        if not inspect.iscoroutine(value):
            return value
        return asyncio.run_coroutine_threadsafe(value, self.loop).result(PATIENCE)

    def call(self, function: Callable[[], Any]) -> Any:
        """Call it where the server lives."""
        if self.colour == "sync":
            return function()

        async def call() -> Any:
            return function()

        return self.wait(call())

    def close(self, *args: Any, **kwargs: Any) -> None:
        """Close it, and wait until it is closed."""
        if not self.closed:
            self.begin_to_close(*args, **kwargs)
            self.join()

    def begin_to_close(self, *args: Any, **kwargs: Any) -> None:
        """Close it, and do not wait."""
        self.closed = True
        if self.colour == "sync":
            self._closing = threading.Thread(target=self.server.shutdown, args=args, kwargs=kwargs)
            self._closing.start()
        else:
            self.call(lambda: self.server.close(*args, **kwargs))

    def join(self) -> None:
        """Wait until it is closed."""
        if self.colour == "sync":
            self._closing.join(PATIENCE)
            assert not self._closing.is_alive()
            self._thread.join(PATIENCE)
        else:
            try:
                self.wait(self.server.wait_closed())
            finally:
                self._end_loop()
        assert not self._thread.is_alive()

    def _end_loop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE)
        self.loop.close()

    def server_connections(self) -> int:
        """How many connections it has, those in the middle of their handshakes included."""
        engines = [self.server._engine] if self.colour == "sync" else self.server._engines
        return sum(engine.connections for engine in engines)

    def connect(self, path: str = "/", **options: Any) -> WebSocket:
        """A WebSocket to it, by the engine's client."""
        return connect_websocket(f"ws://127.0.0.1:{self.port}{path}", timeout=PATIENCE, **options)

    def ask(self, request: bytes) -> bytes:
        """Send something, and return all that comes until the server ends the connection."""
        return answer_of(self.port, request)


@contextlib.contextmanager
def serving(colour: str, handler: Handler = echo, *args: Any, **options: Any) -> Iterator[Running]:
    """A server in clear on the loopback interface."""
    serve = SERVERS[colour].serve
    running = Running(colour, lambda: serve(coloured(colour, handler), *(args or ("127.0.0.1", 0)), **options))
    try:
        yield running
    finally:
        running.close()


def open_raw(port: int, request: bytes = b"") -> socket.socket:
    """A connection on which something was sent."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    sock.sendall(request)
    return sock


def read_head(sock: socket.socket) -> bytes:
    """What comes, up to the end of the first header section."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(4096)
        assert more, f"the connection ended after {data!r}"
        data += more
    return data


def answer_of(port: int, request: bytes) -> bytes:
    """See `Running.ask`."""
    answer = b""
    with open_raw(port, request) as sock:
        while more := sock.recv(65536):
            answer += more
    return answer
