"""However a server's bytes are cut into pieces, the client understands the same."""

from __future__ import annotations

import itertools
from typing import Any

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.connection.h2_client_stream import H2ClientStream
from drivetrain.engine.errors import EngineError
from tests.connection.h2_support import Peer, get

STREAMS = (1, 3, 5, 7)
Field = tuple[str, str]


def section(stream_id: int, encoder: Encoder, fields: list[Field], end: bool, cut: int, pad: int) -> list[Frame]:
    """A header section in a padded HEADERS frame and, cut, CONTINUATION frames."""
    block = encoder.encode(fields)
    pieces = [block[at : at + cut] for at in range(0, len(block), cut)]
    head = HeadersFrame(stream_id, pieces[0], flags=("PADDED",), pad_length=pad)
    if end:
        head.flags.add("END_STREAM")
    frames: list[Frame] = [head, *(ContinuationFrame(stream_id, piece) for piece in pieces[1:])]
    frames[-1].flags.add("END_HEADERS")
    return frames


@st.composite
def messages(draw: st.DrawFn, stream_id: int) -> list[Any]:
    """What is said on one stream, header sections as functions of the encoder."""
    said: list[Any] = []

    def head(fields: list[Field], end: bool) -> None:
        cut, pad = draw(st.integers(4, 60)), draw(st.integers(0, 20))
        said.append(lambda encoder: section(stream_id, encoder, fields, end, cut, pad))

    for _ in range(draw(st.integers(0, 2))):
        head([(":status", "103"), ("link", f"<{stream_id}>")], False)
    bodies = draw(st.lists(st.binary(max_size=60), max_size=4))
    ending = draw(st.sampled_from(["data", "trailers", "reset", "short", "malformed"]))
    length = sum(map(len, bodies)) + (ending == "short")
    fields = [("x-connection", "x")] if draw(st.booleans()) else []
    extra = [("content-length", str(length))] if draw(st.booleans()) or ending == "short" else []
    wrong = [("connection", "close")] if ending == "malformed" else []
    head([(":status", "200"), *fields, *extra, *wrong], False)
    for body in bodies:
        said.append(DataFrame(stream_id, body, flags=("PADDED",), pad_length=draw(st.integers(0, 9))))
    if ending == "reset":
        said.append(RstStreamFrame(stream_id, draw(st.sampled_from([1, 7, 8]))))
    elif ending == "trailers":
        head([("x-sum", "1")], True)
    else:
        said.append(DataFrame(stream_id, b"", flags=("END_STREAM",)))
    return said


@st.composite
def conversations(draw: st.DrawFn) -> bytes:
    """All that a server says, the streams mixed, and what belongs to the connection between."""
    left = [draw(messages(stream_id)) for stream_id in STREAMS]
    encoder = Encoder()
    data = SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 1000}).serialize()
    between = [
        PingFrame(0, b"12345678"),
        WindowUpdateFrame(0, 100),
        SettingsFrame(0, settings={SettingsFrame.MAX_FRAME_SIZE: 20_000}),
        PriorityFrame(1, 3),
        SettingsFrame(0, flags=("ACK",)),
        b"\x00\x00\x03\xee\x00\x00\x00\x00\x01abc",  # of an unknown type
    ]
    while any(left):
        which = draw(st.sampled_from([number for number, said in enumerate(left) if said]))
        said = left[which].pop(0)
        frames = said(encoder) if callable(said) else [said]
        data += b"".join(frame.serialize() for frame in frames)
        if draw(st.integers(0, 3)) == 0:
            other = draw(st.sampled_from(between))
            if isinstance(other, SettingsFrame) and "ACK" in other.flags:
                continue
            data += other if isinstance(other, bytes) else other.serialize()
    return data + GoAwayFrame(0, 7, 0, b"bye").serialize()


async def outcome(stream: H2ClientStream) -> list[Any]:
    """All that comes on a stream, bodies whole."""
    told: list[Any] = []
    body = b""
    try:
        while (head := await stream.read_head(FOREVER)) is not None:
            told.append(list(head))
            if (head.get(":status") or "2")[0] == "2":
                while (piece := await stream.read_piece(FOREVER)) is not None:
                    body += piece
    except EngineError as error:
        # How much of a body was handed out before a fault depends on the reader's pace.
        return [*told, type(error).__name__, getattr(error, "code", None)]
    return [*told, body]


def listen(data: bytes, cuts: list[int]) -> list[Any]:
    """What four requests are told by `data`, cut at these places."""
    peer = Peer("client")

    results: dict[H2ClientStream, list[Any]] = {}

    async def read(stream: H2ClientStream) -> None:
        results[stream] = await outcome(stream)

    async def main() -> list[Any]:
        streams = []
        for number in STREAMS:
            stream = peer.connection.new_stream()
            await stream.write_headers(get(f"/{number}"), True)
            streams.append(stream)
        tasks = [peer.backend.spawn(read(stream), f"reader of {stream.id}") for stream in streams]
        places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
        for start, end in itertools.pairwise(places):
            await peer.stream.send_all(data[start:end], FOREVER)
            await peer.backend.sleep_until(peer.backend.now() + 1)
        for task in tasks:
            assert await task.join(peer.backend.now() + 5)
        return [results[stream] for stream in streams]

    return peer.run(main())


@settings(max_examples=60, deadline=None)
@given(conversations(), st.lists(st.integers(0, 10_000), min_size=1, max_size=40))
def test_any_split_means_the_same(data: bytes, cuts: list[int]) -> None:
    whole = listen(data, [])
    assert len(whole) == 4
    assert listen(data, cuts) == whole


@settings(max_examples=5, deadline=None)
@given(conversations())
def test_byte_by_byte(data: bytes) -> None:
    assert listen(data, list(range(len(data)))) == listen(data, [])
