"""`urllib.request` and its companions through drivetrain: the same names, with connections that are kept.

::

    from drivetrain.compat.urllib_api import urlopen

    with urlopen("https://example.com/") as response:
        print(response.status, response.read())

`urlopen` and `build_opener` send http and https through the engine; `EngineHandler` does so in any opener, also one of
`urllib.request`. Requests, errors and the other handlers are the standard library's own objects.

What else `urllib.request` has can be had from here as well: helpers, and `URLopener` and `FancyURLopener` where they still are.
"""

from __future__ import annotations

import urllib.request
from typing import Any

from drivetrain.compat.urllib_api.handlers import EngineHandler, HTTPHandler, HTTPSHandler
from drivetrain.compat.urllib_api.old_openers import OLD_OPENERS as _OLD_OPENERS
from drivetrain.compat.urllib_api.opener import build_opener, close_connections, install_opener, urlopen
from drivetrain.compat.urllib_api.originals import (
    AbstractBasicAuthHandler,
    AbstractDigestAuthHandler,
    AbstractHTTPHandler,
    BaseHandler,
    CacheFTPHandler,
    ContentTooShortError,
    DataHandler,
    FileHandler,
    FTPHandler,
    HTTPBasicAuthHandler,
    HTTPCookieProcessor,
    HTTPDefaultErrorHandler,
    HTTPDigestAuthHandler,
    HTTPError,
    HTTPErrorProcessor,
    HTTPPasswordMgr,
    HTTPPasswordMgrWithDefaultRealm,
    HTTPPasswordMgrWithPriorAuth,
    HTTPRedirectHandler,
    OpenerDirector,
    ProxyBasicAuthHandler,
    ProxyDigestAuthHandler,
    Request,
    UnknownHandler,
    URLError,
    addbase,
    addclosehook,
    addinfo,
    addinfourl,
    getproxies,
    parse_http_list,
    parse_keqv_list,
    pathname2url,
    proxy_bypass,
    url2pathname,
)
from drivetrain.compat.urllib_api.proxying import ProxyHandler
from drivetrain.compat.urllib_api.response import EngineResponse
from drivetrain.compat.urllib_api.retrieving import urlcleanup, urlretrieve
from drivetrain.compat.urllib_api.strict_transport import HstsProcessor

__all__ = [
    "AbstractBasicAuthHandler",
    "AbstractDigestAuthHandler",
    "AbstractHTTPHandler",
    "BaseHandler",
    "CacheFTPHandler",
    "ContentTooShortError",
    "DataHandler",
    "EngineHandler",
    "EngineResponse",
    "FTPHandler",
    "FileHandler",
    "HTTPBasicAuthHandler",
    "HTTPCookieProcessor",
    "HTTPDefaultErrorHandler",
    "HTTPDigestAuthHandler",
    "HTTPError",
    "HTTPErrorProcessor",
    "HTTPHandler",
    "HTTPPasswordMgr",
    "HTTPPasswordMgrWithDefaultRealm",
    "HTTPPasswordMgrWithPriorAuth",
    "HTTPRedirectHandler",
    "HTTPSHandler",
    "HstsProcessor",
    "OpenerDirector",
    "ProxyBasicAuthHandler",
    "ProxyDigestAuthHandler",
    "ProxyHandler",
    "Request",
    "URLError",
    "UnknownHandler",
    "addbase",
    "addclosehook",
    "addinfo",
    "addinfourl",
    "build_opener",
    "close_connections",
    "getproxies",
    "install_opener",
    "parse_http_list",
    "parse_keqv_list",
    "pathname2url",
    "proxy_bypass",
    "url2pathname",
    "urlcleanup",
    "urlopen",
    "urlretrieve",
]


def __getattr__(name: str) -> Any:
    """The names that are not the API of every version of Python."""
    found = _OLD_OPENERS.get(name)
    if found is None:
        found = vars(urllib.request).get(name)
    if found is None or (name.startswith("__") and name.endswith("__")):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found
