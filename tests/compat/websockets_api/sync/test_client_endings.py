"""How a connection for threads ends, and what its users are told; the socket below it, and messages to many."""

from __future__ import annotations

import logging
import math
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from drivetrain.compat.websockets_api.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    ProtocolError,
)
from drivetrain.compat.websockets_api.frames import Close
from drivetrain.compat.websockets_api.protocol import State
from drivetrain.compat.websockets_api.sync.client import ClientConnection, connect
from drivetrain.compat.websockets_api.sync.connection import broadcast
from drivetrain.compat.websockets_api.sync.utils import Deadline
from tests.protocol.websocket_support import close_payload, frame
from tests.support.certificates import Certificates
from tests.support.servers import RawServer, read_until_eof
from tests.support.websocket_handlers import Served, serving_sync
from tests.support.websocket_raw import RawFrame, accept_raw, read_frame, saying

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def opened(server: RawServer, **options: Any) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{server.port}/", **{"legacy": True, "proxy": None, "compression": None, **options})


@pytest.fixture
def served() -> Iterator[Served]:
    with serving_sync() as server:
        yield server
    assert server.errors == []


def what_is_raised(websocket: ClientConnection) -> list[ConnectionClosed]:
    """By everything that cannot be done any more."""
    raised = []
    for call in (
        websocket.recv,
        lambda: websocket.send("x"),
        lambda: websocket.send(["x"]),
        websocket.ping,
        websocket.pong,
        lambda: list(websocket.recv_streaming()),
    ):
        with pytest.raises(ConnectionClosed) as caught:
            call()
        raised.append(caught.value)
    return raised


# --- by whom ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1008, 1011, 1012, 1014, 3000, 4999])
def test_closed_by_the_peer(code: int) -> None:
    with RawServer(saying(frame(TEXT, "a") + frame(CLOSE, close_payload(code, "why")))) as server:
        websocket = opened(server)
        messages = []
        if code in (1000, 1001):
            messages += list(websocket)
        else:
            with pytest.raises(ConnectionClosedError):
                messages.extend(websocket)
        assert messages == ["a"]
        for error in what_is_raised(websocket):
            assert type(error) is (ConnectionClosedOK if code in (1000, 1001) else ConnectionClosedError)
            assert (error.rcvd, error.sent, error.rcvd_then_sent) == (Close(code, "why"), Close(code, "why"), True)
        assert (websocket.state, websocket.close_code, websocket.close_reason) == (State.CLOSED, code, "why")
        websocket.close()
        assert websocket.wait_closed()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((), (1000, "")), ((None,), (1005, "")), ((1001, "away"), (1001, "away")), ((4000, "ü" * 61), (4000, "ü" * 61))],
)
def test_closed_by_the_client(arguments: Any, said: tuple[int, str], served: Served) -> None:
    websocket = connect(f"ws://127.0.0.1:{served.port}/", proxy=None, legacy=True)
    assert (websocket.close_code, websocket.close_reason) == (None, None)
    websocket.close(*arguments)
    assert (websocket.state, websocket.close_code, websocket.close_reason) == (State.CLOSED, *said)
    websocket.close(1008)
    for error in what_is_raised(websocket):
        assert (error.sent, error.rcvd, error.rcvd_then_sent) == (Close(*said), Close(*said), False)
        assert isinstance(error, ConnectionClosedOK) is (said[0] in (1000, 1001, 1005))


@pytest.mark.parametrize(
    "arguments", [(0,), (999,), (1004,), (1005,), (1006,), (1015,), (2999,), (5000,), (1000, "x" * 124), (None, "x")]
)
def test_what_cannot_be_said(served: Served, arguments: Any) -> None:
    with connect(f"ws://127.0.0.1:{served.port}/", proxy=None) as websocket:
        with pytest.raises(ProtocolError):
            websocket.close(*arguments)
        websocket.send("open")
        assert websocket.recv(10) == "open"


@pytest.mark.parametrize(("error", "code"), [(None, 1000), (ValueError("x"), 1011), (KeyboardInterrupt(), 1011)])
def test_a_context_manager_tells_how_it_was_left(error: BaseException | None, code: int) -> None:
    said: list[RawFrame] = []

    def handler(sock: socket.socket) -> None:
        accept_raw(sock)
        said.append(read_frame(sock))

    def use(server: RawServer) -> None:
        with opened(server, legacy=None) as websocket:
            assert websocket.state is State.OPEN
            if error is not None:
                raise error

    with RawServer(handler) as server:
        if error is None:
            use(server)
        else:
            with pytest.raises(type(error)):
                use(server)
    assert said == [RawFrame(CLOSE, close_payload(code))]


def test_closed_in_the_middle_of_a_message() -> None:
    said: list[RawFrame] = []

    def handler(sock: socket.socket) -> None:
        accept_raw(sock)
        said.extend(read_frame(sock) for _ in range(2))

    with RawServer(handler) as server:
        websocket = opened(server)

        def parts() -> Iterator[str]:
            yield "a"
            websocket.close()
            yield "b"

        with pytest.raises(ConnectionClosedError, match="close during fragmented message; no close frame received"):
            websocket.send(parts())
    assert said[1] == RawFrame(CLOSE, close_payload(1011, "close during fragmented message"))


def test_a_peer_that_does_not_take_part_in_closing() -> None:
    with RawServer(saying(b"", then=read_until_eof)) as server:
        websocket = opened(server, close_timeout=0.05)
        websocket.close()
        with pytest.raises(ConnectionClosedError) as caught:
            websocket.recv()
        assert str(caught.value) == "sent 1000 (OK); no close frame received"
        assert isinstance(caught.value.__cause__, TimeoutError)
        assert str(caught.value.__cause__) == "timed out while closing connection"
        assert websocket.close_code == 1006


def test_a_peer_that_closes_and_stays() -> None:
    """A client waits for the server to end the connection, but not for ever."""
    with RawServer(saying(frame(CLOSE, close_payload(1000)), then=read_until_eof)) as server:
        websocket = opened(server, close_timeout=0.05)
        assert websocket.wait_closed(5)
        with pytest.raises(ConnectionClosedOK):
            websocket.recv()


def test_a_connection_that_is_reset() -> None:
    def reset(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with RawServer(saying(b"", then=reset)) as server:
        websocket = opened(server)
        for error in what_is_raised(websocket):
            assert str(error) == "no close frame received or sent"
            assert isinstance(error.__cause__, ConnectionResetError)


def test_a_connection_that_ends() -> None:
    with RawServer(saying(frame(TEXT, "last"), then=lambda sock: None)) as server:
        websocket = opened(server)
        assert websocket.recv(10) == "last"
        for error in what_is_raised(websocket):
            assert str(error) == "no close frame received or sent"
            assert isinstance(error.__cause__, EOFError)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, "a", masked=True), 1002),
        (frame(3), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, "x" * 9), 1009),
    ],
)
def test_a_fault_of_the_peer(data: bytes, code: int) -> None:
    with RawServer(saying(data)) as server:
        websocket = opened(server, max_size=8)
        with pytest.raises(ConnectionClosedError) as caught:
            websocket.recv(10)
        assert caught.value.sent is not None
        assert (caught.value.sent.code, caught.value.rcvd) == (code, None)
        assert caught.value.__cause__ is not None


def test_those_who_wait_for_it_to_close(served: Served) -> None:
    websocket = connect(f"ws://127.0.0.1:{served.port}/", proxy=None, legacy=True)
    assert websocket.wait_closed(0.01) is False
    assert websocket.wait_closed(timeout=0) is False
    threading.Timer(0.02, websocket.close).start()
    assert websocket.wait_closed() is True


# --- the socket -------------------------------------------------------------------------------------------------------


def test_the_socket_can_be_looked_at(served: Served) -> None:
    with connect(f"ws://127.0.0.1:{served.port}/", proxy=None) as websocket:
        sock = websocket.socket
        assert sock.getpeername() == websocket.remote_address == ("127.0.0.1", served.port)
        assert sock.getsockname() == websocket.local_address
        assert (sock.family, sock.type, sock.proto) == (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.fileno() >= 0
        with pytest.raises(AttributeError, match="cipher"):
            sock.cipher()
        with pytest.raises(AttributeError, match="recv"):
            sock.recv(1)
        websocket.send("undisturbed")
        assert websocket.recv(10) == "undisturbed"
    assert sock.fileno() == -1
    with pytest.raises(OSError, match="Bad file descriptor"):
        sock.getpeername()


def test_the_socket_tells_of_tls(certificates: Certificates) -> None:
    with (
        serving_sync(context=certificates.server_context(["http/1.1"])) as server,
        connect(f"wss://localhost:{server.port}/", ssl=certificates.client_context(), proxy=None) as websocket,
    ):
        assert websocket.socket.server_hostname == "localhost"
        assert websocket.socket.cipher()[1].startswith("TLS")
        with pytest.raises(AttributeError):
            websocket.socket.unwrap()


@pytest.mark.parametrize("way", ["close", "shutdown"])
def test_the_socket_can_be_ended(served: Served, way: str) -> None:
    websocket = connect(f"ws://127.0.0.1:{served.port}/", proxy=None, legacy=True)
    if way == "close":
        websocket.socket.close()
    else:
        websocket.socket.shutdown(socket.SHUT_RDWR)
    with pytest.raises(ConnectionClosedError):
        websocket.recv(10)


# --- to many ----------------------------------------------------------------------------------------------------------


def test_one_message_to_many(served: Served) -> None:
    uri = f"ws://127.0.0.1:{served.port}/"
    sockets = [connect(uri, proxy=None, legacy=True) for _ in range(5)]
    sockets[0].close()
    for message, text, expected in [("a", None, "a"), (b"b", None, b"b"), ("a", False, b"a"), (b"b", True, "b")]:
        broadcast(sockets, message, text=text, max_workers=2)
        assert [websocket.recv(10) for websocket in sockets[1:]] == [expected] * 4
    with pytest.raises(TypeError, match="data must be str or bytes"):
        broadcast(sockets, ["a"])  # type: ignore[arg-type]
    for websocket in sockets:
        websocket.close()


def test_those_who_are_busy_are_left_out(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    with connect(f"ws://127.0.0.1:{served.port}/", proxy=None) as websocket:
        faults: list[BaseException] = []

        def parts() -> Iterator[str]:
            yield "a"
            broadcast([websocket], "lost")
            if sys.version_info >= (3, 11):
                with pytest.raises(Exception, match="skipped broadcast") as caught:
                    broadcast([websocket], "lost", raise_exceptions=True)
                faults.extend(caught.value.exceptions)
            yield "b"

        caplog.set_level(logging.WARNING, "websockets.client")
        websocket.send(parts())
        assert websocket.recv(10) == "ab"
    assert [record.getMessage() for record in caplog.records] == ["skipped broadcast: sending a fragmented message"]
    assert [type(fault) for fault in faults] == [ConcurrencyError] * (sys.version_info >= (3, 11))


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="there are exception groups")
def test_there_are_no_exception_groups() -> None:
    with pytest.raises(ValueError, match="requires at least Python"):
        broadcast([], "a", raise_exceptions=True)


# --- Deadline ---------------------------------------------------------------------------------------------------------


def test_a_deadline() -> None:
    assert Deadline(None).timeout() is None
    assert 9 < (Deadline(10).timeout() or 0) <= 10
    with pytest.raises(TimeoutError, match="timed out"):
        Deadline(0).timeout()
    assert -1 < (Deadline(0).timeout(raise_if_elapsed=False) or math.inf) <= 0
