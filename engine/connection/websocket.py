"""A WebSocket connection after its handshake, client or server, over HTTP/1.1 or HTTP/2: lua-http's `http.websocket`.

Any number of threads (blocking) or tasks (asyncio) may send at the same time while one receives; see `websocket_core` for
how. Methods take a `timeout` in seconds, None for no limit; one that passes loses nothing: what `receive` had collected stays
for the next call, and a message that was not sent whole goes on with whatever is sent, or read, next.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from ..backends.base import FOREVER, Backend, ByteStream
from ..errors import NetworkError, Timeout, UsageError, WebSocketClosed, WebSocketProtocolError
from ..protocol.websocket_events import Frame, Piece
from ..protocol.websocket_library import Output
from ..protocol.websocket_machine import MessageKind, Payload, WebSocketMachine, to_payload
from ..wire.headers import Headers
from .websocket_parts import MessageParts
from .websocket_pings import OnPong
from .websocket_pump import WebSocketPump
from .websocket_sending import OutgoingMessage

__all__ = ["WebSocketConnection"]

W = TypeVar("W", bound="WebSocketConnection")


class WebSocketConnection(WebSocketPump):
    """One side of a WebSocket. Made by `websocket_client` and `websocket_server`; an async context manager, which closes it.

    Args:
        stream: the byte stream after the handshake; the connection owns it from now on.
        backend: the stream's.
        machine: the protocol's state, new.
        protocol: the subprotocol that was agreed on.
        request: the handshake's request.
        response: the handshake's response.
        version: of HTTP below, 1.1 or 2.0.
        reason: the reason phrase of the response.

    Attributes:
        type: "client" or "server".
        protocol, request, response, version, reason: see above.
        close_timeout: seconds to wait for the peer's side of the closing handshake.
        latency: seconds between the last Ping that was answered and its Pong; None before there was one.
        ping_interval, ping_timeout: see `keep_alive`.
    """

    __slots__ = (
        "__weakref__",
        "_parts",
        "_streaming",
        "protocol",
        "reason",
        "request",
        "response",
        "type",
    )

    def __init__(
        self,
        stream: ByteStream,
        backend: Backend,
        machine: WebSocketMachine,
        protocol: str | None = None,
        request: Headers | None = None,
        response: Headers | None = None,
        version: float = 1.1,
        reason: str = "",
    ) -> None:
        super().__init__(stream, backend, machine)
        self.type = "client" if machine.client else "server"
        self.version = version
        self.protocol = protocol
        self.request = request
        self.response = response
        self.reason = reason
        self._streaming = False  # a message is being received in pieces
        self._parts: MessageParts | None = None  # of a message that is being received whole

    def __repr__(self) -> str:
        return f"<WebSocketConnection {self.type}{' closed' if self.is_closed else ''}>"

    def _deadline(self, timeout: float | None) -> float:
        return FOREVER if timeout is None else self.backend.now() + timeout

    # -- receiving -----------------------------------------------------------------------------------------------------

    def _has_news(self) -> bool:
        return bool(self._queue) or self._unparsed or self.is_over

    async def receive(self, timeout: float | None = None) -> str | bytes | None:
        """Wait for the next message. Pings that come meanwhile are answered.

        Returns:
            The message: str for text, bytes for binary. None when the WebSocket was closed, by the peer's Close frame
            (`close_received`) or by this side.

        Raises:
            ReadTimeout: it was not complete in time; what came of it is kept.
            WebSocketProtocolError: the peer broke the protocol or a limit, and the connection was failed.
            WebSocketClosed: the connection ended without a Close frame.
            ReadError: it broke.
            UsageError: somebody else is receiving.
        """
        deadline = FOREVER if timeout is None else self.backend.now() + timeout
        alone = self._begin_receiving()
        try:
            if alone and (message := await self._read(deadline, True)) is not None:
                return message
            late = 0
            while True:
                piece = await self._next(deadline)
                if piece is None:
                    return None
                data, last = piece.data, piece.last
                if self._streaming:
                    # The rest of a message that was received in pieces, up to here.
                    self._streaming = not last
                elif self._parts is None and last:
                    return data
                else:
                    parts = self._parts = self._parts or MessageParts()
                    parts.add(data)
                    if last:
                        self._parts = None
                        return parts.join()
                late = self._count_late(late, deadline)
        finally:
            self._leave_receiving()

    async def receive_piece(self, timeout: float | None = None) -> Piece | None:
        """Wait for the next piece of a message, of whatever size it came in: for messages larger than memory.

        Without limits on the size of messages (`WebSocketLimits`) nothing is kept of them here. `receive` skips the rest of
        a message that was begun so.

        Returns:
            The piece, of which `last` says whether the message ends with it; None when the WebSocket was closed.

        Raises:
            As `receive`.
        """
        alone = self._begin_receiving()
        try:
            parts, self._parts = self._parts, None
            if parts is not None:
                if alone:
                    self._stop_reading()
                self._streaming = True
                return Piece(parts.join(), False)
            if alone and (message := await self._read(self._deadline(timeout), True)) is not None:
                return Piece(message, True)
            piece = await self._next(self._deadline(timeout))
            if piece is not None:
                self._streaming = not piece.last
            return piece
        finally:
            self._leave_receiving()

    @property
    def is_mid_message(self) -> bool:
        """Whether the last piece that `receive_piece` returned was not its message's last."""
        return self._streaming

    def _begin_receiving(self) -> bool:
        """Note who receives; whether that took the reader's role at once, because there is nothing else to do."""
        with self.guard:
            if self._receiving:
                raise UsageError("two receive from one WebSocket at the same time")
            self._receiving = True
            self._calls += 1
            if self._unparsed or self._reading or self._queue or self._ended or not self.machine.is_receiving:
                return False
            self._reading = True
            return True

    async def _next(self, deadline: float) -> Piece | None:
        """The next piece, None when the WebSocket was closed in order."""
        late = 0
        while True:
            with self.guard:
                piece = self._take_piece()
                over = piece is None and self.is_over
            if piece is not None:
                if self._outbox:
                    # Pings came before it, of which the answers must not wait for the next call.
                    try:
                        await self._flush_now()
                    except BaseException:
                        with self.guard:
                            self._put_back(piece)
                        raise
                return piece
            if self._outbox and not over:
                await self._flush_now()
            if over:
                await self._finish(deadline)
                self._raise_unless_closed()
                return None
            await self._wait_until(self._has_news, deadline)
            late = self._count_late(late, deadline)

    def _raise_unless_closed(self) -> None:
        failure = self.machine.failure
        if failure is not None:
            raise WebSocketProtocolError(failure.reason, failure.code)
        with self.guard:
            if self._fault is not None:
                self._check_sending()

    # -- sending -------------------------------------------------------------------------------------------------------

    async def send(
        self,
        data: Payload,
        opcode: MessageKind | int | None = None,
        timeout: float | None = None,
        compress: bool | None = None,
    ) -> None:
        """Send a message.

        Args:
            data: str is sent as text, bytes and the like as binary.
            opcode: "text" or "binary" (or 1 or 2) to send it as the other one; bytes must be UTF-8 then.
            timeout: seconds.
            compress: whether to compress it, where that was agreed on; None for the settings to decide.

        Raises:
            UsageError: `data` is none of these.
            WebSocketClosed: the WebSocket was closed, or the connection lost.
            WriteTimeout: either it was another's turn to send until then; or the message was taken, and the rest of it goes
                out with what is sent or read next.
            WriteError: the connection broke.
        """
        kind, payload = to_payload(data, opcode)
        machine = self.machine
        deadline = FOREVER if timeout is None else self.backend.now() + timeout
        with self.guard:
            if self._is_quiet and not machine.is_fragmented:
                # What `_send` comes to where nobody else is at it, which is nearly always.
                self._put(machine.send_part(kind, payload, True, compress))
                self._flushing = alone = True
            else:
                alone = False
        if alone:
            await self._flush_first(deadline)
            return
        await self._send(lambda: machine.send_part(kind, payload, True, compress), self._is_free, deadline)

    def _is_free(self) -> bool:
        return not self.machine.is_fragmented or self.machine.close_sent is not None

    def _always(self) -> bool:
        return True

    def new_message(self, opcode: MessageKind | int = "binary", compress: bool | None = None) -> OutgoingMessage:
        """A message whose parts are sent one by one, for those larger than memory.

        Raises:
            UsageError: there is no such type.
        """
        return OutgoingMessage(self, to_payload(b"", opcode)[0], compress)

    async def send_when(
        self, make: Callable[[], Output], is_turn: Callable[[], bool], timeout: float | None = None
    ) -> None:
        """Send the frame that `make` makes when it `is_turn`; for `OutgoingMessage`. Both are called under the guard."""
        await self._send(make, is_turn, self._deadline(timeout))

    async def send_frame(self, frame: Frame, timeout: float | None = None) -> None:
        """Send a frame as it is, whatever it means to the peer: nothing about it is checked or kept track of.

        Raises:
            As `send`.
        """
        await self._send(lambda: self.machine.send_frame(frame), self._always, self._deadline(timeout))

    async def send_ping(self, data: bytes = b"", timeout: float | None = None) -> None:
        """Send a Ping, without waiting for its Pong; see `ping`.

        Raises:
            UsageError: more than 125 bytes.
            As `send`.
        """
        await self._send(lambda: self.machine.send_ping(data), self._always, self._deadline(timeout))

    async def send_pong(self, data: bytes = b"", timeout: float | None = None) -> None:
        """Send a Pong that nobody asked for, as a sign of life. Those that are asked for are sent by themselves.

        Raises:
            As `send_ping`.
        """
        await self._send(lambda: self.machine.send_pong(data), self._always, self._deadline(timeout))

    async def ping(self, data: bytes | None = None, timeout: float | None = None) -> float:
        """Send a Ping and wait for its Pong; messages that come meanwhile wait to be received.

        Args:
            data: what it carries, at most 125 bytes that no other Ping does that is under way; None for something new.
            timeout: seconds.

        Returns:
            Seconds that it took.

        Raises:
            UsageError: see `data`.
            ReadTimeout: no Pong came, or so many messages that there was no room to read on.
            WebSocketClosed, WebSocketProtocolError, ReadError, WriteTimeout, WriteError: see `send` and `receive`.
        """
        deadline = self._deadline(timeout)
        answers: list[float | None] = []
        key = await self._ping(data, answers.append, deadline)
        try:
            await self._wait_until(lambda: bool(answers) or self.is_over, deadline)
        finally:
            with self.guard:
                self._pings.forget(key)
        if not answers or answers[0] is None:
            self._raise_unless_closed()
            raise WebSocketClosed("the WebSocket was closed before the Pong", self.close_received, self.close_sent)
        return answers[0]

    async def start_ping(
        self, data: bytes | None = None, on_pong: OnPong | None = None, timeout: float | None = None
    ) -> bytes:
        """Send a Ping, and have it told when its Pong comes, or a later one's.

        Args:
            data: see `ping`.
            on_pong: called once, by whoever reads: with the seconds that it took, or None when the connection ended first.
                It must be short, and must not touch the WebSocket.
            timeout: seconds for sending it.

        Returns:
            What it carries.

        Raises:
            UsageError: see `data`.
            As `send`.
        """
        return await self._ping(data, on_pong, self._deadline(timeout))

    async def _ping(self, data: bytes | None, on_pong: OnPong | None, deadline: float) -> bytes:
        key = b""

        def make() -> bytes:
            nonlocal key
            frame, key = self._new_ping(None if data is None else bytes(data), on_pong)
            self._end_break()
            return frame

        await self._send(make, self._always, deadline)
        return key

    def post(self, data: Payload, opcode: MessageKind | int | None = None, compress: bool | None = None) -> None:
        """Queue a message without waiting for room, and have it sent: the same one to many, of whom some may be slow.

        On an event loop; a peer that does not read costs what it was sent until the connection ends.

        Raises:
            UsageError: see `send`; or a message in fragments is being sent.
            WebSocketClosed, WriteError: as `send`.
        """
        kind, payload = to_payload(data, opcode)
        with self.guard:
            self._check_sending()
            if self.machine.close_sent is None and self.machine.is_fragmented:
                raise UsageError("a message in fragments is being sent")
            self._put(self.machine.send_part(kind, payload, True, compress))
        flushing = self._flush_now()
        try:
            flushing.send(None)
        except StopIteration:
            pass
        else:
            flushing.close()  # it would have to wait
        self._flush_soon()

    # -- closing -------------------------------------------------------------------------------------------------------

    async def close(self, code: int | None = 1000, reason: str = "", timeout: float | None = None) -> None:
        """Close the WebSocket: send a Close frame, wait for the peer's, and close the connection. Idempotent.

        Args:
            code: 1000 to 1003, 1007 to 1014 or 3000 to 4999; None for a frame without one.
            reason: at most 123 bytes in UTF-8.
            timeout: seconds to wait for the peer, None for `close_timeout`. After it the connection is closed all the same.

        Raises:
            UsageError: code or reason cannot be sent.
        """
        deadline = self.backend.now() + (self.close_timeout if timeout is None else timeout)
        with self.guard:
            if self.machine.close_sent is None:
                self._put(self.machine.send_close(code, reason))
            self._closing = True
            self._wake()
        try:
            await self.flush_by(deadline)
            await self._wait_until(lambda: self.is_over, deadline)
        except (NetworkError, Timeout, WebSocketClosed):
            pass  # it is closed without the peer's consent
        except BaseException:
            self._drop()
            raise
        await self._finish(deadline)

    async def __aenter__(self: W) -> W:  # noqa: PYI019 - `Self` is not in Python 3.10's typing
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close(1000 if error is None or not isinstance(error, Exception) else 1011)
