"""Sending requests and bodies: what goes on the wire, and the refusal of what must not, which changes nothing."""

from __future__ import annotations

import zlib

import pytest

from drivetrain.engine.errors import EngineError, InvalidHeader, LocalProtocolError
from drivetrain.engine.protocol.h1_client import H1ClientMachine
from drivetrain.engine.protocol.h1_sender import H1Sender, SendState
from drivetrain.engine.wire.headers import Headers
from tests.protocol.h1_support import GET, asked, client, feed, fields_of, request, response, server

CONNECT = Headers([(":method", "CONNECT"), (":authority", "a:443")])
GET_BYTES = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


# -- requests ----------------------------------------------------------------------------------------------------------


def test_a_request() -> None:
    headers = request("GET", ("b", "1"), ("A", "2"), ("B", "3"), path="/x?y")
    assert (
        H1ClientMachine().send_request(headers, True) == b"GET /x?y HTTP/1.1\r\nHost: a\r\nb: 1\r\nA: 2\r\nB: 3\r\n\r\n"
    )


def test_a_given_host_stands_where_it_is_given() -> None:
    headers = request("GET", ("A", "1"), ("hOST", "b"), ("C", "2"))
    assert H1ClientMachine().send_request(headers, True) == b"GET / HTTP/1.1\r\nA: 1\r\nhOST: b\r\nC: 2\r\n\r\n"


def test_authorities_in_turn() -> None:
    machine = client(GET, GET)
    for authority in ("b:8080", "", "[::1]", "b:8080"):
        headers = Headers([(":method", "GET"), (":authority", authority), (":path", "/")])
        assert fields_of(machine.send_request(headers, True)) == [f"Host: {authority}".encode()]


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("GET", []),
        ("HEAD", []),
        ("DELETE", []),
        ("OPTIONS", []),
        ("POST", [b"Content-Length: 0"]),
        ("PUT", [b"Content-Length: 0"]),
        ("PATCH", [b"Content-Length: 0"]),
    ],
)
def test_the_length_of_no_body(method: str, fields: list[bytes]) -> None:
    machine = H1ClientMachine()
    assert fields_of(machine.send_request(request(method), True)) == [b"Host: a", *fields]
    assert not machine.is_sending


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_given_length_of_zero_is_kept(method: str) -> None:
    output = H1ClientMachine().send_request(request(method, ("content-length", "0")), True)
    assert fields_of(output) == [b"Host: a", b"content-length: 0"]


def test_connect() -> None:
    machine = H1ClientMachine()
    assert machine.send_request(CONNECT, False) == b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"
    with pytest.raises(LocalProtocolError, match="has no body"):
        machine.send_data(b"x")
    assert machine.send_end() == b""


def test_asterisk_and_absolute_targets() -> None:
    machine = H1ClientMachine()
    assert machine.send_request(request("OPTIONS", path="*"), True).startswith(b"OPTIONS * HTTP/1.1\r\n")
    assert machine.send_request(request(path="http://b/"), True).startswith(b"GET http://b/ HTTP/1.1\r\nHost: a\r\n")


def test_a_body_by_length() -> None:
    machine = H1ClientMachine()
    assert machine.send_request(request("POST", ("Content-Length", "5")), False).endswith(
        b"\r\nContent-Length: 5\r\n\r\n"
    )
    assert machine.is_sending
    assert (
        machine.send_data(b"abc") + machine.send_data(b"") + machine.send_data(b"de") + machine.send_end() == b"abcde"
    )
    assert not machine.is_sending


def test_a_body_in_chunks() -> None:
    machine = H1ClientMachine()
    assert machine.send_request(request("POST"), False).endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert machine.send_data(b"a" * 26) == b"1a\r\n" + b"a" * 26 + b"\r\n"
    assert machine.send_data(b"") == b""
    assert machine.send_end() == b"0\r\n\r\n"


def test_a_given_transfer_encoding_is_not_repeated() -> None:
    machine = H1ClientMachine()
    output = machine.send_request(request("POST", ("transfer-encoding", "Chunked")), False)
    assert fields_of(output) == [b"Host: a", b"transfer-encoding: Chunked"]
    assert machine.send_data(b"a") == b"1\r\na\r\n"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "x-gzip"])
def test_given_transfer_codings_are_applied_and_flushed(coding: str) -> None:
    machine = H1ClientMachine()
    machine.send_request(request("POST", ("Transfer-Encoding", f"{coding}, chunked")), False)
    decoder = zlib.decompressobj(15 if coding == "deflate" else 31)
    for piece in (b"abc", b"def"):
        size, _, rest = machine.send_data(piece).partition(b"\r\n")
        assert decoder.decompress(rest[: int(size, 16)]) == piece
    assert machine.send_data(b"") == b""
    assert machine.send_end().endswith(b"\r\n0\r\n\r\n")


def test_trailers() -> None:
    machine = H1ClientMachine()
    machine.send_request(request("POST"), False)
    trailers = Headers([("X", "1"), ("y", "2")])
    assert machine.send_end(trailers) == b"0\r\nX: 1\r\ny: 2\r\n\r\n"


def test_http_1_0() -> None:
    machine = H1ClientMachine(1.0)
    headers = request("GET", ("Connection", "keep-alive"))
    assert machine.send_request(headers, True) == b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
    assert machine.keep_alive
    without_host = Headers([(":method", "GET"), (":path", "/")])
    assert machine.send_request(without_host, True) == b"GET / HTTP/1.0\r\n\r\n"
    assert not machine.keep_alive


def test_no_request_follows_one_that_says_close() -> None:
    machine = client(request("GET", ("Connection", "a, Close")))
    with pytest.raises(LocalProtocolError, match="the connection closes"):
        machine.send_request(GET, True)
    assert not machine.can_continue


def test_no_request_follows_a_response_that_says_close() -> None:
    machine = client()
    feed(machine, [b"HTTP/1.1 204 X\r\nConnection: close\r\n\r\n"])
    with pytest.raises(LocalProtocolError, match="the connection closes"):
        machine.send_request(GET, True)


def test_no_request_in_the_middle_of_another() -> None:
    machine = H1ClientMachine()
    machine.send_request(request("POST"), False)
    with pytest.raises(LocalProtocolError, match="not complete"):
        machine.send_request(GET, True)
    machine.send_end()
    assert machine.send_request(GET, True)


def test_a_response_before_the_requests_end() -> None:
    machine = H1ClientMachine()
    machine.send_request(request("POST"), False)
    feed(machine, [b"HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n"])
    assert not machine.can_continue
    machine.send_data(b"abc")
    machine.send_end()
    assert machine.can_continue


def test_100_continue_is_noted() -> None:
    machine = H1ClientMachine()
    machine.send_request(request("POST", ("Expect", "100-Continue"), ("Content-Length", "1")), False)
    assert machine.exchanges[0].expects_continue


BAD_REQUESTS = [
    ([(":path", "/"), (":authority", "a")], "no :method"),
    ([(":method", "GET"), (":authority", "a")], "no :path"),
    ([(":method", ""), (":path", "/"), (":authority", "a")], "method is not a token"),
    ([(":method", "GET"), (":path", ""), (":authority", "a")], "request target is empty"),
    ([(":method", "GET"), (":path", "/")], "neither :authority nor Host"),
    ([(":method", "G T"), (":path", "/"), (":authority", "a")], "method is not a token"),
    ([(":method", "GET\r\nX:"), (":path", "/"), (":authority", "a")], "method is not a token"),
    ([(":method", "GET"), (":path", "/ HTTP/1.1\r\nX: y"), (":authority", "a")], "must be percent-encoded"),
    ([(":method", "GET"), (":path", "/a b"), (":authority", "a")], "must be percent-encoded"),
    ([(":method", "GET"), (":path", "/\0"), (":authority", "a")], "must be percent-encoded"),
    ([(":method", "GET"), (":path", "/\xe9"), (":authority", "a")], "must be percent-encoded"),
    ([(":method", "GET"), (":path", "/\x7f"), (":authority", "a")], "must be percent-encoded"),
    ([(":method", "GET"), (":path", "/"), (":authority", "a\r\nX: y")], "not host"),
    ([(":method", "GET"), (":path", "/"), (":authority", "u@a")], "not host"),
    ([(":method", "GET"), (":path", "/"), (":authority", "a/b")], "not host"),
    ([(":method", "GET"), (":path", "/"), (":authority", "a:x")], "not host"),
    ([(":method", "GET"), (":path", "/"), ("Host", "a"), ("host", "b")], "more than one Host"),
    ([(":method", "CONNECT")], "no :authority"),
    ([(":method", "CONNECT"), (":authority", "a")], "not host:port"),
    ([(":method", "CONNECT"), (":authority", "a:0")], "not host:port"),
    ([(":method", "CONNECT"), (":authority", "[::1]")], "not host:port"),
    ([(":method", "CONNECT"), (":authority", "a:1 HTTP/1.1\r\n")], "not host:port"),
    ([(":method", "GET"), (":path", "/"), (":authority", "a"), ("X\r\nY", "1")], "not a token"),
    ([(":method", "GET"), (":path", "/"), (":authority", "a"), ("X:", "1")], "not a token"),
    ([(":method", "GET"), (":path", "/"), (":authority", "a"), ("", "1")], "not a token"),
    ([(":method", "GET"), (":path", "/"), (":authority", "a"), ("X ", "1")], "not a token"),
    ([(":method", "GET"), (":path", "/"), (":authority", "a"), ("X", "1\r\nY: 2")], "CR, LF or NUL"),
    ([(":method", "GET"), (":path", "/"), (":authority", "a"), ("X", "1\n")], "CR, LF or NUL"),
    ([(":method", "GET"), (":path", "/"), (":authority", "a"), ("X", "\r")], "CR, LF or NUL"),
    ([(":method", "GET"), (":path", "/"), (":authority", "a"), ("X", "\0")], "CR, LF or NUL"),
    ([(":method", "GET"), (":path", "/"), (":authority", "a"), ("X", "\u0161")], "encode it first"),
    ([(":method", "GET"), (":path", "/"), (":authority", "a"), ("Content-Length", "5")], "announce a body"),
    ([(":method", "GET"), (":path", "/"), (":authority", "a"), ("Transfer-Encoding", "chunked")], "announce a body"),
    ([(":method", "GET"), (":path", "/"), (":authority", "a"), ("Content-Length", "x")], "malformed Content-Length"),
]


@pytest.mark.parametrize(("fields", "message"), BAD_REQUESTS)
def test_a_request_that_is_refused(fields: list[tuple[str, str]], message: str) -> None:
    machine = H1ClientMachine()
    with pytest.raises(EngineError, match=message) as caught:
        machine.send_request(Headers.adopt(fields), True)
    assert type(caught.value) in (LocalProtocolError, InvalidHeader)
    assert not machine.exchanges
    assert machine.can_continue
    assert machine.send_request(GET, True) == b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([("Content-Length", "5"), ("Transfer-Encoding", "chunked")], "both"),
        ([("Transfer-Encoding", "chunked"), ("Content-Length", "5")], "both"),
        ([("Content-Length", "5"), ("content-length", "5")], "malformed Content-Length"),
        ([("Content-Length", "-5")], "malformed Content-Length"),
        ([("Content-Length", "5, 5")], "malformed Content-Length"),
        ([("Content-Length", "")], "malformed Content-Length"),
        ([("Transfer-Encoding", "gzip")], "not chunked"),
        ([("Transfer-Encoding", "chunked, gzip")], "not the last"),
        ([("Transfer-Encoding", "br, chunked")], "unknown transfer coding"),
        ([("Transfer-Encoding", "")], "empty"),
    ],
)
def test_a_framing_that_is_refused(fields: list[tuple[str, str]], message: str) -> None:
    machine = H1ClientMachine()
    with pytest.raises(LocalProtocolError, match=message):
        machine.send_request(request("POST", *fields), False)
    assert not machine.exchanges
    assert not machine.is_sending
    machine.send_request(request("POST", ("Content-Length", "1")), False)
    assert machine.send_data(b"a") + machine.send_end() == b"a"
    server_machine = asked()
    with pytest.raises(LocalProtocolError, match=message):
        server_machine.send_response(response("200", *fields), False)
    assert server_machine.send_response(response("200"), True) == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    assert server_machine.can_continue


@pytest.mark.parametrize("field", [("Content-Length", "3"), ("X", "y")])
def test_a_coding_of_a_refused_request_is_forgotten(field: tuple[str, str]) -> None:
    machine = H1ClientMachine()
    refused = [*request("POST", ("Transfer-Encoding", "gzip, chunked")).items(), ("X", "\u0161")]
    with pytest.raises(InvalidHeader):
        machine.send_request(Headers.adopt(refused), False)
    output = machine.send_request(request("POST", field), False) + machine.send_data(b"abc") + machine.send_end()
    assert feed(server(), [output]).body == b"abc"


def test_http_1_0_has_no_transfer_encoding() -> None:
    machine = H1ClientMachine(1.0)
    with pytest.raises(LocalProtocolError, match=r"HTTP/1\.0 peer"):
        machine.send_request(request("POST", ("Transfer-Encoding", "chunked")), False)
    with pytest.raises(LocalProtocolError, match="needs a Content-Length"):
        machine.send_request(request("POST"), False)
    assert machine.send_request(request("POST", ("Content-Length", "1")), False)


# -- the body ----------------------------------------------------------------------------------------------------------


def test_more_data_than_announced() -> None:
    machine = H1ClientMachine()
    machine.send_request(request("POST", ("Content-Length", "3")), False)
    with pytest.raises(LocalProtocolError, match="more data than"):
        machine.send_data(b"abcd")
    assert machine.send_data(b"ab") == b"ab"
    with pytest.raises(LocalProtocolError, match="more data than"):
        machine.send_data(b"cd")
    assert machine.send_data(b"c") == b"c"
    assert machine.send_end() == b""


def test_less_data_than_announced() -> None:
    machine = H1ClientMachine()
    machine.send_request(request("POST", ("Content-Length", "3")), False)
    machine.send_data(b"ab")
    with pytest.raises(LocalProtocolError, match="ended 1 bytes before"):
        machine.send_end()
    assert machine.is_sending
    assert not machine.can_continue
    assert machine.send_data(b"c") + machine.send_end() == b"c"


@pytest.mark.parametrize("sent", [False, True])
def test_data_outside_a_message(sent: bool) -> None:
    machine = H1ClientMachine()
    if sent:
        machine.send_request(request("POST"), False)
        machine.send_end()
    with pytest.raises(LocalProtocolError, match="no message is open"):
        machine.send_data(b"x")
    with pytest.raises(LocalProtocolError, match="no message is open"):
        machine.send_end()
    assert machine.send_request(GET, True)


def test_trailers_need_chunks() -> None:
    machine = H1ClientMachine()
    machine.send_request(request("POST", ("Content-Length", "0")), False)
    with pytest.raises(LocalProtocolError, match="chunked"):
        machine.send_end(Headers([("X", "1")]))
    assert machine.send_end(Headers()) == b""


@pytest.mark.parametrize(
    "name",
    [
        "Content-Length",
        "transfer-encoding",
        "HOST",
        "Trailer",
        "Connection",
        "TE",
        "Authorization",
        "Set-Cookie",
        ":status",
    ],
)
def test_fields_that_cannot_be_trailers(name: str) -> None:
    machine = H1ClientMachine()
    machine.send_request(request("POST", ("Transfer-Encoding", "gzip, chunked")), False)
    body = machine.send_data(b"abc")
    with pytest.raises(LocalProtocolError, match="cannot be a trailer"):
        machine.send_end(Headers([("X", "1"), (name, "5")]))
    assert machine.is_sending
    body += machine.send_end(Headers([("X", "1")]))
    outcome = feed(server(), [b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" + body])
    assert (outcome.body, outcome.trailers) == (b"abc", Headers([("X", "1")]))


@pytest.mark.parametrize("field", [("X", "a\r\nb"), ("X", "\0"), ("X\r\n", "a"), ("", "a"), ("X", "\u0161")])
def test_injection_by_trailers(field: tuple[str, str]) -> None:
    machine = H1ClientMachine()
    machine.send_request(request("POST"), False)
    with pytest.raises(InvalidHeader):
        machine.send_end(Headers.adopt([field]))
    assert machine.send_end() == b"0\r\n\r\n"


def test_a_sender_that_gave_up() -> None:
    machine = H1ClientMachine()
    machine.send_request(request("POST"), False)
    machine.sender.abort()
    for attempt in (lambda: machine.send_data(b"x"), machine.send_end, lambda: machine.send_request(GET, True)):
        with pytest.raises(LocalProtocolError):
            attempt()
    assert machine.sender.state is SendState.CLOSED
    assert not machine.can_continue


def test_a_fresh_sender_is_idle() -> None:
    assert H1Sender().state is SendState.IDLE
