"""How `connect` for asyncio reaches a server: addresses, sockets, TLS, proxies, and through a client of the engine."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from drivetrain.compat.websockets_api.asyncio.client import connect, unix_connect
from drivetrain.compat.websockets_api.exceptions import (
    InvalidProxy,
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidStatus,
    ProxyError,
)
from drivetrain.compat.websockets_api.http11 import USER_AGENT
from drivetrain.engine import AsyncClient, CookieStore, H2Limits
from tests.compat.websockets_api.asyncio.support import raw, run, serving
from tests.support.certificates import Certificates
from tests.support.proxies import ConnectProxy, SocksProxy


async def works(uri: str, **options: Any) -> Any:
    """See that a connection works; returns it, closed."""
    async with connect(uri, **options) as websocket:
        await websocket.send("x")
        assert await websocket.recv() == "x"
    return websocket


# --- addresses --------------------------------------------------------------------------------------------------------


def test_host_and_port_lead_elsewhere() -> None:
    async def main() -> None:
        async with serving() as served:
            await works("ws://example.test/a", host="localhost", port=served.port)
            await works(f"ws://example.test:{served.port}/a", host="127.0.0.1")
            await works("ws://localhost:81/a", port=served.port)
            names = [request.get(":authority") for request in served.requests]
            assert names == ["example.test", f"example.test:{served.port}", "localhost:81"]

    run(main())


def test_a_local_address() -> None:
    async def main() -> None:
        async with serving() as served:
            websocket = await works(served.uri, local_addr=("127.0.0.1", 0))
            assert websocket.local_address[0] == "127.0.0.1"
            with pytest.raises(OSError, match="ssign"):
                await connect(served.uri, local_addr=("192.0.2.1", 0))

    run(main())


def test_a_family() -> None:
    async def main() -> None:
        async with serving() as served:
            websocket = await works(served.uri, family=socket.AF_INET)
            assert websocket.remote_address == ("127.0.0.1", served.port)
            with pytest.raises((ConnectionRefusedError, socket.gaierror)):
                await connect(served.uri, family=socket.AF_INET6)

    run(main())


def test_ipv6() -> None:
    async def main() -> None:
        async with serving(host="::1") as served:
            websocket = await works(f"ws://[::1]:{served.port}/")
            assert websocket.remote_address == ("::1", served.port, 0, 0)
            assert served.requests[0].get(":authority") == f"[::1]:{served.port}"

    run(main())


@pytest.mark.parametrize(
    "options", [{"happy_eyeballs_delay": 0.1}, {"interleave": 1}, {"all_errors": True}, {"flags": 0}, {"proto": 0}]
)
def test_keywords_of_create_connection(options: dict[str, Any]) -> None:
    async def main() -> None:
        async with serving() as served:
            websocket = await works(served.uri, **options)
            assert websocket.remote_address[1] == served.port

    run(main())


def test_a_socket() -> None:
    async def main() -> None:
        async with serving() as served:
            sock = socket.create_connection(("127.0.0.1", served.port))
            name = sock.getsockname()
            websocket = await works("ws://example.test/", sock=sock)
            assert websocket.local_address == name
            assert served.requests[0].get(":authority") == "example.test"
            with pytest.raises(ValueError, match="host/port and sock can not be specified at the same time"):
                await connect("ws://example.test/", sock=sock, host="localhost")

    run(main())


def test_unix(short_tmp_path: Path) -> None:
    path = str(short_tmp_path / "s")

    async def main() -> None:
        async with serving(path=path) as served:
            async with unix_connect(path) as websocket:
                await websocket.send("x")
                assert await websocket.recv() == "x"
                assert websocket.remote_address == path
            async with unix_connect(path.encode(), "ws://example.test/p"):
                pass
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(path)
            async with unix_connect(sock=sock):
                pass
            asked = [(request.get(":authority"), request.get(":path")) for request in served.requests]
            assert asked == [("localhost", "/"), ("example.test", "/p"), ("localhost", "/")]
            for arguments, text in [({"path": path, "sock": sock}, "can not be specified"), ({}, "no path and sock")]:
                with pytest.raises(ValueError, match=text):
                    await unix_connect(**arguments)
            with pytest.raises(
                TypeError, match=r"create_unix_connection\(\) got an unexpected keyword argument 'host'"
            ):
                await unix_connect(path, host="x")

    run(main())


@pytest.mark.parametrize(
    ("uri", "options", "error"),
    [
        ("ws://127.0.0.1:1/", {}, ConnectionRefusedError),
        ("ws://localhost:1/", {}, ConnectionRefusedError),
        ("ws://localhost/", {"host": "127.0.0.1", "port": 1}, ConnectionRefusedError),
    ],
)
def test_nobody_there(uri: str, options: dict[str, Any], error: type[OSError]) -> None:
    async def main() -> None:
        with pytest.raises(error) as caught:
            await connect(uri, proxy=None, **options)
        assert type(caught.value).__module__ in ("builtins", "socket")

    run(main())


def test_a_name_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def main() -> None:
        monkeypatch.setattr(socket, "getaddrinfo", fail)
        for options in ({}, {"family": socket.AF_INET}):
            with pytest.raises(socket.gaierror, match="Name or service not known"):
                await connect("ws://example.test/", proxy=None, **options)

    run(main())


def test_no_such_socket() -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError):
            await unix_connect("/nowhere/at/all")

    run(main())


# --- TLS --------------------------------------------------------------------------------------------------------------


def secure(certificates: Certificates, **options: Any) -> Any:
    return serving(scheme="wss", context=certificates.server_context(), **options)


def test_tls(certificates: Certificates) -> None:
    context = certificates.client_context()

    async def main() -> None:
        async with secure(certificates) as served:
            websocket = await works(served.uri, ssl=context)
            assert websocket.protocol.uri.secure
            await works("wss://localhost/", ssl=context, port=served.port)
            await works(
                "wss://example.test/", ssl=context, host="127.0.0.1", port=served.port, server_hostname="localhost"
            )
            for options in ({}, {"ssl": True}):
                with pytest.raises(ssl.SSLCertVerificationError):
                    await connect(served.uri, proxy=None, **options)
            with pytest.raises(ssl.SSLCertVerificationError, match="other"):
                await connect(served.uri, ssl=context, server_hostname="other.test")
            with pytest.raises(ssl.SSLCertVerificationError, match=r"example\.test"):
                await connect("wss://example.test/", ssl=context, host="127.0.0.1", port=served.port)
            with pytest.raises(ValueError, match="ssl=None is incompatible with a wss:// URI"):
                await connect(served.uri, ssl=None)

    run(main())


def test_tls_without_verification(certificates: Certificates) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    async def main() -> None:
        async with secure(certificates) as served:
            websocket = await works(served.uri, ssl=context, ssl_handshake_timeout=5, ssl_shutdown_timeout=5)
            assert websocket.protocol.uri.secure

    run(main())


def test_tls_on_a_socket_of_the_system(certificates: Certificates, short_tmp_path: Path) -> None:
    path = str(short_tmp_path / "s")

    async def main() -> None:
        context = certificates.client_context()
        async with secure(certificates, path=path), unix_connect(path, ssl=context) as websocket:
            assert websocket.protocol.uri.secure
            assert websocket.request.headers["Host"] == "localhost"

    run(main())


def test_a_peer_that_does_not_speak_tls(certificates: Certificates) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def main(uri: str) -> None:
        with pytest.raises(ssl.SSLError):
            await connect(uri.replace("ws:", "wss:"), ssl=certificates.client_context(), proxy=None)

    with raw(answer) as uri:
        run(main(uri))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"ssl_handshake_timeout": 0.1}, ConnectionAbortedError, "SSL handshake is taking longer than 0.1 seconds"),
        ({"ssl_handshake_timeout": 5, "open_timeout": 0.1}, TimeoutError, "timed out during opening handshake"),
        ({"open_timeout": 0.1}, TimeoutError, "timed out during opening handshake"),
    ],
)
def test_a_handshake_that_does_not_end(
    options: dict[str, Any], error: type[Exception], text: str, certificates: Certificates
) -> None:
    def silent(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    async def main(uri: str) -> None:
        begin = time.monotonic()
        with pytest.raises(error, match=text):
            await connect(uri.replace("ws:", "wss:"), ssl=certificates.client_context(), proxy=None, **options)
        assert time.monotonic() - begin < 2

    with raw(silent) as uri:
        run(main(uri))


# --- proxies ----------------------------------------------------------------------------------------------------------


def test_an_http_proxy() -> None:
    async def main(proxy: ConnectProxy) -> None:
        async with serving() as served:
            uri = f"ws://example.test:{served.port}/"
            await works(uri, proxy=f"http://127.0.0.1:{proxy.port}")
            await works(uri, proxy=f"http://127.0.0.1:{proxy.port}", user_agent_header=None)
            await works(uri, proxy=f"http://127.0.0.1:{proxy.port}", local_addr=("127.0.0.1", 0))
        first, second, _ = [head.decode().lower() for head in proxy.heads]
        assert first.startswith(f"connect example.test:{served.port} http/1.1\r\n")
        assert f"host: example.test:{served.port}\r\n" in first
        assert f"user-agent: {USER_AGENT}\r\n".lower() in first
        assert "user-agent" not in second
        assert "user-agent" not in second

    with ConnectProxy() as proxy:
        run(main(proxy))


def test_a_proxy_with_credentials() -> None:
    async def main(proxy: ConnectProxy) -> None:
        async with serving() as served:
            await works(served.uri, proxy=f"http://me:p%40ss@127.0.0.1:{proxy.port}")
            assert served.requests[0].get("proxy-authorization") is None
            with pytest.raises(InvalidProxyStatus, match="proxy rejected connection: HTTP 407") as caught:
                await connect(served.uri, proxy=f"http://127.0.0.1:{proxy.port}")
            assert caught.value.response.headers["Proxy-Authenticate"] == 'Basic realm="x"'

    with ConnectProxy(credentials="me:p@ss") as proxy:
        run(main(proxy))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", InvalidProxyStatus),
        (b"", InvalidProxyMessage),
    ],
)
def test_a_proxy_that_refuses(answer: bytes, error: type[Exception]) -> None:
    async def main(proxy: ConnectProxy) -> None:
        with pytest.raises(ProxyError) as caught:
            await connect("ws://example.test/", proxy=f"http://127.0.0.1:{proxy.port}")
        assert type(caught.value) is error

    with ConnectProxy(answer=answer) as proxy:
        run(main(proxy))


def test_a_proxy_that_is_not_there() -> None:
    async def main() -> None:
        for scheme in ("http", "socks5"):
            with pytest.raises(ConnectionRefusedError):
                await connect("ws://example.test/", proxy=f"{scheme}://127.0.0.1:1")

    run(main())


@pytest.mark.parametrize(
    ("proxy", "text"),
    [
        ("gopher://x", "scheme gopher isn't supported"),
        ("http://", "hostname isn't provided"),
        ("http://x/p", "path is meaningless"),
        ("http://me@x", "username provided without password"),
    ],
)
def test_what_is_no_proxy(proxy: str, text: str) -> None:
    async def main() -> None:
        with pytest.raises(InvalidProxy, match=text):
            await connect("ws://localhost/", proxy=proxy)

    run(main())


def test_an_https_proxy(certificates: Certificates) -> None:
    context = certificates.client_context()

    async def main(proxy: ConnectProxy) -> None:
        there, name = f"https://localhost:{proxy.port}", f"https://127.0.0.1:{proxy.port}"
        async with secure(certificates) as served:
            await works(served.uri, ssl=context, proxy=there, proxy_ssl=context)
            await works(served.uri, ssl=context, proxy=name, proxy_ssl=context, proxy_server_hostname="localhost")
            with pytest.raises(ssl.SSLCertVerificationError):
                await connect(served.uri, ssl=context, proxy=there)
            with pytest.raises(ssl.SSLCertVerificationError, match=r"other\.test"):
                await connect(
                    served.uri, ssl=context, proxy=there, proxy_ssl=context, proxy_server_hostname="other.test"
                )
            with pytest.raises(ValueError, match="proxy_ssl=None is incompatible with an https:// proxy"):
                await connect(served.uri, proxy=there, proxy_ssl=None)
            with pytest.raises(ValueError, match="proxy_ssl argument is incompatible with an http:// proxy"):
                await connect(served.uri, proxy="http://localhost:1", proxy_ssl=context)

    with ConnectProxy(context=certificates.server_context()) as proxy:
        run(main(proxy))


@pytest.mark.parametrize(
    ("scheme", "asked"),
    [
        ("socks5h", (5, "example.test")),
        ("socks5", (5, "127.0.0.1")),
        ("socks4a", (4, "example.test")),
        ("socks4", (4, "127.0.0.1")),
    ],
)
def test_a_socks_proxy(scheme: str, asked: tuple[int, str]) -> None:
    async def main(proxy: SocksProxy) -> None:
        host = "example.test" if asked[1] == "example.test" else "127.0.0.1"
        async with serving() as served:
            await works(f"ws://{host}:{served.port}/", proxy=f"{scheme}://127.0.0.1:{proxy.port}")
            assert proxy.asked == [(*asked, served.port)]

    with SocksProxy() as proxy:
        run(main(proxy))


def test_a_socks_proxy_with_credentials_and_refusals() -> None:
    async def main(proxy: SocksProxy) -> None:
        async with serving() as served:
            good = f"socks5h://me:pass@127.0.0.1:{proxy.port}"
            await works(served.uri, proxy=good)
            with pytest.raises(ProxyError, match="failed to connect to SOCKS proxy"):
                await connect(served.uri, proxy=f"socks5h://me:wrong@127.0.0.1:{proxy.port}")
            with pytest.raises(ProxyError, match="failed to connect to SOCKS proxy"):
                await connect("ws://refused.test/", proxy=good)

    with SocksProxy(credentials=(b"me", b"pass"), refusals={"refused.test": 2}) as proxy:
        run(main(proxy))


def test_the_environment_names_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(proxy: ConnectProxy) -> None:
        monkeypatch.setenv("ws_proxy", f"http://127.0.0.1:{proxy.port}")
        async with serving() as served:
            await works(f"ws://example.test:{served.port}/")
            assert len(proxy.heads) == 1
            await works(served.uri, proxy=None)
            await works("ws://example.test/", sock=socket.create_connection(("127.0.0.1", served.port)))
            monkeypatch.setenv("no_proxy", "localhost")
            await works(served.uri)
            assert len(proxy.heads) == 1

    with ConnectProxy() as proxy:
        run(main(proxy))


# --- by a client of the engine ----------------------------------------------------------------------------------------


def test_a_client_of_the_engine() -> None:
    async def main() -> None:
        async with serving() as served, AsyncClient(cookies=CookieStore(), headers={"X-Mine": "1"}) as client:
            websocket = await works(
                served.uri + "/a", client=client, additional_headers={"X-A": "2"}, subprotocols=["s"]
            )
            assert websocket.request.path == "/a"
            request = served.requests[0]
            assert (request.get("x-mine"), request.get("x-a")) == ("1", "2")
            assert request.get("sec-websocket-protocol") == "s"
            assert (await client.get(served.uri.replace("ws", "http"))).status == 200

    run(main())


def test_a_client_of_the_engine_over_http_2(certificates: Certificates) -> None:
    async def main() -> None:
        context = certificates.server_context(["h2", "http/1.1"])
        limits = H2Limits(enable_connect_protocol=True)
        trusting = AsyncClient(ssl_context=certificates.client_context())
        async with serving(scheme="wss", context=context, h2_limits=limits) as served, trusting as client:
            first, second = await asyncio.gather(
                works(served.uri, client=client), works(served.uri, client=client, compression=None)
            )
            assert first.core.version == second.core.version == 2.0
            assert first.close_code == second.close_code == 1000

    run(main())


def test_failures_through_a_client_are_the_same() -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    async def main(uri: str) -> None:
        async with AsyncClient() as client:
            with pytest.raises(InvalidStatus, match="403"):
                await connect(uri, client=client)
            with pytest.raises(ConnectionRefusedError):
                await connect("ws://127.0.0.1:1/", client=client)

    with raw(answer) as uri:
        run(main(uri))
