"""The blocking faces of HTTP/2: every method of the engine's classes, driven, over real sockets."""

from __future__ import annotations

import inspect
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from drivetrain.engine import (
    BlockingBackend,
    Connection,
    H1Connection,
    H1ConnectionFace,
    H1StreamFace,
    H2Connection,
    H2ConnectionFace,
    H2Error,
    H2ErrorCode,
    H2Limits,
    H2Stream,
    H2StreamFace,
    Headers,
    Stream,
    make_connection_face,
    make_stream_face,
    run_blocking,
)
from drivetrain.engine.backends.memory import MemoryBackend
from drivetrain.engine.errors import ClosedError, LocalProtocolError, ReadTimeout

BACKEND = BlockingBackend()
TAKES = H2Limits(enable_push=True)

OF_A_STREAM = (
    *(
        "connection",
        "checktls",
        "localname",
        "peername",
        "get_headers",
        "write_headers",
        "write_continue",
        "id",
        "state",
    ),
    *("get_next_chunk", "each_chunk", "get_body_as_string", "get_body_chars", "get_body_until", "save_body_to_file"),
    *(
        "get_body_as_file",
        "unget",
        "write_chunk",
        "write_body_from_string",
        "write_body_from_file",
        "shutdown",
        "version",
    ),
    *("pick_id", "set_state", "reprioritise", "write_http2_frame", "write_data_frame", "write_headers_frame"),
    *("write_priority_frame", "write_rst_stream_frame", "rst_stream", "write_settings_frame", "push_promise"),
    *("write_push_promise_frame", "write_ping_frame", "write_goaway_frame", "write_window_update_frame"),
    *("write_window_update", "write_continuation_frame"),
)
OF_THE_CONNECTION = (
    *("version", "pollfd", "events", "timeout", "empty", "step", "loop", "connect", "checktls", "localname"),
    *("peername", "flush", "shutdown", "close", "new_stream", "get_next_incoming_stream", "onidle", "settings"),
    *("read_http2_frame", "write_http2_frame", "ping", "write_window_update", "write_goaway_frame"),
    *("set_peer_settings", "ack_settings", "stream0", "type"),
)


def get(path: str, *fields: tuple[str, str], method: str = "GET") -> Headers:
    return Headers([(":method", method), (":scheme", "http"), (":authority", "x"), (":path", path), *fields])


OK = Headers([(":status", "200")])


def adopt(sock: socket.socket) -> Any:
    return run_blocking(BACKEND.adopt_socket(sock))


@contextmanager
def pair(limits: H2Limits | None = None) -> Iterator[tuple[H2ConnectionFace, H2ConnectionFace]]:
    """A client and a server, each other's peer."""
    near, far = socket.socketpair()
    client = H2ConnectionFace(H2Connection(adopt(near), BACKEND, "client", limits or H2Limits()), run_blocking)
    server = H2ConnectionFace(H2Connection(adopt(far), BACKEND, "server"), run_blocking)
    try:
        yield client, server
    finally:
        client.close()
        server.close()


@contextmanager
def beside(function: Callable[[], None]) -> Iterator[None]:
    """Run a function in a thread; its error is raised here."""
    errors: list[BaseException] = []

    def call() -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    yield
    thread.join(20)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


class TestSurface:
    def test_every_method_of_a_stream(self) -> None:
        assert [name for name in OF_A_STREAM if not hasattr(H2StreamFace, name)] == []
        core = H2Connection(MemoryBackend().pipe()[0], MemoryBackend()).new_stream()
        assert [name for name in OF_A_STREAM if not hasattr(core, name)] == []

    def test_every_method_of_a_connection(self) -> None:
        assert [name for name in OF_THE_CONNECTION if not hasattr(H2ConnectionFace, name)] == []
        assert [name for name in OF_THE_CONNECTION if not hasattr(H2Connection, name) and name != "type"] == []

    @pytest.mark.parametrize(("face", "core"), [(H2StreamFace, H2Stream), (H2ConnectionFace, H2Connection)])
    def test_same_parameters_and_no_coroutines(self, face: type, core: type) -> None:
        compared = 0
        for name, member in vars_of(face).items():
            twin = vars_of(core).get(name)
            if not inspect.isfunction(member) or not inspect.isfunction(twin):
                continue
            assert not inspect.iscoroutinefunction(member), name
            ours, theirs = inspect.signature(member).parameters, inspect.signature(twin).parameters
            assert list(ours)[1:] == list(theirs)[1:], name
            assert [p.default for p in ours.values()] == [p.default for p in theirs.values()], name
            assert member.__doc__, name
            compared += 1
        assert compared > 15

    def test_the_factories_choose(self) -> None:
        near, _ = MemoryBackend().pipe()
        one, two = H1Connection(near, MemoryBackend()), H2Connection(near, MemoryBackend())
        assert type(make_connection_face(one, run_blocking)) is H1ConnectionFace
        assert type(make_connection_face(two, run_blocking)) is H2ConnectionFace
        for connection, kind in ((one, H1StreamFace), (two, H2StreamFace)):
            face = make_stream_face(connection.new_stream(), run_blocking)
            assert type(face) is kind
            assert isinstance(face, Stream)
            assert isinstance(face.connection, Connection)
            assert face.connection.core is connection


def vars_of(kind: type) -> dict[str, Any]:
    return {name: inspect.getattr_static(kind, name) for name in dir(kind) if name[:1] != "_"}


class TestExchange:
    def test_with_everything_of_a_message(self) -> None:
        with pair() as (client, server):

            def serve() -> None:
                stream = server.get_next_incoming_stream(10)
                assert isinstance(stream, H2StreamFace)
                assert stream.get_headers(10).get(":path") == "/all"
                body = stream.get_body_as_string(10)
                assert stream.get_headers(10).get("check") == "sum"
                stream.write_continue(10)
                stream.write_headers(OK, False, 10)
                stream.write_chunk(body.upper(), True, 10)

            with beside(serve):
                stream = client.new_stream()
                assert (stream.state, stream.version, stream.id) == ("idle", 2.0, None)
                stream.write_headers(get("/all", method="POST"), False, 10)
                stream.write_chunk(b"some body", timeout=10)
                stream.write_headers(Headers([("check", "sum")]), True, 10)
                assert stream.get_headers(10).get(":status") == "100"
                assert stream.get_headers(10).get(":status") == "200"
                assert list(stream.each_chunk()) == [b"SOME BODY"]
                assert stream.state == "closed"
                assert isinstance(stream.connection, H2ConnectionFace)
                assert stream.peername().family == socket.AF_UNIX

    def test_push(self) -> None:
        with pair(TAKES) as (client, server):

            def serve() -> None:
                stream = server.get_next_incoming_stream(10)
                pushed = stream.push_promise(get("/style"), 10)
                assert isinstance(pushed, H2StreamFace)
                pushed.write_headers(OK, False, 10)
                pushed.write_body_from_string("style", 10)
                stream.write_headers(OK, True, 10)

            with beside(serve):
                stream = client.new_stream()
                stream.write_headers(get("/"), True, 10)
                assert stream.get_headers(10).get(":status") == "200"
                pushed = client.get_next_incoming_stream(10)
                assert pushed.get_headers(10).get(":path") == "/style"
                assert pushed.get_headers(10).get(":status") == "200"
                assert pushed.get_body_as_string(10) == b"style"

    def test_priorities_and_ids(self) -> None:
        with pair() as (client, _):
            parent, child = client.new_stream(1), client.new_stream()
            assert child.pick_id() == 3
            parent.reprioritise(child, True)
            parent.set_state("open")
            assert parent.state == "open"
            with pytest.raises(LocalProtocolError):
                parent.reprioritise(parent)

    def test_promised_by_frames(self) -> None:
        with pair(TAKES) as (client, server):

            def serve() -> None:
                stream = server.get_next_incoming_stream(10)
                promised = server.new_promised_stream()
                stream.write_push_promise_frame(promised.id, get("/p"), timeout=10)
                promised.write_headers_frame(OK, True, timeout=10)
                stream.write_rst_stream_frame("CANCEL", 10)

            with beside(serve):
                stream = client.new_stream()
                stream.write_headers_frame(get("/"), True, timeout=10)
                with pytest.raises(H2Error) as caught:
                    stream.get_headers(10)
                assert caught.value.code == H2ErrorCode.CANCEL
                assert client.get_next_incoming_stream(10).get_headers(10).get(":path") == "/p"


class TestConnection:
    def test_frames(self) -> None:
        with pair() as (client, server):
            assert client.connect(10)
            kinds = [server.read_http2_frame(10)[0] for _ in range(2)]
            assert kinds == [0x4, 0x8]
            with pytest.raises(ReadTimeout):
                server.read_http2_frame(0)
            client.write_http2_frame(0xAB, 0x1, 0, b"payload", 10, flush=False)
            client.flush(10)
            assert server.read_http2_frame(10) == (0xAB, 0x1, 0, b"payload")
            client.stream0.write_ping_frame(payload=b"12345678", timeout=10)
            assert server.read_http2_frame(10) == (0x6, 0, 0, b"12345678")
            client.step(10)  # what is unread would make closing a reset
            assert server.read_http2_frame(10) == (0x4, 0x1, 0, b"")
            client.close()
            assert server.read_http2_frame(10) is None
            assert server.empty()

    def test_settings_and_ping(self) -> None:
        with pair() as (client, server):
            told: list[Any] = []
            assert client.onidle(told.append) is None
            with beside(lambda: server.loop(None)):
                assert client.ping(10) >= 0
                assert client.settings({"INITIAL_WINDOW_SIZE": 12345}, 10)
                client.write_window_update(100, 10)
                client.write_goaway_frame(None, "NO_ERROR", "bye", 10)
                assert not client.peer_allows_extended_connect
                client.close()
            assert server.core.machine.library.remote_settings.initial_window_size == 12345
            assert server.core.machine.goaway.debug_data == b"bye"
            assert server.empty()

    def test_from_a_foreign_event_loop(self) -> None:
        """Two connections in one thread, stepped when their descriptors say so."""
        with pair() as (client, server):
            poll = select.poll()
            sides = {client.pollfd(): client, server.pollfd(): server}
            for number in sides:
                poll.register(number, select.POLLIN)
            stream = client.new_stream()
            stream.write_headers(get("/polled"), True, 0)
            answered = False
            body = b""
            while not body:
                timeouts = [side.timeout() for side in sides.values()]
                wait = 0 if 0 in timeouts else 10_000
                ready = [sides[number] for number, _ in poll.poll(wait)]
                assert ready or 0 in timeouts
                for side in ready:
                    assert side.step(0)
                if not answered and server.core.streams:
                    asked = server.get_next_incoming_stream(0)
                    path = asked.get_headers(0).get(":path")
                    asked.write_headers(OK, False, 0)
                    asked.write_chunk(path.encode(), True, 0)
                    answered = True
                if stream.core.is_over or stream.core.was_answered:
                    assert stream.get_headers(0).get(":status") == "200"
                    body = stream.get_body_as_string(10)
            assert body == b"/polled"

    def test_step_by_step_with_a_slow_writer(self) -> None:
        """A large body through small socket buffers, both ends stepped in turns with no waiting at all."""
        with pair() as (client, server):
            stream = client.new_stream()
            stream.write_headers(get("/"), True, 0)
            server.step(0)
            asked = server.get_next_incoming_stream(0)
            size = 3_000_000
            received = 0

            def answer() -> None:
                asked.write_headers(OK, False)
                asked.write_body_from_string(b"z" * size)

            with beside(answer):
                assert stream.get_headers(10).get(":status") == "200"
                while received < size:
                    client.step(10)
                    while received < size:
                        try:
                            received += len(stream.get_next_chunk(0) or b"")
                        except ReadTimeout:
                            break
            assert received == size

    def test_close_wakes_a_reader_of_frames(self) -> None:
        with pair() as (client, server):
            begun = threading.Event()

            def take() -> None:
                assert server.read_http2_frame(10)[0] == 0x4
                assert server.read_http2_frame(10)[0] == 0x8
                begun.set()
                with pytest.raises(ClosedError):
                    server.read_http2_frame(10)

            with beside(take):
                client.connect(10)
                assert begun.wait(10)
                server.close()

    def test_a_reader_of_frames_sends_what_is_queued(self) -> None:
        """More is queued than the socket takes; who waits for a frame sees to it that it goes out."""
        with pair() as (client, server):
            count = 200

            def take() -> None:
                taken = 0
                while taken < count:
                    frame = server.read_http2_frame(10)
                    taken += frame[0] == 0xAB
                server.stream0.write_ping_frame(payload=b"received", timeout=10)

            client.connect(10)
            assert client.core.machine.library.max_outbound_frame_size >= 16384
            for _ in range(count):
                client.write_http2_frame(0xAB, 0, 0, b"x" * 16384, 10, flush=False)
            with beside(take):
                frame = client.read_http2_frame(10)
                while frame[0] != 0x6:
                    frame = client.read_http2_frame(10)
                assert frame == (0x6, 0, 0, b"received")

    def test_frames_for_one_thread_and_streams_for_another(self) -> None:
        with pair() as (client, server):

            def serve() -> None:
                for _ in range(20):
                    stream = server.get_next_incoming_stream(10)
                    stream.get_headers(10)
                    stream.write_headers(OK, True, 10)
                server.loop()

            def ping() -> None:
                for _ in range(50):
                    assert client.ping(10) >= 0

            with beside(serve), beside(lambda: client.loop(None)):
                with beside(ping):
                    for number in range(20):
                        stream = client.new_stream()
                        stream.write_headers(get(f"/{number}"), True, 10)
                        assert stream.get_headers(10).get(":status") == "200"
                client.close()
            assert client.empty()
            assert server.empty()
