"""What a client can be set to, in one place for both colours."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..backends.base import Backend
from ..connection.dial import DialOptions, TlsOptions
from ..connection.pool_limits import PoolLimits
from ..errors import UsageError
from ..protocol.h1 import DEFAULT_LIMITS
from ..protocol.h1_limits import H1Limits
from ..tls import new_client_context
from ..wire.headers import Headers
from .compose import DEFAULT_HEADERS, HeaderSource
from .origins import Origins
from .redirects import RedirectPolicy
from .timeouts import DEFAULT_TIMEOUTS, Timeouts, TimeoutTypes
from .user_agent import UserAgent

__all__ = ["ClientOptions", "Verify", "timeouts_of"]

Verify = bool | str | Path


@dataclass(frozen=True)
class ClientOptions:
    """Settings of `Client` and `AsyncClient`, all keyword arguments there.

    Args:
        headers: fields sent with every request; they replace the defaults (User-Agent, Accept, Accept-Encoding) of the
            same name.
        timeout: seconds for each whole call, or a `Timeouts`; None for no limit at all.
        follow_redirects, max_redirects, post301, post302: see `RedirectPolicy`.
        version: 1.0 or 1.1 to pin the HTTP version.
        verify: True to verify certificates against the system's trust store, a path to a file or directory of CA
            certificates to use instead, False to verify nothing.
        cert: a client certificate: a path, (certificate, key), (certificate, key, password), or PEM text or bytes.
        ssl_context: a ready context, instead of `verify` and `cert`.
        sendname: the TLS server name: True for the host, False to send none, or a name.
        bind: local address to connect from, "addr", "addr:port" or "[v6]:port".
        resolver: a mapping like curl's --resolve ({"host[:port]": address or addresses}) or a function
            (host, port) -> addresses, instead of the system's resolver.
        unix_socket: path of a socket that every request goes to.
        head_start: seconds an address family is tried alone before the next joins (RFC 8305).
        pool: limits of the connection pool.
        limits: limits on what servers may send.
        accept_ragged_end: see `H1Connection`.
    """

    headers: HeaderSource | None = None
    timeout: TimeoutTypes = DEFAULT_TIMEOUTS
    follow_redirects: bool = True
    max_redirects: int = 5
    post301: bool = False
    post302: bool = False
    version: float | None = None
    verify: Verify = True
    cert: Any = None
    ssl_context: ssl.SSLContext | None = None
    sendname: str | bool = True
    bind: str | None = None
    resolver: Any = None
    unix_socket: str | None = None
    head_start: float = 0.25
    pool: PoolLimits = field(default_factory=PoolLimits)
    limits: H1Limits = DEFAULT_LIMITS
    accept_ragged_end: bool = False

    def make_agent(self, backend: Backend) -> UserAgent:
        """A request loop with these settings on `backend`."""
        if self.version not in (None, 1, 1.0, 1.1):
            raise UsageError(f"HTTP version {self.version!r} is not one of 1.0, 1.1 and None")
        context = self.ssl_context
        if context is not None and (self.verify is not True or self.cert is not None):
            raise UsageError("give either ssl_context, or verify and cert")
        if context is None and (self.verify is not True or self.cert is not None):
            context = new_client_context(verify=self.verify, cert=self.cert)
        origins = Origins(
            TlsOptions(context=context, sendname=self.sendname),
            DialOptions(bind=self.bind, resolver=self.resolver, head_start=self.head_start),
            self.version,
            self.unix_socket,
            self.accept_ragged_end,
        )
        return UserAgent(backend, origins, self.pool, self.limits)

    def make_headers(self) -> Headers:
        """The fields sent with every request."""
        given = Headers(self.headers)
        complete = Headers([item for item in DEFAULT_HEADERS if not given.has(item[0])])
        complete.extend(given)
        return complete

    @property
    def redirects(self) -> RedirectPolicy:
        """How redirects are followed."""
        return RedirectPolicy(self.follow_redirects, self.max_redirects, self.post301, self.post302)


def timeouts_of(value: TimeoutTypes, base: Timeouts) -> Timeouts:
    """Read a `timeout` argument: a `Timeouts` as it is, seconds as the total over `base`'s phases, None as no limits."""
    if isinstance(value, Timeouts):
        return value
    return Timeouts() if value is None else base.with_total(value)
