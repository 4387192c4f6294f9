"""Connecting again and again: `connect` as an asynchronous iterator."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Generator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drivetrain.compat.websockets_api.asyncio.client import ClientConnection, connect

__all__ = ["Reconnecting"]

# Tasks are kept alive by nobody else.
_closing: set[asyncio.Task[None]] = set()


class Reconnecting:
    """The connections of a `connect` that is iterated over, one after the other and without end.

    Args:
        connecting: makes them; one at a time.
    """

    def __init__(self, connecting: connect) -> None:
        self._connecting = connecting
        self._loop = asyncio.get_running_loop()
        self._delays: Generator[float, None, None] | None = None
        self._is_open = False

    def __aiter__(self) -> Reconnecting:
        return self

    async def __anext__(self) -> ClientConnection:
        while True:
            try:
                if self._is_open:
                    await self.aclose(None)
                    self._delays = None
                connection = await self._connecting.__aenter__()
            except Exception as exc:  # noqa: BLE001 - the caller says which ones may pass
                await self._wait_after(exc)
            else:
                self._is_open = True
                return connection

    async def _wait_after(self, exc: Exception) -> None:
        """Wait until it is time for another attempt; raises what stands against one."""
        connecting = self._connecting
        try:
            verdict = connecting.process_exception(exc)
        except Exception as raised:  # noqa: BLE001 - some raise where they should return
            verdict = raised
        if verdict is exc:
            raise exc
        if verdict is not None:
            raise verdict from exc
        if self._delays is None:
            self._delays = connecting.reconnect_delays()
        delay = next(self._delays)
        what = traceback.format_exception_only(type(exc), exc)[0].strip()
        connecting.logger.info("connect failed; reconnecting in %.1f seconds: %s", delay, what)
        await asyncio.sleep(delay)

    async def aclose(self, kind: type[BaseException] | None = GeneratorExit) -> None:
        """Close the connection that was given last."""
        if self._is_open:
            self._is_open = False
            await self._connecting.__aexit__(kind, None, None)

    def __del__(self) -> None:
        # Whoever leaves the loop leaves its last connection.
        if self._is_open and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_close_left, self._loop, self._connecting)


def _close_left(loop: asyncio.AbstractEventLoop, connecting: connect) -> None:
    connection = getattr(connecting, "connection", None)
    if connection is not None:
        _closing.add(task := loop.create_task(connecting.__aexit__(GeneratorExit, None, None)))
        task.add_done_callback(_closing.discard)
