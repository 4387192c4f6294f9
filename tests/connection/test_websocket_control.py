"""Pings, Pongs, frames by hand, and keeping a WebSocket alive."""

from __future__ import annotations

import pytest

from drivetrain.engine.errors import (
    ReadTimeout,
    UsageError,
    WebSocketClosed,
)
from drivetrain.engine.protocol.websocket_events import (
    Close,
    CloseReceived,
    Frame,
    Piece,
    PingReceived,
    PongReceived,
)
from drivetrain.engine.protocol.websocket_limits import WebSocketLimits
from tests.connection.websocket_support import CLOSE, CONT, PING, PONG, TEXT, Scripted, frame, pair


class TestControlFrames:
    def test_pings_are_answered_by_who_receives(self) -> None:
        peer = Scripted("server")

        async def main() -> None:
            await peer.say(PING, b"a")
            await peer.say(TEXT, "x", fin=False)
            await peer.say(PING, b"b")
            await peer.say(CONT, "y")
            assert await peer.websocket.receive() == "xy"
            assert await peer.hear() == PongReceived(b"a")
            assert await peer.hear() == PongReceived(b"b")

        peer.run(main())

    def test_a_pong_behind_a_message_goes_out_with_the_next_call(self) -> None:
        peer = Scripted()

        async def main() -> None:
            await peer.stream.send_all(frame(TEXT, "x") + frame(PING, b"a"), 1e9)
            assert await peer.websocket.receive() == "x"
            with pytest.raises(ReadTimeout):
                await peer.websocket.receive(1)
            assert await peer.hear() == PongReceived(b"a")

        peer.run(main())

    def test_a_peer_that_pings_and_does_not_read_costs_nothing(self) -> None:
        peer = Scripted(limits=WebSocketLimits(max_outbox=1000), capacity=200)

        async def flood() -> None:
            for number in range(5000):
                await peer.say(PING, f"{number:0100}")
            await peer.say(TEXT, "done")

        async def main() -> None:
            peer.backend.spawn(flood(), "flood")
            assert await peer.websocket.receive() == "done"
            assert sum(map(len, peer.websocket._outbox)) < 1300
            listening = peer.backend.spawn(listen(), "listener")
            answers = [await peer.hear() for _ in range(3)]
            while not answers[-1].data.endswith(b"4999"):  # type: ignore[union-attr]
                answers.append(await peer.hear())
            assert len(answers) < 20
            listening.cancel()

        async def listen() -> None:
            await peer.websocket.receive()

        peer.run(main())

    def test_round_trip(self) -> None:
        both = pair()

        async def listen() -> None:
            await both.server.receive()

        async def main() -> None:
            both.backend.spawn(listen(), "listener")
            assert await both.client.ping() == 0
            assert await both.client.ping(b"mine", 5) == 0
            assert both.client.latency == 0

        both.run(main())

    def test_it_is_measured(self) -> None:
        peer = Scripted()

        async def answer() -> None:
            event = await peer.hear()
            assert isinstance(event, PingReceived)
            await peer.backend.sleep_until(peer.backend.now() + 2)
            await peer.say(TEXT, "first")
            await peer.say(PONG, b"unasked")
            await peer.say(PONG, event.data)

        async def main() -> None:
            peer.backend.spawn(answer(), "peer")
            assert await peer.websocket.ping() == 2
            assert peer.websocket.latency == 2
            assert await peer.websocket.receive() == "first"

        peer.run(main())

    def test_a_later_pong_answers_the_earlier_pings(self) -> None:
        peer = Scripted()
        done: list[bytes] = []

        async def ping(data: bytes) -> None:
            await peer.websocket.ping(data)
            done.append(data)

        async def main() -> None:
            tasks = [peer.backend.spawn(ping(data), "ping") for data in (b"a", b"b", b"c")]
            assert [await peer.hear() for _ in tasks] == [PingReceived(data) for data in (b"a", b"b", b"c")]
            await peer.say(PONG, b"b")
            assert await tasks[0].join(1e9)
            assert await tasks[1].join(1e9)
            assert not await tasks[2].join(peer.backend.now() + 1)
            await peer.say(PONG, b"c")
            assert await tasks[2].join(1e9)

        peer.run(main())
        assert sorted(done) == [b"a", b"b", b"c"]

    def test_no_pong(self) -> None:
        peer = Scripted()

        async def main() -> None:
            with pytest.raises(ReadTimeout):
                await peer.websocket.ping(b"a", 3)
            await peer.websocket.send_ping(b"a")
            with pytest.raises(UsageError):
                await peer.websocket.ping(b"x" * 126)
            peer.backend.spawn(peer.say_close(), "close")
            with pytest.raises(WebSocketClosed):
                await peer.websocket.ping()

        peer.run(main())

    def test_a_ping_with_the_same_data_is_refused(self) -> None:
        peer = Scripted()

        async def ping() -> None:
            with pytest.raises(ReadTimeout):
                await peer.websocket.ping(b"a", 5)

        async def main() -> None:
            task = peer.backend.spawn(ping(), "ping")
            await peer.backend.sleep_until(peer.backend.now() + 1)
            with pytest.raises(UsageError):
                await peer.websocket.ping(b"a")
            assert await task.join(1e9)

        peer.run(main())

    def test_frames_by_hand(self) -> None:
        peer = Scripted("server")

        async def main() -> None:
            await peer.websocket.send_pong(b"alive")
            await peer.websocket.send_frame(Frame(TEXT, b"a", fin=False))
            await peer.websocket.send_frame(Frame(CONT, b"b"))
            assert await peer.hear() == PongReceived(b"alive")
            assert await peer.hear() == Piece("ab", True)
            await peer.websocket.send_frame(Frame(CLOSE, b""))
            assert await peer.hear() == CloseReceived(Close(1005))
            with pytest.raises(WebSocketClosed):
                await peer.websocket.send("x")

        peer.run(main())


class TestKeepingAlive:
    def test_pings_go_out_while_somebody_reads(self) -> None:
        both = pair()
        both.client.keep_alive(10, 5)

        async def listen() -> None:
            assert await both.server.receive() == "end"

        async def main() -> None:
            task = both.backend.spawn(listen(), "server")
            with pytest.raises(ReadTimeout):
                await both.client.receive(100)
            assert both.client.latency == 0
            await both.client.send("end")
            assert await task.join(1e9)

        both.run(main())

    def test_a_silent_peer_is_given_up(self) -> None:
        peer = Scripted()
        peer.websocket.keep_alive(10, 5)

        async def main() -> None:
            with pytest.raises(WebSocketClosed, match="Ping"):
                await peer.websocket.receive()
            assert 1015 <= peer.backend.now() <= 1019
            assert peer.websocket.close_code == 1006
            assert peer.websocket.close_sent == Close(1011, "keepalive ping timeout")
            assert isinstance(await peer.hear(), PingReceived)
            assert isinstance(await peer.hear(), CloseReceived)
            assert await peer.hear() == "end"
            with pytest.raises(WebSocketClosed):
                await peer.websocket.send("x")
            with pytest.raises(WebSocketClosed):
                await peer.websocket.receive()

        peer.run(main())

    def test_a_timeout_longer_than_the_interval(self) -> None:
        peer = Scripted()
        peer.websocket.keep_alive(2, 15)

        async def main() -> None:
            with pytest.raises(WebSocketClosed):
                await peer.websocket.receive()
            assert 1017 <= peer.backend.now() <= 1021
            assert isinstance(await peer.hear(), PingReceived)
            assert isinstance(await peer.hear(), CloseReceived)

        peer.run(main())

    def test_without_a_timeout_it_goes_on(self) -> None:
        peer = Scripted()
        peer.websocket.keep_alive(10, None)

        async def main() -> None:
            with pytest.raises(ReadTimeout):
                await peer.websocket.receive(1000)
            assert isinstance(await peer.hear(), PingReceived)
            peer.websocket.keep_alive(None, None)
            with pytest.raises(ReadTimeout):
                await peer.websocket.receive(1000)

        peer.run(main())

    def test_a_pump_reads_where_nobody_receives(self) -> None:
        peer = Scripted(limits=WebSocketLimits(max_queue=3))

        async def main() -> None:
            pump = peer.backend.spawn(peer.websocket.pump(), "pump")
            await peer.say(PING, b"a")
            assert await peer.hear() == PongReceived(b"a")
            for number in range(10):
                await peer.say(TEXT, f"{number}")
            await peer.say(PING, b"b")
            await peer.backend.sleep_until(peer.backend.now() + 1)
            assert [await peer.websocket.receive() for _ in range(10)] == [f"{number}" for number in range(10)]
            assert await peer.hear() == PongReceived(b"b")
            await peer.say_close(1001)
            assert await pump.join(1e9)
            assert isinstance(await peer.hear(), CloseReceived)
            assert await peer.websocket.receive() is None

        peer.run(main())

    def test_a_pump_does_not_keep_who_pings_waiting(self) -> None:
        both = pair()

        async def main() -> None:
            pumps = [both.backend.spawn(side.pump(), "pump") for side in (both.client, both.server)]
            await both.server.send("x")
            assert await both.client.receive() == "x"  # after which the pump would wait whether somebody receives again
            told: list[float | None] = []
            await both.client.start_ping(None, told.append)
            await both.backend.sleep_until(both.backend.now() + 0.001)
            assert told == [0.0]
            await both.client.close()
            before = both.backend.now()
            assert [await pump.join(1e9) for pump in pumps] == [True, True]
            assert both.backend.now() == before

        both.run(main())
