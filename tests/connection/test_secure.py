"""TLS on a dialled connection: which name is sent, which is verified, by whom; client certificates; failures."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from drivetrain.engine import tls as tls_module
from drivetrain.engine.backends.base import Backend
from drivetrain.engine.connection.dial import DialOptions, TlsOptions, dial_tcp, secure
from drivetrain.engine.connection.tls_stream import wrap_tls
from drivetrain.engine.errors import CertificateError, ConnectTimeout, TLSError, UsageError
from drivetrain.engine.tls import new_client_context, new_server_context
from tests.connection.colours import Drive, drive_asyncio, drive_blocking, on_both
from tests.support.certificates import Certificates
from tests.support.servers import RawServer


class TlsServer(RawServer):
    """Sends one byte to each client and waits for its end; keeps the name each client sent."""

    def __init__(self, certificates: Certificates, *names: str, ask_client: bool = False) -> None:
        self.sent_names: list[str | None] = []
        self.shown: list[Any] = []
        leaf = certificates.authority.issue_cert(*(names or ("localhost", "127.0.0.1", "::1")))
        pems = b"".join(blob.bytes() for blob in leaf.cert_chain_pems), leaf.private_key_pem.bytes()
        context = new_server_context(pems, verify=certificates.ca_file if ask_client else False)

        def note(_session: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
            self.sent_names.append(name)

        context.sni_callback = note  # type: ignore[assignment]
        # A client that refuses the certificate resets the connection under the server's feet.
        super().__init__(self.greet, context=context, tolerate=(OSError,))

    def greet(self, connection: Any) -> None:
        self.shown.append(connection.getpeercert())
        connection.send(b"!")
        with contextlib.suppress(OSError):
            connection.recv(1)


@pytest.fixture
def trusting(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A context that trusts the tests' authority; the default context does it too."""
    monkeypatch.setattr(tls_module, "_default_contexts", {})
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))
    monkeypatch.setenv("SSL_CERT_DIR", "/no/such/directory")
    return new_client_context(verify=certificates.ca_file)


@pytest.fixture(autouse=True)
def _no_socket_left() -> Iterator[None]:
    """A socket that is collected without having been closed fails the test (ResourceWarning is an error)."""
    yield
    gc.collect()


def connect(
    drive: Drive[ssl.SSLObject], server: RawServer, options: TlsOptions, host: str = "localhost", timeout: float = 5
) -> ssl.SSLObject:
    """Dial, shake hands, read the greeting, close; return the session."""

    async def attempt(backend: Backend) -> ssl.SSLObject:
        deadline = backend.now() + timeout
        dialled = await dial_tcp(backend, host, server.port, DialOptions(resolver={"*": "127.0.0.1"}), deadline)
        try:
            stream = await secure(backend, dialled, options, host, deadline)
        except BaseException:
            assert dialled.is_closed
            raise
        assert await stream.receive_some(10, deadline) == b"!"
        session = stream.ssl_object
        stream.close()
        return session

    return drive(attempt)


_wrap_bio = ssl.SSLContext.wrap_bio


def wrap_bio_as_of_today(
    context: ssl.SSLContext, *bios: ssl.MemoryBIO, server_side: bool = False, server_hostname: str | None = None
) -> ssl.SSLObject:
    if context.check_hostname and not server_hostname:
        raise ValueError("check_hostname requires server_hostname")
    return _wrap_bio(context, *bios, server_side=server_side, server_hostname=server_hostname)


class TestNames:
    @on_both
    def test_the_host_is_sent_and_verified(
        self, drive: Drive[Any], certificates: Certificates, trusting: ssl.SSLContext
    ) -> None:
        with TlsServer(certificates) as server:
            session = connect(drive, server, TlsOptions(trusting, alpn=("spdy/1", "http/1.1")))
            assert session.version() == "TLSv1.3"
            assert session.selected_alpn_protocol() == "http/1.1"
        assert server.sent_names == ["localhost"]

    @on_both
    @pytest.mark.parametrize("given", [True, False])
    def test_a_wrong_name_is_refused(
        self, drive: Drive[Any], certificates: Certificates, trusting: ssl.SSLContext, given: bool
    ) -> None:
        options = TlsOptions(trusting if given else None)
        with TlsServer(certificates) as server, pytest.raises(CertificateError, match=r"other\.test"):
            connect(drive, server, options, "other.test")
        assert server.sent_names == ["other.test"]

    def test_a_wildcard(self, certificates: Certificates, trusting: ssl.SSLContext) -> None:
        for options in (TlsOptions(trusting), TlsOptions(trusting, sendname=False)):
            with TlsServer(certificates, "*.example.test") as server:
                connect(drive_blocking, server, options, "www.example.test")
                with pytest.raises(CertificateError):
                    connect(drive_blocking, server, options, "example.test")

    def test_a_trailing_dot_is_neither_sent_nor_verified(
        self, certificates: Certificates, trusting: ssl.SSLContext
    ) -> None:
        with TlsServer(certificates) as server:
            connect(drive_blocking, server, TlsOptions(trusting), "localhost.")
        assert server.sent_names == ["localhost"]

    @on_both
    @pytest.mark.parametrize("given", [True, False])
    def test_no_name_sent_but_the_host_verified(
        self, drive: Drive[Any], certificates: Certificates, trusting: ssl.SSLContext, given: bool
    ) -> None:
        options = TlsOptions(trusting if given else None, sendname=False)
        with TlsServer(certificates) as server:
            connect(drive, server, options)
            with pytest.raises(CertificateError, match=r"'other\.test', only for: localhost"):
                connect(drive, server, options, "other.test")
        assert server.sent_names == [None, None]

    @on_both
    def test_python_makes_no_session_without_a_name(
        self,
        drive: Drive[Any],
        certificates: Certificates,
        trusting: ssl.SSLContext,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """As it is since 3.14.8: the name is verified all the same, and the context stays as it is."""
        monkeypatch.setattr(ssl.SSLContext, "wrap_bio", wrap_bio_as_of_today)
        options = TlsOptions(trusting, sendname=False)
        with TlsServer(certificates) as server:
            assert isinstance(connect(drive, server, options), ssl.SSLObject)
            with pytest.raises(CertificateError, match=r"'other\.test', only for: localhost"):
                connect(drive, server, options, "other.test")
            stranger = new_client_context(verify=certificates.server_file.read_bytes())
            with pytest.raises(CertificateError, match="was refused"):
                connect(drive, server, TlsOptions(stranger, sendname=False))
        assert server.sent_names == [None, None, None]
        assert trusting.check_hostname

    def test_a_context_that_makes_sessions_itself_is_not_passed_by(self, certificates: Certificates) -> None:
        class Own(ssl.SSLContext):
            wrap_bio = wrap_bio_as_of_today

        context = Own(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(certificates.ca_file)
        with TlsServer(certificates) as server:
            connect(drive_blocking, server, TlsOptions(context))
            with pytest.raises(UsageError, match="check_hostname requires server_hostname"):
                connect(drive_blocking, server, TlsOptions(context, sendname=False))
        assert server.sent_names == ["localhost"]

    @on_both
    def test_who_verifies_no_name_must_tell_it(self, drive: Drive[Any], trusting: ssl.SSLContext) -> None:
        async def attempt(backend: Backend) -> None:
            stream = await dial_tcp(backend, "127.0.0.1", server.port, DialOptions(), backend.now() + 5)
            with pytest.raises(UsageError, match="must be told the name"):
                await wrap_tls(
                    stream,
                    trusting,
                    server_side=False,
                    server_hostname=None,
                    guard=backend.create_guard(),
                    deadline=backend.now() + 5,
                )
            assert stream.is_closed

        with RawServer(lambda connection: connection.recv(1), tolerate=(OSError,)) as server:
            drive(attempt)

    @pytest.mark.parametrize("sendname", [True, False])
    @on_both
    def test_an_address_is_verified_as_one_and_never_sent(
        self, drive: Drive[Any], certificates: Certificates, trusting: ssl.SSLContext, sendname: bool
    ) -> None:
        options = TlsOptions(trusting, sendname=sendname)
        with TlsServer(certificates) as server:
            connect(drive, server, options, "127.0.0.1")
        other = TlsServer(certificates, "localhost", "127.0.0.2")
        with other, pytest.raises(CertificateError, match=r"127\.0\.0\.1"):
            connect(drive, other, options, "127.0.0.1")
        assert [*server.sent_names, *other.sent_names] == [None, None]

    def test_an_ipv6_address(self, certificates: Certificates, trusting: ssl.SSLContext) -> None:
        # Only the name matters here, so the connection may go anywhere.
        async def attempt(backend: Backend) -> None:
            for host, fits in (("::1", True), ("::2", False)):
                with contextlib.nullcontext() if fits else pytest.raises(CertificateError):
                    stream = await dial_tcp(backend, "127.0.0.1", server.port, DialOptions(), backend.now() + 5)
                    stream = await secure(backend, stream, TlsOptions(trusting), host, backend.now() + 5)
                    stream.close()

        with TlsServer(certificates) as server:
            drive_blocking(attempt)
        assert server.sent_names == [None, None]

    @on_both
    def test_another_name_is_sent_and_verified(
        self, drive: Drive[Any], certificates: Certificates, trusting: ssl.SSLContext
    ) -> None:
        with TlsServer(certificates, "other.test") as server:
            connect(drive, server, TlsOptions(trusting, sendname="other.test"))
        with TlsServer(certificates) as wrong, pytest.raises(CertificateError, match=r"other\.test"):
            connect(drive, wrong, TlsOptions(trusting, sendname="other.test"))
        assert [*server.sent_names, *wrong.sent_names] == ["other.test"] * 2


class TestVerifyHost:
    @on_both
    def test_the_default_context_verifies_another_name_than_it_sends(
        self, drive: Drive[Any], certificates: Certificates, trusting: ssl.SSLContext
    ) -> None:
        with TlsServer(certificates, "other.test") as server:
            connect(drive, server, TlsOptions(verify_host="other.test"), "sent.test")
            connect(drive, server, TlsOptions(verify_host="other.test"), "127.0.0.1")
            connect(drive, server, TlsOptions(verify_host="other.test", sendname=False), "sent.test")
            connect(drive, server, TlsOptions(verify_host="other.test", sendname="sni.test"), "sent.test")
            for options in (TlsOptions(verify_host="wrong.test"), TlsOptions(verify_host="127.0.0.1", sendname=False)):
                with pytest.raises(CertificateError):
                    connect(drive, server, options, "sent.test")
        assert server.sent_names == ["sent.test", None, None, "sni.test", "sent.test", None]

    def test_an_address_to_verify(self, certificates: Certificates, trusting: ssl.SSLContext) -> None:
        with TlsServer(certificates) as server:
            connect(drive_blocking, server, TlsOptions(verify_host="127.0.0.1"), "sent.test")
            connect(drive_blocking, server, TlsOptions(trusting, verify_host="::1"), "127.0.0.1")
        assert server.sent_names == ["sent.test", None]

    def test_a_given_context_must_leave_the_name_to_us(
        self, certificates: Certificates, trusting: ssl.SSLContext
    ) -> None:
        with TlsServer(certificates, "other.test") as server:
            with pytest.raises(UsageError, match="check_hostname off"):
                connect(drive_blocking, server, TlsOptions(trusting, verify_host="other.test"), "sent.test")
            # Nothing conflicts where no name is sent, or the same.
            connect(drive_blocking, server, TlsOptions(trusting, verify_host="other.test", sendname=False), "sent.test")
            connect(drive_blocking, server, TlsOptions(trusting, verify_host="OTHER.test"), "other.test")
            trusting.check_hostname = False
            connect(drive_blocking, server, TlsOptions(trusting, verify_host="other.test"), "sent.test")
            for host in ("sent.test", "wrong.test"):
                with pytest.raises(CertificateError, match=r"wrong\.test"):
                    connect(drive_blocking, server, TlsOptions(trusting, verify_host="wrong.test"), host)

    def test_a_context_that_verifies_nothing(self, certificates: Certificates) -> None:
        blind = new_client_context(verify=False)
        with TlsServer(certificates) as server:
            connect(drive_blocking, server, TlsOptions(blind), "wrong.test")
            connect(drive_blocking, server, TlsOptions(blind, sendname=False), "wrong.test")
            with pytest.raises(UsageError, match="verifies no certificates"):
                connect(drive_blocking, server, TlsOptions(blind, verify_host="localhost"))

    def test_a_context_that_leaves_names_alone(self, certificates: Certificates) -> None:
        context = new_client_context(verify=certificates.ca_file, check_hostname=False)
        with TlsServer(certificates) as server:
            connect(drive_blocking, server, TlsOptions(context), "wrong.test")
            connect(drive_blocking, server, TlsOptions(context, sendname=False), "wrong.test")
        assert server.sent_names == ["wrong.test", None]


class TestOptions:
    def test_they_tell_connections_apart(self, trusting: ssl.SSLContext) -> None:
        assert len({TlsOptions(), TlsOptions(sendname=True), TlsOptions(trusting), TlsOptions(sendname=False)}) == 3

    @pytest.mark.parametrize(
        "name",
        [
            "",
            ".",
            ".a.test",
            "a..test",
            "a b",
            "bücher.test",
            "a\0b.test",
            "a" * 64 + ".test",
            "a." * 130,
            "[::1]",
            "*.a",
        ],
    )
    def test_what_is_no_name(self, name: str) -> None:
        with pytest.raises(UsageError, match="neither a host name"):
            TlsOptions(sendname=name)
        with pytest.raises(UsageError, match="neither a host name"):
            TlsOptions(verify_host=name)

    def test_a_host_that_is_none(self, certificates: Certificates, trusting: ssl.SSLContext) -> None:
        with TlsServer(certificates) as server, pytest.raises(UsageError, match="neither a host name"):
            connect(drive_blocking, server, TlsOptions(trusting), "a" * 64)


class TestHandshake:
    @on_both
    def test_a_client_certificate(
        self, drive: Drive[Any], certificates: Certificates, trusting: ssl.SSLContext
    ) -> None:
        chain, key = certificates.client.cert_chain_pems[0].bytes(), certificates.client.private_key_pem.bytes()
        with TlsServer(certificates, ask_client=True) as server:
            for cert in (certificates.client_file, (chain, key)):
                connect(drive, server, TlsOptions(new_client_context(verify=certificates.ca_file, cert=cert)))
        assert [("email", "client@example.org") in shown["subjectAltName"] for shown in server.shown] == [True, True]

    @on_both
    def test_a_stranger_is_refused(self, drive: Drive[Any], certificates: Certificates) -> None:
        with TlsServer(certificates) as server, pytest.raises(CertificateError):
            connect(drive, server, TlsOptions(new_client_context(verify=certificates.server_file.read_bytes())))

    @on_both
    def test_a_server_without_tls(self, drive: Drive[Any], trusting: ssl.SSLContext) -> None:
        def answer(connection: socket.socket) -> None:
            connection.recv(1)
            connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        with RawServer(answer, tolerate=(OSError,)) as server, pytest.raises(TLSError) as caught:
            connect(drive, server, TlsOptions(trusting))
        assert not isinstance(caught.value, CertificateError)

    @on_both
    def test_a_silent_server(self, drive: Drive[Any], trusting: ssl.SSLContext) -> None:
        def wait(connection: socket.socket) -> None:
            while connection.recv(4096):
                pass

        with RawServer(wait, tolerate=(OSError,)) as server, pytest.raises(ConnectTimeout):
            connect(drive, server, TlsOptions(trusting), timeout=0.05)

    def test_cancellation_closes_the_connection(self, trusting: ssl.SSLContext) -> None:
        begun = threading.Event()

        def wait(connection: socket.socket) -> None:
            while connection.recv(4096):
                begun.set()

        async def attempt(backend: Backend) -> None:
            stream = await dial_tcp(backend, "127.0.0.1", server.port, DialOptions(), backend.now() + 5)
            task = asyncio.ensure_future(secure(backend, stream, TlsOptions(trusting), "localhost", backend.now() + 5))
            while not begun.is_set():
                assert not task.done()
                await asyncio.sleep(0)
            assert not stream.is_closed
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert stream.is_closed
            assert stream.fileno() == -1

        with RawServer(wait, tolerate=(OSError,)) as server:
            drive_asyncio(attempt)
