"""`urlopen`, `build_opener` and `install_opener`, with an installed opener of this package's own."""

from __future__ import annotations

import atexit
import ssl
import sys
import urllib.request
import warnings
from socket import _GLOBAL_DEFAULT_TIMEOUT  # type: ignore[attr-defined]
from typing import Any
from urllib.request import BaseHandler, OpenerDirector, Request

from drivetrain.compat.urllib_api.clients import shared_clients
from drivetrain.compat.urllib_api.handlers import HTTPHandler, HTTPSHandler
from drivetrain.compat.urllib_api.proxying import ProxyHandler
from drivetrain.compat.urllib_api.short_way import ASK_OPENER, ShortWay

__all__ = ["build_opener", "close_connections", "install_opener", "urlopen"]

# Pairs of what the original looks for among the caller's handlers and what stands here when it is not there.
_DEFAULTS: tuple[tuple[type[BaseHandler], type[BaseHandler]], ...] = (
    (urllib.request.ProxyHandler, ProxyHandler),
    (urllib.request.UnknownHandler, urllib.request.UnknownHandler),
    (urllib.request.HTTPHandler, HTTPHandler),
    (urllib.request.HTTPDefaultErrorHandler, urllib.request.HTTPDefaultErrorHandler),
    (urllib.request.HTTPRedirectHandler, urllib.request.HTTPRedirectHandler),
    (urllib.request.FTPHandler, urllib.request.FTPHandler),
    (urllib.request.FileHandler, urllib.request.FileHandler),
    (urllib.request.HTTPErrorProcessor, urllib.request.HTTPErrorProcessor),
    (urllib.request.DataHandler, urllib.request.DataHandler),
    (urllib.request.HTTPSHandler, HTTPSHandler),
)

# The one that `urlopen` uses, and the way round it where that is the default one.
_installed: list[tuple[OpenerDirector, ShortWay | None] | None] = [None]
atexit.register(shared_clients.close)


def build_opener(*handlers: BaseHandler | type[BaseHandler]) -> OpenerDirector:
    """Make an opener that sends http and https through the engine.

    Args:
        handlers: added to the default ones, instances or classes. One that is a subclass of a default handler takes its
            place: of the original's, so a handler made for `urllib.request` works as it did there.
    """
    opener = OpenerDirector()
    for replaced, default in _DEFAULTS:
        if not any(issubclass(h, replaced) if isinstance(h, type) else isinstance(h, replaced) for h in handlers):
            opener.add_handler(default())
    for handler in handlers:
        opener.add_handler(handler() if isinstance(handler, type) else handler)
    return opener


def install_opener(opener: OpenerDirector | None) -> None:
    """Make `urlopen` use `opener`; None for the default one. The opener of `urllib.request` is another."""
    _installed[0] = None if opener is None else (opener, None)


def close_connections() -> None:
    """Close the idle connections of all openers now, and those in use when their responses end. Later calls make new ones."""
    shared_clients.close()


def _open(url: str | Request, data: Any, timeout: Any, context: ssl.SSLContext | None) -> Any:
    if context:
        return build_opener(HTTPSHandler(context=context)).open(url, data, timeout)
    installed = _installed[0]
    if installed is None:
        opener = build_opener()
        installed = _installed[0] = opener, ShortWay(opener)
    opener, short_way = installed
    if short_way is not None and data is None and type(url) is str:
        response = short_way.open(url, timeout)
        if response is not ASK_OPENER:
            return response
    return opener.open(url, data, timeout)


if sys.version_info >= (3, 13):

    def urlopen(
        url: str | Request,
        data: Any = None,
        timeout: float | None = _GLOBAL_DEFAULT_TIMEOUT,
        *,
        context: ssl.SSLContext | None = None,
    ) -> Any:
        """`urllib.request.urlopen` through the engine: connections are kept for the next call.

        Args:
            url: an address or a `Request`.
            data: the request's body: bytes, a binary file or an iterable of bytes.
            timeout: seconds for connecting and for each wait for the server, None for no limit; without it,
                `socket.getdefaulttimeout()`.
            context: how to speak TLS; its connections are kept as long as it is among the last few contexts used.

        Returns:
            An `http.client.HTTPResponse`; for ftp, file and data URLs a `urllib.response.addinfourl`.

        Raises:
            HTTPError: the status is 400 or above, or a redirect cannot be followed.
            URLError: connecting or sending failed.
            OSError, http.client.HTTPException: waiting for the answer failed.
        """
        return _open(url, data, timeout, context)

else:

    def urlopen(
        url: str | Request,
        data: Any = None,
        timeout: float | None = _GLOBAL_DEFAULT_TIMEOUT,
        *,
        cafile: str | None = None,
        capath: str | None = None,
        cadefault: bool = False,
        context: ssl.SSLContext | None = None,
    ) -> Any:
        """`urllib.request.urlopen` through the engine: connections are kept for the next call.

        Args:
            url: an address or a `Request`.
            data: the request's body: bytes, a binary file or an iterable of bytes.
            timeout: seconds for connecting and for each wait for the server, None for no limit; without it,
                `socket.getdefaulttimeout()`.
            cafile, capath, cadefault: deprecated, as in the original of this Python version: use a context.
            context: how to speak TLS; its connections are kept as long as it is among the last few contexts used.

        Returns:
            An `http.client.HTTPResponse`; for ftp, file and data URLs a `urllib.response.addinfourl`.

        Raises:
            HTTPError: the status is 400 or above, or a redirect cannot be followed.
            URLError: connecting or sending failed.
            OSError, http.client.HTTPException: waiting for the answer failed.
        """
        if cafile or capath or cadefault:
            text = "cafile, capath and cadefault are deprecated, use a custom context instead."
            warnings.warn(text, DeprecationWarning, stacklevel=2)
            if context is not None:
                raise ValueError("You can't pass both context and any of cafile, capath, and cadefault")
            context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=cafile, capath=capath)
            context.set_alpn_protocols(["http/1.1"])
        return _open(url, data, timeout, context)
