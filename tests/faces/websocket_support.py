"""WebSockets of both colours for one text: the asyncio one is driven from a loop of its own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from drivetrain.engine import H2Limits
from drivetrain.engine.errors import WebSocketError
from drivetrain.engine.faces.async_websocket import AsyncWebSocket
from drivetrain.engine.faces.websocket import WebSocket

__all__ = ["LIMITS", "WebSockets", "echo_async", "echo_sync"]

LIMITS = H2Limits(enable_connect_protocol=True)


class DrivenWebSocket:
    """An `AsyncWebSocket` with the interface of a `WebSocket`."""

    def __init__(self, target: AsyncWebSocket, loop: asyncio.AbstractEventLoop) -> None:
        self.target = target
        self.loop = loop

    def wait(self, value: Any) -> Any:
        return self.loop.run_until_complete(value) if inspect.isawaitable(value) else value

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.target, name)
        if not callable(value):
            return value
        return lambda *args, **kwargs: self.wait(value(*args, **kwargs))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("target", "loop"):
            super().__setattr__(name, value)
        else:
            setattr(self.target, name, value)

    def each(self) -> Iterator[Any]:
        return self._iterate(self.target.each())

    def receive_pieces(self, timeout: float | None = None) -> Iterator[Any]:
        return self._iterate(self.target.receive_pieces(timeout))

    def __iter__(self) -> Iterator[Any]:
        return self._iterate(self.target.__aiter__())

    def _iterate(self, source: Any) -> Iterator[Any]:
        while True:
            try:
                yield self.wait(source.__anext__())
            except StopAsyncIteration:
                return

    def __enter__(self) -> DrivenWebSocket:
        self.wait(self.target.__aenter__())
        return self

    def __exit__(self, *error: object) -> None:
        self.wait(self.target.__aexit__(*error))


class WebSockets:
    """Makes clients' WebSockets of one colour, and closes what is left of them."""

    def __init__(self, colour: str) -> None:
        self.colour = colour
        self.loop = asyncio.new_event_loop() if colour == "asyncio" else None
        self._made: list[Any] = []

    def new(self, uri: str, *args: Any, **options: Any) -> Any:
        made: Any
        if self.loop is None:
            made = WebSocket.from_uri(uri, *args, **options)
        else:
            made = DrivenWebSocket(AsyncWebSocket.from_uri(uri, *args, **options), self.loop)
        self._made.append(made)
        return made

    def __call__(self, uri: str, *args: Any, **options: Any) -> Any:
        made = self.new(uri, *args, **options)
        made.connect(10)
        return made

    def pieces(self, source: Iterable[Any]) -> Any:
        """An iterable of this colour."""
        if self.loop is None:
            return iter(source)

        async def generate() -> AsyncIterator[Any]:
            for piece in source:
                await asyncio.sleep(0)
                yield piece

        return generate()

    def close(self) -> None:
        for made in self._made:
            made.close(timeout=1)
        if self.loop is not None:
            tasks = asyncio.all_tasks(self.loop)
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(asyncio.sleep(0))
            self.loop.close()
            assert not tasks


def echo_sync(server: Any, stream: Any, **settings: Any) -> None:
    """A handler that sends back what it receives."""
    websocket = WebSocket.from_stream(stream, stream.get_headers(), **settings)
    assert websocket is not None
    websocket.accept(protocols=("b", "a"))
    with websocket:
        try:
            for message in websocket:
                websocket.send(message)
        except WebSocketError:
            return


async def echo_async(server: Any, stream: Any, **settings: Any) -> None:
    """The same for handlers that are coroutine functions."""
    websocket = AsyncWebSocket.from_stream(stream, await stream.get_headers(), **settings)
    assert websocket is not None
    await websocket.accept(protocols=("b", "a"))
    async with websocket:
        try:
            async for message in websocket:
                await websocket.send(message)
        except WebSocketError:
            return
