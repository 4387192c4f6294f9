"""Failures are caught as those of HTTP/1.1 are."""

from __future__ import annotations

import http.client
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import urllib3.exceptions as inner
from requests.exceptions import ChunkedEncodingError
from urllib3.util import Retry

from tests.compat.http2 import INTERNAL_ERROR, REFUSED_STREAM
from tests.support.h2_server import Exchange, H2Server


def test_a_stream_reset_before_its_response(
    session: requests.Session, open_session: Callable[..., requests.Session], serve: Callable[..., H2Server]
) -> None:
    with serve(lambda exchange: exchange.reset(INTERNAL_ERROR)) as server:
        with pytest.raises(requests.ConnectionError, match="INTERNAL_ERROR") as caught:
            session.get(server.url)
        assert type(caught.value) is requests.ConnectionError
        outer = caught.value.args[0]
        assert type(outer) is inner.ProtocolError
        assert outer.args[0] == "Connection aborted."
        assert isinstance(outer.args[1], http.client.RemoteDisconnected)
        assert len(server.exchanges) == 1
        retrying = open_session(max_retries=Retry(2))
        with pytest.raises(requests.ConnectionError):
            retrying.get(server.url)
        assert len(server.exchanges) == 4
        with pytest.raises(requests.ConnectionError):
            retrying.post(server.url, data=b"once")
        assert len(server.exchanges) == 5


def test_a_request_that_was_not_looked_at_is_sent_again(
    session: requests.Session, serve: Callable[..., H2Server]
) -> None:
    def answer(exchange: Exchange) -> None:
        if exchange.id == 1:
            exchange.reset(REFUSED_STREAM)
        else:
            exchange.respond(200, bytes(exchange.body))

    with serve(answer) as server:
        assert session.post(server.url, data=b"body").text == "body"
        assert server.connections == 1


@pytest.mark.parametrize("body", [b"body", io.BytesIO(b"body"), iter([b"body"])], ids=["bytes", "file", "iterator"])
def test_a_server_that_refuses_for_good(
    session: requests.Session,
    open_session: Callable[..., requests.Session],
    serve: Callable[..., H2Server],
    body: Any,
) -> None:
    with serve(lambda exchange: exchange.reset(REFUSED_STREAM)) as server:
        with pytest.raises(requests.ConnectionError, match="Failed to begin a request") as caught:
            session.post(server.url, data=body)
        assert type(caught.value) is requests.ConnectionError
        assert isinstance(caught.value.args[0], inner.MaxRetryError)
        assert type(caught.value.args[0].reason) is inner.NewConnectionError
        tries = len(server.exchanges)
        if isinstance(body, bytes):
            assert tries > 1
            with pytest.raises(requests.ConnectionError):
                open_session(max_retries=Retry(1)).post(server.url, data=body)
            assert len(server.exchanges) == 3 * tries
        elif not hasattr(body, "read"):
            assert tries == 1


def test_a_server_that_goes_away(session: requests.Session, serve: Callable[..., H2Server]) -> None:
    def answer(exchange: Exchange) -> None:
        if len(server.wires) == 1 and exchange.id == 3:
            exchange.wire.goaway(1)
        else:
            exchange.respond(200, f"{len(server.wires)} {exchange.id}".encode())

    with serve(answer) as server:
        assert session.post(server.url, data=b"x").text == "1 1"
        assert session.post(server.url, data=b"x").text == "2 1"
        assert session.post(server.url, data=b"x").text == "2 3"


BREAKS: dict[str, Callable[[H2Server], None]] = {
    "reset": lambda server: server.exchanges[0].reset(INTERNAL_ERROR),
    "close": lambda server: server.wire.close(),
    "abort": lambda server: server.wire.abort(),
    "short": lambda server: None,
}


@pytest.mark.parametrize("length", [(), (("content-length", "10"),)], ids=["open", "length"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("end", BREAKS)
def test_a_body_that_breaks(
    session: requests.Session, serve: Callable[..., H2Server], length: Any, stream: bool, end: str
) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.head(200, *(length or ((("content-length", "4"),) if end == "short" else ())))
        exchange.data(b"abc", end=end == "short")

    with serve(answer) as server:
        prepared = session.prepare_request(requests.Request("GET", server.url))
        response = session.get_adapter(server.url).send(prepared, stream=stream, verify=session.verify)
        pieces = response.iter_content(3 if stream else 10_240)
        if stream and end != "short":
            assert next(pieces) == b"abc"
        BREAKS[end](server)
        with pytest.raises(ChunkedEncodingError) as caught:
            list(pieces)
        assert isinstance(caught.value.args[0], inner.ProtocolError)
        if end == "close" and length:
            assert "IncompleteRead(3 bytes read, 7 more expected)" in str(caught.value)


def test_reading_the_raw_body_fails_as_urllib3_does(session: requests.Session, held: H2Server) -> None:
    with ThreadPoolExecutor(1) as worker:
        future = worker.submit(session.get, held.url, stream=True)
        exchange = held.next()
        exchange.head(200)
        raw = future.result().raw
    exchange.reset(INTERNAL_ERROR)
    with pytest.raises(inner.ProtocolError, match=r"Connection broken.*INTERNAL_ERROR"):
        raw.read()
    assert raw.closed
    with ThreadPoolExecutor(1) as worker:
        again = worker.submit(session.get, held.url)
        held.next().respond(200, b"fine")
        assert again.result().text == "fine"
    assert held.connections == 1
