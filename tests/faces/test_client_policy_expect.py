"""Expect: 100-continue through both clients (RFC 9110 section 10.1.1)."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from drivetrain.engine import DigestAuth, Request, Timeouts
from drivetrain.engine.errors import EngineError, ReadTimeout
from tests.faces.colours import Clients
from tests.faces.policy_support import World, say
from tests.faces.site import Target
from tests.support.servers import RawServer, read_exactly, read_head, read_until_eof

EXPECT = {"Expect": "100-continue"}
BODY = b"b" * 5000


def continuing(*between: int) -> Callable[[Target], None]:
    """A page that says 100, after other informational answers, and reads the body."""

    def page(target: Target) -> None:
        for status in between:
            target.stream.write_headers(type(target.headers)([(":status", str(status))]), False)
        target.stream.write_continue()
        target.answer(200, target.stream.get_body_as_string())

    return page


class TestOverBothVersions:
    def test_sent_when_it_may_be(self, world: World) -> None:
        world.secure.pages["/"] = continuing()
        response = world.client().put(world.secure.at("/"), content=BODY, headers=EXPECT)
        assert response.content == BODY
        assert [each.get(":status") for each in response.early_responses] == ["100"]

    def test_other_informational_answers_do_not_count(self, world: World) -> None:
        world.secure.pages["/"] = continuing(103, 102)
        response = world.client().put(world.secure.at("/"), content=BODY, headers=EXPECT)
        assert response.content == BODY
        assert [each.get(":status") for each in response.early_responses] == ["103", "102", "100"]

    @pytest.mark.parametrize("status", [200, 401, 413, 500])
    def test_not_sent_after_an_answer(self, world: World, status: int) -> None:
        got: list[bytes] = []

        def page(target: Target) -> None:
            say(status, body=b"no, thanks", read=False)(target)
            with contextlib.suppress(EngineError):  # over HTTP/1 the connection ends here
                got.append(target.stream.get_body_as_string(5))

        world.secure.pages["/"] = page
        asked: list[int] = []

        def pieces() -> Any:
            asked.append(1)
            yield BODY

        client = world.client()
        content = world.pieces(pieces())
        response = client.put(world.secure.at("/"), content=content, headers=EXPECT)
        assert (response.status, response.content) == (status, b"no, thanks")
        assert asked == []
        assert b"".join(got) == b""
        # HTTP/1 cannot go on where a body is missing, HTTP/2 loses nothing but the stream.
        assert client.statistics.open == (1 if world.version == "2" else 0)
        assert client.get(world.secure.at("/other")).status == 200

    def test_a_challenge_before_the_body(self, world: World) -> None:
        """A body that can be sent once is sent once, after the proof."""
        challenge = ("www-authenticate", 'Digest realm="r", nonce="n", qop="auth"')
        world.secure.pages["/"] = [say(401, challenge, read=False), continuing()]
        content = world.pieces([b"one", b"two"])
        client = world.client(auth=DigestAuth("u", "p"))
        assert client.put(world.secure.at("/"), content=content, headers=EXPECT).content == b"onetwo"
        assert [value and value[:6] for value in world.secure.told("authorization")] == [None, "Digest"]

    def test_an_expectation_that_failed(self, world: World) -> None:
        world.secure.pages["/"] = [say(417, read=False), say(200)]
        response = world.client().put(world.secure.at("/"), content=BODY, headers=EXPECT)
        assert (response.status, response.content) == (200, BODY)
        assert world.secure.told("expect") == ["100-continue", None]

    def test_that_fails_for_ever(self, world: World) -> None:
        world.secure.pages["/"] = say(417)
        response = world.client().put(world.secure.at("/"), content=BODY, headers=EXPECT)
        assert response.status == 417
        assert len(world.secure.seen) == 2

    def test_without_one_a_failed_expectation_is_an_answer(self, world: World) -> None:
        world.secure.pages["/"] = say(417)
        assert world.client().put(world.secure.at("/"), content=BODY).status == 417
        assert len(world.secure.seen) == 1


def holding_back(body: bytes, answer: bytes, before: bytes = b"") -> Callable[[socket.socket], None]:
    """Says `before`, nothing else until the whole body has come, then `answer`."""

    def handler(connection: socket.socket) -> None:
        while head := read_head(connection):
            assert b"100-continue" in head
            connection.sendall(before)
            assert read_exactly(connection, len(body)) == body
            connection.sendall(answer)

    return handler


class Elapsed:
    """Measures from the client's side, where a busy machine can only make it longer."""

    def __enter__(self) -> Elapsed:
        self._started = time.monotonic()
        self.seconds = 0.0
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds = time.monotonic() - self._started


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"


class TestPatience:
    @pytest.mark.parametrize("before", [b"", EARLY], ids=["silence", "103"])
    def test_after_a_second_it_is_sent_anyway(self, clients: Clients, before: bytes) -> None:
        with RawServer(holding_back(BODY, OK, before)) as server:
            client = clients()
            with Elapsed() as elapsed:
                assert client.put(server.url, content=BODY, headers=EXPECT).text == "ok"
            assert 0.99 < elapsed.seconds < 5
            # The expectation was given up, the connection was not.
            assert client.statistics.open == 1
            client.close()

    def test_the_request_object_has_its_own(self) -> None:
        with RawServer(holding_back(BODY, OK)) as server:
            request = Request.from_uri(server.url)
            request.set_body(BODY)
            request.proxies = request.cookie_store = request.hsts = None
            request.expect_100_timeout = 0.2
            request.headers.upsert(":method", "PUT")
            request.headers.upsert("connection", "close")
            with Elapsed() as elapsed:
                _, stream = request.go(5)
            assert stream.get_body_as_string() == b"ok"
            assert 0.19 < elapsed.seconds < 0.95

    def test_as_long_as_the_client_was_told(self, clients: Clients) -> None:
        """Also behind a redirect."""
        answers = [b"HTTP/1.1 307 X\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n", OK]

        def handler(connection: socket.socket) -> None:
            while read_head(connection):
                read_exactly(connection, len(BODY))
                connection.sendall(answers.pop(0))

        with RawServer(handler) as server:
            client = clients(expect_100_timeout=0.15)
            with Elapsed() as elapsed:
                assert client.put(server.url, content=BODY, headers=EXPECT).text == "ok"
            client.close()
        assert 0.29 < elapsed.seconds < 1

    @pytest.mark.parametrize("exactly", [False, True])
    def test_not_at_all(self, clients: Clients, exactly: bool) -> None:
        """Head and body come together then."""

        def handler(connection: socket.socket) -> None:
            assert b"100-continue" in read_head(connection)
            connection.setblocking(False)
            assert connection.recv(100) == b"body"
            connection.sendall(OK)

        with RawServer(handler) as server:
            client = clients(expect_100_timeout=0)
            if exactly:
                fields = [("Expect", "100-continue"), ("Content-Length", "4")]
                assert client.exchange("PUT", server.url, fields, b"body").read() == b"ok"
            else:
                assert client.put(server.url, content=b"body", headers=EXPECT).text == "ok"
            client.close()

    def test_a_100_that_comes_late(self, clients: Clients) -> None:
        """It came after the body was begun: it changes nothing any more."""

        def handler(connection: socket.socket) -> None:
            read_head(connection)
            read_exactly(connection, len(BODY))
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
            read_until_eof(connection)

        with RawServer(handler) as server:
            client = clients(timeout=Timeouts(read=0.2))
            response = client.put(server.url, content=BODY, headers=EXPECT)
            assert response.text == "ok"
            assert [each.get(":status") for each in response.early_responses] == ["100"]
            client.close()

    def test_the_deadline_is_not_exceeded(self, clients: Clients) -> None:
        def handler(connection: socket.socket) -> None:
            read_until_eof(connection)

        with RawServer(handler) as server:
            started = time.monotonic()
            with pytest.raises(ReadTimeout):
                clients().put(server.url, content=BODY, headers=EXPECT, timeout=0.3)
            assert time.monotonic() - started < 0.9

    def test_a_read_limit_ends_the_wait_too(self, clients: Clients) -> None:
        """Whoever waits at most so long for any answer does not wait longer for this one."""
        with RawServer(holding_back(BODY, OK)) as server:
            client = clients(timeout=Timeouts(read=0.3))
            with Elapsed() as elapsed:
                assert client.put(server.url, content=BODY, headers=EXPECT).text == "ok"
            assert 0.29 < elapsed.seconds < 0.95
            client.close()


class TestHttp1:
    def test_a_connection_is_used_again(self, clients: Clients) -> None:
        def handler(connection: socket.socket) -> None:
            while read_head(connection):
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                read_exactly(connection, len(BODY))
                connection.sendall(OK)

        with RawServer(handler) as server:
            client = clients()
            for _ in range(3):
                assert client.put(server.url, content=BODY, headers=EXPECT).text == "ok"
            assert server.connections == 1
            client.close()

    @pytest.mark.parametrize("fields", [b"", b"Connection: close\r\n"])
    def test_after_a_refusal_it_is_not(self, clients: Clients, fields: bytes) -> None:
        rests: list[bytes] = []

        def handler(connection: socket.socket) -> None:
            read_head(connection)
            connection.sendall(b"HTTP/1.1 403 No\r\n" + fields + b"Content-Length: 2\r\n\r\nno")
            rests.append(read_until_eof(connection))

        with RawServer(handler) as server:
            client = clients()
            for _ in range(2):
                assert client.put(server.url, content=BODY, headers=EXPECT).text == "no"
            assert server.connections == 2
        assert rests == [b"", b""]

    def test_without_a_body_nothing_is_waited_for(self, clients: Clients) -> None:
        def handler(connection: socket.socket) -> None:
            read_head(connection)
            connection.sendall(OK)

        with RawServer(handler) as server:
            assert clients().get(server.url, headers=EXPECT).text == "ok"
