"""A response's body as a binary file, for code that reads files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ..backends.blocking import run
from ..policy.readers import ByteReader
from ..policy.response_core import ResponseCore

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["RawBody"]


class RawBody(io.RawIOBase):
    """The body as it came, content codings left on. Closing it gives the response up.

    `read(n)` waits for `n` bytes and returns fewer only at the end; `read1(n)` returns what is there. Errors are the
    engine's. Used by one thread at a time.
    """

    def __init__(self, core: ResponseCore) -> None:
        super().__init__()
        self._core = core
        self._reader = ByteReader(core, raw=True)

    def readable(self) -> bool:
        """True."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Read `size` bytes, or all that is left."""
        if size is None or size < 0:
            return run(self._reader.take_rest())
        return (run(self._reader.take(size)) or b"") if size else b""

    def read1(self, size: int = -1) -> bytes:
        """Read what is there, at most `size` bytes, waiting only when there is nothing; b"" at the end."""
        if not size:
            return b""
        return run(self._reader.take_some(size if size > 0 else 1 << 20))

    def readinto(self, buffer: Buffer) -> int:
        """Read into `buffer` what is there; returns the number of bytes, 0 at the end."""
        view = memoryview(buffer).cast("B")
        data = run(self._reader.take_some(len(view))) if view else b""
        view[: len(data)] = data
        return len(data)

    def __del__(self) -> None:
        # The base class would call `close`, which takes locks: not in a finalizer.
        self._core.forsake()
        super().__del__()

    @property
    def chunk_left(self) -> int:
        """How many bytes are left of the chunk, or of what came at once, that was read from last."""
        core = self._core
        return self._reader.buffered + (0 if core.is_complete else core.stream.chunk_left)

    @property
    def is_complete(self) -> bool:
        """Whether the whole body was received."""
        return self._core.is_complete

    def close(self) -> None:
        """Give the response up: see `Response.close`."""
        if not self.closed:
            self._core.close()
            super().close()
