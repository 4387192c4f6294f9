"""The engine's errors as urllib3's, which retries look at, and those as requests', which users catch.

urllib3's come first because much code looks inside what it catches: `error.args[0].reason` is a `NewConnectionError`, its
text names the pool. Pools and connections made here are only for that: they connect nowhere.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from urllib.parse import urlsplit

import requests
from requests import PreparedRequest
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, connection_from_url
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    HTTPError,
    IncompleteRead,
    InvalidHeader,
    LocationParseError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    ResponseError,
    SSLError,
)

from drivetrain.engine import Timeouts
from drivetrain.engine.errors import (
    ClosedError,
    ConnectError,
    ConnectionClosed,
    ConnectTimeout,
    EngineError,
    IncompleteMessage,
    InvalidURL,
    LimitExceeded,
    PoolTimeout,
    ReadTimeout,
    RemoteProtocolError,
    ResolveError,
    TLSError,
    UsageError,
    WriteTimeout,
)

__all__ = ["as_body_error", "as_requests_error", "as_urllib3_error", "placeholder_pool"]


class _HeadCutShort(ProtocolError):
    """The connection ended inside the response's head."""


class _TruncatedHead(requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError):
    """As requests' users may expect it: http.client takes such a head for complete, and the body fails then."""


def placeholder_pool(url: str) -> HTTPConnectionPool:
    """A pool of urllib3's for an error to name."""
    return connection_from_url(url)


def _placeholder_connection(url: str, timeouts: Timeouts) -> HTTPConnection:
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=timeouts.connect)


def as_urllib3_error(error: Exception, url: str, path: str, timeouts: Timeouts) -> Exception:
    """What urllib3 raises where a request failed before its response was there.

    Errors about the request itself, which urllib3 leaves to requests or to http.client, come as those of requests.

    Args:
        error: the engine's, or an `OSError` of the caller's own body.
        url, path: of the request; `path` is what urllib3's messages call the URL.
        timeouts: those of the request.
    """
    if isinstance(error, ConnectError):
        return _connect_error(error, url, timeouts)
    if isinstance(error, (ConnectTimeout, PoolTimeout)):
        connection = _placeholder_connection(url, timeouts)
        message = f"Connection to {connection.host} timed out. (connect timeout={timeouts.connect})"
        return ConnectTimeoutError(connection, message)
    if isinstance(error, ReadTimeout):
        return ReadTimeoutError(placeholder_pool(url), path, f"Read timed out. (read timeout={timeouts.read})")
    if isinstance(error, InvalidURL):
        return LocationParseError(f"{url}, {error}")
    if isinstance(error, ClosedError):
        return ClosedPoolError(placeholder_pool(url), "Pool is closed.")
    if isinstance(error, (OSError, RemoteProtocolError)) or type(error) is UsageError:
        return _aborted(error)
    return requests.exceptions.InvalidHeader(str(error))


def _connect_error(error: ConnectError, url: str, timeouts: Timeouts) -> Exception:
    cause = error.__cause__
    if isinstance(error, TLSError):
        if isinstance(cause, ssl.SSLError):
            return SSLError(cause)
        if isinstance(cause, OSError):
            return ProtocolError("Connection aborted.", _os_error(cause))
        return SSLError(ssl.SSLCertVerificationError(str(error)))
    connection = _placeholder_connection(url, timeouts)
    if isinstance(error, ResolveError):
        reason = cause if isinstance(cause, socket.gaierror) else socket.gaierror(socket.EAI_NONAME, str(error))
        named: NewConnectionError = NameResolutionError(connection.host, connection, reason)
        named.__cause__ = reason
        return named
    failure = _os_error(error)
    refused = NewConnectionError(connection, f"Failed to establish a new connection: {failure}")
    refused.__cause__ = failure
    return refused


def _os_error(error: OSError) -> OSError:
    """The error as the system's own class, such as `ConnectionRefusedError`, with its number first in the text."""
    code = error.errno
    if code is None:
        cause = error.__cause__
        return _os_error(cause) if isinstance(cause, OSError) else OSError(str(error))
    cause = error.__cause__
    # The engine's text names every address that was tried; the system's is what people search for.
    text = cause.strerror if isinstance(cause, OSError) and cause.errno == code else error.strerror
    return OSError(code, text)


def _aborted(error: Exception) -> Exception:
    reason: Exception
    if isinstance(error, IncompleteMessage):
        return _HeadCutShort("Connection aborted.", http.client.HTTPException(str(error)))
    if isinstance(error, ConnectionClosed):
        reason = http.client.RemoteDisconnected("Remote end closed connection without response")
    elif isinstance(error, WriteTimeout):
        reason = TimeoutError("timed out")
    elif isinstance(error, OSError):
        reason = _os_error(error)
    elif isinstance(error, LimitExceeded):
        reason = http.client.LineTooLong(str(error))
    elif "Content-Length" in str(error):
        return InvalidHeader(f"{error} (Content-Length contained multiple unmatching values, or none that is a length)")
    elif "status line" in str(error):
        reason = http.client.BadStatusLine(str(error))
    else:
        reason = http.client.HTTPException(str(error))
    return ProtocolError("Connection aborted.", reason)


def as_body_error(error: EngineError, url: str, received: int, expected: int | None) -> Exception:
    """What urllib3 raises where reading a response's body failed.

    Args:
        url: of the request.
        received: bytes of the body that came.
        expected: bytes of the whole body, None where that was not said.
    """
    if isinstance(error, TimeoutError):
        # urllib3 does not know the URL here either.
        return ReadTimeoutError(placeholder_pool(url), None, "Read timed out.")
    reason: Exception = error
    if isinstance(error, IncompleteMessage):
        if expected is None:
            return ProtocolError("Response ended prematurely", error)
        reason = IncompleteRead(received, expected - received)
    elif isinstance(error, OSError):
        reason = _os_error(error)
    return ProtocolError(f"Connection broken: {reason!r}", reason)


def as_requests_error(error: Exception, request: PreparedRequest) -> Exception:
    """What `requests.adapters.HTTPAdapter.send` raises where urllib3 raises `error`."""
    if isinstance(error, requests.exceptions.RequestException):
        error.request = request
        return error
    if isinstance(error, MaxRetryError):
        return _given_up(error, request)
    if isinstance(error, _HeadCutShort):
        return _TruncatedHead(error, request=request)
    if isinstance(error, (ProtocolError, OSError, ClosedPoolError)):
        return requests.exceptions.ConnectionError(error, request=request)
    if isinstance(error, LocationParseError):
        return requests.exceptions.InvalidURL(error, request=request)
    for kind, result in (
        (ProxyError, requests.exceptions.ProxyError),
        (SSLError, requests.exceptions.SSLError),
        (ReadTimeoutError, requests.exceptions.ReadTimeout),
        (InvalidHeader, requests.exceptions.InvalidHeader),
    ):
        if isinstance(error, kind):
            return result(error, request=request)
    assert isinstance(error, HTTPError)
    return error


def _given_up(error: MaxRetryError, request: PreparedRequest) -> requests.exceptions.RequestException:
    reason = error.reason
    if isinstance(reason, ConnectTimeoutError) and not isinstance(reason, NewConnectionError):
        return requests.exceptions.ConnectTimeout(error, request=request)
    if isinstance(reason, ResponseError):
        return requests.exceptions.RetryError(error, request=request)
    if isinstance(reason, ProxyError):
        return requests.exceptions.ProxyError(error, request=request)
    if isinstance(reason, SSLError):
        return requests.exceptions.SSLError(error, request=request)
    return requests.exceptions.ConnectionError(error, request=request)
