"""Sessions over both adapters: what holds for requests' own must hold for ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from drivetrain.compat.requests_api import EngineAdapter, adapter
from tests.compat.requests_api.support import session_with


@pytest.fixture(params=["requests", "engine", "long"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Requests' adapter class, then ours, then ours without the short way that it has for plain requests."""
    if request.param == "long":
        monkeypatch.setattr(adapter, "find_short_way", lambda *_: None)
    return HTTPAdapter if request.param == "requests" else EngineAdapter


@pytest.fixture
def session(kind: type[HTTPAdapter]) -> Iterator[requests.Session]:
    """A session over an adapter of that class."""
    with session_with(kind()) as made:
        yield made


@pytest.fixture
def engine_session() -> Iterator[requests.Session]:
    """A session over our adapter only."""
    with session_with(EngineAdapter()) as made:
        yield made


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No proxies, no bundle, no netrc."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return monkeypatch
