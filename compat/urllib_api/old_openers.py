"""`URLopener` and `FancyURLopener` through the engine: deprecated since Python 3.3, and gone in 3.14.

All that they do with HTTP they do in one method, which is given something that makes connections. It is given something else
here; the rest is the original's. A subclass may make connections of its own, see `made_connections`.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.request
from collections.abc import Mapping
from socket import _GLOBAL_DEFAULT_TIMEOUT  # type: ignore[attr-defined]
from typing import Any
from urllib.error import URLError

from drivetrain.compat.urllib_api.clients import make_default_context
from drivetrain.compat.urllib_api.handlers import exchange
from drivetrain.compat.urllib_api.made_connections import PLAIN, SECURE, Plan, plan_of
from drivetrain.compat.urllib_api.proxying import Way
from drivetrain.compat.urllib_api.replaced import is_as_made
from drivetrain.compat.urllib_api.response import EngineResponse
from drivetrain.compat.urllib_api.sending import (
    as_text,
    body_of,
    checked_target,
    missing_framing,
    origin_of,
    timeouts_of,
)
from drivetrain.compat.urllib_api.telling import tell_request, tell_response

__all__ = ["OLD_OPENERS", "connections_of"]

_ORIGINALS: Mapping[str, Any] = {
    name: vars(urllib.request)[name] for name in ("URLopener", "FancyURLopener") if name in vars(urllib.request)
}
_OWN_SECURE = getattr(_ORIGINALS.get("URLopener"), "_https_connection", None)


class _Connection:
    """What an opener uses of `http.client.HTTPConnection`: one request, and its answer.

    Args:
        opener: whose it is.
        version: see `drivetrain.engine.Client`.
        host: "host[:port]" of the server, or of a proxy, as the opener has it.
        plan: where to, and how.
    """

    def __init__(self, opener: Any, version: float | None, host: str, plan: Plan) -> None:
        self._opener = opener
        self._version = version
        self._host = host
        self._plan = plan
        self._request: tuple[str, str, Any, Mapping[str, Any]] = ("GET", "", None, {})

    def request(self, method: str, url: str, body: Any = None, headers: Mapping[str, Any] | None = None) -> None:
        """Take a request, which `getresponse` sends."""
        self._request = (method, url, body, headers or {})

    def getresponse(self) -> EngineResponse:
        """Send it. `msg` of the answer is its header section, where openers look for that.

        Raises:
            OSError, http.client.HTTPException: connecting, sending or waiting for the answer failed.
        """
        method, url, data, headers = self._request
        target = checked_target(url or "/")
        data = data.encode("iso-8859-1") if isinstance(data, str) else data
        host, secure, context, timeout = self._plan
        root = origin_of("https" if secure else "http", host)
        way = Way(root, target, None, self._fields(data, headers))
        body = body_of(data)
        timeouts = timeouts_of(timeout)
        if PLAIN.debuglevel > 0:
            body = tell_request(method, target, way.fields, body)
        try:
            response = exchange(None, secure, context, self._version, method, way, body, timeouts)
        except URLError as error:
            # That is what handlers make of what http.client raises, and this stands in for http.client.
            if isinstance(error.reason, Exception):
                raise error.reason from error.__cause__
            raise
        if PLAIN.debuglevel > 0:
            tell_response(response)
        made = EngineResponse(response, method, f"{root[:-1]}{target}")
        made.msg = made.headers
        return made

    def _fields(self, data: Any, headers: Mapping[str, Any]) -> list[tuple[str, str]]:
        """As `HTTPConnection.request` orders them; without `Connection: close`, unless it is the program that asks for it."""
        given = {name.lower() for name in headers}
        fields = []
        if "host" not in given:
            fields.append(("Host", self._host))
        if "accept-encoding" not in given:
            fields.append(("Accept-Encoding", "identity"))
        if data is not None and not given & {"content-length", "transfer-encoding"}:
            fields.append(missing_framing(data))
        is_asked = any(name.lower() == "connection" for name, *_ in self._opener.addheaders)
        return fields + [
            (name, as_text(value)) for name, value in headers.items() if is_asked or name.lower() != "connection"
        ]


def _context_of(opener: Any) -> ssl.SSLContext | None:
    """The context with an opener's certificate, if it has one; the same for all of its requests."""
    files = (opener.cert_file, opener.key_file)
    if not any(files):
        return None
    found: tuple[Any, ssl.SSLContext] | None = vars(opener).get("_engine_context")
    if found is None or found[0] != files:
        context = make_default_context()
        context.load_cert_chain(*files)
        found = opener._engine_context = files, context
    return found[1]


def connections_of(opener: Any, original: Any, version: float | None = None) -> Any:
    """What is to make an opener's connections.

    Args:
        opener: an object of `URLopener`.
        original: what would make them otherwise, from the name of a host.
        version: 1.1 to speak no other version over TLS.
    """
    is_own = _OWN_SECURE is not None and getattr(original, "__func__", None) is _OWN_SECURE
    is_secure = is_own and http.client.HTTPSConnection is SECURE

    def make(host: str) -> Any:
        if not is_as_made(is_secure):
            return original(host)
        if original is PLAIN or is_secure:
            context = _context_of(opener) if is_secure else None
            return _Connection(opener, version, host, Plan(host, is_secure, context, _GLOBAL_DEFAULT_TIMEOUT))
        made = original(host)
        plan = plan_of(made)
        return made if plan is None else _Connection(opener, version, host, plan)

    return make


class _Door:
    def _open_generic_http(self, connection_factory: Any, url: Any, data: Any) -> Any:
        return super()._open_generic_http(connections_of(self, connection_factory), url, data)  # type: ignore[misc]


def _derive() -> dict[str, Any]:
    """The classes of this package; of `FancyURLopener` too it is true that it is an `URLopener`."""
    made: dict[str, Any] = {}
    for name, original in _ORIGINALS.items():
        bases = (*made.values(), original) if made else (_Door, original)
        about = {"__module__": __name__, "__doc__": f"`urllib.request.{name}` through the engine."}
        made[name] = type(name, bases, about)
    return made


OLD_OPENERS: Mapping[str, Any] = _derive()
"""The classes by their names; empty where urllib has none any more."""
