"""The server's side of an HTTP/1 exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import (
    ClosedError,
    LimitExceeded,
    LocalProtocolError,
    NetworkError,
    ReadTimeout,
    RemoteProtocolError,
    Timeout,
)
from ..protocol.h1_events import Event, RequestReceived
from ..protocol.h1_server import H1ServerMachine
from ..wire.headers import Headers
from .h1_stream import H1Stream

if TYPE_CHECKING:
    from .h1_connection import H1Connection

__all__ = ["H1ServerStream"]

# How much of an unread request body is read and dropped to keep the connection, in bytes: lua-http's figure. Beyond it a
# new connection is cheaper for both sides.
_DRAIN_MAX = 500 * 1024


class H1ServerStream(H1Stream):
    """A request to read and its response to send. See `H1Stream`.

    Attributes:
        request: the request's head as the machine reported it.
        status: the status of the final response once it was sent, else None.
        fault: the error that ended reading this request, if one did.
    """

    _machine: H1ServerMachine

    def __init__(self, connection: H1Connection, machine: H1ServerMachine, request: RequestReceived | None) -> None:
        super().__init__(connection, machine)
        self.request = request
        self.status: str | None = None
        self.fault: RemoteProtocolError | ReadTimeout | None = None
        self.state = "open"
        self._head_received = True
        # RFC 9110 section 10.1.1: whether the client waits to be told to go on, and whether that is on its way.
        self._continue_wanted = False
        self._continue_queued = False
        if request is None:
            self._received_all = True
            self.state = "half closed (remote)"
            return
        self.version = request.version
        self._queue_head(request.headers)
        self._continue_wanted = request.expects_continue
        if not request.has_body:
            self._receive_end()

    # -- receiving -----------------------------------------------------------------------------------------------------

    def _is_my_turn_to_read(self) -> bool:
        # The next request is not looked at before this one is complete.
        return True

    async def _read_piece(self, deadline: float) -> bytes | None:
        if not self._received_all and (self._continue_wanted or self._continue_queued):
            # Whoever reads the body wants it.
            await self._tell_to_continue(deadline)
        try:
            return await super()._read_piece(deadline)
        except RemoteProtocolError as error:
            self.fault = error
            raise

    async def _tell_to_continue(self, deadline: float) -> None:
        if self._continue_wanted and self._machine.buffered:
            # The client did not wait.
            self._continue_wanted = False
        if self._continue_wanted:
            headers = await self._take_turn(Headers.adopt([(":status", "100")]), deadline)
            self.connection.put_in_outbox(self._open_response(headers, False))
            self._continue_queued = True
        await self.connection.flush_by(deadline)
        self._continue_queued = False

    def _head_event(self, event: Event) -> Headers:
        raise LocalProtocolError(f"{type(event).__name__} inside a request")

    # -- sending -------------------------------------------------------------------------------------------------------

    async def write_head(self, headers: Headers, end_stream: bool, deadline: float) -> None:
        """Send an informational or the final response's head, after the responses before it; later, the trailer section."""
        headers = await self._take_turn(headers, deadline)
        if self.status is not None:
            if not end_stream:
                raise LocalProtocolError("the final response was sent already")
            await self._write_trailers(headers, deadline)
            return
        output = self._open_response(headers, end_stream)
        if end_stream and self.status is not None and not self._machine.switched:
            await self._send_last(output, deadline)
        else:
            await self.connection.send(output, deadline)

    async def write_message(self, headers: Headers, body: bytes, deadline: float) -> None:
        """Send a final response whose whole body is at hand, head and body in one write."""
        headers = await self._take_turn(headers, deadline)
        if self.status is not None:
            raise LocalProtocolError("the final response was sent already")
        machine = self._machine
        output = self._open_response(headers, False)
        try:
            output += machine.send_data(body) + machine.send_end()
        except BaseException:
            # The head counts as sent, but never will be.
            self.connection.close()
            raise
        await self._send_last(output, deadline)

    async def _take_turn(self, headers: Headers, deadline: float) -> Headers:
        """Wait for the responses before this one; return the headers, copied if that took time."""
        connection = self.connection
        pipeline = connection.pipeline
        if not pipeline or pipeline[0] is not self:
            if self.state != "closed":
                headers = headers.copy()
                await connection.wait_to_respond(self, deadline)
            if self.state == "closed":
                raise ClosedError(self._cut or "the exchange is over")
        return headers

    def _open_response(self, headers: Headers, end_stream: bool) -> bytes:
        machine = self._machine
        status = headers.get(":status") or ""
        final = status[:1] != "1" or status == "101"
        output = machine.send_response(headers, end_stream)
        if final:
            self.status = status
            self._continue_wanted = False
            if machine.switched:
                self._open_tunnel()
            if self.connection.waiters:
                # Whether another request may follow this one can depend on the answer (Upgrade, CONNECT).
                self.connection.stream_changed(self)
        elif status == "100":
            self._continue_wanted = False
        return output

    def _check_may_write(self) -> None:
        if self.status is None or self._sent_all:
            self._check_not_cut()
            raise LocalProtocolError("no response of this stream is open for data")

    async def _send_last(self, output: bytes, deadline: float) -> None:
        await super()._send_last(output, deadline)
        machine = self._machine
        if not machine.keep_alive and not machine.exchanges:
            # Nothing will follow, which is also how some clients are told where the response ends.
            try:
                await self.connection.stream.send_eof(deadline)
            except (NetworkError, Timeout):
                self.connection.close()

    # -- ending --------------------------------------------------------------------------------------------------------

    async def shutdown(self, timeout: float | None = None) -> None:
        """End the exchange: answer if nobody did, and leave the connection fit for the next request, or closed.

        A request that could not be parsed is answered with its error's status, one that came too slowly (a `ReadTimeout` as
        `fault`) with 408, both of which end the connection; one that nobody answered with 503. A response that was begun
        cannot be completed: the connection is closed. Up to 500 KiB of unread body are dropped to keep the connection
        (lua-http's figure).

        Args:
            timeout: seconds for all of it, None for no limit.
        """
        self._drop_partial_file()
        if self.state == "closed":
            return
        deadline = self._deadline(timeout)
        try:
            if self.status is None:
                await self._answer_for_the_handler(deadline)
            if not self._sent_all:
                # The client must not take the part for the whole; only a cut connection tells it.
                self.connection.close()
            elif not self._received_all:
                await self._drain(deadline)
        except (NetworkError, RemoteProtocolError, LocalProtocolError, ClosedError, Timeout):
            self.connection.close()
        except BaseException:
            self.connection.close()
            raise
        finally:
            self.cut_off("the stream was shut down")

    async def _answer_for_the_handler(self, deadline: float) -> None:
        fault = self.fault
        if fault is not None:
            await self.refuse(fault.status if isinstance(fault, RemoteProtocolError) else 408, deadline)
        else:
            await self.write_head(Headers.adopt([(":status", "503"), ("content-length", "0")]), True, deadline)

    async def refuse(self, status: int, deadline: float) -> None:
        """Answer with an empty response of `status` and close after it."""
        self._machine.refuse_further()
        headers = Headers.adopt([(":status", str(status)), ("content-length", "0"), ("connection", "close")])
        await self.write_head(headers, True, deadline)

    async def _drain(self, deadline: float) -> None:
        if self.fault is not None or not self._machine.keep_alive:
            # The connection ends anyway: nothing to gain from reading on.
            self._machine.refuse_further()
            return
        dropped = 0
        while (piece := await super()._read_piece(deadline)) is not None:
            dropped += len(piece)
            if dropped > _DRAIN_MAX:
                raise LimitExceeded("too much of the request was left unread")
