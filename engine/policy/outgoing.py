"""A request as the request loop sends it: complete headers, a body that may be rewound, and where it goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from ..connection.connector import ClientConnection, OriginKey
from ..connection.proxy import Proxy
from ..errors import EngineError
from ..wire.headers import Headers
from ..wire.uri import Uri
from .bodies import RequestBody
from .origins import Origins
from .proxies import for_origin, forwarded

if TYPE_CHECKING:
    from .auth import Auth

__all__ = ["CallersError", "KeyMaker", "Outgoing"]

KeyMaker = Callable[[Uri, Proxy | None], OriginKey]
"""From a URI, and a proxy on the way to it, to the key of the connections that may serve it."""

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})


class CallersError(Exception):
    """What `Outgoing.meanwhile` raised, in a wrapping: it says nothing about the connection, and nothing is sent again.

    Attributes:
        error: that.
    """

    def __init__(self, error: EngineError) -> None:
        super().__init__()
        self.error = error


class Outgoing:
    """One hop's request.

    Attributes:
        method, uri: what is asked of whom; `uri` is what the user sees, the headers are what is sent.
        headers: all of them, pseudo-header fields included.
        body: None for a request without one.
        key: the origin whose connections may carry it.
        auth: authenticates it to its origin, None for nobody.
        key_for: makes keys for it, where its client does not.
        own_cookies: the Cookie field that the program gave, once that is told from the store's.
        continue_wait: seconds to wait for 100 Continue when the headers announce that (RFC 9110 section 10.1.1); 0 not to wait.
        meanwhile: called when it was sent, before the answer is waited for; where it is sent again, again.
        is_websocket: whether it asks for a WebSocket: `meet` is then called before it is sent.
    """

    is_websocket: ClassVar[bool] = False

    __slots__ = (
        "auth",
        "body",
        "continue_wait",
        "headers",
        "key",
        "key_for",
        "meanwhile",
        "method",
        "own_cookies",
        "uri",
    )

    def __init__(self, method: str, uri: Uri, headers: Headers, body: RequestBody | None, key: OriginKey) -> None:
        self.method = method
        self.uri = uri
        self.headers = headers
        self.body = body
        self.key = key
        self.continue_wait = 1.0
        self.auth: Auth | None = None
        self.key_for: KeyMaker | None = None
        self.own_cookies: str | None = None
        self.meanwhile: Callable[[], object] | None = None

    async def meet(self, connection: ClientConnection, deadline: float) -> None:
        """Told the connection it is about to be sent on, where it depends on that what is sent.

        Raises:
            H2Error: HTTP_1_1_REQUIRED, where that connection will not do.
        """

    def pin_http1(self, origins: Origins) -> None:
        """Send it over HTTP/1.1 from now on, and those like it."""
        self.key = origins.pin(self.key, 1.1)

    def following(
        self, method: str, uri: Uri, headers: Headers, body: RequestBody | None, origins: Origins
    ) -> Outgoing:
        """The request that a redirect asks for in the place of this one."""
        return Outgoing(method, uri, headers, body, origins.key_for(uri))

    @property
    def method_on_the_wire(self) -> str:
        """The method as the origin sees it."""
        return self.method

    def headers_on_the_wire(self) -> Headers:
        """The headers as the next hop gets them: a proxy that is sent the request itself, or the origin."""
        proxy = self.key.proxy
        if proxy is None:
            return self.headers
        if self.key.forwards:
            return forwarded(self.headers, self.uri, proxy, self.headers.get("proxy-authorization"))
        return for_origin(self.headers)

    @property
    def waits_for_continue(self) -> bool:
        """Whether the body is held back until the server has said that it wants it."""
        return self.continue_wait > 0 and self.headers.first_values().get("expect", "").lower() == "100-continue"

    @property
    def may_be_repeated(self) -> bool:
        """Whether sending it twice does no more than sending it once (RFC 9110 section 9.2.2), and can be done."""
        return self.method in _IDEMPOTENT and (self.body is None or self.body.is_replayable)
