"""Clients of both colours, and a site that answers in every way a test needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faces.colours import COLOURS, Clients
from tests.faces.site import Site


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
