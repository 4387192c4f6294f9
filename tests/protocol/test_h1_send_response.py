"""Sending responses: what goes on the wire, and the refusal of what must not, which leaves the machine as it was."""

from __future__ import annotations

import gzip
import zlib

import pytest

from drivetrain.engine.errors import InvalidHeader, LocalProtocolError
from drivetrain.engine.protocol.h1_client import H1ClientMachine
from drivetrain.engine.protocol.h1_events import DataReceived, EndReceived, RequestReceived
from drivetrain.engine.protocol.h1_sender import SendState
from drivetrain.engine.protocol.h1_server import H1ServerMachine
from drivetrain.engine.wire.headers import Headers
from tests.protocol.h1_support import GET, asked, client, feed, fields_of, response, server

GET_BYTES = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def asked_by(method: str, *fields: str, version: str = "1.1") -> H1ServerMachine:
    lines = "".join(f"{field}\r\n" for field in fields)
    target = "a:443" if method == "CONNECT" else "/"
    return asked(f"{method} {target} HTTP/{version}\r\nHost: a\r\n{lines}\r\n".encode())


# -- responses ---------------------------------------------------------------------------------------------------------


def test_a_response_by_length() -> None:
    machine = asked()
    output = machine.send_response(response("200", ("Content-Length", "3"), ("b", "1"), ("A", "2")), False)
    assert output == b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nb: 1\r\nA: 2\r\n\r\n"
    assert not machine.can_continue
    assert machine.send_data(b"abc") + machine.send_end() == b"abc"
    assert machine.can_continue


def test_a_response_in_chunks() -> None:
    machine = asked()
    assert machine.send_response(response(), False) == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert machine.send_data(b"abc") == b"3\r\nabc\r\n"
    assert machine.send_end(Headers([("X", "1")])) == b"0\r\nX: 1\r\n\r\n"
    assert machine.can_continue


def test_an_empty_response() -> None:
    assert asked().send_response(response("599"), True) == b"HTTP/1.1 599 Unassigned\r\nContent-Length: 0\r\n\r\n"


def test_an_empty_response_in_chunks() -> None:
    output = asked().send_response(response("200", ("Transfer-Encoding", "chunked")), True)
    assert output == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"


@pytest.mark.parametrize("status", ["204", "304"])
@pytest.mark.parametrize("end_stream", [False, True])
def test_statuses_without_body(status: str, end_stream: bool) -> None:
    machine = asked()
    output = machine.send_response(response(status), end_stream)
    assert fields_of(output) == []
    if not end_stream:
        with pytest.raises(LocalProtocolError, match="has no body"):
            machine.send_data(b"x")
        assert machine.send_data(b"") + machine.send_end() == b""
    assert machine.can_continue


@pytest.mark.parametrize(("method", "status"), [("HEAD", "200"), ("GET", "304")])
def test_a_length_that_only_describes(method: str, status: str) -> None:
    machine = asked_by(method)
    output = machine.send_response(response(status, ("Content-Length", "5")), False)
    assert fields_of(output) == [b"Content-Length: 5"]
    with pytest.raises(LocalProtocolError):
        machine.send_data(b"abcde")
    assert machine.send_end() == b""
    assert machine.can_continue


def test_a_coding_that_only_describes() -> None:
    machine = asked_by("HEAD")
    output = machine.send_response(response("200", ("Transfer-Encoding", "chunked")), True)
    assert output == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with pytest.raises(LocalProtocolError, match=r"HTTP/1\.0"):
        asked_by("HEAD", version="1.0").send_response(response("200", ("Transfer-Encoding", "chunked")), True)


@pytest.mark.parametrize("field", [("Content-Length", "0"), ("Transfer-Encoding", "chunked")])
@pytest.mark.parametrize("status", ["100", "103", "204"])
def test_no_framing_fields_where_there_is_no_body(status: str, field: tuple[str, str]) -> None:
    machine = asked()
    with pytest.raises(LocalProtocolError, match="neither"):
        machine.send_response(response(status, field), status == "204")
    assert machine.send_response(response(), True) == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("field", [("Content-Length", "0"), ("Transfer-Encoding", "chunked")])
def test_no_framing_fields_in_a_tunnel(field: tuple[str, str]) -> None:
    machine = asked_by("CONNECT")
    with pytest.raises(LocalProtocolError, match="neither"):
        machine.send_response(response("200", field), False)
    assert not machine.switched
    assert machine.send_response(response("200"), False) == b"HTTP/1.1 200 OK\r\n\r\n"
    assert machine.switched
    assert machine.send_data(b"\0\r\n") == b"\0\r\n"


def test_a_tunnel_that_is_refused() -> None:
    machine = asked_by("CONNECT")
    output = machine.send_response(response("403"), True)
    assert output == b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    assert machine.can_continue


def test_informational_responses() -> None:
    machine = asked_by("POST", "Content-Length: 1", "Expect: 100-continue")
    assert machine.exchanges[0].expects_continue
    assert (
        machine.send_response(response("103", ("Link", "</x>")), False)
        == b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    )
    assert machine.send_response(response("100"), False) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert not machine.exchanges[0].expects_continue
    feed(machine, [b"a"])
    machine.send_response(response(), True)
    assert machine.can_continue


@pytest.mark.parametrize("version", [("1.0", 1.1), ("1.1", 1.0)])
def test_no_informational_response_in_http_1_0(version: tuple[str, float]) -> None:
    machine = asked(f"GET / HTTP/{version[0]}\r\nHost: a\r\n\r\n".encode(), version[1])
    with pytest.raises(LocalProtocolError, match=r"HTTP/1\.0"):
        machine.send_response(response("100"), False)


@pytest.mark.parametrize("method", ["GET", "CONNECT"])
def test_101_needs_an_upgrade(method: str) -> None:
    machine = asked_by(method)
    with pytest.raises(LocalProtocolError, match="without Upgrade"):
        machine.send_response(response("101", ("Upgrade", "x")), False)
    assert not machine.switched
    assert machine.send_response(response("400"), True)


@pytest.mark.parametrize("status", ["", "20", "2000", "2x0", "099", "\u0662\u0660\u0660", "-20", "20\n", "1\r\n"])
def test_a_bad_status(status: str) -> None:
    machine = asked()
    with pytest.raises(LocalProtocolError, match="bad status line"):
        machine.send_response(Headers.adopt([(":status", status)]), True)
    assert machine.send_response(response(), True)


@pytest.mark.parametrize("field", [("X", "a\r\nb"), ("X", "\n"), ("X", "\0"), ("X\n", "a"), ("X", "\u0161")])
@pytest.mark.parametrize("end_stream", [False, True])
def test_injection_by_response_fields(field: tuple[str, str], end_stream: bool) -> None:
    machine = asked()
    with pytest.raises(InvalidHeader) as caught:
        machine.send_response(Headers.adopt([(":status", "200"), field]), end_stream)
    assert "a\r\nb" not in str(caught.value)
    assert machine.send_response(response(), True)
    assert machine.can_continue


def test_no_response_without_request() -> None:
    machine = server()
    with pytest.raises(LocalProtocolError, match="no request"):
        machine.send_response(response(), True)
    feed(machine, [GET_BYTES])
    machine.send_response(response(), True)
    with pytest.raises(LocalProtocolError, match="no request"):
        machine.send_response(response(), True)


def test_no_response_in_the_middle_of_another() -> None:
    machine = asked(GET_BYTES * 2)
    machine.send_response(response(), False)
    with pytest.raises(LocalProtocolError, match="not complete"):
        machine.send_response(response(), True)


def test_a_length_without_a_body() -> None:
    machine = asked()
    with pytest.raises(LocalProtocolError, match="announces a body"):
        machine.send_response(response("200", ("Content-Length", "5")), True)
    assert machine.send_response(response("200", ("Content-Length", "0")), True).count(b"Content-Length") == 1


def test_until_close_for_http_1_0() -> None:
    machine = asked_by("GET", "Connection: keep-alive", version="1.0")
    output = machine.send_response(response(), False)
    assert output == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    assert machine.send_data(b"abc") + machine.send_end() == b"abc"
    assert not machine.can_continue
    assert not machine.keep_alive


def test_no_trailers_until_close() -> None:
    machine = asked_by("GET", version="1.0")
    machine.send_response(response(), False)
    with pytest.raises(LocalProtocolError, match="chunked"):
        machine.send_end(Headers([("X", "1")]))


@pytest.mark.parametrize("version", [("1.0", 1.1), ("1.1", 1.0)])
def test_keep_alive_with_http_1_0(version: tuple[str, float]) -> None:
    machine = asked(f"GET / HTTP/{version[0]}\r\nHost: a\r\nConnection: keep-alive\r\n\r\n".encode(), version[1])
    output = machine.send_response(response(), True)
    assert output.startswith(f"HTTP/{version[1]} 200 OK\r\n".encode())
    assert fields_of(output) == [b"Content-Length: 0", b"Connection: keep-alive"]
    assert machine.can_continue


def test_no_chunks_to_http_1_0() -> None:
    machine = asked_by("GET", version="1.0")
    with pytest.raises(LocalProtocolError, match=r"HTTP/1\.0 peer"):
        machine.send_response(response("200", ("Transfer-Encoding", "chunked")), False)


@pytest.mark.parametrize("given", ["close", "Close", "x, close"])
def test_a_response_that_says_close(given: str) -> None:
    machine = asked()
    output = machine.send_response(response("200", ("connection", given)), True)
    assert fields_of(output) == [f"connection: {given}".encode(), b"Content-Length: 0"]
    assert not machine.can_continue
    assert machine.sender.state is SendState.CLOSED


def test_close_is_added_to_other_options() -> None:
    machine = asked_by("GET", "Connection: close")
    output = machine.send_response(response("200", ("Connection", "x")), True)
    assert fields_of(output) == [b"Connection: x", b"Content-Length: 0", b"Connection: close"]


def test_only_the_last_pipelined_response_says_close() -> None:
    last = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    machine = asked(GET_BYTES * 2 + last)
    outputs = [machine.send_response(response(), True) for _ in range(3)]
    assert [b"close" in output for output in outputs] == [False, False, True]
    assert not machine.can_continue


def test_nothing_follows_a_response_that_says_close() -> None:
    machine = asked(GET_BYTES * 2)
    machine.send_response(response("200", ("Connection", "close")), True)
    with pytest.raises(LocalProtocolError, match="nothing more"):
        machine.send_response(response(), True)
    assert not machine.can_continue


def test_refusing_further_requests() -> None:
    machine = asked(GET_BYTES * 2)
    machine.refuse_further()
    outputs = [machine.send_response(response(), True) for _ in range(2)]
    assert [b"close" in output for output in outputs] == [False, True]
    assert feed(machine, [GET_BYTES]).events == []


def test_refusing_further_requests_while_idle() -> None:
    machine = server()
    machine.refuse_further()
    assert not machine.can_continue
    assert feed(machine, [GET_BYTES]).events == []


def test_refusing_what_could_not_be_parsed() -> None:
    machine = server()
    outcome = feed(machine, [GET_BYTES + b"nonsense\r\n\r\n"])
    assert outcome.error is not None
    machine.expect_refusal()
    first = machine.send_response(response("200"), True)
    assert b"close" not in first
    second = machine.send_response(response(str(outcome.error.status)), True)
    assert second == b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    assert not machine.can_continue


def test_a_fault_in_the_body_closes() -> None:
    machine = server()
    outcome = feed(machine, [b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"])
    assert outcome.error is not None
    assert fields_of(machine.send_response(response("400"), True)) == [b"Content-Length: 0", b"Connection: close"]


def test_a_final_response_instead_of_100_closes() -> None:
    # RFC 9110 section 10.1.1: whether the body will come is open, so the connection cannot go on.
    machine = asked_by("POST", "Content-Length: 3", "Expect: 100-continue")
    assert b"Connection: close" in machine.send_response(response("417"), True)
    machine = asked_by("POST", "Content-Length: 3", "Expect: 100-continue")
    feed(machine, [b"abc"])
    assert not machine.exchanges[0].expects_continue
    assert b"Connection" not in machine.send_response(response("200"), True)
    assert machine.can_continue


def test_a_response_before_the_requests_end_keeps_the_connection() -> None:
    machine = asked(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na")
    assert machine.send_response(response(), True) == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    assert not machine.can_continue
    assert feed(machine, [b"bc"]).events == [DataReceived(b"bc"), EndReceived(None)]
    assert machine.can_continue


# -- gzip as a transfer coding -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "compressed"),
    [
        (["TE: gzip", "Connection: TE"], True),
        (["TE: deflate", "TE: X-GZIP;q=0.5", "Connection: close, te"], True),
        (["TE: trailers, gzip;q=0.001", "Connection: TE"], True),
        (["TE: gzip;q=0", "Connection: TE"], False),
        (["TE: gzip ; q = 0.000", "Connection: TE"], False),
        (["TE: trailers", "Connection: TE"], False),
        (["TE: deflate", "Connection: TE"], False),
        # RFC 9110 section 10.1.4: without the option it may come from a hop that does not know it.
        (["TE: gzip"], False),
        (["TE: gzip", "Connection: keep-alive"], False),
    ],
)
def test_te(fields: list[str], compressed: bool) -> None:
    machine = asked_by("GET", *fields)
    output = machine.send_response(response(), False)
    assert (b"Transfer-Encoding: gzip, chunked" in output) is compressed
    assert (b"Transfer-Encoding: chunked" in output) is not compressed
    body = machine.send_data(b"abc" * 100) + machine.send_end()
    reader = client()
    assert feed(reader, [output + body]).body == b"abc" * 100
    size, _, rest = body.partition(b"\r\n")
    if compressed:
        assert zlib.decompressobj(31).decompress(rest[: int(size, 16)]) == b"abc" * 100


def test_nothing_is_compressed_twice() -> None:
    machine = asked_by("GET", "TE: gzip", "Connection: TE")
    output = machine.send_response(response("200", ("Content-Encoding", "gzip")), False)
    assert b"\r\nTransfer-Encoding: chunked\r\n" in output
    data = gzip.compress(b"abc")
    assert data in machine.send_data(data)


def test_compression_can_be_switched_off() -> None:
    machine = asked_by("GET", "TE: gzip", "Connection: TE")
    machine.compress_transfers = False
    assert b"gzip" not in machine.send_response(response(), False)


def test_a_given_length_is_not_compressed() -> None:
    machine = asked_by("GET", "TE: gzip", "Connection: TE")
    assert b"gzip" not in machine.send_response(response("200", ("Content-Length", "3")), False)
    assert machine.send_data(b"abc") == b"abc"


def test_the_request_event_is_what_was_sent() -> None:
    outcome = feed(server(), [H1ClientMachine().send_request(GET, True)])
    assert outcome.events == [RequestReceived(GET, 1.1, False, False), EndReceived(None)]
