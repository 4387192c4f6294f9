"""`requests.sessions` name for name, with a `Session` that mounts the engine and does its own part quickly."""

from __future__ import annotations

from typing import Any

import requests.sessions

from drivetrain.compat.requests_api.adapters import HTTPAdapter
from drivetrain.compat.requests_api.fast import METHODS, ORIGINALS
from drivetrain.compat.requests_api.installed_adapter import InstalledAdapter
from drivetrain.compat.requests_api.mirror import mirror

__all__ = ["Session", "session"]

_Session: Any = requests.sessions.Session
# What the constructor mounts by itself; anything else somebody has put there.
_MOUNTED = (requests.sessions.HTTPAdapter, InstalledAdapter)


class Session(requests.sessions.Session):
    """A `requests.Session` whose requests go through the engine; see there.

    Everything that may be changed there may be changed here: hooks, adapters, methods in subclasses. Who replaces a method of
    `requests.Session` itself, as test libraries do, replaces it here too.
    """

    def __init__(self) -> None:
        super().__init__()
        for prefix, adapter in list(self.adapters.items()):
            if type(adapter) in _MOUNTED:
                self.mount(prefix, HTTPAdapter())

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """See `requests.Session.prepare_request`."""
        prepared: requests.PreparedRequest = _current("prepare_request")(self, request)
        return prepared

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """See `requests.Session.merge_environment_settings`."""
        return _current("merge_environment_settings")(self, url, proxies, stream, verify, cert)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """See `requests.Session.send`."""
        response: requests.Response = _current("send")(self, request, **kwargs)
        return response


def _current(name: str) -> Any:
    """The method as it stands here, or what somebody has put in the place of requests' own."""
    found = getattr(_Session, name)
    return METHODS[name] if found is ORIGINALS[name] else found


def session() -> Session:
    """Make a `Session`; an old way to do it."""
    return Session()


def __getattr__(name: str) -> Any:  # for type checkers
    return getattr(requests.sessions, name)


mirror(__name__, requests.sessions)
