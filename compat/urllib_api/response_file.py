"""The `fp` of a response, for programs that look below it: `response.fp.raw._sock.getpeername()` and the like."""

from __future__ import annotations

import io
from http.client import HTTPResponse
from typing import Any

from drivetrain.compat.socket_view import RawView
from drivetrain.engine import Response

__all__ = ["ResponseFile"]


class ResponseFile(io.BufferedIOBase):
    """The same bytes as the response gives, in a file of its own.

    Args:
        owner: the response as programs have it.
        response: the engine's.
    """

    def __init__(self, owner: HTTPResponse, response: Response) -> None:
        self._owner = owner
        self._response = response

    @property
    def raw(self) -> RawView:
        """See `RawView`."""
        return RawView(self._response, self._owner.isclosed, self._owner.close)

    @property
    def closed(self) -> bool:
        """Whether there is no more to read, or it was closed."""
        return self._owner.isclosed()

    def readable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """See `EngineResponse.fileno`."""
        return self._owner.fileno()

    def read(self, size: int | None = -1, /) -> bytes:
        """See `EngineResponse.read`."""
        return self._owner.read(None if size is None or size < 0 else size)

    def read1(self, size: int = -1, /) -> bytes:
        """See `EngineResponse.read1`."""
        return self._owner.read1(size)

    def readinto(self, buffer: Any, /) -> int:
        """See `EngineResponse.readinto`."""
        return self._owner.readinto(buffer)

    def readline(self, limit: int | None = -1, /) -> bytes:
        """See `EngineResponse.readline`."""
        return self._owner.readline(-1 if limit is None else limit)

    def peek(self, size: int = 0, /) -> bytes:
        """See `EngineResponse.peek`."""
        return self._owner.peek(size)

    def close(self) -> None:
        """Close the response."""
        self._owner.close()

    def __del__(self) -> None:
        """The base would close the response."""
