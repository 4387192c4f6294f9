"""A response as it is received: head, body piece by piece, and the connection given back at its end.

Written once for both colours; the faces `Response` and `AsyncResponse` only drive it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..connection.h1_client_stream import H1ClientStream
from ..connection.h1_connection import H1Connection
from ..errors import ClosedError, DecodingError, Timeout
from ..wire.codings import Inflater
from ..wire.headers import Headers
from .outgoing import Outgoing
from .timings import Timings

if TYPE_CHECKING:
    from .user_agent import UserAgent

__all__ = ["ResponseCore"]

_INFLATE_PIECE = 256 * 1024
_CONTENT_CODINGS = frozenset({"gzip", "x-gzip", "deflate"})


class ResponseCore:
    """The answer to one `Outgoing`. Made by `UserAgent`.

    The connection goes back to the pool when the body was read to its end, and is closed when it is given up before, by
    `close` or because nobody holds the response any more.

    Attributes:
        is_complete: whether the whole body was received. One that was given up before never becomes so.
    """

    __slots__ = (
        "_agent",
        "_fault",
        "_given_back",
        "_inflater",
        "connection",
        "deadline",
        "decode",
        "early",
        "headers",
        "history",
        "is_complete",
        "outgoing",
        "reason",
        "reused",
        "status",
        "stream",
        "timings",
        "trailers",
        "version",
    )

    def __init__(
        self,
        agent: UserAgent,
        outgoing: Outgoing,
        stream: H1ClientStream,
        reused: bool,
        deadline: float,
        timings: Timings,
        early: list[Headers],
    ) -> None:
        self._given_back = True  # until everything below is there, for `__del__`
        self._agent = agent
        self.connection: H1Connection = stream.connection
        head = stream.response
        assert head is not None
        self._inflater: Inflater | None = None
        self._fault: DecodingError | None = None
        self.outgoing = outgoing
        self.stream: H1ClientStream = stream
        self.headers: Headers = head.headers
        self.status = int(head.headers.raw_fields()[0][1])
        self.version = head.version
        self.reason = head.reason
        self.early = early
        self.trailers: Headers | None = None
        self.history: tuple[ResponseCore, ...] = ()
        self.reused = reused
        self.deadline = deadline
        self.decode = True
        self.timings = timings
        self.is_complete = False
        self._given_back = False

    def __del__(self) -> None:
        self.forsake()

    # -- reading -------------------------------------------------------------------------------------------------------

    async def read_raw(self) -> bytes | None:
        """The next piece of the body as it came (transfer codings removed, content codings not); None at its end.

        Raises:
            ReadTimeout: it can be called again, unless the total deadline has passed.
            ReadError, RemoteProtocolError: the connection is closed.
            ClosedError: the response was given up before the end of its body.
        """
        if self.is_complete:
            return None
        if self._given_back:
            raise ClosedError("the response was closed before its body was read to the end")
        body = self.stream.take_whole_body()
        if body is not None:
            self._ended()
            return body
        try:
            piece = await self.stream.read_piece(self.deadline)
        except Timeout:
            raise
        except BaseException:
            self.abandon()
            raise
        if piece is None:
            if self.stream.has_trailers:
                self.trailers = await self.stream.read_head(self.deadline)
            self._ended()
        elif self.stream.is_over:
            self._ended()
        return piece

    def _ended(self) -> None:
        self.is_complete = True
        self.timings.complete = self._agent.backend.now()
        self._given_back = True
        self._agent.finished(self)

    def take_content(self) -> bytes | None:
        """The whole content, if nothing was read yet, all of it has come and no coding is on it; else None."""
        if self.is_complete or self._given_back or (self.decode and self.content_coding() is not None):
            return None
        body = self.stream.take_whole_body()
        if body is not None:
            self._ended()
        return body

    async def read_decoded(self) -> bytes | None:
        """The next piece of the content, content codings gzip and deflate removed unless `decode` is off; None at its end.

        Raises:
            DecodingError: the content is corrupt or cut short; the connection is closed, and every further call fails.
            EngineError: as `read_raw`.
        """
        inflater = self._inflater
        if inflater is None:
            coding = self.content_coding() if self.decode else None
            if coding is None:
                return await self.read_raw()
            inflater = self._inflater = Inflater(coding)
        if self._fault is not None:
            raise self._fault
        try:
            while True:
                if inflater.has_pending:
                    output = inflater.decode(b"", _INFLATE_PIECE)
                else:
                    piece = await self.read_raw()
                    if piece is None:
                        # Bodies of HEAD and 304 are absent although a coding is named.
                        if self.stream.response is not None and self.stream.response.has_body:
                            inflater.finish()
                        return None
                    output = inflater.decode(piece, _INFLATE_PIECE)
                if output:
                    return output
        except DecodingError as error:
            self._fault = error
            self.abandon()
            raise

    def content_coding(self) -> str | None:
        """The one content coding to remove, None without or where it is not one that is removed here."""
        coding = self.headers.get_comma_separated("content-encoding") if self.headers.has("content-encoding") else None
        if coding is None:
            return None
        coding = coding.strip(" \t").lower()
        return coding if coding in _CONTENT_CODINGS else None

    async def read_all(self, pieces: list[bytes]) -> None:
        """Read the whole rest of the content, decoded, and append it to `pieces`: after a failure they are what came."""
        while (piece := await self.read_decoded()) is not None:
            pieces.append(piece)

    # -- ending --------------------------------------------------------------------------------------------------------

    def release_at_end(self) -> None:
        """Leave reading to whoever holds `stream`: the connection is given back when that has been read or shut down."""
        if self.stream.state == "closed":
            self._stream_closed(self.connection)
        else:
            self.connection.onidle(self._stream_closed)
            self._agent.lend(self)

    def _stream_closed(self, connection: H1Connection) -> None:
        connection.onidle(None)
        self.give_back_lent()

    def give_back_lent(self) -> None:
        """Tell the pool that the stream of a lent response is closed."""
        if not self._given_back:
            self._given_back = True
            self._agent.finished(self)

    def close(self) -> None:
        """Give the response up; idempotent, never waits.

        What was already received of the rest is dropped, and unless that was all of it the connection is closed.
        """
        if not self._given_back:
            self.stream.drain_buffered()
            if self.stream.state == "closed":
                self._given_back = True
                self._agent.finished(self)
            else:
                self.abandon()

    def abandon(self) -> None:
        """Close the connection, whatever state it is in. Idempotent."""
        if not self._given_back:
            self._given_back = True
            self._agent.abandoned(self)

    def forsake(self) -> None:
        """`abandon` for finalizers: the connection is closed when the pool is used next."""
        if not self._given_back:
            self._given_back = True
            self._agent.forsaken(self)
