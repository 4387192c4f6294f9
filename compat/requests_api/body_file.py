"""A response's body as the file inside urllib3's response, which is http.client's response there.

Programs reach through it for the socket below, and look at how the body comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from drivetrain.compat.requests_api.errors import as_body_error
from drivetrain.compat.requests_api.original_response import HEAD_NAMES, OriginalResponse
from drivetrain.compat.socket_view import RawView
from drivetrain.engine import Response
from drivetrain.engine.errors import EngineError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["BodyFile"]


class _BufferedView:
    """What stands where http.client has the file over its socket.

    Args:
        body: who reads.
        response: the engine's.
    """

    def __init__(self, body: BodyFile, response: Response) -> None:
        self._body = body
        self._response = response

    @property
    def raw(self) -> RawView:
        """See `RawView`."""
        return RawView(self._response, self._body.isclosed, self._body.close)

    @property
    def closed(self) -> bool:
        """Whether there is no more to read."""
        return self._body.closed

    def __getattr__(self, name: str) -> Any:
        if name in _OF_FILES:
            return getattr(self._body, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


_OF_FILES = frozenset({"close", "fileno", "flush", "read", "read1", "readable", "readinto", "readline"})


class BodyFile:
    """The body as it came, content codings left on. Errors are urllib3's, and end it.

    As http.client's response it counts as closed as soon as its last byte was read; the connection is free then.

    Args:
        response: whose body nobody else reads.
        url: of the request, for errors.
        length: of the body where the head says it.
        received: bytes that were read elsewhere before.

    Attributes:
        closed: whether the body was read to its end or given up.
        chunked: whether it comes in chunks.
    """

    def __init__(self, response: Response, url: str, length: int | None, received: int = 0) -> None:
        self._raw = response.raw()
        self._response = response
        self._url = url
        self._length = length
        self._received = received
        self.closed = False

    # -- as http.client's response -------------------------------------------------------------------------------------

    @property
    def chunked(self) -> bool:
        """Whether it comes in chunks, which it never does over HTTP/2."""
        return self._response.headers.has("transfer-encoding")

    @property
    def chunk_left(self) -> int:
        """How much can be read of the present chunk, some of which may be on its way."""
        return 0 if self.closed else self._raw.chunk_left

    @property
    def length(self) -> int | None:
        """How many bytes are left, None where that is not known."""
        if self.closed:
            return 0
        return None if self._length is None else self._length - self._received

    @property
    def fp(self) -> Any:
        """The file over the socket, None after the end."""
        return None if self.closed else _BufferedView(self, self._response)

    @property
    def will_close(self) -> bool:
        """Whether the connection ends with the body."""
        options = (self._response.headers.get("connection") or "").lower()
        return "close" in options or (self._response.http_version == "1.0" and "keep-alive" not in options)

    def fileno(self) -> int:
        """The descriptor of the connection, -1 after the end; what was received already is not in it."""
        return -1 if self.closed else self._response.fileno()

    def shutdown(self, how: int) -> None:
        """Shut the connection down, see `SocketView`."""
        if not self.closed:
            RawView(self._response, self.isclosed, self.close)._sock.shutdown(how)

    def __getattr__(self, name: str) -> Any:
        if name in HEAD_NAMES:
            return getattr(OriginalResponse(None, self._response), name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # -- reading -------------------------------------------------------------------------------------------------------

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

    def readline(self, limit: int = -1) -> bytes:
        """Read up to the next line feed, at most `limit` bytes."""
        return self._call(self._raw.readline, limit)

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
