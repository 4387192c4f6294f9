"""The sending half of the HTTP/1 machine: headers and data in, bytes out, and a refusal before anything wrong is sent.

Laws:

- one message at a time: head, data, end; what does not fit the announced framing raises `LocalProtocolError` and
  changes nothing, so that what was announced can still be sent;
- the framing is chosen once, when the head is sent (RFC 9112 section 6.1): the caller's own Transfer-Encoding or
  Content-Length, else chunked where the recipient understands it, else (responses only) the connection's end;
- fields added here stand after the caller's, so that a caller who sets everything decides every byte.
"""

from __future__ import annotations

from enum import Enum

from ..errors import LocalProtocolError, RemoteProtocolError
from ..wire.codings import Deflater
from ..wire.h1_chunk import format_chunk
from ..wire.h1_head import Field, encode_head, format_fields
from ..wire.headers import Headers
from .h1_framing import BodyKind, outgoing_length, transfer_codings

__all__ = ["H1Sender", "SendState"]

_LAST_CHUNK = b"0\r\n\r\n"
# RFC 9110 section 6.5.1: what must be known before the content is, so framing, routing, authentication, request modifiers
# and content format, means nothing in a trailer section, and something dangerous to recipients that merge it.
_NOT_IN_TRAILERS = frozenset(
    (
        *("connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"),
        *("authorization", "cookie", "host", "proxy-authorization", "proxy-connection", "set-cookie"),
        *("cache-control", "expect", "max-forwards", "pragma", "range"),
        *("if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since"),
        *("content-encoding", "content-range", "content-type"),
    )
)


class SendState(Enum):
    """Where the outgoing message stands."""

    IDLE = "idle"
    BODY = "body"
    TUNNEL = "tunnel"
    CLOSED = "closed"


class H1Sender:
    """Frames one outgoing message after the other. Used by `H1Machine`."""

    def __init__(self) -> None:
        self.state = SendState.IDLE
        self._kind = BodyKind.NONE
        self._remaining = 0
        self._may_be_missing = False
        self._deflater: Deflater | None = None

    # -- choosing the framing ------------------------------------------------------------------------------------------

    def choose_framing(self, headers: Headers, *, chunked_allowed: bool, close_allowed: bool) -> BodyKind:
        """Pick how the end of the coming body is told, from the caller's fields first.

        Raises:
            LocalProtocolError: the fields contradict each other, or there is no way to tell the end.
        """
        length = outgoing_length(headers)
        if "transfer-encoding" in headers.first_values():
            if length is not None:
                raise LocalProtocolError("both Transfer-Encoding and Content-Length")
            if not chunked_allowed:
                raise LocalProtocolError("Transfer-Encoding to an HTTP/1.0 peer")
            self._deflater = _deflater_for(headers.get_as_sequence("transfer-encoding"))
            return BodyKind.CHUNKED
        self._deflater = None
        if length is not None:
            self._remaining = length
            return BodyKind.LENGTH
        if chunked_allowed:
            return BodyKind.CHUNKED
        if close_allowed:
            return BodyKind.CLOSE
        raise LocalProtocolError("an HTTP/1.0 request body needs a Content-Length")

    def compress(self, coding: str) -> None:
        """Apply a compression below chunked to the coming body; the caller announces it."""
        self._deflater = Deflater(coding)

    def begin(self, kind: BodyKind, may_be_missing: bool = False) -> None:
        """Enter the body. With `may_be_missing` a Content-Length only describes (HEAD, 304) and no data may follow."""
        self._kind = kind
        self._may_be_missing = may_be_missing
        self.state = SendState.TUNNEL if kind is BodyKind.TUNNEL else SendState.BODY

    # -- the body ------------------------------------------------------------------------------------------------------

    def data(self, data: bytes) -> bytes:
        """Frame a piece of the body. With a transfer coding it is flushed: what was given can be decoded by the peer.

        Raises:
            LocalProtocolError: it has no place in the message.
        """
        if self.state is not SendState.BODY and self.state is not SendState.TUNNEL:
            raise LocalProtocolError("no message is open for data")
        kind = self._kind
        if kind is BodyKind.LENGTH:
            size = len(data)
            if size > self._remaining or (self._may_be_missing and size):
                raise LocalProtocolError("more data than the head announced")
            self._remaining -= size
            return data
        if kind is BodyKind.CHUNKED:
            if self._deflater is not None and data:
                data = self._deflater.encode(data) + self._deflater.flush()
            return format_chunk(data) if data else b""
        if kind is BodyKind.NONE and data:
            raise LocalProtocolError("this message has no body")
        return data

    def end(self, trailers: Headers | None = None) -> bytes:
        """Finish the message and return the bytes that say so.

        Raises:
            LocalProtocolError: data is missing, or there are trailers on a body that is not chunked, or such as must not
                be trailers.
            InvalidHeader: a trailer must not go on the wire.
        """
        if self.state is not SendState.BODY:
            raise LocalProtocolError("no message is open")
        if self._kind is BodyKind.CHUNKED:
            tail = encode_head(f"0\r\n{_format_trailers(trailers)}\r\n") if trailers else _LAST_CHUNK
            self.state = SendState.IDLE
            return tail if self._deflater is None else self._finish_coding() + tail
        if trailers:
            raise LocalProtocolError("trailers need a chunked body")
        if self._kind is BodyKind.LENGTH and self._remaining and not self._may_be_missing:
            raise LocalProtocolError(f"the body ended {self._remaining} bytes before its Content-Length")
        self.state = SendState.CLOSED if self._kind is BodyKind.CLOSE else SendState.IDLE
        return b""

    def abort(self) -> None:
        """Nothing may be sent any more."""
        self.state = SendState.CLOSED

    def _finish_coding(self) -> bytes:
        deflater, self._deflater = self._deflater, None
        tail = deflater.finish() if deflater is not None else b""
        return format_chunk(tail) if tail else b""


def _deflater_for(encoding: list[str]) -> Deflater | None:
    """What applies the codings of the caller's own Transfer-Encoding below chunked, None for chunked alone."""
    try:
        coding, chunked = transfer_codings(encoding)
    except RemoteProtocolError as error:
        raise LocalProtocolError(str(error)) from None
    if not chunked:
        raise LocalProtocolError("the last transfer coding is not chunked")
    return Deflater(coding) if coding else None


def _format_trailers(trailers: Headers) -> str:
    fields: list[Field] = trailers.raw_fields()
    for name, _ in fields:
        if name[:1] == ":" or name.lower() in _NOT_IN_TRAILERS:
            raise LocalProtocolError(f"field {name!r} cannot be a trailer")
    return format_fields(fields)
