"""A client's connection against a server's: whole exchanges."""

from __future__ import annotations

import pytest

from drivetrain.engine.backends.base import FOREVER
from drivetrain.engine.errors import ClosedError, LocalProtocolError, RemoteProtocolError
from drivetrain.engine.wire.headers import Headers
from tests.connection.h1_support import (
    Duo,
    accept,
    answer_one,
    asked,
    client_alone,
    duo,
    got,
    request,
    response,
    server_alone,
)


@pytest.fixture(params=[None, 1, 7], ids=["whole", "bytewise", "by seven"])
def pair(request: pytest.FixtureRequest) -> Duo:
    return duo(piece=request.param)


class TestBodies:
    def test_by_length(self, pair: Duo) -> None:
        async def serve() -> None:
            stream, headers = await got(pair.server)
            assert headers.get(":method") == "POST"
            assert headers.get(":path") == "/"
            assert headers.get(":authority") == "example.org"
            assert await stream.get_body_as_string() == b"question"
            await answer_one(stream)
            assert stream.state == "closed"

        async def main() -> None:
            pair.backend.spawn(serve(), "server")
            stream = pair.client.new_stream()
            assert stream.state == "idle"
            await stream.write_headers(request("POST", "/", ("content-length", "8")), False)
            assert stream.state == "open"
            await stream.write_chunk(b"ques")
            await stream.write_chunk(b"tion", True)
            assert stream.state == "half closed (local)"
            headers = await stream.get_headers()
            assert headers is not None
            assert headers.get(":status") == "200"
            assert stream.version == 1.1
            assert await stream.get_body_as_string() == b"hello"
            assert await stream.get_next_chunk() is None
            assert await stream.get_headers() is None
            assert stream.state == "closed"
            assert pair.client.is_usable()
            assert not pair.client.pipeline
            assert not pair.server.pipeline

        pair.run(main())

    def test_by_chunk_with_trailers_both_ways(self, pair: Duo) -> None:
        async def serve() -> None:
            stream, headers = await got(pair.server)
            assert headers.get("transfer-encoding") == "chunked"
            assert await stream.get_body_as_string() == b"onetwo"
            assert stream.has_trailers
            trailers = await stream.get_headers()
            assert trailers is not None
            assert trailers.get("x-sum") == "6"
            assert await stream.get_headers() is None
            await stream.write_headers(response(), False)
            await stream.write_chunk(b"three")
            await stream.write_headers(Headers([("x-end", "yes")]), True)

        async def main() -> None:
            pair.backend.spawn(serve(), "server")
            stream = pair.client.new_stream()
            await stream.write_headers(request("PUT"), False)
            await stream.write_chunk(b"one")
            await stream.write_chunk(b"two")
            await stream.write_headers(Headers([("x-sum", "6")]), True)
            headers = await stream.get_headers()
            assert headers is not None
            assert headers.get("transfer-encoding") == "chunked"
            assert not stream.has_trailers
            pieces = [piece async for piece in stream.each_chunk()]
            assert b"".join(pieces) == b"three"
            trailers = await stream.get_headers()
            assert trailers is not None
            assert list(trailers) == [("x-end", "yes")]
            assert pair.client.is_usable()

        pair.run(main())

    def test_until_the_connection_ends(self) -> None:
        pair = duo(version=1.0)

        async def serve() -> None:
            stream, _ = await got(pair.server)
            assert stream.version == 1.0
            await stream.write_headers(response(), False)
            await stream.write_chunk(b"all")
            await stream.write_chunk(b" of it", True)

        async def main() -> None:
            pair.backend.spawn(serve(), "server")
            stream = pair.client.new_stream()
            await stream.write_headers(request(), True)
            headers = await stream.get_headers()
            assert headers is not None
            assert headers.get("connection") == "close"
            assert await stream.get_body_as_string() == b"all of it"
            assert stream.state == "closed"
            assert not pair.client.is_usable()

        pair.run(main())

    def test_one_write_each(self, pair: Duo) -> None:
        async def serve() -> None:
            stream, _ = await got(pair.server)
            assert await stream.get_body_as_string() == b"abc"
            await stream.write_message(response("201", ("content-length", "3")), b"def", FOREVER)

        async def main() -> None:
            pair.backend.spawn(serve(), "server")
            stream = pair.client.new_stream()
            await stream.write_message(request("POST", "/", ("content-length", "3")), b"abc", FOREVER)
            headers = await stream.get_headers()
            assert headers is not None
            assert headers.get(":status") == "201"
            assert await stream.get_body_as_string() == b"def"
            assert pair.client.is_usable()

        pair.run(main())

    @pytest.mark.parametrize(("method", "status"), [("HEAD", "200"), ("GET", "204"), ("GET", "304")])
    def test_without_a_body_the_exchange_ends_with_the_head(self, method: str, status: str) -> None:
        pair = duo()

        async def main() -> None:
            stream = pair.client.new_stream()
            await stream.write_headers(request(method), True)
            theirs, _ = await got(pair.server)
            assert theirs.state == "half closed (remote)"
            assert await theirs.get_next_chunk() is None
            await theirs.write_headers(response(status), True)
            assert theirs.state == "closed"
            await stream.get_headers()
            assert stream.state == "closed"
            assert await stream.get_body_as_string() == b""
            assert pair.client.is_usable()

        pair.run(main())

    def test_many_exchanges_on_one_connection(self) -> None:
        pair = duo()

        async def main() -> None:
            for number in range(5):
                stream = pair.client.new_stream()
                await stream.write_headers(request("GET", f"/{number}"), True)
                theirs, headers = await got(pair.server)
                assert headers.get(":path") == f"/{number}"
                await answer_one(theirs, b"x" * number)
                await stream.get_headers()
                assert await stream.get_body_as_string() == b"x" * number
            assert pair.client.requests == pair.server.requests == 5

        pair.run(main())

    def test_a_compressed_transfer(self) -> None:
        pair = duo()

        async def main() -> None:
            stream = pair.client.new_stream()
            await stream.write_headers(request("GET", "/", ("te", "gzip"), ("connection", "te")), True)
            theirs, _ = await got(pair.server)
            await theirs.write_headers(response(), False)
            await theirs.write_chunk(b"a" * 100_000)
            await theirs.write_chunk(b"", True)
            headers = await stream.get_headers()
            assert headers is not None
            assert headers.get("transfer-encoding") == "gzip, chunked"
            assert await stream.get_body_as_string() == b"a" * 100_000

        pair.run(main())


class TestReadingOrder:
    def test_the_body_can_be_read_before_the_head(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            await solo.say(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            assert await stream.get_next_chunk() == b"hi"
            early, final = await stream.get_headers(), await stream.get_headers()
            assert early is not None
            assert final is not None
            assert (early.get(":status"), final.get(":status")) == ("103", "200")

        solo.run(main())

    def test_trailers_cannot_be_read_before_the_body(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            await solo.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\na: b\r\n\r\n")
            await stream.get_headers()
            with pytest.raises(LocalProtocolError):
                await stream.get_headers()
            assert await stream.get_body_as_string() == b"hi"
            trailers = await stream.get_headers()
            assert trailers is not None
            assert trailers.get("a") == "b"

        solo.run(main())

    def test_read_headers_and_read_next_chunk_pass_over_what_is_queued(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            await solo.say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
            headers = await stream.read_headers()
            assert headers is not None
            assert headers.get(":status") == "200"
            stream.unget(b"before ")
            assert await stream.read_next_chunk() == b"ab"
            await solo.say(b"cd")
            assert await stream.get_body_as_string() == b"before cd"

        solo.run(main())

    def test_nothing_is_read_before_the_request_is_sent(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = solo.connection.new_stream()
            for read in (stream.get_headers, stream.get_next_chunk):
                with pytest.raises(LocalProtocolError):
                    await read(1)

        solo.run(main())


class TestInformational:
    def test_they_come_one_by_one_before_the_final_response(self, pair: Duo) -> None:
        async def serve() -> None:
            stream, _ = await got(pair.server)
            await stream.write_headers(response("103", ("link", "</a>")), False)
            await stream.write_headers(response("103", ("link", "</b>")), False)
            assert stream.status is None
            await answer_one(stream)

        async def main() -> None:
            pair.backend.spawn(serve(), "server")
            stream = pair.client.new_stream()
            await stream.write_headers(request(), True)
            seen = []
            while stream.response is None:
                headers = await stream.get_headers()
                assert headers is not None
                seen.append((headers.get(":status"), headers.get("link")))
            assert seen == [("103", "</a>"), ("103", "</b>"), ("200", None)]
            assert await stream.get_body_as_string() == b"hello"

        pair.run(main())

    def test_a_server_that_reads_the_body_tells_the_client_to_go_on(self) -> None:
        pair = duo()

        async def serve() -> None:
            stream, headers = await got(pair.server)
            assert headers.get("expect") == "100-continue"
            assert await stream.get_body_as_string() == b"body"
            await answer_one(stream)

        async def main() -> None:
            pair.backend.spawn(serve(), "server")
            stream = pair.client.new_stream()
            fields = (("content-length", "4"), ("expect", "100-continue"))
            await stream.write_headers(request("POST", "/", *fields), False)
            headers = await stream.get_headers(10)
            assert headers is not None
            assert headers.get(":status") == "100"
            await stream.write_chunk(b"body", True)
            headers = await stream.get_headers(10)
            assert headers is not None
            assert headers.get(":status") == "200"
            assert await stream.get_body_as_string() == b"hello"
            assert pair.client.is_usable()

        pair.run(main())

    def test_a_client_that_did_not_wait_is_not_told(self) -> None:
        solo = server_alone()

        async def main() -> None:
            await solo.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbo")
            stream, _ = await got(solo.connection)
            assert await stream.get_next_chunk() == b"bo"
            solo.backend.spawn(solo.say(b"dy"), "client")
            assert await stream.get_body_as_string() == b"dy"
            assert await solo.heard() == b""

        solo.run(main())

    def test_write_continue_is_sent_once(self) -> None:
        solo = server_alone()

        async def main() -> None:
            await solo.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
            stream, _ = await got(solo.connection)
            await stream.write_continue()
            assert await solo.heard() == b"HTTP/1.1 100 Continue\r\n\r\n"
            solo.backend.spawn(solo.say(b"body"), "client")
            assert await stream.get_body_as_string() == b"body"
            assert await solo.heard() == b""

        solo.run(main())

    def test_an_answer_without_100_ends_the_connection(self) -> None:
        solo = server_alone()

        async def main() -> None:
            await solo.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
            stream, _ = await got(solo.connection)
            await stream.write_headers(response("417"), True)
            await stream.shutdown(5)
            heard = await solo.heard()
            assert b"Connection: close\r\n" in heard
            assert await solo.peer.receive_some(1, FOREVER) == b""
            assert await solo.connection.get_next_incoming_stream(1) is None

        solo.run(main())


class TestHeaders:
    def test_max_header_lines(self) -> None:
        solo = client_alone()

        async def main() -> None:
            stream = await asked(solo)
            assert stream.max_header_lines == 100
            stream.max_header_lines = 2
            await solo.say(b"HTTP/1.1 200 OK\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n")
            with pytest.raises(RemoteProtocolError, match="2 field lines"):
                await stream.get_headers()
            assert isinstance(solo.connection.error("r"), RemoteProtocolError)

        solo.run(main())

    def test_the_request_line_becomes_pseudo_fields(self) -> None:
        solo = server_alone()

        async def main() -> None:
            await solo.say(b"GET /p HTTP/1.1\r\nX: y\r\nHost: h:8\r\n\r\n")
            _, headers = await got(solo.connection)
            assert list(headers)[:4] == [
                (":method", "GET"),
                (":scheme", "http"),
                (":authority", "h:8"),
                (":path", "/p"),
            ]

        solo.run(main())

    def test_a_refused_request_leaves_the_turn_to_others(self) -> None:
        pair = duo()

        async def main() -> None:
            stream = pair.client.new_stream()
            with pytest.raises(LocalProtocolError):
                await stream.write_headers(Headers([(":method", "GET")]), True)
            assert stream.state == "idle"
            other = pair.client.new_stream()
            await other.write_headers(request(), True, 1)
            theirs, _ = await got(pair.server)
            await answer_one(theirs)
            await other.get_headers()
            assert await other.get_body_as_string() == b"hello"
            # The first one was not harmed either.
            await stream.write_headers(request("GET", "/again"), True, 1)
            _, headers = await got(pair.server)
            assert headers.get(":path") == "/again"

        pair.run(main())

    def test_what_does_not_fit_the_message_is_refused(self) -> None:
        pair = duo()

        async def main() -> None:
            stream = pair.client.new_stream()
            with pytest.raises(LocalProtocolError):
                await stream.write_chunk(b"x")
            await stream.write_headers(request("PUT", "/", ("content-length", "3")), False)
            with pytest.raises(LocalProtocolError):
                await stream.write_headers(request(), False)
            with pytest.raises(LocalProtocolError):
                await stream.write_chunk(b"four")
            with pytest.raises(LocalProtocolError):
                await stream.write_chunk(b"2b", True)
            await stream.write_chunk(b"!", True)
            with pytest.raises(LocalProtocolError):
                await stream.write_chunk(b"more")
            with pytest.raises(LocalProtocolError):
                await stream.write_message(request(), b"", FOREVER)
            theirs, _ = await got(pair.server)
            assert await theirs.get_body_as_string() == b"2b!"
            with pytest.raises(LocalProtocolError):
                await theirs.write_chunk(b"too early")
            await theirs.write_headers(response("200", ("content-length", "0")), True)
            with pytest.raises((LocalProtocolError, ClosedError)):
                await theirs.write_headers(response(), True)

        pair.run(main())

    def test_a_message_that_contradicts_its_head_is_never_begun(self) -> None:
        pair = duo()

        async def main() -> None:
            stream = pair.client.new_stream()
            with pytest.raises(LocalProtocolError):
                await stream.write_message(request("PUT", "/", ("content-length", "3")), b"four", FOREVER)
            assert not pair.server.stream.is_readable()
            assert not pair.client.is_usable()
            assert not pair.client.write_queue

        pair.run(main())

    def test_roles(self) -> None:
        pair = duo()

        async def main() -> None:
            with pytest.raises(LocalProtocolError):
                pair.server.new_stream()
            with pytest.raises(LocalProtocolError):
                await pair.client.get_next_incoming_stream()
            with pytest.raises(LocalProtocolError):
                await pair.client.refuse(RemoteProtocolError("x"), FOREVER)

        pair.run(main())


class TestTunnels:
    def test_connect(self) -> None:
        pair = duo()

        async def main() -> None:
            stream = pair.client.new_stream()
            await stream.write_headers(Headers([(":method", "CONNECT"), (":authority", "far:443")]), False)
            theirs, headers = await got(pair.server)
            assert headers.get(":authority") == "far:443"
            await theirs.write_headers(response("200"), False)
            await stream.get_headers()
            assert stream.response is not None
            assert stream.response.switched
            await stream.write_chunk(b"ping")
            assert await theirs.get_next_chunk() == b"ping"
            await theirs.write_chunk(b"pong", True)
            assert await stream.get_next_chunk() == b"pong"
            assert await stream.get_next_chunk() is None
            await stream.write_chunk(b"more", True)
            assert await theirs.get_body_as_string() == b"more"
            assert stream.state == theirs.state == "closed"
            assert not pair.client.is_usable()

        pair.run(main())

    def test_a_refused_connect_leaves_the_connection_usable(self) -> None:
        pair = duo()

        async def main() -> None:
            stream = pair.client.new_stream()
            await stream.write_headers(Headers([(":method", "CONNECT"), (":authority", "far:443")]), False)
            theirs, _ = await got(pair.server)
            await answer_one(theirs, b"no", "403")
            await stream.get_headers()
            assert await stream.get_body_as_string() == b"no"
            assert pair.client.is_usable()

        pair.run(main())

    def test_an_upgraded_connection_is_taken_with_what_followed(self) -> None:
        pair = duo()

        async def main() -> None:
            stream = pair.client.new_stream()
            fields = (("connection", "upgrade"), ("upgrade", "echo"))
            await stream.write_headers(request("GET", "/", *fields), True)
            theirs, _ = await got(pair.server)
            await theirs.write_headers(response("101", *fields), False)
            await pair.server.stream.send_all(b"first bytes", FOREVER)
            headers = await stream.get_headers()
            assert headers is not None
            assert headers.get(":status") == "101"
            socket = pair.client.take_socket()
            assert socket is not None
            assert await socket.receive_some(5, FOREVER) == b"first"
            assert await socket.receive_some(50, FOREVER) == b" bytes"
            await socket.send_all(b"back", FOREVER)
            assert await theirs.get_next_chunk() == b"back"

        pair.run(main())


def test_accept_returns_none_when_the_client_leaves() -> None:
    solo = server_alone()

    async def main() -> None:
        await solo.peer.send_eof(FOREVER)
        assert await solo.connection.get_next_incoming_stream() is None
        await solo.connection.stream.send_eof(FOREVER)

    solo.run(main())


def test_a_client_may_end_its_side_after_the_request() -> None:
    solo = server_alone()

    async def main() -> None:
        await solo.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await solo.peer.send_eof(FOREVER)
        stream = await accept(solo.connection)
        await answer_one(stream)
        assert (await solo.heard()).endswith(b"hello")
        assert await solo.connection.get_next_incoming_stream() is None

    solo.run(main())
