"""TLS of its own accord: handshakes that fail, ends without goodbye, tickets, threads, the law about unreported bytes."""

from __future__ import annotations

import socket
import ssl
import sys
import threading

import pytest
import trustme

from drivetrain.engine.backends.base import FOREVER, ByteStream
from drivetrain.engine.backends.blocking import BlockingBackend, run
from drivetrain.engine.backends.memory import MemoryBackend
from drivetrain.engine.connection.tls_stream import TlsStream, wrap_tls
from drivetrain.engine.errors import (
    CertificateError,
    ConnectTimeout,
    LocalProtocolError,
    ReadError,
    ReadTimeout,
    TLSError,
    UsageError,
    WriteTimeout,
)
from tests.backends.contract import noise, receive_exactly
from tests.support.certificates import Certificates

Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
def contexts(certificates: Certificates) -> Contexts:
    """A client's and a server's."""
    return certificates.client_context(), certificates.server_context()


class Opened:
    """Both ends of a handshake and what became of them."""

    def __init__(self) -> None:
        self.client: TlsStream | None = None
        self.server: TlsStream | None = None
        self.client_error: Exception | None = None
        self.server_error: Exception | None = None

    def both(self) -> tuple[TlsStream, TlsStream]:
        assert self.client is not None
        assert self.server is not None
        return self.client, self.server


async def handshake(
    backend: MemoryBackend,
    contexts: Contexts,
    name: str | None = "localhost",
    streams: tuple[ByteStream, ByteStream] | None = None,
) -> Opened:
    near, far = streams or backend.pipe()
    opened = Opened()

    async def serve() -> None:
        try:
            opened.server = await wrapped(backend, far, contexts[1], None, server=True)
        except Exception as error:
            opened.server_error = error

    task = backend.spawn(serve(), "server")
    try:
        opened.client = await wrapped(backend, near, contexts[0], name)
    except Exception as error:
        opened.client_error = error
    assert await task.join(FOREVER)
    return opened


async def wrapped(
    backend: MemoryBackend, stream: ByteStream, context: ssl.SSLContext, name: str | None, server: bool = False
) -> TlsStream:
    return await wrap_tls(
        stream,
        context,
        server_side=server,
        server_hostname=name,
        guard=backend.create_guard(),
        deadline=backend.now() + 10,
    )


class TestHandshake:
    def test_a_client_that_verifies_names_is_told_one(self, backend: MemoryBackend, certificates: Certificates) -> None:
        async def body() -> None:
            near, _ = backend.pipe()
            with pytest.raises(UsageError, match="must be told the name"):
                await wrapped(backend, near, certificates.client_context(), None)
            assert near.is_closed

        backend.run(body())

    def test_what_was_agreed_on(self, backend: MemoryBackend, certificates: Certificates) -> None:
        pair = certificates.client_context(["h2", "http/1.1"]), certificates.server_context(["h2"])

        async def body() -> None:
            client, server = (await handshake(backend, pair)).both()
            for stream in (client, server):
                assert stream.ssl_object.selected_alpn_protocol() == "h2"
                assert stream.ssl_object.version() == "TLSv1.3"
            assert client.ssl_object.getpeercert()

        backend.run(body())

    @pytest.mark.parametrize("name", ["127.0.0.1", "::1"])
    def test_addresses_as_names(self, backend: MemoryBackend, contexts: Contexts, name: str) -> None:
        async def body() -> None:
            client, _ = (await handshake(backend, contexts, name)).both()
            assert client.ssl_object.server_hostname == name

        backend.run(body())

    def test_the_wrong_name(self, backend: MemoryBackend, contexts: Contexts) -> None:
        async def body() -> None:
            streams = backend.pipe()
            opened = await handshake(backend, contexts, "example.org", streams)
            assert isinstance(opened.client_error, CertificateError)
            assert "example.org" in str(opened.client_error)
            assert isinstance(opened.client_error.__cause__, ssl.SSLCertVerificationError)
            assert streams[0].is_closed
            # In TLS 1.3 the server is done before the client refuses; it is told by an alert.
            if opened.server is not None:
                with pytest.raises(ReadError, match=r"(?i)certificate|alert"):
                    await opened.server.receive_some(1, FOREVER)

        backend.run(body())

    def test_an_unknown_authority(self, backend: MemoryBackend, contexts: Contexts) -> None:
        stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trustme.CA().configure_trust(stranger)

        async def body() -> None:
            opened = await handshake(backend, (stranger, contexts[1]))
            assert isinstance(opened.client_error, CertificateError)

        backend.run(body())

    def test_no_common_version(self, backend: MemoryBackend, contexts: Contexts) -> None:
        contexts[0].maximum_version = ssl.TLSVersion.TLSv1_2
        contexts[1].minimum_version = ssl.TLSVersion.TLSv1_3

        async def body() -> None:
            opened = await handshake(backend, contexts)
            for error in (opened.client_error, opened.server_error):
                assert isinstance(error, TLSError)
                assert isinstance(error.__cause__, ssl.SSLError)
                assert not isinstance(error, CertificateError)

        backend.run(body())

    @pytest.mark.parametrize("server", [False, True])
    def test_a_peer_that_speaks_in_clear(self, backend: MemoryBackend, contexts: Contexts, server: bool) -> None:
        async def body() -> None:
            near, far = backend.pipe()
            await far.send_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", FOREVER)
            with pytest.raises(TLSError) as caught:
                await wrapped(backend, near, contexts[server], None if server else "localhost", server)
            assert isinstance(caught.value.__cause__, ssl.SSLError)
            assert near.is_closed

        backend.run(body())

    @pytest.mark.parametrize("how", ["close", "reset"])
    def test_a_peer_that_goes(self, backend: MemoryBackend, contexts: Contexts, how: str) -> None:
        async def body() -> None:
            near, far = backend.pipe()
            far.reset() if how == "reset" else await far.send_eof(FOREVER)
            with pytest.raises(TLSError) as caught:
                await wrapped(backend, near, contexts[0], "localhost")
            assert (caught.value.errno is not None) is (how == "reset")

        backend.run(body())

    def test_a_peer_that_is_silent(self, backend: MemoryBackend, contexts: Contexts) -> None:
        async def body() -> None:
            near, _ = backend.pipe()
            start = backend.now()
            with pytest.raises(ConnectTimeout):
                await wrapped(backend, near, contexts[0], "localhost")
            assert backend.now() == start + 10
            assert near.is_closed

        backend.run(body())

    def test_names_and_contexts_that_do_not_fit(self, backend: MemoryBackend, contexts: Contexts) -> None:
        async def body() -> None:
            for context, name, server in (
                (contexts[0], "", False),
                (contexts[0], ".org", False),
                (contexts[0], None, True),
            ):
                near, _ = backend.pipe()
                with pytest.raises(UsageError):
                    await wrapped(backend, near, context, name, server)
                assert near.is_closed

        backend.run(body())


class TestEnds:
    def test_with_and_without_goodbye(self, backend: MemoryBackend, contexts: Contexts) -> None:
        async def body() -> None:
            for polite in (True, False):
                client, server = (await handshake(backend, contexts)).both()
                await server.send_all(b"answer", FOREVER)
                if polite:
                    await server.send_eof(FOREVER)
                server.close()
                assert await receive_exactly(client, 6) == b"answer"
                for _ in range(2):
                    assert await client.receive_some(100, FOREVER) == b""
                    assert client.ended_cleanly is polite

        backend.run(body())

    def test_garbage_is_an_error_after_the_data(self, backend: MemoryBackend, contexts: Contexts) -> None:
        async def body() -> None:
            streams = backend.pipe()
            client, server = (await handshake(backend, contexts, streams=streams)).both()
            await server.send_all(b"data", FOREVER)
            await streams[1].send_all(b"\x17\x03\x03\x00\x20" + bytes(32), FOREVER)
            assert await client.receive_some(100, FOREVER) == b"data"
            for _ in range(2):
                with pytest.raises(ReadError, match="TLS") as caught:
                    await client.receive_some(100, FOREVER)
                assert isinstance(caught.value.__cause__, ssl.SSLError)
            assert client.is_readable()
            with pytest.raises(ReadError, match=r"(?i)alert|mac"):
                await server.receive_some(100, FOREVER)

        backend.run(body())


class TestLooking:
    def test_session_tickets_are_not_input(self, backend: MemoryBackend, contexts: Contexts) -> None:
        async def body() -> None:
            streams = backend.pipe()
            client, server = (await handshake(backend, contexts, streams=streams)).both()
            assert streams[0].is_readable()  # two tickets
            assert not client.is_readable()
            assert not streams[0].is_readable()
            await server.send_all(b"input", FOREVER)
            assert client.is_readable()
            assert client.is_readable()
            assert await client.receive_some(2, FOREVER) == b"in"
            assert client.is_readable()
            assert await client.receive_some(20, FOREVER) == b"put"
            assert not client.is_readable()
            await server.send_eof(FOREVER)
            assert client.is_readable()
            assert await client.receive_some(20, FOREVER) == b""

        backend.run(body())

    def test_several_records_come_at_once(self, backend: MemoryBackend, contexts: Contexts) -> None:
        async def body() -> None:
            client, server = (await handshake(backend, contexts)).both()
            data = noise(60_000)
            for start in range(0, len(data), 6_000):
                await server.send_all(data[start : start + 6_000], FOREVER)
            assert await client.receive_some(35_000, FOREVER) == data[:35_000]
            assert await client.receive_some(65_536, FOREVER) == data[35_000:]
            with pytest.raises(ReadTimeout):
                await client.receive_some(1, backend.now() + 1)

        backend.run(body())

    def test_what_was_taken_in_counts_for_who_sends(self, backend: MemoryBackend, contexts: Contexts) -> None:
        async def body() -> None:
            client, server = (await handshake(backend, contexts, streams=backend.pipe(capacity=3_000))).both()
            await server.send_all(b"stop", FOREVER)
            assert client.is_readable()  # which takes it in
            data, sent = noise(20_000), 0
            while more := await client.send_some(data[sent:], FOREVER, or_readable=True):
                sent += more
            assert 0 < sent < 4_000
            assert await client.receive_some(20, FOREVER) == b"stop"
            with pytest.raises(WriteTimeout):
                await client.send_some(data[sent:], backend.now() + 1, or_readable=True)

        backend.run(body())


class TestUnreported:
    def test_other_bytes_are_refused(self, backend: MemoryBackend, contexts: Contexts) -> None:
        async def body() -> None:
            client, server = (await handshake(backend, contexts, streams=backend.pipe(capacity=3_000))).both()
            data = noise(20_000)
            sent = await client.send_some(data, FOREVER)
            assert 0 < sent < 4_000
            with pytest.raises(WriteTimeout):
                await client.send_some(data[sent:], backend.now() + 1)
            with pytest.raises(LocalProtocolError):
                await client.send_some(b"something else", FOREVER)

            async def check() -> None:
                assert await receive_exactly(server, len(data)) == data

            reader = backend.spawn(check(), "reader")
            # Shorter pieces than the one that was begun are fine.
            while sent < len(data):
                sent += await client.send_some(data[sent : sent + 700], FOREVER)
            assert await reader.join(FOREVER)

        backend.run(body())


class TestAnswers:
    def test_a_certificate_asked_for_after_the_handshake(
        self, backend: MemoryBackend, certificates: Certificates
    ) -> None:
        client_context, server_context = certificates.client_context(), certificates.server_context()
        client_context.load_cert_chain(certificates.client_file)
        client_context.post_handshake_auth = True
        certificates.authority.configure_trust(server_context)
        server_context.verify_mode = ssl.CERT_OPTIONAL
        server_context.post_handshake_auth = True

        async def body() -> None:
            streams = backend.pipe()
            client, server = (await handshake(backend, (client_context, server_context), streams=streams)).both()
            server.ssl_object.verify_client_post_handshake()
            await server.send_all(b"who are you?", FOREVER)
            # The client only reads; its answer goes out all the same.
            assert not streams[1].is_readable()
            assert await receive_exactly(client, 12) == b"who are you?"
            assert streams[1].is_readable()
            assert await client.send_some(b"I", FOREVER) == 1
            assert await server.receive_some(100, FOREVER) == b"I"
            assert server.ssl_object.getpeercert()

        backend.run(body())


class TestThreads:
    def test_one_reads_while_another_writes(self, certificates: Certificates) -> None:
        blocking = BlockingBackend()
        contexts = certificates.client_context(), certificates.server_context()
        ends = [run(blocking.adopt_socket(sock)) for sock in socket.socketpair()]
        streams: list[TlsStream | None] = [None, None]
        data = noise(2 << 20)
        received: list[bytes] = [b"", b""]

        def work(number: int) -> None:
            wrapping = wrap_tls(
                ends[number],
                contexts[number],
                server_side=number == 1,
                server_hostname=None if number else "localhost",
                guard=blocking.create_guard(),
                deadline=blocking.now() + 20,
            )
            stream = streams[number] = run(wrapping)
            writer = threading.Thread(target=write, args=(stream,))
            writer.start()
            received[number] = run(receive_exactly(stream, len(data), blocking.now() + 20, at_once=5_000))
            writer.join(20)

        def write(stream: TlsStream) -> None:
            for start in range(0, len(data), 3_333):
                run(stream.send_all(data[start : start + 3_333], blocking.now() + 20))

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(40)
                assert not thread.is_alive()
        finally:
            sys.setswitchinterval(interval)
        assert received[0] == data
        assert received[1] == data
        for end in ends:
            end.close()
