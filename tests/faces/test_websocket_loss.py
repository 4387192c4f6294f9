"""A peer that is lost, at every stage and in every way: the end of its side, of the connection, a reset."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from drivetrain.engine import Client, H2Limits
from drivetrain.engine.errors import (
    ConnectionClosed,
    EngineError,
    IncompleteMessage,
    NetworkError,
    ReadError,
    WebSocketClosed,
    WriteError,
)
from drivetrain.engine.faces.async_websocket import AsyncWebSocket
from drivetrain.engine.faces.websocket import WebSocket
from drivetrain.engine.protocol.websocket_events import Close
from tests.connection.websocket_support import BINARY, CLOSE, CONT, PING, TEXT, close_payload, frame
from tests.faces.serving import KINDS, serving, until
from tests.faces.websocket_support import WebSockets
from tests.support.servers import RawServer, read_head, read_until_eof

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
REQUEST = (
    b"GET / HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
HELLO = "hello " * 100


def said(masked: bool) -> dict[str, bytes]:
    """What a peer says after the handshake before it is lost."""

    def made(opcode: int, payload: bytes | str = b"", fin: bool = True) -> bytes:
        return frame(opcode, payload, fin, masked=masked)

    hello = made(TEXT, HELLO)
    return {
        "nothing": b"",
        "half a head": hello[:1],
        "half a length": hello[:3],
        "half a frame": hello[:200],
        "a frame": hello,
        "a frame and a half": hello + hello[:200],
        "half a message": made(TEXT, "one ", fin=False),
        "half a message and half a Ping": made(BINARY, b"one", fin=False) + made(PING, b"1234")[:-1],
        "a message in parts": made(TEXT, HELLO[:10], fin=False) + made(PING) + made(CONT, HELLO[10:]),
        "half a Close frame": hello + made(CLOSE, close_payload(4000, "bye"))[:-1],
        "a Close frame": hello + made(CLOSE, close_payload(4000, "bye")),
    }


# How many whole messages are in them.
WHOLE = {"a frame", "a frame and a half", "a message in parts", "half a Close frame", "a Close frame"}
STAGES = list(said(False))


def leave(sock: socket.socket, way: str) -> None:
    """Be lost: end this side and read on ("half"), end altogether ("end"), or with a reset."""
    if way == "half":
        sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            read_until_eof(sock)
    elif way == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


ways = pytest.mark.parametrize("way", ["half", "end", "reset"])


class Outcome(NamedTuple):
    """What a side saw before the other was lost, and how that was told."""

    heard: list[Any]
    error: EngineError | None
    websocket: Any

    def check(self, stage: str, way: str) -> None:
        assert self.heard == ([HELLO] if stage in WHOLE else [])
        assert self.websocket.is_closed
        if stage == "a Close frame":
            assert self.error is None
            assert self.websocket.close_received == self.websocket.close_sent == Close(4000, "bye")
            assert self.websocket.close_code == 4000
            return
        # What is sent, a Pong for one, may find the connection gone, which resets it, too.
        is_reset = way == "reset" or (way == "end" and stage == "a message in parts")
        assert isinstance(self.error, (WebSocketClosed, ReadError, WriteError) if is_reset else WebSocketClosed)
        assert self.websocket.close_received is None
        assert self.websocket.close_code == 1006


@pytest.fixture(params=["blocking", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Iterator[WebSockets]:
    made = WebSockets(request.param)
    yield made
    made.close()


# --- the client is lost -----------------------------------------------------------------------------------------------


class Survivors:
    """Handlers that receive until the end, and note what they saw.

    Args:
        closes: whether they close first.
    """

    def __init__(self, closes: bool = False) -> None:
        self.outcomes: list[Outcome] = []
        self.closes = closes

    def handle_sync(self, _: Any, stream: Any) -> None:
        websocket = WebSocket.from_stream(stream, stream.get_headers(5))
        assert websocket is not None
        websocket.accept(timeout=5)
        heard: list[Any] = []
        error = None
        try:
            if self.closes:
                websocket.close(4000, "bye", timeout=5)
            for message in websocket:
                heard.append(message)
        except EngineError as caught:
            error = caught
        websocket.close()
        self.outcomes.append(Outcome(heard, error, websocket))

    async def handle_async(self, _: Any, stream: Any) -> None:
        websocket = AsyncWebSocket.from_stream(stream, await stream.get_headers(5))
        assert websocket is not None
        await websocket.accept(timeout=5)
        heard: list[Any] = []
        error = None
        try:
            if self.closes:
                await websocket.close(4000, "bye", timeout=5)
            async for message in websocket:
                heard.append(message)
        except EngineError as caught:
            error = caught
        await websocket.close()
        self.outcomes.append(Outcome(heard, error, websocket))

    def serving(self, kind: tuple[str, bool]) -> Any:
        return serving(kind[0], self.handle_async if kind[1] else self.handle_sync)


@ways
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind[0]}-{'async' if kind[1] else 'sync'}")
class TestTheClient:
    def test_in_the_handshake(self, kind: tuple[str, bool], way: str) -> None:
        survivors = Survivors()
        with survivors.serving(kind) as running:
            for size in (0, 1, 20, len(REQUEST) - 1):
                with socket.create_connection(running.address, timeout=10) as sock:
                    sock.sendall(REQUEST[:size])
                    leave(sock, way)
            until(lambda: running.connections == 0)
            assert survivors.outcomes == []
            assert all(isinstance(error, EngineError) for error, _ in running.errors)

    @pytest.mark.parametrize("stage", STAGES)
    def test_after_it(self, kind: tuple[str, bool], stage: str, way: str) -> None:
        survivors = Survivors()
        with survivors.serving(kind) as running:
            with socket.create_connection(running.address, timeout=10) as sock:
                sock.sendall(REQUEST)
                assert read_head(sock).startswith(b"HTTP/1.1 101 ")
                sock.sendall(said(True)[stage])
                leave(sock, way)
            until(lambda: len(survivors.outcomes) == 1)
            until(lambda: running.connections == 0)
            assert running.errors == []
        survivors.outcomes[0].check(stage, way)

    def test_when_it_should_answer_a_close_frame(self, kind: tuple[str, bool], way: str) -> None:
        answer = frame(CLOSE, close_payload(4000, "bye"), masked=True)
        survivors = Survivors(closes=True)
        with survivors.serving(kind) as running:
            for size in (0, 1, len(answer) - 1, len(answer)):
                with socket.create_connection(running.address, timeout=10) as sock:
                    sock.sendall(REQUEST)
                    assert read_head(sock).startswith(b"HTTP/1.1 101 ")
                    assert sock.recv(100) == frame(CLOSE, close_payload(4000, "bye"))
                    sock.sendall(answer[:size])
                    leave(sock, way)
                until(lambda: running.connections == 0)
                _, error, websocket = survivors.outcomes.pop()
                assert error is None
                assert websocket.close_code == (4000 if size == len(answer) else 1006)
            assert running.errors == []


# --- the server is lost -----------------------------------------------------------------------------------------------


def accepting(request: bytes) -> bytes:
    """The answer to a handshake."""
    key = next(line[18:].strip() for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    return head + b"sec-websocket-accept: " + accept + b"\r\n\r\n"


@ways
class TestTheServer:
    def test_in_the_handshake(self, connect: WebSockets, way: str) -> None:
        sizes = [0, 1, 50, 120]

        def handle(sock: Any) -> None:
            sock.sendall(accepting(read_head(sock))[: sizes[server.connections - 1]])
            leave(sock, way)

        with RawServer(handle, tolerate=(OSError,)) as server:
            for _ in sizes:
                with pytest.raises((ConnectionClosed, IncompleteMessage, NetworkError)):
                    connect(f"ws://127.0.0.1:{server.port}/")

    @pytest.mark.parametrize("stage", STAGES)
    def test_after_it(self, connect: WebSockets, stage: str, way: str) -> None:
        def handle(sock: Any) -> None:
            sock.sendall(accepting(read_head(sock)) + said(False)[stage])
            leave(sock, way)

        with RawServer(handle, tolerate=(OSError,)) as server:
            try:
                websocket = connect(f"ws://127.0.0.1:{server.port}/")
            except NetworkError:
                # A reset may come before the answer was read.
                assert way == "reset"
                return
            heard: list[Any] = []
            error = None
            try:
                for message in websocket:
                    heard.append(message)
            except EngineError as caught:
                error = caught
            websocket.close()
            Outcome(heard, error, websocket).check(stage, way)
            with pytest.raises(EngineError):
                websocket.send("more")

    def test_when_it_should_answer_a_close_frame(self, connect: WebSockets, way: str) -> None:
        answer = frame(CLOSE, close_payload(4000, "bye"))
        sizes = [0, 1, len(answer) - 1, len(answer)]

        def handle(sock: Any) -> None:
            sock.sendall(accepting(read_head(sock)))
            assert len(sock.recv(100)) == len(answer) + 4
            sock.sendall(answer[: sizes[server.connections - 1]])
            leave(sock, way)

        with RawServer(handle, tolerate=(OSError,)) as server:
            for size in sizes:
                websocket = connect(f"ws://127.0.0.1:{server.port}/", close_timeout=20)
                websocket.close(4000, "bye")
                assert websocket.is_closed
                assert websocket.close_code == (4000 if size == len(answer) else 1006)

    def test_while_a_pong_is_waited_for(self, connect: WebSockets, way: str) -> None:
        def handle(sock: Any) -> None:
            sock.sendall(accepting(read_head(sock)))
            assert sock.recv(100)
            leave(sock, way)

        with RawServer(handle, tolerate=(OSError,)) as server:
            websocket = connect(f"ws://127.0.0.1:{server.port}/")
            with pytest.raises((WebSocketClosed, NetworkError)):
                websocket.ping(timeout=20)
            assert websocket.close_code == 1006

    def test_while_much_is_being_sent(self, connect: WebSockets, way: str) -> None:
        def handle(sock: Any) -> None:
            sock.sendall(accepting(read_head(sock)) + frame(TEXT, "last words"))
            sock.recv(1000)
            leave(sock, "reset" if way == "reset" else "end")

        with RawServer(handle, tolerate=(OSError,)) as server:
            websocket = connect(f"ws://127.0.0.1:{server.port}/")
            with pytest.raises((WebSocketClosed, NetworkError)):
                for _ in range(100):
                    websocket.send(bytes(1_000_000), timeout=20)
            with contextlib.suppress(EngineError):
                assert websocket.receive(20) == "last words"
            with pytest.raises((WebSocketClosed, NetworkError)):
                websocket.receive(20)
            with pytest.raises((WebSocketClosed, NetworkError)):
                websocket.send("more")


@pytest.mark.parametrize("closer", ["client", "server"])
def test_an_end_in_order_costs_no_reset(closer: str) -> None:
    """Servers count the streams of HTTP/2 that clients reset, and end the connection when there are too many."""

    def handler(_: Any, stream: Any) -> None:
        websocket = WebSocket.from_stream(stream, stream.get_headers())
        assert websocket is not None
        websocket.accept()
        if closer == "server":
            websocket.close()
        assert websocket.receive(20) is None

    limits = H2Limits(enable_connect_protocol=True, max_resets=3, resets_per_second=0.001)
    with serving("blocking", handler, h2_limits=limits) as running, Client(version=2) as client:
        for _ in range(20):
            websocket = client.websocket(f"ws://127.0.0.1:{running.port}/", timeout=20)
            if closer == "client":
                websocket.close()
            assert websocket.receive(20) is None
            assert websocket.close_code == 1000
        assert client.statistics.created == 1
        assert running.errors == []
