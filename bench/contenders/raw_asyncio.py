"""A bare asyncio protocol: what the event loop costs before any library begins."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from bench.job import Job


class _Exchange(asyncio.Protocol):
    """One connection; an answer is complete when as many bytes came as the first one had."""

    def __init__(self) -> None:
        self._data = b""
        self._length = 0
        self._done: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._done is None:
            return
        if not self._length:
            end = self._data.find(b"\r\n\r\n")
            start = self._data.lower().find(b"content-length: ") + 16
            if end < 0:
                return
            self._length = end + 4 + int(self._data[start : self._data.index(b"\r\n", start)])
        if len(self._data) >= self._length:
            assert self._data.startswith(b"HTTP/1.1 200 ")
            self._data = b""
            self._done.set_result(None)

    async def exchange(self, request: bytes) -> None:
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(request)  # type: ignore[attr-defined]
        await self._done


@contextlib.asynccontextmanager
async def small_get(job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    request = f"GET {job.target} HTTP/1.1\r\nHost: {job.host}:{job.port}\r\nAccept: */*\r\n\r\n".encode()
    loop = asyncio.get_running_loop()
    free = [(await loop.create_connection(_Exchange, job.host, job.port))[1] for _ in range(job.concurrency)]

    async def operation() -> int:
        connection = free.pop()
        await connection.exchange(request)
        free.append(connection)
        return job.size

    yield operation
    for connection in free:
        connection._transport.close()
