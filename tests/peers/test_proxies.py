"""Tunnels and plain requests through tinyproxy, squid, microsocks, Dante and stunnel, in both colours, to nginx."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivetrain.engine.backends.base import Backend, ByteStream
from drivetrain.engine.connection.dial import DialOptions, TlsOptions, secure
from drivetrain.engine.connection.h1_connection import H1Connection
from drivetrain.engine.connection.proxy import Proxy, reach_proxy
from drivetrain.engine.connection.tunnel import Authenticate, open_through
from drivetrain.engine.errors import CertificateError, ProxyError, SocksError
from drivetrain.engine.policy.digest import DigestSession, choose_challenge
from drivetrain.engine.policy.proxies import forwarded
from drivetrain.engine.tls import new_client_context
from drivetrain.engine.wire.challenges import parse_challenges
from drivetrain.engine.wire.headers import Headers
from drivetrain.engine.wire.uri import parse_uri
from tests.connection.colours import Drive, on_both
from tests.support.certificates import Certificates
from tests.support.peers import Nginx, free_ports
from tests.support.proxy_peers import Dante, Microsocks, Squid, Stunnel, Tinyproxy

pytestmark = pytest.mark.peers

CONTENT = bytes(range(256)) * 4000
LOCAL = DialOptions(resolver={"localhost": "127.0.0.1"})


@pytest.fixture(scope="module")
def site(nginx: Nginx) -> Nginx:
    (nginx.files / "proxied").write_bytes(CONTENT)
    return nginx


@pytest.fixture(scope="module")
def tinyproxy(tmp_path_factory: pytest.TempPathFactory, site: Nginx) -> Iterator[Tinyproxy]:
    with Tinyproxy(tmp_path_factory.mktemp("tinyproxy"), site.tls_port) as peer:
        yield peer


@pytest.fixture(scope="module")
def strict_tinyproxy(tmp_path_factory: pytest.TempPathFactory, site: Nginx) -> Iterator[Tinyproxy]:
    with Tinyproxy(tmp_path_factory.mktemp("tinyproxy"), site.tls_port, ("me", "secret")) as peer:
        yield peer


@pytest.fixture(scope="module")
def microsocks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Microsocks]:
    with Microsocks(tmp_path_factory.mktemp("microsocks")) as peer:
        yield peer


@pytest.fixture(scope="module")
def strict_microsocks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Microsocks]:
    with Microsocks(tmp_path_factory.mktemp("microsocks"), ("me", "secret")) as peer:
        yield peer


@pytest.fixture(scope="module")
def dante(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dante]:
    with Dante(tmp_path_factory.mktemp("dante")) as peer:
        yield peer


@pytest.fixture(scope="module")
def squid() -> Iterator[Squid]:
    with Squid(("me", "secret")) as peer:
        yield peer


@pytest.fixture
def trust(certificates: Certificates) -> TlsOptions:
    return TlsOptions(new_client_context(verify=certificates.ca_file), alpn=("http/1.1",))


async def get(backend: Backend, stream: ByteStream, headers: Headers) -> tuple[str | None, bytes]:
    """Send a request on a stream; return status and body. The stream is closed."""
    connection = H1Connection(stream, backend)
    try:
        exchange = connection.new_stream()
        await exchange.write_headers(headers, True, 10)
        head = await exchange.get_headers(10)
        return head and head.get(":status"), await exchange.get_body_as_string(10)
    finally:
        connection.close()


def request(path: str = "/proxied") -> Headers:
    return Headers([(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", path)])


async def check_fetch(backend: Backend, proxy: Proxy, site: Nginx, trust: TlsOptions, **options: Any) -> None:
    """Fetch a file over TLS through `proxy`, verified for "localhost"; and see a name that does not fit refused."""
    deadline = backend.now() + 20
    tunnel = await open_through(backend, proxy, "localhost", site.tls_port, deadline, tls=trust, dial=LOCAL, **options)
    stream = await secure(backend, tunnel, trust, "localhost", deadline)
    assert await get(backend, stream, request()) == ("200", CONTENT)
    tunnel = await open_through(backend, proxy, "127.0.0.1", site.tls_port, deadline, tls=trust, dial=LOCAL, **options)
    with pytest.raises(CertificateError, match=r"other\.test"):
        await secure(backend, tunnel, trust, "other.test", deadline)
    assert tunnel.is_closed


@on_both
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_microsocks(drive: Drive[None], microsocks: Microsocks, site: Nginx, trust: TlsOptions, scheme: str) -> None:
    drive(lambda backend: check_fetch(backend, Proxy(scheme, "127.0.0.1", microsocks.port), site, trust))


@on_both
def test_microsocks_with_a_password(
    drive: Drive[None], strict_microsocks: Microsocks, site: Nginx, trust: TlsOptions
) -> None:
    port = strict_microsocks.port

    async def attempt(backend: Backend) -> None:
        await check_fetch(backend, Proxy("socks5h", "127.0.0.1", port, "me", "secret"), site, trust)
        for credentials in ((None, None), ("me", "wrong")):
            proxy = Proxy("socks5h", "127.0.0.1", port, *credentials)
            with pytest.raises(SocksError) as caught:
                await open_through(backend, proxy, "localhost", site.tls_port, backend.now() + 10)
            assert caught.value.errno == errno.EACCES

    drive(attempt)


@on_both
@pytest.mark.parametrize("scheme", ["socks4", "socks5", "socks5h"])  # it does not know 4a
def test_dante(drive: Drive[None], dante: Dante, site: Nginx, trust: TlsOptions, scheme: str) -> None:
    drive(lambda backend: check_fetch(backend, Proxy(scheme, "127.0.0.1", dante.port), site, trust))


@on_both
def test_dante_refuses(drive: Drive[None], dante: Dante) -> None:
    (closed,) = free_ports(1)

    async def attempt(backend: Backend) -> None:
        for scheme, port, code, number in (
            ("socks5", 9, 2, errno.EACCES),
            ("socks5", closed, 5, errno.ECONNREFUSED),
            ("socks4", 9, 91, errno.ECONNREFUSED),
            ("socks4", closed, 91, errno.ECONNREFUSED),
        ):
            proxy = Proxy(scheme, "127.0.0.1", dante.port)
            with pytest.raises(SocksError) as caught:
                await open_through(backend, proxy, "127.0.0.1", port, backend.now() + 10)
            assert (caught.value.code, caught.value.errno) == (code, number)

    drive(attempt)


@on_both
def test_dante_wants_a_password(drive: Drive[None], tmp_path: Path) -> None:
    """Only the refusal: what it would take is the password of a user of this machine."""
    with Dante(tmp_path / "dante", "username") as dante:

        async def attempt(backend: Backend) -> None:
            for credentials, text in (
                ((None, None), "wants authentication"),
                (("no-such-user", "x"), "refused the user"),
            ):
                proxy = Proxy("socks5", "127.0.0.1", dante.port, *credentials)
                with pytest.raises(SocksError, match=text) as caught:
                    await open_through(backend, proxy, "127.0.0.1", 80, backend.now() + 10)
                assert caught.value.errno == errno.EACCES

        drive(attempt)


@on_both
def test_microsocks_to_nobody(drive: Drive[None], microsocks: Microsocks) -> None:
    (closed,) = free_ports(1)

    async def attempt(backend: Backend) -> None:
        proxy = Proxy("socks5", "127.0.0.1", microsocks.port)
        with pytest.raises(SocksError, match="connection refused") as caught:
            await open_through(backend, proxy, "127.0.0.1", closed, backend.now() + 10)
        assert caught.value.code == 5
        with pytest.raises(SocksError):
            await open_through(backend, proxy, "::1", closed, backend.now() + 10)

    drive(attempt)


@on_both
def test_tinyproxy(drive: Drive[None], tinyproxy: Tinyproxy, site: Nginx, trust: TlsOptions) -> None:
    drive(lambda backend: check_fetch(backend, Proxy("http", "127.0.0.1", tinyproxy.port), site, trust))


@on_both
def test_tinyproxy_refuses(drive: Drive[None], tinyproxy: Tinyproxy, site: Nginx) -> None:
    """A port that its configuration does not allow: its page is no answer of the origin's."""

    async def attempt(backend: Backend) -> None:
        with pytest.raises(ProxyError, match="403") as caught:
            proxy = Proxy("http", "127.0.0.1", tinyproxy.port)
            await open_through(backend, proxy, "127.0.0.1", site.port, backend.now() + 10)
        assert caught.value.status == 403
        assert b"tinyproxy" in caught.value.body

    drive(attempt)


@on_both
def test_tinyproxy_with_a_password(
    drive: Drive[None], strict_tinyproxy: Tinyproxy, site: Nginx, trust: TlsOptions
) -> None:
    port = strict_tinyproxy.port
    asked: list[str | None] = []

    def answer(status: int, headers: Headers) -> str | None:
        asked.append(headers.get("proxy-authenticate"))
        return Proxy("http", "x", 1, "me", "secret").basic_authorization

    async def attempt(backend: Backend) -> None:
        await check_fetch(backend, Proxy("http", "127.0.0.1", port, "me", "secret"), site, trust)
        assert asked == []
        await check_fetch(backend, Proxy("http", "127.0.0.1", port), site, trust, authenticate=answer)
        assert len(asked) == 2
        assert all(challenge is not None and challenge.startswith("Basic") for challenge in asked)
        with pytest.raises(ProxyError) as caught:
            proxy = Proxy("http", "127.0.0.1", port, "me", "wrong")
            await open_through(backend, proxy, "localhost", site.tls_port, backend.now() + 10)
        # RFC 9110 has 407 for it; tinyproxy says 401 to a wrong password.
        assert caught.value.status in (401, 407)

    drive(attempt)


@on_both
def test_squid_with_digest(drive: Drive[None], squid: Squid, site: Nginx, trust: TlsOptions) -> None:
    """RFC 7616: the challenge reaches the hook, and its answer makes the tunnel."""

    def answering(password: str, asked: list[str]) -> Authenticate:
        def answer(status: int, headers: Headers) -> str:
            challenge = choose_challenge(parse_challenges(headers.get_as_sequence("proxy-authenticate")))
            assert challenge is not None
            asked.append(challenge.scheme)
            return DigestSession(challenge, "me", password).authorize("CONNECT", f"localhost:{site.tls_port}", None)

        return answer

    async def attempt(backend: Backend) -> None:
        proxy = Proxy("http", "127.0.0.1", squid.port)
        asked: list[str] = []
        await check_fetch(backend, proxy, site, trust, authenticate=answering("secret", asked))
        assert [scheme.lower() for scheme in asked] == ["digest"] * 2  # for two tunnels
        for hook in (None, answering("wrong", asked)):
            with pytest.raises(ProxyError) as caught:
                await open_through(backend, proxy, "localhost", site.tls_port, backend.now() + 10, authenticate=hook)
            assert caught.value.status == 407
            assert "Digest" in caught.value.headers.get("proxy-authenticate")
        assert len(asked) == 5

    drive(attempt)


@on_both
@pytest.mark.parametrize("over_tls", [False, True])
def test_a_plain_request(
    drive: Drive[tuple[str | None, bytes]],
    strict_tinyproxy: Tinyproxy,
    site: Nginx,
    trust: TlsOptions,
    certificates: Certificates,
    tmp_path: Path,
    over_tls: bool,
) -> None:
    """RFC 9112 section 3.2.2, to the proxy in clear and over TLS."""
    with Stunnel(tmp_path / "stunnel", certificates, strict_tinyproxy.port) as stunnel:
        port = stunnel.port if over_tls else strict_tinyproxy.port
        proxy = Proxy("https" if over_tls else "http", "localhost", port, "me", "secret")
        uri = parse_uri(f"http://127.0.0.1:{site.port}/proxied")
        fields = [(":method", "GET"), (":scheme", "http"), (":authority", uri.authority), (":path", uri.target)]

        async def attempt(backend: Backend) -> tuple[str | None, bytes]:
            stream = await reach_proxy(backend, proxy, backend.now() + 10, trust, LOCAL)
            return await get(backend, stream, forwarded(Headers(fields), uri, proxy))

        assert drive(attempt) == ("200", CONTENT)


@on_both
def test_tls_in_tls(
    drive: Drive[None],
    strict_tinyproxy: Tinyproxy,
    site: Nginx,
    trust: TlsOptions,
    certificates: Certificates,
    tmp_path: Path,
) -> None:
    """TLS to stunnel, CONNECT to tinyproxy behind it, TLS to nginx."""
    with Stunnel(tmp_path / "stunnel", certificates, strict_tinyproxy.port) as stunnel:
        proxy = Proxy("https", "localhost", stunnel.port, "me", "secret")
        drive(lambda backend: check_fetch(backend, proxy, site, trust))

        async def distrust(backend: Backend) -> None:
            with pytest.raises(CertificateError):
                await open_through(backend, proxy, "localhost", site.tls_port, backend.now() + 10, dial=LOCAL)

        drive(distrust)
