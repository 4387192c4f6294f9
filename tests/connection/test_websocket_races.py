"""Both sides send, receive, ping and close whenever they like: it always ends, in order, with nothing lost before the end."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from drivetrain.engine.connection.websocket import WebSocketConnection
from drivetrain.engine.errors import WebSocketClosed
from drivetrain.engine.protocol.websocket_deflate import DeflateParameters
from drivetrain.engine.protocol.websocket_events import Close
from drivetrain.engine.protocol.websocket_limits import WebSocketLimits
from tests.connection.websocket_support import Pair, pair

LATER = 1000.0  # seconds of the virtual clock
DELAYS = st.sampled_from([0.0, 0.0, 0.5, 1.0, 2.0])


class Plan(NamedTuple):
    """What a side does.

    Attributes:
        messages: delay before each, its size, whether in parts.
        pings: when.
        closes: when, with which code.
        pumps: whether a pump works beside who receives.
    """

    messages: list[tuple[float, int, bool]]
    pings: list[float]
    closes: list[tuple[float, int]]
    pumps: bool


def plans(closes: st.SearchStrategy[list[tuple[float, int]]]) -> st.SearchStrategy[Plan]:
    return st.builds(
        Plan,
        st.lists(st.tuples(DELAYS, st.sampled_from([0, 10, 300, 5000]), st.booleans()), max_size=5),
        st.lists(DELAYS, max_size=2),
        closes,
        st.booleans(),
    )


CODES = st.sampled_from([1000, 1001, 3000, 4999])
SOME_CLOSES = st.lists(st.tuples(DELAYS, CODES), min_size=1, max_size=3)


class Side:
    """One side at work.

    Attributes:
        sent, heard: messages; only what was sent whole counts.
        faults: what should not have come up.
    """

    def __init__(self, both: Pair, websocket: WebSocketConnection, plan: Plan, name: str) -> None:
        self.backend, self.websocket, self.plan = both.backend, websocket, plan
        self.sent: list[bytes] = []
        self.heard: list[Any] = []
        self.refused = False
        works = [self.send(), self.receive()]
        works += [self.ping(after) for after in plan.pings]
        works += [self.close(*close) for close in plan.closes]
        works += [websocket.pump()] if plan.pumps else []
        self.tasks = [self.backend.spawn(work, f"{name} {work.__name__}") for work in works]

    async def send(self) -> None:
        for number, (delay, size, in_parts) in enumerate(self.plan.messages):
            await self.backend.sleep_until(self.backend.now() + delay)
            data = b"%d" % number + bytes(size)
            try:
                if in_parts:
                    message = self.websocket.new_message()
                    await message.send(data[:100])
                    await message.send(data[100:], last=True)
                else:
                    await self.websocket.send(data)
            except WebSocketClosed:
                self.refused = True
                return
            self.sent.append(data)

    async def receive(self) -> None:
        while (message := await self.websocket.receive()) is not None:
            self.heard.append(message)

    async def ping(self, after: float) -> None:
        await self.backend.sleep_until(self.backend.now() + after)
        try:
            assert await self.websocket.ping() >= 0
        except WebSocketClosed:
            assert self.websocket.close_sent is not None

    async def close(self, after: float, code: int) -> None:
        await self.backend.sleep_until(self.backend.now() + after)
        await self.websocket.close(code, "so", timeout=LATER)
        assert self.websocket.is_closed

    async def finish(self) -> None:
        for task in self.tasks:
            assert await task.join(self.backend.now() + 2 * LATER), task


def check(one: Side, other: Side) -> None:
    """What holds for `one`, whoever closed."""
    websocket = one.websocket
    assert websocket.is_closed
    assert one.heard == other.sent[: len(one.heard)] or other.refused
    codes = {code for side in (one, other) for _, code in side.plan.closes}
    assert websocket.close_received is not None
    assert websocket.close_received == other.websocket.close_sent
    assert websocket.close_code in codes
    assert websocket._waiters == []
    assert not websocket._outbox
    assert websocket._pings._under_way is None


@settings(deadline=None, max_examples=100)
@given(
    plans(SOME_CLOSES),
    plans(st.just([]) | SOME_CLOSES),
    st.sampled_from([("client", "server"), ("server", "client")]),
    st.sampled_from([None, 100, 2000]),
    st.sampled_from([None, 7, 500]),
    st.sampled_from([None, DeflateParameters()]),
)
def test_closing_at_any_time(closer, other, roles, capacity, piece, deflate) -> None:
    limits = WebSocketLimits(max_outbox=500)
    both = pair(limits, limits, capacity, piece, deflate)

    async def main() -> None:
        one = Side(both, getattr(both, roles[0]), closer, roles[0])
        two = Side(both, getattr(both, roles[1]), other, roles[1])
        await one.finish()
        await two.finish()
        check(one, two)
        check(two, one)
        if not other.closes:
            # Who never closed heard all that was said before the end.
            assert two.heard[: len(one.sent)] == one.sent
            assert two.websocket.close_received == two.websocket.close_sent == one.websocket.close_sent
            assert one.websocket.close_sent in {Close(code, "so") for _, code in closer.closes}

    both.run(main())
