"""Retries through both clients, and the deadline that nothing of all this exceeds."""

from __future__ import annotations

import contextlib
import email.utils
import socket
import threading
import time
from typing import Any

import pytest

from drivetrain.engine import DigestAuth, Retries, Timeouts
from drivetrain.engine.errors import ConnectError, ConnectionClosed, ProxyError, ReadTimeout, Timeout
from tests.faces.colours import Clients
from tests.faces.policy_support import World, moved, say
from tests.faces.test_client_policy_auth import DigestGate
from tests.support.proxies import ConnectProxy
from tests.support.servers import RawServer, answering, read_head, read_until_eof

AT_ONCE = Retries(attempts=3, backoff=0)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def failing(times: int) -> Any:
    """A handler that closes the first connections after the request's head."""
    heads: list[bytes] = []

    def handler(connection: socket.socket) -> None:
        while head := read_head(connection):
            heads.append(head)
            if len(heads) <= times:
                return
            connection.sendall(OK)

    handler.heads = heads  # type: ignore[attr-defined]
    return handler


class TestStatuses:
    def test_until_it_works(self, world: World) -> None:
        world.secure.pages["/"] = [say(503), say(502), say(429), say(200)]
        client = world.client(retries=AT_ONCE)
        assert client.get(world.secure.at("/")).status == 200
        assert len(world.secure.seen) == 4
        assert client.statistics.created == 1

    def test_the_last_answer_counts(self, world: World) -> None:
        world.secure.pages["/"] = say(503, body=b"still not")
        response = world.client(retries=AT_ONCE).get(world.secure.at("/"))
        assert (response.status, response.content) == (503, b"still not")
        assert len(world.secure.seen) == 4

    def test_never_by_default(self, world: World) -> None:
        world.secure.pages["/"] = say(503)
        assert world.client().get(world.secure.at("/")).status == 503
        assert len(world.secure.seen) == 1

    @pytest.mark.parametrize(("method", "sent"), [("GET", 4), ("PUT", 4), ("DELETE", 4), ("POST", 1), ("PATCH", 1)])
    def test_methods(self, world: World, method: str, sent: int) -> None:
        world.secure.pages["/"] = say(503)
        world.client(retries=AT_ONCE).request(method, world.secure.at("/"), content=b"x")
        assert len(world.secure.seen) == sent

    def test_others_when_asked_for(self, world: World) -> None:
        world.secure.pages["/"] = [say(418), say(200)]
        retries = Retries(attempts=1, backoff=0, statuses=frozenset({418}), methods=frozenset({"POST"}))
        response = world.client(retries=retries).post(world.secure.at("/"), content=b"again")
        assert (response.status, response.content) == (200, b"again")

    def test_a_body_that_is_gone(self, world: World) -> None:
        world.secure.pages["/"] = say(503)
        content = world.pieces([b"a", b"b"])
        assert world.client(retries=AT_ONCE).put(world.secure.at("/"), content=content).status == 503
        assert len(world.secure.seen) == 1

    def test_at_each_hop(self, world: World) -> None:
        world.secure.pages["/a"] = [say(503), moved("/b")]
        world.secure.pages["/b"] = [say(503), say(200)]
        response = world.client(retries=AT_ONCE).get(world.secure.at("/a"))
        assert response.status == 200
        assert world.secure.paths == ["/a", "/a", "/b", "/b"]

    def test_cookies_of_the_refusal(self, world: World) -> None:
        world.secure.pages["/"] = [say(503, ("set-cookie", "a=1; Path=/")), say(200)]
        world.client(retries=AT_ONCE).get(world.secure.at("/"), headers={"Cookie": "mine=1"})
        assert world.secure.told("cookie") == ["mine=1", "mine=1; a=1"]

    def test_a_proof_is_used_once(self, world: World) -> None:
        gate = DigestGate()
        served: list[int] = []

        def page(target: Any) -> None:
            if gate.fault(target.headers) is None and not served:
                served.append(1)
                say(503)(target)
            else:
                gate(target)

        # The first look counts the proof as used; the second one is for a fresh one.
        world.secure.pages["/"] = page
        gate.fault = once(gate.fault)  # type: ignore[method-assign]
        assert world.client(retries=AT_ONCE, auth=DigestAuth("u", "p")).get(world.secure.at("/")).status == 200
        assert gate.used == [("n0", 1), ("n0", 2)]
        assert gate.asked == 1


def once(fault: Any) -> Any:
    """Answers twice about the same headers, looks at them once."""
    last: list[Any] = [None, None]

    def look(headers: Any) -> Any:
        if last[0] is not headers:
            last[:] = headers, fault(headers)
        return last[1]

    return look


class TestRetryAfter:
    def test_in_seconds(self, clients: Clients) -> None:
        said = b"HTTP/1.1 503 Soon\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
        with RawServer(answering(said, OK)) as server:
            client = clients(retries=AT_ONCE)
            started = time.monotonic()
            assert client.get(server.url).text == "ok"
            assert 0.95 < time.monotonic() - started < 3
            client.close()

    def test_as_a_date(self, world: World) -> None:
        past = email.utils.formatdate(time.time() - 5, usegmt=True)
        world.secure.pages["/"] = [say(503, ("retry-after", past)), say(200)]
        # The date has passed, so it is at once, whatever the back-off.
        client = world.client(retries=Retries(attempts=1, backoff=60))
        started = time.monotonic()
        assert client.get(world.secure.at("/")).status == 200
        assert time.monotonic() - started < 3

    def test_longer_than_is_waited_for(self, world: World) -> None:
        world.secure.pages["/"] = say(503, ("retry-after", "1000"))
        started = time.monotonic()
        assert world.client(retries=AT_ONCE).get(world.secure.at("/")).status == 503
        assert time.monotonic() - started < 3
        assert len(world.secure.seen) == 1

    def test_longer_than_the_deadline(self, world: World) -> None:
        """Then the answer is what there is, and it can be read within the deadline."""
        world.secure.pages["/"] = say(503, ("retry-after", "100"), body=b"later")
        started = time.monotonic()
        response = world.client(retries=AT_ONCE).get(world.secure.at("/"), timeout=5)
        assert (response.status, response.content) == (503, b"later")
        assert time.monotonic() - started < 3

    def test_not_respected(self, world: World) -> None:
        world.secure.pages["/"] = [say(503, ("retry-after", "1000")), say(200)]
        retries = Retries(attempts=1, backoff=0, respect_retry_after=False)
        assert world.client(retries=retries).get(world.secure.at("/")).status == 200


class TestFailures:
    def test_a_server_that_hangs_up(self, clients: Clients) -> None:
        handler = failing(2)
        with RawServer(handler) as server:
            assert clients(retries=AT_ONCE).get(server.url).text == "ok"
        assert len(handler.heads) == 3

    def test_for_ever(self, clients: Clients) -> None:
        handler = failing(100)
        with RawServer(handler) as server, pytest.raises(ConnectionClosed):
            clients(retries=AT_ONCE).get(server.url)
        assert len(handler.heads) == 4

    @pytest.mark.parametrize("retries", [AT_ONCE, Retries()])
    def test_not_what_may_have_been_done(self, clients: Clients, retries: Retries) -> None:
        handler = failing(1)
        with RawServer(handler) as server, pytest.raises(ConnectionClosed):
            clients(retries=retries).post(server.url)
        assert len(handler.heads) == 1

    def test_nobody_there(self, clients: Clients) -> None:
        """Nothing was sent, so even a POST is tried again."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            asked: list[int] = []
            url = f"http://nowhere.example:{unused.getsockname()[1]}/"

            def look_up(host: str, port: int) -> list[str]:
                asked.append(port)
                return ["127.0.0.1"]

            async def look_up_async(host: str, port: int) -> list[str]:
                return look_up(host, port)

            resolver = look_up if clients.colour == "blocking" else look_up_async
            with pytest.raises(ConnectError):
                clients(retries=AT_ONCE, resolver=resolver).post(url, content=b"x")
        assert len(asked) == 4

    def test_a_silent_server(self, clients: Clients) -> None:
        heads: list[bytes] = []

        def handler(connection: socket.socket) -> None:
            heads.append(read_head(connection))
            if len(heads) > 1:
                connection.sendall(OK)
            read_until_eof(connection)

        with RawServer(handler) as server:
            client = clients(retries=AT_ONCE, timeout=Timeouts(read=0.2))
            assert client.get(server.url).text == "ok"
            client.close()
        assert len(heads) == 2

    @pytest.mark.parametrize(("status", "asked"), [(403, 1), (407, 1), (502, 4), (503, 4)])
    def test_a_proxy_that_refuses(self, clients: Clients, status: int, asked: int) -> None:
        answer = f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()
        with ConnectProxy(answer=answer) as proxy:
            client = clients(retries=AT_ONCE, proxies=proxy.url)
            with pytest.raises(ProxyError) as caught:
                client.get("https://origin.example/")
            assert caught.value.status == status
        assert len(proxy.heads) == asked


class TestDeadlines:
    def test_waits_do_not_exceed_it(self, clients: Clients) -> None:
        handler = failing(100)
        with RawServer(handler) as server:
            started = time.monotonic()
            with pytest.raises(ConnectionClosed):
                clients(retries=Retries(attempts=50, backoff=0.3, jitter=0)).get(server.url, timeout=0.8)
            assert time.monotonic() - started < 0.8
        assert len(handler.heads) == 2

    def test_it_covers_redirects_challenges_and_repetitions(self, world: World) -> None:
        """Each hop alone is quick; together they are not, and the sum counts."""
        pause = threading.Event()

        def slow(page: Any) -> Any:
            def late(target: Any) -> None:
                pause.wait(0.06)
                page(target)

            return late

        challenge = ("www-authenticate", 'Digest realm="r", nonce="n", qop="auth"')
        world.secure.pages["/a"] = [slow(say(503)), slow(say(401, challenge)), slow(moved("/b"))]
        world.secure.pages["/b"] = [slow(say(503)), slow(say(200))]
        client = world.client(retries=AT_ONCE, auth=DigestAuth("u", "p"))
        assert client.get(world.secure.at("/a"), timeout=10).status == 200
        world.secure.pages["/a"] = [slow(say(503)), slow(say(503)), slow(moved("/b"))]
        world.secure.pages["/b"] = slow(say(200))
        started = time.monotonic()
        with contextlib.suppress(Timeout):
            # Where the time runs out just between two attempts, the answer that is there is returned.
            assert client.get(world.secure.at("/a"), timeout=0.15).status == 503
        assert time.monotonic() - started < 0.8
        assert client.statistics.in_use == 0

    def test_it_covers_the_body_of_an_answer_nobody_wants(self, clients: Clients) -> None:
        def handler(connection: socket.socket) -> None:
            read_head(connection)
            connection.sendall(b"HTTP/1.1 503 No\r\nContent-Length: 100\r\n\r\nthe rest never comes")
            read_until_eof(connection)

        with RawServer(handler) as server:
            started = time.monotonic()
            with pytest.raises(ReadTimeout):
                clients(retries=AT_ONCE).get(server.url, timeout=0.5)
            assert time.monotonic() - started < 1
