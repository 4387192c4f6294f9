"""CONNECT over HTTP/2: every answer of a proxy, TLS through it in both colours, one connection for several tunnels.

That the tunnel is a proper byte stream is checked by the contract in tests/backends.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from drivetrain.engine.backends.base import FOREVER, Backend, ByteStream
from drivetrain.engine.backends.blocking import BlockingBackend, run
from drivetrain.engine.backends.memory import MemoryBackend
from drivetrain.engine.connection.dial import DialOptions, TlsOptions, secure
from drivetrain.engine.connection.h2_connection import H2Connection
from drivetrain.engine.connection.h2_server_stream import H2ServerStream
from drivetrain.engine.connection.h2_tunnel import H2Tunnel
from drivetrain.engine.connection.proxy import Proxy
from drivetrain.engine.connection.tls_stream import wrap_tls
from drivetrain.engine.connection.tunnel import connect_over_h2, open_through
from drivetrain.engine.errors import ConnectTimeout, EngineError, ProxyError, ReadError, UsageError, WriteError
from drivetrain.engine.protocol.h2_limits import H2Limits
from drivetrain.engine.tls import new_client_context
from drivetrain.engine.wire.headers import Headers
from tests.backends.contract import noise, receive_exactly
from tests.connection.colours import Drive, on_both
from tests.connection.h2_support import accept, duo, exchange, ok, serve
from tests.support.certificates import Certificates
from tests.support.servers import RawServer, read_exactly

PROXY = Proxy("https", "proxy.test", 443, "me", "pw", (("User-Agent", "tests"),))
Handler = Callable[[H2ServerStream], Coroutine[Any, Any, None]]


def refusing(*answers: Headers, body: bytes = b"") -> Handler:
    async def handler(stream: H2ServerStream) -> None:
        await stream.get_headers()
        for answer in answers[:-1]:
            await stream.write_headers(answer, False)
        await stream.write_message(answers[-1], body, FOREVER)

    return handler


async def echo_tunnel(stream: H2ServerStream) -> None:
    """Give a tunnel, and send back what comes through it until the client ends it or is gone."""
    await stream.get_headers()
    await stream.write_headers(ok(), False)
    with contextlib.suppress(EngineError):
        while (piece := await stream.get_next_chunk()) is not None:
            await stream.write_chunk(piece)
        await stream.write_chunk(b"", True)


class TestRequest:
    def test_the_head(self) -> None:
        """RFC 9113 section 8.5: neither scheme nor path; the credentials are not to be remembered by compression."""
        both = duo()
        heads: list[Headers] = []

        async def proxy(stream: H2ServerStream) -> None:
            head = await stream.get_headers()
            assert head is not None
            heads.append(head)
            await stream.write_headers(ok(), False)

        async def main() -> None:
            both.backend.spawn(serve(both.server, both.backend, proxy), "proxy")
            tunnel = await connect_over_h2(both.client, PROXY, "2001:db8::1", 443, FOREVER)
            assert tunnel.ssl_object is None
            tunnel.close()

        both.run(main())
        (head,) = heads
        basic = ("proxy-authorization", "Basic bWU6cHc=", True)
        pseudo = [(":method", "CONNECT", False), (":authority", "[2001:db8::1]:443", False)]
        assert list(head.each()) == [*pseudo, ("user-agent", "tests", False), basic]

    def test_what_cannot_be_asked_for(self) -> None:
        both = duo()

        async def main() -> None:
            with pytest.raises(UsageError):
                await connect_over_h2(both.client, PROXY, "a.test", 0, FOREVER)

        both.run(main())


class TestAnswers:
    @pytest.mark.parametrize("piece", [None, 1])
    @pytest.mark.parametrize("answer", [ok("200"), ok("299")])
    def test_what_makes_a_tunnel(self, answer: Headers, piece: int | None) -> None:
        both = duo(piece=piece)

        async def proxy(stream: H2ServerStream) -> None:
            await stream.get_headers()
            await stream.write_headers(ok("103"), False)
            await stream.write_headers(answer, False)
            await stream.write_chunk(b"early")
            await stream.write_chunk(b"", True)

        async def main() -> None:
            both.backend.spawn(serve(both.server, both.backend, proxy), "proxy")
            tunnel = await connect_over_h2(both.client, PROXY, "a.test", 443, FOREVER)
            assert await receive_exactly(tunnel, 9) == b"early"
            tunnel.close()
            assert both.client.streams == {}

        both.run(main())

    def test_what_makes_none(self) -> None:
        both = duo()
        fields = ok("407", ("proxy-authenticate", "Basic realm=x"))

        async def main() -> None:
            both.backend.spawn(serve(both.server, both.backend, refusing(ok("103"), fields, body=b"no!")), "proxy")
            with pytest.raises(ProxyError, match=r"refused to connect to a\.test:443: 407") as caught:
                await connect_over_h2(both.client, PROXY, "a.test", 443, FOREVER)
            assert (caught.value.status, caught.value.body) == (407, b"no!")
            assert caught.value.headers.get("proxy-authenticate") == "Basic realm=x"
            assert both.client.streams == {}
            assert both.client.is_open_for_more

        both.run(main())

    def test_a_long_refusal_is_cut_and_reset(self) -> None:
        both = duo()

        async def main() -> None:
            both.backend.spawn(serve(both.server, both.backend, refusing(ok("403"), body=bytes(10_000_000))), "proxy")
            with pytest.raises(ProxyError) as caught:
                await connect_over_h2(both.client, PROXY, "a.test", 443, FOREVER)
            assert len(caught.value.body) == 64 * 1024
            assert both.client.streams == {}

        both.run(main())

    def test_a_silent_proxy(self) -> None:
        both = duo()

        async def silent(stream: H2ServerStream) -> None:
            await stream.get_headers()

        async def main() -> None:
            both.backend.spawn(serve(both.server, both.backend, silent), "proxy")
            with pytest.raises(ConnectTimeout):
                await connect_over_h2(both.client, PROXY, "a.test", 443, both.backend.now() + 5)
            assert both.client.streams == {}

        both.run(main())

    @pytest.mark.parametrize("how", ["closes", "goes away"])
    def test_a_proxy_that_ends(self, how: str) -> None:
        both = duo()

        async def main() -> None:
            if how == "closes":
                both.server.close()
            else:
                both.backend.spawn(both.server.shutdown(), "shutdown")
                await both.backend.sleep_until(both.backend.now() + 1)
            with pytest.raises(ProxyError):
                await connect_over_h2(both.client, PROXY, "a.test", 443, both.backend.now() + 5)

        both.run(main())


class TestSharing:
    def test_tunnels_and_requests_on_one_connection(self) -> None:
        """A tunnel that nobody reads holds up nobody else, and closing one harms none."""
        both = duo(server=H2Limits(stream_window=70_000))

        async def proxy(stream: H2ServerStream) -> None:
            if stream.id == 5:
                await stream.write_message(ok(), b"plain", FOREVER)
            else:
                await echo_tunnel(stream)

        async def main() -> None:
            both.backend.spawn(serve(both.server, both.backend, proxy), "proxy")
            slow, quick = [
                await connect_over_h2(both.client, PROXY, f"{name}.test", 443, FOREVER) for name in ("slow", "quick")
            ]
            data = noise(60_000)
            await slow.send_all(data, FOREVER)
            await quick.send_all(b"hello", FOREVER)
            assert await receive_exactly(quick, 5) == b"hello"
            quick.close()
            assert await exchange(both.client) == b"plain"
            assert await receive_exactly(slow, len(data)) == data
            slow.close()
            assert both.client.streams == {}
            assert not both.client.is_closed

        both.run(main())

    def test_a_reset_breaks_one(self) -> None:
        both = duo()

        async def main() -> None:
            async def answer() -> None:
                for _ in range(2):
                    stream = await accept(both.server)
                    await stream.write_headers(ok(), False)
                    streams.append(stream)

            streams: list[H2ServerStream] = []
            task = both.backend.spawn(answer(), "proxy")
            one, two = [await connect_over_h2(both.client, PROXY, "a.test", 443, FOREVER) for _ in range(2)]
            assert await task.join(FOREVER)
            streams[0].cancel(0xA)  # CONNECT_ERROR
            with pytest.raises(ReadError, match="the tunnel broke"):
                await one.receive_some(10, FOREVER)
            with pytest.raises(WriteError, match="the tunnel broke"):
                await one.send_some(b"x", FOREVER)
            await streams[1].write_chunk(b"well")
            assert await two.receive_some(10, FOREVER) == b"well"
            one.close()
            two.close()

        both.run(main())

    def test_an_interrupt_does_not_disturb_others(self) -> None:
        """Whoever reads for all looks again, and goes on."""
        both = duo()

        async def main() -> None:
            both.backend.spawn(serve(both.server, both.backend, echo_tunnel), "proxy")
            one, two = [await connect_over_h2(both.client, PROXY, "a.test", 443, FOREVER) for _ in range(2)]
            got: list[bytes] = []

            async def read() -> None:
                got.append(await two.receive_some(10, both.backend.now() + 60))

            reader = both.backend.spawn(read(), "reader")
            await both.backend.sleep_until(both.backend.now() + 1)
            one.interrupt()
            await both.backend.sleep_until(both.backend.now() + 1)
            assert got == []
            await two.send_all(b"hello", FOREVER)
            assert await reader.join(FOREVER)
            assert got == [b"hello"]

        both.run(main())


class TestThreads:
    def test_tunnels_of_several_threads(self) -> None:
        """Blocking, over one connection on a real socket: each gets its own bytes back."""
        backend = BlockingBackend()
        near, far = socket.socketpair()
        bad: list[object] = []

        async def connect() -> tuple[H2Connection, H2Connection]:
            client = H2Connection(await backend.adopt_socket(near), backend)
            return client, H2Connection(await backend.adopt_socket(far), backend, "server")

        client, server = run(connect())

        async def work(number: int) -> None:
            data = noise(300_000)[number * 7 :]
            tunnel = await connect_over_h2(client, PROXY, f"{number}.test", 443, backend.now() + 30)

            async def send() -> None:
                await tunnel.send_all(data, backend.now() + 30)

            sender = backend.spawn(send(), "sender")
            if await receive_exactly(tunnel, len(data), backend.now() + 30) != data:
                bad.append(number)
            await sender.join(backend.now() + 30)
            tunnel.close()

        backend.spawn(serve(server, backend, echo_tunnel), "proxy")
        threads = [threading.Thread(target=run, args=(work(number),)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        client.close()
        server.close()
        assert bad == []


# --- with TLS to the proxy and to the origin --------------------------------------------------------------------------


async def serve_h2_proxy(
    backend: Backend, listener: Any, certificates: Certificates, origin: int, heads: list[Headers]
) -> None:
    """A proxy on HTTP/2 over TLS, of this project's own parts, that leads everywhere to one port."""
    accepted = await listener.accept(backend.now() + 20)
    assert accepted is not None
    context = certificates.server_context(["h2"])
    guard = backend.create_guard()
    secured = await wrap_tls(
        accepted, context, server_side=True, server_hostname=None, guard=guard, deadline=backend.now() + 20
    )
    connection = H2Connection(secured, backend, "server")
    try:
        while True:
            stream = await accept(connection, 20)
            head = await stream.get_headers()
            assert head is not None
            heads.append(head)
            if head.get("proxy-authorization") == "Basic bWU6cHc=":
                break
            await stream.write_message(ok("407", ("proxy-authenticate", "Basic realm=x")), b"who?", backend.now() + 20)
        await stream.write_headers(ok(), False)
        tunnel = H2Tunnel(stream, owns_connection=True)
        behind = await backend.adopt_socket(socket.create_connection(("127.0.0.1", origin)))
        back = backend.spawn(pump(backend, behind, tunnel), "back")
        await pump(backend, tunnel, behind)
        await back.join(backend.now() + 20)
        behind.close()
    finally:
        connection.close()


async def pump(backend: Backend, source: ByteStream, target: ByteStream) -> None:
    try:
        while data := await source.receive_some(65536, backend.now() + 20):
            await target.send_all(data, backend.now() + 20)
        await target.send_eof(backend.now() + 20)
    except (ReadError, WriteError):
        source.close()


@on_both
def test_tls_in_http2_in_tls(drive: Drive[None], certificates: Certificates) -> None:
    """The whole way: TLS to the proxy, HTTP/2 by ALPN, 407 answered on the same connection, TLS with the origin's name."""
    heads: list[Headers] = []
    size = 300_000

    def answer(connection: Any) -> None:
        data = read_exactly(connection, size)
        connection.sendall(data[::-1])
        connection.recv(1)

    trust = new_client_context(verify=certificates.ca_file)
    origin = RawServer(answer, context=certificates.server_context(), tolerate=(OSError,))
    with origin, socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        async def attempt(backend: Backend) -> None:
            listener = backend.adopt_listener(listening)
            server = backend.spawn(serve_h2_proxy(backend, listener, certificates, origin.port, heads), "proxy")
            stream = await open_through(
                backend,
                Proxy("https", "localhost", port),
                "localhost",
                origin.port,
                backend.now() + 20,
                tls=TlsOptions(trust),
                dial=DialOptions(resolver={"localhost": "127.0.0.1"}),
                authenticate=lambda status, headers: "Basic bWU6cHc=",
            )
            assert isinstance(stream, H2Tunnel)
            assert stream.ssl_object is None
            secured = await secure(backend, stream, TlsOptions(trust), "localhost", backend.now() + 20)
            data = noise(size)
            await secured.send_all(data, backend.now() + 20)
            assert await receive_exactly(secured, size, backend.now() + 20) == data[::-1]
            secured.close()
            assert stream.is_closed
            assert await server.join(backend.now() + 20)
            listener.close()

        drive(attempt)
    assert [head.has("proxy-authorization") for head in heads] == [False, True]


def test_the_proxy_must_be_fit_for_http2() -> None:
    """Without TLS there is no ALPN, so a plain proxy is spoken to in HTTP/1.1."""
    backend = MemoryBackend()
    listener = backend.listen(("192.0.2.1", 3128))

    async def answer() -> None:
        stream = await listener.accept(FOREVER)
        assert stream is not None
        assert (await stream.receive_some(1000, FOREVER)).startswith(b"CONNECT a.test:443 HTTP/1.1\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n", FOREVER)

    async def main() -> None:
        backend.spawn(answer(), "proxy")
        stream = await open_through(backend, Proxy("http", "192.0.2.1", 3128), "a.test", 443, FOREVER)
        assert not isinstance(stream, H2Tunnel)
        stream.close()

    backend.run(main())
