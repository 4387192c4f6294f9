"""Feeding the HTTP/1 machine in every way a network could, and telling whether the outcome was the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from drivetrain.engine.errors import RemoteProtocolError
from drivetrain.engine.protocol.h1 import H1Machine
from drivetrain.engine.protocol.h1_client import H1ClientMachine
from drivetrain.engine.protocol.h1_events import (
    ConnectionEnded,
    DataReceived,
    EndReceived,
    Event,
    RequestReceived,
    ResponseReceived,
)
from drivetrain.engine.protocol.h1_limits import H1Limits
from drivetrain.engine.protocol.h1_server import H1ServerMachine
from drivetrain.engine.wire.headers import Headers

DATA = Path(__file__).parent / "data"
GET = Headers([(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")])


class Case(NamedTuple):
    """A line of input that must be refused."""

    name: str
    status: int
    message: str
    data: bytes


def cases(file: str) -> list[Case]:
    """Read a file of cases: blocks of name, status and message, bytes; between empty lines."""
    text = (DATA / file).read_text(encoding="utf-8")
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        if lines:
            name, expected, data = lines
            status, _, message = expected.partition(" ")
            found.append(
                Case(name, int(status), message, data.encode("ascii").decode("unicode_escape").encode("latin-1"))
            )
    return found


class Outcome(NamedTuple):
    """What a machine made of some input."""

    events: list[Event]
    error: RemoteProtocolError | None

    @property
    def body(self) -> bytes:
        return b"".join(event.data for event in self.events if type(event) is DataReceived)

    @property
    def heads(self) -> list[Event]:
        return [event for event in self.events if type(event) not in (DataReceived, EndReceived, ConnectionEnded)]

    @property
    def request(self) -> RequestReceived:
        event = self.events[0]
        assert type(event) is RequestReceived
        return event

    @property
    def response(self) -> ResponseReceived:
        event = next(event for event in self.events if type(event) is ResponseReceived)
        assert type(event) is ResponseReceived
        return event

    @property
    def trailers(self) -> Headers | None:
        (end,) = (event for event in self.events if type(event) is EndReceived)
        return end.trailers


def merged(events: Iterable[Event]) -> list[Event]:
    """The same events with adjacent pieces of data as one."""
    result: list[Event] = []
    for event in events:
        if type(event) is DataReceived:
            assert event.data, "an empty piece of data tells nothing"
            if result and type(result[-1]) is DataReceived:
                event = DataReceived(result.pop().data + event.data)
        result.append(event)
    return result


def drain(machine: H1Machine, events: list[Event]) -> None:
    """Take every event there is for now; once the connection has ended, none is taken any more."""
    while not (events and type(events[-1]) is ConnectionEnded):
        event = machine.next_event()
        if event is None:
            return
        events.append(event)


def feed(machine: H1Machine, pieces: Iterable[bytes]) -> Outcome:
    """Give the pieces one after the other, taking the events after each; b"" ends the connection."""
    events: list[Event] = []
    try:
        drain(machine, events)
        for piece in pieces:
            machine.receive(piece)
            drain(machine, events)
    except RemoteProtocolError as error:
        return Outcome(merged(events), error)
    return Outcome(merged(events), None)


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def cut(data: bytes, positions: Iterable[int]) -> list[bytes]:
    """Cut `data` at the positions, each taken modulo its length."""
    points = sorted({position % (len(data) + 1) for position in positions} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(points) if start != end]


def check_same(one: Outcome, other: Outcome) -> None:
    """Equal events; or the same error after the same events, of which the last data may be cut shorter."""
    if one.error is None and other.error is None:
        assert one.events == other.events
        return
    assert one.error is not None
    assert other.error is not None
    assert type(one.error) is type(other.error)
    assert (one.error.status, str(one.error)) == (other.error.status, str(other.error))
    assert [e for e in one.events if type(e) is not DataReceived] == [
        e for e in other.events if type(e) is not DataReceived
    ]
    assert one.body.startswith(other.body) or other.body.startswith(one.body)


def run(make: Callable[[], H1Machine], data: bytes, ended: bool = False) -> Outcome:
    """Feed `data` as a whole and byte by byte, see that it makes no difference, and return the outcome."""
    end = [b""] if ended else []
    whole = feed(make(), [data, *end] if data else end)
    check_same(feed(make(), [*bytewise(data), *end]), whole)
    return whole


def server(limits: H1Limits | None = None) -> H1ServerMachine:
    return H1ServerMachine(limits=limits or H1Limits())


def client(*requests: Headers, limits: H1Limits | None = None, version: float = 1.1) -> H1ClientMachine:
    """A client that has sent the requests, GET for none given, without bodies."""
    machine = H1ClientMachine(version, limits or H1Limits())
    for request in requests or (GET,):
        machine.send_request(request, True)
    return machine


def request(method: str = "GET", *fields: tuple[str, str], path: str = "/") -> Headers:
    return Headers([(":method", method), (":scheme", "http"), (":authority", "a"), (":path", path), *fields])


def response(status: str = "200", *fields: tuple[str, str]) -> Headers:
    return Headers([(":status", status), *fields])


def serve(data: bytes, limits: H1Limits | None = None, ended: bool = False) -> Outcome:
    """What a server makes of `data`."""
    return run(lambda: server(limits), data, ended)


def answer(data: bytes, *requests: Headers, limits: H1Limits | None = None, ended: bool = False) -> Outcome:
    """What a client that has sent `requests` makes of `data`."""
    return run(lambda: client(*requests, limits=limits), data, ended)


def fields_of(output: bytes) -> list[bytes]:
    """The field lines of the head that `output` begins with."""
    head, _, _ = output.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[1:]


def asked(data: bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", version: float = 1.1) -> H1ServerMachine:
    """A server that has received a request."""
    machine = H1ServerMachine(version)
    assert feed(machine, [data]).error is None
    return machine
