"""Servers of the `websockets` API in unlucky moments: clients that do not read, goodbyes that cannot be said, failing starts."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest

from drivetrain.compat.websockets_api.asyncio import server as asyncio_server
from drivetrain.compat.websockets_api.datastructures import Headers
from drivetrain.compat.websockets_api.http11 import Response
from drivetrain.compat.websockets_api.sync import server as sync_server
from tests.compat.websockets_api.server_support import COLOURS, HANDSHAKE, echo, open_raw, read_head, serving

pytestmark = pytest.mark.parametrize("colour", COLOURS)


def test_a_goodbye_that_cannot_be_said(colour: str, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.ERROR, "websockets.server"),
        serving(colour) as running,
        running.connect() as websocket,
    ):
        websocket.send("hello")
        assert websocket.receive(10) == "hello"
        running.close(True, 1001, "so long" * 50)
        with pytest.raises(Exception, match=r"end|reset"):
            websocket.receive(10)
    assert "closing a connection failed" in caplog.text


def test_an_answer_that_is_not_read(colour: str) -> None:
    def process_request(connection: Any, request: Any) -> Any:
        return Response(200, "OK", Headers(), bytes(50_000_000))

    with (
        serving(colour, process_request=process_request, open_timeout=0.5, close_timeout=0.5) as running,
        open_raw(running.port, HANDSHAKE) as sock,
    ):
        assert sock.recv(10)
        running.close()  # which waits for all connections


def test_one_that_opens_while_the_server_closes(colour: str) -> None:
    closing: list[Any] = []

    with serving(colour) as running:
        server = running.server
        handle = server._handle

        if colour == "asyncio":

            async def late(connection: Any) -> None:
                server.close()
                while not server.close_task or not server._is_closed:
                    await asyncio.sleep(0)
                for _ in range(10):
                    await asyncio.sleep(0)
                await handle(connection)

        else:

            def late(connection: Any) -> None:  # type: ignore[misc]
                running.begin_to_close()
                while not server.is_closing:
                    closing.append(None)
                handle(connection)

        server._handle = late
        with running.connect() as websocket:
            assert websocket.receive(10) is None
            assert websocket.close_code == 1001
        if colour == "asyncio":
            running.closed = True
        running.join()


def test_a_start_that_fails_leaves_nothing_open(colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if colour == "sync":

        def listen(_: Any) -> None:
            raise OSError(errno.EADDRINUSE, "taken")

        monkeypatch.setattr(sync_server.EngineServer, "listen", listen)
        with pytest.raises(OSError, match="taken"):
            sync_server.serve(echo, "127.0.0.1", 0)
    else:

        async def main() -> None:
            with socket.socket() as taken:
                taken.bind(("127.0.0.1", 0))
                server = asyncio_server.serve(echo, "127.0.0.1", 0)
                listen = server._listen

                async def listen_badly() -> Any:
                    listening = await listen()
                    listening.sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))  # cannot listen
                    made.extend(listening.sockets)
                    return listening

                server._listen = listen_badly
                with pytest.raises(OSError) as caught:
                    await server
                assert caught.value.errno == errno.EOPNOTSUPP

        made: list[socket.socket] = []
        asyncio.run(main())
        assert [sock.fileno() for sock in made] == [-1, -1]
    gc.collect()  # ResourceWarnings are errors


_SYNC = """
import signal, sys
from drivetrain.compat.websockets_api.sync.server import serve
def handler(connection):
    for message in connection:
        connection.send(message)
with serve(handler, "127.0.0.1", 0) as server:
    signal.signal(signal.SIGTERM, lambda *_: server.shutdown())
    print(server.socket.getsockname()[1], flush=True)
    server.serve_forever()
print("ended", flush=True)
"""
_ASYNCIO = """
import asyncio, signal
from drivetrain.compat.websockets_api.asyncio.server import serve
async def handler(connection):
    async for message in connection:
        await connection.send(message)
async def main():
    async with serve(handler, "127.0.0.1", 0) as server:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.close)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.wait_closed()
asyncio.run(main())
print("ended", flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_a_server(colour: str, number: signal.Signals) -> None:
    if colour == "asyncio" and number == signal.SIGINT and sys.version_info < (3, 11):
        pytest.skip("before Python 3.11 asyncio raises KeyboardInterrupt in the middle of whatever runs")
    program = _SYNC if colour == "sync" else _ASYNCIO
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            half = open_raw(port, HANDSHAKE[:-2])
            with open_raw(port, HANDSHAKE) as sock:
                assert b" 101 " in read_head(sock)
                # When this comes back, the main thread waits: of a signal just before a wait Python hears only after it.
                sock.sendall(b"\x81\x81\0\0\0\0x")
                assert sock.recv(100) == b"\x81\1x"
                process.send_signal(number)
                assert sock.recv(100)[:1] == b"\x88"
                sock.sendall(b"\x88\x80\0\0\0\0")
                half.sendall(b"\r\n")
                half.recv(100)
                half.close()
                output, errors = process.communicate(timeout=15)
        finally:
            process.kill()
    if number == signal.SIGTERM:
        assert (output, errors) == ("ended\n", "")
    else:
        assert "KeyboardInterrupt" in errors
        assert "never" not in errors
        assert "Warning" not in errors


def test_a_flood_of_half_open_connections(colour: str) -> None:
    before = threading.active_count()
    with serving(colour, open_timeout=0.3, close_timeout=0.3) as running:
        flood = [open_raw(running.port, HANDSHAKE[: at % len(HANDSHAKE)]) for at in range(200)]
        with running.connect() as websocket:
            websocket.send("hello")
            assert websocket.receive(10) == "hello"
        for sock in flood:
            while sock.recv(4096):
                pass
            sock.close()
        assert not running.server.connections
    assert threading.active_count() <= before + 1
