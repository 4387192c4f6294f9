"""What a client can be set to, in one place for both colours."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from ..backends.base import Backend, SocketOption
from ..connection.connector import CLIENT_H2_LIMITS, ConnectionLimits, alpn_for
from ..connection.dial import DialOptions, TlsOptions
from ..connection.dialer import Dialer
from ..connection.pool_limits import PoolLimits
from ..connection.shared_context import PrepareContext
from ..errors import UsageError
from ..protocol.h1 import DEFAULT_LIMITS
from ..protocol.h1_limits import H1Limits
from ..protocol.h2_limits import H2Limits
from ..tls import new_client_context, verifies_hosts
from ..wire.decoders import DEFAULT_DECODING_LIMITS, DecodingLimits
from ..wire.headers import Headers
from .auth import AuthSource, make_auth
from .compose import DEFAULT_HEADERS, HeaderSource
from .cookie_store import CookieStore
from .hsts import HstsStore
from .origins import Origins
from .proxies import ProxiesSource, make_proxies
from .redirects import RedirectPolicy
from .retries import NO_RETRIES, Retries
from .rules import Rules
from .timeouts import DEFAULT_TIMEOUTS, Timeouts, TimeoutTypes
from .user_agent import UserAgent

__all__ = ["ClientOptions", "Verify", "timeouts_of"]

Verify = bool | str | Path
T = TypeVar("T")


@dataclass(frozen=True)
class ClientOptions:
    """Settings of `Client` and `AsyncClient`, all keyword arguments there.

    Args:
        headers: fields sent with every request; they replace the defaults (User-Agent, Accept, Accept-Encoding) of the
            same name.
        default_headers: False to send none of those defaults.
        timeout: seconds for each whole call, or a `Timeouts`; None for no limit at all.
        follow_redirects, max_redirects, post301, post302: see `RedirectPolicy`.
        version: 1.0, 1.1 or 2 to pin the HTTP version; None to leave it to the server: over TLS the best it speaks, in
            clear 1.1. With 2, servers in clear are expected to speak HTTP/2 (prior knowledge).
        upgrade_h2c: offer HTTP/2 to servers in clear with `Upgrade: h2c`, on an `OPTIONS *` before the first request.
        verify: True to verify certificates against the system's trust store, a path to a file or directory of CA
            certificates to use instead, False to verify nothing.
        cert: a client certificate: a path, (certificate, key), (certificate, key, password), or PEM text or bytes.
        ssl_context: a ready context, instead of `verify` and `cert`. What it offers by ALPN is set according to `version`.
        sendname: the TLS server name: True for the host, False to send none, or a name.
        verify_host: verify certificates for this name or address instead of that of the host or `sendname`; see `TlsOptions`.
        fingerprint: of the only certificate to accept, in hexadecimal digits (SHA-256; SHA-1 and MD5 are known): whatever
            name it is for, and if its chain is trusted. A given `ssl_context` must have `check_hostname` off.
        prepare_context: called with `ssl_context` before each connection that it is used for, one at a time; see `TlsOptions`.
        bind: local address to connect from, "addr", "addr:port" or "[v6]:port", to origins and proxies.
        socket_options: (level, name, value) as `socket.setsockopt` takes them, set on the sockets of all TCP connections
            before they are bound and connected. None for TCP_NODELAY; with others, be there none, only those are set.
        dialer: asked with (host, port) before each TCP connection; returns None to leave it to the client, or a function
            that is given the seconds left (None for no limit) and returns a connected socket.
        resolver: a mapping like curl's --resolve ({"host[:port]": address or addresses}) or a function
            (host, port) -> addresses, instead of the system's resolver.
        unix_socket: path of a socket that every request goes to; no proxy is used then.
        sock: a connected socket to use for the first connection in place of a new one. There can be no second one then, nor
            a proxy.
        cookies: a `CookieStore` to use, True for one of the client's own, False for none.
        hsts: an `HstsStore` to use, True for one of the client's own, False for none.
        proxies: a URI for everything ("http://user:pass@proxy:3128", "socks5h://…"), a mapping with the keys "http",
            "https", "all" and "no_proxy", a `Proxies`; True for what the environment says, False for none.
        proxy_auth: how to authenticate to HTTP proxies, beside the credentials in a proxy's URI.
        proxy_ssl_context: for proxies of the scheme https, instead of the default trust.
        proxy_verify_host, proxy_fingerprint: as those without "proxy", for proxies of the scheme https.
        proxy_http2: offer HTTP/2 to https proxies, for tunnels.
        auth: how to authenticate to origins: an `Auth`, or (user, password) for Basic.
        retries: when to send again; by default never, beyond what is always safe.
        expect_100_timeout: seconds to wait for 100 Continue where a request says Expect, before its body is sent anyway; 0 not
            to wait.
        head_start: seconds an address family is tried alone before the next joins (RFC 8305).
        pool: limits of the connection pool.
        limits: limits on what HTTP/1 servers may send.
        h2_limits: limits on what HTTP/2 servers may send, and the sizes of the flow-control windows.
        decoding_limits: limits on what content may grow to when its codings are removed.
        accept_ragged_end: see `H1Connection`.
        tolerate_weak_tls: fall back to HTTP/1.1 where the server agreed to HTTP/2 but TLS is too weak for it (below 1.2, or a
            cipher of RFC 9113 appendix A); otherwise that is an error.
        tolerate_odd_responses: take responses of HTTP/1 that RFC 9112 forbids and `http.client` takes: bare line feeds, folded
            lines, Transfer-Encoding beside Content-Length, … Their connections end with them.
    """

    headers: HeaderSource | None = None
    default_headers: bool = True
    timeout: TimeoutTypes = DEFAULT_TIMEOUTS
    follow_redirects: bool = True
    max_redirects: int = 5
    post301: bool = False
    post302: bool = False
    version: float | None = None
    upgrade_h2c: bool = False
    verify: Verify = True
    cert: Any = None
    ssl_context: ssl.SSLContext | None = None
    sendname: str | bool = True
    verify_host: str | Literal[True] | None = None
    fingerprint: str | None = None
    prepare_context: PrepareContext | None = None
    bind: str | None = None
    socket_options: Sequence[SocketOption] | None = None
    dialer: Dialer | None = None
    resolver: Any = None
    unix_socket: str | None = None
    sock: socket.socket | None = None
    head_start: float = 0.25
    cookies: CookieStore | bool = True
    hsts: HstsStore | bool = True
    proxies: ProxiesSource = True
    proxy_auth: AuthSource = None
    proxy_ssl_context: ssl.SSLContext | None = None
    proxy_verify_host: str | Literal[True] | None = None
    proxy_fingerprint: str | None = None
    proxy_http2: bool = False
    auth: AuthSource = None
    retries: Retries = NO_RETRIES
    expect_100_timeout: float = 1.0
    pool: PoolLimits = field(default_factory=PoolLimits)
    limits: H1Limits = DEFAULT_LIMITS
    h2_limits: H2Limits = CLIENT_H2_LIMITS
    decoding_limits: DecodingLimits = DEFAULT_DECODING_LIMITS
    accept_ragged_end: bool = False
    tolerate_weak_tls: bool = False
    tolerate_odd_responses: bool = False

    def make_agent(self, backend: Backend) -> UserAgent:
        """A request loop with these settings on `backend`."""
        if self.version not in (None, 1.0, 1.1, 2.0):
            raise UsageError(f"HTTP version {self.version!r} is not one of 1.0, 1.1, 2 and None")
        context = self.ssl_context
        if context is not None and (self.verify is not True or self.cert is not None):
            raise UsageError("give either ssl_context, or verify and cert")
        if context is None and (self.verify is not True or self.cert is not None):
            named = self.fingerprint is None
            context = new_client_context(verify=self.verify, cert=self.cert, check_hostname=named)
        origins = Origins(
            TlsOptions(
                context=context,
                sendname=self.sendname,
                verify_host=self.verify_host,
                alpn=alpn_for(self.version),
                fingerprint=self.fingerprint,
                prepare=self.prepare_context,
            ),
            self._dial_options(),
            version=self.version,
            unix_path=self.unix_socket,
            accept_ragged_end=self.accept_ragged_end,
            upgrade=self.upgrade_h2c,
            tolerate_weak_tls=self.tolerate_weak_tls,
            tolerate_odd_responses=self.tolerate_odd_responses,
            proxy_tls=TlsOptions(
                self.proxy_ssl_context,
                verify_host=self.proxy_verify_host,
                alpn=alpn_for(None if self.proxy_http2 else 1.1),
                fingerprint=self.proxy_fingerprint,
            ),
        )
        limits = ConnectionLimits(self.limits, self.h2_limits)
        agent = UserAgent(backend, origins, self.pool, limits, self.decoding_limits)
        agent.rules = self._make_rules(context is None or verifies_hosts(context))
        return agent

    def _dial_options(self) -> DialOptions:
        return DialOptions(
            bind=self.bind,
            resolver=self.resolver,
            head_start=self.head_start,
            sock=self.sock,
            socket_options=None if self.socket_options is None else tuple(self.socket_options),
            dialer=self.dialer,
        )

    def _make_rules(self, is_verified: bool) -> Rules:
        return Rules(
            cookies=_chosen(self.cookies, CookieStore),
            hsts=_chosen(self.hsts, HstsStore),
            is_verified=is_verified,
            proxies=make_proxies(self.proxies) if self.unix_socket is None and self.sock is None else None,
            proxy_auth=make_auth(self.proxy_auth),
            retries=self.retries,
        )

    def make_headers(self) -> Headers:
        """The fields sent with every request."""
        given = Headers(self.headers)
        if not self.default_headers:
            return given
        complete = Headers([item for item in DEFAULT_HEADERS if not given.has(item[0])])
        complete.extend(given)
        return complete

    @property
    def redirects(self) -> RedirectPolicy:
        """How redirects are followed."""
        return RedirectPolicy(self.follow_redirects, self.max_redirects, self.post301, self.post302)


def _chosen(value: T | bool, make: Callable[[], T]) -> T | None:
    if value is True:
        return make()
    return None if isinstance(value, bool) else value


def timeouts_of(value: TimeoutTypes, base: Timeouts) -> Timeouts:
    """Read a `timeout` argument: a `Timeouts` as it is, seconds as the total over `base`'s phases, None as no limits."""
    if isinstance(value, Timeouts):
        return value
    return Timeouts() if value is None else base.with_total(value)
