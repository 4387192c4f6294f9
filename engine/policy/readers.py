"""Reading a response's body in units: pieces of a size, lines, raw pieces. One text for both colours."""

from __future__ import annotations

import codecs
import io
from abc import ABC, abstractmethod
from collections import deque
from typing import IO, Generic, TypeVar

from .response_core import ResponseCore

__all__ = ["BodyReader", "ByteReader", "LineReader", "RawReader", "SizedReader", "UnitReader"]

T = TypeVar("T")


class UnitReader(ABC, Generic[T]):
    """Something that can be asked for the next unit until there is none."""

    @abstractmethod
    async def next(self) -> T | None:
        """The next unit, None at the end."""

    def at_hand(self) -> T | None:
        """What `next` would return, if that can be told without waiting and is a unit; else None, and nothing is taken."""
        return None

    @property
    def is_over(self) -> bool:
        """Whether `next` is known to return None."""
        return False


class RawReader(UnitReader[bytes]):
    """Pieces as they came, content codings left on."""

    def __init__(self, core: ResponseCore) -> None:
        self._core = core

    def at_hand(self) -> bytes | None:
        """See `UnitReader.at_hand`: most small responses have come whole with their heads."""
        return self._core.take_raw()

    @property
    def is_over(self) -> bool:
        """See `UnitReader.is_over`."""
        return self._core.is_complete

    async def next(self) -> bytes | None:
        """See `UnitReader.next`."""
        return await self._core.read_raw()


class ByteReader(UnitReader[bytes]):
    """Pieces as they come, or of `size` bytes each but the last.

    Args:
        raw: leave content codings on.
    """

    def __init__(self, core: ResponseCore, size: int | None = None, raw: bool = False) -> None:
        if size is not None and size < 1:
            raise ValueError("a piece has at least one byte")
        self._next_piece = core.read_raw if raw else core.read_decoded
        self._size = size
        self._buffer = b""
        self._position = 0

    async def next(self) -> bytes | None:
        """See `UnitReader.next`."""
        if self._size is None:
            return self.take_buffered() or await self._next_piece()
        return await self.take(self._size)

    @property
    def buffered(self) -> int:
        """How many bytes are left of the last piece."""
        return len(self._buffer) - self._position

    def take_buffered(self, size: int | None = None) -> bytes:
        """At most `size` bytes of what is left of the last piece, without waiting."""
        start = self._position
        end = len(self._buffer) if size is None else min(len(self._buffer), start + size)
        self._position = end
        return self._buffer[start:end] if start or end < len(self._buffer) else self._buffer

    async def take_some(self, size: int) -> bytes:
        """Between 1 and `size` bytes, of one piece; b"" at the end."""
        if self._position == len(self._buffer):
            piece = await self._next_piece()
            if piece is None:
                return b""
            self._buffer, self._position = piece, 0
        return self.take_buffered(size)

    async def take(self, size: int) -> bytes | None:
        """Exactly `size` bytes, fewer only at the end, None when nothing is left. A failure loses nothing."""
        pieces: list[bytes] = []
        missing = size
        try:
            while missing and (piece := await self.take_some(missing)):
                pieces.append(piece)
                missing -= len(piece)
        except BaseException:
            self._put_back(pieces)
            raise
        return (pieces[0] if len(pieces) == 1 else b"".join(pieces)) or None

    def put_back(self, data: bytes) -> None:
        """Put `data` in front of what is left."""
        self._put_back([data])

    async def take_rest(self) -> bytes:
        """All that is left. A failure loses nothing."""
        pieces = [self.take_buffered()]
        try:
            while (piece := await self._next_piece()) is not None:
                pieces.append(piece)
        except BaseException:
            self._put_back(pieces)
            raise
        return b"".join(pieces)

    def _put_back(self, pieces: list[bytes]) -> None:
        self._buffer, self._position = b"".join([*pieces, self._buffer[self._position :]]), 0


class SizedReader(UnitReader[bytes]):
    """Pieces of `size` bytes each but the last, or as they come, from a `ByteReader` that others read from too."""

    def __init__(self, source: ByteReader, size: int | None) -> None:
        if size is not None and size < 1:
            raise ValueError("a piece has at least one byte")
        self._source = source
        self._size = size

    async def next(self) -> bytes | None:
        """See `UnitReader.next`."""
        return await (self._source.next() if self._size is None else self._source.take(self._size))


class LineReader(UnitReader[str]):
    """Lines of text without their ends (LF, CR LF or CR); malformed bytes become U+FFFD."""

    def __init__(self, source: UnitReader[bytes], encoding: str) -> None:
        self._source = source
        decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)
        self._lines: deque[str] = deque()
        self._partial: list[str] = []
        self._ended = False

    async def next(self) -> str | None:
        """See `UnitReader.next`."""
        while not self._lines:
            if self._ended:
                return None
            piece = await self._source.next()
            self._ended = piece is None
            self._split(self._decoder.decode(piece or b"", final=self._ended))
        return self._lines.popleft()

    def _split(self, text: str) -> None:
        *complete, rest = text.split("\n")
        if complete:
            complete[0] = "".join(self._partial) + complete[0]
            self._partial = []
            self._lines.extend(complete)
        if rest:
            self._partial.append(rest)
        if self._ended and self._partial:
            self._lines.append("".join(self._partial))
            self._partial = []


class BodyReader:
    """Reads a response's content as a whole, by size, by lines, in any mixture, and keeps it when it was read in one go.

    Attributes:
        content: the whole content, None before `read()` without a size was the first to read. It is then read again by
            all the others.
    """

    def __init__(self, core: ResponseCore) -> None:
        self._core = core
        self._pieces: list[bytes] = []
        self._bytes: ByteReader | None = None
        self._lines: LineReader | None = None
        self.content: bytes | None = None

    def _shared(self) -> ByteReader:
        if self._bytes is None:
            self._bytes = ByteReader(self._core)
            self._bytes.put_back(b"".join(self._pieces) if self.content is None else self.content)
            self._pieces.clear()
        return self._bytes

    async def read(self, size: int | None) -> bytes:
        """At most `size` bytes, b"" at the end; all that is left for None."""
        if size is not None:
            if size < 0:
                raise ValueError("a size is not negative; None reads all")
            return (await self._shared().take(size) or b"") if size else b""
        if self.content is not None:
            return self.content
        if self._bytes is not None:
            return await self._bytes.take_rest()
        pieces = self._pieces
        await self._core.read_all(pieces)
        self.content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return self.content

    def take_at_once(self) -> bool:
        """Take the whole content if nothing was read and all of it has come; never waits. Whether it did."""
        if self._bytes is not None or self._pieces or self.content is not None:
            return False
        self.content = self._core.take_content()
        return self.content is not None

    def pieces(self, size: int | None) -> UnitReader[bytes]:
        """The content in pieces of `size` bytes, or as it comes."""
        return SizedReader(self._shared(), size)

    def lines(self, encoding: str) -> UnitReader[str]:
        """The content in lines. Those who ask again get the rest."""
        if self._lines is None:
            self._lines = LineReader(self._shared(), encoding)
        return self._lines

    async def save(self, file: IO[bytes]) -> int:
        """Write what is left to a binary file; returns how many bytes were written."""
        source = self._shared()
        length = 0
        while (piece := await source.next()) is not None:
            file.write(piece)
            length += len(piece)
        return length
