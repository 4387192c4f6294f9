"""The WebSocket machine: bytes in, events out; messages in, bytes out (RFC 6455). No I/O, no clock.

It knows no handshake: it begins where that ended. Laws:

- after a `Failed` event nothing more is received, and the Close frame in it must be sent unless one was sent before;
- after a `CloseReceived` event nothing more is received; it must be answered with the same, unless one was sent before;
- once a Close frame was sent nothing is sent any more: what tries to raises `WebSocketClosed`;
- the bytes of calls that send must go out in the order of the calls.
"""

from __future__ import annotations

from typing import Literal, cast

from wsproto.frame_protocol import Opcode, ParseFailed

from ..errors import UsageError, WebSocketClosed
from .websocket_deflate import DeflateOptions, DeflateParameters, MessageDeflater, MessageInflater
from .websocket_events import (
    NO_STATUS,
    Close,
    CloseReceived,
    Event,
    Failed,
    Frame,
    Piece,
    PingReceived,
    PongReceived,
    is_valid_close_code,
)
from .websocket_library import Library, Output
from .websocket_limits import DEFAULT_WEBSOCKET_LIMITS, WebSocketLimits

__all__ = ["MessageKind", "Payload", "WebSocketMachine", "to_payload"]

Payload = str | bytes | bytearray | memoryview
MessageKind = Literal["text", "binary"]
_KINDS: dict[object, Opcode] = {"text": Opcode.TEXT, "binary": Opcode.BINARY, 1: Opcode.TEXT, 2: Opcode.BINARY}
_MAX_CONTROL = 125
_DEFAULT_OPTIONS = DeflateOptions()


def to_payload(data: Payload, opcode: MessageKind | int | None) -> tuple[Opcode, bytes | bytearray | memoryview]:
    """The type of a message and its bytes: text as UTF-8, and bytes that are to be text must be that.

    Raises:
        UsageError: they are not, or there is no such type.
    """
    if isinstance(data, str):
        kind = Opcode.TEXT if opcode is None else _KINDS.get(opcode)
        try:
            payload: bytes | bytearray | memoryview = data.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"the text is no text: {error}") from error
    elif isinstance(data, (bytes, bytearray, memoryview)):
        kind = Opcode.BINARY if opcode is None else _KINDS.get(opcode)
        payload = data.cast("B") if isinstance(data, memoryview) else data
        if kind is Opcode.TEXT:
            try:
                bytes(payload).decode()
            except UnicodeDecodeError as error:
                raise UsageError(f"the text is not UTF-8: {error}") from error
    else:
        raise UsageError(f"a message is text or bytes, not {type(data).__name__}")
    if kind is None:
        raise UsageError(f"{opcode!r} is no type of message; see send_frame")
    return kind, payload


class WebSocketMachine:
    """One side of a WebSocket connection. See the module.

    Args:
        role: "client" or "server".
        limits: what the peer may send.
        deflate: what was agreed on about compression, None for none.
        options: how to compress.

    Attributes:
        client: whether this side is the client.
        close_received, close_sent: the Close frames, None where there was none.
        failure: why the connection had to be failed, None otherwise.
        is_receiving: whether something more may come.
        is_fragmented: whether a message was begun to be sent and not ended.
        peer_closed_first: when both sent a Close frame, whether the peer's came before ours was sent; None before.
    """

    __slots__ = (
        "_input",
        "_library",
        "_min_size",
        "client",
        "close_received",
        "close_sent",
        "deflate",
        "failure",
        "is_fragmented",
        "is_receiving",
        "limits",
        "peer_closed_first",
    )

    def __init__(
        self,
        role: Literal["client", "server"],
        limits: WebSocketLimits = DEFAULT_WEBSOCKET_LIMITS,
        deflate: DeflateParameters | None = None,
        options: DeflateOptions = _DEFAULT_OPTIONS,
    ) -> None:
        client = self.client = role == "client"
        self.limits = limits
        self.deflate = deflate
        self.close_received: Close | None = None
        self.close_sent: Close | None = None
        self.failure: Close | None = None
        self.peer_closed_first: bool | None = None
        self._min_size = options.min_size
        inflater = deflater = None
        if deflate is not None:
            theirs = (deflate.server_max_window_bits, deflate.server_no_context_takeover)
            ours = (deflate.client_max_window_bits, deflate.client_no_context_takeover)
            if not client:
                theirs, ours = ours, theirs
            inflater = MessageInflater(*theirs)
            deflater = MessageDeflater(*ours, options.level, options.mem_level)
        self._library = Library(client, limits, inflater, deflater)
        self._input = self._library.input
        self.is_fragmented = False
        self.is_receiving = True

    # -- receiving -----------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take what the peer sent; `next_event` says what it means. What follows the end is dropped."""
        if self.is_receiving:
            self._input.receive_bytes(data)

    def receive_message(self, data: bytes) -> str | bytes | None:
        """The same while something may come; the message that `data` is, where it is just that, and nothing came before."""
        return self._input.receive_message(data)

    @property
    def has_input(self) -> bool:
        """Whether something was received that `next_event` has not looked at."""
        return self._input.has_input

    def next_event(self) -> Event | None:
        """What was received next; None where more must come first, or nothing will."""
        if not self.is_receiving:
            return None
        message = self._input.take_message()
        if message is not None:
            return Piece(message, True)
        try:
            while True:
                frame = self._library.next_frame()
                if frame is None:
                    return None
                opcode, payload = frame.opcode, frame.payload
                if opcode is Opcode.TEXT or opcode is Opcode.BINARY:
                    finished = frame.frame_finished
                    if payload or finished:
                        return Piece(cast("str | bytes", payload), finished and frame.message_finished, finished)
                elif opcode is Opcode.CLOSE:
                    code, reason = cast("tuple[int, str]", payload)
                    self.close_received = Close(int(code), reason)
                    self.is_receiving = False
                    if self.close_sent is not None:
                        self.peer_closed_first = False
                    return CloseReceived(self.close_received)
                else:
                    data = cast("bytes", payload)
                    return PingReceived(data) if opcode is Opcode.PING else PongReceived(data)
        except ParseFailed as error:
            self.failure = Close(int(error.code), str(error))
            self.is_receiving = False
            return Failed(self.failure)

    # -- sending -------------------------------------------------------------------------------------------------------

    def send_part(
        self, opcode: Opcode, payload: bytes | bytearray | memoryview, last: bool = True, compress: bool | None = None
    ) -> Output:
        """A part of a message, as a frame, which is in two parts itself where it is large.

        Args:
            opcode: of the message, from `to_payload`, the same for all of its parts.
            payload: the part.
            last: whether it is the last one.
            compress: with the first part, whether the message is to be compressed, where that was agreed on; None for the
                options to decide.

        Raises:
            WebSocketClosed: a Close frame was sent before.
        """
        if self.close_sent is not None:
            self.check_open()
        if compress is None:
            compress = not last or len(payload) >= self._min_size
        self.is_fragmented = not last
        return self._library.send_part(opcode, payload, last, compress)

    def send_ping(self, data: bytes = b"") -> bytes:
        """A Ping frame.

        Raises:
            UsageError: more than 125 bytes.
            WebSocketClosed.
        """
        return self._control(Opcode.PING, data)

    def send_pong(self, data: bytes = b"") -> bytes:
        """A Pong frame; see `send_ping`."""
        return self._control(Opcode.PONG, data)

    def _control(self, opcode: Opcode, data: bytes) -> bytes:
        if len(data) > _MAX_CONTROL:
            raise UsageError(f"a control frame has at most {_MAX_CONTROL} bytes")
        self.check_open()
        return self._library.output.frame(0x80 | opcode, data)

    def send_frame(self, frame: Frame) -> bytes:
        """A frame as it is. A Close frame among them counts as one that was sent.

        Raises:
            UsageError: it cannot be one.
            WebSocketClosed.
        """
        if not 0 <= frame.opcode <= 15:
            raise UsageError("an opcode is from 0 to 15")
        self.check_open()
        if frame.opcode == Opcode.CLOSE:
            code = int.from_bytes(frame.data[:2], "big") if len(frame.data) >= 2 else NO_STATUS
            self._closing_by(Close(code, bytes(frame.data[2:]).decode("utf-8", "replace")))
        bits = frame.fin << 7 | frame.rsv1 << 6 | frame.rsv2 << 5 | frame.rsv3 << 4
        return self._library.output.frame(bits | frame.opcode, frame.data)

    def send_close(self, code: int | None = 1000, reason: str = "") -> bytes:
        """A Close frame: the beginning of the end, or the answer to the peer's.

        Args:
            code: None (or `NO_STATUS`) for a frame without one.
            reason: at most 123 bytes in UTF-8.

        Raises:
            UsageError: the code is not one to be sent, the reason is too long, or there is one without a code.
            WebSocketClosed: one was sent before.
        """
        if code is None or code == NO_STATUS:
            if reason:
                raise UsageError("a reason without a code")
            payload = b""
        else:
            if not is_valid_close_code(code):
                raise UsageError(f"{code} is no code to close with")
            payload = code.to_bytes(2, "big") + to_payload(reason, None)[1]
            if len(payload) > _MAX_CONTROL:
                raise UsageError("the reason has more than 123 bytes")
        self.check_open()
        self._closing_by(Close(NO_STATUS if code is None else code, reason))
        return self._library.output.frame(0x80 | Opcode.CLOSE, payload)

    def answer(self, event: CloseReceived | Failed) -> bytes:
        """What must be sent because of an event: b"" where a Close frame was sent before."""
        if self.close_sent is not None:
            return b""
        code, reason = event.close
        if isinstance(event, CloseReceived):
            return self.send_close(code, reason)
        # Reasons are ours here, and may quote what they complain about.
        return self.send_close(code, reason.encode()[: _MAX_CONTROL - 2].decode("utf-8", "ignore"))

    def _closing_by(self, close: Close) -> None:
        self.close_sent = close
        if self.close_received is not None:
            self.peer_closed_first = True

    def check_open(self) -> None:
        """Raise `WebSocketClosed` when a Close frame was sent."""
        if self.close_sent is not None:
            raise WebSocketClosed("the WebSocket was closed", self.close_received, self.close_sent)
