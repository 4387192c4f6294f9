"""What every `ByteStream` must do, run over all of them."""

from __future__ import annotations

import errno

import pytest

from drivetrain.engine.backends.base import FOREVER, Interrupted
from drivetrain.engine.errors import ReadError, ReadTimeout, WriteError
from tests.backends.contract import Outbox, noise, receive_exactly, receive_until_end
from tests.backends.harness import Harness

BIG = 12 << 20  # more than any system keeps for a loopback connection


def big(harness: Harness) -> int:
    return 300_000 if harness.in_memory else BIG


class TestReceiving:
    def test_never_more_than_asked_for_and_nothing_lost(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            await far.send_all(b"abcdefgh", harness.late())
            assert len(await near.receive_some(1, harness.late())) == 1
            assert await receive_exactly(near, 4, harness.late(), at_once=2) == b"bcde"
            assert await receive_exactly(near, 3, harness.late(), at_once=1000) == b"fgh"

        harness.run(body)

    def test_waits_for_what_comes_later(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            got: list[bytes] = []

            async def read() -> None:
                got.append(await near.receive_some(100, FOREVER))

            async def write() -> None:
                await harness.backend.sleep_until(harness.soon(0.01))
                await far.send_all(b"late", FOREVER)

            await harness.together(read(), write())
            assert got == [b"late"]

        harness.run(body)

    def test_a_deadline_in_the_past_does_not_hide_what_is_there(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            await far.send_all(b"there", harness.late())
            await harness.until(near.is_readable)
            assert await near.receive_some(100, harness.backend.now() - 1) == b"there"
            with pytest.raises(ReadTimeout):
                await near.receive_some(100, harness.backend.now() - 1)
            with pytest.raises(ReadTimeout):
                await near.receive_some(100, -FOREVER)

        harness.run(body)

    def test_a_timeout_leaves_the_stream_usable(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            deadline = harness.soon()
            with pytest.raises(ReadTimeout):
                await near.receive_some(100, deadline)
            assert harness.backend.now() >= deadline - 0.002
            await far.send_all(b"still", harness.late())
            assert await near.receive_some(100, harness.late()) == b"still"
            await near.send_all(b"here", harness.late())
            assert await far.receive_some(100, harness.late()) == b"here"

        harness.run(body)

    def test_deadlines_of_successive_reads_are_their_own(self, harness: Harness) -> None:
        # Later, earlier, none, earlier again: the timer kept by some streams must follow.
        async def body() -> None:
            near, far = await harness.pair()
            for seconds in (10.0, 0.02, 0.03, 5.0):
                await far.send_all(b"x", harness.late())
                assert await near.receive_some(1, harness.soon(seconds)) == b"x"
            for seconds in (0.02, 0.01):
                deadline = harness.soon(seconds)
                with pytest.raises(ReadTimeout):
                    await near.receive_some(1, deadline)
                assert -0.002 <= harness.backend.now() - deadline < 5
            await far.send_all(b"y", harness.late())
            assert await near.receive_some(1, FOREVER) == b"y"

        harness.run(body)

    def test_pieces_larger_than_asked_for(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            data = noise(70_000)

            async def read() -> None:
                assert await receive_exactly(near, len(data), harness.late(), at_once=1_777) == data

            await harness.together(read(), far.send_all(data, harness.late()))

        harness.run(body)


class TestEnds:
    def test_the_end_follows_the_data_and_stays(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            await far.send_all(b"last words", harness.late())
            await far.send_eof(harness.late())
            await far.send_eof(harness.late())
            assert await receive_until_end(near, harness.late()) == b"last words"
            assert await near.receive_some(100, harness.late()) == b""
            assert near.is_readable()
            assert near.ended_cleanly

        harness.run(body)

    def test_half_closed_the_other_half_works(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            await far.send_eof(harness.late())
            assert await near.receive_some(100, harness.late()) == b""
            data = noise(50_000)
            await harness.together(near.send_all(data, harness.late()), check(far, data))
            with pytest.raises(WriteError):
                await far.send_some(b"x", harness.late())

        async def check(far: object, data: bytes) -> None:
            assert await receive_exactly(far, len(data), harness.late()) == data  # type: ignore[arg-type]

        harness.run(body)

    def test_data_on_the_way_survives_the_end_of_the_own_side(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            data = noise(20_000)
            await far.send_all(data[:3_000], harness.late())
            assert await receive_exactly(near, 10, harness.late()) == data[:10]
            await near.send_eof(harness.late())
            await harness.together(far.send_all(data[3_000:], harness.late()), check(near, data[10:]))
            assert await far.receive_some(10, harness.late()) == b""

        async def check(near: object, data: bytes) -> None:
            assert await receive_exactly(near, len(data), harness.late()) == data  # type: ignore[arg-type]

        harness.run(body)

    def test_a_reset_is_an_error_both_ways(self, harness: Harness) -> None:
        if harness.unix:
            pytest.skip("UNIX-domain sockets know no reset")

        async def body() -> None:
            near, far = await harness.pair()
            await harness.reset(far)
            with pytest.raises(ReadError) as caught:
                await near.receive_some(100, harness.late())
            assert caught.value.errno == errno.ECONNRESET
            with pytest.raises(WriteError):
                for _ in range(50):
                    await near.send_some(b"x", harness.late())
                    await harness.backend.sleep_until(harness.soon(0.001))

        harness.run(body)

    def test_sending_to_one_who_is_gone_fails_in_the_end(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            far.close()
            with pytest.raises(WriteError) as caught:
                for _ in range(1000):
                    await near.send_some(b"x", harness.late())
                    await harness.backend.sleep_until(harness.soon(0.001))
            assert caught.value.errno in (errno.EPIPE, errno.ECONNRESET, errno.ECONNABORTED)

        harness.run(body)

    def test_what_was_sent_before_close_arrives(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            data = noise(3_000 if harness.in_memory else 200_000)

            async def send_and_close() -> None:
                await near.send_all(data, harness.late())
                near.close()

            async def check() -> None:
                assert await receive_until_end(far, harness.late()) == data
                assert far.ended_cleanly is not harness.tls

            await harness.together(send_and_close(), check())

        harness.run(body)


class TestSending:
    def test_nothing_is_nothing(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            assert await near.send_some(b"", harness.late()) == 0
            await near.send_all(b"", harness.late())
            assert not far.is_readable()

        harness.run(body)

    def test_buffers_of_every_kind_may_change_afterwards(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            data = noise(400_000)

            async def send() -> None:
                rest = bytearray(data)
                while rest:
                    with memoryview(rest) as view:
                        sent = await near.send_some(view if len(rest) % 2 else rest, harness.late())
                    rest[:sent] = b"\0" * sent
                    del rest[:sent]

            async def check() -> None:
                assert await receive_exactly(far, len(data), harness.late()) == data

            await harness.together(send(), check())

        harness.run(body)

    def test_big_transfers_both_ways_at_once(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            data = noise(300_000 if harness.in_memory else 3 << 20)

            async def check(stream: object) -> None:
                assert await receive_exactly(stream, len(data), harness.late()) == data  # type: ignore[arg-type]

            await harness.together(
                near.send_all(data, harness.late()), far.send_all(data, harness.late()), check(near), check(far)
            )

        harness.run(body)

    def test_a_write_timeout_loses_and_repeats_nothing(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            outbox = Outbox(noise(big(harness)))
            for _ in range(3):
                await outbox.fill(near, harness.soon())
            before = outbox.sent

            async def check() -> None:
                assert await receive_exactly(far, len(outbox.data), harness.late()) == outbox.data

            async def go_on() -> None:
                assert await outbox.send(near, harness.late())

            await harness.together(go_on(), check())
            assert 0 < before < outbox.sent == len(outbox.data)

        harness.run(body)

    def test_input_ends_a_send_that_cannot_go_on(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            outbox = Outbox(noise(big(harness)))
            await outbox.fill(near, harness.soon())

            async def answer() -> None:
                await harness.backend.sleep_until(harness.soon(0.01))
                await far.send_all(b"413", harness.late())

            async def upload() -> None:
                assert not await outbox.send(near, harness.late(), or_readable=True)
                assert await receive_exactly(near, 3, harness.late()) == b"413"

            await harness.together(answer(), upload())

            async def check() -> None:
                assert await receive_exactly(far, len(outbox.data), harness.late()) == outbox.data

            async def go_on() -> None:
                assert await outbox.send(near, harness.late(), or_readable=True)

            await harness.together(go_on(), check())

        harness.run(body)

    def test_input_does_not_stop_a_send_that_can_go_on(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            await far.send_all(b"early", harness.late())
            await harness.until(near.is_readable)
            assert await near.send_some(b"x", harness.late(), or_readable=True) == 1
            assert await far.receive_some(9, harness.late()) == b"x"

        harness.run(body)


class TestClosing:
    def test_closed_is_closed(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            await far.send_all(b"unread", harness.late())
            await harness.until(near.is_readable)
            assert not near.is_closed
            near.close()
            near.close()
            assert near.is_closed
            assert near.fileno() == -1
            with pytest.raises(ReadError, match="closed by this side"):
                await near.receive_some(100, harness.late())
            with pytest.raises(WriteError, match="closed by this side"):
                await near.send_some(b"x", harness.late())
            with pytest.raises(WriteError, match="closed by this side"):
                await near.send_eof(harness.late())

        harness.run(body)

    def test_the_peer_sees_the_end(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            near.close()
            assert await far.receive_some(100, harness.late()) == b""

        harness.run(body)

    def test_whoever_waits_for_input_is_woken(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()

            async def read() -> None:
                with pytest.raises(ReadError, match="closed by this side"):
                    await near.receive_some(100, FOREVER)

            async def close() -> None:
                await harness.backend.sleep_until(harness.soon(0.02))
                near.close()

            await harness.together(read(), close())
            assert far.is_closed is False

        harness.run(body)

    def test_whoever_waits_for_room_is_woken(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            outbox = Outbox(noise(big(harness)))
            await outbox.fill(near, harness.soon())

            async def write() -> None:
                with pytest.raises(WriteError, match="closed by this side"):
                    await outbox.send(near, FOREVER)

            async def close() -> None:
                await harness.backend.sleep_until(harness.soon(0.02))
                near.close()

            await harness.together(write(), close())
            far.close()

        harness.run(body)


class TestLooking:
    def test_is_readable(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            assert not near.is_readable()
            await far.send_all(b"xy", harness.late())
            await harness.until(near.is_readable)
            assert await near.receive_some(1, harness.late()) == b"x"
            assert near.is_readable()
            assert await near.receive_some(1, harness.late()) == b"y"
            assert not near.is_readable()
            assert not far.is_readable()
            far.close()
            await harness.until(near.is_readable)
            assert await near.receive_some(1, harness.late()) == b""

        harness.run(body)

    def test_addresses(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            assert near.local_address == far.peer_address
            assert near.peer_address == far.local_address
            assert (near.fileno() >= 0) is (not harness.in_memory)
            assert (near.ssl_object is not None) is harness.tls

        harness.run(body)


class TestCancelling:
    def test_a_cancelled_read_loses_nothing(self, async_harness: Harness) -> None:
        harness = async_harness

        async def body() -> None:
            near, far = await harness.pair()
            data = noise(3_000)
            got: list[bytes] = []

            async def read() -> None:
                while True:
                    got.append(await near.receive_some(1_000, FOREVER))

            for start in range(0, 3_000, 100):
                task = harness.backend.spawn(read(), "reader")
                await far.send_all(data[start : start + 100], harness.late())
                for _ in range(start // 100 % 8):  # at every moment between the sending and the waking
                    await harness.backend.sleep_until(harness.backend.now())
                task.cancel()
                assert await task.join(harness.late())
            await far.send_eof(harness.late())
            assert b"".join(got) + await receive_until_end(near, harness.late()) == data

        harness.run(body)

    def test_a_cancelled_write_loses_and_repeats_nothing(self, async_harness: Harness) -> None:
        harness = async_harness

        async def body() -> None:
            near, far = await harness.pair()
            outbox = Outbox(noise(big(harness)))

            async def send() -> None:
                await outbox.send(near, FOREVER)

            for _ in range(3):
                task = harness.backend.spawn(send(), "writer")
                await harness.backend.sleep_until(harness.soon(0.02))
                task.cancel()
                assert await task.join(harness.late())
            assert outbox.sent < len(outbox.data)

            async def check() -> None:
                assert await receive_exactly(far, len(outbox.data), harness.late()) == outbox.data

            await harness.together(send(), check())

        harness.run(body)


class TestInterrupts:
    def test_end_a_wait_for_input_and_lose_nothing(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            near.allow_interrupts()
            near.allow_interrupts()
            order: list[str] = []

            async def read() -> None:
                with pytest.raises(Interrupted):
                    await near.receive_some(100, harness.late())
                order.append("interrupted")
                await far.send_all(b"after", harness.late())
                assert await receive_exactly(near, 5, harness.late()) == b"after"

            async def interrupt() -> None:
                await harness.backend.sleep_until(harness.soon(0.01))
                assert order == []
                near.interrupt()

            await harness.together(read(), interrupt())
            assert order == ["interrupted"]

        harness.run(body)

    def test_before_the_wait_they_end_the_next_one_once(self, harness: Harness) -> None:
        async def body() -> None:
            near, _ = await harness.pair()
            near.allow_interrupts()
            near.interrupt()
            near.interrupt()
            assert not near.is_readable()
            with pytest.raises(Interrupted):
                await near.receive_some(100, FOREVER)
            with pytest.raises(ReadTimeout) as caught:
                await near.receive_some(100, harness.soon(0.001))
            assert not isinstance(caught.value, Interrupted)

        harness.run(body)

    def test_do_not_hide_input(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            near.allow_interrupts()
            await far.send_all(b"there", harness.late())
            await harness.until(near.is_readable)
            near.interrupt()
            assert await receive_exactly(near, 5, harness.late()) == b"there"

        harness.run(body)

    def test_end_a_wait_to_send_that_listens(self, harness: Harness) -> None:
        async def body() -> None:
            near, far = await harness.pair()
            near.allow_interrupts()
            outbox = Outbox(noise(big(harness)))
            await outbox.fill(near, harness.soon())

            async def send() -> None:
                assert not await outbox.send(near, harness.late(), or_readable=True)

            async def interrupt() -> None:
                await harness.backend.sleep_until(harness.soon(0.01))
                near.interrupt()

            await harness.together(send(), interrupt())
            before = outbox.sent

            async def rest() -> None:
                assert await outbox.send(near, harness.late())

            async def take() -> None:
                assert await receive_exactly(far, len(outbox.data), harness.late()) == outbox.data

            await harness.together(rest(), take())
            assert before < outbox.sent

        harness.run(body)

    def test_on_a_closed_stream_they_do_nothing(self, harness: Harness) -> None:
        async def body() -> None:
            near, _ = await harness.pair()
            near.allow_interrupts()
            near.close()
            near.allow_interrupts()
            near.interrupt()
            with pytest.raises(ReadError):
                await near.receive_some(100, FOREVER)

        harness.run(body)
