"""HSTS (RFC 6797) for requests: http becomes https before anything is sent, where a host has asked for that.

The response's URL says https then, and its history does not mention it: nothing was asked in clear.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import requests.cookies
from requests import PreparedRequest

from drivetrain.engine import HstsStore, Response

__all__ = ["learn", "upgraded"]

_cookie_header: Callable[[Any, Any], str | None] = requests.cookies.get_cookie_header


def upgraded(request: PreparedRequest, store: HstsStore) -> PreparedRequest:
    """The request as it is to be sent: itself, or a copy for https.

    The copy has the cookies that are for https only, unless the program wrote the Cookie field itself.
    """
    url: Any = request.url
    if isinstance(url, bytes):
        url = url.decode("utf-8")
    parts = urlsplit(url)
    if parts.scheme.lower() != "http" or not parts.hostname or not store.check(parts.hostname):
        return request
    netloc = parts.netloc
    if parts.port == 80:  # section 8.3: any other port stays
        netloc = netloc.rpartition(":")[0]
    secure = request.copy()
    secure.url = parts._replace(scheme="https", netloc=netloc).geturl()
    jar: Any = request._cookies  # type: ignore[attr-defined]
    if jar is not None:
        given = secure.headers.pop("Cookie", None)
        bare: Any = request.copy()
        bare.headers.pop("Cookie", None)
        if given is not None and given != _cookie_header(jar, bare):
            secure.headers["Cookie"] = given
        else:
            secure.prepare_cookies(jar)
    return secure


def learn(store: HstsStore, url: str, response: Response) -> None:
    """Take what a response says of HSTS; only over TLS with a certificate that was verified (section 8.1)."""
    said = response.headers.get_as_sequence("strict-transport-security")
    session = response.connection.ssl_object if said else None
    host = urlsplit(url).hostname
    if session is not None and host and url[:6].lower() == "https:":
        context = session.context
        if context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname:
            store.store_header(host, said[0])
