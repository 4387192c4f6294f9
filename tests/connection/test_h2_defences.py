"""An HTTP/2 connection against a peer that means harm, or knows no better: malformed messages, floods."""

from __future__ import annotations

import pytest
from hyperframe.frame import ContinuationFrame, Frame

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.errors import (
    LimitExceeded,
)
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
    accept,
    ask,
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
