"""One text of a scenario for both clients: the asyncio one is driven step by step from a loop of its own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from drivetrain.engine import AsyncClient, AsyncWebSocket, Client
from drivetrain.engine.faces.async_client import PendingResponse
from drivetrain.engine.faces.async_response import AsyncRawBody, AsyncResponse, AsyncUnits

__all__ = ["COLOURS", "Clients", "Driven"]

COLOURS = ("blocking", "asyncio")
_WRAPPED = (AsyncClient, AsyncRawBody, AsyncResponse, AsyncUnits, AsyncWebSocket, PendingResponse)


class Driven:
    """An asyncio object with the blocking interface of its twin."""

    def __init__(self, target: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.target = target
        self.loop = loop

    def finish(self, value: Any) -> Any:
        if inspect.isawaitable(value):

            async def wait() -> Any:
                return await value

            value = self.loop.run_until_complete(wait())
        if isinstance(value, _WRAPPED):
            return Driven(value, self.loop)
        if isinstance(value, list):
            return [self.finish(item) for item in value]
        return value

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.target, name)
        if not inspect.ismethod(value):
            return self.finish(value)
        return lambda *args, **kwargs: self.finish(value(*args, **kwargs))

    def __enter__(self) -> Any:
        entered = self.loop.run_until_complete(self.target.__aenter__())
        return self if entered is self.target else self.finish(entered)

    def __exit__(self, *error: object) -> None:
        self.loop.run_until_complete(self.target.__aexit__(*error))

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return self.finish(self.target.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None


class Clients:
    """Makes clients of one colour, and sees at the end that none of them has a connection in use."""

    def __init__(self, colour: str) -> None:
        self.colour = colour
        self.loop = asyncio.new_event_loop() if colour == "asyncio" else None
        self._made: list[Any] = []

    def __call__(self, **options: Any) -> Any:
        client: Any
        if self.loop is None:
            client = Client(**options)
        else:
            # Pending responses and plain method calls alike are finished at once.
            client = Driven(AsyncClient(**options), self.loop)
        self._made.append(client)
        return client

    def pieces(self, source: Iterable[bytes]) -> Any:
        """A one-shot iterable of this colour."""
        if self.loop is None:
            return (piece for piece in source)

        async def generate() -> AsyncIterator[bytes]:
            for piece in source:
                await asyncio.sleep(0)
                yield piece

        return generate()

    def close(self) -> None:
        figures = [client.statistics for client in self._made]
        for client in self._made:
            client.close()
        left = [client.statistics.open for client in self._made]
        if self.loop is not None:
            tasks = asyncio.all_tasks(self.loop)
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(asyncio.sleep(0))
            self.loop.close()
            assert not tasks
        assert [each.in_use for each in figures] == [0] * len(figures), figures
        assert left == [0] * len(left)
