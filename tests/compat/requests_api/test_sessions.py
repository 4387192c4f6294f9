"""What sessions do on top of an adapter: cookies, redirects, hooks, copies, threads."""

from __future__ import annotations

import copy
import pickle
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from drivetrain.compat.requests_api import EngineAdapter
from tests.compat.requests_api.support import OK, Recorder, answer, session_with
from tests.support.servers import RawServer, read_head, read_until_eof


def test_facts_of_a_response(session: requests.Session) -> None:
    fields = ("Content-Type: text/html; charset=ISO-8859-2", "X-A: 1", "x-a: 2", "Latin: \xe9")
    with RawServer(Recorder(answer(b"\xb1", *fields, status="404 Not There"))) as server:
        response = session.get(f"{server.url}/a b?c=d#e")
        assert type(response) is requests.Response
        assert response.status_code == 404
        assert response.reason == "Not There"
        assert list(response.headers.items()) == [
            ("Content-Type", "text/html; charset=ISO-8859-2"),
            ("X-A", "1, 2"),
            ("Latin", "é"),
            ("Content-Length", "1"),
        ]
        assert response.encoding == "ISO-8859-2"
        assert response.text == "ą"
        assert response.url == f"{server.url}/a%20b?c=d#e"
        assert response.request.method == "GET"
        assert response.connection is session.get_adapter(server.url)  # type: ignore[attr-defined]
        assert timedelta(0) < response.elapsed < timedelta(seconds=10)
        assert not response.ok
        with pytest.raises(requests.HTTPError, match="404 Client Error: Not There for url"):
            response.raise_for_status()
        again = pickle.loads(pickle.dumps(response))
        assert (again.content, again.headers) == (b"\xb1", response.headers)


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [("", None), ("Content-Type: text/plain", "ISO-8859-1"), ("Content-Type: application/json", "utf-8")],
)
def test_encodings(session: requests.Session, content_type: str, encoding: str | None) -> None:
    with RawServer(Recorder(answer(b"x", *filter(None, [content_type])))) as server:
        assert session.get(server.url).encoding == encoding


def test_cookies(session: requests.Session) -> None:
    first = answer(b"", "Set-Cookie: a=1; Path=/", "Set-Cookie: b=2; Path=/; Max-Age=1000")
    recorder = Recorder(first, answer(b"", "Set-Cookie: a=; Path=/; Max-Age=0"), OK)
    with RawServer(recorder) as server:
        response = session.get(server.url)
        assert response.cookies.get_dict() == session.cookies.get_dict() == {"a": "1", "b": "2"}
        session.get(server.url)
        assert "Cookie: a=1; b=2" in recorder.lines
        assert not session.get(server.url).cookies
        assert "Cookie: b=2" in recorder.lines


def test_redirects(session: requests.Session) -> None:
    moved = answer(b"moved", "Location: /two", "Set-Cookie: seen=1", status="302 Found")
    recorder = Recorder(moved, answer(b"", "Location: three?x=1", status="307 Temporary Redirect"), OK)
    with RawServer(recorder) as server:
        response = session.post(f"{server.url}/one", data=b"body")
        assert response.text == "ok"
        assert response.url == f"{server.url}/three?x=1"
        assert [hop.status_code for hop in response.history] == [302, 307]
        assert response.history[0].content == b"moved"
        assert session.cookies["seen"] == "1"
        assert [head.split(b" ")[:2] for head in recorder.heads] == [
            [b"POST", b"/one"],
            [b"GET", b"/two"],
            [b"GET", b"/three?x=1"],
        ]
        assert server.connections == 1


def test_redirects_not_followed(session: requests.Session) -> None:
    with RawServer(Recorder(answer(b"", "Location: /two", status="301 Moved"), OK)) as server:
        response = session.get(server.url, allow_redirects=False)
        assert response.is_redirect
        assert response.is_permanent_redirect
        assert response.next is not None
        assert session.send(response.next).text == "ok"


def test_redirects_send_a_file_again(session: requests.Session, tmp_path: Any) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    recorder = Recorder(answer(b"", "Location: /two", status="308 Permanent Redirect"), OK)
    with RawServer(recorder) as server, (tmp_path / "f").open("rb") as file:
        file.read(2)
        assert session.put(server.url, data=file).text == "ok"
    assert recorder.bodies == [b"23456789"] * 2


def test_too_many_redirects(session: requests.Session) -> None:
    session.max_redirects = 3
    with (
        RawServer(Recorder(answer(b"", "Location: /again", status="302 Found"))) as server,
        pytest.raises(requests.TooManyRedirects) as caught,
    ):
        session.get(server.url)
    assert caught.value.response is not None
    assert len(caught.value.response.history) == 3


def test_hooks(session: requests.Session) -> None:
    seen: list[Any] = []

    def hook(response: requests.Response, **options: Any) -> None:
        seen.append((response.status_code, response.content, options["stream"]))

    with RawServer(Recorder(OK)) as server:
        session.get(server.url, hooks={"response": hook})
    assert seen == [(200, b"ok", False)]


def test_digest_authentication_sends_again(session: requests.Session) -> None:
    challenge = 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"'
    recorder = Recorder(answer(b"no", challenge, status="401 Unauthorized"), OK)
    with RawServer(recorder) as server:
        response = session.get(server.url, auth=requests.auth.HTTPDigestAuth("user", "password"))
        assert response.text == "ok"
        assert [hop.status_code for hop in response.history] == [401]
        assert server.connections == 1
    assert b'Authorization: Digest username="user"' in recorder.heads[1]


def test_early_answers_are_skipped(session: requests.Session) -> None:
    with RawServer(Recorder(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)) as server:
        assert session.post(server.url, data=b"x").text == "ok"


def test_an_answer_before_the_body_was_taken(session: requests.Session) -> None:
    def handler(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(answer(b"too large", "Connection: close", status="413 Content Too Large"))
        connection.shutdown(socket.SHUT_WR)
        read_until_eof(connection)

    with RawServer(handler, tolerate=(ConnectionError,)) as server:
        response = session.put(server.url, data=b"x" * 3_000_000)
    assert response.status_code == 413


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda adapter: pickle.loads(pickle.dumps(adapter))])
def test_copies_of_an_adapter(duplicate: Any) -> None:
    adapter = EngineAdapter(
        3, 4, max_retries=5, pool_block=True, resolver={"name.test": "127.0.0.1"}, total_timeout=9.0
    )
    with RawServer(Recorder(OK)) as server:
        with session_with(adapter) as session:
            assert session.get(f"http://name.test:{server.port}/").text == "ok"
        with session_with(duplicate(adapter)) as session:
            twin: Any = session.get_adapter("http://")
            assert type(twin) is EngineAdapter
            assert (twin._pool_connections, twin._pool_maxsize, twin._pool_block) == (3, 4, True)
            assert twin.max_retries.total == 5
            assert session.get(f"http://name.test:{server.port}/").text == "ok"


def test_a_session_is_pickled_with_its_adapter(session: requests.Session) -> None:
    with RawServer(Recorder(OK)) as server, pickle.loads(pickle.dumps(session)) as twin:
        assert type(twin.get_adapter(server.url)) is type(session.get_adapter(server.url))
        assert twin.get(server.url).text == "ok"


def test_an_adapter_can_be_used_after_close(session: requests.Session) -> None:
    with RawServer(Recorder(OK)) as server:
        assert session.get(server.url).text == "ok"
        session.close()
        assert session.get(server.url).text == "ok"
        assert server.connections == 2


def test_closing_lets_a_response_under_way_finish(session: requests.Session) -> None:
    with RawServer(Recorder(answer(b"x" * 1000))) as server:
        response = session.get(server.url, stream=True)
        session.close()
        assert response.content == b"x" * 1000


def test_many_threads(kind: Any) -> None:
    with (
        RawServer(Recorder(OK)) as server,
        session_with(kind(pool_maxsize=4)) as session,
        ThreadPoolExecutor(8) as threads,
    ):
        texts = list(threads.map(lambda _: session.get(server.url).text, range(80)))
    assert texts == ["ok"] * 80


@pytest.mark.parametrize("block", [False, True])
def test_limits(kind: Any, block: bool) -> None:
    everyone = threading.Barrier(1 if block else 3)

    def handler(connection: socket.socket) -> None:
        while read_head(connection):
            everyone.wait(10)
            connection.sendall(OK)

    adapter: HTTPAdapter = kind(pool_maxsize=1, pool_block=block)
    with RawServer(handler) as server, session_with(adapter) as session, ThreadPoolExecutor(3) as threads:
        assert list(threads.map(lambda _: session.get(server.url).text, range(3))) == ["ok"] * 3
        assert server.connections == (1 if block else 3)
