"""The asyncio response."""

from __future__ import annotations

from types import TracebackType
from typing import IO, Generic, TypeVar

from ..policy.readers import ByteReader, RawReader, UnitReader
from ..policy.response_core import ResponseCore
from .response_base import ResponseBase

__all__ = ["AsyncRawBody", "AsyncResponse", "AsyncUnits"]

T = TypeVar("T")


class AsyncUnits(Generic[T]):
    """Iterator over a response's body."""

    __slots__ = ("_reader",)

    def __init__(self, reader: UnitReader[T]) -> None:
        self._reader = reader

    def __aiter__(self) -> AsyncUnits[T]:
        return self

    async def __anext__(self) -> T:
        unit = await self._reader.next()
        if unit is None:
            raise StopAsyncIteration
        return unit


class AsyncRawBody:
    """The body as it came, content codings left on, to be read like a file by coroutines. See `RawBody`."""

    def __init__(self, core: ResponseCore) -> None:
        self._core = core
        self._reader = ByteReader(core, raw=True)

    async def read(self, size: int | None = -1) -> bytes:
        """Read `size` bytes, fewer only at the end, or all that is left."""
        if size is None or size < 0:
            return await self._reader.take_rest()
        return (await self._reader.take(size) or b"") if size else b""

    async def read1(self, size: int = -1) -> bytes:
        """Read what is there, at most `size` bytes, waiting only when there is nothing; b"" at the end."""
        return await self._reader.take_some(size if size > 0 else 1 << 20) if size else b""

    @property
    def is_complete(self) -> bool:
        """Whether the whole body was received."""
        return self._core.is_complete

    async def close(self) -> None:
        """Give the response up: see `AsyncResponse.close`."""
        self._core.close()


class AsyncResponse(ResponseBase):
    """An answer to an asyncio client. An async context manager: leaving it closes the response.

    Reading raises `ReadTimeout`, `ReadError`, `RemoteProtocolError` or `ClosedError`; a body that is cut short is always
    one of them, never a shorter body. After a `ReadTimeout` that was not the total's, reading can go on. A response that is
    neither read to its end nor closed keeps its connection until it is garbage.
    """

    @property
    def history(self) -> list[AsyncResponse]:
        """The redirect responses that led here, oldest first."""
        return [AsyncResponse(core) for core in self._core.history]

    async def read(self, size: int | None = None) -> bytes:
        """Read the content.

        Args:
            size: at most so many bytes, b"" at the end. None reads all that is left and, if nothing was read before,
                keeps it as `content`.
        """
        return await self._body.read(size)

    def iter_bytes(self, chunk_size: int | None = None) -> AsyncUnits[bytes]:
        """The content piece by piece: of `chunk_size` bytes each but the last, or as it comes."""
        return AsyncUnits(self._body.pieces(chunk_size))

    def iter_raw(self) -> AsyncUnits[bytes]:
        """The body as it came, content codings left on."""
        return AsyncUnits(RawReader(self._core))

    def iter_lines(self) -> AsyncUnits[str]:
        """The content as lines of text without their ends, decoded by `charset`."""
        return AsyncUnits(self._body.lines(self.charset))

    async def save_to_file(self, file: IO[bytes]) -> int:
        """Write the content that is left to a binary file; returns how many bytes were written."""
        return await self._body.save(file)

    def raw(self) -> AsyncRawBody:
        """The body as it came, content codings left on, as something like a binary file."""
        return AsyncRawBody(self._core)

    async def close(self) -> None:
        """Give the response up; unless it was read to its end, its connection is closed. Idempotent."""
        self._core.close()

    async def __aenter__(self) -> AsyncResponse:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
