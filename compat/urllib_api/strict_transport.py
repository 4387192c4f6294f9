"""HSTS (RFC 6797) for openers: http becomes https before anything is sent, where a host has asked for that."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import urlsplit
from urllib.request import BaseHandler, Request

from drivetrain.compat.urllib_api.response import EngineResponse
from drivetrain.engine import HstsStore

__all__ = ["HstsProcessor"]


class HstsProcessor(BaseHandler):
    """Switches HSTS on for an opener. By default openers have none, for urllib knows no such thing.

    ::

        opener = build_opener(HstsProcessor())

    Requests for http URLs of hosts that have asked for it, over TLS with a certificate that was verified, are turned into
    requests for https: `full_url` says so then, also that of the `Request` a program gave. Cookies are chosen, and proxies,
    for the new URL. A request that was turned to a proxy by hand stays as it is.

    Args:
        store: the hosts that are known to want it; None for a new one.
    """

    # Before cookies are chosen and fields are made.
    handler_order = 50

    def __init__(self, store: HstsStore | None = None) -> None:
        self.store = HstsStore() if store is None else store

    def http_request(self, request: Request) -> Request:
        """Turn a request to https where its host has asked for that."""
        parts = urlsplit(request.full_url)
        if parts.hostname and not request.has_proxy() and self.store.check(parts.hostname):
            # Section 8.3: port 80 becomes 443, any other one stays.
            netloc = parts.netloc.rpartition(":")[0] if parts.port == 80 else parts.netloc
            request.full_url = parts._replace(scheme="https", netloc=netloc).geturl()
        return request

    def https_response(self, request: Request, response: Any) -> Any:
        """Take to heart what a response says; only from this package's handlers, which know whether TLS was verified."""
        session = response.ssl_object if isinstance(response, EngineResponse) else None
        said = response.headers.get_all("Strict-Transport-Security") if session is not None else None
        host = urlsplit(response.url).hostname if said else None
        if (
            said
            and host
            and session
            and session.context.verify_mode == ssl.CERT_REQUIRED
            and session.context.check_hostname
        ):
            self.store.store_header(host, said[0])
        return response

    # What was turned to https is still given to the processors of http.
    http_response = https_response
