"""Which version of HTTP the servers speak with whom: ALPN, prior knowledge, upgrades, pinned versions, weak TLS."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from drivetrain.engine import BlockingBackend, Headers, run_blocking
from drivetrain.engine.connection.h1_connection import H1Connection
from drivetrain.engine.connection.h2_upgrade import client_upgraded, find_upgrade, upgrade_fields
from drivetrain.engine.protocol.h2_limits import H2Limits
from drivetrain.engine.tls import new_server_context
from tests.faces.h2_peer import PREFACE, H2Peer, h2_peer, settings_header
from tests.faces.serving import KINDS, Running, Serve, dial, reply, scripted, until
from tests.support.certificates import Certificates
from tests.support.servers import read_exactly, read_head, read_until_eof

Script = Iterator[Any]
GET = b"GET /p HTTP/1.1\r\nHost: h\r\n\r\n"
CBC = "ECDHE-ECDSA-AES128-SHA256"  # one of RFC 9113's appendix A


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind[0]}-{'async' if kind[1] else 'plain'}")
def serve(request: pytest.FixtureRequest) -> Serve:
    """See `scripted`."""
    return scripted(*request.param)


@pytest.fixture(params=["blocking", "asyncio"])
def serve_colour(request: pytest.FixtureRequest) -> Serve:
    return scripted(request.param, True)


def tell(stream: Any) -> Script:
    """Answer with the version that is spoken, method and path."""
    headers = yield stream.get_headers()
    yield reply(stream, f"{stream.version} {headers.get(':method')} {headers.get(':path')}".encode())


@contextlib.contextmanager
def dial_tls(running: Running, certificates: Certificates, *alpn: str, ciphers: str = "") -> Iterator[ssl.SSLSocket]:
    context = certificates.client_context(alpn)
    if ciphers:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(ciphers)
    with dial(running) as sock, context.wrap_socket(sock, server_hostname="localhost") as wrapped:
        yield wrapped


def speaks_h1(sock: socket.socket) -> bool:
    sock.sendall(GET)
    assert b"200 OK" in read_head(sock)
    return read_exactly(sock, len("1.1 GET /p")) == b"1.1 GET /p"


def speaks_h2(sock: socket.socket) -> bool:
    return H2Peer(sock).get("/p").body == b"2.0 GET /p"


class TestInClear:
    def test_prior_knowledge_and_http_1(self, serve: Serve) -> None:
        with serve(tell) as running:
            with dial(running) as sock:
                assert speaks_h2(sock)
            with dial(running) as sock:
                assert speaks_h1(sock)

    def test_a_preface_byte_by_byte(self, serve_colour: Serve) -> None:
        with serve_colour(tell) as running, h2_peer(running) as peer:
            data = peer.library.data_to_send()
            for position in range(len(PREFACE) + 12):
                peer.sock.sendall(data[position : position + 1])
            peer.sock.sendall(data[len(PREFACE) + 12 :])
            assert peer.get("/p").body == b"2.0 GET /p"

    @pytest.mark.parametrize("method", ["P", "PR", "PRI", "PRIX", "PRI*", "POST"])
    def test_what_begins_like_a_preface_and_is_none(self, serve_colour: Serve, method: str) -> None:
        request = GET.replace(b"GET", method.encode())
        with serve_colour(tell) as running, dial(running) as sock:
            for position in range(len(request)):
                sock.sendall(request[position : position + 1])
            assert b"200 OK" in read_head(sock)
            assert read_exactly(sock, 7 + len(method)) == f"1.1 {method} /p".encode()
            assert speaks_h1(sock)

    def test_an_unfinished_preface(self, serve_colour: Serve) -> None:
        for data in (b"P", PREFACE[:17]):
            with (
                serve_colour(tell, connection_setup_timeout=0.05, header_timeout=0.05) as running,
                dial(running) as sock,
            ):
                sock.sendall(data)
                assert b" 408 " in read_until_eof(sock)
            with serve_colour(tell) as running:
                with dial(running) as sock:
                    sock.sendall(data)
                    sock.shutdown(socket.SHUT_WR)
                    assert b" 400 " in read_until_eof(sock)
                until(lambda: running.connections == 0)
                assert running.errors == []

    def test_a_server_pinned_to_http_1(self, serve: Serve) -> None:
        with serve(tell, version=1.1) as running:
            with dial(running) as sock:
                assert speaks_h1(sock)
            with dial(running) as sock:
                sock.sendall(PREFACE + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
                assert read_until_eof(sock).startswith(b"HTTP/1.1 505 ")

    def test_a_server_pinned_to_http_2(self, serve: Serve) -> None:
        with serve(tell, version=2) as running:
            with dial(running) as sock:
                assert speaks_h2(sock)
            with dial(running) as sock:
                sock.sendall(GET)
                assert read_until_eof(sock).startswith(b"HTTP/1.1 505 ")
            until(lambda: running.connections == 0)
            assert running.errors == []

    def test_closing_before_the_first_byte(self, serve: Serve) -> None:
        with serve(tell) as running, dial(running) as silent, dial(running) as begun:
            begun.sendall(b"PRI")
            until(lambda: running.connections == 2)
            running.close()
            for sock in (silent, begun):
                with contextlib.suppress(ConnectionError):
                    assert read_until_eof(sock) == b""


class TestOverTls:
    def test_alpn_decides(self, serve: Serve, certificates: Certificates) -> None:
        context = new_server_context((certificates.server_file, certificates.server_key), alpn=("h2", "http/1.1"))
        with serve(tell, context=context) as running:
            for offered, agreed in ((("h2", "http/1.1"), "h2"), (("http/1.1",), "http/1.1"), ((), None)):
                with dial_tls(running, certificates, *offered) as sock:
                    assert sock.selected_alpn_protocol() == agreed
                    assert speaks_h2(sock) if agreed == "h2" else speaks_h1(sock)
            with dial_tls(running, certificates) as sock:
                assert speaks_h2(sock)
            with dial_tls(running, certificates, "http/1.1") as sock:
                sock.sendall(PREFACE)
                assert read_until_eof(sock).startswith(b"HTTP/1.1 505 ")

    def test_a_context_without_alpn(self, serve: Serve, certificates: Certificates) -> None:
        with serve(tell, context=certificates.server_context()) as running:
            with dial_tls(running, certificates, "h2", "http/1.1") as sock:
                assert sock.selected_alpn_protocol() is None
                assert speaks_h1(sock)
            with dial_tls(running, certificates) as sock:
                assert speaks_h2(sock)

    def test_a_pinned_version_is_what_is_offered(self, serve: Serve, certificates: Certificates) -> None:
        for version, agreed in ((1.1, "http/1.1"), (2, "h2")):
            context = certificates.server_context(("h2", "http/1.1"))
            with (
                serve(tell, context=context, version=version) as running,
                dial_tls(running, certificates, "h2", "http/1.1") as sock,
            ):
                assert sock.selected_alpn_protocol() == agreed
                assert speaks_h2(sock) if agreed == "h2" else speaks_h1(sock)

    def test_a_context_that_somebody_changed(self, serve: Serve, certificates: Certificates) -> None:
        context = certificates.server_context()
        with serve(tell, context=context, version=1.1) as running:
            context.set_alpn_protocols(["h2"])
            with dial_tls(running, certificates, "h2") as sock:
                peer = H2Peer(sock)
                peer.flush()
                peer.until_end()
                assert peer.goaway is not None
                assert peer.goaway.error_code == 13

    def test_facts(self, serve: Serve, certificates: Certificates) -> None:
        def script(stream: Any) -> Script:
            headers = yield stream.get_headers()
            yield reply(stream, f"{headers.get(':scheme')} {stream.checktls().version()}".encode())

        context = certificates.server_context(("h2",))
        with serve(script, context=context) as running, dial_tls(running, certificates, "h2") as sock:
            assert H2Peer(sock).get(scheme="https").body == b"https TLSv1.3"

    @pytest.mark.parametrize("alpn", [("h2",), ()])
    def test_a_banned_cipher(self, serve: Serve, certificates: Certificates, alpn: tuple[str, ...]) -> None:
        context = certificates.server_context(alpn)
        context.set_ciphers(CBC)
        with serve(tell, context=context) as running:
            with dial_tls(running, certificates, *alpn, ciphers=CBC) as sock:
                peer = H2Peer(sock)
                peer.ask()
                peer.until_end()
                assert peer.goaway is not None
                assert peer.goaway.error_code == 12
                assert not peer.answers[1].heads
            with dial_tls(running, certificates, ciphers=CBC) as sock:
                assert speaks_h1(sock)  # which may use it


def upgrade(settings: bytes | str, *lines: bytes, connection: bytes = b"Upgrade, HTTP2-Settings") -> bytes:
    value = base64.urlsafe_b64encode(settings).rstrip(b"=") if isinstance(settings, bytes) else settings.encode()
    head = [b"GET /p HTTP/1.1", b"Host: h", b"Connection: " + connection, b"Upgrade: h2c", b"HTTP2-Settings: " + value]
    return b"\r\n".join([*head, *lines, b"", b""])


PLENTY = settings_header(initial_window_size=1 << 20, enable_push=0)


class TestUpgrade:
    def test_the_answer_comes_over_http_2(self, serve: Serve) -> None:
        with serve(tell) as running, dial(running) as sock:
            sock.sendall(upgrade(PLENTY))
            head = read_head(sock)
            assert head.startswith(b"HTTP/1.1 101 ")
            assert b"upgrade: h2c" in head.lower()
            peer = H2Peer(sock, upgraded=True)
            peer.flush()
            assert peer.answer(1).body == b"2.0 GET /p"
            assert peer.get("/q").body == b"2.0 GET /q"
            assert peer.get("/r").body == b"2.0 GET /r"

    def test_what_the_request_has_become(self, serve: Serve) -> None:
        seen: list[Any] = []

        def script(stream: Any) -> Script:
            headers = yield stream.get_headers()
            body = yield stream.get_body_as_string()
            seen.append((list(headers.raw_fields()), body, stream.state))
            yield reply(stream)

        with serve(script) as running, dial(running) as sock:
            sock.sendall(upgrade(PLENTY, b"X-Mine: 1"))
            read_head(sock)
            peer = H2Peer(sock, upgraded=True)
            peer.flush()
            assert peer.answer(1).body == b"ok"
        pseudo = [(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/p")]
        assert seen == [([*pseudo, ("x-mine", "1")], b"", "half closed (remote)")]

    def test_after_other_requests_and_with_the_preface_at_once(self, serve: Serve) -> None:
        with serve(tell) as running, dial(running) as sock:
            assert speaks_h1(sock)
            peer = H2Peer(sock, upgraded=True)
            sock.sendall(GET + upgrade(PLENTY) + peer.library.data_to_send())
            assert b"200 OK" in read_head(sock)
            read_exactly(sock, len("1.1 GET /p"))
            assert b" 101 " in read_head(sock)
            assert peer.answer(1).body == b"2.0 GET /p"

    def test_the_settings_hold(self, serve: Serve) -> None:
        def script(stream: Any) -> Script:
            yield stream.get_headers()
            yield reply(stream, bytes(100))

        with serve(script) as running, dial(running) as sock:
            sock.sendall(upgrade(settings_header(initial_window_size=10)))
            read_head(sock)
            peer = H2Peer(sock, window=10, upgraded=True)
            peer.flush()
            peer.until(lambda: len(peer.answers[1].body) == 10)
            peer.library.increment_flow_control_window(90, 1)
            peer.flush()
            assert len(peer.answer(1).body) == 100

    @pytest.mark.parametrize(
        "request_",
        [
            upgrade("not!base64"),
            upgrade(""),
            upgrade("A"),
            upgrade(b"\x00\x04\x00"),
            upgrade(settings_header(initial_window_size=1 << 31)),
            upgrade(settings_header(enable_push=2)),
            upgrade(settings_header(max_frame_size=1)),
            upgrade(PLENTY, b"HTTP2-Settings: AAMAAABk"),
            upgrade(PLENTY, connection=b"Upgrade"),
            upgrade(PLENTY).replace(b"h2c", b"websocket"),
            upgrade(PLENTY).replace(b"GET /p HTTP/1.1\r\n", b"GET /p HTTP/1.0\r\n"),
            upgrade(PLENTY).replace(b"Host: h", b"Host: "),
        ],
    )
    def test_an_offer_that_is_none(self, serve_colour: Serve, request_: bytes) -> None:
        with serve_colour(tell) as running, dial(running) as sock:
            sock.sendall(request_)
            assert b" 200 OK" in read_head(sock)
            assert read_exactly(sock, 10)[-6:] == b"GET /p"

    def test_a_request_with_a_body_is_answered_as_it_came(self, serve: Serve) -> None:
        def script(stream: Any) -> Script:
            yield stream.get_headers()
            body = yield stream.get_body_as_string()
            yield reply(stream, f"{stream.version} ".encode() + body)

        with serve(script) as running, dial(running) as sock:
            sock.sendall(upgrade(PLENTY, b"Content-Length: 3").replace(b"GET", b"POST") + b"abc")
            assert b" 200 OK" in read_head(sock)
            assert read_exactly(sock, 7) == b"1.1 abc"

    def test_not_over_tls_and_not_when_pinned(self, serve: Serve, certificates: Certificates) -> None:
        with serve(tell, context=certificates.server_context()) as running, dial_tls(running, certificates) as sock:
            sock.sendall(upgrade(PLENTY))
            assert b" 200 OK" in read_head(sock)
        with serve(tell, version=1.1) as running, dial(running) as sock:
            sock.sendall(upgrade(PLENTY))
            assert b" 200 OK" in read_head(sock)

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_both_our_sides(self, serve: Serve, method: str) -> None:
        def script(stream: Any) -> Script:
            headers = yield stream.get_headers()
            yield stream.write_headers(Headers([(":status", "200"), ("content-length", "2")]), method == "HEAD")
            if method != "HEAD":
                yield stream.write_chunk(headers.get(":path").encode(), True)

        limits = H2Limits(stream_window=70_000)

        async def ask(running: Running, sock: socket.socket) -> tuple[Any, ...]:
            backend = BlockingBackend()
            first = H1Connection(await backend.adopt_socket(sock), backend)
            offer = first.new_stream()
            request = [(":method", method), (":scheme", "http"), (":authority", "h"), (":path", "/a")]
            await offer.write_headers(Headers([*request, *upgrade_fields(limits)]), True)
            head = await offer.get_headers(5)
            rest = first.take_socket()
            assert head is not None
            assert rest is not None
            connection, stream = client_upgraded(rest, backend, method, limits)
            try:
                answer = await stream.get_headers(5)
                body = await stream.get_body_as_string(5)
                other = connection.new_stream()
                await other.write_headers(Headers([*request[:3], (":path", "/b")]), True)
                await other.get_headers(5)
                other_body = await other.get_body_as_string(5)
                await connection.ping(5)
                return head.get(":status"), answer, body, other.id, other_body
            finally:
                connection.close()

        with serve(script) as running, dial(running) as sock:
            status, answer, body, other_id, other_body = run_blocking(ask(running, sock.dup()))
            assert (status, answer.get(":status"), other_id) == ("101", "200", 3)
            assert (body, other_body) == ((b"", b"") if method == "HEAD" else (b"/a", b"/b"))
            assert running.errors == []


def test_offers_are_found() -> None:
    request = Headers([(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/"), *upgrade_fields()])
    found = find_upgrade(request)
    assert found is not None
    assert base64.urlsafe_b64decode(found.settings)
    assert len(found.settings) % 4 == 0
    assert not found.headers.has("http2-settings")
