"""What is built on requests works on the engine: our adapter mounted, our module used, the engine installed below requests."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import cachecontrol
import oauthlib.oauth2 as oauthlib
import pytest
import requests
import requests.adapters
import requests_mock
import requests_oauthlib
import requests_toolbelt
import requests_toolbelt.downloadutils.stream as toolbelt_stream
import requests_toolbelt.sessions as toolbelt_sessions
import requests_toolbelt.utils.dump as toolbelt_dump
import responses

import drivetrain.compat
from drivetrain.compat import requests_api
from drivetrain.compat.requests_api import EngineAdapter
from tests.compat.requests_api.support import OK, Recorder, answer, session_with
from tests.support.servers import RawServer

_watching = threading.Event()
_fallen_back: list[str] = []


def _audit(event: str, arguments: tuple[Any, ...], watching: threading.Event = _watching) -> None:
    # A hook stays to the very end of the interpreter, when the module's names are gone.
    if watching.is_set() and event.startswith("http.client."):
        _fallen_back.append(event)


sys.addaudithook(_audit)

MakeSession = Callable[[], requests.Session]


@pytest.fixture(params=["mounted", "module", "installed"])
def make_session(request: pytest.FixtureRequest) -> Iterator[MakeSession]:
    """Makes sessions that send through the engine; http.client must not be used meanwhile."""
    made: list[requests.Session] = []

    def make() -> requests.Session:
        if request.param == "mounted":
            session = session_with(EngineAdapter())
        else:
            session = (requests_api if request.param == "module" else requests).Session()
        made.append(session)
        return session

    if request.param == "installed":
        drivetrain.compat.install("requests")
    _fallen_back.clear()
    _watching.set()
    yield make
    _watching.clear()
    for session in made:
        session.close()
    drivetrain.compat.uninstall()
    assert _fallen_back == []


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(Recorder(OK)) as made:
        yield made


def test_responses_intercepts_and_lets_pass(make_session: MakeSession, server: RawServer) -> None:
    session = make_session()
    with responses.RequestsMock() as mocked:
        mocked.get("http://mocked.test/", json={"a": 1})
        mocked.add_passthru(server.url)
        assert session.get("http://mocked.test/").json() == {"a": 1}
        assert session.get(server.url).text == "ok"
        with pytest.raises(requests.ConnectionError):
            session.get("http://unknown.test/")
        assert [call.request.url for call in mocked.calls] == ["http://mocked.test/", "http://unknown.test/"]
    assert session.get(server.url).text == "ok"
    assert server.connections == 1


def test_responses_as_a_decorator(make_session: MakeSession, server: RawServer) -> None:
    @responses.activate
    def use() -> list[int]:
        responses.post("http://mocked.test/", status=201)
        responses.add(responses.PassthroughResponse("PUT", f"{server.url}/"))
        session = make_session()
        return [session.post("http://mocked.test/").status_code, session.put(server.url, data=b"x").status_code]

    assert use() == [201, 200]
    assert server.connections == 1


def test_what_passes_keeps_its_errors(make_session: MakeSession) -> None:
    with responses.RequestsMock() as mocked:
        mocked.add_passthru("http://127.0.0.1:1/")
        with pytest.raises(requests.ConnectionError, match="Max retries exceeded") as caught:
            make_session().get("http://127.0.0.1:1/")
    assert caught.value.request is not None


@pytest.mark.parametrize("real", [False, True])
def test_requests_mock(make_session: MakeSession, server: RawServer, real: bool) -> None:
    session = make_session()
    with requests_mock.Mocker(real_http=real) as mocker:
        mocker.get("http://mocked.test/", text="mocked")
        assert session.get("http://mocked.test/").text == "mocked"
        if real:
            assert session.get(server.url).text == "ok"
        else:
            with pytest.raises(requests_mock.NoMockAddress):
                session.get(server.url)
    assert session.get(server.url).text == "ok"


def test_an_adapter_of_requests_mock(make_session: MakeSession) -> None:
    adapter = requests_mock.Adapter()
    adapter.register_uri("GET", "mock://test/path", text="mocked", cookies={"a": "1"})
    session = make_session()
    session.mount("mock://", adapter)
    response = session.get("mock://test/path")
    assert response.text == "mocked"
    assert response.cookies.get_dict() == {"a": "1"}


def test_cachecontrol(make_session: MakeSession) -> None:
    recorder = Recorder(
        answer(b"one", "Cache-Control: max-age=60", f"Date: {formatdate(usegmt=True)}"),
        answer(b"two", 'ETag: "x"'),
        answer(b"", status="304 Not Modified"),
    )
    with RawServer(recorder) as server:
        session = cachecontrol.CacheControl(make_session())
        if not isinstance(session.get_adapter(server.url), EngineAdapter):
            kind: Any = type("Cached", (cachecontrol.CacheControlAdapter, requests_api.adapters.HTTPAdapter), {})
            session.mount("http://", kind())
        assert [session.get(f"{server.url}/a").text for _ in range(2)] == ["one"] * 2
        assert [session.get(f"{server.url}/b").text for _ in range(2)] == ["two"] * 2
        assert session.get(f"{server.url}/a").from_cache
    assert len(recorder.heads) == 3
    assert b'If-None-Match: "x"' in recorder.heads[2]


def test_toolbelt(make_session: MakeSession, tmp_path: Path) -> None:
    recorder = Recorder(answer(b"streamed", "Transfer-Encoding-Not: x"))
    seen: list[int] = []
    with RawServer(recorder) as server:
        session = make_session()
        fields = {"a": "1", "file": ("name", b"x" * 100_000, "text/plain")}
        encoder = requests_toolbelt.MultipartEncoder(fields)
        monitor = requests_toolbelt.MultipartEncoderMonitor(encoder, lambda m: seen.append(m.bytes_read))
        session.post(server.url, data=monitor, headers={"Content-Type": monitor.content_type})
        response = session.get(server.url, stream=True)
        path = toolbelt_stream.stream_response_to_file(response, str(tmp_path / "file"))
        dumped = toolbelt_dump.dump_all(session.get(server.url))
    assert len(recorder.bodies[0]) == encoder.len == seen[-1]
    assert Path(path).read_bytes() == b"streamed"
    assert b"< GET / HTTP/1.1\r\n" in dumped
    assert b"> HTTP/1.1 200 OK\r\n" in dumped
    assert dumped.endswith(b"streamed")


def test_a_toolbelt_session_with_a_base(make_session: MakeSession, server: RawServer) -> None:
    session = toolbelt_sessions.BaseUrlSession(f"{server.url}/base/")
    for prefix, adapter in make_session().adapters.items():
        session.mount(prefix, adapter)
    assert session.get("path").url == f"{server.url}/base/path"


def test_oauth(make_session: MakeSession) -> None:
    recorder = Recorder(answer(b'{"access_token": "t", "token_type": "Bearer"}', "Content-Type: application/json"), OK)
    with RawServer(recorder) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
        session = requests_oauthlib.OAuth2Session(client=oauthlib.BackendApplicationClient("id"))
        for prefix, adapter in make_session().adapters.items():
            session.mount(prefix, adapter)
        session.fetch_token(f"{server.url}/token", client_id="id", client_secret="s")
        assert session.get(server.url).text == "ok"
        signed = make_session()
        signed.auth = requests_oauthlib.OAuth1("key", "secret", "token", "secret")
        assert signed.post(server.url, data={"a": "1"}).text == "ok"
    assert b"Authorization: Bearer t" in recorder.heads[1]
    assert b'Authorization: OAuth oauth_nonce="' in recorder.heads[2]
