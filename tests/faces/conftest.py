"""Clients of both colours, and a site that answers in every way a test needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faces.colours import COLOURS, Clients
from tests.faces.policy_support import NAMES, World
from tests.faces.site import Site
from tests.support.certificates import Certificates


@pytest.fixture(params=COLOURS)
def clients(request: pytest.FixtureRequest) -> Iterator[Clients]:
    """A factory of clients; the test runs once for each colour."""
    made = Clients(request.param)
    yield made
    made.close()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Our own server on a loopback port; see `Site`."""
    with Site() as made:
        yield made


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates for the names of `policy_support`."""
    return Certificates.create(tmp_path_factory.mktemp("made-up"), (*NAMES, "localhost", "127.0.0.1"))


@pytest.fixture(params=[["http/1.1"], ["h2", "http/1.1"]], ids=["h1", "h2"])
def world(request: pytest.FixtureRequest, made_up: Certificates, clients: Clients) -> Iterator[World]:
    """Two origins, and clients of each colour for them; see `World`."""
    made = World(made_up, request.param, clients)
    with made.plain, made.secure:
        yield made
        made.close_clients()  # before the servers, which would wait for them
    assert made.plain.errors == made.secure.errors == []
