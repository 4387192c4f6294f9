"""drivetrain's websockets_api on asyncio."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from bench.contenders.websocket_work import AsyncTalk, AsyncWork
from bench.job import Job
from drivetrain.compat.websockets_api.asyncio.client import connect


@contextlib.asynccontextmanager
async def connection(job: Job) -> AsyncIterator[AsyncTalk]:
    compression = "deflate" if job.compression else None
    async with connect(job.url, compression=compression, max_size=None, proxy=None) as websocket:
        yield websocket.send, websocket.recv


work = AsyncWork(connection)
