"""The engine's WebSocket on asyncio."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from bench.contenders.websocket_work import AsyncTalk, AsyncWork
from bench.job import Job
from drivetrain.engine import WebSocketLimits, connect_async_websocket

LIMITS = WebSocketLimits(max_message_size=None)


@contextlib.asynccontextmanager
async def connection(job: Job) -> AsyncIterator[AsyncTalk]:
    async with await connect_async_websocket(job.url, compression=job.compression, limits=LIMITS) as websocket:
        yield websocket.send, websocket.receive  # type: ignore[misc]


work = AsyncWork(connection)
