"""What only the server for threads of the `websockets` API has."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from drivetrain.compat.websockets_api.sync import server as server_module
from drivetrain.compat.websockets_api.sync.server import Server, ServerConnection, serve, unix_serve
from drivetrain.engine import BlockingBackend, connect_websocket
from tests.compat.websockets_api.server_support import HANDSHAKE, open_raw, read_head, serving
from tests.support.certificates import Certificates

HOST = "127.0.0.1"


def echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


def test_it_listens_before_it_serves() -> None:
    with serve(echo, HOST, 0) as server:
        assert server.fileno() == server.socket.fileno() >= 0
        with open_raw(server.socket.getsockname()[1], HANDSHAKE) as sock:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            assert read_head(sock).startswith(b"HTTP/1.1 101 ")
    thread.join(10)
    assert not thread.is_alive()
    assert server.fileno() == -1


def test_a_server_that_never_served_can_be_shut_down() -> None:
    with serve(echo, HOST, 0) as server:
        port = server.socket.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port), 10)
    server.serve_forever()
    assert server.fileno() == -1


def test_serve_forever_returns_when_a_handler_shuts_the_server_down() -> None:
    closed = threading.Event()

    def handler(connection: ServerConnection) -> None:
        def shut_down() -> None:
            connection.server.shutdown()
            closed.set()

        threading.Thread(target=shut_down).start()

    server = serve(handler, HOST, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    websocket = connect_websocket(f"ws://{HOST}:{server.socket.getsockname()[1]}/", timeout=10)
    assert websocket.receive(10) is None
    thread.join(10)
    assert closed.wait(10)


def test_each_connection_has_a_thread() -> None:
    names: set[str] = set()
    meeting = threading.Barrier(3)

    def handler(connection: ServerConnection) -> None:
        names.add(threading.current_thread().name + str(threading.get_ident()))
        meeting.wait(10)

    server = serve(handler, HOST, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with server:
        uri = f"ws://{HOST}:{server.socket.getsockname()[1]}/"
        websockets = [connect_websocket(uri, timeout=10) for _ in range(3)]
        for websocket in websockets:
            assert websocket.receive(10) is None
    thread.join(10)
    assert len(names) == 3


def test_the_socket_can_be_looked_at_during_the_handshake() -> None:
    seen: dict[str, Any] = {}

    def process_request(connection: Any, request: Any) -> None:
        sock = connection.inner.socket if hasattr(connection, "inner") else connection.socket
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        seen["peer"] = sock.getpeername()

    with serving("sync", process_request=process_request) as running, open_raw(running.port, HANDSHAKE) as sock:
        read_head(sock)
        assert seen["peer"] == sock.getsockname()


def test_a_connection_can_be_given_up_during_the_handshake() -> None:
    def process_request(connection: Any, request: Any) -> None:
        connection.close_socket()

    with serving("sync", process_request=process_request) as running:
        assert running.ask(HANDSHAKE) == b""


def test_the_arguments_may_not_contradict_each_other(short_tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as sock:
        for options, name in (({"host": HOST}, "host"), ({"port": 1}, "port")):
            with pytest.raises(ValueError, match=f"{name} is incompatible with sock"):
                serve(echo, sock=sock, **options)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="path is incompatible with sock"):
            unix_serve(echo, short_tmp_path / "socket", sock=sock)
    with pytest.raises(ValueError, match="missing path"):
        unix_serve(echo)


def test_options_of_the_socket_are_passed_on() -> None:
    with serve(echo, HOST, 0, reuse_port=True, backlog=1) as server:
        assert server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    with pytest.raises(TypeError):
        serve(echo, HOST, 0, unknown=1)


def test_the_old_name_of_ssl_is_understood(certificates: Certificates) -> None:
    with pytest.warns(DeprecationWarning, match="ssl_context was renamed to ssl"):
        server = serve(echo, HOST, 0, ssl_context=certificates.server_context())
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with server:
        uri = f"wss://localhost:{server.socket.getsockname()[1]}/"
        with connect_websocket(uri, timeout=10, verify=certificates.ca_file) as websocket:
            websocket.send("secret")
            assert websocket.receive(10) == "secret"
            websocket.close()
    thread.join(10)


def test_the_old_name_of_the_server_is_understood() -> None:
    with pytest.warns(DeprecationWarning, match="WebSocketServer was renamed to Server"):
        assert server_module.WebSocketServer is Server
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        assert server_module.nothing


def test_a_signal_handler_can_shut_it_down_at_any_moment() -> None:
    with serving("sync") as running:
        server: Any = running.server
        backend = server._engine._core.backend

        class Interrupted(BlockingBackend):
            def spawn(self, coroutine: Any, name: str) -> Any:
                server.shutdown()  # as a signal handler would, in the thread that is just starting another one
                return backend.spawn(coroutine, name)

        server._engine._core.backend = Interrupted()
        with open_raw(running.port, HANDSHAKE) as sock:
            assert sock.recv(100).startswith(b"HTTP/1.1 503 ")
        running._thread.join(10)
        assert not running._thread.is_alive()
        assert server.fileno() == -1
