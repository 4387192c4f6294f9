"""Every error the engine raises, one tree.

::

    EngineError
    ├── UsageError                (ValueError)      the caller asked for something that cannot be
    │   ├── InvalidURL                              an address that is not an absolute http(s) URI
    │   ├── InvalidHeader                           a field name or value that must not go on the wire
    │   └── ClosedError                             the client, pool, stream or server was closed before
    ├── ProtocolError
    │   ├── LocalProtocolError                      this side would break the protocol; nothing was sent
    │   └── RemoteProtocolError                     the peer broke the protocol
    │       ├── LimitExceeded                       the peer's input passed a limit that protects this side
    │       ├── IncompleteMessage                   the connection ended before the message did
    │       └── DecodingError                       a coding (gzip, deflate, …) is corrupt or cut short
    ├── NetworkError              (OSError)
    │   ├── ConnectError                            no connection could be made
    │   │   ├── ResolveError                        the name has no address
    │   │   ├── TLSError                            the TLS handshake failed
    │   │   │   └── CertificateError                … because the certificate is not to be trusted
    │   │   └── ProxyError                          the proxy is out of reach, refused, or hung up
    │   │       └── SocksError                      … and speaks SOCKS
    │   ├── ReadError                               the connection broke while reading
    │   ├── WriteError                              the connection broke while writing
    │   ├── ConnectionClosed                        the peer closed before any byte of the answer
    │   └── StreamRefused                           the peer says that it did not look at the request (HTTP/2)
    ├── Timeout                   (TimeoutError)
    │   ├── ConnectTimeout
    │   ├── ReadTimeout
    │   ├── WriteTimeout
    │   └── PoolTimeout                             no connection became free in time
    ├── RedirectError                               carries the chain of URIs that led here
    │   └── TooManyRedirects
    ├── WebSocketError                              something about a WebSocket
    │   ├── WebSocketClosed         (a ClosedError too)          it is closed, or its connection was lost
    │   ├── WebSocketHandshakeError (a RemoteProtocolError too)  the handshake failed: refused, or not understood
    │   └── WebSocketProtocolError  (a RemoteProtocolError too)  the peer broke RFC 6455, and was told by a close code
    ├── BodyNotReplayable                           a redirect or retry needs a body that was consumed
    └── StatusError                                 `raise_for_status` on an answer of 400 or above

HTTP/2's `H2Error` and `H2LimitExceeded` (`wire.h2_errors`) are a `RemoteProtocolError` and a `LimitExceeded` that carry an error
code of RFC 9113 section 7.

Errors are raised where the fault is found, in these types: no layer translates them. `RemoteProtocolError.status` is the
status code a server answers such input with.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "BodyNotReplayable",
    "CertificateError",
    "ClosedError",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionClosed",
    "DecodingError",
    "EngineError",
    "IncompleteMessage",
    "InvalidHeader",
    "InvalidURL",
    "LimitExceeded",
    "LocalProtocolError",
    "NetworkError",
    "PoolTimeout",
    "ProtocolError",
    "ProxyError",
    "ReadError",
    "ReadTimeout",
    "RedirectError",
    "RemoteProtocolError",
    "ResolveError",
    "SocksError",
    "StatusError",
    "StreamRefused",
    "TLSError",
    "Timeout",
    "TooManyRedirects",
    "UsageError",
    "WebSocketClosed",
    "WebSocketError",
    "WebSocketHandshakeError",
    "WebSocketProtocolError",
    "WriteError",
    "WriteTimeout",
]


class EngineError(Exception):
    """Base of every error raised by the engine on purpose."""


class UsageError(EngineError, ValueError):
    """The caller passed something that cannot be done; nothing was sent."""


class InvalidURL(UsageError):
    """The URI is malformed, relative, or of a scheme this client does not speak."""


class InvalidHeader(UsageError):
    """A field name or value holds characters that must not reach the wire (RFC 9110 section 5.5)."""


class ClosedError(UsageError):
    """The object was closed before this call."""


class ProtocolError(EngineError):
    """A rule of HTTP was broken, by this side or by the peer."""


class LocalProtocolError(ProtocolError):
    """This side was about to break the protocol; the offending bytes were not sent."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol.

    Args:
        message: what was wrong, naming the offending part.
        status: the status code with which a server refuses such input.
        part: what was wrong, for programs, where some must tell it from the rest: "request line", "status line", "length"
            (the fields that say how long the body is), "field count", "informational count", "chunk size", "trailers"; otherwise
            empty.

    Attributes:
        with_proxy: whether the peer was a proxy that was asked for a tunnel.
        line: the status line of a head, or the chunk-size line, that a tolerant client cannot read, as it came; else empty.
    """

    with_proxy = False
    line = b""

    def __init__(self, message: str, status: int = 400, part: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.part = part


class LimitExceeded(RemoteProtocolError):
    """The peer sent more of something than this side is set to accept."""


class IncompleteMessage(RemoteProtocolError):
    """The connection ended in the middle of a message: what was received of it must not be taken for the whole.

    Attributes:
        missing: how many bytes the chunk, or the line end after it, in which the connection ended lacks; None elsewhere.
        present: how many of it came.
    """

    missing: int | None = None
    present = 0


class DecodingError(RemoteProtocolError):
    """A transfer or content coding is unknown, corrupt or cut short."""


class NetworkError(EngineError, OSError):
    """The operating system reported a failure; `errno` is kept where there is one."""


class ConnectError(NetworkError):
    """No connection could be made to the target.

    Attributes:
        failures: the addresses that were tried, as the `socket` module has them, each with its error; empty where that is
            not known.
    """

    failures: tuple[tuple[Any, OSError], ...] = ()


class ResolveError(ConnectError):
    """The host name could not be resolved to an address."""


class TLSError(ConnectError):
    """The TLS handshake failed; `__cause__` is the `ssl.SSLError`.

    Attributes:
        with_proxy: whether that was the handshake with a proxy.
    """

    with_proxy = False


class CertificateError(TLSError):
    """The peer's certificate was refused: untrusted, expired, for another name or not the one that was pinned.

    Attributes:
        hostname: the name that it is not for, where the engine found that out, not OpenSSL; else None.
        names: then those that it is for.
        fingerprint: its own, where another one was pinned; else None.
        expected: that other one.
    """

    hostname: str | None = None
    names: tuple[str, ...] = ()
    fingerprint: str | None = None
    expected: str | None = None


class ProxyError(ConnectError):
    """The proxy did not make the connection: it cannot be reached, it refused, or it hung up.

    Args:
        arguments: as for `OSError`: a text, or an errno and a text.
        status: the status code an HTTP proxy refused with (407: it wants other credentials); None where it did not answer.
        reason: the reason phrase of that answer, perhaps empty.
        headers: the fields of that answer (`wire.headers.Headers`), or None.
        body: what the proxy sent as an explanation, cut at a limit. It is never the origin's.
    """

    def __init__(
        self, *arguments: object, status: int | None = None, reason: str = "", headers: Any = None, body: bytes = b""
    ) -> None:
        super().__init__(*arguments)
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = body


class SocksError(ProxyError):
    """The SOCKS proxy did not make the connection; `errno` says why, in terms of the connection it was to make.

    Args:
        arguments: as for `OSError`.
        code: the reply code (RFC 1928 section 6: 1 to 8; SOCKS 4: 91 to 93), None where no reply came or none was at fault.
    """

    def __init__(self, *arguments: object, code: int | None = None) -> None:
        super().__init__(*arguments)
        self.code = code


class ReadError(NetworkError):
    """The connection broke while reading."""


class WriteError(NetworkError):
    """The connection broke while writing."""


class ConnectionClosed(NetworkError):
    """The peer closed the connection before the first byte of an answer."""


class StreamRefused(NetworkError):
    """The peer says that it processed nothing of the request: sending it again is safe (RFC 9113 section 8.7)."""


class Timeout(EngineError, TimeoutError):
    """A time limit passed; the subclass names the phase that was cut short."""


class ConnectTimeout(Timeout):
    """Resolving, connecting or the TLS handshake took too long.

    Attributes:
        with_proxy: whether it was a proxy that could not be reached in time.
        during_tls: whether there was a connection, and the TLS handshake over it was not done in time.
    """

    with_proxy = False
    during_tls = False


class ReadTimeout(Timeout):
    """The peer sent nothing in time, or the whole answer took too long."""


class WriteTimeout(Timeout):
    """The peer did not take the data in time."""


class PoolTimeout(Timeout):
    """No connection of the pool became free in time."""


class RedirectError(EngineError):
    """A redirect cannot be followed.

    Args:
        message: why.
        chain: every URI requested so far, in order, and the one refused last.
    """

    def __init__(self, message: str, chain: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.chain = chain


class TooManyRedirects(RedirectError):
    """More redirects than `max_redirects`."""


class BodyNotReplayable(EngineError):
    """The request body was consumed and cannot be sent again for a redirect or retry."""


class StatusError(EngineError):
    """The response's status says that the request failed.

    Args:
        message: the status and the URI.
        status: the status code, 400 to 599.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class WebSocketError(EngineError):
    """Something about a WebSocket went wrong."""


class WebSocketClosed(WebSocketError, ClosedError):
    """The WebSocket is closed, or its connection was lost; nothing can be sent or received any more.

    Args:
        message: what happened.
        received, sent: the Close frames (`protocol.websocket_events.Close`), None where there was none. Without the peer's
            nothing is known about how much of what was sent has arrived.
    """

    def __init__(self, message: str, received: Any = None, sent: Any = None) -> None:
        super().__init__(message)
        self.received = received
        self.sent = sent


class WebSocketHandshakeError(WebSocketError, RemoteProtocolError):
    """The handshake failed: the server refused it or answered what makes no sense; or, on a server, the client asked so.

    Args:
        message: why.
        status: the status code of the server's answer; on a server, the one to refuse the request with.
        headers: on a client, the answer's fields (`wire.headers.Headers`); on a server, those that belong into the refusal.
        body: what a server sent as an explanation, cut at a limit.
        reason: on a client, the reason phrase of the answer; "" over HTTP/2.
    """

    def __init__(
        self, message: str, status: int = 400, headers: Any = None, body: bytes = b"", reason: str = ""
    ) -> None:
        super().__init__(message, status)
        self.headers = headers
        self.body = body
        self.reason = reason


class WebSocketProtocolError(WebSocketError, RemoteProtocolError):
    """The peer broke RFC 6455 or passed a limit; the connection was failed.

    Args:
        message: what was wrong.
        code: the close code that the peer was told: 1002, 1007, 1009, …
    """

    def __init__(self, message: str, code: int = 1002) -> None:
        super().__init__(message)
        self.code = code
