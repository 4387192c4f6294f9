"""Receiving: where messages end in both roles, what follows them, and that the connection's end never shortens a body."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from drivetrain.engine.errors import DecodingError, IncompleteMessage, LocalProtocolError, RemoteProtocolError
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
from tests.protocol.h1_support import GET, answer, bytewise, client, drain, feed, request, response, run, serve, server

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


# -- CONNECT and Upgrade -----------------------------------------------------------------------------------------------


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
    events = [machine.next_event()]
    if not answered_before_end:
        events.append(machine.next_event())
        assert machine.receiving
    output = machine.send_response(response("200" if asked[:1] == b"C" else "101", ("X", "y")), False)
    assert output.endswith(b"\r\nX: y\r\n\r\n")
    machine.receive(b"more")
    machine.receive(b"")
    drain(machine, events)  # type: ignore[arg-type]
    assert type(events[0]) is RequestReceived
    assert events[1] == END
    assert b"".join(event.data for event in events[2:-1] if type(event) is DataReceived) == b"\0xyzmore"
    assert events[-1] == ConnectionEnded()
    assert machine.switched
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
