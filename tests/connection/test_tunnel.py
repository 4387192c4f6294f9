"""Tunnels to an origin, in both colours: every answer of an HTTP proxy, TLS in TLS, names verified, nothing leaked."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.backends.asyncio_ import AsyncioBackend
from drivetrain.engine.backends.base import Backend, ByteStream
from drivetrain.engine.backends.memory import MemoryBackend
from drivetrain.engine.connection.dial import DialOptions, TlsOptions, secure
from drivetrain.engine.connection.proxy import Proxy
from drivetrain.engine.connection.tunnel import TunnelStream, open_through
from drivetrain.engine.errors import (
    CertificateError,
    ConnectTimeout,
    EngineError,
    IncompleteMessage,
    LimitExceeded,
    ProxyError,
    RemoteProtocolError,
    SocksError,
    UsageError,
)
from drivetrain.engine.tls import new_client_context
from drivetrain.engine.wire.headers import Headers
from tests.connection.colours import Drive, drive_blocking, on_both
from tests.support.certificates import Certificates
from tests.support.peers import free_ports
from tests.support.proxies import CHALLENGE, ConnectProxy, SocksProxy
from tests.support.servers import RawServer, read_exactly, read_head, read_until_eof

REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nno.\n"


@pytest.fixture
def no_socket_left() -> Iterator[None]:
    """A socket that is collected without having been closed fails the test (ResourceWarning is an error)."""
    yield
    gc.collect(1)


def echo(connection: Any) -> None:
    while data := connection.recv(1000):
        connection.sendall(data)


def proxy_at(server: RawServer, scheme: str = "http", **parts: Any) -> Proxy:
    return Proxy(scheme, "localhost" if scheme == "https" else "127.0.0.1", server.port, **parts)


LOCAL = DialOptions(resolver={"localhost": "127.0.0.1"})


async def open_at(backend: Backend, proxy: Proxy, host: str, port: int, **options: Any) -> ByteStream:
    return await open_through(backend, proxy, host, port, backend.now() + 10, dial=LOCAL, **options)


async def talk(backend: Backend, stream: ByteStream) -> bytes:
    """Send something through a tunnel to `echo`, and return what came back; the tunnel is closed."""
    try:
        await stream.send_all(b"hello", backend.now() + 10)
        return await stream.receive_some(100, backend.now() + 10)
    finally:
        stream.close()


@pytest.mark.usefixtures("no_socket_left")
class TestConnect:
    @on_both
    @pytest.mark.parametrize(("host", "target"), [("a.test", b"a.test"), ("2001:db8::1", b"[2001:db8::1]")])
    def test_the_request(self, drive: Drive[bytes], host: str, target: bytes) -> None:
        """RFC 9110 section 9.3.6, RFC 9112 section 3.2.3: authority form, with the port."""
        with RawServer(echo) as origin, ConnectProxy() as server:
            proxy = proxy_at(server, headers=(("User-Agent", "tests"),))

            async def attempt(backend: Backend) -> bytes:
                stream = await open_at(backend, proxy, host, origin.port)
                assert stream.peer_address.port == server.port
                assert stream.ssl_object is None
                return await talk(backend, stream)

            assert drive(attempt) == b"hello"
            authority = b"%s:%d" % (target, origin.port)
            lines = [b"CONNECT %s HTTP/1.1" % authority, b"Host: " + authority, b"User-Agent: tests", b"", b""]
            assert server.heads == [b"\r\n".join(lines)]

    @on_both
    def test_a_unix_socket(self, drive: Drive[bytes], short_tmp_path: Path) -> None:
        path = short_tmp_path / "proxy"
        with RawServer(echo) as origin, ConnectProxy(path=str(path)):

            async def attempt(backend: Backend) -> bytes:
                proxy = Proxy.from_uri(f"http+unix://{str(path).replace('/', '%2F')}")
                return await talk(backend, await open_at(backend, proxy, "a.test", origin.port))

            assert drive(attempt) == b"hello"

    @on_both
    def test_nobody_there(self, drive: Drive[None]) -> None:
        (port,) = free_ports(1)

        async def attempt(backend: Backend) -> None:
            with pytest.raises(ProxyError, match=rf"the proxy http://127\.0\.0\.1:{port} is out of reach") as caught:
                await open_at(backend, Proxy("http", "127.0.0.1", port, "user", "secret"), "a.test", 443)
            assert (caught.value.errno, caught.value.status) == (errno.ECONNREFUSED, None)
            assert "secret" not in str(caught.value)

        drive(attempt)

    def test_what_cannot_be_asked_for(self) -> None:
        async def attempt() -> None:
            for host, port in (("a.test", 0), ("a.test", 65536), ("fe80::1%eth0", 443)):
                with pytest.raises(UsageError):
                    await open_through(backend, Proxy("http", "a", 1), host, port, backend.now() + 1)

        backend = MemoryBackend()
        backend.run(attempt())

    @on_both
    def test_a_silent_proxy(self, drive: Drive[None]) -> None:
        with RawServer(read_until_eof) as server:

            async def attempt(backend: Backend) -> None:
                with pytest.raises(ConnectTimeout, match="in time") as caught:
                    await open_through(backend, proxy_at(server), "a.test", 443, backend.now() + 0.05)
                assert not caught.value.with_proxy
                with pytest.raises(ConnectTimeout) as caught:
                    await open_through(backend, proxy_at(server, "https"), "a.test", 443, backend.now() + 0.05)
                assert caught.value.with_proxy

            drive(attempt)

    def test_a_cancelled_one_leaves_nothing_open(self) -> None:
        with RawServer(read_until_eof) as server:

            async def attempt() -> None:
                task = asyncio.create_task(open_at(AsyncioBackend(), proxy_at(server), "a.test", 443))
                while not server.connections:
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

            asyncio.run(attempt())


# --- answers ----------------------------------------------------------------------------------------------------------


class Scripted:
    """A proxy in memory that says what it is told to, whatever it is asked."""

    def __init__(self, *answers: bytes, piece: int | None = None, ends: bool = True) -> None:
        self.backend = MemoryBackend()
        self.listener = self.backend.listen(("192.0.2.1", 3128), piece=piece)
        self.answers = answers
        self.ends = ends
        self.connections = 0
        self.asked: list[bytes] = []

    async def serve(self) -> None:
        while (stream := await self.listener.accept(self.backend.now() + 1000)) is not None:
            self.connections += 1
            self.backend.spawn(self.answer(stream, self.connections), "proxy")

    async def answer(self, stream: ByteStream, number: int) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await stream.receive_some(1, self.backend.now() + 1000)
        self.asked.append(head)
        await stream.send_all(self.answers[min(number, len(self.answers)) - 1], self.backend.now() + 1000)
        if self.ends:
            await stream.send_eof(self.backend.now())

    def open(self, **options: Any) -> tuple[ByteStream | None, EngineError | None]:
        async def main() -> tuple[ByteStream | None, EngineError | None]:
            self.backend.spawn(self.serve(), "listener")
            deadline = self.backend.now() + 10
            proxy = Proxy("http", "192.0.2.1", 3128)
            try:
                return await open_through(self.backend, proxy, "a.test", 443, deadline, **options), None
            except EngineError as error:
                return None, error

        return self.backend.run(main())

    def receive(self, stream: ByteStream) -> bytes:
        async def main() -> bytes:
            data = b""
            while piece := await stream.receive_some(100, self.backend.now() + 10):
                data += piece
            return data

        return self.backend.run(main())


# The head of an answer that makes a tunnel; where it says so in the RFC.
ACCEPTED = {
    "RFC 9110 section 9.3.6: 200": b"HTTP/1.1 200 Connection established\r\n\r\n",
    "RFC 9110 section 9.3.6: any 2xx": b"HTTP/1.1 299 Fine\r\n\r\n",
    "204, too": b"HTTP/1.1 204 No Content\r\n\r\n",
    "RFC 9112 section 2.3: HTTP/1.0": b"HTTP/1.0 200 OK\r\nProxy-Agent: x\r\n\r\n",
    "RFC 9110 section 9.3.6: Content-Length is ignored": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    "RFC 9110 section 9.3.6: Transfer-Encoding is ignored": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "Connection: close is not about the tunnel": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    "RFC 9110 section 15.2: 1xx come first": b"HTTP/1.1 103 E\r\nX: y\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
}


@pytest.mark.parametrize("piece", [None, 1])
@pytest.mark.parametrize("rest", [b"", b"HTTP/1.1 400 the origin speaks\r\n\r\n"])
@pytest.mark.parametrize("head", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_what_makes_a_tunnel(head: bytes, rest: bytes, piece: int | None) -> None:
    """What follows the head is the origin's, to the byte."""
    proxy = Scripted(head + rest, piece=piece)
    stream, error = proxy.open()
    assert error is None
    assert stream is not None
    assert isinstance(stream, TunnelStream) is (bool(rest) and piece is None)
    assert proxy.receive(stream) == rest
    assert proxy.connections == 1


# An answer that makes no tunnel: status, body, and the end of the message it comes with.
REFUSALS = {
    "a length": (b"HTTP/1.1 403 Forbidden\r\nX-Why: because\r\nContent-Length: 3\r\n\r\nno!", 403, b"no!"),
    "chunked": (b"HTTP/1.1 502 Bad\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n1\r\n!\r\n0\r\n\r\n", 502, b"no!"),
    "until the end": (b"HTTP/1.0 503 Busy\r\n\r\nno!", 503, b"no!"),
    "no body": (b"HTTP/1.1 504 Late\r\nContent-Length: 0\r\n\r\n", 504, b""),
    "cut short": (b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nno!", 500, b"no!"),
    "a redirect": (b"HTTP/1.1 302 Found\r\nLocation: http://login.test/\r\nContent-Length: 0\r\n\r\n", 302, b""),
    "400": (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nno!", 400, b"no!"),
    "405": (b"HTTP/1.1 405 Not Allowed\r\nAllow: GET\r\nContent-Length: 3\r\n\r\nno!", 405, b"no!"),
    "407": (b"HTTP/1.1 407 P\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 3\r\n\r\nno!", 407, b"no!"),
    "304": (b"HTTP/1.1 304 Not Modified\r\n\r\n", 304, b""),
    "600": (b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n", 600, b""),
}


@pytest.mark.parametrize("piece", [None, 1])
@pytest.mark.parametrize(("answer", "status", "body"), REFUSALS.values(), ids=REFUSALS.keys())
def test_what_makes_none(answer: bytes, status: int, body: bytes, piece: int | None) -> None:
    proxy = Scripted(answer, piece=piece)
    stream, error = proxy.open()
    assert stream is None
    assert isinstance(error, ProxyError)
    assert not isinstance(error, SocksError)
    assert (error.status, error.body) == (status, body)
    assert error.reason == answer.split(b"\r\n")[0].decode().split(" ", 2)[2]
    assert isinstance(error.headers, Headers)
    assert error.headers.get(":status") == str(status)
    assert f"refused to connect to a.test:443: {status}" in str(error)


def test_a_long_refusal_is_cut() -> None:
    size = 10_000_000
    _, error = Scripted(b"HTTP/1.1 403 No\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)).open()
    assert isinstance(error, ProxyError)
    assert len(error.body) == 64 * 1024


def test_a_slow_refusal_is_not_waited_for() -> None:
    proxy = Scripted(b"HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\nno!", ends=False)
    started = proxy.backend.now()
    _, error = proxy.open()
    assert isinstance(error, ProxyError)
    assert (error.status, error.body) == (403, b"no!")
    assert proxy.backend.now() == started + 2


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (b"", ProxyError, "without an answer"),
        (b"HTTP/1.1 200", IncompleteMessage, "inside a header section"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", IncompleteMessage, "informational"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", RemoteProtocolError, "status line"),
        (b"\x05\x00", IncompleteMessage, ""),
        (b"HTTP/1.1 200 OK\n\n", RemoteProtocolError, "LF"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", RemoteProtocolError, "not asked for"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", LimitExceeded, "longer than"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 101 + b"\r\n", LimitExceeded, "100 field lines"),
        (b"HTTP/1.1 103 H\r\n\r\n" * 101, LimitExceeded, "informational"),
        (b"HTTP/1.1 403 No\r\nContent-Length: x\r\n\r\n", RemoteProtocolError, "ength"),
    ],
)
def test_what_is_no_answer(answer: bytes, kind: type[EngineError], text: str) -> None:
    stream, error = Scripted(answer).open()
    assert stream is None
    assert type(error) is kind
    assert text in str(error)
    if isinstance(error, RemoteProtocolError):
        assert error.with_proxy


@given(st.sampled_from([*ACCEPTED.values(), *(refusal[0] for refusal in REFUSALS.values())]), st.integers(1, 50))
def test_pieces_make_no_difference(answer: bytes, piece: int) -> None:
    def outcome(piece: int | None) -> tuple[Any, ...]:
        stream, error = (proxy := Scripted(answer + b"tail", piece=piece)).open()
        told = type(error), str(error), getattr(error, "status", None), getattr(error, "body", None)
        return (proxy.receive(stream) if stream else None, *told)

    assert outcome(piece) == outcome(None)


# --- credentials ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_socket_left")
class TestCredentials:
    @on_both
    def test_basic_is_sent_at_once_and_to_the_proxy_only(self, drive: Drive[None]) -> None:
        """RFC 7617; nothing of it reaches the origin."""
        seen: list[bytes] = []

        def serve(connection: Any) -> None:
            seen.append(read_head(connection))
            connection.sendall(b"done")

        with RawServer(serve) as origin, ConnectProxy(credentials="me:pä:ss") as server:

            async def attempt(backend: Backend) -> None:
                proxy = Proxy.from_uri(f"http://me:p%C3%A4:ss@127.0.0.1:{server.port}", headers=(("X-Team", "a"),))
                stream = await open_at(backend, proxy, "a.test", origin.port)
                await stream.send_all(b"GET / HTTP/1.1\r\n\r\n", backend.now() + 10)
                assert await stream.receive_some(10, backend.now() + 10) == b"done"
                stream.close()

            drive(attempt)
            assert seen == [b"GET / HTTP/1.1\r\n\r\n"]
            assert len(server.heads) == 1
            assert b"X-Team: a" in server.heads[0]

    @on_both
    @pytest.mark.parametrize("closes", [False, True])
    def test_a_challenge_is_answered(self, drive: Drive[bytes], closes: bool) -> None:
        """RFC 9110 section 11.7; on the same connection where the proxy leaves it open."""
        asked: list[tuple[int, str | None]] = []

        def answer(status: int, headers: Headers) -> str:
            asked.append((status, headers.get("proxy-authenticate")))
            return "Basic bWU6cHc="  # me:pw

        with RawServer(echo) as origin, ConnectProxy(credentials="me:pw", closes=closes) as server:

            async def attempt(backend: Backend) -> bytes:
                proxy = proxy_at(server, username="me", password="wrong")
                return await talk(backend, await open_at(backend, proxy, "a.test", origin.port, authenticate=answer))

            assert drive(attempt) == b"hello"
            assert asked == [(407, 'Basic realm="x"')]
            assert len(server.heads) == 2
            assert server.heads[1].count(b"Proxy-Authorization") == 1
            assert server.connections == 1 + closes

    @on_both
    def test_a_challenge_without_an_answer(self, drive: Drive[None]) -> None:
        with ConnectProxy(credentials="me:pw") as server:

            async def attempt(backend: Backend) -> None:
                for authenticate in (None, lambda status, headers: None):
                    with pytest.raises(ProxyError) as caught:
                        await open_at(backend, proxy_at(server), "a.test", 443, authenticate=authenticate)
                    assert (caught.value.status, caught.value.body) == (407, b"go away!\n")
                    assert caught.value.headers.get("proxy-authenticate") == 'Basic realm="x"'

            drive(attempt)

    def test_answers_that_do_not_help_come_to_an_end(self) -> None:
        with ConnectProxy(credentials="me:pw") as server:

            async def attempt(backend: Backend) -> None:
                with pytest.raises(ProxyError) as caught:
                    await open_at(backend, proxy_at(server), "a.test", 443, authenticate=lambda *_: "Basic x")
                assert caught.value.status == 407

            drive_blocking(attempt)
            assert len(server.heads) == 4
            assert server.connections == 1

    def test_a_connection_that_is_closed_after_all(self) -> None:
        """The proxy does not say that it closes after 407, and does: the answer to it goes out on another connection."""
        proxy = Scripted(CHALLENGE, b"HTTP/1.1 200 OK\r\n\r\n")
        stream, error = proxy.open(authenticate=lambda *_: "Basic eA==")
        assert error is None
        assert stream is not None
        assert proxy.connections == 2
        assert [b"Proxy-Authorization: Basic eA==" in head for head in proxy.asked] == [False, True]

    def test_a_hook_that_fails_leaves_nothing_open(self) -> None:
        def fail(status: int, headers: Headers) -> str:
            raise KeyError("nobody")

        with ConnectProxy(credentials="me:pw") as server:

            async def attempt(backend: Backend) -> None:
                with pytest.raises(KeyError):
                    await open_at(backend, proxy_at(server), "a.test", 443, authenticate=fail)

            drive_blocking(attempt)
            assert len(server.heads) == 1


# --- TLS --------------------------------------------------------------------------------------------------------------


def tls_origin(certificates: Certificates, *names: str) -> RawServer:
    leaf = certificates.authority.issue_cert(*names)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    leaf.configure_cert(context)
    return RawServer(echo, context=context, tolerate=(OSError,))


def tls_proxy(certificates: Certificates, **options: Any) -> ConnectProxy:
    return ConnectProxy(context=certificates.server_context(), **options)


WAYS: dict[str, Callable[[Certificates], RawServer]] = {
    "http": lambda _: ConnectProxy(),
    "https": tls_proxy,
    "socks5": lambda _: SocksProxy(),
    "socks5h": lambda _: SocksProxy(),
    "socks4": lambda _: SocksProxy(),
    "socks4a": lambda _: SocksProxy(),
}


@pytest.mark.usefixtures("no_socket_left")
class TestTls:
    @on_both
    @pytest.mark.parametrize("scheme", WAYS)
    def test_the_origins_name_is_verified(self, drive: Drive[None], certificates: Certificates, scheme: str) -> None:
        """Through every kind of tunnel: the certificate must be for the origin, and the proxy's own says nothing."""
        trust = TlsOptions(new_client_context(verify=certificates.ca_file))
        dial = DialOptions(resolver={"origin.test": "192.0.2.1", "other.test": "192.0.2.1", "localhost": "127.0.0.1"})
        origin = tls_origin(certificates, "origin.test")
        with origin, WAYS[scheme](certificates) as server:
            proxy = proxy_at(server, scheme)

            async def attempt(backend: Backend) -> None:
                for host in ("origin.test", "other.test", "localhost"):
                    deadline = backend.now() + 10
                    stream = await open_through(backend, proxy, host, origin.port, deadline, tls=trust, dial=dial)
                    assert stream.ssl_object is None
                    if host == "origin.test":
                        secured = await secure(backend, stream, trust, host, deadline)
                        assert ("DNS", host) in (secured.ssl_object.getpeercert() or {})["subjectAltName"]
                        assert await talk(backend, secured) == b"hello"
                    else:
                        with pytest.raises(CertificateError, match=host) as caught:
                            await secure(backend, stream, trust, host, deadline)
                        assert not caught.value.with_proxy
                        assert stream.is_closed

            drive(attempt)

    @on_both
    def test_the_proxys_name_is_verified(self, drive: Drive[None], certificates: Certificates) -> None:
        trust = TlsOptions(new_client_context(verify=certificates.ca_file))
        with tls_proxy(certificates) as server:

            async def attempt(backend: Backend) -> None:
                proxy = Proxy("https", "proxy.test", server.port)
                dial = DialOptions(resolver={"proxy.test": "127.0.0.1"})
                with pytest.raises(CertificateError, match=r"proxy\.test") as caught:
                    await open_through(backend, proxy, "a.test", 443, backend.now() + 10, tls=trust, dial=dial)
                assert caught.value.with_proxy
                with pytest.raises(CertificateError):
                    await open_at(backend, proxy_at(server, "https"), "a.test", 443)

            drive(attempt)
            assert server.heads == []

    @on_both
    def test_large_bodies_in_tls_in_tls(self, drive: Drive[None], certificates: Certificates) -> None:
        size = 3_000_000

        def serve(connection: Any) -> None:
            data = read_exactly(connection, size)
            connection.sendall(data[::-1])
            assert connection.recv(1) == b""

        trust = TlsOptions(new_client_context(verify=certificates.ca_file))
        context = certificates.server_context()
        with RawServer(serve, context=context, tolerate=(OSError,)) as origin, tls_proxy(certificates) as server:

            async def attempt(backend: Backend) -> None:
                deadline = backend.now() + 20
                stream = await open_at(backend, proxy_at(server, "https"), "localhost", origin.port, tls=trust)
                secured = await secure(backend, stream, trust, "localhost", deadline)
                data = bytes(range(256)) * (size // 256) + bytes(size % 256)
                await secured.send_all(data, deadline)
                back = bytearray()
                while len(back) < size:
                    piece = await secured.receive_some(1 << 20, deadline)
                    assert piece
                    back += piece
                assert bytes(back) == data[::-1]
                assert not secured.is_readable()
                secured.close()
                assert stream.is_closed

            drive(attempt)

    @on_both
    def test_bytes_behind_the_head_within_tls(self, drive: Drive[None], certificates: Certificates) -> None:
        trust = TlsOptions(new_client_context(verify=certificates.ca_file))
        with RawServer(echo) as origin, tls_proxy(certificates, rest=b"early") as server:

            async def attempt(backend: Backend) -> None:
                stream = await open_at(backend, proxy_at(server, "https"), "a.test", origin.port, tls=trust)
                assert isinstance(stream, TunnelStream)
                assert stream.is_readable()
                assert await stream.receive_some(100, backend.now()) == b"early"
                assert await talk(backend, stream) == b"hello"

            drive(attempt)


def test_a_refusal_over_tls_is_told(certificates: Certificates) -> None:
    trust = TlsOptions(new_client_context(verify=certificates.ca_file))
    with tls_proxy(certificates, answer=REFUSED) as server:

        async def attempt(backend: Backend) -> None:
            with pytest.raises(ProxyError, match="403 Forbidden") as caught:
                await open_at(backend, proxy_at(server, "https"), "a.test", 443, tls=trust)
            assert (caught.value.status, caught.value.body) == (403, b"no.\n")

        drive_blocking(attempt)


def test_the_answer_to_a_proxy_that_closes_early() -> None:
    """It may answer and close before it has read the request."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(REFUSED)

    with RawServer(serve, tolerate=(OSError,)) as server:

        async def attempt(backend: Backend) -> None:
            with pytest.raises(ProxyError):
                await open_at(backend, proxy_at(server), "a.test", 443)

        drive_blocking(attempt)
        assert server.connections == 1
