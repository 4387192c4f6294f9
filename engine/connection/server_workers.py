"""The threads or tasks that serve the streams of one HTTP/2 connection.

Laws:

- a stream that was handed in is served at once, beside all others, unless `limit` of them are being served already;
- a worker that is done goes on to the next stream, and waits a moment for one before it ends: threads cost more than waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

from ..backends.base import FOREVER, Backend, TaskHandle, Waiter
from .h2_server_stream import H2ServerStream

__all__ = ["StreamWorkers"]

# How long a worker waits for another stream, in seconds.
_KEEP = 1.0


class _Worker:
    """One thread or task; `handle` is None while it is being started."""

    __slots__ = ("handle",)

    def __init__(self) -> None:
        self.handle: TaskHandle | None = None


class StreamWorkers:
    """See the module.

    Args:
        backend: starts the workers.
        limit: how many streams are served at a time.
        serve: serves one stream; does not raise, but for being cancelled.
        on_idle: awaited in a worker when the last stream of all was served.
        name: what the workers are called.
    """

    def __init__(
        self,
        backend: Backend,
        limit: int,
        serve: Callable[[H2ServerStream], Awaitable[None]],
        on_idle: Callable[[], Awaitable[None]],
        name: str,
    ) -> None:
        self._backend = backend
        self._limit = limit
        self._serve = serve
        self._on_idle = on_idle
        self._name = name
        self._guard = backend.create_guard()
        self._pending: deque[H2ServerStream] = deque()
        self._spare: list[Waiter] = []
        self._workers: set[_Worker] = set()
        self._is_closed = False
        self._done: Waiter | None = None
        self.active = 0

    def submit(self, stream: H2ServerStream) -> None:
        """Have a stream served. One caller at a time.

        Raises:
            RuntimeError: there are no more threads, and none that would come to it.
        """
        waiter = worker = None
        dropped: list[H2ServerStream] = []
        with self._guard:
            self.active += 1
            self._pending.append(stream)
            if self._spare:
                waiter = self._spare.pop()
            elif len(self._workers) < self._limit:
                worker = _Worker()
                self._workers.add(worker)
            elif len(self._pending) > 2 * self._limit:
                dropped = self._drop_closed()
        for each in dropped:
            each.cancel()
        if waiter is not None:
            waiter.wake()
        elif worker is not None:
            self._start(worker, stream)

    def poke(self) -> None:
        """Have `on_idle` awaited in a worker though nothing was served."""
        worker = _Worker()
        with self._guard:
            self._workers.add(worker)
        try:
            worker.handle = self._backend.spawn(self._call_on_idle(worker), self._name)
        except BaseException:
            self._leave(worker)
            raise

    async def _call_on_idle(self, worker: _Worker) -> None:
        try:
            await self._on_idle()
        finally:
            self._leave(worker)

    def _start(self, worker: _Worker, stream: H2ServerStream) -> None:
        try:
            worker.handle = self._backend.spawn(self._work(worker), self._name)
        except BaseException:
            with self._guard:
                self._workers.discard(worker)
                if self._workers or stream not in self._pending:
                    return
                self._pending.remove(stream)
                self.active -= 1
            raise

    def _drop_closed(self) -> list[H2ServerStream]:
        """Forget what clients have asked for and taken back before its turn came, and return it."""
        kept: deque[H2ServerStream] = deque()
        dropped = []
        for stream in self._pending:
            if stream.state == "closed":
                dropped.append(stream)
            else:
                kept.append(stream)
        self.active -= len(dropped)
        self._pending = kept
        return dropped

    async def _work(self, worker: _Worker) -> None:
        try:
            while True:
                waiter = stream = None
                with self._guard:
                    if self._pending:
                        stream = self._pending.popleft()
                    elif self._is_closed:
                        return
                    else:
                        waiter = self._backend.create_waiter()
                        self._spare.append(waiter)
                if stream is not None:
                    await self._serve_one(stream)
                elif waiter is not None and not await self._wait(waiter):
                    return
        finally:
            self._leave(worker)

    def _leave(self, worker: _Worker) -> None:
        with self._guard:
            self._workers.discard(worker)
            done = self._done if not self._workers else None
        if done is not None:
            done.wake()

    async def _wait(self, waiter: Waiter) -> bool:
        """Whether a stream came, or may have."""
        woken = False
        try:
            woken = await waiter.wait(self._backend.now() + _KEEP)
        finally:
            with self._guard:
                if waiter in self._spare:
                    self._spare.remove(waiter)
                else:
                    woken = True
        return woken

    async def _serve_one(self, stream: H2ServerStream) -> None:
        try:
            await self._serve(stream)
        finally:
            with self._guard:
                self.active -= 1
                last = not self.active
        if last:
            await self._on_idle()

    async def close(self) -> None:
        """Let the workers end, and wait until they did; those cancelled or left behind by their handlers included."""
        with self._guard:
            self._is_closed = True
            spare = self._spare.copy()
            self._spare.clear()
            waiter = None
            if self._workers:
                waiter = self._done = self._backend.create_waiter()
        for each in spare:
            each.wake()
        if waiter is not None:
            await waiter.wait(FOREVER)

    def cancel(self) -> None:
        """Ask all workers to end at their next wait."""
        with self._guard:
            handles = [worker.handle for worker in self._workers]
        for handle in handles:
            if handle is not None:
                handle.cancel()

    @property
    def is_current(self) -> bool | None:
        """Whether the caller is one of the workers; None while one is just being started."""
        with self._guard:
            handles = [worker.handle for worker in self._workers]
        if any(handle is not None and handle.is_current for handle in handles):
            return True
        return None if None in handles else False
