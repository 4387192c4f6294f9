"""What the WebSocket contenders do, once a connection of theirs is there: the operations of `ws_echo` and `ws_idle`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol

from bench.job import Job

__all__ = ["AsyncTalk", "AsyncWork", "Talk", "Work", "payload"]

Message = str | bytes
Talk = tuple[Callable[[Message], Any], Callable[[], Message]]
"""How to send and how to receive on one connection."""
AsyncTalk = tuple[Callable[[Message], Awaitable[Any]], Callable[[], Awaitable[Message]]]


def payload(job: Job) -> Message:
    """Text where it is small, otherwise bytes; half of it compresses well."""
    if job.size <= 1000:
        return ("The quick brown fox jumps over the lazy dog. " * (job.size // 40 + 1))[: job.size]
    half = job.size // 2
    noise = bytes((number * number * 31 + number) >> 3 & 0xFF for number in range(4096))
    return b"0123456789abcdef" * (half // 16) + (noise * (half // len(noise) + 1))[: job.size - half // 16 * 16]


class _Open(Protocol):
    def __call__(self, job: Job) -> AbstractContextManager[Talk]: ...


class _OpenAsync(Protocol):
    def __call__(self, job: Job) -> AbstractAsyncContextManager[AsyncTalk]: ...


class Work:
    """The kinds of work of one contender that blocks, given how it opens a connection."""

    def __init__(self, open_one: _Open) -> None:
        self._open = open_one

    @contextlib.contextmanager
    def ws_echo(self, job: Job) -> Iterator[Callable[[], int]]:
        """One message there and back."""
        message = payload(job)
        with self._open(job) as (send, receive):

            def operation() -> int:
                send(message)
                return len(receive())

            yield operation

    @contextlib.contextmanager
    def ws_connect(self, job: Job) -> Iterator[Callable[[], int]]:
        """Open and close."""

        def operation() -> int:
            with self._open(job):
                return 0

        yield operation

    @contextlib.contextmanager
    def ws_idle(self, job: Job) -> Iterator[Callable[[], int]]:
        """The first time open `job.concurrency` connections, later an echo on each."""
        with contextlib.ExitStack() as stack:
            talks: list[Talk] = []

            def operation() -> int:
                if not talks:
                    talks.extend(stack.enter_context(self._open(job)) for _ in range(job.connections))
                for send, receive in talks:
                    send("x")
                    assert receive() == "x"
                return 0

            yield operation


class AsyncWork:
    """The same on asyncio."""

    def __init__(self, open_one: _OpenAsync) -> None:
        self._open = open_one

    @contextlib.asynccontextmanager
    async def ws_echo(self, job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
        """One message there and back."""
        message = payload(job)
        async with self._open(job) as (send, receive):

            async def operation() -> int:
                await send(message)
                return len(await receive())

            yield operation

    @contextlib.asynccontextmanager
    async def ws_connect(self, job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
        """Open and close."""

        async def operation() -> int:
            async with self._open(job):
                return 0

        yield operation

    @contextlib.asynccontextmanager
    async def ws_idle(self, job: Job) -> AsyncIterator[Callable[[], Awaitable[int]]]:
        """The first time open many connections, later an echo on each."""
        async with contextlib.AsyncExitStack() as stack:
            talks: list[AsyncTalk] = []

            async def one(talk: AsyncTalk) -> None:
                send, receive = talk
                await send("x")
                assert await receive() == "x"

            async def operation() -> int:
                if not talks:
                    talks.extend([await stack.enter_async_context(self._open(job)) for _ in range(job.connections)])
                await asyncio.gather(*map(one, talks))
                return 0

            yield operation
