"""What adapters tell urllib3's pool manager: sockets, certificates, names, versions. The engine does it, as urllib3 would."""

from __future__ import annotations

import hashlib
import socket
import ssl
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pytest
import requests
import requests.adapters
import urllib3
from requests_toolbelt.adapters.fingerprint import FingerprintAdapter
from requests_toolbelt.adapters.host_header_ssl import HostHeaderSSLAdapter
from requests_toolbelt.adapters.socket_options import SocketOptionsAdapter, TCPKeepAliveAdapter
from requests_toolbelt.adapters.source import SourceAddressAdapter
from requests_toolbelt.adapters.ssl import SSLAdapter
from urllib3.poolmanager import PoolManager

import drivetrain.compat
from drivetrain.compat.requests_api import EngineAdapter
from tests.compat.requests_api.support import OK, Recorder, describe, listening, session_with
from tests.support.certificates import Certificates
from tests.support.proxies import ConnectProxy, SocksProxy
from tests.support.servers import RawServer

NODELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY)
KEEP_ALIVE = (socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates.create(tmp_path, ["localhost"])


@pytest.fixture
def secure(certificates: Certificates) -> Iterator[RawServer]:
    with RawServer(Recorder(OK), context=certificates.server_context(), tolerate=(OSError, AssertionError)) as server:
        yield server


@pytest.fixture
def pools() -> Iterator[list[str]]:
    """What urllib3's connections have sent, by `http.client`."""
    sent: list[str] = []
    with listening(lambda event, _: sent.append(event) if event == "http.client.send" else None):
        yield sent


@pytest.fixture(autouse=True)
def _by_whom(kind: Any, pools: list[str]) -> Iterator[None]:
    """Ours sends nothing by urllib3's pools, in all of these."""
    yield
    assert kind is requests.adapters.HTTPAdapter or not pools


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[Any]]]:
    """Of each TCP socket of a client that is connected from now on, what was done with it before."""
    made: list[list[Any]] = []
    done: WeakKeyDictionary[socket.socket, list[Any]] = WeakKeyDictionary()
    original: Any = socket.socket
    set_option, bind = original.setsockopt, original.bind

    def setsockopt(self: Any, *args: Any) -> None:
        done.setdefault(self, []).append(args)
        set_option(self, *args)

    def bind_to(self: Any, address: Any) -> None:
        done.setdefault(self, []).append(("bind", address[0]))
        bind(self, address)

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            made.append(list(done.get(arguments[0], ())))

    monkeypatch.setattr(original, "setsockopt", setsockopt)
    monkeypatch.setattr(original, "bind", bind_to)
    with listening(hear):
        yield made


def telling(kind: Any, **told: Any) -> Any:
    """An adapter that tells the pool manager, and the managers of proxies, something."""

    class Adapter(kind):  # type: ignore[misc]
        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, **options, **told)

        def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
            return super().proxy_manager_for(*args, **options, **told)

    return Adapter()


def digest_of(certificates: Certificates, name: str = "sha256") -> str:
    pem = certificates.server_file.read_text().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----"
    return hashlib.new(name, ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def ask(adapter: Any, certificates: Certificates, secure: RawServer, host: str = "localhost", **options: Any) -> str:
    options.setdefault("verify", str(certificates.ca_file))
    with session_with(adapter) as session:
        return session.get(f"https://{host}:{secure.port}/x", **options).text


def refused(adapter: Any, certificates: Certificates, secure: RawServer, *args: Any, **options: Any) -> str:
    """What is said of an `SSLError`, ports left out."""
    with pytest.raises(requests.exceptions.SSLError) as caught:
        ask(adapter, certificates, secure, *args, **options)
    return " | ".join(describe(caught.value)).replace(str(secure.port), "PORT")


# --- sockets --------------------------------------------------------------------------------------------------------------


class TestSockets:
    def test_options(self, kind: Any, used: list[list[Any]]) -> None:
        options = [(*KEEP_ALIVE, 1), (socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 9, 0))]
        with RawServer(Recorder(OK)) as server, session_with(telling(kind, socket_options=options)) as session:
            assert session.get(server.url).text == "ok"
        assert used == [options]  # and nothing else

    @pytest.mark.parametrize("options", [[], None, [(*NODELAY, 0)]])
    def test_nagle(self, kind: Any, used: list[list[Any]], options: Any) -> None:
        with RawServer(Recorder(OK)) as server, session_with(telling(kind, socket_options=options)) as session:
            assert session.get(server.url).text == "ok"
        assert used == [options or []]

    def test_the_usual_ones(self, kind: Any, used: list[list[Any]]) -> None:
        with RawServer(Recorder(OK)) as server, session_with(telling(kind, blocksize=1000)) as session:
            assert session.get(server.url).text == "ok"
        assert used == [[(*NODELAY, 1)]]

    def test_an_option_that_is_refused(self, kind: Any) -> None:
        with RawServer(Recorder(OK)) as server:
            adapter = telling(kind, socket_options=[(socket.SOL_SOCKET, 9999, 1)])
            with session_with(adapter) as session, pytest.raises(requests.ConnectionError) as caught:
                session.get(server.url)
        reason: Any = caught.value.args[0].reason
        assert type(reason) is urllib3.exceptions.NewConnectionError
        assert "Failed to establish a new connection: [Errno 92] Protocol not available" in str(reason)

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # urllib3 does not close the socket
    def test_an_option_that_is_none(self, kind: Any, pools: list[str]) -> None:
        adapter = telling(kind, socket_options=[("a", "b", "c")])
        with session_with(adapter) as session, pytest.raises(TypeError):
            session.get("http://127.0.0.1:1/")
        pools.clear()  # urllib3 says it best

    @pytest.mark.parametrize("source", [("127.0.0.5", 0), ("127.0.0.6", None), ("localhost", 0), ("", 0)])
    def test_a_source_address(self, kind: Any, source: Any) -> None:
        peers: list[Any] = []

        def handler(connection: Any) -> None:
            peers.append(connection.getpeername())
            Recorder(OK)(connection)

        if source[1] is None:
            with socket.socket() as free:
                free.bind((source[0], 0))
                source = free.getsockname()
        with RawServer(handler) as server, session_with(telling(kind, source_address=source)) as session:
            assert session.get(server.url).text == "ok"
        assert peers[0][0] == (source[0] if source[0][:1] == "1" else "127.0.0.1")
        assert not source[1] or peers[0][1] == source[1]

    def test_a_source_address_that_is_not_there(self, kind: Any) -> None:
        adapter = telling(kind, source_address=("192.0.2.1", 0))
        with session_with(adapter) as session, pytest.raises(requests.ConnectionError) as caught:
            session.get("http://127.0.0.1:1/")
        assert "Failed to establish a new connection: [Errno 99] Cannot assign requested address" in str(caught.value)

    def test_different_ways_share_no_connection(self, kind: Any, used: list[list[Any]]) -> None:
        class Adapter(kind):  # type: ignore[misc]
            def build_connection_pool_key_attributes(self, request: Any, *args: Any, **options: Any) -> Any:
                host, pool = super().build_connection_pool_key_attributes(request, *args, **options)
                return host, {**pool, "source_address": (request.headers["From-Address"], 0)}

        recorder = Recorder(OK)
        with RawServer(recorder) as server, session_with(Adapter()) as session:
            for address in ("127.0.0.2", "127.0.0.3", "127.0.0.2"):
                assert session.get(server.url, headers={"From-Address": address}).text == "ok"
        assert [done[-1] for done in used] == [("bind", "127.0.0.2"), ("bind", "127.0.0.3")]
        assert len(recorder.heads) == 3

    def test_by_proxies(self, kind: Any, certificates: Certificates, secure: RawServer, used: list[list[Any]]) -> None:
        adapter = telling(kind, source_address=("127.0.0.5", 0), socket_options=[(*KEEP_ALIVE, 1)])
        with ConnectProxy() as proxy, SocksProxy() as socks, session_with(adapter) as session:
            session.verify = str(certificates.ca_file)
            for url in (proxy.url, f"socks5h://127.0.0.1:{socks.port}"):
                del used[:]
                assert session.get(f"https://localhost:{secure.port}/", proxies={"https": url}).text == "ok"
                if kind is EngineAdapter or url is proxy.url:  # PySocks has sockets of its own
                    assert [(*KEEP_ALIVE, 1), ("bind", "127.0.0.5")] in used


# --- certificates and names -----------------------------------------------------------------------------------------------


class TestFingerprints:
    @pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
    def test_the_right_one(self, kind: Any, certificates: Certificates, secure: RawServer, algorithm: str) -> None:
        digits = digest_of(certificates, algorithm)
        colons = ":".join(digits[at : at + 2] for at in range(0, len(digits), 2)).upper()
        for pin in (digits, colons):
            assert ask(telling(kind, assert_fingerprint=pin), certificates, secure, "127.0.0.1") == "ok"

    def test_without_trust(self, kind: Any, certificates: Certificates, secure: RawServer) -> None:
        pinned = telling(kind, assert_fingerprint=digest_of(certificates))
        assert ask(pinned, certificates, secure, verify=False) == "ok"  # and without a warning
        said = refused(telling(kind, assert_fingerprint=digest_of(certificates)), certificates, secure, verify=True)
        assert "unable to get local issuer certificate" in said

    @pytest.mark.parametrize("verify", [True, False])
    def test_another_one(self, kind: Any, certificates: Certificates, secure: RawServer, verify: bool) -> None:
        given = str(certificates.ca_file) if verify else False
        said = refused(telling(kind, assert_fingerprint="00" * 32), certificates, secure, verify=given)
        assert f'SSLError: Fingerprints did not match. Expected "{"00" * 32}", got "{digest_of(certificates)}"' in said

    @pytest.mark.parametrize("pin", ["00", "0g" * 16, "ab" * 33])
    def test_none(self, kind: Any, certificates: Certificates, secure: RawServer, pin: str) -> None:
        said = refused(telling(kind, assert_fingerprint=pin), certificates, secure)
        assert ("of invalid length: " in said) == (len(pin) != 32)
        assert ("Non-hexadecimal digit found" in said) == (len(pin) == 32)

    def test_nothing_is_sent_to_another_one(self, kind: Any, certificates: Certificates) -> None:
        recorder = Recorder(OK)
        with RawServer(recorder, context=certificates.server_context(), tolerate=(OSError,)) as server:
            refused(telling(kind, assert_fingerprint="00" * 20), certificates, server)
        assert not recorder.heads

    def test_those_of_different_pins_share_no_connection(
        self, kind: Any, certificates: Certificates, secure: RawServer
    ) -> None:
        class Adapter(kind):  # type: ignore[misc]
            def build_connection_pool_key_attributes(self, request: Any, *args: Any, **options: Any) -> Any:
                host, pool = super().build_connection_pool_key_attributes(request, *args, **options)
                return host, {**pool, "assert_fingerprint": request.headers["Pin"]}

        with session_with(Adapter()) as session:
            url, verify = f"https://localhost:{secure.port}/", str(certificates.ca_file)
            assert session.get(url, headers={"Pin": digest_of(certificates)}, verify=verify).text == "ok"
            with pytest.raises(requests.exceptions.SSLError):
                session.get(url, headers={"Pin": "00" * 16}, verify=verify)

    def test_of_a_proxy(self, kind: Any, certificates: Certificates, secure: RawServer) -> None:
        class Adapter(kind):  # type: ignore[misc]
            def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
                return super().proxy_manager_for(*args, **options, proxy_assert_fingerprint=pin)

        with ConnectProxy(context=certificates.server_context()) as proxy:
            for pin in (digest_of(certificates), "00" * 32):
                with session_with(Adapter()) as session:
                    session.verify = str(certificates.ca_file)
                    session.proxies = {"https": f"https://127.0.0.1:{proxy.port}"}
                    if pin != "00" * 32:
                        assert session.get(f"https://localhost:{secure.port}/").text == "ok"
                    else:
                        with pytest.raises(requests.exceptions.ProxyError, match="Fingerprints did not match"):
                            session.get(f"https://localhost:{secure.port}/")


class TestNames:
    def test_another_name(self, kind: Any, certificates: Certificates, secure: RawServer) -> None:
        assert ask(telling(kind, assert_hostname="localhost"), certificates, secure, "127.0.0.1") == "ok"

    def test_what_is_said_is_what_urllib3_says(self, certificates: Certificates, secure: RawServer, kind: Any) -> None:
        with pytest.raises(requests.exceptions.SSLError) as caught:
            ask(telling(kind, assert_hostname="other.test"), certificates, secure)
        reason: Any = caught.value.args[0].reason
        assert str(reason) == "hostname 'other.test' doesn't match 'localhost'"
        assert type(reason.args[0]) is urllib3.util.ssl_match_hostname.CertificateError

    def test_no_name(self, kind: Any, certificates: Certificates, secure: RawServer) -> None:
        assert ask(telling(kind, assert_hostname=False), certificates, secure, "127.0.0.1") == "ok"

    def test_a_name_of_nobody_who_is_not_verified(
        self, kind: Any, certificates: Certificates, secure: RawServer
    ) -> None:
        with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
            assert ask(telling(kind, assert_hostname="other.test"), certificates, secure, verify=False) == "ok"

    def test_the_name_that_is_sent(self, kind: Any, certificates: Certificates) -> None:
        sent: list[Any] = []
        context = certificates.server_context()
        context.sni_callback = lambda session, name, _: sent.append(name)  # type: ignore[assignment]
        with RawServer(Recorder(OK), context=context, tolerate=(OSError,)) as server:
            assert ask(telling(kind, server_hostname="localhost"), certificates, server, "127.0.0.1") == "ok"
            said = refused(telling(kind, server_hostname="other.test"), certificates, server)
            both = telling(kind, server_hostname="other.test", assert_hostname="localhost")
            assert ask(both, certificates, server) == "ok"
        assert "Hostname mismatch, certificate is not valid for 'other.test'" in said
        assert sent == ["localhost", "other.test", "other.test"]

    def test_an_address_with_the_name_of_a_host(self, kind: Any, certificates: Certificates) -> None:
        """As adapters do that resolve names themselves."""

        class Adapter(kind):  # type: ignore[misc]
            def build_connection_pool_key_attributes(self, request: Any, *args: Any, **options: Any) -> Any:
                host, pool = super().build_connection_pool_key_attributes(request, *args, **options)
                pool["server_hostname"], host["host"] = "localhost", "127.0.0.1"
                return host, pool

        recorder = Recorder(OK)
        with RawServer(recorder, context=certificates.server_context(), tolerate=(OSError,)) as server:
            assert ask(Adapter(), certificates, server, "made.up.test") == "ok"
            assert ask(Adapter(), certificates, server, "made.up.test", headers={"Host": "made.up.test"}) == "ok"
        assert [line.split(b"Host: ")[1].split(b"\r\n")[0] for line in recorder.heads] == [
            f"127.0.0.1:{server.port}".encode(),
            b"made.up.test",
        ]
        assert all(head.startswith(b"GET /x HTTP/1.1\r\n") for head in recorder.heads)


# --- contexts and versions ------------------------------------------------------------------------------------------------


def lenient_context(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificates.ca_file))
    context.check_hostname = False
    return context


class TestContexts:
    def test_a_name_that_the_context_does_not_check(
        self, kind: Any, certificates: Certificates, secure: RawServer
    ) -> None:
        """urllib3 does it then, unless told not to."""
        said = refused(telling(kind, ssl_context=lenient_context(certificates)), certificates, secure, "127.0.0.1")
        assert "hostname '127.0.0.1' doesn't match 'localhost'" in said
        adapter = telling(kind, ssl_context=lenient_context(certificates), assert_hostname=False)
        assert ask(adapter, certificates, secure, "127.0.0.1") == "ok"

    def test_a_context_that_verifies_nothing(self, kind: Any, certificates: Certificates, secure: RawServer) -> None:
        """`verify` has the last word."""
        context = lenient_context(certificates)
        context.verify_mode = ssl.CERT_NONE
        adapter = telling(kind, ssl_context=context)
        said = refused(adapter, certificates, secure, "127.0.0.1")
        assert "doesn't match" in said
        with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
            assert ask(adapter, certificates, secure, "127.0.0.1", verify=False) == "ok"

    def test_a_context_is_set_for_each_connection(
        self, kind: Any, certificates: Certificates, secure: RawServer
    ) -> None:
        """A request that verifies nothing leaves nothing behind for one that does."""
        with session_with(telling(kind, ssl_context=lenient_context(certificates))) as session:
            url, close = f"https://127.0.0.1:{secure.port}/", {"Connection": "close"}
            verify = str(certificates.ca_file)
            for _ in range(2):
                with pytest.raises(requests.exceptions.SSLError):
                    session.get(url, headers=close, verify=verify)
                with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
                    assert session.get(url, headers=close, verify=False).text == "ok"

    def test_a_context_that_checks_names_and_shall_not_verify(
        self, kind: Any, certificates: Certificates, secure: RawServer
    ) -> None:
        context = ssl.create_default_context(cafile=str(certificates.ca_file))
        with pytest.raises(ValueError, match="Cannot set verify_mode to CERT_NONE"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ask(telling(kind, ssl_context=context), certificates, secure, verify=False)

    def test_a_manager_of_ones_own(self, kind: Any, certificates: Certificates, secure: RawServer) -> None:
        class Adapter(kind):  # type: ignore[misc]
            def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **_: Any) -> None:
                context = ssl.create_default_context(cafile=str(certificates.ca_file))
                self.poolmanager = PoolManager(connections, maxsize=maxsize, block=block, ssl_context=context)

        assert ask(Adapter(), certificates, secure, verify=True) == "ok"

    @pytest.mark.parametrize(
        ("told", "version"),
        [
            ({"ssl_minimum_version": ssl.TLSVersion.TLSv1_3}, "TLSv1.3"),
            ({"ssl_maximum_version": ssl.TLSVersion.TLSv1_2}, "TLSv1.2"),
            ({"ssl_version": ssl.PROTOCOL_TLSv1_2}, "TLSv1.2"),
            ({"ssl_version": "TLSv1_2"}, "TLSv1.2"),
            ({"ssl_version": None}, "TLSv1.3"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:'ssl_version' option is deprecated", "ignore:ssl.PROTOCOL_TLS")
    def test_versions(self, kind: Any, certificates: Certificates, told: dict[str, Any], version: str) -> None:
        seen: list[Any] = []

        def handler(connection: Any) -> None:
            seen.append(connection.version())
            Recorder(OK)(connection)

        with RawServer(handler, context=certificates.server_context()) as server:
            assert ask(telling(kind, **told), certificates, server) == "ok"
        assert seen == [version]

    def test_a_version_that_the_server_does_not_speak(self, kind: Any, certificates: Certificates) -> None:
        context = certificates.server_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        with RawServer(Recorder(OK), context=context, tolerate=(OSError,)) as server:
            said = refused(telling(kind, ssl_maximum_version=ssl.TLSVersion.TLSv1_2), certificates, server)
        assert "alert protocol version" in said.lower().replace("_", " ")

    def test_contradictory_versions(self, kind: Any, certificates: Certificates, secure: RawServer) -> None:
        adapter = telling(kind, ssl_version=ssl.PROTOCOL_TLSv1_2, ssl_minimum_version=ssl.TLSVersion.TLSv1_2)
        with pytest.raises(ValueError, match="Can't specify both 'ssl_version' and"):
            ask(adapter, certificates, secure)

    @pytest.mark.parametrize("as_bytes", [False, True])
    def test_authorities(self, kind: Any, certificates: Certificates, secure: RawServer, as_bytes: bool) -> None:
        text = certificates.ca_file.read_text()
        told: Any = ssl.PEM_cert_to_DER_cert(text) if as_bytes else text
        assert ask(telling(kind, ca_cert_data=told), certificates, secure, verify=True) == "ok"
        refused(
            telling(kind, ca_certs=str(certificates.ca_file)), certificates, secure, verify=True
        )  # which `verify` sets

    def test_a_client_certificate(self, kind: Any, certificates: Certificates) -> None:
        shown: list[Any] = []

        def handler(connection: Any) -> None:
            shown.append(connection.getpeercert())
            Recorder(OK)(connection)

        context = certificates.server_context()
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificates.ca_file)
        with RawServer(handler, context=context, tolerate=(OSError,)) as server:
            file = str(certificates.client_file)
            for told in ({"cert_file": file}, {"cert_file": file, "key_file": file, "key_password": "unused"}):
                assert ask(telling(kind, **told), certificates, server) == "ok"
        assert len(shown) == 2
        assert all(shown)

    @pytest.mark.parametrize("told", [{"no_such_thing": 1}, {"strict": True}])
    def test_what_urllib3_does_not_know(self, kind: Any, told: dict[str, Any]) -> None:
        with RawServer(Recorder(OK)) as server, session_with(telling(kind, **told)) as session:
            if "strict" in told:
                with pytest.warns(FutureWarning, match="strict"):
                    assert session.get(server.url).text == "ok"
            else:
                with pytest.raises(TypeError, match="no_such_thing"):
                    session.get(server.url)

    def test_what_changes_nothing(self, kind: Any) -> None:
        told = {"headers": {"X": "y"}, "retries": 5, "timeout": 3, "blocksize": 8, "maxsize": 1, "block": True}

        class Adapter(kind):  # type: ignore[misc]
            def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **_: Any) -> None:
                self.poolmanager = PoolManager(connections, **told)

        recorder = Recorder(OK)
        with RawServer(recorder) as server, session_with(Adapter()) as session:
            assert session.get(server.url).text == "ok"
        assert not any(line.startswith("X:") for line in recorder.lines)

    def test_a_context_for_each_request(self, kind: Any, certificates: Certificates, secure: RawServer) -> None:
        class Adapter(kind):  # type: ignore[misc]
            def build_connection_pool_key_attributes(self, *args: Any, **options: Any) -> Any:
                host, pool = super().build_connection_pool_key_attributes(*args, **options)
                return host, {**pool, "ssl_context": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}

        with session_with(adapter := Adapter()) as session:
            for _ in range(110):
                assert session.get(f"https://localhost:{secure.port}/", verify=str(certificates.ca_file)).text == "ok"
            clients: Any = getattr(adapter, "_engine_clients", None)
            assert clients is None or len(clients._secure) <= 100


class TestWarnings:
    def warned(self, adapter: Any, secure: RawServer, **options: Any) -> list[Any]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with session_with(adapter) as session:
                for _ in range(2):
                    assert session.get(f"https://localhost:{secure.port}/", **options).text == "ok"
        return [(str(each.message), each.category, each.filename, each.lineno) for each in caught]

    def test_they_are_those_of_urllib3(self, kind: Any, secure: RawServer, pools: list[str]) -> None:
        ours = self.warned(kind(), secure, verify=False)
        assert bool(pools) == (kind is not EngineAdapter)
        theirs = self.warned(requests.adapters.HTTPAdapter(), secure, verify=False)
        pools.clear()
        assert ours == theirs
        assert len(ours) == 2

    def test_through_a_proxy(self, kind: Any, secure: RawServer, pools: list[str]) -> None:
        with ConnectProxy() as proxy:
            options: dict[str, Any] = {"verify": False, "proxies": {"https": proxy.url}}
            ours = self.warned(kind(), secure, **options)
            assert bool(pools) == (kind is not EngineAdapter)
            assert ours == self.warned(requests.adapters.HTTPAdapter(), secure, **options)
            pools.clear()
        assert len(ours) == 2

    def test_none_where_they_are_switched_off(self, kind: Any, certificates: Certificates, secure: RawServer) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            urllib3.disable_warnings()
            assert ask(kind(), certificates, secure, verify=False) == "ok"
        assert not caught

    def test_before_anything_is_sent(self, kind: Any, certificates: Certificates) -> None:
        recorder = Recorder(OK)
        with (
            RawServer(recorder, context=certificates.server_context(), tolerate=(OSError, AssertionError)) as server,
            pytest.raises(urllib3.exceptions.InsecureRequestWarning),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("error")
            ask(kind(), certificates, server, verify=False)
        assert not recorder.heads

    def test_an_adapter_that_verifies_nothing(self, kind: Any, certificates: Certificates, secure: RawServer) -> None:
        class Adapter(kind):  # type: ignore[misc]
            def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
                conn.cert_reqs = "CERT_NONE"

        with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
            assert ask(Adapter(), certificates, secure, "127.0.0.1") == "ok"


# --- libraries ------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[False, True], ids=["plain", "installed"])
def installed(request: pytest.FixtureRequest, pools: list[str]) -> Iterator[bool]:
    """With the engine installed below requests, classes that were derived from its adapter before are re-based."""
    if request.param:
        drivetrain.compat.install("requests")
    yield request.param
    drivetrain.compat.uninstall()
    assert bool(pools) != request.param


@pytest.mark.parametrize("kind", ["requests"], indirect=True)  # from which the libraries derive
class TestToolbelt:
    def test_all_of_it(
        self, installed: bool, certificates: Certificates, secure: RawServer, used: list[list[Any]]
    ) -> None:
        def seen(adapter: Any, *args: Any, **options: Any) -> list[Any]:
            assert isinstance(adapter, EngineAdapter) == installed
            del used[:]
            assert ask(adapter, certificates, secure, *args, **options) == "ok"
            return used[-1]

        assert seen(SourceAddressAdapter("127.0.0.9"))[-1] == ("bind", "127.0.0.9")
        assert seen(SocketOptionsAdapter(socket_options=[(*KEEP_ALIVE, 1)])) == [(*KEEP_ALIVE, 1)]
        assert [(*KEEP_ALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 9)] == [
            done
            for done in seen(TCPKeepAliveAdapter(interval=9))
            if done[1] in (socket.SO_KEEPALIVE, socket.TCP_KEEPINTVL)
        ]
        seen(FingerprintAdapter(digest_of(certificates)), "127.0.0.1")
        seen(HostHeaderSSLAdapter(), "127.0.0.1", headers={"Host": "localhost"})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seen(SSLAdapter(ssl.PROTOCOL_TLSv1_2))
