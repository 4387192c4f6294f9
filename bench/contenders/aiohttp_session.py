"""aiohttp.ClientSession."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp

from bench.job import PIECE, Job


@contextlib.asynccontextmanager
async def small_get(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async with aiohttp.ClientSession() as session:

        async def operation() -> int:
            async with session.get(job.url) as response:
                assert response.status == 200
                return len(await response.read())

        yield operation


@contextlib.asynccontextmanager
async def download(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async with aiohttp.ClientSession() as session:

        async def operation() -> int:
            total = 0
            async with session.get(job.url) as response:
                async for piece in response.content.iter_chunked(PIECE):
                    total += len(piece)
            return total

        yield operation


@contextlib.asynccontextmanager
async def upload_file(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async with aiohttp.ClientSession() as session:

        async def operation() -> int:
            with open(job.upload_path, "rb") as file:
                async with session.post(job.url, data=file) as response:
                    assert response.status == 200
            return job.size

        yield operation


@contextlib.asynccontextmanager
async def upload_pieces(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in job.pieces():
            yield piece

    async with aiohttp.ClientSession() as session:

        async def operation() -> int:
            async with session.post(job.url, data=pieces()) as response:
                assert response.status == 200
            return job.size

        yield operation


@contextlib.asynccontextmanager
async def handshake(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    context = ssl.create_default_context(cafile=job.ca_file)
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def operation() -> int:
            async with session.get(job.url) as response:
                return len(await response.read())

        yield operation
