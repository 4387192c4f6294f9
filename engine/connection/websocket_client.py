"""The client's side of a WebSocket handshake, on a stream of either HTTP version.

What redirects, credentials and cookies are about is for others: a refusal is a `WebSocketHandshakeError` with the whole answer.
"""

from __future__ import annotations

from ..backends.base import FOREVER
from ..errors import (
    ConnectionClosed,
    EngineError,
    LocalProtocolError,
    WebSocketHandshakeError,
)
from ..protocol.websocket_handshake import Agreement, ClientHandshake
from ..wire.headers import Headers
from ..wire.uri import Uri
from .connector import ClientConnection, ClientStream
from .h2_client_stream import H2ClientStream
from .h2_connection import H2Connection
from .h2_tunnel import H2Passage
from .websocket import WebSocketConnection
from .websocket_options import DEFAULT_WEBSOCKET_OPTIONS, WebSocketOptions, build_websocket

__all__ = ["client_handshake", "supports_websocket", "take_websocket"]

# How much of a refusal's body is kept, in bytes, and how long it is waited for, in seconds.
_BODY_MAX = 1024 * 1024
_BODY_PATIENCE = 2.0
_SCHEMES = {"ws": "http", "wss": "https", "http": "http", "https": "https"}


async def supports_websocket(connection: ClientConnection, deadline: float) -> bool:
    """Whether a handshake can be tried on a connection. One of HTTP/2 needs the server's word for it, which is waited for.

    Raises:
        ReadTimeout: the server's settings did not come.
        EngineError: the connection broke.
    """
    if not isinstance(connection, H2Connection):
        return True
    try:
        await connection.check_extended_connect(deadline)
    except LocalProtocolError:
        return False
    return True


async def client_handshake(
    stream: ClientStream,
    uri: Uri,
    handshake: ClientHandshake,
    deadline: float,
    headers: Headers | None = None,
    options: WebSocketOptions = DEFAULT_WEBSOCKET_OPTIONS,
    *,
    owns_connection: bool = True,
) -> WebSocketConnection:
    """Ask for a WebSocket on a new stream, and make it of the answer.

    Args:
        stream: of a connection to the server; a stream of HTTP/2 may share its connection with others.
        uri: what to ask for; the schemes ws and wss mean http and https here.
        handshake: what to offer.
        deadline: on the backend's clock, for all of it.
        headers: further fields of the request.
        options: settings of the WebSocket; `handshake` says what was offered of them.
        owns_connection: whether an HTTP/2 connection is closed with the WebSocket.

    Raises:
        WebSocketHandshakeError: the server refused, or its answer makes no sense.
        LocalProtocolError: the server takes no WebSockets over HTTP/2; nothing was sent.
        ConnectionClosed, ReadError, ReadTimeout, WriteError, WriteTimeout, RemoteProtocolError.
    """
    is_h2 = isinstance(stream, H2ClientStream)
    request = handshake.to_request(_SCHEMES[uri.scheme], uri.authority, uri.target, is_h2, headers)
    # What follows an extended CONNECT is the WebSocket's; a GET has no body.
    await stream.write_head(request, not is_h2, deadline)
    response = await stream.read_head(deadline)
    while response is not None and (response.get(":status") or "")[:1] == "1" and response.get(":status") != "101":
        response = await stream.read_head(deadline)
    if response is None:
        raise ConnectionClosed("the server closed the connection without answering")
    return await take_websocket(
        stream, handshake, request, response, options, owns_connection=owns_connection, deadline=deadline
    )


async def take_websocket(
    stream: ClientStream,
    handshake: ClientHandshake,
    request: Headers,
    response: Headers,
    options: WebSocketOptions = DEFAULT_WEBSOCKET_OPTIONS,
    *,
    owns_connection: bool = True,
    deadline: float = FOREVER,
) -> WebSocketConnection:
    """Make a WebSocket of a stream whose final response was read. See `client_handshake`.

    Args:
        deadline: for what a server that refuses has to say.

    Raises:
        WebSocketHandshakeError: there is none. Of a refusal the beginning of the body was read; the connection is not closed.
    """
    is_h2 = isinstance(stream, H2ClientStream)
    reason = "" if is_h2 or stream.response is None else stream.response.reason
    try:
        agreement = handshake.read_response(response, is_h2)
    except WebSocketHandshakeError as error:
        error.reason = reason
        if response.get(":status") not in ("101", "200" if is_h2 else "101"):
            error.body = await _read_refusal(stream, deadline)
        raise
    return _build(stream, agreement, request, response, reason, options, owns_connection)


def _build(
    stream: ClientStream,
    agreement: Agreement,
    request: Headers,
    response: Headers,
    reason: str,
    options: WebSocketOptions,
    owns_connection: bool,
) -> WebSocketConnection:
    backend = stream.connection.backend
    if isinstance(stream, H2ClientStream):
        stream.limit_waits(None, None)
        tunnel = H2Passage(stream, owns_connection)
        return build_websocket(tunnel, backend, agreement, options, request, response, is_client=True, version=2.0)
    raw = stream.connection.take_socket()
    assert raw is not None  # the stream, which is not over, has the connection
    return build_websocket(
        raw, backend, agreement, options, request, response, is_client=True, version=1.1, reason=reason
    )


async def _read_refusal(stream: ClientStream, deadline: float) -> bytes:
    body = bytearray()
    deadline = min(deadline, stream.connection.backend.now() + _BODY_PATIENCE)
    try:
        while len(body) < _BODY_MAX and (piece := await stream.read_piece(deadline)) is not None:
            body += piece
    except EngineError:
        return bytes(body[:_BODY_MAX])  # what it has to say is of interest, no more
    return bytes(body[:_BODY_MAX])
