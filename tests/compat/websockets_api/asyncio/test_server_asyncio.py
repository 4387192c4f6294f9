"""What only the asyncio server of the `websockets` API has: its life as an object of a loop, and where it listens."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import os
import socket
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from drivetrain.compat.websockets_api.asyncio.server import Server, ServerConnection, serve, unix_serve
from drivetrain.compat.websockets_api.asyncio.time_limit import TimeLimit
from drivetrain.compat.websockets_api.exceptions import ConnectionClosed
from drivetrain.engine import AsyncWebSocket, connect_async_websocket
from tests.compat.websockets_api.server_support import HANDSHAKE

HOST = "127.0.0.1"


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test, which must not take long."""
    asyncio.run(asyncio.wait_for(main(), 20))


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


def port_of(server: Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


async def connect(server: Server) -> AsyncWebSocket:
    return await connect_async_websocket(f"ws://{HOST}:{port_of(server)}/", timeout=10)


# --- life ------------------------------------------------------------------------------------------------------------


def test_it_can_be_awaited_or_entered() -> None:
    async def main() -> None:
        server = await serve(echo, HOST, 0)
        assert server.is_serving()
        assert server.get_loop() is asyncio.get_running_loop()
        assert await server is server
        assert len(server.sockets) == 1
        async with server as again:
            assert again is server
            async with await connect(server) as websocket:
                await websocket.send("hello")
                assert await websocket.receive(10) == "hello"
        assert not server.is_serving()
        assert server.sockets == ()
        await server.wait_closed()

    run(main)


def test_serving_can_begin_later() -> None:
    async def main() -> None:
        async with serve(echo, HOST, 0, start_serving=False) as server:
            assert not server.is_serving()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(HOST, port_of(server))
            await server.start_serving()
            await server.start_serving()
            assert server.is_serving()
            async with await connect(server) as websocket:
                await websocket.send("hello")
                assert await websocket.receive(10) == "hello"
        with pytest.raises(RuntimeError, match="is closed"):
            await server.start_serving()

    run(main)


def test_a_server_that_never_served_can_be_closed() -> None:
    async def main() -> None:
        async with serve(echo, HOST, 0, start_serving=False) as server:
            (sock,) = server.sockets
        assert sock.fileno() == -1

    run(main)


def test_serve_forever_ends_with_close() -> None:
    async def main() -> None:
        server = await serve(echo, HOST, 0, start_serving=False)
        forever = asyncio.ensure_future(server.serve_forever())
        await asyncio.sleep(0)
        assert server.is_serving()
        server.close()
        await forever
        assert not server.is_serving()

    run(main)


def test_serve_forever_closes_when_it_is_cancelled() -> None:
    async def main() -> None:
        server = await serve(echo, HOST, 0)
        websocket = await connect(server)
        forever = asyncio.ensure_future(server.serve_forever())
        await asyncio.sleep(0)
        forever.cancel()
        assert await websocket.receive(10) is None
        assert websocket.close_code == 1001
        with pytest.raises(asyncio.CancelledError):
            await forever
        assert not server.is_serving()

    run(main)


def test_a_handler_can_close_the_server() -> None:
    async def main() -> None:
        async def handler(connection: ServerConnection) -> None:
            connection.server.close(code=1012)
            await connection.wait_closed()

        server = await serve(handler, HOST, 0)
        websocket = await connect(server)
        assert await websocket.receive(10) is None
        assert websocket.close_code == 1012
        await server.wait_closed()

    run(main)


def test_nothing_is_left_when_it_is_closed() -> None:
    async def main() -> None:
        before = asyncio.all_tasks()
        async with serve(echo, HOST, 0) as server:
            websockets = [await connect(server) for _ in range(3)]
            reader, writer = await asyncio.open_connection(HOST, port_of(server))
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 426 ")
            writer.close()
            for websocket in websockets:
                await websocket.close()
        assert asyncio.all_tasks() == before

    run(main)


# --- handlers --------------------------------------------------------------------------------------------------------

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("WHO", default="nobody")


def test_a_hook_and_the_handler_share_a_context() -> None:
    async def main() -> None:
        async def process_request(connection: ServerConnection, request: Any) -> None:
            await asyncio.sleep(0)
            WHO.set(request.path)

        async def handler(connection: ServerConnection) -> None:
            await connection.send(WHO.get())

        async with serve(handler, HOST, 0, process_request=process_request) as server:
            websocket = await connect(server)
            assert await websocket.receive(10) == "/"
            await websocket.close()
        assert WHO.get() == "nobody"

    run(main)


def test_a_hook_that_takes_too_long_is_given_up() -> None:
    async def main() -> None:
        cancelled = asyncio.Event()

        async def process_request(connection: ServerConnection, request: Any) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

        async with serve(echo, HOST, 0, process_request=process_request, open_timeout=0.05) as server:
            reader, writer = await asyncio.open_connection(HOST, port_of(server))
            writer.write(HANDSHAKE)
            assert await reader.read() == b""
            assert cancelled.is_set()
            writer.close()

    run(main)


def test_a_rejected_connection_is_closed_for_those_who_wait() -> None:
    async def main() -> None:
        made: list[ServerConnection] = []

        def create(*args: Any, **kwargs: Any) -> ServerConnection:
            made.append(ServerConnection(*args, **kwargs))
            return made[-1]

        async with serve(echo, HOST, 0, create_connection=create) as server:
            reader, writer = await asyncio.open_connection(HOST, port_of(server))
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            await reader.read()
            writer.close()
            await made[0].wait_closed()
            assert made[0].remote_address is not None
        assert made[0].server is server

    run(main)


def test_a_subclass_can_customize_connections() -> None:
    async def main() -> None:
        class Custom(ServerConnection):
            async def shout(self, text: str) -> None:
                await self.send(text.upper())

        async def handler(connection: Any) -> None:
            assert (connection.ping_interval, connection.close_timeout, connection.max_queue_high) == (1, 2, 3)
            await connection.shout("hello")

        options: dict[str, Any] = {"ping_interval": 1, "close_timeout": 2, "max_queue": 3}
        async with serve(handler, HOST, 0, create_connection=Custom, **options) as server:
            websocket = await connect(server)
            assert await websocket.receive(10) == "HELLO"
            await websocket.close()

    run(main)


def test_a_handler_that_is_cancelled_closes_its_connection() -> None:
    async def main() -> None:
        tasks: list[Any] = []

        async def handler(connection: ServerConnection) -> None:
            tasks.append(asyncio.current_task())
            await connection.recv()

        async with serve(handler, HOST, 0) as server:
            websocket = await connect(server)
            while not tasks:
                await asyncio.sleep(0)
            tasks[0].cancel()
            assert await websocket.receive(10) is None
            assert websocket.close_code == 1011
            assert server.connections == set()

    run(main)


def test_a_connection_can_be_used_by_other_tasks() -> None:
    async def main() -> None:
        found: asyncio.Future[ServerConnection] = asyncio.get_running_loop().create_future()

        async def handler(connection: ServerConnection) -> None:
            found.set_result(connection)
            await connection.wait_closed()

        async with serve(handler, HOST, 0) as server:
            websocket = await connect(server)
            connection = await found
            await asyncio.gather(*(connection.send(f"{number}") for number in range(10)))
            assert {await websocket.receive(10) for _ in range(10)} == {f"{number}" for number in range(10)}
            await websocket.close()
            with pytest.raises(ConnectionClosed):
                await connection.send("too late")

    run(main)


# --- where it listens ------------------------------------------------------------------------------------------------


def test_several_hosts_are_listened_on() -> None:
    async def main() -> None:
        async with serve(echo, [HOST, "127.0.0.2", HOST], 0) as server:
            names = {sock.getsockname()[0] for sock in server.sockets}
            assert names == {HOST, "127.0.0.2"}
            for sock in server.sockets:
                host, port = sock.getsockname()
                websocket = await connect_async_websocket(f"ws://{host}:{port}/", timeout=10)
                await websocket.send(host)
                assert await websocket.receive(10) == host
                await websocket.close()

    run(main)


@pytest.mark.parametrize("host", [None, ""])
def test_without_a_host_every_interface_is_listened_on(host: str | None) -> None:
    async def main() -> None:
        async with serve(echo, host, 0, family=socket.AF_INET) as server:
            assert [sock.getsockname()[0] for sock in server.sockets] == ["0.0.0.0"]

    run(main)


def test_ipv6_and_ipv4_are_kept_apart() -> None:
    async def main() -> None:
        async with serve(echo, "::1", 0) as server:
            (sock,) = server.sockets
            assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
            websocket = await connect_async_websocket(f"ws://[::1]:{port_of(server)}/", timeout=10)
            (connection,) = list(server.connections)
            assert connection.remote_address[0] == "::1"
            await websocket.close()

    run(main)


def test_options_of_sockets_are_set() -> None:
    async def main() -> None:
        async with serve(echo, HOST, 0, reuse_port=True, reuse_address=False, keep_alive=True, backlog=5) as server:
            (sock,) = server.sockets
            found = [
                bool(sock.getsockopt(socket.SOL_SOCKET, option))
                for option in (socket.SO_REUSEPORT, socket.SO_REUSEADDR, socket.SO_KEEPALIVE)
            ]
            assert found == [True, False, True]
            async with serve(echo, HOST, port_of(server), reuse_port=True, reuse_address=False):
                assert port_of(server)

    run(main)


def test_a_port_that_is_taken_is_told_with_its_errno() -> None:
    async def main() -> None:
        async with serve(echo, HOST, 0) as server:
            with pytest.raises(OSError, match=f"bind on address.*{port_of(server)}") as caught:
                await serve(echo, HOST, port_of(server))
            assert caught.value.errno == errno.EADDRINUSE

    run(main)


@pytest.mark.parametrize(
    ("arguments", "options", "expected"),
    [
        ((), {}, ValueError),
        ((HOST, 0), {"sock": socket.socket}, ValueError),
        ((), {"sock": lambda: socket.socket(type=socket.SOCK_DGRAM)}, ValueError),
        ((HOST, 0), {"ssl": True}, TypeError),
        ((HOST, 0), {"ssl_handshake_timeout": 1}, ValueError),
        ((HOST, 0), {"ssl_shutdown_timeout": 1}, ValueError),
        ((HOST, 0), {"unknown": 1}, TypeError),
    ],
)
def test_what_contradicts_itself_is_refused(arguments: Any, options: dict[str, Any], expected: type) -> None:
    async def main() -> None:
        made = {name: value() if callable(value) else value for name, value in options.items()}
        with pytest.raises(expected):
            await serve(echo, *arguments, **made)
        if "sock" in made:
            made["sock"].close()

    run(main)


def test_a_host_that_is_not_there_is_told() -> None:
    async def main() -> None:
        with pytest.raises(OSError, match="error while attempting to bind"):
            await serve(echo, "192.0.2.1", 0)
        with pytest.raises(socket.gaierror):
            await serve(echo, "nowhere.invalid", 0)

    run(main)


# --- UNIX-domain sockets ---------------------------------------------------------------------------------------------


def test_a_stale_unix_socket_is_replaced_and_removed_in_the_end(short_tmp_path: Path) -> None:
    path = short_tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(os.fspath(path))

    async def main() -> None:
        async with unix_serve(echo, path) as server:
            assert server.sockets[0].getsockname() == os.fspath(path)
            assert path.exists()
        assert not path.exists()
        async with unix_serve(echo, os.fsencode(path), cleanup_socket=False):
            assert path.exists()
        assert path.exists()

    run(main)


def test_the_file_of_another_server_is_left_alone(short_tmp_path: Path) -> None:
    path = short_tmp_path / "socket"

    async def main() -> None:
        async with unix_serve(echo, path), unix_serve(echo, path, cleanup_socket=False) as second:
            assert second.is_serving()
        assert path.exists()

    run(main)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX") or os.uname().sysname != "Linux", reason="names without files")
def test_an_abstract_unix_socket_is_served() -> None:
    name = f"\0drivetrain-test-{os.getpid()}"

    async def main() -> None:
        async with unix_serve(echo, name):
            reader, writer = await asyncio.open_unix_connection(name)
            writer.write(HANDSHAKE)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            writer.close()

    run(main)


def test_a_unix_socket_can_be_given(short_tmp_path: Path) -> None:
    path = os.fspath(short_tmp_path / "socket")

    async def main() -> None:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(path)
        async with unix_serve(echo, sock=sock) as server:
            assert server.sockets == (sock,)

    run(main)


def test_what_is_no_place_for_a_unix_socket_is_refused(short_tmp_path: Path) -> None:
    path = short_tmp_path / "file"
    path.write_text("not a socket")

    async def main() -> None:
        with pytest.raises(OSError, match="is already in use"):
            await unix_serve(echo, path)
        with pytest.raises(OSError, match="No such file"):
            await unix_serve(echo, short_tmp_path / "none" / "socket")
        with pytest.raises(ValueError, match="path"):
            await unix_serve(echo)
        with socket.socket() as sock:
            with pytest.raises(ValueError, match="UNIX-domain"):
                await unix_serve(echo, sock=sock)
            with pytest.raises(ValueError, match="together"):
                await unix_serve(echo, path, sock=sock)

    run(main)
    assert path.read_text() == "not a socket"


def test_tls_has_a_limit_of_its_own() -> None:
    async def main() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        async with serve(echo, HOST, 0, ssl=context, ssl_handshake_timeout=0.05, ssl_shutdown_timeout=1) as server:
            reader, writer = await asyncio.open_connection(HOST, port_of(server))
            assert await reader.read() == b""
            writer.close()

    run(main)


# --- the limit on time -----------------------------------------------------------------------------------------------


def test_a_time_limit_ends_a_wait() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with TimeLimit(0.01):
                await asyncio.Event().wait()
        async with TimeLimit(None):
            await asyncio.sleep(0)
        async with TimeLimit(10):
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # and nothing is cancelled afterwards

    run(main)


def test_a_time_limit_leaves_other_cancellations_alone() -> None:
    async def main() -> None:
        async def limited() -> None:
            async with TimeLimit(10):
                await asyncio.Event().wait()

        task = asyncio.ensure_future(limited())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)


def test_an_error_in_time_is_no_timeout() -> None:
    async def main() -> None:
        with pytest.raises(LookupError):
            async with TimeLimit(10):
                raise LookupError

    run(main)
