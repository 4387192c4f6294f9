"""One connection for everybody: nobody is harmed by what another does."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import urllib3.exceptions as inner

from tests.compat.http2 import cancelled
from tests.support.h2_server import Exchange, H2Server, pattern

WAIT = 0.15


@pytest.mark.parametrize("options", [{}, {"pool_block": True, "pool_maxsize": 2}], ids=["open", "block"])
def test_a_hundred_threads_use_one_connection(
    open_session: Callable[..., requests.Session], server: H2Server, options: Any
) -> None:
    session = open_session(**options)
    started = threading.Barrier(100)

    def work(number: int) -> None:
        started.wait()
        for turn in range(3):
            size = number * 10 + turn
            assert session.get(f"{server.url}/bytes/{size}").content == pattern(size)

    with ThreadPoolExecutor(100) as threads:
        list(threads.map(work, range(100)))
    assert server.connections == 1
    assert len(server.exchanges) == 300
    assert server.wire.resets == {}


def test_closing_in_the_middle_resets_that_stream_only(session: requests.Session, server: H2Server) -> None:
    given_up = session.get(f"{server.url}/bytes/3000000", stream=True)
    kept = session.get(f"{server.url}/bytes/3000000", stream=True)
    assert given_up.raw.read(10) == kept.raw.read(10)
    given_up.close()
    server.wait(lambda: cancelled(server))
    assert kept.raw.read() == pattern(3_000_000)[10:]
    assert cancelled(server) == [1]
    assert server.connections == 1


def test_responses_that_nobody_reads_hold_up_nobody(session: requests.Session, server: H2Server) -> None:
    waiting = [session.get(f"{server.url}/bytes/1500000", stream=True) for _ in range(20)]
    assert session.get(f"{server.url}/bytes/1000", timeout=5).content == pattern(1000)
    assert {len(response.content) for response in waiting[-2:]} == {1_500_000}
    for response in waiting:
        response.close()
    assert server.connections == 1


@pytest.mark.parametrize("touched", [False, True])
def test_a_response_that_is_dropped_resets_its_stream(
    session: requests.Session, server: H2Server, touched: bool
) -> None:
    response = session.get(f"{server.url}/bytes/3000000", stream=True)
    assert not touched or response.raw.read(10) == pattern(10)
    del response
    gc.collect(0)
    assert session.get(f"{server.url}/echo").status_code == 200
    server.wait(lambda: cancelled(server) == [1])
    assert server.connections == 1


def test_a_read_timeout_harms_no_sibling(session: requests.Session, server: H2Server) -> None:
    sibling = session.get(f"{server.url}/bytes/3000000", stream=True)
    with pytest.raises(requests.ReadTimeout) as caught:
        session.get(f"{server.url}/held", timeout=WAIT)
    assert type(caught.value.args[0]) is inner.ReadTimeoutError
    assert sibling.content == pattern(3_000_000)
    server.wait(lambda: cancelled(server) == [3])
    assert server.connections == 1


@pytest.mark.parametrize("stream", [False, True])
def test_the_body_stops_coming(session: requests.Session, serve: Callable[..., H2Server], stream: bool) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.head(200, ("content-length", "10"))
        exchange.data(b"abc")

    with serve(answer) as server:
        with pytest.raises(requests.ConnectionError, match="Read timed out") as caught:
            response = session.get(server.url, timeout=WAIT, stream=stream)
            assert stream
            list(response.iter_content(3))
        server.wait(lambda: cancelled(server) == [1])
    assert type(caught.value) is requests.ConnectionError


def test_a_total_timeout_covers_the_body(open_session: Callable[..., requests.Session], held: H2Server) -> None:
    stop = threading.Event()

    def drip() -> None:
        exchange = held.next()
        exchange.head(200)
        while not stop.wait(0.02):
            exchange.data(b"x")

    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        with pytest.raises(requests.ConnectionError, match="Read timed out"):
            open_session(total_timeout=0.3).get(held.url, timeout=10)
    finally:
        stop.set()
        dripping.join()
