"""A connection of the asyncio server, and its side of the opening handshake."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from drivetrain.compat.websockets_api.asyncio.connection import Connection
from drivetrain.compat.websockets_api.asyncio.transport import TransportView
from drivetrain.compat.websockets_api.connection_base import to_socket_address
from drivetrain.compat.websockets_api.http11 import SERVER, Request, Response
from drivetrain.compat.websockets_api.negotiation import INTERNAL_ERROR, ServerProtocolView
from drivetrain.compat.websockets_api.serving import SHUTTING_DOWN, Opening
from drivetrain.compat.websockets_api.settings import MaxQueue, WriteLimit
from drivetrain.compat.websockets_api.typing import StatusLike
from drivetrain.engine.errors import ClosedError, NetworkError

if TYPE_CHECKING:
    from drivetrain.compat.websockets_api.asyncio.server import Server

__all__ = ["ProcessRequest", "ProcessResponse", "ServerConnection"]

_Answer = Awaitable[Response | None] | Response | None
ProcessRequest = Callable[["ServerConnection", Request], _Answer]
ProcessResponse = Callable[["ServerConnection", Request, Response], _Answer]


class ServerConnection(Connection):
    """One connection of a server. See `Connection` for what can be done with it.

    Args:
        protocol: the view of the protocol that belongs to this connection.
        server: whose connection it is.
        ping_interval, ping_timeout, close_timeout, max_queue, write_limit: see `serve`.

    Attributes:
        server: see above.
        username: who is there; set by `basic_auth`.
        handler, handler_kwargs: who is to handle it; set by the router.
    """

    protocol: ServerProtocolView
    username: str
    handler: Callable[..., Awaitable[None]]
    handler_kwargs: Mapping[str, Any]

    def __init__(
        self,
        protocol: ServerProtocolView,
        server: Server,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: MaxQueue = 16,
        write_limit: WriteLimit = 2**15,
    ) -> None:
        super().__init__(
            protocol,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
            write_limit=write_limit,
        )
        self.server = server

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

    @property
    def transport(self) -> TransportView:
        """The connection below, to look at and to give up."""
        opening = self.protocol.opening
        if opening is None:
            return super().transport
        return TransportView(opening.core, (self.write_limit_low, self.write_limit_high))

    def respond(self, status: StatusLike, text: str) -> Response:
        """Make a plain text answer, for `process_request` and `process_response` to return, perhaps with more fields.

        Args:
            status: its status code.
            text: its body.
        """
        return self.protocol.reject(status, text)

    async def handshake(
        self,
        process_request: ProcessRequest | None = None,
        process_response: ProcessResponse | None = None,
        server_header: str | None = SERVER,
    ) -> None:
        """Read the request and answer it. The connection is in state OPEN after it, or has come to its end.

        Args:
            process_request, process_response, server_header: see `serve`.

        Raises:
            Timeout: the request did not come in time.
        """
        opening: Opening = self.protocol.opening
        try:
            request = await opening.receive(self.protocol)
            if request is not None:
                self.request = request
                await self._answer(opening, request, process_request, process_response, server_header)
        except (NetworkError, ClosedError) as exc:
            self.protocol.handshake_exc = exc
        finally:
            if self.protocol.core is None:
                self._give_up(opening)

    async def _answer(
        self,
        opening: Opening,
        request: Request,
        process_request: ProcessRequest | None,
        process_response: ProcessResponse | None,
        server_header: str | None,
    ) -> None:
        response: Response | None = None
        if process_request is not None:
            response = await self._ask("process_request", process_request, request)
        if response is None:
            response = self.server.settings.accept(self, request)
        self.response = response
        if server_header is not None:
            response.headers["Server"] = server_header
        if process_response is not None:
            response = await self._ask("process_response", process_response, request, response) or response
            self.response = response
        if response.status_code == 101 and await opening.is_abandoned():
            return
        if response.status_code == 101 and not self.server.is_serving():
            self.response = response = self.protocol.reject(503, SHUTTING_DOWN)
        await opening.send(self.protocol, response)
        if response.status_code != 101:
            await opening.linger(self.close_timeout)
            return
        core = opening.adopt(self.protocol, self.settings, response.reason_phrase)
        self.protocol.opening = None
        self.attach(core, request, response)

    async def _ask(self, name: str, function: Callable[..., Any], *args: Any) -> Response | None:
        """Call what the program has for this; when that fails, the answer says so."""
        try:
            answer = function(self, *args)
            if inspect.isawaitable(answer):
                answer = await answer
        except Exception as exc:
            self.protocol.handshake_exc = exc
            self.logger.exception("%s failed", name)
            return self.protocol.reject(500, INTERNAL_ERROR)
        return answer  # type: ignore[no-any-return]

    def _give_up(self, opening: Opening) -> None:
        """The handshake did not lead to a WebSocket."""
        opening.close()
        self.protocol.is_lost = True
        if not self._closed.done():
            self._closed.set_result(None)
        self.logger.info("connection closed")

    def _pump_ended(self, task: asyncio.Task[None]) -> None:
        super()._pump_ended(task)
        if self._closed.done():
            self.logger.info("connection closed")
