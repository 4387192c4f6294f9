"""The quick session beside requests' own: the same requests, settings and extension points."""

from __future__ import annotations

import io
from collections import OrderedDict
from http.cookiejar import CookieJar
from typing import Any

import pytest
import requests
import requests.utils
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.adapters import BaseAdapter
from requests.cookies import RequestsCookieJar

from drivetrain.compat import requests_api
from tests.compat.requests_api.support import OK, Recorder, answer
from tests.support.servers import RawServer

URL = "http://a.test/path?q=1#f"


def facts(prepared: requests.PreparedRequest) -> dict[str, Any]:
    found = dict(vars(prepared))
    found["headers"] = list(prepared.headers.items())
    jar: Any = prepared._cookies  # type: ignore[attr-defined]
    found["_cookies"] = (type(jar), sorted((cookie.domain, cookie.name, cookie.value) for cookie in jar))
    return found


def outcome(session: requests.Session, request: requests.Request) -> Any:
    """What preparing gives: facts, or the error."""
    try:
        return facts(session.prepare_request(request))
    except Exception as error:
        return type(error), str(error)


def same_everywhere(setup: Any = None, **request: Any) -> dict[str, Any]:
    """Prepare with both kinds of session, twice each, and compare."""
    outcomes = []
    for kind in (requests.Session, requests_api.Session):
        session = kind()
        session.trust_env = False
        if setup is not None:
            setup(session)
        asked = {"method": "GET", "url": URL, **request}
        outcomes += [outcome(session, requests.Request(**asked)) for _ in range(2)]
    assert outcomes == [outcomes[0]] * 4
    found: dict[str, Any] = outcomes[0]
    return found


def hook(response: requests.Response, **options: Any) -> None: ...


CASES: list[dict[str, Any]] = [
    {},
    {"method": "post"},
    {"method": "Delete", "data": {}},
    {"url": "http://EXAMPLE.test"},
    {"url": "  http://a.test/ü?ö=ä"},
    {"url": "http://bücher.test/"},
    {"url": "http://user:p%20w@a.test/x@y"},
    {"url": "http://a.test/x@y"},
    {"url": "http://a.test/%zz%7e"},
    {"url": "http://[::1]:80/"},
    {"url": "mailto:x@y.test"},
    {"url": "no-scheme"},
    {"url": "http://"},
    {"url": "http://*.test/"},
    {"url": b"http://a.test/"},
    {"params": {"a": ["1", "2"], "b": None}},
    {"params": [("a", "ü"), ("a", b"x")]},
    {"params": "raw=1&ü"},
    {"params": b"raw=1"},
    {"params": {"long": "x" * 2000}},
    {"headers": {"X-A": "1", "accept": "text/plain", "User-Agent": None}},
    {"headers": {"x-a": b"bytes"}},
    {"headers": {b"X-B": "1"}},
    {"headers": {"X-A": 1}},
    {"headers": {"X-A": " leading"}},
    {"headers": {"X A": "a\r\nb"}},
    {"headers": OrderedDict([("X-A", "1")])},
    {"headers": requests.structures.CaseInsensitiveDict({"X-A": "1"})},
    {"headers": {"Cookie": "own=1"}},
    {"cookies": {"c": "1"}},
    {"cookies": CookieJar()},
    {"method": "POST", "data": {"a": "1", "b": ["2", "3"]}},
    {"method": "POST", "data": [("a", "1")]},
    {"method": "POST", "data": b"bytes"},
    {"method": "POST", "data": ""},
    {"method": "POST", "data": "text"},
    {"method": "POST", "json": {"a": 1}},
    {"method": "POST", "json": {}},
    {"method": "POST", "json": {"a": float("nan")}},
    {"method": "POST", "data": (), "headers": {"Content-Length": "0"}},
    {"auth": ("user", "password")},
    {"auth": ()},
    {"hooks": {"response": hook}},
    {"hooks": {"no such event": hook}},
    {"method": 5},
]


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_a_request_is_prepared_as_by_requests(case: dict[str, Any]) -> None:
    try:
        requests.Request(**case)
    except ValueError:
        with pytest.raises(ValueError, match="Unsupported event"):
            requests_api.Request(**case)
        return
    assert same_everywhere(**case)


def test_files_are_prepared_as_by_requests() -> None:
    prepared = requests_api.Session().prepare_request(requests.Request("PUT", URL, data=io.BytesIO(b"12345")))
    assert prepared.headers["Content-Length"] == "5"
    assert prepared._body_position == 0  # type: ignore[attr-defined]
    prepared = requests_api.Session().prepare_request(requests.Request("POST", URL, files={"f": b"content"}))
    assert b'name="f"' in prepared.body  # type: ignore[operator]


def with_settings(session: requests.Session) -> None:
    session.headers.update({"X-Session": "1", "Accept": None})  # type: ignore[dict-item]
    session.params = {"s": "1"}
    session.auth = ("user", "password")
    session.cookies.set("k", "v", domain="a.test", path="/")
    session.hooks["response"].append(hook)


@pytest.mark.parametrize("case", CASES[:12], ids=repr)
def test_a_session_with_settings_of_its_own(case: dict[str, Any]) -> None:
    found = same_everywhere(with_settings, **case)
    assert found


def test_what_a_session_puts_into_requests() -> None:
    found = same_everywhere(with_settings)
    assert found["headers"][-2:] == [("Cookie", "k=v"), ("Authorization", "Basic dXNlcjpwYXNzd29yZA==")]
    assert found["hooks"] == {"response": [hook]}


def test_headers_that_are_a_plain_dictionary() -> None:
    def setup(session: requests.Session) -> None:
        session.headers = {"A": "1"}  # type: ignore[assignment]

    assert same_everywhere(setup, headers={"a": "2"})["headers"][-1] == ("a", "2")


def test_prepared_requests_share_nothing() -> None:
    session = requests_api.Session()
    first, second = (session.prepare_request(requests.Request("GET", URL)) for _ in range(2))
    first.headers["X"] = "1"
    first.hooks["response"].append(hook)
    first._cookies.set("a", "b")  # type: ignore[attr-defined]
    assert "X" not in second.headers
    assert "X" not in session.headers
    assert second.hooks == session.hooks == {"response": []}
    assert not list(second._cookies)  # type: ignore[attr-defined]


TEXT = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=6)


@settings(deadline=None)
@given(
    st.sampled_from(["GET", "post", "HEAD", "Purge"]),
    st.dictionaries(st.sampled_from(["X-A", "x-a", "accept", "User-Agent", "Content-Length"]), TEXT | st.none()),
    st.dictionaries(TEXT, TEXT | st.lists(TEXT, max_size=2)) | st.lists(st.tuples(TEXT, TEXT), max_size=3),
    TEXT,
    st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["1", "2"])),
)
def test_any_request_is_prepared_as_by_requests(
    method: str, headers: dict[str, Any], params: Any, path: str, cookies: dict[str, str]
) -> None:
    url = f"http://a.test/{path}"
    assert same_everywhere(method=method, url=url, headers=headers, params=params, cookies=cookies)


# --- what people override and replace -----------------------------------------------------------------------------------


def test_functions_of_requests_that_were_replaced_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    session = requests_api.Session()
    session.prepare_request(requests.Request("GET", URL))
    monkeypatch.setattr(requests.sessions, "get_netrc_auth", lambda url: ("replaced", "x"))
    assert "Authorization" in session.prepare_request(requests.Request("GET", URL)).headers
    monkeypatch.setattr(requests.utils, "getproxies", lambda: {"http": "http://replaced.test"})
    monkeypatch.setattr(requests.utils, "proxy_bypass", lambda host: False)
    merged = session.merge_environment_settings(URL, {}, None, None, None)
    assert merged["proxies"] == {"http": "http://replaced.test"}
    monkeypatch.setattr(requests.PreparedRequest, "prepare_method", lambda self, method: setattr(self, "method", "X"))
    assert session.prepare_request(requests.Request("GET", URL)).method == "X"


@pytest.mark.parametrize("name", ["prepare_request", "merge_environment_settings", "send"])
def test_methods_of_requests_session_that_were_replaced_are_called(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    calls: list[str] = []
    original = getattr(requests.Session, name)

    def replaced(self: requests.Session, *args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(requests.Session, name, replaced)
    with RawServer(Recorder(OK)) as server, requests_api.Session() as session:
        assert session.get(server.url).text == "ok"
    assert calls == [name]


class Overriding(requests_api.Session):
    """Has a list for the calls of what a subclass overrides."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []


def overriding(name: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        self.calls.append(name)
        return getattr(super(Overriding, self), name)(*args, **kwargs)

    return method


OVERRIDDEN = [
    "request",
    "prepare_request",
    "merge_environment_settings",
    "send",
    "get_adapter",
    "get_redirect_target",
    "resolve_redirects",
    "rebuild_auth",
    "rebuild_method",
    "rebuild_proxies",
]


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_a_method_of_a_subclass_is_called(name: str) -> None:
    kind = type("Sub", (Overriding,), {name: overriding(name)})
    recorder = Recorder(answer(b"", "Location: /two", status="302 Found"), OK)
    with RawServer(recorder) as server, kind() as session:
        response = session.get(server.url)
    assert response.text == "ok"
    assert [hop.status_code for hop in response.history] == [302]
    assert name in session.calls


class Foreign(BaseAdapter):
    """An adapter that sends nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.options: dict[str, Any] = {}

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        self.options = options
        response = requests.Response()
        response.status_code, response.url, response.request = 200, request.url or "", request
        response.raw = io.BytesIO(b"foreign")
        return response

    def close(self) -> None: ...


def test_a_foreign_adapter(bare: pytest.MonkeyPatch) -> None:
    adapter = Foreign()
    with requests_api.Session() as session:
        session.mount("http://a.test/", adapter)
        response = session.get(URL, timeout=3)
    assert response.content == b"foreign"
    assert adapter.options == {"timeout": 3, "stream": False, "verify": True, "cert": None, "proxies": OrderedDict()}


# --- sending ------------------------------------------------------------------------------------------------------------


def test_redirects_cookies_hooks_and_elapsed() -> None:
    recorder = Recorder(
        answer(b"one", "Location: /two", "Set-Cookie: a=1", status="302 Found"), answer(b"two", "Set-Cookie: b=2")
    )
    seen: list[int] = []
    with RawServer(recorder) as server, requests_api.Session() as session:
        session.hooks["response"].append(lambda response, **options: seen.append(response.status_code))
        response = session.post(server.url, data=b"x")
        assert session.cookies.get_dict() == {"a": "1", "b": "2"}
    assert response.text == "two"
    assert seen == [302, 200]
    assert response.elapsed.total_seconds() > 0
    assert b"Cookie: a=1" in recorder.heads[1]


def test_a_hook_may_return_another_response() -> None:
    other = requests.Response()
    other._content, other.raw, other.status_code = b"other", io.BytesIO(), 200  # type: ignore[attr-defined]
    with RawServer(Recorder(OK)) as server, requests_api.Session() as session:
        assert session.get(server.url, hooks={"response": lambda response, **options: other}) is other


def test_without_following() -> None:
    recorder = Recorder(answer(b"", "Location: /two", status="303 See Other"), OK)
    with RawServer(recorder) as server, requests_api.Session() as session:
        response = session.put(server.url, allow_redirects=False)
        assert response.next is not None
        assert (response.next.method, response.next.url) == ("GET", f"{server.url}/two")
        assert session.send(response.next).text == "ok"
        assert session.head(server.url).next is None


def test_what_cannot_be_sent() -> None:
    request: Any = requests.Request("GET", URL)
    with requests_api.Session() as session, pytest.raises(ValueError, match="PreparedRequests"):
        session.send(request)
    with requests_api.Session() as session, pytest.raises(requests.exceptions.InvalidSchema):
        session.get("nothing://a.test/")


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options", "head"])
def test_one_shot_functions(method: str) -> None:
    recorder = Recorder(b"HTTP/1.1 204 No Content\r\n\r\n")
    with RawServer(recorder) as server:
        assert getattr(requests_api, method)(server.url).status_code == 204
        assert server.connections == 1
    assert recorder.heads[0].startswith(method.upper().encode() + b" / HTTP/1.1\r\n")


def test_the_same_bytes_as_requests() -> None:
    recorder = Recorder(OK)
    with RawServer(recorder) as server:
        for kind in (requests.Session, requests_api.Session):
            with kind() as session:
                session.cookies.set("k", "v")
                session.post(f"{server.url}/p", params={"a": "1"}, data={"b": "2"}, headers={"X-A": "1"})
    assert recorder.heads[0] == recorder.heads[1]
    assert recorder.bodies[0] == recorder.bodies[1] == b"b=2"


def test_cookies_of_a_jar_of_another_kind() -> None:
    recorder = Recorder(answer(b"", "Set-Cookie: a=1"))
    with RawServer(recorder) as server, requests_api.Session() as session:
        session.cookies = CookieJar()  # type: ignore[assignment]
        session.get(server.url)
        session.get(server.url)
        assert [cookie.name for cookie in session.cookies] == ["a"]  # type: ignore[attr-defined]
        assert isinstance(session.prepare_request(requests.Request("GET", URL))._cookies, RequestsCookieJar)  # type: ignore[attr-defined]
    assert b"Cookie: a=1" in recorder.heads[1]
