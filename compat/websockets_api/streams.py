"""Bytes that come in and are asked for in lines and lengths, by generators that yield while too little is there."""

from __future__ import annotations

from collections.abc import Generator

__all__ = ["StreamReader"]


class StreamReader:
    """A buffer that is fed from one side and read from the other, one read at a time.

    Attributes:
        buffer: what was fed and not read.
        eof: whether nothing more will be fed.
    """

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.eof = False

    def _take(self, size: int) -> bytearray:
        taken = self.buffer[:size]
        del self.buffer[:size]
        return taken

    def read_line(self, m: int, too_long_exc_type: type[Exception] = RuntimeError) -> Generator[None, None, bytearray]:
        """Return a line with the line feed that ends it.

        Args:
            m: how long it may be, in bytes.
            too_long_exc_type: what to raise when it is longer.

        Raises:
            EOFError: the stream ends before the line does.
        """
        searched = 0
        while not (size := self.buffer.find(b"\n", searched) + 1):
            searched = len(self.buffer)
            _check(searched, m, too_long_exc_type)
            if self.eof:
                raise EOFError(f"stream ends after {searched} bytes, before end of line")
            yield
        _check(size, m, too_long_exc_type)
        return self._take(size)

    def read_exact(self, n: int) -> Generator[None, None, bytearray]:
        """Return `n` bytes.

        Raises:
            EOFError: the stream ends before.
        """
        if n < 0:
            raise AssertionError("a negative number of bytes")
        while len(self.buffer) < n:
            if self.eof:
                raise EOFError(f"stream ends after {len(self.buffer)} bytes, expected {n} bytes")
            yield
        return self._take(n)

    def read_to_eof(
        self, m: int, too_long_exc_type: type[Exception] = RuntimeError
    ) -> Generator[None, None, bytearray]:
        """Return everything until the stream ends.

        Args:
            m: how much it may be, in bytes.
            too_long_exc_type: what to raise when it is more.
        """
        while not self.eof:
            _check(len(self.buffer), m, too_long_exc_type)
            yield
        return self._take(len(self.buffer))

    def at_eof(self) -> Generator[None, None, bool]:
        """Return whether the stream has ended and everything was read; waits until that can be told."""
        while not (self.buffer or self.eof):
            yield
        return not self.buffer

    def feed_data(self, data: bytes | bytearray) -> None:
        """Add what came in.

        Raises:
            EOFError: the stream has ended.
        """
        self._refuse_after_eof()
        self.buffer += data

    def feed_eof(self) -> None:
        """End the stream.

        Raises:
            EOFError: it has ended already.
        """
        self._refuse_after_eof()
        self.eof = True

    def discard(self) -> None:
        """Forget what is there; more may come."""
        self.buffer.clear()

    def _refuse_after_eof(self) -> None:
        if self.eof:
            raise EOFError("stream ended")


def _check(size: int, limit: int, too_long_exc_type: type[Exception]) -> None:
    if size > limit:
        raise too_long_exc_type(f"read {size} bytes, expected no more than {limit} bytes")
