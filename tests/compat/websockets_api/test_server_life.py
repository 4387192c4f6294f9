"""Connections of servers of the `websockets` API from the handshake to the end, and the end of the servers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drivetrain.compat.websockets_api.exceptions import ConnectionClosedError, ConnectionClosedOK
from drivetrain.compat.websockets_api.protocol import State
from drivetrain.engine import WebSocket, connect_websocket
from drivetrain.engine.errors import ConnectError, EngineError, WebSocketHandshakeError
from tests.compat.websockets_api.server_support import (
    COLOURS,
    HANDSHAKE,
    SERVERS,
    Awaited,
    Running,
    coloured,
    echo,
    handshake,
    open_raw,
    read_head,
    serving,
)
from tests.support.certificates import Certificates

pytestmark = pytest.mark.parametrize("colour", COLOURS)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "websockets.server"]


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that no event tells of."""
    event = threading.Event()
    for _ in range(1000):
        if condition():
            return
        event.wait(0.01)
    raise AssertionError("it did not come to that")


def waiting(colour: str, event: threading.Event) -> Any:
    """Wait for an event, in the way of a hook of the colour."""
    if colour == "sync":
        assert event.wait(10)
        return None

    async def wait() -> None:
        assert await asyncio.to_thread(event.wait, 10)

    return wait()


def end_of(websocket: WebSocket) -> tuple[int | None, str | None]:
    """The Close frame that the server sends."""
    while websocket.receive(10) is not None:
        continue
    return websocket.close_code, websocket.close_reason


# --- ends of connections ---------------------------------------------------------------------------------------------


def test_messages_go_both_ways(colour: str) -> None:
    with serving(colour) as running, running.connect() as websocket:
        for message in ("", "text", b"\0\1", "é" * 100_000, b"x" * 1_000_000):
            websocket.send(message)
            assert websocket.receive(10) == message


def test_a_handler_that_returns_closes_with_1000(colour: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def handler(connection: Any) -> None:
        await connection.send("bye")

    with serving(colour, handler) as running, running.connect() as websocket:
        assert websocket.receive(10) == "bye"
        assert end_of(websocket) == (1000, "")
        running.close()
    assert messages(caplog)[0].startswith("server listening on 127.0.0.1:")
    assert messages(caplog)[1] == "connection open"
    assert sorted(messages(caplog)[2:]) == ["connection closed", "server closed", "server closing"]
    record = next(record for record in caplog.records if record.getMessage() == "connection open")
    assert hasattr(record, "websocket")


def test_a_handler_that_raises_closes_with_1011(colour: str, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(connection: Any) -> None:
        raise LookupError("a fault of the program")

    with serving(colour, handler) as running, running.connect() as websocket:
        assert end_of(websocket) == (1011, "")
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.getMessage() == "connection handler failed"
    assert record.exc_info is not None
    assert record.exc_info[0] is LookupError


def test_a_handler_can_close(colour: str) -> None:
    async def handler(connection: Any) -> None:
        await connection.close(4000, "enough")

    with serving(colour, handler) as running, running.connect() as websocket:
        assert end_of(websocket) == (4000, "enough")


def test_the_handler_learns_of_the_clients_end(colour: str) -> None:
    ends: list[Any] = []
    done = threading.Event()

    async def handler(connection: Any) -> None:
        try:
            await connection.recv()
        except (ConnectionClosedOK, ConnectionClosedError) as exc:
            ends.append((type(exc), connection.close_code, connection.close_reason, connection.state))
        done.set()

    with serving(colour, handler) as running:
        running.connect().close(1001, "going")
        assert done.wait(10)
        done.clear()
        sock = open_raw(running.port, HANDSHAKE)
        read_head(sock)
        sock.close()
        assert done.wait(10)
    assert ends == [
        (ConnectionClosedOK, 1001, "going", State.CLOSED),
        (ConnectionClosedError, 1006, "", State.CLOSED),
    ]


def test_a_message_that_is_too_large_ends_the_connection(colour: str, caplog: pytest.LogCaptureFixture) -> None:
    with serving(colour, max_size=1000) as running, running.connect() as websocket:
        websocket.send("x" * 1000)
        assert websocket.receive(10) == "x" * 1000
        websocket.send("x" * 1001)
        assert end_of(websocket)[0] == 1009
    assert "connection handler failed" in messages(caplog)


def test_a_client_that_does_not_answer_pings_is_given_up(colour: str) -> None:
    codes: list[int] = []
    done = threading.Event()

    async def handler(connection: Any) -> None:
        with contextlib.suppress(ConnectionClosedError):
            await connection.recv()
        codes.append(connection.protocol.close_sent.code)
        done.set()

    options = {"ping_interval": 0.05, "ping_timeout": 0.05, "close_timeout": 0.1}
    with serving(colour, handler, **options) as running, open_raw(running.port, HANDSHAKE) as sock:
        read_head(sock)
        assert done.wait(10)
    assert codes == [1011]


def test_pings_are_answered_while_the_handler_does_something_else(colour: str) -> None:
    go = threading.Event()

    async def handler(connection: Any) -> None:
        if colour == "sync":
            go.wait(10)
        else:
            while not go.is_set():
                await asyncio.sleep(0)

    with serving(colour, handler) as running, running.connect() as websocket:
        assert websocket.ping(timeout=10) >= 0
        go.set()
        assert end_of(websocket) == (1000, "")


def test_a_client_that_leaves_during_the_handshake_does_no_harm(colour: str, caplog: pytest.LogCaptureFixture) -> None:
    gone = threading.Event()

    def process_request(connection: Any, request: Any) -> Any:
        return waiting(colour, gone) if request.path == "/gone" else None

    with serving(colour, process_request=process_request) as running:
        sock = open_raw(running.port, handshake(path="/gone"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
        gone.set()
        with running.connect() as websocket:
            websocket.send("still here")
            assert websocket.receive(10) == "still here"
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


# --- the end of the server -------------------------------------------------------------------------------------------


def test_closing_tells_clients_that_the_server_goes_away(colour: str) -> None:
    with serving(colour) as running:
        websockets = [running.connect() for _ in range(3)]
        running.begin_to_close()
        assert [end_of(websocket) for websocket in websockets] == [(1001, "")] * 3
        running.join()


def test_closing_can_give_another_reason(colour: str) -> None:
    with serving(colour) as running, running.connect() as websocket:
        running.begin_to_close(code=1012, reason="back soon")
        assert end_of(websocket) == (1012, "back soon")
        running.join()


def test_closing_can_leave_connections_alone(colour: str) -> None:
    with serving(colour) as running, running.connect() as websocket:
        running.begin_to_close(close_connections=False)
        websocket.send("still")
        assert websocket.receive(10) == "still"
        until(lambda: refuses(running.port))
        websocket.send("there")
        assert websocket.receive(10) == "there"
        websocket.close()
        running.join()


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 10).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


def test_closing_waits_for_handlers(colour: str) -> None:
    go, waiting, ended = threading.Event(), threading.Event(), threading.Event()

    async def handler(connection: Any) -> None:
        with contextlib.suppress(ConnectionClosedOK):
            await connection.recv()
        waiting.set()
        if colour == "sync":
            go.wait(10)
        else:
            await asyncio.to_thread(go.wait, 10)
        ended.set()

    with serving(colour, handler) as running, running.connect() as websocket:
        running.begin_to_close()
        assert end_of(websocket) == (1001, "")
        assert waiting.wait(10)
        assert not ended.is_set()
        go.set()
        running.join()
        assert ended.is_set()


def test_a_handshake_that_comes_too_late_gets_503(colour: str) -> None:
    asked, go = threading.Event(), threading.Event()

    def process_request(connection: Any, request: Any) -> Any:
        asked.set()
        return waiting(colour, go)

    with serving(colour, process_request=process_request) as running:
        with open_raw(running.port, HANDSHAKE) as sock:
            assert asked.wait(10)
            running.begin_to_close()
            until(lambda: refuses(running.port))
            go.set()
            assert read_head(sock).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        running.join()


def test_a_request_that_comes_too_late_gets_503(colour: str) -> None:
    with serving(colour) as running:
        with open_raw(running.port, HANDSHAKE[:20]) as sock:
            until(lambda: running.server_connections() > 0)
            running.begin_to_close()
            until(lambda: refuses(running.port))
            sock.sendall(HANDSHAKE[20:])
            assert read_head(sock).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        running.join()


def test_closing_twice_is_fine(colour: str) -> None:
    with serving(colour) as running:
        running.begin_to_close()
        if colour == "asyncio":
            running.call(running.server.close)
        running.join()
        if colour == "sync":
            running.server.shutdown()
        assert refuses(running.port)


def test_connections_are_those_that_are_open(colour: str) -> None:
    seen: list[Any] = []

    async def handler(connection: Any) -> None:
        seen.append(connection.inner if isinstance(connection, Awaited) else connection)
        await echo(connection)

    with serving(colour, handler) as running:
        server = running.server
        assert server.connections == set()
        first, second = running.connect(), running.connect()
        until(lambda: len(seen) == 2)
        assert server.connections == set(seen)
        first.close()
        until(lambda: len(server.connections) == 1)
        second.close()
        until(lambda: not server.connections)
        until(lambda: not server.all_connections)


def test_messages_can_be_broadcast(colour: str) -> None:
    with serving(colour) as running:
        websockets = [running.connect() for _ in range(3)]
        until(lambda: len(running.server.connections) == 3)
        running.call(lambda: SERVERS[colour].broadcast(running.server.connections, "to all"))
        assert [websocket.receive(10) for websocket in websockets] == ["to all"] * 3
        for websocket in websockets:
            websocket.close()


def test_nothing_of_a_connection_stays(colour: str) -> None:
    alive: list[Any] = []

    async def handler(connection: Any) -> None:
        alive.append(weakref.ref(connection.inner if isinstance(connection, Awaited) else connection))
        await connection.recv()

    with serving(colour, handler) as running:
        with running.connect() as websocket:
            websocket.send("done")
            assert end_of(websocket) == (1000, "")
        until(lambda: not running.server.all_connections)
        until(lambda: gc.collect(1) >= 0 and alive[0]() is None)


# --- transports ------------------------------------------------------------------------------------------------------


def test_connections_can_be_secure(colour: str, certificates: Certificates) -> None:
    seen: list[Any] = []

    async def handler(connection: Any) -> None:
        if colour == "asyncio":
            seen.append(connection.transport.get_extra_info("ssl_object").version())
        else:
            seen.append(connection.socket.version())
        await echo(connection)

    context = certificates.server_context()
    with serving(colour, handler, ssl=context) as running:
        assert running.ask(b"no TLS at all\r\n\r\n")[:1] in (b"", b"\x15")
        uri = f"wss://localhost:{running.port}/"
        with connect_websocket(uri, timeout=10, verify=certificates.ca_file) as websocket:
            websocket.send("secret")
            assert websocket.receive(10) == "secret"
            websocket.close()
    assert seen == ["TLSv1.3"]


def test_a_tls_handshake_has_a_limit(colour: str, certificates: Certificates) -> None:
    with serving(colour, ssl=certificates.server_context(), open_timeout=0.1) as running:
        assert running.ask(b"") == b""


def test_unix_sockets_are_served(colour: str, short_tmp_path: Path) -> None:
    addresses: list[Any] = []

    async def handler(connection: Any) -> None:
        addresses.append((connection.local_address, connection.remote_address))
        await echo(connection)

    path = short_tmp_path / "socket"
    unix_serve = SERVERS[colour].unix_serve
    running = Running(colour, lambda: unix_serve(coloured(colour, handler), path))
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(os.fspath(path))
            sock.sendall(HANDSHAKE)
            assert read_head(sock).startswith(b"HTTP/1.1 101 ")
            sock.sendall(b"\x81\x82\0\0\0\0hi")
            assert sock.recv(100) == b"\x81\x02hi"
    finally:
        running.close()
    assert addresses == [(os.fspath(path), "")]


def test_a_listening_socket_can_be_given(colour: str) -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    with serving(colour, echo, None, None, sock=sock) as running:
        assert running.port == port
        with running.connect() as websocket:
            websocket.send("there")
            assert websocket.receive(10) == "there"


def test_an_address_that_is_taken_is_told(colour: str) -> None:
    with serving(colour) as running, pytest.raises(OSError, match="in use"):
        Running(colour, lambda: SERVERS[colour].serve(coloured(colour, echo), "127.0.0.1", running.port))


def test_many_connections_at_a_time(colour: str) -> None:
    count = 100 if colour == "sync" else 200
    with serving(colour) as running, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(open_raw(running.port, HANDSHAKE)) for _ in range(count)]
        for sock in socks:
            read_head(sock)
        until(lambda: len(running.server.connections) == count)
        for number, sock in enumerate(socks):
            sock.sendall(b"\x82\x81\0\0\0\0" + bytes([number % 256]))
        for number, sock in enumerate(socks):
            assert sock.recv(100) == b"\x82\x01" + bytes([number % 256])
        for sock in socks:
            sock.sendall(b"\x88\x80\0\0\0\0")
        until(lambda: not running.server.connections)


def test_what_refuses_connections_is_no_server(colour: str) -> None:
    with serving(colour, process_request=lambda connection, _: connection.respond(403, "")) as running:
        with pytest.raises(WebSocketHandshakeError, match="403"):
            running.connect()
        port = running.port
    with pytest.raises(EngineError) as caught:
        connect_websocket(f"ws://127.0.0.1:{port}/", timeout=10)
    assert isinstance(caught.value, ConnectError)
