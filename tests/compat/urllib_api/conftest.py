"""Both libraries under one roof: the standard library's and ours."""

from __future__ import annotations

import gc
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from drivetrain.compat import urllib_api
from tests.support.http_client_watch import http_client_refused


@dataclass(frozen=True)
class Library:
    """What the tests call. `get` opens and reads; `keeps` tells whether connections are kept."""

    name: str
    urlopen: Callable[..., Any]
    build_opener: Callable[..., Any]
    HTTPHandler: type
    HTTPSHandler: type
    keeps: bool

    def get(self, url: object, *args: Any, **options: Any) -> bytes:
        with self.urlopen(url, *args, **options) as response:
            data: bytes = response.read()
            return data


ORIGINAL = Library(
    "original",
    urllib.request.urlopen,
    urllib.request.build_opener,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    False,
)
OURS = Library(
    "ours", urllib_api.urlopen, urllib_api.build_opener, urllib_api.HTTPHandler, urllib_api.HTTPSHandler, True
)


@pytest.fixture(params=[ORIGINAL, OURS], ids=lambda library: library.name)
def library(request: pytest.FixtureRequest) -> Library:
    chosen: Library = request.param
    return chosen


@pytest.fixture
def original() -> Library:
    return ORIGINAL


@pytest.fixture
def ours() -> Library:
    return OURS


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    """No connection and no opener outlives a test; what a test dropped is collected while its warnings count."""
    yield
    gc.collect(1)  # the young: a full collection takes longer than most tests
    urllib_api.close_connections()
    urllib_api.install_opener(None)
    urllib.request.install_opener(None)  # type: ignore[arg-type]


@pytest.fixture
def no_http_client() -> Iterator[None]:
    """Make every connection of http.client an error."""
    with http_client_refused():
        yield
