"""`harness`: each way to have two connected streams."""

from __future__ import annotations

import pytest

from tests.backends.harness import PLAIN, SOCKETS, TLS, Harness, make_harness
from tests.support.certificates import Certificates

EVERY_STREAM = [
    *PLAIN,
    *(f"tls-{name}" for name in TLS),
    "tls12-blocking",
    "tls12-memory",
    "tls-tls-blocking",
    "tls-tls-asyncio",
    "tls-tls-memory",
    "h2-blocking",
    "h2-asyncio-debug",
    "h2-memory",
    "tls-h2-blocking",
    "tls-h2-memory",
]


@pytest.fixture(params=EVERY_STREAM)
def harness(request: pytest.FixtureRequest, certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> Harness:
    """Streams of every kind."""
    return make_harness(request.param, certificates, monkeypatch)


@pytest.fixture(params=[name for name in EVERY_STREAM if "blocking" not in name])
def async_harness(
    request: pytest.FixtureRequest, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> Harness:
    """Streams of the async colour."""
    return make_harness(request.param, certificates, monkeypatch)


@pytest.fixture(params=list(SOCKETS))
def sockets(request: pytest.FixtureRequest, certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> Harness:
    """Backends on real sockets, in clear."""
    return make_harness(request.param, certificates, monkeypatch)


@pytest.fixture(params=[*SOCKETS, "memory"])
def backends(request: pytest.FixtureRequest, certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> Harness:
    """Every backend, once."""
    return make_harness(request.param, certificates, monkeypatch)
