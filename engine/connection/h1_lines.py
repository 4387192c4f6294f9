"""Reading and writing an HTTP/1 connection line by line, without streams (lua-http's low-level `h1_connection` methods).

Laws:

- nothing is consumed before it is whole and valid: after a timeout, a cancellation or a fault the same bytes are still
  there, so every read can be repeated, and what one method refuses another may read;
- the grammar is `wire.h1_head`'s and the limits are the machine's: there is no second opinion on what HTTP/1 is.

Who reads by hand must not read events of a stream at the same time: both take from the same buffer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from ..errors import (
    ConnectionClosed,
    EngineError,
    IncompleteMessage,
    InvalidHeader,
    LimitExceeded,
    RemoteProtocolError,
    UsageError,
)
from ..wire.h1_chunk import format_chunk, parse_chunk_line
from ..wire.h1_head import (
    Field,
    encode_head,
    format_fields,
    format_request_line,
    format_status_line,
    parse_field_line,
    parse_request_line,
    parse_status_line,
)
from ..wire.reason_phrases import reason_phrase
from .h1_transport import H1Transport

__all__ = ["H1Lines"]

T = TypeVar("T")
E = TypeVar("E", bound=EngineError)
# A chunk is handed out whole, so its size must be bounded: lua-http's eight hexadecimal digits. Streams have no such bound.
_CHUNK_MAX = 0xFFFFFFFF


class H1Lines(H1Transport):
    """The line-by-line interface of `H1Connection`.

    Every `timeout` is in seconds, None for no limit. Reads raise `ReadTimeout`, `ReadError`, and, when the peer ended its
    side, `ConnectionClosed` before the first byte of a message or `IncompleteMessage` inside one.
    """

    # -- reading heads -------------------------------------------------------------------------------------------------

    async def read_request_line(self, timeout: float | None = None) -> tuple[str, str, float]:
        """Read a request line (RFC 9112 section 3); one empty line before it is skipped.

        Returns:
            Method, target, and version 1.0 or 1.1.

        Raises:
            RemoteProtocolError: it is malformed, with the status to answer with; `LimitExceeded` when it is too long.
        """
        line, end = await self._line(self.deadline_after(timeout), "start line", 414, may_be_empty=True)
        parsed = self._parse(parse_request_line, line)
        self._consume(end)
        return parsed

    async def read_status_line(self, timeout: float | None = None) -> tuple[float, str, str]:
        """Read a status line (RFC 9112 section 4).

        Returns:
            Version 1.0 or 1.1, the three digits of the status, and the reason phrase, perhaps empty.

        Raises:
            RemoteProtocolError: it is malformed; `LimitExceeded` when it is too long.
        """
        line, end = await self._line(self.deadline_after(timeout), "start line", 414)
        parsed = self._parse(parse_status_line, line)
        self._consume(end)
        return parsed

    async def read_header(self, timeout: float | None = None) -> Field | None:
        """Read a field line of a header or trailer section (RFC 9112 section 5).

        How many there may be is for the caller to decide; only the length of each is limited here.

        Returns:
            The name in the sender's case and the value without surrounding white space; None where the section ends,
            which is then for `read_headers_done` to confirm.

        Raises:
            RemoteProtocolError: it is malformed; `LimitExceeded` when it is too long.
        """
        line, end = await self._line(self.deadline_after(timeout), "field line", 431)
        if not line:
            return None
        parsed = self._parse(parse_field_line, line)
        self._consume(end)
        return parsed

    async def read_headers_done(self, timeout: float | None = None) -> bool:
        """Read the empty line at the end of a section; False, and nothing is read, when something else stands there."""
        deadline = self.deadline_after(timeout)
        while True:
            start = self._peek()[:2]
            if start == b"\r\n":
                self._consume(2)
                return True
            if start not in (b"", b"\r"):
                return False
            await self._receive_more(deadline)

    # -- reading bodies ------------------------------------------------------------------------------------------------

    async def read_body_by_length(self, n: int, timeout: float | None = None) -> bytes:
        """Read `n` bytes, all of them; with a negative `n` from one to `-n` bytes, whatever is there first.

        Returns:
            The bytes; b"" only for an `n` of zero, or for a negative one at the end of the peer's side.

        Raises:
            IncompleteMessage: the peer ended its side before `n` bytes. They can still be read with a negative `n`.
        """
        deadline = self.deadline_after(timeout)
        machine = self.machine
        if n < 0:
            if not machine.buffered and not machine.ended:
                await self.receive(deadline)
            return self._consume(-n)
        while machine.buffered < n:
            await self._receive_more(deadline)
        return self._consume(n)

    async def read_body_till_close(self, timeout: float | None = None) -> bytes:
        """Read everything until the peer ends its side. What came is kept in memory, without a limit.

        Raises:
            IncompleteMessage: a TLS connection ended without its goodbye (see `accept_ragged_end`).
        """
        deadline = self.deadline_after(timeout)
        while not self.machine.ended:
            await self.receive(deadline)
        self.check_end()
        return self.machine.take_buffered()

    async def read_body_chunk(self, timeout: float | None = None) -> tuple[bytes | None, str | None]:
        """Read one whole chunk (RFC 9112 section 7.1).

        Returns:
            Its data, None for the last chunk, which the trailer section follows (`read_header`, `read_headers_done`); and
            its extensions as sent, from their semicolon on, None without any.

        Raises:
            RemoteProtocolError: the framing is wrong; `LimitExceeded` for a chunk of 4 GiB or a too long size line.
        """
        deadline = self.deadline_after(timeout)
        machine = self.machine
        line, start = await self._line(deadline, "chunk-size line", 400)
        size, extensions = self._parse(parse_chunk_line, line)
        extensions = extensions.lstrip(" \t")
        if size > _CHUNK_MAX or len(extensions) > machine.limits.max_chunk_extensions:
            raise self._refusal(LimitExceeded("a chunk or its extensions are too large"))
        if not size:
            self._consume(start)
            return None, extensions or None
        end = start + size
        while machine.buffered < end + 2:
            await self._receive_more(deadline)
        # Taken in one piece, because every look at the buffer copies it.
        taken = machine.take_buffered()
        if taken[end : end + 2] != b"\r\n":
            machine.put_back(taken)
            raise self._refusal(RemoteProtocolError("a chunk is longer than its size says"))
        machine.put_back(taken[end + 2 :])
        return taken[start:end], extensions or None

    # -- writing -------------------------------------------------------------------------------------------------------

    async def write_request_line(self, method: str, target: str, version: float, timeout: float | None = None) -> None:
        """Queue a request line; `write_headers_done` sends it.

        Raises:
            LocalProtocolError: the method or target is malformed.
        """
        _check_version(version)
        self._queue(format_request_line(method, target, version))

    async def write_status_line(
        self, version: float, status: str, reason: str | None = None, timeout: float | None = None
    ) -> None:
        """Queue a status line, with the standard reason phrase where `reason` is None; `write_headers_done` sends it.

        Raises:
            LocalProtocolError: the status is not three digits, or the reason holds controls.
        """
        _check_version(version)
        self._queue(format_status_line(version, status, reason_phrase(status) if reason is None else reason))

    async def write_header(self, name: str, value: str, timeout: float | None = None) -> None:
        """Queue a field line; `write_headers_done` sends it.

        Raises:
            InvalidHeader: the name is not a token, or the value holds CR, LF, NUL or what is not ISO-8859-1.
        """
        if name[:1] == ":":
            raise InvalidHeader(f"field name is not a token: {name!r}")
        self._queue(format_fields([(name, value)]))

    async def write_headers_done(self, timeout: float | None = None) -> None:
        """Write the empty line that ends a header or trailer section and send all that is queued.

        Raises:
            WriteTimeout: what is left goes out with the next write or `flush`; this call must not be repeated.
        """
        await self.send(b"\r\n", self.deadline_after(timeout))

    async def write_body_chunk(self, chunk: bytes, timeout: float | None = None) -> None:
        """Send one chunk; nothing for empty data, which would be the last one. For `WriteTimeout` see `write_headers_done`."""
        if chunk:
            await self.send(format_chunk(chunk), self.deadline_after(timeout))

    async def write_body_last_chunk(self, timeout: float | None = None) -> None:
        """Queue the last chunk; trailers may follow by `write_header`, and `write_headers_done` sends it."""
        self._queue("0\r\n")

    async def write_body_plain(self, body: bytes, timeout: float | None = None) -> None:
        """Send bytes as they are. For `WriteTimeout` see `write_headers_done`."""
        await self.send(body, self.deadline_after(timeout))

    # -- settings ------------------------------------------------------------------------------------------------------

    def setmaxline(self, read_length: int) -> None:
        """Set the longest line to accept, in bytes, for everything read from this connection."""
        if read_length < 1:
            raise UsageError("the longest line has at least one byte")
        self.machine.limits = replace(self.machine.limits, max_line=read_length)

    # -- the buffer ----------------------------------------------------------------------------------------------------

    async def _line(self, deadline: float, what: str, status: int, *, may_be_empty: bool = False) -> tuple[str, int]:
        """Wait for a whole line; return it without its CRLF, and how many buffered bytes end with it. Consumes nothing."""
        limit = self.machine.limits.max_line
        while True:
            data = self._peek()
            start = 2 if may_be_empty and data[:2] == b"\r\n" else 0
            end = data.find(b"\n", start)
            if (len(data) if end < 0 else end - 1) - start > limit:
                raise self._refusal(LimitExceeded(f"{what} longer than {limit} bytes", status))
            if end >= 0:
                if data[end - 1 : end] != b"\r" or end - 1 < start:
                    raise self._refusal(RemoteProtocolError(f"bare LF at the end of a {what}"))
                return data[start : end - 1].decode("latin-1"), end + 1
            if self.machine.ended and not data and what == "start line":
                raise self._refusal(ConnectionClosed("the peer closed the connection before a message"))
            await self._receive_more(deadline)

    async def _receive_more(self, deadline: float) -> None:
        if self.machine.ended:
            raise self._refusal(IncompleteMessage("the connection ended inside a message"))
        await self.receive(deadline)

    def _peek(self) -> bytes:
        data = self.machine.take_buffered()
        self.machine.put_back(data)
        return data

    def _consume(self, n: int) -> bytes:
        data = self.machine.take_buffered()
        if n < len(data):
            self.machine.put_back(data[n:])
            return data[:n]
        return data

    def _parse(self, parser: Callable[[str], T], line: str) -> T:
        try:
            return parser(line)
        except RemoteProtocolError as error:
            self.remember("r", error)
            raise

    def _refusal(self, error: E) -> E:
        self.remember("r", error)
        return error

    def _queue(self, text: str) -> None:
        self.put_in_outbox(encode_head(text))


def _check_version(version: float) -> None:
    if version not in (1.0, 1.1):
        raise UsageError(f"HTTP/1 has versions 1.0 and 1.1, not {version!r}")
