"""Autobahn's cases, driven by `kosoku`, on the engine's WebSocket: as server and as client, blocking and asyncio.

    python -m conformance.websocket_autobahn [--quick] [--server | --client] [--blocking | --asyncio] [--case GLOB]...

All 517 cases take several minutes for each of the four; `--quick` leaves out most of those about large messages (9) and
about compression (12 and 13) and does with ten seconds. Exit status: 0 when every case of every run is OK, 1 when not, 2 when
kosoku is not installed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from drivetrain.engine import AsyncServer, AsyncWebSocket, DeflateOptions, Server, WebSocket
from drivetrain.engine import connect_async_websocket as connect_later
from drivetrain.engine import connect_websocket as connect
from drivetrain.engine.errors import WebSocketError

QUICK = [
    *(f"{category}.*" for category in (1, 2, 3, 4, 5, 6, 7, 10)),
    *(f"9.{group}.{number}" for group in range(1, 9) for number in (1, 3)),
    *(f"12.{group}.3" for group in range(1, 6)),
    *(f"13.{group}.3" for group in range(1, 8)),
]
# The suite judges none of these: what comes of a large message with a Close frame right behind it, and of close codes that
# the RFC says nothing of.
INFORMATIONAL = ("7.1.6", "7.13.1", "7.13.2")
# The suite's server asks for what is not offered only where a client says that it can do so.
OFFER = DeflateOptions(client_no_context_takeover=True, server_max_window_bits=None, client_max_window_bits=None)


# --- the engine, echoing ----------------------------------------------------------------------------------------------


def serve(_: Server, stream: Any) -> None:
    """A handler that sends back what comes."""
    websocket = WebSocket.from_stream(stream, stream.get_headers(), compression=True)
    assert websocket is not None
    websocket.accept()
    with websocket, contextlib.suppress(WebSocketError):
        for message in websocket:
            websocket.send(message)


async def serve_later(_: AsyncServer, stream: Any) -> None:
    """The same for asyncio."""
    websocket = AsyncWebSocket.from_stream(stream, await stream.get_headers(), compression=True)
    assert websocket is not None
    await websocket.accept()
    async with websocket:
        with contextlib.suppress(WebSocketError):
            async for message in websocket:
                await websocket.send(message)


def work(address: str, count: int) -> None:
    """A client that goes through `count` cases."""
    for number in range(1, count + 1):
        uri = f"{address}/runCase?case={number}&agent=drivetrain"
        with contextlib.suppress(WebSocketError), connect(uri, timeout=10, compression=OFFER) as websocket:
            for message in websocket:
                websocket.send(message)
    connect(f"{address}/updateReports?agent=drivetrain", timeout=10).close()


async def work_later(address: str, count: int) -> None:
    """The same for asyncio."""
    for number in range(1, count + 1):
        uri = f"{address}/runCase?case={number}&agent=drivetrain"
        with contextlib.suppress(WebSocketError):
            async with await connect_later(uri, timeout=10, compression=OFFER) as websocket:
                async for message in websocket:
                    await websocket.send(message)
    await (await connect_later(f"{address}/updateReports?agent=drivetrain", timeout=10)).close()


# --- the runs ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def blocking_server() -> Iterator[int]:
    """The port of a server of threads."""
    with Server(serve) as server:
        port = server.localname().port
        assert port is not None
        yield port


async def run_server(kosoku: Any, cases: Sequence[str] | None, colour: str) -> list[Any]:
    """The engine as the server."""
    fuzz = functools.partial(kosoku.run_fuzzingclient, cases=cases)
    try:
        if colour == "blocking":
            with blocking_server() as port:
                return list(await fuzz(f"ws://127.0.0.1:{port}"))
        async with AsyncServer(serve_later) as server:
            return list(await fuzz(f"ws://127.0.0.1:{server.localname().port}"))
    except kosoku.FailureError as error:
        return list(error.results)


async def run_client(kosoku: Any, cases: Sequence[str] | None, colour: str) -> list[Any]:
    """The engine as the client."""
    async with kosoku.run_fuzzingserver(cases, port=0) as peer:
        address = f"ws://{peer.address}:{peer.port}"
        websocket = await connect_later(f"{address}/getCaseCount", timeout=10)
        count = int(await websocket.receive(10) or 0)
        await websocket.close()
        if colour == "blocking":
            await asyncio.to_thread(work, address, count)
        else:
            await work_later(address, count)
        try:
            return list(await peer.get_result())
        except kosoku.FailureError as error:
            return list(error.results)


def is_ok(result: Any) -> bool:
    """Whether a case ended as it should."""
    verdict = (result.behavior.value, result.behavior_close.value)
    return verdict == ("OK", "OK") or (verdict == ("INFORMATIONAL",) * 2 and result.case_id in INFORMATIONAL)


def report(role: str, colour: str, results: list[Any]) -> bool:
    """Print a run's outcome; whether every case is OK."""
    counts = Counter(f"{result.behavior.value}/{result.behavior_close.value}" for result in results)
    print(f"{role} {colour}: {len(results)} cases; {', '.join(f'{name} {count}' for name, count in counts.items())}")
    bad = [result for result in results if not is_ok(result)]
    for result in bad:
        print(f"  {result.case_id}: {result.behavior.value} {result.behavior_close.value} {result.result}")
    return bool(results) and not bad


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; returns the exit status."""
    parser = argparse.ArgumentParser(description="Autobahn's cases on the engine's WebSocket.")
    parser.add_argument("--quick", action="store_true")
    for name in ("server", "client", "blocking", "asyncio"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--case", action="append", help="only these, such as 7.* (repeatable)")
    given = parser.parse_args(arguments)
    try:
        import kosoku
    except ImportError:
        print("kosoku, which drives the cases, is not installed", file=sys.stderr)
        return 2
    good = True
    for role, run in (("server", run_server), ("client", run_client)):
        for colour in ("blocking", "asyncio"):
            if (given.server or given.client) and not getattr(given, role):
                continue
            if (given.blocking or given.asyncio) and not getattr(given, colour):
                continue
            results = asyncio.run(run(kosoku, given.case or (QUICK if given.quick else None), colour))
            good = report(role, colour, results) and good
    return 0 if good else 1


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # Threads of kosoku may not have ended, and at times abort an interpreter that does.
    os._exit(status)
