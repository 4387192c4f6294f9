"""The client's side of an HTTP/2 exchange."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import (
    ClosedError,
    LocalProtocolError,
    NetworkError,
    PoolTimeout,
    RemoteProtocolError,
    Timeout,
    WriteTimeout,
)
from ..protocol.h1_events import ResponseReceived
from ..wire.h2_errors import H2ErrorCode, H2LimitExceeded
from ..wire.h2_fields import to_h2_fields
from ..wire.headers import Headers
from ..wire.reason_phrases import REASON_PHRASES
from .h2_stream import H2Stream

if TYPE_CHECKING:
    from .h2_connection import H2Connection

__all__ = ["H2ClientStream"]

_CANCEL = 0x8


class H2ClientStream(H2Stream):
    """A request to send and its response to read. See `H2Stream`.

    Attributes:
        response: the final response's head, None before it was read.
        method: of the request.
    """

    def __init__(self, connection: H2Connection) -> None:
        super().__init__(connection)
        self.method: str | None = None
        self.response: ResponseReceived | None = None
        self._final_head: Headers | None = None
        self._informational = 0

    # -- sending -------------------------------------------------------------------------------------------------------

    def sent_before(self, stream_id: int, method: str) -> None:
        """The request went out whole by other means, as the HTTP/1.1 request of an upgrade does. Under the guard."""
        self.id = stream_id
        self.method = method
        self._sent_all = True

    def block_sent(self, pseudo: Mapping[bytes, bytes]) -> None:
        """See `H2FrameWriters.block_sent`."""
        if self.method is None:
            self.method = pseudo.get(b":method", b"").decode("latin-1")

    async def write_head(self, headers: Headers, end_stream: bool, deadline: float) -> None:
        """Open the stream with the request's head, once the peer takes one more; later, the trailer section."""
        connection = self.connection
        if self.is_idle:
            # What follows a CONNECT is the tunnel's.
            end_stream = end_stream and headers.get(":method") != "CONNECT"
            await self._open(headers, b"", end_stream, deadline)
        else:
            await self._count_out(0, end_stream)
            with connection.guard:
                stream_id = self._check_may_send()
                if not end_stream:
                    raise LocalProtocolError("a trailer section ends the message")
                fields = to_h2_fields(headers)
                if fields and fields[0][0][:1] == b":":
                    raise LocalProtocolError("a trailer section has no pseudo-header fields")
                connection.machine.send_headers(stream_id, fields, True)
                connection.collect()
                self._sent()
        await connection.send_soon(self._write_deadline(deadline))

    async def write_message(self, headers: Headers, body: bytes, deadline: float) -> None:
        """Send a request whose whole body is at hand, head and as much body as the windows take in one step."""
        rest = await self._open(headers, body, True, deadline)
        await self.connection.send_soon(self._write_deadline(deadline))
        if rest:
            await self._write_view(rest, True, deadline)

    async def _open(self, headers: Headers, body: bytes, end_stream: bool, deadline: float) -> memoryview:
        """Take a stream id and queue the head, and what goes out of `body`; returns the rest. One guarded step."""
        connection = self.connection
        fields = to_h2_fields(headers)
        if headers.get(":method") != "CONNECT":
            self._announce_length(headers, len(body), end_stream)
        if ":protocol" in headers:
            await connection.check_extended_connect(deadline)
        if not connection.streams:
            # After a rest the connection may have ended.
            await connection.take_input()
        while True:
            with connection.guard:
                if self._given_up:
                    raise ClosedError("the stream was shut down")
                if connection.take_turn_to_open(self):
                    self.id = connection.machine.open_stream(fields, end_stream and not body, self._picked_id())
                    self.method = headers.get(":method")
                    connection.opened(self)
                    connection.collect()
                    if not body:
                        if end_stream:
                            self._sent()
                        return memoryview(b"")
                    return self._queue(self.id, memoryview(body), end_stream)
            try:
                await connection.wait_until(self._may_open, self.writing, deadline, WriteTimeout)
            except BaseException as error:
                with connection.guard:
                    connection.leave_queue(self)
                if isinstance(error, WriteTimeout):
                    raise PoolTimeout("the peer takes no more streams at the moment") from None
                raise

    def _picked_id(self) -> int | None:
        """The id that was picked, None to take the next. Under the guard."""
        if self.state == "closed":
            raise LocalProtocolError("a stream with a higher id was opened before this one")
        return self.id

    def check_block(self, pseudo: Mapping[bytes, bytes], end_stream: bool) -> None:
        """See `H2FrameWriters.check_block`."""
        if self.is_idle:
            if b":method" not in pseudo:
                raise LocalProtocolError("the headers have no :method")
            if b":protocol" in pseudo and not self.connection.peer_allows_extended_connect:
                raise LocalProtocolError("the server does not take extended CONNECT (RFC 8441)")
        elif pseudo or not end_stream:
            raise LocalProtocolError("a trailer section has no pseudo-header fields, and it ends the message")

    def _may_open(self) -> bool:
        return self.connection.is_turn_to_open(self)

    async def write_piece_unless_answered(self, data: bytes, deadline: float) -> bool:
        """Send a piece of the body, but stop when the final response comes while the peer takes nothing.

        Returns:
            True when all of it was sent. False when the response is there to be read; the stream was reset for sending.
        """
        connection = self.connection
        await self._count_out(len(data), False)
        view = memoryview(data)
        while view:
            with connection.guard:
                if self._final_head is not None and not self._can_go_on():
                    self._give_up_upload()
                    return False
                view = self._queue(self._check_may_send(), view, False)
            await connection.flush_by(self._write_deadline(deadline))
            if view:
                await connection.wait_for_room(self._write_deadline(deadline))
                await connection.wait_until(
                    self._can_send_or_stop, self.writing, self._write_deadline(deadline), WriteTimeout
                )
        return True

    def _can_go_on(self) -> bool:
        """Whether the peer takes more of the body in spite of its answer. Under the guard."""
        return self._fault is None and not self._received_all and self._can_send()

    def _give_up_upload(self) -> None:
        """The rest of the request will not be sent; the stream is reset when the response is complete. Under the guard."""
        self._upload_given_up = True
        if self._received_all and self._fault is None:
            self.end_received()
            self.connection.collect()

    def give_up_sending(self) -> None:
        """Leave the request unfinished: the stream is reset when the response is complete."""
        with self.connection.guard:
            self._give_up_upload()
        self.connection.flush_without_waiting()

    def _can_send_or_stop(self) -> bool:
        return self._final_head is not None or self._can_send()

    async def find_answer(self, deadline: float) -> bool:
        """After a write failed: whether the final response is there all the same."""
        try:
            await self.connection.wait_until(self._is_answered_or_over, self.reading, self._read_deadline(deadline))
        except (NetworkError, RemoteProtocolError, ClosedError, Timeout):
            return False
        with self.connection.guard:
            if self._final_head is not None:
                self._give_up_upload()
            return self._final_head is not None

    def _is_answered_or_over(self) -> bool:
        return self._final_head is not None or self._fault is not None or self._given_up or self.id is None

    # -- receiving -----------------------------------------------------------------------------------------------------

    def head_received(self, headers: Headers) -> None:
        """See `H2Stream.head_received`."""
        if self._final_head is None and headers.raw_fields()[0][1][0] == "1":
            self._informational += 1
            if self._informational > self.connection.machine.limits.max_informational:
                raise H2LimitExceeded(
                    H2ErrorCode.ENHANCE_YOUR_CALM, "too many informational responses", stream_error=True
                )
        elif self._final_head is None:
            if self.method not in ("HEAD", "CONNECT") and headers.raw_fields()[0][1] not in ("204", "304"):
                self.expect_length(headers)
            self._final_head = headers
            self.connection.wake(self.writing)
        super().head_received(headers)

    def _took(self, headers: Headers) -> Headers:
        if headers is self._final_head:
            ended = self._received_all and not self._pieces
            length = headers.get("content-length")
            known = 0 if ended else int(length) if length is not None and length.isdecimal() else None
            # HTTP/2 has no reason phrase: users get the registered one.
            reason = REASON_PHRASES.get(int(headers.raw_fields()[0][1]), "")
            self.response = ResponseReceived(headers, 2.0, reason, not ended, known, False)
        return headers

    @property
    def is_over(self) -> bool:
        """Whether the peer's message was received to its end and nothing of it is left to read."""
        return self._received_all and not self._pieces and not self._heads and not self._ungot

    def take_whole_body(self) -> bytes | None:
        """The whole body, if none of it was read and all of it has come already; else None. Never waits."""
        if self._ungot or not self._received_all:
            return None
        with self.connection.guard:
            if not self._pieces or self._heads or self._given_up:
                return None
            pieces = [data for data, _ in self._pieces]
            self._consume(sum(flow for _, flow in self._pieces))
            self._pieces.clear()
        # The peer may be waiting for the windows to open, on behalf of others.
        self.connection.flush_soon()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @property
    def chunk_left(self) -> int:
        """0: there are no chunks here."""
        return 0

    # -- for the request loop ------------------------------------------------------------------------------------------

    def limit_waits(self, read_timeout: float | None, write_timeout: float | None) -> None:
        """Set how many seconds without progress a read or write may take."""
        self.read_timeout = read_timeout
        self.write_timeout = write_timeout

    def finish(self) -> bool:
        """The response was read: see to the rest of the exchange; whether the connection takes further ones."""
        if self.state != "closed":
            self.cancel()
        return self.connection.is_open_for_more

    def cancel(self, code: int = _CANCEL) -> None:
        """See `H2Stream.cancel`. In the middle of a step of this thread's it is `forsake`."""
        if self.connection.may_enter():
            super().cancel(code)
        else:
            self.forsake()

    def abandon(self) -> bool:
        """Give the exchange up without waiting; whether the connection takes further ones."""
        self.cancel()
        return self.connection.is_open_for_more

    def forsake(self) -> None:
        """`abandon` for finalizers: the stream is reset with what is done next on the connection."""
        self.connection.forsake(self)

    def drain_buffered(self) -> None:
        """Give the rest of the response up; costs the connection nothing."""
        self.cancel()
