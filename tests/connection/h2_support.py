"""HTTP/2 connections over pipes in memory with a virtual clock: two that talk to each other, or one and a scripted peer."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, NamedTuple, TypeVar

from hpack import Decoder, Encoder
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.backends.memory import MemoryBackend, MemoryStream
from drivetrain.engine.connection.h2_client_stream import H2ClientStream
from drivetrain.engine.connection.h2_connection import H2Connection
from drivetrain.engine.connection.h2_server_stream import H2ServerStream
from drivetrain.engine.protocol.h2_limits import H2Limits
from drivetrain.engine.wire.headers import Headers

T = TypeVar("T")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DEFAULTS = H2Limits()


class Duo(NamedTuple):
    """A client and a server, each other's peer."""

    backend: MemoryBackend
    client: H2Connection
    server: H2Connection

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.backend.run(coroutine)


def duo(
    client: H2Limits = DEFAULTS, server: H2Limits = DEFAULTS, capacity: int | None = None, piece: int | None = None
) -> Duo:
    backend = MemoryBackend()
    near, far = backend.pipe(capacity, piece)
    return Duo(backend, H2Connection(near, backend, "client", client), H2Connection(far, backend, "server", server))


class Peer:
    """One connection and, at the other end of its pipe, a peer that says just what a test tells it to."""

    def __init__(self, role: str, limits: H2Limits = DEFAULTS, capacity: int | None = None) -> None:
        self.backend = MemoryBackend()
        near, self.stream = self.backend.pipe(capacity)
        self.connection = H2Connection(near, self.backend, "client" if role == "client" else "server", limits)
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.frames: list[Frame] = []
        self._input = b""
        self._preface_left = len(PREFACE) if role == "client" else 0
        self._first = b"" if role == "client" else PREFACE

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.backend.run(coroutine)

    async def say(self, *frames: Frame) -> None:
        data, self._first = self._first, b""
        await self.stream.send_all(data + b"".join(frame.serialize() for frame in frames), FOREVER)

    async def begin(self, **settings: int) -> None:
        """Send the preface and settings, by the names of hyperframe in lower case."""
        values = {getattr(SettingsFrame, name.upper()): value for name, value in settings.items()}
        await self.say(SettingsFrame(0, settings=values))

    def headers(self, stream_id: int, fields: list[tuple[str, str]], *flags: str) -> HeadersFrame:
        return HeadersFrame(stream_id, self.encoder.encode(fields), flags=("END_HEADERS", *flags))

    def answer(self, stream_id: int, *flags: str) -> HeadersFrame:
        return self.headers(stream_id, [(":status", "200")], *flags)

    def ask(self, stream_id: int, *flags: str) -> HeadersFrame:
        fields = [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", f"/{stream_id}")]
        return self.headers(stream_id, fields, *flags)

    def hear(self) -> list[Frame]:
        """The frames that came since the last call; headers are decoded into `fields`."""
        if self.stream.is_readable():
            self._input += self.backend_take()
        if self._preface_left and len(self._input) >= len(PREFACE):
            assert self._input.startswith(PREFACE)
            self._input, self._preface_left = self._input[len(PREFACE) :], 0
        frames = []
        while len(self._input) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(self._input[:9]))
            if len(self._input) < 9 + length:
                break
            frame.parse_body(memoryview(self._input[9 : 9 + length]))
            self._input = self._input[9 + length :]
            frames.append(frame)
        return frames

    def backend_take(self) -> bytes:
        coroutine = self.stream.receive_some(1 << 30, self.backend.now())
        try:
            coroutine.send(None)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        raise AssertionError("nothing was there")

    def heard(self, kind: type[Frame]) -> list[Any]:
        return [frame for frame in self.hear() if isinstance(frame, kind)]


def get(path: str = "/", *fields: tuple[str, str], method: str = "GET") -> Headers:
    return Headers([(":method", method), (":scheme", "http"), (":authority", "x"), (":path", path), *fields])


def ok(status: str = "200", *fields: tuple[str, str]) -> Headers:
    return Headers([(":status", status), *fields])


async def ask(connection: H2Connection, path: str = "/", body: bytes | None = None) -> H2ClientStream:
    stream = connection.new_stream()
    try:
        if body is None:
            await stream.write_headers(get(path), True)
        else:
            await stream.write_message(get(path, method="POST"), body, FOREVER)
    except BaseException:
        stream.cancel(8)  # nobody else has it, and it would keep one of the places that streams have
        raise
    return stream


async def exchange(connection: H2Connection, path: str = "/", body: bytes | None = None, timeout: float = 60) -> bytes:
    stream = await ask(connection, path, body)
    head = await stream.get_headers(timeout)
    assert head is not None
    assert head.get(":status") == "200"
    return await stream.get_body_as_string(timeout)


async def accept(server: H2Connection, timeout: float | None = 60) -> H2ServerStream:
    stream = await server.get_next_incoming_stream(timeout)
    assert stream is not None
    return stream


async def echo(stream: H2ServerStream) -> None:
    """Answer with the path and the body of the request."""
    head = await stream.get_headers()
    assert head is not None
    body = await stream.get_body_as_string()
    await stream.write_message(ok(), (head.get(":path") or "").encode() + body, FOREVER)


async def echo_pieces(stream: H2ServerStream) -> None:
    """Answer each piece of the body with itself as it comes."""
    await stream.get_headers()
    await stream.write_headers(ok(), False)
    while (piece := await stream.get_next_chunk()) is not None:
        await stream.write_chunk(piece)
    await stream.write_chunk(b"", True)


async def _ping(connection: H2Connection) -> None:
    await connection.ping(5)


async def meet(both: Duo) -> None:
    """Let each side see the other's settings."""
    task = both.backend.spawn(_ping(both.server), "ping")
    await both.client.ping(5)
    assert await task.join(FOREVER)


async def serve(server: H2Connection, backend: Any, handler: Any = echo) -> None:
    while (stream := await server.get_next_incoming_stream()) is not None:
        backend.spawn(handler(stream), "handler")


__all__ = [
    "DEFAULTS",
    "PREFACE",
    "DataFrame",
    "Duo",
    "GoAwayFrame",
    "HeadersFrame",
    "MemoryStream",
    "Peer",
    "PingFrame",
    "RstStreamFrame",
    "SettingsFrame",
    "WindowUpdateFrame",
    "accept",
    "ask",
    "duo",
    "echo",
    "echo_pieces",
    "exchange",
    "get",
    "meet",
    "ok",
    "serve",
]
