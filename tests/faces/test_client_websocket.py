"""WebSockets of a client: which connection carries them, and what the pool has of it afterwards."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from drivetrain.engine import (
    AsyncClient,
    H2Limits,
    Timeouts,
    WebSocketLimits,
    connect_async_websocket,
    connect_websocket,
)
from drivetrain.engine.errors import (
    ConnectError,
    ConnectionClosed,
    LocalProtocolError,
    ReadTimeout,
    UsageError,
    WebSocketHandshakeError,
    WebSocketProtocolError,
)
from drivetrain.engine.wire.h2_errors import H2Error, H2ErrorCode
from tests.faces.colours import Clients
from tests.faces.policy_support import NAMES, Origin, World, echo, say
from tests.faces.serving import until
from tests.faces.site import Target
from tests.support.certificates import Certificates
from tests.support.servers import RawServer, answering, read_head, read_until_eof


def talk(websocket: Any, text: str = "hello") -> None:
    websocket.send(text)
    assert websocket.receive(10) == text


@pytest.fixture(params=["plain", "secure"])
def origin(request: pytest.FixtureRequest, world: World) -> Origin:
    made: Origin = getattr(world, request.param)
    made.pages["/echo"] = echo()
    return made


@pytest.fixture
def shared(made_up: Certificates, clients: Clients) -> Iterator[World]:
    """A world that speaks HTTP/2."""
    made = World(made_up, ["h2", "http/1.1"], clients)
    with made.secure:
        yield made
        made.close_clients()


def carried_by(world: World, origin: Origin) -> float:
    return 2.0 if origin is world.secure and world.version == "2" else 1.1


class TestConnections:
    def test_of_its_own_or_shared(self, world: World, origin: Origin) -> None:
        client = world.client()
        shares = carried_by(world, origin) == 2.0
        with client.websocket(origin.ws("/echo")) as websocket:
            assert websocket.version == carried_by(world, origin)
            talk(websocket)
            figures = client.statistics
            assert (figures.open, figures.in_use, figures.users) == ((1, 1, 1) if shares else (0, 0, 0))
        assert websocket.close_code == 1000
        figures = client.statistics
        assert (figures.open, figures.idle, figures.users) == ((1, 1, 0) if shares else (0, 0, 0))

    def test_between_requests(self, world: World, origin: Origin) -> None:
        client = world.client()
        shares = carried_by(world, origin) == 2.0
        client.get(origin.at("/"))
        websocket = client.websocket(origin.ws("/echo"))
        assert client.get(origin.at("/")).connection.reused == shares
        talk(websocket)
        websocket.close()
        assert client.get(origin.at("/")).connection.reused
        assert client.statistics.created == (1 if shares else 2)

    def test_siblings_are_not_harmed(self, world: World, origin: Origin) -> None:
        client = world.client()
        first, second, third = (client.websocket(origin.ws("/echo")) for _ in range(3))
        for websocket in (first, second, third):
            talk(websocket)
        first.close()
        second.send("unanswered")
        second.close(timeout=0)
        talk(third, "still here")
        assert client.get(origin.at("/")).content == b"fine"
        if carried_by(world, origin) == 2.0:
            assert (client.statistics.created, client.statistics.users) == (1, 1)
        third.close()
        assert third.close_code == 1000
        assert client.statistics.users == 0

    def test_it_outlives_the_client(self, world: World, origin: Origin) -> None:
        client = world.client()
        websocket = client.websocket(origin.ws("/echo"))
        client.close()
        talk(websocket)
        websocket.close()
        assert websocket.close_code == 1000
        assert client.statistics.open == 0
        until(lambda: origin.server.connections == 0)

    def test_one_that_nobody_holds(self, shared: World) -> None:
        """Its stream is reset with the next thing that is done on the connection."""
        shared.secure.pages["/echo"] = echo()
        client = shared.client()
        websocket = client.websocket(shared.secure.ws("/echo"))
        talk(websocket)
        del websocket
        gc.collect()
        for _ in range(2):
            assert client.get(shared.secure.at("/")).content == b"fine"
        figures = client.statistics
        assert (figures.created, figures.users) == (1, 0)

    def test_from_a_server_that_goes(self, world: World, origin: Origin) -> None:
        def vanish(target: Target) -> None:
            echo()(target)
            target.stream.connection.close()

        origin.pages["/vanish"] = vanish
        client = world.client()
        websocket = client.websocket(origin.ws("/vanish"))
        websocket.close()
        assert websocket.is_closed
        assert client.get(origin.at("/")).content == b"fine"
        origin.errors.clear()


class TestVersions:
    def test_a_server_that_takes_none_over_http2(self, made_up: Certificates, clients: Clients) -> None:
        world = World(made_up, ["h2", "http/1.1"], clients, takes_websockets=False)
        with world.plain, world.secure as origin:
            assert isinstance(origin, Origin)
            origin.pages["/echo"] = echo()
            client = world.client()
            for opened in (2, 3):  # one of HTTP/2 was tried the first time only
                with client.websocket(origin.ws("/echo")) as websocket:
                    assert websocket.version == 1.1
                    talk(websocket)
                assert client.statistics.created == opened
            # Requests go on as before.
            response = client.get(origin.at("/"))
            assert (response.http_version, response.connection.reused) == ("2", True)
            pinned = world.client(version=2)
            with pytest.raises(LocalProtocolError, match="8441"):
                pinned.websocket(origin.ws("/echo"))
            assert pinned.get(origin.at("/")).http_version == "2"
            assert pinned.statistics.created == 1
            world.close_clients()

    def test_a_server_that_wants_one_of_them_over_http1(self, shared: World) -> None:
        def reset(target: Target) -> None:
            target.stream.rst_stream(H2Error(H2ErrorCode.HTTP_1_1_REQUIRED))

        shared.secure.pages["/"] = [reset, echo()]
        client = shared.client()
        with client.websocket(shared.secure.ws("/")) as websocket:
            assert websocket.version == 1.1
            talk(websocket)
        assert client.get(shared.secure.at("/x")).http_version == "2"
        assert client.statistics.created == 2

    def test_pinned(self, world: World, origin: Origin) -> None:
        client = world.client(version=1.1)
        with client.websocket(origin.ws("/echo")) as websocket:
            assert websocket.version == 1.1
            talk(websocket)
        client = world.client(version=1.0)
        with pytest.raises(UsageError, match=r"HTTP/1\.1"):
            client.websocket(origin.ws("/echo"))

    def test_known_to_speak_http2_in_clear(self, world: World) -> None:
        world.plain.pages["/echo"] = echo()
        client = world.client(version=2)
        with client.websocket(world.plain.ws("/echo")) as websocket:
            assert websocket.version == 2.0
            talk(websocket)
            assert client.get(world.plain.at("/")).http_version == "2"
        assert (client.statistics.created, client.statistics.users) == (1, 0)

    def test_after_an_upgrade_to_http2_in_clear(self, world: World) -> None:
        world.plain.pages["/echo"] = echo()
        client = world.client(upgrade_h2c=True)
        with client.websocket(world.plain.ws("/echo")) as websocket:
            assert websocket.version == 2.0
            talk(websocket)


class TestTheHandshake:
    def test_what_is_sent(self, world: World, origin: Origin) -> None:
        origin.pages["/chat"] = echo(protocols=("b", "a"), compression=True)
        client = world.client(headers={"X-Mine": "client", "Connection": "keep-alive", "X-Both": "client"})
        fields = {"X-Both": "call", "Origin": "https://page.example"}
        url = origin.ws("/chat?x=1")
        with client.websocket(url, ["a", "b"], fields, compression=True, close_timeout=7.0) as websocket:
            assert (websocket.protocol, websocket.type, websocket.close_timeout) == ("b", "client", 7.0)
            assert websocket.deflate is not None
            assert websocket.response.get(":status") == ("200" if websocket.version == 2.0 else "101")
            sent = websocket.request
        (seen,) = origin.seen
        assert seen.get(":path") == sent.get(":path") == "/chat?x=1"
        assert (seen.get("x-mine"), seen.get("x-both"), seen.get("origin")) == (
            "client",
            "call",
            "https://page.example",
        )
        assert seen.get("user-agent", "").startswith("drivetrain/")
        assert not seen.has("accept-encoding")
        is_h2 = carried_by(world, origin) == 2.0
        assert seen.get(":method") == ("CONNECT" if is_h2 else "GET")
        assert seen.get_as_sequence("connection") == ([] if is_h2 else ["Upgrade"])

    def test_each_has_a_key_of_its_own(self, world: World) -> None:
        world.plain.pages["/"] = [say(503), echo()]
        client = world.client()
        with pytest.raises(WebSocketHandshakeError):
            client.websocket(world.plain.ws("/"))
        client.websocket(world.plain.ws("/")).close()
        keys = world.plain.told("sec-websocket-key")
        assert len(set(keys)) == 2

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({"url": "http://h/"}, UsageError),
            ({"url": "ws:/"}, UsageError),
            ({"protocols": ["a b"]}, UsageError),
            ({"headers": {"Connection": "close"}}, UsageError),
            ({"headers": {"Sec-WebSocket-Key": "x"}}, UsageError),
            ({"headers": {":path": "/"}}, UsageError),
            ({"unheard_of": 1}, TypeError),
            ({"ping_interval": 0}, UsageError),
        ],
    )
    def test_what_cannot_be_asked_for(self, world: World, arguments: dict[str, Any], error: type[Exception]) -> None:
        with pytest.raises(error):
            world.client().websocket(**{"url": world.plain.ws("/"), **arguments})
        assert world.plain.seen == []

    def test_limits_hold(self, world: World, origin: Origin) -> None:
        with world.client().websocket(origin.ws("/echo"), limits=WebSocketLimits(max_message_size=10)) as websocket:
            websocket.send("x" * 11)
            with pytest.raises(WebSocketProtocolError):
                websocket.receive(10)


class TestRefusals:
    def test_have_the_whole_answer(self, world: World, origin: Origin) -> None:
        origin.pages["/no"] = say(403, ("x-why", "because"), body=b"go away", read=False)
        client = world.client()
        with pytest.raises(WebSocketHandshakeError, match="403") as caught:
            client.websocket(origin.ws("/no"))
        assert (caught.value.status, caught.value.body) == (403, b"go away")
        assert caught.value.headers.get("x-why") == "because"
        assert client.statistics.in_use == 0
        assert client.get(origin.at("/")).connection.reused

    def test_a_page_is_no_websocket(self, world: World) -> None:
        client = world.client()
        with pytest.raises(WebSocketHandshakeError) as caught:
            client.websocket(world.plain.ws("/"))
        assert (caught.value.status, caught.value.body) == (200, b"fine")
        assert client.get(world.plain.at("/")).connection.reused

    @pytest.mark.parametrize(
        ("handler", "error"),
        [
            (
                answering(b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
                WebSocketHandshakeError,
            ),
            (read_head, ConnectionClosed),
        ],
    )
    def test_answers_without_sense(self, clients: Clients, handler: Any, error: type[Exception]) -> None:
        with RawServer(handler) as server:
            client = clients()
            with pytest.raises(error):
                client.websocket(f"ws://127.0.0.1:{server.port}/")
            assert client.statistics.open == 0

    def test_a_body_without_end(self, clients: Clients) -> None:
        def drip(connection: Any) -> None:
            read_head(connection)
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nno")
            read_until_eof(connection)

        with RawServer(drip, tolerate=(OSError,)) as server:
            client = clients()
            with pytest.raises(WebSocketHandshakeError) as caught:
                client.websocket(f"ws://127.0.0.1:{server.port}/", timeout=0.3)
            assert (caught.value.status, caught.value.body) == (403, b"no")
            assert client.statistics.open == 0

    def test_nobody_there(self, clients: Clients) -> None:
        with RawServer(read_until_eof) as server:
            url = f"ws://127.0.0.1:{server.port}/"
        client = clients()
        with pytest.raises(ConnectError):
            client.websocket(url)
        assert client.statistics.open == 0


@pytest.fixture
def mute() -> Iterator[RawServer]:
    with RawServer(read_until_eof, tolerate=(OSError,)) as server:
        yield server


class TestOpeningIsInterrupted:
    def test_by_the_clock(self, mute: RawServer, clients: Clients) -> None:
        client = clients()
        with pytest.raises(ReadTimeout):
            client.websocket(f"ws://127.0.0.1:{mute.port}/", timeout=0.05)
        assert client.statistics.open == 0

    @pytest.mark.parametrize("limit", ["read", "total"])
    def test_by_the_clock_on_a_shared_connection(self, made_up: Certificates, clients: Clients, limit: str) -> None:
        """The server never says its settings."""
        with RawServer(read_until_eof, context=made_up.server_context(["h2"]), tolerate=(OSError,)) as server:
            client = clients(verify=made_up.ca_file)
            with pytest.raises(ReadTimeout):
                client.websocket(f"wss://127.0.0.1:{server.port}/", timeout=Timeouts(**{limit: 0.2}))
            assert client.statistics.in_use == 0

    def test_by_cancelling(self) -> None:
        async def main() -> None:
            asked = threading.Event()

            def handle(connection: Any) -> None:
                read_head(connection)
                asked.set()
                read_until_eof(connection)

            with RawServer(handle, tolerate=(OSError,)) as server:
                client = AsyncClient()
                task = asyncio.ensure_future(client.websocket(f"ws://127.0.0.1:{server.port}/"))
                assert await asyncio.to_thread(asked.wait, 10)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert client.statistics.open == 0
                await client.close()

        asyncio.run(main())

    def test_by_cancelling_at_every_step(self, made_up: Certificates) -> None:
        """However far it came, a shared connection stays good and nothing stays in use."""

        async def main() -> None:
            client = AsyncClient(verify=made_up.ca_file, resolver={NAMES[0]: "127.0.0.1"}, proxies=False)
            outcomes = []
            # How many turns of the loop an opening takes, nobody knows: more and more, until one is done.
            for steps in itertools.chain(range(30), (2**power for power in itertools.count(5))):
                task = asyncio.ensure_future(client.websocket(origin.ws("/echo")))
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                try:
                    websocket = await task
                except asyncio.CancelledError:
                    outcomes.append("cancelled")
                    continue
                outcomes.append("opened")
                await websocket.close()
                if steps > 30:
                    break
            assert set(outcomes) == {"cancelled", "opened"}
            async with client.websocket(origin.ws("/echo")) as websocket:
                await websocket.send("x")
                assert await websocket.receive(10) == "x"
            assert (await client.get(origin.at("/"))).content == b"fine"
            assert client.statistics.users == client.statistics.in_use == 0
            await client.close()

        limits = H2Limits(enable_connect_protocol=True)
        origin = Origin(made_up.server_context(["h2", "http/1.1"]), h2_limits=limits)
        origin.pages["/echo"] = echo()
        with origin:
            asyncio.run(main())


def test_on_a_client_of_its_own(world: World, origin: Origin) -> None:
    options: dict[str, Any] = {
        "verify": world.certificates.ca_file,
        "resolver": dict.fromkeys(NAMES, "127.0.0.1"),
        "proxies": False,
    }
    origin.pages["/there"] = say(302, ("location", "/echo"), read=False)
    if world.colour == "blocking":
        with connect_websocket(origin.ws("/there"), timeout=10, ping_interval=5.0, **options) as websocket:
            assert websocket.version == carried_by(world, origin)
            talk(websocket)
    else:

        async def main() -> None:
            async with connect_async_websocket(origin.ws("/there"), timeout=10, **options) as websocket:
                assert websocket.version == carried_by(world, origin)
                await websocket.send("hello")
                assert await websocket.receive(10) == "hello"

        asyncio.run(main())
    assert origin.paths == ["/there", "/echo"]
    until(lambda: origin.server.connections == 0)


def test_many_threads_on_one_connection(made_up: Certificates) -> None:
    """Some talk, some close in order, some just go, and requests are made meanwhile."""
    world = World(made_up, ["h2", "http/1.1"], Clients("blocking"))
    world.secure.pages["/echo"] = echo()
    with world.secure:
        client = world.client()
        client.get(world.secure.at("/"))

        def work(number: int) -> int:
            done = 0
            for turn in range(5):
                websocket = client.websocket(world.secure.ws("/echo"), timeout=20)
                for size in (1, 1000, 100_000):
                    talk(websocket, f"{number}" * size)
                    done += 1
                websocket.close(timeout=0 if (number + turn) % 3 == 0 else None)
                assert client.get(world.secure.at("/")).content == b"fine"
            return done

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(work, range(8))) == 8 * 5 * 3
        figures = client.statistics
        assert (figures.created, figures.users, figures.idle) == (1, 0, 1)
        world.close_clients()
