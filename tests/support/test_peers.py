"""The real peers start, answer and are found to be missing when they are."""

from __future__ import annotations

import http.client
import os
import socket

import pytest

from tests.support.certificates import Certificates
from tests.support.peers import Nginx, PeerError, find_program, free_ports


def test_a_missing_program_is_named_with_its_package() -> None:
    with pytest.raises(PeerError, match="apt-get install some-package"):
        find_program("no-such-program-here", "some-package")


def test_free_ports_differ_and_can_be_bound() -> None:
    ports = free_ports(3)
    assert len(set(ports)) == 3
    for port in ports:
        with socket.socket() as server:
            server.bind(("127.0.0.1", port))
            assert server.getsockname()[1] == port


def test_variables_of_the_machine_are_out_of_sight() -> None:
    assert not [name for name in os.environ if name.lower().endswith("_proxy")]
    assert "SSL_CERT_FILE" not in os.environ


@pytest.mark.peers
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_nginx_serves_its_files(nginx: Nginx, certificates: Certificates, tls: bool) -> None:
    (nginx.files / "hello").write_bytes(b"hello")
    client = (
        http.client.HTTPSConnection("localhost", nginx.tls_port, context=certificates.client_context(), timeout=10)
        if tls
        else http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=10)
    )
    client.request("GET", "/hello")
    with client.getresponse() as response:
        assert (response.status, response.read()) == (200, b"hello")
        assert response.headers["Server"] == nginx.version
    client.close()


@pytest.mark.peers
def test_nginx_with_a_broken_configuration_says_why(tmp_path, certificates: Certificates) -> None:
    with (
        pytest.raises(PeerError, match="no_such_directive"),
        Nginx(tmp_path, certificates, locations="no_such_directive;"),
    ):
        pytest.fail("it started")
