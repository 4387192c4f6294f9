"""Two HTTP/1 connections, or one and a bare stream, through a pipe in memory with a virtual clock."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, NamedTuple, TypeVar

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.backends.memory import MemoryBackend, MemoryStream
from drivetrain.engine.connection.h1_client_stream import H1ClientStream
from drivetrain.engine.connection.h1_connection import H1Connection
from drivetrain.engine.connection.h1_server_stream import H1ServerStream
from drivetrain.engine.wire.headers import Headers

T = TypeVar("T")


class Duo(NamedTuple):
    """A client and a server, each other's peer."""

    backend: MemoryBackend
    client: H1Connection
    server: H1Connection

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.backend.run(coroutine)


class Solo(NamedTuple):
    """A connection and the bare stream at its other end."""

    backend: MemoryBackend
    connection: H1Connection
    peer: MemoryStream

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.backend.run(coroutine)

    async def say(self, data: bytes) -> None:
        await self.peer.send_all(data, FOREVER)

    async def heard(self) -> bytes:
        """What arrived at the peer so far."""
        return await self.peer.receive_some(1 << 20, FOREVER) if self.peer.is_readable() else b""


def duo(version: float = 1.1, capacity: int | None = None, piece: int | None = None) -> Duo:
    backend = MemoryBackend()
    near, far = backend.pipe(capacity, piece)
    return Duo(backend, H1Connection(near, backend, "client", version), H1Connection(far, backend, "server"))


def client_alone(capacity: int | None = None, piece: int | None = None, version: float = 1.1) -> Solo:
    backend = MemoryBackend()
    near, far = backend.pipe(capacity, piece)
    return Solo(backend, H1Connection(near, backend, "client", version), far)


def server_alone(capacity: int | None = None, piece: int | None = None) -> Solo:
    backend = MemoryBackend()
    near, far = backend.pipe(capacity, piece)
    return Solo(backend, H1Connection(near, backend, "server"), far)


def request(method: str = "GET", path: str = "/", *fields: tuple[str, str]) -> Headers:
    return Headers([(":method", method), (":scheme", "http"), (":authority", "example.org"), (":path", path), *fields])


def response(status: str = "200", *fields: tuple[str, str]) -> Headers:
    return Headers([(":status", status), *fields])


async def accept(server: H1Connection, timeout: float | None = None) -> H1ServerStream:
    stream = await server.get_next_incoming_stream(timeout)
    assert stream is not None
    return stream


async def asked(solo: Solo, *fields: tuple[str, str], method: str = "GET") -> H1ClientStream:
    """A stream whose request, without a body, was sent and taken from the pipe by the peer."""
    stream = solo.connection.new_stream()
    await stream.write_headers(request(method, "/", *fields), True)
    await solo.heard()
    return stream


async def got(server: H1Connection) -> tuple[H1ServerStream, Headers]:
    stream = await accept(server)
    headers = await stream.get_headers()
    assert headers is not None
    return stream, headers


async def answer_one(stream: H1ServerStream, body: bytes = b"hello", status: str = "200") -> None:
    await stream.write_headers(response(status, ("content-length", str(len(body)))), not body)
    if body:
        await stream.write_chunk(body, True)


async def read_answer(stream: H1ClientStream, timeout: float | None = None) -> tuple[str, bytes]:
    """Status and body of the final response."""
    while stream.response is None:
        await stream.get_headers(timeout)
    return stream.response.headers.get(":status") or "", await stream.get_body_as_string(timeout)
