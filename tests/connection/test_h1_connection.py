"""The life of a connection: fit for use or not, idle, shut down, closed, handed over."""

from __future__ import annotations

import gc
import weakref

import pytest

from drivetrain.engine.backends.base import FOREVER, Address
from drivetrain.engine.backends.memory import MemoryBackend
from drivetrain.engine.connection.h1_connection import H1Connection
from drivetrain.engine.connection.prefixed_stream import PrefixedStream
from drivetrain.engine.errors import ClosedError, ReadTimeout, UsageError, WriteTimeout
from tests.connection.h1_support import (
    accept,
    answer_one,
    asked,
    client_alone,
    duo,
    got,
    read_answer,
    request,
    response,
    server_alone,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class TestFacts:
    def test_of_a_new_connection(self) -> None:
        solo = client_alone()
        connection = solo.connection
        assert (connection.type, connection.version) == ("client", 1.1)
        assert connection.checktls() is None
        assert connection.localname() == Address(0, "one end")
        assert connection.peername() == Address(0, "the other end")
        assert connection.pollfd() is None  # memory has no descriptors
        assert connection.timeout() is None
        assert connection.is_usable()
        assert repr(connection) == "<H1Connection client version=1.1>"
        assert repr(connection.new_stream()) == "<H1ClientStream idle>"
        assert solo.run(connection.connect()) is True

    def test_of_a_stream(self) -> None:
        solo = client_alone()
        stream = solo.connection.new_stream()
        assert stream.connection is solo.connection
        assert stream.checktls() is None
        assert stream.localname() == solo.connection.localname()
        assert stream.peername() == solo.connection.peername()

    def test_input_that_waits_in_the_buffer_is_due_now(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            await solo.say(OK)
            await stream.get_headers()
            assert solo.connection.timeout() == 0
            await stream.get_body_as_string()
            assert solo.connection.timeout() is None

        solo.run(main())

    @pytest.mark.parametrize(("role", "version"), [("client", 2), ("client", 0.9), ("peer", 1.1)])
    def test_what_a_connection_cannot_be(self, role: str, version: float) -> None:
        backend = MemoryBackend()
        stream, _ = backend.pipe()
        with pytest.raises(UsageError):
            H1Connection(stream, backend, role, version)  # type: ignore[arg-type]

    def test_nothing_keeps_a_connection_alive(self) -> None:
        solo = client_alone()

        async def main() -> weakref.ref[H1Connection]:
            backend = solo.backend
            connection = H1Connection(backend.pipe()[0], backend)
            with pytest.raises(ReadTimeout):
                await connection.read_status_line(0)
            return weakref.ref(connection)

        gc.disable()
        try:
            assert solo.run(main())() is None
        finally:
            gc.enable()


class TestUsable:
    def test_between_exchanges_only(self) -> None:
        solo = client_alone()

        async def main() -> None:
            connection = solo.connection
            stream = connection.new_stream()
            assert connection.is_usable()
            await stream.write_headers(request(), True)
            assert not connection.is_usable()
            await solo.say(OK)
            await stream.get_headers()
            assert not connection.is_usable()
            await stream.get_body_as_string()
            assert connection.is_usable()

        solo.run(main())

    @pytest.mark.parametrize("event", ["end", "reset", "bytes"])
    def test_not_when_the_server_let_go(self, event: str) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            await solo.say(OK)
            await read_answer(stream)
            assert solo.connection.is_usable()
            if event == "end":
                await solo.peer.send_eof(FOREVER)
            elif event == "reset":
                solo.peer.reset()
            else:
                await solo.say(b"HTTP/1.1 408 Request Timeout\r\n")
            assert not solo.connection.is_usable()

        solo.run(main())

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
            b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            OK + b"more than was asked for",
        ],
    )
    def test_not_after(self, answer: bytes) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            await solo.say(answer)
            assert await read_answer(stream) == ("200", b"ok")
            assert not solo.connection.is_usable()

        solo.run(main())

    def test_not_with_output_left(self) -> None:
        solo = client_alone(capacity=30)

        async def main() -> None:
            stream = solo.connection.new_stream()
            with pytest.raises(WriteTimeout):
                await stream.write_headers(request(), True, 1)
            solo.backend.spawn(solo.say(OK), "server")
            assert await read_answer(stream) == ("200", b"ok")
            assert not solo.connection.is_usable()

        solo.run(main())


class TestIdle:
    def test_the_handler_is_called_when_the_last_exchange_ends(self) -> None:
        pair = duo()
        calls: list[H1Connection] = []

        async def main() -> None:
            assert pair.client.onidle() is None
            assert pair.client.onidle(calls.append) is None
            assert pair.client.onidle() == calls.append
            pair.server.onidle(calls.append)
            first, second = pair.client.new_stream(), pair.client.new_stream()
            await first.write_headers(request(), True)
            await second.write_headers(request(), True)
            one, two = await accept(pair.server), await accept(pair.server)
            await answer_one(one)
            assert calls == []
            await answer_one(two)
            assert calls == [pair.server]
            await read_answer(first)
            assert calls == [pair.server]
            await read_answer(second)
            assert calls == [pair.server, pair.client]
            assert pair.client.onidle(None) == calls.append
            assert pair.client.onidle() is None

        pair.run(main())


class TestTakeSocket:
    def test_with_what_was_received_in_front(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            await solo.say(OK + b"leftover")
            await read_answer(stream)
            taken = solo.connection.take_socket()
            assert isinstance(taken, PrefixedStream)
            assert taken.is_readable()
            assert await taken.receive_some(100, FOREVER) == b"leftover"
            await solo.say(b"next")
            assert await taken.receive_some(100, FOREVER) == b"next"
            assert solo.connection.take_socket() is None

        solo.run(main())

    def test_the_connection_lets_go_of_it(self) -> None:
        solo = client_alone()
        connection = solo.connection

        async def main() -> None:
            stream = await asked(solo)
            raw = connection.stream
            assert connection.take_socket() is raw
            assert connection.is_closed
            assert not connection.is_usable()
            assert not connection.pipeline
            assert connection.localname() == connection.peername() == Address(0)
            assert connection.events() is None
            with pytest.raises(ClosedError):
                connection.new_stream()
            with pytest.raises(ClosedError):
                await connection.connect()
            with pytest.raises(ClosedError):
                await stream.get_headers()
            await stream.shutdown()
            await connection.shutdown()
            connection.close()
            assert not raw.is_closed
            await raw.send_all(b"still there", FOREVER)
            assert await solo.heard() == b"still there"

        solo.run(main())

    def test_idle_is_not_told_of_it(self) -> None:
        solo = client_alone()
        calls: list[H1Connection] = []

        async def main() -> None:
            solo.connection.onidle(calls.append)
            await asked(solo)
            solo.connection.take_socket()
            assert calls == []

        solo.run(main())


class TestShutdown:
    def test_of_an_idle_client(self) -> None:
        solo = client_alone()
        connection = solo.connection

        async def main() -> None:
            await connection.shutdown()
            assert await solo.peer.receive_some(1, FOREVER) == b""
            assert not connection.is_closed
            assert not connection.is_usable()
            with pytest.raises(ClosedError):
                connection.new_stream()
            with pytest.raises(ClosedError):
                await connection.read_status_line()
            await connection.shutdown()
            connection.close()
            assert connection.is_closed

        solo.run(main())

    def test_for_writing_only(self) -> None:
        solo = client_alone()
        connection = solo.connection

        async def main() -> None:
            await connection.write_request_line("GET", "/", 1.0)
            await connection.shutdown("w")
            assert await solo.heard() == b"GET / HTTP/1.0\r\n"
            with pytest.raises(ClosedError):
                await connection.write_headers_done()
            await solo.say(b"HTTP/1.0 400 Bad Request\r\n")
            assert (await connection.read_status_line())[1] == "400"

        solo.run(main())

    def test_for_reading_only(self) -> None:
        solo = server_alone()
        connection = solo.connection

        async def main() -> None:
            await solo.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            stream = await accept(connection)
            await connection.shutdown("r")
            assert await connection.get_next_incoming_stream() is None
            await answer_one(stream)
            assert (await solo.heard()).endswith(b"hello")
            with pytest.raises(ClosedError):
                await connection.read_request_line()

        solo.run(main())

    def test_of_a_server_answers_what_is_open(self) -> None:
        solo = server_alone()

        async def main() -> None:
            ask = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            await solo.say(ask + ask)
            await accept(solo.connection)
            await accept(solo.connection)
            await solo.connection.shutdown()
            heard = await solo.heard()
            assert heard.count(b"HTTP/1.1 503 ") == 2
            assert await solo.peer.receive_some(1, FOREVER) == b""
            assert not solo.connection.pipeline

        solo.run(main())

    def test_of_a_client_in_the_middle_of_exchanges(self) -> None:
        solo = client_alone()

        async def main() -> None:
            connection = solo.connection
            first, second = await asked(solo), await asked(solo)
            await connection.shutdown(timeout=1)
            assert connection.is_closed
            assert first.state == second.state == "closed"
            with pytest.raises(ClosedError):
                await second.get_headers()

        solo.run(main())

    def test_close_is_idempotent_and_final(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            solo.connection.close()
            solo.connection.close()
            with pytest.raises(ClosedError):
                await stream.get_headers()
            with pytest.raises(ClosedError):
                await solo.connection.connect()
            await stream.shutdown()
            await solo.connection.shutdown()
            assert repr(solo.connection) == "<H1Connection client version=1.1 closed>"

        solo.run(main())


class TestClientStreamShutdown:
    def test_before_the_request(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = solo.connection.new_stream()
            await stream.shutdown()
            assert stream.state == "closed"
            assert solo.connection.is_usable()

        solo.run(main())

    def test_with_the_answer_there_keeps_the_connection(self) -> None:
        solo = client_alone(piece=3)

        async def main() -> None:
            stream = await asked(solo)
            await solo.say(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)
            await stream.shutdown()
            assert stream.state == "closed"
            assert solo.connection.is_usable()
            assert await stream.get_next_chunk() is None

        solo.run(main())

    @pytest.mark.parametrize("timeout", [None, 0, 1])
    def test_without_the_answer_closes_it(self, timeout: float | None) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            await solo.say(OK[:-1])
            start = solo.backend.now()
            await stream.shutdown(timeout)
            assert solo.backend.now() - start == (timeout or 0)
            assert solo.connection.is_closed
            with pytest.raises(ClosedError):
                await stream.get_next_chunk()

        solo.run(main())

    def test_waits_for_the_answer_as_long_as_it_was_told(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)

            async def later() -> None:
                await solo.backend.sleep_until(solo.backend.now() + 2)
                await solo.say(OK)

            solo.backend.spawn(later(), "server")
            await stream.shutdown(3)
            assert solo.connection.is_usable()

        solo.run(main())

    @pytest.mark.parametrize(
        "answer", [b"HTTP/1.1 200 OK\r\n\r\nno end", b"nonsense\r\n\r\n", OK[:30] + bytes(600 * 1024)]
    )
    def test_does_not_bother_with(self, answer: bytes) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            await solo.say(answer.replace(b"Length: 2", b"Length: 9999999"))
            await stream.shutdown(5)
            assert stream.state == "closed"
            assert solo.connection.is_closed

        solo.run(main())

    def test_in_the_middle_of_the_request(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = solo.connection.new_stream()
            await stream.write_headers(request("PUT"), False)
            await stream.shutdown()
            assert solo.connection.is_closed
            assert not solo.connection.write_queue
            with pytest.raises(ClosedError):
                await stream.write_chunk(b"x")

        solo.run(main())

    def test_drain_buffered_never_waits_and_never_raises(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            await solo.say(OK[:-1])
            await stream.get_headers()
            stream.drain_buffered()
            assert stream.state == "half closed (local)"
            await solo.say(b"k")
            stream.drain_buffered()
            assert stream.state == "half closed (local)"  # what the system has was not asked for
            assert await stream.get_next_chunk() == b"k"
            stream.drain_buffered()
            assert stream.state == "closed"
            assert solo.connection.is_usable()

        solo.run(main())

    def test_drain_buffered_gives_up_on_a_fault(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            await solo.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")
            await stream.get_headers()
            stream.drain_buffered()
            assert stream.state != "closed"
            assert not solo.connection.is_usable()

        solo.run(main())


class TestStates:
    def test_by_hand(self) -> None:
        solo = client_alone()

        async def main() -> None:
            connection = solo.connection
            stream, other = connection.new_stream(), connection.new_stream()
            await stream.write_headers(request("PUT", "/", ("content-length", "2")), False)
            await connection.write_body_plain(b"by")
            waiting = solo.backend.spawn(_expect_local(other), "other")
            await solo.backend.sleep_until(solo.backend.now() + 1)
            stream.set_state("half closed (local)")
            assert await waiting.join(FOREVER)
            stream.set_state("half closed (local)")
            stream.set_state("closed")
            assert stream not in connection.pipeline
            for state in ("open", "idle", "half closed (remote)", "no state"):
                with pytest.raises(UsageError):
                    stream.set_state(state)

        async def _expect_local(stream: object) -> None:
            # The machine does not know that the first message is over.
            with pytest.raises(Exception, match="not complete"):
                await stream.write_headers(request(), True)  # type: ignore[attr-defined]

        solo.run(main())

    def test_backwards(self) -> None:
        pair = duo()

        async def main() -> None:
            stream = pair.client.new_stream()
            await stream.write_headers(request(), True)
            theirs, _ = await got(pair.server)
            with pytest.raises(UsageError):
                stream.set_state("open")
            with pytest.raises(UsageError):
                theirs.set_state("open")
            await theirs.write_headers(response("204"), True)
            assert theirs.state == "closed"

        pair.run(main())
