"""The blocking client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..backends.blocking import BlockingBackend, run
from ..connection.proxy import Proxy
from ..policy.bodies import BodySource
from ..policy.compose import RequestOptions
from ..policy.options import ClientOptions
from ..policy.timeouts import TimeoutTypes
from ..wire.headers import HeaderSource
from .client_base import ClientBase
from .response import Response
from .websocket import WebSocket
from .websocket_base import WebSocketPlan, take_settings

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .websocket_base import WebSocketArguments

__all__ = ["Client"]

_BACKEND = BlockingBackend()


class Client(ClientBase[BlockingBackend]):
    """A blocking HTTP client with a connection pool.

    Any number of threads may use one. A context manager: leaving it closes the pool. After a fork the child has the client
    without its connections.

    Args:
        options: see `ClientOptions` for every keyword.

    Every request method takes the keywords of `RequestOptions`, and raises `EngineError`s: `InvalidURL`, `ConnectError`,
    `TLSError`, `Timeout`s, `RemoteProtocolError`, `RedirectError`, … Ctrl-C interrupts a call and closes its connection.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(_BACKEND, ClientOptions(**options))

    def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Send a request and read the whole response."""
        return run(self._complete(method, url, options))

    async def _complete(self, method: str, url: str, options: RequestOptions) -> Response:
        response = Response(await self._send(method, url, options))
        await response.load()
        return response

    def stream(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Send a request and return its response with the body unread; use it as a context manager, or close it."""
        return Response(run(self._send(method, url, options)))

    def exchange(
        self,
        method: str,
        url: str,
        fields: list[tuple[str, str]],
        content: BodySource | None = None,
        timeout: TimeoutTypes = None,
        target: str | None = None,
        proxy: Proxy | None = None,
        meanwhile: Callable[[], object] | None = None,
    ) -> Response:
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
        return Response(run(self._exchange(method, url, fields, content, timeout, target, proxy, meanwhile)))

    def get(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """`request("GET", …)`."""
        return run(self._complete("GET", url, options))

    def head(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """`request("HEAD", …)`."""
        return run(self._complete("HEAD", url, options))

    def options(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """`request("OPTIONS", …)`."""
        return run(self._complete("OPTIONS", url, options))

    def post(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """`request("POST", …)`."""
        return run(self._complete("POST", url, options))

    def put(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """`request("PUT", …)`."""
        return run(self._complete("PUT", url, options))

    def patch(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """`request("PATCH", …)`."""
        return run(self._complete("PATCH", url, options))

    def delete(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """`request("DELETE", …)`."""
        return run(self._complete("DELETE", url, options))

    def websocket(
        self,
        url: str,
        protocols: Sequence[str] = (),
        headers: HeaderSource | None = None,
        **options: Unpack[WebSocketArguments],
    ) -> WebSocket:
        """Connect a WebSocket; use it as a context manager, or close it.

        Over TLS it shares the connection of the requests where the server takes that (RFC 8441); otherwise, and in clear
        unless `version` is 2, it has one of HTTP/1.1 for itself. It outlives the client's `close`.

        Args:
            url: of the scheme ws or wss.
            protocols: the subprotocols it speaks, the best first.
            headers: further fields of the request, such as Origin; they replace the client's of the same name.
            options: see `WebSocketArguments`.

        Raises:
            WebSocketHandshakeError: the server refused; it has status, headers and body.
            UsageError: not such a URL, or fields that belong to the handshake.
            EngineError: as requests do.
        """
        settings, rest = take_settings(options)
        websocket = WebSocket._of(WebSocketPlan(url, protocols, headers, self, rest), None, settings)
        websocket.connect()
        return websocket

    def close(self) -> None:
        """Close idle connections now and those in use when their responses end. Later requests raise `ClosedError`."""
        self._agent.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
