"""HSTS for openers, by an option only."""

from __future__ import annotations

from collections.abc import Iterator
from http.cookiejar import CookieJar
from urllib.request import Request

import pytest

from drivetrain.compat import urllib_api
from drivetrain.engine import CookieStore, HstsStore
from drivetrain.engine.policy.cookie_jar import StoreCookieJar
from tests.compat.urllib_api.conftest import Library
from tests.compat.urllib_api.recorder import Recorder, response
from tests.support.certificates import Certificates
from tests.support.proxies import ConnectProxy
from tests.support.servers import RawServer

STS = response(b"", "200 OK", "Strict-Transport-Security: max-age=1000", "Set-Cookie: a=b; Secure")


@pytest.fixture
def recorder() -> Recorder:
    return Recorder((STS,))


@pytest.fixture
def server(recorder: Recorder, certificates: Certificates) -> Iterator[RawServer]:
    with RawServer(recorder, context=certificates.server_context(), tolerate=(OSError,)) as made:
        yield made


@pytest.fixture
def trusting(certificates: Certificates) -> urllib_api.HTTPSHandler:
    return urllib_api.HTTPSHandler(context=certificates.client_context())


def test_it_is_off(library: Library, recorder: Recorder, certificates: Certificates) -> None:
    with RawServer(Recorder()) as plain, RawServer(recorder, context=certificates.server_context()) as server:
        opener = library.build_opener(library.HTTPSHandler(context=certificates.client_context()))
        opener.open(f"https://localhost:{server.port}/").read()
        assert opener.open(f"http://localhost:{plain.port}/").read() == b"ok"


def test_http_becomes_https(server: RawServer, recorder: Recorder, trusting: urllib_api.HTTPSHandler) -> None:
    processor = urllib_api.HstsProcessor()
    jar = CookieJar()
    opener = urllib_api.build_opener(processor, trusting, urllib_api.HTTPCookieProcessor(jar))
    opener.open(f"https://localhost:{server.port}/").close()
    assert processor.store.check("localhost")
    request = Request(f"http://localhost:{server.port}/next", b"body")
    with opener.open(request) as answer:
        assert answer.url == request.full_url == f"https://localhost:{server.port}/next"
    sent = recorder.all[-1]
    assert (sent.lines[0], sent.body, sent.value("cookie")) == ("POST /next HTTP/1.1", b"body", "a=b")
    assert sent.value("host") == f"localhost:{server.port}"


def test_the_port_of_http_becomes_that_of_https(trusting: urllib_api.HTTPSHandler) -> None:
    store = HstsStore()
    store.store("origin.test", {"max-age": 1000})
    request = urllib_api.HstsProcessor(store).http_request(Request("http://origin.test:80/x?q"))
    assert (request.full_url, request.type, request.host) == ("https://origin.test/x?q", "https", "origin.test")
    other = urllib_api.HstsProcessor(store).http_request(Request("http://other.test/"))
    assert other.full_url == "http://other.test/"


def test_proxies_are_those_of_https(server: RawServer, trusting: urllib_api.HTTPSHandler) -> None:
    store = HstsStore()
    store.store("localhost", {"max-age": 1000})
    with ConnectProxy() as proxy:
        proxies = urllib_api.ProxyHandler({"http": "http://nowhere.invalid", "https": proxy.url})
        opener = urllib_api.build_opener(urllib_api.HstsProcessor(store), trusting, proxies)
        opener.open(f"http://localhost:{server.port}/").close()
    assert proxy.heads[0].startswith(b"CONNECT localhost:")


def test_what_is_not_verified_is_not_believed(server: RawServer, certificates: Certificates) -> None:
    context = certificates.client_context()
    context.check_hostname = False
    processor = urllib_api.HstsProcessor()
    opener = urllib_api.build_opener(processor, urllib_api.HTTPSHandler(context=context))
    opener.open(f"https://localhost:{server.port}/").close()
    assert not processor.store.check("localhost")


def test_what_is_said_in_clear_is_not_believed(recorder: Recorder) -> None:
    processor = urllib_api.HstsProcessor()
    with RawServer(recorder) as plain:
        urllib_api.build_opener(processor).open(f"http://localhost:{plain.port}/").close()
    assert not processor.store.check("localhost")


def test_the_cookies_of_a_store(server: RawServer, recorder: Recorder, trusting: urllib_api.HTTPSHandler) -> None:
    """`HTTPCookieProcessor` over the engine's store."""
    store = CookieStore()
    opener = urllib_api.build_opener(trusting, urllib_api.HTTPCookieProcessor(StoreCookieJar(store)))
    for _ in range(2):
        opener.open(f"https://localhost:{server.port}/").close()
    assert [cookie.name for cookie in store] == ["a"]
    assert [request.value("cookie") for request in recorder.all] == [None, "a=b"]
