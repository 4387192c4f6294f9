"""The scripted server does what tests rely on: it reports a handler's failure, ends, and leaves nothing behind."""

from __future__ import annotations

import socket
import ssl

import pytest

from tests.support.certificates import Certificates
from tests.support.servers import RawServer, answering, read_exactly, read_head, read_until_eof


def connect(server: RawServer) -> socket.socket:
    return socket.create_connection(server.address, timeout=10)


def test_it_answers_in_turn() -> None:
    with RawServer(answering(b"one", b"two")) as server, connect(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        assert read_until_eof(client) == b"onetwo"
        assert server.connections == 1
    assert server.url.startswith("http://127.0.0.1:")


def test_a_handlers_failure_is_raised_at_the_end() -> None:
    def handler(connection: socket.socket) -> None:
        assert read_exactly(connection, 2) == b"no"

    with pytest.raises(AssertionError, match="yy"), RawServer(handler) as server, connect(server) as client:
        client.sendall(b"yy")
        assert client.recv(1) == b""


def test_the_failure_of_the_block_has_precedence() -> None:
    def handler(connection: socket.socket) -> None:
        raise AssertionError("of the handler")

    with pytest.raises(KeyError), RawServer(handler) as server, connect(server) as client:
        assert client.recv(1) == b""
        raise KeyError


def test_tolerated_failures_are_not_raised() -> None:
    def handler(connection: socket.socket) -> None:
        raise ConnectionResetError

    with RawServer(handler, tolerate=(ConnectionError,)) as server, connect(server) as client:
        assert client.recv(1) == b""


def test_leaving_ends_a_handler_that_reads() -> None:
    with RawServer(answering(b"x")) as server, connect(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert client.recv(10) == b"x"
        server.__exit__(None, None, None)
        assert client.recv(1) == b""
        server.__enter__()


def test_connections_are_served_side_by_side() -> None:
    with RawServer(answering(b"x")) as server, connect(server) as first, connect(server) as second:
        for client in (second, first):
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert client.recv(10) == b"x"
        assert server.connections == 2


def test_tls(certificates: Certificates) -> None:
    with RawServer(answering(b"secret"), context=certificates.server_context(["http/1.1"])) as server:
        context = certificates.client_context(["http/1.1"])
        with context.wrap_socket(connect(server), server_hostname="localhost") as client:
            assert client.selected_alpn_protocol() == "http/1.1"
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert client.recv(10) == b"secret"
    assert server.url.startswith("https://")


def test_a_refused_certificate_is_kept_and_not_raised(certificates: Certificates) -> None:
    with RawServer(answering(), context=certificates.server_context()) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with connect(server) as client, pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(client, server_hostname="localhost")
    assert len(server.handshake_errors) == 1


def test_a_client_certificate_can_be_demanded(certificates: Certificates) -> None:
    with RawServer(answering(b"x"), context=certificates.server_context(ask_client=True)) as server:
        context = certificates.client_context()
        context.load_cert_chain(certificates.client_file)
        with context.wrap_socket(connect(server), server_hostname="127.0.0.1") as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert client.recv(10) == b"x"


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="the platform has no UNIX-domain sockets")
def test_unix_sockets(short_tmp_path) -> None:
    path = str(short_tmp_path / "x")
    with RawServer(answering(b"x"), path=path), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(path)
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert client.recv(10) == b"x"


def test_a_head_cut_short_is_a_failure() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(b"GET / HTTP")
        left.close()
        with pytest.raises(AssertionError, match="inside a head"):
            read_head(right)
