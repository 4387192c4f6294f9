"""`requests.Response.raw`: urllib3's response over the engine's.

It *is* urllib3's class, because programs ask for that and wrap what is inside. But making all of urllib3's state costs more
than receiving a small response, and most programs never look at it. Laws:

- the state is made when somebody asks for a part of it (`_load`); what was set or read before stays as it is;
- a body that nobody has touched and that needs no decoding is streamed from the engine directly; everything else is
  urllib3's own code over `BodyFile`;
- a response that is dropped unread is not closed where it is dropped, which may be inside the garbage collector and so
  inside the pool's own critical section, but handed to whoever sends the next request.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from requests.models import CONTENT_CHUNK_SIZE
from urllib3 import HTTPHeaderDict
from urllib3.exceptions import HTTPError, ResponseNotChunked
from urllib3.response import HTTPResponse
from urllib3.util.retry import Retry

from drivetrain.compat.field_names import fields_as_written
from drivetrain.compat.http_versions import VERSION_NUMBERS
from drivetrain.compat.requests_api.body_file import BodyFile
from drivetrain.compat.requests_api.connection_view import view_connection
from drivetrain.compat.requests_api.errors import as_body_error
from drivetrain.compat.requests_api.original_response import OriginalResponse
from drivetrain.compat.requests_api.routes import Route
from drivetrain.engine import Response
from drivetrain.engine.errors import EngineError, IncompleteMessage

__all__ = ["RawResponse"]

_DRAIN_PIECE = 64 * 1024
_WITHOUT_BODY = frozenset({204, 304})


def _lengths_of(response: Response) -> Sequence[str]:
    return response.headers.get_as_sequence("content-length")


class RawResponse(HTTPResponse):
    """A response whose body is unread, in urllib3's class. Used by one thread at a time.

    Args:
        method, url: of the request.
        asked: the URL of whom it was asked of, which may be a proxy.
        whole: the body will be read in one go, so that it does not matter into which pieces `stream` cuts it.
    """

    # What must be there before `_load`; urllib3 sets most of these itself.
    decode_content = False
    auto_close = True
    _fp_bytes_read = 0
    _loaded = False
    _ended = False
    _released = False
    _cut_short: tuple[int, int] | None = None

    def __init__(self, method: str, url: str, asked: str, whole: bool) -> None:
        self._method = method
        self._origin_url = url
        self._asked_url = asked
        self._whole = whole
        self._original_response: Any = OriginalResponse(self)

    def take_answer(self, response: Response, retries: Retry, dropped: deque[Response]) -> None:
        """Begin with the engine's response.

        Args:
            response: with its body unread.
            retries: those that were left when it came.
            dropped: where the response is put when this object goes away unread.
        """
        self._engine_response = self._original_response.response = response
        self._left_retries = retries
        self._dropped = dropped
        if (self._method == "HEAD" or response.status in _WITHOUT_BODY) and len(_lengths_of(response)) > 1:
            try:
                self._load()  # which fails, in urllib3's words
            except BaseException:
                response.close()
                raise

    # -- urllib3's state -----------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__
        if not self._loaded and not name.startswith("__") and "_dropped" in state:
            self._load()
            if name in state:
                return state[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _load(self) -> None:
        """Make urllib3's state."""
        state = self.__dict__
        before = state.copy()
        state["_loaded"] = True
        response = self._engine_response
        parts = urlsplit(self._origin_url)
        file = self.body_file()
        super().__init__(
            body=file,
            headers=HTTPHeaderDict(fields_as_written(response.headers.raw_fields(), response.http_version)),
            status=response.status,
            version=VERSION_NUMBERS[response.http_version],
            reason=response.reason,
            preload_content=False,
            decode_content=False,
            retries=self._left_retries,
            request_method=self._method,
            request_url=parts.path + (f"?{parts.query}" if parts.query else "") or "/",
        )
        self.version_string = f"HTTP/{response.http_version}"
        self._sock_shutdown = file.shutdown
        state.update(before)
        if self.length_remaining is not None:
            self.length_remaining = max(0, self.length_remaining - self._fp_bytes_read)

    def body_file(self) -> BodyFile:
        """The body as a file, the same one every time."""
        file: BodyFile | None = self.__dict__.get("_body_file")
        if file is None:
            length = self._engine_response.headers.get("content-length")
            known = length is not None and length.isdigit() and self._method != "HEAD"
            file = BodyFile(
                self._engine_response, self._asked_url, int(length) if known and length else None, self._fp_bytes_read
            )
            self._body_file = file
            if self._ended:
                file.close()
        return file

    @property
    def _connection(self) -> Any:
        if self._released or self.is_over:
            return None
        state = self.__dict__
        if "_seen_connection" not in state:
            file = self.body_file()
            state["_seen_connection"] = view_connection(
                self._engine_response, self._asked_url, file.isclosed, file.close
            )
        return state["_seen_connection"]

    @_connection.setter
    def _connection(self, value: Any) -> None:
        if value is not None:
            self.__dict__["_seen_connection"] = value

    @property
    def connection(self) -> Any:
        """A view of the connection while the body is under way, then None. See `view_connection`."""
        return self._connection

    @property
    def _pool(self) -> Any:
        state = self.__dict__
        if "_seen_pool" not in state:
            state["_seen_pool"] = Route(self._asked_url).pool()
        return state["_seen_pool"]

    @_pool.setter
    def _pool(self, value: Any) -> None:
        if value is not None:
            self.__dict__["_seen_pool"] = value

    # -- reading -------------------------------------------------------------------------------------------------------

    def stream(self, amt: int | None = 65536, decode_content: bool | None = None) -> Iterator[bytes]:  # type: ignore[override]
        """Iterate over the body: by pieces of `amt` bytes, or, when it comes in chunks, at most that and as they come.

        Over HTTP/2, which has no chunked coding, a body without Content-Length is one that would be chunked over HTTP/1.1.
        """
        if decode_content is None:
            decode_content = self.decode_content
        if amt == 0:
            return iter(())
        if self._cut_short is not None:  # and no less so when it is asked for again
            raise as_body_error(IncompleteMessage("the body was cut short"), self._asked_url, *self._cut_short)
        headers = self._engine_response.headers
        whole = self._whole and amt == CONTENT_CHUNK_SIZE
        if not self._loaded:
            if not decode_content or not headers.has("content-encoding"):
                return self._pieces_as_they_come() if whole else self._pieces(amt)
            self._load()
        file: Any = self._fp
        if type(file) is BodyFile:
            if whole:
                return self._whole_decoded()
            if self._comes_in_chunks:
                return self._decoded_as_they_come(amt, decode_content)
        return super().stream(amt, decode_content)

    def _pieces_as_they_come(self) -> Generator[bytes]:
        response = self._engine_response
        if self._ended or "_body_file" in self.__dict__:
            yield from self._pieces(None)
            return
        piece = response.take_raw()
        if piece is not None:
            self._fp_bytes_read = len(piece)
            self._ended = True
            yield piece
            return
        received = 0
        try:
            for piece in response.iter_raw():
                received += len(piece)
                self._fp_bytes_read = received
                yield piece
        except EngineError as error:
            self.close()
            length = response.headers.get("content-length", "")
            expected = int(length) if length.isdigit() else None
            if expected is not None and isinstance(error, IncompleteMessage):
                self._cut_short = received, expected
            raise as_body_error(error, self._asked_url, received, expected, True) from error
        self._ended = True

    @property
    def _comes_in_chunks(self) -> bool:
        """Whether the server may be making the body while it sends it, so that nobody may wait for more than has come."""
        response = self._engine_response
        headers = response.headers
        return headers.has("transfer-encoding") or (response.http_version == "2" and not headers.has("content-length"))

    def _pieces(self, amt: int | None) -> Generator[bytes]:
        file = self.body_file()
        read = file.read1 if self._comes_in_chunks else file.read
        while not file.closed and (piece := read(amt)):
            self._fp_bytes_read += len(piece)
            yield piece

    def _whole_decoded(self) -> Generator[bytes]:
        data = super().read(decode_content=True)
        if data:
            yield data

    def _decoded_as_they_come(self, amt: int | None, decode_content: bool) -> Generator[bytes]:
        if self.closed and not decode_content:
            return
        while data := super().read1(amt, decode_content):
            yield data

    def read_chunked(self, amt: int | None = None, decode_content: bool | None = None) -> Generator[bytes]:
        """As `stream`, of a chunked body only."""
        if not self.chunked:
            raise ResponseNotChunked("Response is not chunked. Header 'transfer-encoding: chunked' is missing.")
        yield from self.stream(amt, decode_content)

    def tell(self) -> int:
        """How many bytes of the body were read, as they came over the wire."""
        return self._fp_bytes_read

    def drain_conn(self) -> None:
        """Read and drop the rest of the body, so that the connection can be used again; errors end it."""
        if self._loaded:
            super().drain_conn()
            return
        try:
            for _ in self._pieces(_DRAIN_PIECE):
                pass
        except HTTPError:
            pass

    def supports_chunked_reads(self) -> bool:
        """Whether `read_chunked` can be called; not where somebody has put another file into this object."""
        if not self._loaded:
            self._load()
        file: Any = self._fp
        return type(file) is BodyFile

    # -- the end -------------------------------------------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether the body was read to its end or given up."""
        file: BodyFile | None = self.__dict__.get("_body_file")
        return self._ended if file is None else file.closed

    @property
    def closed(self) -> bool:
        """Whether the body was read to its end or given up; with `auto_close` off, whether `close` was called."""
        return bool(super().closed) if self._loaded else self.is_over

    def isclosed(self) -> bool:
        """Whether the body was read to its end or given up."""
        return super().isclosed() if self._loaded else self.closed

    def release_conn(self) -> None:
        """Have no `connection` any more. It goes back when the body ends, or is closed with it."""
        self._released = True

    def close(self) -> None:
        """Give the rest of the body up; unless it was complete its connection is closed, over HTTP/2 its stream reset."""
        self._ended = True
        if self._loaded:
            super().close()
        elif "_body_file" in self.__dict__:
            self._body_file.close()
        self._engine_response.close()

    def __del__(self) -> None:
        state = self.__dict__
        if not self._ended and "_dropped" in state:
            file = state.get("_body_file")
            if file is None or not file.closed:
                self._dropped.append(self._engine_response)


# Programs print it, and compare the names of types.
for _name in ("__module__", "__name__", "__qualname__"):
    setattr(RawResponse, _name, getattr(HTTPResponse, _name))
