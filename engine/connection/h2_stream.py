"""An HTTP/2 stream: one request and its response among others on a shared connection. What both roles share.

Every attribute that the connection fills in (heads, pieces, ends, faults) changes under the connection's guard. Flow control
follows the reader: a piece opens the windows again when it is taken, so a slow reader holds up its own window and no more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import ClosedError, EngineError, LocalProtocolError, ReadTimeout, WriteTimeout
from ..wire.headers import Headers
from .h2_core import Place, fresh
from .message_stream import MessageStream

if TYPE_CHECKING:
    from .h2_connection import H2Connection

__all__ = ["H2Stream"]

_CANCEL, _NO_ERROR = 0x8, 0x0


class H2Stream(MessageStream):
    """One exchange on an `H2Connection` (lua-http's `http.h2_stream`). Made by the connection, never directly.

    Attributes:
        connection: the connection it runs on.
        id: the stream id, None before the first HEADERS.
        version: 2.0.
        read_timeout, write_timeout: seconds without progress after which a read or write fails, None for no limit.
        has_trailers: whether the received message ended in a trailer section; `get_headers` returns it.
    """

    connection: H2Connection

    def __init__(self, connection: H2Connection) -> None:
        super().__init__(connection)
        self.id: int | None = None
        self.version = 2.0
        self.read_timeout: float | None = None
        self.write_timeout: float | None = None
        self.has_trailers = False
        self.reading: Place = []
        self.writing: Place = []
        self._heads: deque[Headers] = deque()
        self._pieces: deque[tuple[bytes, int]] = deque()
        self._received_any = False
        self._received_all = False
        self._sent_all = False
        self._given_up = False
        self._fault: EngineError | None = None
        self._upload_given_up = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.state}>"

    @property
    def state(self) -> str:
        """Where it stands, in RFC 9113's words: "idle", "open", "half closed (local)", "half closed (remote)", "closed"."""
        if self.id is None:
            return "closed" if self._given_up else "idle"
        if self._fault is not None or self._given_up or (self._sent_all and self._received_all):
            return "closed"
        if self._sent_all:
            return "half closed (local)"
        return "half closed (remote)" if self._received_all else "open"

    # -- told by the connection, under its guard -----------------------------------------------------------------------

    def head_received(self, headers: Headers) -> None:
        """A header block came."""
        self._received_any = True
        self._heads.append(headers)
        self.connection.wake(self.reading)

    def trailers_received(self, headers: Headers) -> None:
        """A trailer section came."""
        self.has_trailers = True
        self.head_received(headers)

    def data_received(self, data: bytes, flow: int) -> None:
        """A piece of the body came, which took `flow` bytes of the windows."""
        if self._given_up:
            self._consume(flow)
        elif data:
            self._pieces.append((data, flow))
            self.connection.wake(self.reading)
        else:
            self._consume(flow)

    def end_received(self) -> None:
        """The peer's message is complete."""
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
            self.connection.forget(self)

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
        if self.id is None and not self._given_up:
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
        try:
            await self.connection.flush_now()
        except BaseException:
            self.unget(data)
            raise
        return data

    # -- sending -------------------------------------------------------------------------------------------------------

    def _can_send(self) -> bool:
        if self._fault is not None or self._given_up:
            return True
        return self.id is None or self._sent_all or self.connection.machine.sendable(self.id) > 0

    def _check_may_send(self) -> int:
        """The stream id; raises unless the message is open for data. Under the guard."""
        if self._given_up:
            raise ClosedError("the stream was shut down")
        if self._fault is not None:
            raise fresh(self._fault)
        if self.id is None or self._sent_all:
            raise LocalProtocolError("no message of this stream is open for data")
        return self.id

    async def write_piece(self, data: bytes, end_stream: bool, deadline: float) -> None:
        """See `MessageStream.write_piece`. Waits for the windows; what a timeout leaves unsent is lost, so `shutdown` then."""
        connection = self.connection
        view = memoryview(data)
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
            piece, view = bytes(view[:size]), view[size:]
            last = end_stream and not view
            machine.send_data(stream_id, piece, last)
            if last:
                self._sent()
            connection.collect()
        return view

    def _sent(self) -> None:
        self._sent_all = True
        self._settle()

    async def shutdown(self, timeout: float | None = None) -> None:
        """Give the stream up: reset it unless it is over, and give its credit back. Harms no other stream. Idempotent.

        Never waits: what the peer does not take at once goes out with what is done next on the connection.
        """
        with self.connection.guard:
            self._give_up(_CANCEL)
        self._drop_partial_file()
        await self.connection.flush_now()

    def _give_up(self, code: int) -> None:
        """Under the guard; what is queued goes out with the next flush."""
        if self._given_up:
            return
        over = self.state == "closed"
        self._given_up = True
        if self._pieces:
            # What is dropped here must not look like the end of the body.
            self._received_all = False
        while self._pieces:
            self._consume(self._pieces.popleft()[1])
        if self.id is not None and not over:
            self.connection.machine.reset(self.id, code)
            self.connection.collect()
        self.connection.wake(self.reading)
        self.connection.wake(self.writing)
        self.connection.forget(self)

    def rst_stream_now(self, code: int = _NO_ERROR) -> None:
        """Queue RST_STREAM without waiting for it to be sent; any thread."""
        with self.connection.guard:
            self._give_up(code)
