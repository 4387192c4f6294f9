"""Flow control through both HTTP/2 clients: windows and frame sizes, large bodies, answers before the end of an upload."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from hyperframe.frame import PingFrame

from drivetrain.engine import H2Limits, errors
from drivetrain.engine.wire.h2_errors import H2Error, H2ErrorCode
from tests.faces.colours import Clients
from tests.support.certificates import Certificates
from tests.support.h2_server import Exchange, H2Server, Wire, hold, pages, pattern

LARGE = 50_000_000


@contextmanager
def script(steps: Callable[[], None]) -> Iterator[None]:
    """The server's part of a test, in a thread meanwhile."""
    with ThreadPoolExecutor(1) as executor:
        done = executor.submit(steps)
        yield
        done.result(10)


def data_frames(wire: Wire, exchange: Exchange) -> list[int]:
    """The lengths of the DATA frames that came for a request."""
    return [frame.length for frame in wire.frames if frame.kind == "DATA" and frame.stream_id == exchange.id]


class TestUploads:
    @pytest.mark.parametrize("window", [1, 100, 16_384, 65_535, 2**31 - 1])
    def test_windows_of_any_size_are_obeyed(self, clients: Clients, window: int) -> None:
        length = min(window * 50, 1_000_000)
        with H2Server(settings={"initial_window_size": window}) as server:  # the library checks
            client = clients(version=2)
            client.get(server.url + "/first")  # the settings are known then
            response = client.post(server.url + "/digest", content=pattern(length))
            assert response.text == f"{length} {hashlib.sha256(pattern(length)).hexdigest()}"
            assert max(data_frames(server.wire, server.exchanges[1])) <= min(window, 16_384)

    @pytest.mark.parametrize("size", [16_384, 20_000, 2**24 - 1])
    def test_frames_are_as_large_as_allowed(self, clients: Clients, size: int) -> None:
        with H2Server(settings={"max_frame_size": size, "initial_window_size": 2**20}) as server:
            client = clients(version=2)
            client.get(server.url + "/first")
            assert client.post(server.url + "/digest", content=pattern(300_000)).text.startswith("300000 ")
            assert max(data_frames(server.wire, server.exchanges[1])) <= size
            assert sum(data_frames(server.wire, server.exchanges[1])) == 300_000

    def test_settings_that_change_on_the_way(self, clients: Clients) -> None:
        """Larger frames, and a window that becomes negative: then nothing goes out until more than the debt is credited."""
        seen: list[int] = []

        def serve() -> None:
            exchange = server.next()
            wire = exchange.wire
            wire.credit(1_000_000)
            server.wait(lambda: exchange.received == 50_000, "the first window")
            assert max(data_frames(wire, exchange)) <= 16_384
            wire.change_settings(initial_window_size=10, max_frame_size=50_000)
            server.wait(lambda: wire.acknowledged == 2, "the acknowledgement")
            wire.credit(49_990, exchange.id)  # the window is 0 again
            wire.say(PingFrame(0, b"12345678"))
            server.wait(lambda: any(frame.kind == "PING" for frame in wire.frames), "the answer to PING")
            seen.append(exchange.received)
            wire.credit(7, exchange.id)
            server.wait(lambda: exchange.received == 50_007, "seven bytes")
            wire.credit(100_000, exchange.id)
            server.wait(lambda: exchange.complete, "the end")
            exchange.respond(200, exchange.digest.hexdigest().encode())

        settings = {"initial_window_size": 50_000}
        with H2Server(early=True, credits=False, settings=settings, answer=hold) as server:
            server._answer = pages
            client = clients(version=2, timeout=10)
            client.get(server.url + "/first")
            server.next()
            server._answer = hold
            with script(serve):
                response = client.post(server.url, content=clients.pieces([pattern(120_000), pattern(30_000)]))
            assert response.text == hashlib.sha256(pattern(120_000) + pattern(30_000)).hexdigest()
            assert seen == [50_000]
            assert 16_384 < max(data_frames(server.wire, server.exchanges[1])) <= 50_000

    def test_no_window_at_all_is_a_write_timeout_of_its_own(self, clients: Clients) -> None:
        with H2Server(settings={"initial_window_size": 0}) as server:
            client = clients(version=2)
            client.get(server.url + "/first")
            with pytest.raises(errors.WriteTimeout):
                client.post(server.url + "/stuck", content=b"x", timeout=0.1)
            assert client.get(server.url + "/next").text == "/next"
            stuck = server.exchanges[1]
            assert stuck.received == 0
            server.wait(lambda: server.wire.resets == {stuck.id: H2ErrorCode.CANCEL})
            assert server.connections == 1

    def test_a_large_one_is_whole(self, clients: Clients, certificates: Certificates) -> None:
        body = pattern(LARGE)
        with H2Server(
            context=certificates.server_context(["h2"]),
            keep_bodies=False,
            settings={"initial_window_size": 2**20, "max_frame_size": 2**16},
        ) as server:
            response = clients(verify=str(certificates.ca_file)).post(server.url + "/digest", content=body)
            assert response.text == f"{LARGE} {hashlib.sha256(body).hexdigest()}"

    def test_a_window_that_overflows_ends_the_connection(self, clients: Clients) -> None:
        def overflow(exchange: Exchange) -> None:
            update = b"\x00\x00\x04\x08\x00\x00\x00\x00\x00" + (2**31 - 1).to_bytes(4, "big")
            exchange.wire.say(update, update)

        with H2Server(overflow) as server:
            with pytest.raises(errors.RemoteProtocolError):
                clients(version=2).get(server.url, timeout=5)
            server.wait(lambda: server.wire.goaways, "GOAWAY")
            assert server.wire.goaways == [H2ErrorCode.FLOW_CONTROL_ERROR]


class TestDownloads:
    def test_a_large_one_is_whole(self, clients: Clients, certificates: Certificates) -> None:
        with H2Server(context=certificates.server_context(["h2"])) as server:
            with clients(verify=str(certificates.ca_file)).stream("GET", f"{server.url}/bytes/{LARGE}") as response:
                digest = hashlib.sha256()
                for piece in response.iter_bytes():
                    digest.update(piece)
            assert digest.hexdigest() == hashlib.sha256(pattern(LARGE)).hexdigest()

    @pytest.mark.parametrize("size", [16_384, 65_536, 1_000_000])
    def test_the_windows_are_what_was_set(self, clients: Clients, size: int) -> None:
        limits = H2Limits(stream_window=size, connection_window=3 * size)
        with H2Server() as server:
            client = clients(version=2, h2_limits=limits)
            client.get(server.url + "/first")
            with client.stream("GET", f"{server.url}/bytes/{4 * size}") as response:
                exchange = server.exchanges[1]
                server.wait(lambda: window_of(exchange) == 0, "a full window")
                # Who is not read holds up itself, not others, and no more than its window.
                assert client.get(f"{server.url}/bytes/{4 * size}").content == pattern(4 * size)
                assert window_of(exchange) == 0
                assert response.read() == pattern(4 * size)

    def test_frames_no_larger_than_allowed(self, clients: Clients) -> None:
        def too_large(exchange: Exchange) -> None:
            exchange.head(200)
            exchange.wire.say(b"\x00\x80\x00\x00\x00" + exchange.id.to_bytes(4, "big") + bytes(0x8000))

        with H2Server(too_large) as server:
            client = clients(version=2, h2_limits=H2Limits(max_frame_size=16_384))
            with pytest.raises(errors.RemoteProtocolError):
                client.get(server.url, timeout=5)
            server.wait(lambda: server.wire.goaways == [H2ErrorCode.FRAME_SIZE_ERROR])

    def test_a_server_that_ignores_the_window(self, clients: Clients) -> None:
        with H2Server(lambda exchange: exchange.head(200)) as server:
            client = clients(version=2, h2_limits=H2Limits(stream_window=65_535))
            with client.stream("GET", server.url):
                frame = b"\x00\x40\x00\x00\x00" + server.exchanges[0].id.to_bytes(4, "big") + bytes(0x4000)
                server.wire.say(*[frame] * 5)
                # Somebody else reads it.
                with pytest.raises(errors.EngineError), client.stream("GET", server.url, timeout=5) as other:
                    other.read()
            server.wait(lambda: server.wire.goaways or server.wire.resets, "GOAWAY or RST_STREAM")
            codes = [*server.wire.goaways, *server.wire.resets.values()]
            assert codes == [H2ErrorCode.FLOW_CONTROL_ERROR]

    def test_the_credit_of_what_was_given_up_comes_back(self, clients: Clients) -> None:
        limits = H2Limits(stream_window=100_000, connection_window=200_000)
        with H2Server() as server:
            client = clients(version=2, h2_limits=limits)
            client.get(server.url + "/first")
            for turn in range(200):
                with client.stream("GET", server.url + "/bytes/100000") as response:
                    if turn % 3:
                        assert response.read(1000) == pattern(1000)
                if turn % 50 == 0:
                    # Were credit lost, the connection's window would be used up by now.
                    assert client.get(server.url + "/bytes/300000").content == pattern(300_000)
            assert client.get(server.url + "/bytes/300000").content == pattern(300_000)
            assert server.connections == 1
            assert client.statistics.users == 0


class TestEarlyAnswers:
    """The final response before the end of the request (RFC 9113 section 8.1)."""

    @pytest.mark.parametrize("reset", [True, False])
    @pytest.mark.parametrize("known", [True, False])
    def test_the_rest_is_not_sent(self, clients: Clients, reset: bool, known: bool) -> None:
        def refuse(exchange: Exchange) -> None:
            exchange.respond(413, b"too large", ("x", "y"))
            if reset:
                with exchange.wire.lock:
                    exchange.wire._pump()
                    exchange.reset(H2ErrorCode.NO_ERROR)

        with H2Server(refuse, early=True, credits=False) as server:
            client = clients(version=2, timeout=10)
            content = pattern(500_000) if known else clients.pieces([pattern(5_000)] * 100)
            response = client.post(server.url, content=content)
            assert (response.status, response.content) == (413, b"too large")
            exchange = server.exchanges[0]
            assert exchange.received <= 65_535
            if not reset:
                server.wait(lambda: server.wire.resets.get(exchange.id) in (H2ErrorCode.NO_ERROR, H2ErrorCode.CANCEL))
            server._answer = pages
            server.early = False
            # What was sent before stays uncredited on the connection: answers still come.
            assert client.get(server.url + "/next").text == "/next"
            assert server.connections == 1

    @pytest.mark.parametrize("known", [True, False])
    def test_a_reset_behind_the_answer_does_not_hide_it(self, clients: Clients, known: bool) -> None:
        """The body is a small one, or all of it is sent but the end (RFC 9113 section 8.1)."""

        def refuse(exchange: Exchange) -> None:
            if exchange.method == "GET":
                exchange.respond(200, b"other")
                return
            with exchange.wire.lock:
                exchange.respond(413, b"too large")
                exchange.wire._pump()
                exchange.reset(H2ErrorCode.NO_ERROR)

        settings = {"initial_window_size": 1_000}
        with H2Server(refuse, early=True, credits=False, settings=settings) as server:
            client = clients(version=2, timeout=10)
            client.get(server.url)  # so that the settings are known

            def others() -> Iterator[bytes]:
                yield pattern(500)
                client.get(server.url)  # which takes in what came for this one

            async def others_of_the_loop() -> AsyncIterator[bytes]:
                yield pattern(500)
                await client.target.get(server.url)

            content: Any = pattern(5_000)
            if not known:
                content = others() if clients.loop is None else others_of_the_loop()
            response = client.post(server.url, content=content)
            assert (response.status, response.content) == (413, b"too large")
            assert server.connections == 1

    def test_an_error_code_without_an_answer_is_an_error(self, clients: Clients) -> None:
        with H2Server(lambda exchange: exchange.reset(H2ErrorCode.CANCEL), early=True, credits=False) as server:
            client = clients(version=2, timeout=10)
            with pytest.raises(H2Error) as caught:
                client.post(server.url, content=pattern(500_000))
            assert caught.value.code == H2ErrorCode.CANCEL

    def test_no_error_without_an_answer_is_an_error_too(self, clients: Clients) -> None:
        with H2Server(lambda exchange: exchange.reset(H2ErrorCode.NO_ERROR), early=True) as server:
            client = clients(version=2, timeout=5)
            with pytest.raises(errors.EngineError):
                client.get(server.url)

    def test_an_answer_while_the_server_still_reads(self, clients: Clients) -> None:
        """A server that answers at once and takes the whole request: both complete."""

        with H2Server(lambda exchange: exchange.respond(200, b"go on"), early=True) as server:
            client = clients(version=2, timeout=10)
            assert client.post(server.url, content=pattern(500_000)).content == b"go on"
            assert client.get(server.url).content == b"go on"
            assert server.connections == 1


def window_of(exchange: Exchange) -> int:
    """What the server may send on a stream now, 1 where it is closed."""
    with exchange.wire.lock:
        return 1 if exchange.over else exchange.wire.library.streams[exchange.id].outbound_flow_control_window
