"""Opening a connection to an origin: dial, TLS, HTTP version, in one step with one deadline."""

from __future__ import annotations

from ..backends.base import Backend, ByteStream
from ..protocol.h1 import DEFAULT_LIMITS
from ..protocol.h1_limits import H1Limits
from .dial import DialOptions, TlsOptions, dial_tcp, dial_unix, secure
from .h1_connection import H1Connection

__all__ = ["OriginKey", "open_connection"]


class OriginKey:
    """What must be equal for two requests to share connections. Its hash is computed once.

    Args:
        scheme, host, port: the origin (RFC 9110 section 4.3.1).
        tls: how to speak TLS, None in clear.
        dial: how to connect.
        version: 1.0 or 1.1 to pin the HTTP version, None to let the server choose.
        unix_path: the socket to connect to instead of `host`.
        accept_ragged_end: see `H1Connection`.
    """

    __slots__ = (
        "_hash",
        "accept_ragged_end",
        "dial",
        "host",
        "identity",
        "port",
        "scheme",
        "tls",
        "unix_path",
        "version",
    )

    def __init__(
        self,
        scheme: str,
        host: str,
        port: int,
        tls: TlsOptions | None,
        dial: DialOptions,
        version: float | None = None,
        unix_path: str | None = None,
        accept_ragged_end: bool = False,
    ) -> None:
        self.scheme = scheme
        self.host = host
        self.port = port
        self.tls = tls
        self.dial = dial
        self.version = version
        self.unix_path = unix_path
        self.accept_ragged_end = accept_ragged_end
        self.identity = (scheme, host, port, tls, dial, version, unix_path, accept_ragged_end)
        self._hash = hash(self.identity)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, OriginKey) and self.identity == other.identity)

    def __repr__(self) -> str:
        return f"OriginKey({self.scheme}://{self.host}:{self.port})"


async def open_connection(
    backend: Backend, key: OriginKey, deadline: float, limits: H1Limits = DEFAULT_LIMITS
) -> H1Connection:
    """Connect to the origin `key` names.

    Raises:
        ConnectError, ResolveError, TLSError, CertificateError, ConnectTimeout.
    """
    stream: ByteStream
    if key.unix_path is not None:
        stream = await dial_unix(backend, key.unix_path, deadline)
    else:
        stream = await dial_tcp(backend, key.host, key.port, key.dial, deadline)
    if key.tls is not None:
        stream = await secure(backend, stream, key.tls, key.host, deadline)
    # The stream remembers its addresses once it was asked, so that they can be told after it is closed.
    _ = stream.local_address, stream.peer_address
    connection = H1Connection(stream, backend, "client", key.version or 1.1, limits)
    connection.accept_ragged_end = key.accept_ragged_end
    return connection
