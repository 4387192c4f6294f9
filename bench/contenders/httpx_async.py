"""httpx.AsyncClient."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx

from bench.job import PIECE, Job


@contextlib.asynccontextmanager
async def small_get(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(limits=limits) as client:

        async def operation() -> int:
            response = await client.get(job.url)
            assert response.status_code == 200
            return len(response.content)

        yield operation


@contextlib.asynccontextmanager
async def download(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async with httpx.AsyncClient() as client:

        async def operation() -> int:
            total = 0
            async with client.stream("GET", job.url) as response:
                async for piece in response.aiter_bytes(PIECE):
                    total += len(piece)
            return total

        yield operation


@contextlib.asynccontextmanager
async def upload_pieces(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async with httpx.AsyncClient(timeout=60) as client:

        async def pieces() -> AsyncIterator[bytes]:
            for piece in job.pieces():
                yield piece

        async def operation() -> int:
            assert (await client.post(job.url, content=pieces())).status_code == 200
            return job.size

        yield operation


@contextlib.asynccontextmanager
async def handshake(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    context = ssl.create_default_context(cafile=job.ca_file)
    async with httpx.AsyncClient(verify=context, headers={"Connection": "close"}) as client:

        async def operation() -> int:
            return len((await client.get(job.url)).content)

        yield operation
