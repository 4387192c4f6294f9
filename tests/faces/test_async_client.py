"""What only the asyncio client has: tasks, cancellation, one loop after another."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from drivetrain.engine import AsyncClient, AsyncServer, Headers, PoolLimits, Request, errors
from drivetrain.engine.connection.h1_client_stream import H1ClientStream
from tests.faces.site import Site
from tests.support.servers import RawServer, read_head


class TestTasks:
    def test_two_hundred_at_once_under_a_limit(self, site: Site) -> None:
        async def main() -> None:
            async with AsyncClient(pool=PoolLimits(max_per_origin=10), timeout=60) as client:

                async def ask(number: int) -> str:
                    response = await client.post(site.url + "/echo", content=f"{number}")
                    return str(response.json()["body"])

                bodies = await asyncio.gather(*(ask(number) for number in range(200)))
                assert bodies == [f"{number}" for number in range(200)]
                figures = client.statistics
                assert figures.created == figures.idle <= 10
                assert figures.in_use == 0

        asyncio.run(main())

    def test_async_bodies_take_turns_with_other_tasks(self, site: Site) -> None:
        async def main() -> None:
            ticks = 0

            async def body() -> AsyncIterator[bytes]:
                for _ in range(5):
                    await asyncio.sleep(0)
                    yield b"x" * 10

            async def tick() -> None:
                nonlocal ticks
                while True:
                    ticks += 1
                    await asyncio.sleep(0)

            ticker = asyncio.ensure_future(tick())
            async with AsyncClient() as client:
                response = await client.put(site.url + "/length", content=body())
            ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticker
            assert response.text.startswith("50 ")
            assert ticks > 5

        asyncio.run(main())

    def test_stream_is_awaited_or_entered(self, site: Site) -> None:
        async def main() -> None:
            async with AsyncClient() as client:
                response = await client.stream("GET", site.url + "/chunks?count=3")
                assert [piece async for piece in response.iter_bytes(2)] == [b"AB", b"C"]
                async with client.stream("GET", site.url + "/chunks?count=3") as response:
                    assert [line async for line in response.iter_lines()] == ["ABC"]
                assert client.statistics.created == 1

        asyncio.run(main())

    def test_one_loop_after_another(self, site: Site) -> None:
        async def main() -> int:
            async with AsyncClient() as client:
                return (await client.get(site.url + "/echo")).status

        assert [asyncio.run(main()) for _ in range(3)] == [200] * 3


class TestCancellation:
    def test_after_any_number_of_steps(self, site: Site) -> None:
        """Cancel a request when the loop has turned once, twice, …, until it is done before."""

        async def request(client: AsyncClient) -> None:
            response = await client.put(
                f"{site.url}/redirect?code=307&to=/echo", content=[b"x" * 100_000] * 3, headers={"x-a": "b"}
            )
            assert response.status == 200

        async def main() -> int:
            turns = 0
            async with AsyncClient(pool=PoolLimits(max_per_origin=1)) as client:
                while True:
                    task = asyncio.ensure_future(request(client))
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    task.cancel()
                    try:
                        await task
                    except asyncio.CancelledError:
                        pass
                    else:
                        return turns
                    assert client.statistics.in_use == 0
                    # The one connection allowed is free again, whatever was cut.
                    assert (await client.get(site.url + "/echo", timeout=5)).status == 200
                    turns += 1

        assert asyncio.run(main()) > 5

    def test_while_reading(self) -> None:
        def handler(sock: socket.socket) -> None:
            read_head(sock)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            with contextlib.suppress(ConnectionError):
                assert sock.recv(1) == b""

        async def main(url: str) -> None:
            async with AsyncClient() as client:
                response = await client.stream("GET", url)
                assert await response.read(3) == b"abc"
                task = asyncio.ensure_future(response.read())
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert client.statistics.open == 0
                with pytest.raises(errors.ClosedError):
                    await response.read()

        with RawServer(handler) as server:
            asyncio.run(main(server.url))

    def test_wait_for(self, site: Site) -> None:
        async def main() -> None:
            async with AsyncClient() as client:
                with socket.create_server(("127.0.0.1", 0)) as silent:
                    url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
                    with pytest.raises(asyncio.TimeoutError):
                        await asyncio.wait_for(client.get(url), 0.05)
                assert client.statistics.open == 0
                assert (await client.get(site.url + "/echo")).status == 200

        asyncio.run(main())


class TestAllInOneLoop:
    def test_client_and_server(self) -> None:
        async def handler(server: AsyncServer, stream: Any) -> None:
            await stream.get_headers()
            body = await stream.get_body_as_string()
            await stream.write_headers(Headers([(":status", "200")]), False)
            await stream.write_chunk(body, True)

        async def main() -> None:
            async with AsyncServer(handler) as server, AsyncClient() as client:
                url = f"http://127.0.0.1:{server.localname().port}/"
                bodies = await asyncio.gather(*(client.post(url, content=f"{n}") for n in range(20)))
                assert [response.text for response in bodies] == [f"{n}" for n in range(20)]

        asyncio.run(main())

    def test_go_async(self, site: Site) -> None:
        async def main() -> None:
            request = Request.from_uri(site.url + "/redirect?to=/chunks?count=3")
            headers, stream = await request.go_async(5)
            assert isinstance(stream, H1ClientStream)
            assert headers.get(":status") == "200"
            assert await stream.get_body_as_string() == b"ABC"
            trailers = await stream.get_headers()
            assert trailers is not None
            assert trailers.get("x-checksum") == "abc"
            assert stream.connection.is_closed
            _, stream = await Request.from_uri(site.url + "/chunks?count=300000&size=100").go_async()
            await stream.shutdown()
            assert stream.connection.is_closed

        asyncio.run(main())
        asyncio.run(main())
