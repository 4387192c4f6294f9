"""A byte stream through an HTTP/2 proxy: the DATA frames of a CONNECT stream (RFC 9113 section 8.5)."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, TypeVar

from ..backends.base import Address, ByteStream, Interrupted
from ..errors import ClosedError, EngineError, NetworkError, ReadError, ReadTimeout, Timeout, WriteError, WriteTimeout

if TYPE_CHECKING:
    from .h2_stream import H2Stream

__all__ = ["H2Passage", "H2Tunnel"]

E = TypeVar("E", ReadError, WriteError)
_CLOSED_HERE = "closed by this side"
_LOOK_AGAIN = 0.05  # seconds
_QUEUE_AT_ONCE = 64 * 1024  # bytes; what was queued is reported when all of it went out


class H2Tunnel(ByteStream):
    """What a CONNECT stream carries once its 2xx has come. See `ByteStream`.

    END_STREAM is the end of a side; RST_STREAM, or the end of the connection, breaks the tunnel. The flow-control window
    opens again as data is taken, so a slow reader holds up nobody else.

    Args:
        stream: the CONNECT stream, its response's head read (or, on a server, written).
        owns_connection: whether closing the tunnel closes the connection; otherwise it resets the stream.
    """

    def __init__(self, stream: H2Stream, owns_connection: bool) -> None:
        self._stream = stream
        self._connection = stream.connection
        self._owns_connection = owns_connection
        self._closed = self._eof_said = self._interrupted = False
        self._unreported = 0  # bytes that were queued, and that the caller believes unsent
        self._local = self._connection.localname()
        self._peer = self._connection.peername()

    # -- receiving -----------------------------------------------------------------------------------------------------

    async def receive_some(self, max_bytes: int, deadline: float) -> bytes:
        """See `ByteStream.receive_some`."""
        stream = self._stream
        try:
            self._check_open()
            if not stream.has_input:
                await self._connection.wait_until(self._has_news, stream.reading, deadline, ReadTimeout)
                if self._take_interrupt() and not stream.has_input:
                    raise Interrupted("woken to look again")
            piece = await stream.read_piece(deadline)
        except ReadTimeout:
            raise
        except EngineError as error:
            raise self._broken(ReadError, error) from error
        if piece is None:
            return b""
        if len(piece) > max_bytes:
            stream.unget(piece[max_bytes:])
            return piece[:max_bytes]
        return piece

    def _has_news(self) -> bool:
        return self._interrupted or self._stream.has_input

    def _take_interrupt(self) -> bool:
        with self._connection.guard:
            interrupted, self._interrupted = self._interrupted, False
        return interrupted

    def is_readable(self) -> bool:
        """See `ByteStream.is_readable`. Frames that are no data of the tunnel are taken in and do not count."""
        stream, connection = self._stream, self._connection
        if self._closed or stream.has_input:
            return True
        if not connection.stream.is_readable():
            return False
        taking = connection.take_input()
        try:
            taking.send(None)
        except StopIteration:
            return stream.has_input
        except EngineError:
            return True
        taking.close()  # it would have to wait, whatever for
        return True

    # -- sending -------------------------------------------------------------------------------------------------------

    async def send_some(self, data: bytes | bytearray | memoryview, deadline: float, or_readable: bool = False) -> int:
        """See `ByteStream.send_some`. Waits for the windows of HTTP/2 as well as for the system."""
        try:
            self._check_open()
            if self._eof_said:
                raise ClosedError("this side was ended before")
            if data and not self._unreported and not await self._queue(data, deadline, or_readable):
                return 0
            if not await self._flush(deadline, or_readable):
                return 0
        except Timeout as error:
            raise WriteTimeout("the peer did not take the data in time") from error
        except EngineError as error:
            raise self._broken(WriteError, error) from error
        count = min(self._unreported, len(data))
        self._unreported -= count
        return count

    async def _queue(self, data: bytes | bytearray | memoryview, deadline: float, or_readable: bool) -> bool:
        """Queue some of `data`, which counts as unreported from then on; False when input, or an interrupt, came first."""
        stream, connection = self._stream, self._connection
        if len(data) > _QUEUE_AT_ONCE:
            data = memoryview(data)[:_QUEUE_AT_ONCE]
        while True:
            with connection.guard:
                self._unreported = stream.queue_some(data)
            if self._unreported:
                return True
            if or_readable and self._should_listen():
                return False
            until = self._until(deadline, or_readable)
            try:
                await connection.wait_for_room(until)
                await connection.wait_until(
                    lambda: stream.can_send or (or_readable and self._has_news()), stream.writing, until, WriteTimeout
                )
            except WriteTimeout:
                if until == deadline:
                    raise

    async def _flush(self, deadline: float, or_readable: bool) -> bool:
        """Send what is queued; False when input, or an interrupt, came while the system took nothing."""
        while True:
            until = self._until(deadline, or_readable)
            try:
                await self._connection.flush_by(until)
            except WriteTimeout:
                if until == deadline:
                    raise
            else:
                return True
            if self._should_listen():
                return False

    def _until(self, deadline: float, or_readable: bool) -> float:
        # Whoever reads, or sends, for all wakes those who wait to send or those who wait to read: nobody who waits for
        # either. So such a one looks again from time to time.
        return min(deadline, self._connection.backend.now() + _LOOK_AGAIN) if or_readable else deadline

    def _should_listen(self) -> bool:
        return self._take_interrupt() or self._stream.has_input

    async def send_eof(self, deadline: float) -> None:
        """See `ByteStream.send_eof`."""
        try:
            self._check_open()
            if self._eof_said:
                await self._connection.flush_by(deadline)
                return
            # Queued before the first wait, so it is said whatever becomes of that.
            self._eof_said = True
            self._unreported = 0
            await self._stream.write_piece(b"", True, deadline)
        except Timeout as error:
            raise WriteTimeout("the peer did not take the data in time") from error
        except EngineError as error:
            raise self._broken(WriteError, error) from error

    # -- the rest ------------------------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(_CLOSED_HERE)

    def _broken(self, kind: type[E], error: EngineError) -> E:
        if self._closed:
            return kind(_CLOSED_HERE)
        text = str(error) if isinstance(error, ClosedError) else f"the tunnel broke: {error}"
        code = error.errno if isinstance(error, NetworkError) else None
        return kind(text) if code is None else kind(code, text)

    def allow_interrupts(self) -> None:
        """See `ByteStream.allow_interrupts`."""
        self._connection.stream.allow_interrupts()

    def interrupt(self) -> None:
        """See `ByteStream.interrupt`. Others who wait on the connection look again, too."""
        connection = self._connection
        with connection.guard:
            self._interrupted = True
            connection.wake(self._stream.reading)
            connection.wake(self._stream.writing)
        connection.stream.interrupt()

    def close(self) -> None:
        """See `ByteStream.close`. As in TCP, the peer sees the end, unless something was cut short."""
        if not self._closed:
            self._closed = True
            if not self._eof_said and not self._unreported:
                try:
                    with self._connection.guard:
                        self._stream.queue_some(b"", end=True)
                except EngineError:
                    pass  # it is over, or broken
            self._stream.cancel()
            if self._owns_connection:
                self._connection.close()

    @property
    def is_closed(self) -> bool:
        """See `ByteStream.is_closed`."""
        return self._closed

    @property
    def local_address(self) -> Address:
        """See `ByteStream.local_address`."""
        return self._local

    @property
    def peer_address(self) -> Address:
        """The proxy."""
        return self._peer

    def fileno(self) -> int:
        """The descriptor of the connection, which carries other things too."""
        return -1 if self._closed else self._connection.stream.fileno()


class H2Passage(H2Tunnel):
    """What an extended CONNECT carries (RFC 8441): no tunnel to somebody else, so the connection's TLS is its own."""

    @property
    def ssl_object(self) -> ssl.SSLObject | None:
        """See `ByteStream.ssl_object`."""
        return self._connection.checktls()
