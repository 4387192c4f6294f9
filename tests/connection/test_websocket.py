"""One WebSocket connection by itself: messages, whole and in pieces, and what becomes of too many of them."""

from __future__ import annotations

import itertools

import pytest

from drivetrain.engine.errors import (
    LocalProtocolError,
    ReadTimeout,
    UsageError,
    WriteTimeout,
)
from drivetrain.engine.protocol.websocket_deflate import DeflateParameters
from drivetrain.engine.protocol.websocket_events import (
    Piece,
)
from drivetrain.engine.protocol.websocket_limits import WebSocketLimits
from tests.connection.websocket_support import BINARY, CONT, TEXT, Scripted, frame, pair

MESSAGES = ["", "héllo", b"", b"\x00\xff", b"x" * 70000, "é" * 40000]


class TestMessages:
    @pytest.mark.parametrize("piece", [None, 1, 1000])
    @pytest.mark.parametrize("deflate", [None, DeflateParameters()])
    def test_both_ways(self, piece, deflate) -> None:
        both = pair(piece=piece, deflate=deflate)

        async def main() -> None:
            messages = [message for message in MESSAGES if piece != 1 or len(message) < 100]
            for sender, receiver in ((both.client, both.server), (both.server, both.client)):
                for message in messages:
                    await sender.send(message)
                assert [await receiver.receive() for _ in messages] == messages

        both.run(main())

    def test_the_type_may_be_chosen(self) -> None:
        both = pair()

        async def main() -> None:
            await both.client.send(b"text", "text")
            await both.client.send("bytes", "binary")
            await both.client.send(b"1", 1)
            assert [await both.server.receive() for _ in range(3)] == ["text", b"bytes", "1"]
            with pytest.raises(UsageError):
                await both.client.send(b"\xff", "text")

        both.run(main())

    def test_a_timeout_loses_nothing(self) -> None:
        peer = Scripted()

        async def main() -> None:
            await peer.say(TEXT, "one", fin=False)
            with pytest.raises(ReadTimeout):
                await peer.websocket.receive(5)
            assert peer.backend.now() == 1005
            await peer.say(CONT, " two")
            assert await peer.websocket.receive(5) == "one two"

        peer.run(main())

    def test_a_cancelled_call_loses_nothing(self) -> None:
        peer = Scripted(piece=1)
        heard: list[object] = []

        async def listen() -> None:
            while True:
                heard.append(await peer.websocket.receive())

        async def main() -> None:
            for number in range(20):
                task = peer.backend.spawn(listen(), "listener")
                half = frame(TEXT, f"message {number}")
                await peer.stream.send_all(half[: number % 11], 1e9)
                await peer.backend.sleep_until(peer.backend.now() + 1)
                task.cancel()
                await task.join(1e9)
                await peer.stream.send_all(half[number % 11 :], 1e9)
            task = peer.backend.spawn(listen(), "listener")
            await peer.backend.sleep_until(peer.backend.now() + 1)
            task.cancel()
            await task.join(1e9)

        peer.run(main())
        assert heard == [f"message {number}" for number in range(20)]

    def test_two_do_not_receive(self) -> None:
        peer = Scripted()

        async def listen() -> None:
            assert await peer.websocket.receive() == "x"

        async def main() -> None:
            task = peer.backend.spawn(listen(), "listener")
            await peer.backend.sleep_until(peer.backend.now() + 1)
            for receive in (peer.websocket.receive, peer.websocket.receive_piece):
                with pytest.raises(UsageError):
                    await receive()
            await peer.say(TEXT, "x")
            assert await task.join(1e9)

        peer.run(main())

    def test_byte_by_byte_it_is_put_together_without_waste(self) -> None:
        peer = Scripted()

        async def main() -> None:
            await peer.say(BINARY, b"", fin=False)
            for number in range(600):
                await peer.say(CONT, bytes((number % 256,)), fin=number == 599)
            assert await peer.websocket.receive() == bytes(number % 256 for number in range(600))

        peer.run(main())


class TestPieces:
    def test_receiving(self) -> None:
        peer = Scripted()

        async def main() -> None:
            await peer.say(TEXT, "one", fin=False)
            assert await peer.websocket.receive_piece() == Piece("one", False)
            assert peer.websocket.is_mid_message
            await peer.say(CONT, "two")
            assert await peer.websocket.receive_piece() == Piece("two", True)
            assert not peer.websocket.is_mid_message

        peer.run(main())

    def test_what_was_not_received_to_its_end_is_skipped(self) -> None:
        peer = Scripted()

        async def main() -> None:
            await peer.say(TEXT, "one", fin=False)
            await peer.websocket.receive_piece()
            await peer.say(CONT, "two", fin=False)
            await peer.say(CONT, "three")
            await peer.say(BINARY, b"next")
            assert await peer.websocket.receive() == b"next"

        peer.run(main())

    def test_what_receive_had_collected_comes_first(self) -> None:
        peer = Scripted()

        async def main() -> None:
            await peer.say(TEXT, "one", fin=False)
            with pytest.raises(ReadTimeout):
                await peer.websocket.receive(1)
            await peer.say(CONT, "two")
            assert await peer.websocket.receive_piece() == Piece("one", False)
            assert await peer.websocket.receive_piece() == Piece("two", True)

        peer.run(main())

    def test_a_message_larger_than_anything_kept(self) -> None:
        both = pair(server=WebSocketLimits(max_message_size=None), capacity=100_000)
        size = 0
        most = 0

        async def send() -> None:
            message = both.client.new_message("binary")
            for _ in range(300):
                await message.send(bytes(50_000))
            await message.end()

        async def main() -> None:
            nonlocal size, most
            both.backend.spawn(send(), "sender")
            last = False
            while not last:
                piece = await both.server.receive_piece()
                assert piece is not None
                size += len(piece.data)
                most = max(most, len(piece.data))
                last = piece.last

        both.run(main())
        assert size == 300 * 50_000
        assert most <= 100_000

    def test_sending_keeps_the_turn(self) -> None:
        both = pair()
        order: list[str] = []

        async def other() -> None:
            await both.client.send("other")
            order.append("other")

        async def main() -> None:
            message = both.client.new_message("text")
            await message.send("a")
            task = both.backend.spawn(other(), "other")
            await both.backend.sleep_until(both.backend.now() + 1)
            await both.client.send_ping(b"between")
            await message.send("b")
            order.append("message")
            await message.end()
            await message.end()
            assert await task.join(1e9)
            assert [await both.server.receive() for _ in range(2)] == ["ab", "other"]

        both.run(main())
        assert order == ["message", "other"]

    def test_waiting_for_the_turn_has_a_limit(self) -> None:
        both = pair()

        async def main() -> None:
            message = both.client.new_message("text")
            await message.send("a")
            with pytest.raises(WriteTimeout):
                await both.client.send("other", timeout=1)
            await message.end()
            await both.client.send("third", timeout=1)
            assert [await both.server.receive() for _ in range(2)] == ["a", "third"]

        both.run(main())

    def test_it_is_all_text_or_all_bytes(self) -> None:
        both = pair()

        async def main() -> None:
            binary, text = both.client.new_message("binary"), both.client.new_message("text")
            with pytest.raises(UsageError):
                await binary.send("text")
            with pytest.raises(UsageError):
                await text.send(b"\xff")
            await text.send(b"utf-8", last=True)
            with pytest.raises(LocalProtocolError):
                await text.send("more")
            assert await both.server.receive() == "utf-8"
            with pytest.raises(UsageError):
                both.client.new_message("ping")  # type: ignore[arg-type]

        both.run(main())

    def test_giving_up_in_the_middle_closes(self) -> None:
        both = pair()

        async def main() -> None:
            unused = both.client.new_message()
            await unused.abort()
            await both.client.send("fine")
            message = both.client.new_message()
            await message.send(b"a")
            both.backend.spawn(message.abort(), "abort")
            assert await both.server.receive() == "fine"
            assert await both.server.receive() is None
            assert both.server.close_code == 1011

        both.run(main())


class TestBackPressure:
    @pytest.mark.parametrize(("queue", "size"), [(4, 1 << 20), (1000, 4000)])
    def test_what_nobody_takes_stays_with_the_peer(self, queue: int, size: int) -> None:
        limits = WebSocketLimits(max_queue=queue, queue_size=size)
        peer = Scripted(limits=limits, capacity=2000)
        said: list[int] = []

        async def flood() -> None:
            for number in range(100):
                await peer.say(BINARY, bytes(1000))
                said.append(number)

        async def main() -> None:
            peer.backend.spawn(peer.websocket.pump(), "pump")
            task = peer.backend.spawn(flood(), "flood")
            await peer.backend.sleep_until(peer.backend.now() + 10)
            assert len(said) < 15
            waiting = peer.websocket._queue
            assert waiting is not None
            assert len(waiting) <= queue
            assert sum(len(piece.data) for piece in waiting) <= size + 2000
            for _ in range(100):
                assert await peer.websocket.receive() == bytes(1000)
            assert await task.join(1e9)

        peer.run(main())

    def test_senders_wait_for_room(self) -> None:
        both = pair(client=WebSocketLimits(max_outbox=1000), capacity=500)
        most = 0

        async def send(number: int) -> None:
            nonlocal most
            await both.client.send(bytes((number,)) * 400)
            most = max(most, sum(map(len, both.client._outbox)))

        async def main() -> None:
            tasks = [both.backend.spawn(send(number), "sender") for number in range(50)]
            heard = [await both.server.receive() for _ in range(50)]
            assert sorted(message[0] for message in heard) == list(range(50))  # type: ignore[index, type-var]
            for task in tasks:
                assert await task.join(1e9)

        both.run(main())
        assert most < 2000

    def test_a_message_that_was_not_sent_whole_goes_on(self) -> None:
        both = pair(capacity=100)

        async def main() -> None:
            with pytest.raises(WriteTimeout):
                await both.client.send(b"x" * 5000, timeout=1)
            with pytest.raises(WriteTimeout):
                await both.client.send_ping(b"p", timeout=1)
            task = both.backend.spawn(both.client.pump(), "pump")
            assert await both.server.receive() == b"x" * 5000
            with pytest.raises(ReadTimeout):
                await both.server.receive(1)
            assert both.client.latency is None
            task.cancel()

        both.run(main())

    def test_both_send_much_and_both_receive(self) -> None:
        both = pair(capacity=1000)

        async def send(websocket) -> None:
            for _ in range(10):
                await websocket.send(bytes(20_000))
                await websocket.send_ping(b"x" * 100)

        async def receive(websocket) -> None:
            for _ in range(10):
                assert await websocket.receive() == bytes(20_000)

        async def main() -> None:
            tasks = [
                both.backend.spawn(work(websocket), work.__name__)
                for work, websocket in itertools.product((send, receive), (both.client, both.server))
            ]
            for task in tasks:
                assert await task.join(both.backend.now() + 1000)

        both.run(main())
