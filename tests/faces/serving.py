"""Servers of both colours for tests that block: the asyncio one runs on a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from drivetrain.engine import AsyncServer, Headers, Server

__all__ = ["KINDS", "Running", "Serve", "dial", "reply", "scripted", "serving", "until"]

# A server's colour, and whether its handler is a coroutine function.
KINDS = [("blocking", False), ("blocking", True), ("asyncio", False), ("asyncio", True)]


class Running:
    """A server of either colour that was started.

    Attributes:
        errors: what reached its `onerror`.
    """

    def __init__(self, colour: str, handler: Callable[..., Any], options: dict[str, Any]) -> None:
        self.errors: list[tuple[BaseException, str]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

        def onerror(server: Any, error: BaseException, context: str) -> None:
            self.errors.append((error, context))

        if colour == "blocking":
            self.server: Any = Server(handler, onerror, **options)
            self.server.start()
            return
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loop of a server")
        self._thread.start()
        self.server = AsyncServer(handler, onerror, **options)
        try:
            self.wait(self.server.start())
        except BaseException:
            self._end_loop()
            raise

    def wait(self, value: Any, timeout: float = 20.0) -> Any:
        """Finish what a method of the server returned."""
        if self._loop is None or not inspect.iscoroutine(value):
            return value
        return asyncio.run_coroutine_threadsafe(value, self._loop).result(timeout)

    def run(self, function: Callable[[], None]) -> None:
        """Call it where the server lives."""

        async def call() -> None:
            function()

        if self._loop is None:
            function()
        else:
            self.wait(call())

    def close(self, timeout: float | None = 5.0) -> None:
        self.wait(self.server.close(timeout))

    @property
    def connections(self) -> int:
        return int(self.server.connections)

    @property
    def address(self) -> tuple[str, int]:
        return self.server.localname()[1:]  # type: ignore[no-any-return]

    @property
    def port(self) -> int:
        return self.address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _end_loop(self) -> None:
        assert self._loop is not None
        loop = self._loop

        async def left() -> int:
            await asyncio.sleep(0)
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            return len(tasks)

        count = self.wait(left())
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join(5)
        loop.run_until_complete(asyncio.sleep(0.0))
        loop.close()
        assert count == 0, f"{count} task(s) left running"

    def end(self) -> None:
        try:
            self.close()
            assert self.connections == 0
        finally:
            if self._loop is not None:
                self._end_loop()


@contextlib.contextmanager
def serving(colour: str, handler: Callable[..., Any], **options: Any) -> Iterator[Running]:
    running = Running(colour, handler, options)
    try:
        yield running
    finally:
        running.end()


Serve = Callable[..., contextlib.AbstractContextManager[Running]]


def scripted(colour: str, is_async: bool) -> Serve:
    """`serve(script, **options)`: a server whose handler is `script`, a generator function of the stream.

    What the script yields is finished: on a stream of coroutine methods it is awaited, else it is the result already.
    """

    def start(script: Callable[[Any], Iterator[Any]], **options: Any) -> contextlib.AbstractContextManager[Running]:
        async def handle_async(server: Any, stream: Any) -> None:
            steps = script(stream)
            value: Any = None
            with contextlib.suppress(StopIteration):
                while True:
                    step = steps.send(value)
                    value = await step if hasattr(step, "__await__") else step

        def handle(server: Any, stream: Any) -> None:
            steps = script(stream)
            value: Any = None
            with contextlib.suppress(StopIteration):
                while True:
                    value = steps.send(value)

        return serving(colour, handle_async if is_async else handle, **options)

    return start


@contextlib.contextmanager
def dial(running: Running) -> Iterator[socket.socket]:
    with socket.create_connection(running.address, timeout=5) as sock:
        yield sock


def until(condition: Callable[[], bool]) -> None:
    """Wait, for some seconds at most, until something that nobody signals is the case."""
    pause = threading.Event()
    for _ in range(5000):
        if condition():
            return
        pause.wait(0.001)
    raise AssertionError("it did not come to pass")


async def reply_async(stream: Any, body: bytes, status: str, fields: tuple[tuple[str, str], ...]) -> None:
    headers = Headers([(":status", status), ("content-length", str(len(body))), *fields])
    await stream.write_headers(headers, False)
    await stream.write_chunk(body, True)


def reply(stream: Any, body: bytes = b"ok", status: str = "200", *fields: tuple[str, str]) -> Any:
    """Answer; on an asyncio stream a coroutine that does."""
    if inspect.iscoroutinefunction(stream.write_chunk):
        return reply_async(stream, body, status, fields)
    headers = Headers([(":status", status), ("content-length", str(len(body))), *fields])
    stream.write_headers(headers, False)
    stream.write_chunk(body, True)
    return None
