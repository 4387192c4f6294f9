"""The options that `EngineAdapter` has beyond those of requests' adapter; see `test_unix_sockets` for sockets."""

from __future__ import annotations

import copy
import pickle
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from drivetrain.compat import requests_api
from drivetrain.compat.requests_api import EngineAdapter, StoreRequestsCookieJar
from drivetrain.engine import CookieStore, HstsStore
from tests.compat.requests_api.support import OK, Recorder, answer, session_with
from tests.support.certificates import Certificates
from tests.support.h2_server import H2Server
from tests.support.proxies import ConnectProxy, SocksProxy
from tests.support.servers import RawServer, read_until_eof

KINDS = [EngineAdapter, requests_api.adapters.HTTPAdapter]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(OK)


@pytest.fixture
def server(recorder: Recorder) -> Iterator[RawServer]:
    with RawServer(recorder) as made:
        yield made


@pytest.mark.parametrize("kind", KINDS)
def test_all_at_once_and_copied(kind: Any) -> None:
    store, hosts = CookieStore(), HstsStore()
    adapter = kind(
        1, 2, 3, True, total_timeout=4, http2=False, hsts=hosts, cookies=store, proxy="http://p", no_proxy="a.test"
    )
    assert (adapter.hsts, adapter.cookies, adapter.proxy) == (hosts, store, "http://p")
    for twin in (copy.copy(adapter), copy.deepcopy(adapter), pickle.loads(pickle.dumps(adapter))):
        assert type(twin) is kind
        assert (twin._pool_connections, twin._pool_maxsize, twin._pool_block, twin.max_retries.total) == (1, 2, True, 3)
        assert (twin._engine_total_timeout, twin._engine_options, twin.proxy) == (4, {"version": 1.1}, "http://p")
        assert twin.no_proxy.matches("a.test", 80)
        assert isinstance(twin.cookies, CookieStore)
        assert isinstance(twin.hsts, HstsStore)


# --- versions -----------------------------------------------------------------------------------------------------------


def test_without_http2(certificates: Certificates) -> None:
    context = certificates.server_context(["h2", "http/1.1"])
    with H2Server(context=context, fallback=Recorder(OK)) as server:
        for options, version in (({}, 20), ({"http2": True}, 20), ({"http2": False}, 11)):
            with session_with(EngineAdapter(**options)) as session:  # type: ignore[arg-type]
                assert session.get(f"{server.url}/x", verify=str(certificates.ca_file)).raw.version == version


def test_versions_that_contradict() -> None:
    assert EngineAdapter(http2=False, version=1.0)._engine_options == {"version": 1.0}
    with pytest.raises(ValueError, match="contradicts"):
        EngineAdapter(http2=False, version=2)


# --- names and time -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_function", [False, True])
def test_a_resolver(server: RawServer, as_function: bool) -> None:
    asked: list[tuple[str, int]] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"]

    with session_with(EngineAdapter(resolver=resolve if as_function else {"name.test": "127.0.0.1"})) as session:
        assert session.get(f"http://name.test:{server.port}/").text == "ok"
    assert asked == ([("name.test", server.port)] if as_function else [])


def test_a_total_deadline() -> None:
    with (
        RawServer(lambda connection: read_until_eof(connection)) as server,
        session_with(EngineAdapter(total_timeout=0.2)) as session,
    ):
        began = time.monotonic()
        with pytest.raises(requests.ReadTimeout):
            session.get(server.url, timeout=30)
        assert time.monotonic() - began < 5


# --- a proxy of the adapter's own ---------------------------------------------------------------------------------------


def test_a_proxy_for_requests_that_are_given_none(server: RawServer) -> None:
    forwarding, other = Recorder(OK), Recorder(OK)
    with RawServer(forwarding) as proxy, RawServer(other) as another:
        adapter = EngineAdapter(proxy=proxy.url.replace("//", "//me:secret@"), no_proxy="127.0.0.1")
        with session_with(adapter) as session:
            session.get("http://origin.test/x")
            assert forwarding.lines[0] == "GET http://origin.test/x HTTP/1.1"
            assert "Proxy-Authorization: Basic bWU6c2VjcmV0" in forwarding.lines
            session.get("http://origin.test/", proxies={"http": another.url})
            session.get("http://origin.test/", proxies={"http://else.test": another.url})
            assert session.get(server.url).text == "ok"
    assert (len(forwarding.heads), len(other.heads), server.connections) == (2, 1, 1)


def test_a_tunnel_and_socks(certificates: Certificates, server: RawServer) -> None:
    with (
        RawServer(Recorder(OK), context=certificates.server_context()) as secure,
        ConnectProxy() as tunnels,
        SocksProxy() as socks,
    ):
        for proxy in (tunnels.url, f"socks5h://127.0.0.1:{socks.port}"):
            with session_with(EngineAdapter(proxy=proxy)) as session:
                url = f"https://localhost:{secure.port}/"
                assert session.get(url, verify=str(certificates.ca_file)).text == "ok"
        assert len(tunnels.heads) == len(socks.asked) == 1


def test_a_subclass_is_told_of_the_proxy(server: RawServer) -> None:
    class Adapter(EngineAdapter):
        def request_url(self, request: Any, proxies: Any) -> str:
            return f"{super().request_url(request, proxies)}?{sorted(proxies)}"

    recorder = Recorder(OK)
    with RawServer(recorder) as proxy, session_with(Adapter(proxy=proxy.url)) as session:
        session.get("http://origin.test/x")
    assert recorder.lines[0] == "GET http://origin.test/x?['all'] HTTP/1.1"


# --- a cookie store -----------------------------------------------------------------------------------------------------


def sent(recorder: Recorder) -> set[str]:
    (line,) = [line for line in recorder.lines if line.startswith("Cookie: ")] or ["Cookie: "]
    return set(line.removeprefix("Cookie: ").split("; ")) - {""}


def test_sessions_share_the_cookies_of_a_store(server: RawServer, recorder: Recorder) -> None:
    store = CookieStore()
    recorder.answers = [answer(b"", "Set-Cookie: sid=1", "Set-Cookie: x=y; Domain=com"), OK]
    with session_with(EngineAdapter(cookies=store)) as one, session_with(EngineAdapter(cookies=store)) as two:
        assert one.get(server.url).cookies.get_dict() == {"sid": "1"}
        assert [cookie.name for cookie in store] == ["sid"]
        two.get(server.url)
        assert sent(recorder) == {"sid=1"}
        assert not two.cookies
        # Renewed by one, it is not sent as the other still has it.
        recorder.answers = [answer(b"", "Set-Cookie: sid=2"), OK]
        two.get(server.url)
        one.get(server.url)
        assert sent(recorder) == {"sid=2"}
        assert one.cookies["sid"] == "1"


def test_what_the_program_says_goes_before(server: RawServer, recorder: Recorder) -> None:
    store = CookieStore()
    store.store("127.0.0.1", "/", True, False, None, "sid", "stored", {})
    with session_with(EngineAdapter(cookies=store)) as session:
        session.get(server.url, cookies={"own": "1"})
        assert sent(recorder) == {"sid=stored", "own=1"}
        session.get(server.url, cookies={"sid": "own"})
        assert sent(recorder) == {"sid=own"}
        session.get(server.url, headers={"Cookie": "sid=mine; other=1"})
        assert sent(recorder) == {"sid=mine", "other=1"}
        prepared = session.prepare_request(requests.Request("GET", server.url))
        assert session.send(prepared).request.headers["Cookie"] == "sid=stored"
        assert "Cookie" not in prepared.headers


def test_cookies_of_every_hop_and_of_secure_hosts(
    certificates: Certificates, server: RawServer, recorder: Recorder
) -> None:
    store = CookieStore()
    theirs = Recorder(answer(b"", "Set-Cookie: s=1; Secure", f"Location: {server.url}/", status="302 Found"), OK)
    with (
        RawServer(theirs, context=certificates.server_context()) as secure,
        session_with(EngineAdapter(cookies=store)) as session,
    ):
        url = secure.url
        session.verify = str(certificates.ca_file)
        assert session.get(url).url == f"{server.url}/"
        assert sent(recorder) == set()
        session.get(url)
        assert sent(theirs) == {"s=1"}


def test_a_store_behind_the_adapter_and_in_the_session(server: RawServer, recorder: Recorder) -> None:
    store = CookieStore()
    recorder.answers = [answer(b"", "Set-Cookie: sid=1"), OK]
    with session_with(EngineAdapter(cookies=store)) as session:
        session.cookies = StoreRequestsCookieJar(store)
        session.get(server.url)
        session.get(server.url)
    assert sent(recorder) == {"sid=1"}
