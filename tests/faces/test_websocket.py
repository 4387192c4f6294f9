"""WebSockets over real sockets: clients of both colours, servers of every kind, HTTP/1.1 and HTTP/2."""

from __future__ import annotations

import functools
import inspect
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Request, TextMessage

from drivetrain.engine import BlockingBackend, H2Limits, Headers, parse_uri, run_blocking
from drivetrain.engine.connection.connector import OriginKey, open_connection
from drivetrain.engine.connection.dial import DialOptions
from drivetrain.engine.connection.websocket_client import client_handshake, supports_websocket
from drivetrain.engine.errors import (
    ConnectError,
    EngineError,
    InvalidURL,
    ReadTimeout,
    RemoteProtocolError,
    UsageError,
    WebSocketClosed,
    WebSocketHandshakeError,
    WebSocketProtocolError,
)
from drivetrain.engine.faces.async_websocket import AsyncWebSocket, connect_async_websocket
from drivetrain.engine.faces.websocket import WebSocket, connect_websocket
from drivetrain.engine.protocol.websocket_deflate import DeflateOptions, DeflateParameters
from drivetrain.engine.protocol.websocket_events import Close, Frame
from drivetrain.engine.protocol.websocket_handshake import ClientHandshake
from drivetrain.engine.protocol.websocket_limits import WebSocketLimits
from tests.connection.websocket_support import TEXT, frame
from tests.faces.serving import KINDS, Running, dial, reply, scripted, serving, until
from tests.faces.websocket_support import LIMITS, WebSockets, echo_async, echo_sync

MESSAGES = ["", "héllo", b"", b"\x00\xff" * 100, b"x" * 300_000, "é" * 100_000]


@pytest.fixture(params=["blocking", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Iterator[WebSockets]:
    made = WebSockets(request.param)
    yield made
    made.close()


@pytest.fixture(params=[False, True], ids=["h1", "h2"])
def http2(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def echoing(kind: tuple[str, bool], **settings: Any) -> Any:
    handler = functools.partial(echo_async if kind[1] else echo_sync, **settings)
    return serving(kind[0], handler, h2_limits=LIMITS)


def uri_of(running: Running, path: str = "/") -> str:
    return f"ws://127.0.0.1:{running.port}{path}"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind[0]}-{'async' if kind[1] else 'sync'}")
class TestEveryServer:
    def test_echo(self, kind, connect: WebSockets, http2: bool) -> None:
        with echoing(kind) as running, connect(uri_of(running), version=2 if http2 else 1.1) as websocket:
            assert websocket.version == (2.0 if http2 else 1.1)
            for message in MESSAGES:
                websocket.send(message)
                assert websocket.receive(10) == message
            assert websocket.ping(timeout=10) > 0
            assert websocket.latency is not None
            websocket.close(4001, "byé")
            assert websocket.close_received == websocket.close_sent == Close(4001, "byé")
            assert websocket.receive() is None
            assert websocket.is_closed

    def test_compressed(self, kind, connect: WebSockets, http2: bool) -> None:
        options = DeflateOptions(server_no_context_takeover=True, client_max_window_bits=10)
        with echoing(kind, compression=True) as running:
            websocket = connect(uri_of(running), version=2 if http2 else 1.1, compression=options)
            assert websocket.deflate == DeflateParameters(True, False, 12, 10)
            for message in MESSAGES:
                for compress in (True, False, None):
                    websocket.send(message, compress=compress)
                    assert websocket.receive(10) == message
            websocket.close()

    def test_in_pieces(self, kind, connect: WebSockets, http2: bool) -> None:
        with echoing(kind) as running, connect(uri_of(running), version=2 if http2 else 1.1) as websocket:
            websocket.send_pieces(connect.pieces(["one ", "two ", "three"]), timeout=10)
            assert "".join(websocket.receive_pieces(10)) == "one two three"
            websocket.send_pieces(connect.pieces([b"x" * 100_000] * 5))
            assert b"".join(websocket.receive_pieces(10)) == b"x" * 500_000
            websocket.send_pieces([], "text")
            assert websocket.receive(10) == ""
            websocket.send_pieces([b"utf-8"], "text")
            assert list(websocket.receive_pieces(10)) == ["utf-8"]

    def test_a_server_that_closes(self, kind, connect: WebSockets, http2: bool) -> None:
        def script_sync(server: Any, stream: Any) -> None:
            websocket = WebSocket.from_stream(stream, stream.get_headers())
            assert websocket is not None
            websocket.accept(timeout=5)
            websocket.send("going")
            websocket.close(1001, "away")

        async def script_async(server: Any, stream: Any) -> None:
            websocket = AsyncWebSocket.from_stream(stream, await stream.get_headers())
            assert websocket is not None
            await websocket.accept(timeout=5)
            await websocket.send("going")
            await websocket.close(1001, "away")

        with serving(kind[0], script_async if kind[1] else script_sync, h2_limits=LIMITS) as running:
            websocket = connect(uri_of(running), version=2 if http2 else 1.1)
            assert list(websocket.each()) == ["going"]
            assert websocket.close_received == Close(1001, "away")
            with pytest.raises(WebSocketClosed):
                websocket.send("x")
            assert running.errors == []


def test_tls(connect: WebSockets, certificates) -> None:
    trust = certificates.client_context()
    context = certificates.server_context(["h2", "http/1.1"])
    for limits, wanted, version in ((LIMITS, None, 2.0), (H2Limits(), None, 1.1), (LIMITS, 1.1, 1.1)):
        with serving("asyncio", echo_async, context=context, h2_limits=limits) as running:
            uri = f"wss://localhost:{running.port}/"
            with connect(uri, ssl_context=trust, version=wanted) as websocket:
                assert websocket.version == version
                websocket.send("secret")
                assert websocket.receive(10) == "secret"


class TestHandshakes:
    def test_what_both_sides_see(self, connect: WebSockets, http2: bool) -> None:
        seen: list[Any] = []

        async def handler(server: Any, stream: Any) -> None:
            websocket = AsyncWebSocket.from_stream(stream, await stream.get_headers())
            assert websocket is not None
            assert websocket.request is not None
            seen.append((websocket.type, websocket.protocols, websocket.origin, websocket.protocol, websocket.version))
            seen.append((websocket.request.get(":path"), websocket.request.get("x-mine")))
            assert repr(websocket) == "<AsyncWebSocket server new>"
            with pytest.raises(UsageError):
                await websocket.send("too early")
            with pytest.raises(UsageError):
                await websocket.connect()
            await websocket.accept(Headers([("set-cookie", "a=b")]), ["c", "b"], 10)
            with pytest.raises(UsageError):
                await websocket.accept()
            assert websocket.response is not None
            seen.append((websocket.protocol, websocket.response.get("set-cookie")))
            assert await websocket.receive() is None

        with serving("asyncio", handler, h2_limits=LIMITS) as running:
            fields = Headers([("origin", "http://site.example"), ("x-mine", "1")])
            websocket = connect.new(uri_of(running, "/chat?x=1"), ["a", "b"], fields, version=2 if http2 else 1.1)
            assert websocket.type == "client"
            assert websocket.request is websocket.response is websocket.version is None
            with pytest.raises(UsageError):
                websocket.receive()
            with pytest.raises(UsageError):
                websocket.accept()
            websocket.close()
            websocket.connect(10)
            with pytest.raises(UsageError):
                websocket.connect()
            assert websocket.protocols == ("a", "b")
            assert websocket.protocol == "b"
            assert websocket.response.get("set-cookie") == "a=b"
            assert websocket.request.get(":path") == "/chat?x=1"
            assert websocket.origin is None
            assert websocket.peername().port == running.port
            assert websocket.localname().host == "127.0.0.1"
            assert websocket.checktls() is None
            websocket.close()
            assert running.errors == []
        assert seen == [
            ("server", ("a", "b"), "http://site.example", None, None),
            ("/chat?x=1", "1"),
            ("b", "a=b"),
        ]

    def test_http_and_websocket_on_one_port(self, connect: WebSockets, clients) -> None:
        def handler(server: Any, stream: Any) -> None:
            headers = stream.get_headers()
            websocket = WebSocket.from_stream(stream, headers)
            if websocket is None:
                reply(stream, b"a page")
                return
            websocket.accept()
            websocket.send("a message")
            assert websocket.receive() is None

        with serving("blocking", handler, h2_limits=LIMITS) as running:
            for _ in range(2):
                assert clients().get(running.url).content == b"a page"
                websocket = connect(uri_of(running))
                assert websocket.receive(10) == "a message"
                websocket.close()

    @pytest.mark.parametrize(
        ("options", "fields", "status"),
        [
            ({"origins": ["https://good.example"]}, [("origin", "https://evil.example")], 403),
            ({"origins": ["https://good.example"]}, [], 403),
            ({"hosts": ["good.example"]}, [], 421),
        ],
    )
    def test_who_may_not_connect(self, connect: WebSockets, http2: bool, options, fields, status) -> None:
        async def handler(server: Any, stream: Any) -> None:
            websocket = AsyncWebSocket.from_stream(stream, await stream.get_headers())
            assert websocket is not None
            await websocket.accept(**options)

        with serving("asyncio", handler, h2_limits=LIMITS) as running:
            with pytest.raises(WebSocketHandshakeError) as caught:
                connect(uri_of(running), headers=Headers(fields), version=2 if http2 else 1.1)
            assert caught.value.status == status
            assert b"may not connect" in caught.value.body or b"not served" in caught.value.body
            until(lambda: bool(running.errors))
            ((error, _),) = running.errors
            assert isinstance(error, WebSocketHandshakeError)

    def test_who_may(self, connect: WebSockets) -> None:
        async def handler(server: Any, stream: Any) -> None:
            websocket = AsyncWebSocket.from_stream(stream, await stream.get_headers())
            assert websocket is not None
            await websocket.accept(origins=["http://good.example", None], hosts=["127.0.0.1"])
            assert await websocket.receive() is None

        with serving("asyncio", handler) as running:
            connect(uri_of(running)).close()
            connect(uri_of(running), headers=Headers([("origin", "http://good.example")])).close()
            assert running.errors == []

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(
        ("line", "status"), [("sec-websocket-version: 8", b"426"), ("sec-websocket-version: 13", b"400")]
    )
    def test_a_broken_request_is_refused_as_it_says(self, kind, line, status) -> None:
        async def handler_async(server: Any, stream: Any) -> None:
            try:
                AsyncWebSocket.from_stream(stream, await stream.get_headers())
            except WebSocketHandshakeError as error:
                await AsyncWebSocket.refuse(stream, error, 5)

        def handler_sync(server: Any, stream: Any) -> None:
            try:
                WebSocket.from_stream(stream, stream.get_headers())
            except WebSocketHandshakeError as error:
                WebSocket.refuse(stream, error, 5)

        with serving(kind[0], handler_async if kind[1] else handler_sync) as running, dial(running) as sock:
            sock.sendall(
                f"GET / HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: upgrade\r\n{line}\r\n\r\n".encode()
            )
            answer = sock.recv(10000)
            assert answer.split()[1] == status
            assert (b"sec-websocket-version: 13" in answer.lower()) is (status == b"426")

    def test_http10_has_no_websockets(self) -> None:
        def handler(server: Any, stream: Any) -> None:
            try:
                WebSocket.from_stream(stream, stream.get_headers())
            except WebSocketHandshakeError as error:
                WebSocket.refuse(stream, error)

        with serving("blocking", handler) as running, dial(running) as sock:
            fields = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
            sock.sendall(f"GET / HTTP/1.0\r\n{fields}sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
            assert sock.recv(10000).split()[1] == b"505"

    def test_a_refusal_shows_the_whole_answer(self, connect: WebSockets, http2: bool) -> None:
        async def handler(server: Any, stream: Any) -> None:
            await stream.get_headers()
            await reply(stream, b"not today", "503", ("retry-after", "7"))

        with serving("asyncio", handler, h2_limits=LIMITS) as running:
            with pytest.raises(WebSocketHandshakeError) as caught:
                connect(uri_of(running), version=2 if http2 else 1.1)
            assert caught.value.status == 503
            assert caught.value.headers.get("retry-after") == "7"
            assert caught.value.body == b"not today"

    def test_what_is_no_address(self, connect: WebSockets) -> None:
        for uri, error in (("http://h/", UsageError), ("ws:/", InvalidURL)):
            with pytest.raises(error):
                connect.new(uri)
        with pytest.raises(TypeError):
            connect.new("ws://h/", unheard_of=1)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            with pytest.raises(ConnectError):
                connect(f"ws://127.0.0.1:{free.getsockname()[1]}/")

    def test_over_a_path(self, connect: WebSockets, tmp_path) -> None:
        path = str(tmp_path / "socket")
        with serving("asyncio", echo_async, path=path), connect("ws://somewhere/", unix_socket=path) as websocket:
            websocket.send("x")
            assert websocket.receive(10) == "x"


class TestFaults:
    def test_a_server_that_breaks_the_protocol(self, connect: WebSockets, http2: bool) -> None:
        async def handler(server: Any, stream: Any) -> None:
            websocket = AsyncWebSocket.from_stream(stream, await stream.get_headers())
            assert websocket is not None
            await websocket.accept()
            await websocket.send_frame(Frame(3))
            assert await websocket.receive() is None
            assert websocket.close_code == 1002

        with serving("asyncio", handler, h2_limits=LIMITS) as running:
            with pytest.raises(WebSocketProtocolError) as caught:
                connect(uri_of(running), version=2 if http2 else 1.1).receive(10)
            assert caught.value.code == 1002
            assert running.errors == []

    def test_a_message_that_is_too_large(self, connect: WebSockets, http2: bool) -> None:
        told: list[Any] = []

        async def handler(server: Any, stream: Any) -> None:
            limits = WebSocketLimits(max_message_size=1000)
            websocket = AsyncWebSocket.from_stream(stream, await stream.get_headers(), limits=limits)
            assert websocket is not None
            await websocket.accept()
            try:
                await websocket.receive()
            except WebSocketProtocolError as error:
                told.append(error.code)

        with serving("asyncio", handler, h2_limits=LIMITS) as running:
            websocket = connect(uri_of(running), version=2 if http2 else 1.1)
            websocket.send(b"x" * 1001)
            assert websocket.receive(10) is None
            assert websocket.close_code == 1009
        assert told == [1009]

    def test_a_server_that_is_gone(self, connect: WebSockets, http2: bool) -> None:
        async def handler(server: Any, stream: Any) -> None:
            websocket = AsyncWebSocket.from_stream(stream, await stream.get_headers())
            assert websocket is not None
            await websocket.accept()
            websocket.core.stream.close()

        with serving("asyncio", handler, h2_limits=LIMITS) as running:
            websocket = connect(uri_of(running), version=2 if http2 else 1.1)
            with pytest.raises(WebSocketClosed):
                websocket.receive(10)
            assert websocket.close_code == 1006

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_client_that_vanishes_is_nobodys_error(self, kind, http2: bool) -> None:
        """Handlers need not catch what it makes `receive` and `send` raise."""
        ended = threading.Event()

        def handler_sync(server: Any, stream: Any) -> None:
            websocket = WebSocket.from_stream(stream, stream.get_headers())
            assert websocket is not None
            websocket.accept()
            try:
                for message in websocket:
                    websocket.send(message)
            finally:
                ended.set()

        async def handler_async(server: Any, stream: Any) -> None:
            websocket = AsyncWebSocket.from_stream(stream, await stream.get_headers())
            assert websocket is not None
            await websocket.accept()
            try:
                async for message in websocket:
                    await websocket.send(message)
            finally:
                ended.set()

        with serving(kind[0], handler_async if kind[1] else handler_sync, h2_limits=LIMITS) as running:
            websocket = connect_websocket(uri_of(running), timeout=10, version=2 if http2 else 1.1)
            websocket.send("x")
            assert websocket.receive(10) == "x"
            websocket.core.stream.close()
            assert ended.wait(10)
            until(lambda: running.connections == 0)
            assert running.errors == []

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_client_that_vanishes_at_any_stage(self, kind) -> None:
        request = (
            b"GET / HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
            b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        said = request + frame(TEXT, "hello", masked=True) + frame(8, b"\x03\xe8", masked=True)
        with echoing(kind) as running:
            for size in range(1, len(said) + 1, 9):
                with dial(running) as sock:
                    sock.sendall(said[:size])
            with dial(running) as sock:
                sock.sendall(said)
                sock.shutdown(socket.SHUT_WR)
                heard = b""
                while data := sock.recv(10000):
                    heard += data
                assert heard.endswith(frame(TEXT, "hello") + frame(8, b"\x03\xe8"))
            until(lambda: running.connections == 0)
            assert [error for error, _ in running.errors if not isinstance(error, RemoteProtocolError)] == []

    def test_a_server_that_vanishes_at_any_stage(self, connect: WebSockets) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        sizes = [*range(0, 220, 13), 1000]

        def serve() -> None:
            for size in sizes:
                sock, _ = listener.accept()
                with sock:
                    sock.settimeout(10)
                    peer = WSConnection(ConnectionType.SERVER)
                    peer.receive_data(sock.recv(65536))
                    list(peer.events())
                    answer = peer.send(AcceptConnection()) + frame(TEXT, "hello " * 10) + frame(8, b"\x03\xe8")
                    sock.sendall(answer[:size])
                    sock.shutdown(socket.SHUT_WR)
                    while sock.recv(1000):
                        pass

        server = threading.Thread(target=serve)
        server.start()
        outcomes = []
        with listener:
            for _ in sizes:
                try:
                    websocket = connect(f"ws://127.0.0.1:{listener.getsockname()[1]}/")
                    assert websocket.receive(10) == "hello " * 10
                    assert websocket.receive(10) is None
                    outcomes.append("whole")
                except EngineError as error:
                    outcomes.append(type(error).__name__)
            server.join(10)
        assert outcomes[0] == "ConnectionClosed"
        assert outcomes[-1] == "whole"
        assert set(outcomes) == {"ConnectionClosed", "IncompleteMessage", "WebSocketClosed", "whole"}

    def test_time_limits(self, connect: WebSockets, http2: bool) -> None:
        with echoing(("asyncio", True)) as running, connect(uri_of(running), version=2 if http2 else 1.1) as websocket:
            for _ in range(3):
                with pytest.raises(ReadTimeout):
                    websocket.receive(0.01)
            websocket.send("x")
            assert websocket.receive(10) == "x"

    def test_pieces_that_fail_close_the_connection(self, connect: WebSockets, http2: bool) -> None:
        with echoing(("asyncio", True)) as running:
            websocket = connect(uri_of(running), version=2 if http2 else 1.1)
            with pytest.raises(UsageError):
                websocket.send_pieces([b"one", "two"])
            assert websocket.close_sent.code == 1011
            assert websocket.is_closed


def test_a_stream_of_http2_is_one_among_many() -> None:
    """Closing a WebSocket, in order or not, harms no other on its connection."""
    backend = BlockingBackend()

    async def main(port: int) -> None:
        uri = parse_uri(f"ws://127.0.0.1:{port}/")
        connection: Any = await open_connection(
            backend, OriginKey("http", uri.host, uri.port, None, DialOptions(), 2.0), backend.now() + 10
        )
        assert await supports_websocket(connection, backend.now() + 10)

        async def new() -> Any:
            stream = connection.new_stream()
            return await client_handshake(stream, uri, ClientHandshake(), backend.now() + 10, owns_connection=False)

        first, second, third = await new(), await new(), await new()
        for number, websocket in enumerate((first, second, third)):
            await websocket.send(f"{number}")
        await first.close()
        second.stream.close()
        assert await third.receive(10) == "2"
        await third.send("still here")
        assert await third.receive(10) == "still here"
        await third.close()
        assert third.close_code == 1000
        assert not connection.is_closed
        connection.close()

    with echoing(("asyncio", True)) as running:
        run_blocking(main(running.port))


@pytest.mark.parametrize("threads", [8])
def test_many_threads_send_and_one_receives(threads: int, http2: bool) -> None:
    count = 50
    with echoing(("asyncio", True)) as running:
        websocket = connect_websocket(uri_of(running), version=2 if http2 else 1.1, timeout=10)

        def send(number: int) -> None:
            for turn in range(count):
                websocket.send(f"{number}:{turn}:" + "x" * (turn * 37 % 3000))
                if turn % 10 == 0:
                    websocket.send_ping(b"p")
            if number == 0:
                websocket.send_pieces(["0:", "last", ":"])

        workers = [threading.Thread(target=send, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        heard: dict[str, list[str]] = {}
        for _ in range(threads * count + 1):
            message = websocket.receive(20)
            assert isinstance(message, str)
            number, turn, _ = message.split(":")
            heard.setdefault(number, []).append(turn)
        for worker in workers:
            worker.join(10)
        assert heard.pop("0") == [*(f"{turn}" for turn in range(count)), "last"]
        assert all(turns == [f"{turn}" for turn in range(count)] for turns in heard.values())
        websocket.close()
        assert websocket.close_code == 1000


def test_another_thread_closes() -> None:
    with echoing(("blocking", False)) as running:
        websocket = connect_websocket(uri_of(running), timeout=10)
        closer = threading.Timer(0.05, websocket.close)
        closer.start()
        assert websocket.receive(10) is None
        closer.join(10)
        assert websocket.close_code == 1000


class TestTheLibraryAsThePeer:
    def test_as_the_client(self) -> None:
        with echoing(("blocking", False), compression=True) as running, dial(running) as sock:
            peer = WSConnection(ConnectionType.CLIENT)
            sock.sendall(peer.send(Request(host="h", target="/", subprotocols=["a"])))
            peer.receive_data(sock.recv(10000))
            (accepted,) = peer.events()
            assert isinstance(accepted, AcceptConnection)
            assert accepted.subprotocol == "a"
            sock.sendall(peer.send(TextMessage("hello")))
            peer.receive_data(sock.recv(10000))
            assert [event.data for event in peer.events()] == ["hello"]  # type: ignore[attr-defined]
            sock.sendall(peer.send(CloseConnection(1000, "bye")))
            peer.receive_data(sock.recv(10000))
            (closed,) = peer.events()
            assert isinstance(closed, CloseConnection)
            assert (closed.code, closed.reason) == (1000, "bye")
            assert sock.recv(10) == b""

    def test_as_the_server(self, connect: WebSockets) -> None:
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(10)
                peer = WSConnection(ConnectionType.SERVER)
                while data := sock.recv(65536):
                    peer.receive_data(data)
                    for event in peer.events():
                        if isinstance(event, Request):
                            sock.sendall(peer.send(AcceptConnection()))
                        elif isinstance(event, (TextMessage, BytesMessage)):
                            sock.sendall(peer.send(event))
                        elif isinstance(event, CloseConnection):
                            sock.sendall(peer.send(event.response()))
                            return

        server = threading.Thread(target=serve)
        server.start()
        with listener, connect(f"ws://127.0.0.1:{listener.getsockname()[1]}/") as websocket:
            websocket.send("hello")
            assert websocket.receive(10) == "hello"
            websocket.send(b"\x00\xff")
            assert websocket.receive(10) == b"\x00\xff"
        server.join(10)
        assert websocket.close_code == 1000


def test_frames_that_came_with_the_handshake(connect: WebSockets) -> None:
    """A server may send at once; what came in one piece with its 101 is not lost."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.settimeout(10)
            peer = WSConnection(ConnectionType.SERVER)
            peer.receive_data(sock.recv(65536))
            list(peer.events())
            sock.sendall(peer.send(AcceptConnection()) + frame(TEXT, "early") + frame(8, b"\x03\xe8"))
            while sock.recv(1000):
                pass

    server = threading.Thread(target=serve)
    server.start()
    with listener:
        websocket = connect(f"ws://127.0.0.1:{listener.getsockname()[1]}/", close_timeout=0.1)
        assert websocket.receive(10) == "early"
        assert websocket.receive(10) is None
    server.join(10)


def test_the_faces_are_alike() -> None:
    def members(face: type) -> dict[str, Any]:
        names = [name for name in dir(face) if not name.startswith("_") and callable(getattr(face, name))]
        return {name: list(inspect.signature(getattr(face, name)).parameters) for name in names}

    assert members(WebSocket) == members(AsyncWebSocket)
    assert list(inspect.signature(connect_websocket).parameters) == list(
        inspect.signature(connect_async_websocket).parameters
    )


def test_connecting_in_one_call(connect: WebSockets) -> None:
    with echoing(("asyncio", True)) as running:
        if connect.loop is None:
            websocket = connect_websocket(uri_of(running), ["a"], timeout=10)
            assert websocket.protocol == "a"
            websocket.close()
        else:

            async def main() -> None:
                websocket = await connect_async_websocket(uri_of(running), ["a"], timeout=10)
                assert websocket.protocol == "a"
                await websocket.close()

            connect.loop.run_until_complete(main())


def test_keep_alive_over_real_sockets(connect: WebSockets, http2: bool) -> None:
    with scripted("asyncio", True)(silent, h2_limits=LIMITS) as running:
        websocket = connect(
            uri_of(running), version=2 if http2 else 1.1, ping_interval=0.02, ping_timeout=0.05, close_timeout=0.05
        )
        with pytest.raises(WebSocketClosed, match="Ping"):
            websocket.receive(10)
        assert websocket.close_sent.code == 1011


def silent(stream: Any) -> Iterator[Any]:
    """Accepts, and hears nothing."""
    headers = yield stream.get_headers()
    websocket = AsyncWebSocket.from_stream(stream, headers)
    assert websocket is not None
    yield websocket.accept()
    yield websocket.core.backend.sleep_until(websocket.core.backend.now() + 0.3)
    websocket.core.stream.close()
