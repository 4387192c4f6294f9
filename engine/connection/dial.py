"""Opening connections: TCP with a race between addresses, UNIX-domain sockets, and TLS on top.

Laws:

- whatever happens (success, failure, deadline, cancellation), no socket but the returned one stays open;
- a failure is one `ConnectError` that names the target and what became of every address;
- with TLS the certificate is verified for the host that the caller asked for, whatever name is sent to the server, unless
  the caller named another one or gave a context that does not verify.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from dataclasses import dataclass, field
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakSet

from ..errors import ConnectError, ConnectTimeout, ResolveError, UsageError
from ..protocol.happy_eyeballs import DEFAULT_HEAD_START, Race, order_addresses
from ..tls import DEFAULT_ALPN, default_client_context, match_hostname
from ..util import is_ip
from .dialer import Dialer, dial_by
from .fingerprints import match_fingerprint, parse_fingerprint
from .resolve import ResolvedAddress, Resolver, literal_address, resolve
from .shared_context import PrepareContext, prepared
from .tls_stream import TlsStream, wrap_tls

if TYPE_CHECKING:
    import ssl

    from ..backends.base import Backend, ByteStream, ConnectAttempt, SocketOption

__all__ = ["DialOptions", "TlsOptions", "dial_tcp", "dial_unix", "parse_bind", "secure"]

# These say that an address was never within reach; any other failure tells the user more.
_UNREACHABLE = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EADDRNOTAVAIL}
)
_HOST_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")
_LONGEST_NAME = 253
# Sockets that callers connected, and that are streams already.
_used: WeakSet[socket.socket] = WeakSet()


@dataclass(frozen=True, slots=True)
class DialOptions:
    """How to open TCP connections.

    Args:
        bind: the local address to connect from and optionally the port: "127.0.0.1", "127.0.0.1:50000", "[::1]:30000".
            Only addresses of the same family are then tried, and with a port one after the other.
        resolver: how to find a host's addresses, see `resolve.Resolver`; None asks the system.
        head_start: seconds that one address is tried alone before the next is tried beside it (RFC 8305).
        sock: a connected socket to use instead, once.
        socket_options: (level, name, value) as `socket.setsockopt` takes them, set on every socket before it is bound and
            connected. None for TCP_NODELAY; with a tuple, be it empty, only what it names is set.
        dialer: asked before each connection how it is to be made, see `Dialer`.

    Raises:
        UsageError: `bind`, `head_start` or an option is malformed.
    """

    bind: str | None = None
    resolver: Resolver = field(default=None, hash=False)
    head_start: float = DEFAULT_HEAD_START
    sock: socket.socket | None = None
    socket_options: tuple[SocketOption, ...] | None = None
    dialer: Dialer | None = None

    def __post_init__(self) -> None:
        if self.socket_options is not None:
            object.__setattr__(self, "socket_options", tuple(map(_checked_option, self.socket_options)))
        if self.bind is not None:
            parse_bind(self.bind)
        Race[Any]((), self.head_start)  # refuses what is no number of seconds


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How to secure a connection. Hashable, so that connections can be told apart by it; contexts compare by identity.

    Args:
        context: None for the shared default context (system trust, verification on).
        sendname: the name to send to the server (SNI). True: the host, unless that is an IP address. False: none; the
            certificate is still verified for the host. A str: that name, for which the certificate is then verified as
            well, as in curl and urllib3.
        verify_host: verify the certificate for this name or IP address instead. When it differs from a name that is sent,
            a given context must have `check_hostname` off, for OpenSSL knows one name only; the check is made here. True:
            for the name that is sent or else the host, also where a given context has `check_hostname` off.
        fingerprint: the certificate's own, in hexadecimal digits with or without colons: SHA-256, or, for those who have no
            better, SHA-1 or MD5. It stands in the place of names, of which none is verified then. The chain is verified as
            the context says: a given one must have `check_hostname` off.
        prepare: called with the given context immediately before each session is made of it, one call at a time for all
            who do so, for contexts that others set otherwise meanwhile.
        alpn: the protocols to offer; empty for those of `context`. A given context is set to them for the moment in which
            a session is made of it, and to http/1.1 afterwards.

    Raises:
        UsageError: a name is not a host name or IP address in ASCII form, or the fingerprint is none.
    """

    context: ssl.SSLContext | None = None
    sendname: str | bool = True
    verify_host: str | Literal[True] | None = None
    alpn: tuple[str, ...] = DEFAULT_ALPN
    fingerprint: str | None = None
    prepare: PrepareContext | None = None

    def __post_init__(self) -> None:
        if isinstance(self.sendname, str):
            _certificate_name(self.sendname)
        if isinstance(self.verify_host, str):
            _certificate_name(self.verify_host)
        if self.fingerprint is not None:
            object.__setattr__(self, "fingerprint", parse_fingerprint(self.fingerprint))


def _checked_option(option: Any) -> Any:
    values: tuple[Any, ...] = tuple(option) if isinstance(option, (tuple, list)) else ()
    if len(values) == 3 and isinstance(values[2], (bytearray, memoryview)):
        values = (*values[:2], bytes(values[2]))
    if len(values) in (3, 4) and all(isinstance(value, (int, bytes, NoneType)) for value in values):
        return values
    raise UsageError(f"a socket option is (level, name, value), not {option!r}")


def parse_bind(bind: str) -> ResolvedAddress:
    """Turn "address[:port]", with brackets around an IPv6 address that has a port, into (family, socket address).

    Without a port the system chooses one (0).

    Raises:
        UsageError: the text is not of that form.
    """
    if bind.startswith("["):
        host, bracket, port = bind[1:].partition("]")
        well_formed = bool(bracket) and ":" in host and (not port or port.startswith(":"))
        port = port[1:] if port else "0"
    elif is_ip(bind):
        host, port, well_formed = bind, "0", True
    else:
        host, colon, port = bind.partition(":")
        well_formed = bool(colon)
    if well_formed and re.fullmatch(r"[0-9]{1,5}", port) and int(port) <= 0xFFFF:
        try:
            address = literal_address(host, int(port))
        except ResolveError as error:  # an unknown zone
            raise UsageError(f"cannot bind to {bind!r}: {error.strerror}") from error
        if address is not None:
            return address
    raise UsageError(f"the local address to bind must be address[:port], such as [::1]:30000, not {bind!r}")


# --- connecting ---


async def dial_tcp(backend: Backend, host: str, port: int, options: DialOptions, deadline: float) -> ByteStream:
    """Connect to a host, racing its addresses (Happy Eyeballs, RFC 8305).

    Args:
        backend: where to connect.
        host: a name in ASCII form or an IP address without brackets.
        port: from 0 to 65535.
        options: see `DialOptions`.
        deadline: on the backend's clock, for the lookup and all attempts together.

    Raises:
        ResolveError: the host has no address.
        ConnectError: no address could be reached; `errno` is that of the most telling failure.
        ConnectTimeout: no connection was made by the deadline.
        UsageError: the port is out of range, or a socket option is none.
        TypeError: the resolver is of the wrong colour.
    """
    if options.sock is not None:
        if options.sock.fileno() == -1 or options.sock in _used:
            raise ConnectError(errno.EBADF, "the socket to connect by was used or closed before")
        _used.add(options.sock)
        return await backend.adopt_socket(options.sock)
    if not 0 <= port <= 0xFFFF:
        raise UsageError(f"port {port} is not a number from 0 to 65535")
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    connect = None if options.dialer is None else options.dialer(host, port)
    if connect is not None:
        return await dial_by(backend, connect, target, deadline)
    addresses = order_addresses(await resolve(backend, host, port, options.resolver, deadline))
    wanted = options.socket_options
    if options.bind is None:
        return await _connect(backend, Race(addresses, options.head_start), None, target, deadline, wanted)
    family, local = parse_bind(options.bind)
    addresses = [pair for pair in addresses if pair[0] == family]
    if not addresses:
        text = f"cannot connect to {target} from {options.bind}: the host has no address of that family"
        raise ConnectError(errno.EAFNOSUPPORT, text)
    # Two sockets cannot be bound to one port at the same time: then no race.
    head_start = float("inf") if local[1] else options.head_start
    return await _connect(backend, Race(addresses, head_start), local, target, deadline, wanted)


async def dial_unix(backend: Backend, path: str | os.PathLike[str], deadline: float) -> ByteStream:
    """Connect to a UNIX-domain socket.

    Raises:
        ConnectError: it could not be reached, or this system has no such sockets.
        ConnectTimeout: its queue was full until the deadline.
    """
    target = os.fspath(path)
    if not hasattr(socket, "AF_UNIX"):
        raise ConnectError(errno.EAFNOSUPPORT, f"cannot connect to {target}: no UNIX-domain sockets on this system")
    return await _connect(backend, Race([(socket.AF_UNIX, target)]), None, target, deadline)


async def _connect(
    backend: Backend,
    race: Race[Any],
    local: tuple[Any, ...] | None,
    target: str,
    deadline: float,
    wanted: tuple[SocketOption, ...] | None = None,
) -> ByteStream:
    running: dict[ConnectAttempt, int] = {}
    try:
        while not race.is_over:
            _start_due(backend, race, local, running, wanted)
            if not running:
                continue  # everything failed at once: the next is due, or the race is over
            ended = await backend.wait_any_connect(list(running), min(deadline, race.next_start))
            if ended is not None:
                try:
                    stream = await ended.take()
                except ConnectError as error:
                    # Without the frames it came through, for this one among them has the race, which keeps it.
                    race.failed(running.pop(ended), error.with_traceback(None))
                else:
                    race.succeeded(running.pop(ended))
                    return stream
            elif backend.now() >= deadline:
                raise ConnectTimeout(f"connecting to {target} took too long{_describe(race)}")
    finally:
        for attempt in running:
            attempt.abandon()
    raise _failure(race, target)


def _start_due(
    backend: Backend,
    race: Race[Any],
    local: tuple[Any, ...] | None,
    running: dict[ConnectAttempt, int],
    wanted: tuple[SocketOption, ...] | None,
) -> None:
    while (number := race.start_next(backend.now())) is not None:
        family, address = race.addresses[number]
        try:
            running[backend.start_connect(family, address, local, wanted)] = number
        except ConnectError as error:
            race.failed(number, error.with_traceback(None))


def _failure(race: Race[Any], target: str) -> ConnectError:
    """Make one error of a lost race."""
    errors = [error for _, error in race.failures if isinstance(error, OSError)]
    telling = [error for error in errors if error.errno not in _UNREACHABLE] or errors
    text = f"cannot connect to {target}{_describe(race)}"
    code = telling[-1].errno
    failure = ConnectError(text) if code is None else ConnectError(code, text)
    failure.__cause__ = telling[-1]
    failure.failures = tuple(
        (race.addresses[number][1], error) for number, error in sorted(race.failures) if isinstance(error, OSError)
    )
    return failure


def _describe(race: Race[Any]) -> str:
    """Say what became of each address, in the order of the addresses."""
    outcomes = {number: getattr(error, "strerror", None) or str(error) for number, error in race.failures}
    outcomes.update(dict.fromkeys(race.running, "no answer"))
    parts = []
    for number, outcome in sorted(outcomes.items()):
        address = race.addresses[number][1]
        parts.append(f"{address[0]}: {outcome}" if isinstance(address, tuple) else outcome)
    return f" ({'; '.join(parts)})" if parts else ""


# --- TLS ---


async def secure(backend: Backend, stream: ByteStream, tls: TlsOptions, host: str, deadline: float) -> TlsStream:
    """Shake hands for TLS as the client of `host` and check that it is the host.

    The stream belongs to the result, or is closed when there is none.

    Args:
        backend: the stream's.
        stream: connected, to the host or to a tunnel that leads there.
        tls: see `TlsOptions`.
        host: a name in ASCII form or an IP address without brackets.
        deadline: on the backend's clock.

    Raises:
        CertificateError: the certificate is not to be trusted, is for another name, or is not the one that was pinned.
        TLSError: the handshake failed.
        ConnectTimeout: it was not done by the deadline.
        UsageError: the options contradict each other.
    """
    try:
        with prepared(tls.context, tls.prepare):
            context, sent, checked_here = _plan_names(tls, host)
        secured = await wrap_tls(
            stream,
            context,
            server_side=False,
            server_hostname=sent,
            guard=backend.create_guard(),
            deadline=deadline,
            alpn=tls.alpn if tls.context is not None else (),
            name_is_checked_later=checked_here is not None or tls.fingerprint is not None,
            prepare=tls.prepare,
        )
        if tls.fingerprint is not None:
            match_fingerprint(secured.ssl_object.getpeercert(True), tls.fingerprint)
        if checked_here is not None:
            match_hostname(secured.ssl_object.getpeercert() or {}, checked_here)
    except BaseException:
        stream.close()
        raise
    return secured


def _plan_names(tls: TlsOptions, host: str) -> tuple[ssl.SSLContext, str | None, str | None]:
    """Decide on the context and on two names.

    The first is for OpenSSL, which sends it unless it is an IP address, and verifies it if the context says so. The second
    is to be verified by hand after the handshake; it is None where OpenSSL does it or nobody shall.
    """
    real = _certificate_name(host)
    sent = real if tls.sendname is True else _certificate_name(tls.sendname) if tls.sendname else None
    wanted = _certificate_name(tls.verify_host) if isinstance(tls.verify_host, str) else sent or real
    if sent is None or is_ip(sent):  # nothing will be sent, so OpenSSL may be told any address
        sent = wanted if is_ip(wanted) else None
    by_hand = sent is None or wanted.lower() != sent.lower()
    context = tls.context
    if tls.fingerprint is not None:
        return _plan_pin(tls, sent)
    if context is None:
        context = default_client_context(alpn=tls.alpn, check_hostname=not by_hand)
        return context, sent, wanted if by_hand else None
    if tls.verify_host is None and not context.check_hostname:
        return context, sent, None
    if not context.verify_mode:  # CERT_NONE: OpenSSL then keeps no certificate to look at
        raise UsageError(f"the context verifies no certificates, so {wanted!r} cannot be verified")
    if by_hand and context.check_hostname and sent is not None:
        raise UsageError(f"to send the name {sent!r} and verify {wanted!r}, the context must have check_hostname off")
    return context, sent, wanted if by_hand or not context.check_hostname else None


def _plan_pin(tls: TlsOptions, sent: str | None) -> tuple[ssl.SSLContext, str | None, str | None]:
    context = tls.context
    if tls.verify_host is not None:
        raise UsageError("a certificate is pinned by its fingerprint or verified for a name, not both")
    if context is None:
        context = default_client_context(alpn=tls.alpn, check_hostname=False)
    elif context.check_hostname:
        raise UsageError("to pin a certificate by its fingerprint, the context must have check_hostname off")
    return context, None if sent is not None and is_ip(sent) else sent, None


def _certificate_name(host: str) -> str:
    """Return a host in the form it has in certificates and on the wire of TLS: no trailing dot, no zone, no brackets."""
    if is_ip(host):
        return host.partition("%")[0]
    name = host.removesuffix(".")
    if len(name) > _LONGEST_NAME or _HOST_NAME.fullmatch(name) is None:
        raise UsageError(f"{host!r} is neither a host name in ASCII form nor an IP address")
    return name
