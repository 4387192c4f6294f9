"""Connecting again and again: `async for websocket in connect(…)`, and what says when."""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from drivetrain.compat.websockets_api import reconnecting
from drivetrain.compat.websockets_api.asyncio.client import backoff, connect, process_exception
from drivetrain.compat.websockets_api.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from drivetrain.compat.websockets_api.http11 import Headers, Response
from drivetrain.compat.websockets_api.protocol import State
from tests.compat.websockets_api.asyncio.support import run, serving
from tests.support.servers import RawServer, read_head


def refused(status: int) -> InvalidStatus:
    return InvalidStatus(Response(status, "", Headers()))


def ended() -> InvalidMessage:
    error = InvalidMessage("did not receive a valid HTTP response")
    error.__cause__ = EOFError()
    return error


def no_delays() -> Iterator[float]:
    while True:
        yield 0.0


def test_each_connection_is_closed_before_the_next() -> None:
    async def main() -> None:
        async with serving() as served:
            seen: list[Any] = []
            async for websocket in connect(served.uri, proxy=None):
                assert [each.state for each in seen] == [State.CLOSED] * len(seen)
                assert websocket.state is State.OPEN
                seen.append(websocket)
                if len(seen) == 3:
                    break
            assert len({each.id for each in seen}) == 3
            gc.collect()
            # The last one is left with the loop, as an error.
            await asyncio.wait_for(seen[2].wait_closed(), 2)
        assert served.ends == [(1000, ""), (1000, ""), (1011, "")]

    run(main())


def test_a_lost_connection_is_made_again() -> None:
    async def main() -> None:
        async with serving(lambda websocket: websocket.send("hello")) as served:
            count = 0
            async for websocket in connect(served.uri, proxy=None):
                try:
                    while True:
                        assert await websocket.recv() == "hello"
                        count += 1
                except ConnectionClosed:
                    if count < 3:
                        continue
                    await websocket.close()
                    break
            assert count == len(served.requests) == 3

    run(main())


def test_after_failures_there_are_pauses(caplog: pytest.LogCaptureFixture) -> None:
    answers = [b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", b"", b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"]
    begun: list[int] = []

    def delays() -> Iterator[float]:
        begun.append(len(answers))
        yield 0.01
        yield 0.02

    def handler(connection: Any) -> None:
        read_head(connection)
        connection.sendall(answers.pop(0))

    async def main(uri: str) -> None:
        with pytest.raises(InvalidStatus, match="403"):
            async for _ in connect(uri, proxy=None, reconnect_delays=delays, logger=logging.getLogger("mine")):
                raise AssertionError("there is no connection")

    with RawServer(handler) as server, caplog.at_level(logging.INFO):
        run(main(f"ws://127.0.0.1:{server.port}"))
    assert answers == []
    assert begun == [2]  # once for one row of failures
    name = "drivetrain.compat.websockets_api.exceptions"
    assert [record.getMessage().replace(name + ".", "") for record in caplog.records if record.name == "mine"] == [
        "connect failed; reconnecting in 0.0 seconds: InvalidStatus: server rejected WebSocket connection: HTTP 503",
        "connect failed; reconnecting in 0.0 seconds: InvalidMessage: did not receive a valid HTTP response",
    ]
    assert {record.levelname for record in caplog.records if record.name == "mine"} == {"INFO"}


def test_pauses_begin_anew_after_a_success() -> None:
    async def main() -> None:
        begun: list[int] = []

        def delays() -> Iterator[float]:
            begun.append(1)
            yield from no_delays()

        async with serving() as served:
            connecting = connect(served.uri, proxy=None, reconnect_delays=delays)
            good = connecting.ws_uri
            bad = type(good)(False, "127.0.0.1", 1, "", "")
            count = 0
            connecting.ws_uri = bad

            def mend(exc: Exception) -> None:
                assert isinstance(exc, OSError)
                connecting.ws_uri = good

            connecting.process_exception = mend  # type: ignore[assignment]
            async for websocket in connecting:
                count += 1
                if count == 2:
                    await websocket.close()
                    break
                connecting.ws_uri = bad
            assert begun == [1, 1]

    run(main())


@pytest.mark.parametrize("raises", [True, False])
def test_process_exception_decides(raises: bool) -> None:
    def decide(exc: Exception) -> Exception | None:
        if raises:
            raise KeyError("mine")
        return KeyError("mine")

    async def main() -> None:
        with pytest.raises(KeyError, match="mine") as caught:
            async for _ in connect("ws://127.0.0.1:1", proxy=None, process_exception=decide):
                raise AssertionError("there is no connection")
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)

    run(main())


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (OSError(), True),
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (ended(), True),
        (InvalidMessage("x"), False),
        *((refused(status), True) for status in (500, 502, 503, 504)),
        *((refused(status), False) for status in (400, 401, 403, 404, 501, 505)),
        (ValueError(), False),
    ],
)
def test_what_is_tried_again_by_default(error: Exception, passes: bool) -> None:
    assert process_exception(error) is (None if passes else error)


def test_an_exception_inside_the_loop_is_not_the_loops() -> None:
    async def main() -> None:
        async with serving() as served:
            with pytest.raises(ZeroDivisionError):
                async for websocket in connect(served.uri, proxy=None):
                    assert websocket.state is State.OPEN
                    raise ZeroDivisionError
            await websocket.close()

    run(main())


def test_backoff() -> None:
    delays = backoff(initial_delay=5, min_delay=1, max_delay=5, factor=2)
    assert 0 <= next(delays) <= 5
    assert [next(delays) for _ in range(5)] == [1, 2, 4, 5, 5]
    default = backoff()
    assert 0 <= next(default) <= 5
    assert [round(next(default), 1) for _ in range(9)] == [3.1, 5.0, 8.1, 13.1, 21.2, 34.4, 55.6, 90.0, 90.0]


def test_the_environment_sets_the_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("BACKOFF_INITIAL_DELAY", "BACKOFF_MIN_DELAY", "BACKOFF_MAX_DELAY", "BACKOFF_FACTOR", "MAX_REDIRECTS")
    for number, name in enumerate(names, 2):
        monkeypatch.setenv(f"WEBSOCKETS_{name}", str(number))
    spec = reconnecting.__spec__
    assert spec is not None
    copy = importlib.util.module_from_spec(spec)
    assert spec.loader is not None
    spec.loader.exec_module(copy)
    assert [getattr(copy, name) for name in names] == [2, 3, 4, 5, 6]
    delays = copy.backoff()
    assert 0 <= next(delays) <= 2
    assert [next(delays) for _ in range(3)] == [3, 4, 4]
