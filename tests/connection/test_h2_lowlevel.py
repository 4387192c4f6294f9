"""The low-level interface of an HTTP/2 connection: frames one by one, steps, settings, pings, GOAWAY, windows."""

from __future__ import annotations

from typing import Any

import pytest
from hyperframe.frame import ContinuationFrame, ExtensionFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.connection.h2_connection import H2Connection
from drivetrain.engine.errors import (
    ClosedError,
    IncompleteMessage,
    LocalProtocolError,
    ReadTimeout,
    RemoteProtocolError,
    StreamRefused,
    UsageError,
    WriteTimeout,
)
from drivetrain.engine.protocol.h2_limits import H2Limits
from drivetrain.engine.wire.h2_errors import H2Error, H2ErrorCode
from drivetrain.engine.wire.h2_frames import FrameType, parse_frame_head
from tests.connection.h2_support import (
    DataFrame,
    GoAwayFrame,
    Peer,
    PingFrame,
    SettingsFrame,
    WindowUpdateFrame,
    accept,
    ask,
    duo,
    echo,
    exchange,
    get,
    meet,
    ok,
    serve,
)


def extension(kind: int, number: int, flags: int, body: bytes) -> ExtensionFrame:
    frame = ExtensionFrame(kind, number, flag_byte=flags, body=body)
    frame.body_len = len(body)
    return frame


def split_frames(data: bytes) -> list[tuple[int, int, int, bytes]]:
    frames = []
    while data:
        head = parse_frame_head(data)
        frames.append((head.type, head.flags, head.stream_id, data[9 : 9 + head.length]))
        data = data[9 + head.length :]
    return frames


class TestReadingFrames:
    def test_one_after_the_other_as_they_are(self) -> None:
        peer = Peer("client")

        async def main() -> list[Any]:
            await peer.begin(max_concurrent_streams=7)
            await peer.say(PingFrame(0, b"12345678"), extension(0xAB, 5, 0x3, b"xyz"))
            return [await peer.connection.read_http2_frame(1) for _ in range(3)]

        first, second, third = peer.run(main())
        assert first == (FrameType.SETTINGS, 0, 0, b"\0\x03\0\0\0\x07")
        assert second == (FrameType.PING, 0, 0, b"12345678")
        assert third == (0xAB, 0x3, 5, b"xyz")
        # Unhandled: the ping was not answered.
        assert not peer.heard(PingFrame)

    def test_what_was_not_taken_is_the_next_readers(self) -> None:
        peer = Peer("client")

        async def main() -> float:
            await peer.begin()
            await peer.say(PingFrame(0, b"12345678"), PingFrame(0, b"87654321"))
            await peer.connection.read_http2_frame(1)
            await peer.connection.read_http2_frame(1)
            assert peer.connection.timeout() == 0.0
            await peer.connection.step(0)
            assert peer.connection.timeout() is None
            return 0.0

        peer.run(main())
        assert [frame.opaque_data for frame in peer.heard(PingFrame)] == [b"87654321"]

    def test_a_time_limit_loses_nothing(self) -> None:
        peer = Peer("client")
        frame = PingFrame(0, b"12345678").serialize()

        async def main() -> Any:
            await peer.begin()
            await peer.connection.read_http2_frame(1)
            for piece in (frame[:4], frame[4:12]):
                await peer.stream.send_all(piece, FOREVER)
                with pytest.raises(ReadTimeout):
                    await peer.connection.read_http2_frame(1)
            await peer.stream.send_all(frame[12:], FOREVER)
            return await peer.connection.read_http2_frame(1)

        assert peer.run(main()) == (FrameType.PING, 0, 0, b"12345678")

    def test_none_at_the_end_between_frames(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            await peer.begin()
            await peer.stream.send_eof(FOREVER)
            assert await peer.connection.read_http2_frame(1) is not None
            assert await peer.connection.read_http2_frame(1) is None
            assert await peer.connection.read_http2_frame(1) is None

        peer.run(main())
        assert peer.connection.empty()

    def test_a_cut_frame(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            await peer.stream.send_all(PingFrame(0, b"12345678").serialize()[:-1], FOREVER)
            await peer.stream.send_eof(FOREVER)
            for _ in range(2):
                with pytest.raises(IncompleteMessage):
                    await peer.connection.read_http2_frame(1)

        peer.run(main())

    def test_a_frame_that_is_too_large(self) -> None:
        peer = Peer("client", H2Limits(max_frame_size=16384))

        async def main() -> H2Error:
            await peer.say(extension(0xAB, 0, 0, b"x" * 16385))
            with pytest.raises(H2Error) as caught:
                await peer.connection.read_http2_frame(1)
            return caught.value

        assert peer.run(main()).code == H2ErrorCode.FRAME_SIZE_ERROR

    def test_the_preface_is_the_connections(self) -> None:
        peer = Peer("server")

        async def main() -> Any:
            await peer.begin()
            return await peer.connection.read_http2_frame(1)

        assert peer.run(main()) == (FrameType.SETTINGS, 0, 0, b"")

    def test_a_wrong_preface(self) -> None:
        peer = Peer("server")

        async def main() -> None:
            await peer.stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", FOREVER)
            with pytest.raises(RemoteProtocolError):
                await peer.connection.read_http2_frame(1)

        peer.run(main())
        assert peer.connection.empty()

    def test_what_the_connection_began_it_finishes(self) -> None:
        """A header section in the middle is handled; the frame behind it is taken."""
        peer = Peer("server")
        head = peer.ask(1, "END_STREAM")
        block = head.data
        head.data = block[:3]
        head.flags.discard("END_HEADERS")
        rest = ContinuationFrame(1, block[3:], flags=["END_HEADERS"]).serialize()

        async def main() -> Any:
            await peer.begin()
            await peer.say(head)
            await peer.stream.send_all(rest[:5], FOREVER)
            await peer.connection.step(1)
            await peer.stream.send_all(rest[5:] + PingFrame(0, b"12345678").serialize(), FOREVER)
            frame = await peer.connection.read_http2_frame(1)
            stream = await accept(peer.connection, 0)
            return frame, await stream.get_headers(0)

        frame, headers = peer.run(main())
        assert frame == (FrameType.PING, 0, 0, b"12345678")
        assert headers.get(":path") == "/1"

    def test_waits_for_its_turn(self) -> None:
        """While somebody reads for a stream, frames go there; when that one is done, the frame reader goes on."""
        peer = Peer("client")
        frames: list[Any] = []

        async def take(connection: H2Connection) -> None:
            frames.append(await connection.read_http2_frame())

        async def main() -> None:
            await peer.begin()
            await peer.connection.step(1)
            stream = await ask(peer.connection)
            reading = peer.backend.spawn(fetch(stream), "reader")
            await peer.backend.sleep_until(peer.backend.now() + 1)
            taking = peer.backend.spawn(take(peer.connection), "taker")
            await peer.backend.sleep_until(peer.backend.now() + 1)
            await peer.say(peer.answer(1, "END_STREAM"))
            assert await reading.join(FOREVER)
            assert frames == []
            await peer.say(PingFrame(0, b"12345678"))
            assert await taking.join(FOREVER)

        async def fetch(stream: Any) -> None:
            assert (await stream.get_headers()).get(":status") == "200"

        peer.run(main())
        assert frames == [(FrameType.PING, 0, 0, b"12345678")]

    @given(
        st.lists(
            st.tuples(st.integers(10, 255), st.integers(0, 255), st.integers(0, 2**31 - 1), st.binary(max_size=40)),
            max_size=6,
        ),
        st.lists(st.integers(1, 60), min_size=1, max_size=8),
    )
    @settings(max_examples=60, deadline=None)
    def test_any_split_of_the_input_gives_the_same_frames(
        self, frames: list[tuple[int, int, int, bytes]], cuts: list[int]
    ) -> None:
        peer = Peer("client")
        data = b"".join(extension(kind, number, flags, body).serialize() for kind, flags, number, body in frames)

        async def feed() -> None:
            rest, turn = data, 0
            while rest:
                size = cuts[turn % len(cuts)]
                await peer.stream.send_all(rest[:size], FOREVER)
                rest, turn = rest[size:], turn + 1
                await peer.backend.sleep_until(peer.backend.now() + 1)
            await peer.stream.send_eof(FOREVER)

        async def main() -> list[Any]:
            peer.backend.spawn(feed(), "feeder")
            found = []
            while True:
                try:
                    frame = await peer.connection.read_http2_frame(0.5)
                except ReadTimeout:
                    continue
                if frame is None:
                    return found
                found.append(frame)

        assert peer.run(main()) == frames


class TestWritingFrames:
    def test_as_told(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            await peer.connection.write_http2_frame(0xAB, 0x81, 9, b"payload", 1)
            await peer.connection.write_http2_frame(FrameType.PING, 0, 0, b"12345678", 1, flush=False)
            assert not peer.heard(PingFrame)
            await peer.connection.flush(1)

        peer.run(main())
        assert [frame.opaque_data for frame in peer.heard(PingFrame)] == [b"12345678"]

    def test_an_unknown_type(self) -> None:
        peer = Peer("client")
        peer.run(peer.connection.write_http2_frame(0xAB, 0x81, 9, b"payload", 1))
        (frame,) = peer.heard(ExtensionFrame)
        assert (frame.type, frame.flag_byte, frame.stream_id, frame.body) == (0xAB, 0x81, 9, b"payload")

    def test_only_the_size_is_checked(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            await peer.begin(max_frame_size=20000)
            with pytest.raises(LocalProtocolError, match="16384"):
                await peer.connection.write_http2_frame(0xAB, 0, 0, b"x" * 16385)
            await peer.connection.step(1)
            await peer.connection.write_http2_frame(0xAB, 0, 0, b"x" * 20000)
            with pytest.raises(LocalProtocolError):
                await peer.connection.write_http2_frame(0xAB, 0, 0, b"x" * 20001)
            await peer.connection.write_http2_frame(FrameType.DATA, 0, 77, b"on no stream at all")

        peer.run(main())
        sizes = [len(frame.body) for frame in peer.hear() if isinstance(frame, ExtensionFrame)]
        assert sizes == [20000]

    @pytest.mark.parametrize("numbers", [(256, 0, 0), (-1, 0, 0), (0, 256, 0), (0, 0, 2**31), (0, 0, -1)])
    def test_numbers_that_do_not_fit(self, numbers: tuple[int, int, int]) -> None:
        peer = Peer("client")

        async def main() -> None:
            with pytest.raises(UsageError):
                await peer.connection.write_http2_frame(*numbers, b"")

        peer.run(main())

    def test_a_time_limit_means_that_only_the_sending_failed(self) -> None:
        peer = Peer("client", capacity=10)

        async def main() -> None:
            with pytest.raises(WriteTimeout):
                await peer.connection.write_http2_frame(0xAB, 0, 0, b"x" * 50, 1)
            data = b""
            task = peer.backend.spawn(peer.connection.flush(), "flush")
            while not data.endswith(b"x" * 50):
                data += await peer.stream.receive_some(100, FOREVER)
            assert await task.join(FOREVER)
            assert split_frames(data[24:])[-1] == (0xAB, 0, 0, b"x" * 50)

        peer.run(main())

    def test_not_on_a_closed_connection(self) -> None:
        peer = Peer("client")
        peer.connection.close()

        async def main() -> None:
            with pytest.raises(ClosedError):
                await peer.connection.write_http2_frame(0, 0, 0, b"")

        peer.run(main())


class TestSteps:
    def test_a_server_driven_by_steps(self) -> None:
        both = duo()
        client, server = both.client, both.server

        async def main() -> bytes:
            stream = await ask(client, "/by-steps")
            assert server.events() is None or server.pollfd() is None  # memory has no descriptor
            assert await server.step(0) is True
            request = await accept(server, 0)
            await echo(request)
            assert await client.step(0) is True
            assert (await stream.get_headers(0)).get(":status") == "200"  # type: ignore[union-attr]
            return await stream.get_body_as_string(0)

        assert both.run(main()) == b"/by-steps"

    def test_true_after_a_time_limit_too(self) -> None:
        peer = Peer("client")

        async def main() -> float:
            start = peer.backend.now()
            assert await peer.connection.step(3) is True
            assert not peer.connection.empty()
            return peer.backend.now() - start

        assert peer.run(main()) == pytest.approx(3)

    def test_one_read_at_a_time(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            await peer.begin()
            await peer.connection.step(1)
            await peer.say(PingFrame(0, b"1" * 8))
            await peer.connection.step(1)
            answered = len(peer.heard(PingFrame))
            await peer.say(PingFrame(0, b"2" * 8))
            assert answered == 1
            await peer.connection.step(0)

        peer.run(main())
        assert [frame.opaque_data for frame in peer.heard(PingFrame)] == [b"2" * 8]

    def test_beside_a_reader(self) -> None:
        """Who steps while another one reads waits for what that one gets, and takes the role over when it is left."""
        peer = Peer("client")
        steps: list[bool] = []

        async def stepping() -> None:
            steps.append(await peer.connection.step())
            steps.append(await peer.connection.step())

        async def main() -> None:
            stream = await ask(peer.connection)
            await peer.begin()
            reading = peer.backend.spawn(get_head(stream), "reader")
            await peer.backend.sleep_until(peer.backend.now() + 1)
            task = peer.backend.spawn(stepping(), "stepper")
            await peer.backend.sleep_until(peer.backend.now() + 1)
            await peer.say(peer.answer(1, "END_STREAM"))
            assert await reading.join(FOREVER)
            await peer.say(PingFrame(0, b"12345678"))
            assert await task.join(FOREVER)

        async def get_head(stream: Any) -> None:
            assert await stream.get_headers() is not None

        peer.run(main())
        assert steps == [True, True]

    def test_raises_what_ended_the_connection(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            await peer.begin()
            await peer.stream.send_all(bytes.fromhex("000001 00 00 00000000 78"), FOREVER)  # DATA on stream 0
            with pytest.raises(RemoteProtocolError):
                while True:
                    await peer.connection.step(1)

        peer.run(main())
        assert peer.connection.empty()
        assert peer.heard(GoAwayFrame)[0].error_code == H2ErrorCode.PROTOCOL_ERROR

    def test_a_stream_error_is_a_reset(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            stream = await ask(peer.connection)
            await peer.begin()
            await peer.say(peer.headers(1, [("no-status", "1")], "END_STREAM"))
            assert await peer.connection.step(1) is True
            with pytest.raises(H2Error) as caught:
                await stream.get_headers(0)
            assert caught.value.stream_error

        peer.run(main())
        assert not peer.connection.empty()

    def test_loop_runs_to_the_end(self) -> None:
        both = duo()

        async def finish() -> None:
            await exchange(both.client)
            both.client.close()

        async def main() -> bool:
            serving = both.backend.spawn(serve(both.server, both.backend), "server")
            task = both.backend.spawn(finish(), "client")
            over = await both.server.loop()
            assert await task.join(FOREVER)
            assert await serving.join(FOREVER)
            return over

        assert both.run(main()) is True
        assert both.server.empty()

    def test_loop_for_a_while(self) -> None:
        peer = Peer("client")
        start = peer.backend.now()
        assert peer.run(peer.connection.loop(5)) is False
        assert peer.backend.now() - start == pytest.approx(5)

    def test_connect_sends_the_preface(self) -> None:
        peer = Peer("client")
        assert peer.run(peer.connection.connect(1)) is True
        assert len(peer.heard(SettingsFrame)) == 1
        peer.connection.close()

        async def again() -> None:
            with pytest.raises(ClosedError):
                await peer.connection.connect(1)

        peer.run(again())


class TestSettings:
    def test_waits_for_the_acknowledgement(self) -> None:
        both = duo()

        async def main() -> None:
            both.backend.spawn(serve(both.server, both.backend), "server")
            assert await both.client.settings({"INITIAL_WINDOW_SIZE": 1000, 0x5: 20000}, 5) is True
            assert await exchange(both.client, body=b"x" * 5000) == b"/" + b"x" * 5000

        both.run(main())
        assert both.server.machine.library.remote_settings.initial_window_size == 1000
        assert both.server.machine.library.max_outbound_frame_size == 20000
        assert both.client.machine.limits.stream_window == 1000
        assert both.client.machine.library.max_inbound_frame_size == 20000

    def test_values_take_effect_with_their_own_acknowledgement(self) -> None:
        peer = Peer("client")
        library = peer.connection.machine.library
        zero = peer.connection.stream0

        async def main() -> None:
            numbers = [
                await zero.write_settings_frame(False, {"INITIAL_WINDOW_SIZE": 7}),
                await zero.write_settings_frame(False, {"HEADER_TABLE_SIZE": 8}),
                await zero.write_settings_frame(False, {"INITIAL_WINDOW_SIZE": 9, "MAX_CONCURRENT_STREAMS": 3}),
            ]
            assert numbers == [2, 3, 4]
            await peer.begin()
            seen = []
            for _ in range(4):
                await peer.say(SettingsFrame(0, flags=["ACK"]))
                await peer.connection.step(1)
                seen.append((library.local_settings.initial_window_size, library.decoder.max_allowed_table_size))
            assert seen[1:] == [(7, 4096), (7, 8), (9, 8)]

        peer.run(main())
        assert peer.connection.machine.limits.max_concurrent_streams == 3

    def test_a_larger_frame_right_behind_the_acknowledgement(self) -> None:
        peer = Peer("client", H2Limits(max_frame_size=16384))

        async def main() -> bytes:
            stream = await ask(peer.connection)
            await peer.connection.stream0.write_settings_frame(False, {"MAX_FRAME_SIZE": 30000})
            await peer.begin()
            acks = [SettingsFrame(0, flags=["ACK"]), SettingsFrame(0, flags=["ACK"])]
            await peer.say(*acks, peer.answer(1), DataFrame(1, b"x" * 30000, flags=["END_STREAM"]))
            await stream.get_headers(1)
            return await stream.get_body_as_string(1)

        assert len(peer.run(main())) == 30000

    def test_goaway_when_they_are_not_acknowledged(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            await peer.begin()
            with pytest.raises(ReadTimeout):
                await peer.connection.settings({"ENABLE_PUSH": False}, 5)
            with pytest.raises(StreamRefused):
                await ask(peer.connection)

        peer.run(main())
        assert peer.heard(GoAwayFrame)[0].error_code == H2ErrorCode.SETTINGS_TIMEOUT

    @pytest.mark.parametrize(
        "values",
        [
            {"NO_SUCH": 1},
            {"INITIAL_WINDOW_SIZE": 2**31},
            {"MAX_FRAME_SIZE": 16383},
            {"MAX_FRAME_SIZE": 2**24},
            {"ENABLE_PUSH": 2},
            {"HEADER_TABLE_SIZE": -1},
            {"HEADER_TABLE_SIZE": 2**32},
            {2**16: 0},
            {"ENABLE_PUSH": 0, 0x2: 0},
            {"ENABLE_CONNECT_PROTOCOL": 2},
        ],
    )
    def test_settings_that_cannot_be(self, values: dict[Any, Any]) -> None:
        peer = Peer("client")

        async def main() -> None:
            with pytest.raises(UsageError):
                await peer.connection.settings(values, 1)
            with pytest.raises(UsageError):
                peer.connection.set_peer_settings(values)

        peer.run(main())
        assert len(peer.heard(SettingsFrame)) <= 1

    def test_unregistered_ones_are_sent(self) -> None:
        peer = Peer("client")
        peer.run(peer.connection.stream0.write_settings_frame(False, {0xABC: 5, "NO_RFC7540_PRIORITIES": True}))
        assert peer.heard(SettingsFrame)[-1].settings == {0xABC: 5, 0x9: 1}

    def test_a_server_takes_no_pushes(self) -> None:
        peer = Peer("server")

        async def main() -> None:
            with pytest.raises(LocalProtocolError):
                await peer.connection.settings({"ENABLE_PUSH": 1}, 1)

        peer.run(main())

    def test_an_acknowledgement_by_hand(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            assert await peer.connection.stream0.write_settings_frame(True) is None
            with pytest.raises(UsageError):
                await peer.connection.stream0.write_settings_frame(True, {"ENABLE_PUSH": 0})

        peer.run(main())
        assert ["ACK" in frame.flags for frame in peer.heard(SettingsFrame)] == [False, True]

    def test_handled_by_hand(self) -> None:
        """Who takes frames away tells the connection what they said."""
        peer = Peer("client")

        async def main() -> Any:
            await peer.begin(initial_window_size=10)
            frame = await peer.connection.read_http2_frame(1)
            peer.connection.set_peer_settings({"INITIAL_WINDOW_SIZE": 10, "MAX_CONCURRENT_STREAMS": 1})
            await peer.connection.stream0.write_settings_frame(True)
            await peer.connection.stream0.write_settings_frame(False, {"INITIAL_WINDOW_SIZE": 5})
            peer.connection.ack_settings()
            peer.connection.ack_settings()
            stream = await ask(peer.connection)
            await peer.say(peer.answer(1, "END_STREAM"))
            await stream.get_headers(1)
            return frame

        assert peer.run(main())[0] == FrameType.SETTINGS
        assert peer.connection.machine.library.local_settings.initial_window_size == 5
        assert peer.connection.shares == 1

    def test_peer_settings_move_the_windows_of_open_streams(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            stream = await ask(peer.connection, body=b"x")
            machine = peer.connection.machine
            before = machine.library.local_flow_control_window(stream.id or 0)
            peer.connection.set_peer_settings({"INITIAL_WINDOW_SIZE": 0})
            assert before > 0
            assert machine.sendable(stream.id or 0) == 0

        peer.run(main())

    def test_what_a_peer_may_not_send(self) -> None:
        peer = Peer("client")
        with pytest.raises(UsageError):
            peer.connection.set_peer_settings({"ENABLE_PUSH": 1})


class TestConnectionFrames:
    def test_ping_by_hand(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            await peer.connection.stream0.write_ping_frame(False, b"abcdefgh")
            await peer.connection.stream0.write_ping_frame(True, b"hgfedcba")
            with pytest.raises(LocalProtocolError):
                await peer.connection.stream0.write_ping_frame(False, b"short")

        peer.run(main())
        assert [(f.opaque_data, "ACK" in f.flags) for f in peer.heard(PingFrame)] == [
            (b"abcdefgh", False),
            (b"hgfedcba", True),
        ]

    def test_goaway(self) -> None:
        peer = Peer("server")

        async def main() -> None:
            await peer.begin()
            await peer.say(peer.ask(1, "END_STREAM"), peer.ask(3, "END_STREAM"))
            await peer.connection.step(1)
            await peer.connection.write_goaway_frame(None, "ENHANCE_YOUR_CALM", "later")
            await peer.connection.write_goaway_frame(1, 0x0)
            for last in (2, 3):
                with pytest.raises(LocalProtocolError):
                    await peer.connection.write_goaway_frame(last)
            await peer.connection.write_goaway_frame()
            first = await peer.connection.get_next_incoming_stream(1)
            await first.get_headers(1)
            await first.write_message(ok(), b"still answered", FOREVER)

        peer.run(main())
        frames = peer.hear()
        goaways = [f for f in frames if isinstance(f, GoAwayFrame)]
        assert [(f.last_stream_id, f.error_code, f.additional_data) for f in goaways] == [
            (3, 0xB, b"later"),
            (1, 0x0, b""),
            (1, 0x0, b""),
        ]
        assert [f.data for f in frames if isinstance(f, DataFrame)] == [b"still answered"]

    def test_window_update_of_the_connection(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            await peer.connection.write_window_update(5000, 1)
            await peer.connection.write_window_update(0, 1)
            with pytest.raises(LocalProtocolError):
                await peer.connection.write_window_update(2**31 - 1, 1)
            with pytest.raises(UsageError):
                await peer.connection.write_window_update(2**31, 1)
            with pytest.raises(UsageError):
                await peer.connection.write_window_update(-1, 1)

        before = peer.connection.machine.library.inbound_flow_control_window
        peer.run(main())
        assert peer.connection.machine.library.inbound_flow_control_window == before + 5000
        assert [f.window_increment for f in peer.heard(WindowUpdateFrame)][-1] == 5000

    def test_stream_0_has_no_messages(self) -> None:
        peer = Peer("client")
        zero = peer.connection.stream0
        assert (zero.id, zero.state, peer.connection.stream0 is zero) == (0, "idle", True)

        async def main() -> None:
            for call in (
                zero.get_headers(),
                zero.get_next_chunk(),
                zero.write_headers(get(), True),
                zero.write_chunk(b"x"),
                zero.write_data_frame(b"x"),
                zero.write_headers_frame(get()),
                zero.write_priority_frame(),
                zero.write_rst_stream_frame(),
                zero.rst_stream(),
            ):
                with pytest.raises(LocalProtocolError):
                    await call
            with pytest.raises(LocalProtocolError):
                zero.set_state("open")
            await zero.shutdown()

        peer.run(main())
        assert [type(frame) for frame in peer.hear()] in ([], [SettingsFrame, WindowUpdateFrame])

    @pytest.mark.parametrize("name", ["write_settings_frame", "write_ping_frame", "write_goaway_frame"])
    def test_the_connections_frames_are_on_stream_0(self, name: str) -> None:
        peer = Peer("client")

        async def main() -> None:
            stream = await ask(peer.connection)
            with pytest.raises(LocalProtocolError):
                await getattr(stream, name)()

        peer.run(main())


class TestIdle:
    def test_called_when_the_last_stream_ended(self) -> None:
        both = duo()
        told: list[H2Connection] = []
        assert both.client.onidle(told.append) is None
        assert both.client.onidle() is not None

        async def main() -> None:
            both.backend.spawn(serve(both.server, both.backend), "server")
            await meet(both)
            first, second = await ask(both.client, "/1"), await ask(both.client, "/2")
            assert not told
            for stream in (first, second):
                await stream.get_headers(5)
                await stream.get_body_as_string(5)

        both.run(main())
        assert told == [both.client]

    def test_removed(self) -> None:
        both = duo()
        told: list[H2Connection] = []
        both.client.onidle(told.append)
        both.client.onidle(None)

        async def main() -> None:
            both.backend.spawn(serve(both.server, both.backend), "server")
            await exchange(both.client)

        both.run(main())
        assert told == []
        assert both.client.onidle() is None
