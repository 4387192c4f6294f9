"""The servers, both colours, with both kinds of handlers, against clients whose every byte is written here."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivetrain.engine import AsyncServer, Client, H1Limits, Headers, Server, errors
from tests.faces.serving import KINDS, Running, Serve, dial, reply, scripted, serving, until
from tests.support.certificates import Certificates
from tests.support.servers import read_exactly, read_head, read_until_eof

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind[0]}-{'async' if kind[1] else 'plain'}")
def serve(request: pytest.FixtureRequest) -> Serve:
    """See `scripted`."""
    return scripted(*request.param)


def hello(stream: Any) -> Iterator[Any]:
    headers = yield stream.get_headers()
    yield reply(stream, headers.get(":path").encode())


def echo(stream: Any) -> Iterator[Any]:
    yield stream.get_headers()
    body = yield stream.get_body_as_string()
    yield reply(stream, body)


def never(stream: Any) -> Iterator[Any]:
    yield stream.get_headers()


def answer_to(running: Running, data: bytes) -> bytes:
    """Everything the server says to `data`, until it closes."""
    with dial(running) as sock:
        sock.sendall(data)
        return read_until_eof(sock)


def status_of(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer
    return int(answer[9:12])


class TestAnswers:
    def test_keep_alive(self, serve: Serve) -> None:
        with serve(hello) as running, dial(running) as sock:
            for _ in range(3):
                sock.sendall(GET)
                assert b"200 OK" in read_head(sock)
                assert read_exactly(sock, 1) == b"/"
            assert running.connections == 1

    def test_pipelined_requests_are_answered_in_order(self, serve: Serve) -> None:
        requests = b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number for number in range(5))
        requests += b"GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        with serve(hello) as running:
            answer = answer_to(running, requests)
        bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 ")[1:]]
        assert bodies == [b"/0", b"/1", b"/2", b"/3", b"/4", b"/last"]

    def test_a_body_over_the_limit_is_413(self, serve: Serve) -> None:
        head = b"POST / HTTP/1.1\r\nHost: h\r\n"
        with serve(echo, limits=H1Limits(max_body=3)) as running:
            assert answer_to(running, head + b"Connection: close\r\nContent-Length: 3\r\n\r\nabc").endswith(b"abc")
            assert status_of(answer_to(running, head + b"Content-Length: 4\r\n\r\nabcd")) == 413
            chunked = head + b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"
            assert status_of(answer_to(running, chunked)) == 413

    def test_http_1_0(self, serve: Serve) -> None:
        with serve(hello) as running:
            answer = answer_to(running, b"GET / HTTP/1.0\r\n\r\n")
            assert b"Connection: close" in answer
            assert answer.endswith(b"\r\n\r\n/")
            with dial(running) as sock:
                for _ in range(2):
                    sock.sendall(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                    assert b"Connection: keep-alive" in read_head(sock)
                    assert read_exactly(sock, 1) == b"/"

    def test_head(self, serve: Serve) -> None:
        def script(stream: Any) -> Iterator[Any]:
            yield stream.get_headers()
            yield stream.write_headers(Headers([(":status", "200"), ("content-length", "5")]), True)

        with serve(script) as running:
            answer = answer_to(running, b"HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            assert b"content-length: 5" in answer.lower()
            assert answer.endswith(b"\r\n\r\n")

    def test_chunked_and_trailers_both_ways(self, serve: Serve) -> None:
        def script(stream: Any) -> Iterator[Any]:
            yield stream.get_headers()
            body = yield stream.get_body_as_string()
            trailers = yield stream.get_headers()
            yield stream.write_headers(Headers([(":status", "200")]), False)
            yield stream.write_chunk(body + b" " + trailers.get("x-sum").encode())
            yield stream.write_headers(Headers([("x-end", "1")]), True)

        request = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        with serve(script) as running:
            answer = answer_to(running, request + b"3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n")
        assert answer.endswith(b"\r\n\r\n5\r\nabc 9\r\n0\r\nx-end: 1\r\n\r\n")

    def test_continue(self, serve: Serve) -> None:
        request = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        with serve(echo) as running, dial(running) as sock:
            sock.sendall(request)
            assert read_head(sock) == b"HTTP/1.1 100 Continue\r\n\r\n"
            sock.sendall(b"body")
            assert b"200 OK" in read_head(sock)
            assert read_exactly(sock, 4) == b"body"
        with serve(hello) as running, dial(running) as sock:
            sock.sendall(request)
            head = read_head(sock)
            assert b"200 OK" in head
            assert b"Connection: close" in head

    def test_early_responses(self, serve: Serve) -> None:
        def script(stream: Any) -> Iterator[Any]:
            yield stream.write_headers(Headers([(":status", "103"), ("link", "</x>")]), False)
            yield reply(stream)

        with serve(script) as running, dial(running) as sock:
            sock.sendall(GET)
            assert b"103 Early Hints" in read_head(sock)
            assert b"200 OK" in read_head(sock)

    def test_facts_of_a_stream(self, serve: Serve) -> None:
        seen: list[Any] = []

        def script(stream: Any) -> Iterator[Any]:
            headers = yield stream.get_headers()
            seen.append((stream.peername(), stream.localname(), stream.checktls(), stream.version, stream.state))
            seen.append([headers.get(name) for name in (":method", ":scheme", ":authority", ":path")])
            yield reply(stream)

        with serve(script) as running, dial(running) as sock:
            sock.sendall(b"GET /p?q HTTP/1.1\r\nHost: h:8\r\n\r\n")
            read_head(sock)
            peer, local = sock.getsockname(), sock.getpeername()
        assert seen[0][0][1:] == peer
        assert seen[0][1][1:] == local
        assert seen[0][2:] == (None, 1.1, "half closed (remote)")
        assert seen[1] == ["GET", "http", "h:8", "/p?q"]


class TestPlaces:
    def test_tls(self, serve: Serve, certificates: Certificates) -> None:
        def script(stream: Any) -> Iterator[Any]:
            headers = yield stream.get_headers()
            yield reply(stream, f"{headers.get(':scheme')} {stream.checktls().version()}".encode())

        with serve(script, context=certificates.server_context()) as running:
            with Client(verify=certificates.ca_file) as client:
                assert client.get(f"https://localhost:{running.port}/").text == "https TLSv1.3"
            # Somebody who speaks no TLS is nobody's error, and does not hold up the others.
            with dial(running) as sock:
                sock.sendall(GET)
                with contextlib.suppress(ConnectionError):
                    read_until_eof(sock)
            with Client(verify=certificates.ca_file) as client:
                assert client.get(f"https://localhost:{running.port}/").status == 200
            assert running.errors == []

    def test_unix(self, serve: Serve, short_tmp_path: Path) -> None:
        path = str(short_tmp_path / "s")
        with serve(hello, path=path, mode=0o600) as running:
            assert running.server.localname()[:2] == (socket.AF_UNIX, path)
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
            with Client(unix_socket=path) as client:
                assert client.get("http://x/y").text == "/y"
        with pytest.raises(errors.ConnectError), serve(hello, path=path):
            pass
        with serve(hello, path=path, unlink=True), Client(unix_socket=path) as client:
            assert client.get("http://x/z").text == "/z"

    def test_unlink_removes_sockets_only(self, serve: Serve, short_tmp_path: Path) -> None:
        path = short_tmp_path / "file"
        path.write_text("keep me")
        with pytest.raises(errors.ConnectError), serve(hello, path=str(path), unlink=True):
            pass
        assert path.read_text() == "keep me"

    def test_given_socket(self, serve: Serve) -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        with serve(hello, socket=sock) as running:
            assert running.port == port
            assert status_of(answer_to(running, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))) == 200

    def test_a_port_in_use(self, serve: Serve) -> None:
        with serve(hello) as running, pytest.raises(errors.ConnectError), serve(hello, port=running.port):
            pass

    def test_ipv6(self, serve: Serve) -> None:
        with serve(hello, host="::1", v6only=True) as running, socket.create_connection(("::1", running.port)) as sock:
            sock.sendall(GET)
            assert b"200 OK" in read_head(sock)

    @pytest.mark.parametrize("options", [{"version": 3}, {"max_concurrent": 0}])
    def test_bad_options(self, options: dict[str, Any]) -> None:
        for kind in (Server, AsyncServer):
            with pytest.raises(errors.UsageError):
                kind(lambda server, stream: None, **options)
        with pytest.raises(TypeError):
            Server(lambda server, stream: None, no_such_option=1)


class TestRefusals:
    @pytest.mark.parametrize(
        ("request_", "status"),
        [
            (b"nonsense\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: h\r\nBad Name: x\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400),
            (b"GET /%s HTTP/1.1\r\nHost: h\r\n\r\n" % (b"x" * 9000), 414),
            (b"GET / HTTP/1.1\r\nHost: h\r\nExpect: miracles\r\n\r\n", 417),
            (b"GET / HTTP/1.1\r\nHost: h\r\n%s\r\n" % (b"X: y\r\n" * 101), 431),
            (b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x, chunked\r\n\r\n", 501),
            (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        ],
    )
    def test_statuses(self, serve: Serve, request_: bytes, status: int) -> None:
        with serve(hello) as running:
            answer = answer_to(running, request_)
            assert status_of(answer) == status
            assert b"connection: close" in answer.lower()
            assert [context for _, context in running.errors] == ["reading a request"]

    def test_after_a_good_request(self, serve: Serve) -> None:
        with serve(hello) as running:
            answer = answer_to(running, GET + b"nonsense\r\n\r\n")
        assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400"]

    def test_a_bad_body(self, serve: Serve) -> None:
        request = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n"
        with serve(echo) as running:
            assert status_of(answer_to(running, request)) == 400
            assert [context for _, context in running.errors] == ["handling a request"]

    def test_limits_are_settings(self, serve: Serve) -> None:
        with serve(hello, limits=H1Limits(max_fields=2)) as running:
            assert status_of(answer_to(running, b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\nC: d\r\n\r\n")) == 431

    def test_a_client_that_breaks_off_is_nobodys_error(self, serve: Serve) -> None:
        with serve(echo) as running:
            for data in (b"", b"GET / HT", GET[:-2], b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc"):
                with dial(running) as sock:
                    sock.sendall(data)
            running.close()
            kinds = [type(error) for error, _ in running.errors]
            assert kinds in ([], [errors.IncompleteMessage])  # the body that stopped was the handler's to see


class TestHandlers:
    def test_errors_give_500(self, serve: Serve) -> None:
        def script(stream: Any) -> Iterator[Any]:
            yield stream.get_headers()
            raise KeyError("oops")

        with serve(script) as running:
            assert status_of(answer_to(running, GET)) == 500
            assert [(type(error), context) for error, context in running.errors] == [(KeyError, "handling a request")]

    def test_errors_of_others_give_500_too(self, serve: Serve) -> None:
        """A handler that talks to somebody else may fail with our own errors."""

        def script(stream: Any) -> Iterator[Any]:
            yield stream.get_headers()
            raise next(kinds)("not this client's")

        kinds = iter([errors.ConnectError, errors.ReadTimeout, errors.ClosedError])
        with serve(script) as running:
            for _ in range(3):
                assert status_of(answer_to(running, GET)) == 500
            assert [type(error) for error, _ in running.errors] == [
                errors.ConnectError,
                errors.ReadTimeout,
                errors.ClosedError,
            ]

    def test_error_in_the_middle_of_an_answer(self, serve: Serve) -> None:
        def script(stream: Any) -> Iterator[Any]:
            yield stream.write_headers(Headers([(":status", "200"), ("content-length", "10")]), False)
            yield stream.write_chunk(b"abc")
            raise KeyError("oops")

        with serve(script) as running:
            answer = answer_to(running, GET)
            assert answer.endswith(b"\r\n\r\nabc")
            assert len(running.errors) == 1

    def test_no_answer_gives_503(self, serve: Serve) -> None:
        with serve(never) as running:
            assert status_of(answer_to(running, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))) == 503

    def test_part_of_an_answer_is_cut(self, serve: Serve) -> None:
        def script(stream: Any) -> Iterator[Any]:
            yield stream.write_headers(Headers([(":status", "200")]), False)
            yield stream.write_chunk(b"abc")

        with serve(script) as running:
            answer = answer_to(running, GET)
            assert answer.endswith(b"3\r\nabc\r\n")

    def test_onerror_may_be_replaced_and_may_fail(self, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
        def script(stream: Any) -> Iterator[Any]:
            raise KeyError("first")
            yield

        def failing(server: Any, error: BaseException, context: str) -> None:
            raise RuntimeError("second")

        with serve(script) as running:
            old = running.server.onerror(failing)
            assert running.server.onerror() is failing
            assert status_of(answer_to(running, GET)) == 500
            running.server.onerror(old)
            assert status_of(answer_to(running, GET)) == 500
            assert len(running.errors) == 1
        assert "second" in caplog.text

    @pytest.mark.parametrize(("size", "kept"), [(100_000, True), (10_000_000, False)])
    def test_unread_body(self, serve: Serve, size: int, kept: bool) -> None:
        def script(stream: Any) -> Iterator[Any]:
            yield stream.get_headers()
            yield reply(stream)

        with serve(script) as running, dial(running) as sock:
            sender = threading.Thread(target=_send_quietly, args=(sock, size))
            sender.start()
            assert b"200 OK" in read_head(sock)
            assert read_exactly(sock, 2) == b"ok"
            sender.join()
            if kept:
                sock.sendall(GET)
                assert b"200 OK" in read_head(sock)
            else:
                with contextlib.suppress(ConnectionError):
                    assert read_until_eof(sock) == b""

    def test_taking_the_socket(self, serve: Serve) -> None:
        taken: list[Any] = []

        def script(stream: Any) -> Iterator[Any]:
            headers = Headers([(":status", "101"), ("connection", "upgrade"), ("upgrade", "echo")])
            yield stream.get_headers()
            yield stream.write_headers(headers, True)
            taken.append(stream.connection.take_socket())

        with serve(script) as running, dial(running) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
            assert b"101 Switching Protocols" in read_head(sock)
            until(lambda: running.connections == 0)
            assert not taken[0].is_closed
            running.run(taken[0].close)
            assert read_until_eof(sock) == b""

    def test_callable_objects(self) -> None:
        class Plain:
            def __call__(self, server: Any, stream: Any) -> None:
                reply(stream)

        class Coroutine:
            async def __call__(self, server: Any, stream: Any) -> None:
                await reply(stream)

        for colour in ("blocking", "asyncio"):
            for handler in (Plain(), Coroutine()):
                with serving(colour, handler) as running, Client() as client:
                    assert client.get(running.url).text == "ok"


def _send_quietly(sock: socket.socket, size: int) -> None:
    with contextlib.suppress(OSError):
        sock.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size)
        sock.sendall(bytes(size))


class TestSlowClients:
    def test_setup(self, serve: Serve, certificates: Certificates) -> None:
        for options in ({}, {"context": certificates.server_context()}):
            with serve(hello, connection_setup_timeout=0.05, **options) as running, dial(running) as sock:
                assert read_until_eof(sock) == b""
                assert running.errors == []

    def test_a_connection_that_stays_idle(self, serve: Serve) -> None:
        with serve(hello, intra_stream_timeout=0.05) as running, dial(running) as sock:
            sock.sendall(GET)
            assert read_until_eof(sock).endswith(b"/")

    def test_the_idle_limit_is_not_that_of_a_stream(self, serve: Serve) -> None:
        with serve(hello, stream_timeout=0.02, intra_stream_timeout=0.2) as running, dial(running) as sock:
            sock.sendall(GET)
            read_head(sock)
            assert read_exactly(sock, 1) == b"/"
            sock.settimeout(0.08)
            with pytest.raises(TimeoutError):
                sock.recv(1)
            sock.settimeout(5)
            sock.sendall(GET)
            assert b"200 OK" in read_head(sock)

    def test_a_head_that_does_not_end(self, serve: Serve) -> None:
        with serve(hello, header_timeout=0.05) as running:
            assert status_of(answer_to(running, b"GET / HTTP/1.1\r\nHost: h\r\n")) == 408

    def test_a_body_that_does_not_come(self, serve: Serve) -> None:
        with serve(echo, stream_timeout=0.05) as running:
            answer = answer_to(running, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab")
            assert status_of(answer) == 408
            assert running.errors == []

    def test_a_client_that_takes_nothing(self, serve: Serve) -> None:
        failed = threading.Event()

        def script(stream: Any) -> Iterator[Any]:
            yield stream.get_headers()
            try:
                yield reply(stream, bytes(50_000_000))
            finally:
                failed.set()

        with serve(script, stream_timeout=0.1) as running, dial(running) as sock:
            sock.sendall(GET)
            assert failed.wait(5)
            assert len(_read_what_comes(sock)) < 50_000_000


def _read_what_comes(sock: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(1 << 20):
            data += piece
    return data


class Gate:
    """A handler that says when it is reached and waits to be let through."""

    def __init__(self) -> None:
        self.reached = threading.Semaphore(0)
        self.passed = threading.Event()

    def __call__(self, server: Any, stream: Any) -> None:
        stream.get_headers()
        self.reached.release()
        assert self.passed.wait(10)
        reply(stream, b"late")


@pytest.fixture(params=["blocking", "asyncio"])
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestConcurrency:
    def test_max_concurrent(self, colour: str) -> None:
        gate = Gate()
        with serving(colour, gate, max_concurrent=2) as running, contextlib.ExitStack() as stack:
            socks = [stack.enter_context(dial(running)) for _ in range(3)]
            for sock in socks:
                sock.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            for _ in range(2):
                assert gate.reached.acquire(timeout=5)
            assert not gate.reached.acquire(timeout=0.05)
            assert running.connections == 2
            gate.passed.set()
            for sock in socks:
                assert read_until_eof(sock).endswith(b"late")
                sock.close()

    def test_many_handlers_that_block_do_not_wait_for_each_other(self, colour: str) -> None:
        gate = Gate()
        with serving(colour, gate) as running, contextlib.ExitStack() as stack:
            socks = [stack.enter_context(dial(running)) for _ in range(40)]
            for sock in socks:
                sock.sendall(GET)
            for _ in socks:
                assert gate.reached.acquire(timeout=5)
            gate.passed.set()
            for sock in socks:
                assert b"200 OK" in read_head(sock)


class TestClosing:
    def test_what_is_in_flight_is_finished(self, colour: str) -> None:
        gate = Gate()
        with serving(colour, gate) as running, dial(running) as idle, dial(running) as busy:
            address = running.address
            busy.sendall(GET)
            assert gate.reached.acquire(timeout=5)
            closer = threading.Thread(target=running.close)
            closer.start()
            # The idle one is closed at once, while the other one is still being served.
            assert read_until_eof(idle) == b""
            assert closer.is_alive()
            gate.passed.set()
            answer = read_until_eof(busy)
            assert answer.endswith(b"late")
            assert b"connection: close" in answer.lower()
            busy.close()
            closer.join(5)
            assert not closer.is_alive()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address, timeout=1)
            assert running.errors == []

    def test_cut_after_its_time(self, colour: str) -> None:
        done, reached = threading.Event(), threading.Event()

        def stuck(server: Any, stream: Any) -> None:
            stream.get_headers()
            reached.set()
            with contextlib.suppress(errors.EngineError):
                stream.get_next_chunk()
            done.set()

        with serving(colour, stuck) as running, dial(running) as sock:
            sock.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n")
            assert reached.wait(5)
            running.close(0.05)
            with contextlib.suppress(ConnectionError):
                read_until_eof(sock)
            assert done.wait(5)

    def test_it_is_idempotent_and_final(self, colour: str) -> None:
        with serving(colour, Gate()) as running:
            running.close()
            running.close()
            with pytest.raises(errors.ClosedError):
                running.wait(running.server.listen())

    def test_by_its_own_handler(self, colour: str) -> None:
        def last(server: Any, stream: Any) -> None:
            stream.get_headers()
            server.close()
            reply(stream, b"bye")

        async def async_last(server: Any, stream: Any) -> None:
            await stream.get_headers()
            await server.close()
            await reply(stream, b"bye")

        with serving(colour, last if colour == "blocking" else async_last) as running, dial(running) as sock:
            sock.sendall(GET)
            assert read_until_eof(sock).endswith(b"bye")
            assert running.errors == []

    def test_closing_one_that_never_started(self) -> None:
        server = Server(lambda server, stream: None)
        server.close()
        with pytest.raises(errors.ClosedError):
            server.start()

    def test_keep_alive_clients_do_not_hold_it_up(self, colour: str) -> None:
        gate = Gate()
        gate.passed.set()
        with serving(colour, gate) as running, Client() as client:
            assert client.get(running.url).text == "late"
            assert client.statistics.idle == 1


class TestLoop:
    def test_loop_for_a_time(self) -> None:
        server = Server(lambda server, stream: reply(stream))
        try:
            server.listen()
            server.loop(0.01)
            server.loop(0)
            assert server.connections == 0
        finally:
            server.close()

    def test_loop_in_the_callers_thread(self) -> None:
        server = Server(lambda server, stream: reply(stream))
        address = server.listen()
        thread = threading.Thread(target=server.loop)
        thread.start()
        with Client() as client:
            assert client.get(f"http://127.0.0.1:{address.port}/").text == "ok"
        server.close()
        thread.join(5)
        assert not thread.is_alive()

    def test_tls_needs_a_context_only(self, certificates: Certificates) -> None:
        context = certificates.server_context(ask_client=True)
        with Server(lambda server, stream: reply(stream), context=context) as server:
            port = server.localname().port
            with Client(verify=certificates.ca_file, cert=certificates.client_file) as client:
                assert client.get(f"https://localhost:{port}/").text == "ok"
            with Client(verify=certificates.ca_file) as client, pytest.raises(errors.EngineError):
                client.get(f"https://localhost:{port}/")
        assert isinstance(context, ssl.SSLContext)
