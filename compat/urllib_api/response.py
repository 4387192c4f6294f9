"""`http.client.HTTPResponse` over a response of the engine.

Laws:

- it is a `http.client.HTTPResponse`, reads like one and ends like one: after the last byte `isclosed()` is true, `closed`
  is not before `close()`, and reading a closed response gives b"";
- the connection goes back to its pool as soon as the last byte was read, or on `close()` when all of the rest has come
  already; otherwise closing, or dropping the response, closes the connection;
- a body cut short raises `IncompleteRead` from `read()` and from every read of a chunked body. Reading a body with
  Content-Length by size, or by lines, returns what there is and then b"", as in `http.client`: `urlretrieve` and others
  compare the length themselves. Nor is a chunked body refused that lacks no more than the empty line after its last chunk;
- over HTTP/2 every body says where it ends: one that is reset, or without Content-Length and cut short, raises
  `IncompleteRead` from every read. Closing, or dropping, the response resets its stream and nothing else;
- a timeout loses nothing: what came before it is returned by the next call.

Used by one thread at a time.
"""

from __future__ import annotations

import io
import ssl
import weakref
from collections.abc import Iterator
from http.client import HTTPMessage, HTTPResponse
from typing import Any

from drivetrain.compat.field_names import fields_as_written
from drivetrain.compat.http_versions import VERSION_NUMBERS
from drivetrain.compat.urllib_api.errors import lacks_only_trailers, reading_error
from drivetrain.compat.urllib_api.response_file import ResponseFile
from drivetrain.engine import Response
from drivetrain.engine.errors import EngineError, IncompleteMessage

__all__ = ["EngineResponse", "LazyMessage"]


class LazyMessage(HTTPMessage):
    """A header section that becomes an `HTTPMessage` when it is first looked at: every response has one, few are read.

    Args:
        fields: (name, value) pairs in order.
    """

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        # Not the base's: that happens in `__getattr__`, on the first use of an attribute it makes.
        self._given = fields

    def __getattr__(self, name: str) -> Any:
        attributes = self.__dict__
        fields = attributes.pop("_given", None)
        if fields is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        changed = attributes.copy()
        HTTPMessage.__init__(self)
        for field in fields:
            self.set_raw(*field)
        self.set_payload("")  # what the parser of the original leaves
        attributes.update(changed)
        return getattr(self, name)


class EngineResponse(HTTPResponse):
    """The answer to one request; see the module and `http.client.HTTPResponse`.

    Args:
        response: the engine's, its body unread.
        method: of the request.
        url: of the request, as `geturl()` says it.

    Attributes:
        status, code: the status code.
        reason, msg: the reason phrase; `msg` is what urllib has always put there.
        url: see above.
    """

    debuglevel = 0
    _source: Iterator[bytes] | None = None
    _piece = b""
    _position = 0
    _closed = False

    # What the base's constructor and `begin` would have set is set or computed here.
    def __init__(self, response: Response, method: str, url: str) -> None:
        self._response: Response | None = response
        self._method = method
        fields = response.headers.raw_fields()
        self._version = version = response.http_version
        self._headers: HTTPMessage = LazyMessage(fields[1:] if version != "2" else fields_as_written(fields, version))
        self._left, self._chunked = _framing(response, method)
        self.url = url
        self.code = self.status = response.status
        self.msg = self.reason = response.reason.strip()  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status} {self.reason} {self.url}>"

    # -- facts ---------------------------------------------------------------------------------------------------------

    @property
    def ssl_object(self) -> ssl.SSLObject | None:
        """The TLS session while the body is unread, None in clear."""
        return None if self._response is None else self._response.connection.ssl_object

    @property
    def headers(self) -> HTTPMessage:
        """The header section."""
        return self._headers

    @headers.setter
    def headers(self, headers: HTTPMessage) -> None:
        self._headers = headers

    @property
    def version(self) -> int:  # type: ignore[override]
        """10 for HTTP/1.0, 11 for HTTP/1.1, 20 for HTTP/2."""
        return VERSION_NUMBERS[self._version]

    @property
    def length(self) -> int | None:  # type: ignore[override]
        """How many bytes of the body are left to read, None where that is not known."""
        return self._left

    @property
    def chunked(self) -> bool:  # type: ignore[override]
        """Whether the body is chunked."""
        return self._chunked

    @property
    def chunk_left(self) -> int | None:  # type: ignore[override]
        """How many bytes of a chunk are at hand, None between chunks."""
        return len(self._piece) - self._position or None if self._chunked else None

    @property
    def will_close(self) -> bool:  # type: ignore[override]
        """Whether the server said, or the framing means, that the connection ends with this response."""
        if self._version == "2":
            return False
        options = ",".join(self._headers.get_all("connection", [])).lower()
        if self._version == "1.1":
            closing = "close" in options
        else:
            closing = "keep-alive" not in options and not self._headers.get("keep-alive")
        return closing or (not self._chunked and self._left is None)

    @property
    def fp(self) -> ResponseFile | None:  # type: ignore[override]
        """Something to read from until the end was read, then None."""
        if self._response is None:
            return None
        found: weakref.ref[ResponseFile] | None = self.__dict__.get("_file")
        file = None if found is None else found()
        if file is None:
            file = ResponseFile(self, self._response)
            # It holds the response; the other way round, a dropped response would not be closed at once.
            self._file = weakref.ref(file)
        return file

    @property
    def closed(self) -> bool:  # type: ignore[override]
        """Whether `close` was called."""
        return self._closed

    def isclosed(self) -> bool:
        """Whether the whole body was read, or `close` was called."""
        return self._response is None

    def fileno(self) -> int:
        """The descriptor of the connection, for waiting; what was received already is not in it.

        Raises:
            io.UnsupportedOperation: the response has no connection any more, or shares it with others (HTTP/2).
        """
        if self._version == "2":
            raise io.UnsupportedOperation("the connection is not this response's alone")
        number = -1 if self._response is None else self._response.fileno()
        if number < 0:
            raise io.UnsupportedOperation("the connection is not this response's any more")
        return number

    def begin(self) -> None:
        """Nothing: the head was read."""

    def flush(self) -> None:
        """Nothing."""

    # -- the end -------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Give the rest up. Idempotent."""
        self._closed = True
        response = self._response
        if response is not None:
            self._end()
            response.close()

    def __del__(self) -> None:
        """The base would call `close`, which may not be done in the middle of anything; the engine's response knows how."""

    def _end(self) -> None:
        self._response = self._source = None
        if self._piece:
            self._piece = b""
            self._position = 0

    # -- reading: the buffer -------------------------------------------------------------------------------------------

    def _next_piece(self) -> bytes:
        """The next piece of the body; raises `StopIteration` at its end."""
        if self._source is None:
            if self._response is None:
                raise StopIteration
            self._source = self._response.iter_raw()
        return next(self._source)

    def _fill(self) -> bool:
        """Wait for the next piece, the one before being used up; False at the end of the body.

        Raises:
            EngineError, StopIteration: never; what `_failed` makes of the first.
        """
        try:
            self._piece = self._next_piece()
        except StopIteration:
            self._end()
            return False
        self._position = 0
        return True

    def _take(self, size: int) -> bytes:
        """At most `size` bytes of the piece at hand."""
        piece, start = self._piece, self._position
        end = start + size
        if not start and end >= len(piece):
            self._piece = b""
            data = piece
        else:
            data = piece[start:end]
            self._position = start + len(data)
        return self._count(data)

    def _count(self, data: bytes) -> bytes:
        """Note what leaves the buffer, and take the end of the body with its last byte."""
        left = self._left
        if left is not None:
            self._left = left = left - len(data)
            if not left and self._response is not None:
                self._finish()
        return data

    def _finish(self) -> None:
        """All bytes that were announced are read: the engine now sees the end without waiting."""
        try:
            self._fill()
        except EngineError:
            self._end()

    def _put_back(self, pieces: list[bytes]) -> None:
        data = b"".join(pieces)
        if data:
            self._piece = data + self._piece[self._position :]
            self._position = 0
            if self._left is not None:
                self._left += len(data)

    @property
    def _is_delimited(self) -> bool:
        """Whether the body itself says where it ends, rather than Content-Length or the connection."""
        return self._chunked or (self._version == "2" and self._left is None)

    def _failed(self, error: EngineError, pieces: list[bytes], forgiving: bool) -> None:
        """Raise what the original would have raised, or return where it would have returned what there is."""
        if isinstance(error, TimeoutError):
            self._put_back(pieces)
            raise reading_error(error, b"", None) from error
        self._end()
        if forgiving and not self._is_delimited and isinstance(error, IncompleteMessage):
            return
        if lacks_only_trailers(error):
            return
        raise reading_error(error, b"".join(pieces), self._left) from error

    # -- reading: the interface ----------------------------------------------------------------------------------------

    def read(self, amt: int | None = None) -> bytes:
        """Read `amt` bytes, fewer only at the end; all that is left without `amt`."""
        if self._response is None:
            return b""
        if amt is None or amt < 0:
            return self._read_all()
        return self._read_some(amt, True)

    def _read_all(self) -> bytes:
        if not self._piece and self._response is not None and (whole := self._response.take_raw()) is not None:
            self._end()
            if self._left is not None:
                self._left = 0
            return whole
        pieces = [self._piece[self._position :]] if self._piece else []
        self._piece = b""
        self._position = 0
        try:
            while True:
                pieces.append(self._next_piece())
        except StopIteration:
            self._end()
        except EngineError as error:
            if self._left is not None:
                self._left -= sum(map(len, pieces))
            self._failed(error, pieces, False)
        if self._left is not None:
            self._left = 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_some(self, amt: int, forgiving: bool) -> bytes:
        pieces: list[bytes] = []
        missing = amt
        try:
            while missing and (self._position < len(self._piece) or (self._response is not None and self._fill())):
                data = self._take(missing)
                pieces.append(data)
                missing -= len(data)
        except EngineError as error:
            self._failed(error, pieces, forgiving)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read1(self, n: int = -1) -> bytes:
        """Read at most `n` bytes, what is there, waiting only when there is nothing; b"" at the end."""
        if n == 0 or not self._has_some():
            return b""
        return self._take(n if n > 0 else len(self._piece))

    def peek(self, n: int = -1) -> bytes:
        """What is there, without taking it, waiting only when there is nothing."""
        return self._piece[self._position :] if self._has_some() else b""

    def _has_some(self) -> bool:
        if self._position < len(self._piece):
            return True
        try:
            return self._response is not None and self._fill()
        except EngineError as error:
            self._failed(error, [], True)
            return False

    def readinto(self, buffer: Any) -> int:
        """Read into `buffer` until it is full, or the end."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def readinto1(self, buffer: Any) -> int:
        """Read into `buffer` what is there; 0 at the end."""
        view = memoryview(buffer).cast("B")
        data = self.read1(len(view)) if view else b""
        view[: len(data)] = data
        return len(data)

    def readline(self, limit: int | None = -1) -> bytes:
        """Read up to and with the next line feed, at most `limit` bytes, or to the end."""
        missing = -1 if limit is None else limit
        pieces: list[bytes] = []
        try:
            while missing and (self._position < len(self._piece) or (self._response is not None and self._fill())):
                start = self._position
                size = self._piece.find(b"\n", start) + 1 - start
                found = size > 0
                if not found:
                    size = len(self._piece) - start
                data = self._take(size if missing < 0 else min(size, missing))
                pieces.append(data)
                if found and len(data) == size:
                    break
                missing = missing - len(data) if missing > 0 else missing
        except EngineError as error:
            self._failed(error, pieces, True)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _framing(response: Response, method: str) -> tuple[int | None, bool]:
    """The length of a body, None where it is not announced, and whether it is chunked."""
    first = response.headers.first_values()
    coding = first.get("transfer-encoding")
    chunked = coding is not None and coding.lower() == "chunked"
    if method == "HEAD" or response.status in (204, 304):
        return 0, chunked
    length = None if coding is not None and "chunked" in coding.lower() else first.get("content-length")
    if length is None:
        return None, chunked
    try:
        number = int(length)
    except ValueError:
        return None, chunked
    return (number if number >= 0 else None), chunked
