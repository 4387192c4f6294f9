"""The asyncio connection of the `websockets` API: what clients and servers have in common.

Laws:

- `recv` and `send` are a thin layer over the engine's `receive` and `send`; everything else happens when those fail or end;
- a helper task, the engine's `pump`, reads while nobody receives, keeps the connection alive and ends it. When it is over the
  state is CLOSED, `wait_closed` returns and Pings under way fail;
- who uses a closed connection waits until it is CLOSED and gets a `ConnectionClosed` of its own.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Iterable, Mapping
from types import TracebackType
from typing import Any, Literal, TypeVar, overload

from drivetrain.compat.websockets_api.asyncio import broadcasting
from drivetrain.compat.websockets_api.asyncio.incoming import Frames, Messages
from drivetrain.compat.websockets_api.asyncio.outgoing import send_fragments
from drivetrain.compat.websockets_api.asyncio.transport import TransportView
from drivetrain.compat.websockets_api.connection_base import ConnectionBase
from drivetrain.compat.websockets_api.exceptions import ConcurrencyError, ProtocolError
from drivetrain.compat.websockets_api.frame_log import FrameLog
from drivetrain.compat.websockets_api.frames import Close, CloseCode
from drivetrain.compat.websockets_api.http11 import Request, Response
from drivetrain.compat.websockets_api.protocol import State
from drivetrain.compat.websockets_api.protocol_view import ProtocolView
from drivetrain.compat.websockets_api.settings import MaxQueue, WriteLimit
from drivetrain.compat.websockets_api.typing import Data, DataLike
from drivetrain.engine import WebSocketConnection
from drivetrain.engine.errors import EngineError, UsageError, WebSocketClosed

__all__ = ["Connection", "broadcast"]

broadcast = broadcasting.broadcast

C = TypeVar("C", bound="Connection")

_MAX_CONTROL = 125


class Connection(ConnectionBase):
    """A WebSocket connection for asyncio. See `ClientConnection` and `ServerConnection`.

    An async context manager, which closes it, with code 1011 after an exception; and an asynchronous iterator over messages,
    which ends when the connection was closed in order.

    Args:
        protocol: the view of the protocol that belongs to this connection.
        ping_interval, ping_timeout, close_timeout, max_queue, write_limit: see `settings.Settings`.

    Attributes:
        loop: the event loop that it belongs to.
        is_streaming: whether a message is being received frame by frame.
    """

    def __init__(
        self,
        protocol: ProtocolView,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: MaxQueue = 16,
        write_limit: WriteLimit = 1 << 15,
    ) -> None:
        super().__init__(
            protocol,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
            write_limit=write_limit,
        )
        self.loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[None] = self.loop.create_future()
        self._pump: asyncio.Task[None] | None = None
        self._pongs: set[asyncio.Future[float]] = set()
        self.is_streaming = False

    def attach(
        self, core: WebSocketConnection, request: Request | None = None, response: Response | None = None
    ) -> None:
        """Begin, when the handshake is over.

        Args:
            core: the engine's connection.
            request, response: the handshake; None for what `core` knows of it.
        """
        self._adopt(core, request, response)
        source: Any = FrameLog(core, self.logger) if self.debug else core
        self._receive = source.receive
        self._send = source.send
        self._start_pump()

    def _start_pump(self) -> None:
        self._pump = self.loop.create_task(self.core.pump())
        self._pump.add_done_callback(self._pump_ended)

    def _pump_ended(self, task: asyncio.Task[None]) -> None:
        """The connection is closed; called by the loop."""
        self._pump = None
        if task.cancelled():
            return  # programs that end cancel whatever they find; they may still want to say goodbye
        self.protocol.set_connection_exc(task.exception())
        if not self.core.is_closed:
            self.core.abort()
        if self.debug:
            self._log_end()
        for future in self._pongs:
            if not future.done():
                future.set_exception(self.close_exc)
                future.cancel()  # does nothing but keep asyncio from complaining that nobody looked
        self._pongs.clear()
        if not self._closed.done():
            self._closed.set_result(None)

    def _log_end(self) -> None:
        protocol = self.protocol
        for sign, close in (("<", protocol.close_rcvd), (">", protocol.close_sent)):
            if close is not None:
                self.logger.debug("%s CLOSE %s", sign, close)
        self.logger.debug("= connection is %s", State.CLOSED.name)

    @property
    def transport(self) -> TransportView:
        """The connection below, to look at and to give up."""
        return TransportView(self.core, (self.write_limit_low, self.write_limit_high))

    # -- receiving -----------------------------------------------------------------------------------------------------

    @overload
    async def recv(self, decode: Literal[True]) -> str: ...

    @overload
    async def recv(self, decode: Literal[False]) -> bytes: ...

    @overload
    async def recv(self, decode: bool | None = None) -> Data: ...

    async def recv(self, decode: bool | None = None) -> Data:
        """Wait for the next message. To cancel it loses nothing.

        Args:
            decode: True to have binary messages as text, False to have text as bytes (UTF-8).

        Returns:
            The message: text or bytes.

        Raises:
            ConnectionClosedOK: the connection was closed in order.
            ConnectionClosedError: it was not.
            ConcurrencyError: somebody else is receiving.
        """
        failure: EngineError | None = None
        message: Data | None = None
        if not self.is_streaming:
            try:
                message = await self._receive()
            except EngineError as error:
                failure = error
            if message is not None:
                return message if decode is None else await self._decoded(message, decode)
        raise await self.no_message(failure, "recv")

    async def _decoded(self, message: Data, decode: bool) -> Data:
        if isinstance(message, str):
            return message if decode else message.encode()
        if not decode:
            return message
        try:
            return message.decode()
        except UnicodeDecodeError as error:
            await self.fail(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}", error)
        raise self.close_exc

    async def no_message(self, failure: EngineError | None, caller: str) -> Exception:
        """Why nothing is received: closed, unless somebody else is receiving."""
        if self.is_streaming or (isinstance(failure, UsageError) and not isinstance(failure, WebSocketClosed)):
            return ConcurrencyError(
                f"cannot call {caller} while another coroutine is already running recv or recv_streaming"
            )
        await self.wait_closed()
        return self.close_exc

    @overload
    def recv_streaming(self, decode: Literal[True]) -> AsyncIterator[str]: ...

    @overload
    def recv_streaming(self, decode: Literal[False]) -> AsyncIterator[bytes]: ...

    @overload
    def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Data]: ...

    def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Data]:
        """Receive the next message frame by frame.

        The iterator must be used up: until then nothing else can be received. To cancel it before its first frame loses
        nothing.

        Args:
            decode: see `recv`.

        Raises:
            ConnectionClosed, ConcurrencyError: see `recv`.
        """
        return Frames(self, decode)

    def __aiter__(self) -> AsyncIterator[Data]:
        """Receive messages until the connection is closed.

        Raises:
            ConnectionClosedError: it was not closed in order.
        """
        return Messages(self)

    # -- sending -------------------------------------------------------------------------------------------------------

    async def send(
        self, message: DataLike | Iterable[DataLike] | AsyncIterable[DataLike], text: bool | None = None
    ) -> None:
        """Send a message.

        Args:
            message: str is sent as text, bytes-like as binary. An iterable or asynchronous iterable of either is sent as one
                message of as many frames; other messages wait until it is complete.
            text: True to send bytes, which are UTF-8, as text; False to send str as binary.

        Raises:
            ConnectionClosed: the connection is closed.
            TypeError: it cannot be sent; in the middle of an iterable that closes the connection, with code 1011.
        """
        if isinstance(message, (str, bytes, bytearray, memoryview)):
            try:
                await self._send(message, None if text is None else "text" if text else "binary")
            except EngineError as error:
                failure = error
            else:
                return
            raise await self.not_sent(failure)
        if isinstance(message, Mapping):
            raise TypeError("data is a dict-like object")
        await send_fragments(self, message, text)

    async def not_sent(self, failure: EngineError) -> Exception:
        """Why nothing can be sent: closed, unless it was nothing to be sent."""
        if isinstance(failure, UsageError) and not isinstance(failure, WebSocketClosed):
            cause = failure.__cause__
            return cause if isinstance(cause, ValueError) else ValueError(str(failure))
        if self.state is State.OPEN:
            self.core.abort()  # what is sent gets nowhere
        await self.wait_closed()
        return self.close_exc

    async def ping(self, data: DataLike | None = None) -> Awaitable[float]:
        """Send a Ping.

        Args:
            data: what it carries, at most 125 bytes; None for something new.

        Returns:
            A future of how long its Pong, or a later one, took to come, in seconds. It need not be awaited.

        Raises:
            ConnectionClosed: the connection is closed; so does the future when it closes before the Pong.
            ConcurrencyError: a Ping with the same data is under way.
            ProtocolError: there is too much data.
        """
        payload = None if data is None else _control_payload(data)
        pong: asyncio.Future[float] = self.loop.create_future()

        def on_pong(latency: float | None) -> None:
            if latency is not None:
                self._pongs.discard(pong)
                if not pong.done():
                    pong.set_result(latency)

        self._pongs.add(pong)
        try:
            await self.core.start_ping(payload, on_pong)
        except EngineError as error:
            failure = error
        else:
            return pong
        self._pongs.discard(pong)
        if isinstance(failure, UsageError) and not isinstance(failure, WebSocketClosed):
            raise ConcurrencyError("already waiting for a pong with the same data")
        raise await self.not_sent(failure)

    async def pong(self, data: DataLike = b"") -> None:
        """Send a Pong that nobody asked for.

        Args:
            data: what it carries, at most 125 bytes.

        Raises:
            ConnectionClosed: the connection is closed.
            ProtocolError: there is too much data.
        """
        try:
            await self.core.send_pong(_control_payload(data))
        except EngineError as error:
            failure = error
        else:
            return
        raise await self.not_sent(failure)

    # -- closing -------------------------------------------------------------------------------------------------------

    async def close(self, code: CloseCode | int | None = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close the connection: exchange Close frames, and wait until the connection below is closed. Idempotent.

        Args:
            code: 1000 to 1003, 1007 to 1014 or 3000 to 4999.
            reason: at most 123 bytes in UTF-8.

        Raises:
            ProtocolError: code or reason cannot be sent.
        """
        if self.state is State.OPEN:
            if self.core.is_fragmented:
                code, reason = CloseCode.INTERNAL_ERROR, "close during fragmented message"
            else:
                _check_close(code, reason)
            await self._close(code, reason)
        if self.protocol.core is not None:
            await self.wait_closed()

    async def fail(self, code: CloseCode | int, reason: str, cause: BaseException | None = None) -> None:
        """Close the connection because of an error of this side's user, or of what it received."""
        self.protocol.set_connection_exc(cause)
        if self.state is State.OPEN:
            self.protocol.has_failed = True
            await self._close(code, reason)
        await self.wait_closed()

    async def _close(self, code: int | None, reason: str) -> None:
        core = self.core
        timeout = math.inf if self.close_timeout is None else self.close_timeout
        core.close_timeout = timeout
        if self.debug:
            self.logger.debug("= connection is %s", State.CLOSING.name)
        await core.close(None if code is None else int(code), reason, timeout)
        if core.close_received is None and core.fault is None:
            self.protocol.set_connection_exc(TimeoutError("timed out while closing connection"))

    async def wait_closed(self) -> None:
        """Wait until the connection is closed."""
        if self._pump is None and self.protocol.core is not None and not self._closed.done():
            self._start_pump()
        await asyncio.shield(self._closed)

    async def __aenter__(self: C) -> C:  # noqa: PYI019 - `Self` is not in Python 3.10's typing
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close(CloseCode.NORMAL_CLOSURE if kind is None else CloseCode.INTERNAL_ERROR)


def _control_payload(data: DataLike) -> bytes:
    if isinstance(data, str):
        data = data.encode()
    elif not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError("data must be str or bytes-like")
    if len(data) > _MAX_CONTROL:
        raise ProtocolError("control frame too long")
    return bytes(data)


def _check_close(code: int | None, reason: str) -> None:
    if code is None:
        if reason:
            raise ProtocolError("cannot send a reason without a code")
    elif len(Close(code, reason).serialize()) > _MAX_CONTROL:
        raise ProtocolError("control frame too long")
