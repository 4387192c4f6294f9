"""HTTP/2 through both clients when things go wrong: goodbyes, refusals, resets, lost connections, ids that run out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from drivetrain.engine import PoolLimits, errors
from drivetrain.engine.wire.h2_errors import H2Error, H2ErrorCode
from tests.faces.colours import Clients
from tests.support.h2_server import Exchange, H2Server, hold, pages, pattern

LAST = 2**31 - 1


def script(**steps: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
    """An `answer` with something of its own to do for the first request of each path named."""
    left = {f"/{name}": step for name, step in steps.items()}

    def answer(exchange: Exchange) -> None:
        left.pop(exchange.path, pages)(exchange)

    return answer


def let_events_in(clients: Clients) -> None:
    """Let an event loop learn of what has arrived; without one the client looks itself."""
    if clients.loop is not None:
        for _ in range(3):
            clients.loop.run_until_complete(asyncio.sleep(0))


def connections_of(server: H2Server, path: str) -> list[int]:
    """Which connections carried requests for `path`, by number."""
    return [server.wires.index(exchange.wire) for exchange in server.exchanges if exchange.path == path]


class TestGoodbye:
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_what_was_not_looked_at_is_sent_again(self, clients: Clients, method: str) -> None:
        def bye(exchange: Exchange) -> None:
            exchange.wire.goaway(exchange.id - 2)

        with H2Server(script(echo=bye)) as server:
            client = clients(version=2)
            client.get(server.url + "/first")
            response = client.request(method, server.url + "/echo", content=b"x" * 70_000)
            assert response.content == b"x" * 70_000
            assert connections_of(server, "/echo") == [0, 1]
            assert client.get(server.url + "/then").text == "/then"
            assert server.connections == 2
            server.wait(lambda: server.wires[0].ended, "the end of the connection that was left")

    @pytest.mark.parametrize("code", [H2ErrorCode.NO_ERROR, H2ErrorCode.INTERNAL_ERROR, H2ErrorCode.ENHANCE_YOUR_CALM])
    def test_with_any_code(self, clients: Clients, code: int) -> None:
        def bye(exchange: Exchange) -> None:
            exchange.wire.goaway(0, code, b"why")
            exchange.wire.close()

        with H2Server(script(page=bye)) as server:
            assert clients(version=2).post(server.url + "/page", content=b"x").text == "/page"
            assert connections_of(server, "/page") == [0, 1]

    def test_what_is_below_runs_to_its_end(self, clients: Clients) -> None:
        def bye(exchange: Exchange) -> None:
            exchange.head(200, ("content-length", "300000"))
            exchange.data(pattern(300_000)[:100_000])
            exchange.wire.goaway(exchange.id)

        with H2Server(script(slow=bye)) as server:
            client = clients(version=2)
            with client.stream("GET", server.url + "/slow") as response:
                assert response.read(50_000) == pattern(50_000)
                assert client.get(server.url + "/next").text == "/next"
                server.exchanges[0].data(pattern(300_000)[100_000:], end=True)
                assert response.read() == pattern(300_000)[50_000:]
            assert connections_of(server, "/slow") == [0]
            assert connections_of(server, "/next") == [1]
            server.wait(lambda: server.wires[0].ended, "the end of the connection that was left")
            assert not server.wires[1].ended

    def test_twice_as_graceful_servers_do(self, clients: Clients) -> None:
        def bye(exchange: Exchange) -> None:
            exchange.wire.goaway(LAST)
            exchange.wire.goaway(exchange.id)
            exchange.respond(200, b"still")

        with H2Server(script(page=bye)) as server:
            client = clients(version=2)
            assert client.get(server.url + "/page").content == b"still"
            assert client.get(server.url + "/page").text == "/page"
            assert connections_of(server, "/page") == [0, 1]

    def test_between_requests(self, clients: Clients) -> None:
        with H2Server() as server:
            client = clients(version=2)
            client.get(server.url + "/1")
            server.wire.goaway(LAST)
            server.wire.close()
            server.wait(lambda: server.wires[0].output_ended)
            let_events_in(clients)
            assert client.post(server.url + "/2", content=b"x").text == "/2"
            assert server.connections == 2

    def test_with_every_request(self, clients: Clients) -> None:
        """One request a connection, as some servers have it: nothing is lost and nothing left open."""

        def bye(exchange: Exchange) -> None:
            exchange.respond(200, b"last")
            exchange.wire.goaway(exchange.id)

        with H2Server(bye) as server:
            client = clients(version=2)
            assert [client.get(server.url).content for _ in range(5)] == [b"last"] * 5
            assert server.connections == 5
            server.wait(lambda: all(wire.ended for wire in server.wires[:-1]))

    def test_forever_is_a_typed_error(self, clients: Clients) -> None:
        with H2Server(lambda exchange: exchange.wire.goaway(0)) as server:
            with pytest.raises(errors.StreamRefused):
                clients(version=2).get(server.url)
            assert 2 <= server.connections <= 6


class TestRefusals:
    def refuse(self, exchange: Exchange) -> None:
        exchange.reset(H2ErrorCode.REFUSED_STREAM)

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_sent_again_on_the_connection(self, clients: Clients, method: str) -> None:
        with H2Server(script(echo=self.refuse)) as server:
            response = clients(version=2).request(method, server.url + "/echo", content=b"body")
            assert response.content == b"body"
            assert connections_of(server, "/echo") == [0, 0]

    def test_endless_ones_are_a_typed_error(self, clients: Clients) -> None:
        with H2Server(self.refuse) as server:
            client = clients(version=2)
            with pytest.raises(errors.StreamRefused):
                client.post(server.url, content=b"x")
            assert 2 <= len(server.exchanges) <= 8
            assert server.connections == 1

    def test_a_generator_that_was_not_begun_is_fine(self, clients: Clients) -> None:
        def go_on(exchange: Exchange) -> None:
            exchange.head(100)
            exchange.respond(200, b"fine")

        answers = [self.refuse, go_on]
        with H2Server(lambda exchange: answers.pop(0)(exchange), early=True) as server:
            # The body waits for 100 Continue: nothing of it was asked for when the first request is refused.
            body = clients.pieces([b"one", b"two"])
            response = clients(version=2).post(server.url, content=body, headers={"expect": "100-continue"})
            assert response.content == b"fine"
            assert len(server.exchanges) == 2

    def test_a_generator_that_was_consumed_is_not_begun_anew(self, clients: Clients) -> None:
        with H2Server(script(echo=self.refuse)) as server:
            with pytest.raises((errors.StreamRefused, errors.BodyNotReplayable)):
                clients(version=2).post(server.url + "/echo", content=clients.pieces([b"one", b"two"]))
            assert len(server.exchanges) == 1

    def test_a_list_is_begun_anew(self, clients: Clients) -> None:
        with H2Server(script(echo=self.refuse)) as server:
            assert clients(version=2).post(server.url + "/echo", content=[b"one", b"two"]).content == b"onetwo"

    def test_after_a_part_of_the_answer_nothing_is_repeated(self, clients: Clients) -> None:
        def answer(exchange: Exchange) -> None:
            exchange.head(200)
            exchange.data(b"part")
            exchange.wire.server.wait(lambda: True)  # type: ignore[attr-defined]

        with H2Server(answer) as server:
            client = clients(version=2)
            with client.stream("GET", server.url) as response:
                assert response.read(4) == b"part"
                server.exchanges[0].reset(H2ErrorCode.REFUSED_STREAM)
                with pytest.raises(errors.EngineError):
                    response.read()
            assert len(server.exchanges) == 1


class TestResets:
    @pytest.mark.parametrize("code", [0x1, 0x2, 0x8, 0xB, 0xD, 0x1234])
    def test_the_code_is_told(self, clients: Clients, code: int) -> None:
        with H2Server(script(bad=lambda exchange: exchange.reset(code))) as server:
            client = clients(version=2)
            with pytest.raises(H2Error) as caught:
                client.get(server.url + "/bad")
            assert (caught.value.code, caught.value.stream_error) == (code, True)
            assert client.get(server.url + "/good").text == "/good"
            assert (server.connections, len(server.exchanges)) == (1, 2)

    def test_in_the_middle_of_a_body(self, clients: Clients) -> None:
        def answer(exchange: Exchange) -> None:
            exchange.head(200)
            exchange.data(b"part")

        with H2Server(script(bad=answer)) as server:
            client = clients(version=2)
            with client.stream("GET", server.url + "/bad") as response:
                assert response.read(4) == b"part"
                server.exchanges[0].reset(H2ErrorCode.INTERNAL_ERROR)
                with pytest.raises(H2Error):
                    response.read()
            assert client.get(server.url + "/good").text == "/good"
            assert server.connections == 1

    def test_what_came_before_a_reset_can_be_read(self, clients: Clients) -> None:
        def answer(exchange: Exchange) -> None:
            exchange.head(200)
            exchange.data(b"part")
            with exchange.wire.lock:
                exchange.wire._pump()
                exchange.reset(H2ErrorCode.INTERNAL_ERROR)

        with H2Server(answer) as server, clients(version=2).stream("GET", server.url) as response:
            assert response.status == 200
            assert response.read(4) == b"part"
            with pytest.raises(H2Error):
                response.read()


class TestLostConnections:
    @pytest.mark.parametrize("how", ["close", "abort"])
    def test_a_new_connection_is_not_tried_twice(self, clients: Clients, how: str) -> None:
        with H2Server(lambda exchange: getattr(exchange.wire, how)()) as server:
            with pytest.raises(errors.NetworkError):
                clients(version=2).get(server.url)
            assert server.connections == 1

    @pytest.mark.parametrize("how", ["close", "abort"])
    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    def test_what_may_be_repeated_is_repeated_once(self, clients: Clients, how: str, method: str) -> None:
        with H2Server(script(page=lambda exchange: getattr(exchange.wire, how)())) as server:
            client = clients(version=2)
            client.get(server.url + "/first")
            assert client.request(method, server.url + "/page").text == "/page"
            assert connections_of(server, "/page") == [0, 1]

    @pytest.mark.parametrize("how", ["close", "abort"])
    def test_a_post_is_not(self, clients: Clients, how: str) -> None:
        with H2Server(script(page=lambda exchange: getattr(exchange.wire, how)())) as server:
            client = clients(version=2)
            client.get(server.url + "/first")
            with pytest.raises(errors.NetworkError):
                client.post(server.url + "/page", content=b"x")
            assert connections_of(server, "/page") == [0]
            assert client.get(server.url + "/then").text == "/then"

    def test_once_and_no_more(self, clients: Clients) -> None:
        def answer(exchange: Exchange) -> None:
            if exchange.path == "/page":
                exchange.wire.abort()
            else:
                pages(exchange)

        with H2Server(answer) as server:
            client = clients(version=2)
            client.get(server.url + "/first")
            with pytest.raises(errors.NetworkError):
                client.get(server.url + "/page")
            assert connections_of(server, "/page") == [0, 1]

    def test_a_connection_that_ended_while_idle_is_replaced(self, clients: Clients) -> None:
        with H2Server() as server:
            client = clients(version=2)
            client.get(server.url + "/1")
            server.wire.abort()
            server.wait(lambda: server.wires[0].ended)
            let_events_in(clients)
            # Nothing was written to it yet, so this holds for any method.
            assert client.post(server.url + "/2", content=b"x").text == "/2"
            assert server.connections == 2

    @pytest.mark.parametrize("how", ["close", "abort"])
    def test_the_end_in_the_middle_of_a_body(self, clients: Clients, how: str) -> None:
        def answer(exchange: Exchange) -> None:
            exchange.head(200)
            exchange.data(b"part")

        with H2Server(script(page=answer)) as server:
            client = clients(version=2)
            client.get(server.url + "/first")
            with client.stream("GET", server.url + "/page") as response:
                assert response.read(4) == b"part"
                getattr(server.wire, how)()
                with pytest.raises((errors.IncompleteMessage, errors.ReadError)):
                    response.read()
            assert connections_of(server, "/page") == [0]

    def test_an_early_hint_is_an_answer(self, clients: Clients) -> None:
        def answer(exchange: Exchange) -> None:
            exchange.head(103, ("link", "x"))
            exchange.wire.close()

        with H2Server(script(page=answer)) as server:
            client = clients(version=2)
            client.get(server.url + "/first")
            with pytest.raises(errors.EngineError):
                client.get(server.url + "/page")
            assert connections_of(server, "/page") == [0]

    def test_garbage_ends_the_connection_and_says_why(self, clients: Clients) -> None:
        def answer(exchange: Exchange) -> None:
            exchange.wire.say(b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00")  # WINDOW_UPDATE by 0

        with H2Server(script(page=answer)) as server:
            client = clients(version=2)
            with pytest.raises(errors.RemoteProtocolError):
                client.get(server.url + "/page")
            server.wait(lambda: server.wires[0].goaways, "GOAWAY")
            assert server.wires[0].goaways[0] == H2ErrorCode.PROTOCOL_ERROR
            assert client.get(server.url + "/page").text == "/page"


class TestStreamIds:
    def test_a_new_connection_when_they_run_out(self, clients: Clients) -> None:
        with H2Server() as server:
            client = clients(version=2)
            client.get(server.url + "/1")
            (connection,) = connections_in(client)
            connection.machine.library.highest_outbound_stream_id = LAST - 4
            assert [client.get(server.url + f"/{number}").text for number in range(5)] == [f"/{n}" for n in range(5)]
            assert server.connections == 2
            assert server.wires[0].exchanges[-1].id <= LAST
            server.wait(lambda: server.wires[0].ended)

    def test_what_is_under_way_goes_on(self, clients: Clients) -> None:
        with H2Server(script(slow=hold)) as server:
            client = clients(version=2)
            with client.stream("GET", server.url + "/bytes/2000000") as response:
                (connection,) = connections_in(client)
                connection.machine.library.highest_outbound_stream_id = LAST - 4
                assert client.get(server.url + "/last").text == "/last"
                assert client.get(server.url + "/new").text == "/new"
                assert response.read() == pattern(2_000_000)
            assert connections_of(server, "/new") == [1]
            server.wait(lambda: server.wires[0].ended)


def connections_in(client: Any) -> list[Any]:
    """The connections of a client's pool."""
    target = getattr(client, "target", client)
    return list(target._agent.pool._ledger._slots)


class TestLimits:
    def test_no_streams_at_all_is_a_pool_timeout(self, clients: Clients) -> None:
        def refuse(exchange: Exchange) -> None:
            exchange.reset(H2ErrorCode.REFUSED_STREAM)

        with H2Server(refuse, settings={"max_concurrent_streams": 0}) as server:
            client = clients(version=2)
            # Until the settings are there the client may have sent a request, which is then refused.
            for _ in range(2):
                with pytest.raises((errors.PoolTimeout, errors.StreamRefused)):
                    client.get(server.url, timeout=1)
            assert client.statistics.users == 0

    def test_one_at_a_time_in_order(self, clients: Clients) -> None:
        with H2Server(settings={"max_concurrent_streams": 1}) as server:
            client = clients(version=2)
            for number in range(10):
                assert client.get(server.url + f"/{number}").text == f"/{number}"
            assert (server.connections, server.wire.most_open) == (1, 1)

    def test_a_full_connection_is_waited_for_until_the_deadline(self, clients: Clients) -> None:
        with H2Server(script(held=hold), settings={"max_concurrent_streams": 1}) as server:
            client = clients(version=2)
            client.get(server.url + "/first")
            with client.stream("GET", server.url + "/bytes/2000000") as response:
                with pytest.raises(errors.PoolTimeout):
                    client.get(server.url + "/x", timeout=0.2)
                assert response.read() == pattern(2_000_000)
            assert client.get(server.url + "/x").text == "/x"
            assert server.connections == 1

    def test_a_second_connection_where_that_is_allowed(self, clients: Clients) -> None:
        with H2Server(settings={"max_concurrent_streams": 1}) as server:
            client = clients(version=2, pool=PoolLimits(max_shared_per_origin=2))
            client.get(server.url + "/first")
            url = server.url + "/bytes/2000000"
            with client.stream("GET", url) as first, client.stream("GET", url) as second:
                with pytest.raises(errors.PoolTimeout):
                    client.get(server.url + "/x", timeout=0.2)
                assert second.read() == first.read() == pattern(2_000_000)
            assert server.connections == 2
