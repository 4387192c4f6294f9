"""The short way of an adapter: taken by plain requests, left to the adapter whenever anybody has something to say.

That both ways do the same is shown by the other files of this folder, whose fixtures have adapters of both kinds.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import logging
import pickle
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.util.retry import Retry

from drivetrain.compat.requests_api import EngineAdapter, adapter, clients
from drivetrain.compat.requests_api.raw_response import RawResponse
from drivetrain.compat.requests_api.short_way import ShortWay
from drivetrain.engine import CookieStore, HstsStore
from tests.compat.requests_api.support import OK, Recorder, answer, describe, session_with
from tests.support.servers import RawServer, read_head


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(OK)


@pytest.fixture
def server(recorder: Recorder) -> Iterator[RawServer]:
    with RawServer(recorder, tolerate=(OSError,)) as running:
        yield running


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[requests.PreparedRequest]:
    """The requests that the engine sent the long way."""
    found: list[requests.PreparedRequest] = []
    make = adapter.make_plan

    def make_plan(given: Any, request: requests.PreparedRequest, *rest: Any) -> Any:
        found.append(request)
        return make(given, request, *rest)

    monkeypatch.setattr(adapter, "make_plan", make_plan)
    return found


PLAIN: list[Callable[[requests.Session, str], requests.Response]] = [
    lambda session, url: session.get(url),
    lambda session, url: session.get(f"{url}/a?b=c#d"),
    lambda session, url: session.head(url),
    lambda session, url: session.get(url, headers={"X": "y"}, timeout=(3, 4)),
    lambda session, url: session.get(url, stream=True),
    lambda session, url: session.get(url, verify=False),
]


@pytest.mark.parametrize("ask", PLAIN)
def test_plain_requests_take_it(
    recorder: Recorder,
    server: RawServer,
    planned: list[Any],
    ask: Callable[[requests.Session, str], requests.Response],
) -> None:
    with session_with(EngineAdapter()) as session, session_with(HTTPAdapter()) as original:
        session.trust_env = original.trust_env = False
        responses = [ask(session, server.url) for _ in range(2)]
        assert planned == []
        expected = ask(original, server.url)
        for response in responses:
            assert response.content == expected.content
            assert (response.headers, response.url, response.encoding) == (
                expected.headers,
                expected.url,
                expected.encoding,
            )
            assert response.connection is session.get_adapter(server.url)
            assert type(response.raw) is RawResponse
    assert len(set(recorder.heads)) == 1


@pytest.mark.parametrize(
    "ask",
    [
        lambda session, url: session.post(url, data=b"x"),
        lambda session, url: session.post(url),
        lambda session, url: session.delete(url),
        lambda session, url: session.get(url, headers={"X": b"bytes"}),
        lambda session, url: session.get(url, headers={"Transfer-Encoding": "chunked"}),
        lambda session, url: session.get(url.replace("127.0.0.1", "127.1")),
    ],
)
def test_others_do_not(
    recorder: Recorder,
    server: RawServer,
    planned: list[Any],
    ask: Callable[[requests.Session, str], requests.Response],
) -> None:
    with session_with(EngineAdapter()) as session, session_with(HTTPAdapter()) as original:
        session.trust_env = original.trust_env = False
        outcomes = []
        for each in (session, original):
            try:
                outcomes.append(ask(each, server.url).text)
            except requests.RequestException as error:
                outcomes.append(type(error).__name__)
        assert planned
        assert outcomes[0] == outcomes[1]
    assert len(set(recorder.heads)) <= 1


@pytest.mark.parametrize(
    "options",
    [
        {"hsts": HstsStore()},
        {"cookies": CookieStore()},
        {"max_retries": 1},
        {"max_retries": Retry(0, status_forcelist=[500])},
    ],
)
def test_adapters_with_more_to_do_have_none(server: RawServer, planned: list[Any], options: dict[str, Any]) -> None:
    with session_with(EngineAdapter(**options)) as session:
        assert session.get(server.url).text == "ok"
    assert len(planned) == 1


@pytest.mark.parametrize(
    "name", ["add_headers", "build_response", "cert_verify", "request_url", "build_connection_pool_key_attributes"]
)
@pytest.mark.parametrize("place", ["subclass", "class", "base", "instance"])
def test_hooks_are_called_from_when_they_are_there(
    server: RawServer, planned: list[Any], monkeypatch: pytest.MonkeyPatch, name: str, place: str
) -> None:
    calls: list[str] = []
    original = getattr(HTTPAdapter, name)

    def hook(self: Any, *args: Any, **options: Any) -> Any:
        calls.append(name)
        return original(self, *args, **options)

    kind = type("Derived", (EngineAdapter,), {name: hook} if place == "subclass" else {})
    mounted = kind()
    with session_with(mounted) as session:
        session.trust_env = False
        if place != "subclass":
            session.get(server.url)
            assert (calls, planned) == ([], [])
            if place == "instance":
                monkeypatch.setattr(mounted, name, hook.__get__(mounted), raising=False)
            else:
                monkeypatch.setattr(kind if place == "class" else HTTPAdapter, name, hook, raising=False)
        assert session.get(server.url).text == "ok"
        assert planned
        assert set(calls) == {name}
        if place != "subclass":
            monkeypatch.undo()
            calls.clear()
            session.get(server.url)
            assert calls == []


def test_hooks_that_are_no_attributes(server: RawServer, planned: list[Any]) -> None:
    class Derived(EngineAdapter):
        def __getattribute__(self, name: str) -> Any:
            if name == "build_response":
                return lambda request, raw: (request, raw)
            return super().__getattribute__(name)

    with session_with(Derived()) as session:
        prepared = session.prepare_request(requests.Request("GET", server.url))
        answered: Any = session.get_adapter(server.url).send(prepared)
        request, raw = answered
        assert (request, raw.read()) == (prepared, b"ok")
    assert len(planned) == 1


def test_a_pool_manager_that_is_told_more_is_read(server: RawServer, planned: list[Any]) -> None:
    mounted = EngineAdapter()
    with session_with(mounted) as session:
        session.get(server.url)
        assert planned == []
        mounted.poolmanager.connection_pool_kw["source_address"] = ("127.0.0.2", 0)
        assert session.get(server.url).text == "ok"
        assert len(planned) == 1
        del mounted.poolmanager.connection_pool_kw["source_address"]
        session.get(server.url)
        assert len(planned) == 1
        mounted.init_poolmanager(2, 2)
        assert session.get(server.url).text == "ok"


def test_somebody_who_listens_to_the_log_hears_it(
    server: RawServer, planned: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    with session_with(EngineAdapter()) as session:
        session.get(server.url)
        with caplog.at_level(logging.DEBUG, "urllib3.connectionpool"):
            session.get(server.url)
    assert len(planned) == 1
    assert '"GET / HTTP/1.1" 200' in caplog.text


def test_headers_of_another_request_are_not_sent(recorder: Recorder, server: RawServer) -> None:
    """What was sent for the last header fields is kept, and must fit the next ones."""
    with session_with(EngineAdapter()) as session:
        for headers in ({"X": "1"}, {"X": "1"}, {"x": "1"}, {"X": "2"}, {"X": "1", "Y": "1"}, {"Y": "1", "X": "1"}, {}):
            session.get(server.url, headers=headers)
            sent = [line for line in recorder.lines if line[:1] in "XxY"]
            assert sorted(sent) == sorted(f"{name}: {value}" for name, value in headers.items())


def test_a_request_without_headers(recorder: Recorder, server: RawServer) -> None:
    """What urllib3 and http.client add is there, in the first request of an adapter too."""
    for kind in (HTTPAdapter, EngineAdapter):
        with session_with(kind()) as session:
            prepared = session.prepare_request(requests.Request("GET", server.url))
            prepared.headers.clear()
            assert session.send(prepared).text == "ok"
    original, ours = recorder.heads
    assert ours == original
    assert b"User-Agent: python-urllib3/" in ours


def test_a_header_mapping_of_its_own(recorder: Recorder, server: RawServer, planned: list[Any]) -> None:
    class Own(CaseInsensitiveDict[str]):
        pass

    prepared = requests.Request("GET", server.url).prepare()
    prepared.headers = Own({"A": "b"})
    with session_with(EngineAdapter()) as session:
        assert session.send(prepared).text == "ok"
    assert "A: b" in recorder.lines
    assert len(planned) == 1


def test_copies_take_it_with_connections_of_their_own(server: RawServer, planned: list[Any]) -> None:
    mounted = EngineAdapter()
    for made in (copy.deepcopy(mounted), pickle.loads(pickle.dumps(mounted))):
        with session_with(made) as session:
            assert session.get(server.url).text == "ok"
        assert made._engine_short_way is not mounted._engine_short_way
    assert planned == []


def test_one_that_was_closed_begins_anew(server: RawServer, planned: list[Any]) -> None:
    mounted = EngineAdapter()
    with session_with(mounted) as session:
        assert session.get(server.url).text == "ok"
        mounted.close()
        assert session.get(server.url).text == "ok"
    assert planned == []


def test_a_client_that_another_thread_closes(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between being found and being asked; nothing was sent, so that the next one is asked."""
    mounted = EngineAdapter()
    find = clients.Clients.plain
    closed: list[bool] = []

    def plain(self: Any) -> Any:
        found = find(self)
        if not closed:
            closed.append(True)
            mounted.close()
        return found

    with session_with(mounted) as session:
        monkeypatch.setattr(clients.Clients, "plain", plain)
        assert session.get(server.url).text == "ok"
    assert closed


FAULTS = [
    b"",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    b"nonsense\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
]


@pytest.mark.parametrize("fault", FAULTS)
def test_failures_are_the_long_ways(fault: bytes, planned: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def handler(connection: socket.socket) -> None:
        if read_head(connection):
            connection.sendall(fault)

    def told(session: requests.Session) -> tuple[Any, ...]:
        with RawServer(handler, tolerate=(OSError,)) as server, pytest.raises(requests.RequestException) as caught:
            session.get(server.url)
        error = caught.value
        assert error.request is not None
        texts = [text.replace(str(server.port), "PORT") for text in describe(error)]
        return type(error), texts, type(error.__cause__), type(error.__context__)

    with session_with(EngineAdapter()) as session:
        short = told(session)
    count = len(planned)
    monkeypatch.setattr(adapter, "find_short_way", lambda *_: None)
    with session_with(EngineAdapter()) as session:
        assert told(session) == short
    assert len(planned) == count + 1


def test_nothing_is_sent_twice_after_a_failure(planned: list[Any]) -> None:
    """A connection that ends before an answer: the request may have been processed."""
    heads: list[bytes] = []

    def handler(connection: socket.socket) -> None:
        heads.append(read_head(connection))

    with (
        RawServer(handler) as server,
        session_with(EngineAdapter()) as session,
        pytest.raises(requests.ConnectionError),
    ):
        session.get(server.url)
    assert len(heads) == 1
    assert len(planned) == 1


@pytest.mark.parametrize("place", ["__init__", "__setattr__"])
def test_an_error_after_the_answer_is_no_reason_to_send_again(
    recorder: Recorder, server: RawServer, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Such as that of a signal's handler, which may be any."""

    class Failing(requests.models.Response):
        def __init__(self) -> None:
            if place == "__init__":
                raise TimeoutError("alarm")
            super().__init__()

        def __setattr__(self, name: str, value: Any) -> None:
            if name == "status_code" and value is not None:
                raise TimeoutError("alarm")
            super().__setattr__(name, value)

    monkeypatch.setattr(requests, "Response", Failing)
    retries = Retry(None, read=1, connect=1, other=1, backoff_factor=0)
    with session_with(EngineAdapter(max_retries=retries)) as session, pytest.raises(TimeoutError, match="alarm"):
        session.get(server.url)
    assert len(recorder.heads) == 1


def test_what_failed_is_kept_by_nobody() -> None:
    """Without the garbage collector, that is."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        gc.collect()
        gc.disable()
        try:
            with session_with(EngineAdapter()) as session:
                prepared = session.prepare_request(requests.Request("GET", url))
                with contextlib.suppress(requests.ConnectionError):
                    session.send(prepared)
                body = weakref.ref(prepared)
                del prepared
                assert body() is None
        finally:
            gc.enable()


def test_an_adapter_that_loses_its_class(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does when another thread takes the engine away from below requests."""
    mounted = EngineAdapter()
    is_open = ShortWay.is_open

    def then_another(self: ShortWay, given: Any) -> bool:
        found = is_open(self, given)
        given.__class__ = HTTPAdapter
        return found

    monkeypatch.setattr(ShortWay, "is_open", then_another)
    with session_with(mounted) as session:
        assert session.get(server.url).text == "ok"


def test_many_threads(recorder: Recorder, server: RawServer) -> None:
    recorder.answers = [answer(b"x" * 100)]
    failures: list[BaseException] = []

    def ask(session: requests.Session, mark: str) -> None:
        try:
            for number in range(20):
                response = session.get(f"{server.url}/{mark}", headers={"Mark": f"{mark}{number % 3}"})
                assert len(response.content) == 100
        except BaseException as error:
            failures.append(error)

    with session_with(EngineAdapter()) as session:
        threads = [threading.Thread(target=ask, args=(session, mark)) for mark in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    for head in recorder.heads:
        target, mark = (line for line in head.decode().split("\r\n") if line.startswith(("GET", "Mark")))
        assert target[5] == mark[6]
