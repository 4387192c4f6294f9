"""Frames of one stream written by hand: on the wire as asked for, and the books are right afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from hyperframe.frame import ContinuationFrame, Frame, PriorityFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.connection.h2_client_stream import H2ClientStream
from drivetrain.engine.errors import ClosedError, LocalProtocolError, StreamRefused, UsageError
from drivetrain.engine.protocol.h2_limits import H2Limits
from drivetrain.engine.wire.h2_errors import H2Error, H2ErrorCode
from drivetrain.engine.wire.headers import Headers
from drivetrain.engine.wire.hpack_context import HpackContext
from tests.connection.h2_support import (
    DataFrame,
    HeadersFrame,
    Peer,
    RstStreamFrame,
    WindowUpdateFrame,
    accept,
    ask,
    duo,
    exchange,
    get,
    meet,
    ok,
    serve,
)


def block_of(headers: Headers, context: HpackContext | None = None) -> bytes:
    context = context or HpackContext()
    context.encode_headers(headers)
    block = context.render_data()
    context.clear_data()
    return block


def decoded(peer: Peer, *frames: Any) -> list[tuple[str, str]]:
    return [(str(n), str(v)) for n, v in peer.decoder.decode(b"".join(frame.data for frame in frames))]


class TestIds:
    def test_the_next_ones(self) -> None:
        peer = Peer("client")
        streams = [peer.connection.new_stream() for _ in range(3)]
        assert [stream.id for stream in streams] == [None, None, None]
        assert [stream.pick_id() for stream in streams] == [1, 3, 5]
        assert [(stream.id, stream.state) for stream in streams] == [(1, "idle"), (3, "idle"), (5, "idle")]
        with pytest.raises(LocalProtocolError):
            streams[0].pick_id()

    def test_of_new_stream(self) -> None:
        peer = Peer("client")
        assert peer.connection.new_stream(7).id == 7
        assert peer.connection.new_stream().pick_id() == 9
        for wrong in (8, 0, -1, 2**31, 7):
            with pytest.raises(UsageError):
                peer.connection.new_stream(wrong)

    def test_not_those_of_others(self) -> None:
        both = duo()

        async def main() -> tuple[Any, Any, Any]:
            both.backend.spawn(serve(both.server, both.backend), "server")
            picked = both.client.new_stream()
            picked.pick_id()
            first = await ask(both.client, "/later")
            await first.get_headers(5)
            second = await ask(both.client, "/last")
            return picked, first.id, second.id

        picked, first, second = both.run(main())
        assert (first, second) == (3, 5)
        # A higher one was used: RFC 9113 section 5.1.1.
        assert picked.state == "closed"

    def test_used_in_order(self) -> None:
        both = duo()

        async def main() -> list[bytes]:
            both.backend.spawn(serve(both.server, both.backend), "server")
            streams = [both.client.new_stream() for _ in range(2)]
            for stream in streams:
                stream.pick_id()
            for stream in streams:
                await stream.write_headers(get(f"/{stream.id}"), True)
            bodies = []
            for stream in streams:
                await stream.get_headers(5)
                bodies.append(await stream.get_body_as_string(5))
            return bodies

        assert both.run(main()) == [b"/1", b"/3"]
        assert both.client.picked == {}

    def test_one_that_was_passed_over(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            early, late = peer.connection.new_stream(1), peer.connection.new_stream(3)
            await late.write_headers(get(), True)
            assert (early.state, late.state) == ("closed", "half closed (local)")
            for call in (early.write_headers(get(), True), early.write_headers_frame(get(), True)):
                with pytest.raises(LocalProtocolError):
                    await call
            assert late.state == "half closed (local)"

        peer.run(main())
        assert [frame.stream_id for frame in peer.heard(HeadersFrame)] == [3]

    def test_none_after_goaway(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            await peer.connection.write_goaway_frame()
            with pytest.raises(StreamRefused):
                peer.connection.new_stream().pick_id()

        peer.run(main())


class TestStates:
    def test_forward_only(self) -> None:
        peer = Peer("client")
        stream = peer.connection.new_stream()
        with pytest.raises(LocalProtocolError):
            stream.set_state("open")
        stream.pick_id()
        for impossible in ("idle", "reserved (remote)", "reserved (local)", "no such"):
            with pytest.raises(UsageError):
                stream.set_state(impossible)
        stream.set_state("open")
        assert peer.connection.streams == {1: stream}
        assert peer.connection.machine.library.open_outbound_streams == 1
        with pytest.raises(UsageError):
            stream.set_state("open")
        stream.set_state("half closed (local)")
        with pytest.raises(UsageError):
            stream.set_state("half closed (remote)")
        stream.set_state("closed")
        assert stream.state == "closed"
        assert peer.connection.streams == {}
        assert peer.connection.machine.library.open_outbound_streams == 0
        assert not peer.stream.is_readable()

    def test_with_raw_frames_an_exchange_goes_on(self) -> None:
        """HEADERS written raw; `set_state` tells the connection, and the response comes in as ever."""
        peer = Peer("client")

        async def main() -> bytes:
            stream = peer.connection.new_stream(1)
            await stream.write_http2_frame(0x1, 0x4 | 0x1, block_of(get("/raw")))
            stream.set_state("open")
            stream.set_state("half closed (local)")
            await peer.begin()
            await peer.say(peer.answer(1), DataFrame(1, b"seen", flags=["END_STREAM"]))
            head = await stream.get_headers(1)
            assert head is not None
            return await stream.get_body_as_string(1)

        assert peer.run(main()) == b"seen"
        (frame,) = peer.heard(HeadersFrame)
        assert dict(decoded(peer, frame))[":path"] == "/raw"

    def test_the_peers_end_by_hand(self) -> None:
        peer = Peer("client")

        async def main() -> Any:
            stream = await ask(peer.connection)
            await peer.begin()
            await peer.say(peer.answer(1))
            await stream.get_headers(1)
            stream.set_state("closed")
            with pytest.raises(ClosedError):
                await stream.get_next_chunk(1)
            return stream

        assert peer.run(main()).state == "closed"
        assert not peer.heard(RstStreamFrame)

    def test_a_reader_is_woken(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            stream = peer.connection.new_stream(1)
            await stream.write_headers(get(method="POST"), False)
            stream.set_state("half closed (remote)")
            assert await stream.get_headers(1) is None

        peer.run(main())


class TestData:
    def test_padding_counts(self) -> None:
        peer = Peer("client")

        async def main() -> H2ClientStream:
            stream = peer.connection.new_stream()
            await stream.write_headers(get(method="POST"), False)
            library = peer.connection.machine.library
            before = library.local_flow_control_window(1)
            await stream.write_data_frame(b"hello", False, 10)
            assert library.local_flow_control_window(1) == before - 16
            await stream.write_data_frame(b"", True)
            return stream

        stream = peer.run(main())
        assert stream.state == "half closed (local)"
        frames = peer.heard(DataFrame)
        assert [(f.data, f.pad_length, "PADDED" in f.flags, "END_STREAM" in f.flags) for f in frames] == [
            (b"hello", 10, True, False),
            (b"", 0, False, True),
        ]

    def test_what_is_not_legal_changes_nothing(self) -> None:
        peer = Peer("client")

        async def main() -> bytes:
            idle = peer.connection.new_stream(1)
            with pytest.raises(LocalProtocolError):
                await idle.write_data_frame(b"x")
            await idle.write_headers(get(method="POST"), False)
            for wrong in (b"x" * 16385, b"x" * 70000):
                with pytest.raises(LocalProtocolError):
                    await idle.write_data_frame(wrong)
            with pytest.raises(LocalProtocolError):
                await idle.write_data_frame(b"x" * 16384, padded=1)
            for padded in (256, -1):
                with pytest.raises(UsageError):
                    await idle.write_data_frame(b"x", padded=padded)
            # The stream is as good as before.
            await idle.write_chunk(b"body", True)
            with pytest.raises(LocalProtocolError):
                await idle.write_data_frame(b"more")
            await peer.begin()
            await peer.say(peer.answer(1), DataFrame(1, b"fine", flags=["END_STREAM"]))
            await idle.get_headers(1)
            return await idle.get_body_as_string(1)

        assert peer.run(main()) == b"fine"
        assert [frame.data for frame in peer.heard(DataFrame)] == [b"body"]

    def test_beyond_the_window(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            await peer.begin(initial_window_size=5)
            await peer.connection.step(1)
            stream = peer.connection.new_stream()
            await stream.write_headers(get(method="POST"), False)
            with pytest.raises(LocalProtocolError):
                await stream.write_data_frame(b"123456")
            with pytest.raises(LocalProtocolError):
                await stream.write_data_frame(b"12345", padded=0)
            await stream.write_data_frame(b"12345")
            await peer.say(WindowUpdateFrame(1, 3))
            await peer.connection.step(1)
            await stream.write_data_frame(b"678")

        peer.run(main())
        assert [frame.data for frame in peer.heard(DataFrame)] == [b"12345", b"678"]

    def test_a_server_answers_first(self) -> None:
        both = duo()

        async def main() -> bytes:
            asked = await ask(both.client)
            stream = await accept(both.server)
            with pytest.raises(LocalProtocolError):
                await stream.write_data_frame(b"too early")
            await stream.write_headers(ok(), False)
            await stream.write_data_frame(b"body", True, 3)
            await asked.get_headers(5)
            return await asked.get_body_as_string(5)

        assert both.run(main()) == b"body"

    def test_received_padding_is_credited(self) -> None:
        """Flow control counts padding, which is given back with the data it came with."""
        limits = H2Limits(stream_window=65535, connection_window=65535)
        both = duo(client=limits)

        async def send() -> None:
            stream = await accept(both.server)
            await stream.write_headers(ok(), False)
            for _ in range(2000):
                await both.server.wait_for_room(FOREVER)
                while both.server.machine.sendable(1) < 300:
                    await both.server.step(5)
                await stream.write_data_frame(b"x", False, 255)
            await stream.write_data_frame(b"", True, 255)

        async def main() -> bytes:
            task = both.backend.spawn(send(), "sender")
            stream = await ask(both.client)
            body = await stream.get_body_as_string(500) if await stream.get_headers(500) else b""
            assert await task.join(FOREVER)
            return body

        assert both.run(main()) == b"x" * 2000


class TestHeaders:
    def test_a_request_and_its_answer(self) -> None:
        both = duo()

        async def main() -> tuple[Any, ...]:
            stream = both.client.new_stream()
            await stream.write_headers_frame(get("/by-hand", ("x-y", "z")), True)
            assert (stream.id, stream.state) == (1, "half closed (local)")
            answering = await accept(both.server)
            request = await answering.get_headers(5)
            await answering.write_headers_frame(ok("103", ("link", "</x>")))
            assert answering.status is None
            await answering.write_headers_frame(ok("200"))
            assert answering.status == "200"
            await answering.write_data_frame(b"body")
            await answering.write_headers_frame(Headers([("check", "sum")]), True)
            heads = [await stream.get_headers(5), await stream.get_headers(5)]
            return request, heads, await stream.get_body_as_string(5), await stream.get_headers(5), stream, answering

        request, heads, body, trailers, stream, answering = both.run(main())
        assert (request.get(":path"), request.get("x-y")) == ("/by-hand", "z")
        assert [head.get(":status") for head in heads] == ["103", "200"]
        assert (body, trailers.get("check")) == (b"body", "sum")
        assert (stream.state, answering.state) == ("closed", "closed")
        assert not both.client.streams and not both.server.streams  # noqa: PT018

    def test_a_block_of_ones_own(self) -> None:
        peer = Peer("client")
        context = HpackContext()

        async def main() -> None:
            for path in ("/1", "/2"):
                stream = peer.connection.new_stream()
                await stream.write_headers_frame(block_of(get(path, ("x-long", "value" * 9)), context), True)

        peer.run(main())
        first, second = peer.heard(HeadersFrame)
        assert len(second.data) < len(first.data)
        assert dict(decoded(peer, first))["x-long"] == dict(decoded(peer, second))["x-long"] == "value" * 9

    def test_the_connections_own_compression_goes_on(self) -> None:
        """What a program's block adds to the table is known to the connection, which encodes the next one."""
        both = duo()

        async def main() -> list[Any]:
            both.backend.spawn(serve(both.server, both.backend), "server")
            await exchange(both.client, "/first")
            stream = both.client.new_stream()
            fields = get("/hand", ("x-mark", "new in the table"), ("x-other", "also"))
            context = HpackContext()
            context.add_to_dynamic_table("a", "b")  # the connection's table has entries by now: literals are right
            literal = HpackContext(0)
            literal.encode_headers(fields)
            await stream.write_headers_frame(literal.render_data(), True)
            assert (await stream.get_headers(5)).get(":status") == "200"  # type: ignore[union-attr]
            bodies = [await stream.get_body_as_string(5)]
            for number in range(3):
                again = both.client.new_stream()
                await again.write_headers(get(f"/{number}", ("x-mark", "new in the table")), True)
                await again.get_headers(5)
                bodies.append(await again.get_body_as_string(5))
            return bodies

        assert both.run(main()) == [b"/hand", b"/0", b"/1", b"/2"]

    @pytest.mark.parametrize("own", [False, True])
    def test_the_length_of_an_answer_to_head(self, own: bool) -> None:
        """The connection knows the method of a request written by hand: HEAD's answer announces a body and has none."""
        peer = Peer("client")

        async def main() -> Any:
            stream = peer.connection.new_stream()
            head = get("/", method="HEAD")
            await stream.write_headers_frame(block_of(head) if own else head, True)
            await peer.begin()
            await peer.say(peer.headers(1, [(":status", "200"), ("content-length", "5")], "END_STREAM"))
            found = await stream.get_headers(1)
            assert await stream.get_next_chunk(1) is None
            return found

        assert peer.run(main()).get("content-length") == "5"

    def test_a_block_that_does_not_decode(self) -> None:
        both = duo()

        async def main() -> bytes:
            both.backend.spawn(serve(both.server, both.backend), "server")
            stream = both.client.new_stream()
            for wrong in (b"\xff\xff\xff\xff\xff", b"\xbe", b"\x3f\xff\xff\x7f" + block_of(get())):
                with pytest.raises(LocalProtocolError):
                    await stream.write_headers_frame(wrong, True)
            assert stream.state == "idle"
            await stream.write_headers_frame(get("/right"), True)
            await stream.get_headers(5)
            return await stream.get_body_as_string(5)

        assert both.run(main()) == b"/right"

    def test_in_pieces(self) -> None:
        """Nothing goes out before the last piece: other streams' frames must not come in between."""
        peer = Peer("client")
        block = block_of(get("/in-pieces"))

        async def main() -> None:
            stream = peer.connection.new_stream()
            await stream.write_headers_frame(block[:5], True, False)
            assert stream.state == "idle"
            with pytest.raises(LocalProtocolError):
                await stream.write_headers_frame(get(), True)
            await stream.write_continuation_frame(block[5:9], False)
            await peer.connection.write_http2_frame(0xAB, 0, 0, b"between")
            await stream.write_continuation_frame(block[9:])
            assert stream.state == "half closed (local)"
            with pytest.raises(LocalProtocolError):
                await stream.write_continuation_frame(b"")

        peer.run(main())
        frames = [frame for frame in peer.hear() if frame.type != 4 and frame.type != 8]
        assert [frame.type for frame in frames] == [0xAB, 1, 9, 9]
        assert [sorted(frame.flags) for frame in frames[1:]] == [["END_STREAM"], [], ["END_HEADERS"]]
        assert dict(decoded(peer, *frames[1:]))[":path"] == "/in-pieces"

    def test_large_ones_are_split(self) -> None:
        peer = Peer("client")
        many = [(f"x-{number}", "v" * 1000) for number in range(50)]

        async def main() -> None:
            await peer.connection.new_stream().write_headers(get("/1", *many), True)
            await peer.connection.new_stream().write_headers_frame(get("/3", *many), True, padded=7, weight=256)

        peer.run(main())
        frames = [frame for frame in peer.hear() if isinstance(frame, (HeadersFrame, ContinuationFrame))]
        for number in (1, 3):
            mine = [frame for frame in frames if frame.stream_id == number]
            assert len(mine) > 2
            assert all(frame.body_len <= 16384 for frame in mine)
            assert ["END_HEADERS" in frame.flags for frame in mine] == [False] * (len(mine) - 1) + [True]
            peer.decoder.max_header_list_size = 2**20
            assert dict(decoded(peer, *mine))[":path"] == f"/{number}"
        assert [frame.stream_id for frame in frames] == sorted(frame.stream_id for frame in frames)

    def test_padding_and_priority(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            first, second = peer.connection.new_stream(), peer.connection.new_stream()
            await first.write_headers_frame(get(), True, padded=20)
            await second.write_headers_frame(get(), True, True, None, True, 1, 256)
            with pytest.raises(LocalProtocolError):
                await peer.connection.new_stream(5).write_headers_frame(get(), True, stream_dep=5)
            for weight in (0, 257):
                with pytest.raises(UsageError):
                    await peer.connection.new_stream().write_headers_frame(get(), True, weight=weight)

        peer.run(main())
        first, second = peer.heard(HeadersFrame)
        assert (first.pad_length, "PADDED" in first.flags, "PRIORITY" in first.flags) == (20, True, False)
        assert (second.depends_on, second.stream_weight, second.exclusive) == (1, 255, True)
        assert peer.connection.priorities.parent(3) == 1
        assert peer.connection.priorities.weight(3) == 256

    def test_blocks_that_have_no_place(self) -> None:
        both = duo()

        async def main() -> None:
            stream = both.client.new_stream()
            for wrong in (ok(), Headers([("a", "b")])):
                with pytest.raises(LocalProtocolError):
                    await stream.write_headers_frame(wrong)
            await stream.write_headers_frame(get(method="POST"))
            for wrong, end in ((get(), True), (Headers([("a", "b")]), False), (ok(), True)):
                with pytest.raises(LocalProtocolError):
                    await stream.write_headers_frame(wrong, end)
            with pytest.raises(LocalProtocolError):
                await stream.write_headers(get(), True)
            answering = await accept(both.server)
            for wrong, end in ((get(), True), (Headers([("a", "b")]), False), (ok("100"), True)):
                with pytest.raises(LocalProtocolError):
                    await answering.write_headers_frame(wrong, end)
            await answering.write_headers_frame(ok())
            for wrong, end in ((ok(), True), (Headers([("a", "b")]), False), (get(), True)):
                with pytest.raises(LocalProtocolError):
                    await answering.write_headers_frame(wrong, end)
            await answering.write_headers_frame(Headers([("a", "b")]), True)
            with pytest.raises(LocalProtocolError):
                await answering.write_headers_frame(Headers([("a", "b")]), True)

        both.run(main())
        assert not both.client.is_closed
        assert not both.server.is_closed

    def test_no_more_than_the_peer_takes(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            await peer.begin(max_concurrent_streams=1)
            await peer.connection.step(1)
            await peer.connection.new_stream().write_headers_frame(get(), True)
            with pytest.raises(LocalProtocolError):
                await peer.connection.new_stream().write_headers_frame(get(), True)
            await peer.connection.write_goaway_frame()
            with pytest.raises(StreamRefused):
                await peer.connection.new_stream().write_headers_frame(get(), True)

        peer.run(main())
        assert len(peer.heard(HeadersFrame)) == 1

    @given(st.lists(st.integers(1, 12), min_size=1, max_size=12), st.booleans())
    @settings(max_examples=40, deadline=None)
    def test_any_split_of_a_block_is_the_same_request(self, cuts: list[int], end_stream: bool) -> None:
        both = duo()
        block = block_of(get("/split", ("x-one", "1"), ("x-two", "22")))

        async def main() -> Any:
            stream = both.client.new_stream()
            pieces, rest = [], block
            for size in cuts:
                pieces.append(rest[:size])
                rest = rest[size:]
            pieces.append(rest)
            await stream.write_headers_frame(pieces[0], end_stream, False)
            for piece in pieces[1:-1]:
                await stream.write_continuation_frame(piece, False)
            await stream.write_continuation_frame(pieces[-1])
            return await (await accept(both.server, 5)).get_headers(5)

        head = both.run(main())
        assert list(head) == list(get("/split", ("x-one", "1"), ("x-two", "22")))


class TestResets:
    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (None, 0x0),
            (H2Error("CANCEL", "for a reason"), 0x8),
            (H2ErrorCode.CONNECT_ERROR, 0xA),
            ("ENHANCE_YOUR_CALM", 0xB),
            (0xABCDEF, 0xABCDEF),
            (OSError("whatever"), 0x2),
        ],
    )
    def test_codes(self, error: Any, code: int) -> None:
        peer = Peer("client")

        async def main() -> None:
            stream = await ask(peer.connection)
            await stream.rst_stream(error, 1)
            assert stream.state == "closed"
            await stream.rst_stream(error, 1)
            with pytest.raises(LocalProtocolError):
                await stream.write_rst_stream_frame()

        peer.run(main())
        assert [frame.error_code for frame in peer.heard(RstStreamFrame)] == [code]

    def test_on_an_idle_stream(self) -> None:
        peer = Peer("client")

        async def main() -> H2ClientStream:
            stream = peer.connection.new_stream(1)
            with pytest.raises(LocalProtocolError):
                await stream.write_rst_stream_frame("CANCEL")
            await stream.rst_stream()
            return stream

        assert peer.run(main()).state == "closed"
        assert peer.connection.picked == {}
        assert not peer.heard(RstStreamFrame)

    def test_the_peer_learns_of_it(self) -> None:
        both = duo()

        async def main() -> None:
            stream = await ask(both.client, body=b"x" * 100)
            answering = await accept(both.server)
            await answering.write_rst_stream_frame("INTERNAL_ERROR")
            with pytest.raises(H2Error) as caught:
                await stream.get_headers(5)
            assert caught.value.code == H2ErrorCode.INTERNAL_ERROR
            # Its siblings are not harmed.
            both.backend.spawn(serve(both.server, both.backend), "server")
            assert await exchange(both.client) == b"/"

        both.run(main())


class TestWindows:
    def test_of_a_stream(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            stream = await ask(peer.connection)
            await stream.write_window_update_frame(1000)
            await stream.write_window_update(5)
            await stream.write_window_update(0)
            for wrong in (0, -1, 2**31):
                with pytest.raises(UsageError):
                    await stream.write_window_update_frame(wrong)
            with pytest.raises(LocalProtocolError):
                await stream.write_window_update_frame(2**31 - 1)
            with pytest.raises(LocalProtocolError):
                await peer.connection.new_stream().write_window_update(1)
            await stream.rst_stream()
            with pytest.raises(LocalProtocolError):
                await stream.write_window_update_frame(1)

        before = peer.connection.machine.limits.stream_window
        peer.run(main())
        updates = [(f.stream_id, f.window_increment) for f in peer.heard(WindowUpdateFrame) if f.stream_id]
        assert updates == [(1, 1000), (1, 5)]
        assert before > 0

    def test_lets_more_come(self) -> None:
        limits = H2Limits(stream_window=100)
        both = duo(client=limits)

        async def main() -> int:
            stream = await ask(both.client)
            answering = await accept(both.server)
            await answering.write_headers(ok(), False)
            await meet(both)
            assert both.server.machine.sendable(1) == 100
            await stream.write_window_update(400)
            await meet(both)
            return both.server.machine.sendable(1)

        assert both.run(main()) == 500


class TestPriorities:
    def test_frames(self) -> None:
        peer = Peer("client")

        async def main() -> None:
            stream = peer.connection.new_stream()
            await stream.write_priority_frame(True, 0, 7)
            assert stream.id == 1
            with pytest.raises(LocalProtocolError):
                await stream.write_priority_frame(False, 1)
            await stream.write_headers(get(), True)

        peer.run(main())
        (frame,) = peer.heard(PriorityFrame)
        assert (frame.stream_id, frame.depends_on, frame.stream_weight, frame.exclusive) == (1, 0, 6, True)
        assert peer.connection.priorities.weight(1) == 7

    def test_reprioritise(self) -> None:
        peer = Peer("client")
        connection = peer.connection
        streams = [connection.new_stream() for _ in range(4)]
        for stream in streams:
            stream.pick_id()
        one, three, five, _seven = streams
        tree = connection.priorities
        one.reprioritise(three)
        one.reprioritise(five)
        assert tree.children(1, connection.stream_ids()) == [3, 5]
        one.reprioritise(_seven, True)
        assert tree.children(1, connection.stream_ids()) == [7]
        assert tree.children(7, connection.stream_ids()) == [3, 5]
        # A child that is an ancestor: this stream moves up first.
        three.reprioritise(one)
        assert (tree.parent(3), tree.parent(1), tree.parent(7)) == (0, 3, 1)
        for wrong in (one, duo().client.new_stream(1), connection.new_stream()):
            with pytest.raises(LocalProtocolError):
                one.reprioritise(wrong)

    def test_received_ones_are_harmless(self) -> None:
        peer = Peer("server")

        async def main() -> list[Any]:
            await peer.begin()
            update = bytes.fromhex("000007 10 00 00000000 00000001") + b"u=2"
            await peer.say(PriorityFrame(5, depends_on=1, stream_weight=9), PriorityFrame(1, depends_on=3))
            await peer.stream.send_all(update, FOREVER)
            head = peer.ask(1, "END_STREAM", "PRIORITY")
            head.depends_on, head.stream_weight, head.exclusive = 0, 41, True
            peer_fields = [
                (":method", "GET"),
                (":scheme", "http"),
                (":authority", "x"),
                (":path", "/"),
                ("priority", "u=1, i"),
            ]
            await peer.say(head, peer.headers(3, peer_fields, "END_STREAM"), PriorityFrame(3, depends_on=1))
            streams = [await accept(peer.connection, 1), await accept(peer.connection, 1)]
            return [await stream.get_headers(1) for stream in streams]

        first, second = peer.run(main())
        assert first.get(":path") == "/1"
        assert second.get("priority") == "u=1, i"
        assert peer.connection.priorities.weight(1) == 42
        assert peer.connection.priorities.parent(3) == 1
        assert peer.connection.priorities.parent(5) == 0

    def test_a_stream_that_depends_on_itself(self) -> None:
        peer = Peer("server")

        async def main() -> None:
            await peer.begin()
            await peer.say(PriorityFrame(9, depends_on=9))
            await peer.say(peer.ask(1, "END_STREAM"), PriorityFrame(1, depends_on=1), peer.ask(3, "END_STREAM"))
            head = peer.ask(5, "END_STREAM", "PRIORITY")
            head.depends_on = 5
            await peer.say(head)
            await peer.connection.step(1)
            stream = await accept(peer.connection, 1)
            assert stream.id == 3

        peer.run(main())
        resets = [(frame.stream_id, frame.error_code) for frame in peer.heard(RstStreamFrame)]
        assert resets == [(1, H2ErrorCode.PROTOCOL_ERROR), (5, H2ErrorCode.PROTOCOL_ERROR)]
        assert not peer.connection.is_closed

    def test_the_tree_forgets_what_is_over(self) -> None:
        both = duo()

        async def main() -> None:
            both.backend.spawn(serve(both.server, both.backend), "server")
            for _ in range(20):
                stream = both.client.new_stream()
                await stream.write_headers_frame(get(), True, weight=9, exclusive=True)
                await stream.get_headers(5)
                await stream.get_body_as_string(5)
            await meet(both)

        both.run(main())
        assert not both.client.priorities
        assert not both.server.priorities


class TestExtendedConnect:
    def connect(self) -> Headers:
        return Headers(
            [
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "http"),
                (":authority", "x"),
                (":path", "/chat"),
            ]
        )

    def test_where_the_server_takes_it(self) -> None:
        both = duo(server=H2Limits(enable_connect_protocol=True))

        async def main() -> Any:
            assert not both.client.peer_allows_extended_connect
            stream = both.client.new_stream()
            stepping = both.backend.spawn(step(), "server")
            # Waits for the server's settings.
            await stream.write_headers(self.connect(), False, 5)
            assert await stepping.join(FOREVER)
            assert both.client.peer_allows_extended_connect
            return await (await accept(both.server, 5)).get_headers(5)

        async def step() -> None:
            await both.server.step(5)

        head = both.run(main())
        assert (head.get(":protocol"), head.get(":path")) == ("websocket", "/chat")

    def test_where_it_does_not(self) -> None:
        both = duo()

        async def main() -> None:
            await meet(both)
            stream = both.client.new_stream()
            with pytest.raises(LocalProtocolError):
                await stream.write_headers(self.connect(), False, 5)
            with pytest.raises(LocalProtocolError):
                await stream.write_headers_frame(self.connect())
            assert stream.id is None

        both.run(main())

    def test_a_client_that_sends_it_all_the_same(self) -> None:
        peer = Peer("server")

        async def main() -> None:
            await peer.begin()
            await peer.say(peer.headers(1, [(n, v) for n, v, _ in self.connect().each()]))
            await peer.connection.step(1)

        peer.run(main())
        assert [f.error_code for f in peer.heard(RstStreamFrame)] == [H2ErrorCode.PROTOCOL_ERROR]

    def test_it_cannot_be_taken_back(self) -> None:
        peer = Peer("server")

        async def main() -> None:
            zero = peer.connection.stream0
            await zero.write_settings_frame(False, {"ENABLE_CONNECT_PROTOCOL": 0})
            await zero.write_settings_frame(False, {"ENABLE_CONNECT_PROTOCOL": 1})
            with pytest.raises(LocalProtocolError):
                await zero.write_settings_frame(False, {"ENABLE_CONNECT_PROTOCOL": 0})

        peer.run(main())
        assert peer.connection.machine.announced_connect_protocol


def test_frames_are_hyperframes() -> None:
    """The peer of these tests parses with hyperframe: a frame here is a frame there."""
    peer = Peer("client")
    peer.run(peer.connection.connect(1))
    assert all(isinstance(frame, Frame) for frame in peer.hear())
