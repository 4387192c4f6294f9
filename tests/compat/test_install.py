"""`install`, `uninstall` and `installed`: the engine below requests and urllib.request, before and after they were imported."""

from __future__ import annotations

import copy
import http.client
import ssl
import subprocess
import sys
import textwrap
import threading
import types
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest
import requests
import requests.adapters

import drivetrain.compat
from drivetrain.compat import requests_api
from drivetrain.compat.requests_api import EngineAdapter
from drivetrain.compat.requests_api.installed_adapter import InstalledAdapter
from tests.compat.requests_api.support import OK, Recorder, answer
from tests.support.certificates import Certificates
from tests.support.servers import RawServer

Original = requests.adapters.HTTPAdapter
ORIGINAL_METHODS = {name: getattr(requests.Session, name) for name in ("send", "prepare_request", "request")}
DO_OPEN = urllib.request.AbstractHTTPHandler.do_open

_fallen_back: list[str] = []
_watching = threading.Event()


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching.is_set() and event.startswith("http.client."):
        _fallen_back.append(event)


sys.addaudithook(_audit)


@pytest.fixture
def no_fallback() -> Iterator[None]:
    """Fails when http.client connects or sends, which urllib3's pools do too."""
    _fallen_back.clear()
    _watching.set()
    yield
    _watching.clear()
    assert _fallen_back == []


@pytest.fixture(autouse=True)
def everything_is_given_back() -> Iterator[None]:
    yield
    drivetrain.compat.uninstall()
    assert requests.adapters.HTTPAdapter is requests.sessions.HTTPAdapter is Original
    assert Original.__init__.__globals__["__name__"] == "requests.adapters"
    assert {name: getattr(requests.Session, name) for name in ORIGINAL_METHODS} == ORIGINAL_METHODS
    assert urllib.request.AbstractHTTPHandler.do_open is DO_OPEN
    assert InstalledAdapter.engine_defaults == {}


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(Recorder(OK)) as made:
        yield made


# --- requests -----------------------------------------------------------------------------------------------------------


def test_requests_made_in_every_way(server: RawServer, no_fallback: None) -> None:
    report = drivetrain.compat.install("requests")
    assert report.covered == ("requests",)
    assert requests.get(server.url).text == "ok"
    with requests.Session() as session:
        assert type(session.get_adapter(server.url)) is requests.adapters.HTTPAdapter
        assert issubclass(requests.adapters.HTTPAdapter, requests_api.adapters.HTTPAdapter)
        assert session.post(server.url, data="x").text == "ok"
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=2))
        assert session.get(server.url).text == "ok"
    with requests_api.Session() as session:
        assert session.get(server.url).text == "ok"


def test_what_was_made_and_imported_before(server: RawServer, no_fallback: None) -> None:
    class Sub(Original):
        """Calls the constructor by the class's name, as old programs do."""

        def __init__(self) -> None:
            Original.__init__(self, max_retries=1)

    class SubSub(Sub):
        def send(self, *args: Any, **kwargs: Any) -> Any:
            return super().send(*args, **kwargs)

    class SubSession(requests.Session): ...

    before: list[requests.Session] = [requests.Session(), SubSession()]
    for adapter in (Original(), Sub(), SubSub()):
        before.append(requests.Session())
        before[-1].mount("http://", adapter)
    with drivetrain.compat.installed("requests"):
        after = [SubSession()]
        for adapter in (Original(), Sub(), SubSub(), copy.deepcopy(Original())):
            after.append(requests.Session())
            after[-1].mount("http://", adapter)
        for session in before + after:
            assert session.get(server.url).text == "ok"
            assert isinstance(session, requests.Session)
            assert isinstance(session.get_adapter(server.url), requests.adapters.HTTPAdapter)
            assert isinstance(session.get_adapter(server.url), EngineAdapter)
            session.close()
    assert type(before[0].get_adapter("http://")) is Original
    assert Sub.__bases__ == (Original,)


def test_after_uninstalling_everything_works_as_before(server: RawServer) -> None:
    class Sub(Original): ...

    session, other = requests.Session(), requests.Session()
    other.mount("http://", Sub())
    drivetrain.compat.install("requests")
    session.get(server.url)
    other.get(server.url)
    drivetrain.compat.uninstall("requests")
    _fallen_back.clear()
    _watching.set()
    for user in (session, other, requests.Session()):
        with user:
            assert user.get(server.url).text == "ok"
            assert not isinstance(user.get_adapter(server.url), EngineAdapter)
    _watching.clear()
    assert _fallen_back.count("http.client.connect") == 3


def test_the_adapter_that_is_patched_is_the_one_that_is_used(server: RawServer) -> None:
    with drivetrain.compat.installed("requests"):
        error = requests.ConnectionError("patched")
        with mock.patch("requests.adapters.HTTPAdapter.send", side_effect=error), pytest.raises(type(error)) as caught:
            requests.get(server.url)
        assert caught.value is error
        with mock.patch("requests.sessions.Session.send", return_value="patched"):
            patched: Any = requests.get(server.url)
        assert patched == "patched"
        assert requests.get(server.url).text == "ok"


def test_options_for_every_adapter(server: RawServer) -> None:
    with drivetrain.compat.installed("requests", http1=True, hsts=True):
        adapters: list[Any] = [requests.adapters.HTTPAdapter(), requests.Session().get_adapter("https://"), Original()]
        assert [adapter._engine_options for adapter in adapters] == [{"version": 1.1}] * 3
        assert adapters[0].hsts is adapters[1].hsts is adapters[2].hsts is not None
        assert requests.get(server.url).text == "ok"


# --- urllib -------------------------------------------------------------------------------------------------------------


def test_every_opener(server: RawServer, no_fallback: None) -> None:
    class Sub(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(http.client.HTTPConnection, req)

    names = set(dir(urllib.request))
    before = urllib.request.build_opener()
    report = drivetrain.compat.install("urllib")
    assert report.covered == ("urllib",)
    for opener in (before, urllib.request.build_opener(), urllib.request.build_opener(Sub)):
        assert opener.open(server.url).read() == b"ok"
    assert urllib.request.urlopen(server.url).read() == b"ok"
    assert urllib.request.urlopen(urllib.request.Request(server.url, b"data")).status == 200
    assert server.connections == 1
    assert set(dir(urllib.request)) == names


def test_a_file_is_retrieved(server: RawServer, no_fallback: None, tmp_path: Any) -> None:
    with drivetrain.compat.installed("urllib"):
        _, headers = urllib.request.urlretrieve(server.url, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"ok"
    assert headers["content-length"] == "2"


# --- hosts that want https only -----------------------------------------------------------------------------------------

STS = answer(b"ok", "Strict-Transport-Security: max-age=1000", "Set-Cookie: a=b; Secure")


@pytest.mark.parametrize("face", ["requests", "urllib"])
def test_hsts(face: str, certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.create_default_context(cafile=str(certificates.ca_file))
    opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=context), urllib.request.HTTPCookieProcessor()
    )
    session = requests.Session()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.ca_file))
    recorder = Recorder(STS)

    def ask(url: str) -> str:
        return session.get(url).url if face == "requests" else opener.open(url).url

    with RawServer(recorder, context=certificates.server_context()) as server, session:
        secure = f"https://localhost:{server.port}/"
        with drivetrain.compat.installed(face, hsts=True):
            session.mount("http://", requests.adapters.HTTPAdapter())
            session.mount("https://", requests.adapters.HTTPAdapter())
            assert ask(secure) == ask(secure.replace("https", "http")) == secure
            assert b"Cookie: a=b" in recorder.heads[1]
            recorder.answers = [answer(b"", f"Location: {secure.replace('https', 'http')}", status="302 Found")]
            with pytest.raises((requests.TooManyRedirects, urllib.error.HTTPError)) as caught:
                ask(secure)
            if isinstance(caught.value, urllib.error.HTTPError):
                caught.value.close()


# --- what is installed --------------------------------------------------------------------------------------------------


def test_all_faces_and_what_is_missing() -> None:
    report = drivetrain.compat.install()
    assert report.covered[:2] == ("requests", "urllib")
    assert [face for face, _ in report.gaps if face == "websockets"] == ["websockets"]
    assert "not through it: websockets: " in str(report)
    assert str(report).startswith("through the engine: requests, urllib")


@pytest.mark.parametrize("function", [drivetrain.compat.install, drivetrain.compat.uninstall])
def test_an_unknown_face(function: Any) -> None:
    with pytest.raises(ValueError, match=r"cannot install 'http': there are requests, urllib, websockets"):
        function("requests", "http")
    with pytest.raises(ValueError, match="cannot install 'http'"), drivetrain.compat.installed("http"):
        pass


def test_installing_twice_is_as_once() -> None:
    first = drivetrain.compat.install("requests")
    found = requests.adapters.HTTPAdapter
    assert drivetrain.compat.install("requests") == first
    assert requests.adapters.HTTPAdapter is found
    assert drivetrain.compat.uninstall("requests").covered == ()
    assert requests.adapters.HTTPAdapter is Original
    assert drivetrain.compat.uninstall("requests").covered == ()


def test_blocks_may_overlap() -> None:
    first, second = drivetrain.compat.installed("requests"), drivetrain.compat.installed("requests", "urllib")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert requests.adapters.HTTPAdapter is not Original
    assert drivetrain.compat.uninstall("requests").covered == ("requests",)
    second.__exit__(None, None, None)
    assert requests.adapters.HTTPAdapter is Original


def test_a_block_does_not_end_what_was_installed_before() -> None:
    drivetrain.compat.install("urllib")
    with drivetrain.compat.installed("urllib"):
        pass
    assert urllib.request.AbstractHTTPHandler.do_open is not DO_OPEN


def test_from_many_threads(server: RawServer, no_fallback: None) -> None:
    everyone = threading.Barrier(8)

    def use(_: int) -> str:
        everyone.wait(10)
        with drivetrain.compat.installed("requests"):
            return requests.get(server.url).text

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(use, range(8))) == ["ok"] * 8


# --- what cannot be covered ---------------------------------------------------------------------------------------------


def gaps(*names: str) -> str:
    with drivetrain.compat.installed(*names) as report:
        return str(report)


def test_what_was_replaced_before_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(Original): ...

    def send(self: Any, *args: Any, **kwargs: Any) -> Any:
        return None

    monkeypatch.setattr(requests.sessions, "HTTPAdapter", Other)
    monkeypatch.setattr(requests.Session, "send", send)
    found = gaps("requests")
    assert "requests.sessions.HTTPAdapter was replaced before, by " in found
    assert "requests.Session.send was replaced before, by " in found
    assert requests.sessions.HTTPAdapter is Other
    assert requests.Session.send is send
    monkeypatch.undo()


def test_what_is_asked_before_the_engine(monkeypatch: pytest.MonkeyPatch, server: RawServer) -> None:
    original = Original.send
    asked: list[Any] = []

    def send(self: Any, request: Any, **kwargs: Any) -> Any:
        asked.append(request)
        return original(self, request, **kwargs)

    monkeypatch.setattr(Original, "send", send)
    with drivetrain.compat.installed("requests") as report:
        assert "HTTPAdapter.send was replaced before" in str(report)
        assert requests.get(server.url).text == "ok"
    assert len(asked) == 1


def test_another_copy_of_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    copied: Any = types.ModuleType("vendor.requests.adapters")
    copied.HTTPAdapter = type("HTTPAdapter", (), {})
    monkeypatch.setitem(sys.modules, copied.__name__, copied)
    assert "vendor.requests is a copy of requests of its own" in gaps("requests")


def test_a_class_that_cannot_be_changed() -> None:
    class Fixed(type):
        def __setattr__(cls, name: str, value: Any) -> None:
            raise TypeError("fixed")

    class Sub(Original, metaclass=Fixed): ...

    assert f"{Sub.__qualname__} was made before and cannot be changed: fixed" in gaps("requests")
    assert Sub.__bases__ == (Original,)


def test_who_else_opens_connections_for_urllib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request.AbstractHTTPHandler, "do_open", lambda *_: None)
    assert "AbstractHTTPHandler.do_open was replaced before" in gaps("urllib")
    monkeypatch.undo()


# --- in a fresh interpreter ---------------------------------------------------------------------------------------------

FRESH = """
    import sys
    import drivetrain.compat
    assert "requests" not in sys.modules and "urllib.request" not in sys.modules, "importing must be cheap"
    fallen_back = []
    sys.addaudithook(lambda event, _: fallen_back.append(event) if event.startswith("http.client.") else None)
    {first}
    {second}
    url = sys.argv[1]
    with requests.Session() as session:
        assert session.get(url).text == requests.get(url).text == "ok"
    assert urllib.request.urlopen(url).read() == b"ok"
    assert not fallen_back, fallen_back
    drivetrain.compat.uninstall()
    assert requests.get(url).text == "ok"
    assert fallen_back
"""
INSTALL = "drivetrain.compat.install('requests', 'urllib')"
IMPORT = "import requests, urllib.request"


@pytest.mark.parametrize(("first", "second"), [(INSTALL, IMPORT), (IMPORT, INSTALL)], ids=["before", "after"])
def test_before_and_after_the_originals_were_imported(server: RawServer, first: str, second: str) -> None:
    program = textwrap.dedent(FRESH).format(first=first, second=second)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, server.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_redirects_and_cookies_through_the_installed_engine(no_fallback: None) -> None:
    recorder = Recorder(answer(b"", "Location: /two", "Set-Cookie: a=1", status="302 Found"), OK)
    with RawServer(recorder) as server, drivetrain.compat.installed("requests"):
        assert requests.get(server.url).history[0].status_code == 302
    assert b"Cookie: a=1" in recorder.heads[1]


def test_attributes_of_a_class_that_was_derived_before() -> None:
    """Their names are the program's: what is called as something of the engine's means nothing to it, and is left alone."""

    class Adapter(requests.adapters.HTTPAdapter):
        default_options = ("mine",)
        no_proxy = "*"
        _clients = None

        def __init__(self) -> None:
            self.proxy = "http://127.0.0.1:1"
            super().__init__()
            self.cookies, self.hsts, self._timeouts, self._asked, self._proxies = "c", "h", 5, 0, ["p"]

        def _start(self) -> None:
            raise AssertionError("this is mine")

        close_clients = start = send_until_done = _start

    drivetrain.compat.install("requests")
    with RawServer(Recorder(OK)) as server, requests.Session() as session:
        session.mount("http://", adapter := Adapter())
        assert isinstance(adapter, InstalledAdapter)
        for _ in range(2):
            assert session.get(server.url).text == "ok"
        assert (adapter.proxy, adapter.cookies, adapter.hsts) == ("http://127.0.0.1:1", "c", "h")
        assert (adapter._timeouts, adapter._asked, adapter._proxies) == (5, 0, ["p"])
        adapter.close()
    drivetrain.compat.uninstall()
