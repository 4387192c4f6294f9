"""From the engine's errors to those that users of urllib catch. The one place where they meet.

What `AbstractHTTPHandler.do_open` does is kept: an `OSError` while connecting or sending comes as the `reason` of a
`URLError`; whatever happens while the answer is waited for or read comes bare. The engine's error is the `__cause__`.
What only HTTP/2 has comes as what is nearest to it: a stream that is reset as a connection that is closed, and a request
that the server did not look at as a connection that was refused.

| engine                                   | while sending                       | while waiting or reading              |
|------------------------------------------|-------------------------------------|---------------------------------------|
| `ResolveError`                           | `URLError(socket.gaierror)`         |                                       |
| `ConnectError` and other `NetworkError`s | `URLError(ConnectionRefusedError …)`| `ConnectionResetError` …              |
| `ProxyError`, that refused          | `URLError(OSError("Tunnel connection failed: …"))` |                    |
| `ProxyError`, out of reach          | as without a proxy                   |                                       |
| `CertificateError`, `TLSError`           | `URLError(ssl.SSLError …)`          |                                       |
| `H2Error` INADEQUATE_SECURITY            | `URLError(ssl.SSLError)`            |                                       |
| `Timeout`                                | `URLError(TimeoutError)`            | `TimeoutError`                        |
| `ConnectionClosed`                       |                                     | `http.client.RemoteDisconnected`      |
| `StreamRefused`                          | `URLError(ConnectionRefusedError)`  | `ConnectionRefusedError`              |
| `H2Error` in the head                    |                                     | `http.client.RemoteDisconnected`      |
| `RemoteProtocolError` in the head        |                                     | `BadStatusLine`, `UnknownProtocol`, … |
| `RemoteProtocolError` in the body        |                                     | `http.client.IncompleteRead`          |
| `InvalidURL` (the host)                  | `URLError(socket.gaierror)`         |                                       |
| `InvalidHeader`, `LocalProtocolError`    | `ValueError`                        |                                       |
"""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from urllib.error import URLError

from drivetrain.compat.replaced import LIMITS
from drivetrain.engine import H2Error, H2ErrorCode
from drivetrain.engine.errors import (
    ConnectError,
    ConnectionClosed,
    ConnectTimeout,
    EngineError,
    IncompleteMessage,
    InvalidURL,
    LimitExceeded,
    LocalProtocolError,
    NetworkError,
    PoolTimeout,
    ProxyError,
    ReadError,
    RemoteProtocolError,
    ResolveError,
    StreamRefused,
    Timeout,
    TLSError,
    WriteError,
    WriteTimeout,
)

__all__ = ["lacks_only_trailers", "opening_error", "os_error", "reading_error"]

# Raised before the request was sent whole: `HTTPConnection.request` is at work, whose errors `do_open` wraps.
_WHILE_SENDING = (ConnectError, ConnectTimeout, PoolTimeout, StreamRefused, WriteError, WriteTimeout)


def opening_error(error: EngineError) -> Exception:
    """What to raise instead of `error` when it ended a request before its response was there."""
    if isinstance(error, _WHILE_SENDING):
        return URLError(os_error(error))
    if isinstance(error, (NetworkError, Timeout)):
        return os_error(error)
    if isinstance(error, H2Error):
        # That of a connection just made: TLS is not as HTTP/2 wants it.
        weak = error.code == H2ErrorCode.INADEQUATE_SECURITY
        return (
            URLError(ssl.SSLError(ssl.SSL_ERROR_SSL, str(error)))
            if weak
            else http.client.RemoteDisconnected(str(error))
        )
    if isinstance(error, RemoteProtocolError):
        return _head_error(error)
    if isinstance(error, InvalidURL):
        # Only of the host: there is no such name, which the original learns from the resolver.
        return URLError(socket.gaierror(socket.EAI_NONAME, str(error)))
    if isinstance(error, LocalProtocolError):
        return ValueError(str(error))
    # A context that cannot be used for clients.
    return URLError(error.__cause__) if isinstance(error.__cause__, ssl.SSLError) else error


def reading_error(error: EngineError, partial: bytes, expected: int | None) -> Exception:
    """What to raise instead of `error` when it ended the reading of a body.

    Args:
        error: the engine's.
        partial: what the failing call had read.
        expected: how many bytes were to follow, None where that is not known.
    """
    if isinstance(error, (NetworkError, Timeout)):
        return os_error(error)
    if isinstance(error, LimitExceeded) and error.part == "field count":
        return http.client.HTTPException(f"got more than {LIMITS(http.client)[1]} trailers")
    if isinstance(error, RemoteProtocolError):
        return http.client.IncompleteRead(partial, expected)
    return error


def lacks_only_trailers(error: EngineError) -> bool:
    """Whether a body was received to its last chunk, and only the end of the trailer section is missing."""
    return isinstance(error, IncompleteMessage) and error.part == "trailers"


def os_error(error: EngineError) -> OSError:
    """The operating system's, resolver's or OpenSSL's error that `error` stands for."""
    if isinstance(error, Timeout):
        return TimeoutError("timed out")
    if isinstance(error, ConnectionClosed):
        return http.client.RemoteDisconnected("Remote end closed connection without response")
    if isinstance(error, StreamRefused):
        return ConnectionRefusedError(errno.ECONNREFUSED, str(error))
    cause = error.__cause__
    if isinstance(error, ProxyError):
        if error.status is not None:
            return OSError(f"Tunnel connection failed: {error.status} {error.reason}")
        if isinstance(cause, ReadError) and cause.errno is None:
            return http.client.RemoteDisconnected("Remote end closed connection without response")
        if isinstance(cause, NetworkError):
            return os_error(cause)
    if (
        isinstance(cause, OSError)
        and not isinstance(cause, EngineError)
        and isinstance(error, (ResolveError, TLSError))
    ):
        return cause
    if isinstance(cause, ssl.SSLError):  # an alert that came after the handshake
        return cause
    code: int | None = getattr(error, "errno", None)
    if isinstance(error, TLSError) and isinstance(cause, NetworkError) and code is not None:
        return os_error(cause)
    if isinstance(error, ResolveError):
        return socket.gaierror(code or socket.EAI_NONAME, getattr(error, "strerror", None) or str(error))
    if isinstance(error, TLSError):
        return ssl.SSLError(ssl.SSL_ERROR_SSL, str(error))
    if code is None:
        return ConnectionError(str(error))
    # The engine's text names every address that was tried; the system's is what people search for.
    known = isinstance(cause, OSError) and cause.errno == code
    text = cause.strerror if known else getattr(error, "strerror", None)  # type: ignore[union-attr]
    # With an errno, OSError makes the subclass that belongs to it.
    return OSError(code, text or str(error))


def _head_error(error: RemoteProtocolError) -> http.client.HTTPException:
    text = str(error)
    if isinstance(error, LimitExceeded):
        if error.part == "field count":
            return http.client.HTTPException(f"got more than {LIMITS(http.client)[1]} headers")
        if error.part == "informational count":
            return http.client.HTTPException("got more than 100 interim responses")
        return http.client.LineTooLong("header line")
    if error.status == 505:
        return http.client.UnknownProtocol(text)
    if error.part == "status line" or isinstance(error, IncompleteMessage):
        return http.client.BadStatusLine(error.line.decode("latin-1") or text)
    # http.client takes nearly anything for a head; what the engine refuses there has no class of its own.
    return http.client.HTTPException(text)
