"""More programs like those of `asyncio_scenarios.py`: receiving, Pings, and how connections end.

    python asyncio_endings.py PACKAGE PORT RAW_PORT

runs all of them on a package and prints what they tell, as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from typing import Any

from asyncio_scenarios import SCENARIOS, Library, Site, collected, facts, pause, scenario, told, tried

__all__ = ["run_all"]


# --- receiving --------------------------------------------------------------------------------------------------------


@scenario
async def fragments(lib: Library, site: Site) -> Any:
    found = []
    async with lib.connect(site.good + "/fragments") as websocket:
        found += [repr(await websocket.recv()) for _ in range(3)]
    for decode in (None, False):
        async with lib.connect(site.good + "/fragments", compression=None) as websocket:
            for _ in range(3):
                found.append(repr([frame async for frame in websocket.recv_streaming(decode)]))
    return found


@scenario
async def a_stream_not_read_to_its_end(lib: Library, site: Site) -> Any:
    found = []
    async with lib.connect(site.good + "/fragments") as websocket:
        frames = websocket.recv_streaming()
        found.append(await frames.__anext__())
        found.append(await tried(websocket.recv()))
        found.append(await tried(websocket.recv_streaming().__anext__()))
        found.append([frame async for frame in frames])
        found.append(repr(await websocket.recv())[:20])
    return found


@scenario
async def two_receive(lib: Library, site: Site) -> Any:
    async with lib.connect(site.good + "/echo") as websocket:
        first = asyncio.create_task(websocket.recv())
        await pause(0.05)
        found = [await tried(websocket.recv()), await tried(websocket.recv_streaming().__anext__())]
        await websocket.send("for the first")
        found.append(await first)
        return found


@scenario
async def cancelling_loses_nothing(lib: Library, site: Site) -> Any:
    found = []
    async with lib.connect(site.good + "/echo") as websocket:
        for number in range(5):
            task = asyncio.create_task(websocket.recv())
            await pause(0.01)
            if number % 2:
                await websocket.send(str(number))
            task.cancel()
            found.append((await tried(task))[0] == "raised" or task.result())
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(websocket.recv_streaming().__anext__(), 0.05)
        await websocket.send("end")
        messages: list[Any] = []
        while not messages or messages[-1] != "end":
            messages.append(await websocket.recv())
        found.append(messages)
    return found[-1]


@scenario
async def iteration_to_the_end(lib: Library, site: Site) -> Any:
    found = []
    for query in ("", *(f"?code={code}&reason=b%C3%BDe" for code in (1000, 1001, 1002, 1011, 1012, 3000, 4999))):
        async with lib.connect(site.good + "/count" + query) as websocket:
            messages: list[Any] = []
            found.append([await tried(collected(websocket, messages)), messages, facts(websocket)])
            found.append(
                [await tried(websocket.recv()), await tried(websocket.send("x")), await tried(websocket.ping())]
            )
            found.append(
                [await tried(websocket.pong()), await tried(websocket.close(999)), await tried(websocket.wait_closed())]
            )
            found.append(await tried(collected(websocket.recv_streaming(), messages)))
            found.append(await tried(websocket.send(["a", "b"])))
    return found


@scenario
async def messages_wait_beyond_the_end(lib: Library, site: Site) -> Any:
    async with lib.connect(site.good + "/count?code=1000") as websocket:
        await websocket.wait_closed()
        return [facts(websocket), *[await tried(websocket.recv()) for _ in range(4)]]


# --- closing ----------------------------------------------------------------------------------------------------------


@scenario
async def closed_by_the_client(lib: Library, site: Site) -> Any:
    found = []
    calls = [(), (1000,), (1001, "away"), (1008,), (3000, "ü" * 60), (4999, "")]
    for arguments in calls:
        websocket = await lib.connect(site.good + "/echo")
        found.append([await tried(websocket.close(*arguments)), facts(websocket), await tried(websocket.recv())])
        found.append([await tried(websocket.close()), await tried(websocket.send("x"))])
        found.append(told(websocket.protocol.close_exc))
    return found


@scenario
async def closed_in_a_way_that_cannot_be(lib: Library, site: Site) -> Any:
    found = []
    async with lib.connect(site.good + "/echo") as websocket:
        for arguments in ((999,), (1004,), (1005,), (1006,), (1015,), (2999,), (5000,), (1000, "x" * 124)):
            found.append([await tried(websocket.close(*arguments)), facts(websocket)])
        await websocket.send("still open")
        found.append(await websocket.recv())
    return found


@scenario
async def left_by_an_exception(lib: Library, site: Site) -> Any:
    found: list[Any] = []
    for error in (ValueError("x"), asyncio.CancelledError(), None):
        with contextlib.suppress(ValueError, asyncio.CancelledError):
            async with lib.connect(site.good + "/echo") as websocket:
                if error is not None:
                    raise error
        found.append([facts(websocket), told(websocket.protocol.close_exc)])
    connecting = lib.connect(site.good + "/echo")
    async with connecting:
        found.append(await tried(connecting.__aenter__()))
    return found


@scenario
async def closed_in_the_middle(lib: Library, site: Site) -> Any:
    found: list[Any] = []
    websocket = await lib.connect(site.good + "/echo")
    receiving = asyncio.create_task(websocket.recv())
    streaming = asyncio.create_task(websocket.wait_closed())
    await pause(0.02)
    await asyncio.gather(websocket.close(), websocket.close(1001))
    found += [await tried(receiving), await tried(streaming), facts(websocket)]
    websocket = await lib.connect(site.good + "/echo")

    async def parts() -> Any:
        yield "a"
        await websocket.close()
        yield "b"

    outcome, failure = await tried(websocket.send(parts())), await tried(websocket.recv())
    found += [outcome[1]["type"], failure[1]["sent"], websocket.state.name]
    return found


@scenario
async def lost_and_broken_connections(lib: Library, site: Site) -> Any:
    found = []
    for path in ("/eof", "/text-eof", "/half-frame", "/reset", "/close-1000", "/close-empty", "/late"):
        websocket = await lib.connect(site.raw + path, compression=None)
        if path in ("/reset", "/late"):
            await websocket.send("x")
        closing = tried(websocket.close() if path == "/late" else websocket.wait_closed())
        found.append([path, await closing, facts(websocket), [await tried(websocket.recv()) for _ in range(3)]])
        found.append([await tried(websocket.send("x")), told(websocket.close_exc)])
    return found


@scenario
async def peers_that_hang(lib: Library, site: Site) -> Any:
    found = []
    websocket = await lib.connect(site.raw + "/hang", close_timeout=0.1)
    found.append([await tried(websocket.close()), facts(websocket), await tried(websocket.recv())])
    websocket = await lib.connect(site.raw + "/close-hang", close_timeout=0.1)
    found.append([await tried(websocket.close()), facts(websocket)])
    websocket = await lib.connect(site.raw + "/hang")
    receiving = asyncio.create_task(websocket.recv())
    await pause(0.02)
    websocket.transport.abort()
    found.append([await tried(receiving), facts(websocket)])
    return found


@scenario
async def peers_that_break_the_protocol(lib: Library, site: Site) -> Any:
    """What is said of it is not the same; what was done is."""
    paths = (
        "/rsv /opcode /masked /continuation /interrupted /control-fragment /control-long /bad-utf8 /close-bad-code"
        " /close-short /close-bad-utf8 /too-big /too-big-later"
    )
    found = []
    for path in paths.split():
        websocket = await lib.connect(site.raw + path, compression=None, max_size=1000)
        outcome = (await tried(websocket.recv()))[1]
        for name in ("text", "size", "max_size"):
            outcome.pop(name, None)
        if "sent" in outcome:
            outcome["sent"] = outcome["sent"][0]
        found.append([path, outcome, websocket.close_code, websocket.state.name])
        await websocket.close()
    return found


@scenario
async def limits_of_size(lib: Library, site: Site) -> Any:
    found = []
    for max_size in (None, 2000, (2000, None), (None, 2000), (3000, 2000), 1999, (2000, 1999)):
        # What is compressed counts unpacked for them, and as it comes for us, where it is the size of a frame.
        for compression in (None, "deflate") if max_size != (2000, 1999) else (None,):
            async with lib.connect(
                site.good + "/big?size=2000", max_size=max_size, compression=compression
            ) as websocket:
                outcome = await tried(websocket.recv())
                found.append(outcome if outcome[0] == "returned" else [outcome[1]["sent"][0], outcome[1]["cause"]])
    return found


# --- Pings ------------------------------------------------------------------------------------------------------------


@scenario
async def pings(lib: Library, site: Site) -> Any:
    found: list[Any] = []
    async with lib.connect(site.good + "/echo") as websocket:
        for data in (None, "text", b"", b"bytes", bytearray(b"more"), memoryview(b"view")):
            latency = await (await websocket.ping(data))
            found.append(isinstance(latency, float) and latency == websocket.latency > 0)
        one = await websocket.ping("same")
        found += [await tried(websocket.ping("same")), await tried(one) != [], await tried(websocket.pong("x"))]
    async with lib.connect(site.raw + "/pong-second") as websocket:
        one, two = await websocket.ping(), await websocket.ping()
        await two
        found.append([one.done(), one.result() >= two.result()])
        three = await websocket.ping()
        three.cancel()
        await (await websocket.ping())
        left = await websocket.ping()
    found += [await tried(left), await tried(websocket.ping())]
    async with lib.connect(site.raw + "/pings") as websocket:
        found.append(await websocket.recv())
    async with lib.connect(site.raw + "/fragments-ping") as websocket:
        found.append(await websocket.recv())
    async with lib.connect(site.good + "/ping") as websocket:
        await pause(0.1)
        found.append(await websocket.recv())
    return found


@scenario
async def keeping_alive(lib: Library, site: Site) -> Any:
    found: list[Any] = []
    async with lib.connect(site.good + "/echo", ping_interval=0.02, ping_timeout=1) as websocket:
        await pause(0.1)
        found += [websocket.latency > 0, facts(websocket)]
    options = {"ping_interval": 0.05, "ping_timeout": 0.05, "close_timeout": 0.05}
    async with lib.connect(site.raw + "/hang", **options) as websocket:
        found += [await tried(websocket.recv()), facts(websocket)]
    return found


# --- again and again --------------------------------------------------------------------------------------------------


@scenario
async def connecting_again(lib: Library, site: Site) -> Any:
    found: list[Any] = []
    count = 0
    connecting = lib.connect(site.good + "/count")
    async for websocket in connecting:
        count += 1
        found.append([message async for message in websocket] if count < 3 else websocket.request.path)
        if count == 2:
            connecting.ws_uri = connecting.ws_uri.__class__(**{**vars(connecting.ws_uri), "path": "/echo"})
        if count == 3:
            break
    return found


@scenario
async def failures_that_pass_and_do_not(lib: Library, site: Site) -> Any:
    found: list[Any] = []
    asked: list[Any] = []

    def decide(exc: Exception) -> Exception | None:
        asked.append(type(exc).__name__)
        return (None, None, KeyError("enough"))[len(asked) - 1]

    def delays() -> Any:
        asked.append("delays")
        yield 0
        yield 0.01

    async def once(connecting: Any) -> Any:
        async for websocket in connecting:
            return facts(websocket)
        raise AssertionError("such a loop has no end")

    found.append(await tried(once(lib.connect(site.raw + "/404"))))
    found.append(await tried(once(lib.connect(site.raw + "/500", process_exception=lambda exc: exc))))
    found.append(await tried(once(lib.connect(site.raw + "/garbage"))))

    def refuse(exc: Exception) -> None:
        raise ZeroDivisionError("raised")

    found.append(await tried(once(lib.connect(site.raw + "/500", process_exception=refuse))))
    if "reconnect_delays" in lib.client.connect.__init__.__kwdefaults__:
        connecting = lib.connect(site.raw + "/500", process_exception=decide, reconnect_delays=delays)
        asked.clear()
        decide.__defaults__ = None
        found.append((await tried(once(connecting)))[1]["kinds"])
    verdicts = [lib.client.process_exception(OSError()), lib.client.process_exception(TimeoutError())]
    return [found, asked, verdicts, repr(lib.client.process_exception(ValueError("x")))]


async def run_all(package: str, site: Site, names: list[str] | None = None) -> dict[str, Any]:
    """What the programs tell of a package, as it comes through JSON."""
    lib = Library(package)
    told_by_name = {}
    for name in names or list(SCENARIOS):
        try:
            outcome = await asyncio.wait_for(SCENARIOS[name](lib, site), 30)
        except Exception as error:
            outcome = ["failed", repr(error)]
        told_by_name[name] = json.loads(json.dumps(outcome, default=repr))
    return told_by_name


if __name__ == "__main__":
    logging.getLogger("websockets.client").setLevel(logging.CRITICAL)
    where = Site(*(f"ws://127.0.0.1:{port}" for port in sys.argv[2:4]))
    print(json.dumps(asyncio.run(run_all(sys.argv[1], where, sys.argv[4:]))))
