"""Putting the engine below `urllib.request`, in a running program, and taking it away again.

One method is changed, `AbstractHTTPHandler.do_open`, the only place where `urllib.request` opens connections for its
handlers. So everything else there stays what it is: `urlopen`, every opener made before or after, subclasses of the
handlers, underscored helpers.
"""

from __future__ import annotations

import copy
import functools
import http.client
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import AbstractHTTPHandler, Request

from drivetrain.compat.urllib_api import EngineHandler, HstsProcessor, HTTPHandler, HTTPSHandler

__all__ = ["Installation"]

_DO_OPEN: Any = AbstractHTTPHandler.do_open
_OWN: Any = vars(urllib.request)
_OURS = (HTTPHandler, HTTPSHandler)
_PLAIN = http.client.HTTPConnection


class Installation:
    """The engine below urllib.request, from when this is made until `undo`. One at a time.

    Args:
        options: `hsts`, a `drivetrain.engine.HstsStore`: hosts in it are not asked in clear, and more are put into it.

    Attributes:
        gaps: what the engine does not get, and why, in lines.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.gaps: list[str] = []
        if AbstractHTTPHandler.do_open is not _DO_OPEN:
            self.gaps.append("AbstractHTTPHandler.do_open was replaced before: what replaced it is not called now")
        self._before: Any = AbstractHTTPHandler.do_open
        self._installed = _through_the_engine(self._before, options.get("hsts"))
        setattr(AbstractHTTPHandler, "do_open", self._installed)  # noqa: B010  # a method, which assignment may not change
        if "URLopener" in _OWN:  # until Python 3.14
            self.gaps.append("URLopener and FancyURLopener, long deprecated, speak to http.client themselves")

    def undo(self) -> None:
        """Give the method back, unless somebody else has replaced it since."""
        if AbstractHTTPHandler.do_open is self._installed:
            setattr(AbstractHTTPHandler, "do_open", self._before)  # noqa: B010


def _through_the_engine(before: Any, store: Any) -> Any:
    """The method. `before` is what stood in its place, `store` the one of HSTS or None."""
    doors: dict[int, EngineHandler] = {}
    hsts = None if store is None else HstsProcessor(store)

    @functools.wraps(_DO_OPEN)
    def do_open(self: Any, http_class: Any, req: Request, **http_conn_args: Any) -> Any:
        if isinstance(self, _OURS):  # which leave this request to the original
            return before(self, http_class, req, **http_conn_args)
        if hsts is not None and http_class is _PLAIN and not req.has_proxy():
            turned = _turned_to_https(req, hsts)
            if turned is not None:
                return self.parent.open(turned, timeout=req.timeout)
        level = self._debuglevel
        door = doors.get(level)
        if door is None:
            door = doors[level] = EngineHandler(level)
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
