"""Connections for threads, client's and server's.

One thread may receive while others send, ping and close. `recv` and `send` are the engine's, in the thread that calls them;
what has to go on while nobody receives (answering Pings, keep-alive Pings, the closing handshake) is for `attendants`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Literal, NoReturn, TypeVar, overload

from drivetrain.compat.websockets_api.closing import to_os_error
from drivetrain.compat.websockets_api.connection_base import ConnectionBase
from drivetrain.compat.websockets_api.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedOK,
    InvalidState,
    ProtocolError,
)
from drivetrain.compat.websockets_api.frame_log import FrameLog
from drivetrain.compat.websockets_api.frames import Close, CloseCode
from drivetrain.compat.websockets_api.http11 import Request, Response
from drivetrain.compat.websockets_api.protocol import State
from drivetrain.compat.websockets_api.protocol_view import ProtocolView
from drivetrain.compat.websockets_api.settings import MaxQueue
from drivetrain.compat.websockets_api.sync import broadcasting
from drivetrain.compat.websockets_api.sync.attendants import Attendant
from drivetrain.compat.websockets_api.sync.incoming import stream_message
from drivetrain.compat.websockets_api.sync.outgoing import send_fragments
from drivetrain.compat.websockets_api.sync.socket_view import SocketView
from drivetrain.compat.websockets_api.typing import Data, DataLike
from drivetrain.engine import WebSocketConnection, run_blocking
from drivetrain.engine.errors import EngineError, NetworkError, Timeout, UsageError, WebSocketClosed

__all__ = ["Connection", "broadcast"]

C = TypeVar("C", bound="Connection")

broadcast = broadcasting.broadcast

_MAX_CONTROL = 125
# How long a broken connection is read on, for what the peer said before: seconds.
_LAST_WORDS = 0.5
_RECEIVING = "is already running recv or recv_streaming"
_SENDING = "cannot call send while another thread is already running send"


class Connection(ConnectionBase):
    """What client's and server's connections have in common. Use those: `ClientConnection` and `ServerConnection`.

    Args:
        sock: not used; `socket` shows the one that the engine made.
        protocol: the view of the protocol that belongs to this connection.
        ping_interval, ping_timeout, close_timeout, max_queue: see `connect`.
    """

    pending_legacy_warning = False

    def __init__(
        self,
        sock: Any,
        protocol: ProtocolView,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: MaxQueue = 16,
    ) -> None:
        super().__init__(
            protocol,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
        )
        self._socket = sock
        self._receive: Any = self._receive_nothing
        self._lock = threading.Lock()
        self._is_streaming = False
        self.send_in_progress = False
        self._attendant: Attendant | None = None

    def attach(self, core: WebSocketConnection, request: Request | None, response: Response | None) -> None:
        """Take the engine's connection over after the handshake, and begin to look after it."""
        self._adopt(core, request, response)
        source: Any = FrameLog(core, self.logger) if self.debug else core
        self._receive = self._receive_now = source.receive
        self._send = source.send
        self._socket = SocketView(core)
        self._attendant = Attendant(core)

    @property
    def socket(self) -> Any:
        """The socket below, for its addresses and options; see `SocketView`."""
        return self._socket

    def maybe_raise_legacy_warning(self) -> None:
        """See `ClientConnection`."""

    async def _receive_nothing(self, _: float | None = None) -> NoReturn:
        raise InvalidState("connection is connecting")

    # -- receiving -----------------------------------------------------------------------------------------------------

    @overload
    def recv(self, timeout: float | None, decode: Literal[True]) -> str: ...

    @overload
    def recv(self, timeout: float | None, decode: Literal[False]) -> bytes: ...

    @overload
    def recv(self, timeout: float | None = None, *, decode: Literal[True]) -> str: ...

    @overload
    def recv(self, timeout: float | None = None, *, decode: Literal[False]) -> bytes: ...

    @overload
    def recv(self, timeout: float | None = None, decode: bool | None = None) -> Data: ...

    def recv(self, timeout: float | None = None, decode: bool | None = None) -> Data:
        """Wait for the next message.

        Args:
            timeout: seconds to wait; None for as long as it takes, zero or less to look only.
            decode: True for str, False for bytes, None for what was sent: str for text, bytes for binary.

        Raises:
            TimeoutError: no whole message came in time; what came of one is kept.
            ConnectionClosed: there are no more: `ConnectionClosedOK` or `ConnectionClosedError`.
            ConcurrencyError: another thread receives.
        """
        if self.pending_legacy_warning:
            self.maybe_raise_legacy_warning()
        try:
            message = run_blocking(self._receive(timeout))
        except EngineError as error:
            fault = error
        else:
            if message is not None:
                if decode is None:
                    return message  # type: ignore[no-any-return]
                return self._decoded(message, decode)
            raise self._end()
        raise self._why_not_received(fault, "recv", timeout)

    def _decoded(self, message: Data, decode: bool) -> Data:
        if isinstance(message, str):
            return message if decode else message.encode()
        if not decode:
            return message
        try:
            return message.decode()
        except UnicodeDecodeError as error:
            fault = error
        raise self.fail_text(fault)

    def fail_text(self, fault: UnicodeDecodeError) -> ConnectionClosed:
        """Close the connection because what was to be text is none; returns what to raise."""
        self.protocol.set_connection_exc(fault)
        self.fail(CloseCode.INVALID_DATA, f"{fault.reason} at position {fault.start}")
        return self._end()

    def _why_not_received(self, fault: EngineError, caller: str, timeout: float | None = None) -> Exception:
        """What to raise because the engine raised `fault`."""
        if isinstance(fault, Timeout):
            return TimeoutError(f"timed out in {timeout:.1f}s")
        if isinstance(fault, UsageError) and not isinstance(fault, WebSocketClosed):
            return ConcurrencyError(f"cannot call {caller} while another thread {_RECEIVING}")
        return self._end()

    async def _receive_in_vain(self, _: float | None = None) -> NoReturn:
        """Takes the place of `core.receive` while a message is received frame by frame."""
        raise UsageError("a message is received frame by frame")

    @overload
    def recv_streaming(self, decode: Literal[True]) -> Iterator[str]: ...

    @overload
    def recv_streaming(self, decode: Literal[False]) -> Iterator[bytes]: ...

    @overload
    def recv_streaming(self, decode: bool | None = None) -> Iterator[Data]: ...

    def recv_streaming(self, decode: bool | None = None) -> Iterator[Data]:
        """Receive the next message frame by frame, as they come.

        The iterator must be read to its end: until then, nothing else can be received.

        Args:
            decode: as for `recv`.

        Raises:
            ConnectionClosed, ConcurrencyError: as `recv`.
        """
        self.maybe_raise_legacy_warning()
        with self._lock:
            if self._is_streaming:
                raise ConcurrencyError(f"cannot call recv_streaming while another thread {_RECEIVING}")
            self._is_streaming = True
            self._receive = self._receive_in_vain
        yield from stream_message(self, decode)

    def why_not_streamed(self, fault: EngineError | None) -> Exception:
        """What to raise because no further piece came; `fault` is the engine's reason."""
        return self._end() if fault is None else self._why_not_received(fault, "recv_streaming")

    def leave_streaming(self) -> None:
        """Let others receive again."""
        self._receive = self._receive_now
        self._is_streaming = False

    def __iter__(self) -> Iterator[Data]:
        """Receive messages until the connection is closed.

        Raises:
            ConnectionClosedError: it was not closed in order.
        """
        try:
            while True:
                yield self.recv()
        except ConnectionClosedOK:
            return

    # -- sending -------------------------------------------------------------------------------------------------------

    def send(self, message: DataLike | Iterable[DataLike], text: bool | None = None) -> None:
        """Send a message.

        Args:
            message: str is sent as text, bytes and the like as binary. An iterable of either is sent as one message in
                fragments, as they come out of it; what it raises closes the connection.
            text: True to send bytes (of UTF-8) as text, False to send str as binary.

        Raises:
            ConnectionClosed: the connection is closed.
            ConcurrencyError: another thread sends a message in fragments.
            TypeError: `message` is none of these, or a mapping, which is a mistake more often than not.
        """
        if self.pending_legacy_warning:
            self.maybe_raise_legacy_warning()
        if not isinstance(message, (str, bytes, bytearray, memoryview)):
            send_fragments(self, message, text)
            return
        if self.send_in_progress:
            self._refuse_to_send()
        try:
            run_blocking(self._send(message, text if text is None else "text" if text else "binary"))
        except EngineError as error:
            fault = error
        else:
            return
        raise self._why_not_sent(fault)

    def _refuse_to_send(self) -> NoReturn:
        if self.state is not State.OPEN:
            raise self._end()
        raise ConcurrencyError(_SENDING)

    def _why_not_sent(self, fault: EngineError) -> Exception:
        """What to raise because the engine raised `fault`."""
        if isinstance(fault, NetworkError):
            self._lost(fault)
        elif isinstance(fault, UsageError) and not isinstance(fault, WebSocketClosed):
            # Text that is none.
            return fault.__cause__ if isinstance(fault.__cause__, UnicodeError) else ValueError(str(fault))
        return self._end()

    def begin_fragments(self) -> None:
        """Take the turn for a message in fragments, which others may not interrupt.

        Raises:
            ConnectionClosed, ConcurrencyError: see `send`.
        """
        with self._lock:
            is_free = not self.send_in_progress
            self.send_in_progress = True
        if not is_free:
            self._refuse_to_send()

    def drive_sending(self, sending: Any) -> Any:
        """Run something that sends, and raise what goes wrong in our terms."""
        try:
            return run_blocking(sending)
        except EngineError as error:
            fault = error
        raise self._why_not_sent(fault)

    def ping(self, data: DataLike | None = None, ack_on_close: bool = False) -> threading.Event:
        """Send a Ping.

        Args:
            data: what it carries, at most 125 bytes; None for something new.
            ack_on_close: whether the event is also set when the connection is closed instead.

        Returns:
            An event that is set when the Pong comes, or a later one's.

        Raises:
            ConnectionClosed: the connection is closed.
            ConcurrencyError: a Ping with the same data is under way.
        """
        self.maybe_raise_legacy_warning()
        payload = None if data is None else _control_payload(data)
        pong_received = threading.Event()

        def on_pong(latency: float | None) -> None:
            if latency is not None or ack_on_close:
                pong_received.set()

        try:
            run_blocking(self.core.start_ping(payload, on_pong))
        except EngineError as error:
            fault = error
        else:
            if self._attendant is not None:
                self._attendant.call()  # somebody has to read the Pong
            return pong_received
        if isinstance(fault, UsageError) and not isinstance(fault, WebSocketClosed):
            raise ConcurrencyError("already waiting for a pong with the same data")
        raise self._why_not_sent(fault)

    def pong(self, data: DataLike = b"") -> None:
        """Send a Pong that nobody asked for, as a sign of life.

        Args:
            data: what it carries, at most 125 bytes.

        Raises:
            ConnectionClosed: the connection is closed.
        """
        self.maybe_raise_legacy_warning()
        self.drive_sending(self.core.send_pong(_control_payload(data)))

    # -- the end -------------------------------------------------------------------------------------------------------

    def close(self, code: CloseCode | int | None = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close the connection, and wait until it is closed. Idempotent.

        Args:
            code: 1000 to 1003, 1007 to 1014 or 3000 to 4999; None for a Close frame without one.
            reason: at most 123 bytes in UTF-8.

        Raises:
            ProtocolError: these cannot be sent.
        """
        self.maybe_raise_legacy_warning()
        if self.protocol.core is None:
            return
        if self.state is not State.OPEN:
            self._end()
        elif self.send_in_progress:
            self.fail(CloseCode.INTERNAL_ERROR, "close during fragmented message")
        else:
            _check_close(code, reason)
            self._close(code, reason)
            self._end()

    def wait_closed(self, timeout: float | None = None) -> bool:
        """Wait until the connection is closed, by whichever side.

        Args:
            timeout: seconds; None for as long as it takes.

        Returns:
            Whether it is.
        """
        return self._attendant is None or self._attendant.wait(timeout)

    def _close(self, code: int | None, reason: str) -> None:
        limit = self.close_timeout
        until = None if limit is None else time.monotonic() + limit
        self.core.close_timeout = math.inf if limit is None else limit
        run_blocking(self.core.close(None if code is None else int(code), reason))
        if until is not None and time.monotonic() >= until and self.core.close_received is None:
            self.protocol.set_connection_exc(TimeoutError("timed out while closing connection"))

    def fail(self, code: int, reason: str) -> None:
        """Close the connection because of an error on this side."""
        if self.state is not State.OPEN:
            raise self._end()
        self.protocol.has_failed = True
        self._close(code, reason)
        self._end()

    def _lost(self, fault: NetworkError) -> None:
        """Nothing can be sent any more: give the connection up, once what the peer said before was read."""
        if not self.wait_closed(_LAST_WORDS) and self.core.close_received is None:
            self.protocol.set_connection_exc(to_os_error(fault))
        self.close_socket()

    def _end(self) -> ConnectionClosed:
        """Wait until the connection, whose end has begun, is closed, no longer than is right; returns what to raise."""
        if not self.wait_closed(self.close_timeout):
            self.protocol.set_connection_exc(TimeoutError("timed out while closing connection"))
        self.close_socket()
        return self.close_exc

    def close_socket(self) -> None:
        """Close the connection now, without a closing handshake. Idempotent."""
        core = self.protocol.core
        if core is None:
            self.protocol.is_lost = True
            return
        if not core.is_closed:
            core.abort()

    def __enter__(self: C) -> C:  # noqa: PYI019 - `Self` is not in Python 3.10's typing
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None:
            self.close()
        else:
            self.close(CloseCode.INTERNAL_ERROR)


def _control_payload(data: Any) -> bytes:
    if isinstance(data, str):
        payload = data.encode()
    elif isinstance(data, (bytes, bytearray, memoryview)):
        payload = bytes(data)
    else:
        raise TypeError("data must be str or bytes-like")
    if len(payload) > _MAX_CONTROL:
        raise ProtocolError("control frame too long")
    return payload


def _check_close(code: int | None, reason: str) -> None:
    if code is None:
        if reason:
            raise ProtocolError("cannot send a reason without a code")
    elif len(Close(code, reason).serialize()) > _MAX_CONTROL:
        raise ProtocolError("control frame too long")
