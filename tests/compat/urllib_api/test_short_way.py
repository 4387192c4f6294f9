"""`urlopen(url)` with the default opener: the short way round it does what the opener would have done."""

from __future__ import annotations

import http.client
import sys
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import (
    BaseHandler,
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPRedirectHandler,
    OpenerDirector,
    Request,
)

import pytest

from drivetrain.compat import urllib_api
from drivetrain.compat.urllib_api import opener as openers
from drivetrain.compat.urllib_api import short_way
from tests.compat.urllib_api.conftest import OURS, Library
from tests.compat.urllib_api.recorder import OK, Recorder, response
from tests.support.servers import RawServer


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def server(recorder: Recorder) -> Iterator[RawServer]:
    with RawServer(recorder) as running:
        yield running


def default_opener() -> OpenerDirector:
    """The one that `urlopen` has made for itself."""
    installed = openers._installed[0]
    assert installed is not None
    return installed[0]


@pytest.mark.parametrize(
    "tail",
    ["", "/", "?a=b", "/a?b=c#fragment", '/a|b/../"c"/%7e{}?x=[1]&&y=^`', "/;p?q"],
)
def test_the_request_is_the_openers(recorder: Recorder, server: RawServer, tail: str) -> None:
    url = f"http://localhost:{server.port}{tail}"
    first, again = (OURS.urlopen(url) for _ in range(2))
    urls = {first.geturl(), again.geturl()}
    assert (first.read(), again.read()) == (b"ok", b"ok")
    urllib_api.install_opener(urllib_api.build_opener())  # which goes the long way
    with OURS.urlopen(url) as long:
        assert long.read() == b"ok"
        assert urls == {long.geturl()}
    assert len({request.head for request in recorder.all}) == 1
    assert len(recorder.all) == 3


def test_it_is_taken(recorder: Recorder, server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the rest of this file would show nothing."""
    OURS.get(server.url)
    monkeypatch.setattr(OpenerDirector, "_call_chain", None)
    monkeypatch.setattr(short_way._WATCH, "unchanged", lambda: True)
    assert OURS.get(server.url) == b"ok"


REPLACED = [
    (OpenerDirector, "open"),
    (OpenerDirector, "_open"),
    (OpenerDirector, "_call_chain"),
    (Request, "__init__"),
    (Request, "get_method"),
    (Request, "has_proxy"),
    (Request, "add_unredirected_header"),
    (urllib_api.HTTPHandler, "http_request"),
    (HTTPErrorProcessor, "http_response"),
    (urllib_api.HTTPHandler, "http_open"),
    (urllib_api.HTTPHandler, "do_open"),
]


@pytest.mark.parametrize(("owner", "name"), REPLACED, ids=lambda value: getattr(value, "__name__", value))
@pytest.mark.parametrize("known", [True, False], ids=["known", "new"])
def test_what_is_replaced_is_called(
    recorder: Recorder, server: RawServer, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, known: bool
) -> None:
    if known:
        assert OURS.get(server.url) == b"ok"
    original, calls = getattr(owner, name), []

    def replacement(*args: Any, **options: Any) -> Any:
        calls.append(name)
        return original(*args, **options)

    monkeypatch.setattr(owner, name, replacement)
    assert OURS.get(server.url) == b"ok"
    assert calls
    calls.clear()
    monkeypatch.undo()
    assert OURS.get(server.url) == b"ok"
    assert not calls


def test_nothing_is_learnt_while_something_is_replaced(
    recorder: Recorder, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Request.__init__

    def init(self: Any, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        self.add_header("Authorization", "Bearer secret")

    OURS.get(server.url + "/other")
    monkeypatch.setattr(Request, "__init__", init)
    OURS.get(server.url)
    monkeypatch.undo()
    OURS.get(server.url)
    assert [request.value("Authorization") for request in recorder.all] == [None, "Bearer secret", None]


@pytest.mark.parametrize("name", ["HTTPConnection", "HTTPSConnection"])
def test_a_replaced_connection_is_made(server: RawServer, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    made = []

    class Connection(http.client.HTTPConnection):
        def __init__(self, *args: Any, **options: Any) -> None:
            made.append(args)
            super().__init__(*args, **options)

    OURS.get(server.url)
    monkeypatch.setattr(http.client, name, Connection)
    assert OURS.get(server.url) == b"ok"
    assert len(made) == (name == "HTTPConnection")


def test_a_replaced_request_is_made(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    class Another(Request):
        def get_method(self) -> str:
            return "OPTIONS"

    OURS.get(server.url)
    monkeypatch.setattr(urllib.request, "Request", Another)
    with OURS.urlopen(server.url) as got:
        assert got._method == "OPTIONS"


def add_a_handler(opener: OpenerDirector) -> None:
    class Marking(BaseHandler):
        def http_request(self, request: Request) -> Request:
            request.add_header("X-Mark", "1")
            return request

    opener.add_handler(Marking())


def add_a_field(opener: OpenerDirector) -> None:
    opener.addheaders.append(("X-Mark", "1"))


@pytest.mark.parametrize("change", [add_a_handler, add_a_field])
def test_a_changed_opener_is_asked(
    recorder: Recorder, server: RawServer, change: Callable[[OpenerDirector], None]
) -> None:
    OURS.get(server.url)
    change(default_opener())
    OURS.get(server.url)
    assert [request.value("X-Mark") for request in recorder.all] == [None, "1"]


def test_an_installed_opener_is_asked(recorder: Recorder, server: RawServer) -> None:
    OURS.get(server.url)
    mine = urllib_api.build_opener()
    mine.addheaders = [("User-Agent", "mine/1")]
    urllib_api.install_opener(mine)
    OURS.get(server.url)
    urllib_api.install_opener(None)
    OURS.get(server.url)
    agents = [request.value("User-Agent") for request in recorder.all]
    assert agents[1] == "mine/1"
    assert agents[0] == agents[2] != "mine/1"


def test_a_proxy_of_the_environment_is_asked(
    recorder: Recorder, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    assert OURS.get("http://name.test/path") == OURS.get("http://name.test/path") == b"ok"
    assert [request.lines[0] for request in recorder.all] == ["GET http://name.test/path HTTP/1.1"] * 2


def test_what_is_no_success_goes_to_the_handlers(library: Library) -> None:
    answers = (
        response(b"", "302 Found", "Location: /next"),
        OK,
        response(b"gone", "404 Not Found", "X-Field: 1"),
    )
    with RawServer(recorder := Recorder(answers)) as server:
        with library.urlopen(server.url + "/first") as got:
            assert (got.status, got.geturl(), got.read()) == (200, server.url + "/next", b"ok")
        with pytest.raises(HTTPError) as caught:
            library.urlopen(server.url + "/first")
    with caught.value as error:
        assert (error.code, error.msg, error.url) == (404, "Not Found", server.url + "/first")
        assert (error.hdrs["X-Field"], error.read()) == ("1", b"gone")
    assert [request.lines[0] for request in recorder.all] == [
        f"GET /{name} HTTP/1.1" for name in ("first", "next", "first")
    ]


def test_a_handler_of_errors_that_returns_nothing_is_believed(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HTTPDefaultErrorHandler, "http_error_default", lambda *_: None)
    with RawServer(recorder := Recorder((response(b"", "500 Oops"),))) as server:
        assert library.urlopen(server.url) is None
    assert len(recorder.all) == 1


def test_the_handlers_see_the_request(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def http_error_302(self: Any, request: Request, *_: Any) -> None:
        seen.append((request.full_url, request.get_method(), request.timeout, sorted(request.header_items())))

    monkeypatch.setattr(HTTPRedirectHandler, "http_error_302", http_error_302)
    with RawServer(Recorder((response(b"", "302 Found", "Location: /next"),))) as server:
        with pytest.raises(HTTPError) as caught:
            library.urlopen(server.url + "/a?b#c", timeout=7)
        caught.value.close()
        ((url, method, timeout, fields),) = seen
    assert (url, method, timeout) == (server.url + "/a?b#c", "GET", 7)
    assert [name for name, _ in fields] == ["Host", "User-agent"]


def test_the_audit_event_is_the_openers(library: Library) -> None:
    events: list[Any] = []
    listening = [True]
    odd = "http://:1/"  # which only the original tries to connect to

    def listen(event: str, args: Any) -> None:
        if listening and event == "urllib.Request":
            events.append(args)

    sys.addaudithook(listen)
    try:
        with RawServer(Recorder()) as server:
            for _ in range(2):
                library.get(server.url + "/a#b")
            with pytest.raises(ValueError, match="unknown url type"):
                library.get("nothing")
            with pytest.raises(OSError):
                library.get(odd)
            if library is OURS:  # the original leaves a socket open
                with pytest.raises(ValueError, match="out of range"):
                    library.urlopen(server.url + "/a#b", timeout=-1)
    finally:
        listening.clear()
    method = [event[-1] for event in events]
    usual = (server.url + "/a#b", None)
    assert [event[:2] for event in events] == [usual, usual, (odd, None), *[usual] * (library is OURS)]
    assert set(method) == {"GET"}


@pytest.mark.parametrize("url", ["http:///nothing", "http://localhost:x/", "http://local host/", "nothing", "http:"])
def test_what_is_no_url_is_refused_as_by_the_original(original: Library, url: str) -> None:
    faults = []
    for library in (original, OURS, OURS):
        with pytest.raises((ValueError, URLError, http.client.InvalidURL)) as caught:
            library.urlopen(url)
        faults.append((type(caught.value), str(caught.value)))
    assert faults[0] == faults[1] == faults[2]


def test_other_schemes_are_left_to_the_opener() -> None:
    for _ in range(2):
        assert OURS.get("data:,text") == b"text"


def test_not_every_url_is_remembered_for_ever(server: RawServer) -> None:
    for number in range(short_way._MAX_KNOWN + 5):
        OURS.get(server.url + f"/{number}")
    OURS.get(server.url + "/" + "x" * short_way._LONGEST)
    installed = openers._installed[0]
    assert installed is not None
    assert installed[1] is not None
    known = installed[1]._known
    assert 0 < len(known) <= short_way._MAX_KNOWN
    assert max(map(len, known)) <= short_way._LONGEST


@pytest.mark.parametrize("timeout", [0, 0.0])
def test_sockets_that_do_not_wait_are_the_originals(library: Library, server: RawServer, timeout: float) -> None:
    with pytest.raises(URLError) as caught:
        library.urlopen(server.url, timeout=timeout)
    assert isinstance(caught.value.reason, BlockingIOError)
