"""Servers that speak HTTP/2, and sessions that trust them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from drivetrain.compat.requests_api import EngineAdapter
from tests.compat.requests_api.support import OK, Recorder, session_with
from tests.support.certificates import Certificates
from tests.support.h2_server import Exchange, H2Server, hold, pages


@pytest.fixture
def serve(certificates: Certificates) -> Callable[..., H2Server]:
    """Makes servers that speak HTTP/2 over TLS, and HTTP/1.1 with whoever wants that."""

    def make(answer: Callable[[Exchange], None] = pages, **options: Any) -> H2Server:
        context = certificates.server_context(["h2", "http/1.1"])
        return H2Server(answer, context=context, fallback=Recorder(OK), **options)

    return make


@pytest.fixture
def server(serve: Callable[..., H2Server]) -> Iterator[H2Server]:
    """One that answers by path."""
    with serve() as made:
        yield made


@pytest.fixture
def held(serve: Callable[..., H2Server]) -> Iterator[H2Server]:
    """One that leaves answering to the test."""
    with serve(hold) as made:
        yield made


@pytest.fixture
def open_session(certificates: Certificates) -> Iterator[Callable[..., requests.Session]]:
    """Makes sessions over our adapter with options, which trust the servers of the tests."""
    made: list[requests.Session] = []

    def make(**options: Any) -> requests.Session:
        session = session_with(EngineAdapter(**options))
        session.verify = str(certificates.ca_file)
        made.append(session)
        return session

    yield make
    for session in made:
        session.close()


@pytest.fixture
def session(open_session: Callable[..., requests.Session]) -> requests.Session:
    return open_session()


@pytest.fixture
def workers() -> Iterator[ThreadPoolExecutor]:
    """Threads to send from while the test answers."""
    with ThreadPoolExecutor(4) as made:
        yield made
