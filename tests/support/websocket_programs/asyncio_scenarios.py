"""Small programs for an asyncio client of `websockets`, each of which tells what happened to it: handshakes and messages.

They are run on the original, by the Python of the peers' environment, and on ours, against the same servers (see
`asyncio_site.py`), and must tell the same. What is told goes through JSON. Nothing of ours is imported. More of them, and what
runs them, are in `asyncio_endings.py`.
"""

from __future__ import annotations

import asyncio
import importlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["SCENARIOS", "Library", "Site", "collected", "facts", "pause", "scenario", "told", "tried"]

SOON = 10.0


@dataclass(frozen=True)
class Site:
    """The bases of the two servers."""

    good: str
    raw: str


class Library:
    """The modules of one implementation."""

    def __init__(self, package: str) -> None:
        self.client = importlib.import_module(f"{package}.asyncio.client")
        self.connection = importlib.import_module(f"{package}.asyncio.connection")
        self.exceptions = importlib.import_module(f"{package}.exceptions")
        self.frames = importlib.import_module(f"{package}.frames")
        self.datastructures = importlib.import_module(f"{package}.datastructures")
        self.deflate = importlib.import_module(f"{package}.extensions.permessage_deflate")

    def connect(self, uri: str, **options: Any) -> Any:
        return self.client.connect(uri, **{"proxy": None, "ping_interval": None, **options})

    async def broadcast(self, connections: Any, message: Any) -> None:
        self.connection.broadcast(connections, message)


def told(error: BaseException) -> Any:
    """An exception: its kinds, what it says, what it carries, what caused it."""
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    builtin = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
    found: dict[str, Any] = {"type": type(error).__name__, "kinds": builtin, "text": str(error)}
    for name in ("rcvd_then_sent", "errno", "name", "value", "uri", "msg", "size", "max_size"):
        if getattr(error, name, None) is not None:
            found[name] = getattr(error, name)
    for name in ("rcvd", "sent"):
        close = getattr(error, name, None)
        if close is not None:
            found[name] = [close.code, close.reason]
    response = getattr(error, "response", None)
    if response is not None:
        found["response"] = [response.status_code, response.reason_phrase, bytes(response.body).decode("latin-1")]
        found["fields"] = list(response.headers.raw_items())
    found["cause"] = None if error.__cause__ is None else type(error.__cause__).__name__
    return found


async def tried(awaitable: Awaitable[Any]) -> Any:
    """What it returned, or what it raised."""
    try:
        return ["returned", await asyncio.wait_for(awaitable, SOON)]
    except (Exception, asyncio.CancelledError) as error:
        return ["raised", told(error)]


async def pause(seconds: float) -> None:
    """Let time pass."""
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=seconds)


async def collected(source: AsyncIterator[Any], into: list[Any]) -> None:
    async for item in source:
        into.append(item)


def facts(websocket: Any) -> Any:
    return {
        "state": websocket.state.name,
        "protocol": websocket.protocol.state.name,
        "code": websocket.close_code,
        "reason": websocket.close_reason,
        "subprotocol": websocket.subprotocol,
        "closing": websocket.transport.is_closing(),
    }


def handshake_of(outcome: Any) -> Any:
    """The request that /head has seen, without what is by chance."""
    head = outcome[1]["response"][2]
    return re.sub(r"(?<=Sec-WebSocket-Key: )\S{24}(?=\r)", "…", head)


SCENARIOS: dict[str, Callable[[Library, Site], Awaitable[Any]]] = {}


def scenario(function: Callable[[Library, Site], Awaitable[Any]]) -> Callable[[Library, Site], Awaitable[Any]]:
    SCENARIOS[function.__name__] = function
    return function


# --- the handshake ----------------------------------------------------------------------------------------------------


@scenario
async def the_request(lib: Library, site: Site) -> Any:
    headers = lib.datastructures.Headers
    several = headers([("X-A", "1"), ("X-B", "2"), ("X-A", "3")])
    uri = site.raw + "/head"
    user = uri.replace("ws://", "ws://me:p%40ss@")
    deflate = lib.deflate.ClientPerMessageDeflateFactory
    calls: list[tuple[str, dict[str, Any]]] = [
        (uri, {}),
        (uri, {"compression": None}),
        (uri, {"origin": "https://example.com"}),
        (uri, {"subprotocols": ["a", "b"]}),
        (uri, {"user_agent_header": None}),
        (uri, {"user_agent_header": "mine/1"}),
        (uri, {"additional_headers": {"X-A": "1", "Cookie": "a=b; c=d"}}),
        (uri, {"additional_headers": [("X-A", "1"), ("X-A", "2")]}),
        (uri, {"additional_headers": several, "origin": "http://o", "subprotocols": ["s"]}),
        (uri, {"additional_headers": {"User-Agent": "theirs"}}),
        (uri, {"additional_headers": {"Accept-Encoding": "gzip", "Accept": "*/*"}}),
        (user, {}),
        (user, {"origin": "http://o", "additional_headers": {"X-A": "ü"}}),
        (uri, {"extensions": [deflate(server_max_window_bits=10)], "compression": None}),
        (uri, {"extensions": [deflate(client_max_window_bits=True, client_no_context_takeover=True)]}),
        (uri, {"extensions": [deflate(True, True, 9, 11)]}),
        (uri, {"extensions": []}),
    ]
    return [handshake_of(await tried(lib.connect(uri, **options))) for uri, options in calls]


@scenario
async def what_was_agreed_on(lib: Library, site: Site) -> Any:
    found = []
    for options in ({}, {"compression": None}, {"subprotocols": ["a", "b"]}, {"subprotocols": ["z"]}):
        async with lib.connect(site.good + "/echo?x=1", **options) as websocket:
            found.append([websocket.request.path, websocket.request.method, websocket.request.protocol])
            names = [name for name, _ in websocket.request.headers.raw_items()]
            found.append([names, websocket.response.status_code, websocket.response.reason_phrase])
            found.append([name for name, _ in websocket.response.headers.raw_items()])
            found.append([repr(extension) for extension in websocket.protocol.extensions])
            found.append([facts(websocket), type(websocket.id).__name__, websocket.latency, websocket.logger.name])
            found.append([websocket.remote_address[1] == int(site.good.rpartition(":")[2]), websocket.local_address[0]])
            found.append([websocket.protocol.side.name, websocket.protocol.close_rcvd, websocket.protocol.close_sent])
    return found


@scenario
async def refusals(lib: Library, site: Site) -> Any:
    paths = "/401 /404 /500 /200 /no-length /chunked /large-body /302-http /301-nowhere /307-loop"
    return {path: await tried(lib.connect(site.raw + path)) for path in paths.split()}


@scenario
async def answers_that_are_none(lib: Library, site: Site) -> Any:
    paths = (
        "/nothing /cut /no-upgrade /other-upgrade /no-connection /other-connection /no-accept /wrong-accept"
        " /two-accepts /extension /bad-deflate /subprotocol /subprotocols /garbage /bad-field"
    )
    found = {path: await tried(lib.connect(site.raw + path)) for path in paths.split()}
    for path in ("/subprotocol", "/subprotocols"):
        found[path, "asked"] = await tried(lib.connect(site.raw + path, subprotocols=["a", "b"]))
    for path in ("/deflate", "/extension"):
        found[path, "not asked"] = await tried(lib.connect(site.raw + path, compression=None))
    return sorted(map(repr, found.items()))


@scenario
async def redirected(lib: Library, site: Site) -> Any:
    outcome = await tried(lib.connect(site.raw + "/302", additional_headers={"Authorization": "x", "Cookie": "y"}))
    return handshake_of(outcome)


@scenario
async def redirects_decided_by_a_subclass(lib: Library, site: Site) -> Any:
    seen: list[Any] = []

    class Never(lib.client.connect):  # type: ignore[misc, name-defined]
        def process_redirect(self, exc: Exception) -> Any:
            seen.append(type(exc).__name__)
            return exc

    class Elsewhere(lib.client.connect):  # type: ignore[misc, name-defined]
        def process_redirect(self, exc: Exception) -> Any:
            return site.good + "/echo" if "500" in str(exc) else RuntimeError("something else")

    found = [await tried(Never(site.raw + "/302", proxy=None)), seen]
    found.append(await tried(Elsewhere(site.raw + "/404", proxy=None)))
    async with Elsewhere(site.raw + "/500", proxy=None) as websocket:
        found.append([websocket.request.path])
    return found


@scenario
async def nobody_there(lib: Library, site: Site) -> Any:
    found = [
        await tried(lib.connect("ws://127.0.0.1:1/")),
        await tried(lib.connect("ws://127.0.0.1/", host="127.0.0.1", port=1)),
        await tried(lib.connect("ws://no-such-name.invalid/")),
        await tried(lib.connect(site.raw + "/silent", open_timeout=0.1)),
        await tried(lib.client.unix_connect("/nowhere/at/all")),
    ]
    for outcome in found:
        del outcome[1]["text"], outcome[1]["cause"]
    assert found[3][1]["type"] == "TimeoutError"
    return found


@scenario
async def arguments_that_make_no_sense(lib: Library, site: Site) -> Any:
    async def made(*arguments: Any, **options: Any) -> Any:
        return await lib.connect(*arguments, **options)

    return [
        await tried(made("http://localhost/")),
        await tried(made("ws://localhost/#fragment")),
        await tried(made("ws://me@localhost/")),
        await tried(made("ws:///path")),
        await tried(made(site.good, ssl=True)),
        await tried(made("wss://localhost/", ssl=None)),
        await tried(made(site.good, compression="gzip")),
        await tried(made(site.good, subprotocols="chat")),
        await tried(made(site.good, subprotocols=["no token"])),
        await tried(made(site.good, extra_headers={"A": "b"})),
        await tried(made(site.good, timeout=1)),
        await tried(made(site.good, proxy="gopher://localhost")),
        await tried(made(site.good, proxy="http://me@localhost:1")),
        await tried(made(site.good, proxy="http://localhost:1/path")),
        await tried(made(site.good, proxy="http://127.0.0.1:1", proxy_ssl=True)),
    ]


# --- messages ---------------------------------------------------------------------------------------------------------

MESSAGES: dict[str, Any] = {
    "text": "Ça va ? 👋",
    "empty text": "",
    "bytes": b"\x00\xff",
    "empty bytes": b"",
    "bytearray": bytearray(b"abc"),
    "memoryview": memoryview(b"abcdef")[1:4],
    "list of text": ["a", "", "bc"],
    "list of bytes": [b"a", bytearray(b"b"), memoryview(b"c")],
    "empty list": [],
    "large text": "ä" * 100_000,
    "large bytes": bytes(range(256)) * 1000,
}


async def later(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        await asyncio.sleep(0)
        yield item


@scenario
async def echo_of_everything(lib: Library, site: Site) -> Any:
    found = []
    for compression in ("deflate", None):
        async with lib.connect(site.good + "/echo", compression=compression) as websocket:
            for message in [*MESSAGES.values(), later("x", "y"), later(b"x", bytearray(b"y")), later()]:
                await websocket.send(message)
                await websocket.send("end")
                found.append(repr(await websocket.recv()))
                if found[-1] != "'end'":
                    found.append(repr(await websocket.recv()))
    return found


@scenario
async def types_as_told(lib: Library, site: Site) -> Any:
    found = []
    async with lib.connect(site.good + "/types") as websocket:
        for message, text in [("a", None), ("a", False), ("a", True), (b"b", None), (b"b", True), (b"b", False)]:
            await websocket.send(message, text=text)
            found.append(await websocket.recv())
        for parts, text in [(["a", "ü"], False), ([b"a", b"b"], True), (iter(["c"]), None), (later("d"), False)]:
            await websocket.send(parts, text=text)
            found.append(await websocket.recv())
        await lib.broadcast([websocket, websocket], "to many")
        lib.connection.broadcast([websocket], b"bytes", text=True)
        found += [await websocket.recv() for _ in range(3)]
    await lib.broadcast([websocket], "to nobody")
    return found


@scenario
async def decoded_as_told(lib: Library, site: Site) -> Any:
    found = []
    async with lib.connect(site.good + "/echo") as websocket:
        for message in ("täxt", "täxt".encode()):
            for decode in (None, True, False):
                await websocket.send(message)
                found.append(repr(await websocket.recv(decode)))
                await websocket.send(message)
                found.append(repr([item async for item in websocket.recv_streaming(decode=decode)]))
    return found


@scenario
async def bytes_that_are_no_text(lib: Library, site: Site) -> Any:
    found = []
    async with lib.connect(site.good + "/echo") as websocket:
        await websocket.send(b"\xff\xfe")
        found += [await tried(websocket.recv(decode=True)), facts(websocket), await tried(websocket.send("x"))]
    async with lib.connect(site.good + "/echo") as websocket:
        await websocket.send(b"a\xff\xfe")
        parts: list[Any] = []
        found += [await tried(collected(websocket.recv_streaming(decode=True), parts)), parts, facts(websocket)]
    return found


@scenario
async def messages_that_are_none(lib: Library, site: Site) -> Any:
    found = []
    async with lib.connect(site.good + "/echo") as websocket:
        found += [await tried(websocket.send(message)) for message in ({"a": "b"}, 1, None)]
        await websocket.send("still open")
        found += [await websocket.recv(), facts(websocket)]
        found += [
            await tried(websocket.ping(1)),
            await tried(websocket.pong(None)),
            await tried(websocket.ping("x" * 126)),
        ]
        found += [await tried(lib.broadcast([websocket], ["a"])), facts(websocket)]
    return found


@scenario
async def messages_that_break_off(lib: Library, site: Site) -> Any:
    def failing() -> Iterator[str]:
        yield "a"
        raise ValueError("no more")

    async def failing_later() -> AsyncIterator[bytes]:
        yield b"a"
        raise ValueError("no more")

    found = []
    for message in (["a", b"b"], [b"a", "b"], [1], ["a", 1], failing(), later("a", b"b"), later(1), failing_later()):
        websocket = await lib.connect(site.good + "/echo")
        found.append([await tried(websocket.send(message)), facts(websocket), await tried(websocket.recv())])
        await websocket.close()
    return found


@scenario
async def others_wait_during_fragments(lib: Library, site: Site) -> Any:
    found: list[Any] = []
    async with lib.connect(site.good + "/echo") as websocket:

        async def parts() -> AsyncIterator[str]:
            yield "a"
            other = asyncio.create_task(websocket.send("b"))
            await pause(0.05)
            found.append(other.done())
            await websocket.pong("in between")
            await (await websocket.ping())
            await lib.broadcast([websocket], "left out")
            yield "c"
            others.append(other)

        others: list[Any] = []
        await websocket.send(parts())
        await others[0]
        found += [await websocket.recv(), await websocket.recv()]
    return found
