"""The server's side of an HTTP/2 exchange."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import LocalProtocolError, RemoteProtocolError, Timeout
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
        fault: the error that ended reading this request, if one did.
    """

    def __init__(self, connection: H2Connection, stream_id: int) -> None:
        super().__init__(connection)
        self.id = stream_id
        self.status: str | None = None
        self.fault: RemoteProtocolError | Timeout | None = None

    async def write_head(self, headers: Headers, end_stream: bool, deadline: float) -> None:
        """Send an informational or the final response's head; later, the trailer section."""
        with self.connection.guard:
            self._queue_head(headers, end_stream)
        await self.connection.flush_by(self._write_deadline(deadline))

    def _queue_head(self, headers: Headers, end_stream: bool) -> None:
        """Check and queue a header block. Under the guard."""
        fields = to_h2_fields(headers)
        status = headers.get(":status")
        stream_id = self._check_may_send()
        if self.status is not None:
            if not end_stream or status is not None:
                raise LocalProtocolError("the final response was sent already")
        elif status is None:
            raise LocalProtocolError("the headers have no :status")
        elif status[0] == "1" and end_stream:
            raise LocalProtocolError("an informational response does not end the message")
        self.connection.machine.send_headers(stream_id, fields, end_stream)
        self.connection.collect()
        if self.status is None and status is not None and status[0] != "1":
            self.status = status
        if end_stream:
            self._sent()

    async def write_message(self, headers: Headers, body: bytes, deadline: float) -> None:
        """Send a final response whose whole body is at hand, head and as much body as the windows take in one step."""
        with self.connection.guard:
            self._queue_head(headers, not body)
            rest = self._queue(self.id or 0, memoryview(body), True) if body else memoryview(b"")
        await self.connection.flush_by(self._write_deadline(deadline))
        if rest:
            await self.write_piece(bytes(rest), True, deadline)

    async def write_piece(self, data: bytes, end_stream: bool, deadline: float) -> None:
        """See `H2Stream.write_piece`."""
        if self.status is None and self._fault is None and not self._given_up:
            raise LocalProtocolError("the head of the response comes before its body")
        await super().write_piece(data, end_stream, deadline)

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
            self._give_up(_NO_ERROR if self._sent_all else _INTERNAL_ERROR)
        self._drop_partial_file()
        await self.connection.flush_now()

    def _status_for_fault(self) -> int:
        if isinstance(self.fault, RemoteProtocolError):
            return self.fault.status
        return 408 if self.fault is not None else 503

    async def refuse(self, status: int, deadline: float) -> None:
        """Answer with an empty response of `status`."""
        await self.write_head(self._refusal(status), True, deadline)

    @staticmethod
    def _refusal(status: int) -> Headers:
        return Headers.adopt([(":status", str(status)), ("content-length", "0")])
