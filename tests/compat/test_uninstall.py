"""What was made while the engine was installed below requests, when it is taken away again; and both forms side by side."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import requests
import requests.adapters
import responses

import drivetrain.compat
from drivetrain.compat import requests_api
from drivetrain.compat.requests_api import EngineAdapter
from tests.compat.requests_api.support import OK, Recorder, answer, session_with
from tests.support.servers import RawServer

Original = requests.adapters.HTTPAdapter


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(Recorder(OK)) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    drivetrain.compat.uninstall()
    assert requests.adapters.HTTPAdapter is Original


def sends_by_engine(session: requests.Session, url: str) -> bool:
    """Whether a request of this session goes through the engine, told by what it hands back."""
    response = session.get(url)
    assert response.text == "ok"
    return hasattr(response.raw, "_engine_response")


def test_what_was_made_meanwhile_is_as_without_us(server: RawServer) -> None:
    with drivetrain.compat.installed("requests"):

        class Sub(requests.adapters.HTTPAdapter): ...

        class SubSub(Sub): ...

        class SubSession(requests.Session): ...

        sessions: list[requests.Session] = [requests.Session(), SubSession()]
        sessions += map(session_with, (requests.adapters.HTTPAdapter(3), Original(3), Sub(3), SubSub(3)))
        sessions.append(copy.deepcopy(sessions[0]))
        assert [sends_by_engine(session, server.url) for session in sessions] == [True] * 7
    assert [sends_by_engine(session, server.url) for session in sessions] == [False] * 7
    assert Sub.__bases__ == (Original,)
    kinds = [type(session.get_adapter(server.url)) for session in sessions]
    assert kinds == [Original, Original, Original, Original, Sub, SubSub, Original]
    assert not any(issubclass(kind, EngineAdapter) for kind in kinds)
    with drivetrain.compat.installed("requests", http1=True):
        assert [sends_by_engine(session, server.url) for session in sessions] == [True] * 7
        adapters: list[Any] = [session.get_adapter(server.url) for session in sessions]
        assert [adapter._engine_options for adapter in adapters] == [{"version": 1.1}] * 7
        assert [adapter._pool_connections for adapter in adapters[2:6]] == [3] * 4
    for session in sessions:
        session.close()


def test_what_was_made_before_and_is_hidden(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by `gc.freeze`."""
    session = requests.Session()
    monkeypatch.setattr("gc.get_objects", list)
    with drivetrain.compat.installed("requests"):
        monkeypatch.undo()
        assert type(session.get_adapter(server.url)) is Original
        assert sends_by_engine(session, server.url)
        assert type(session.get_adapter(server.url)) is requests.adapters.HTTPAdapter
    assert not sends_by_engine(session, server.url)
    session.close()


def test_what_was_made_of_our_own_classes_stays(server: RawServer) -> None:
    with drivetrain.compat.installed("requests", hsts=True):
        sessions: list[requests.Session] = [requests_api.Session(), session_with(EngineAdapter())]
        sessions.append(session_with(requests_api.adapters.HTTPAdapter()))
    assert [sends_by_engine(session, server.url) for session in sessions] == [True] * 3
    assert [getattr(session.get_adapter(server.url), "hsts", 0) for session in sessions] == [None] * 3
    for session in sessions:
        session.close()


def test_a_response_under_way_can_be_read(server: RawServer) -> None:
    with RawServer(Recorder(answer(b"x" * 100_000))) as large, requests.Session() as session:
        with drivetrain.compat.installed("requests"):
            response = session.get(large.url, stream=True)
        assert response.raw.read(10) == b"x" * 10
        assert len(response.content) == 99_990


def test_a_session_that_was_pickled_needs_nothing_of_us(server: RawServer) -> None:
    with drivetrain.compat.installed("requests", http1=True, hsts=True), requests.Session() as session:
        adapter: Any = session.get_adapter(server.url)
        pickled = pickle.dumps(session)
        twin: Any = pickle.loads(pickled).get_adapter(server.url)
        assert type(twin) is type(adapter) is requests.adapters.HTTPAdapter
        assert twin._engine_options == {"version": 1.1}
        assert copy.deepcopy(adapter).hsts is twin.hsts is adapter.hsts is not None
    assert b"drivetrain" not in pickled
    with pickle.loads(pickled) as later:
        assert type(later.get_adapter(server.url)) is Original
        assert not sends_by_engine(later, server.url)
        pickled = pickle.dumps(later)
    with drivetrain.compat.installed("requests"), pickle.loads(pickled) as again:
        assert sends_by_engine(again, server.url)


def test_the_engine_comes_and_goes_while_others_send(server: RawServer) -> None:
    class Sub(Original): ...

    errors: list[BaseException] = []
    done = threading.Event()
    sessions = [requests.Session(), requests.Session(), session_with(Sub())]
    counts = [0] * len(sessions)

    def use(number: int) -> None:
        try:
            while not done.is_set():
                assert sessions[number].get(server.url).text == "ok"
                assert requests.Session().get(server.url).text == "ok"
                counts[number] += 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(len(sessions))]
    with RawServer(Recorder(OK), tolerate=(OSError,)) as server:
        for thread in threads:
            thread.start()
        for _ in range(40):
            drivetrain.compat.install("requests")
            done.wait(0.01)
            drivetrain.compat.uninstall("requests")
            done.wait(0.005)
        done.set()
        for thread in threads:
            thread.join()
        for session in sessions:
            session.close()
    assert errors == []
    assert min(counts) > 0


# --- both forms, and those who are asked first ----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [requests_api.Session, lambda: session_with(EngineAdapter()), requests.Session])
def test_a_replaced_send_is_asked_by_everybody(make: Any, server: RawServer) -> None:
    with drivetrain.compat.installed("requests"), make() as session:
        with responses.RequestsMock() as mocked:
            mocked.get("http://mocked.test/", json={"a": 1})
            mocked.add_passthru(server.url)
            assert session.get("http://mocked.test/").json() == {"a": 1}
            assert sends_by_engine(session, server.url)
            assert len(mocked.calls) == 1
        asked: list[Any] = []
        original = requests.adapters.HTTPAdapter.send

        def send(self: Any, request: Any, **options: Any) -> Any:
            asked.append(request.url)
            return original(self, request, **options)

        with mock.patch("requests.adapters.HTTPAdapter.send", send):
            assert sends_by_engine(session, server.url)
        assert asked == [f"{server.url}/"]
