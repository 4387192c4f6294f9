"""requests on drivetrain's engine: the same module, and the adapter that a real `requests.Session` mounts.

::

    from drivetrain.compat import requests_api as requests     # every name of requests

    session = requests.Session()                               # or, with requests itself:
    session.mount("https://", EngineAdapter())
    session.mount("http://", EngineAdapter())

Laws:

- what a program sees is what it saw before: requests' classes, urllib3's classes where requests shows them, the same
  exceptions, the same bytes on the wire;
- every public name of requests is here and in a submodule of the same name. Classes are the originals, or subclasses that
  send through the engine (`Session`, `adapters.HTTPAdapter`), so `isinstance` and `except` hold across both;
- what adapters and programs tell urllib3's pools the engine does; pools and connections of other classes than urllib3's own, and
  TLS contexts of pyOpenSSL, send by themselves, as before.

`StoreRequestsCookieJar` lets `session.cookies` show the cookies of the engine's `CookieStore`.
"""

from __future__ import annotations

from typing import Any

import requests as _requests

from drivetrain.compat.requests_api import (
    adapters,
    api,
    auth,
    certs,
    compat,
    cookies,
    exceptions,
    hooks,
    models,
    packages,
    sessions,
    status_codes,
    structures,
    utils,
)
from drivetrain.compat.requests_api.adapter import EngineAdapter
from drivetrain.compat.requests_api.api import delete, get, head, options, patch, post, put, request
from drivetrain.compat.requests_api.exceptions import (
    ConnectionError,  # noqa: A004
    ConnectTimeout,
    FileModeWarning,
    HTTPError,
    JSONDecodeError,
    ReadTimeout,
    RequestException,
    RequestsDependencyWarning,
    Timeout,
    TooManyRedirects,
    URLRequired,
)
from drivetrain.compat.requests_api.models import PreparedRequest, Request, Response
from drivetrain.compat.requests_api.sessions import Session, session
from drivetrain.compat.requests_api.status_codes import codes
from drivetrain.compat.requests_api.store_cookies import StoreRequestsCookieJar

__all__ = [
    "ConnectTimeout",
    "ConnectionError",
    "EngineAdapter",
    "FileModeWarning",
    "HTTPError",
    "JSONDecodeError",
    "PreparedRequest",
    "ReadTimeout",
    "Request",
    "RequestException",
    "RequestsDependencyWarning",
    "Response",
    "Session",
    "StoreRequestsCookieJar",
    "Timeout",
    "TooManyRedirects",
    "URLRequired",
    "adapters",
    "api",
    "auth",
    "certs",
    "codes",
    "compat",
    "cookies",
    "delete",
    "exceptions",
    "get",
    "head",
    "hooks",
    "models",
    "options",
    "packages",
    "patch",
    "post",
    "put",
    "request",
    "session",
    "sessions",
    "status_codes",
    "structures",
    "utils",
]


def __getattr__(name: str) -> Any:
    return getattr(_requests, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(_requests)})
