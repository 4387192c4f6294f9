"""WebSockets over pipes in memory with a virtual clock: two that talk to each other, or one and a scripted peer."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Literal, NamedTuple, TypeVar

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.backends.memory import MemoryBackend, MemoryStream
from drivetrain.engine.connection.websocket import WebSocketConnection
from drivetrain.engine.protocol.websocket_deflate import DeflateParameters
from drivetrain.engine.protocol.websocket_events import Event, Failed, Piece
from drivetrain.engine.protocol.websocket_limits import WebSocketLimits
from drivetrain.engine.protocol.websocket_machine import WebSocketMachine
from tests.protocol.websocket_support import close_payload, frame

T = TypeVar("T")
LIMITS = WebSocketLimits()
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

__all__ = [
    "BINARY",
    "CLOSE",
    "CONT",
    "LIMITS",
    "PING",
    "PONG",
    "TEXT",
    "Pair",
    "Scripted",
    "close_payload",
    "frame",
    "pair",
    "taken",
]


class Pair(NamedTuple):
    """A client and a server, each other's peer."""

    backend: MemoryBackend
    client: WebSocketConnection
    server: WebSocketConnection

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.backend.run(coroutine)


def pair(
    client: WebSocketLimits = LIMITS,
    server: WebSocketLimits = LIMITS,
    capacity: int | None = None,
    piece: int | None = None,
    deflate: DeflateParameters | None = None,
) -> Pair:
    backend = MemoryBackend()
    near, far = backend.pipe(capacity, piece)
    return Pair(
        backend,
        WebSocketConnection(near, backend, WebSocketMachine("client", client, deflate)),
        WebSocketConnection(far, backend, WebSocketMachine("server", server, deflate)),
    )


class Scripted:
    """One WebSocket and, at the other end of its pipe, a peer that says just what a test tells it to.

    Attributes:
        websocket: the one.
        stream: the peer's end.
    """

    def __init__(
        self,
        role: Literal["client", "server"] = "client",
        limits: WebSocketLimits = LIMITS,
        capacity: int | None = None,
        piece: int | None = None,
    ) -> None:
        self.backend = MemoryBackend()
        near, self.stream = self.backend.pipe(capacity, piece)
        self.websocket = WebSocketConnection(near, self.backend, WebSocketMachine(role, limits))
        self.role = role
        self._ears = WebSocketMachine(
            "server" if role == "client" else "client", WebSocketLimits(max_message_size=None)
        )

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.backend.run(coroutine)

    async def say(self, opcode: int, payload: bytes | str = b"", fin: bool = True, rsv: int = 0) -> None:
        await self.stream.send_all(frame(opcode, payload, fin, rsv, masked=self.role == "server"), FOREVER)

    async def say_close(self, code: int = 1000, reason: str = "") -> None:
        await self.say(CLOSE, close_payload(code, reason))

    async def hear(self, timeout: float = 100.0) -> Event | str:
        """The next thing this side says, messages whole; "end" for the end of its output."""
        deadline = self.backend.now() + timeout
        data: Any = None
        while True:
            event = self._ears.next_event()
            if isinstance(event, Failed):
                raise AssertionError(event)
            if isinstance(event, Piece):
                data = event.data if data is None else data + event.data
                if event.last:
                    return Piece(data, True)
            elif event is not None:
                return event
            else:
                received = await self.stream.receive_some(1 << 20, deadline)
                if not received:
                    return "end"
                self._ears.receive(received)


def taken(stream: MemoryStream) -> int:
    """How many bytes wait in a pipe to be received by `stream`."""
    return len(stream._input)
