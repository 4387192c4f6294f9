"""The server's side of an HTTP/2 exchange."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ..errors import LocalProtocolError, ReadTimeout, RemoteProtocolError, Timeout, WriteTimeout
from ..wire.h2_fields import to_h2_fields
from ..wire.headers import Headers
from .h2_stream import H2Stream

if TYPE_CHECKING:
    from .h2_connection import H2Connection

__all__ = ["H2ServerStream"]

_NO_ERROR, _INTERNAL_ERROR = 0x0, 0x2


class H2ServerStream(H2Stream):
    """A request to read and its response to send. See `H2Stream`.

    Attributes:
        status: the status of the final response once it was sent, else None.
        fault: the error that ended reading this request or sending its response, if one did.
    """

    def __init__(self, connection: H2Connection, stream_id: int) -> None:
        super().__init__(connection)
        self.id = stream_id
        self.status: str | None = None
        self.fault: RemoteProtocolError | Timeout | None = None
        # RFC 9110 section 10.1.1: whether the client waits to be told to go on.
        self._continue_wanted = False
        self._is_head = False

    def head_received(self, headers: Headers) -> None:
        """See `H2Stream.head_received`."""
        if not self._received_any:
            self.expect_length(headers)
            self._is_head = headers.get(":method") == "HEAD"
            self._continue_wanted = (headers.get("expect") or "").lower() == "100-continue"
        super().head_received(headers)

    @property
    def is_broken(self) -> bool:
        """Whether the client reset the stream, or the connection broke."""
        return self._fault is not None

    async def write_head(self, headers: Headers, end_stream: bool, deadline: float) -> None:
        """Send an informational or the final response's head; later, the trailer section."""
        if self.status is not None:
            await self._count_out(0, end_stream)
        with self.connection.guard:
            self._queue_head(headers, end_stream)
        await self._flush_head(deadline)

    async def _flush_head(self, deadline: float) -> None:
        try:
            await self.connection.flush_by(self._write_deadline(deadline))
        except WriteTimeout as error:
            self.fault = error
            raise

    def _queue_head(self, headers: Headers, end_stream: bool, body: int = 0) -> None:
        """Check and queue a header block, which with `body` (bytes of it) is followed by all of that. Under the guard."""
        fields = to_h2_fields(headers)
        status = headers.get(":status")
        stream_id = self._check_may_send()
        self._check_head(status, ":method" in headers, end_stream)
        if self.status is None and not self._is_head and status not in ("204", "304") and str(status)[0] != "1":
            self._announce_length(headers, body, end_stream or body > 0)
        self.connection.machine.send_headers(stream_id, fields, end_stream)
        self.connection.collect()
        if self.status is None and status is not None and (status[0] != "1" or status == "100"):
            self._continue_wanted = False
        if self.status is None and status is not None and status[0] != "1":
            self.status = status
        if end_stream:
            self._sent()

    def _check_head(self, status: str | None, is_request: bool, end_stream: bool) -> None:
        if is_request:
            raise LocalProtocolError("a server sends no requests; see push_promise")
        if self.status is not None:
            if not end_stream or status is not None:
                raise LocalProtocolError("the final response was sent already")
        elif status is None:
            raise LocalProtocolError("the headers have no :status")
        elif status[0] == "1" and end_stream:
            raise LocalProtocolError("an informational response does not end the message")

    def check_block(self, pseudo: Mapping[bytes, bytes], end_stream: bool) -> None:
        """See `H2FrameWriters.check_block`."""
        if self.is_idle:
            raise LocalProtocolError("a server opens streams by push_promise")
        status = pseudo.get(b":status")
        self._check_head(None if status is None else status.decode("latin-1"), b":method" in pseudo, end_stream)

    def block_sent(self, pseudo: Mapping[bytes, bytes]) -> None:
        """See `H2FrameWriters.block_sent`."""
        status = pseudo.get(b":status")
        if self.status is None and status is not None and status[:1] != b"1":
            self.status = status.decode("latin-1")

    def check_data(self) -> None:
        """See `H2FrameWriters.check_data`."""
        if self.status is None:
            raise LocalProtocolError("the head of the response comes before its body")

    async def write_message(self, headers: Headers, body: bytes, deadline: float) -> None:
        """Send a final response whose whole body is at hand, head and as much body as the windows take in one step."""
        self._check_may_have(body, headers.get(":status"))
        with self.connection.guard:
            self._queue_head(headers, not body, len(body))
            rest = self._queue(self.id or 0, memoryview(body), True) if body else memoryview(b"")
        await self._flush_head(deadline)
        if rest:
            await self._write_view(rest, True, deadline)

    def _check_may_have(self, body: bytes, status: str | None) -> None:
        if body and (self._is_head or status in ("204", "304")):
            raise LocalProtocolError("this message has no body")

    async def write_piece(self, data: bytes, end_stream: bool, deadline: float) -> None:
        """See `H2Stream.write_piece`."""
        if self.status is None and self._fault is None and not self._given_up:
            raise LocalProtocolError("the head of the response comes before its body")
        self._check_may_have(data, self.status)
        try:
            await super().write_piece(data, end_stream, deadline)
        except WriteTimeout as error:
            self.fault = error
            raise

    async def _read_piece(self, deadline: float) -> bytes | None:
        if self._continue_wanted:
            # Whoever reads the body wants it.
            with self.connection.guard:
                waits = not (self._pieces or self._received_all or self._given_up or self._fault)
                if waits and self.status is None:
                    self._queue_head(Headers.adopt([(":status", "100")]), False)
                self._continue_wanted = False
        return await super()._read_piece(deadline)

    async def _wait_to_read(self, ready: Callable[[], bool], deadline: float) -> None:
        try:
            await super()._wait_to_read(ready, deadline)
        except (RemoteProtocolError, Timeout) as error:
            self.fault = error
            raise

    def _check(self) -> None:
        if isinstance(self._fault, RemoteProtocolError) and not self._received_all:
            self.fault = self._fault
        super()._check()

    async def shutdown(self, timeout: float | None = None) -> None:
        """End the exchange: answer 503 if nobody did, cut what is open, drop what is unread. Never waits."""
        with self.connection.guard:
            if self.status is None and not self._given_up and self._fault is None:
                self._queue_head(self._refusal(self._status_for_fault()), True)
            # Answered in full, the rest of the request is not wanted: RFC 9113 section 8.1.
            self.give_up(_NO_ERROR if self._sent_all else _INTERNAL_ERROR)
        self._drop_partial_file()
        await self.connection.flush_now()

    def _status_for_fault(self) -> int:
        if isinstance(self.fault, RemoteProtocolError):
            return self.fault.status
        return 408 if isinstance(self.fault, ReadTimeout) else 503

    async def refuse(self, status: int, deadline: float) -> None:
        """Answer with an empty response of `status`."""
        await self.write_head(self._refusal(status), True, deadline)

    @staticmethod
    def _refusal(status: int) -> Headers:
        return Headers.adopt([(":status", str(status)), ("content-length", "0")])
