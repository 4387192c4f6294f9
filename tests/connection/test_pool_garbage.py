"""Pool: what a user who became garbage leaves behind serves those who wait, though nobody else uses the pool."""

from __future__ import annotations

import threading

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.backends.blocking import BlockingBackend, run
from drivetrain.engine.connection.pool import Pool
from drivetrain.engine.connection.pool_limits import PoolLimits


class Link:
    """A connection that does nothing."""

    def __init__(self) -> None:
        self.closed = False

    def is_usable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


def test_a_thread_that_waits_is_served() -> None:
    backend = BlockingBackend()
    opened: list[Link] = []

    async def open_link(_key: str, _deadline: float) -> Link:
        opened.append(Link())
        return opened[-1]

    pool: Pool[str, Link] = Pool(backend, PoolLimits(max_connections=1), open_link)
    link, _ = run(pool.acquire("a", FOREVER))
    found: list[Link] = []
    waiting = threading.Thread(target=lambda: found.append(run(pool.acquire("a", backend.now() + 30))[0]))
    waiting.start()
    while not pool.statistics().waiting:
        assert waiting.is_alive()
    pool.release_from_finalizer(link)
    waiting.join(10)
    assert found == [opened[1]]
    assert opened[0].closed
