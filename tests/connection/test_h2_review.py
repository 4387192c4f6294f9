"""HTTP/2 where things go wrong at the edges: credit of what nobody reads, frames that come late or have no place."""

from __future__ import annotations

import os
import socket

import pytest
from hyperframe.frame import ContinuationFrame, Frame, PushPromiseFrame

from drivetrain.engine.backends.blocking import BlockingBackend, run
from drivetrain.engine.connection.h2_connection import H2Connection
from drivetrain.engine.errors import ClosedError, EngineError, ReadError
from drivetrain.engine.protocol.h2_limits import H2Limits
from drivetrain.engine.wire.h2_errors import H2Error
from tests.connection.h2_support import (
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    Peer,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
    accept,
    ask,
)

SMALL_WINDOW = H2Limits(connection_window=65_535, stream_window=65_535)


async def settle(peer: Peer) -> None:
    """Have the connection take in all that was said."""
    await peer.say(PingFrame(0, opaque_data=b"lastword"))
    await peer.connection.step(1)


class TestCredit:
    def test_of_uploads_that_were_cancelled_before_anybody_took_them(self) -> None:
        peer = Peer("server", SMALL_WINDOW)

        async def main() -> None:
            await peer.begin()
            for number in range(1, 81, 4):
                await peer.say(peer.ask(number), DataFrame(number, bytes(10_000)), RstStreamFrame(number, 8))
                await peer.say(peer.ask(number + 2, "END_STREAM"))
                assert (await accept(peer.connection)).id == number + 2
            assert sum(frame.window_increment for frame in peer.heard(WindowUpdateFrame)) >= 150_000

        peer.run(main())

    def test_of_cancelled_uploads_among_those_taken_together(self) -> None:
        peer = Peer("server", SMALL_WINDOW)

        async def main() -> None:
            await peer.begin()
            await peer.say(peer.ask(1), DataFrame(1, bytes(16_000)), DataFrame(1, bytes(16_000)))
            await peer.say(DataFrame(1, bytes(16_000)), RstStreamFrame(1, 8), peer.ask(3))
            await settle(peer)
            assert [stream.id for stream in peer.connection.take_incoming_streams()] == [3]
            await peer.connection.flush_now()
            assert [frame.window_increment for frame in peer.heard(WindowUpdateFrame)] == [48_000]

        peer.run(main())


class TestOutOfPlace:
    def test_a_server_makes_no_requests(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            await peer.begin()
            stream = await ask(peer.connection)
            await peer.say(peer.ask(2))
            with pytest.raises(EngineError):
                await stream.get_headers(5)
            (goaway,) = peer.heard(GoAwayFrame)
            assert goaway.error_code == 1
            assert peer.connection.streams == {}

        peer.run(main())

    def test_an_answer_after_a_reset_is_dropped_in_silence(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            await peer.begin()
            late, good = await ask(peer.connection), await ask(peer.connection)
            await late.shutdown()
            await peer.say(
                peer.headers(1, [(":status", "200"), ("x-late", "remembered")]),
                DataFrame(1, b"late"),
                peer.headers(1, [("x-trailer", "t")], "END_STREAM"),
                peer.headers(3, [(":status", "200"), ("x-late", "remembered")], "END_STREAM"),
            )
            head = await good.get_headers(5)
            assert head is not None
            assert head.get("x-late") == "remembered"
            assert [frame.stream_id for frame in peer.heard(RstStreamFrame)] == [1]

        peer.run(main())

    def test_an_answer_in_pieces_after_a_reset(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            await peer.begin()
            late, good = await ask(peer.connection), await ask(peer.connection)
            await late.shutdown()
            await settle(peer)
            block = peer.encoder.encode([(":status", "200"), ("x-late", "remembered")])
            await peer.say(
                HeadersFrame(1, block[:2]),
                ContinuationFrame(1, block[2:], flags=["END_HEADERS"]),
                peer.headers(3, [(":status", "200"), ("x-late", "remembered")], "END_STREAM"),
            )
            head = await good.get_headers(5)
            assert head is not None
            assert head.get("x-late") == "remembered"
            assert [frame.stream_id for frame in peer.heard(RstStreamFrame)] == [1]

        peer.run(main())

    def test_a_promise_with_a_request_that_was_reset(self) -> None:
        peer = Peer("client", H2Limits(enable_push=True))

        async def main() -> None:
            await peer.begin()
            stream, good = await ask(peer.connection), await ask(peer.connection)
            await stream.shutdown()
            promised = peer.encoder.encode(
                [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", "/p")]
            )
            await settle(peer)
            await peer.say(
                PushPromiseFrame(1, 2, promised, flags=["END_HEADERS"]),
                peer.answer(2),
                DataFrame(2, b"pushed", flags=["END_STREAM"]),
                peer.answer(3, "END_STREAM"),
            )
            assert await good.get_headers(5) is not None
            assert [(frame.stream_id, frame.error_code) for frame in peer.heard(RstStreamFrame)] == [(1, 8), (2, 7)]
            assert peer.connection.is_usable()

        peer.run(main())

    def test_data_after_the_end_resets_the_stream(self) -> None:
        peer = Peer("server")

        async def main() -> None:
            await peer.begin()
            await peer.say(peer.ask(1, "END_STREAM"), DataFrame(1, b"more"), DataFrame(1, b"and more"))
            await settle(peer)
            assert [(frame.stream_id, frame.error_code) for frame in peer.heard(RstStreamFrame)] == [(1, 5)]

        peer.run(main())

    def test_a_block_that_does_not_decode(self) -> None:
        for flags in (["END_HEADERS"], ["END_HEADERS", "PADDED"]):
            peer = Peer("server")

            async def main(peer: Peer = peer, flags: list[str] = flags) -> None:
                await peer.begin()
                await peer.say(HeadersFrame(1, b"\xff\xff\xff", flags=flags))
                assert await peer.connection.get_next_incoming_stream(5) is None
                (goaway,) = peer.heard(GoAwayFrame)
                assert goaway.error_code == 9

            peer.run(main())

    def test_data_that_left_before_our_settings_arrived(self) -> None:
        """Until it has seen them a peer may send what every connection begins with (RFC 9113 section 6.9.2)."""
        peer = Peer("server", H2Limits(stream_window=1000))

        async def main() -> None:
            await peer.begin()
            await peer.say(peer.ask(1), *[DataFrame(1, bytes(16_000))] * 4)
            stream = await accept(peer.connection)
            await peer.say(SettingsFrame(0, flags=["ACK"]))
            await settle(peer)
            assert len(await stream.get_body_chars(64_000, 5)) == 64_000
            more = sum(frame.window_increment for frame in peer.heard(WindowUpdateFrame) if frame.stream_id == 1)
            # The peer's window is 65,535 - 64,535 - 64,000, and is to become 1,000 at most.
            assert 63_000 < more <= 64_000
            await peer.say(peer.ask(3), DataFrame(3, bytes(1001)))
            with pytest.raises(EngineError):
                await settle(peer)
            (goaway,) = peer.heard(GoAwayFrame)
            assert goaway.error_code == 3

        peer.run(main())

    @pytest.mark.parametrize("later", [False, True])
    def test_a_window_that_shrinks_under_what_was_taken_opens_again(self, later: bool) -> None:
        peer = Peer("server", H2Limits() if later else H2Limits(stream_window=1000))

        async def main() -> None:
            await peer.begin()
            await peer.say(peer.ask(1), DataFrame(1, bytes(16_000)))
            stream = await accept(peer.connection)
            assert len(await stream.get_body_chars(16_000, 5)) == 16_000
            if later:
                await peer.say(SettingsFrame(0, flags=["ACK"]))
                await peer.connection.stream0.write_settings_frame(settings={"INITIAL_WINDOW_SIZE": 1000})
            assert [frame for frame in peer.heard(WindowUpdateFrame) if frame.stream_id] == []
            await peer.say(SettingsFrame(0, flags=["ACK"]))
            await settle(peer)
            # The peer's window is negative by now: it waits for this, and nothing else comes.
            assert [f.window_increment for f in peer.heard(WindowUpdateFrame) if f.stream_id] == [16_000]

        peer.run(main())


class TestFloods:
    CALM = H2Limits(
        max_resets=5,
        resets_per_second=0,
        max_small_frames=50,
        small_frames_per_second=0,
        max_control_frames=50,
        control_frames_per_second=0,
    )

    @pytest.mark.parametrize("what", ["data on closed", "heads on closed", "acks", "settings acks", "goodbyes"])
    def test_of_what_has_no_place(self, what: str) -> None:
        peer = Peer("server", self.CALM)

        async def main() -> None:
            await peer.begin()
            await peer.say(peer.ask(1), RstStreamFrame(1, 8))
            await settle(peer)
            flood: list[Frame] = {
                "data on closed": [DataFrame(1, b"", flags=["END_STREAM"])] * 100,
                "heads on closed": [HeadersFrame(1, b"\x82", flags=["END_HEADERS"])] * 100,
                "acks": [PingFrame(0, bytes(8), flags=["ACK"])] * 100,
                "goodbyes": [GoAwayFrame(0, 0)] * 100,
                "settings acks": [SettingsFrame(0, flags=["ACK"])] * 100,
            }[what]
            await peer.say(*flood)
            with pytest.raises(EngineError):
                await peer.connection.step(1)
                await peer.connection.step(1)
            goaway = peer.heard(GoAwayFrame)[-1]
            assert goaway.error_code == 0xB

        peer.run(main())

    def test_of_early_answers(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            await peer.begin()
            stream, other = await ask(peer.connection), await ask(peer.connection)
            hint = [(":status", "103"), ("link", "</x>")]
            await peer.say(*(peer.headers(1, hint) for _ in range(1000)), peer.answer(3, "END_STREAM"))
            assert await other.get_headers(5) is not None
            assert len(stream._heads) <= 100
            (reset,) = peer.heard(RstStreamFrame)
            assert (reset.stream_id, reset.error_code) == (1, 0xB)
            with pytest.raises(H2Error):
                for _ in range(1000):
                    await stream.get_headers(5)

        peer.run(main())


class TestHeaderTable:
    def test_a_larger_one_than_the_first(self) -> None:
        peer = Peer("server", H2Limits(header_table_size=16_384))

        async def main() -> None:
            await peer.begin()
            await peer.say(SettingsFrame(0, flags=["ACK"]))
            peer.encoder.header_table_size = 16_384
            for number in (1, 3):
                fields = [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", "/")]
                fields += [(f"x-{letter}", letter * 1000) for letter in "abcdefgh"]
                await peer.say(peer.headers(number, fields, "END_STREAM"))
                stream = await accept(peer.connection)
                head = await stream.get_headers(5)
                assert head is not None
                assert head.get("x-h") == "h" * 1000

        peer.run(main())

    def test_a_smaller_one_must_be_heeded_once_acknowledged(self) -> None:
        peer = Peer("server", H2Limits(header_table_size=0))

        async def main() -> None:
            await peer.begin()
            await peer.say(peer.ask(1, "END_STREAM"))
            assert (await accept(peer.connection)).id == 1
            await peer.say(SettingsFrame(0, flags=["ACK"]), peer.ask(3, "END_STREAM"))
            assert await peer.connection.get_next_incoming_stream(5) is None
            (goaway,) = peer.heard(GoAwayFrame)
            assert goaway.last_stream_id in (1, 3)

        peer.run(main())

    def test_blocks_that_are_known_too(self) -> None:
        peer = Peer("server")

        async def main() -> None:
            await peer.begin()
            await peer.say(SettingsFrame(0, flags=["ACK"]))
            for number in (1, 3, 5):
                await peer.say(HeadersFrame(number, b"\x82\x86\x84\x01\x01x", flags=["END_HEADERS", "END_STREAM"]))
                assert (await accept(peer.connection)).id == number
            await peer.connection.stream0.write_settings_frame(settings={"HEADER_TABLE_SIZE": 100})
            await peer.say(SettingsFrame(0, flags=["ACK"]))
            await settle(peer)
            await peer.say(HeadersFrame(7, b"\x82\x86\x84\x01\x01x", flags=["END_HEADERS", "END_STREAM"]))
            assert await peer.connection.get_next_incoming_stream(5) is None

        peer.run(main())


class TestLeftToOthers:
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_a_forked_child_says_nothing_on_its_parents_connection(self) -> None:
        ours, theirs = socket.socketpair()
        backend = BlockingBackend()
        connection = H2Connection(run(backend.adopt_socket(ours)), backend, "client")
        stream = run(ask(connection))
        theirs.recv(1 << 16)
        connection.guard.acquire()  # as another thread of the parent may do just then
        connection.stream._receiving = True
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                stream.cancel()
                connection.close()
                with pytest.raises(ClosedError):
                    run(stream.get_headers(1))
                code = 0
            finally:
                os._exit(code)
        connection.guard.release()
        connection.stream._receiving = False
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(100)
        answer = HeadersFrame(1, b"\x88", flags=["END_HEADERS", "END_STREAM"])
        theirs.sendall(SettingsFrame(0).serialize() + answer.serialize())
        assert run(stream.get_headers(1)).get(":status") == "200"
        connection.close()
        theirs.close()

    def test_a_reader_cut_in_the_middle_of_input_leaves_no_half_connection(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            await peer.begin()
            stream, other = await ask(peer.connection), await ask(peer.connection)

            def cut(headers: object) -> None:
                raise KeyboardInterrupt

            stream.head_received = cut
            await peer.say(peer.answer(1), peer.answer(3))
            with pytest.raises(KeyboardInterrupt):
                await stream.get_headers(5)
            with pytest.raises(ReadError):
                await other.get_headers(5)
            assert peer.connection.is_closed

        peer.run(main())

    def test_a_finalizer_in_the_middle_of_a_step_waits_for_nothing(self) -> None:
        ours, theirs = socket.socketpair()
        backend = BlockingBackend()
        connection = H2Connection(run(backend.adopt_socket(ours)), backend, "client")
        stream = run(ask(connection))
        with connection.guard:  # as a step does, in which the garbage collector closes a wrapper of the response
            stream.cancel()
        assert stream.state != "closed"
        run(ask(connection))
        assert stream.state == "closed"
        connection.close()
        theirs.close()
