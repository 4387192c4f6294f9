"""The memory backend: a network, a clock and a scheduler that exist only in this process, for tests that never wait.

::

    backend = MemoryBackend()

    async def test():
        client, server = backend.pipe()
        await client.send_all(b"ping", FOREVER)
        assert await server.receive_some(100, backend.now() + 3600) == b"ping"

    backend.run(test())

Everything is deterministic: tasks run in the order in which they were woken, and the clock stands still until every task
waits; then it jumps to the next deadline. When there is none either, `Deadlock` names who waits for what.
"""

from .backend import MemoryBackend
from .scheduler import Cancelled, Deadlock
from .stream import MemoryStream

__all__ = ["Cancelled", "Deadlock", "MemoryBackend", "MemoryStream"]
