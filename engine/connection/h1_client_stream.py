"""The client's side of an HTTP/1 exchange."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import (
    ClosedError,
    ConnectionClosed,
    LocalProtocolError,
    NetworkError,
    RemoteProtocolError,
    Timeout,
)
from ..protocol.h1_client import H1ClientMachine
from ..protocol.h1_events import DataReceived, EndReceived, Event, InformationalReceived, ResponseReceived
from ..wire.headers import Headers
from .h1_stream import H1Stream

if TYPE_CHECKING:
    pass

__all__ = ["H1ClientStream"]

# How much of an unread response is read and dropped to keep the connection, in bytes: lua-http's figure.
_DRAIN_MAX = 500 * 1024


class H1ClientStream(H1Stream):
    """A request to send and its response to read. See `H1Stream`.

    Attributes:
        response: the final response's head as the machine reported it, None before it came.
        answered_early: whether the final response came while the request body was being sent.
    """

    _machine: H1ClientMachine

    response: ResponseReceived | None = None
    answered_early = False

    # -- sending -------------------------------------------------------------------------------------------------------

    async def write_head(self, headers: Headers, end_stream: bool, deadline: float) -> None:
        """Send the request's head, once the stream before has sent all of its own; later, the trailer section."""
        if self.state != "idle":
            self._check_may_write()
            if not end_stream:
                raise LocalProtocolError("a trailer section ends the message")
            await self._write_trailers(headers, deadline)
            return
        if not end_stream and headers.get(":method") == "CONNECT":
            # What follows the answer is the tunnel's; the request itself has no body (RFC 9110 section 9.3.6).
            end_stream = True
        connection = self.connection
        queue = connection.write_queue
        queue.append(self)
        if queue[0] is not self:
            headers = await self._wait_to_open(headers, deadline)
        output = self._open(headers, end_stream)
        try:
            await connection.send(output, deadline)
        finally:
            if end_stream:
                self._sent()

    async def write_message(self, headers: Headers, body: bytes, deadline: float) -> None:
        """Send a request whose whole body is at hand, head and body in one write."""
        machine = self._machine
        if self.state != "idle":
            raise LocalProtocolError("the request was sent already")
        queue = self.connection.write_queue
        queue.append(self)
        if queue[0] is not self:
            headers = await self._wait_to_open(headers, deadline)
        output = self._open(headers, False)
        try:
            output += machine.send_data(body) + machine.send_end()
        except BaseException:
            # The head counts as sent, but never will be.
            self.give_up_sending()
            raise
        await self._send_last(output, deadline)

    async def _wait_to_open(self, headers: Headers, deadline: float) -> Headers:
        """Wait at the end of the write queue; returns what the headers were, whatever the caller does to them meanwhile."""
        headers = headers.copy()
        try:
            await self.connection.wait_to_write(self, deadline)
        except BaseException:
            self.connection.leave_write_queue(self)
            raise
        return headers

    def _open(self, headers: Headers, end_stream: bool) -> bytes:
        """Begin the request, at the head of the write queue; returns what is to be sent."""
        connection = self.connection
        try:
            output = self._machine.send_request(headers, end_stream)
        except BaseException:
            connection.leave_write_queue(self)
            raise
        connection.pipeline.append(self)
        connection.requests += 1
        self.state = "open"
        return output

    def _sent(self) -> None:
        queue = self.connection.write_queue
        if queue and queue[0] is self:
            queue.popleft()
        self._sent_all = True
        self.state = "half closed (local)"
        if self._received_all or self.connection.waiters:
            self._advance()

    def _check_may_write(self) -> None:
        if self.state == "idle" or self._sent_all:
            self._check_not_cut()
            raise LocalProtocolError("no request of this stream is open for data")

    async def write_piece_unless_answered(self, data: bytes, deadline: float) -> bool:
        """Send a piece of the body, but stop when the final response comes while the peer takes nothing.

        Nobody may be reading from this stream at the same time. What a timeout leaves unsent waits in the outbox.

        Returns:
            True when all of it was sent. False when the response is there to be read; the rest of the request cannot be
            sent any more and the connection will not be used again.
        """
        self._check_may_write()
        connection, stream = self.connection, self.connection.stream
        await connection.flush_by(deadline)
        output = self._machine.send_data(data)
        sent = 0
        try:
            while sent < len(output):
                # The responses before this one are for others to read.
                first = connection.pipeline[0] is self
                count = await stream.send_some(memoryview(output)[sent:], connection.write_deadline(deadline), first)
                sent += count
                if not count and await self._look_for_answer():
                    sent = len(output)
                    return False
        finally:
            if sent < len(output) and not self._sent_all:
                connection.put_in_outbox(output[sent:])
        return True

    async def find_answer(self, deadline: float) -> bool:
        """After a `WriteError`: see whether the peer answered before it stopped reading.

        Returns:
            True when the final response is there to be read. The rest of the request is given up in any case.
        """
        self.give_up_sending()
        try:
            if not self._is_my_turn_to_read():
                await self._wait_to_read(deadline)
            while self.response is None:
                headers = self._head_event(await self._next_event(deadline))
                self._queue_head(headers)
        except (ClosedError, NetworkError, RemoteProtocolError, Timeout):
            return False
        self.answered_early = True
        return True

    async def _look_for_answer(self) -> bool:
        """Take what has come, without waiting for more; True when it holds the final response."""
        try:
            await self.connection.receive(self.connection.backend.now())
        except Timeout:
            # Below TLS something came that is no data.
            return False
        while self.response is None:
            event = self._machine.next_event()
            if event is None:
                return False
            self._queue_head(self._head_event(event))
        self.answered_early = True
        self.give_up_sending()
        return True

    def give_up_sending(self) -> None:
        """Leave the request unfinished: the connection cannot be used for another one."""
        self._machine.keep_alive = False
        self._machine.sender.abort()
        if not self._sent_all:
            self._sent()

    # -- for the request loop ------------------------------------------------------------------------------------------

    def limit_waits(self, read_timeout: float | None, write_timeout: float | None) -> None:
        """Set how many seconds without progress a read or write may take (for all streams of the connection)."""
        self.connection.read_timeout = read_timeout
        self.connection.write_timeout = write_timeout

    @property
    def chunk_left(self) -> int:
        """How many bytes are still to come of the chunk that the last piece was of."""
        return 0 if self._received_all else self._machine.chunk_left

    @property
    def read_timeout(self) -> float | None:
        """How many seconds without progress a read may take."""
        return self.connection.read_timeout

    @property
    def was_answered(self) -> bool:
        """Whether anything of the response came."""
        return self._machine.receiving or bool(self._machine.buffered)

    def finish(self) -> bool:
        """The response was read: whether the connection takes further exchanges."""
        return self._machine.can_continue

    def abandon(self) -> bool:
        """Give the exchange up without waiting; whether the connection takes further ones: it does not."""
        self._machine.keep_alive = False
        return False

    def forsake(self) -> None:
        """`abandon` for finalizers: nothing to do, the connection will be closed."""

    def on_end(self, handler: Callable[[], None] | None) -> None:
        """Have `handler` called when the stream is closed; None for nobody. One stream of a connection at a time."""
        if handler is None:
            self.connection.onidle(None)
        elif self.state == "closed":
            handler()
        else:
            self.connection.onidle(lambda _: handler())

    # -- receiving -----------------------------------------------------------------------------------------------------

    def _is_my_turn_to_read(self) -> bool:
        pipeline = self.connection.pipeline
        return bool(pipeline) and pipeline[0] is self

    async def read_head(self, deadline: float) -> Headers | None:
        """See `MessageStream.read_head`."""
        pipeline = self.connection.pipeline
        if self._heads or self._head_received or self._received_all or not pipeline or pipeline[0] is not self:
            return await super().read_head(deadline)
        return self._head_event(await self._next_event(deadline, self._machine.awaits_head))

    def take_whole_body(self) -> bytes | None:
        """The whole body, if none of it was read and all of it has come already; else None. Never waits."""
        if self._received_all or self._ungot or not self._head_received:
            return None
        connection = self.connection
        pipeline = connection.pipeline
        if not pipeline or pipeline[0] is not self:
            return None
        body = self._machine.take_whole_body()
        if body is None:
            return None
        self._received_all = True
        if not self._sent_all or connection.write_queue or connection.idle_handler:
            self._advance()
            return body
        # As `_advance`, where nobody has to be told. Who comes to wait meanwhile looks at the pipeline after that. The place
        # in it goes first: an interrupt must not leave a closed stream there, for which the next one would wait.
        pipeline.popleft()
        self.state = "closed"
        if connection.waiters:
            connection.stream_changed(self)
        return body

    def _head_event(self, event: Event) -> Headers:
        if type(event) is ResponseReceived:
            self.response = event
            self.version = event.version
            self._head_received = True
            if event.switched:
                self._open_tunnel()
            elif not event.has_body:
                self._receive_end()
            return event.headers
        if type(event) is InformationalReceived:
            return event.headers
        raise ConnectionClosed("the peer closed the connection without answering")

    async def shutdown(self, timeout: float | None = None) -> None:
        """Give the exchange up (lua-http's `shutdown`).

        Up to 500 KiB of the response are dropped to keep the connection; if that is not the end of it the connection is
        closed, and with it whatever was pipelined behind.

        Args:
            timeout: seconds to wait for the response; None, like 0, takes only what has come already.
        """
        connection = self.connection
        if self.state == "idle":
            self.state = "closed"
        if self.state == "closed":
            self._drop_partial_file()
            return
        deadline = connection.deadline_after(timeout or 0.0)
        left = _DRAIN_MAX
        try:
            while (
                (left := left - self._drop_buffered(left)) > 0 and self.state != "closed" and self._is_worth_draining()
            ):
                await connection.receive(deadline)
        except (ClosedError, NetworkError, RemoteProtocolError, Timeout):
            pass
        if self.state != "closed":
            self._machine.keep_alive = False
            connection.close()
            self.cut_off("the stream was shut down")
        self._drop_partial_file()

    def _is_worth_draining(self) -> bool:
        exchanges, pipeline = self._machine.exchanges, self.connection.pipeline
        return bool(exchanges and pipeline) and exchanges[0].keep_alive and pipeline[0] is self and self._sent_all

    def drain_buffered(self) -> None:
        """Drop what is left of the response as far as it was received already; never waits, never raises."""
        try:
            self._drop_buffered(_DRAIN_MAX)
        except (NetworkError, RemoteProtocolError):
            # The connection is of no more use; whoever wanted to keep it sees that the state is not "closed".
            self._machine.keep_alive = False

    def _drop_buffered(self, limit: int) -> int:
        """Drop what was received of the response, up to about `limit` bytes; returns how many of its body there were."""
        pipeline = self.connection.pipeline
        dropped = sum(map(len, self._ungot or ()))
        self._ungot = None
        if not pipeline or pipeline[0] is not self or not self._sent_all:
            return dropped
        while dropped < limit and not self._received_all and not self._machine.switched:
            event = self._machine.next_event()
            if event is None:
                break
            if type(event) is DataReceived:
                dropped += len(event.data)
            elif type(event) is EndReceived:
                self._end_received(event)
            else:
                self._head_event(event)
        return dropped
