"""Random timeouts and cancellations among many streams: whoever is not interrupted gets the whole answer."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from drivetrain.engine.errors import EngineError, Timeout
from drivetrain.engine.protocol.h2_limits import H2Limits
from tests.connection.h2_support import ask, duo, echo, exchange, serve

LIMITS = H2Limits(stream_window=2000, connection_window=70_000, max_concurrent_streams=4, max_resets=10_000)
fates = st.tuples(
    st.sampled_from(["whole", "late", "cancelled", "closed"]), st.integers(0, 9000), st.floats(0, 3, allow_nan=False)
)


@settings(deadline=None, max_examples=60)
@given(st.lists(fates, min_size=1, max_size=12), st.sampled_from([None, 100, 3000]), st.sampled_from([None, 7, 1000]))
def test_interruptions(plans: list[tuple[str, int, float]], capacity: int | None, piece: int | None) -> None:
    both = duo(LIMITS, LIMITS, capacity, piece)
    whole: list[int] = []

    async def answer(stream) -> None:
        try:
            await both.backend.sleep_until(both.backend.now() + 1)
            await echo(stream)
        except EngineError:
            await stream.shutdown()

    async def one(number: int, fate: str, size: int, after: float) -> None:
        stream = both.client.new_stream()
        try:
            stream = await ask(both.client, f"/{number}", bytes(size))
            await stream.get_headers(after if fate == "late" else None)
            if fate == "closed":
                return
            body = await stream.get_body_as_string(after if fate == "late" else None)
            assert body == f"/{number}".encode() + bytes(size)
            whole.append(number)
        except Timeout:
            assert fate == "late"
        finally:
            stream.cancel(8)
            await stream.shutdown()

    async def main() -> None:
        both.backend.spawn(serve(both.server, both.backend, answer), "server")
        tasks = []
        for number, (fate, size, after) in enumerate(plans):
            tasks.append(both.backend.spawn(one(number, fate, size, after), f"{fate} {number}"))
        start = both.backend.now()
        for when, number in sorted((plan[2], number) for number, plan in enumerate(plans) if plan[0] == "cancelled"):
            await both.backend.sleep_until(start + when)
            tasks[number].cancel()
        for number, task in enumerate(tasks):
            if plans[number][0] != "cancelled":
                assert await task.join(both.backend.now() + 1000), f"{number} waits for ever"
        assert set(whole) >= {number for number, plan in enumerate(plans) if plan[0] == "whole"}
        for stream in list(both.client.streams.values()):
            await stream.shutdown()
        assert await exchange(both.client, "/last") == b"/last"
        await both.client.ping(50)
        await both.backend.sleep_until(both.backend.now() + 5)
        assert both.client.streams == {}
        assert not both.client._waiting

    both.run(main())
