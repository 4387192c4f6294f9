"""What every stream offers, whatever the HTTP version: lua-http's `stream` interface on four primitives.

A stream is one request and its response on a connection. The primitives (`read_head`, `read_piece`, `write_head`,
`write_piece`) take an absolute deadline on the backend's clock and belong to the engine; the methods named as in lua-http
take a `timeout` in seconds, None for no limit, and are what users call. A timeout loses nothing: the call can be repeated.

One reader and one writer at a time; the two may overlap. A cancelled call leaves the stream as a timed-out one does.
"""

from __future__ import annotations

import re
import tempfile
from abc import ABC, abstractmethod
from collections import deque
from typing import IO, TYPE_CHECKING, Protocol, cast

from ..backends.base import FOREVER, Address
from ..errors import LocalProtocolError, Timeout, UsageError
from ..wire.headers import Headers

if TYPE_CHECKING:
    import ssl

    from ..backends.base import Backend

__all__ = ["ChunkIterator", "ConnectionFacts", "MessageStream"]

# What lua-http reads at a time from a file it sends; large enough that the system calls do not show.
_FILE_PIECE = 1024 * 1024


class ConnectionFacts(Protocol):
    """What a stream asks of its connection, whatever the version."""

    backend: Backend

    def checktls(self) -> ssl.SSLObject | None:
        """The TLS session, None in clear."""

    def localname(self) -> Address:
        """This end."""

    def peername(self) -> Address:
        """The next hop."""


class ChunkIterator:
    """Asynchronous iterator over `MessageStream.get_next_chunk`."""

    __slots__ = ("_stream",)

    def __init__(self, stream: MessageStream) -> None:
        self._stream = stream

    def __aiter__(self) -> ChunkIterator:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._stream.get_next_chunk()
        if chunk is None:
            raise StopAsyncIteration
        return chunk


class MessageStream(ABC):
    """One request and its response. See the module's text for deadlines, timeouts and concurrency."""

    connection: ConnectionFacts

    # Most streams never need these: they are made where they do.
    _ungot: deque[bytes] | None = None
    _partial_file: IO[bytes] | None = None

    # -- primitives ----------------------------------------------------------------------------------------------------

    @abstractmethod
    async def read_head(self, deadline: float) -> Headers | None:
        """The next header block: a request, an informational or final response, or a trailer section; None at the end."""

    @abstractmethod
    async def _read_piece(self, deadline: float) -> bytes | None:
        """The next piece of the body as it arrives, None at its end."""

    @abstractmethod
    async def write_head(self, headers: Headers, end_stream: bool, deadline: float) -> None:
        """Send a header block: a request, an informational or final response, or (after data) a trailer section."""

    @abstractmethod
    async def write_piece(self, data: bytes, end_stream: bool, deadline: float) -> None:
        """Send a piece of the body, and with `end_stream` its end."""

    @abstractmethod
    async def shutdown(self, timeout: float | None = None) -> None:
        """Give the stream up: what it still needs is refused or discarded, and its connection told. Idempotent.

        What `timeout` (seconds) and None mean for it is said by each kind of stream.
        """

    async def read_piece(self, deadline: float) -> bytes | None:
        """The next piece of the body, what was un-got first; None at its end."""
        if self._ungot:
            return self._ungot.popleft()
        return await self._read_piece(deadline)

    def _deadline(self, timeout: float | None) -> float:
        return FOREVER if timeout is None else self.connection.backend.now() + timeout

    # -- facts ---------------------------------------------------------------------------------------------------------

    def checktls(self) -> ssl.SSLObject | None:
        """The TLS session of the connection, or None in clear."""
        return self.connection.checktls()

    def localname(self) -> Address:
        """This end of the connection."""
        return self.connection.localname()

    def peername(self) -> Address:
        """The next hop: the proxy, where there is one."""
        return self.connection.peername()

    # -- reading -------------------------------------------------------------------------------------------------------

    async def get_headers(self, timeout: float | None = None) -> Headers | None:
        """Wait for the next complete header block.

        On a server the first is the request; on a client informational responses come first, one by one, then the final
        response. After the body the trailer section follows, if there is one.

        Returns:
            The block, pseudo-header fields first; None when the message is over.

        Raises:
            ReadTimeout, ReadError, ConnectionClosed, RemoteProtocolError.
        """
        return await self.read_head(self._deadline(timeout))

    async def get_next_chunk(self, timeout: float | None = None) -> bytes | None:
        """Wait for the next piece of the body, of whatever size it came in; None at the end of the body."""
        return await self.read_piece(self._deadline(timeout))

    def each_chunk(self) -> ChunkIterator:
        """Iterate over `get_next_chunk`."""
        return ChunkIterator(self)

    async def get_body_as_string(self, timeout: float | None = None) -> bytes:
        """Read the rest of the body and return it, in bytes."""
        deadline = self._deadline(timeout)
        pieces: list[bytes] = []
        try:
            while (piece := await self.read_piece(deadline)) is not None:
                pieces.append(piece)
        except BaseException:
            for piece in reversed(pieces):
                self.unget(piece)
            raise
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def get_body_chars(self, n: int, timeout: float | None = None) -> bytes | None:
        """Read `n` bytes of the body, fewer only at its end; None when the body was over already."""
        deadline = self._deadline(timeout)
        pieces: list[bytes] = []
        length = 0
        try:
            while length < n:
                piece = await self.read_piece(deadline)
                if piece is None:
                    break
                pieces.append(piece)
                length += len(piece)
        except BaseException:
            for piece in reversed(pieces):
                self.unget(piece)
            raise
        if not pieces:
            return b"" if n <= 0 else None
        body = b"".join(pieces)
        if length > n:
            self.unget(body[n:])
        return body[:n]

    async def get_body_until(
        self,
        pattern: str | bytes | re.Pattern[bytes],
        plain: bool = False,
        include_pattern: bool = False,
        timeout: float | None = None,
    ) -> bytes | None:
        """Read the body up to the first match of `pattern`, or all that is left when there is none.

        Args:
            pattern: a regular expression over bytes (text is taken as UTF-8). It is matched against what has come so far,
                so one that could match more of the body may find less.
            plain: take `pattern` literally.
            include_pattern: return the match too; otherwise it is dropped. What follows it stays to be read.
            timeout: seconds, None for no limit.

        Returns:
            The bytes; None when the body was over already.
        """
        deadline = self._deadline(timeout)
        raw = pattern.encode() if isinstance(pattern, str) else pattern
        literal = raw if plain and isinstance(raw, bytes) else None
        search = re.compile(raw if literal is None else re.escape(literal)).search
        body = bytearray()
        looked = 0
        found: tuple[int, int] | None = None
        try:
            while found is None:
                piece = await self.read_piece(deadline)
                if piece is None:
                    return bytes(body) or None
                body += piece
                match = search(body, looked)
                if match is not None:
                    found = match.span()
                elif literal is not None:
                    # Only a literal can be trusted not to begin further back than its own length.
                    looked = max(0, len(body) - len(literal) + 1)
        except BaseException:
            self.unget(bytes(body))
            raise
        start, end = found
        self.unget(bytes(body[end:]))
        return bytes(body[: end if include_pattern else start])

    async def save_body_to_file(self, file: IO[bytes], timeout: float | None = None) -> int:
        """Write the rest of the body to a binary file at its position; returns how many bytes were written.

        After a timeout what came before it is in the file, and a repeated call appends the rest.
        """
        deadline = self._deadline(timeout)
        length = 0
        while (piece := await self.read_piece(deadline)) is not None:
            try:
                file.write(piece)
            except BaseException:
                self.unget(piece)
                raise
            length += len(piece)
        return length

    async def get_body_as_file(self, timeout: float | None = None) -> IO[bytes]:
        """Read the rest of the body into an anonymous temporary file and return it, at position 0. The caller closes it.

        After a timeout or cancellation the part that was read is kept for a repeated call, until `shutdown`.
        """
        file, self._partial_file = self._partial_file, None
        if file is None:
            file = cast("IO[bytes]", tempfile.TemporaryFile())  # noqa: SIM115 - handed to the caller
        try:
            await self.save_body_to_file(file, timeout)
            file.seek(0)
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, Timeout):
                file.close()
            else:
                self._partial_file = file
            raise
        return file

    def _drop_partial_file(self) -> None:
        if self._partial_file is not None:
            self._partial_file.close()
            self._partial_file = None

    def unget(self, data: bytes) -> bool:
        """Put `data` in front of what is still to be read of the body. Returns True, as in lua-http."""
        if data:
            if self._ungot is None:
                self._ungot = deque()
            self._ungot.appendleft(data)
        return True

    # -- writing -------------------------------------------------------------------------------------------------------

    async def write_headers(self, headers: Headers, end_stream: bool, timeout: float | None = None) -> None:
        """Send a header block; with `end_stream` the message has no body, or this was its trailer section.

        Raises:
            LocalProtocolError: the block has no place here; nothing was sent.
            WriteTimeout: either another stream has its turn, and the call can be repeated; or the block was taken but not
                sent whole (`state` has moved): the rest goes out with the next write or `connection.flush`.
        """
        await self.write_head(headers, end_stream, self._deadline(timeout))

    async def write_continue(self, timeout: float | None = None) -> None:
        """Send `100 Continue` (server)."""
        await self.write_head(Headers([(":status", "100")]), False, self._deadline(timeout))

    async def write_chunk(self, chunk: bytes, end_stream: bool = False, timeout: float | None = None) -> None:
        """Send a piece of the body, and with `end_stream` its end.

        Raises:
            LocalProtocolError: it does not fit the message.
            WriteTimeout: it was taken but not sent whole; the rest goes out with the next write or `connection.flush`.
        """
        await self.write_piece(chunk, end_stream, self._deadline(timeout))

    async def write_body_from_string(self, body: str | bytes, timeout: float | None = None) -> None:
        """Send `body` (text as UTF-8) and end the message."""
        data = body.encode() if isinstance(body, str) else body
        await self.write_piece(data, True, self._deadline(timeout))

    async def write_body_from_file(
        self, file: IO[bytes], count: int | None = None, timeout: float | None = None
    ) -> None:
        """Send a binary file from its current position and end the message.

        After a timeout the file stands behind what was accepted: a repeated call goes on there, with what is left of
        `count`.

        Args:
            file: a binary file; it is neither sought nor closed.
            count: how many bytes to send; None for all there are.
            timeout: seconds, None for no limit.

        Raises:
            LocalProtocolError: the file ended before `count` bytes; the message cannot be completed any more.
        """
        if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 0):
            raise UsageError("count is a whole number of bytes, zero or more")
        deadline = self._deadline(timeout)
        left = count
        while left is None or left > 0:
            piece = file.read(_FILE_PIECE if left is None else min(_FILE_PIECE, left))
            if not piece:
                break
            if left is not None:
                left -= len(piece)
            await self.write_piece(piece, False, deadline)
        if left:
            raise LocalProtocolError(f"the file ended {left} bytes too early")
        await self.write_piece(b"", True, deadline)
