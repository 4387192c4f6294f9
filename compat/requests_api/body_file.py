"""A response's body as the file inside urllib3's response."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from drivetrain.compat.requests_api.errors import as_body_error
from drivetrain.engine import Response
from drivetrain.engine.errors import EngineError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["BodyFile"]

A = TypeVar("A")


class BodyFile:
    """The body as it came, content codings left on. Errors are urllib3's, and end it.

    As http.client's response it counts as closed as soon as its last byte was read; the connection is free then.

    Args:
        response: whose body nobody else reads.
        url: of the request, for errors.
        length: of the body where the head says it.
        received: bytes that were read elsewhere before.
    """

    def __init__(self, response: Response, url: str, length: int | None, received: int = 0) -> None:
        self._raw = response.raw()
        self._url = url
        self._length = length
        self._received = received
        self.closed = False

    def read(self, amt: int | None = None) -> bytes:
        """Read `amt` bytes, fewer only at the end; all that is left for None."""
        amt = -1 if amt is None else amt
        data = self._call(self._raw.read, amt)
        if amt < 0 or len(data) < amt:
            self.close()
        return data

    def read1(self, amt: int | None = None) -> bytes:
        """Read what is there, waiting only when there is nothing."""
        amt = -1 if amt is None else amt
        data = self._call(self._raw.read1, amt)
        if amt and not data:
            self.close()
        return data

    def readinto(self, buffer: Buffer) -> int:
        """Read into `buffer` until it is full or the body ends."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def _call(self, operation: Callable[[int], bytes], amt: int) -> bytes:
        if self.closed:
            return b""
        try:
            data = operation(amt)
        except EngineError as error:
            self.close()
            raise as_body_error(error, self._url, self._received, self._length) from error
        except BaseException:
            self.close()
            raise
        self._received += len(data)
        if self._received == self._length:
            self.close()
        return data

    def isclosed(self) -> bool:
        """Whether the body was read to its end or given up."""
        return self.closed

    def readable(self) -> bool:
        """True."""
        return True

    def flush(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Give up what was not read. Idempotent."""
        if not self.closed:
            self.closed = True
            self._raw.close()
