"""HTTP/2 in the servers, both colours, with both kinds of handlers, against clients whose every frame is written here."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from h2.settings import SettingCodes

from drivetrain.engine import Headers, errors
from drivetrain.engine.protocol.h2_limits import H2Limits
from drivetrain.engine.wire.h2_errors import H2Error
from tests.faces.h2_peer import PREFACE, H2Peer, h2_peer
from tests.faces.serving import KINDS, Serve, dial, reply, scripted, serving, until

Script = Iterator[Any]


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind[0]}-{'async' if kind[1] else 'plain'}")
def serve(request: pytest.FixtureRequest) -> Serve:
    """See `scripted`."""
    return scripted(*request.param)


@pytest.fixture(params=["blocking", "asyncio"])
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def hello(stream: Any) -> Script:
    headers = yield stream.get_headers()
    yield reply(stream, headers.get(":path").encode())


def echo(stream: Any) -> Script:
    yield stream.get_headers()
    body = yield stream.get_body_as_string()
    yield reply(stream, body)


class TestAnswers:
    def test_one_after_the_other(self, serve: Serve) -> None:
        with serve(hello) as running, h2_peer(running) as peer:
            for number in range(3):
                answer = peer.get(f"/{number}")
                assert (answer.status, answer.body) == (200, b"/%d" % number)
            assert running.connections == 1

    def test_a_hundred_at_once(self, serve: Serve) -> None:
        with serve(hello) as running, h2_peer(running) as peer:
            ids = [peer.ask(f"/{number}") for number in range(100)]
            bodies = [peer.answer(stream_id).body for stream_id in ids]
            assert bodies == [b"/%d" % number for number in range(100)]
            assert running.errors == []

    def test_bodies_both_ways(self, serve: Serve) -> None:
        body = bytes(range(256)) * 800
        with serve(echo) as running, h2_peer(running) as peer:
            ids = []
            for _ in range(3):
                stream_id = peer.ask(method="POST", end=False)
                for position in range(0, len(body), 16_384):
                    piece = body[position : position + 16_384]
                    peer.send(stream_id, piece, position + 16_384 >= len(body))
                ids.append(stream_id)
            assert [peer.answer(stream_id).body == body for stream_id in ids] == [True] * 3

    @pytest.mark.parametrize("busy", [False, True])
    def test_uploads_that_are_taken_back_hold_no_window(self, serve: Serve, busy: bool) -> None:
        limits = H2Limits(max_concurrent_streams=2, connection_window=65_535, stream_window=65_535)
        with serve(echo, h2_limits=limits) as running, h2_peer(running) as peer:
            held_id = peer.ask("/held", method="POST", end=False) if busy else None
            for _ in range(30):
                peer.until(lambda: peer.library.outbound_flow_control_window >= 10_000)
                stream_id = peer.library.get_next_available_stream_id()
                head = [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "h:80")]
                peer.library.send_headers(stream_id, head)
                peer.library.send_data(stream_id, bytes(10_000))
                peer.library.reset_stream(stream_id, 8)
                peer.flush()
            if held_id is not None:
                peer.send(held_id, b"x", end=True)
                assert peer.answer(held_id).over
            peer.until(lambda: peer.library.outbound_flow_control_window >= 10_000)
            assert peer.get(method="POST", body=b"x" * 10_000).body == b"x" * 10_000
            assert running.errors == []

    def test_head(self, serve: Serve) -> None:
        def script(stream: Any) -> Script:
            yield stream.get_headers()
            yield stream.write_headers(Headers([(":status", "200"), ("content-length", "5")]), False)
            yield stream.write_chunk(b"", True)

        with serve(script) as running, h2_peer(running) as peer:
            answer = peer.get(method="HEAD")
            assert (answer.heads[0]["content-length"], answer.body, answer.ended) == ("5", b"", True)

    def test_data_where_there_is_no_body_is_the_handlers_error(self, serve: Serve) -> None:
        with serve(hello) as running, h2_peer(running) as peer:
            assert peer.get(method="HEAD").reset == 2
            assert [type(error) for error, _ in running.errors] == [errors.LocalProtocolError]

    def test_trailers_both_ways(self, serve: Serve) -> None:
        def script(stream: Any) -> Script:
            yield stream.get_headers()
            body = yield stream.get_body_as_string()
            trailers = yield stream.get_headers()
            yield stream.write_headers(Headers([(":status", "200")]), False)
            yield stream.write_chunk(body + trailers.get("x-sum").encode())
            yield stream.write_headers(Headers([("x-end", "1")]), True)

        with serve(script) as running, h2_peer(running) as peer:
            stream_id = peer.ask(method="POST", body=b"abc", end=False)
            peer.library.send_headers(stream_id, [("x-sum", "9")], end_stream=True)
            peer.flush()
            answer = peer.answer(stream_id)
            assert (answer.body, answer.trailers) == (b"abc9", {"x-end": "1"})

    def test_continue_is_sent_to_who_waits(self, serve: Serve) -> None:
        with serve(echo) as running, h2_peer(running) as peer:
            stream_id = peer.ask("/", ("expect", "100-continue"), method="POST", end=False)
            peer.until(lambda: peer.answers[stream_id].heads)
            assert peer.answers[stream_id].status == 100
            peer.send(stream_id, b"body", True)
            answer = peer.answer(stream_id)
            assert [head[":status"] for head in answer.heads] == ["100", "200"]
            assert answer.body == b"body"

    def test_early_responses(self, serve: Serve) -> None:
        def script(stream: Any) -> Script:
            yield stream.write_continue()
            yield stream.write_headers(Headers([(":status", "103"), ("link", "</x>")]), False)
            yield reply(stream)

        with serve(script) as running, h2_peer(running) as peer:
            assert [head[":status"] for head in peer.get().heads] == ["100", "103", "200"]

    def test_a_tunnel(self, serve: Serve) -> None:
        def script(stream: Any) -> Script:
            headers = yield stream.get_headers()
            yield stream.write_headers(Headers([(":status", "200")]), False)
            yield stream.write_chunk(headers.get(":authority").encode())
            while (piece := (yield stream.get_next_chunk())) is not None:
                yield stream.write_chunk(piece[::-1])
            yield stream.write_chunk(b"", True)

        with serve(script) as running, h2_peer(running) as peer:
            stream_id = peer.ask(method="CONNECT", end=False)
            answer = peer.answers[stream_id]
            peer.until(lambda: answer.body == b"h:80")
            for piece, so_far in ((b"abc", b"h:80cba"), (b"xy", b"h:80cbayx")):
                peer.send(stream_id, piece)
                peer.until(lambda so_far=so_far: answer.body == so_far)
            peer.send(stream_id, b"", True)
            assert peer.answer(stream_id).ended

    def test_facts_of_a_stream(self, serve: Serve) -> None:
        seen: list[Any] = []

        def script(stream: Any) -> Script:
            headers = yield stream.get_headers()
            seen.append((stream.peername(), stream.localname(), stream.checktls(), stream.version, stream.state))
            seen.append([headers.get(name) for name in (":method", ":scheme", ":authority", ":path")])
            yield reply(stream)

        with serve(script) as running, h2_peer(running) as peer:
            peer.get("/p?q")
            ends = peer.sock.getsockname(), peer.sock.getpeername()
        assert (seen[0][0][1:], seen[0][1][1:]) == ends
        assert seen[0][2:] == (None, 2.0, "half closed (remote)")
        assert seen[1] == ["GET", "http", "h:80", "/p?q"]


class TestHandlers:
    def test_errors_give_500_and_harm_nobody_else(self, serve: Serve) -> None:
        def script(stream: Any) -> Script:
            headers = yield stream.get_headers()
            if headers.get(":path") == "/bad":
                raise KeyError("oops")
            yield reply(stream)

        with serve(script) as running, h2_peer(running) as peer:
            ids = [peer.ask(path) for path in ("/good", "/bad", "/good", "/bad", "/good")]
            assert [peer.answer(stream_id).status for stream_id in ids] == [200, 500, 200, 500, 200]
            told = [(type(error), context) for error, context in running.errors]
            assert told == [(KeyError, "handling a request")] * 2

    def test_errors_of_others_give_500_too(self, serve: Serve) -> None:
        def script(stream: Any) -> Script:
            yield stream.get_headers()
            raise next(kinds)("not this client's")

        expected = [errors.ConnectError, errors.ReadTimeout, errors.WriteTimeout, errors.ClosedError]
        kinds = iter(expected)
        with serve(script) as running, h2_peer(running) as peer:
            assert [peer.get().status for _ in expected] == [500] * 4
            assert [type(error) for error, _ in running.errors] == expected

    def test_an_error_in_the_middle_resets_the_stream(self, serve: Serve) -> None:
        def script(stream: Any) -> Script:
            headers = yield stream.get_headers()
            if headers.get(":path") == "/bad":
                yield stream.write_headers(Headers([(":status", "200")]), False)
                yield stream.write_chunk(b"abc")
                raise KeyError("oops")
            yield reply(stream)

        with serve(script) as running, h2_peer(running) as peer:
            answer = peer.get("/bad")
            assert (answer.body, answer.ended, answer.reset) == (b"abc", False, 2)
            assert peer.get().body == b"ok"
            assert len(running.errors) == 1

    def test_no_answer_gives_503(self, serve: Serve) -> None:
        def script(stream: Any) -> Script:
            yield stream.get_headers()

        with serve(script) as running, h2_peer(running) as peer:
            assert peer.get().status == 503
            assert running.errors == []

    def test_part_of_an_answer_is_cut(self, serve: Serve) -> None:
        def script(stream: Any) -> Script:
            yield stream.write_headers(Headers([(":status", "200")]), False)
            yield stream.write_chunk(b"abc")

        with serve(script) as running, h2_peer(running) as peer:
            answer = peer.get()
            assert (answer.body, answer.ended, answer.reset) == (b"abc", False, 2)

    def test_an_unread_body_costs_its_stream_only(self, serve: Serve) -> None:
        def script(stream: Any) -> Script:
            yield stream.get_headers()
            yield reply(stream)

        limits = H2Limits(stream_window=65_535, connection_window=65_535)
        with serve(script, h2_limits=limits) as running, h2_peer(running) as peer:
            for _ in range(10):
                # More than the connection's window altogether: the credit comes back.
                stream_id = peer.ask(method="POST", end=False)
                peer.send(stream_id, bytes(16_000))
                assert peer.answer(stream_id).body == b"ok"
            assert running.errors == []

    def test_a_reset_by_the_client_is_nobodys_error(self, serve: Serve) -> None:
        ended = threading.Semaphore(0)

        def script(stream: Any) -> Script:
            headers = yield stream.get_headers()
            if headers.get(":path") == "/":
                yield reply(stream)
                return
            try:
                if headers.get(":path") == "/read":
                    yield stream.get_body_as_string()
                else:
                    yield stream.write_headers(Headers([(":status", "200")]), False)
                    while True:
                        yield stream.write_chunk(bytes(100_000))
            finally:
                ended.release()

        with serve(script) as running, h2_peer(running, window=65_535) as peer:
            for path in ("/read", "/write"):
                stream_id = peer.ask(path, method="POST", end=False)
                if path == "/write":
                    peer.until(lambda stream_id=stream_id: len(peer.answers[stream_id].body) > 60_000)
                peer.ping()
                peer.library.reset_stream(stream_id, 8)
                peer.flush()
                assert ended.acquire(timeout=5)
            assert running.errors == []

    def test_malformed_trailers_are_told(self, serve: Serve) -> None:
        def script(stream: Any) -> Script:
            yield stream.get_headers()
            begun.set()
            body = yield stream.get_body_as_string()
            yield reply(stream, body)

        begun = threading.Event()
        with serve(script) as running, h2_peer(running) as peer:
            stream_id = peer.ask(method="POST", body=b"abc", end=False)
            assert begun.wait(5)
            peer.library.send_headers(stream_id, [("Upper", "case")], end_stream=True)
            peer.flush()
            assert peer.answer(stream_id).reset == 1
            until(lambda: bool(running.errors))
            assert [(type(error), what) for error, what in running.errors] == [(H2Error, "handling a request")]
            assert peer.get(method="POST").status == 200


class Gate:
    """A handler that says when it is reached and, except for "/fast", waits to be let through."""

    def __init__(self) -> None:
        self.reached = threading.Semaphore(0)
        self.passed = threading.Event()

    def __call__(self, server: Any, stream: Any) -> None:
        headers = stream.get_headers()
        if headers.get(":path") != "/fast":
            self.reached.release()
            assert self.passed.wait(10)
        reply(stream, b"late")


class TestConcurrency:
    def test_slow_ones_do_not_hold_up_fast_ones(self, colour: str) -> None:
        gate = Gate()
        with serving(colour, gate) as running, h2_peer(running) as peer:
            slow = [peer.ask("/slow") for _ in range(40)]
            for _ in slow:
                assert gate.reached.acquire(timeout=5)
            for _ in range(30):
                assert peer.get("/fast").body == b"late"
            assert not any(peer.answers[stream_id].over for stream_id in slow)
            gate.passed.set()
            assert {peer.answer(stream_id).body for stream_id in slow} == {b"late"}

    def test_no_more_are_served_than_allowed(self, colour: str) -> None:
        """Even when the client takes back what is being served, to ask for more."""
        gate = Gate()
        with serving(colour, gate, h2_limits=H2Limits(max_concurrent_streams=3)) as running:
            with h2_peer(running) as peer:
                for _ in range(10):
                    stream_id = peer.ask()
                    peer.ping()
                    peer.library.reset_stream(stream_id, 8)
                last = [peer.ask() for _ in range(3)]
                peer.library.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 10
                peer.library.remote_settings.acknowledge()
                refused = peer.ask()
                assert peer.answer(refused).reset == 7
                for _ in range(3):
                    assert gate.reached.acquire(timeout=5)
                assert not gate.reached.acquire(timeout=0.05)
                gate.passed.set()
                assert [peer.answer(stream_id).body for stream_id in last] == [b"late"] * 3
            assert running.errors == []

    def test_several_connections(self, colour: str) -> None:
        gate = Gate()
        gate.passed.set()
        with serving(colour, gate) as running, contextlib.ExitStack() as stack:
            peers = [stack.enter_context(h2_peer(running)) for _ in range(5)]
            ids = [(peer, peer.ask()) for _ in range(10) for peer in peers]
            assert all(peer.answer(stream_id).body == b"late" for peer, stream_id in ids)
            assert running.connections == 5


class TestTimeLimits:
    def test_setup(self, serve: Serve) -> None:
        with serve(hello, connection_setup_timeout=0.05) as running, h2_peer(running) as peer:
            peer.sock.sendall(PREFACE)
            peer.mute = True
            peer.until_end()
            assert peer.goaway is not None
            assert peer.goaway.error_code == 4
            assert running.errors == []

    def test_an_idle_connection(self, serve: Serve) -> None:
        with serve(hello, intra_stream_timeout=0.05) as running, h2_peer(running) as peer:
            peer.get()
            peer.until_end()
            assert peer.goaway is not None
            assert (peer.goaway.error_code, peer.goaway.last_stream_id) == (0, 1)

    def test_the_idle_limit_does_not_hold_during_a_stream(self, serve: Serve) -> None:
        with serve(echo, intra_stream_timeout=0.05) as running, h2_peer(running) as peer:
            stream_id = peer.ask(method="POST", end=False)
            peer.sock.settimeout(0.2)
            with pytest.raises(TimeoutError):
                peer.until_end()
            peer.sock.settimeout(5)
            peer.send(stream_id, b"x", True)
            assert peer.answer(stream_id).body == b"x"

    def test_a_header_section_that_does_not_end(self, serve: Serve) -> None:
        with serve(hello, header_timeout=0.05) as running, h2_peer(running) as peer:
            assert peer.get().status == 200
            # HEADERS without END_HEADERS, for which no CONTINUATION comes.
            peer.sock.sendall(b"\x00\x00\x01\x01\x01\x00\x00\x00\x03\x82")
            peer.until_end()
            assert peer.goaway is not None
            assert peer.goaway.error_code == 11

    def test_a_header_frame_that_does_not_end(self, serve: Serve) -> None:
        with serve(hello, header_timeout=0.05) as running, h2_peer(running) as peer:
            assert peer.get().status == 200
            peer.sock.sendall(b"\x00\x00\x09\x01\x05\x00\x00\x00\x03\x82")
            peer.until_end()
            assert peer.goaway is not None

    def test_a_body_that_does_not_come(self, serve: Serve) -> None:
        with serve(echo, stream_timeout=0.1) as running, h2_peer(running) as peer:
            slow = peer.ask(method="POST", body=b"ab", end=False)
            assert peer.get(method="POST", body=b"quick").body == b"quick"
            assert peer.answer(slow).status == 408
            assert peer.get(method="POST", body=b"quick").body == b"quick"
            assert running.errors == []

    def test_a_stream_whose_answer_is_not_taken(self, serve: Serve) -> None:
        def script(stream: Any) -> Script:
            headers = yield stream.get_headers()
            yield reply(stream, bytes(100_000 if headers.get(":path") == "/big" else 10))

        with serve(script, stream_timeout=0.1) as running, h2_peer(running, window=1000) as peer:
            big = peer.ask("/big")
            assert len(peer.get("/small").body) == 10
            answer = peer.answer(big)
            assert (len(answer.body), answer.ended) == (1000, False)
            assert answer.reset is not None
            assert len(peer.get("/small").body) == 10
            assert running.errors == []

    def test_a_client_that_takes_nothing_at_all(self, serve: Serve) -> None:
        def script(stream: Any) -> Script:
            yield stream.get_headers()
            yield reply(stream, bytes(1 << 24))

        with serve(script, stream_timeout=0.1) as running, socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(5)
            sock.connect(running.address)
            peer = H2Peer(sock, window=(1 << 31) - 1)
            peer.library.increment_flow_control_window(1 << 30)
            for _ in range(3):
                peer.ask()
            until(lambda: running.connections == 0)
            assert running.errors == []


class TestClosing:
    def test_what_is_in_flight_is_finished(self, colour: str) -> None:
        gate = Gate()
        with serving(colour, gate) as running, h2_peer(running) as idle, h2_peer(running) as busy:
            address = running.address
            idle.get("/fast")
            ids = [busy.ask() for _ in range(3)]
            for _ in ids:
                assert gate.reached.acquire(timeout=5)
            closer = threading.Thread(target=running.close)
            closer.start()
            idle.until_end()
            assert idle.goaway is not None
            busy.until(lambda: busy.goaway is not None)
            assert busy.goaway is not None
            assert busy.goaway.last_stream_id == ids[-1]
            assert closer.is_alive()
            gate.passed.set()
            # The library takes no frames after GOAWAY: what comes is looked at below it.
            rest = b""
            with contextlib.suppress(ConnectionError):
                while data := busy.sock.recv(65_536):
                    rest += data
            assert rest.count(b"late") == 3
            busy.sock.close()
            closer.join(5)
            assert not closer.is_alive()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address, timeout=1)
            assert running.errors == []

    def test_a_large_answer_arrives_whole(self, colour: str) -> None:
        size = 16_000_000
        begun = threading.Event()

        def handle(server: Any, stream: Any) -> None:
            stream.get_headers()
            stream.write_headers(Headers([(":status", "200")]), False)
            begun.set()
            stream.write_chunk(bytes(size), True)

        with serving(colour, handle) as running, dial(running) as sock:
            peer = H2Peer(sock, window=(1 << 31) - 1)
            peer.library.increment_flow_control_window(1 << 30)
            peer.ask()
            assert begun.wait(5)
            closer = threading.Thread(target=running.close)
            closer.start()
            received = 0
            while data := sock.recv(1 << 20):
                received += len(data)
                with contextlib.suppress(OSError):
                    sock.sendall(b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x01")  # WINDOW_UPDATE
            assert received > size
            sock.close()
            closer.join(5)
            assert not closer.is_alive()

    def test_what_a_handler_does_after_its_answer_is_waited_for_but_not_the_client(self, colour: str) -> None:
        answered, passed, done = threading.Event(), threading.Event(), threading.Event()

        def handle(server: Any, stream: Any) -> None:
            stream.get_headers()
            reply(stream)
            answered.set()
            assert passed.wait(5)
            done.set()

        with serving(colour, handle) as running, h2_peer(running) as peer:
            assert peer.get().body == b"ok"
            assert answered.wait(5)
            closer = threading.Thread(target=running.close)
            closer.start()
            peer.until_end()
            assert peer.goaway is not None
            assert closer.is_alive()
            passed.set()
            # The client has not closed its side yet.
            closer.join(1)
            assert not closer.is_alive()
            assert done.is_set()

    def test_cut_after_its_time(self, colour: str) -> None:
        done, reached = threading.Event(), threading.Event()

        def stuck(server: Any, stream: Any) -> None:
            stream.get_headers()
            reached.set()
            with contextlib.suppress(errors.EngineError):
                stream.get_next_chunk()
            done.set()

        with serving(colour, stuck) as running, h2_peer(running) as peer:
            peer.ask(method="POST", end=False)
            assert reached.wait(5)
            running.close(0.05)
            with contextlib.suppress(ConnectionError):
                peer.until_end()
            assert done.wait(5)
            until(lambda: running.connections == 0)

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
            peer = H2Peer(sock)
            peer.ask()
            data = b""
            while piece := sock.recv(65_536):
                data += piece
            assert data.endswith(b"bye")
            sock.close()
            until(lambda: running.connections == 0)
            assert running.errors == []

    def test_a_client_that_says_goodbye(self, colour: str) -> None:
        gate = Gate()
        with serving(colour, gate) as running, h2_peer(running) as peer:
            stream_id = peer.ask()
            assert gate.reached.acquire(timeout=5)
            # GOAWAY: no further streams, but this one runs to its end.
            peer.sock.sendall(b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + bytes(8))
            gate.passed.set()
            rest = b""
            while data := peer.sock.recv(65_536):
                rest += data
            assert rest.count(b"late") == 1
            peer.sock.close()
            until(lambda: running.connections == 0)
            assert stream_id == 1
            assert running.errors == []


class TestFaults:
    def test_a_client_that_breaks_the_protocol(self, serve: Serve) -> None:
        with serve(hello) as running, h2_peer(running) as peer:
            peer.get()
            peer.sock.sendall(b"\x00\x00\x00\x00\x00\x00\x00\x00\x00")  # DATA on the connection
            peer.until_end()
            assert peer.goaway is not None
            assert peer.goaway.error_code == 1
            until(lambda: bool(running.errors))
            assert [what for _, what in running.errors] == ["reading a request"]

    def test_a_client_that_breaks_off_is_nobodys_error(self, serve: Serve) -> None:
        with serve(echo) as running:
            for frames in (b"", b"\x00\x00\x05\x04", b"\x00\x00\x09\x01\x05\x00\x00\x00\x01\x82"):
                with dial(running) as sock:
                    peer = H2Peer(sock)
                    peer.ask(method="POST", body=b"abc", end=False)
                    sock.sendall(frames)
            until(lambda: running.connections == 0)
            kinds = {type(error) for error, _ in running.errors}
            assert kinds <= {errors.IncompleteMessage}

    def test_a_malformed_request_costs_its_stream_only(self, serve: Serve) -> None:
        with serve(hello) as running, h2_peer(running) as peer:
            answer = peer.get("/", ("Upper", "case"))
            assert answer.reset == 1
            assert peer.get().status == 200

    def test_a_client_that_floods(self, serve: Serve) -> None:
        with serve(hello, h2_limits=H2Limits(max_resets=20)) as running, h2_peer(running) as peer:
            with contextlib.suppress(OSError):
                for _ in range(50):
                    peer.library.reset_stream(peer.ask(), 8)
                peer.flush()
            peer.until_end()
            assert peer.goaway is not None
            assert peer.goaway.error_code == 11
            until(lambda: bool(running.errors))
            assert [(type(error), what) for error, what in running.errors] == [
                (errors.LimitExceeded, "reading a request")
            ]
