"""httpx.AsyncClient."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx

from bench.job import PIECE, Job


def _client(job: Job) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    if job.http2:
        context = ssl.create_default_context(cafile=job.ca_file)
        return httpx.AsyncClient(http1=False, http2=True, verify=context, timeout=60, limits=limits)
    return httpx.AsyncClient(limits=limits)


@contextlib.asynccontextmanager
async def small_get(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async with _client(job) as client:

        async def operation() -> int:
            response = await client.get(job.url)
            assert response.status_code == 200
            return len(response.content)

        yield operation


@contextlib.asynccontextmanager
async def download(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async with _client(job) as client:

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


@contextlib.asynccontextmanager
async def h2_upload(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """From a file, which httpx's asynchronous client does not take as a body: it is read in pieces for it."""

    async def pieces() -> AsyncIterator[bytes]:
        with open(job.upload_path, "rb") as file:
            while piece := file.read(PIECE):
                yield piece

    async with _client(job) as client:

        async def operation() -> int:
            headers = {"Content-Length": str(job.size)}
            assert (await client.post(job.url, content=pieces(), headers=headers)).status_code == 200
            return job.size

        yield operation


h2_get = h2_many = small_get
h2_download = download
