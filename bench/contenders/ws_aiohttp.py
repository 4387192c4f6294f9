"""aiohttp's ClientSession.ws_connect."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import aiohttp

from bench.contenders.websocket_work import AsyncTalk, AsyncWork, Message
from bench.job import Job


@contextlib.asynccontextmanager
async def connection(job: Job) -> AsyncIterator[AsyncTalk]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(job.url, max_msg_size=0, compress=15 if job.compression else 0) as websocket,
    ):

        async def send(message: Message) -> None:
            if isinstance(message, str):
                await websocket.send_str(message)
            else:
                await websocket.send_bytes(message)

        async def receive() -> Message:
            data: Message = (await websocket.receive()).data
            return data

        yield send, receive


work = AsyncWork(connection)
