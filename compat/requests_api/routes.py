"""Which way a request goes, in the terms of urllib3's errors: the pool and the connection they name.

What is made here connects nowhere; it is there to be printed, and to be found by code that looks into errors.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool, connection_from_url

from drivetrain.engine import Proxy

__all__ = ["Route", "SOCKSConnection", "SOCKSHTTPConnectionPool", "SOCKSHTTPSConnection", "SOCKSHTTPSConnectionPool"]


class SOCKSConnection(HTTPConnection):
    """Named as that of `urllib3.contrib.socks`, which cannot be imported without PySocks."""


class SOCKSHTTPSConnection(HTTPSConnection):
    """See `SOCKSConnection`."""


class SOCKSHTTPConnectionPool(HTTPConnectionPool):
    """See `SOCKSConnection`."""


class SOCKSHTTPSConnectionPool(HTTPSConnectionPool):
    """See `SOCKSConnection`."""


class Route(NamedTuple):
    """The way to where a URL leads.

    Attributes:
        url: of the request.
        proxy: through whom, None for nobody.
        unix_path: of the socket that is asked instead of a host.
    """

    url: str
    proxy: Proxy | None = None
    unix_path: str | None = None

    @property
    def is_secure(self) -> bool:
        """Whether TLS is spoken with the origin."""
        return self.url[:6].lower() == "https:"

    @property
    def asked(self) -> str:
        """The URL of whom the request itself is sent to: the proxy where that forwards it, else the origin."""
        proxy = self.proxy
        return self.url if proxy is None or proxy.needs_tunnel("https" if self.is_secure else "http") else f"{proxy}/"

    def pool(self) -> HTTPConnectionPool:
        """What urllib3 would have taken the connection from."""
        if self.proxy is None or not self.proxy.is_socks:
            return connection_from_url(self.asked)
        kind = SOCKSHTTPSConnectionPool if self.is_secure else SOCKSHTTPConnectionPool
        return kind(*self._origin)

    @property
    def _origin(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or (443 if self.is_secure else 80)

    def connection(self, timeout: float | None) -> HTTPConnection:
        """What urllib3 would have connected with: to an HTTP proxy, or to the origin."""
        proxy = self.proxy
        if proxy is not None and not proxy.is_socks:
            secure = self.is_secure or proxy.scheme == "https"
            return (HTTPSConnection if secure else HTTPConnection)(proxy.host, proxy.port, timeout=timeout)
        kinds = (HTTPConnection, HTTPSConnection) if proxy is None else (SOCKSConnection, SOCKSHTTPSConnection)
        host, port = self._origin
        return kinds[self.is_secure](host, port, timeout=timeout)
