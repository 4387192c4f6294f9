"""The blocking response."""

from __future__ import annotations

from types import TracebackType
from typing import IO, Generic, TypeVar

from ..backends.blocking import run
from ..policy.readers import RawReader, UnitReader
from .raw_body import RawBody
from .response_base import ResponseBase

__all__ = ["Response", "Units"]

T = TypeVar("T")


class Units(Generic[T]):
    """Iterator over a response's body."""

    __slots__ = ("_reader",)

    def __init__(self, reader: UnitReader[T]) -> None:
        self._reader = reader

    def __iter__(self) -> Units[T]:
        return self

    def __next__(self) -> T:
        # Without the ceremony of a coroutine where there is nothing to wait for: twice in every small response.
        reader = self._reader
        if reader.is_over:
            raise StopIteration
        unit = reader.at_hand()
        if unit is None:
            unit = run(reader.next())
        if unit is None:
            raise StopIteration
        return unit


class Response(ResponseBase):
    """An answer to a blocking client. A context manager: leaving it closes the response.

    Reading raises `ReadTimeout`, `ReadError`, `RemoteProtocolError` or `ClosedError`; a body that is cut short is always
    one of them, never a shorter body. After a `ReadTimeout` that was not the total's, reading can go on. A response that is
    neither read to its end nor closed keeps its connection until it is garbage.
    """

    @property
    def history(self) -> list[Response]:
        """The redirect responses that led here, oldest first."""
        return [Response(core) for core in self._core.history]

    def read(self, size: int | None = None) -> bytes:
        """Read the content.

        Args:
            size: at most so many bytes, b"" at the end. None reads all that is left and, if nothing was read before,
                keeps it as `content`.
        """
        return run(self._body.read(size))

    def iter_bytes(self, chunk_size: int | None = None) -> Units[bytes]:
        """The content piece by piece: of `chunk_size` bytes each but the last, or as it comes."""
        return Units(self._body.pieces(chunk_size))

    def iter_raw(self) -> Units[bytes]:
        """The body as it came, content codings left on."""
        return Units(RawReader(self._core))

    def iter_lines(self) -> Units[str]:
        """The content as lines of text without their ends, decoded by `charset`."""
        return Units(self._body.lines(self.charset))

    def save_to_file(self, file: IO[bytes]) -> int:
        """Write the content that is left to a binary file; returns how many bytes were written."""
        return run(self._body.save(file))

    def raw(self) -> RawBody:
        """The body as it came, content codings left on, as a binary file."""
        return RawBody(self._core)

    def close(self) -> None:
        """Give the response up; unless it was read to its end, its connection is closed. Idempotent."""
        self._core.close()

    def __enter__(self) -> Response:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
