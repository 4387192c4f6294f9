"""Receiving: what the heads of both roles mean, where messages end and what follows them, and the buffer."""

from __future__ import annotations

import pytest

from drivetrain.engine.errors import RemoteProtocolError
from drivetrain.engine.protocol.h1_client import H1ClientMachine
from drivetrain.engine.protocol.h1_events import (
    ConnectionEnded,
    DataReceived,
    EndReceived,
    InformationalReceived,
    RequestReceived,
    ResponseReceived,
)
from drivetrain.engine.protocol.h1_framing import BodyKind
from drivetrain.engine.protocol.h1_receiver import H1Receiver
from drivetrain.engine.wire.headers import Headers
from tests.protocol.h1_support import GET, answer, bytewise, client, feed, request, response, serve, server

HEAD = request("HEAD")
CONNECT = Headers([(":method", "CONNECT"), (":authority", "a:443")])
UPGRADE = request("GET", ("Upgrade", "x"), ("Connection", "upgrade"))
END = EndReceived(None)
OK_EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
GET_BYTES = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def test_the_receiver_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        H1Receiver(client().limits)  # type: ignore[abstract]


# -- requests ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "host", "scheme", "authority", "path"),
    [
        (b"GET / HTTP/1.1", b"a", "http", "a", "/"),
        (b"GET //x?y HTTP/1.1", b"a:80", "http", "a:80", "//x?y"),
        (b"GET / HTTP/1.1", b"", "http", "", "/"),
        (b"GET / HTTP/1.1", b"[::1]:8080", "http", "[::1]:8080", "/"),
        (b"GET / HTTP/1.1", b"[fe80::1%25eth0]", "http", "[fe80::1%25eth0]", "/"),
        (b"GET / HTTP/1.1", b"a_b.c-d~e%20f", "http", "a_b.c-d~e%20f", "/"),
        (b"GET / HTTP/1.1", b"a:", "http", "a:", "/"),
        # RFC 9112 section 3.2.2: an absolute target overrides Host.
        (b"GET HTTPS://b:1/x?y HTTP/1.1", b"a", "https", "b:1", "/x?y"),
        (b"GET http://b HTTP/1.1", b"a", "http", "b", "/"),
        (b"GET http://b?q HTTP/1.1", b"a", "http", "b", "/?q"),
        # Section 3.2.4: the last proxy turns an empty path into an asterisk.
        (b"OPTIONS http://b:8001 HTTP/1.1", b"a", "http", "b:8001", "*"),
        (b"OPTIONS http://b/ HTTP/1.1", b"a", "http", "b", "/"),
        (b"OPTIONS * HTTP/1.1", b"a", "http", "a", "*"),
        (b"M-SEARCH / HTTP/1.1", b"a", "http", "a", "/"),
        (b'GET /"<>\\^`{|} HTTP/1.1', b"a", "http", "a", '/"<>\\^`{|}'),
    ],
)
def test_targets(line: bytes, host: bytes, scheme: str, authority: str, path: str) -> None:
    outcome = serve(line + b"\r\nhost: " + host + b"\r\n\r\n")
    assert outcome.error is None
    method = line.split()[0].decode()
    assert outcome.request.headers == Headers(
        [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]
    )
    assert outcome.events[1:] == [END]


def test_connect_has_only_an_authority() -> None:
    outcome = serve(b"CONNECT b:443 HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n")
    assert outcome.request.headers == Headers([(":method", "CONNECT"), (":authority", "b:443"), ("X", "y")])


def test_the_scheme_is_the_servers() -> None:
    machine = server()
    machine.scheme = "https"
    assert feed(machine, [GET_BYTES]).request.headers.get(":scheme") == "https"


def test_a_request_of_http_1_0_needs_no_host() -> None:
    outcome = serve(b"GET / HTTP/1.0\r\n\r\n")
    assert outcome.request == RequestReceived(
        Headers([(":method", "GET"), (":scheme", "http"), (":path", "/")]), 1.0, False, False
    )


def test_order_case_and_repetition_of_fields_are_kept() -> None:
    outcome = serve(b"GET / HTTP/1.1\r\nB: 1\r\nhOsT: a\r\na: 2\r\nB:\t3 \r\nc:\r\n\r\n")
    assert outcome.request.headers.items()[4:] == [("B", "1"), ("a", "2"), ("B", "3"), ("c", "")]


def test_a_request_without_length_has_no_body() -> None:
    outcome = serve(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n" + GET_BYTES)
    assert [type(event) for event in outcome.events] == [RequestReceived, EndReceived] * 2
    assert not outcome.request.has_body


def test_a_length_of_zero_is_no_body() -> None:
    outcome = serve(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    assert (outcome.request.has_body, outcome.events[1:]) == (False, [END])


@pytest.mark.parametrize(
    ("fields", "expects"),
    [
        (b"Expect: 100-continue\r\nContent-Length: 1\r\n", True),
        (b"expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n", True),
        (b"Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n", True),
        (b"Expect: 100-continue\r\n", False),
        (b"Expect: 100-continue\r\nContent-Length: 0\r\n", False),
        (b"Expect:\r\nContent-Length: 1\r\n", True),
    ],
)
def test_expect(fields: bytes, expects: bool) -> None:
    outcome = serve(b"POST / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")
    assert outcome.error is None
    assert outcome.request.expects_continue is expects


def test_expect_means_nothing_in_http_1_0() -> None:
    outcome = serve(b"POST / HTTP/1.0\r\nExpect: whatever\r\nContent-Length: 1\r\n\r\na")
    assert (outcome.error, outcome.request.expects_continue) == (None, False)


def test_pipelined_requests() -> None:
    post = b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    data = b"".join(post % i for i in range(5)) + b"POST /5 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    data += chunked(b"x", b"yz") + GET_BYTES
    outcome = serve(data)
    paths = [event.headers.get(":path") for event in outcome.heads if type(event) is RequestReceived]
    assert paths == ["/0", "/1", "/2", "/3", "/4", "/5", "/"]
    assert outcome.body == b"abc" * 5 + b"xyz"


def test_nothing_is_read_after_a_last_request() -> None:
    last = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n"
    outcome = serve(GET_BYTES + last + GET_BYTES)
    assert len(outcome.heads) == 2
    machine = server()
    feed(machine, [last, b"\0garbage"])
    assert not machine.keep_alive
    assert feed(machine, [b"more", b""]).events == [ConnectionEnded()]


@pytest.mark.parametrize(
    ("version", "connection", "keep"),
    [
        (b"1.1", None, True),
        (b"1.1", b"close", False),
        (b"1.1", b"foo, CLOSE ,bar", False),
        (b"1.1", b"closed", True),
        (b"1.1", b"keep-alive", True),
        (b"1.1", b"keep-alive, close", False),
        (b"1.0", None, False),
        (b"1.0", b"keep-alive", True),
        (b"1.0", b"Keep-Alive , x", True),
        (b"1.0", b"keep-alive, close", False),
    ],
)
def test_who_keeps_the_connection(version: bytes, connection: bytes | None, keep: bool) -> None:
    field = b"" if connection is None else b"Connection: " + connection + b"\r\n"
    machine = server()
    assert feed(machine, [b"GET / HTTP/" + version + b"\r\nHost: a\r\n" + field + b"\r\n"]).error is None
    assert machine.keep_alive is keep
    output = machine.send_response(response(), True)
    assert machine.can_continue is keep
    assert (b"Connection: close\r\n" in output) is not keep
    assert (b"Connection: keep-alive\r\n" in output) is (keep and version == b"1.0")

    other = client()
    assert feed(other, [b"HTTP/" + version + b" 200 OK\r\nContent-Length: 0\r\n" + field + b"\r\n"]).error is None
    assert other.can_continue is keep


def test_connection_fields_on_two_lines() -> None:
    machine = client()
    feed(machine, [b"HTTP/1.1 204 X\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n"])
    assert not machine.can_continue


# -- responses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "status", "fields"),
    [
        (HEAD, b"200", b"Content-Length: 5\r\n"),
        (HEAD, b"200", b"Transfer-Encoding: chunked\r\n"),
        (HEAD, b"200", b""),
        (GET, b"204", b""),
        (GET, b"204", b"Content-Length: 5\r\n"),
        (GET, b"204", b"Transfer-Encoding: chunked\r\n"),
        (GET, b"304", b"Content-Length: 5\r\n"),
        (GET, b"304", b""),
        (GET, b"200", b"Content-Length: 0\r\n"),
    ],
)
def test_responses_without_body(asked: Headers, status: bytes, fields: bytes) -> None:
    first = b"HTTP/1.1 " + status + b" X\r\n" + fields + b"\r\n"
    outcome = answer(first + OK_EMPTY, asked, GET)
    assert outcome.error is None
    assert [type(event) for event in outcome.events] == [ResponseReceived, EndReceived] * 2
    assert (outcome.response.has_body, outcome.response.length) == (False, 0)


def test_a_body_by_length() -> None:
    machine = client(GET, GET)
    outcome = feed(machine, [b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc" + OK_EMPTY])
    first, data, end, *_ = outcome.events
    assert first == ResponseReceived(response("200", ("Content-Length", "3")), 1.1, "OK", True, 3, False)
    assert (data, end) == (DataReceived(b"abc"), END)
    assert machine.body_kind is BodyKind.LENGTH
    assert machine.can_continue


def test_a_body_in_chunks() -> None:
    outcome = answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"ab", b"c" * 20))
    assert (outcome.response.has_body, outcome.response.length) == (True, None)
    assert outcome.body == b"ab" + b"c" * 20
    assert outcome.trailers is None


def test_a_body_until_close() -> None:
    data = b"HTTP/1.1 200 OK\r\n\r\nabc" + OK_EMPTY
    outcome = answer(data, ended=True)
    assert outcome.body == b"abc" + OK_EMPTY
    assert outcome.events[-2:] == [END, ConnectionEnded()]
    machine = client()
    feed(machine, [data])
    assert machine.body_kind is BodyKind.CLOSE
    assert not machine.exchanges[0].keep_alive
    assert machine.receiving
    feed(machine, [b""])
    assert not machine.receiving
    assert not machine.can_continue


def test_the_kind_of_body() -> None:
    machine = server()
    assert machine.body_kind is BodyKind.NONE
    for fields, kind in [
        (b"Content-Length: 1\r\n\r\na", BodyKind.LENGTH),
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BodyKind.CHUNKED),
        (b"\r\n", BodyKind.NONE),
    ]:
        feed(machine, [b"POST / HTTP/1.1\r\nHost: a\r\n" + fields])
        assert machine.body_kind is kind


def test_chunked_in_http_1_0_is_obeyed_and_the_connection_closed() -> None:
    data = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"abc")
    assert answer(data).body == b"abc"
    machine = client()
    feed(machine, [data])
    assert not machine.can_continue


def test_informational_responses() -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Length: 5\r\n\r\n"
    outcome = answer(early + b"HTTP/1.1 199\r\n\r\n" + OK_EMPTY)
    assert outcome.events[:3] == [
        InformationalReceived(response("100"), 1.1, "Continue"),
        InformationalReceived(response("103", ("Link", "</x>"), ("Content-Length", "5")), 1.1, "Early Hints"),
        InformationalReceived(response("199"), 1.1, ""),
    ]
    assert outcome.response.headers.get(":status") == "200"


@pytest.mark.parametrize("asked", [GET, HEAD, CONNECT])
def test_103_never_ends_an_exchange(asked: Headers) -> None:
    machine = client(asked)
    feed(machine, [b"HTTP/1.1 103 X\r\nConnection: close\r\n\r\n"])
    assert len(machine.exchanges) == 1
    feed(machine, [b"HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n"])
    assert not machine.exchanges
    assert machine.can_continue


def test_pipelined_responses_are_framed_by_their_requests() -> None:
    get, head = (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + body for body in (b"abc", b""))
    outcome = answer(get + head + get + head, GET, HEAD, GET, HEAD)
    assert outcome.error is None
    assert outcome.body == b"abcabc"
    assert outcome.events.count(END) == 4


def test_nothing_after_a_response_that_says_close_is_one() -> None:
    last = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    outcome = answer(last + OK_EMPTY, GET, GET)
    assert [type(event) for event in outcome.events[:3]] == [ResponseReceived, EndReceived, ConnectionEnded]
    machine = client(GET, GET)
    assert feed(machine, [last]).events[-1] == ConnectionEnded()


def test_a_response_without_request() -> None:
    outcome = answer(OK_EMPTY + OK_EMPTY)
    assert "a response came without a request" in str(outcome.error)
    assert outcome.events.count(END) == 1


@pytest.mark.parametrize("extra", [b"H", b"\r\n", OK_EMPTY])
def test_stray_bytes_make_a_client_connection_unfit(extra: bytes) -> None:
    machine = client()
    machine.receive(OK_EMPTY + extra)
    while type(machine.next_event()) is not EndReceived:
        pass
    assert machine.buffered == len(extra)
    assert not machine.can_continue


def test_early_bytes_make_a_client_connection_unfit() -> None:
    machine = H1ClientMachine()
    assert machine.can_continue
    machine.receive(b"H")
    assert not machine.can_continue


def test_the_peers_end_makes_a_connection_unfit() -> None:
    machine = client()
    feed(machine, [OK_EMPTY])
    assert machine.can_continue
    machine.receive(b"")
    assert not machine.can_continue


def test_a_half_closed_client_still_gets_its_answers() -> None:
    machine = server()
    machine.receive(GET_BYTES + GET_BYTES)
    machine.receive(b"")
    assert type(machine.next_event()) is RequestReceived
    assert machine.next_event() == END
    machine.send_response(response(), True)
    assert machine.can_continue
    assert type(machine.next_event()) is RequestReceived
    assert machine.next_event() == END
    machine.send_response(response(), True)
    assert not machine.can_continue


# -- trailers ----------------------------------------------------------------------------------------------------------


def test_trailers_of_a_request() -> None:
    data = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: 1\r\nx:\t2 \r\n\r\n"
    outcome = serve(data + GET_BYTES)
    assert EndReceived(Headers([("X", "1"), ("x", "2")])) in outcome.events
    assert outcome.events[-1] == END


def test_trailers_of_a_response() -> None:
    outcome = answer(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 9\r\nHost: b\r\n\r\n")
    assert outcome.trailers == Headers([("Content-Length", "9"), ("Host", "b")])
    assert "host" not in outcome.response.headers


# -- the buffer --------------------------------------------------------------------------------------------------------


def test_taking_and_putting_back_what_is_buffered() -> None:
    machine = server()
    for piece in bytewise(GET_BYTES[:20]):
        machine.receive(piece)
        assert machine.next_event() is None
    assert machine.buffered == 20
    taken = machine.take_buffered()
    assert taken == GET_BYTES[:20]
    assert machine.buffered == 0
    machine.receive(GET_BYTES[20:])
    machine.put_back(taken)
    assert len(feed(machine, []).heads) == 1
    assert machine.take_buffered() == b""


def test_taking_the_rest_in_the_middle() -> None:
    machine = server()
    machine.receive(GET_BYTES + b"rest")
    assert type(machine.next_event()) is RequestReceived
    assert machine.take_buffered() == b"rest"
    assert machine.next_event() == END


def test_a_body_in_one_piece_is_not_copied() -> None:
    machine = client()
    feed(machine, [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"])
    piece = b"x" * 1000
    machine.receive(piece)
    event = machine.next_event()
    assert type(event) is DataReceived
    assert event.data is piece


def test_a_head_in_tiny_pieces_takes_linear_time() -> None:
    # 64 KiB of head in pieces of a byte: quadratic work would be 2 * 10**9 steps.
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + (b"A: " + b"x" * 995 + b"\r\n") * 60 + b"\r\n"
    assert feed(server(), bytewise(head)).error is None


@pytest.mark.parametrize("line", [b"X:" + b" " * 8000 + b"\x01", b"X: " + b" \t" * 4000 + b"y" * 100 + b"\x01"])
def test_blanks_take_linear_time(line: bytes) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + (line + b"\r\n") * 7 + b"\r\n"
    outcome = feed(server(), [head])
    assert type(outcome.error) is RemoteProtocolError
    assert "control character '\\x01' in the value" in str(outcome.error)
