"""SOCKS connections in both colours: lua-http's `socks` object, local and remote names, deadlines, nothing left open."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivetrain.engine.backends.base import Backend, ByteStream
from drivetrain.engine.backends.blocking import run
from drivetrain.engine.backends.memory import MemoryBackend
from drivetrain.engine.connection.dial import DialOptions
from drivetrain.engine.connection.proxy import Proxy
from drivetrain.engine.connection.socks import SocksClient, negotiate_socks
from drivetrain.engine.errors import (
    ClosedError,
    ConnectTimeout,
    ProxyError,
    RemoteProtocolError,
    ResolveError,
    SocksError,
    UsageError,
)
from drivetrain.engine.faces.socks import AsyncSocks, Socks
from drivetrain.engine.protocol.socks_v5 import Socks5Machine
from tests.connection.colours import Drive, drive_blocking, on_both
from tests.support.peers import free_ports
from tests.support.proxies import SocksProxy
from tests.support.servers import RawServer, read_exactly, read_until_eof


@pytest.fixture(autouse=True)
def _no_socket_left() -> Iterator[None]:
    """A socket that is collected without having been closed fails the test (ResourceWarning is an error)."""
    yield
    gc.collect(1)


def echo(connection: socket.socket) -> None:
    while data := connection.recv(1000):
        connection.sendall(data)


async def talk(backend: Backend, stream: ByteStream | None) -> bytes:
    """Send something through a tunnel to `echo`, and return what came back; the tunnel is closed."""
    assert stream is not None
    deadline = backend.now() + 10
    try:
        await stream.send_all(b"hello", deadline)
        return await stream.receive_some(100, deadline)
    finally:
        stream.close()


def client(backend: Backend, server: RawServer, scheme: str = "socks5h", **options: Any) -> SocksClient:
    return SocksClient(backend, Proxy(scheme, "127.0.0.1", server.port), dial=DialOptions(**options))


class TestNames:
    @on_both
    @pytest.mark.parametrize(
        ("scheme", "host", "asked"),
        [
            ("socks5", "192.0.2.1", (5, "192.0.2.1")),
            ("socks5", "2001:db8::1", (5, "2001:db8::1")),
            ("socks5", "made-up.test", (5, "192.0.2.99")),
            ("socks5h", "made-up.test", (5, "made-up.test")),
            ("socks5h", "192.0.2.1", (5, "192.0.2.1")),
            ("socks4", "192.0.2.1", (4, "192.0.2.1")),
            ("socks4", "made-up.test", (4, "192.0.2.99")),
            ("socks4a", "made-up.test", (4, "made-up.test")),
        ],
    )
    def test_who_resolves(self, drive: Drive[bytes], scheme: str, host: str, asked: tuple[int, str]) -> None:
        with RawServer(echo) as origin, SocksProxy() as proxy:

            async def attempt(backend: Backend) -> bytes:
                socks = client(backend, proxy, scheme, resolver={"made-up.test": "192.0.2.99"})
                assert socks.needs_resolve is (scheme in ("socks5", "socks4"))
                await socks.negotiate(host, origin.port, 10)
                assert socks.bound is not None
                return await talk(backend, socks.take_socket())

            assert drive(attempt) == b"hello"
            assert proxy.asked == [(*asked, origin.port)]

    @on_both
    def test_the_choice_can_be_changed(self, drive: Drive[bytes]) -> None:
        with RawServer(echo) as origin, SocksProxy() as proxy:

            async def attempt(backend: Backend) -> None:
                for scheme in ("socks5", "socks4"):
                    socks = client(backend, proxy, scheme)
                    socks.needs_resolve = False
                    await socks.negotiate("made-up.test", origin.port, 10)
                    assert await talk(backend, socks.take_socket()) == b"hello"

            drive(attempt)
            assert [host for _, host, _ in proxy.asked] == ["made-up.test", "made-up.test"]

    @on_both
    def test_every_address_is_tried(self, drive: Drive[bytes]) -> None:
        addresses = ["2001:db8::1", "192.0.2.1", "192.0.2.2"]
        with RawServer(echo) as origin, SocksProxy(refusals={"2001:db8::1": 8, "192.0.2.1": 5}) as proxy:

            async def attempt(backend: Backend) -> bytes:
                socks = client(backend, proxy, "socks5", resolver={"*": addresses})
                await socks.negotiate("made-up.test", origin.port, 10)
                return await talk(backend, socks.take_socket())

            assert drive(attempt) == b"hello"
            assert [host for _, host, _ in proxy.asked] == addresses

    @on_both
    def test_a_refusal_of_the_client_is_not_asked_for_again(self, drive: Drive[None]) -> None:
        with SocksProxy(refusals={"192.0.2.1": 2}) as proxy:

            async def attempt(backend: Backend) -> None:
                socks = client(backend, proxy, "socks5", resolver={"*": ["192.0.2.1", "192.0.2.2"]})
                with pytest.raises(SocksError, match="not allowed by the proxy's rules"):
                    await socks.negotiate("made-up.test", 80, 10)
                assert socks.take_socket() is None

            drive(attempt)
            assert len(proxy.asked) == 1

    def test_the_last_refusal_is_told(self) -> None:
        with SocksProxy(refusals={"192.0.2.1": 3, "192.0.2.2": 5}) as proxy:

            async def attempt(backend: Backend) -> None:
                socks = client(backend, proxy, "socks5", resolver={"*": ["192.0.2.1", "192.0.2.2"]})
                with pytest.raises(SocksError) as caught:
                    await socks.negotiate("made-up.test", 80, 10)
                assert (caught.value.code, caught.value.errno) == (5, errno.ECONNREFUSED)

            drive_blocking(attempt)

    def test_socks_4_takes_the_ipv4_addresses(self) -> None:
        with RawServer(echo) as origin, SocksProxy() as proxy:

            async def attempt(backend: Backend) -> None:
                socks = client(backend, proxy, "socks4", resolver={"*": ["2001:db8::1", "192.0.2.2"]})
                await socks.negotiate("made-up.test", origin.port, 10)
                assert await talk(backend, socks.take_socket()) == b"hello"
                socks = client(backend, proxy, "socks4", resolver={"*": "2001:db8::1"})
                with pytest.raises(SocksError, match="no IPv6"):
                    await socks.negotiate("made-up.test", origin.port, 10)

            drive_blocking(attempt)
            assert [host for _, host, _ in proxy.asked] == ["192.0.2.2"]

    def test_a_name_without_address(self) -> None:
        """The proxy is greeted first, and asked for nothing."""
        heard: list[bytes] = []

        def handler(connection: socket.socket) -> None:
            heard.append(read_exactly(connection, 3))
            connection.sendall(b"\x05\x00")
            heard.append(read_until_eof(connection))

        with RawServer(handler) as server:

            async def attempt(backend: Backend) -> None:
                proxy = Proxy("socks5", "127.0.0.1", server.port)
                socks = SocksClient(backend, proxy, dial=DialOptions(resolver={"a.test": []}))
                with pytest.raises(ResolveError, match=r"a\.test"):
                    await socks.negotiate("a.test", 80, 10)

            drive_blocking(attempt)
        assert heard == [b"\x05\x01\x00", b""]

    def test_a_proxy_out_of_reach_matters_more(self) -> None:
        (port,) = free_ports(1)

        async def attempt(backend: Backend) -> None:
            proxy = Proxy("socks5", "127.0.0.1", port)
            socks = SocksClient(backend, proxy, dial=DialOptions(resolver={"a.test": []}))
            with pytest.raises(ProxyError, match="out of reach"):
                await socks.negotiate("a.test", 80, 10)

        drive_blocking(attempt)


class TestCredentials:
    @on_both
    def test_a_password(self, drive: Drive[None]) -> None:
        with RawServer(echo) as origin, SocksProxy(credentials=(b"me", "pä:ss".encode())) as proxy:

            async def attempt(backend: Backend) -> None:
                uri = f"socks5h://me:p%C3%A4%3Ass@127.0.0.1:{proxy.port}"
                socks = SocksClient(backend, Proxy.from_uri(uri))
                await socks.negotiate("a.test", origin.port, 10)
                assert await talk(backend, socks.take_socket()) == b"hello"
                added = client(backend, proxy)
                added.add_username_password_auth("me", "pä:ss")
                for one in (added.clone(), added):
                    await one.negotiate("a.test", origin.port, 10)
                    assert await talk(backend, one.take_socket()) == b"hello"

            drive(attempt)
            assert proxy.users == [(b"me", "pä:ss".encode())] * 3

    @on_both
    @pytest.mark.parametrize(("credentials", "text"), [(("me", "no"), "refused"), (None, "wants authentication")])
    def test_a_wrong_one(self, drive: Drive[None], credentials: tuple[str, str] | None, text: str) -> None:
        with SocksProxy(credentials=(b"me", b"yes")) as proxy:

            async def attempt(backend: Backend) -> None:
                socks = client(backend, proxy)
                if credentials is not None:
                    socks.add_username_password_auth(*credentials)
                with pytest.raises(SocksError, match=text) as caught:
                    await socks.negotiate("a.test", 80, 10)
                assert caught.value.errno == errno.EACCES

            drive(attempt)
            assert proxy.asked == []

    def test_an_overlong_one_is_refused_at_once(self) -> None:
        async def attempt(backend: Backend) -> None:
            socks = SocksClient(backend, Proxy("socks5", "127.0.0.1", 9))
            with pytest.raises(UsageError, match="255 bytes"):
                socks.add_username_password_auth("u" * 256, "")
            with pytest.raises(UsageError, match="255 bytes"):
                Proxy("socks5", "127.0.0.1", 9, "u", "p" * 256)

        drive_blocking(attempt)

    def test_socks_4_sends_the_name_alone(self) -> None:
        with RawServer(echo) as origin, SocksProxy() as proxy:

            async def attempt(backend: Backend) -> None:
                socks = SocksClient(backend, Proxy("socks4a", "127.0.0.1", proxy.port, "me", "secret"))
                await socks.negotiate("a.test", origin.port, 10)
                assert await talk(backend, socks.take_socket()) == b"hello"

            drive_blocking(attempt)
            assert proxy.users == [(b"me",)]


class TestObject:
    @on_both
    def test_a_given_socket(self, drive: Drive[None]) -> None:
        """lua-http's `fdopen`: SOCKS 5 on a connection that exists, names resolved here."""
        with RawServer(echo) as origin, SocksProxy() as proxy:

            async def attempt(backend: Backend) -> None:
                for is_stream in (True, False):
                    sock = socket.create_connection(proxy.address)
                    link = await backend.adopt_socket(sock) if is_stream else sock
                    socks = SocksClient(
                        backend, Proxy("socks5", "localhost", 1080), link, DialOptions(resolver={"*": "192.0.2.1"})
                    )
                    with pytest.raises(UsageError, match="a clone would have none"):
                        socks.clone()
                    await socks.negotiate("a.test", origin.port, 10)
                    assert await talk(backend, socks.take_socket()) == b"hello"
                    assert socks.take_socket() is None

            drive(attempt)
            assert [host for _, host, _ in proxy.asked] == ["192.0.2.1"] * 2

    @on_both
    def test_a_unix_socket(self, drive: Drive[bytes], short_tmp_path: Path) -> None:
        path = str(short_tmp_path / "socks")
        with RawServer(echo) as origin, SocksProxy(path=path) as proxy:

            async def attempt(backend: Backend) -> bytes:
                socks = SocksClient(backend, Proxy.from_uri(f"socks5h://localhost{path}"))
                await socks.negotiate("a.test", origin.port, 10)
                return await talk(backend, socks.take_socket())

            assert drive(attempt) == b"hello"
            assert proxy.asked == [(5, "a.test", origin.port)]

    def test_it_is_used_once(self) -> None:
        with RawServer(echo) as origin, SocksProxy() as proxy:

            async def attempt(backend: Backend) -> None:
                socks = client(backend, proxy)
                await socks.negotiate("a.test", origin.port, 10)
                with pytest.raises(ClosedError, match="make a clone"):
                    await socks.negotiate("a.test", origin.port, 10)
                again = socks.clone()
                socks.close()
                socks.close()
                assert socks.take_socket() is None
                await again.negotiate("a.test", origin.port, 10)
                assert await talk(backend, again.take_socket()) == b"hello"
                closed = client(backend, proxy)
                closed.close()
                with pytest.raises(ClosedError, match="was closed"):
                    await closed.negotiate("a.test", origin.port, 10)

            drive_blocking(attempt)

    def test_a_given_connection_is_closed_or_handed_back(self) -> None:
        backend = MemoryBackend()
        proxy = Proxy("socks5", "localhost", 1080)
        near, _ = backend.pipe()
        SocksClient(backend, proxy, near).close()
        assert near.is_closed
        near, _ = backend.pipe()
        assert SocksClient(backend, proxy, near).take_socket() is near
        assert not near.is_closed

        async def refused() -> None:
            socks = SocksClient(backend, proxy, near)
            with pytest.raises(UsageError, match="port 0"):
                await socks.negotiate("192.0.2.1", 0)

        backend.run(refused())
        assert near.is_closed

    def test_only_socks(self) -> None:
        with pytest.raises(UsageError, match="is no SOCKS proxy"):
            SocksClient(MemoryBackend(), Proxy("http", "a", 1))

    def test_no_secret_is_shown(self) -> None:
        socks = SocksClient(MemoryBackend(), Proxy.from_uri("socks5://user:secret@a"))
        assert repr(socks) == "<SocksClient socks5://a:1080>"


class TestFaults:
    @on_both
    def test_nobody_there(self, drive: Drive[None]) -> None:
        (port,) = free_ports(1)

        async def attempt(backend: Backend) -> None:
            socks = SocksClient(backend, Proxy("socks5h", "127.0.0.1", port))
            with pytest.raises(ProxyError, match="out of reach") as caught:
                await socks.negotiate("a.test", 80, 10)
            assert caught.value.errno == errno.ECONNREFUSED
            assert caught.value.__cause__ is not None

        drive(attempt)

    @on_both
    @pytest.mark.parametrize(
        ("answer", "kind", "text"),
        [
            (b"", SocksError, "hung up"),
            (b"\x05", SocksError, "hung up"),
            (b"\x05\x00\x05", SocksError, "hung up"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", RemoteProtocolError, "does not speak SOCKS 5"),
        ],
    )
    def test_odd_servers(self, drive: Drive[None], answer: bytes, kind: type[Exception], text: str) -> None:
        def serve(connection: socket.socket) -> None:
            read_exactly(connection, 3)
            connection.sendall(answer)
            connection.shutdown(socket.SHUT_WR)
            read_until_eof(connection)

        with RawServer(serve, tolerate=(OSError,)) as server:

            async def attempt(backend: Backend) -> None:
                with pytest.raises(kind, match=text):
                    await client(backend, server).negotiate("a.test", 80, 10)

            drive(attempt)

    @on_both
    def test_a_silent_server(self, drive: Drive[None]) -> None:
        with RawServer(read_until_eof) as server:

            async def attempt(backend: Backend) -> None:
                with pytest.raises(ConnectTimeout, match="in time"):
                    await client(backend, server).negotiate("a.test", 80, 0.05)

            drive(attempt)

    def test_the_deadline_is_for_all_of_it(self) -> None:
        """With a virtual clock: a server that answers each message after 4 s, and 10 s in all."""
        backend = MemoryBackend()
        near, far = backend.pipe()

        async def serve() -> None:
            for size, answer in ((3, b"\x05\x00"), (13, b"\x05"), (0, b"\x00\x00\x01" + bytes(6))):
                if size:
                    await far.receive_some(size, backend.now() + 60)
                await backend.sleep_until(backend.now() + 4)
                await far.send_all(answer, backend.now() + 60)

        async def attempt() -> None:
            backend.spawn(serve(), "server")
            started = backend.now()
            with pytest.raises(ConnectTimeout):
                await negotiate_socks(near, Socks5Machine("a.test", 80), started + 10)
            assert backend.now() == started + 10

        backend.run(attempt())

    def test_a_connection_that_breaks(self) -> None:
        backend = MemoryBackend()
        near, far = backend.pipe()

        async def attempt() -> None:
            far.reset()
            with pytest.raises(SocksError, match="broke") as caught:
                await negotiate_socks(near, Socks5Machine("a.test", 80), backend.now() + 10)
            assert caught.value.errno == errno.ECONNRESET

        backend.run(attempt())

    @pytest.mark.parametrize("piece", [1, None])
    def test_bytes_behind_the_reply_are_the_tunnels(self, piece: int | None) -> None:
        backend = MemoryBackend()
        near, far = backend.pipe(piece=piece)

        async def attempt() -> None:
            await far.send_all(b"\x05\x00\x05\x00\x00\x01" + bytes(6) + b"first", backend.now() + 10)
            stream = await negotiate_socks(near, Socks5Machine("a.test", 80), backend.now() + 10)
            assert stream is near
            data = b""
            while len(data) < 5:
                data += await stream.receive_some(100, backend.now() + 10)
            assert data == b"first"

        backend.run(attempt())

    def test_a_cancelled_negotiation_leaves_nothing_open(self) -> None:
        with RawServer(read_until_eof) as server:

            async def attempt() -> None:
                socks = AsyncSocks.connect(f"socks5h://127.0.0.1:{server.port}")
                task = asyncio.create_task(socks.negotiate("a.test", 80))
                while not server.connections:
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert socks.take_socket() is None

            asyncio.run(attempt())


class TestFaces:
    def test_blocking(self) -> None:
        with RawServer(echo) as origin, SocksProxy(credentials=(b"me", b"pw")) as proxy:
            socks = Socks.connect(f"socks5://127.0.0.1:{proxy.port}")
            assert socks.needs_resolve
            socks.needs_resolve = False
            socks.add_username_password_auth("me", "pw")
            clone = socks.clone()
            assert isinstance(clone, Socks)
            assert not clone.needs_resolve
            for one in (socks, clone):
                assert one.bound is None
                one.negotiate("a.test", origin.port, timeout=10)
                assert one.bound == ("127.0.0.1", 80)
                assert run(talk(one.core.backend, one.take_socket())) == b"hello"
                one.close()
            given = Socks.fdopen(socket.create_connection(origin.address))
            assert given.needs_resolve
            assert repr(given) == "<Socks socks5://localhost:1080>"
            given.close()
            assert proxy.asked == [(5, "a.test", origin.port)] * 2

    def test_asyncio(self) -> None:
        with RawServer(echo) as origin, SocksProxy() as proxy:

            async def main() -> bytes:
                socks = AsyncSocks.connect(f"socks5h://127.0.0.1:{proxy.port}")
                await socks.negotiate("a.test", origin.port, timeout=10)
                return await talk(socks.core.backend, socks.take_socket())

            assert asyncio.run(main()) == b"hello"
