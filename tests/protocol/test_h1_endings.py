"""Receiving bodies under a transfer coding, and the end of the connection, which never makes a message shorter."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from drivetrain.engine.errors import DecodingError, IncompleteMessage
from drivetrain.engine.protocol.h1_events import (
    ConnectionEnded,
    DataReceived,
    EndReceived,
)
from tests.protocol.h1_support import answer, client, feed, serve

END = EndReceived(None)
GET_BYTES = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


# -- transfer codings --------------------------------------------------------------------------------------------------

TEXT = b"the quick brown fox " * 500


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        (b"gzip", gzip.compress(TEXT)),
        (b"x-gzip", gzip.compress(TEXT)),
        (b"GZip", gzip.compress(TEXT[:300]) + gzip.compress(TEXT[300:])),
        (b"deflate", zlib.compress(TEXT)),
    ],
)
def test_compressions_below_chunked(coding: bytes, data: bytes) -> None:
    body = chunked(data[:10], data[10:11], data[11:])
    head = b"Transfer-Encoding: " + coding + b" , chunked\r\n\r\n"
    assert serve(b"POST / HTTP/1.1\r\nHost: a\r\n" + head + body + GET_BYTES).body == TEXT
    assert answer(b"HTTP/1.1 200 X\r\n" + head + body).body == TEXT
    two_lines = head.replace(b" , ", b"\r\nTransfer-Encoding: ")
    assert answer(b"HTTP/1.1 200 X\r\n" + two_lines + body).body == TEXT


def test_a_compression_without_chunked_lasts_until_close() -> None:
    data = b"HTTP/1.1 200 X\r\nTransfer-Encoding: gzip\r\n\r\n" + gzip.compress(TEXT)
    outcome = answer(data, ended=True)
    assert outcome.error is None
    assert outcome.body == TEXT
    assert outcome.events[-2:] == [END, ConnectionEnded()]


def test_a_compression_cut_by_close() -> None:
    data = b"HTTP/1.1 200 X\r\nTransfer-Encoding: gzip\r\n\r\n" + gzip.compress(TEXT)
    outcome = answer(data[:-1], ended=True)
    assert type(outcome.error) is DecodingError
    assert END not in outcome.events


def test_a_bomb_comes_in_pieces() -> None:
    bomb = zlib.compress(bytes(64 << 20), 9)
    machine = client()
    tracemalloc.start()
    try:
        machine.receive(b"HTTP/1.1 200 X\r\nTransfer-Encoding: deflate, chunked\r\n\r\n" + chunked(bomb))
        size, pieces = 0, 0
        event = machine.next_event()
        while type(event) is not EndReceived:
            if type(event) is DataReceived:
                assert len(event.data) <= 256 * 1024
                size, pieces = size + len(event.data), pieces + 1
            event = machine.next_event()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == 64 << 20
    assert pieces >= 256
    assert peak < 4 << 20


def test_input_without_output_does_not_pile_up_calls() -> None:
    # A gzip member may have a file name of any length, which decodes to nothing.
    member = b"\x1f\x8b\x08\x08\0\0\0\0\0\xff" + b"x" * 20_000
    head = b"HTTP/1.1 200 X\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    machine = client()
    outcome = feed(machine, [head + b"".join(b"1\r\n%c\r\n" % octet for octet in member)])
    assert outcome.error is None
    assert len(outcome.events) == 1


# -- the connection's end ----------------------------------------------------------------------------------------------

CHUNKED_POST = (
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n1\r\nd\r\n0\r\nX: y\r\n\r\n"
)
LENGTH_POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd"


@pytest.mark.parametrize("message", [CHUNKED_POST, LENGTH_POST, GET_BYTES, b"\r\n" + GET_BYTES])
def test_a_request_cut_anywhere(message: bytes) -> None:
    for size in range(len(message) + 1):
        outcome = serve(message[:size], ended=True)
        if size in (0, len(message)) or message[:size] == b"\r\n":
            assert outcome.error is None
            assert outcome.events[-1] == ConnectionEnded()
        else:
            assert type(outcome.error) is IncompleteMessage
            assert not any(type(event) is EndReceived for event in outcome.events)


@pytest.mark.parametrize(
    "message",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
        b"HTTP/1.1 103 X\r\n\r\nHTTP/1.1 204 X\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: deflate, chunked\r\n\r\n" + chunked(zlib.compress(b"abc")),
    ],
)
def test_a_response_cut_anywhere(message: bytes) -> None:
    for size in range(len(message) + 1):
        outcome = answer(message[:size], ended=True)
        if size in (0, len(message)):
            assert outcome.error is None
            assert outcome.events[-1] == ConnectionEnded()
        else:
            assert type(outcome.error) is IncompleteMessage
            assert not any(type(event) is EndReceived for event in outcome.events)


def test_the_end_between_an_informational_and_the_final_response() -> None:
    outcome = answer(b"HTTP/1.1 103 X\r\n\r\n", ended=True)
    assert "between an informational response and the final one" in str(outcome.error)
