"""What a program sees when a proxy fails: with requests' adapter and with ours, the same."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from drivetrain.compat.requests_api import EngineAdapter
from tests.compat.requests_api.support import OK, Recorder, describe, full_listener, session_with
from tests.support.certificates import Certificates
from tests.support.peers import free_ports
from tests.support.proxies import ConnectProxy, SocksProxy
from tests.support.servers import Handler, RawServer, read_head, read_until_eof


def failure(kind: type[HTTPAdapter], url: str, proxy: str, retries: Any = 0, **options: Any) -> Any:
    """The error of a request through a proxy."""
    with session_with(kind(max_retries=retries)) as session, pytest.raises(requests.RequestException) as caught:
        session.get(url, proxies={"all": proxy}, **options)
    assert caught.value.request is not None
    return caught.value


def same_failure(url: str, proxy: str, retries: Any = 0, **options: Any) -> list[str]:
    """What both adapters say of a request, which must be the same."""
    theirs = describe(failure(HTTPAdapter, url, proxy, retries, **options))
    ours = describe(failure(EngineAdapter, url, proxy, retries, **options))
    assert ours == theirs
    return ours


SCHEMES = pytest.mark.parametrize("scheme", ["http", "https"])


@SCHEMES
@pytest.mark.parametrize("kind_of_proxy", ["http", "https"])
def test_nobody_listens(scheme: str, kind_of_proxy: str) -> None:
    (port,) = free_ports(1)
    said = same_failure(f"{scheme}://origin.test/path?q", f"{kind_of_proxy}://127.0.0.1:{port}")
    assert [line.partition(":")[0] for line in said] == [
        "ProxyError",
        "MaxRetryError",
        "ProxyError",
        "NewConnectionError",
    ]
    assert "Connection refused" in said[-1]


@SCHEMES
def test_a_name_that_is_none(scheme: str) -> None:
    theirs = describe(failure(HTTPAdapter, f"{scheme}://origin.test/", "http://proxy.invalid:3128"))
    ours = describe(failure(EngineAdapter, f"{scheme}://origin.test/", "http://proxy.invalid:3128"))
    assert [line.partition(":")[0] for line in ours] == [line.partition(":")[0] for line in theirs]
    assert "NameResolutionError" in ours[-2] + ours[-1]
    assert "proxy.invalid" in ours[0]


@SCHEMES
def test_a_proxy_that_does_not_answer(scheme: str) -> None:
    with full_listener() as port:
        said = same_failure(f"{scheme}://origin.test/", f"http://127.0.0.1:{port}", timeout=(0.2, 5))
    assert said[0].startswith(("ProxyError", "ConnectTimeout"))
    assert "timed out. (connect timeout=0.2)" in said[-1]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 9\r\n\r\nno origin",
        b"HTTP/1.1 403 Forbidden\r\n\r\n",
        b"HTTP/1.0 503 \r\n\r\n",
    ],
)
def test_a_refusal(answer: bytes) -> None:
    with ConnectProxy(answer=answer) as proxy:
        said = same_failure("https://origin.test:444/path", proxy.url)
    assert [line.partition(":")[0] for line in said] == ["ProxyError", "MaxRetryError", "ProxyError", "OSError"]
    status = answer.split(b"\r\n")[0].split(b" ", 1)[1].decode()
    assert said[-1] == f"OSError: Tunnel connection failed: {status}"


def test_a_refusal_for_want_of_credentials() -> None:
    with ConnectProxy(credentials="me:secret") as proxy:
        said = same_failure("https://origin.test/", proxy.url)
        assert said[-1] == "OSError: Tunnel connection failed: 407 Proxy Authentication Required"
        wrong = proxy.url.replace("//", "//me:wrong@")
        ours = describe(failure(EngineAdapter, "https://origin.test/", wrong))
        assert ours == describe(failure(HTTPAdapter, "https://origin.test/", wrong))
        assert "wrong" not in " ".join(ours)


def hanging_up(connection: socket.socket) -> None:
    read_head(connection)


def resetting(connection: socket.socket) -> None:
    read_head(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def silent(connection: socket.socket) -> None:
    read_head(connection)
    read_until_eof(connection)


def talking_nonsense(connection: socket.socket) -> None:
    read_head(connection)
    connection.sendall(b"what?\r\n\r\n")


@SCHEMES
@pytest.mark.parametrize("handler", [hanging_up, resetting])
def test_the_connection_breaks(scheme: str, handler: Handler) -> None:
    with RawServer(handler, tolerate=(OSError,)) as proxy:
        said = same_failure(f"{scheme}://origin.test/path", proxy.url)
    if scheme == "https":
        assert said[0].startswith("ConnectionError: ('Connection aborted.'")
    else:
        assert said[0].startswith("ProxyError: HTTPConnectionPool(host='127.0.0.1'")


def test_the_origin_hangs_up_in_the_tunnel(certificates: Certificates) -> None:
    """For urllib3 that is an error of the proxy's, too."""
    with (
        RawServer(hanging_up, context=certificates.server_context(), tolerate=(OSError,)) as origin,
        ConnectProxy() as proxy,
    ):
        said = same_failure(f"https://localhost:{origin.port}/", proxy.url, verify=str(certificates.ca_file))
    assert said[0].startswith("ProxyError: HTTPSConnectionPool(host='localhost'")


def test_nonsense() -> None:
    with RawServer(talking_nonsense, tolerate=(OSError,)) as proxy:
        theirs = describe(failure(HTTPAdapter, "https://origin.test/", proxy.url))
        ours = describe(failure(EngineAdapter, "https://origin.test/", proxy.url))
    assert [line.partition(":")[0] for line in ours] == [line.partition(":")[0] for line in theirs]


@SCHEMES
def test_silence(scheme: str) -> None:
    with RawServer(silent, tolerate=(OSError,)) as proxy:
        said = same_failure(f"{scheme}://origin.test/path", proxy.url, timeout=(0.2, 0.2))
    assert said[0].startswith("ReadTimeout")
    assert "Read timed out. (read timeout=0.2)" in said[0]


def test_silence_is_retried_as_a_read() -> None:
    with RawServer(silent, tolerate=(OSError,)) as proxy:
        said = same_failure("https://origin.test/path", proxy.url, Retry(total=1), timeout=(0.1, 0.1))
        assert proxy.connections == 4
    assert said[1].startswith("MaxRetryError")


@pytest.mark.parametrize(
    "retries", [0, 2, Retry(total=3, connect=1), Retry(total=5, other=2), Retry(connect=0, other=0)]
)
@pytest.mark.parametrize("answers", [False, True])
def test_retries(retries: Any, answers: bool) -> None:
    """Out of reach counts as `connect`, a refusal as `other`."""
    numbers: list[int] = []
    texts: list[list[str]] = []
    (port,) = free_ports(1)
    for kind in (HTTPAdapter, EngineAdapter):
        refusal = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
        with ConnectProxy(answer=refusal) as proxy:
            address = proxy.url if answers else f"http://127.0.0.1:{port}"
            said = describe(failure(kind, "https://origin.test/", address, retries))
            texts.append(said)
            numbers.append(proxy.connections)
    assert texts[0] == texts[1]
    assert numbers[0] == numbers[1]


# -- TLS ---------------------------------------------------------------------------------------------------------------


@SCHEMES
def test_the_certificate_of_a_proxy(scheme: str, certificates: Certificates, tmp_path: Path) -> None:
    other = Certificates.create(tmp_path)
    with ConnectProxy(context=other.server_context()) as proxy:
        url, verify = f"{scheme}://origin.test/", str(certificates.ca_file)
        ours = describe(failure(EngineAdapter, url, proxy.url, verify=verify))
        if scheme == "https":
            assert ours == describe(failure(HTTPAdapter, url, proxy.url, verify=verify))
    assert [line.partition(":")[0] for line in ours[:4]] == ["ProxyError", "MaxRetryError", "ProxyError", "SSLError"]
    assert "CERTIFICATE_VERIFY_FAILED" in ours[0]
    assert not proxy.heads


def test_a_proxy_without_tls(certificates: Certificates) -> None:
    def handler(connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        read_until_eof(connection)

    with RawServer(handler, tolerate=(OSError,)) as proxy:
        url = proxy.url.replace("http:", "https:")
        errors = [
            failure(kind, "https://origin.test/", url, verify=str(certificates.ca_file))
            for kind in (HTTPAdapter, EngineAdapter)
        ]
    assert [type(error) for error in errors] == [requests.exceptions.ProxyError] * 2
    for error in errors:
        inner = error.args[0].reason
        assert isinstance(inner, urllib3.exceptions.ProxyError)
        assert "Your proxy appears to only use HTTP and not HTTPS" in str(inner)
        assert isinstance(inner.original_error.args[0], ssl.SSLError)


def test_the_certificate_of_the_origin(certificates: Certificates, tmp_path: Path) -> None:
    other = Certificates.create(tmp_path)
    with RawServer(Recorder(OK), context=other.server_context()) as origin, ConnectProxy() as proxy:
        said = same_failure(f"https://localhost:{origin.port}/", proxy.url, verify=str(certificates.ca_file))
    assert [line.partition(":")[0] for line in said[:3]] == ["SSLError", "MaxRetryError", "SSLError"]


def test_the_name_of_the_origin(certificates: Certificates) -> None:
    with RawServer(Recorder(OK), context=certificates.server_context()) as origin, ConnectProxy() as proxy:
        said = same_failure(f"https://other.test:{origin.port}/", proxy.url, verify=str(certificates.ca_file))
    assert "other.test" in said[0]


# -- SOCKS, for which requests needs PySocks ----------------------------------------------------------------------------


@SCHEMES
def test_no_socks_proxy(scheme: str) -> None:
    (port,) = free_ports(1)
    said = describe(failure(EngineAdapter, f"{scheme}://origin.test/path", f"socks5h://127.0.0.1:{port}"))
    s = "S" if scheme == "https" else ""
    assert said[2] == (
        f"NewConnectionError: SOCKS{'HTTPS' if s else ''}Connection(host='origin.test', port={443 if s else 80}):"
        " Failed to establish a new connection: [Errno 111] Connection refused"
    )
    assert said[0].startswith(
        f"ConnectionError: SOCKSHTTP{s}ConnectionPool(host='origin.test', port={443 if s else 80}): Max retries exceeded"
        " with url: /path (Caused by NewConnectionError("
    )


@pytest.mark.parametrize(
    ("code", "text"), [(2, "0x02: Connection not allowed by ruleset"), (5, "0x05: Connection refused")]
)
def test_a_refusal_of_a_socks_proxy(code: int, text: str) -> None:
    with SocksProxy(refusals={"origin.test": code}) as proxy:
        error = failure(EngineAdapter, "http://origin.test/", f"socks5h://127.0.0.1:{proxy.port}")
    assert type(error) is requests.exceptions.ConnectionError
    assert isinstance(error.args[0].reason, urllib3.exceptions.NewConnectionError)
    assert f"Failed to establish a new connection: {text}" in str(error)


def test_a_socks_proxy_that_wants_credentials() -> None:
    with SocksProxy(credentials=(b"me", b"secret")) as proxy:
        for given in ("", "me:wrong@"):
            error = failure(EngineAdapter, "http://origin.test/", f"socks5h://{given}127.0.0.1:{proxy.port}")
            assert type(error) is requests.exceptions.ConnectionError
            assert isinstance(error.args[0].reason, urllib3.exceptions.NewConnectionError)
            assert "wrong" not in str(error)


@pytest.mark.parametrize("listens", [False, True])
def test_a_socks_proxy_that_does_not_answer(listens: bool) -> None:
    with RawServer(read_until_eof, tolerate=(OSError,)) as server, full_listener() as port:
        proxy = f"socks5h://127.0.0.1:{server.port if listens else port}"
        error = failure(EngineAdapter, "http://origin.test/", proxy, timeout=(0.2, 5))
    assert type(error) is requests.exceptions.ConnectTimeout
    assert "Connection to origin.test timed out. (connect timeout=0.2)" in str(error)


@pytest.mark.parametrize("url", ["socks5://origin.invalid", "socks5h://proxy.invalid"])
def test_a_name_that_socks_cannot_resolve(url: str) -> None:
    def handler(connection: socket.socket) -> None:
        connection.sendall(b"\x05\x00")
        read_until_eof(connection)

    with RawServer(handler) as proxy:
        address = f"socks5://127.0.0.1:{proxy.port}" if url.endswith("origin.invalid") else url
        error = failure(EngineAdapter, "http://origin.invalid/", address)
    assert type(error) is requests.exceptions.ConnectionError
    assert type(error.args[0].reason) is urllib3.exceptions.NewConnectionError
    assert isinstance(error.args[0].reason.__cause__, socket.gaierror)


# -- what is no proxy --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("proxy", ["http://", "http:///path", "/example.com/path", "http://:8080"])
def test_without_a_host(session: requests.Session, proxy: str) -> None:
    with pytest.raises(requests.exceptions.InvalidProxyURL, match="malformed and could be missing the host"):
        session.get("http://origin.test/", proxies={"http": proxy})


def test_another_scheme(session: requests.Session) -> None:
    with pytest.raises(requests.exceptions.InvalidURL, match="Proxy URL had unsupported scheme ftp"):
        session.get("http://origin.test/", proxies={"http": "ftp://proxy.test"})


def test_not_a_url(session: requests.Session) -> None:
    with pytest.raises(requests.exceptions.InvalidURL):
        session.get("http://origin.test/", proxies={"http": "http://proxy.test:port"})


@pytest.mark.parametrize("proxy", ["socks9://proxy.test", f"socks5://{'u' * 300}:p@proxy.test"])
def test_what_socks_does_not_have(engine_session: requests.Session, proxy: str) -> None:
    with pytest.raises(requests.exceptions.InvalidProxyURL):
        engine_session.get("http://origin.test/", proxies={"http": proxy})
