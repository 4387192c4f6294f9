"""`drivetrain.compat.install("websockets")` beside `websockets` itself: run by the Python of the peers' environment.

    python installing.py (before | after)

before: the original was imported, and names were taken from it, before the installation; after: it is imported afterwards. The
last line says how many checks were made; the exit status is 0 when all went well.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import sys
import threading
import warnings
from typing import Any

import drivetrain.compat
from drivetrain.compat import websockets_api as ours

BEFORE = sys.argv[1] == "before"
MINE = "drivetrain.compat.websockets_api"
checked: list[Any] = []


def check(found: Any, expected: Any = True) -> None:
    assert found == expected, f"{found!r}, not {expected!r}"
    checked.append(expected)


class Held:
    """What a program takes from the original, and what it derives from it."""

    def __init__(self) -> None:
        import websockets
        import websockets.asyncio.client
        import websockets.sync.client
        import websockets.sync.server
        from websockets.exceptions import ConnectionClosed, InvalidStatus

        with contextlib.suppress(ImportError):  # without werkzeug
            import websockets.asyncio.router
            import websockets.sync.router

            self.router = websockets.asyncio.router
        self.websockets = websockets
        self.connect = websockets.connect
        self.unix_connect = websockets.unix_connect
        self.serve = websockets.serve
        self.broadcast = websockets.broadcast
        self.basic_auth = websockets.basic_auth
        self.ClientConnection = websockets.ClientConnection
        self.ServerConnection = websockets.ServerConnection
        self.Headers = websockets.Headers
        self.State = websockets.State
        self.ConnectionClosed, self.InvalidStatus = ConnectionClosed, InvalidStatus
        self.sync_connect = websockets.sync.client.connect
        self.sync_serve = websockets.sync.server.serve
        self.SyncConnection = websockets.sync.client.ClientConnection
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.legacy_connect = importlib.import_module("websockets.legacy.client").connect
            self.LegacyProtocol = importlib.import_module("websockets.legacy.client").WebSocketClientProtocol

        class Connect(websockets.connect):
            def process_redirect(self, exc: Exception) -> Any:
                found = super().process_redirect(exc)
                return f"{found}?redirected" if isinstance(found, str) else found

        class Client(websockets.ClientConnection):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                self.mine = "client"

            async def recv(self, *args: Any, **kwargs: Any) -> Any:
                return f"mine: {await super().recv(*args, **kwargs)}"

        class Server(websockets.ServerConnection):
            mine = "server"

        self.Connect, self.Client, self.Server = Connect, Client, Server


async def echo(websocket: Any) -> None:
    with contextlib.suppress(ours.ConnectionClosed):
        async for message in websocket:
            await websocket.send(message)


def uri_of(server: Any) -> str:
    sockets = server.sockets if hasattr(server, "sockets") else [server.socket]
    return f"ws://127.0.0.1:{sockets[0].getsockname()[1]}"


def is_ours(thing: Any) -> bool:
    return any(kind.__module__.startswith(MINE) for kind in type(thing).__mro__)


# --- with the engine --------------------------------------------------------------------------------------------------


async def asynchronous(held: Held) -> None:
    websockets = held.websockets

    async def redirect(connection: Any, request: Any) -> Any:
        if request.path != "/old":
            return None
        response = connection.respond(302, "elsewhere")
        response.headers["Location"] = "/new"
        return response

    options = {"process_request": redirect, "create_connection": held.Server}
    async with held.serve(echo, "127.0.0.1", 0, **options) as server:
        uri = uri_of(server)
        check(is_ours(server))
        async with held.connect(uri, additional_headers=held.Headers([("X-A", "1"), ("X-A", "2")])) as websocket:
            check(is_ours(websocket))
            check(isinstance(websocket, held.ClientConnection))
            check(isinstance(websocket, websockets.ClientConnection))
            check(websocket.state is held.State.OPEN)
            check(websocket.request.headers.get_all("X-A"), ["1", "2"])
            await websocket.send("x")
            check(await websocket.recv(), "x")
            (other,) = server.connections
            check(isinstance(other, held.ServerConnection))
            check(isinstance(other, held.Server))
            check(other.mine, "server")
            held.broadcast(server.connections, "all")
            check(await websocket.recv(), "all")
        try:
            await websocket.send("late")
        except held.ConnectionClosed as error:
            check(type(error).__name__, "ConnectionClosedOK")
            check((error.rcvd.code, error.sent.code), (1000, 1000))
            check(isinstance(error, websockets.exceptions.ConnectionClosedOK))
        async with held.connect(uri, create_connection=held.Client) as websocket:
            check(isinstance(websocket, held.Client))
            check(is_ours(websocket))
            await websocket.send("y")
            check((await websocket.recv(), websocket.mine), ("mine: y", "client"))
        async with held.Connect(f"{uri}/old") as websocket:
            check(is_ours(websocket))
            check(websocket.request.path, "/new?redirected")
        async for websocket in websockets.connect(uri):
            check(is_ours(websocket))
            await websocket.close()
            break
        async with held.legacy_connect(uri, extra_headers={"X-A": "1"}) as websocket:
            check(is_ours(websocket))
            check(isinstance(websocket, held.LegacyProtocol))
            check((websocket.open, websocket.request_headers["X-A"]), (True, "1"))
    gate = held.basic_auth(realm="r", credentials=("u", "p"))
    async with held.serve(echo, "127.0.0.1", 0, process_request=gate) as server:
        try:
            await held.connect(uri_of(server))
        except held.InvalidStatus as error:
            check(error.response.status_code, 401)
        async with held.connect(uri_of(server).replace("://", "://u:p@")) as websocket:
            check(next(iter(server.connections)).username, "u")


def blocking(held: Held) -> None:
    def handler(websocket: Any) -> None:
        check(is_ours(websocket))
        for message in websocket:
            websocket.send(message)

    with held.sync_serve(handler, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with held.sync_connect(uri_of(server)) as websocket:
            check(is_ours(websocket))
            check(isinstance(websocket, held.SyncConnection))
            websocket.send("x")
            check(websocket.recv(), "x")
        try:
            websocket.recv()
        except held.ConnectionClosed as error:
            check(type(error).__name__, "ConnectionClosedOK")
        server.shutdown()
        thread.join()


def names(held: Held) -> None:
    """What the modules of the original show now."""
    websockets = held.websockets
    check(websockets.connect is ours.connect)
    check(websockets.serve is ours.serve)
    check(websockets.ClientConnection is ours.ClientConnection)
    check(websockets.sync.client.connect is ours.sync.client.connect)
    if hasattr(held, "router"):
        check(held.router.route is ours.route)
    check(websockets.State is ours.State)
    check(issubclass(ours.ConnectionClosed, websockets.ConnectionClosed))
    check(websockets.ServerProtocol.__module__, "websockets.server")
    check(websockets.ClientProtocol(websockets.uri.parse_uri("ws://a/")).state, websockets.State.CONNECTING)


def surface(websockets: Any) -> None:
    """Every name at the top of the original is at the top of ours; but two of its modules that are not there."""
    check(set(websockets.__all__) - set(ours.__all__), set())
    shown = {name for name in dir(websockets) if not name.startswith("_")}
    check(shown - set(dir(ours)) - {"framing", "handshake", "lazy_import"}, set())


# --- without it -------------------------------------------------------------------------------------------------------


async def as_before(held: Held) -> None:
    """Everything is the original's again."""
    check(held.websockets.connect.__module__, "websockets.asyncio.client")
    if hasattr(held, "router"):
        check(held.router.serve.__module__, "websockets.asyncio.server")
    async with held.websockets.serve(echo, "127.0.0.1", 0) as server:
        check(is_ours(server), False)
        async with held.websockets.connect(uri_of(server)) as websocket:
            check(is_ours(websocket), False)
            await websocket.send("x")
            check(await websocket.recv(), "x")
        if BEFORE:
            async with held.Connect(uri_of(server), create_connection=held.Client) as websocket:
                check(is_ours(websocket), False)
                check(websocket.mine, "client")

    def handler(websocket: Any) -> None:
        websocket.send("x")

    with held.websockets.sync.server.serve(handler, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        talk = functools.partial(sync_talk, held.websockets.sync.client.connect, uri_of(server))
        check(await asyncio.get_running_loop().run_in_executor(None, talk), (False, "x"))
        server.shutdown()
        thread.join()
    async with ours.serve(echo, "127.0.0.1", 0) as server, ours.connect(uri_of(server)) as websocket:
        check(is_ours(websocket))
        check(isinstance(websocket, held.websockets.ClientConnection), False)


def sync_talk(connect: Any, uri: str) -> tuple[bool, Any]:
    with connect(uri) as websocket:
        return is_ours(websocket), websocket.recv()


async def across(held: Held) -> None:
    """What was open before goes on, and can be broadcast to together with what was opened after."""
    websockets = held.websockets
    async with held.serve(echo, "127.0.0.1", 0) as server, held.connect(uri_of(server)) as old:
        check(is_ours(old), False)
        report = drivetrain.compat.install("websockets")
        check(any("were open before stay with it" in gap for _, gap in report.gaps))
        async with websockets.connect(uri_of(server)) as new:  # our client, at the original's server
            check(is_ours(new))
            while len(server.connections) < 2:
                await asyncio.sleep(0)
            held.broadcast(server.connections, "theirs")
            check([await old.recv(), await new.recv()], ["theirs", "theirs"])
            async with websockets.serve(echo, "127.0.0.1", 0) as mine, websockets.connect(uri_of(mine)) as third:
                held.broadcast([*server.connections, *mine.connections], b"both")
                check([await old.recv(), await new.recv(), await third.recv()], [b"both"] * 3)
        await old.send("still")
        check(await old.recv(), "still")
        drivetrain.compat.uninstall("websockets")
        await old.send("there")
        check(await old.recv(), "there")


def replaced(held: Held) -> None:
    """What somebody else has put in the original's place is left, and told; so is what cannot be led to ours."""

    class Old(held.LegacyProtocol):
        pass

    with drivetrain.compat.installed("websockets") as report:
        check(any("replaced.<locals>.Old was derived from websockets.legacy.client" in gap for _, gap in report.gaps))
    del Old
    original = held.websockets.asyncio.client.connect

    def instrumented(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs)

    held.websockets.asyncio.client.connect = instrumented
    with drivetrain.compat.installed("websockets") as report:
        check(any("websockets.asyncio.client.connect was replaced before" in gap for _, gap in report.gaps))
        check(held.websockets.connect is instrumented)
    held.websockets.asyncio.client.connect = original
    with drivetrain.compat.installed("websockets"):
        held.websockets.asyncio.client.connect = instrumented
    check(held.websockets.connect is instrumented)
    held.websockets.asyncio.client.connect = original


def main() -> None:
    held = Held() if BEFORE else None
    for _ in range(2):
        report = drivetrain.compat.install("websockets")
        check(report.covered, ("websockets",))
        check(drivetrain.compat.install("websockets"), report)
        if held is None:
            check([name for name in sys.modules if name.startswith("websockets.asyncio.")], [])
            held = Held()
        names(held)
        surface(held.websockets)
        asyncio.run(asynchronous(held))
        blocking(held)
        check(drivetrain.compat.uninstall("websockets").covered, ())
        asyncio.run(as_before(held))
    if BEFORE:
        asyncio.run(across(held))
        replaced(held)
    print(f"{len(checked)} checks")


if __name__ == "__main__":
    warnings.simplefilter("error")
    main()
