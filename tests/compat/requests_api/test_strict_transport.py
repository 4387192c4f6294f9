"""HSTS for requests, by an option only; and the engine's cookies in a session."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest
import requests

from drivetrain.compat.requests_api import EngineAdapter, StoreRequestsCookieJar
from drivetrain.engine import CookieStore, HstsStore
from tests.compat.requests_api.support import OK, Recorder, answer, session_with
from tests.support.certificates import Certificates
from tests.support.proxies import ConnectProxy
from tests.support.servers import RawServer

STS = answer(b"ok", "Strict-Transport-Security: max-age=1000", "Set-Cookie: a=b; Secure", "Set-Cookie: c=d")


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(STS)


@pytest.fixture
def server(recorder: Recorder, certificates: Certificates) -> Iterator[RawServer]:
    with RawServer(recorder, context=certificates.server_context(), tolerate=(OSError,)) as made:
        yield made


@pytest.fixture
def strict(certificates: Certificates) -> Iterator[requests.Session]:
    with session_with(EngineAdapter(hsts=True)) as session:
        session.verify = str(certificates.ca_file)
        yield session


def store_of(session: requests.Session) -> HstsStore:
    adapter = session.adapters["http://"]
    assert isinstance(adapter, EngineAdapter)
    assert adapter.hsts is not None
    return adapter.hsts


def test_it_is_off(session: requests.Session, server: RawServer, certificates: Certificates) -> None:
    session.get(f"https://localhost:{server.port}/", verify=str(certificates.ca_file))
    with RawServer(Recorder(OK)) as plain:
        assert session.get(f"http://localhost:{plain.port}/").url.startswith("http://")
    assert EngineAdapter().hsts is None


def test_http_becomes_https(strict: requests.Session, server: RawServer, recorder: Recorder) -> None:
    strict.get(f"https://localhost:{server.port}/")
    url = f"http://localhost:{server.port}/next?q#part"
    response = strict.post(url, data=iter([b"in ", b"pieces"]))
    assert response.url == response.request.url == url.replace("http:", "https:")
    assert not response.history
    assert recorder.lines[0] == "POST /next?q HTTP/1.1"
    assert recorder.bodies[-1] == b"in pieces"
    assert "Cookie: a=b; c=d" in recorder.lines
    prepared = strict.prepare_request(requests.Request("GET", url))
    strict.send(prepared, verify=strict.verify)
    assert prepared.url == url


def test_cookies_that_the_program_wrote(strict: requests.Session, server: RawServer, recorder: Recorder) -> None:
    strict.get(f"https://localhost:{server.port}/")
    strict.get(f"http://localhost:{server.port}/", headers={"Cookie": "mine=1"})
    assert [line for line in recorder.lines if line.startswith("Cookie")] == ["Cookie: mine=1"]


def test_proxies_are_those_of_https(strict: requests.Session, server: RawServer) -> None:
    store_of(strict).store("localhost", {"max-age": 1000})
    with ConnectProxy() as proxy:
        strict.proxies = {"http": "http://nowhere.invalid", "https": proxy.url}
        assert strict.get(f"http://localhost:{server.port}/").text == "ok"
    assert proxy.heads[0].startswith(b"CONNECT localhost:")


def test_the_port_of_http_becomes_that_of_https(certificates: Certificates) -> None:
    store = HstsStore()
    store.store("origin.test", {"max-age": 1000})
    refusal = b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
    with ConnectProxy(answer=refusal) as proxy, session_with(EngineAdapter(hsts=store)) as session:
        for url in ("http://origin.test/", "HTTP://origin.test:80/", "http://origin.test:81/"):
            with pytest.raises(requests.exceptions.ProxyError, match="403 No"):
                session.get(url, proxies={"https": proxy.url})
    assert [head.split(b" ")[1] for head in proxy.heads] == [b"origin.test:443", b"origin.test:443", b"origin.test:81"]


def test_what_is_not_verified_is_not_believed(strict: requests.Session, server: RawServer) -> None:
    with pytest.warns(match="Unverified"):
        strict.get(f"https://localhost:{server.port}/", verify=False)
    with RawServer(Recorder(STS)) as plain:
        strict.get(f"http://localhost:{plain.port}/")
    assert not store_of(strict).check("localhost")


def test_copies_know_what_was_learnt(strict: requests.Session, server: RawServer) -> None:
    strict.get(f"https://localhost:{server.port}/")
    adapter = strict.adapters["http://"]
    for copied in (pickle.loads(pickle.dumps(adapter)), copy.deepcopy(adapter)):
        assert copied.hsts.check("localhost")
        copied.hsts.remove("localhost")
        copied.close()
    assert store_of(strict).check("localhost")


# -- the engine's cookies ---------------------------------------------------------------------------------------------------


def test_the_cookies_of_a_store(
    session: requests.Session, server: RawServer, recorder: Recorder, certificates: Certificates
) -> None:
    store = CookieStore()
    session.cookies = StoreRequestsCookieJar(store)
    url = f"https://localhost:{server.port}/"
    session.get(url, verify=str(certificates.ca_file), cookies={"once": "1"})
    assert {cookie.name: cookie.value for cookie in store} == {"a": "b", "c": "d"}
    assert session.cookies["a"] == "b"
    assert session.cookies.get_dict() == {"a": "b", "c": "d"}
    session.cookies.set("e", "f", domain="localhost.local")
    assert "e" in {cookie.name for cookie in store}
    session.get(url, verify=str(certificates.ca_file))
    (line,) = [line for line in recorder.lines if line.startswith("Cookie: ")]
    assert set(line.removeprefix("Cookie: ").split("; ")) == {"a=b", "c=d", "e=f"}


def test_the_jar_of_a_store_is_pickled() -> None:
    jar = StoreRequestsCookieJar()
    jar.set("a", "b", domain="origin.test", path="/")
    assert pickle.loads(pickle.dumps(jar)).get("a") == "b"
    assert jar.copy().get("a") == "b"
