"""The asyncio client."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..backends.asyncio_ import AsyncioBackend
from ..connection.proxy import Proxy
from ..policy.bodies import BodySource
from ..policy.compose import RequestOptions
from ..policy.options import ClientOptions
from ..policy.response_core import ResponseCore
from ..policy.timeouts import TimeoutTypes
from ..wire.headers import HeaderSource
from .async_response import AsyncResponse
from .async_websocket import AsyncWebSocket, PendingWebSocket
from .client_base import ClientBase
from .websocket_base import WebSocketPlan, take_settings

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .websocket_base import WebSocketArguments

__all__ = ["AsyncClient", "PendingResponse"]

_BACKEND = AsyncioBackend()


class PendingResponse:
    """A request about to be sent: await it for its response, or use it as an async context manager around the response."""

    def __init__(self, sending: Coroutine[Any, Any, ResponseCore]) -> None:
        self._sending = sending
        self._response: AsyncResponse | None = None

    def __await__(self) -> Generator[Any, Any, AsyncResponse]:
        return self._send().__await__()

    async def _send(self) -> AsyncResponse:
        self._response = AsyncResponse(await self._sending)
        return self._response

    async def __aenter__(self) -> AsyncResponse:
        return await self._send()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._response is not None:
            await self._response.close()


class AsyncClient(ClientBase[AsyncioBackend]):
    """An asyncio HTTP client with a connection pool.

    Any number of tasks of one event loop may use one. An async context manager: leaving it closes the pool.

    Args:
        options: see `ClientOptions` for every keyword.

    Every request method takes the keywords of `RequestOptions`, and raises `EngineError`s: `InvalidURL`, `ConnectError`,
    `TLSError`, `Timeout`s, `RemoteProtocolError`, `RedirectError`, … A cancelled call closes its connection.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(_BACKEND, ClientOptions(**options))

    async def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> AsyncResponse:
        """Send a request and read the whole response."""
        return await self._complete(method, url, options)

    async def _complete(self, method: str, url: str, options: RequestOptions) -> AsyncResponse:
        response = AsyncResponse(await self._send(method, url, options))
        await response.load()
        return response

    def stream(self, method: str, url: str, **options: Unpack[RequestOptions]) -> PendingResponse:
        """Send a request and return its response with the body unread: `async with` it, or await it and close it."""
        return PendingResponse(self._send(method, url, options))

    async def exchange(
        self,
        method: str,
        url: str,
        fields: list[tuple[str, str]],
        content: BodySource | None = None,
        timeout: TimeoutTypes = None,
        target: str | None = None,
        proxy: Proxy | None = None,
        meanwhile: Callable[[], object] | None = None,
    ) -> AsyncResponse:
        """Send exactly these field lines, in this order and case, and return the response with the body unread.

        For adapters and proxies: no default field is added, no redirect followed, and `iter_bytes` decodes nothing. Host is
        put first unless it is among `fields`; a body without Content-Length or Transfer-Encoding is sent chunked.

        Args:
            timeout: seconds for the whole call, or a `Timeouts`; None for no limit.
            target: sent as the request target as it is, not the path and query of `url`, which may be normalised.
            proxy: through whom; none of the client's own choice.
            meanwhile: called, without arguments, between sending and waiting for the answer: for what can be done while the
                server works. Called again where the request is sent again; what it raises ends the exchange.
        """
        return AsyncResponse(await self._exchange(method, url, fields, content, timeout, target, proxy, meanwhile))

    async def get(self, url: str, **options: Unpack[RequestOptions]) -> AsyncResponse:
        """`request("GET", …)`."""
        return await self._complete("GET", url, options)

    async def head(self, url: str, **options: Unpack[RequestOptions]) -> AsyncResponse:
        """`request("HEAD", …)`."""
        return await self._complete("HEAD", url, options)

    async def options(self, url: str, **options: Unpack[RequestOptions]) -> AsyncResponse:
        """`request("OPTIONS", …)`."""
        return await self._complete("OPTIONS", url, options)

    async def post(self, url: str, **options: Unpack[RequestOptions]) -> AsyncResponse:
        """`request("POST", …)`."""
        return await self._complete("POST", url, options)

    async def put(self, url: str, **options: Unpack[RequestOptions]) -> AsyncResponse:
        """`request("PUT", …)`."""
        return await self._complete("PUT", url, options)

    async def patch(self, url: str, **options: Unpack[RequestOptions]) -> AsyncResponse:
        """`request("PATCH", …)`."""
        return await self._complete("PATCH", url, options)

    async def delete(self, url: str, **options: Unpack[RequestOptions]) -> AsyncResponse:
        """`request("DELETE", …)`."""
        return await self._complete("DELETE", url, options)

    def websocket(
        self,
        url: str,
        protocols: Sequence[str] = (),
        headers: HeaderSource | None = None,
        **options: Unpack[WebSocketArguments],
    ) -> PendingWebSocket:
        """Connect a WebSocket: `async with` it, or await it and close it. See `Client.websocket`."""
        settings, rest = take_settings(options)
        return PendingWebSocket(AsyncWebSocket._of(WebSocketPlan(url, protocols, headers, self, rest), None, settings))

    async def close(self) -> None:
        """Close idle connections now and those in use when their responses end. Later requests raise `ClosedError`."""
        self._agent.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
