"""WebSockets whose handshakes were made by somebody else."""

from __future__ import annotations

from drivetrain.engine import DeflateOptions, DeflateParameters, adopt_websocket
from drivetrain.engine.backends.memory import MemoryBackend
from drivetrain.engine.connection.websocket import WebSocketConnection
from drivetrain.engine.connection.websocket_pump import CLOSE_TIMEOUT
from drivetrain.engine.protocol.websocket_limits import WebSocketLimits


def test_both_sides_talk_in_what_they_agreed_on() -> None:
    backend = MemoryBackend()
    near, far = backend.pipe()
    deflate = DeflateParameters(server_max_window_bits=10)
    client = adopt_websocket(near, backend, is_client=True, deflate=deflate)
    server = adopt_websocket(far, backend, is_client=False, deflate=deflate, compression=DeflateOptions(level=9))

    async def main() -> tuple[object, object]:
        await client.send("x" * 1000)
        first = await server.receive()
        await server.send(b"y" * 1000)
        return first, await client.receive()

    assert backend.run(main()) == ("x" * 1000, b"y" * 1000)
    assert client.machine.deflate == server.machine.deflate == deflate
    assert (client.type, server.type) == ("client", "server")


def test_what_is_known_of_the_handshake_is_kept() -> None:
    backend = MemoryBackend()
    stream, _ = backend.pipe()
    limits = WebSocketLimits(max_message_size=5)
    websocket = adopt_websocket(
        stream,
        backend,
        is_client=False,
        protocol="chat",
        limits=limits,
        close_timeout=1.5,
        request=[(":path", "/a")],
        response={":status": "101"},
        reason="As You Wish",
    )
    assert isinstance(websocket, WebSocketConnection)
    assert (websocket.protocol, websocket.close_timeout, websocket.reason) == ("chat", 1.5, "As You Wish")
    assert (websocket.request or {}).get(":path") == "/a"
    assert (websocket.response or {}).get(":status") == "101"
    assert websocket.machine.limits is limits
    assert websocket.machine.deflate is None


def test_the_defaults_are_those_of_other_websockets() -> None:
    async def main() -> WebSocketConnection:
        backend = MemoryBackend()
        return adopt_websocket(backend.pipe()[0], backend, is_client=True, ping_interval=5.0, ping_timeout=None)

    backend = MemoryBackend()
    websocket = backend.run(main())
    assert websocket.close_timeout == CLOSE_TIMEOUT
    assert (websocket.ping_interval, websocket.ping_timeout) == (5.0, None)
