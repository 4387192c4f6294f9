"""Requests and responses of the opening handshake (RFC 9112), as values that programs see, make and return.

The engine speaks HTTP on connections. `parse` is here for programs that call it: generators that yield while bytes are
missing and return the message.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import warnings
from collections.abc import Callable, Generator

from drivetrain.compat.websockets_api import version
from drivetrain.compat.websockets_api.datastructures import Headers
from drivetrain.compat.websockets_api.exceptions import (
    HeaderLineTooLong,
    RequestLineTooLong,
    SecurityError,
    StatusLineTooLong,
    TooManyHeaders,
)
from drivetrain.compat.websockets_api.originals import original_module

__all__ = [
    "MAX_BODY_SIZE",
    "MAX_LINE_LENGTH",
    "MAX_NUM_HEADERS",
    "PYTHON_VERSION",
    "SERVER",
    "USER_AGENT",
    "Request",
    "Response",
    "d",
    "parse_first_line",
    "parse_headers",
    "parse_line",
    "read_body",
]

_Reading = Generator[None, None, bytes | bytearray]
# With a limit in bytes, and what to raise beyond it.
_LimitedReader = Callable[[int, type[Exception]], _Reading]
_ExactReader = Callable[[int], _Reading]

PYTHON_VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"

# Where the original is, ours is not to be told from it.
_version = getattr(original_module("version"), "version", version.version)
_NAME = f"Python/{PYTHON_VERSION} websockets/{_version}"

USER_AGENT = os.environ.get("WEBSOCKETS_USER_AGENT", _NAME)
"""What clients call themselves unless they are told otherwise."""

SERVER = os.environ.get("WEBSOCKETS_SERVER", _NAME)
"""What servers call themselves unless they are told otherwise."""

MAX_NUM_HEADERS = int(os.environ.get("WEBSOCKETS_MAX_NUM_HEADERS", "128"))
"""How many header fields a message may have."""

MAX_LINE_LENGTH = int(os.environ.get("WEBSOCKETS_MAX_LINE_LENGTH", "8192"))
"""How long a line of a head may be, in bytes."""

MAX_BODY_SIZE = int(os.environ.get("WEBSOCKETS_MAX_BODY_SIZE", "1048576"))
"""How large the body of a refusal may be, in bytes."""

_token = re.compile(rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]+").fullmatch
_value = re.compile(rb"[\x09\x20-\x7e\x80-\xff]*").fullmatch
# No more digits than numbers of bytes can reasonably have.
_decimal = re.compile(rb"[0-9]{1,18}").fullmatch
_hexadecimal = re.compile(rb"[0-9a-fA-F]{1,15}").fullmatch


class _UnknownCodingError(NotImplementedError):
    """A transfer coding other than `chunked`."""


def d(value: bytes | bytearray) -> str:
    """Bytes as text, for an error message."""
    return value.decode(errors="backslashreplace")


@dataclasses.dataclass
class Request:
    """Request of an opening handshake.

    Attributes:
        path: with the query. Not decoded in any way.
        headers: its fields.
        method: GET, where it is to open a WebSocket.
        protocol: the version of HTTP.
    """

    path: str
    headers: Headers
    method: str = "GET"
    protocol: str = "HTTP/1.1"

    _exception: Exception | None = None

    @property
    def exception(self) -> Exception | None:
        """Deprecated: why the handshake failed."""
        text = "Request.exception is deprecated; use ServerProtocol.handshake_exc instead"
        warnings.warn(text, DeprecationWarning, stacklevel=1)
        return self._exception

    @classmethod
    def parse(cls, read_line: _LimitedReader) -> Generator[None, None, Request]:
        """Read the head of a request. Requests with a body are refused.

        Args:
            read_line: makes a generator that returns a line with its end.

        Raises:
            EOFError: the stream ends before the head does.
            SecurityError: one of its kinds: a line is too long, or there are too many.
            ValueError: it is not HTTP, or has a body; or, as UnicodeDecodeError, is not ASCII where it has to be.
            NotImplementedError: it has a transfer coding.
        """
        line = yield from parse_first_line(read_line, RequestLineTooLong, "request")
        method, path, protocol = line.split(b" ", 2)
        if protocol not in (b"HTTP/1.1", b"HTTP/1.0"):
            raise ValueError(f"unsupported protocol; expected HTTP/1.1 or HTTP/1.0: {d(line)}")
        names = method.decode("ascii"), protocol.decode("ascii")
        target = path.decode("ascii")

        headers = yield from parse_headers(read_line)
        if "Transfer-Encoding" in headers:
            raise _UnknownCodingError("transfer codings aren't supported")
        if any(length != "0" for length in headers.get_all("Content-Length")):
            raise ValueError("unsupported request body")
        return cls(target, headers, *names)

    def serialize(self) -> bytes:
        """The request as it is sent."""
        first = f"{self.method} {self.path} {self.protocol}\r\n"
        return first.encode("ascii") + self.headers.serialize()


@dataclasses.dataclass
class Response:
    """Response of an opening handshake.

    Attributes:
        status_code: 101 when the WebSocket is open.
        reason_phrase: words of the status line.
        headers: its fields.
        body: empty when the WebSocket is open.
    """

    status_code: int
    reason_phrase: str
    headers: Headers
    body: bytes | bytearray = b""

    _exception: Exception | None = None

    @property
    def exception(self) -> Exception | None:
        """Deprecated: why the handshake failed."""
        text = "Response.exception is deprecated; use ClientProtocol.handshake_exc instead"
        warnings.warn(text, DeprecationWarning, stacklevel=1)
        return self._exception

    @classmethod
    def parse(
        cls, read_line: _LimitedReader, read_exact: _ExactReader, read_to_eof: _LimitedReader, proxy: bool = False
    ) -> Generator[None, None, Response]:
        """Read a response with its body.

        Args:
            read_line: makes a generator that returns a line with its end.
            read_exact: makes a generator that returns so many bytes.
            read_to_eof: makes a generator that returns all until the stream ends.
            proxy: it answers CONNECT: no body is read, and HTTP/1.0 will do.

        Raises:
            EOFError: the stream ends before the response does.
            SecurityError: a line or the body is too long, or there are too many lines.
            ValueError: it is not HTTP.
            LookupError: a field that tells of the body's length is there several times.
            NotImplementedError: it has a transfer coding other than `chunked`.
        """
        line = yield from parse_first_line(read_line, StatusLineTooLong, "status")
        protocol, raw_code, raw_reason = line.split(b" ", 2)
        accepted = (b"HTTP/1.1", b"HTTP/1.0") if proxy else (b"HTTP/1.1",)
        if protocol not in accepted:
            expected = " or ".join(d(each) for each in accepted)
            raise ValueError(f"unsupported protocol; expected {expected}: {d(line)}")
        if not _decimal(raw_code):
            raise ValueError(f"invalid status code; expected integer; got {d(raw_code)}")
        code = int(raw_code)
        if not 100 <= code < 600:
            raise ValueError(f"invalid status code; expected 100–599; got {d(raw_code)}")
        if not _value(raw_reason):
            raise ValueError(f"invalid HTTP reason phrase: {d(raw_reason)}")

        headers = yield from parse_headers(read_line)
        body: bytes | bytearray = b""
        if not proxy:
            body = yield from read_body(code, headers, read_line, read_exact, read_to_eof)
        return cls(code, raw_reason.decode("iso-8859-1"), headers, body)

    def serialize(self) -> bytes:
        """The response as it is sent."""
        first = f"HTTP/1.1 {self.status_code} {self.reason_phrase}\r\n"
        return b"".join((first.encode("iso-8859-1"), self.headers.serialize(), self.body))


def parse_first_line(read_line: _LimitedReader, too_long_exc_type: type[Exception], name: str) -> _Reading:
    """Return the first line of a message, in which there are two spaces at least.

    Args:
        read_line: makes a generator that returns a line with its end.
        too_long_exc_type: what to raise when it is longer than `MAX_LINE_LENGTH`.
        name: `request` or `status`, for error messages.

    Raises:
        EOFError: the stream ends before the line does.
        ValueError: it is not such a line.
    """
    try:
        line = yield from parse_line(read_line, too_long_exc_type)
    except EOFError as error:
        raise EOFError(f"connection closed while reading HTTP {name} line") from error
    if line.count(b" ") < 2:
        raise ValueError(f"invalid HTTP {name} line: {d(line)}")
    return line


def parse_line(read_line: _LimitedReader, too_long_exc_type: type[Exception] = SecurityError) -> _Reading:
    """Return a line without its end.

    Args:
        read_line: makes a generator that returns a line with its end.
        too_long_exc_type: what to raise when it is longer than `MAX_LINE_LENGTH`.

    Raises:
        EOFError: the stream ends before the line does, or it does not end as lines of HTTP do.
    """
    line = yield from read_line(MAX_LINE_LENGTH, too_long_exc_type)
    if line[-2:] != b"\r\n":
        raise EOFError("line without CRLF")
    return line[:-2]


def parse_headers(read_line: _LimitedReader) -> Generator[None, None, Headers]:
    """Return the fields of a head, or of a trailer. A field that goes on in the next line is refused.

    Args:
        read_line: makes a generator that returns a line with its end.

    Raises:
        EOFError: the stream ends before the empty line.
        HeaderLineTooLong: a line is too long.
        TooManyHeaders: there are too many.
        ValueError: one is not a header field.
    """
    headers = Headers()
    for _ in range(MAX_NUM_HEADERS + 1):
        try:
            line = yield from parse_line(read_line, HeaderLineTooLong)
        except EOFError as error:
            raise EOFError("connection closed while reading HTTP headers") from error
        if not line:
            return headers
        name, colon, value = line.partition(b":")
        if not colon:
            raise ValueError(f"invalid HTTP header line: {d(line)}")
        if not _token(name):
            raise ValueError(f"invalid HTTP header name: {d(name)}")
        value = value.strip(b" \t")
        if not _value(value):
            raise ValueError(f"invalid HTTP header value: {d(value)}")
        headers.set_insecure(name.decode("ascii"), value.decode("iso-8859-1"))
    raise TooManyHeaders(f"expected no more than {MAX_NUM_HEADERS} headers")


def read_body(
    status_code: int,
    headers: Headers,
    read_line: _LimitedReader,
    read_exact: _ExactReader,
    read_to_eof: _LimitedReader,
) -> _Reading:
    """Return the body of a response to a GET request; what says how long it is stands in RFC 9112 section 6.3.

    Args:
        status_code: of the response.
        headers: of the response.
        read_line: makes a generator that returns a line with its end.
        read_exact: makes a generator that returns so many bytes.
        read_to_eof: makes a generator that returns all until the stream ends.
    """
    if status_code < 200 or status_code in (204, 304):
        return b""
    coding, length = headers.get("Transfer-Encoding"), None
    if coding is None:
        length = headers.get("Content-Length")
    elif coding == "chunked":
        return (yield from _read_chunks(read_line, read_exact))
    else:
        raise _UnknownCodingError(f"transfer coding {coding} isn't supported")
    if length is None:
        return (yield from read_to_eof(MAX_BODY_SIZE, SecurityError))
    if not _decimal(length.encode("iso-8859-1")):
        raise SecurityError(f"invalid content length: {length}")
    if int(length) > MAX_BODY_SIZE:
        raise SecurityError(f"body too large: {int(length)} bytes")
    return (yield from read_exact(int(length)))


def _read_chunks(read_line: _LimitedReader, read_exact: _ExactReader) -> _Reading:
    """Return a body that comes in chunks; its trailer is read and forgotten."""
    body = bytearray()
    while True:
        line = yield from parse_line(read_line, SecurityError)
        digits = line.partition(b";")[0]
        if not _hexadecimal(digits):
            raise SecurityError(f"invalid chunk size: {d(digits)}")
        size = int(digits, 16)
        if not size:
            break
        if len(body) + size > MAX_BODY_SIZE:
            raise SecurityError(f"chunk too large: {size} bytes after {len(body)} bytes")
        body += yield from read_exact(size)
        if (yield from read_exact(2)) != b"\r\n":
            raise ValueError("chunk without CRLF")
    yield from parse_headers(read_line)
    return bytes(body)
