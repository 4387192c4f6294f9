"""The asyncio face of WebSockets: lua-http's `http.websocket`."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Collection, Coroutine, Generator, Iterable, Sequence
from types import TracebackType
from typing import Any

from ..backends.asyncio_ import AsyncioBackend
from ..connection.server_serving import ServerStream
from ..connection.websocket_sending import OutgoingMessage
from ..connection.websocket_server import WebSocketRequest
from ..errors import WebSocketHandshakeError
from ..policy.options import ClientOptions
from ..protocol.websocket_events import Frame
from ..protocol.websocket_machine import MessageKind, Payload
from ..wire.headers import Headers, HeaderSource
from ..wire.uri import Uri
from .websocket_base import WebSocketBase, WebSocketPlan, accept_request, refuse_request, take_settings

__all__ = ["AsyncMessages", "AsyncPieces", "AsyncWebSocket", "PendingWebSocket", "connect_async_websocket"]


class AsyncMessages:
    """Iterator over `AsyncWebSocket.receive`."""

    __slots__ = ("_websocket",)

    def __init__(self, websocket: AsyncWebSocket) -> None:
        self._websocket = websocket

    def __aiter__(self) -> AsyncMessages:
        return self

    async def __anext__(self) -> str | bytes:
        message = await self._websocket.receive()
        if message is None:
            raise StopAsyncIteration
        return message


class AsyncPieces:
    """Iterator over the pieces of the next message."""

    __slots__ = ("_done", "_timeout", "_websocket")

    def __init__(self, websocket: AsyncWebSocket, timeout: float | None) -> None:
        self._websocket = websocket
        self._timeout = timeout
        self._done = False

    def __aiter__(self) -> AsyncPieces:
        return self

    async def __anext__(self) -> str | bytes:
        if self._done:
            raise StopAsyncIteration
        core = self._websocket.core
        piece = await core.receive_piece(self._timeout)
        self._done = piece is None or piece.last
        if piece is None:
            raise StopAsyncIteration
        return piece.data


class _Each:
    """Asynchronous iterator over what may be iterable either way."""

    __slots__ = ("_next", "_next_later")

    def __init__(self, source: Iterable[Payload] | AsyncIterable[Payload]) -> None:
        later: AsyncIterator[Payload] | None = None
        if isinstance(source, AsyncIterable):
            later = aiter(source)
        self._next_later = later
        self._next = None if isinstance(source, AsyncIterable) else iter(source)

    def __aiter__(self) -> _Each:
        return self

    async def __anext__(self) -> Payload:
        if self._next_later is not None:
            return await anext(self._next_later)
        assert self._next is not None
        try:
            return next(self._next)
        except StopIteration:
            raise StopAsyncIteration from None


class AsyncWebSocket(WebSocketBase):
    """A WebSocket for asyncio: a client's, made by `from_uri`, or a server's, made by `from_stream`.

    An async context manager, which closes it. Any number of tasks may send while one receives. Pings are answered while
    somebody receives.
    """

    __slots__ = ()

    @classmethod
    def from_uri(
        cls,
        uri: str | Uri,
        protocols: Sequence[str] = (),
        headers: HeaderSource | None = None,
        **options: Any,
    ) -> AsyncWebSocket:
        """A client's WebSocket, to be connected by `connect`.

        Args:
            uri: of the scheme ws or wss.
            protocols: the subprotocols it speaks, the best first.
            headers: further fields of the request.
            options: settings of the client that it makes for itself, see `ClientOptions`; and attributes of `WebSocketBase`
                to set, `limits` among them.

        Raises:
            InvalidURL, UsageError: nothing can be connected to that.
        """
        settings, rest = take_settings(options)
        return cls._of(WebSocketPlan(uri, protocols, headers, ClientOptions(**rest), {}), None, settings)

    @classmethod
    def from_stream(cls, stream: ServerStream, headers: Headers, **settings: Any) -> AsyncWebSocket | None:
        """A server's WebSocket, to be accepted by `accept`. Without side effects, so it is fit for trying.

        Args:
            stream: of a server.
            headers: the request's, as `stream.get_headers` returned them.
            settings: attributes of `WebSocketBase` to set.

        Returns:
            None when the request means to be something else.

        Raises:
            WebSocketHandshakeError: it means to be a handshake and is none; see `refuse`.
        """
        request = WebSocketRequest.from_stream(stream, headers)
        if request is None:
            return None
        return cls._of(None, request, settings)

    @staticmethod
    async def refuse(stream: ServerStream, error: WebSocketHandshakeError, timeout: float | None = None) -> None:
        """Answer a handshake with what an error says about it. See `connection.websocket_server.refuse_websocket`."""
        await refuse_request(stream, error, timeout)

    async def connect(self, timeout: float | None = None) -> None:
        """Connect to the server and make the handshake, as a client makes requests. See `establish_websocket`.

        Args:
            timeout: seconds for all of it; None for the limits of the client.
        """
        self._core = await self._opening(AsyncioBackend(), timeout)

    async def accept(
        self,
        headers: HeaderSource | None = None,
        protocols: Sequence[str] = (),
        timeout: float | None = None,
        *,
        origins: Collection[str | None] | None = None,
        hosts: Collection[str] | None = None,
    ) -> None:
        """Answer the handshake. See `WebSocketRequest.accept`."""
        request = self._requested()
        accepting = accept_request(request, Headers(headers), protocols, self._options(), origins, hosts, timeout)
        self._core = await accepting

    def receive(self, timeout: float | None = None) -> Coroutine[Any, Any, str | bytes | None]:
        """See `WebSocketConnection.receive`."""
        return self.core.receive(timeout)

    def each(self) -> AsyncMessages:
        """Iterate over `receive`."""
        return AsyncMessages(self)

    def __aiter__(self) -> AsyncMessages:
        return AsyncMessages(self)

    def receive_pieces(self, timeout: float | None = None) -> AsyncPieces:
        """Iterate over the pieces of the next message, as they come: for messages larger than memory.

        Args:
            timeout: seconds for each piece.

        Returns:
            Text or bytes; nothing at all when the WebSocket was closed, which `is_closed` tells from an empty message. The
            rest of a message that is not received to its end is skipped.
        """
        return AsyncPieces(self, timeout)

    def send(
        self,
        data: Payload,
        opcode: MessageKind | int | None = None,
        timeout: float | None = None,
        compress: bool | None = None,
    ) -> Coroutine[Any, Any, None]:
        """See `WebSocketConnection.send`."""
        return self.core.send(data, opcode, timeout, compress)

    async def send_pieces(
        self,
        pieces: Iterable[Payload] | AsyncIterable[Payload],
        opcode: MessageKind | int | None = None,
        timeout: float | None = None,
        compress: bool | None = None,
    ) -> None:
        """Send a message in pieces, each a frame of its own, as they come out of an iterable of either kind.

        Args:
            pieces: all text or all bytes.
            opcode: as in `send`; None to go by the first piece.
            timeout: seconds for each piece.
            compress: as in `send`.

        Raises:
            What `pieces` does; the WebSocket is closed then, for a message cannot be taken back.
        """
        message: OutgoingMessage | None = None
        try:
            async for piece in _Each(pieces):
                if message is None:
                    kind = opcode or ("text" if isinstance(piece, str) else "binary")
                    message = self.core.new_message(kind, compress)
                await message.send(piece, False, timeout)
            message = message or self.core.new_message(opcode or "binary", compress)
            await message.end(timeout)
        except BaseException as error:
            if message is not None:
                await message.abort(None if isinstance(error, Exception) else 0.0)
            raise

    async def send_frame(self, frame: Frame, timeout: float | None = None) -> None:
        """See `WebSocketConnection.send_frame`."""
        await self.core.send_frame(frame, timeout)

    async def send_ping(self, data: bytes = b"", timeout: float | None = None) -> None:
        """See `WebSocketConnection.send_ping`."""
        await self.core.send_ping(data, timeout)

    async def send_pong(self, data: bytes = b"", timeout: float | None = None) -> None:
        """See `WebSocketConnection.send_pong`."""
        await self.core.send_pong(data, timeout)

    async def ping(self, data: bytes | None = None, timeout: float | None = None) -> float:
        """See `WebSocketConnection.ping`."""
        return await self.core.ping(data, timeout)

    async def pump(self) -> None:
        """See `WebSocketConnection.pump`."""
        await self.core.pump()

    async def close(self, code: int | None = 1000, reason: str = "", timeout: float | None = None) -> None:
        """See `WebSocketConnection.close`. Nothing happens where no handshake was made."""
        if self._core is not None:
            self._core.close_timeout = self.close_timeout
            await self._core.close(code, reason, timeout)

    async def __aenter__(self) -> AsyncWebSocket:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close(1011 if isinstance(error, Exception) else 1000)


class PendingWebSocket:
    """A WebSocket about to be connected: await it, or use it as an async context manager, which closes it."""

    __slots__ = ("_timeout", "_websocket")

    def __init__(self, websocket: AsyncWebSocket, timeout: float | None = None) -> None:
        self._websocket = websocket
        self._timeout = timeout

    def __await__(self) -> Generator[Any, Any, AsyncWebSocket]:
        return self._connect().__await__()

    async def _connect(self) -> AsyncWebSocket:
        await self._websocket.connect(self._timeout)
        return self._websocket

    async def __aenter__(self) -> AsyncWebSocket:
        return await self._connect()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._websocket.__aexit__(kind, error, traceback)


def connect_async_websocket(
    uri: str | Uri,
    protocols: Sequence[str] = (),
    headers: HeaderSource | None = None,
    timeout: float | None = None,
    **options: Any,
) -> PendingWebSocket:
    """Connect a WebSocket on a client of its own: await it, or `async with` it.

    See `AsyncWebSocket.from_uri` for the arguments, and `AsyncWebSocket.connect`.
    """
    return PendingWebSocket(AsyncWebSocket.from_uri(uri, protocols, headers, **options), timeout)
