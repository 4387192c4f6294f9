"""Opening a connection to an origin: dial, TLS, HTTP version, in one step with one deadline."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import NamedTuple

from ..backends.base import Backend, ByteStream
from ..errors import TLSError
from ..protocol.h1 import DEFAULT_LIMITS
from ..protocol.h1_limits import H1Limits
from ..protocol.h2_limits import H2Limits
from ..tls import DEFAULT_ALPN
from ..util import to_authority
from ..wire.h2_errors import H2Error
from .dial import DialOptions, TlsOptions, dial_tcp, dial_unix, secure
from .h1_client_stream import H1ClientStream
from .h1_connection import H1Connection
from .h2_client_stream import H2ClientStream
from .h2_connection import H2Connection
from .h2_offer import offer_h2
from .h2_security import check_security
from .proxy import Proxy, reach_proxy
from .tunnel import Authenticate, open_through

__all__ = [
    "CLIENT_H2_LIMITS",
    "DEFAULT_CONNECTION_LIMITS",
    "ClientConnection",
    "ClientStream",
    "ConnectionLimits",
    "OriginKey",
    "alpn_for",
    "open_connection",
]

ClientConnection = H1Connection | H2Connection
ClientStream = H1ClientStream | H2ClientStream


# A client asks for what it gets: what each response may keep waiting is limited by its own window, and any number of
# unread ones must not hold up the others by a window that all of them share.
CLIENT_H2_LIMITS = H2Limits(connection_window=2**30)


class ConnectionLimits(NamedTuple):
    """What servers may send, by HTTP version."""

    h1: H1Limits = DEFAULT_LIMITS
    h2: H2Limits = CLIENT_H2_LIMITS


DEFAULT_CONNECTION_LIMITS = ConnectionLimits()


def alpn_for(version: float | None) -> tuple[str, ...]:
    """What to offer in the TLS handshake (RFC 7301) when `version` is pinned, or None is."""
    if version is None:
        return DEFAULT_ALPN
    return ("h2",) if version == 2 else ("http/1.1",)


@dataclass(frozen=True, eq=False)
class OriginKey:
    """What must be equal for two requests to share connections. Its hash is computed once.

    Args:
        scheme, host, port: the origin (RFC 9110 section 4.3.1).
        tls: how to speak TLS, None in clear.
        dial: how to connect.
        version: 1.0, 1.1 or 2 to pin the HTTP version, None to let the server choose: by ALPN, and 1.1 in clear. With 2
            in clear the server is known to speak it (RFC 9113 section 3.3).
        unix_path: the socket to connect to instead of `host`.
        accept_ragged_end: see `H1Connection`.
        upgrade: offer HTTP/2 on connections in clear (`Upgrade: h2c`) where `version` is None.
        proxy: through whom to connect. An HTTP proxy for the scheme http is sent the requests themselves; `host` and `port`
            are then its own.
        proxy_tls: how to speak TLS with an https proxy, None for the default. Where it offers "h2", tunnels may be streams
            of HTTP/2.
        tolerate_weak_tls: where TLS is too weak for HTTP/2 and `version` is None, connect anew for HTTP/1.1.
        tolerate_odd_responses: see `H1Connection`'s `tolerant`.

    Attributes:
        may_share: whether a connection may turn out to be one that many requests share.
    """

    scheme: str
    host: str
    port: int
    tls: TlsOptions | None
    dial: DialOptions
    version: float | None = None
    unix_path: str | None = None
    accept_ragged_end: bool = False
    upgrade: bool = False
    tolerate_weak_tls: bool = False
    tolerate_odd_responses: bool = False
    proxy: Proxy | None = None
    proxy_tls: TlsOptions | None = None
    may_share: bool = field(init=False)
    _identity: tuple[object, ...] = field(init=False, repr=False)
    _hash: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "upgrade", self.upgrade and self.tls is None and self.version is None)
        put(self, "may_share", self.version == 2 or (self.version is None and (self.tls is not None or self.upgrade)))
        identity = tuple(getattr(self, name) for name in _IDENTITY)
        put(self, "_identity", identity)
        put(self, "_hash", hash(identity))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, OriginKey) and self._identity == other._identity)

    def __repr__(self) -> str:
        return f"OriginKey({self.scheme}://{self.host}:{self.port})"

    @property
    def forwards(self) -> bool:
        """Whether requests go to the proxy itself, with the whole URI as their target (RFC 9112 section 3.2.2)."""
        return self.proxy is not None and not self.proxy.needs_tunnel(self.scheme)

    def through(self, proxy: Proxy) -> OriginKey:
        """The same through a proxy."""
        if proxy.needs_tunnel(self.scheme):
            return replace(self, proxy=proxy)
        # One connection to the proxy serves all such origins.
        version = self.version if self.version in (1.0, 1.1) else 1.1
        return replace(self, proxy=proxy, host=proxy.host, port=proxy.port, version=version, upgrade=False)

    def pinned(self, version: float) -> OriginKey:
        """The same with the HTTP version pinned."""
        tls = None if self.tls is None else replace(self.tls, alpn=alpn_for(version))
        return replace(self, version=version, tls=tls)


_IDENTITY = tuple(item.name for item in fields(OriginKey) if item.init)


async def open_connection(
    backend: Backend,
    key: OriginKey,
    deadline: float,
    limits: ConnectionLimits = DEFAULT_CONNECTION_LIMITS,
    authenticate: Authenticate | None = None,
) -> ClientConnection:
    """Connect to the origin `key` names, and agree on the HTTP version.

    Args:
        authenticate: asked what to do when a proxy wants other credentials, see `open_through`.

    Raises:
        ProxyError: the proxy is out of reach or refuses.
        ConnectError, ResolveError, TLSError, CertificateError, ConnectTimeout.
        H2Error: INADEQUATE_SECURITY, where TLS is too weak for HTTP/2 (RFC 9113 section 9.2).
    """
    try:
        connection = await _connect(backend, key, deadline, limits, authenticate)
    except H2Error:
        if not key.tolerate_weak_tls or key.version is not None:
            raise
        return await _connect(backend, key.pinned(1.1), deadline, limits, authenticate)
    if not key.upgrade or not isinstance(connection, H1Connection):
        return connection
    authority = to_authority(key.host, key.port, key.scheme)
    kept = await offer_h2(backend, connection, authority, limits.h2, deadline)
    return kept or await _connect(backend, key, deadline, limits, authenticate)


async def _reach(
    backend: Backend, key: OriginKey, deadline: float, limits: ConnectionLimits, authenticate: Authenticate | None
) -> ByteStream:
    """A byte stream to the origin, or to the proxy that requests are sent to."""
    if key.proxy is not None:
        if key.forwards:
            # Requests themselves go to proxies over HTTP/1.1.
            tls = None if key.proxy_tls is None else replace(key.proxy_tls, alpn=alpn_for(1.1))
            return await reach_proxy(backend, key.proxy, deadline, tls, key.dial)
        return await open_through(
            backend,
            key.proxy,
            key.host,
            key.port,
            deadline,
            tls=key.proxy_tls,
            dial=key.dial,
            authenticate=authenticate,
            h1_limits=limits.h1,
            h2_limits=limits.h2,
        )
    if key.unix_path is not None:
        return await dial_unix(backend, key.unix_path, deadline)
    return await dial_tcp(backend, key.host, key.port, key.dial, deadline)


async def _connect(
    backend: Backend,
    key: OriginKey,
    deadline: float,
    limits: ConnectionLimits,
    authenticate: Authenticate | None,
) -> ClientConnection:
    stream = await _reach(backend, key, deadline, limits, authenticate)
    if key.tls is not None:
        stream = await secure(backend, stream, key.tls, key.host, deadline)
    # The stream remembers its addresses once it was asked, so that they can be told after it is closed.
    _ = stream.local_address, stream.peer_address
    try:
        if _speaks_h2(key, stream):
            if stream.ssl_object is not None:
                check_security(stream.ssl_object)
            return H2Connection(stream, backend, "client", limits.h2)
    except BaseException:
        stream.close()
        raise
    tolerant = key.tolerate_odd_responses
    connection = H1Connection(stream, backend, "client", key.version or 1.1, limits.h1, tolerant=tolerant)
    connection.accept_ragged_end = key.accept_ragged_end
    return connection


def _speaks_h2(key: OriginKey, stream: ByteStream) -> bool:
    """Whether HTTP/2 is spoken: agreed on by ALPN, or known beforehand."""
    if stream.ssl_object is None or key.tls is None:
        return key.version == 2
    chosen = stream.ssl_object.selected_alpn_protocol()
    if key.version == 2 and chosen != "h2":
        raise TLSError(f"{key.host}:{key.port} does not speak HTTP/2 (ALPN: {chosen or 'nothing agreed on'})")
    if key.version in (1.0, 1.1) and chosen == "h2":
        raise TLSError(f"{key.host}:{key.port} insists on HTTP/2, which was not offered")
    return chosen == "h2"
