"""An HTTP/1 stream: one request and its response, on its turn in the connection's pipeline. What both roles share."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import ClosedError, LocalProtocolError, RemoteProtocolError, UsageError
from ..protocol.h1_events import ConnectionEnded, DataReceived, EndReceived, Event
from ..wire.headers import Headers
from .message_stream import MessageStream

if TYPE_CHECKING:
    from ..protocol.h1_client import H1ClientMachine
    from ..protocol.h1_server import H1ServerMachine
    from .h1_connection import H1Connection

__all__ = ["H1Stream"]

# lua-http's names for where a stream stands, and the order in which it may move.
_MOVES: dict[str, set[str]] = {
    "idle": {"open", "half closed (local)", "half closed (remote)", "closed"},
    "open": {"half closed (local)", "half closed (remote)", "closed"},
    "half closed (local)": {"closed"},
    "half closed (remote)": {"closed"},
    "closed": set(),
}


class H1Stream(MessageStream):
    """One exchange on an `H1Connection` (lua-http's `http.h1_stream`). Made by the connection, never directly.

    Attributes:
        connection: the connection it runs on.
        state: "idle", "open", "half closed (local)" (the whole message was sent), "half closed (remote)" (the whole
            message was received) or "closed".
        version: the peer's version, 1.0 or 1.1; None before its head came.
        has_trailers: whether the received message ended in a trailer section; `get_headers` returns it.
    """

    connection: H1Connection

    version: float | None = None
    has_trailers = False
    _heads: deque[Headers] | None
    _cut = ""

    def __init__(self, connection: H1Connection, machine: H1ClientMachine | H1ServerMachine) -> None:
        self.connection = connection
        self._machine: H1ClientMachine | H1ServerMachine = machine
        self.state = "idle"
        self._heads = self._ungot = None
        self._head_received = self._received_all = self._sent_all = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.state}>"

    @property
    def max_header_lines(self) -> int:
        """How many field lines a header section of the peer may have (for all streams of the connection)."""
        return self._machine.limits.max_fields

    @max_header_lines.setter
    def max_header_lines(self, count: int) -> None:
        self._machine.limits = replace(self._machine.limits, max_fields=count)

    # -- states --------------------------------------------------------------------------------------------------------

    def set_state(self, new: str) -> None:
        """Move to a later state, for those who read or wrote the message by hand (lua-http's `set_state`).

        "half closed (local)" ends this stream's turn to write, "closed" its place in the pipeline.

        Raises:
            UsageError: there is no such state, or no way from the present one to it.
        """
        if new not in _MOVES:
            raise UsageError(f"not a stream state: {new!r}")
        if new == self.state:
            return
        if new not in _MOVES[self.state]:
            raise UsageError(f"a stream cannot move from {self.state!r} to {new!r}")
        self._sent_all = self._sent_all or new in ("half closed (local)", "closed")
        self._received_all = self._received_all or new in ("half closed (remote)", "closed")
        self.state = new
        self.connection.stream_changed(self)

    def cut_off(self, reason: str) -> None:
        """Close the stream whatever its state; what it had not sent or received yet is lost, and later calls say `reason`."""
        if self.state != "closed":
            self._cut = "" if self._received_all else reason
            self._sent_all = self._received_all = True
            self.state = "closed"
            self.connection.stream_changed(self)

    def _advance(self) -> None:
        """Derive the state from what was sent and received, and tell the connection where that matters to others."""
        if self._sent_all:
            self.state = "closed" if self._received_all else "half closed (local)"
        else:
            self.state = "half closed (remote)" if self._received_all else "open"
        connection = self.connection
        if self.state == "closed" or connection.waiters:
            connection.stream_changed(self)

    def _open_tunnel(self) -> None:
        """Both directions begin anew: the head switched the protocol."""
        self._sent_all = self._received_all = False
        self.state = "open"

    # -- receiving -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def _is_my_turn_to_read(self) -> bool:
        """Whether what the connection receives is this stream's."""

    async def _wait_to_read(self, deadline: float) -> None:
        if self.state == "idle":
            raise LocalProtocolError("the request was not sent")
        await self.connection.wait_to_read(self, deadline)

    @abstractmethod
    def _head_event(self, event: Event) -> Headers:
        """Take an event other than data and end; return its header block."""

    async def _next_event(self, deadline: float, receive_first: bool = False) -> Event:
        machine, connection = self._machine, self.connection
        try:
            if receive_first:
                await connection.receive(deadline)
            event = machine.next_event()
            while event is None:
                await connection.receive(deadline)
                event = machine.next_event()
        except RemoteProtocolError as error:
            connection.remember("r", error)
            raise
        return event

    async def read_headers(self, timeout: float | None = None) -> Headers | None:
        """Read a header block from the connection, past those already queued (lua-http's `read_headers`).

        Rarely what you want: see `get_headers`.
        """
        queued, self._heads = self._heads, None
        try:
            return await self.read_head(self._deadline(timeout))
        finally:
            self._heads = queued

    async def read_head(self, deadline: float) -> Headers | None:
        """See `MessageStream.read_head`."""
        if self._heads:
            return self._heads.popleft()
        if self._received_all:
            self._check_not_cut()
            return None
        if self._head_received:
            raise LocalProtocolError("the body must be read before its trailer section")
        if not self._is_my_turn_to_read():
            await self._wait_to_read(deadline)
        return self._head_event(await self._next_event(deadline, self._machine.awaits_head))

    def _queue_head(self, headers: Headers) -> None:
        """Keep a header block for `read_head`."""
        if self._heads is None:
            self._heads = deque()
        self._heads.append(headers)

    async def read_next_chunk(self, timeout: float | None = None) -> bytes | None:
        """Read a piece of the body from the connection, past what was un-got (lua-http's `read_next_chunk`)."""
        return await self._read_piece(self._deadline(timeout))

    async def _read_piece(self, deadline: float) -> bytes | None:
        if self._received_all:
            self._check_not_cut()
            return None
        if not self._is_my_turn_to_read():
            await self._wait_to_read(deadline)
        while True:
            event = await self._next_event(deadline)
            if type(event) is DataReceived:
                if self._machine.body_is_over:
                    # With the last byte, so that the connection is free as soon as nothing more can come.
                    self._receive_end()
                return event.data
            if type(event) is EndReceived:
                self._end_received(event)
                return None
            if type(event) is ConnectionEnded and self._machine.switched:
                self._received_all = True
                self._advance()
                return None
            # The head was not asked for yet: it waits for `get_headers`.
            self._queue_head(self._head_event(event))
            if self._received_all:
                return None

    @property
    def is_over(self) -> bool:
        """Whether the peer's message was received to its end and nothing of it is left to read."""
        return self._received_all and not self._ungot and not self._heads

    def _end_received(self, event: EndReceived) -> None:
        if event.trailers is not None:
            self.has_trailers = True
            self._queue_head(event.trailers)
        self._received_all = True
        self._advance()

    def _receive_end(self) -> None:
        """Take the end of a message that has no body, or no more of it, so that others need not wait for it."""
        self._machine.next_event()
        self._received_all = True
        self._advance()

    def _check_not_cut(self) -> None:
        if self._cut:
            raise ClosedError(self._cut)

    # -- sending -------------------------------------------------------------------------------------------------------

    @abstractmethod
    def _check_may_write(self) -> None:
        """Raise unless this stream's message is open for data."""

    async def write_piece(self, data: bytes, end_stream: bool, deadline: float) -> None:
        """See `MessageStream.write_piece`."""
        self._check_may_write()
        machine = self._machine
        output = machine.send_data(data)
        if end_stream and not machine.switched:
            try:
                end = machine.send_end()
            except BaseException:
                # The message stays open, with `data` counted in.
                self.connection.put_in_outbox(output)
                raise
            await self._send_last(output + end, deadline)
            return
        if output:
            await self.connection.send(output, deadline)
        if end_stream:
            # In a tunnel the end can only be told by ending this side of the connection.
            await self.connection.stream.send_eof(deadline)
            self._sent()

    async def _write_trailers(self, trailers: Headers, deadline: float) -> None:
        self._check_may_write()
        await self._send_last(self._machine.send_end(trailers), deadline)

    async def _send_last(self, output: bytes, deadline: float) -> None:
        """Send the end of this stream's message. Whatever becomes of it the turn passes on: the rest is in the outbox."""
        try:
            if output:
                await self.connection.send(output, deadline)
        finally:
            self._sent()

    def _sent(self) -> None:
        self._sent_all = True
        self._advance()
