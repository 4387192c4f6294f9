"""Streaming codecs of the codings gzip and deflate (RFC 9110 section 8.4.1), for transfer and content codings alike.

Laws:

- the pieces in which the input comes make no difference to the output;
- the work and the memory of one call are bounded: with `max_length` a small input cannot blow up, and the rest waits;
- a stream that ends early or holds garbage is `DecodingError`, never a short result;
- "deflate" is the zlib format; raw deflate data, which some servers send under that name, is told apart by its first
  bytes.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable

from ..errors import ClosedError, DecodingError, UsageError

__all__ = ["CODINGS", "Deflater", "Inflater", "deflate", "inflate"]

CODINGS = frozenset(("gzip", "x-gzip", "deflate"))
"""Names of the codings that `Inflater` and `Deflater` know, in lower case."""

_GZIP_WBITS = 16 + zlib.MAX_WBITS
_ZLIB_WBITS = zlib.MAX_WBITS
_RAW_WBITS = -zlib.MAX_WBITS

# zlib copies the input that it did not use. So that many tiny gzip members, or many bounded calls on one big input, do
# not copy the whole rest each time, it is fed in pieces; a new member starts with a small piece that grows.
_PADDING = re.compile(rb"\0+")
_FIRST_PIECE = 512
_MAX_PIECE = 65536


def _coding(name: str) -> str:
    coding = name.lower()
    if coding not in CODINGS:
        raise UsageError(f"unknown coding {name!r}: this codec knows gzip, x-gzip and deflate")
    return "deflate" if coding == "deflate" else "gzip"


class Inflater:
    """Decodes one stream. Gzip may have several members, one after the other.

    Args:
        coding: "gzip", "x-gzip" or "deflate", in any case.
        strict: for transfer codings: refuse an empty input, and anything but zero bytes after the end. Otherwise, as
            browsers do with content, an input without a byte is an empty body, and what follows the end is ignored.

    Raises:
        UsageError: another coding.
    """

    __slots__ = (
        "_at_end",
        "_decoder",
        "_failed",
        "_full",
        "_garbage",
        "_input",
        "_piece",
        "_started",
        "coding",
        "strict",
    )

    def __init__(self, coding: str, *, strict: bool = False) -> None:
        self.coding = _coding(coding)
        self.strict = strict
        self._input = b""  # compressed input not looked at yet
        self._decoder: zlib._Decompress | None = None  # None before the start and between members
        self._piece = _MAX_PIECE
        self._started = False  # whether there was any input
        self._at_end = False  # whether a whole member has been read and no other has begun
        self._garbage = False  # whether input after the end is being ignored
        self._full = False  # whether the last call stopped because of max_length
        self._failed = ""

    @property
    def has_pending(self) -> bool:
        """Whether `decode(b"", max_length)` may return more without further input."""
        return self._full

    @property
    def unconsumed(self) -> bytes:
        """Compressed input that is kept for the next call."""
        return self._input

    @property
    def at_end(self) -> bool:
        """Whether the stream is complete as far as it has been read; for gzip another member may still follow."""
        return self._at_end and not self._full

    def decode(self, data: bytes, max_length: int = 0) -> bytes:
        """Take in `data` and return what it decodes to.

        Args:
            data: the next piece of the stream; may be empty.
            max_length: the most bytes to return, 0 for no limit. Past it, `has_pending` is true and the rest comes from
                further calls, e.g. with b"".

        Raises:
            DecodingError: the stream is corrupt; every later call raises it again.
        """
        if max_length < 0:
            raise UsageError(f"max_length is {max_length}: it must be 0 or more")
        if self._failed:
            raise DecodingError(self._failed)
        if data:
            self._started = True
            self._input = self._input + data if self._input else bytes(data)
        self._full = False
        try:
            return self._run(max_length)
        except zlib.error as error:
            raise self._fail(f"corrupt {self.coding} data: {error}") from error

    def finish(self) -> None:
        """Say that the input has ended.

        Raises:
            DecodingError: the stream is cut short; in strict mode also: it is empty, or there is garbage after its end.
            UsageError: there is decoded output left to fetch.
        """
        if self._failed:
            raise DecodingError(self._failed)
        if self._full:
            raise UsageError("finish() before the pending output was read")
        if self._at_end:
            if self._input and self.strict:  # a lone first byte of what could have been another gzip member
                raise self._fail(f"garbage after the end of the {self.coding} data")
            return
        if self._started or self.strict:
            raise self._fail(f"{self.coding} data is cut short")

    def _fail(self, message: str) -> DecodingError:
        self._failed = message
        self._input = b""
        self._decoder = None
        return DecodingError(message)

    def _run(self, max_length: int) -> bytes:
        source = self._input
        position = 0
        output: list[bytes] = []
        room = max_length
        while True:
            if self._decoder is None:
                position = self._begin(source, position)
                if self._decoder is None:
                    break
            piece = source[position : position + self._piece]
            decoded = self._decoder.decompress(piece, room)
            if decoded:
                output.append(decoded)
            eof = self._decoder.eof
            # At the end `unconsumed_tail` may hold a copy of `unused_data`: only one of them counts.
            position += len(piece) - len(self._decoder.unused_data if eof else self._decoder.unconsumed_tail)
            if eof:
                self._decoder = None
                self._at_end = True
                self._piece = _FIRST_PIECE
            else:
                self._piece = min(self._piece * 2, _MAX_PIECE)
            if max_length:
                room -= len(decoded)
                if not room:
                    # The decoder may hold output back even when it has taken all its input.
                    self._full = self._decoder is not None or position < len(source)
                    break
            if self._decoder is not None and position >= len(source):
                break
        self._input = source[position:]
        return output[0] if len(output) == 1 else b"".join(output)

    def _begin(self, source: bytes, position: int) -> int:
        """Start the stream or its next member at `position`, if the input says enough, and return where to go on."""
        if self._at_end:
            return self._begin_again(source, position)
        if position >= len(source):
            return position
        if self.coding == "gzip":
            wbits = _GZIP_WBITS
        else:
            # RFC 1950: the method 8 in the low half byte, and both bytes as a number divisible by 31.
            if source[position] & 0x0F == 8 and len(source) < position + 2:
                return position
            is_zlib = source[position] & 0x0F == 8 and int.from_bytes(source[position : position + 2], "big") % 31 == 0
            wbits = _ZLIB_WBITS if is_zlib else _RAW_WBITS
        self._decoder = zlib.decompressobj(wbits)
        return position

    def _begin_again(self, source: bytes, position: int) -> int:
        if self._garbage:
            return len(source)
        size = len(source)
        padding = _PADDING.match(source, position)
        if padding:
            position = padding.end()
        if position == size:
            return position
        if self.coding == "gzip" and b"\x1f\x8b".startswith(source[position : position + 2]):
            if position + 2 <= size:
                self._decoder = zlib.decompressobj(_GZIP_WBITS)
                self._at_end = False
            return position
        if self.strict:
            raise self._fail(f"garbage after the end of the {self.coding} data")
        self._garbage = True
        return size


class Deflater:
    """Encodes one stream.

    Args:
        coding: "gzip", "x-gzip" or "deflate" (the zlib format), in any case.
        level: 0 (none) to 9 (best), -1 for zlib's default.

    Raises:
        UsageError: another coding or level.
    """

    __slots__ = ("_encoder", "coding")

    def __init__(self, coding: str, level: int = -1) -> None:
        self.coding = _coding(coding)
        if not -1 <= level <= 9:
            raise UsageError(f"compression level {level} is not in the range from -1 to 9")
        wbits = _GZIP_WBITS if self.coding == "gzip" else _ZLIB_WBITS
        self._encoder: zlib._Compress | None = zlib.compressobj(level, zlib.DEFLATED, wbits)

    def encode(self, data: bytes | bytearray | memoryview) -> bytes:
        """Take in `data` and return what is ready of the encoded stream, often b"".

        Raises:
            ClosedError: after `finish`.
        """
        return self._open().compress(data)

    def flush(self) -> bytes:
        """Return everything that the decoder needs to give out all data so far (a sync flush; it costs compression).

        Raises:
            ClosedError: after `finish`.
        """
        return self._open().flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        """End the stream and return the rest of it.

        Raises:
            ClosedError: after `finish`.
        """
        encoder = self._open()
        self._encoder = None
        return encoder.flush(zlib.Z_FINISH)

    def _open(self) -> zlib._Compress:
        if self._encoder is None:
            raise ClosedError("the encoder was finished before")
        return self._encoder


def inflate(coding: str | None = None) -> Callable[[bytes, bool], bytes]:
    """Return a function `(data, end_stream) -> bytes` that decodes a stream piece by piece, as lua-http's `http.zlib`.

    Args:
        coding: as `Inflater`; None tells gzip and deflate apart by the first byte.

    The function raises DecodingError on a corrupt stream or one that is cut short, ClosedError after `end_stream`.
    """
    inflater = None if coding is None else Inflater(coding, strict=True)
    closed = False

    def step(data: bytes, end_stream: bool) -> bytes:
        nonlocal inflater, closed
        if closed:
            raise ClosedError("the stream was ended before")
        closed = end_stream
        if inflater is None:
            if not data and not end_stream:
                return b""
            inflater = Inflater("gzip" if data[:1] == b"\x1f" else "deflate", strict=True)
        decoded = inflater.decode(data)
        if end_stream:
            inflater.finish()
        return decoded

    return step


def deflate(coding: str = "gzip", level: int = -1) -> Callable[[bytes, bool], bytes]:
    """Return a function `(data, end_stream) -> bytes` that encodes a stream piece by piece, as lua-http's `http.zlib`.

    Args:
        coding: as `Deflater`.
        level: as `Deflater`.

    The function raises ClosedError after `end_stream`.
    """
    deflater = Deflater(coding, level)

    def step(data: bytes, end_stream: bool) -> bytes:
        encoded = deflater.encode(data)
        return encoded + deflater.finish() if end_stream else encoded

    return step
