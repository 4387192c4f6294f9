"""A response as it is received: head, body piece by piece, and the connection given back at its end.

Written once for both colours; the faces `Response` and `AsyncResponse` only drive it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..connection.connector import ClientConnection, ClientStream
from ..errors import ClosedError, DecodingError, LimitExceeded, Timeout
from ..wire.decoders import ContentDecoder, known_codings
from ..wire.field_values import split_list
from ..wire.headers import Headers
from .outgoing import Outgoing
from .timings import Timings

if TYPE_CHECKING:
    from .sending import Sender

__all__ = ["ResponseCore"]

_INFLATE_PIECE = 256 * 1024


class ResponseCore:
    """The answer to one `Outgoing`. Made by `Sender`.

    The connection goes back to the pool when the body was read to its end, and is closed when it is given up before, by
    `close` or because nobody holds the response any more.

    Attributes:
        is_complete: whether the whole body was received. One that was given up before never becomes so.
    """

    __slots__ = (
        "_agent",
        "_decoder",
        "_fault",
        "_given_back",
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
        agent: Sender,
        outgoing: Outgoing,
        stream: ClientStream,
        reused: bool,
        deadline: float,
        timings: Timings,
        early: list[Headers],
    ) -> None:
        self._given_back = True  # there is nothing to give back before `begin`
        self._agent = agent
        self.connection: ClientConnection = stream.connection
        self._decoder: ContentDecoder | None = None
        self._fault: DecodingError | LimitExceeded | None = None
        self.outgoing = outgoing
        self.stream: ClientStream = stream
        self.early = early
        self.trailers: Headers | None = None
        self.history: tuple[ResponseCore, ...] = ()
        self.reused = reused
        self.deadline = deadline
        self.decode = True
        self.timings = timings
        self.is_complete = False

    def begin(self) -> None:
        """Take the head of the final response, which the stream has; from now on the exchange is this object's to end."""
        head = self.stream.response
        assert head is not None
        self.headers: Headers = head.headers
        self.status = int(head.headers.raw_fields()[0][1])
        self.version = head.version
        self.reason = head.reason
        self._given_back = False

    def __del__(self) -> None:
        if not getattr(self, "_given_back", True):  # a copy has nothing
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
        body = self.take_raw()
        if body is not None:
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
        reusable = self.stream.finish()
        self._given_back = True
        self._agent.finished(self, reusable)

    def take_content(self) -> bytes | None:
        """The whole content, if nothing was read yet, all of it has come and no coding is on it; else None."""
        return None if self.decode and self.content_codings() else self.take_raw()

    def take_raw(self) -> bytes | None:
        """The whole body as it came, if nothing was read yet and all of it has come; else None. Never waits."""
        if self._given_back:
            return None
        body = self.stream.take_whole_body()
        if body is not None:
            self._ended()
        return body

    async def read_decoded(self) -> bytes | None:
        """The next piece of the content, content codings removed unless `decode` is off; None at its end.

        Raises:
            DecodingError, LimitExceeded: the content is corrupt, cut short, or grows beyond the client's limits; the exchange
                is given up, and every further call fails.
            EngineError: as `read_raw`.
        """
        if self._fault is not None:
            raise self._fault
        decoder = self._decoder
        try:
            if decoder is None:
                codings = self.content_codings() if self.decode else []
                if not codings:
                    return await self.read_raw()
                decoder = self._decoder = ContentDecoder(codings, self._agent.decoding_limits)
            while True:
                if decoder.has_pending:
                    output = decoder.decode(b"", _INFLATE_PIECE)
                else:
                    piece = await self.read_raw()
                    if piece is None:
                        # Bodies of HEAD and 304 are absent although a coding is named.
                        if self.stream.response is not None and self.stream.response.has_body:
                            decoder.finish()
                        return None
                    output = decoder.decode(piece, _INFLATE_PIECE)
                if output:
                    return output
        except (DecodingError, LimitExceeded) as error:
            self._fault = error
            self.abandon()
            raise

    def content_codings(self) -> list[str]:
        """The content codings to remove, in the order in which they were put on; none where one of them is not known."""
        headers = self.headers
        if not headers.has("content-encoding"):
            return []
        codings = [name.lower() for name in split_list(headers.get_comma_separated("content-encoding") or "")]
        codings = [name for name in codings if name != "identity"]
        return codings if known_codings().issuperset(codings) else []

    async def read_all(self, pieces: list[bytes]) -> None:
        """Read the whole rest of the content, decoded, and append it to `pieces`: after a failure they are what came."""
        while (piece := await self.read_decoded()) is not None:
            pieces.append(piece)

    # -- ending --------------------------------------------------------------------------------------------------------

    def release_at_end(self) -> None:
        """Leave reading to whoever holds `stream`: the connection is given back when that has been read or shut down."""
        self._agent.lend(self)
        self.stream.on_end(self._stream_closed)

    def _stream_closed(self) -> None:
        self.stream.on_end(None)
        self.give_back_lent()

    def give_back_lent(self) -> None:
        """Tell the pool that the stream of a lent response is closed."""
        if not self._given_back:
            self._given_back = True
            self._agent.finished(self, self.stream.finish())

    def part_from_connection(self) -> ClientConnection:
        """The connection, which is the caller's from now on: nothing is given back, and nothing closed."""
        self._given_back = True
        return self.connection

    def close(self) -> None:
        """Give the response up; idempotent, never waits.

        What was already received of the rest is dropped, and unless that was all of it the connection is closed.
        """
        if not self._given_back:
            self.stream.drain_buffered()
            if self.stream.state == "closed":
                self._given_back = True
                self._agent.finished(self, self.stream.finish())
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
