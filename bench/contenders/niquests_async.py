"""A niquests.AsyncSession."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import niquests

from bench.job import PIECE, Job


@contextlib.asynccontextmanager
async def _session(job: Job) -> AsyncIterator[niquests.AsyncSession]:
    async with niquests.AsyncSession(pool_maxsize=job.concurrency) as session:
        if job.http2:
            if not job.tls:
                raise ValueError("HTTP/2 over TLS only")
            session.verify = job.ca_file
        yield session


@contextlib.asynccontextmanager
async def small_get(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async with _session(job) as session:

        async def operation() -> int:
            response = await session.get(job.url)
            assert response.status_code == 200
            return len(response.content)

        yield operation


@contextlib.asynccontextmanager
async def download(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async with _session(job) as session:

        async def operation() -> int:
            total = 0
            response = await session.get(job.url, stream=True)
            async for piece in await response.iter_content(PIECE):
                total += len(piece)
            return total

        yield operation


h2_get = h2_many = small_get
h2_download = download
