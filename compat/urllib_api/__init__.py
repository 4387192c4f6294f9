"""`urllib.request` and its companions through drivetrain: the same names, with connections that are kept.

::

    from drivetrain.compat.urllib_api import urlopen

    with urlopen("https://example.com/") as response:
        print(response.status, response.read())

`urlopen` and `build_opener` send http and https through the engine; `EngineHandler` does so in any opener, also one of
`urllib.request`. Requests, errors and the other handlers are the standard library's own objects.
"""

from __future__ import annotations

from drivetrain.compat.urllib_api.handlers import EngineHandler, HTTPHandler, HTTPSHandler
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
    "urlopen",
]
