"""CONNECT and Upgrade: when a connection stops being HTTP/1, and what both roles do while that is open."""

from __future__ import annotations

import pytest

from drivetrain.engine.errors import LocalProtocolError
from drivetrain.engine.protocol.h1_client import H1ClientMachine
from drivetrain.engine.protocol.h1_events import ConnectionEnded, DataReceived, EndReceived, Event, RequestReceived
from drivetrain.engine.protocol.h1_framing import BodyKind
from drivetrain.engine.wire.headers import Headers
from tests.protocol.h1_support import GET, answer, client, drain, feed, request, response, run, server

HEAD = request("HEAD")
CONNECT = Headers([(":method", "CONNECT"), (":authority", "a:443")])
UPGRADE = request("GET", ("Upgrade", "x"), ("Connection", "upgrade"))
END = EndReceived(None)
OK_EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
GET_BYTES = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


# -- the client --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n"]
)
def test_a_tunnel(fields: bytes) -> None:
    data = b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\0\r\nanything"
    outcome = answer(data, CONNECT, ended=True)
    assert outcome.response.switched
    assert outcome.body == b"\0\r\nanything"
    assert outcome.events[-1] == ConnectionEnded()
    machine = client(CONNECT)
    feed(machine, [data])
    assert machine.switched
    assert machine.body_kind is BodyKind.TUNNEL
    assert machine.send_data(b"\0any") == b"\0any"
    assert not machine.can_continue


def test_a_refused_tunnel() -> None:
    machine = client(CONNECT)
    outcome = feed(machine, [b"HTTP/1.1 407 X\r\nContent-Length: 3\r\n\r\nabc"])
    assert outcome.body == b"abc"
    assert not outcome.response.switched
    assert machine.can_continue
    assert machine.send_request(CONNECT, True).startswith(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n")


def test_101_asked_for() -> None:
    data = (
        b"HTTP/1.1 100 X\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n\x81\x00"
    )
    outcome = answer(data, UPGRADE)
    assert outcome.response.switched
    assert outcome.response.reason == "Switching Protocols"
    assert outcome.body == b"\x81\x00"


def test_101_in_the_middle_of_a_request() -> None:
    machine = H1ClientMachine()
    machine.send_request(request("POST", ("Upgrade", "x"), ("Connection", "upgrade"), ("Content-Length", "5")), False)
    outcome = feed(machine, [b"HTTP/1.1 101 X\r\n\r\n"])
    assert "in the middle of the request" in str(outcome.error)


@pytest.mark.parametrize("asked", [GET, CONNECT, HEAD])
def test_101_not_asked_for(asked: Headers) -> None:
    outcome = answer(b"HTTP/1.1 101 X\r\n\r\n", asked)
    assert "was not asked for" in str(outcome.error)


def test_an_upgrade_that_is_ignored() -> None:
    machine = client(UPGRADE)
    outcome = feed(machine, [OK_EMPTY])
    assert not outcome.response.switched
    assert machine.can_continue


@pytest.mark.parametrize("asked", [UPGRADE, CONNECT])
def test_no_request_follows_one_that_may_switch(asked: Headers) -> None:
    machine = client(asked)
    with pytest.raises(LocalProtocolError, match="may switch protocols"):
        machine.send_request(GET, True)


# -- the server --------------------------------------------------------------------------------------------------------

SWITCHING = [
    b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: keep-alive, Upgrade\r\n\r\n",
]


@pytest.mark.parametrize("asked", SWITCHING)
def test_a_server_does_not_look_past_a_request_that_may_switch(asked: bytes) -> None:
    outcome = run(server, asked + b"\0 no HTTP at all \r\n\r\n")
    assert outcome.error is None
    assert [type(event) for event in outcome.events] == [RequestReceived, EndReceived]


@pytest.mark.parametrize("asked", SWITCHING)
@pytest.mark.parametrize("answered_before_end", [False, True])
def test_a_server_switches(asked: bytes, answered_before_end: bool) -> None:
    machine = server()
    machine.receive(asked + b"\0xyz")
    events: list[Event] = []
    for _ in range(1 if answered_before_end else 2):
        event = machine.next_event()
        assert event is not None
        events.append(event)
    assert machine.receiving
    output = machine.send_response(response("200" if asked[:1] == b"C" else "101", ("X", "y")), False)
    assert output.endswith(b"\r\nX: y\r\n\r\n")
    machine.receive(b"more")
    machine.receive(b"")
    drain(machine, events)
    assert type(events[0]) is RequestReceived
    assert events[1] == END
    assert b"".join(event.data for event in events[2:-1] if type(event) is DataReceived) == b"\0xyzmore"
    assert events[-1] == ConnectionEnded()
    assert machine.switched
    assert machine.body_kind is BodyKind.TUNNEL
    assert not machine.receiving
    assert not machine.can_continue
    assert machine.send_data(b"\0") == b"\0"


@pytest.mark.parametrize("asked", SWITCHING)
def test_a_server_that_does_not_switch_reads_on(asked: bytes) -> None:
    machine = server()
    first = feed(machine, [asked + GET_BYTES])
    assert len(first.heads) == 1
    assert machine.receiving
    machine.send_response(response("400"), True)
    assert not machine.receiving
    assert machine.can_continue
    assert [type(event) for event in feed(machine, [b""]).events] == [RequestReceived, EndReceived, ConnectionEnded]


def test_a_server_reads_on_when_the_final_response_begins() -> None:
    machine = server()
    feed(machine, [SWITCHING[1] + GET_BYTES])
    machine.send_response(response("100"), False)
    assert machine.receiving
    machine.send_response(response("200"), False)
    assert len(feed(machine, []).heads) == 1


def test_a_server_answers_an_upgrade_with_body_before_its_end() -> None:
    post = b"POST / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 4\r\n\r\n"
    machine = server()
    feed(machine, [post + b"ab"])
    machine.send_response(response("200"), True)
    assert [type(event) for event in feed(machine, [b"cd" + GET_BYTES]).events] == [
        DataReceived,
        EndReceived,
        RequestReceived,
        EndReceived,
    ]


def test_a_server_switches_before_the_request_ended() -> None:
    post = b"POST / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 4\r\n\r\n"
    machine = server()
    feed(machine, [post + b"ab"])
    machine.send_response(response("101"), False)
    assert feed(machine, [b"cd\0", b"raw"]).events == [DataReceived(b"cd"), END, DataReceived(b"\0raw")]


@pytest.mark.parametrize(
    "fields", [b"Upgrade: x\r\n", b"Connection: upgrade\r\n", b"Upgrade: x\r\nConnection: close\r\n"]
)
def test_half_an_upgrade_is_none(fields: bytes) -> None:
    machine = server()
    feed(machine, [b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n"])
    assert not machine.receiving
    with pytest.raises(LocalProtocolError, match="without Upgrade"):
        machine.send_response(response("101"), False)
    assert machine.send_response(response("200"), True)


def test_an_upgrade_in_http_1_0_is_ignored() -> None:
    machine = server()
    feed(machine, [b"GET / HTTP/1.0\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"])
    assert not machine.exchanges[0].upgrade
