"""The receiving half of the HTTP/1 machine: bytes in, events out, the same events however the bytes were split.

Laws:

- `_step` is the state: the method that makes the next event, or None when it needs more bytes;
- a fault is final: it is raised again by every later call, so that nothing after it can be taken for a message;
- the connection's end inside a message is an error, never a short body;
- time is linear in the input and the stack does not grow with it: a step that has nothing to tell returns `_NOTHING`.

This half does not know what is sent; who may follow whom is `h1.H1Machine`'s business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NoReturn

from ..errors import EngineError, IncompleteMessage, LimitExceeded, RemoteProtocolError
from ..wire.codings import Inflater
from ..wire.h1_chunk import parse_chunk_line
from ..wire.h1_head import parse_fields
from ..wire.headers import Headers
from .h1_events import ConnectionEnded, DataReceived, EndReceived, Event
from .h1_framing import BodyKind, Framing
from .h1_limits import H1Limits

__all__ = ["H1Receiver"]

# How much a transfer coding may inflate into one event; the rest follows in further events.
_INFLATE_PIECE = 256 * 1024
_NO_TRAILERS = EndReceived(None)
# What a step returns that used up input without a result, e.g. a piece of gzip that gave no output yet.
_NOTHING: Event = DataReceived(b"")

# Members of the enumeration, which are slow to look up, for every message looks at several.
_NONE, _LENGTH, _CHUNKED = BodyKind.NONE, BodyKind.LENGTH, BodyKind.CHUNKED

_Step = Callable[[], Event | None]


class H1Receiver(ABC):
    """Turns bytes into events. Base of `H1Machine`, which the roles complete.

    Attributes:
        limits: bounds on the peer's input; may be replaced, for what is read from then on.
        ended: whether the peer ended its side.
    """

    def __init__(self, limits: H1Limits) -> None:
        self.limits = limits
        self.ended = False
        self._data: bytes | bytearray = b""
        self._position = 0
        self._scanned = 0
        self._step: _Step = self._read_head
        self._fault: EngineError | None = None
        self._body_kind = _NONE
        self._remaining = 0
        self._chunk_size = 0
        self._extensions = 0
        self._inflater: Inflater | None = None
        self._body_size = 0

    # -- input ---------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take what came from the peer; b"" says that it ended its side."""
        if not data:
            self.ended = True
        elif self._position == len(self._data):
            self._data = data
            self._position = self._scanned = 0
        else:
            if not isinstance(self._data, bytearray) or self._position:
                self._data = bytearray(memoryview(self._data)[self._position :])
                self._scanned = max(0, self._scanned - self._position)
                self._position = 0
            self._data += data

    def next_event(self) -> Event | None:
        """Return what happened next, or None when more bytes must come first.

        Raises:
            RemoteProtocolError: the peer broke the protocol; so does every later call.
        """
        if self._fault is not None:
            raise self._fault
        try:
            event = self._step()
            while event is _NOTHING:
                event = self._step()
            return event
        except EngineError as error:
            self._fault = error
            raise

    @property
    def body_kind(self) -> BodyKind:
        """How the end is told of the message that is being received, or was received last."""
        return self._body_kind

    @property
    def buffered(self) -> int:
        """How many received bytes no event has covered yet."""
        return len(self._data) - self._position

    @property
    def awaits_head(self) -> bool:
        """Whether `next_event` would certainly return None: a head is next, and no byte of it has come."""
        return False

    def take_buffered(self) -> bytes:
        """Take the bytes that no event has covered: what follows an upgrade, or what a caller reads by hand."""
        rest = bytes(memoryview(self._data)[self._position :])
        self._data = b""
        self._position = self._scanned = 0
        return rest

    def put_back(self, data: bytes) -> None:
        """Put bytes in front of what is buffered, as if they had not been read."""
        rest = self.take_buffered()
        self._data = data + rest

    @property
    def body_is_over(self) -> bool:
        """Whether the last byte of a body of known length was reported, and only its end is still to be."""
        return self._body_kind is _LENGTH and not self._remaining and self._step == self._end_message

    @property
    def chunk_left(self) -> int:
        """How much of the present chunk is still to be handed over; 0 in bodies that do not come in chunks."""
        return self._remaining if self._body_kind is _CHUNKED and self._inflater is None else 0

    def take_whole_body(self) -> bytes | None:
        """Take the body in one piece and with it the end of the message, if its length is known and all of it has come.

        The same as going through the events, in one step. None, and nothing taken, where it does not apply.
        """
        remaining = self._remaining
        if self._body_kind is not _LENGTH or not 0 < remaining <= len(self._data) - self._position:
            return None
        if self._fault is not None:
            return None
        self._remaining = 0
        data, start = self._data, self._position
        end = self._position = start + remaining
        # As `_end_message`, where nobody is told.
        self._step = self._read_head
        self._scanned = 0
        self._message_ended()
        return data[start:end] if type(data) is bytes else bytes(memoryview(data)[start:end])

    # -- heads ---------------------------------------------------------------------------------------------------------

    @abstractmethod
    def _head_received(self, text: str) -> Event:
        """Parse a complete head: start line and field lines, each with its CRLF, and begin the body it announces."""

    @abstractmethod
    def _message_ended(self) -> None:
        """Told when a message is complete; a role decides here what may follow."""

    def _ended_between_messages(self) -> Event:
        """The peer ended its side and no byte is left over."""
        return ConnectionEnded()

    def _read_head(self) -> Event | None:
        data, start = self._data, self._position
        if start == len(data) and not self.ended:
            return None
        end = data.find(b"\r\n\r\n", max(start, self._scanned - 3)) + 4
        if end < 4:
            return self._head_incomplete()
        size = end - start
        if size > self.limits.max_line or size > self.limits.max_head:
            self._check_section(end, self.limits.max_head, True)
        text = data[start : end - 2].decode("latin-1")
        self._position = end
        try:
            return self._head_received(text)
        except RemoteProtocolError:
            # Had the head come in pieces, this would have been noticed first.
            if text.count("\n") != text.count("\r\n"):
                raise RemoteProtocolError("bare LF in a header section") from None
            raise

    def _head_incomplete(self) -> Event | None:
        size = len(self._data)
        self._check_section(size, self.limits.max_head, True)
        if self.ended:
            if self._position == size:
                return self._ended_between_messages()
            raise IncompleteMessage("the connection ended inside a header section")
        self._scanned = size
        return None

    def _check_section(self, stop: int, max_size: int, is_head: bool) -> None:
        """Refuse, in the data up to `stop`, line ends without CR and what passes the limits.

        The fault that comes first in the data is the one reported, so that pieces make no difference. Without this a
        peer that ends its lines with LF alone would be waited for until the deadline.
        """
        data, start, max_line = self._data, self._position, self.limits.max_line
        section = "header" if is_head else "trailer"
        line = max(data.rfind(b"\n", start, max(start, self._scanned)) + 1, start)
        while True:
            at = data.find(b"\n", line, stop)
            line_fault, size_fault = line + max_line + 1, start + max_size  # where the first byte too many stands
            too_long = (stop if at < 0 else at) > line_fault
            if (stop - 1 if at < 0 else at) >= size_fault and not (too_long and line_fault < size_fault):
                raise LimitExceeded(f"{section} section longer than {max_size} bytes", 431)
            if too_long:
                what, status = ("start", 414) if is_head and line == start else ("field", 431)
                raise LimitExceeded(f"{what} line longer than {max_line} bytes", status)
            if at < 0:
                return
            if at == line or data[at - 1] != 0x0D:
                raise RemoteProtocolError(f"bare LF in a {section} section")
            line = at + 1

    def _parse_fields(self, text: str, start: int) -> list[tuple[str, str]]:
        fields = parse_fields(text, start)
        if len(fields) > self.limits.max_fields:
            self._refuse_fields()
        return fields

    def _refuse_fields(self) -> NoReturn:
        raise LimitExceeded(f"more than {self.limits.max_fields} field lines", 431, "field count")

    # -- bodies --------------------------------------------------------------------------------------------------------

    def _begin_body(self, framing: Framing) -> None:
        kind = self._body_kind = framing.kind
        self._body_size = 0
        if kind is _LENGTH:
            self._begin_length(framing.length)
        elif kind is _NONE:
            self._step = self._end_message
        elif kind is _CHUNKED:
            self._extensions = 0
            self._step = self._read_chunk_line
        else:
            self._step = self._read_till_close
        if framing.coding is not None:
            self._inflater = Inflater(framing.coding, strict=True)

    def _begin_length(self, length: int) -> None:
        """`_begin_body` of a body of known length, with nothing else to it."""
        self._body_kind = _LENGTH
        self._body_size = 0
        if self.limits.max_body is not None:
            self._count_body(length)
        self._remaining = length
        self._step = self._read_by_length if length else self._end_message

    def _count_body(self, size: int) -> None:
        self._body_size += size
        limit = self.limits.max_body
        if limit is not None and self._body_size > limit:
            raise LimitExceeded(f"body longer than {limit} bytes", 413)

    def _take(self, limit: int) -> bytes:
        data, start = self._data, self._position
        available = len(data) - start
        if not start and available <= limit and type(data) is bytes:
            self._position = available
            return data
        end = start + min(available, limit)
        self._position = end
        return bytes(memoryview(data)[start:end])

    def _read_by_length(self) -> Event | None:
        if self._position == len(self._data):
            if self.ended:
                raise IncompleteMessage(f"the connection ended {self._remaining} bytes before the end of the body")
            return None
        piece = self._take(self._remaining)
        self._remaining -= len(piece)
        if not self._remaining:
            self._step = self._end_message
        return DataReceived(piece)

    def _read_till_close(self) -> Event | None:
        if self._position < len(self._data):
            return self._decoded(self._take(len(self._data)))
        if self.ended:
            self._finish_coding()
            return self._end_message()
        return None

    def _read_switched(self) -> Event | None:
        """Hand over what follows a switch of protocols as data, until the connection ends."""
        if self._position < len(self._data):
            return DataReceived(self._take(len(self._data)))
        return ConnectionEnded() if self.ended else None

    def _read_chunk_line(self) -> Event | None:
        data, start = self._data, self._position
        end = data.find(b"\n", start)
        limit = self.limits.max_line
        if (len(data) if end < 0 else end) - start > limit + 1:
            raise LimitExceeded(f"chunk-size line longer than {limit} bytes")
        if end < 0:
            if self.ended:
                raise IncompleteMessage("the connection ended inside a chunked body")
            return None
        size, extensions = self._parse_chunk_line(bytes(data[start:end]))
        self._extensions += len(extensions)
        if self._extensions > self.limits.max_chunk_extensions:
            raise LimitExceeded(f"more than {self.limits.max_chunk_extensions} bytes of chunk extensions")
        self._position = end + 1
        self._remaining = self._chunk_size = size
        self._step = self._read_chunk_data if self._remaining else self._last_chunk
        return self._step()

    def _parse_chunk_line(self, line: bytes) -> tuple[int, str]:
        """Parse a chunk-size line without its LF; see `parse_chunk_line`."""
        if line[-1:] != b"\r":
            raise RemoteProtocolError("bare LF in a chunk-size line")
        return parse_chunk_line(line[:-1].decode("latin-1"))

    def _read_chunk_data(self) -> Event | None:
        if self._position == len(self._data):
            if self.ended:
                raise self._cut_chunk("the connection ended inside a chunk", self._remaining, self._chunk_size)
            return None
        piece = self._take(self._remaining)
        self._remaining -= len(piece)
        if not self._remaining:
            self._step = self._read_chunk_end
        return self._decoded(piece)

    def _read_chunk_end(self) -> Event | None:
        data, start = self._data, self._position
        ending = data[start : start + 2]
        if ending == b"\r\n":
            self._position = start + 2
            self._step = self._read_chunk_line
            return self._read_chunk_line()
        if ending not in (b"", b"\r"):
            raise RemoteProtocolError("a chunk does not end where its size says")
        if self.ended:
            raise self._cut_chunk("the connection ended inside a chunked body", 2 - len(ending), 2)
        return None

    @staticmethod
    def _cut_chunk(message: str, missing: int, size: int) -> IncompleteMessage:
        error = IncompleteMessage(message)
        error.missing, error.present = missing, size - missing
        return error

    def _last_chunk(self) -> Event | None:
        self._scanned = 0
        self._step = self._read_trailers
        self._finish_coding()
        return self._read_trailers()

    def _read_trailers(self) -> Event | None:
        data, start = self._data, self._position
        if data[start : start + 2] == b"\r\n":
            self._position = start + 2
            return self._end_message()
        end = data.find(b"\r\n\r\n", max(start, self._scanned - 3)) + 4
        self._check_section(end if end >= 4 else len(data), self.limits.max_trailers, False)
        if end < 4:
            if self.ended:
                raise IncompleteMessage("the connection ended inside a trailer section", part="trailers")
            self._scanned = len(data)
            return None
        text = data[start : end - 2].decode("latin-1")
        self._position = end
        return self._end_message(Headers.adopt(self._parse_fields(text, 0)))

    def _end_message(self, trailers: Headers | None = None) -> Event:
        self._step = self._read_head
        self._scanned = 0
        self._message_ended()
        return _NO_TRAILERS if trailers is None else EndReceived(trailers)

    # -- transfer codings other than chunked ---------------------------------------------------------------------------

    def _decoded(self, piece: bytes) -> Event | None:
        if self._inflater is None:
            self._count_body(len(piece))
            return DataReceived(piece)
        return self._inflate(self._inflater, piece, self._step)

    def _inflate(self, inflater: Inflater, piece: bytes, resume: _Step) -> Event | None:
        """Remove the coding from `piece`; while output is held back, the state stays here."""
        output = inflater.decode(piece, _INFLATE_PIECE)
        self._count_body(len(output))
        self._step = (lambda: self._inflate(inflater, b"", resume)) if inflater.has_pending else resume
        return DataReceived(output) if output else _NOTHING

    def _finish_coding(self) -> None:
        inflater, self._inflater = self._inflater, None
        if inflater is not None:
            inflater.finish()
