"""The opening handshake of a server, as far as the wire is concerned: reading the request, sending the answer.

Written once for both colours, over the engine: the engine's servers hand over whole connections, on which one request is read
line by line and answered in the words of `negotiation`. Laws:

- a connection has one request. What is no WebSocket after it is ended: our side first, then we wait for the client's;
- what cannot be understood as HTTP is not answered, what goes beyond a limit is, as clients of `websockets` servers know it;
- nothing is read beyond the request's head before the WebSocket is there, and nothing of it is lost.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from drivetrain.compat.websockets_api.compression import server_deflate
from drivetrain.compat.websockets_api.datastructures import Headers
from drivetrain.compat.websockets_api.exceptions import (
    HeaderLineTooLong,
    InvalidMessage,
    RequestLineTooLong,
    SecurityError,
    TooManyHeaders,
)
from drivetrain.compat.websockets_api.extensions.permessage_deflate import enable_server_permessage_deflate
from drivetrain.compat.websockets_api.headers import validate_subprotocols
from drivetrain.compat.websockets_api.http11 import MAX_LINE_LENGTH, MAX_NUM_HEADERS, Request, Response
from drivetrain.compat.websockets_api.negotiation import ServerProtocolView
from drivetrain.compat.websockets_api.settings import MaxSize, Settings
from drivetrain.compat.websockets_api.typing import LoggerLike
from drivetrain.engine import (
    Address,
    Backend,
    ByteStream,
    H1Connection,
    H1Limits,
    WebSocketConnection,
    adopt_websocket,
)
from drivetrain.engine.errors import ClosedError, IncompleteMessage, LimitExceeded, NetworkError, RemoteProtocolError

__all__ = ["SHUTTING_DOWN", "Answering", "Opening", "ServeSettings", "Terms", "Unopened"]

SHUTTING_DOWN = "Server is shutting down.\n"
"""What a client is told that comes too late."""

_LIMITS = H1Limits(max_line=max(MAX_LINE_LENGTH - 2, 1))  # the engine counts lines without their ends
_READ_SIZE = 64 * 1024


class Answering(NamedTuple):
    """What a program has to say about answers.

    Args:
        process_request: called with the connection and the request; may return a `Response`, which is sent instead of the
            handshake's. For asyncio it may have to be awaited.
        process_response: called with the connection, the request and the response; may change the latter, or return another
            one. As before.
        server_header: value of the Server field, None for no such field.
    """

    process_request: Callable[[Any, Request], Any] | None
    process_response: Callable[[Any, Request, Response], Any] | None
    server_header: str | None


class Terms:
    """What a server agrees to.

    Args:
        origins: the pages that may connect, by the Origin field: names, regular expressions that fit all of one, None for
            clients that send none. Without it all may.
        extensions: factories of permessage-deflate, for other settings than the default ones.
        subprotocols: those that the server speaks, the best first.
        select_subprotocol: called with the connection and what the client offers, to choose one of these; may raise
            `NegotiationError`.
        compression: "deflate", or None for no compression.

    Raises:
        TypeError, ValueError: these cannot be served.
        UnsupportedExtension: one of the extensions is not known to the engine.
    """

    def __init__(
        self,
        origins: Sequence[Any] | None,
        extensions: Sequence[Any] | None,
        subprotocols: Sequence[Any] | None,
        select_subprotocol: Callable[[Any, Sequence[Any]], Any] | None,
        compression: str | None,
    ) -> None:
        if subprotocols is not None:
            validate_subprotocols(subprotocols)
        if compression == "deflate":
            extensions = enable_server_permessage_deflate(extensions)
        elif compression is not None:
            raise ValueError(f"unsupported compression: {compression}")
        server_deflate(extensions)
        self.origins = origins
        self.extensions = extensions
        self.subprotocols = subprotocols
        self.select_subprotocol = select_subprotocol


@dataclass
class ServeSettings:
    """What `serve` was told. Times are in seconds, sizes in bytes.

    Args:
        terms: see `Terms`.
        answering: see `Answering`.
        open_timeout: for the handshake; None for no limit.
        max_size: of a message, or (message, fragment); None for no limit.
        logger: for the server and its connections; None for "websockets.server".
        create_connection: makes connections, instead of `ServerConnection`.
        connection: further arguments for it: ping_interval (between keep-alive Pings; None for none of them), ping_timeout
            (for their Pongs; None for ever), close_timeout (for the client's side of the closing handshake; None for ever),
            max_queue (how many frames may wait to be received, or (high, low); None for no limit) and, for asyncio,
            write_limit (how many bytes may wait to be sent before `send` waits, or (high, low)).
    """

    terms: Terms
    answering: Answering
    open_timeout: float | None
    max_size: MaxSize
    logger: LoggerLike | None
    create_connection: Callable[..., Any]
    connection: dict[str, Any] = field(default_factory=dict)

    def new_protocol(self, opening: Opening) -> ServerProtocolView:
        """The protocol of a new connection."""
        protocol = ServerProtocolView(
            origins=self.terms.origins,
            extensions=self.terms.extensions,
            subprotocols=self.terms.subprotocols,
            max_size=self.max_size,
            logger=self.logger,
        )
        protocol.opening = opening
        return protocol

    def accept(self, connection: Any, request: Request) -> Response:
        """The answer to a request that the program leaves to us."""
        protocol: ServerProtocolView = connection.protocol
        select = self.terms.select_subprotocol
        if select is None:
            return protocol.accept(request)
        protocol.choose = lambda offered: select(connection, offered)
        try:
            return protocol.accept(request)
        finally:
            protocol.choose = None  # it would keep the connection alive


class Unopened:
    """Stands for the engine's connection, for those who look at one, until that is there.

    Args:
        stream: the connected byte stream.
    """

    unsent = 0

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self.stream.is_closed

    def localname(self) -> Address:
        """This end of the connection."""
        return self.stream.local_address

    def peername(self) -> Address:
        """The other end."""
        return self.stream.peer_address

    def checktls(self) -> ssl.SSLObject | None:
        """The TLS session, None in clear."""
        return self.stream.ssl_object

    def abort(self, at_once: bool = True) -> None:
        """Give the connection up."""
        if at_once:
            self.stream.abort()
        else:
            self.stream.close()


class Opening:
    """The handshake of one connection.

    Args:
        stream: the connected byte stream, after the TLS handshake where there is one.
        backend: the stream's.
        timeout: seconds for the request to come, None for no limit.

    Attributes:
        core: what to look at until the engine's connection is there.
    """

    def __init__(self, stream: ByteStream, backend: Backend, timeout: float | None) -> None:
        self.core = Unopened(stream)
        self._stream = stream
        self._backend = backend
        self._until = math.inf if timeout is None else backend.now() + timeout
        self._connection = H1Connection(stream, backend, "server", limits=_LIMITS)

    def limit(self, timeout: float) -> None:
        """Set the seconds for the request to come anew, from now on."""
        self._until = self._backend.now() + timeout

    def _left(self) -> float | None:
        """Seconds that are left; None without a limit."""
        return None if self._until == math.inf else max(self._until - self._backend.now(), 0.0)

    # -- the request ---------------------------------------------------------------------------------------------------

    async def receive(self, protocol: ServerProtocolView) -> Request | None:
        """Read the request.

        Returns:
            None when there is nothing left to do: the client went away, or what it sent has been dealt with.

        Raises:
            Timeout: it did not come in time.
        """
        try:
            request = await self._read()
        except SecurityError as exc:
            protocol.handshake_exc = exc
            status = 414 if isinstance(exc, RequestLineTooLong) else 431
            await self.send(protocol, protocol.reject(status, f"Failed to open a WebSocket connection: {exc}.\n"))
            await self.linger(None)
            return None
        except (RemoteProtocolError, NetworkError, ClosedError) as exc:
            protocol.handshake_exc = InvalidMessage("did not receive a valid HTTP request")
            protocol.handshake_exc.__cause__ = exc
            if protocol.debug:
                protocol.logger.debug("! no valid HTTP request", exc_info=exc)
            await self.linger(None)
            return None
        if protocol.debug:
            protocol.logger.debug("< %s %s %s", request.method, request.path, request.protocol)
            _log_fields(protocol, "<", request.headers)
        self._until = math.inf  # the rest is up to the program
        return request

    async def _read(self) -> Request:
        connection = self._connection
        try:
            method, target, version = await connection.read_request_line(self._left())
        except LimitExceeded:
            raise RequestLineTooLong(await self._too_long()) from None
        headers = Headers()
        count = 0
        try:
            while (line := await connection.read_header(self._left())) is not None:
                count += 1
                if count > MAX_NUM_HEADERS:
                    raise TooManyHeaders(f"expected no more than {MAX_NUM_HEADERS} headers")
                headers.set_insecure(*line)
        except LimitExceeded:
            raise HeaderLineTooLong(await self._too_long()) from None
        await connection.read_headers_done(self._left())
        if "Transfer-Encoding" in headers or any(length != "0" for length in headers.get_all("Content-Length")):
            raise RemoteProtocolError("a request with a body")
        return Request(target, headers, method, f"HTTP/{version:.1f}")

    async def _too_long(self) -> str:
        """What to say about the line that stands at the front of the buffer."""
        data = await self._connection.read_body_by_length(-(1 << 30))
        size = data.find(b"\n") + 1 or len(data)
        return f"read {size} bytes, expected no more than {MAX_LINE_LENGTH} bytes"

    # -- the answer ----------------------------------------------------------------------------------------------------

    async def send(self, protocol: ServerProtocolView, response: Response) -> None:
        """Send the answer, whatever it is.

        Raises:
            NetworkError, Timeout, ClosedError: the client is gone, or does not read.
            UnicodeEncodeError: it has characters that HTTP cannot carry.
        """
        status, reason = int(response.status_code), response.reason_phrase
        if protocol.debug:
            protocol.logger.debug("> HTTP/1.1 %d %s", status, reason)
            _log_fields(protocol, ">", response.headers)
            if response.body:
                protocol.logger.debug("> [body] (%d bytes)", len(response.body))
        head = f"HTTP/1.1 {status} {reason}\r\n{response.headers}".encode("iso-8859-1")
        await self._connection.write_body_plain(head + bytes(response.body), self._left())
        if status == 101:
            protocol.logger.info("connection open")
        else:
            text = "connection rejected (%d %s)" if protocol.accept_called else "HTTP response sent (%d %s)"
            protocol.logger.info(text, status, reason)

    async def is_abandoned(self) -> bool:
        """Whether the client is known to have left since it sent the request. Does not wait."""
        if not self._stream.is_readable():
            return False
        try:
            await self._connection.receive(self._backend.now())
        except TimeoutError:
            return False
        except NetworkError:
            return True
        return self._connection.machine.ended

    async def linger(self, timeout: float | None) -> None:
        """End our side, and wait until the client ends its: closing at once could destroy the answer on its way.

        Args:
            timeout: seconds; None for as long as the request might have taken to come.
        """
        until = self._until if timeout is None else min(self._until, self._backend.now() + timeout)
        try:
            await self._stream.send_eof(until)
            while await self._stream.receive_some(_READ_SIZE, until):
                pass
        except (NetworkError, TimeoutError, IncompleteMessage):
            return  # an end as good as any

    def adopt(self, protocol: ServerProtocolView, settings: Settings, reason: str) -> WebSocketConnection:
        """The WebSocket that begins after the answer. To be called once, after `send`.

        Raises:
            ClosedError: the connection was closed in the meantime.
        """
        rest = self._connection.take_socket()
        if rest is None:
            raise ClosedError("the connection was closed")
        return adopt_websocket(
            rest,
            self._backend,
            is_client=False,
            protocol=protocol.subprotocol,
            deflate=protocol.deflate,
            compression=protocol.compression,
            reason=reason,
            **settings.options,
        )

    def close(self) -> None:
        """Close the connection now. Idempotent; nothing happens to a WebSocket that was adopted."""
        self._connection.close()


def _log_fields(protocol: ServerProtocolView, sign: str, headers: Headers) -> None:
    for name, value in headers.raw_items():
        protocol.logger.debug("%s %s: %s", sign, name, value)
