"""Putting the engine below `urllib.request`, in a running program, and taking it away again.

Two methods are changed, the only places where `urllib.request` opens connections: `AbstractHTTPHandler.do_open`, for its
handlers, and that of `URLopener`, where there is one. So everything else stays what it is: `urlopen`, every opener made
before or after, subclasses of the handlers, underscored helpers.
"""

from __future__ import annotations

import copy
import functools
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import AbstractHTTPHandler, Request

from drivetrain.compat.urllib_api.handlers import EngineHandler, HTTPHandler, HTTPSHandler
from drivetrain.compat.urllib_api.made_connections import PLAIN
from drivetrain.compat.urllib_api.old_openers import OLD_OPENERS, connections_of
from drivetrain.compat.urllib_api.strict_transport import HstsProcessor

__all__ = ["Installation"]

_DO_OPEN: Any = AbstractHTTPHandler.do_open
_OWN: Any = vars(urllib.request)
_OURS = (HTTPHandler, HTTPSHandler)
_OLD_OPEN = "_open_generic_http"
_OLD: Any = getattr(_OWN.get("URLopener"), _OLD_OPEN, None)


class Installation:
    """The engine below urllib.request, from when this is made until `undo`. One at a time.

    Args:
        options: `hsts`, a `drivetrain.engine.HstsStore`: hosts in it are not asked in clear, and more are put into it.
            `version`, 1.1 to speak no other, even where a program's own SSL context would have offered HTTP/2.

    Attributes:
        gaps: what the engine does not get, and why, in lines.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.gaps: list[str] = []
        hsts, version = options.get("hsts"), options.get("version")
        # Whose it is, the method's name, what it was, what it is now.
        self._changed: list[tuple[Any, str, Any, Any]] = []
        self._change(
            AbstractHTTPHandler, "do_open", _DO_OPEN, lambda before: _through_the_engine(before, hsts, version)
        )
        old = _OWN.get("URLopener")
        if old is not None:  # until Python 3.14
            self._change(old, _OLD_OPEN, _OLD, lambda before: _old_through_the_engine(before, version))
            if hsts is not None:
                self.gaps.append("URLopener and FancyURLopener know nothing of hosts that want https only")

    def _change(self, owner: Any, name: str, known: Any, make: Callable[[Any], Any]) -> None:
        before = getattr(owner, name)
        if before is not known:
            self.gaps.append(f"{owner.__name__}.{name} was replaced before: what replaced it is not called now")
        after = make(before)
        setattr(owner, name, after)
        self._changed.append((owner, name, before, after))

    def undo(self) -> None:
        """Give the methods back, unless somebody else has replaced them since."""
        for owner, name, before, after in self._changed:
            if getattr(owner, name) is after:
                setattr(owner, name, before)


def _old_through_the_engine(before: Any, version: float | None) -> Any:
    """The method of `URLopener`; `before` is what stood in its place."""

    @functools.wraps(_OLD)
    def open_generic_http(self: Any, connection_factory: Any, url: Any, data: Any) -> Any:
        if isinstance(self, tuple(OLD_OPENERS.values())):  # which say so themselves
            return before(self, connection_factory, url, data)
        return _OLD(self, connections_of(self, connection_factory, version), url, data)

    return open_generic_http


def _through_the_engine(before: Any, store: Any, version: float | None) -> Any:
    """The method of handlers. `before` is what stood in its place, `store` the one of HSTS or None."""
    doors: dict[int, EngineHandler] = {}
    hsts = None if store is None else HstsProcessor(store)

    @functools.wraps(_DO_OPEN)
    def do_open(self: Any, http_class: Any, req: Request, **http_conn_args: Any) -> Any:
        if isinstance(self, _OURS):  # which leave this request to the original
            return before(self, http_class, req, **http_conn_args)
        if hsts is not None and http_class is PLAIN and not req.has_proxy():
            turned = _turned_to_https(req, hsts)
            if turned is not None:
                return self.parent.open(turned, timeout=req.timeout)
        level = self._debuglevel
        door = doors.get(level)
        if door is None:
            door = doors[level] = EngineHandler(level, version=version)
        response = door.do_open(http_class, req, **http_conn_args)
        return response if hsts is None else hsts.https_response(req, response)

    return do_open


def _turned_to_https(request: Request, hsts: HstsProcessor) -> Request | None:
    """A copy for https, for which cookies and proxies are to be chosen anew; None where http is right."""
    turned = copy.copy(request)
    turned.headers = dict(request.headers)
    turned.unredirected_hdrs = {
        name: value for name, value in request.unredirected_hdrs.items() if name not in ("Host", "Cookie")
    }
    turned = hsts.http_request(turned)
    return turned if urlsplit(turned.full_url).scheme == "https" else None
