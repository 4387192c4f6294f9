"""One blocking client and its HTTP/2 connection among many threads."""

from __future__ import annotations

import gc
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from drivetrain.engine import Client, H2Limits, PoolLimits, Timeouts, errors
from drivetrain.engine.wire.h2_errors import H2ErrorCode
from tests.support.certificates import Certificates
from tests.support.h2_server import Exchange, H2Server, hold, pages, pattern
from tests.support.servers import read_head

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Threads:
    """A pool of threads whose errors reach the test, and who are all joined."""

    def __init__(self, count: int) -> None:
        self.executor = ThreadPoolExecutor(count)
        self.futures: list[Future[Any]] = []

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        # After a failure they end with the server and the client.
        self.executor.shutdown(wait=kind is None, cancel_futures=True)
        if kind is None:
            for future in self.futures:
                future.result()

    def go(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Future[Any]:
        future = self.executor.submit(function, *arguments, **options)
        self.futures.append(future)
        return future


def together(count: int, function: Callable[[int], Any]) -> list[Any]:
    """Run `function` in so many threads that begin at once; its results."""
    barrier = threading.Barrier(count)

    def work(number: int) -> Any:
        barrier.wait(10)
        return function(number)

    with Threads(count) as threads:
        futures = [threads.go(work, number) for number in range(count)]
    return [future.result() for future in futures]


def until(condition: Callable[[], Any], patience: float = 10.0) -> None:
    """Wait for what no event tells: what a client's figures say."""
    end = time.monotonic() + patience
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end
        pause.wait(0.002)


class TestSharing:
    def test_100_threads_and_one_connection(self) -> None:
        with H2Server() as server, Client(version=2) as client:

            def work(number: int) -> None:
                for turn in range(10):
                    length = (number * 37 + turn * 1009) % 20_000
                    if turn % 3:
                        assert client.get(f"{server.url}/bytes/{length}").content == pattern(length)
                    else:
                        body = b"%d of %d;" % (turn, number) * 100
                        assert client.post(server.url + "/echo", content=body).content == body

            together(100, work)
            assert (server.connections, len(server.exchanges)) == (1, 1000)
            assert client.statistics.users == 0

    def test_a_new_origin_is_shaken_hands_with_once(self, certificates: Certificates) -> None:
        with H2Server(context=certificates.server_context(["h2", "http/1.1"])) as server:
            with Client(verify=str(certificates.ca_file)) as client:
                answers = together(30, lambda number: client.get(f"{server.url}/{number}"))
                assert [answer.text for answer in answers] == [f"/{number}" for number in range(30)]
                assert {answer.http_version for answer in answers} == {"2"}
            assert server.connections == 1

    def test_where_the_server_speaks_1_they_open_up_to_the_limit(self, certificates: Certificates) -> None:
        arrived = threading.Semaphore(0)
        answered = threading.Event()

        def serve(connection: socket.socket) -> None:
            while read_head(connection):
                arrived.release()
                assert answered.wait(10)
                connection.sendall(OK)

        with H2Server(context=certificates.server_context(["http/1.1"]), fallback=serve) as server:
            with Client(verify=str(certificates.ca_file), pool=PoolLimits(max_per_origin=6)) as client:
                with Threads(20) as threads:
                    futures = [threads.go(client.get, server.url) for _ in range(20)]
                    for _ in range(6):
                        assert arrived.acquire(timeout=10)
                    assert server.connections == 6
                    answered.set()
                assert {future.result().http_version for future in futures} == {"1.1"}
            assert server.connections == 6

    def test_slow_readers_hold_up_themselves(self) -> None:
        limits = H2Limits(stream_window=65_536, connection_window=2_000_000)
        with H2Server() as server, Client(version=2, h2_limits=limits) as client:
            slow = [client.stream("GET", f"{server.url}/bytes/1000000") for _ in range(10)]
            server.wait(lambda: all(sent_all_it_may(exchange) for exchange in server.exchanges))

            def fast(number: int) -> None:
                assert client.get(f"{server.url}/bytes/500000").content == pattern(500_000)

            together(10, fast)
            assert all(sent_all_it_may(exchange) for exchange in server.exchanges[:10])
            assert [response.read() for response in slow] == [pattern(1_000_000)] * 10
            assert server.connections == 1

    def test_readers_of_all_speeds(self) -> None:
        with H2Server() as server, Client(version=2, h2_limits=H2Limits(stream_window=70_000)) as client:

            def read(number: int) -> None:
                with client.stream("GET", f"{server.url}/bytes/300000") as response:
                    body = b"".join(iter(lambda: response.read((number + 1) * 997), b""))
                    assert body == pattern(300_000)

            together(16, read)
            assert server.connections == 1

    def test_uploads_and_downloads_at_once(self) -> None:
        body = pattern(700_000)
        with H2Server() as server, Client(version=2) as client:

            def work(number: int) -> None:
                if number % 2:
                    assert (
                        client.post(server.url + "/echo", content=iter([body[:300_000], body[300_000:]])).content
                        == body
                    )
                else:
                    assert client.get(f"{server.url}/bytes/700000").content == body

            together(12, work)
            assert server.connections == 1


def sent_all_it_may(exchange: Exchange) -> bool:
    """Whether the window of a stream is used up."""
    with exchange.wire.lock:
        return not exchange.over and exchange.wire.library.streams[exchange.id].outbound_flow_control_window == 0


class TestLimitOfStreams:
    def test_it_is_obeyed(self) -> None:
        with H2Server(settings={"max_concurrent_streams": 3}) as server, Client(version=2) as client:
            client.get(server.url + "/first")

            def work(number: int) -> None:
                for turn in range(5):
                    assert client.get(f"{server.url}/{number}/{turn}").text == f"/{number}/{turn}"

            together(20, work)
            assert (server.connections, server.wire.most_open) == (1, 3)

    def test_many_at_once_on_a_connection_whose_limit_is_not_known_yet(self) -> None:
        with H2Server(hold, settings={"max_concurrent_streams": 2}, greet=False) as server:
            with Client(version=2) as client, Threads(30) as threads:
                futures = [threads.go(client.get, f"{server.url}/{number}") for number in range(30)]
                server.wait(lambda: server.wires and server.wire.frames)
                server.wire.greet()
                for _ in range(30):
                    pages(server.next())
                assert [future.result().text for future in futures] == [f"/{number}" for number in range(30)]
            assert server.connections == 1

    def test_it_may_grow(self) -> None:
        with H2Server(hold, settings={"max_concurrent_streams": 1}) as server, Client(version=2) as client:
            with Threads(5) as threads:
                threads.go(client.get, server.url)
                first = server.next()
                server.settle()
                for _ in range(4):
                    threads.go(client.get, server.url)
                until(lambda: client.statistics.waiting == 4 or server.wire.open_count() > 1)
                assert server.wire.open_count() == 1
                server.wire.change_settings(max_concurrent_streams=5)
                rest = [server.next() for _ in range(4)]
                for exchange in [first, *rest]:
                    exchange.respond(200, b"x")
            assert (server.connections, server.wire.most_open) == (1, 5)

    def test_it_may_shrink_below_what_is_open(self) -> None:
        with H2Server(hold, settings={"max_concurrent_streams": 4}) as server, Client(version=2) as client:
            with Threads(12) as threads:
                for _ in range(4):
                    threads.go(client.get, server.url)
                first = [server.next() for _ in range(4)]
                server.wire.change_settings(max_concurrent_streams=1)
                server.wait(lambda: server.wire.acknowledged == 2)
                for _ in range(8):
                    threads.go(client.get, server.url)
                for exchange in first:
                    exchange.respond(200, b"x")
                server.wire.most_open = 0
                for _ in range(8):
                    server.next().respond(200, b"x")
            assert (server.connections, server.wire.most_open) == (1, 1)

    def test_none_for_a_while(self) -> None:
        with H2Server(hold) as server, Client(version=2) as client:
            with Threads(2) as threads:
                threads.go(client.get, server.url)
                first = server.next()
                server.wire.change_settings(max_concurrent_streams=0)
                server.wait(lambda: server.wire.acknowledged == 2)
                with pytest.raises(errors.PoolTimeout):
                    client.get(server.url, timeout=0.1)
                patient = threads.go(client.get, server.url)
                until(lambda: client.statistics.waiting or patient.done())
                server.wire.change_settings(max_concurrent_streams=10)
                server.next().respond(200, b"second")
                assert patient.result(10).content == b"second"
                first.respond(200, b"first")
            assert server.connections == 1

    @pytest.mark.parametrize("limit", ["timeout", "pool"])
    def test_waiting_ends_at_the_deadline(self, limit: str) -> None:
        timeouts = Timeouts(total=0.15) if limit == "timeout" else Timeouts(pool=0.15)
        with H2Server(hold, settings={"max_concurrent_streams": 1}) as server, Client(version=2) as client:
            with Threads(8) as threads:
                first = threads.go(client.get, server.url)
                exchange = server.next()
                server.settle()
                late = [threads.go(client.get, server.url, timeout=timeouts) for _ in range(6)]
                for future in late:
                    assert isinstance(future.exception(10), errors.PoolTimeout)
                threads.futures = [first]
                patient = threads.go(client.get, server.url)
                exchange.respond(200, b"x")
                server.next().respond(200, b"y")
                assert patient.result(10).content == b"y"
            assert (server.connections, server.wire.most_open) == (1, 1)
            assert client.statistics.waiting == client.statistics.users == 0

    def test_a_second_connection_where_that_is_allowed(self) -> None:
        limits = PoolLimits(max_shared_per_origin=2)
        with H2Server(hold, settings={"max_concurrent_streams": 5}) as server, Client(version=2, pool=limits) as client:
            with Threads(13) as threads:
                threads.go(client.get, server.url)
                exchanges = [server.next()]
                server.settle()
                for _ in range(12):
                    threads.go(client.get, server.url)
                exchanges += [server.next() for _ in range(9)]
                for exchange in exchanges:
                    exchange.respond(200, b"x")
                for _ in range(3):
                    server.next().respond(200, b"x")
            assert server.connections == 2
            assert server.wires[0].most_open == 5


class TestGoodbye:
    def test_those_in_line_go_to_the_next_connection(self) -> None:
        started: list[int] = []

        def body(number: int) -> Any:
            started.append(number)
            yield b"%d" % number

        settings = {"max_concurrent_streams": 1}
        with H2Server(settings=settings) as server, Client(version=2) as client:
            server._answer = lambda exchange: None if exchange.path == "/held" else pages(exchange)
            with Threads(6) as threads:
                held = threads.go(client.get, server.url + "/held")
                first = server.next("/held")
                server.settle()
                others = [threads.go(client.post, server.url + "/echo", content=body(number)) for number in range(5)]
                until(lambda: client.statistics.waiting == 5)
                assert started == []
                server.wires[0].goaway(first.id)
                assert [other.result(10).content for other in others] == [b"%d" % number for number in range(5)]
                first.respond(200, b"in peace")
                assert held.result(10).content == b"in peace"
            assert server.connections == 2
            server.wait(lambda: server.wires[0].ended)

    def test_in_the_middle_of_everything(self) -> None:
        """Goodbyes at any time lose no request, though half of them are POSTs."""
        count = threading.Lock()
        seen = 0

        def answer(exchange: Exchange) -> None:
            nonlocal seen
            with count:
                seen += 1
                last = seen % 40 == 0
            if last and not exchange.wire.goodbye_said:  # type: ignore[attr-defined]
                exchange.wire.goodbye_said = True  # type: ignore[attr-defined]
                exchange.wire.goaway(max(each.id for each in exchange.wire.exchanges))
            pages(exchange)

        def connected(wire: Any) -> None:
            wire.goodbye_said = False

        with H2Server(answer, on_connect=connected) as server, Client(version=2) as client:

            def work(number: int) -> None:
                for turn in range(20):
                    text = f"{number} {turn}".encode()
                    assert client.post(server.url + "/echo", content=text).content == text

            together(20, work)
            assert server.connections > 2
            assert client.statistics.users == 0
            server.wait(lambda: sum(not wire.ended for wire in server.wires) <= 1)

    def test_a_connection_that_breaks_under_many(self) -> None:
        with H2Server() as server, Client(version=2) as client:
            client.get(server.url + "/first")
            server._answer = hold
            with Threads(20) as threads:
                futures = [threads.go(client.get, f"{server.url}/{number}") for number in range(10)]
                posts = [threads.go(client.post, server.url + "/post", content=b"x") for _ in range(10)]
                server.wait(lambda: len(server.exchanges) == 21)
                server._answer = pages
                server.wires[0].abort()
                assert [future.result(10).text for future in futures] == [f"/{number}" for number in range(10)]
                assert {type(post.exception(10)) for post in posts} <= {errors.ReadError, errors.ConnectionClosed}
                threads.futures = futures
            assert len([exchange for exchange in server.exchanges if exchange.path == "/post"]) == 10
            # Two, mostly: what is repeated takes no connection that was idle meanwhile.
            assert 2 <= server.connections <= 6


class TestInterruptions:
    """What ends one request harms no other."""

    def test_time_limits(self) -> None:
        with H2Server(hold) as server, Client(version=2) as client:
            with Threads(20) as threads:
                patient = [threads.go(client.get, server.url + f"/{number}") for number in range(10)]
                hasty = [threads.go(client.get, server.url + "/late", timeout=0.05 + n / 100) for n in range(10)]
                assert {type(future.exception(10)) for future in hasty} == {errors.ReadTimeout}
                threads.futures = patient
                late = {exchange.id for exchange in server.exchanges if exchange.path == "/late"}
                server.wait(lambda: server.wire.resets == dict.fromkeys(late, int(H2ErrorCode.CANCEL)))
                for number in range(10):
                    server.next(f"/{number}").respond(200, b"%d" % number)
                assert [future.result(10).content for future in patient] == [b"%d" % n for n in range(10)]
            assert server.connections == 1

    @pytest.mark.parametrize("others", [0, 1])
    def test_ctrl_c(self, others: int) -> None:
        """The main thread is interrupted as the one that reads for all, and as one that waits behind another."""
        with H2Server(hold) as server, Client(version=2) as client:
            with Threads(3) as threads:
                before = [threads.go(client.get, server.url + "/before") for _ in range(others)]
                exchanges = [server.next("/before") for _ in range(others)]

                def interrupt() -> None:
                    server.next("/mine")
                    after = threads.go(client.get, server.url + "/after")
                    exchanges.append(server.next("/after"))
                    before.append(after)
                    server.settle()  # or the settings might be what the interrupted thread is about to take in
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

                interrupter = threading.Thread(target=interrupt)
                interrupter.start()
                with pytest.raises(KeyboardInterrupt):
                    client.get(server.url + "/mine", timeout=10)
                interrupter.join()
                mine = next(exchange for exchange in server.exchanges if exchange.path == "/mine")
                server.wait(lambda: server.wire.resets == {mine.id: H2ErrorCode.CANCEL})
                for exchange in exchanges:
                    exchange.respond(200, b"fine")
                assert [future.result(10).content for future in before] == [b"fine"] * (others + 1)
            assert server.connections == 1
            assert client.statistics.users == 0

    def test_an_error_of_a_body_resets_its_stream(self) -> None:
        def body() -> Any:
            yield b"part"
            raise ZeroDivisionError

        with H2Server() as server, Client(version=2) as client:
            with pytest.raises(ZeroDivisionError):
                client.post(server.url + "/bad", content=body())
            assert client.get(server.url + "/good").text == "/good"
            server.wait(lambda: list(server.wire.resets.values()) == [H2ErrorCode.CANCEL])
            assert server.connections == 1

    @pytest.mark.parametrize("how", ["close", "garbage"])
    def test_unread_responses_are_reset(self, how: str) -> None:
        with H2Server() as server, Client(version=2) as client:
            responses = [client.stream("GET", server.url + "/bytes/3000000") for _ in range(5)]
            ids = [exchange.id for exchange in server.exchanges]
            if how == "close":
                while responses:
                    responses.pop().close()
            responses.clear()
            gc.collect()
            assert client.get(server.url + "/next").text == "/next"
            server.wait(lambda: server.wire.resets == dict.fromkeys(ids, int(H2ErrorCode.CANCEL)))
            # Once each, whatever was on its way: peers count resets.
            assert [frame.kind for frame in server.wire.frames].count("RST_STREAM") == 5
            assert client.statistics.users == 0
            assert server.connections == 1

    def test_the_credit_of_200_cancelled_downloads_comes_back(self) -> None:
        limits = H2Limits(stream_window=100_000, connection_window=500_000)
        with H2Server() as server, Client(version=2, h2_limits=limits) as client:
            client.get(server.url + "/first")
            server.wait(lambda: server.wire.connection_window() >= 400_000)

            def work(number: int) -> None:
                for turn in range(20):
                    with client.stream("GET", server.url + "/bytes/1000000") as response:
                        response.read(turn * 1000 + 1)

            together(10, work)
            assert client.get(server.url + "/bytes/2000000").content == pattern(2_000_000)
            assert len(server.wire.resets) == 200
            server.wait(lambda: server.wire.connection_window() >= 250_000)
            assert server.connections == 1

    def test_closing_the_client_under_way(self) -> None:
        with H2Server(hold) as server:
            client = Client(version=2)
            with Threads(5) as threads:
                futures = [threads.go(client.get, server.url) for _ in range(5)]
                exchanges = [server.next() for _ in range(5)]
                client.close()
                # As documented: what is under way ends by itself, and then the connection.
                for exchange in exchanges:
                    exchange.respond(200, b"x")
                assert [future.result(10).content for future in futures] == [b"x"] * 5
            server.wait(lambda: server.wire.ended)
            with pytest.raises(errors.ClosedError):
                client.get(server.url)


def test_no_thread_of_its_own() -> None:
    before = threading.active_count()
    with H2Server() as server, Client(version=2) as client:
        client.get(server.url)
        held = threading.active_count()
        # The server's two: one that accepts, one for the connection.
        assert held == before + 2
