"""A niquests.AsyncSession."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import niquests

from bench.job import PIECE, Job


@contextlib.asynccontextmanager
async def small_get(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async with niquests.AsyncSession(pool_maxsize=job.concurrency) as session:

        async def operation() -> int:
            response = await session.get(job.url)
            assert response.status_code == 200
            return len(response.content)

        yield operation


@contextlib.asynccontextmanager
async def download(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async with niquests.AsyncSession() as session:

        async def operation() -> int:
            total = 0
            response = await session.get(job.url, stream=True)
            async for piece in await response.iter_content(PIECE):
                total += len(piece)
            return total

        yield operation
