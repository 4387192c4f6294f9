"""A `UserAgent` on the network in memory, against servers whose every byte a test writes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from drivetrain.engine import Headers, PoolLimits, Timeouts
from drivetrain.engine.backends.base import FOREVER, ByteStream
from drivetrain.engine.backends.memory import MemoryBackend
from drivetrain.engine.connection.dial import DialOptions, TlsOptions
from drivetrain.engine.errors import NetworkError
from drivetrain.engine.policy.bodies import BodySource
from drivetrain.engine.policy.compose import Composer
from drivetrain.engine.policy.origins import Origins
from drivetrain.engine.policy.redirects import RedirectPolicy
from drivetrain.engine.policy.response_core import ResponseCore
from drivetrain.engine.policy.user_agent import UserAgent

__all__ = ["URL", "World", "read_head"]

URL = "http://192.0.2.1/"
ADDRESS = ("192.0.2.1", 80)


async def read_head(stream: ByteStream) -> bytes:
    """A request's head, b"" at the end of input. What follows it in the same piece is returned too."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = await stream.receive_some(65536, FOREVER)
        if not piece:
            return b""
        head += piece
    return head


class World:
    """A memory backend, a server in it and a client.

    Args:
        serve: called with each connection.
        capacity: bytes that may be under way in each direction.
    """

    def __init__(
        self,
        serve: Callable[[ByteStream], Awaitable[None]],
        *,
        pool: PoolLimits | None = None,
        capacity: int | None = None,
    ) -> None:
        self.backend = MemoryBackend()
        self.listener = self.backend.listen(ADDRESS, capacity)
        self.agent = UserAgent(self.backend, Origins(TlsOptions(), DialOptions()), pool or PoolLimits())
        self.composer = Composer(self.agent.origins, Headers(), "async")
        self.connections = 0
        self._serve = serve

    async def _accept(self) -> None:
        while (stream := await self.listener.accept(FOREVER)) is not None:
            self.connections += 1
            self.backend.spawn(self._guarded(stream), f"server {self.connections}")

    async def _guarded(self, stream: ByteStream) -> None:
        try:
            await self._serve(stream)
        except NetworkError:
            pass  # the client broke off
        finally:
            stream.close()

    async def send(
        self, url: str = URL, timeouts: Timeouts | None = None, method: str = "GET", content: BodySource | None = None
    ) -> ResponseCore:
        outgoing = self.composer.compose(method, url, content=content)
        return await self.agent.send(outgoing, timeouts or Timeouts(), RedirectPolicy())

    def run(self, test: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            acceptor = self.backend.spawn(self._accept(), "acceptor")
            await test()
            self.agent.close()
            assert self.agent.pool.statistics().open == 0
            acceptor.cancel()

        self.backend.run(main())
