"""drivetrain's own asyncio client."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from bench.job import Job
from drivetrain.engine import AsyncClient


def _client(job: Job) -> AsyncClient:
    return AsyncClient(version=2, verify=job.ca_file) if job.http2 else AsyncClient()


@contextlib.asynccontextmanager
async def small_get(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async with _client(job) as client:

        async def operation() -> int:
            response = await client.get(job.url)
            assert response.status == 200
            return len(response.content)

        yield operation


@contextlib.asynccontextmanager
async def download(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async with _client(job) as client:

        async def operation() -> int:
            total = 0
            async with client.stream("GET", job.url) as response:
                async for piece in response.iter_bytes():
                    total += len(piece)
            return total

        yield operation


@contextlib.asynccontextmanager
async def upload_file(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async with _client(job) as client:

        async def operation() -> int:
            with open(job.upload_path, "rb") as file:
                assert (await client.post(job.url, content=file)).status == 200
            return job.size

        yield operation


@contextlib.asynccontextmanager
async def upload_pieces(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in job.pieces():
            yield piece

    async with AsyncClient() as client:

        async def operation() -> int:
            assert (await client.post(job.url, content=pieces())).status == 200
            return job.size

        yield operation


@contextlib.asynccontextmanager
async def handshake(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async with AsyncClient(verify=job.ca_file) as client:

        async def operation() -> int:
            return len((await client.get(job.url, headers={"Connection": "close"})).content)

        yield operation


h2_get = h2_many = small_get
h2_download = download
h2_upload = upload_file
