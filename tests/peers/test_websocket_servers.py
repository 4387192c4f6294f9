"""Our WebSocket clients, blocking and asyncio, against other people's servers, hypercorn's HTTP/2 among them."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from drivetrain.engine import AsyncClient, AsyncWebSocket, Client, DeflateOptions, WebSocketLimits
from drivetrain.engine.errors import NetworkError, WebSocketClosed, WebSocketHandshakeError
from drivetrain.engine.protocol.websocket_events import Close
from tests.faces.websocket_support import WebSockets
from tests.support.certificates import Certificates
from tests.support.h2_peers import Hypercorn
from tests.support.websocket_peers import LibraryServer

pytestmark = pytest.mark.peers

SIZES = (0, 1, 125, 126, 1000, 65535, 65536, 1_000_000)
MESSAGES: list[str | bytes] = [kind for size in SIZES for kind in ("é" * (size // 2), b"\xff" * size)]
CODES = (1000, 1001, 1003, 1008, 1011, 1012, 1013, 3000, 4999)
# Kind of server, version of HTTP.
PEERS = [("websockets", 1.1), ("websockets-sync", 1.1), ("aiohttp", 1.1), ("hypercorn", 1.1), ("hypercorn", 2)]
LIBRARIES = PEERS[:3]
DEFLATE = [False, True, DeflateOptions(server_no_context_takeover=True, client_no_context_takeover=True)]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[dict[str, Any]]:
    """The servers that were asked for, by their kinds."""
    running: dict[str, Any] = {}

    def start(kind: str) -> Any:
        if kind not in running:
            folder = tmp_path_factory.mktemp(kind)
            made: Any = Hypercorn(folder, certificates) if kind == "hypercorn" else None
            running[kind] = (made or LibraryServer(folder, certificates, kind)).__enter__()
        return running[kind]

    yield {"start": start}
    for server in running.values():
        server.__exit__(None, None, None)


class Site(NamedTuple):
    """A server as a client is told of it.

    Attributes:
        uri: its root, without a slash at the end.
        client: options of the client.
        patience: settings of WebSockets.
    """

    kind: str
    version: float
    uri: str
    client: dict[str, Any]
    patience: dict[str, Any]

    @property
    def options(self) -> dict[str, Any]:
        """For whoever connects on a client of its own."""
        return {**self.client, **self.patience}


@pytest.fixture(params=["ws", "wss"])
def site(request: pytest.FixtureRequest, peer: tuple[str, float], servers: Any, certificates: Certificates) -> Site:
    kind, version = peer
    server = servers["start"](kind)
    # hypercorn does not end a stream of HTTP/2 after the closing handshake.
    patience = {"close_timeout": 0.2} if version == 2 else {}
    if request.param == "ws":
        return Site(kind, version, f"ws://127.0.0.1:{server.port}", {"version": version}, patience)
    options = {"version": version, "verify": certificates.ca_file}
    return Site(kind, version, f"wss://localhost:{server.tls_port}", options, patience)


@pytest.fixture(params=["blocking", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Iterator[WebSockets]:
    made = WebSockets(request.param)
    yield made
    made.close()


def peers(chosen: list[tuple[str, float]]) -> Any:
    return pytest.mark.parametrize("peer", chosen, ids=[f"{kind}-{version}" for kind, version in chosen])


@peers(PEERS)
class TestEveryServer:
    @pytest.mark.parametrize("compression", DEFLATE, ids=["plain", "deflate", "no-takeover"])
    def test_echo(self, connect: WebSockets, site: Site, compression: Any) -> None:
        websocket = connect(site.uri + "/echo", ["a", "b"], compression=compression, **site.options)
        assert (websocket.protocol, websocket.version) == ("b", site.version)
        assert (websocket.deflate is not None) is bool(compression)
        for message in MESSAGES:
            websocket.send(message)
            assert websocket.receive(20) == message
        websocket.send_pieces(connect.pieces(["one ", "two ", "three"]), timeout=20)
        assert websocket.receive(20) == "one two three"
        websocket.send_pieces(connect.pieces([b"\x00" * 50_000] * 10), timeout=20)
        assert b"".join(websocket.receive_pieces(20)) == bytes(500_000)
        assert websocket.ping(timeout=20) >= 0
        for turn in range(20):
            websocket.send(f"{turn}")
        assert [websocket.receive(20) for _ in range(20)] == [f"{turn}" for turn in range(20)]
        websocket.close(4001, "byé")
        assert websocket.close_sent == Close(4001, "byé")
        assert websocket.close_received == answer_to(site, Close(4001, "byé"))
        assert websocket.is_closed

    def test_close_codes(self, connect: WebSockets, site: Site) -> None:
        for code in CODES:
            websocket = connect(f"{site.uri}/close?code={code}&reason=so", **site.options)
            assert websocket.receive(20) is None
            assert websocket.close_received == Close(code, "so")
            with pytest.raises(WebSocketClosed):
                websocket.send("more")

    def test_refusals(self, connect: WebSockets, site: Site) -> None:
        with pytest.raises(WebSocketHandshakeError) as caught:
            connect(site.uri + "/refused", **site.options)
        assert caught.value.status == 403
        assert caught.value.body == b"not here\n"


def answer_to(site: Site, close: Close) -> Close:
    """What a server answers to a Close frame: the same, but aiohttp closes as it always does."""
    return Close(1000) if site.kind == "aiohttp" else close


@peers(LIBRARIES)
def test_a_server_that_is_gone(connect: WebSockets, site: Site) -> None:
    websocket = connect(site.uri + "/gone", **site.options)
    assert websocket.receive(20) == "hello"
    websocket.send("go")
    with pytest.raises((WebSocketClosed, NetworkError)):
        websocket.receive(20)
    assert websocket.close_code == 1006


@peers(LIBRARIES[:2])
def test_messages_in_pieces_with_pings_between(connect: WebSockets, site: Site) -> None:
    for compression in (False, True):
        websocket = connect(site.uri + "/pieces", compression=compression, **site.options)
        for message in MESSAGES[:-2]:
            websocket.send(message)
            assert websocket.receive(20) == message
        large = b"x" * 100_000
        websocket.send(large)
        pieces = list(websocket.receive_pieces(20))
        assert b"".join(pieces) == large
        websocket.close()


@peers(PEERS)
def test_a_message_larger_than_is_kept(connect: WebSockets, site: Site) -> None:
    """There and back in pieces; hypercorn takes 16 MB at most."""
    parts = [bytes((turn,)) * 1_000_000 for turn in range(3 if site.kind == "hypercorn" else 20)]
    limits = WebSocketLimits(max_message_size=None)
    websocket = connect(site.uri + "/echo", limits=limits, **site.options)
    websocket.send_pieces(connect.pieces(parts), timeout=60)
    digest = hashlib.sha256()
    for piece in websocket.receive_pieces(60):
        digest.update(piece)
        assert len(piece) < 2_000_000
    assert digest.digest() == hashlib.sha256(b"".join(parts)).digest()
    websocket.close()


@peers([("hypercorn", 2)])
class TestOneConnectionForAll:
    """None closes before all are done: what comes on a stream after its Close frame ends hypercorn's whole connection."""

    def test_threads(self, site: Site) -> None:
        faults: list[BaseException] = []
        done = threading.Barrier(10, timeout=20)

        def work(number: int) -> None:
            try:
                with client.websocket(site.uri + "/echo", timeout=20, **site.patience) as websocket:
                    for turn in range(20):
                        websocket.send(f"{number}:{turn}" * 500)
                        assert websocket.receive(20) == f"{number}:{turn}" * 500
                    done.wait()
            except BaseException as error:
                faults.append(error)

        with Client(**site.client) as client:
            assert client.get(site.uri.replace("ws", "http", 1) + "/none").status == 404
            threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert faults == []
            assert client.statistics.created == 1

    def test_tasks(self, site: Site) -> None:
        async def work(websocket: AsyncWebSocket, number: int) -> None:
            for turn in range(20):
                await websocket.send(f"{number}:{turn}" * 500)
                assert await websocket.receive(20) == f"{number}:{turn}" * 500

        async def main() -> None:
            async with AsyncClient(**site.client) as client:
                assert (await client.get(site.uri.replace("ws", "http", 1) + "/none")).status == 404
                opening = (client.websocket(site.uri + "/echo", timeout=20, **site.patience) for _ in range(10))
                websockets = [await each for each in opening]
                await asyncio.gather(*(work(websocket, number) for number, websocket in enumerate(websockets)))
                assert client.statistics.created == 1
                await asyncio.gather(*(websocket.close() for websocket in websockets))

        asyncio.run(main())
