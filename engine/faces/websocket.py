"""The blocking face of WebSockets: lua-http's `http.websocket`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from types import TracebackType
from typing import Any

from ..backends.blocking import BlockingBackend, run
from ..connection.websocket_sending import OutgoingMessage
from ..connection.websocket_server import WebSocketRequest
from ..errors import WebSocketHandshakeError
from ..policy.options import ClientOptions
from ..protocol.websocket_events import Frame
from ..protocol.websocket_machine import MessageKind, Payload
from ..wire.headers import Headers, HeaderSource
from ..wire.uri import Uri
from .driven import Driver
from .stream import Stream
from .websocket_base import WebSocketBase, WebSocketPlan, accept_request, refuse_request, take_settings

__all__ = ["Messages", "Pieces", "WebSocket", "connect_websocket"]


class Messages:
    """Iterator over `WebSocket.receive`."""

    __slots__ = ("_websocket",)

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    def __iter__(self) -> Messages:
        return self

    def __next__(self) -> str | bytes:
        message = self._websocket.receive()
        if message is None:
            raise StopIteration
        return message


class Pieces:
    """Iterator over the pieces of the next message."""

    __slots__ = ("_done", "_timeout", "_websocket")

    def __init__(self, websocket: WebSocket, timeout: float | None) -> None:
        self._websocket = websocket
        self._timeout = timeout
        self._done = False

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> str | bytes:
        if self._done:
            raise StopIteration
        core = self._websocket.core
        piece = self._websocket._drive(core.receive_piece(self._timeout))
        self._done = piece is None or piece.last
        if piece is None:
            raise StopIteration
        return piece.data


class WebSocket(WebSocketBase):
    """A WebSocket for callers that block: a client's, made by `from_uri`, or a server's, made by `from_stream`.

    A context manager, which closes it. Any number of threads may send while one receives. Pings are answered while somebody
    receives.
    """

    __slots__ = ("_drive",)

    _drive: Driver

    def __init__(self, plan: WebSocketPlan | None, request: WebSocketRequest | None) -> None:
        super().__init__(plan, request)
        self._drive = run

    @classmethod
    def from_uri(
        cls,
        uri: str | Uri,
        protocols: Sequence[str] = (),
        headers: HeaderSource | None = None,
        **options: Any,
    ) -> WebSocket:
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
    def from_stream(cls, stream: Stream[Any], headers: Headers, **settings: Any) -> WebSocket | None:
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
        request = WebSocketRequest.from_stream(stream.core, headers)
        if request is None:
            return None
        self = cls._of(None, request, settings)
        self._drive = stream.drive
        return self

    @staticmethod
    def refuse(stream: Stream[Any], error: WebSocketHandshakeError, timeout: float | None = None) -> None:
        """Answer a handshake with what an error says about it. See `connection.websocket_server.refuse_websocket`."""
        stream.drive(refuse_request(stream.core, error, timeout))

    def connect(self, timeout: float | None = None) -> None:
        """Connect to the server and make the handshake, as a client makes requests. See `establish_websocket`.

        Args:
            timeout: seconds for all of it; None for the limits of the client.
        """
        self._core = self._drive(self._opening(BlockingBackend(), timeout))

    def accept(
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
        self._core = self._drive(accepting)

    def receive(self, timeout: float | None = None) -> str | bytes | None:
        """See `WebSocketConnection.receive`."""
        return self._drive(self.core.receive(timeout))

    def each(self) -> Messages:
        """Iterate over `receive`."""
        return Messages(self)

    def __iter__(self) -> Messages:
        return Messages(self)

    def receive_pieces(self, timeout: float | None = None) -> Pieces:
        """Iterate over the pieces of the next message, as they come: for messages larger than memory.

        Args:
            timeout: seconds for each piece.

        Returns:
            Text or bytes; nothing at all when the WebSocket was closed, which `is_closed` tells from an empty message. The
            rest of a message that is not received to its end is skipped.
        """
        return Pieces(self, timeout)

    def send(
        self,
        data: Payload,
        opcode: MessageKind | int | None = None,
        timeout: float | None = None,
        compress: bool | None = None,
    ) -> None:
        """See `WebSocketConnection.send`."""
        self._drive(self.core.send(data, opcode, timeout, compress))

    def send_pieces(
        self,
        pieces: Iterable[Payload],
        opcode: MessageKind | int | None = None,
        timeout: float | None = None,
        compress: bool | None = None,
    ) -> None:
        """Send a message in pieces, each a frame of its own, as they come out of an iterable.

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
            for piece in pieces:
                if message is None:
                    kind = opcode or ("text" if isinstance(piece, str) else "binary")
                    message = self.core.new_message(kind, compress)
                self._drive(message.send(piece, False, timeout))
            message = message or self.core.new_message(opcode or "binary", compress)
            self._drive(message.end(timeout))
        except BaseException as error:
            if message is not None:
                self._drive(message.abort(None if isinstance(error, Exception) else 0.0))
            raise

    def send_frame(self, frame: Frame, timeout: float | None = None) -> None:
        """See `WebSocketConnection.send_frame`."""
        self._drive(self.core.send_frame(frame, timeout))

    def send_ping(self, data: bytes = b"", timeout: float | None = None) -> None:
        """See `WebSocketConnection.send_ping`."""
        self._drive(self.core.send_ping(data, timeout))

    def send_pong(self, data: bytes = b"", timeout: float | None = None) -> None:
        """See `WebSocketConnection.send_pong`."""
        self._drive(self.core.send_pong(data, timeout))

    def ping(self, data: bytes | None = None, timeout: float | None = None) -> float:
        """See `WebSocketConnection.ping`."""
        return self._drive(self.core.ping(data, timeout))

    def pump(self) -> None:
        """See `WebSocketConnection.pump`."""
        self._drive(self.core.pump())

    def close(self, code: int | None = 1000, reason: str = "", timeout: float | None = None) -> None:
        """See `WebSocketConnection.close`. Nothing happens where no handshake was made."""
        if self._core is not None:
            self._core.close_timeout = self.close_timeout
            self._drive(self._core.close(code, reason, timeout))

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(1011 if isinstance(error, Exception) else 1000)


def connect_websocket(
    uri: str | Uri,
    protocols: Sequence[str] = (),
    headers: HeaderSource | None = None,
    timeout: float | None = None,
    **options: Any,
) -> WebSocket:
    """A client's WebSocket, connected on a client of its own. See `WebSocket.from_uri` and `WebSocket.connect`."""
    websocket = WebSocket.from_uri(uri, protocols, headers, **options)
    websocket.connect(timeout)
    return websocket
