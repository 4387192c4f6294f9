"""Connections to an origin through a proxy: SOCKS, or CONNECT over HTTP/1.1 and HTTP/2 (RFC 9110 section 9.3.6).

`open_through` gives a byte stream that leads to the origin and says nothing of the proxy's TLS: `dial.secure` makes a
secured one of it, with the origin's name, as of a stream that was dialled. Laws:

- nothing that was meant for the proxy is in that stream, and nothing that the proxy says of its own accord: its answer
  is read to its last byte, and what follows belongs to the origin;
- an answer other than 2xx is a `ProxyError` with status, fields and the beginning of the body, never an origin's answer;
- whatever happens (failure, deadline, cancellation), no stream but the returned one stays open.
"""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from ..backends.base import Backend, ByteStream
from ..errors import (
    ConnectTimeout,
    EngineError,
    NetworkError,
    ProxyError,
    ReadError,
    RemoteProtocolError,
    StreamRefused,
    Timeout,
    UsageError,
    WriteError,
)
from ..protocol.h1 import DEFAULT_LIMITS
from ..protocol.h1_client import H1ClientMachine
from ..protocol.h1_events import ConnectionEnded, DataReceived, EndReceived, InformationalReceived, ResponseReceived
from ..protocol.h1_limits import H1Limits
from ..protocol.h2_limits import H2Limits
from ..util import to_authority
from ..wire.headers import Headers
from .dial import DialOptions, TlsOptions
from .h2_connection import DEFAULT_H2_LIMITS, H2Connection
from .h2_security import check_security
from .h2_tunnel import H2Tunnel
from .prefixed_stream import PrefixedStream
from .proxy import Proxy, reach_proxy
from .socks import SocksClient

__all__ = ["Authenticate", "TunnelStream", "connect_over_h2", "open_through"]

Authenticate = Callable[[int, Headers], str | None]
"""Called with the status 407 and the fields of the answer; returns the Proxy-Authorization value to try next, or None."""

_READ_SIZE = 64 * 1024
# How much of a refusal's body is kept, in bytes, and how long it is waited for, in seconds.
_BODY_MAX = 64 * 1024
_BODY_PATIENCE = 2.0
# Attempts with other credentials: Digest takes one, and one more when the nonce was too old.
_MAX_ATTEMPTS = 4


class TunnelStream(PrefixedStream):
    """What lies behind a proxy's answer. TLS between here and the proxy says nothing about the origin."""

    @property
    def ssl_object(self) -> ssl.SSLObject | None:
        """None: the origin has no TLS session yet."""
        return None


class _Way(NamedTuple):
    """How to get to the proxy."""

    backend: Backend
    proxy: Proxy
    deadline: float
    tls: TlsOptions | None
    dial: DialOptions | None
    h1_limits: H1Limits
    h2_limits: H2Limits


class _Refusal(NamedTuple):
    status: int
    reason: str
    headers: Headers
    body: bytes
    may_ask_again: bool  # on the same connection


async def open_through(
    backend: Backend,
    proxy: Proxy,
    host: str,
    port: int,
    deadline: float,
    *,
    tls: TlsOptions | None = None,
    dial: DialOptions | None = None,
    authenticate: Authenticate | None = None,
    h1_limits: H1Limits = DEFAULT_LIMITS,
    h2_limits: H2Limits = DEFAULT_H2_LIMITS,
) -> ByteStream:
    """Connect to `host` through a proxy.

    Args:
        backend: where to connect.
        proxy: through whom. Its credentials are sent with the first request.
        host: a name in ASCII form or an IP address without brackets. With "socks4" and "socks5" a name is resolved here.
        port: from 1 to 65535.
        deadline: on the backend's clock, for all of it.
        tls: how to speak TLS with an https proxy, None for `proxy.DEFAULT_PROXY_TLS`. Where its `alpn` offers "h2" and the
            proxy takes it, the tunnel is a stream of an HTTP/2 connection of its own.
        dial: how to connect to the proxy, and how to resolve names here.
        authenticate: asked what to do about a 407, a few times at most.
        h1_limits, h2_limits: bounds on the proxy's answer.

    Returns:
        A stream to the origin. Its `peer_address` is the proxy.

    Raises:
        ProxyError: the proxy is out of reach, refused, or hung up; `SocksError` with SOCKS.
        RemoteProtocolError: the proxy breaks its protocol.
        TLSError, CertificateError: TLS with the proxy failed.
        ResolveError: the origin has no address, where it is resolved here.
        ConnectTimeout: it was not done by the deadline.
        UsageError: host or port cannot be told to a proxy.
    """
    if proxy.is_socks:
        socks = SocksClient(backend, proxy, dial=dial)
        await socks.negotiate_by(host, port, deadline)
        tunnel = socks.take_socket()
        assert tunnel is not None  # just negotiated
        return tunnel
    way = _Way(backend, proxy, deadline, tls, dial, h1_limits, h2_limits)
    return await _connect(way, _target(host, port), authenticate)


async def connect_over_h2(
    connection: H2Connection, proxy: Proxy, host: str, port: int, deadline: float, authorization: str | None = None
) -> ByteStream:
    """Open a tunnel on a connection to an HTTP/2 proxy that others may share (RFC 9113 section 8.5).

    Closing the stream resets its HTTP/2 stream and leaves the connection open.

    Args:
        connection: to the proxy.
        proxy: whose fields and credentials are sent.
        host, port, deadline: see `open_through`.
        authorization: a Proxy-Authorization value in the place of that of the credentials.

    Raises:
        ProxyError: the proxy refused; status 407 for other credentials.
        RemoteProtocolError, ConnectTimeout, UsageError: see `open_through`.
    """
    target = _target(host, port)
    answer = await _ask(_H2Channel(connection, owned=False), proxy, target, authorization, deadline)
    if isinstance(answer, _Refusal):
        raise _error(answer, proxy, target)
    return answer


def _target(host: str, port: int) -> str:
    if not 0 < port <= 0xFFFF:
        raise UsageError(f"port {port} is not a number from 1 to 65535")
    if "%" in host:
        raise UsageError(f"the zone of {host} means nothing to a proxy")
    return to_authority(host, port, "")


def _error(refusal: _Refusal, proxy: Proxy, target: str) -> ProxyError:
    said = f"{refusal.status} {refusal.reason}".strip()
    text = f"the proxy {proxy} refused to connect to {target}: {said}"
    return ProxyError(text, status=refusal.status, reason=refusal.reason, headers=refusal.headers, body=refusal.body)


# --- asking -----------------------------------------------------------------------------------------------------------


class _Channel(ABC):
    """A connection to an HTTP proxy on which to ask for a tunnel."""

    was_used = False
    """Whether it was asked before, so that the proxy may have closed it meanwhile."""

    is_taken = False
    """Whether the tunnel has the connection."""

    @abstractmethod
    async def ask(self, headers: Headers, deadline: float) -> ByteStream | _Refusal:
        """Send a CONNECT request; a stream that is returned owns the connection."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


async def _connect(way: _Way, target: str, authenticate: Authenticate | None) -> ByteStream:
    authorization: str | None = None
    attempts = _MAX_ATTEMPTS
    channel = await _open_channel(way)
    try:
        while True:
            answer: ByteStream | _Refusal | None
            try:
                answer = await _ask(channel, way.proxy, target, authorization, way.deadline)
            except ProxyError:
                if not channel.was_used:
                    raise
                answer = None  # the proxy has closed the connection on which it said 407
            if isinstance(answer, ByteStream):
                channel.is_taken = True
                return answer
            if answer is not None:
                attempts -= 1
                authorization = None
                if answer.status == 407 and authenticate is not None and attempts:
                    authorization = authenticate(407, answer.headers)
                if authorization is None:
                    raise _error(answer, way.proxy, target)
                channel.was_used = True
            if answer is None or not answer.may_ask_again:
                channel.close()
                channel = await _open_channel(way)
    finally:
        if not channel.is_taken:
            channel.close()


async def _open_channel(way: _Way) -> _Channel:
    stream = await reach_proxy(way.backend, way.proxy, way.deadline, way.tls, way.dial)
    try:
        session = stream.ssl_object
        if session is not None and session.selected_alpn_protocol() == "h2":
            check_security(session)
            return _H2Channel(H2Connection(stream, way.backend, "client", way.h2_limits), owned=True)
        return _H1Channel(way.backend, stream, way.h1_limits)
    except BaseException:
        stream.close()
        raise


async def _ask(
    channel: _Channel, proxy: Proxy, target: str, authorization: str | None, deadline: float
) -> ByteStream | _Refusal:
    headers = Headers([(":method", "CONNECT"), (":authority", target), *proxy.fields(authorization)])
    try:
        return await channel.ask(headers, deadline)
    except Timeout as error:
        raise ConnectTimeout(f"the proxy {proxy} did not make a connection to {target} in time") from error
    except NetworkError as error:
        text = f"the connection to the proxy {proxy} broke: {error.strerror or error}"
        raise (ProxyError(text) if error.errno is None else ProxyError(error.errno, text)) from error
    except RemoteProtocolError as error:
        error.with_proxy = True
        raise


class _H1Channel(_Channel):
    """CONNECT over HTTP/1.1."""

    def __init__(self, backend: Backend, stream: ByteStream, limits: H1Limits) -> None:
        self._backend = backend
        self._stream = stream
        self._machine = H1ClientMachine(1.1, limits)

    def close(self) -> None:
        """See `_Channel.close`."""
        self._stream.close()

    async def ask(self, headers: Headers, deadline: float) -> ByteStream | _Refusal:
        """See `_Channel.ask`."""
        machine, stream = self._machine, self._stream
        fault: WriteError | None = None
        try:
            await stream.send_all(machine.send_request(headers, True), deadline)
        except WriteError as error:
            fault = error  # it may have answered before it closed
        try:
            event = await self._next_event(deadline)
            while isinstance(event, InformationalReceived):
                event = await self._next_event(deadline)
        except ReadError as error:
            raise fault or error from error
        if isinstance(event, ConnectionEnded):
            raise fault or ReadError("it closed the connection without an answer")
        assert isinstance(event, ResponseReceived)
        if not event.switched:
            return await self._refused(event, deadline)
        rest = machine.take_buffered()
        return stream if not rest and stream.ssl_object is None else TunnelStream(stream, rest)

    async def _next_event(
        self, deadline: float
    ) -> ResponseReceived | InformationalReceived | DataReceived | EndReceived | ConnectionEnded:
        machine = self._machine
        while (event := machine.next_event()) is None:
            machine.receive(await self._stream.receive_some(_READ_SIZE, deadline))
        assert isinstance(event, (ResponseReceived, InformationalReceived, DataReceived, EndReceived, ConnectionEnded))
        return event

    async def _refused(self, head: ResponseReceived, deadline: float) -> _Refusal:
        body = bytearray()
        until = min(deadline, self._backend.now() + _BODY_PATIENCE)
        try:
            while len(body) < _BODY_MAX and isinstance(event := await self._next_event(until), DataReceived):
                body += event.data
        except EngineError:
            # What it has to say is of interest, no more.
            self._machine.keep_alive = False
        again = self._machine.can_continue
        return _Refusal(_status(head.headers), head.reason, head.headers, bytes(body[:_BODY_MAX]), again)


class _H2Channel(_Channel):
    """CONNECT as a stream of an HTTP/2 connection."""

    def __init__(self, connection: H2Connection, owned: bool) -> None:
        self._connection = connection
        self._owned = owned

    def close(self) -> None:
        """See `_Channel.close`."""
        if self._owned:
            self._connection.close()

    async def ask(self, headers: Headers, deadline: float) -> ByteStream | _Refusal:
        """See `_Channel.ask`."""
        connection = self._connection
        stream = connection.new_stream()
        keep = False
        try:
            await stream.write_head(headers, True, deadline)
            while stream.response is None:
                await stream.read_head(deadline)
            head = stream.response
            status = _status(head.headers)
            if 200 <= status < 300:
                keep = True
                return H2Tunnel(stream, owns_connection=self._owned)
            body = bytearray()
            until = min(deadline, connection.backend.now() + _BODY_PATIENCE)
            try:
                while len(body) < _BODY_MAX and (piece := await stream.read_piece(until)) is not None:
                    body += piece
            except EngineError:
                pass  # what it has to say is of interest, no more
            return _Refusal(status, head.reason, head.headers, bytes(body[:_BODY_MAX]), connection.is_open_for_more)
        except StreamRefused as error:
            raise ReadError(f"it takes no tunnel: {error}") from error
        finally:
            if not keep:
                stream.cancel()


def _status(headers: Headers) -> int:
    return int(headers.get(":status", "0"))
