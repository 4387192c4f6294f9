"""Openers: the original's handlers around ours, users' handlers among them, and who goes past the engine."""

from __future__ import annotations

import base64
import http.client
import http.cookiejar
import io
import socket
import ssl
import sys
import urllib.request
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import (
    AbstractHTTPHandler,
    BaseHandler,
    HTTPBasicAuthHandler,
    HTTPCookieProcessor,
    HTTPDigestAuthHandler,
    HTTPPasswordMgrWithDefaultRealm,
    HTTPRedirectHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)
from urllib.response import addinfourl

import pytest

from drivetrain.compat import urllib_api
from drivetrain.engine import Client
from tests.compat.urllib_api.conftest import Library
from tests.compat.urllib_api.recorder import OK, Recorder, response
from tests.support.certificates import Certificates
from tests.support.servers import RawServer, read_exactly, read_head, read_until_eof


def kinds(opener: OpenerDirector) -> list[type]:
    return [type(handler) for handler in opener.handlers]  # type: ignore[attr-defined]


# -- the opener --------------------------------------------------------------------------------------------------------


def test_the_default_handlers_are_the_originals_but_for_two() -> None:
    expected, ours = kinds(urllib.request.build_opener()), kinds(urllib_api.build_opener())
    replaced = {
        urllib.request.HTTPHandler: urllib_api.HTTPHandler,
        urllib.request.HTTPSHandler: urllib_api.HTTPSHandler,
    }
    assert sorted(map(repr, ours)) == sorted(repr(replaced.get(kind, kind)) for kind in expected)
    assert not {urllib.request.HTTPHandler, urllib.request.HTTPSHandler} & set(ours)


class OwnHTTPHandler(urllib.request.HTTPHandler):
    pass


class OwnHTTPSHandler(urllib.request.HTTPSHandler):
    pass


class OwnRedirects(HTTPRedirectHandler):
    pass


@pytest.mark.parametrize(
    ("given", "gone", "stays"),
    [
        (OwnHTTPHandler, urllib_api.HTTPHandler, urllib_api.HTTPSHandler),
        (OwnHTTPSHandler, urllib_api.HTTPSHandler, urllib_api.HTTPHandler),
        (OwnHTTPHandler(), urllib_api.HTTPHandler, urllib_api.HTTPSHandler),
        (OwnRedirects, HTTPRedirectHandler, urllib_api.HTTPHandler),
        (ProxyHandler({}), None, urllib_api.HTTPHandler),
        (urllib_api.EngineHandler, urllib_api.HTTPHandler, HTTPRedirectHandler),
        (urllib_api.EngineHandler(), urllib_api.HTTPSHandler, HTTPRedirectHandler),
    ],
)
def test_a_subclass_takes_the_place_of_a_default(given: Any, gone: type | None, stays: type) -> None:
    found = kinds(urllib_api.build_opener(given))
    assert gone not in found
    assert stays in found
    if gone is not None:
        assert (given if isinstance(given, type) else type(given)) in found


def test_our_handler_takes_the_place_of_both_in_the_originals_opener(no_http_client: None) -> None:
    opener = urllib.request.build_opener(urllib_api.EngineHandler())
    assert not {urllib.request.HTTPHandler, urllib.request.HTTPSHandler} & set(kinds(opener))
    with RawServer(Recorder()) as server, opener.open(server.url) as got:
        assert got.read() == b"ok"


def test_what_is_no_handler_is_refused(library: Library) -> None:
    with pytest.raises(TypeError):
        library.build_opener("text")


def test_installed_openers_are_each_their_own() -> None:
    recorder = Recorder()
    opener = urllib_api.build_opener()
    opener.addheaders = [("X-Opener", "installed")]
    with RawServer(recorder) as server:
        urllib_api.install_opener(opener)
        for urlopen in (urllib_api.urlopen, urllib.request.urlopen):
            with urlopen(server.url) as got:
                assert got.read() == b"ok"
        urllib_api.install_opener(None)
        with urllib_api.urlopen(server.url) as got:
            assert got.read() == b"ok"
    assert [request.value("X-Opener") for request in recorder.all] == ["installed", None, None]


def test_handlers_of_the_user_run(library: Library) -> None:
    calls: list[str] = []

    class Watcher(BaseHandler):
        handler_order = 400

        def http_request(self, request: Request) -> Request:
            calls.append("request")
            request.add_header("X-Watched", "1")
            return request

        def http_response(self, request: Request, answer: Any) -> Any:
            calls.append(f"response {answer.status} {answer.info()['X-From']}")
            return answer

        def http_error_404(self, request: Request, fp: Any, code: int, message: str, headers: Any) -> str:
            calls.append(f"error {code} {message} {headers['X-From']} {fp.read()!r}")
            fp.close()
            return "instead"

    recorder = Recorder((response(b"gone", "404 Not Found", "X-From: server"),))
    with RawServer(recorder) as server:
        assert library.build_opener(Watcher).open(server.url) == "instead"
    assert calls == ["request", "response 404 server", "error 404 Not Found server b'gone'"]
    assert recorder.all[0].value("X-Watched") == "1"


def test_a_handler_before_ours_may_answer(library: Library) -> None:
    class Cached(BaseHandler):
        handler_order = 100

        def http_open(self, request: Request) -> Any:
            answer: Any = addinfourl(io.BytesIO(b"cached"), http.client.HTTPMessage(), request.full_url, 200)
            answer.msg = "OK"
            return answer

    with library.build_opener(Cached()).open("http://nowhere.invalid/") as got:
        assert (got.read(), got.url) == (b"cached", "http://nowhere.invalid/")


def test_a_subclass_that_calls_do_open(library: Library, certificates: Certificates) -> None:
    context = certificates.client_context()

    class Pinned(library.HTTPSHandler):  # type: ignore[name-defined,misc]
        def https_open(self, request: Request) -> Any:
            return self.do_open(http.client.HTTPSConnection, request, context=context)

    recorder = Recorder()
    with RawServer(recorder, context=certificates.server_context()) as server:
        opener = library.build_opener(Pinned)
        assert [opener.open(server.url).read() for _ in range(2)] == [b"ok", b"ok"]
    assert len(recorder.requests) == (1 if library.keeps else 2)


# -- redirects, cookies, authentication --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect"])
def test_redirects(library: Library, status: str) -> None:
    recorder = Recorder((response(b"moved", status, "Location: /there?a=b"), response(b"here")))
    with RawServer(recorder) as server:
        request = Request(f"{server.url}/from", headers={"X-Kept": "1"})
        request.add_unredirected_header("X-Left", "1")
        with library.urlopen(request) as got:
            assert got.read() == b"here"
            assert got.geturl() == f"{server.url}/there?a=b"
    first, second = recorder.all
    assert (first.value("X-Left"), second.value("X-Left")) == ("1", None)
    assert second.lines[0] == "GET /there?a=b HTTP/1.1"
    assert second.value("X-Kept") == "1"
    assert len(recorder.requests) == (1 if library.keeps else 2)


def test_a_redirected_post_becomes_a_get(library: Library) -> None:
    recorder = Recorder((response(b"", "302 Found", "Location: /there"), OK))
    with RawServer(recorder) as server:
        assert library.get(server.url, b"a=b") == b"ok"
    assert recorder.all[1].lines[0] == "GET /there HTTP/1.1"
    assert recorder.all[1].value("Content-Type") is None
    assert recorder.all[1].body == b""


def test_a_redirect_to_a_file_is_refused(library: Library) -> None:
    with RawServer(Recorder((response(b"", "302 Found", "Location: file:///etc/passwd"),))) as server:
        with pytest.raises(HTTPError, match="not allowed") as caught:
            library.urlopen(server.url)
        caught.value.close()


def test_cookies(library: Library) -> None:
    jar = http.cookiejar.CookieJar()
    recorder = Recorder((response(b"", "200 OK", "Set-Cookie: a=1; Path=/", "Set-Cookie: b=2"), OK))
    with RawServer(recorder) as server:
        opener = library.build_opener(HTTPCookieProcessor(jar))
        for _ in range(2):
            with opener.open(f"http://localhost:{server.port}/") as got:
                got.read()
    assert {(cookie.name, cookie.value) for cookie in jar} == {("a", "1"), ("b", "2")}
    assert recorder.all[0].value("Cookie") is None
    assert sorted((recorder.all[1].value("Cookie") or "").split("; ")) == ["a=1", "b=2"]


def test_basic_authentication(library: Library) -> None:
    passwords = HTTPPasswordMgrWithDefaultRealm()
    recorder = Recorder((response(b"who?", "401 Unauthorized", 'WWW-Authenticate: Basic realm="r"'), response(b"in")))
    with RawServer(recorder) as server:
        passwords.add_password(None, server.url, "user", "pass")
        with library.build_opener(HTTPBasicAuthHandler(passwords)).open(server.url) as got:
            assert got.read() == b"in"
    assert recorder.all[1].value("Authorization") == "Basic " + base64.b64encode(b"user:pass").decode()


def test_digest_authentication(library: Library) -> None:
    passwords = HTTPPasswordMgrWithDefaultRealm()
    challenge = 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth", algorithm=MD5'
    recorder = Recorder((response(b"who?", "401 Unauthorized", challenge), response(b"in")))
    with RawServer(recorder) as server:
        passwords.add_password("r", server.url, "user", "pass")
        with library.build_opener(HTTPDigestAuthHandler(passwords)).open(f"{server.url}/x") as got:
            assert got.read() == b"in"
    assert 'username="user", realm="r", nonce="n", uri="/x"' in (recorder.all[1].value("Authorization") or "")


def test_other_schemes_are_the_originals(library: Library, tmp_path: Any) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(b"from disk")
    assert library.get(path.as_uri()) == b"from disk"
    assert library.get("data:text/plain,hello") == b"hello"
    with pytest.raises(URLError, match="unknown url type"):
        library.get("gopher://localhost/")


# -- arguments of handlers ---------------------------------------------------------------------------------------------


def test_the_context_of_a_handler(library: Library, certificates: Certificates) -> None:
    with RawServer(Recorder(), context=certificates.server_context()) as server:
        opener = library.build_opener(library.HTTPSHandler(context=certificates.client_context()))
        assert opener.open(server.url).read() == b"ok"


@pytest.mark.filterwarnings("ignore:key_file, cert_file and check_hostname:DeprecationWarning")
def test_check_hostname_of_a_handler(library: Library, certificates: Certificates) -> None:
    other = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificates.authority.issue_cert("other.example").configure_cert(other)
    with RawServer(Recorder(), context=other) as server:
        handler = library.HTTPSHandler(context=certificates.client_context(), check_hostname=False)
        assert library.build_opener(handler).open(server.url).read() == b"ok"


def test_check_hostname_without_a_context() -> None:
    handler = urllib_api.HTTPSHandler(check_hostname=False)
    assert handler._context is not None
    assert not handler._context.check_hostname


def test_a_client_of_the_callers(no_http_client: None) -> None:
    recorder = Recorder()
    with RawServer(recorder) as server, Client(resolver={"made.up": "127.0.0.1"}) as client:
        opener = urllib_api.build_opener(urllib_api.EngineHandler(client=client))
        assert opener.open(f"http://made.up:{server.port}/").read() == b"ok"
        assert client.statistics.created == 1
    with pytest.raises(ValueError, match="closed"):
        opener.open("http://made.up/")
    with pytest.raises(ValueError, match="TLS settings"):
        urllib_api.HTTPSHandler(check_hostname=False, client=client)


# -- past the engine ---------------------------------------------------------------------------------------------------


def test_proxies_of_a_handler(library: Library) -> None:
    recorder = Recorder()
    with RawServer(recorder) as proxy:
        opener = library.build_opener(ProxyHandler({"http": proxy.url}))
        assert opener.open("http://made.up:81/path").read() == b"ok"
    assert recorder.all[0].lines[0] == "GET http://made.up:81/path HTTP/1.1"
    assert recorder.all[0].value("host") == "made.up:81"


def test_proxies_of_the_environment(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    with RawServer(recorder) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert library.get("http://made.up/path") == b"ok"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert library.build_opener().open(f"{proxy.url}/direct").read() == b"ok"
    assert [request.lines[0] for request in recorder.all] == [
        "GET http://made.up/path HTTP/1.1",
        "GET /direct HTTP/1.1",
    ]


def test_a_proxy_set_on_the_request(library: Library) -> None:
    recorder = Recorder()
    with RawServer(recorder) as proxy:
        request = Request("http://made.up/path")
        request.set_proxy(f"localhost:{proxy.port}", "http")
        assert library.get(request) == b"ok"
    assert recorder.all[0].lines[0] == "GET http://made.up/path HTTP/1.1"


def test_a_tunnel(library: Library, certificates: Certificates) -> None:
    asked: list[bytes] = []

    def handler(connection: socket.socket) -> None:
        asked.append(read_head(connection))
        connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        # On a duplicate: the server ends what it holds itself, and would wait for one that was taken from it.
        with certificates.server_context().wrap_socket(connection.dup(), server_side=True) as inner:
            asked.append(read_head(inner))
            inner.sendall(OK)
            read_until_eof(inner)

    with RawServer(handler, tolerate=(OSError,)) as proxy:
        secure = library.HTTPSHandler(context=certificates.client_context())
        opener = library.build_opener(ProxyHandler({"https": proxy.url}), secure)
        assert opener.open("https://localhost:4433/x").read() == b"ok"
    assert asked[0].startswith(b"CONNECT localhost:4433 HTTP/1.")
    assert asked[1].startswith(b"GET /x HTTP/1.1\r\n")


def test_a_connection_class_of_the_users(library: Library) -> None:
    made: list[str] = []

    class Connection(http.client.HTTPConnection):
        def connect(self) -> None:
            made.append(self.host)
            self.sock, other = socket.socketpair()
            other.sendall(OK)
            other.shutdown(socket.SHUT_WR)
            others.append(other)

    class Handler(library.HTTPHandler):  # type: ignore[name-defined,misc]
        def http_open(self, request: Request) -> Any:
            return self.do_open(Connection, request)

    others: list[socket.socket] = []
    with library.build_opener(Handler).open("http://made.up/") as got:
        assert got.read() == b"ok"
    assert made == ["made.up"]
    for other in others:
        assert read_exactly(other, 14) == b"GET / HTTP/1.1"
        other.close()


def test_a_replaced_connection_class(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    class Recording(http.client.HTTPConnection):
        def request(self, method: str, url: str, *args: Any, **options: Any) -> None:
            seen.append(f"{method} {url}")
            super().request(method, url, *args, **options)

    monkeypatch.setattr(http.client, "HTTPConnection", Recording)
    with RawServer(Recorder()) as server:
        assert library.get(f"{server.url}/x") == b"ok"
    assert seen == ["GET /x"]


def test_the_debug_level(library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    with RawServer(Recorder()) as server:
        assert library.build_opener(library.HTTPHandler(debuglevel=1)).open(server.url).read() == b"ok"
    printed = capsys.readouterr().out
    assert "send: b'GET / HTTP/1.1\\r\\n" in printed
    assert "reply: 'HTTP/1.1 200 OK\\r\\n'" in printed


# -- the names ---------------------------------------------------------------------------------------------------------


def test_the_classes_are_the_originals() -> None:
    assert urllib_api.Request is Request
    assert urllib_api.HTTPError is HTTPError
    assert issubclass(urllib_api.HTTPHandler, urllib.request.HTTPHandler)
    assert issubclass(urllib_api.HTTPSHandler, urllib.request.HTTPSHandler)
    assert issubclass(urllib_api.EngineHandler, AbstractHTTPHandler)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the arguments are gone")
def test_cafile(library: Library, certificates: Certificates) -> None:
    with RawServer(Recorder(), context=certificates.server_context()) as server:
        with pytest.warns(DeprecationWarning, match="cafile"):
            assert library.get(server.url, cafile=str(certificates.ca_file)) == b"ok"
        with pytest.warns(DeprecationWarning, match="cafile"), pytest.raises(ValueError, match="both"):
            library.get(server.url, cafile="x", context=certificates.client_context())


@pytest.mark.skipif(sys.version_info < (3, 13), reason="the arguments are there")
def test_no_cafile(library: Library) -> None:
    with pytest.raises(TypeError):
        library.get("https://localhost/", cafile="x")
