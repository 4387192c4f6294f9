"""What request smuggling is made of is refused, with an error that names the fault, however the bytes are split."""

from __future__ import annotations

import pytest

from drivetrain.engine.protocol.h1_events import EndReceived, RequestReceived
from drivetrain.engine.wire.headers import Headers
from tests.protocol.h1_support import Case, answer, cases, client, feed, request, serve, server

REQUESTS = cases("h1_refused_requests.txt")
RESPONSES = cases("h1_refused_responses.txt")


def named(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", REQUESTS, ids=named)
def test_request_is_refused(case: Case) -> None:
    outcome = serve(case.data, ended=True)
    assert outcome.error is not None
    assert case.message in str(outcome.error)
    assert outcome.error.status == case.status
    assert not any(type(event) is EndReceived for event in outcome.events)


@pytest.mark.parametrize("case", REQUESTS, ids=named)
def test_request_is_refused_behind_a_good_one(case: Case) -> None:
    good = b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n"
    outcome = serve(good + case.data, ended=True)
    assert outcome.error is not None
    assert case.message in str(outcome.error)
    assert outcome.request.headers.get(":path") == "/good"
    assert outcome.events.count(EndReceived(None)) == 1


@pytest.mark.parametrize("case", RESPONSES, ids=named)
def test_response_is_refused(case: Case) -> None:
    outcome = answer(case.data, ended=True)
    assert outcome.error is not None
    assert case.message in str(outcome.error)
    assert outcome.error.status == case.status
    assert not any(type(event) is EndReceived for event in outcome.events)


@pytest.mark.parametrize("case", REQUESTS, ids=named)
def test_a_fault_is_final(case: Case) -> None:
    machine = server()
    outcome = feed(machine, [case.data, b""])
    again = feed(machine, [b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"])
    assert again.events == []
    assert again.error is outcome.error
    assert not machine.can_continue


@pytest.mark.parametrize("case", RESPONSES, ids=named)
def test_a_fault_in_a_response_is_final(case: Case) -> None:
    machine = client()
    outcome = feed(machine, [case.data, b""])
    again = feed(machine, [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
    assert again.events == []
    assert again.error is outcome.error
    assert not machine.can_continue


@pytest.mark.parametrize(
    ("line", "body"),
    [
        (b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n"),
        (b"Transfer-Encoding:chunked", b"3\r\nabc\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: \t chunked\t ", b"3\r\nabc\r\n0\r\n\r\n"),
        (b"TRANSFER-encoding: ChUnKeD", b"3\r\nabc\r\n0\r\n\r\n"),
        # RFC 9110 section 5.6.1.2: empty list elements are skipped.
        (b"Transfer-Encoding: , chunked ,", b"3\r\nabc\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked", b"0003\r\nabc\r\n0000\r\n\r\n"),
        (b"Transfer-Encoding: chunked", b"0000000000000003\r\nabc\r\n0000000000000000\r\n\r\n"),
        (b"Transfer-Encoding: chunked", b'3;a;b="c d"\r\nabc\r\n0;\r\n\r\n'),
        (b"Transfer-Encoding: chunked", b"3 \t;a\r\nabc\r\n0\t;x=y \r\n\r\n"),
        (b"Transfer-Encoding: chunked", b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"),
        (b"Content-Length: 3", b"abc"),
        (b"Content-Length:\t3 ", b"abc"),
        (b"Content-Length: 000000003", b"abc"),
    ],
)
def test_what_is_near_but_right_is_taken(line: bytes, body: bytes) -> None:
    follower = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
    outcome = serve(b"POST / HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n" + body + follower)
    assert outcome.error is None
    assert outcome.body == b"abc"
    first, second = outcome.heads
    assert type(first) is RequestReceived
    assert type(second) is RequestReceived
    assert first.has_body
    assert second.headers == request(path="/next")


def test_case_of_hexadecimal_digits() -> None:
    outcome = serve(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"aA\r\n" + b"x" * 0xAA + b"\r\n0\r\n\r\n"
    )
    assert outcome.body == b"x" * 170


@pytest.mark.parametrize(
    "name", [b"\xff", b"Content Length", b"Content-Length\xa0", b"Content\xadLength", b"(x)", b"a,b", b'"']
)
def test_a_name_must_be_a_token(name: bytes) -> None:
    outcome = serve(b"GET / HTTP/1.1\r\nHost: a\r\n" + name + b": 5\r\n\r\n")
    assert outcome.events == []
    assert "field name is not a token" in str(outcome.error)


def test_names_that_look_alike_are_other_fields() -> None:
    outcome = serve(b"GET / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\n\r\n")
    assert outcome.error is None
    assert not outcome.request.has_body


@pytest.mark.parametrize("control", [n for n in range(0x20) if n not in (0x09, 0x0A, 0x0D)] + [0x7F])
@pytest.mark.parametrize("template", [b"X: %b\r\n", b"X: a%bb\r\n", b"X%b: a\r\n", b"%bX: a\r\n"])
def test_controls_are_refused_in_fields(control: int, template: bytes) -> None:
    field = template % bytes([control])
    assert serve(b"GET / HTTP/1.1\r\nHost: a\r\n" + field + b"\r\n").error is not None
    assert answer(b"HTTP/1.1 204 X\r\n" + field + b"\r\n").error is not None
    chunked = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    assert answer(chunked + field + b"\r\n").error is not None


@pytest.mark.parametrize("octet", [0x09, 0x20, 0x21, 0x7E, 0x80, 0x85, 0xA0, 0xFF])
def test_other_bytes_survive_in_values(octet: int) -> None:
    outcome = serve(b"GET / HTTP/1.1\r\nHost: a\r\nX: a" + bytes([octet]) + b"b\r\n\r\n")
    assert outcome.request.headers.get("x") == f"a{chr(octet)}b"


def test_equal_lengths_are_one_for_a_client() -> None:
    outcome = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc")
    assert outcome.error is None
    assert outcome.body == b"abc"
    assert outcome.response.length == 3


def test_a_status_line_may_end_after_the_code() -> None:
    for line in (b"HTTP/1.1 204", b"HTTP/1.1 204 "):
        outcome = answer(line + b"\r\n\r\n")
        assert outcome.response.headers == Headers([(":status", "204")])
        assert outcome.response.reason == ""


def test_one_empty_line_before_a_request_is_skipped() -> None:
    one = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    outcome = serve(b"\r\n" + one + b"\r\n" + one)
    assert outcome.error is None
    assert len(outcome.heads) == 2
