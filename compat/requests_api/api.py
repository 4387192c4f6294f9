"""`requests.api` name for name: one request in a session of its own, which is closed at the end of the call."""

from __future__ import annotations

from typing import Any

import requests.api

from drivetrain.compat.requests_api import sessions
from drivetrain.compat.requests_api.mirror import mirror

__all__ = ["delete", "get", "head", "options", "patch", "post", "put", "request"]


def request(method: str, url: Any, **kwargs: Any) -> requests.Response:
    """Send a request; see `requests.request` for the keywords."""
    with sessions.Session() as session:
        return session.request(method=method, url=url, **kwargs)


def get(url: Any, params: Any = None, **kwargs: Any) -> requests.Response:
    """Send a GET request; see `requests.get`."""
    return request("get", url, params=params, **kwargs)


def options(url: Any, **kwargs: Any) -> requests.Response:
    """Send an OPTIONS request; see `requests.options`."""
    return request("options", url, **kwargs)


def head(url: Any, **kwargs: Any) -> requests.Response:
    """Send a HEAD request, without following redirects unless `allow_redirects` says so; see `requests.head`."""
    kwargs.setdefault("allow_redirects", False)
    return request("head", url, **kwargs)


def post(url: Any, data: Any = None, json: Any = None, **kwargs: Any) -> requests.Response:
    """Send a POST request; see `requests.post`."""
    return request("post", url, data=data, json=json, **kwargs)


def put(url: Any, data: Any = None, **kwargs: Any) -> requests.Response:
    """Send a PUT request; see `requests.put`."""
    return request("put", url, data=data, **kwargs)


def patch(url: Any, data: Any = None, **kwargs: Any) -> requests.Response:
    """Send a PATCH request; see `requests.patch`."""
    return request("patch", url, data=data, **kwargs)


def delete(url: Any, **kwargs: Any) -> requests.Response:
    """Send a DELETE request; see `requests.delete`."""
    return request("delete", url, **kwargs)


def __getattr__(name: str) -> Any:  # for type checkers
    return getattr(requests.api, name)


mirror(__name__, requests.api)
