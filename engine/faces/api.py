"""One-line requests on a client of the process's own, which keeps connections but no cookies."""

from __future__ import annotations

import atexit
from functools import lru_cache
from typing import TYPE_CHECKING

from ..policy.compose import RequestOptions
from .client import Client
from .response import Response

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["delete", "get", "head", "options", "patch", "post", "put", "request", "stream"]


@lru_cache(maxsize=1)
def _client() -> Client:
    client = Client(cookies=False)
    atexit.register(client.close)
    return client


def request(method: str, url: str, **options: Unpack[RequestOptions]) -> Response:
    """Send a request and read the whole response. See `Client`; connections are kept and shared by all threads."""
    return _client().request(method, url, **options)


def stream(method: str, url: str, **options: Unpack[RequestOptions]) -> Response:
    """Send a request and return its response with the body unread. See `Client.stream`."""
    return _client().stream(method, url, **options)


def get(url: str, **options: Unpack[RequestOptions]) -> Response:
    """`request("GET", …)`."""
    return _client().get(url, **options)


def head(url: str, **options: Unpack[RequestOptions]) -> Response:
    """`request("HEAD", …)`."""
    return _client().head(url, **options)


def options(url: str, **options: Unpack[RequestOptions]) -> Response:
    """`request("OPTIONS", …)`."""
    return _client().options(url, **options)


def post(url: str, **options: Unpack[RequestOptions]) -> Response:
    """`request("POST", …)`."""
    return _client().post(url, **options)


def put(url: str, **options: Unpack[RequestOptions]) -> Response:
    """`request("PUT", …)`."""
    return _client().put(url, **options)


def patch(url: str, **options: Unpack[RequestOptions]) -> Response:
    """`request("PATCH", …)`."""
    return _client().patch(url, **options)


def delete(url: str, **options: Unpack[RequestOptions]) -> Response:
    """`request("DELETE", …)`."""
    return _client().delete(url, **options)
