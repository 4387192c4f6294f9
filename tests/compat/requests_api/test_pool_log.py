"""What urllib3's pools write to their log is there with the engine too, record for record."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from drivetrain.compat.requests_api import EngineAdapter
from tests.compat.requests_api.support import OK, Recorder, answer, chunked, echoing, session_with
from tests.support.certificates import Certificates
from tests.support.proxies import ConnectProxy
from tests.support.servers import RawServer, read_head

BUSY = answer(b"", status="503 Busy")
CLOSED = answer(b"ok", "Connection: close")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"ok")


def hang_up(connection: socket.socket) -> None:
    read_head(connection)


def reused(session: requests.Session, url: str) -> None:
    session.get(f"{url}/x?y=1")
    session.post(f"{url}/z", data=b"q")
    session.head(f"{url}/h")


def at_once(session: requests.Session, url: str) -> None:
    held = [session.get(f"{url}/{number}", stream=True) for number in range(3)]
    for response in held:
        assert response.content == b"ok"
    session.get(f"{url}/e")


def each(session: requests.Session, url: str) -> None:
    for number in range(3):
        session.get(f"{url}/{number}")


def failing(session: requests.Session, url: str) -> None:
    for _ in range(2):
        with pytest.raises(requests.RequestException):
            session.get(f"{url}/x?y", timeout=0.3)


def nowhere(session: requests.Session, url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    failing(session, f"http://127.0.0.1:{port}")


def by_proxy(session: requests.Session, url: str) -> None:
    for _ in range(2):
        session.get("http://made.up/x?y", proxies={"http": url})


CASES: dict[str, tuple[Callable[..., None], Callable[..., None], Any]] = {
    "reused": (Recorder(OK), reused, 0),
    "redirect": (Recorder(answer(b"", "Location: /b", status="302 Found"), OK, CHUNKED), each, 0),
    "closed": (Recorder(CLOSED), each, 0),
    "at once": (Recorder(OK), at_once, 0),
    "refused": (Recorder(OK), nowhere, 2),
    "hung up": (hang_up, failing, Retry(1, read=1)),
    "silent": (echoing(b"", then_wait=True), failing, Retry(1, read=1)),
    "busy": (Recorder(BUSY, OK), each, Retry(2, status_forcelist=[503])),
    "proxy": (Recorder(OK), by_proxy, 0),
}


def records_of(caplog: pytest.LogCaptureFixture, *ports: int) -> list[tuple[str, str, str]]:
    found = []
    for record in caplog.records:
        if record.name.startswith("urllib3") or record.levelno >= logging.WARNING:
            text = re.sub(
                "0x[0-9a-f]+|port=[0-9]+|(?<=127.0.0.1:)[0-9]+|(?<=localhost:)[0-9]+", "N", record.getMessage()
            )
            found.append((record.name, record.levelname, text))
    caplog.clear()
    return found


@pytest.mark.parametrize("case", CASES)
def test_the_same_records(case: str, caplog: pytest.LogCaptureFixture) -> None:
    handler, use, retries = CASES[case]
    answers = list(getattr(handler, "answers", []))
    found = []
    for kind in (HTTPAdapter, EngineAdapter):
        if isinstance(handler, Recorder):
            handler.answers = list(answers)
        caplog.set_level(logging.DEBUG)
        with RawServer(handler, tolerate=(OSError,)) as server, session_with(kind(max_retries=retries)) as session:
            use(session, server.url)
        found.append(records_of(caplog))
    assert found[0] == found[1]
    assert found[0]


def test_https(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    certificates = Certificates.create(tmp_path, ["localhost"])
    found = []
    for kind in (HTTPAdapter, EngineAdapter):
        with (
            RawServer(Recorder(OK), context=certificates.server_context(), tolerate=(OSError,)) as server,
            ConnectProxy() as proxy,
            session_with(kind()) as session,
        ):
            caplog.set_level(logging.DEBUG)
            session.verify = str(certificates.ca_file)
            url = f"https://localhost:{server.port}/x"
            for proxies in ({}, {}, {"https": proxy.url}):
                assert session.get(url, proxies=proxies).text == "ok"
            with pytest.raises(requests.exceptions.SSLError):
                session.get(url, verify=True)
        found.append(records_of(caplog))
    assert found[0] == found[1]
    assert len(found[0]) == 6


def test_nobody_wants_to_know(caplog: pytest.LogCaptureFixture) -> None:
    """What is asked later is told from then on."""
    with RawServer(Recorder(OK)) as server, session_with(EngineAdapter()) as session:
        caplog.set_level(logging.INFO)
        session.get(server.url)
        assert not records_of(caplog)
        caplog.set_level(logging.DEBUG)
        session.get(server.url)
    assert records_of(caplog) == [("urllib3.connectionpool", "DEBUG", 'http://127.0.0.1:N "GET / HTTP/1.1" 200 2')]
