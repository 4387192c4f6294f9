"""Where a message's body ends: RFC 9112 section 6, in the reading that leaves no room for smuggling.

What the RFC lets a recipient choose is decided so, for both roles unless said:

- Transfer-Encoding together with Content-Length is refused, never repaired;
- a Content-Length is one run of digits: no sign, no list, no differing repeats; a server also refuses equal repeats,
  a client takes them as one (some old servers behind caches repeat the line);
- "chunked" comes once and last. A server needs it there; a client takes a response with other codings only as one that
  ends with the connection, as RFC 9112 section 6.3 says;
- codings other than chunked and one of gzip, x-gzip and deflate are refused, by a server with 501 ("identity" too, which
  RFC 7230 took out); empty list elements are skipped as RFC 9110 section 5.6.1 demands;
- Transfer-Encoding in an HTTP/1.0 request is refused; in an HTTP/1.0 response it is obeyed and the connection not reused.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from ..errors import LocalProtocolError, RemoteProtocolError
from ..wire.h1_odd_head import parse_odd_length
from ..wire.headers import Headers

__all__ = [
    "BodyKind",
    "Framing",
    "connection_options",
    "frame_odd_response",
    "frame_request",
    "frame_response",
    "outgoing_length",
    "plain_length",
    "transfer_codings",
]

_IS_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII).fullmatch
# What makes a response one that has no body whatever its fields say, or that ends the messages.
_WITHOUT_BODY = frozenset({"101", "204", "304"})
_ODD_METHODS = frozenset({"CONNECT", "HEAD"})
_KNOWN_CODINGS = frozenset({"chunked", "gzip", "x-gzip", "deflate"})


class BodyKind(Enum):
    """How the end of a body is told."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"
    TUNNEL = "tunnel"


class Framing(NamedTuple):
    """A body's kind, its length in bytes (LENGTH only), and the compression to remove below chunked, if any."""

    kind: BodyKind
    length: int = 0
    coding: str | None = None


_LENGTH = BodyKind.LENGTH
_NO_BODY = Framing(BodyKind.NONE)
_UNTIL_CLOSE = Framing(BodyKind.CLOSE)
_TUNNEL = Framing(BodyKind.TUNNEL)
_CHUNKED = Framing(BodyKind.CHUNKED)


def frame_response(headers: Headers, method: str, status: str) -> Framing:
    """Decide how the body of a response to `method` ends (RFC 9112 section 6.3).

    Raises:
        RemoteProtocolError: the head contradicts itself or names a coding that cannot be removed.
    """
    if method == "CONNECT" and status[0] == "2":
        return _TUNNEL
    if method == "HEAD" or status == "304" or status == "204":
        return _NO_BODY
    first = headers.first_values()
    if "transfer-encoding" in first:
        if "content-length" in first:
            raise RemoteProtocolError("response has both Transfer-Encoding and Content-Length", part="length")
        coding, chunked = transfer_codings(headers.get_as_sequence("transfer-encoding"))
        if chunked:
            return Framing(BodyKind.CHUNKED, 0, coding) if coding else _CHUNKED
        return Framing(BodyKind.CLOSE, 0, coding)
    length = first.get("content-length")
    if length is None:
        return _UNTIL_CLOSE
    if len(first) != len(headers.raw_fields()) or not _IS_LENGTH(length):  # some name is repeated, or all is not well
        return Framing(_LENGTH, _incoming_length(headers.get_as_sequence("content-length"), repeats_allowed=True))
    return Framing(_LENGTH, int(length))


def plain_length(first: dict[str, str], method: str, status: str) -> int | None:
    """The length of a response's body as most tell it; None where `frame_response` has to find out how it ends.

    Args:
        first: all fields of the head by their lower-case names, none of which is repeated.
    """
    length = first.get("content-length")
    if length is None or status in _WITHOUT_BODY or method in _ODD_METHODS or "transfer-encoding" in first:
        return None
    return int(length) if _IS_LENGTH(length) else None


def frame_odd_response(headers: Headers) -> Framing:
    """Decide how a body ends for which `frame_response` has no answer, as `http.client` and urllib3 decide it.

    Nothing may follow such a response on its connection.

    Raises:
        RemoteProtocolError: it says in two ways how long it is.
    """
    codings = ",".join(headers.get_as_sequence("transfer-encoding")).lower().split(",")
    if any(coding.strip() == "chunked" for coding in codings):
        return _CHUNKED
    values = headers.get_as_sequence("content-length")
    lengths = {parse_odd_length(part) for value in values for part in value.split(",")}
    if len(lengths) > 1:
        raise RemoteProtocolError("differing Content-Length fields", part="length")
    length = lengths.pop() if lengths else None
    return _UNTIL_CLOSE if length is None else Framing(BodyKind.LENGTH, length)


def frame_request(headers: Headers, version: float) -> Framing:
    """Decide how the body of a request ends; raises `RemoteProtocolError` with the status to refuse it with."""
    first = headers.first_values()
    if "transfer-encoding" in first:
        if "content-length" in first:
            raise RemoteProtocolError("request has both Transfer-Encoding and Content-Length")
        if version == 1.0:
            raise RemoteProtocolError("Transfer-Encoding in an HTTP/1.0 request")
        coding, chunked = transfer_codings(headers.get_as_sequence("transfer-encoding"))
        if not chunked:
            raise RemoteProtocolError("the last transfer coding of a request is not chunked")
        return Framing(BodyKind.CHUNKED, 0, coding) if coding else _CHUNKED
    if "content-length" in first:
        length = _incoming_length(headers.get_as_sequence("content-length"), repeats_allowed=False)
        return Framing(BodyKind.LENGTH, length) if length else _NO_BODY
    return _NO_BODY


def transfer_codings(values: list[str]) -> tuple[str | None, bool]:
    """Split Transfer-Encoding values into (the compression applied before chunked, if any; whether chunked is there).

    Raises:
        RemoteProtocolError: an unknown coding (status 501), more than one compression, or chunked twice or not last.
    """
    codings = [coding.strip(" \t").lower() for coding in ",".join(values).split(",")]
    codings = [coding for coding in codings if coding]
    for coding in codings:
        if coding not in _KNOWN_CODINGS:
            raise RemoteProtocolError(f"unknown transfer coding {coding[:40]!r}", 501)
    if not codings:
        raise RemoteProtocolError("empty Transfer-Encoding")
    chunked = codings.count("chunked")
    if chunked > 1:
        raise RemoteProtocolError("chunked is applied more than once")
    if chunked and codings[-1] != "chunked":
        raise RemoteProtocolError("chunked is not the last transfer coding")
    if len(codings) - chunked > 1:
        # Each layer multiplies what a few bytes can grow into, and nobody sends two.
        raise RemoteProtocolError("more than one compression as transfer coding", 501)
    return (codings[0] if len(codings) > chunked else None), bool(chunked)


def _incoming_length(values: list[str], repeats_allowed: bool) -> int:
    value = values[0]
    if not _IS_LENGTH(value):
        raise RemoteProtocolError(f"malformed Content-Length {value[:40]!r}", part="length")
    if len(values) > 1:
        if any(other != value for other in values):
            raise RemoteProtocolError("differing Content-Length fields", part="length")
        if not repeats_allowed:
            raise RemoteProtocolError("repeated Content-Length field", part="length")
    return int(value)


def outgoing_length(headers: Headers) -> int | None:
    """The Content-Length this side is about to send, None without one; raises `LocalProtocolError` when it is malformed."""
    if "content-length" not in headers.first_values():
        return None
    values = headers.get_as_sequence("content-length")
    if len(values) > 1 or not _IS_LENGTH(values[0]):
        raise LocalProtocolError(f"malformed Content-Length: {', '.join(values)[:60]!r}")
    return int(values[0])


def connection_options(headers: Headers) -> frozenset[str] | None:
    """The options of the Connection field in lower case, None without the field (RFC 9110 section 7.6.1)."""
    if "connection" not in headers.first_values():
        return None
    value = ",".join(headers.get_as_sequence("connection"))
    return _split_options(value) if len(value) < 64 else _split_options.__wrapped__(value)


@lru_cache(64)  # of short values only: a peer must not fill the memory
def _split_options(value: str) -> frozenset[str]:
    return frozenset(option.strip(" \t").lower() for option in value.split(","))
