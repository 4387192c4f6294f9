"""Deprecated, and gone from version 17 of the original: heads of messages, before `http11`, and `Headers`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator
from typing import Protocol, TypeVar

from drivetrain.compat.websockets_api import datastructures, http11
from drivetrain.compat.websockets_api.exceptions import SecurityError
from drivetrain.compat.websockets_api.streams import StreamReader

__all__ = ["Headers", "MultipleValuesError", "read_request", "read_response"]

T = TypeVar("T")

Headers = datastructures.Headers
MultipleValuesError = datastructures.MultipleValuesError

warnings.warn(
    "Headers and MultipleValuesError were moved from websockets.http to websockets.datastructures"
    "and read_request and read_response were moved from websockets.http to websockets.legacy.http",
    DeprecationWarning,
    stacklevel=1,
)


class _Stream(Protocol):
    """The part of `asyncio.StreamReader` that is used."""

    async def readline(self) -> bytes: ...


async def read_request(stream: _Stream) -> tuple[str, datastructures.Headers]:
    """Read the head of a GET request.

    Args:
        stream: an `asyncio.StreamReader`. Nothing is read that follows the head.

    Returns:
        What is asked for, and the header fields.

    Raises:
        EOFError: the stream ends before the head does.
        SecurityError: a line is too long, or there are too many.
        ValueError: it is not the head of such a request.
    """
    return await _drive(stream, _parse_request)


async def read_response(stream: _Stream) -> tuple[int, str, datastructures.Headers]:
    """Read the head of a response.

    Args:
        stream: as for `read_request`.

    Returns:
        Status, reason, and the header fields.

    Raises:
        EOFError: the stream ends before the head does.
        SecurityError: a line is too long, or there are too many.
        ValueError: it is not the head of a response.
    """
    return await _drive(stream, _parse_response)


async def _drive(stream: _Stream, parse: Callable[[StreamReader], Generator[None, None, T]]) -> T:
    """Give a generator the lines that it waits for, until it returns."""
    lines = StreamReader()
    parsing = parse(lines)
    while True:
        try:
            next(parsing)
        except StopIteration as stop:
            found: T = stop.value
            return found
        line = await stream.readline()
        if line:
            lines.feed_data(line)
        else:
            lines.feed_eof()


def _parse_request(lines: StreamReader) -> Generator[None, None, tuple[str, datastructures.Headers]]:
    first = yield from http11.parse_first_line(lines.read_line, SecurityError, "request")
    method, path, protocol = first.split(b" ", 2)
    if method != b"GET":
        raise ValueError(f"unsupported HTTP method: {http11.d(method)}")
    _check_version(protocol)
    target = path.decode("ascii", "surrogateescape")
    return target, (yield from http11.parse_headers(lines.read_line))


def _parse_response(lines: StreamReader) -> Generator[None, None, tuple[int, str, datastructures.Headers]]:
    first = yield from http11.parse_first_line(lines.read_line, SecurityError, "status")
    protocol, code, reason = first.split(b" ", 2)
    _check_version(protocol)
    if not (code.isdigit() and len(code) == 3 and code[:1] != b"0"):
        raise ValueError(f"invalid HTTP status code: {http11.d(code)}")
    words = reason.decode("iso-8859-1")
    if not datastructures.is_valid_header_value(words):
        raise ValueError(f"invalid HTTP reason phrase: {http11.d(reason)}")
    return int(code), words, (yield from http11.parse_headers(lines.read_line))


def _check_version(protocol: bytes | bytearray) -> None:
    if protocol != b"HTTP/1.1":
        raise ValueError(f"unsupported HTTP version: {http11.d(protocol)}")
