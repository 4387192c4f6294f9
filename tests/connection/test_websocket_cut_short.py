"""What is left of a WebSocket's output after its end, in order and cut short."""

from __future__ import annotations

import pytest

from drivetrain.engine.errors import WebSocketClosed, WriteTimeout
from tests.connection.websocket_support import Scripted, pair


@pytest.mark.parametrize("how", ["cancelled", "timed out"])
def test_after_a_close_that_was_cut_short_nothing_is_kept(how: str) -> None:
    peer = Scripted(capacity=100)

    async def main() -> None:
        with pytest.raises(WriteTimeout):
            await peer.websocket.send(bytes(200_000), timeout=1)
        if how == "cancelled":
            task = peer.backend.spawn(peer.websocket.close(), "close")
            await peer.backend.sleep_until(peer.backend.now() + 1)
            task.cancel()
            await task.join(1e9)
        else:
            await peer.websocket.close(timeout=1)
        assert peer.websocket.is_closed
        assert sum(map(len, peer.websocket._outbox)) == 0
        with pytest.raises(WebSocketClosed):
            await peer.websocket.send("x")

    peer.run(main())


def test_after_an_orderly_close_nothing_is_at_fault() -> None:
    both = pair()

    async def listen(websocket) -> None:
        assert await websocket.receive() is None

    async def main() -> None:
        near = both.backend.spawn(listen(both.client), "client")
        await both.backend.sleep_until(both.backend.now() + 1)
        far = both.backend.spawn(listen(both.server), "server")
        await both.client.close(1000, "so")
        assert await near.join(2e9)
        assert await far.join(2e9)
        for websocket in (both.client, both.server):
            assert websocket._outbox == []
            assert websocket.fault is None
            with pytest.raises(WebSocketClosed):
                await websocket.ping()

    both.run(main())
