"""An asyncio connection's Pings, what it tells about itself, its log, and broadcasts."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import ssl
import sys
import threading
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from drivetrain.compat.websockets_api.asyncio.client import ClientConnection, connect
from drivetrain.compat.websockets_api.asyncio.connection import Connection, broadcast
from drivetrain.compat.websockets_api.asyncio.server import broadcast as broadcast_of_servers
from drivetrain.compat.websockets_api.exceptions import (
    ConcurrencyError,
    ConnectionClosedError,
    ConnectionClosedOK,
    ProtocolError,
)
from drivetrain.compat.websockets_api.protocol import State
from drivetrain.engine import AsyncWebSocket
from tests.compat.websockets_api.asyncio.support import echo, frame, hanging, opened, pause, raw, run, serving
from tests.support.websocket_raw import accept_raw, read_frame

# --- Pings ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [None, "text", b"", b"x" * 125, bytearray(b"a"), memoryview(b"b")])
def test_a_ping_returns_a_future_of_its_latency(data: Any) -> None:
    async def main() -> None:
        async with opened() as websocket:
            assert websocket.latency == 0.0
            pong = await websocket.ping(data)
            assert isinstance(pong, asyncio.Future)
            assert 0 < await pong < 5
            assert websocket.latency == pong.result()

    run(main())


def test_a_later_pong_answers_earlier_pings() -> None:
    def handler(connection: socket.socket) -> None:
        accept_raw(connection)
        data = b""
        while data.count(b"\x89") < 3:
            data += connection.recv(1000)
        connection.sendall(frame(10, b"unasked") + frame(10, b"2222"))
        connection.recv(1000)

    async def main(uri: str) -> None:
        async with connect(uri, proxy=None, ping_interval=None) as websocket:
            pings = [await websocket.ping(data) for data in ("1111", "2222", "3333")]
            await pings[1]
            assert [ping.done() for ping in pings] == [True, True, False]
            assert pings[0].result() >= pings[1].result() == websocket.latency
        with pytest.raises(ConnectionClosedError):
            await pings[2]

    with raw(handler) as uri:
        run(main(uri))


def test_pings_that_cannot_be() -> None:
    async def main(uri: str) -> None:
        async with connect(uri, proxy=None, close_timeout=0.01) as websocket:
            await websocket.ping("same")
            with pytest.raises(ConcurrencyError, match="already waiting for a pong with the same data"):
                await websocket.ping(b"same")
            for call in (websocket.ping, websocket.pong):
                with pytest.raises(TypeError, match="data must be str or bytes-like"):
                    await call(1)
                with pytest.raises(ProtocolError, match="control frame too long"):
                    await call("x" * 126)
            assert websocket.state is State.OPEN

    with raw(hanging()) as uri:
        run(main(uri))


def test_futures_of_a_closed_connection_fail_and_make_no_noise() -> None:
    complaints: list[Any] = []

    async def main(uri: str) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        websocket = await connect(uri, proxy=None)
        asked, _unasked, cancelled = [await websocket.ping() for _ in range(3)]
        cancelled.cancel()
        del _unasked
        websocket.transport.abort()
        await websocket.wait_closed()
        with pytest.raises(ConnectionClosedError) as caught:
            await asked
        assert caught.value.rcvd is None
        for call in (websocket.ping, websocket.pong):
            with pytest.raises(ConnectionClosedError):
                await call()
        del websocket, asked, cancelled, caught
        gc.collect()

    with raw(hanging()) as uri:
        run(main(uri))
    assert complaints == []


def test_pongs_are_sent() -> None:
    async def main(uri: str) -> None:
        async with connect(uri, proxy=None) as websocket:
            await websocket.pong("text")
            await websocket.pong(b"bytes")
            await websocket.pong()

    seen = []

    def handler(connection: socket.socket) -> None:
        accept_raw(connection)
        seen.extend(read_frame(connection) for _ in range(3))

    with raw(handler) as uri:
        run(main(uri))
    assert [(found.opcode, found.payload) for found in seen] == [(10, b"text"), (10, b"bytes"), (10, b"")]


def test_pings_are_answered_while_nobody_receives() -> None:
    async def asking(websocket: AsyncWebSocket) -> None:
        await websocket.send(str(await websocket.ping(timeout=5)))
        await echo(websocket)

    async def main() -> None:
        async with opened(asking) as websocket:
            await pause(0.2)
            assert 0 < float(await websocket.recv()) < 0.15

    run(main())


# --- what is told about it --------------------------------------------------------------------------------------------


def test_facts() -> None:
    async def main() -> None:
        async with opened(server_options={"protocols": ("b",)}, subprotocols=["a", "b"]) as websocket:
            assert isinstance(websocket, ClientConnection)
            assert isinstance(websocket, Connection)
            assert isinstance(websocket.id, uuid.UUID)
            assert websocket.id == websocket.protocol.id
            assert websocket.subprotocol == websocket.protocol.subprotocol == "b"
            assert websocket.loop is asyncio.get_running_loop()
            assert websocket.state is websocket.protocol.state is State.OPEN
            assert (websocket.close_code, websocket.close_reason) == (None, None)
            assert websocket.request.path == "/"
            assert websocket.response.status_code == 101
            assert [extension.name for extension in websocket.protocol.extensions] == ["permessage-deflate"]
            assert "ClientConnection client open" in repr(websocket)
            with pytest.raises(AssertionError, match="connection isn't closed yet"):
                _ = websocket.close_exc
        assert websocket.state is State.CLOSED
        assert (websocket.close_code, websocket.close_reason) == (1000, "")
        assert isinstance(websocket.close_exc, ConnectionClosedOK)
        assert websocket.local_address is not None
        assert websocket.remote_address is not None

    run(main())


def test_the_transport_tells_of_the_socket() -> None:
    async def main() -> None:
        async with opened() as websocket:
            transport = websocket.transport
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert sock.fileno() >= 0
            assert transport.get_extra_info("peername") == websocket.remote_address == sock.getpeername()
            assert transport.get_extra_info("sockname") == websocket.local_address == sock.getsockname()
            assert transport.get_extra_info("ssl_object") is None
            assert transport.get_extra_info("no such thing", "default") == "default"
            assert transport.get_write_buffer_size() == 0
            assert not transport.can_write_eof()
            assert not transport.is_closing()
            assert "open" in repr(transport)
            transport.close()
            await websocket.wait_closed()
            assert transport.is_closing()

    run(main())


def test_the_transport_tells_of_tls(certificates: Any) -> None:
    async def main() -> None:
        options = {"scheme": "wss", "context": certificates.server_context()}
        async with serving(**options) as served:
            context = certificates.client_context()
            async with connect(served.uri, ssl=context, proxy=None) as websocket:
                transport = websocket.transport
                assert isinstance(transport.get_extra_info("ssl_object"), ssl.SSLObject)
                assert transport.get_extra_info("sslcontext") is context
                assert transport.get_extra_info("cipher") == transport.get_extra_info("ssl_object").cipher()
                assert ("DNS", "localhost") in transport.get_extra_info("peercert")["subjectAltName"]
                assert transport.get_extra_info("compression") is None
                assert transport.get_extra_info("other", 1) == 1
                await websocket.send("x")
                assert await websocket.recv() == "x"

    run(main())


def test_the_debug_log(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with opened(logger=logging.getLogger("mine")) as websocket:
            await websocket.send("text")
            await websocket.recv()
            await websocket.send(b"\x01", text=None)
            await websocket.recv()
            assert websocket.logger.extra["websocket"].id == websocket.id
        used.append(websocket)  # the records do not keep it

    used: list[Any] = []
    with caplog.at_level(logging.DEBUG, "mine"):
        run(main())
    lines = [record.getMessage() for record in caplog.records if record.name == "mine"]
    assert lines[0] == "> GET / HTTP/1.1"
    assert "> Upgrade: websocket" in lines
    assert "< HTTP/1.1 101 Switching Protocols" in lines
    assert [line for line in lines if line.startswith("=")] == [
        "= connection is OPEN",
        "= connection is CLOSING",
        "= connection is CLOSED",
    ]
    assert lines.index("> TEXT 'text' [4 bytes]") < lines.index("< TEXT 'text' [4 bytes]")
    assert "> BINARY 01 [1 byte]" in lines
    assert {"> CLOSE 1000 (OK)", "< CLOSE 1000 (OK)"} <= set(lines)
    assert all(record.websocket.id for record in caplog.records if record.name == "mine")


def test_nothing_is_logged_by_default(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with opened() as websocket:
            await websocket.send("text")
            await websocket.recv()
            assert websocket.logger.logger.name == "websockets.client"

    with caplog.at_level(logging.INFO):
        run(main())
    assert [record for record in caplog.records if record.name.startswith("websockets")] == []


# --- to many at once --------------------------------------------------------------------------------------------------


class TestBroadcast:
    def test_it_is_the_one_of_servers(self) -> None:
        assert broadcast_of_servers is broadcast

    @pytest.mark.parametrize(
        ("message", "text", "expected"),
        [("a", None, "a"), (b"a", None, b"a"), ("a", False, b"a"), (b"a", True, "a"), (bytearray(b"b"), None, b"b")],
    )
    def test_open_connections_get_it(self, message: Any, text: bool | None, expected: Any) -> None:
        async def main() -> None:
            async with serving() as served:
                connections = [await connect(served.uri, proxy=None) for _ in range(3)]
                await connections[1].close()
                broadcast(connections, message, text=text)
                assert [await connections[n].recv() for n in (0, 2)] == [expected] * 2
                for connection in connections:
                    await connection.close()

        run(main())

    def test_what_is_no_message(self) -> None:
        for message in (["a"], 1, None):
            with pytest.raises(TypeError, match="data must be str or bytes"):
                broadcast([], message)  # type: ignore[arg-type]

    def test_connections_in_the_middle_of_a_message_are_left_out(self, caplog: pytest.LogCaptureFixture) -> None:
        async def main() -> None:
            async with opened() as websocket:

                async def parts() -> AsyncIterator[str]:
                    yield "a"
                    broadcast([websocket], "b")
                    if sys.version_info >= (3, 11):
                        with pytest.raises(ExceptionGroup, match="skipped broadcast") as caught:  # noqa: F821
                            broadcast([websocket], "b", raise_exceptions=True)
                        assert [type(error) for error in caught.value.exceptions] == [ConcurrencyError]
                    else:
                        with pytest.raises(ValueError, match=r"Python 3\.11"):
                            broadcast([websocket], "b", raise_exceptions=True)

                await websocket.send(parts())
                assert await websocket.recv() == "a"

        run(main())
        assert [record.getMessage() for record in caplog.records if record.name == "websockets.client"] == [
            "skipped broadcast: sending a fragmented message"
        ]

    def test_slow_peers_hold_nobody_up(self) -> None:
        async def main(slow_uri: str) -> None:
            async with opened() as fast, connect(slow_uri, proxy=None, close_timeout=0.01) as slow:
                for number in range(100):
                    broadcast([slow, fast], bytes(100_000) + str(number).encode())
                    assert (await fast.recv())[100_000:] == str(number).encode()
                assert slow.transport.get_write_buffer_size() > 0
            left.set()
            await pause(0.1)

        def accepting(connection: socket.socket) -> None:
            accept_raw(connection)
            left.wait(10)

        left = threading.Event()
        with raw(accepting) as uri:
            try:
                run(main(uri))
            finally:
                left.set()
