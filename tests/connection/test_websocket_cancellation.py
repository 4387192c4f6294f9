"""Random sends, Pings and receives, some of them cancelled: nobody else loses anything."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from drivetrain.engine.protocol.websocket_deflate import DeflateParameters
from drivetrain.engine.protocol.websocket_events import (
    Close,
)
from drivetrain.engine.protocol.websocket_limits import WebSocketLimits
from tests.connection.websocket_support import pair, taken

FATES = st.tuples(
    st.sampled_from(["send", "pieces", "ping", "receive"]),
    st.integers(0, 3000),
    st.one_of(st.none(), st.floats(0, 3, allow_nan=False)),
)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(FATES, min_size=1, max_size=10),
    st.sampled_from([None, 100, 2000]),
    st.sampled_from([None, 7, 500]),
    st.sampled_from([None, DeflateParameters()]),
)
def test_whatever_is_cancelled_the_rest_arrives_in_order(plans, capacity, piece, deflate) -> None:
    """Those who are cancelled may or may not have sent; nobody else's message is lost, broken or doubled."""
    both = pair(WebSocketLimits(max_outbox=500), capacity=capacity, piece=piece, deflate=deflate)
    heard: list[bytes] = []

    async def work(kind: str, number: int, size: int) -> None:
        head = b"%04d" % number
        if kind == "send":
            await both.client.send(head + bytes(size))
        elif kind == "pieces":
            message = both.client.new_message()
            await message.send(head)
            await message.send(bytes(size))
            await message.end()
        elif kind == "ping":
            await both.client.ping(timeout=1000)
        else:
            await both.client.receive()

    async def listen() -> None:
        while (message := await both.server.receive()) is not None:
            assert isinstance(message, bytes)
            assert message[4:] == bytes(len(message) - 4)
            heard.append(message[:4])

    async def main() -> None:
        listener = both.backend.spawn(listen(), "listener")
        tasks = []
        receiving = False
        for number, (kind, size, after) in enumerate(plans):
            cut = kind in ("pieces", "receive") and after is None
            if kind == "receive" and (receiving or cut):
                continue
            receiving = receiving or kind == "receive"
            # A message that is cut in the middle is in the way of all others: only `close` helps.
            when = None if kind == "pieces" else after
            tasks.append((both.backend.spawn(work(kind, number, size), kind), kind, number, when))
        start = both.backend.now()
        for task, _, _, when in sorted((item for item in tasks if item[3] is not None), key=lambda item: item[3]):
            await both.backend.sleep_until(start + when)
            task.cancel()
        for task, kind, number, _ in tasks:
            assert await task.join(both.backend.now() + 2000), (kind, number)
        await both.client.close(timeout=1000)
        assert await listener.join(both.backend.now() + 1000)
        sure = [b"%04d" % number for _, kind, number, when in tasks if kind in ("send", "pieces") and when is None]
        assert len(heard) == len(set(heard))
        assert set(sure) <= set(heard)
        assert both.client.close_received == Close(1000)

    both.run(main())
    assert taken(both.server.stream) == 0  # type: ignore[arg-type]
