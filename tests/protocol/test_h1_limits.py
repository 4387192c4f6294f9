"""Every limit on the peer's input, at its exact boundary, and the status a server answers with."""

from __future__ import annotations

import gzip
from dataclasses import FrozenInstanceError, replace

import pytest

from drivetrain.engine.errors import LimitExceeded, RemoteProtocolError
from drivetrain.engine.protocol.h1_limits import H1Limits
from tests.protocol.h1_support import GET, Outcome, answer, client, feed, serve, server

SMALL = H1Limits(max_line=40, max_head=120, max_fields=4, max_trailers=60, max_chunk_extensions=30, max_informational=3)
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def check_refused(outcome: Outcome, status: int, message: str) -> None:
    assert type(outcome.error) is LimitExceeded
    assert message in str(outcome.error)
    assert outcome.error.status == status


def test_the_defaults() -> None:
    assert H1Limits() == H1Limits(8192, 65536, 100, 16384, 16384, 100)


def test_limits_can_be_varied_but_not_changed() -> None:
    limits = replace(H1Limits(), max_fields=7)
    assert (limits.max_fields, limits.max_line) == (7, 8192)
    assert hash(limits) == hash(H1Limits(max_fields=7))
    with pytest.raises(FrozenInstanceError):
        limits.max_fields = 8  # type: ignore[misc]


@pytest.mark.parametrize("max_line", [40, 8192])
def test_request_line(max_line: int) -> None:
    limits = replace(H1Limits(), max_line=max_line)
    target = b"/" + b"x" * (max_line - len("GET / HTTP/1.1"))
    good = b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n"
    assert serve(good, limits).error is None
    check_refused(serve(good.replace(b" HTTP", b"x HTTP"), limits), 414, f"start line longer than {max_line} bytes")


def test_request_line_without_an_end() -> None:
    assert serve(b"G" * 41, SMALL).error is None
    check_refused(serve(b"G" * 42, SMALL), 414, "start line longer than 40 bytes")
    assert serve(b"G" * 40 + b"\r", SMALL).error is None


def test_status_line() -> None:
    line = b"HTTP/1.1 200 "
    reason = b"x" * (40 - len(line))
    assert answer(line + reason + b"\r\nContent-Length: 0\r\n\r\n", limits=SMALL).error is None
    check_refused(answer(line + reason + b"x\r\n\r\n", limits=SMALL), 414, "start line longer")


@pytest.mark.parametrize("lines_before", [b"", b"A: b\r\n"])
def test_field_line(lines_before: bytes) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + lines_before
    line = b"X: " + b"y" * 37
    assert serve(head + line + b"\r\n\r\n", SMALL).error is None
    check_refused(serve(head + line + b"y\r\n\r\n", SMALL), 431, "field line longer than 40 bytes")
    check_refused(serve(head + line + b"yy", SMALL), 431, "field line longer than 40 bytes")


def test_header_section() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\n"
    head += (b"A: " + b"x" * 35 + b"\r\n") * 2
    head += b"B: " + b"x" * (120 - len(head) - 7) + b"\r\n\r\n"
    assert len(head) == 120
    assert serve(head, SMALL).error is None
    check_refused(serve(head.replace(b"B: ", b"B: x"), SMALL), 431, "header section longer than 120 bytes")
    # However many requests stand before it.
    assert len(serve(head * 3, SMALL).heads) == 3
    check_refused(serve(head * 2 + head.replace(b"B: ", b"B: x"), SMALL), 431, "header section")


def test_header_section_without_an_end() -> None:
    lines = b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 30
    assert serve(lines[:120], SMALL).error is None
    check_refused(serve(lines[:121], SMALL), 431, "header section longer than 120 bytes")
    check_refused(answer(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20, limits=SMALL), 431, "header section")


def test_header_section_at_the_default() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\n"
    head += (b"A: " + b"x" * 7000 + b"\r\n") * 9
    head += b"B: " + b"x" * (65536 - len(head) - 7) + b"\r\n\r\n"
    assert len(head) == 65536
    assert feed(server(), [head]).error is None
    check_refused(feed(server(), [head.replace(b"B: ", b"B: x")]), 431, "header section longer than 65536 bytes")
    half = len(head) // 2
    check_refused(feed(server(), [head[:half], head[half:-2] + b"xx", b"x"]), 431, "header section longer")


@pytest.mark.parametrize("limits", [SMALL, H1Limits(max_head=30), H1Limits(max_line=10)])
def test_the_first_fault_in_the_data_is_reported(limits: H1Limits) -> None:
    # `serve` sees that splits make no difference; what counts here is the variety of positions.
    for position in range(0, 160, 3):
        data = bytearray(b"GET / HTTP/1.1\r\nHost: a\r\nLonger: field\r\n" + b"X: " + b"y" * 200)
        data[position : position + 1] = b"\n"
        outcome = serve(bytes(data), limits)
        assert isinstance(outcome.error, RemoteProtocolError)


@pytest.mark.parametrize("count", [4, 100])
def test_fields(count: int) -> None:
    limits = H1Limits(max_fields=count)
    head = b"GET / HTTP/1.1\r\nHost: a\r\n"
    assert serve(head + b"A: b\r\n" * (count - 1) + b"\r\n", limits).error is None
    check_refused(serve(head + b"A: b\r\n" * count + b"\r\n", limits), 431, f"more than {count} field lines")
    status = b"HTTP/1.1 204 X\r\n"
    assert answer(status + b"A: b\r\n" * count + b"\r\n", limits=limits).error is None
    check_refused(answer(status + b"A: b\r\n" * (count + 1) + b"\r\n", limits=limits), 431, "field lines")


def test_trailer_section() -> None:
    line = b"X: " + b"y" * 32 + b"\r\n"
    section = line + b"Z: " + b"y" * (60 - len(line) - 7) + b"\r\n\r\n"
    assert len(section) == 60
    outcome = serve(CHUNKED + b"0\r\n" + section, SMALL)
    assert outcome.error is None
    assert outcome.trailers is not None
    message = "trailer section longer than 60 bytes"
    check_refused(serve(CHUNKED + b"0\r\n" + section.replace(b"Z: ", b"Z: y"), SMALL), 431, message)
    check_refused(serve(CHUNKED + b"0\r\n" + b"Z: y\r\n" * 11, SMALL), 431, message)


def test_trailer_lines() -> None:
    good = CHUNKED + b"0\r\nX: " + b"y" * 37 + b"\r\n\r\n"
    assert serve(good, SMALL).error is None
    check_refused(serve(good.replace(b"X: ", b"X: y"), SMALL), 431, "field line longer than 40 bytes")


def test_trailer_fields() -> None:
    assert serve(CHUNKED + b"0\r\n" + b"X: y\r\n" * 4 + b"\r\n", SMALL).error is None
    check_refused(serve(CHUNKED + b"0\r\n" + b"X: y\r\n" * 5 + b"\r\n", SMALL), 431, "more than 4 field lines")


def test_chunk_extensions_are_counted_over_all_chunks() -> None:
    # 3 x 9 + 3 bytes, the semicolons included
    good = CHUNKED + b"1;12345678\r\na\r\n" * 3 + b"0;aa\r\n\r\n"
    assert serve(good, SMALL).body == b"aaa"
    check_refused(serve(good.replace(b"0;aa", b"0;aaa"), SMALL), 400, "more than 30 bytes of chunk extensions")
    # A new message counts from the beginning.
    assert len(serve(good * 3, SMALL).heads) == 3


def test_chunk_size_line() -> None:
    limits = replace(SMALL, max_chunk_extensions=100)
    good = CHUNKED + b"1;" + b"x" * 38 + b"\r\na\r\n0\r\n\r\n"
    assert serve(good, limits).body == b"a"
    message = "chunk-size line longer than 40 bytes"
    check_refused(serve(good.replace(b"1;", b"1;x"), limits), 400, message)
    check_refused(serve(CHUNKED + b"1" * 42, limits), 400, message)
    assert serve(CHUNKED + b"1;" + b"x" * 38 + b"\r", limits).error is None


def test_bodies() -> None:
    limits = replace(H1Limits(), max_body=3)
    head = b"POST / HTTP/1.1\r\nHost: a\r\n"
    assert serve(head + b"Content-Length: 3\r\n\r\nabc", limits).body == b"abc"
    check_refused(serve(head + b"Content-Length: 4\r\n\r\n", limits), 413, "body longer than 3 bytes")
    good = CHUNKED + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    assert serve(good * 2, limits).body == b"abcabc"
    check_refused(serve(good.replace(b"1\r\nc", b"2\r\ncd"), limits), 413, "body longer than 3 bytes")
    packed = gzip.compress(b"x" * 1000)
    coded = CHUNKED.replace(b"chunked", b"gzip, chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed)
    assert serve(coded, replace(limits, max_body=1000)).body == b"x" * 1000
    check_refused(serve(coded, replace(limits, max_body=999)), 413, "body longer than 999 bytes")
    check_refused(answer(b"HTTP/1.1 200 OK\r\n\r\nabcd", limits=limits, ended=True), 413, "body longer than 3 bytes")


def test_informational_responses() -> None:
    final = b"HTTP/1.1 204 X\r\n\r\n"
    assert answer(b"HTTP/1.1 103 X\r\n\r\n" * 3 + final, limits=SMALL).error is None
    check_refused(answer(b"HTTP/1.1 103 X\r\n\r\n" * 4 + final, limits=SMALL), 400, "more than 3 informational")


def test_informational_responses_are_counted_per_final_one() -> None:
    machine = client(limits=SMALL)
    for _ in range(3):
        assert feed(machine, [b"HTTP/1.1 100 X\r\n\r\n" * 3 + b"HTTP/1.1 204 X\r\n\r\n"]).error is None
        machine.send_request(GET, True)


def test_a_limit_can_be_changed_on_the_way() -> None:
    machine = server()
    machine.limits = replace(machine.limits, max_fields=1)
    outcome = feed(machine, [b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n"])
    check_refused(outcome, 431, "more than 1 field lines")
