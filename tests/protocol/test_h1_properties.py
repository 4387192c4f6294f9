"""The HTTP/1 machine under generated input: splits make no difference, garbage is refused in order, and what one machine
sends is what the other receives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.errors import InvalidHeader, LocalProtocolError, RemoteProtocolError
from drivetrain.engine.protocol.h1 import H1Machine
from drivetrain.engine.protocol.h1_client import H1ClientMachine
from drivetrain.engine.protocol.h1_events import DataReceived, EndReceived, RequestReceived, ResponseReceived
from drivetrain.engine.protocol.h1_limits import H1Limits
from drivetrain.engine.protocol.h1_server import H1ServerMachine
from drivetrain.engine.wire.headers import Headers
from tests.protocol.h1_support import GET, Outcome, cases, check_same, client, cut, feed, request, run, server

TOKEN_CHARS = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Names that mean something to the machine are chosen on purpose, not by chance.
MEANINGFUL = {
    *("connection", "content-encoding", "content-length", "expect", "host", "te", "transfer-encoding", "upgrade"),
    *(
        "authorization",
        "cache-control",
        "content-range",
        "content-type",
        "cookie",
        "keep-alive",
        "max-forwards",
        "pragma",
    ),
    *("if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since"),
    *("proxy-authorization", "proxy-connection", "range", "set-cookie", "trailer"),
}
SMALL = H1Limits(max_line=60, max_head=150, max_fields=5, max_trailers=50, max_chunk_extensions=20, max_informational=2)

names = st.text(TOKEN_CHARS, min_size=1, max_size=20).filter(lambda name: name.lower() not in MEANINGFUL)
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30).map(
    lambda value: value.strip(" \t")
)
fields = st.lists(st.tuples(names, values), max_size=6)
positions = st.lists(st.integers(0, 1 << 16), max_size=8)
pieces = st.lists(st.binary(max_size=40), max_size=5)


def sized(parts: list[bytes]) -> bytes:
    return b"".join(b"%X;x\r\n%b\r\n" % (len(part), part) for part in parts if part) + b"0\r\n"


def lines(some: list[tuple[str, str]]) -> bytes:
    return "".join(f"{name}:  {value}\t\r\n" for name, value in some).encode("latin-1")


@st.composite
def request_bytes(draw: st.DrawFn) -> bytes:
    """A valid request."""
    start = draw(
        st.sampled_from([b"GET /", b"POST /x?y", b"OPTIONS *", b"PUT http://b:1/z", b"M-SEARCH //", b"HEAD /"])
    )
    start += b" HTTP/1.1\r\nHost: a\r\n" + lines(draw(fields))
    parts = draw(pieces)
    kind = draw(st.integers(0, 2))
    if kind == 0:
        return start + b"\r\n"
    if kind == 1:
        body = b"".join(parts)
        return start + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    return start + b"Transfer-Encoding: chunked\r\n\r\n" + sized(parts) + lines(draw(fields)) + b"\r\n"


@st.composite
def response_bytes(draw: st.DrawFn) -> bytes:
    """A valid response to GET, perhaps after informational ones."""
    early = b"".join(
        draw(st.lists(st.sampled_from([b"HTTP/1.1 103 E\r\nX: y\r\n\r\n", b"HTTP/1.1 100\r\n\r\n"]), max_size=2))
    )
    status = draw(st.sampled_from([b"200 OK", b"404 Not Found", b"500 ", b"299"]))
    start = early + b"HTTP/1.1 " + status + b"\r\n" + lines(draw(fields))
    parts = draw(pieces)
    kind = draw(st.integers(0, 2))
    if kind == 0:
        return early + b"HTTP/1.1 204 No Content\r\n\r\n"
    if kind == 1:
        body = b"".join(parts)
        return start + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    return start + b"Transfer-Encoding: chunked\r\n\r\n" + sized(parts) + lines(draw(fields)) + b"\r\n"


@st.composite
def mutated(draw: st.DrawFn, messages: st.SearchStrategy[bytes]) -> bytes:
    """Some messages with a few bytes changed, put in or taken out."""
    data = b"".join(draw(st.lists(messages, min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        taken = draw(st.integers(0, 3))
        data = data[:at] + draw(st.sampled_from(SPLINTERS)) + data[at + taken :]
    return data


SPLINTERS = [
    *(
        b"",
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\0",
        b" ",
        b"\t",
        b":",
        b"0",
        b"5",
        b"f",
        b";",
        b"\xff",
        b"HTTP/1.1",
        b"A: b\r\n",
    ),
    *(
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Upgrade: x\r\n",
        b"X" * 70,
    ),
    *(b"Transfer-Encoding: gzip\r\n", b"Expect: 100-continue\r\n", b"Host: b\r\n", b"HTTP/1.0", b"x\r\n" * 6),
]


def check_splits(make: Callable[[], H1Machine], data: bytes, at: list[int], ended: bool) -> Outcome:
    outcome = run(make, data, ended)
    end = [b""] if ended else []
    check_same(feed(make(), [*cut(data, at), *end]), outcome)
    return outcome


def three_gets(limits: H1Limits | None = None) -> H1ClientMachine:
    return client(GET, request("HEAD"), GET, limits=limits)


@given(st.lists(request_bytes(), min_size=1, max_size=3), positions, st.booleans())
def test_valid_requests_in_any_split(messages: list[bytes], at: list[int], ended: bool) -> None:
    outcome = check_splits(server, b"".join(messages), at, ended)
    assert outcome.error is None
    assert len(outcome.heads) == len(messages)


@given(st.lists(response_bytes(), min_size=1, max_size=3), positions, st.booleans())
def test_valid_responses_in_any_split(messages: list[bytes], at: list[int], ended: bool) -> None:
    outcome = check_splits(lambda: client(GET, GET, GET), b"".join(messages), at, ended)
    assert outcome.error is None
    assert sum(type(event) is ResponseReceived for event in outcome.events) == len(messages)


@given(mutated(request_bytes()), positions, st.booleans())
def test_mutated_requests_in_any_split(data: bytes, at: list[int], ended: bool) -> None:
    check_splits(server, data, at, ended)
    check_splits(lambda: server(SMALL), data, at, ended)


@given(mutated(response_bytes()), positions, st.booleans())
def test_mutated_responses_in_any_split(data: bytes, at: list[int], ended: bool) -> None:
    check_splits(three_gets, data, at, ended)
    check_splits(lambda: three_gets(SMALL), data, at, ended)


REFUSED = st.sampled_from([case.data for name in ("requests", "responses") for case in cases(f"h1_refused_{name}.txt")])


@given(mutated(REFUSED), positions)
def test_mutated_smuggling_in_any_split(data: bytes, at: list[int]) -> None:
    check_splits(server, data, at, True)
    check_splits(three_gets, data, at, True)


@given(st.lists(st.sampled_from(SPLINTERS) | st.binary(max_size=8), max_size=40).map(b"".join), positions)
def test_arbitrary_bytes_parse_or_are_refused(data: bytes, at: list[int]) -> None:
    for machine in (server(), server(SMALL), client(), H1ClientMachine()):
        outcome = feed(machine, [*cut(data, at), b""])
        assert outcome.error is None or isinstance(outcome.error, RemoteProtocolError)
        assert sum(len(event.data) for event in outcome.events if type(event) is DataReceived) <= 1032 * len(data)


BODY_HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: %b\r\n\r\n"


@given(st.sampled_from([b"chunked", b"gzip, chunked", b"deflate, chunked"]), pieces, st.binary(max_size=50), positions)
def test_arbitrary_bodies_parse_or_are_refused(coding: bytes, parts: list[bytes], rest: bytes, at: list[int]) -> None:
    data = BODY_HEAD % coding + sized(parts).removesuffix(b"0\r\n") + rest
    outcome = feed(server(), [*cut(data, at), b""])
    assert outcome.error is None or isinstance(outcome.error, RemoteProtocolError)


# -- one machine to the other ------------------------------------------------------------------------------------------


class Message(NamedTuple):
    """A message to send: its own fields, the pieces of its body (None for no body), how its end is told, its trailers."""

    fields: list[tuple[str, str]]
    body: list[bytes] | None
    by_length: bool
    trailers: list[tuple[str, str]]

    @property
    def framing(self) -> list[tuple[str, str]]:
        if self.body is None or not self.by_length:
            return []
        return [("content-length", str(sum(map(len, self.body))))]

    def send_body(self, machine: H1Machine) -> bytes:
        if self.body is None:
            return b""
        output = b"".join(machine.send_data(piece) for piece in self.body)
        return output + machine.send_end(None if self.by_length else Headers(self.trailers))

    def check(self, events: list[object]) -> None:
        """That the body and trailers received are those sent."""
        *data, end = events
        assert b"".join(event.data for event in data if type(event) is DataReceived) == b"".join(self.body or [])
        assert type(end) is EndReceived
        expected = [] if self.by_length or self.body is None else self.trailers
        assert (end.trailers.items() if end.trailers is not None else []) == expected


messages = st.builds(Message, fields, st.none() | pieces, st.booleans(), fields)
targets = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=30).map(
    "/{}".format
)
methods = st.text(TOKEN_CHARS, min_size=1, max_size=10).filter(lambda method: method not in ("CONNECT", "HEAD"))


@given(st.lists(st.tuples(methods, targets, messages, messages), min_size=1, max_size=3), positions, st.booleans())
def test_round_trip(exchanges: list[tuple[str, str, Message, Message]], at: list[int], compress: bool) -> None:
    sender, receiver = H1ClientMachine(), H1ServerMachine()
    te = [("te", "gzip"), ("connection", "te")] if compress else []
    output = b""
    for method, target, message, _ in exchanges:
        headers = request(method, *message.framing, *message.fields, *te, path=target)
        output += sender.send_request(headers, message.body is None) + message.send_body(sender)
    received = feed(receiver, cut(output, at))
    assert received.error is None
    check_exchanges(received, [(method, target, message) for method, target, message, _ in exchanges])

    output = b""
    for _, _, _, message in exchanges:
        headers = Headers([(":status", "200"), *message.framing, *message.fields])
        output += receiver.send_response(headers, message.body is None) + message.send_body(receiver)
    answered = feed(sender, cut(output, at))
    assert answered.error is None
    remaining = answered.events
    for _, _, _, message in exchanges:
        head = remaining[0]
        assert type(head) is ResponseReceived
        sent = len(message.framing) + len(message.fields)
        assert head.headers.items()[: sent + 1] == [(":status", "200"), *message.framing, *message.fields]
        remaining = take_body(remaining, message)
    assert not remaining
    assert sender.can_continue
    assert receiver.can_continue


def check_exchanges(received: Outcome, sent: list[tuple[str, str, Message]]) -> None:
    remaining = received.events
    for method, target, message in sent:
        head = remaining[0]
        assert type(head) is RequestReceived
        start = [(":method", method), (":scheme", "http"), (":authority", "a"), (":path", target)]
        sent_fields = [*start, *message.framing, *message.fields]
        assert head.headers.items()[: len(sent_fields)] == sent_fields
        remaining = take_body(remaining, message)
    assert not remaining


def take_body(events: list, message: Message) -> list:
    """Check the body that follows the head in `events`, and return what follows it."""
    size = next(i for i, event in enumerate(events) if type(event) is EndReceived) + 1
    message.check(events[1:size])
    return events[size:]


@given(st.binary(max_size=200), positions, st.sampled_from(["gzip", "x-gzip", "deflate"]))
def test_round_trip_of_transfer_codings(body: bytes, at: list[int], coding: str) -> None:
    sender = H1ClientMachine()
    output = sender.send_request(request("POST", ("Transfer-Encoding", f"{coding}, chunked")), False)
    output += b"".join(sender.send_data(piece) for piece in cut(body, at)) + sender.send_end()
    received = feed(server(), cut(output, at))
    assert received.error is None
    assert received.body == body


@given(
    st.lists(st.tuples(st.text(max_size=8), st.text(max_size=12)), max_size=4),
    st.text(max_size=10),
    st.text(max_size=10),
)
def test_nothing_can_be_injected(some: list[tuple[str, str]], method: str, target: str) -> None:
    """Whatever is given to send is refused, or arrives as the one request it was."""
    headers = Headers.adopt([(":method", method), (":path", "/" + target), (":authority", "a"), *some])
    sender = H1ClientMachine()
    try:
        output = sender.send_request(headers, True)
    except (LocalProtocolError, InvalidHeader):
        assert sender.can_continue
        return
    received = feed(server(), [output])
    if received.error is None:
        first, *others = received.events
        assert type(first) is RequestReceived
        assert others == [EndReceived(None)]
        assert first.headers.get(":method") == method
    else:
        # Control characters other than these are the sender's own fault, and split nothing.
        assert not any(char in name + value for name, value in some for char in "\r\n\0")
        assert output.count(b"\r\n\r\n") == 1


# Requests that differ in little: what the machine remembers of one must not get into the next.
alike_methods = st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "CONNECT"])
alike_authorities = st.sampled_from(["a", "a", "a", "b", "not a host"])
alike_targets = st.sampled_from(["/", "/x", "", "/ ", "/\n"])
alike_orders = st.sampled_from([(0, 1, 2, 3), (0, 3, 2, 1), (3, 1, 2, 0), (0, 1, 3, 2), (1, 0, 2, 3)])
alike_fields = st.lists(
    st.sampled_from(
        [
            *(("A", "1"), ("A", "2"), ("a", "1"), ("B", ""), ("Host", "b"), ("Connection", "close"), ("Upgrade", "x")),
            *(("Upgrade", "y"), ("Upgrade", "z"), ("Content-Length", "0"), ("Content-Length", "1")),
            *((":path", "/"), ("Transfer-Encoding", "chunked"), ("A", "1\r\n2"), ("A\n", "1")),
        ]
    ),
    max_size=2,
)


def written(method: str, authority: str, target: str, order: tuple[int, ...], others: list[tuple[str, str]]) -> Headers:
    start = [(":method", method), (":scheme", "http"), (":authority", authority), (":path", target)]
    return Headers.adopt([*(start[place] for place in order), *others])


def what_becomes_of(machine: H1ClientMachine, headers: Headers) -> tuple[object, ...]:
    """What is sent, or why not, and what the machine then expects."""
    try:
        output = machine.send_request(headers, True)
    except (InvalidHeader, LocalProtocolError) as error:
        return type(error), str(error)
    told = [(one.method, one.version, one.keep_alive, one.upgrade, one.expects_continue) for one in machine.exchanges]
    return output, told, machine.keep_alive, machine.is_sending


@given(st.sampled_from([1.0, 1.1]), st.data())
def test_no_request_depends_on_those_before(version: float, data: st.DataObject) -> None:
    parts = [alike_methods, alike_authorities, alike_targets, alike_orders, alike_fields]
    usual = ["GET", "a", "/", (0, 1, 2, 3), data.draw(alike_fields)]
    request: list[Any] = usual
    machine = H1ClientMachine(version)
    for _ in range(8):
        expected = what_becomes_of(H1ClientMachine(version), written(*request))
        assert what_becomes_of(machine, written(*request)) == expected
        if machine.exchanges:
            feed(machine, [b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"])
        if not machine.keep_alive:
            machine = H1ClientMachine(version)
        changed = data.draw(st.integers(0, 5))
        request = usual if changed == 5 else request.copy()
        if changed < 5:
            request[changed] = data.draw(parts[changed])


def test_a_request_is_told_from_a_shorter_one() -> None:
    machine = H1ClientMachine()
    machine.send_request(GET, True)
    machine.exchanges.clear()
    for count in range(4):
        headers = Headers.adopt(GET.raw_fields()[:count])
        assert what_becomes_of(machine, headers) == what_becomes_of(H1ClientMachine(), headers)
