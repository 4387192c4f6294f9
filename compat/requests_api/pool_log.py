"""What urllib3's pools write to their log, for programs that show it or look for it there."""

from __future__ import annotations

import logging
import threading
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakSet

from urllib3.exceptions import ProtocolError, ProxyError, SSLError

from drivetrain.compat.requests_api.raw_response import RawResponse
from drivetrain.compat.requests_api.routes import Route
from drivetrain.engine import Client, Response

__all__ = ["POOL_LOG", "Telling", "tell_connection", "telling_of", "warn_of_retry"]

POOL_LOG = logging.getLogger("urllib3.connectionpool")
"""Urllib3's own."""


class _Pool:
    """What is known of a pool that urllib3 would have: its connections, those that failed, and who holds others."""

    def __init__(self) -> None:
        self.made = self.lost = self.asking = 0
        self.unread: WeakSet[RawResponse] = WeakSet()

    def is_spare(self) -> bool:
        """Whether there is a connection that nobody holds, though the server may have closed it."""
        return self.made - self.lost > self.asking - 1 + sum(not raw._ended for raw in self.unread)


_lock = threading.Lock()
_pools: WeakKeyDictionary[Client, dict[tuple[str, ...], _Pool]] = WeakKeyDictionary()
_under_way = threading.local()


class Telling:
    """Tells the log of one exchange, from when this is entered. Connections are numbered from when somebody wants to know.

    Args:
        client: that makes the connection.
        route: the way of the request.
    """

    def __init__(self, client: Client, route: Route) -> None:
        parts = urlsplit(route.asked)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        self._place = parts.scheme, f"[{host}]" if ":" in host else host, port
        with _lock:
            self._pool = _pools.setdefault(client, {}).setdefault((*map(str, self._place), str(route.proxy)), _Pool())

    def __enter__(self) -> Telling:
        self._before = getattr(_under_way, "telling", None)
        _under_way.telling = self
        with _lock:
            self._pool.asking += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _under_way.telling = self._before
        with _lock:
            self._pool.asking -= 1
            # What failed is not kept, and another one is begun in its place.
            self._pool.lost += kind is not None and self._pool.made > self._pool.lost

    def connection(self) -> None:
        """A connection is being made."""
        scheme, host, port = self._place
        pool = self._pool
        with _lock:
            is_spare = pool.is_spare()
            pool.made += not is_spare
            number = pool.made
        if is_spare:
            POOL_LOG.debug("Resetting dropped connection: %s", host)
        else:
            POOL_LOG.debug("Starting new %s connection (%d): %s:%s", scheme.upper(), number, host, port)

    def answer(self, method: str, path: str, response: Response, raw: RawResponse) -> None:
        """The request was answered. Args: path: what was asked for."""
        with _lock:
            self._pool.unread.add(raw)
            self._pool.made = max(self._pool.made, self._pool.lost + 1)  # before anybody wanted to know
        # Not that of the response, which the log of urllib3 does not tell.
        version = "HTTP/2" if response.http_version == "2" else "HTTP/1.1"
        POOL_LOG.debug(
            '%s://%s:%s "%s %s %s" %s %s', *self._place, method, path, version, raw.status, raw.length_remaining
        )


def telling_of(client: Client, route: Route) -> Telling | None:
    """What tells the log of an exchange; None where nobody wants to know."""
    return Telling(client, route) if POOL_LOG.isEnabledFor(logging.DEBUG) else None


def tell_connection() -> None:
    """Log that a connection is being made, for the request that this thread has under way."""
    telling: Telling | None = getattr(_under_way, "telling", None)
    if telling is not None:
        telling.connection()


def warn_of_retry(left: object, error: Exception, path: str) -> None:
    """Log that a request is sent again. Args: left: the retries that are left. error: urllib3's, with which it failed."""
    if isinstance(error, ProxyError):
        error = error.original_error
    if isinstance(error, (ProtocolError, SSLError)) and error.args and isinstance(error.args[-1], Exception):
        error = error.args[-1]
    POOL_LOG.warning("Retrying (%r) after connection broken by '%r': %s", left, error, path)
