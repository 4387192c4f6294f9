"""The engine's errors as urllib3's, which retries look at, and those as requests', which users catch.

urllib3's come first because much code looks inside what it catches: `error.args[0].reason` is a `NewConnectionError`, its
text names the pool. Pools and connections made here are only for that: they connect nowhere.

What only HTTP/2 has comes as what is nearest to it, so that programs treat it as they always did:

- a stream reset before the response, or a connection ended by the peer (GOAWAY), is a connection that was closed:
  `ConnectionError`, retried as a read error;
- a request that the server says it did not look at is a connection that was not made: `ConnectionError`, and the retries
  that are left are used whatever its method, for nothing happened;
- a body that was reset or cut short is broken as a chunked one can be: `ChunkedEncodingError`;
- TLS that is too weak for HTTP/2 is an `SSLError`.

Through an HTTP proxy, what goes wrong before there is a connection to the origin is a `ProxyError` around what would be the
error without one, as urllib3 has it; SOCKS proxies have no errors of their own there, and so have none here.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

import requests
from requests import PreparedRequest
from requests.models import CONTENT_CHUNK_SIZE
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    HTTPError,
    IncompleteRead,
    InvalidChunkLength,
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
from urllib3.util.ssl_match_hostname import CertificateError as MismatchedName

from drivetrain.compat.requests_api.routes import Route
from drivetrain.engine import H2Error, H2ErrorCode, Proxy, Timeouts, errors
from drivetrain.engine.errors import (
    CertificateError,
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
    SocksError,
    StreamRefused,
    TLSError,
    UsageError,
    WriteTimeout,
)

__all__ = ["as_body_error", "as_requests_error", "as_urllib3_error"]

# What OpenSSL says of a peer that answers a TLS handshake in clear text.
_NO_TLS = re.compile(r"wrong.version.number|unknown.protocol|record.layer.failure", re.IGNORECASE)
_NO_TLS_HINT = (
    ". Your proxy appears to only use HTTP and not HTTPS, try changing your proxy URL to be HTTP. See: "
    "https://urllib3.readthedocs.io/en/latest/advanced-usage.html#https-proxy-error-http-proxy"
)

# What PySocks calls the replies of SOCKS proxies.
_SOCKS_REPLIES = {
    1: "General SOCKS server failure",
    2: "Connection not allowed by ruleset",
    3: "Network unreachable",
    4: "Host unreachable",
    5: "Connection refused",
    6: "TTL expired",
    7: "Command not supported, or protocol error",
    8: "Address type not supported",
    0x5B: "Request rejected or failed",
    0x5C: "Request rejected because SOCKS server cannot connect to identd on the client",
    0x5D: "Request rejected because the client program and identd report different user-ids",
}


class _HeadCutShort(ProtocolError):
    """The connection ended inside the response's head."""


class _TruncatedHead(requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError):
    """As requests' users may expect it: http.client takes such a head for complete, and the body fails then."""


def as_urllib3_error(error: Exception, route: Route, path: str, timeouts: Timeouts) -> Exception:
    """What urllib3 raises where a request failed before its response was there.

    Errors about the request itself, which urllib3 leaves to requests or to http.client, come as those of requests.

    Args:
        error: the engine's, or an `OSError` of the caller's own body.
        route: which way it was to go.
        path: what urllib3's messages call the URL.
        timeouts: those of the request.
    """
    if route.proxy is not None and isinstance(error, (ConnectError, ConnectTimeout)):
        if isinstance(error, ConnectTimeout) and error.during_tls and route.proxy.is_socks:
            return _tls_timeout(route, path, timeouts)
        if route.proxy.is_socks:
            return _socks_error(error, route, timeouts)
        return _http_proxy_error(error, route, route.proxy, timeouts)
    if isinstance(error, ConnectError):
        return _connect_error(error, route, timeouts)
    if isinstance(error, StreamRefused):
        return NewConnectionError(route.connection(timeouts.connect), f"Failed to begin a request: {error}")
    if isinstance(error, ConnectTimeout) and error.during_tls:
        return _tls_timeout(route, path, timeouts)
    if isinstance(error, (ConnectTimeout, PoolTimeout)):
        return _connect_timeout(route, timeouts)
    if isinstance(error, ReadTimeout):
        return ReadTimeoutError(route.pool(), path, f"Read timed out. (read timeout={timeouts.read})")
    if isinstance(error, InvalidURL):
        return _no_host(error, route, timeouts)
    if isinstance(error, ClosedError):
        return ClosedPoolError(route.pool(), "Pool is closed.")
    alert = _tls_failure(error)
    if alert is not None:
        return SSLError(alert)
    if isinstance(error, (OSError, RemoteProtocolError)) or type(error) is UsageError:
        mapped = _aborted(error)
        proxy = route.proxy
        if proxy is not None and not proxy.is_socks and isinstance(mapped.args[-1], ConnectionError):
            # Whether or not it was the proxy that closed: urllib3 looks at a connection that it has closed by then.
            return _beside_proxy(mapped.args[-1], proxy)
        return mapped
    return requests.exceptions.InvalidHeader(str(error))


def _tls_timeout(route: Route, path: str, timeouts: Timeouts) -> ReadTimeoutError:
    """For urllib3 whoever is slow with TLS was connected to, and is read from."""
    return ReadTimeoutError(route.pool(), path, f"Read timed out. (read timeout={timeouts.connect})")


def _tls_failure(error: BaseException) -> ssl.SSLError | None:
    """OpenSSL's error where the peer ended a connection over TLS with an alert: it may come after the handshake."""
    cause = error.__cause__
    while isinstance(cause, EngineError):
        cause = cause.__cause__
    return cause if isinstance(error, OSError) and isinstance(cause, ssl.SSLError) else None


def _connect_timeout(route: Route, timeouts: Timeouts) -> ConnectTimeoutError:
    connection = route.connection(timeouts.connect)
    message = f"Connection to {connection.host} timed out. (connect timeout={timeouts.connect})"
    return ConnectTimeoutError(connection, message)


def _connect_error(error: ConnectError, route: Route, timeouts: Timeouts) -> Exception:
    cause = error.__cause__
    if isinstance(error, TLSError):
        if isinstance(cause, ssl.SSLError):
            return SSLError(cause)
        if isinstance(cause, OSError):
            return ProtocolError("Connection aborted.", _os_error(cause))
        if isinstance(error, CertificateError) and (error.hostname or error.fingerprint):
            return _wrong_certificate(error)
        kind = ssl.SSLCertVerificationError if isinstance(error, CertificateError) else ssl.SSLError
        return SSLError(kind(str(error)))
    connection = route.connection(timeouts.connect)
    if isinstance(error, ResolveError):
        reason = _lookup_failure(error)
        named: NewConnectionError = NameResolutionError(connection.host, connection, reason)
        named.__cause__ = reason
        return named
    return _no_connection(route, timeouts, _os_error(error, route.unix_path))


def _wrong_certificate(error: CertificateError) -> SSLError:
    """What urllib3 says where it has looked at the certificate itself."""
    if error.fingerprint:
        return SSLError(f'Fingerprints did not match. Expected "{error.expected}", got "{error.fingerprint}"')
    names = error.names
    if len(names) > 1:
        text = f"hostname {error.hostname!r} doesn't match either of {', '.join(map(repr, names))}"
    elif names:
        text = f"hostname {error.hostname!r} doesn't match {names[0]!r}"
    else:
        text = "no appropriate subjectAltName fields were found"
    return SSLError(MismatchedName(text))


def _no_host(error: InvalidURL, route: Route, timeouts: Timeouts) -> Exception:
    """What requests took for a host and is none. urllib3 finds out by looking the name up, if it can be written as one."""
    try:
        connection = route.connection(timeouts.connect)
    except ValueError as no_port:
        return requests.exceptions.InvalidURL(no_port)
    is_name = bool(connection.host) and route.proxy is None and route.url.lower().startswith(("http://", "https://"))
    try:
        connection.host.encode("idna")
    except UnicodeError:
        is_name = False
    if not is_name:
        return LocationParseError(f"{route.url}, {error}")
    return NameResolutionError(connection.host, connection, socket.gaierror(socket.EAI_NONAME, str(error)))


def _lookup_failure(error: ResolveError) -> socket.gaierror:
    cause = error.__cause__
    return cause if isinstance(cause, socket.gaierror) else socket.gaierror(socket.EAI_NONAME, str(error))


def _no_connection(route: Route, timeouts: Timeouts, failure: OSError) -> NewConnectionError:
    connection = route.connection(timeouts.connect)
    refused = NewConnectionError(connection, f"Failed to establish a new connection: {failure}")
    refused.__cause__ = failure
    return refused


def _http_proxy_error(
    error: ConnectError | ConnectTimeout, route: Route, proxy: Proxy, timeouts: Timeouts
) -> Exception:
    """The way to an HTTP proxy, its answer to CONNECT, or the origin's TLS in the tunnel."""
    if isinstance(error, ConnectTimeout):
        if error.with_proxy:
            return _beside_proxy(_connect_timeout(route, timeouts), proxy)
        # For urllib3 a proxy, or an origin behind it, that does not answer in time is one that is read from.
        return ReadTimeoutError(route.pool(), str(proxy), f"Read timed out. (read timeout={timeouts.connect})")
    if isinstance(error, errors.ProxyError):
        if error.status is not None:
            return _beside_proxy(OSError(f"Tunnel connection failed: {error.status} {error.reason}"), proxy)
        cause = error.__cause__
        if isinstance(cause, ConnectError):
            return _beside_proxy(_connect_error(cause, route, timeouts), proxy)
        if isinstance(cause, OSError) and cause.errno is not None:
            return ProtocolError("Connection aborted.", _os_error(cause))
        hung_up = http.client.RemoteDisconnected("Remote end closed connection without response")
        return ProtocolError("Connection aborted.", hung_up)
    mapped = _connect_error(error, route, timeouts)
    if isinstance(error, TLSError) and error.with_proxy:
        return _beside_proxy(mapped.args[1] if isinstance(mapped, ProtocolError) else mapped, proxy)
    return mapped


def _beside_proxy(error: Exception, proxy: Proxy) -> ProxyError:
    """What urllib3 makes of an error while there is no connection through a proxy yet."""
    hint = _NO_TLS_HINT if proxy.scheme == "https" and _NO_TLS.search(str(error)) else ""
    wrapped = ProxyError(f"Unable to connect to proxy{hint}", error)
    wrapped.__cause__ = error
    return wrapped


def _socks_error(error: ConnectError | ConnectTimeout, route: Route, timeouts: Timeouts) -> Exception:
    """As `urllib3.contrib.socks` reports what PySocks does, reply codes first in the text."""
    if isinstance(error, ConnectTimeout):
        return _connect_timeout(route, timeouts)
    if isinstance(error, SocksError):
        text = error.strerror or str(error)
        if error.code is not None:
            text = f"{error.code:#04x}: {_SOCKS_REPLIES.get(error.code, text)}"
        return _no_connection(route, timeouts, OSError(text))
    cause = error.__cause__ if isinstance(error, errors.ProxyError) else error
    if isinstance(cause, ResolveError):
        return _no_connection(route, timeouts, _lookup_failure(cause))
    if isinstance(error, errors.ProxyError):
        return _no_connection(route, timeouts, _os_error(cause if isinstance(cause, OSError) else error))
    return _connect_error(error, route, timeouts)


def _os_error(error: OSError, file: str | None = None) -> OSError:
    """The error as the system's own class, such as `ConnectionRefusedError`, with its number first in the text.

    Args:
        file: what it is about, for the end of the text.
    """
    code = error.errno
    if code is None:
        cause = error.__cause__
        return _os_error(cause) if isinstance(cause, OSError) else OSError(str(error))
    cause = error.__cause__
    # The engine's text names every address that was tried; the system's is what people search for.
    text = cause.strerror if isinstance(cause, OSError) and cause.errno == code else error.strerror
    return OSError(code, text) if file is None else OSError(code, text, file)


def _too_much(error: LimitExceeded) -> http.client.HTTPException:
    if error.part == "field count":
        return http.client.HTTPException(f"got more than {_MAX_HEADERS(http.client)} headers")
    return http.client.LineTooLong("header line" if str(error).startswith("field line") else str(error))


_MAX_HEADERS = attrgetter("_MAXHEADERS")

_is_status_line = re.compile(rb"HTTP/\S*\s+[1-9]\d\d(\s|\Z)").match  # for http.client


def _aborted(error: Exception) -> Exception:
    reason: Exception
    if isinstance(error, H2Error):
        if error.code == H2ErrorCode.INADEQUATE_SECURITY:
            return SSLError(ssl.SSLError(str(error)))
        return ProtocolError("Connection aborted.", http.client.RemoteDisconnected(str(error)))
    if isinstance(error, RemoteProtocolError) and error.line and not _is_status_line(error.line):
        return ProtocolError("Connection aborted.", http.client.BadStatusLine(error.line.decode("latin-1")))
    if isinstance(error, IncompleteMessage):
        return _HeadCutShort("Connection aborted.", http.client.HTTPException(str(error)))
    if isinstance(error, ConnectionClosed):
        reason = http.client.RemoteDisconnected("Remote end closed connection without response")
    elif isinstance(error, WriteTimeout):
        reason = TimeoutError("timed out")
    elif isinstance(error, OSError):
        reason = _os_error(error)
    elif isinstance(error, LimitExceeded):
        reason = _too_much(error)
    elif isinstance(error, RemoteProtocolError) and error.status == 505:
        reason = http.client.UnknownProtocol(str(error).rpartition(" ")[2])
    elif isinstance(error, RemoteProtocolError) and error.part == "length":
        return InvalidHeader(f"{error} (Content-Length contained multiple unmatching values, or none that is a length)")
    elif isinstance(error, RemoteProtocolError) and error.part == "status line":
        reason = http.client.BadStatusLine(str(error))
    else:
        reason = http.client.HTTPException(str(error))
    return ProtocolError("Connection aborted.", reason)


def as_body_error(error: EngineError, url: str, received: int, expected: int | None, whole: bool = False) -> Exception:
    """What urllib3 raises where reading a response's body failed.

    Args:
        url: of whom it was asked of, see `Route.asked`.
        received: bytes of the body that came.
        expected: bytes of the whole body, None where that was not said.
        whole: it is read in one go.
    """
    if isinstance(error, TimeoutError):
        # urllib3 does not know the URL here either.
        return ReadTimeoutError(Route(url).pool(), None, "Read timed out.")
    reason: Exception = error
    alert = _tls_failure(error)
    if alert is not None:
        return SSLError(alert)
    if isinstance(error, IncompleteMessage):
        if error.missing is not None:
            reason = _chunk_cut_short(error, error.missing, whole)
        elif expected is None:
            return ProtocolError("Response ended prematurely")
        else:
            reason = IncompleteRead(received, expected - received)
    elif isinstance(error, RemoteProtocolError) and error.part == "chunk size":
        seen: Any = SimpleNamespace(tell=lambda: 0, length_remaining=expected)  # urllib3 does not count chunks
        reason = InvalidChunkLength(seen, error.line)
    elif isinstance(error, OSError):
        reason = _os_error(error)
    return ProtocolError(f"Connection broken: {reason!r}", reason)


def _chunk_cut_short(error: IncompleteMessage, missing: int, whole: bool) -> IncompleteRead:
    if not whole:  # what came of it was handed over
        return IncompleteRead(0, missing)
    before = error.present - error.present % CONTENT_CHUNK_SIZE
    present = error.present - before
    return IncompleteRead(present, min(CONTENT_CHUNK_SIZE, present + missing) - present)


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
