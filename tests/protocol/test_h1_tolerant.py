"""The tolerant client machine: what it takes beyond the strict one, that nothing follows that, and what it still refuses."""

from __future__ import annotations

import pytest

from drivetrain.engine.errors import IncompleteMessage, LimitExceeded, RemoteProtocolError
from drivetrain.engine.protocol.h1_client import H1ClientMachine
from drivetrain.engine.protocol.h1_events import DataReceived, EndReceived, Event, ResponseReceived
from drivetrain.engine.protocol.h1_limits import H1Limits
from drivetrain.engine.protocol.h1_tolerant_client import H1TolerantClientMachine
from tests.protocol.h1_support import GET, feed

OK = b"HTTP/1.1 200 OK\r\n"


def receive(
    data: bytes, size: int, limits: H1Limits | None = None, ended: bool = True
) -> tuple[list[Event], object, bool]:
    """What becomes of an answer that comes in pieces: events, error, and whether another request may follow."""
    machine = H1TolerantClientMachine(1.1, limits or H1Limits())
    machine.send_request(GET, True)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    outcome = feed(machine, [*pieces, b""] if ended else pieces)
    return outcome.events, outcome.error and (type(outcome.error), str(outcome.error)), machine.can_continue


def in_any_pieces(data: bytes, limits: H1Limits | None = None, ended: bool = True) -> tuple[list[Event], object, bool]:
    whole = receive(data, len(data), limits, ended)
    for size in (1, 2, 3):
        cut = receive(data, size, limits, ended)
        assert [repr(vars(event)) if hasattr(event, "__dict__") else repr(event) for event in cut[0]] == [
            repr(vars(event)) if hasattr(event, "__dict__") else repr(event) for event in whole[0]
        ]
        assert cut[1:] == whole[1:]
    return whole


@pytest.mark.parametrize(
    ("data", "fields", "body"),
    [
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", [("Content-Length", "2")], b"ok"),
        (b"HTTP/1.1 200 OK\nContent-Length: 4\n\nok\r\n\r\n", [("Content-Length", "4")], b"ok\r\n"),
        (OK + b"A: 1\r\n b\r\nContent-Length: 2\r\n\r\nok", [("A", "1 b"), ("Content-Length", "2")], b"ok"),
        (OK + b"A: 1\r\nnothing\r\nContent-Length: 1\r\n\r\nok", [("A", "1")], b"ok"),
        (OK + b"A: \x01\r\nContent-Length: 2\r\n\r\nok", [("A", "\x01"), ("Content-Length", "2")], b"ok"),
        (b"HTTP/1.1  200  OK\r\nContent-Length: 2\r\n\r\nok", [("Content-Length", "2")], b"ok"),
        (OK + b"A: 1\n", [("A", "1")], b""),
        (b"HTTP/1.1 100 x\nA: 1\n\n" + OK + b"Content-Length: 2\n\nok", [("Content-Length", "2")], b"ok"),
        (OK + b"Content-Length: x\r\n\r\nok", [("Content-Length", "x")], b"ok"),
        (OK + b"Content-Length: 2, 2\r\n\r\nok", [("Content-Length", "2, 2")], b"ok"),
        (
            OK + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok",
            [("Transfer-Encoding", "identity"), ("Content-Length", "2")],
            b"ok",
        ),
        (
            OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            [("Content-Length", "9"), ("Transfer-Encoding", "chunked")],
            b"ok",
        ),
        (
            OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            [("Transfer-Encoding", "chunked, chunked")],
            b"ok",
        ),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2  \r\nok\r\n0\r\n\r\n", [("Transfer-Encoding", "chunked")], b"ok"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\nok\r\n0\n\n", [("Transfer-Encoding", "chunked")], b"ok"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", [("Transfer-Encoding", "chunked")], b"ok"),
        (
            OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx\r\n\r\n",
            [("Transfer-Encoding", "chunked")],
            b"ok",
        ),
    ],
)
def test_what_is_taken(data: bytes, fields: list[tuple[str, str]], body: bytes) -> None:
    events, _, may_go_on = in_any_pieces(data)
    (head,) = [event for event in events if isinstance(event, ResponseReceived)]
    assert head.headers.raw_fields() == [(":status", "200"), *fields]
    assert b"".join(event.data for event in events if isinstance(event, DataReceived)) == body
    assert sum(isinstance(event, EndReceived) for event in events) == 1
    assert not may_go_on
    # The strict machine refuses it, at the head or later.
    strict = H1ClientMachine()
    strict.send_request(GET, True)
    assert feed(strict, [data, b""]).error is not None


@pytest.mark.parametrize(
    "odd", [b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", OK + b"Content-Length: 2\r\nTransfer-Encoding: x\r\n\r\nok"]
)
def test_nothing_follows(odd: bytes) -> None:
    machine = H1TolerantClientMachine()
    machine.send_request(GET, True)
    outcome = feed(machine, [odd + OK + b"Content-Length: 0\r\n\r\n"])
    assert sum(isinstance(event, ResponseReceived) for event in outcome.events) == 1
    assert not machine.can_continue


def test_what_is_as_it_should_be_is_taken_as_ever() -> None:
    data = OK + b"Content-Length: 2\r\n\r\nok"
    events, error, may_go_on = in_any_pieces(data, ended=False)
    assert [type(event) for event in events] == [ResponseReceived, DataReceived, EndReceived]
    assert (error, may_go_on) == (None, True)


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (b"garbage\r\n\r\n", RemoteProtocolError, "malformed status line: 'garbage'"),
        (OK + b"A: 1\rB: 2\r\n\r\n", RemoteProtocolError, "bare CR in the value of field 'A'"),
        (
            OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nok",
            RemoteProtocolError,
            "differing Content-Length fields",
        ),
        (OK + b"Content-Length: 1, 2\r\n\r\nok", RemoteProtocolError, "differing Content-Length fields"),
        (b"HTTP/1.1 101 Switch\n\n", RemoteProtocolError, "101 Switching Protocols was not asked for"),
        (OK + b"A: 1\nB: ", IncompleteMessage, "the connection ended inside a header section"),
        (b"HTTP/1.1 200", IncompleteMessage, "the connection ended inside a header section"),
        (OK + b"Content-Length: 3\n\nok", IncompleteMessage, "the connection ended 1 bytes before the end of the body"),
        (
            OK + b"Transfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n",
            RemoteProtocolError,
            "malformed chunk-size line '-2'",
        ),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nok", IncompleteMessage, "the connection ended inside a chunk"),
    ],
)
def test_what_is_refused(data: bytes, kind: type, message: str) -> None:
    _, error, may_go_on = in_any_pieces(data)
    assert error == (kind, message)
    assert not may_go_on


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"HTTP/1.1 200 OK\n" + b"A: 1234\n" * 20, "header section longer than 60 bytes"),
        (b"HTTP/1.1 200 OK\nA: " + b"1" * 40, "field line longer than 30 bytes"),
        (b"HTTP/1.1 200 OK\nA: 1\nA: 2\nA: 3\nA: 4\n\n", "more than 3 field lines"),
    ],
)
def test_limits_hold(data: bytes, message: str) -> None:
    limits = H1Limits(max_line=30, max_head=60, max_fields=3)
    assert in_any_pieces(data, limits, ended=False)[1] == (LimitExceeded, message)


def test_an_end_before_any_answer_is_not_an_answer() -> None:
    machine = H1TolerantClientMachine()
    machine.send_request(GET, True)
    assert [type(event).__name__ for event in feed(machine, [b""]).events] == ["ConnectionEnded"]
