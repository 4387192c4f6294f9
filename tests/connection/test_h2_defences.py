"""An HTTP/2 connection against a peer that means harm, or knows no better: malformed messages, floods."""

from __future__ import annotations

import pytest
from hyperframe.frame import ContinuationFrame, Frame

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.errors import LimitExceeded, LocalProtocolError, WriteTimeout
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
    get,
    ok,
)

CALM = H2Limits(max_resets=5, resets_per_second=0, max_control_frames=5, control_frames_per_second=0)


def check_calm(peer: Peer) -> None:
    (goaway,) = peer.heard(GoAwayFrame)
    assert goaway.error_code == 0xB
    assert peer.connection.is_closed
    assert peer.connection.streams == {}


def test_malformed_answers_reset_their_stream_only() -> None:
    peer = Peer("client")

    async def main() -> None:
        await peer.begin()
        bad, good = await ask(peer.connection), await ask(peer.connection)
        peer.hear()
        await peer.say(
            peer.headers(1, [(":status", "200"), ("Upper", "x")]),
            DataFrame(1, b"ignored"),
            peer.answer(3, "END_STREAM"),
        )
        await good.get_headers()
        with pytest.raises(H2Error, match="PROTOCOL_ERROR"):
            await bad.get_headers()
        (reset,) = peer.heard(RstStreamFrame)[:1]
        assert (reset.stream_id, reset.error_code) == (1, 1)
        assert peer.connection.is_usable()

    peer.run(main())


def test_malformed_requests_are_reset_and_counted() -> None:
    peer = Peer("server", CALM)

    async def main() -> None:
        await peer.begin()
        for number in range(5):
            await peer.say(peer.headers(1 + 2 * number, [(":method", "GET")], "END_STREAM"))
        await peer.say(peer.ask(11, "END_STREAM"))
        stream = await accept(peer.connection)
        assert stream.id == 11
        assert len(peer.heard(RstStreamFrame)) == 5
        await peer.say(peer.headers(13, [(":method", "GET")], "END_STREAM"))
        assert await peer.connection.get_next_incoming_stream() is None

    peer.run(main())
    check_calm(peer)


FLOODS: list[tuple[str, list[Frame]]] = [
    ("settings", [SettingsFrame(0)] * 10),
    ("ping", [PingFrame(0, opaque_data=b"12345678")] * 10),
    ("continuation", [HeadersFrame(1, b"")] + [ContinuationFrame(1, b"")] * 20),
]


@pytest.mark.parametrize("frames", [frames for _, frames in FLOODS], ids=[name for name, _ in FLOODS])
def test_floods(frames: list[Frame]) -> None:
    peer = Peer("server", CALM)

    async def main() -> None:
        await peer.begin()
        await peer.say(*frames)
        assert await peer.connection.get_next_incoming_stream() is None

    peer.run(main())
    check_calm(peer)


def test_rapid_reset() -> None:
    peer = Peer("server", CALM)

    async def main() -> None:
        await peer.begin()
        for number in range(10):
            await peer.say(peer.ask(1 + 2 * number, "END_STREAM"), RstStreamFrame(1 + 2 * number, error_code=8))
        assert await peer.connection.get_next_incoming_stream() is None

    peer.run(main())
    check_calm(peer)


def test_empty_data_flood() -> None:
    peer = Peer("server", CALM)

    async def main() -> None:
        await peer.begin()
        await peer.say(peer.ask(1))
        stream = await accept(peer.connection)
        assert await stream.get_headers() is not None
        await peer.say(*[DataFrame(1)] * 10)
        with pytest.raises(LimitExceeded):
            await stream.get_next_chunk()
        assert isinstance(stream.fault, LimitExceeded)

    peer.run(main())
    check_calm(peer)


def test_more_streams_than_allowed_are_refused() -> None:
    peer = Peer("server", H2Limits(max_concurrent_streams=2))

    async def main() -> None:
        await peer.begin()
        await peer.say(*(peer.ask(number, "END_STREAM") for number in (1, 3, 5, 7)))
        for number in (1, 3):
            stream = await accept(peer.connection)
            assert stream.id == number
            await stream.write_message(ok(), b"", FOREVER)
        assert [(frame.stream_id, frame.error_code) for frame in peer.heard(RstStreamFrame)] == [(5, 7), (7, 7)]
        await peer.say(peer.ask(9, "END_STREAM"))
        assert (await accept(peer.connection)).id == 9

    peer.run(main())


def test_a_slow_drip_costs_no_memory() -> None:
    peer = Peer("client", H2Limits(max_small_frames=10**6))

    async def main() -> None:
        await peer.begin()
        stream = await ask(peer.connection)
        await peer.say(peer.answer(1), *[DataFrame(1, b"x")] * 20_000)
        assert await stream.get_headers() is not None
        await peer.connection.take_input()
        assert len(stream._pieces) < 10
        assert await stream.get_body_chars(20_000) == b"x" * 20_000

    peer.run(main())


@pytest.mark.parametrize(
    "frame", [DataFrame(1, b"x"), WindowUpdateFrame(1, window_increment=1)], ids=["data", "window"]
)
def test_too_many_tiny_frames(frame: Frame) -> None:
    peer = Peer("client", H2Limits(max_small_frames=1000, small_frames_per_second=0))

    async def main() -> None:
        await peer.begin()
        stream = await ask(peer.connection)
        peer.hear()
        await peer.say(peer.answer(1), *[frame] * 1001)
        with pytest.raises(LimitExceeded, match="few bytes"):
            await stream.get_body_as_string()

    peer.run(main())
    check_calm(peer)


def test_pings_of_a_peer_that_does_not_read() -> None:
    limits = H2Limits(max_control_frames=10**6, max_queued_answers=10_000)
    peer = Peer("server", limits, capacity=100)

    async def main() -> None:
        backend = peer.backend
        waiting = backend.spawn(_wait_for_stream(peer), "server")
        await peer.begin()
        pings = PingFrame(0, opaque_data=b"12345678").serialize() * 5000
        with pytest.raises(WriteTimeout):
            await peer.stream.send_all(pings, backend.now() + 5)
        assert await waiting.join(backend.now() + 10)

    peer.run(main())
    assert isinstance(peer.connection.fault, LimitExceeded)
    assert len(peer.connection._outbox) < 20_000


async def _wait_for_stream(peer: Peer) -> None:
    await peer.connection.get_next_incoming_stream()


def test_a_frame_that_is_announced_too_large_is_not_waited_for() -> None:
    peer = Peer("server")

    async def main() -> None:
        await peer.begin()
        await peer.stream.send_all((1 << 24 - 1).to_bytes(3, "big") + b"\0\0\0\0\0\1", FOREVER)
        assert await peer.connection.get_next_incoming_stream(5) is None
        (goaway,) = peer.heard(GoAwayFrame)
        assert goaway.error_code == 6

    peer.run(main())


def test_a_header_block_in_many_large_pieces() -> None:
    peer = Peer("server", H2Limits(max_header_list_size=20_000))

    async def main() -> None:
        await peer.begin()
        await peer.say(
            HeadersFrame(1, b"\0" * 9000), ContinuationFrame(1, b"\0" * 9000), ContinuationFrame(1, b"\0" * 9000)
        )
        assert await peer.connection.get_next_incoming_stream(5) is None

    peer.run(main())
    check_calm(peer)


def test_an_hpack_bomb() -> None:
    peer = Peer("server", H2Limits(max_header_list_size=20_000))

    async def main() -> None:
        await peer.begin()
        # One entry of 4,000 bytes, referred to a thousand times.
        block = peer.encoder.encode([("x", "y" * 3900)]) + b"\xbe" * 1000
        await peer.say(HeadersFrame(1, block, flags=["END_HEADERS", "END_STREAM"]))
        assert await peer.connection.get_next_incoming_stream(5) is None
        (goaway,) = peer.heard(GoAwayFrame)
        assert goaway.error_code == 0xB

    peer.run(main())


def test_the_limit_of_the_peers_header_list_is_obeyed() -> None:
    peer = Peer("client")

    async def main() -> None:
        await peer.begin(max_header_list_size=300)
        await peer.connection.take_input()
        stream = peer.connection.new_stream()
        peer.hear()
        with pytest.raises(LocalProtocolError, match="the peer takes 300"):
            await stream.write_headers(get("/" + "x" * 300), True)
        assert peer.hear() == []
        assert stream.state == "idle"
        await stream.write_headers(get("/"), True)
        (headers,) = peer.heard(HeadersFrame)
        assert headers.stream_id == 1

    peer.run(main())


def test_a_window_that_stays_shut() -> None:
    peer = Peer("client")

    async def main() -> None:
        await peer.begin(initial_window_size=10)
        await peer.connection.take_input()
        stream = peer.connection.new_stream()
        stream.write_timeout = 5
        with pytest.raises(WriteTimeout):
            await stream.write_message(get("/", method="POST"), b"x" * 100, FOREVER)
        assert not peer.connection.has_output
        await stream.shutdown()
        (reset,) = peer.heard(RstStreamFrame)
        assert (reset.stream_id, reset.error_code) == (1, 8)
        assert peer.connection.is_usable()

    peer.run(main())


def test_closed_streams_are_forgotten() -> None:
    peer = Peer("server", H2Limits(max_resets=10_000))

    async def main() -> None:
        await peer.begin()
        for number in range(1, 8001, 2):
            await peer.say(peer.ask(number, "END_STREAM"), RstStreamFrame(number, error_code=8))
            await peer.connection.take_input()
        library = peer.connection.machine.library
        assert len(library.streams) <= 1
        assert len(library._closed_streams) <= library.MAX_CLOSED_STREAMS

    peer.run(main())
