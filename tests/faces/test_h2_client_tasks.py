"""One asyncio client and its HTTP/2 connection among many tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from drivetrain.engine import AsyncClient, H2Limits, errors
from drivetrain.engine.wire.h2_errors import H2ErrorCode
from tests.support.certificates import Certificates
from tests.support.h2_server import H2Server, hold, pages, pattern


async def told(server: H2Server, condition: Callable[[], Any]) -> Any:
    """`H2Server.wait` while the loop runs."""
    return await asyncio.to_thread(server.wait, condition)


async def all_of(calls: list[Awaitable[Any]]) -> list[Any]:
    """Everything there is, results or errors, none left running."""
    return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 20)


def test_1000_at_once() -> None:
    async def main(url: str) -> None:
        async with AsyncClient(version=2) as client:

            async def one(number: int) -> None:
                if number % 4:
                    response = await client.get(f"{url}/bytes/{number}")
                    assert response.content == pattern(number)
                else:
                    response = await client.post(f"{url}/echo", content=b"%d" % number)
                    assert response.content == b"%d" % number

            assert await all_of([one(number) for number in range(1000)]) == [None] * 1000
            assert client.statistics.users == 0

    with H2Server(settings={"max_concurrent_streams": 100}) as server:
        asyncio.run(main(server.url))
        assert (server.connections, len(server.exchanges)) == (1, 1000)
        assert server.wire.most_open <= 100


def test_a_new_origin_is_shaken_hands_with_once(certificates: Certificates) -> None:
    async def main(url: str) -> None:
        async with AsyncClient(verify=str(certificates.ca_file)) as client:
            answers = await all_of([client.get(f"{url}/{number}") for number in range(50)])
            assert [answer.text for answer in answers] == [f"/{number}" for number in range(50)]

    with H2Server(context=certificates.server_context(["h2", "http/1.1"])) as server:
        asyncio.run(main(server.url))
        assert server.connections == 1


def test_slow_and_fast_readers() -> None:
    async def main(server: H2Server) -> None:
        limits = H2Limits(stream_window=65_536, connection_window=2_000_000)
        async with AsyncClient(version=2, h2_limits=limits) as client:
            slow = [await client.stream("GET", f"{server.url}/bytes/1000000") for _ in range(10)]

            async def fast() -> bool:
                return (await client.get(f"{server.url}/bytes/500000")).content == pattern(500_000)

            assert await all_of([fast() for _ in range(10)]) == [True] * 10
            assert not any(exchange.over or not exchange.queue for exchange in server.exchanges[:10])
            assert await all_of([response.read() for response in slow]) == [pattern(1_000_000)] * 10

    with H2Server() as server:
        asyncio.run(main(server))
        assert server.connections == 1


def test_cancelled_tasks_harm_nobody() -> None:
    async def main(server: H2Server) -> None:
        async with AsyncClient(version=2) as client:
            patient = [asyncio.ensure_future(client.get(f"{server.url}/{number}")) for number in range(20)]
            doomed = [asyncio.ensure_future(client.get(f"{server.url}/doomed")) for number in range(20)]
            await told(server, lambda: len(server.exchanges) == 40)
            for task in doomed:
                task.cancel()
            for result in await all_of(doomed):
                assert isinstance(result, asyncio.CancelledError)
            ids = [exchange.id for exchange in server.exchanges if exchange.path == "/doomed"]
            await told(server, lambda: server.wire.resets == dict.fromkeys(ids, int(H2ErrorCode.CANCEL)))
            for exchange in server.exchanges:
                if exchange.path != "/doomed":
                    exchange.respond(200, exchange.path.encode())
            assert [answer.text for answer in await all_of(patient)] == [f"/{number}" for number in range(20)]
            assert client.statistics.users == 0

    with H2Server(hold) as server:
        asyncio.run(main(server))
        assert server.connections == 1


@pytest.mark.parametrize("limit", [3, 100])
def test_storms_of_cancellations(limit: int) -> None:
    """Tasks that are cancelled after any number of steps, among those in line for a stream too."""

    async def main(server: H2Server) -> None:
        limits = H2Limits(stream_window=50_000, connection_window=200_000)
        async with AsyncClient(version=2, h2_limits=limits) as client:

            async def one(number: int) -> bytes:
                if number % 2:
                    return (await client.get(f"{server.url}/bytes/{number * 300}")).content
                return (await client.post(f"{server.url}/echo", content=[pattern(number * 100)] * 3)).content

            tasks = [asyncio.ensure_future(one(number)) for number in range(200)]
            for step in range(60):
                for task in tasks[step::61]:
                    if step % 3:
                        task.cancel()
                await asyncio.sleep(0)
            for number, result in enumerate(await all_of(tasks)):
                if not isinstance(result, asyncio.CancelledError):
                    assert result == (pattern(number * 300) if number % 2 else pattern(number * 100) * 3)
            # No credit and no place was lost.
            assert (await client.get(f"{server.url}/bytes/1000000")).content == pattern(1_000_000)
            assert await all_of([one(number) for number in range(20)]) == [
                pattern(number * 300) if number % 2 else pattern(number * 100) * 3 for number in range(20)
            ]
            assert client.statistics.users == client.statistics.waiting == 0

    with H2Server(settings={"max_concurrent_streams": limit}) as server:
        asyncio.run(main(server))
        assert server.connections == 1


def test_a_cancelled_reader_leaves_the_reading_to_others() -> None:
    async def main(server: H2Server) -> None:
        async with AsyncClient(version=2) as client:
            reader = asyncio.ensure_future(client.get(server.url + "/reader"))
            await told(server, lambda: len(server.exchanges) == 1)
            follower = asyncio.ensure_future(client.get(server.url + "/follower"))
            await told(server, lambda: len(server.exchanges) == 2)
            reader.cancel()
            await all_of([reader])
            server.next("/follower").respond(200, b"in spite of that")
            assert (await asyncio.wait_for(follower, 10)).content == b"in spite of that"

    with H2Server(hold) as server:
        asyncio.run(main(server))
        assert server.connections == 1


def test_time_limits_of_some_harm_no_others() -> None:
    async def main(server: H2Server) -> None:
        async with AsyncClient(version=2) as client:
            patient = [asyncio.ensure_future(client.get(f"{server.url}/{number}")) for number in range(10)]
            hasty = [client.get(server.url + "/late", timeout=0.01 * number) for number in range(1, 11)]
            assert {type(error) for error in await all_of(hasty)} == {errors.ReadTimeout}
            late = [exchange.id for exchange in server.exchanges if exchange.path == "/late"]
            await told(server, lambda: server.wire.resets == dict.fromkeys(late, int(H2ErrorCode.CANCEL)))
            for number in range(10):
                server.next(f"/{number}").respond(200, b"%d" % number)
            assert [answer.content for answer in await all_of(patient)] == [b"%d" % number for number in range(10)]

    with H2Server(hold) as server:
        asyncio.run(main(server))
        assert server.connections == 1


def test_those_in_line_survive_a_goodbye() -> None:
    async def main(server: H2Server) -> None:
        async with AsyncClient(version=2) as client:
            server._answer = hold
            held = asyncio.ensure_future(client.get(server.url + "/held"))
            first = await asyncio.to_thread(server.next, "/held")
            await asyncio.to_thread(server.settle)
            posts = [asyncio.ensure_future(client.post(server.url + "/echo", content=b"%d" % n)) for n in range(10)]
            await asyncio.sleep(0)
            server._answer = pages
            first.wire.goaway(first.id)
            assert [answer.content for answer in await all_of(posts)] == [b"%d" % number for number in range(10)]
            first.respond(200, b"in peace")
            assert (await asyncio.wait_for(held, 10)).content == b"in peace"

    with H2Server(settings={"max_concurrent_streams": 1}) as server:
        asyncio.run(main(server))
        assert server.connections == 2


def test_closing_the_client_under_way() -> None:
    async def main(server: H2Server) -> None:
        async with AsyncClient(version=2) as client:
            tasks = [asyncio.ensure_future(client.get(server.url)) for _ in range(5)]
            await told(server, lambda: len(server.exchanges) == 5)
        # As documented: what is under way ends by itself, and then the connection.
        for exchange in server.exchanges:
            exchange.respond(200, b"x")
        assert [answer.content for answer in await all_of(tasks)] == [b"x"] * 5
        await told(server, lambda: server.wire.ended)

    with H2Server(hold) as server:
        asyncio.run(main(server))
