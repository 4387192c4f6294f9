"""The server's side of a WebSocket handshake, on a stream of either HTTP version."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..backends.base import ByteStream
from ..errors import ClosedError, WebSocketHandshakeError
from ..protocol.websocket_handshake import ServerHandshake, is_websocket_request
from ..wire.headers import Headers
from ..wire.reason_phrases import reason_phrase
from .h2_server_stream import H2ServerStream
from .h2_tunnel import H2Passage
from .server_serving import ServerStream
from .websocket import WebSocketConnection
from .websocket_options import DEFAULT_WEBSOCKET_OPTIONS, WebSocketOptions, build_websocket

__all__ = ["WebSocketRequest", "refuse_websocket"]


class WebSocketRequest:
    """A request that is a WebSocket handshake, not answered yet.

    Attributes:
        stream: the stream it came on.
        handshake: what it asks for.
    """

    __slots__ = ("handshake", "stream")

    def __init__(self, stream: ServerStream, handshake: ServerHandshake) -> None:
        self.stream = stream
        self.handshake = handshake

    @classmethod
    def from_stream(cls, stream: ServerStream, headers: Headers) -> WebSocketRequest | None:
        """Look at a request, which has no side effects: it may be answered in any other way all the same.

        Args:
            stream: the request's.
            headers: its fields, as `get_headers` returned them.

        Returns:
            None when it means to be something else.

        Raises:
            WebSocketHandshakeError: it means to be a handshake and is none; see `refuse_websocket`.
        """
        if not is_websocket_request(headers):
            return None
        if stream.version == 1.0:
            raise WebSocketHandshakeError("a WebSocket handshake needs HTTP/1.1", 505)
        return cls(stream, ServerHandshake(headers, isinstance(stream, H2ServerStream)))

    async def accept(
        self,
        deadline: float,
        headers: Headers | None = None,
        protocols: Sequence[str] = (),
        options: WebSocketOptions = DEFAULT_WEBSOCKET_OPTIONS,
        origins: Collection[str | None] | None = None,
        hosts: Collection[str] | None = None,
    ) -> WebSocketConnection:
        """Answer the handshake. Over HTTP/1.1 the connection is the WebSocket's from then on.

        Over HTTP/2 the stream is, for as long as its handler runs.

        Args:
            deadline: on the backend's clock.
            headers: further fields of the response.
            protocols: the subprotocols the server speaks, the best first.
            options: settings of the WebSocket.
            origins: the pages that may connect, None for all. See `ServerHandshake.check_origin`.
            hosts: the names that are served, None for all. See `ServerHandshake.check_host`.

        Raises:
            WebSocketHandshakeError: origin or host are not allowed; the request was refused.
            UsageError: `headers` has what belongs to the handshake.
            WriteTimeout, WriteError, ClosedError: the client is gone.
        """
        handshake, stream = self.handshake, self.stream
        try:
            if origins is not None:
                handshake.check_origin(origins)
            if hosts is not None:
                handshake.check_host(hosts)
        except WebSocketHandshakeError as error:
            await refuse_websocket(stream, error, deadline)
            raise
        response, agreement = handshake.accept(protocols, options.deflate, headers)
        await stream.write_head(response, False, deadline)
        below, version = self._take_stream()
        return build_websocket(
            below,
            stream.connection.backend,
            agreement,
            options,
            handshake.headers,
            response,
            is_client=False,
            version=version,
            reason=reason_phrase("101") if version < 2 else "",
        )

    def _take_stream(self) -> tuple[ByteStream, float]:
        """What the WebSocket runs on from now on, and the version of HTTP below."""
        stream = self.stream
        if isinstance(stream, H2ServerStream):
            # Nothing may come for as long as there is nothing to say.
            stream.read_timeout = stream.write_timeout = None
            return H2Passage(stream, owns_connection=False), 2.0
        raw = stream.connection.take_socket()
        if raw is None:
            raise ClosedError("the socket of this connection was taken")
        return raw, 1.1


async def refuse_websocket(stream: ServerStream, error: WebSocketHandshakeError, deadline: float) -> None:
    """Answer a handshake with what an error says about it: its status and fields, and its text as the body.

    Raises:
        WriteTimeout, WriteError, ClosedError: the client is gone.
    """
    body = f"{error}\n".encode()
    fields = [
        (":status", str(error.status)),
        ("content-type", "text/plain; charset=utf-8"),
        ("content-length", str(len(body))),
        *(error.headers or ()),
    ]
    await stream.write_message(Headers.adopt(fields), body, deadline)
