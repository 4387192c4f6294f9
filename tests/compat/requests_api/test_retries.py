"""`max_retries` as a number and as urllib3's `Retry`."""

from __future__ import annotations

import io
import socket
import time
from typing import Any

import pytest
import requests
import urllib3
from urllib3.util import Retry

from drivetrain.compat.requests_api import EngineAdapter
from tests.compat.requests_api.support import OK, Recorder, answer, session_with
from tests.support.peers import free_ports
from tests.support.servers import RawServer, read_head

BUSY = answer(b"busy", status="503 Service Unavailable")


class Counting(Retry):
    """Counts what it is asked, over all copies."""

    errors: list[Any]

    def increment(self, *args: Any, **options: Any) -> Retry:
        type(self).errors.append(options.get("error") or options["response"].status)
        return super().increment(*args, **options)


@pytest.fixture
def counting() -> type[Counting]:
    return type("Counted", (Counting,), {"errors": []})


def test_connecting_is_tried_again(kind: Any, counting: type[Counting]) -> None:
    with session_with(kind(max_retries=counting(2))) as session, pytest.raises(requests.ConnectionError) as caught:
        session.get(f"http://127.0.0.1:{free_ports(1)[0]}/")
    assert [type(error) for error in counting.errors] == [urllib3.exceptions.NewConnectionError] * 3
    assert isinstance(caught.value.args[0], urllib3.exceptions.MaxRetryError)


def test_a_number_is_for_connecting_and_reading(kind: Any) -> None:
    heads = []

    def handler(connection: socket.socket) -> None:
        heads.append(read_head(connection))
        if len(heads) == 3:
            connection.sendall(OK)

    with RawServer(handler) as server, session_with(kind(max_retries=2)) as session:
        assert session.put(server.url, data=io.BytesIO(b"")).text == "ok"
    assert len(heads) == 3


def test_the_default_tries_once(session: requests.Session) -> None:
    with RawServer(lambda connection: read_head(connection)) as server:
        with pytest.raises(requests.ConnectionError):
            session.get(server.url)
        assert server.connections == 1


def test_a_status_is_tried_again(kind: Any) -> None:
    recorder = Recorder(BUSY, BUSY, OK)
    retry = Retry(3, status_forcelist=[503])
    with RawServer(recorder) as server, session_with(kind(max_retries=retry)) as session:
        response = session.put(server.url, data=io.BytesIO(b"body"))
        assert response.text == "ok"
        assert [entry.status for entry in response.raw.retries.history] == [503, 503]
        assert server.connections == 1
    assert recorder.bodies == [b"body"] * 3


def test_a_status_that_stays(kind: Any) -> None:
    retry = Retry(1, status_forcelist=[503])
    with RawServer(Recorder(BUSY)) as server, session_with(kind(max_retries=retry)) as session:
        with pytest.raises(requests.exceptions.RetryError, match="too many 503 error responses") as caught:
            session.get(server.url)
        assert isinstance(caught.value.args[0].reason, urllib3.exceptions.ResponseError)
        assert session.post(server.url, data=b"x").status_code == 503
    retry = Retry(1, status_forcelist=[503], raise_on_status=False)
    with RawServer(Recorder(BUSY)) as server, session_with(kind(max_retries=retry)) as session:
        assert session.get(server.url).text == "busy"


def test_retry_after(kind: Any) -> None:
    recorder = Recorder(answer(b"", "Retry-After: 1", status="429 Too Many Requests"), OK)
    with RawServer(recorder) as server, session_with(kind(max_retries=Retry(1))) as session:
        began = time.monotonic()
        assert session.get(server.url).text == "ok"
        assert time.monotonic() - began >= 1


def test_retries_turned_off(kind: Any) -> None:
    with session_with(kind(max_retries=Retry(False))) as session, pytest.raises(urllib3.exceptions.NewConnectionError):
        session.get(f"http://127.0.0.1:{free_ports(1)[0]}/")


def test_what_is_left_of_a_generator_is_not_sent() -> None:
    recorder = Recorder(BUSY, OK)
    retry = Retry(3, status_forcelist=[503])
    with RawServer(recorder) as server, session_with(EngineAdapter(max_retries=retry)) as session:
        assert session.put(server.url, data=iter([b"a"])).status_code == 503
    assert recorder.bodies == [b"a"]
