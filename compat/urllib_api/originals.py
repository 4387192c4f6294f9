"""The standard library's names that are used as they are: the same objects, so `isinstance` and `except` hold across both."""

from __future__ import annotations

import urllib.error
import urllib.request
import urllib.response

__all__ = [
    "AbstractBasicAuthHandler",
    "AbstractDigestAuthHandler",
    "AbstractHTTPHandler",
    "BaseHandler",
    "CacheFTPHandler",
    "ContentTooShortError",
    "DataHandler",
    "FTPHandler",
    "FileHandler",
    "HTTPBasicAuthHandler",
    "HTTPCookieProcessor",
    "HTTPDefaultErrorHandler",
    "HTTPDigestAuthHandler",
    "HTTPError",
    "HTTPErrorProcessor",
    "HTTPPasswordMgr",
    "HTTPPasswordMgrWithDefaultRealm",
    "HTTPPasswordMgrWithPriorAuth",
    "HTTPRedirectHandler",
    "OpenerDirector",
    "ProxyBasicAuthHandler",
    "ProxyDigestAuthHandler",
    "Request",
    "URLError",
    "UnknownHandler",
    "addbase",
    "addclosehook",
    "addinfo",
    "addinfourl",
    "getproxies",
    "parse_http_list",
    "parse_keqv_list",
    "pathname2url",
    "proxy_bypass",
    "url2pathname",
]

ContentTooShortError = urllib.error.ContentTooShortError
HTTPError = urllib.error.HTTPError
URLError = urllib.error.URLError

AbstractBasicAuthHandler = urllib.request.AbstractBasicAuthHandler
AbstractDigestAuthHandler = urllib.request.AbstractDigestAuthHandler
AbstractHTTPHandler = urllib.request.AbstractHTTPHandler
BaseHandler = urllib.request.BaseHandler
CacheFTPHandler = urllib.request.CacheFTPHandler
DataHandler = urllib.request.DataHandler
FTPHandler = urllib.request.FTPHandler
FileHandler = urllib.request.FileHandler
HTTPBasicAuthHandler = urllib.request.HTTPBasicAuthHandler
HTTPCookieProcessor = urllib.request.HTTPCookieProcessor
HTTPDefaultErrorHandler = urllib.request.HTTPDefaultErrorHandler
HTTPDigestAuthHandler = urllib.request.HTTPDigestAuthHandler
HTTPErrorProcessor = urllib.request.HTTPErrorProcessor
HTTPPasswordMgr = urllib.request.HTTPPasswordMgr
HTTPPasswordMgrWithDefaultRealm = urllib.request.HTTPPasswordMgrWithDefaultRealm
HTTPPasswordMgrWithPriorAuth = urllib.request.HTTPPasswordMgrWithPriorAuth
HTTPRedirectHandler = urllib.request.HTTPRedirectHandler
OpenerDirector = urllib.request.OpenerDirector
ProxyBasicAuthHandler = urllib.request.ProxyBasicAuthHandler
ProxyDigestAuthHandler = urllib.request.ProxyDigestAuthHandler
Request = urllib.request.Request
UnknownHandler = urllib.request.UnknownHandler
getproxies = urllib.request.getproxies
parse_http_list = urllib.request.parse_http_list
parse_keqv_list = urllib.request.parse_keqv_list
pathname2url = urllib.request.pathname2url
proxy_bypass = urllib.request.proxy_bypass
url2pathname = urllib.request.url2pathname

addbase = urllib.response.addbase
addclosehook = urllib.response.addclosehook
addinfo = urllib.response.addinfo
addinfourl = urllib.response.addinfourl
