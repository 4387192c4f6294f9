"""An HTTP/2 stream: one request and its response among others on a shared connection. What both roles share.

Every attribute that the connection fills in (heads, pieces, ends, faults) changes under the connection's guard. Flow control
follows the reader: a piece opens the windows again when it is taken, so a slow reader holds up its own window and no more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import ClosedError, EngineError, LocalProtocolError, ReadTimeout, WriteTimeout
from ..wire.h2_errors import H2Error, H2ErrorCode
from ..wire.h2_fields import content_length
from ..wire.headers import Headers
from .h2_frames import H2FrameWriters
from .h2_output import Place, fresh

if TYPE_CHECKING:
    from .h2_connection import H2Connection

__all__ = ["H2Stream"]

# Pieces smaller than this are joined until they are as large as that, in bytes.
_SMALL, _JOINED = 1024, 4096
_CANCEL, _NO_ERROR, _INTERNAL_ERROR = 0x8, 0x0, 0x2


class H2Stream(H2FrameWriters):
    """One exchange on an `H2Connection` (lua-http's `http.h2_stream`). Made by the connection, never directly.

    Attributes:
        connection: the connection it runs on.
        id: the stream id, None before `pick_id` or the first HEADERS.
        is_idle: whether neither HEADERS nor PUSH_PROMISE opened it yet.
        is_pushed: whether it is a push, promised or received.
        version: 2.0.
        read_timeout, write_timeout: seconds without progress after which a read or write fails, None for no limit.
        has_trailers: whether the received message ended in a trailer section; `get_headers` returns it.
    """

    connection: H2Connection
    is_pushed = False

    def __init__(self, connection: H2Connection) -> None:
        self.connection = connection
        self.id: int | None = None
        self.is_idle = True
        self.version = 2.0
        self.read_timeout: float | None = None
        self.write_timeout: float | None = None
        self.has_trailers = False
        self.reading: Place = []
        self.writing: Place = []
        self._heads: deque[Headers] = deque()
        self._pieces: deque[tuple[bytes, int]] = deque()
        self._received_any = False
        self._length_left: int | None = None  # how much of the body is still to come, where its length was announced
        self._received_all = False
        self._sent_all = False
        self._given_up = False
        self._fault: EngineError | None = None
        self._upload_given_up = False
        self._length_to_send: int | None = None  # of what the head announced, None for as much as there is
        self._on_end: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.state}>"

    @property
    def state(self) -> str:
        """Where it stands, in RFC 9113's words: "idle", "open", "half closed (local)", "half closed (remote)", "closed"."""
        if self.is_idle:
            return "closed" if self._given_up or self._was_passed_over else "idle"
        if self._fault is not None or self._given_up or (self._sent_all and self._received_all):
            return "closed"
        if self._sent_all:
            return "half closed (local)"
        return "half closed (remote)" if self._received_all else "open"

    @property
    def _was_passed_over(self) -> bool:
        """Whether a higher id was used before this one that was picked (RFC 9113 section 5.1.1)."""
        return self.id is not None and 0 < self.id <= self.connection.machine.library.highest_outbound_stream_id

    @property
    def is_ours(self) -> bool:
        """Whether this side opened it."""
        return self.id is not None and self.id % 2 == (self.connection.type == "client")

    @property
    def is_lost(self) -> bool:
        """Whether it was reset, or its connection broke."""
        return self._fault is not None or self._given_up

    # -- told by the connection, under its guard -----------------------------------------------------------------------

    def head_received(self, headers: Headers) -> None:
        """A header block came."""
        self._received_any = True
        self._heads.append(headers)
        self.connection.wake(self.reading)

    def expect_length(self, headers: Headers) -> None:
        """Hold the peer to the length its message announces (RFC 9113 section 8.1.1).

        Raises:
            H2Error: of the stream: it announces none that makes sense. So do `data_received` and `end_received` when the body
                turns out longer or shorter.
        """
        self._length_left = content_length(headers)

    def expect_any_length(self) -> None:
        """Do not hold the peer to a length any more. Under the guard."""
        self._length_left = None

    def trailers_received(self, headers: Headers) -> None:
        """A trailer section came."""
        self.has_trailers = True
        self.head_received(headers)

    def data_received(self, data: bytes, flow: int) -> None:
        """A piece of the body came, which took `flow` bytes of the windows."""
        if self._length_left is not None and not self._given_up:
            self._length_left -= len(data)
            if self._length_left < 0:
                self._consume(flow)
                raise _wrong_length("more")
        if self._given_up:
            self._consume(flow)
        elif data:
            pieces = self._pieces
            if pieces and len(data) < _SMALL and len(pieces[-1][0]) < _JOINED:
                # Or each byte of a slow drip would cost a hundred.
                before, flow_before = pieces[-1]
                pieces[-1] = (before + data, flow_before + flow)
            else:
                pieces.append((data, flow))
            self.connection.wake(self.reading)
        else:
            self._consume(flow)

    def end_received(self) -> None:
        """The peer's message is complete."""
        if self._length_left and not self._given_up:
            raise _wrong_length("less")
        self._received_all = True
        if self._upload_given_up and not self._sent_all and self.id is not None:
            # Asked for and answered: the rest of the request is of no use (RFC 9113 section 8.1).
            self.connection.machine.reset(self.id, _NO_ERROR)
            self._sent_all = True
        self.connection.wake(self.reading)
        self.connection.wake(self.writing)
        self._settle()

    def failed(self, error: EngineError) -> None:
        """The stream, or its connection, broke. What came before stays to be read."""
        if self._fault is None and not (self._received_all and self._sent_all):
            self._fault = error
        self.connection.wake(self.reading)
        self.connection.wake(self.writing)
        self._settle()

    def _settle(self) -> None:
        if self.state == "closed":
            self._end()

    def _end(self) -> None:
        """Nothing more will happen on the stream. Under the guard."""
        self.connection.forget(self)
        if self._on_end is not None:
            self.connection.call_later(self._on_end)
            self._on_end = None

    def on_end(self, handler: Callable[[], None] | None) -> None:
        """Have `handler` called, outside the guard, when the stream is closed; None for nobody. Any thread."""
        with self.connection.guard:
            self._on_end = handler
            if self.state == "closed":
                self._end()
        self.connection.run_due()

    def _consume(self, flow: int) -> None:
        if self.id is not None:
            self.connection.consumed(self.id, flow)

    @property
    def was_answered(self) -> bool:
        """Whether anything of the peer's message came. Under the guard."""
        return self._received_any

    # -- receiving -----------------------------------------------------------------------------------------------------

    def _can_read_head(self) -> bool:
        return bool(self._heads) or self._can_read_piece()

    def _can_read_piece(self) -> bool:
        return bool(self._pieces or self._received_all or self._fault or self._given_up)

    def _read_deadline(self, deadline: float) -> float:
        return (
            deadline if self.read_timeout is None else min(deadline, self.connection.backend.now() + self.read_timeout)
        )

    def _write_deadline(self, deadline: float) -> float:
        return (
            deadline
            if self.write_timeout is None
            else min(deadline, self.connection.backend.now() + self.write_timeout)
        )

    async def _wait_to_read(self, ready: Callable[[], bool], deadline: float) -> None:
        if self.is_idle and not self._given_up:
            raise LocalProtocolError("the request was not sent")
        await self.connection.wait_until(ready, self.reading, self._read_deadline(deadline), ReadTimeout)

    def _check(self) -> None:
        """Raise what ended the stream before its message was complete. Under the guard."""
        if self._given_up and not self._received_all:
            raise ClosedError("the stream was shut down")
        if self._fault is not None and not self._received_all:
            raise fresh(self._fault)

    async def read_head(self, deadline: float) -> Headers | None:
        """See `MessageStream.read_head`."""
        while True:
            with self.connection.guard:
                if self._heads:
                    return self._took(self._heads.popleft())
                if self._pieces:
                    raise LocalProtocolError("the body must be read before its trailer section")
                if self._received_all:
                    return None
                self._check()
            await self._wait_to_read(self._can_read_head, deadline)

    def _took(self, headers: Headers) -> Headers:
        """A head is handed out. Under the guard."""
        return headers

    async def _read_piece(self, deadline: float) -> bytes | None:
        data = b""
        while True:
            with self.connection.guard:
                if self._pieces:
                    data, flow = self._pieces.popleft()
                    self._consume(flow)
                    break
                if self._received_all:
                    return None
                self._check()
            await self._wait_to_read(self._can_read_piece, deadline)
        # The window update goes out now rather than with the next read, which the peer may be waiting for.
        self.connection.flush_soon()
        return data

    # -- sending -------------------------------------------------------------------------------------------------------

    def _can_send(self) -> bool:
        if self._fault is not None or self._given_up:
            return True
        return self.is_idle or self.id is None or self._sent_all or self.connection.machine.sendable(self.id) > 0

    def _check_may_send(self) -> int:
        """The stream id; raises unless the message is open for data. Under the guard."""
        if self._given_up:
            raise ClosedError("the stream was shut down")
        if self._fault is not None:
            raise fresh(self._fault)
        if self.is_idle or self.id is None or self._sent_all:
            raise LocalProtocolError("no message of this stream is open for data")
        return self.id

    async def write_piece(self, data: bytes, end_stream: bool, deadline: float) -> None:
        """See `MessageStream.write_piece`. Waits for the windows; what a timeout leaves unsent is lost, so `shutdown` then.

        Raises:
            LocalProtocolError: the body is longer or shorter than the head announced; the stream was reset.
        """
        await self._count_out(len(data), end_stream)
        await self._write_view(memoryview(data), end_stream, deadline)

    def _announce_length(self, headers: Headers, body: int, end_stream: bool) -> None:
        """Note how much more a head says is to come after `body` bytes that go with it. Nothing was sent yet.

        Raises:
            LocalProtocolError: it says another length than what goes with it, and nothing else will.
        """
        self._length_to_send = None
        length = headers.first_values().get("content-length")
        if length is not None:
            if not length.isdecimal():
                raise LocalProtocolError("malformed content-length")
            self._length_to_send = int(length) - body
            if self._length_to_send < 0 or (end_stream and self._length_to_send):
                raise LocalProtocolError(f"a body of {body} bytes, and content-length says {length[:20]}")

    async def _count_out(self, size: int, end_stream: bool) -> None:
        """Hold this side's body to the length that was announced; a message is never ended short in silence."""
        left = self._length_to_send
        if left is None:
            return
        with self.connection.guard:
            self._check_may_send()
            self._length_to_send = left = left - size
            if left >= 0 and not (end_stream and left):
                return
            self.give_up(_INTERNAL_ERROR)
        await self.connection.flush_now()
        raise LocalProtocolError(f"the body is {'longer' if left < 0 else 'shorter'} than content-length says")

    async def _write_view(self, view: memoryview, end_stream: bool, deadline: float) -> None:
        connection = self.connection
        while True:
            with connection.guard:
                stream_id = self._check_may_send()
                view = self._queue(stream_id, view, end_stream)
                done = not view
            await connection.flush_by(self._write_deadline(deadline))
            if done:
                return
            await connection.wait_for_room(self._write_deadline(deadline))
            await connection.wait_until(self._can_send, self.writing, self._write_deadline(deadline), WriteTimeout)

    def _queue(self, stream_id: int, view: memoryview, end_stream: bool) -> memoryview:
        """Queue as much of `view` as windows and outbox take, with the end where it is all; returns the rest. Guarded."""
        connection = self.connection
        machine = connection.machine
        if not view:
            if end_stream:
                machine.send_end(stream_id)
                self._sent()
            connection.collect()
            return view
        while view and connection.has_room and (size := machine.sendable(stream_id)) > 0:
            piece, view = view[:size], view[size:]
            last = end_stream and not view
            machine.send_data(stream_id, piece, last)
            if last:
                self._sent()
            connection.collect()
        return view

    # -- for tunnels ---------------------------------------------------------------------------------------------------

    @property
    def has_input(self) -> bool:
        """Whether `read_piece` has something to return, or an error to raise, without waiting."""
        return bool(self._ungot) or self._can_read_piece()

    @property
    def can_send(self) -> bool:
        """Whether `queue_some` would take something, or raise. Under the guard."""
        return self._can_send()

    def queue_some(self, data: bytes | bytearray | memoryview, end: bool = False) -> int:
        """Queue as much of the beginning of `data` as windows and outbox take, with `end` the end behind all of it.

        Returns how many bytes of it there were. Under the guard.
        """
        with memoryview(data) as view:
            return len(view) - len(self._queue(self._check_may_send(), view, end))

    def _sent(self) -> None:
        self._sent_all = True
        self._settle()

    async def shutdown(self, timeout: float | None = None) -> None:
        """Give the stream up: reset it unless it is over, and give its credit back. Harms no other stream. Idempotent.

        Never waits: what the peer does not take at once goes out with what is done next on the connection.
        """
        with self.connection.guard:
            self.give_up(_CANCEL)
        self._drop_partial_file()
        await self.connection.flush_now()

    def give_up(self, code: int = _CANCEL) -> None:
        """Queue RST_STREAM, unless the stream is over, and give its credit back. Under the guard."""
        if self._given_up:
            return
        over = self.state == "closed"
        self._given_up = True
        if self._pieces:
            # What is dropped here must not look like the end of the body.
            self._received_all = False
        while self._pieces:
            self._consume(self._pieces.popleft()[1])
        if self.id is not None and not self.is_idle and not over:
            self.connection.machine.reset(self.id, code)
            self.connection.collect()
        self.connection.wake(self.reading)
        self.connection.wake(self.writing)
        self._end()

    def cancel(self, code: int = _CANCEL) -> None:
        """Give the stream up, as `shutdown`, from code that is no coroutine; any thread."""
        with self.connection.guard:
            self.give_up(code)
        self._drop_partial_file()
        self.connection.flush_without_waiting()


def _wrong_length(how: str) -> H2Error:
    return H2Error.new(H2ErrorCode.PROTOCOL_ERROR, f"{how} came than content-length says", stream_error=True)
