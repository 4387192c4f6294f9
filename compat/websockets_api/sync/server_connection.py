"""A connection of the server for threads, and its side of the opening handshake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from drivetrain.compat.websockets_api.connection_base import to_socket_address
from drivetrain.compat.websockets_api.exceptions import ConnectionClosed
from drivetrain.compat.websockets_api.http11 import SERVER, Request, Response
from drivetrain.compat.websockets_api.negotiation import INTERNAL_ERROR, ServerProtocolView
from drivetrain.compat.websockets_api.protocol import State
from drivetrain.compat.websockets_api.serving import SHUTTING_DOWN, Opening
from drivetrain.compat.websockets_api.settings import MaxQueue
from drivetrain.compat.websockets_api.sync.connection import Connection
from drivetrain.compat.websockets_api.typing import StatusLike
from drivetrain.engine import run_blocking
from drivetrain.engine.errors import ClosedError, NetworkError

if TYPE_CHECKING:
    from drivetrain.compat.websockets_api.sync.server import Server

__all__ = ["ProcessRequest", "ProcessResponse", "ServerConnection"]

ProcessRequest = Callable[["ServerConnection", Request], Response | None]
ProcessResponse = Callable[["ServerConnection", Request, Response], Response | None]


class ServerConnection(Connection):
    """One connection of a server. See `Connection` for what can be done with it.

    Args:
        sock: the socket, to look at.
        protocol: the view of the protocol that belongs to this connection.
        server: whose connection it is.
        ping_interval, ping_timeout, close_timeout, max_queue: see `serve`.

    Attributes:
        server: see above.
        username: who is there; set by `basic_auth`.
        handler, handler_kwargs: who is to handle it; set by the router.
    """

    protocol: ServerProtocolView
    username: str
    handler: Callable[..., None]
    handler_kwargs: Mapping[str, Any]

    def __init__(
        self,
        sock: Any,
        protocol: ServerProtocolView,
        server: Server,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: MaxQueue = 16,
    ) -> None:
        super().__init__(
            sock,
            protocol,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
        )
        self.server = server
        self._told_closed = False

    @property
    def local_address(self) -> Any:
        """This end of the connection, as `socket.getsockname` has it."""
        opening = self.protocol.opening
        return super().local_address if opening is None else to_socket_address(opening.core.localname())

    @property
    def remote_address(self) -> Any:
        """The other end (a proxy, where there is one), as `socket.getpeername` has it."""
        opening = self.protocol.opening
        return super().remote_address if opening is None else to_socket_address(opening.core.peername())

    def respond(self, status: StatusLike, text: str) -> Response:
        """Make a plain text answer, for `process_request` and `process_response` to return, perhaps with more fields.

        Args:
            status: its status code.
            text: its body.
        """
        return self.protocol.reject(status, text)

    def handshake(
        self,
        process_request: ProcessRequest | None = None,
        process_response: ProcessResponse | None = None,
        server_header: str | None = SERVER,
        timeout: float | None = None,
    ) -> None:
        """Read the request and answer it. The connection is in state OPEN after it, or has come to its end.

        Args:
            process_request, process_response, server_header: see `serve`.
            timeout: seconds for the request to come, None for what `serve` was told.

        Raises:
            TimeoutError: it did not come in time.
        """
        opening: Opening = self.protocol.opening
        if timeout is not None:
            opening.limit(timeout)
        try:
            request = run_blocking(opening.receive(self.protocol))
            if request is not None:
                self.request = request
                self._answer(opening, request, process_request, process_response, server_header)
        except (NetworkError, ClosedError) as exc:
            self.protocol.handshake_exc = exc
        finally:
            if self.protocol.core is None:
                opening.close()
                self.protocol.is_lost = True
                self.tell_closed()

    def _answer(
        self,
        opening: Opening,
        request: Request,
        process_request: ProcessRequest | None,
        process_response: ProcessResponse | None,
        server_header: str | None,
    ) -> None:
        response: Response | None = None
        if process_request is not None:
            response = self._ask("process_request", process_request, request)
        if response is None:
            response = self.server.settings.accept(self, request)
        self.response = response
        if server_header is not None:
            response.headers["Server"] = server_header
        if process_response is not None:
            response = self._ask("process_response", process_response, request, response) or response
            self.response = response
        if response.status_code == 101 and run_blocking(opening.is_abandoned()):
            return
        if response.status_code == 101 and self.server.is_closing:
            self.response = response = self.protocol.reject(503, SHUTTING_DOWN)
        if self.server.settings.open_timeout is not None:
            opening.limit(self.server.settings.open_timeout)  # for a client that does not read
        run_blocking(opening.send(self.protocol, response))
        if response.status_code != 101:
            run_blocking(opening.linger(self.close_timeout))
            return
        core = opening.adopt(self.protocol, self.settings, response.reason_phrase)
        self.protocol.opening = None
        self.attach(core, request, response)

    def _ask(self, name: str, function: Callable[..., Any], *args: Any) -> Response | None:
        """Call what the program has for this; when that fails, the answer says so."""
        try:
            return function(self, *args)  # type: ignore[no-any-return]
        except Exception as exc:
            self.protocol.handshake_exc = exc
            self.logger.exception("%s failed", name)
            return self.protocol.reject(500, INTERNAL_ERROR)

    def _end(self) -> ConnectionClosed:
        exc = super()._end()
        self.tell_closed()
        return exc

    def tell_closed(self) -> None:
        """Write into the log, once, that the connection is closed."""
        if not self._told_closed and self.state is State.CLOSED:
            self._told_closed = True
            self.logger.info("connection closed")

    def close_socket(self) -> None:
        """Close the connection now, without a closing handshake. Idempotent."""
        opening = self.protocol.opening
        if opening is not None:
            opening.close()
        super().close_socket()
