"""Our servers of the `websockets` API under other people's clients, and side by side with those of `websockets` itself."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import pytest

from drivetrain.compat.websockets_api.exceptions import ConnectionClosed
from tests.compat.websockets_api.server_support import COLOURS, SERVERS, Running, coloured
from tests.support.certificates import Certificates
from tests.support.websocket_handlers import closing, pieces_of
from tests.support.websocket_handshakes import CASES, HandshakeServers, ask
from tests.support.websocket_peers import CLIENTS, run_client

pytestmark = pytest.mark.peers

# --- side by side ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=COLOURS)
def servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[HandshakeServers, HandshakeServers]]:
    """Theirs and ours."""
    folder = tmp_path_factory.mktemp("handshakes")
    theirs = HandshakeServers(folder / "theirs", request.param, ours=False)
    ours = HandshakeServers(folder / "ours", request.param, ours=True)
    with theirs, ours:
        yield theirs, ours


@pytest.mark.parametrize("configuration", CASES)
def test_handshakes_are_answered_as_the_original_does(
    configuration: str, servers: tuple[HandshakeServers, HandshakeServers]
) -> None:
    theirs, ours = servers
    for name, data in CASES[configuration].items():
        expected = ask(theirs.port_of(configuration), data)
        assert (name, ask(ours.port_of(configuration), data)) == (name, expected)


def test_the_same_is_logged(servers: tuple[HandshakeServers, HandshakeServers]) -> None:
    """Runs last: it looks at what the others left."""
    theirs, ours = servers
    assert ours.logged() == theirs.logged()
    assert ours.logged()["websockets.server INFO connection open"] > len(CASES)


# --- other people's clients ------------------------------------------------------------------------------------------


async def serve_path(connection: Any) -> None:
    """Do what `tests.support.websocket_handlers` says of paths."""
    path = connection.request.path
    with contextlib.suppress(ConnectionClosed):
        if path.startswith("/close"):
            await connection.close(*closing(path))
        elif path == "/gone":
            await connection.send("hello")
            await connection.recv()
            connection.core.abort()
            return
        elif path == "/ping":
            pong = await connection.ping()
            if isinstance(connection.latency, float) and hasattr(pong, "wait"):
                assert pong.wait(10)
            else:
                await pong
            await connection.send(f"{connection.latency}")
        while True:
            message = await connection.recv()
            if path == "/pieces" and message:
                await connection.send(pieces_of(message))
            else:
                await connection.send(message)


def choose(_: Any, offered: list[Any]) -> Any:
    return "b" if "b" in offered else None


def process_request(connection: Any, request: Any) -> Any:
    return connection.respond(403, "not here\n") if request.path == "/refused" else None


@contextlib.contextmanager
def serving(colour: str, **options: Any) -> Iterator[Running]:
    options = {"max_size": None, "select_subprotocol": choose, "process_request": process_request, **options}
    serve = SERVERS[colour].serve
    running = Running(colour, lambda: serve(coloured(colour, serve_path), "127.0.0.1", 0, **options))
    try:
        yield running
    finally:
        running.close()


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("client", CLIENTS)
def test_it_is_content_with_our_server(
    client: str, colour: str, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    """Echo of every size and kind, with compression and without, pieces, Pings, every close code, faults and refusals."""
    context = certificates.server_context()
    # `websockets` for threads reads and writes one TLS session at the same time. Tickets that come while it sends its request
    # now and then make OpenSSL lose that, whoever serves.
    context.num_tickets = 0
    with serving(colour) as running, serving(colour, ssl=context) as secure:
        said = run_client(client, certificates, f"ws://127.0.0.1:{running.port}", f"wss://localhost:{secure.port}")
    found = re.fullmatch(r"(\d+) checks\n", said)
    assert found is not None, said
    assert int(found[1]) >= 100
    assert caplog.records == []
