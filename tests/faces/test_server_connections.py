"""Servers that hand over whole connections (`on_connection`), and that stop listening before they close."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from drivetrain.engine import AsyncServer, Server, run_blocking
from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.errors import ClosedError, UsageError
from tests.faces.serving import dial, reply, serving, until
from tests.support.certificates import Certificates

COLOURS = pytest.mark.parametrize("colour", ["blocking", "asyncio"])


async def shout(_: Any, stream: Any) -> None:
    """Send back in capitals what comes, until the end."""
    while data := await stream.receive_some(100, FOREVER):
        await stream.send_all(data.upper(), FOREVER)


def talk(sock: socket.socket) -> bool:
    sock.sendall(b"hello")
    return sock.recv(100) == b"HELLO"


@COLOURS
def test_a_connection_is_handed_over_as_it_is(colour: str) -> None:
    with serving(colour, None, on_connection=shout) as running:
        with dial(running) as first, dial(running) as second:
            assert talk(first)
            assert talk(second)
            assert running.connections == 2
            first.shutdown(socket.SHUT_WR)
            assert first.recv(100) == b""
            assert talk(second)
        until(lambda: running.connections == 0)
    assert running.errors == []


@COLOURS
def test_tls_comes_first(colour: str, certificates: Certificates) -> None:
    context = certificates.server_context()
    client = certificates.client_context()
    with serving(colour, None, on_connection=shout, context=context) as running, dial(running) as raw:
        secure = client.wrap_socket(raw, server_hostname="localhost")
        assert talk(secure)
        secure.close()


def test_a_plain_function_serves_in_the_connections_thread() -> None:
    def handler(_: Any, stream: Any) -> None:
        run_blocking(shout(None, stream))

    with serving("blocking", None, on_connection=handler) as running, dial(running) as sock:
        assert talk(sock)


@COLOURS
def test_errors_of_the_handler_are_reported_and_end_the_connection(colour: str) -> None:
    async def handler(_: Any, stream: Any) -> None:
        raise LookupError("a fault of the program")

    with serving(colour, None, on_connection=handler) as running:
        with dial(running) as sock:
            assert sock.recv(100) == b""
        until(lambda: bool(running.errors))
    ((error, context),) = running.errors
    assert isinstance(error, LookupError)
    assert context == "handling a connection"


@COLOURS
def test_a_client_that_goes_away_is_nobodys_error(colour: str) -> None:
    begun = threading.Event()

    async def handler(_: Any, stream: Any) -> None:
        begun.set()
        await shout(_, stream)

    with serving(colour, None, on_connection=handler) as running:
        with dial(running) as sock:
            assert begun.wait(5)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        until(lambda: running.connections == 0)
    assert running.errors == []


@COLOURS
def test_closing_waits_for_connections_and_cuts_them_when_its_time_is_up(colour: str) -> None:
    with serving(colour, None, on_connection=shout) as running, dial(running) as sock:
        assert talk(sock)
        running.close(0.05)
        assert sock.recv(100) == b""
        assert running.connections == 0


@COLOURS
def test_what_stopped_listening_serves_on(colour: str) -> None:
    with serving(colour, None, on_connection=shout) as running, dial(running) as sock:
        assert talk(sock)
        address = running.address
        running.run(running.server.stop_listening)
        running.run(running.server.stop_listening)
        until(lambda: refuses(address))
        assert talk(sock)
        assert running.connections == 1


def refuses(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, 5).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


@COLOURS
def test_requests_are_answered_after_the_listening(colour: str) -> None:
    async def handler(_: Any, stream: Any) -> None:
        await stream.get_headers()
        await reply(stream)

    with serving(colour, handler) as running, dial(running) as sock:
        request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for _ in range(2):
            sock.sendall(request)
            answer = b""
            while not answer.endswith(b"ok"):
                answer += sock.recv(1000)
            running.run(running.server.stop_listening)
        assert refuses(running.address)


def test_a_loop_ends_with_the_listening() -> None:
    server = Server(None, on_connection=shout)
    server.listen()
    thread = threading.Thread(target=server.loop)
    thread.start()
    server.stop_listening()
    thread.join(5)
    assert not thread.is_alive()
    server.close()


@pytest.mark.parametrize("begins", [True, False])
def test_an_interrupt_while_a_connection_gets_its_thread(begins: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is served on when the thread runs already, and closed when it does not run yet."""
    begun = threading.Event()
    started: list[Callable[[], None]] = []
    start = threading.Thread.start

    async def handler(_: Any, stream: Any) -> None:
        begun.set()
        await shout(None, stream)

    def interrupted(thread: threading.Thread) -> None:
        if begins:
            start(thread)
            assert begun.wait(10)
        else:
            started.append(lambda: start(thread))
        raise KeyboardInterrupt

    server = Server(None, on_connection=handler)
    with socket.create_connection(server.listen()[1:], 10) as sock:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(threading.Thread, "start", interrupted)
            server.loop()
        for later in started:
            later()
        if begins:
            assert talk(sock)
            assert server.connections == 1
            sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b""
        until(lambda: server.connections == 0)
        assert begun.is_set() == begins
    server.close()


def test_what_never_listened_will_not() -> None:
    server = Server(None, on_connection=shout)
    server.stop_listening()
    with pytest.raises(ClosedError):
        server.listen()

    async def main() -> None:
        other = AsyncServer(None, on_connection=shout)
        other.stop_listening()
        with pytest.raises(ClosedError):
            await other.start()

    asyncio.run(main())


@pytest.mark.parametrize("kind", [Server, AsyncServer])
def test_a_server_serves_either_streams_or_connections(kind: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="either"):
        kind(None)
    with pytest.raises(UsageError, match="either"):
        kind(shout, on_connection=shout)


def test_on_a_loop_the_handler_is_a_coroutine_function() -> None:
    with pytest.raises(UsageError, match="async def"):
        AsyncServer(None, on_connection=print)
