"""The short way of `urlopen(url)`: what an opener as it was made does with the text of a URL, without going through it.

An opener makes a request of the text, and has it completed, sent, and its answer looked at, by one handler after the other.
As long as these are the default ones, and work as they were made to, the URL alone decides what is sent, which is therefore
remembered, and a successful answer goes to the caller as it is. Whatever is not so (another scheme, a proxy, a handler that was
added, a function that somebody has replaced) is left to the opener; answers that are not successes are left to its handlers.
"""

from __future__ import annotations

import http.client
import sys
import urllib.request
from typing import Any
from urllib.error import URLError
from urllib.request import AbstractHTTPHandler, HTTPErrorProcessor, OpenerDirector, Request

from drivetrain.compat.replaced import Watch
from drivetrain.compat.urllib_api.handlers import HTTPHandler, HTTPSHandler, Prepared, is_for_the_original
from drivetrain.compat.urllib_api.proxying import Way
from drivetrain.compat.urllib_api.replaced import is_as_made
from drivetrain.compat.urllib_api.sending import timeouts_of

__all__ = ["ASK_OPENER", "ShortWay"]

ASK_OPENER = object()
"""What is returned where nothing was sent and the opener is to be asked."""

_MAX_KNOWN = 256
_LONGEST = 2048  # characters of a URL that is remembered

_OPENER = ("open", "_open", "_call_chain", "error")
_PARSING = ("Request", "unwrap", "unquote", "_splittype", "_splithost", "_splittag")
_REQUEST = ("__init__", "_parse", "get_method", "get_full_url", "has_proxy", "has_header", "add_unredirected_header")
_DOOR = ("http_open", "https_open", "http_request", "https_request", "do_request_", "do_open")
_WATCH = Watch(
    (urllib.request, _PARSING),
    (http.client, ("HTTPConnection", "HTTPSConnection")),
    (OpenerDirector, _OPENER),
    (Request, _REQUEST),
    (AbstractHTTPHandler, ("do_request_",)),
    (HTTPErrorProcessor, ("http_response", "https_response")),
    (HTTPHandler, _DOOR),
    (HTTPSHandler, _DOOR),
    homes=("urllib.request", "urllib.parse", "http.client", HTTPHandler.__module__),
)


_UNSEEN = object()
_Known = tuple[HTTPHandler | HTTPSHandler, bool, Way, str]
"""What becomes of a URL: the handler that sends it, whether by TLS, how, and what the response calls it."""


class ShortWay:
    """The short way round one opener. Any number of threads may use it.

    Args:
        opener: as `build_opener` makes it without handlers.
    """

    def __init__(self, opener: OpenerDirector) -> None:
        self._opener = opener
        self._as_made = {name: _copied(value) for name, value in vars(opener).items()}
        self._known: dict[str, Any] = {}

    def open(self, url: str, timeout: Any) -> Any:
        """The response to a GET, or `ASK_OPENER`.

        Args:
            url: an address.
            timeout: as of `urlopen`.

        Raises:
            HTTPError, URLError, OSError, http.client.HTTPException: as `urlopen`.
        """
        if not _WATCH.unchanged() or vars(self._opener) != self._as_made:
            return ASK_OPENER
        known = self._known.get(url, _UNSEEN)
        if known is _UNSEEN:
            known = self._find(url)
        if known is None:
            return ASK_OPENER
        door, secure, way, full_url = known
        if not is_as_made(secure):
            return ASK_OPENER
        sys.audit("urllib.Request", full_url, None, {}, "GET")
        response: Any = _send(door, ("GET", way, secure, None, None, timeouts_of(timeout)), full_url)
        if response is not None and 200 <= response.status < 300:
            return response
        request = Request(url)  # noqa: S310  # it opens nothing
        request.timeout = timeout
        door.do_request_(request)
        if response is None:
            response = door.http_open(request) if isinstance(door, HTTPHandler) else door.https_open(request)
            if 200 <= response.status < 300:
                return response
        return self._opener.error("http", request, response, response.code, response.msg, response.info())

    def _find(self, url: str) -> _Known | None:
        """What becomes of a URL from now on; None where that is the opener's to say."""
        if len(url) > _LONGEST:
            return None
        found = _look(self._opener, url)
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[url] = found
        return found


def _send(door: HTTPHandler | HTTPSHandler, prepared: Prepared, full_url: str) -> Any:
    """The response to a request; None where the original is to send it, and nothing was sent."""
    if prepared[-1].connect == 0:  # sockets that do not wait
        return None
    try:
        return door.send_prepared(prepared, full_url)
    except (URLError, ValueError) as error:
        if is_for_the_original(prepared, error):
            return None
        raise


def _copied(value: Any) -> Any:
    """A list, or a dictionary of lists, that stays as it is now."""
    if isinstance(value, dict):
        return {key: _copied(part) for key, part in value.items()}
    return list(value) if isinstance(value, list) else value


def _look(opener: Any, url: str) -> _Known | None:
    try:
        request = Request(url)  # noqa: S310  # it opens nothing
    except ValueError:
        return None
    scheme = request.type
    doors = opener.handle_open.get(scheme, [])
    if scheme not in ("http", "https") or len(doors) != 1 or "default" in opener.handle_open:
        return None
    door = doors[0]
    judges = [type(processor) for processor in opener.process_response.get(scheme, [])]
    if type(door) not in (HTTPHandler, HTTPSHandler) or judges != [HTTPErrorProcessor]:
        return None
    if opener.process_request.get(scheme) != [door]:
        return None
    secure = scheme == "https"
    request.timeout = None
    try:
        door.do_request_(request)
        _, way, *_ = door.prepared(request, request.host, secure, None, timeouts_of(None))
    except (http.client.HTTPException, URLError, TypeError, ValueError):
        return None
    return door, secure, way, request.full_url
