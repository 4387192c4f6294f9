"""Request bodies: whatever the caller has, as one kind of object that is read piece by piece.

Laws:

- a body says its length in bytes when it can, so that Content-Length can be sent; otherwise it goes out chunked;
- a body of the wrong colour (an async iterable for a blocking client, a generator that would block an event loop) is refused
  with `TypeError` when the request is made, not when half of it was sent;
- whether it can be sent a second time is asked by `rewind`, which refuses rather than sends something else.
"""

from __future__ import annotations

import inspect
import io
import json as json_codec
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import IO, Any, cast
from urllib.parse import urlencode

from ..backends.base import Colour
from ..errors import BodyNotReplayable, UsageError

__all__ = [
    "AsyncIterableBody",
    "BodySource",
    "BytesBody",
    "FileBody",
    "IterableBody",
    "RequestBody",
    "encode_form",
    "encode_json",
    "file_length",
    "make_body",
]

BodySource = str | bytes | bytearray | memoryview | IO[bytes] | Iterable[bytes] | AsyncIterable[bytes]
_FILE_PIECE = 256 * 1024


class RequestBody(ABC):
    """A request's body.

    Attributes:
        length: bytes in all, None when that is not known before the end.
        whole: the complete body where it is at hand as bytes, else None.
    """

    length: int | None = None
    whole: bytes | None = None

    @abstractmethod
    async def read(self) -> bytes:
        """The next piece, of a convenient size; b"" at the end."""

    @abstractmethod
    def rewind(self) -> None:
        """Start over, for a redirect or retry; raises `BodyNotReplayable` where that cannot be."""

    @property
    def is_replayable(self) -> bool:
        """Whether `rewind` will work now."""
        return True


class BytesBody(RequestBody):
    """A body that is all there."""

    def __init__(self, data: bytes) -> None:
        self.whole = data
        self.length = len(data)
        self._left = data

    async def read(self) -> bytes:
        """See `RequestBody.read`."""
        data, self._left = self._left, b""
        return data

    def rewind(self) -> None:
        """See `RequestBody.rewind`."""
        assert self.whole is not None
        self._left = self.whole


def _reader_of(file: IO[bytes]) -> Callable[[int], bytes]:
    """What reads from a file: `read`, which a program may have replaced, so as to count or change what is sent."""
    if type(file) in (io.BufferedReader, io.BufferedRandom) and "read" not in vars(file):
        # A pipe gives what is there; filling a whole piece could take for ever.
        read_some: Callable[[int], bytes] = file.read1  # type: ignore[attr-defined]
        return read_some
    return file.read


class FileBody(RequestBody):
    """A binary file, from its present position to its end. Reading it may block for as long as the file system takes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._read_some = _reader_of(file)
        self.length = file_length(file)
        self._start = _position(file)
        self._started = False
        self._left = self.length

    async def read(self) -> bytes:
        """See `RequestBody.read`; raises `UsageError` when the file turns out shorter than it said."""
        if not self._started:
            self._started = True
            if self._start is not None:
                # Others may have read from it since, another part of the same form for one.
                self._file.seek(self._start)
        piece = self._read_some(_FILE_PIECE if self._left is None else min(_FILE_PIECE, self._left))
        if not isinstance(piece, bytes):
            piece = _as_bytes(piece)
        if self._left is not None:
            if self._left and not piece:
                raise UsageError(f"the file ended {self._left} bytes before its length")
            self._left -= len(piece)
        return piece

    def rewind(self) -> None:
        """See `RequestBody.rewind`."""
        if not self._started:
            return
        if self._start is None:
            raise BodyNotReplayable("the body was read from a file that cannot seek")
        self._started = False
        self._left = self.length

    @property
    def is_replayable(self) -> bool:
        """See `RequestBody.is_replayable`."""
        return self._start is not None or not self._started


class IterableBody(RequestBody):
    """Pieces of bytes from an iterable. Only what can be iterated anew (a list, not a generator) can be replayed."""

    def __init__(self, source: Iterable[bytes]) -> None:
        self._source = source
        self._iterator: Iterator[bytes] | None = None

    async def read(self) -> bytes:
        """See `RequestBody.read`."""
        if self._iterator is None:
            self._iterator = iter(self._source)
        for piece in self._iterator:
            if piece:
                return _as_bytes(piece)
        return b""

    def rewind(self) -> None:
        """See `RequestBody.rewind`."""
        if not self.is_replayable:
            raise BodyNotReplayable("the body came from an iterator, which was consumed")
        self._iterator = None

    @property
    def is_replayable(self) -> bool:
        """See `RequestBody.is_replayable`."""
        return self._iterator is None or not isinstance(self._source, Iterator)


class AsyncIterableBody(RequestBody):
    """As `IterableBody`, from an async iterable."""

    def __init__(self, source: AsyncIterable[bytes]) -> None:
        self._source = source
        self._iterator: AsyncIterator[bytes] | None = None

    async def read(self) -> bytes:
        """See `RequestBody.read`."""
        if self._iterator is None:
            self._iterator = self._source.__aiter__()
        while True:
            try:
                piece = await self._iterator.__anext__()
            except StopAsyncIteration:
                return b""
            if piece:
                return _as_bytes(piece)

    def rewind(self) -> None:
        """See `RequestBody.rewind`."""
        if not self.is_replayable:
            raise BodyNotReplayable("the body came from an async iterator, which was consumed")
        self._iterator = None

    @property
    def is_replayable(self) -> bool:
        """See `RequestBody.is_replayable`."""
        return self._iterator is None or not isinstance(self._source, AsyncIterator)


def _as_bytes(piece: Any) -> bytes:
    if isinstance(piece, bytes):
        return piece
    if isinstance(piece, (bytearray, memoryview)):
        return bytes(piece)
    if isinstance(piece, str):
        return piece.encode()
    raise TypeError(f"a piece of a request body is bytes or str, not {type(piece).__name__}")


def _position(file: Any) -> int | None:
    try:
        return int(file.tell()) if file.seekable() else None
    except (AttributeError, OSError, ValueError):
        return None


def file_length(file: Any) -> int | None:
    """Bytes from a file's present position to its end, None where the file cannot tell. The position is not changed."""
    position = _position(file)
    if position is None:
        return None
    try:
        end = int(file.seek(0, io.SEEK_END))
        file.seek(position)
    except (AttributeError, OSError, ValueError):
        return None
    return max(0, end - position)


def make_body(source: BodySource, colour: Colour) -> RequestBody:
    """Make a body of what the caller gave.

    Args:
        source: text (sent as UTF-8), bytes, a binary file, or an iterable of bytes of the client's colour. A list or tuple
            is fine for both colours.
        colour: of the client.

    Raises:
        TypeError: it cannot be a body, or is of the wrong colour.
    """
    if isinstance(source, bytes):
        return BytesBody(source)
    if isinstance(source, str):
        return BytesBody(source.encode())
    if isinstance(source, (bytearray, memoryview)):
        return BytesBody(bytes(source))
    if isinstance(source, AsyncIterable):
        if colour == "blocking":
            raise TypeError("an async iterable needs an async client")
        return AsyncIterableBody(source)
    if hasattr(source, "read"):
        if isinstance(source, io.TextIOBase) or getattr(source, "encoding", None):
            raise TypeError("a request body is read from a binary file, not a text file")
        if inspect.iscoroutinefunction(source.read):
            raise TypeError("a request body is read from a file that blocks, or from an async iterable")
        return FileBody(cast("IO[bytes]", source))
    if isinstance(source, Iterable) and not isinstance(source, Mapping):
        if colour == "async" and isinstance(source, Iterator):
            raise TypeError("a blocking iterator would stall the event loop: give an async iterable to an async client")
        return IterableBody(source)
    raise TypeError(f"a request body cannot be made of {type(source).__name__}")


def encode_json(value: Any) -> bytes:
    """Encode `value` as JSON in UTF-8 (RFC 8259); NaN and infinities, which JSON has not, raise `ValueError`."""
    return json_codec.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def encode_form(pairs: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> bytes:
    """Encode pairs as application/x-www-form-urlencoded; a list or tuple value becomes several pairs."""
    return urlencode(list(pairs.items()) if isinstance(pairs, Mapping) else list(pairs), doseq=True).encode("ascii")
