"""Socket options, connections that a program makes itself, certificates that are pinned: in both colours, through clients too."""

from __future__ import annotations

import asyncio
import errno
import gc
import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drivetrain.engine import AsyncClient, Client, errors
from drivetrain.engine.backends.base import FOREVER, Backend, ByteStream
from drivetrain.engine.backends.memory import MemoryBackend
from drivetrain.engine.connection.dial import DialOptions, TlsOptions, dial_tcp, secure
from drivetrain.engine.connection.fingerprints import match_fingerprint, parse_fingerprint
from drivetrain.engine.errors import CertificateError, ConnectError, ConnectTimeout, ResolveError, TLSError, UsageError
from drivetrain.engine.tls import new_client_context
from tests.connection.colours import Drive, drive_asyncio, drive_blocking, on_both
from tests.support.certificates import Certificates
from tests.support.proxies import ConnectProxy
from tests.support.servers import RawServer, answering, read_until_eof

NODELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY)
KEEP_ALIVE = (socket.SOL_SOCKET, socket.SO_KEEPALIVE)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(autouse=True)
def _no_socket_left() -> Iterator[None]:
    """A socket that is collected without having been closed fails the test (ResourceWarning is an error)."""
    yield
    gc.collect()


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(read_until_eof) as started:
        yield started


def option_of(stream: ByteStream, level: int, name: int) -> int:
    with socket.socket(fileno=socket.dup(stream.fileno())) as sock:  # type: ignore[attr-defined]
        return sock.getsockopt(level, name)


def values(drive: Drive[Any], server: RawServer, options: DialOptions, *wanted: tuple[int, int]) -> list[bool]:
    """Of a connection, what its options are."""

    async def look(backend: Backend) -> list[bool]:
        stream = await dial_tcp(backend, "127.0.0.1", server.port, options, FOREVER)
        try:
            return [bool(option_of(stream, *option)) for option in wanted]
        finally:
            stream.close()

    found: list[bool] = drive(look)
    return found


class TestSocketOptions:
    @on_both
    def test_by_default(self, drive: Drive[Any], server: RawServer) -> None:
        assert values(drive, server, DialOptions(), NODELAY, KEEP_ALIVE) == [True, False]

    @on_both
    @pytest.mark.parametrize("nodelay", [None, 0, 1])
    def test_others_stand_in_its_place(self, drive: Drive[Any], server: RawServer, nodelay: int | None) -> None:
        told = [(*KEEP_ALIVE, 1)] + ([] if nodelay is None else [(*NODELAY, nodelay)])
        assert values(drive, server, DialOptions(socket_options=tuple(told)), NODELAY, KEEP_ALIVE) == [
            bool(nodelay),
            True,
        ]

    @on_both
    def test_none(self, drive: Drive[Any], server: RawServer) -> None:
        assert values(drive, server, DialOptions(socket_options=()), NODELAY) == [False]

    def test_every_attempt_has_them(self, server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
        done: list[tuple[str, Any]] = []
        me = threading.current_thread()

        class Socket(socket.socket):
            def setsockopt(self, *args: Any) -> None:  # type: ignore[override]
                if threading.current_thread() is me:
                    done.append(("option", args))
                super().setsockopt(*args)

            def bind(self, address: Any) -> None:
                done.append(("bind", address))
                super().bind(address)

            def connect_ex(self, address: Any) -> int:
                done.append(("connect", address[0]))
                return super().connect_ex(address)

        monkeypatch.setattr(socket, "socket", Socket)
        options = DialOptions(
            resolver={"h": ["127.0.0.3", "127.0.0.1"]}, socket_options=((*KEEP_ALIVE, 1),), bind="127.0.0.1"
        )

        async def dial(backend: Backend) -> None:
            (await dial_tcp(backend, "h", server.port, options, FOREVER)).close()

        drive_blocking(dial)
        assert [what for what, _ in done] == ["option", "bind", "connect"] * 2
        assert [where for what, where in done if what == "connect"] == ["127.0.0.3", "127.0.0.1"]

    @on_both
    def test_one_that_is_refused(self, drive: Drive[Any], server: RawServer) -> None:
        with pytest.raises(ConnectError) as caught:
            values(drive, server, DialOptions(socket_options=((socket.SOL_SOCKET, 9999, 1),)))
        assert caught.value.errno == errno.ENOPROTOOPT

    @on_both
    def test_one_that_no_system_takes(self, drive: Drive[Any], server: RawServer) -> None:
        with pytest.raises(UsageError, match="is no socket option"):
            values(drive, server, DialOptions(socket_options=((1, 2, 1 << 80),)))

    @pytest.mark.parametrize("option", [(1, 2), (1, 2, 3, 4, 5), "abc", ("a", 2, 3), (1, 2, 1.5), 7])
    def test_what_is_none(self, option: Any) -> None:
        with pytest.raises(UsageError, match="a socket option is"):
            DialOptions(socket_options=(option,))

    def test_forms(self) -> None:
        assert DialOptions(socket_options=((1, 2, bytearray(b"x")), (1, 2, None, 5))).socket_options == (
            (1, 2, b"x"),
            (1, 2, None, 5),
        )
        assert hash(DialOptions(socket_options=((1, 2, bytearray(b"x")),)))

    def test_in_memory_there_is_nothing_to_set(self) -> None:
        backend = MemoryBackend()
        listener = backend.listen(("10.0.0.1", 80))
        options = DialOptions(socket_options=((*KEEP_ALIVE, 1),))
        stream = backend.run(dial_tcp(backend, "10.0.0.1", 80, options, FOREVER))
        assert stream.peer_address.host == "10.0.0.1"
        stream.close()
        listener.close()

    def test_through_clients(self, monkeypatch: pytest.MonkeyPatch) -> None:
        told: list[Any] = []

        class Socket(socket.socket):
            def setsockopt(self, *args: Any) -> None:  # type: ignore[override]
                told.append(args)
                super().setsockopt(*args)

        options: dict[str, Any] = {"socket_options": [[*KEEP_ALIVE, 1]], "proxies": False}
        with RawServer(answering(OK)) as server:
            monkeypatch.setattr(socket, "socket", Socket)
            with Client(**options) as client:
                assert client.get(server.url).text == "ok"
            assert told == [(*KEEP_ALIVE, 1)]

            async def ask() -> None:
                async with AsyncClient(**options) as client:
                    assert (await client.get(server.url)).text == "ok"

            asyncio.run(ask())
            assert told.count((*KEEP_ALIVE, 1)) == 2


class TestDialer:
    def dial(self, drive: Drive[Any], dialer: Any, timeout: float = FOREVER) -> None:
        async def body(backend: Backend) -> None:
            deadline = backend.now() + timeout
            (await dial_tcp(backend, "made.up", 81, DialOptions(dialer=dialer), deadline)).close()

        drive(body)

    @on_both
    def test_it_connects(self, drive: Drive[Any], server: RawServer) -> None:
        asked: list[Any] = []

        def dialer(host: str, port: int) -> Callable[[float | None], socket.socket]:
            asked.append((host, port))

            def connect(left: float | None) -> socket.socket:
                asked.append((left, threading.current_thread()))
                return socket.create_connection(("127.0.0.1", server.port))

            return connect

        self.dial(drive, dialer)
        self.dial(drive, dialer, 5)
        assert asked[0] == asked[2] == ("made.up", 81)
        assert asked[1][0] is None
        assert 0 < asked[3][0] <= 5
        assert (asked[3][1] is threading.current_thread()) == (drive is drive_blocking)

    @on_both
    def test_it_leaves_it_to_the_engine(self, drive: Drive[Any]) -> None:
        with pytest.raises(ResolveError):
            self.dial(drive, lambda host, port: None)

    @on_both
    @pytest.mark.parametrize(
        ("error", "kind", "code"),
        [
            (ConnectionRefusedError(errno.ECONNREFUSED, "no"), ConnectError, errno.ECONNREFUSED),
            (OSError("no"), ConnectError, None),
            (socket.gaierror(-2, "who"), ResolveError, -2),
            (TimeoutError("late"), ConnectTimeout, None),
            (KeyError("x"), KeyError, None),
        ],
    )
    def test_failures(self, drive: Drive[Any], error: Exception, kind: type[Exception], code: int | None) -> None:
        def connect(left: float | None) -> socket.socket:
            raise error

        with pytest.raises(kind) as caught:
            self.dial(drive, lambda host, port: connect)
        assert type(caught.value) is kind
        assert getattr(caught.value, "errno", None) == code
        assert caught.value is error or caught.value.__cause__ is error

    def test_one_that_is_too_late_is_closed(self, server: RawServer) -> None:
        done, closed = threading.Event(), threading.Event()

        class Socket(socket.socket):
            def close(self) -> None:
                super().close()
                closed.set()

        def connect(left: float | None) -> socket.socket:
            done.wait(10)
            sock = Socket()
            sock.connect(("127.0.0.1", server.port))
            return sock

        with pytest.raises(ConnectTimeout):
            self.dial(drive_asyncio, lambda host, port: connect, 0.02)
        done.set()
        assert closed.wait(10)

    def test_no_time_is_left(self) -> None:
        with pytest.raises(ConnectTimeout):
            self.dial(drive_blocking, lambda host, port: pytest.fail, -1)

    def test_through_a_client(self) -> None:
        hosts: list[str] = []

        def dialer(host: str, port: int) -> Any:
            hosts.append(host)
            return lambda left: socket.create_connection(("127.0.0.1", port))

        with RawServer(answering(OK)) as server, Client(dialer=dialer, proxies=False) as client:
            assert client.get(f"http://made.up.test:{server.port}/").text == "ok"
        assert hosts == ["made.up.test"]


class TestLookups:
    @on_both
    def test_a_function_in_the_place_of_the_systems(
        self, drive: Drive[Any], server: RawServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[Any] = []

        def getaddrinfo(host: Any, port: Any, family: int = 0, kind: int = 0) -> Any:
            asked.append((host, port, family, kind))
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port)), (99, 1, 6, "", "nonsense")]

        async def dial(backend: Backend) -> None:
            for host in ("made.up", "10.1.2.3"):
                (await dial_tcp(backend, host, 81, DialOptions(), FOREVER)).close()
            (await dial_tcp(backend, "mine", server.port, DialOptions(resolver={"mine": "127.0.0.1"}), FOREVER)).close()

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        drive(dial)
        assert asked[:2] == [(host, 81, 0, socket.SOCK_STREAM) for host in ("made.up", "10.1.2.3")]


def digest(certificates: Certificates, name: str) -> str:
    pem = certificates.server_file.read_text().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----"
    return hashlib.new(name, ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates.create(tmp_path, ["localhost"])


@pytest.fixture
def tls_server(certificates: Certificates) -> Iterator[RawServer]:
    with RawServer(answering(OK), context=certificates.server_context(), tolerate=(OSError, AssertionError)) as started:
        yield started


class TestFingerprints:
    @pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
    def test_parsing(self, certificates: Certificates, algorithm: str) -> None:
        digits = digest(certificates, algorithm)
        colons = ":".join(digits[at : at + 2] for at in range(0, len(digits), 2)).upper()
        assert parse_fingerprint(colons) == parse_fingerprint(digits) == digits

    @pytest.mark.parametrize("text", ["", "00", "0" * 63, "g" * 64, "٣" * 64, "0" * 128])
    def test_what_is_none(self, text: str) -> None:
        with pytest.raises(UsageError, match="fingerprint"):
            TlsOptions(fingerprint=text)

    def test_no_certificate(self) -> None:
        with pytest.raises(CertificateError):
            match_fingerprint(None, "0" * 64)

    @pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
    def test_the_name_does_not_matter(self, certificates: Certificates, tls_server: RawServer, algorithm: str) -> None:
        url = f"https://127.0.0.1:{tls_server.port}/"
        with Client(verify=certificates.ca_file, fingerprint=digest(certificates, algorithm), proxies=False) as client:
            assert client.get(url).text == "ok"
        with Client(verify=certificates.ca_file, proxies=False) as client, pytest.raises(CertificateError):
            client.get(url)

    def test_the_chain_does(self, certificates: Certificates, tls_server: RawServer) -> None:
        pinned: dict[str, Any] = {"fingerprint": digest(certificates, "sha256"), "proxies": False}
        url = f"https://localhost:{tls_server.port}/"
        with Client(**pinned) as client, pytest.raises(CertificateError):
            client.get(url)
        with Client(verify=False, **pinned) as client:
            assert client.get(url).text == "ok"

    def test_another_one(self, certificates: Certificates, tls_server: RawServer) -> None:
        async def ask() -> None:
            async with AsyncClient(verify=certificates.ca_file, fingerprint="0" * 40, proxies=False) as client:
                await client.get(f"https://localhost:{tls_server.port}/")

        with pytest.raises(CertificateError) as caught:
            asyncio.run(ask())
        assert (caught.value.fingerprint, caught.value.expected) == (digest(certificates, "sha1"), "0" * 40)

    def test_a_context_that_checks_names(self, certificates: Certificates, tls_server: RawServer) -> None:
        context = new_client_context(verify=certificates.ca_file)
        client = Client(ssl_context=context, fingerprint="0" * 64, proxies=False)
        with client, pytest.raises(UsageError, match="check_hostname off"):
            client.get(f"https://localhost:{tls_server.port}/")

    def test_of_a_proxy(self, certificates: Certificates, tls_server: RawServer) -> None:
        context = new_client_context(verify=certificates.ca_file, check_hostname=False)
        with ConnectProxy(context=certificates.server_context()) as proxy:
            options: dict[str, Any] = {
                "proxies": f"https://127.0.0.1:{proxy.port}",
                "proxy_ssl_context": context,
                "verify": certificates.ca_file,
            }
            url = f"https://localhost:{tls_server.port}/"
            with Client(**options, proxy_fingerprint=digest(certificates, "sha256")) as client:
                assert client.get(url).text == "ok"
            with Client(**options, proxy_verify_host="localhost") as client:
                assert client.get(url).text == "ok"
            for wrong in (
                {"proxy_fingerprint": "0" * 64},
                {"proxy_verify_host": "other.test"},
                {"proxy_verify_host": True},
            ):
                with Client(**options, **wrong) as client, pytest.raises(CertificateError) as caught:
                    client.get(url)
                assert caught.value.with_proxy

    def test_connections_are_told_apart(self) -> None:
        first, second = TlsOptions(fingerprint="0" * 64), TlsOptions(fingerprint="1" * 64)
        assert first != second
        assert first == TlsOptions(fingerprint=":".join(["00"] * 32))
        assert DialOptions(socket_options=((1, 2, 3),)) != DialOptions()


class TestNames:
    def connect(self, server: RawServer, tls: TlsOptions, host: str) -> None:
        async def body(backend: Backend) -> None:
            stream = await dial_tcp(backend, "127.0.0.1", server.port, DialOptions(), FOREVER)
            (await secure(backend, stream, tls, host, FOREVER)).close()

        drive_blocking(body)

    def test_whatever_the_context_says(self, certificates: Certificates, tls_server: RawServer) -> None:
        context = new_client_context(verify=certificates.ca_file, check_hostname=False)
        self.connect(tls_server, TlsOptions(context), "other.test")
        self.connect(tls_server, TlsOptions(context, verify_host=True), "localhost")
        self.connect(tls_server, TlsOptions(context, verify_host=True, sendname="localhost"), "other.test")
        with pytest.raises(CertificateError) as caught:
            self.connect(tls_server, TlsOptions(context, verify_host=True), "other.test")
        assert (caught.value.hostname, caught.value.names) == ("other.test", ("localhost",))

    def test_a_name_or_a_pin(self, tls_server: RawServer) -> None:
        with pytest.raises(UsageError, match="not both"):
            self.connect(tls_server, TlsOptions(fingerprint="0" * 64, verify_host="localhost"), "localhost")

    def test_a_context_is_prepared_for_each(self, certificates: Certificates, tls_server: RawServer) -> None:
        context = new_client_context(verify=certificates.ca_file)

        def strictly(given: ssl.SSLContext) -> None:
            given.check_hostname = True

        def leniently(given: ssl.SSLContext) -> None:
            given.check_hostname = False

        for _ in range(2):
            self.connect(tls_server, TlsOptions(context, prepare=leniently), "other.test")
            with pytest.raises(CertificateError):
                self.connect(tls_server, TlsOptions(context, prepare=strictly), "other.test")

    def test_a_preparation_that_fails(self, certificates: Certificates, tls_server: RawServer) -> None:
        def prepare(given: ssl.SSLContext) -> None:
            given.load_cert_chain("/no/such/file")

        context = new_client_context(verify=certificates.ca_file)
        with pytest.raises(TLSError, match="cannot prepare"):
            self.connect(tls_server, TlsOptions(context, prepare=prepare), "localhost")
        assert issubclass(TLSError, errors.ConnectError)
