"""TLS over any byte stream, TLS in TLS included.

Laws:

- OpenSSL's object is touched only under the guard, for a short time and without any wait; bytes are moved outside. So one
  thread may receive while another sends.
- What `send_some` has not reported as sent must come again at the beginning of the next `send_some`, as it does in every
  sender that keeps an outbox: after a partial send, a timeout or a cancellation the ciphertext of it exists already, and is
  sent on. Other bytes are refused: a hole or a repetition would be worse. Nothing is ever kept back behind bytes that were
  all reported.
- What OpenSSL itself wants to say while it reads (an answer to KeyUpdate, a certificate asked for after the handshake) is
  sent by the reader without waiting, or else with the next `send_some`.

Renegotiation (TLS 1.2) during a send is not supported; contexts should set `OP_NO_RENEGOTIATION`.
"""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from .. import errors
from ..backends.base import FOREVER, ByteStream
from ..errors import CertificateError, ConnectTimeout, NetworkError, ReadError, Timeout, TLSError, WriteError
from ..tls import offering
from .layered_stream import LayeredStream
from .shared_context import PrepareContext, prepared
from .tls_session import new_session

__all__ = ["TlsStream", "wrap_tls"]

_FROM_BELOW = 256 * 1024  # ciphertext asked for at a time; streams allocate so much only when so much comes
_RECORD = 16 * 1024  # the largest piece of plaintext OpenSSL gives at once (RFC 8446 section 5.1)
_ENCRYPT_AT_ONCE = 128 * 1024  # bounds how long a sender holds the guard
_NOW = -FOREVER  # a deadline that has passed: do what can be done without waiting
_ROLE_PATIENCE = 1.0  # seconds; see `_Role`


async def wrap_tls(
    stream: ByteStream,
    context: ssl.SSLContext,
    *,
    server_side: bool,
    server_hostname: str | None,
    guard: AbstractContextManager[Any],
    deadline: float,
    name_is_checked_later: bool = False,
    alpn: Sequence[str] = (),
    prepare: PrepareContext | None = None,
) -> TlsStream:
    """Do a TLS handshake over `stream`, which belongs to the result from then on and is closed when the handshake fails.

    Args:
        stream: the connection below.
        context: settings, certificates and trust.
        server_side: which end this is.
        server_hostname: the name (or address) the peer's certificate must be for, sent as SNI when it is a name. None: none.
        name_is_checked_later: the caller verifies the name itself after the handshake. Without it a client refuses None
            with a context that has `check_hostname` set.
        guard: from `Backend.create_guard`, for this stream alone.
        alpn: the protocols to offer with a context that others may be using, best first; empty for what it offers itself.
        prepare: see `prepared`.
        deadline: on the backend's clock.

    Raises:
        CertificateError: the peer's certificate was refused.
        TLSError: the peer does not speak TLS, refused us, or ended the connection.
        ConnectTimeout: the deadline passed.
        UsageError: context and name do not fit.
    """
    try:
        with prepared(context, prepare):
            wrapped = TlsStream(stream, context, server_side, server_hostname, guard, alpn, name_is_checked_later)
        await wrapped._handshake(deadline)
    except BaseException:
        stream.close()
        raise
    return wrapped


class _Role:
    """The right to receive from, or to send to, the stream below.

    Between threads it is a lock that is held over waits, for the law allows one user at a time. The only legal conflict is
    with a call that never waits (`is_readable`, an answer sent by the reader), so a second user who has to wait for long is
    breaking the law, and on an event loop would block it for ever: it gets an error.
    """

    __slots__ = ("_lock", "_what", "leave", "try_enter")

    def __init__(self, what: str) -> None:
        lock = threading.Lock()
        self._what = what
        self._lock = lock
        self.try_enter = lock.acquire  # (blocking: bool)
        self.leave = lock.release

    def enter(self) -> None:
        if not self._lock.acquire(False) and not self._lock.acquire(timeout=_ROLE_PATIENCE):
            raise RuntimeError(f"two {self._what} of one TLS stream at the same time")


class TlsStream(LayeredStream):
    """See the module and `ByteStream`. Made by `wrap_tls`."""

    __slots__ = (
        "_ciphertext",
        "_clean",
        "_closed",
        "_ended",
        "_eof_said",
        "_fault",
        "_guard",
        "_incoming",
        "_outgoing",
        "_pid",
        "_plain",
        "_receiver",
        "_sender",
        "_ssl",
        "_stale",
        "_unreported",
    )

    def __init__(
        self,
        stream: ByteStream,
        context: ssl.SSLContext,
        server_side: bool,
        server_hostname: str | None,
        guard: AbstractContextManager[Any],
        alpn: Sequence[str] = (),
        name_is_checked_later: bool = False,
    ) -> None:
        super().__init__(stream)
        self._guard = guard
        self._pid = os.getpid()
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        with offering(context, alpn):
            self._ssl = new_session(
                context,
                self._incoming,
                self._outgoing,
                server_side=server_side,
                server_hostname=server_hostname,
                name_is_checked_later=name_is_checked_later,
            )
        self._plain = b""  # decrypted and not received yet
        self._stale = False  # there may be records in `_incoming` or in OpenSSL that were not decrypted yet
        self._ended = self._eof_said = self._closed = False
        self._clean = True
        self._fault: ssl.SSLError | None = None
        self._ciphertext = memoryview(b"")  # to be sent before anything else
        self._unreported = b""  # plaintext of `_ciphertext` that the caller believes unsent
        self._receiver = _Role("receivers")
        self._sender = _Role("senders")

    # -- handshake -----------------------------------------------------------------------------------------------------

    async def _handshake(self, deadline: float) -> None:
        stream = self._stream
        try:
            while True:
                done = await self._shake()
                flight = self._outgoing.read()
                if flight:
                    await stream.send_all(flight, deadline)
                if done:
                    break
                received = await stream.receive_some(_FROM_BELOW, deadline)
                if received:
                    self._incoming.write(received)
                else:
                    self._incoming.write_eof()
        except Timeout as fault:
            error = ConnectTimeout("the TLS handshake took too long")
            error.during_tls = True
            raise error from fault
        except TLSError:
            raise
        except NetworkError as fault:
            message = f"the connection broke during the TLS handshake: {fault.strerror or fault}"
            raise (TLSError(message) if fault.errno is None else TLSError(fault.errno, message)) from fault
        self._stale = True

    async def _shake(self) -> bool:
        """Let OpenSSL look at what arrived; return whether the handshake is over."""
        try:
            with self._guard:
                self._ssl.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as fault:
            await self._say_goodbye()
            if isinstance(fault, ssl.SSLCertVerificationError):
                raise CertificateError(f"the peer's certificate was refused: {fault.verify_message}") from fault
            if isinstance(fault, ssl.SSLEOFError):
                raise TLSError("the peer ended the connection during the TLS handshake") from fault
            raise TLSError(f"the TLS handshake failed: {fault.reason or fault}") from fault

    async def _say_goodbye(self) -> None:
        """Send the alert that tells the peer what was wrong, if that needs no wait."""
        try:
            await self._stream.send_some(self._outgoing.read(), _NOW)
        except (NetworkError, Timeout):
            pass  # it learns from the end of the connection

    # -- receiving -----------------------------------------------------------------------------------------------------

    async def receive_some(self, max_bytes: int, deadline: float) -> bytes:
        """See `ByteStream.receive_some`. Returns as many decrypted bytes as are already there."""
        self._receiver.enter()
        try:
            received = b""
            while True:
                if self._closed:
                    raise ReadError("closed by this side")
                if received or self._stale or self._plain:
                    with self._guard:
                        data = self._decrypt(received, max_bytes)
                    if self._outgoing.pending:
                        await self._answer()
                    if data:
                        return data
                if self._fault is not None:
                    raise ReadError(f"TLS: {self._fault.reason or self._fault}") from self._fault
                if self._ended:
                    return b""
                received = await self._stream.receive_some(_FROM_BELOW, deadline)
                if not received:
                    self._ended, self._clean = True, False
        finally:
            self._receiver.leave()

    def _decrypt(self, received: bytes, max_bytes: int) -> bytes:
        """Under the guard: feed `received` to OpenSSL and take up to `max_bytes` of plaintext."""
        incoming, read, pending = self._incoming, self._ssl.read, self._ssl.pending
        if received:
            incoming.write(received)
            self._stale = True
        pieces = []
        size = 0
        if self._plain:
            pieces.append(self._plain[:max_bytes])
            self._plain = self._plain[max_bytes:]
            size = len(pieces[0])
        try:
            while self._stale and size < max_bytes:
                piece = read(min(_RECORD, max_bytes - size))
                if not piece:  # how some versions report the end
                    self._stale, self._ended = False, True
                    break
                pieces.append(piece)
                size += len(piece)
                # Known without asking, for the exception below costs more than a small record.
                self._stale = bool(incoming.pending or pending())
        except ssl.SSLWantReadError:
            self._stale = False
        except ssl.SSLZeroReturnError:
            self._stale, self._ended = False, True
        except ssl.SSLError as fault:
            self._stale, self._fault = False, fault
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _answer(self) -> None:
        """Send what OpenSSL has to say, unless a sender is at work, who will do it; never waits."""
        while self._outgoing.pending and self._sender.try_enter(False):
            try:
                if self._unreported:
                    return  # goes with the next send, in order
                with self._guard:
                    self._ciphertext = memoryview(bytes(self._ciphertext) + self._outgoing.read())
                while self._ciphertext:
                    await self._push(_NOW)
            except (NetworkError, Timeout):
                return  # the next sender meets the error itself
            finally:
                self._sender.leave()

    # -- sending -------------------------------------------------------------------------------------------------------

    async def send_some(self, data: bytes | bytearray | memoryview, deadline: float, or_readable: bool = False) -> int:
        """See `ByteStream.send_some`, and the module about what to send after a timeout."""
        self._sender.enter()
        try:
            if self._closed:
                raise WriteError("closed by this side")
            known = min(len(self._unreported), len(data))
            if known and bytes(memoryview(data)[:known]) != self._unreported[:known]:
                raise errors.LocalProtocolError("the bytes that were not reported as sent must be sent again")
            if not self._unreported:
                while self._ciphertext:
                    if not await self._push(deadline, or_readable):
                        return 0
                if len(data):
                    self._encrypt(data)
            return await self._send_unreported(len(data), deadline, or_readable)
        finally:
            self._sender.leave()
            if self._outgoing.pending:
                await self._answer()

    def _encrypt(self, data: bytes | bytearray | memoryview) -> None:
        if self._eof_said:
            raise WriteError("this side was ended before")
        if len(data) > _ENCRYPT_AT_ONCE:
            data = memoryview(data)[:_ENCRYPT_AT_ONCE]
        try:
            with self._guard:
                size = self._ssl.write(data)
                self._ciphertext = memoryview(self._outgoing.read())
        except ssl.SSLError as fault:
            raise WriteError(f"TLS: {fault.reason or fault}") from fault
        self._unreported = data if type(data) is bytes and size == len(data) else bytes(memoryview(data)[:size])

    async def _send_unreported(self, most: int, deadline: float, or_readable: bool) -> int:
        """Send ciphertext until some, at most `most`, of its plaintext can be reported."""
        size = len(self._unreported)
        count = 0
        while self._ciphertext and not count:
            before = len(self._ciphertext)
            sent = await self._push(deadline, or_readable)
            if not sent:
                return 0
            # In proportion, but never all of it while ciphertext is left: the caller must come back.
            count = min(size * sent // before, size - 1)
        if not self._ciphertext:
            count = size
        count = min(count, most)
        self._unreported = self._unreported[count:]
        return count

    async def _push(self, deadline: float, or_readable: bool = False) -> int:
        """Send a part of the ciphertext that is left; 0 when input came first."""
        if or_readable and self._known_readable():
            deadline = _NOW  # what came is here already, so below nothing will come to tell of it
        try:
            sent = await self._stream.send_some(self._ciphertext, deadline, or_readable)
        except Timeout:
            if or_readable and self._known_readable():
                return 0
            raise
        self._ciphertext = self._ciphertext[sent:]
        return sent

    async def send_eof(self, deadline: float) -> None:
        """Send `close_notify` (RFC 8446 section 6.1); receiving goes on. Idempotent."""
        self._sender.enter()
        try:
            if self._closed:
                raise WriteError("closed by this side")
            if not self._eof_said:
                while self._ciphertext:
                    await self._push(deadline)
                self._unreported = b""
                self._shut_down()
            while self._ciphertext:
                await self._push(deadline)
        finally:
            self._sender.leave()

    def _shut_down(self) -> None:
        """Make OpenSSL write `close_notify`."""
        with self._guard:
            # `unwrap` goes on to look for the peer's own and would stumble over data that comes before it. Take that
            # first. (What the reader gets from below at this moment it can feed in only after us.)
            while self._stale:
                self._plain = self._decrypt(b"", len(self._plain) + _FROM_BELOW)
            try:
                self._ssl.unwrap()
            except ssl.SSLError:
                pass  # it wants the peer's answer, which nobody waits for
            self._ciphertext = memoryview(self._outgoing.read())
            self._eof_said = True

    # -- the rest ------------------------------------------------------------------------------------------------------

    def is_readable(self) -> bool:
        """See `ByteStream.is_readable`.

        Records that are not application data, such as the session tickets a TLS 1.3 server sends after the handshake,
        are taken in and do not count. While another thread receives this is a guess from what lies below.
        """
        if self._known_readable():
            return True
        if not self._receiver.try_enter(False):
            return self._stream.is_readable()
        try:
            while self._stale or self._stream.is_readable():
                received = b""
                if not self._stale:
                    received = _without_waiting(self._stream)
                    if not received:
                        return True
                with self._guard:
                    self._plain = self._decrypt(received, len(self._plain) + _FROM_BELOW)
                if self._known_readable():
                    return True
            return False
        except (NetworkError, Timeout):
            return True
        finally:
            self._receiver.leave()

    def _known_readable(self) -> bool:
        return bool(self._plain) or self._ended or self._closed or self._fault is not None

    def close(self) -> None:
        """See `ByteStream.close`."""
        if not self._closed:
            # Take in what is there: unread session tickets would make the system reset the connection, and the peer lose
            # what it was sent last. In a forked child they are the parent's to take.
            if self._pid == os.getpid():
                self.is_readable()
            self._closed = True
        self._stream.close()

    @property
    def is_closed(self) -> bool:
        """See `ByteStream.is_closed`."""
        return self._closed

    @property
    def ended_cleanly(self) -> bool:
        """False once the peer's end came without `close_notify`: it may have been cut short by somebody else."""
        return self._clean

    @property
    def ssl_object(self) -> ssl.SSLObject:
        """The TLS session."""
        return self._ssl


def _without_waiting(stream: ByteStream) -> bytes:
    """What `receive_some` gives on a stream that says it is readable; b"" as well when it would wait after all."""
    receiving = stream.receive_some(_FROM_BELOW, _NOW)
    try:
        receiving.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    receiving.close()
    return b""
