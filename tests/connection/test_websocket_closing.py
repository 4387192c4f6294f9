"""Closing a WebSocket in every order, and what becomes of faults."""

from __future__ import annotations

import pytest

from drivetrain.engine.errors import (
    ReadError,
    UsageError,
    WebSocketClosed,
    WebSocketProtocolError,
    WriteError,
    WriteTimeout,
)
from drivetrain.engine.protocol.websocket_events import (
    Close,
    CloseReceived,
)
from drivetrain.engine.protocol.websocket_limits import WebSocketLimits
from tests.connection.websocket_support import BINARY, CONT, TEXT, Scripted, pair


class TestClosing:
    @pytest.mark.parametrize("first", ["client", "server"])
    def test_in_order(self, first: str) -> None:
        both = pair()
        one, other = (both.client, both.server) if first == "client" else (both.server, both.client)

        async def listen() -> None:
            assert await other.receive() is None
            assert other.close_received == other.close_sent == Close(4321, "byé")
            assert (other.close_code, other.close_reason) == (4321, "byé")
            assert other.is_closed

        async def main() -> None:
            task = both.backend.spawn(listen(), "other")
            assert one.close_code is None
            assert one.close_reason is None
            await one.close(4321, "byé")
            assert one.is_closed
            assert one.close_received == one.close_sent == Close(4321, "byé")
            assert await task.join(1e9)
            assert both.backend.now() == 1000
            await one.close()
            assert await one.receive() is None
            assert await other.receive() is None
            for each in (one, other):
                with pytest.raises(WebSocketClosed) as caught:
                    await each.send("x")
                assert caught.value.received == Close(4321, "byé")

        both.run(main())

    def test_both_at_once(self) -> None:
        both = pair()

        async def main() -> None:
            task = both.backend.spawn(both.client.close(1000, "a"), "client")
            await both.server.close(1001, "b")
            assert await task.join(1e9)
            assert both.client.close_received == both.server.close_sent == Close(1001, "b")
            assert both.server.close_received == both.client.close_sent == Close(1000, "a")
            assert both.backend.now() == 1000

        both.run(main())

    def test_without_a_code(self) -> None:
        both = pair()

        async def main() -> None:
            task = both.backend.spawn(both.client.close(None), "client")
            assert await both.server.receive() is None
            assert both.server.close_received == both.server.close_sent == Close(1005)
            assert both.server.close_code == 1005
            assert await task.join(1e9)

        both.run(main())

    def test_while_another_receives(self) -> None:
        both = pair()
        heard: list[object] = []

        async def listen(websocket) -> None:
            while (message := await websocket.receive()) is not None:
                heard.append(message)

        async def main() -> None:
            tasks = [both.backend.spawn(listen(each), "listener") for each in (both.client, both.server)]
            await both.backend.sleep_until(both.backend.now() + 1)
            await both.client.close()
            for task in tasks:
                assert await task.join(both.backend.now() + 1)

        both.run(main())
        assert heard == []

    def test_a_peer_that_does_not_answer(self) -> None:
        peer = Scripted("server")

        async def main() -> None:
            await peer.websocket.close(1000)
            assert peer.backend.now() == 1003
            assert peer.websocket.is_closed
            assert peer.websocket.close_received is None
            assert peer.websocket.close_code == 1006
            assert await peer.websocket.receive() is None

        peer.run(main())

    def test_the_time_may_be_set(self) -> None:
        for timeout, expected in ((0, 1000), (1.5, 1001.5), (None, 1007)):
            peer = Scripted("server")
            peer.websocket.close_timeout = 7
            peer.run(peer.websocket.close(1000, timeout=timeout))
            assert peer.backend.now() == expected

    def test_a_server_that_does_not_hang_up(self) -> None:
        peer = Scripted("client")

        async def main() -> None:
            await peer.say_close()
            assert await peer.websocket.receive(100) is None
            assert peer.backend.now() == 1003
            assert await peer.hear() == CloseReceived(Close(1000))
            assert await peer.hear() == "end"

        peer.run(main())

    def test_one_that_does_not_read(self) -> None:
        peer = Scripted(capacity=100)

        async def main() -> None:
            with pytest.raises(WriteTimeout):
                await peer.websocket.send(bytes(1000), timeout=1)
            await peer.websocket.close()
            assert peer.websocket.is_closed
            assert peer.backend.now() == 1004

        peer.run(main())

    def test_last_words_are_in_the_way_of_nothing(self) -> None:
        peer = Scripted(limits=WebSocketLimits(max_queue=2), capacity=3000)

        async def talk() -> None:
            for _ in range(50):
                await peer.say(BINARY, bytes(1000))
            await peer.say_close(1000)
            await peer.stream.send_eof(1e9)

        async def main() -> None:
            task = peer.backend.spawn(talk(), "peer")
            await peer.websocket.close(1000)
            assert await task.join(1e9)
            assert peer.websocket.close_received == Close(1000)
            assert await peer.websocket.receive() == bytes(1000)
            assert await peer.websocket.receive() == bytes(1000)
            assert await peer.websocket.receive() is None

        peer.run(main())

    def test_cancelled_it_cuts_the_connection(self) -> None:
        peer = Scripted()

        async def main() -> None:
            task = peer.backend.spawn(peer.websocket.close(), "close")
            await peer.backend.sleep_until(peer.backend.now() + 1)
            task.cancel()
            await task.join(1e9)
            assert peer.websocket.is_closed
            assert peer.backend.now() == 1001

        peer.run(main())

    @pytest.mark.parametrize(("code", "reason"), [(1006, ""), (1015, ""), (2000, ""), (None, "x"), (1000, "x" * 124)])
    def test_what_cannot_be_said_closes_nothing(self, code, reason) -> None:
        peer = Scripted()

        async def main() -> None:
            with pytest.raises(UsageError):
                await peer.websocket.close(code, reason)
            await peer.websocket.send("still open")

        peer.run(main())

    def test_as_a_context(self) -> None:
        for error, code in ((None, 1000), (KeyError("x"), 1011)):
            both = pair()

            async def main(both=both, error=error, code=code) -> None:
                listener = both.backend.spawn(listen(both.server), "listener")
                try:
                    async with both.client as websocket:
                        assert websocket is both.client
                        if error is not None:
                            raise error
                except KeyError:
                    assert error is not None
                assert await listener.join(1e9)
                assert both.server.close_code == code

            async def listen(websocket) -> None:
                assert await websocket.receive() is None

            both.run(main())


class TestFaults:
    @pytest.mark.parametrize(
        ("say", "code"),
        [((TEXT, b"\xff"), 1007), ((3, b""), 1002), ((CONT, b"x"), 1002), ((BINARY, bytes(101)), 1009)],
    )
    def test_the_peer_is_told_and_left(self, say, code) -> None:
        peer = Scripted("server", WebSocketLimits(max_message_size=100))

        async def main() -> None:
            await peer.say(TEXT, "before")
            await peer.say(*say)
            assert await peer.websocket.receive() == "before"
            listener = peer.backend.spawn(hear(), "peer")
            for _ in range(2):
                with pytest.raises(WebSocketProtocolError) as caught:
                    await peer.websocket.receive()
                assert caught.value.code == code
            assert await listener.join(1e9)
            assert peer.websocket.is_closed
            assert peer.websocket.close_code == 1006
            assert peer.backend.now() == 1000
            with pytest.raises(WebSocketClosed):
                await peer.websocket.send("x")

        async def hear() -> None:
            event = await peer.hear()
            assert isinstance(event, CloseReceived)
            assert event.close.code == code
            assert await peer.hear() == "end"
            await peer.stream.send_eof(1e9)

        peer.run(main())

    def test_a_peer_that_goes_on_talking(self) -> None:
        peer = Scripted("server", capacity=1000)

        async def talk() -> None:
            try:
                while True:
                    await peer.say(3, bytes(300))
            except WriteError:
                assert peer.websocket.is_closed

        async def main() -> None:
            task = peer.backend.spawn(talk(), "peer")
            with pytest.raises(WebSocketProtocolError):
                await peer.websocket.receive()
            assert peer.websocket.is_closed
            assert await task.join(1e9)

        peer.run(main())

    def test_a_fault_is_told_to_those_who_wait_for_a_pong(self) -> None:
        peer = Scripted()

        async def main() -> None:
            await peer.say(3)
            with pytest.raises(WebSocketProtocolError):
                await peer.websocket.ping()

        peer.run(main())

    @pytest.mark.parametrize("inside", [False, True])
    def test_an_end_without_a_close_frame(self, inside: bool) -> None:
        peer = Scripted()

        async def main() -> None:
            if inside:
                await peer.say(TEXT, "half", fin=False)
            await peer.stream.send_eof(1e9)
            for _ in range(2):
                with pytest.raises(WebSocketClosed, match="without the closing handshake") as caught:
                    await peer.websocket.receive()
                assert caught.value.received is None
            assert peer.websocket.close_code == 1006
            assert peer.websocket.is_closed

        peer.run(main())

    def test_a_reset(self) -> None:
        peer = Scripted()

        async def main() -> None:
            await peer.say(TEXT, "before")
            peer.stream.reset()
            assert await peer.websocket.receive() == "before"
            for _ in range(2):
                with pytest.raises(ReadError):
                    await peer.websocket.receive()
            with pytest.raises(ReadError):
                await peer.websocket.send("x")

        peer.run(main())

    def test_what_the_peer_said_before_it_went_is_still_heard(self) -> None:
        peer = Scripted("server")

        async def main() -> None:
            await peer.say(TEXT, "last words")
            await peer.say_close(4000, "gone")
            peer.stream.close()
            with pytest.raises(Exception):  # noqa: B017 - the system says one thing or the other
                for _ in range(3):
                    await peer.websocket.send("x")
            assert await peer.websocket.receive() == "last words"
            assert await peer.websocket.receive() is None
            assert peer.websocket.close_code == 4000

        peer.run(main())

    def test_a_close_of_the_stream_wakes_the_receiver(self) -> None:
        peer = Scripted()

        async def listen() -> None:
            with pytest.raises(ReadError):
                await peer.websocket.receive()

        async def main() -> None:
            task = peer.backend.spawn(listen(), "listener")
            await peer.backend.sleep_until(peer.backend.now() + 1)
            peer.websocket.stream.close()
            assert await task.join(1e9)

        peer.run(main())
