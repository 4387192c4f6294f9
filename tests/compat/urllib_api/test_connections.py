"""Connections: kept, shared, given back, and never by those who must not share them."""

from __future__ import annotations

import gc
import http.client
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.request import Request

import pytest

from drivetrain.compat import urllib_api
from drivetrain.compat.urllib_api.clients import SharedClients, shared_clients
from tests.compat.urllib_api.conftest import Library
from tests.compat.urllib_api.recorder import OK, Recorder, response
from tests.support.certificates import Certificates
from tests.support.servers import RawServer, read_head, read_until_eof


def finish_whole(got: Any) -> None:
    got.read()


def finish_by_size(got: Any) -> None:
    while got.read(3):
        pass


def finish_exactly(got: Any) -> None:
    assert got.read(10) == b"0123456789"


def finish_by_lines(got: Any) -> None:
    list(got)


def finish_by_closing(got: Any) -> None:
    got.read(1)
    got.close()


FINISHES = [finish_whole, finish_by_size, finish_exactly, finish_by_lines, finish_by_closing]
LENGTH = response(b"0123456789")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n"


@pytest.mark.parametrize("finish", FINISHES)
@pytest.mark.parametrize("answer", [LENGTH, CHUNKED], ids=["length", "chunked"])
def test_a_read_response_gives_its_connection_back(ours: Library, answer: bytes, finish: Callable[..., None]) -> None:
    recorder = Recorder((answer,))
    with RawServer(recorder) as server:
        for _ in range(3):
            got = ours.urlopen(server.url)
            finish(got)
            if answer is CHUNKED and finish is finish_exactly:
                got.close()  # the last chunk was not asked for
    assert [len(requests) for requests in recorder.requests] == [3]


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_response_without_a_body_gives_its_connection_back(ours: Library, method: str) -> None:
    recorder = Recorder((b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (5 if method == "HEAD" else 0),))
    with RawServer(recorder) as server:
        for _ in range(2):
            ours.urlopen(Request(server.url, method=method)).close()
            assert ours.get(Request(server.url, method=method)) == b""
    assert [len(requests) for requests in recorder.requests] == [4]


def test_openers_share_connections(ours: Library) -> None:
    recorder = Recorder()
    with RawServer(recorder) as server:
        assert ours.get(server.url) == b"ok"
        assert ours.build_opener().open(server.url).read() == b"ok"
        assert ours.build_opener(urllib_api.EngineHandler()).open(server.url, b"data").read() == b"ok"
    assert [len(requests) for requests in recorder.requests] == [3]


def test_the_original_closes(original: Library) -> None:
    recorder = Recorder()
    with RawServer(recorder) as server:
        assert [original.get(server.url) for _ in range(2)] == [b"ok", b"ok"]
    assert len(recorder.requests) == 2


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_connection_that_ends_is_not_used_again(ours: Library, side: str) -> None:
    recorder = Recorder((response(b"ok", "200 OK", "Connection: close"),) if side == "server" else (OK,))
    with RawServer(recorder) as server:
        headers = {"Connection": "close"} if side == "client" else {}
        for _ in range(2):
            with ours.urlopen(Request(server.url, headers=headers)) as got:
                assert got.read() == b"ok"
                assert got.will_close is (side == "server")
    assert [len(requests) for requests in recorder.requests] == [1, 1]


def test_a_stale_connection_is_replaced(ours: Library) -> None:
    def handler(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(OK)

    with RawServer(handler) as server:
        for _ in range(10):
            # It closed without a word: what may be repeated is.
            assert ours.get(server.url) == b"ok"
        assert server.connections == 10


def test_a_dropped_response_closes_its_connection(library: Library) -> None:
    ended = threading.Event()

    def handler(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
        assert read_until_eof(connection) == b""
        ended.set()

    with RawServer(handler, tolerate=(ConnectionResetError,)) as server:
        got = library.urlopen(server.url)
        assert got.read(2) == b"pa"
        del got
        gc.collect(0)
        if library.keeps:
            urllib_api.close_connections()
        assert ended.wait(5)


def test_many_responses_at_once(library: Library) -> None:
    # As many as the program wants: nothing waits for one of them to be closed.
    with RawServer(Recorder((LENGTH,))) as server:
        waiting = [library.urlopen(server.url) for _ in range(120)]
        assert {got.read() for got in waiting} == {b"0123456789"}


def test_threads(ours: Library) -> None:
    recorder = Recorder()

    def work(number: int) -> bytes:
        with ours.urlopen(f"{server.url}/{number}", b"%d" % number) as got:
            data: bytes = got.read()
            return data

    with RawServer(recorder) as server, ThreadPoolExecutor(8) as threads:
        assert set(threads.map(work, range(200))) == {b"ok"}
    assert sorted(int(request.body) for request in recorder.all) == list(range(200))
    assert all(request.lines[0] == f"POST /{request.body.decode()} HTTP/1.1" for request in recorder.all)
    assert len(recorder.requests) <= 8


def test_closing_while_threads_work(ours: Library) -> None:
    def work(number: int) -> bytes:
        if number % 10 == 0:
            urllib_api.close_connections()
        return ours.get(server.url)

    with RawServer(Recorder()) as server, ThreadPoolExecutor(4) as threads:
        assert list(threads.map(work, range(100))) == [b"ok"] * 100


# -- TLS ---------------------------------------------------------------------------------------------------------------


def test_https(library: Library, certificates: Certificates) -> None:
    recorder = Recorder()
    context = certificates.client_context()
    with RawServer(recorder, context=certificates.server_context(["http/1.1"])) as server:
        for _ in range(3):
            assert library.get(f"https://localhost:{server.port}/", context=context) == b"ok"
    assert len(recorder.requests) == (1 if library.keeps else 3)


def test_contexts_do_not_share_connections(ours: Library, certificates: Certificates) -> None:
    recorder = Recorder()
    with RawServer(recorder, context=certificates.server_context()) as server:
        contexts = [certificates.client_context() for _ in range(2)]
        for context in contexts * 2:
            assert ours.get(server.url, context=context) == b"ok"
    assert [len(requests) for requests in recorder.requests] == [2, 2]


def test_a_context_that_begins_to_verify_gets_new_connections(ours: Library, certificates: Certificates) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with RawServer(Recorder(), context=certificates.server_context()) as server:
        assert ours.get(server.url, context=context) == b"ok"
        context.verify_mode = ssl.CERT_REQUIRED
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            ours.get(server.url, context=context)


def test_a_context_per_call_does_not_pile_up(ours: Library, certificates: Certificates) -> None:
    recorder = Recorder()
    with RawServer(recorder, context=certificates.server_context()) as server:
        for _ in range(20):
            assert ours.get(server.url, context=certificates.client_context()) == b"ok"
        assert len(shared_clients._secure) == 16


def test_the_hook_for_the_default_context(
    library: Library, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[ssl.SSLContext] = []

    def make() -> ssl.SSLContext:
        made.append(certificates.client_context())
        return made[-1]

    monkeypatch.setattr(ssl, "_create_default_https_context", make)
    with RawServer(Recorder(), context=certificates.server_context()) as server:
        assert [library.get(server.url) for _ in range(2)] == [b"ok", b"ok"]
    if library.keeps:
        assert len(made) == 1


def test_the_hook_may_be_replaced_later(
    ours: Library, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RawServer(Recorder(), context=certificates.server_context()) as server:
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            ours.get(server.url)
        monkeypatch.setattr(ssl, "_create_default_https_context", ssl._create_unverified_context)
        assert ours.get(server.url) == b"ok"
        monkeypatch.undo()
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            ours.get(server.url)


# -- the registry ------------------------------------------------------------------------------------------------------


def test_plain_http_loads_no_trust_store(ours: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> ssl.SSLContext:
        raise AssertionError("a context was made")

    monkeypatch.setattr(ssl, "_create_default_https_context", refuse)
    with RawServer(Recorder()) as server:
        assert ours.get(server.url) == b"ok"


def test_the_registry_begins_anew_after_closing() -> None:
    clients = SharedClients()
    first = clients.plain()
    assert clients.plain() is first
    clients.close()
    second = clients.plain()
    assert second is not first
    clients.close()


def test_a_forked_child_does_not_wait_for_a_lock_held_elsewhere() -> None:
    clients = SharedClients()
    with clients._lock:
        clients.restart_in_child()
        assert clients.plain() is clients.plain()
    clients.close()


def test_the_interpreter_may_end_with_connections_open(ours: Library) -> None:
    assert http.client.HTTPResponse in urllib_api.EngineResponse.__mro__
    with RawServer(Recorder()) as server:
        assert ours.get(server.url) == b"ok"
        assert shared_clients.plain().statistics.idle == 1
        urllib_api.close_connections()
        assert shared_clients.plain().statistics.open == 0
