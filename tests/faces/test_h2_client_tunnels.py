"""CONNECT over HTTP/2: bytes both ways on a stream of their own (RFC 9113 section 8.5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from drivetrain.engine import Request, errors
from drivetrain.engine.wire.h2_errors import H2ErrorCode
from tests.support.h2_server import Exchange, H2Server, pages, pattern


def open_tunnel(server: H2Server) -> Any:
    request = Request.new_connect(server.url, "example.org:443")
    request.version = 2
    headers, stream = request.go(10)
    assert headers.get(":status") == "200"
    return stream


def accept(exchange: Exchange) -> None:
    if exchange.method == "CONNECT":
        exchange.head(200)
    else:
        pages(exchange)


def saying(server: H2Server, condition: Callable[[Exchange], Any]) -> Exchange:
    exchange = server.exchanges[-1]
    server.wait(lambda: condition(exchange))
    return exchange


def test_the_request() -> None:
    with H2Server(accept, early=True) as server:
        stream = open_tunnel(server)
        exchange = server.exchanges[0]
        assert (exchange.method, exchange.get(":authority")) == ("CONNECT", "example.org:443")
        assert exchange.get(":scheme") is exchange.get(":path") is None
        assert not exchange.complete
        stream.shutdown()


def test_bytes_both_ways() -> None:
    with H2Server(accept, early=True) as server:
        stream = open_tunnel(server)
        stream.write_chunk(b"to the server", False)
        exchange = saying(server, lambda exchange: exchange.body == b"to the server")
        exchange.data(b"to the client")
        assert stream.get_body_chars(13, 10) == b"to the client"
        stream.write_chunk(pattern(300_000), False)
        saying(server, lambda exchange: exchange.received == 300_013)
        exchange.data(pattern(2_000_000))
        assert stream.get_body_chars(2_000_000, 10) == pattern(2_000_000)
        stream.shutdown()


def test_each_side_ends_by_itself() -> None:
    with H2Server(accept, early=True) as server:
        stream = open_tunnel(server)
        stream.write_chunk(b"last words", True)
        exchange = saying(server, lambda exchange: exchange.complete)
        assert exchange.body == b"last words"
        exchange.data(b"more ")
        assert stream.get_next_chunk(10) == b"more "
        exchange.data(b"and the end", end=True)
        assert stream.get_body_as_string(10) == b"and the end"
        assert stream.get_next_chunk(10) is None
        assert stream.state == "closed"
        assert server.wire.resets == {}


def test_the_server_may_end_first() -> None:
    with H2Server(accept, early=True) as server:
        stream = open_tunnel(server)
        server.exchanges[0].data(b"bye", end=True)
        assert stream.get_body_as_string(10) == b"bye"
        stream.write_chunk(b"still talking", False)
        stream.write_chunk(b"", True)
        saying(server, lambda exchange: exchange.complete and exchange.body == b"still talking")
        assert stream.state == "closed"


def test_a_reset_of_the_servers() -> None:
    with H2Server(accept, early=True) as server:
        stream = open_tunnel(server)
        server.exchanges[0].reset(H2ErrorCode.CONNECT_ERROR)
        with pytest.raises(errors.RemoteProtocolError) as caught:
            stream.get_next_chunk(10)
        assert getattr(caught.value, "code", None) == H2ErrorCode.CONNECT_ERROR
        with pytest.raises(errors.EngineError):
            stream.write_chunk(b"x", False)


def test_a_reset_of_the_clients() -> None:
    with H2Server(accept, early=True) as server:
        stream = open_tunnel(server)
        stream.shutdown()
        exchange = server.exchanges[0]
        server.wait(lambda: server.wire.resets)
        assert server.wire.resets == {exchange.id: H2ErrorCode.CANCEL}


def test_a_tunnel_among_requests() -> None:
    """It takes one stream of the connection, and the connection stays for others when the tunnel has ended."""
    with H2Server(accept, early=True) as server:
        stream = open_tunnel(server)
        for number in range(3):
            request = Request.from_uri(f"{server.url}/{number}")
            request.version = 2
            _, answer = request.go(10)
            assert answer.get_body_as_string(10) == f"/{number}".encode()
        stream.write_chunk(b"x", True)
        server.exchanges[0].data(b"y", end=True)
        assert stream.get_body_as_string(10) == b"y"
        assert server.connections == 1


def test_a_refusal_is_an_answer() -> None:
    with H2Server(lambda exchange: exchange.respond(407, b"who are you"), early=True) as server:
        request = Request.new_connect(server.url, "example.org:443")
        request.version = 2
        headers, stream = request.go(10)
        assert headers.get(":status") == "407"
        assert stream.get_body_as_string(10) == b"who are you"
        stream.shutdown()


def test_a_timeout_of_a_reader_loses_nothing() -> None:
    with H2Server(accept, early=True) as server:
        stream = open_tunnel(server)
        with pytest.raises(errors.ReadTimeout):
            stream.get_next_chunk(0.05)
        server.exchanges[0].data(b"late")
        assert stream.get_next_chunk(10) == b"late"
        stream.shutdown()
