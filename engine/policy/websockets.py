"""Opening a WebSocket the way a user agent makes requests: by its rules, through its pool (lua-http's `http.websocket`).

The handshake is a request like others, so that cookies, HSTS, proxies, credentials, redirects, retries and deadlines are those
of `UserAgent`. What is different:

- what is sent depends on the connection: an Upgrade over HTTP/1.1, an extended CONNECT over HTTP/2 (RFC 8441). A server that
  speaks HTTP/2 but takes no WebSockets over it is asked over HTTP/1.1, at once the next time;
- through a proxy there is always a tunnel (`Origins.websocket_key_for`);
- a redirect never leads from wss into the clear;
- a connection of HTTP/1.1 leaves the pool with its WebSocket. One of HTTP/2 stays, and is given back when the stream ends, or
  when nobody holds the WebSocket any more.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence

from ..connection.connector import ClientConnection
from ..connection.h2_connection import H2Connection
from ..connection.websocket import WebSocketConnection
from ..connection.websocket_client import supports_websocket, take_websocket
from ..connection.websocket_options import WebSocketOptions
from ..errors import RedirectError, UsageError
from ..protocol.websocket_deflate import DeflateOptions
from ..protocol.websocket_handshake import HANDSHAKE_FIELDS, ClientHandshake
from ..wire.h2_errors import H2Error, H2ErrorCode
from ..wire.headers import Headers
from ..wire.uri import Uri
from .auth import AuthSource
from .bodies import RequestBody
from .compose import Composer
from .origins import Origins
from .outgoing import Outgoing
from .proxies import for_origin
from .redirects import RedirectPolicy, as_http
from .response_core import ResponseCore
from .timeouts import Timeouts
from .user_agent import UserAgent

__all__ = ["WebSocketOutgoing", "check_websocket_uri", "compose_websocket", "establish_websocket"]

# In this order.
_FIRST_FIELDS = ("host", "authorization", "origin")


class WebSocketOutgoing(Outgoing):
    """A handshake on its way. Its `method` is GET, and `headers` are without the fields of the handshake, whatever is sent.

    Args:
        source: the request to make a handshake of.
        origins: makes its keys.
        protocols: the subprotocols to offer, the best first.
        compression: how to offer compression, None for none.

    Attributes:
        handshake: the one that was sent last; each has a key of its own.
        sent: the whole request that was sent last.
    """

    is_websocket = True

    __slots__ = ("_compression", "_is_h2", "_protocols", "handshake", "sent")

    def __init__(
        self, source: Outgoing, origins: Origins, protocols: Sequence[str], compression: DeflateOptions | None
    ) -> None:
        super().__init__(source.method, source.uri, source.headers, None, origins.websocket_key_for(source.uri))
        self.auth = source.auth
        self.key_for = origins.websocket_key_for
        self._protocols = protocols
        self._compression = compression
        self._is_h2 = self.key.version == 2
        self.handshake = ClientHandshake(protocols, compression)
        self.sent = source.headers

    async def meet(self, connection: ClientConnection, deadline: float) -> None:
        """See `Outgoing.meet`: the handshake fits this connection from now on."""
        self._is_h2 = isinstance(connection, H2Connection)
        if self._is_h2 and self.key.version is None and not await supports_websocket(connection, deadline):
            raise H2Error(
                H2ErrorCode.HTTP_1_1_REQUIRED, "the server takes no WebSockets over HTTP/2", stream_error=True
            )
        self.handshake = ClientHandshake(self._protocols, self._compression)

    def pin_http1(self, origins: Origins) -> None:
        """See `Outgoing.pin_http1`. Requests that are no handshakes go on over HTTP/2."""
        self.key = origins.pin_websocket(self.key)

    def following(
        self, method: str, uri: Uri, headers: Headers, body: RequestBody | None, origins: Origins
    ) -> Outgoing:
        """See `Outgoing.following`.

        Raises:
            RedirectError: it would leave TLS.
        """
        if self.uri.scheme == "https" and uri.scheme == "http":
            raise RedirectError("a WebSocket over TLS is not led into the clear", (str(self.uri), str(uri)))
        headers.delete("referer")
        source = Outgoing("GET", uri, headers, None, origins.websocket_key_for(uri))
        return WebSocketOutgoing(source, origins, self._protocols, self._compression)

    @property
    def method_on_the_wire(self) -> str:
        """See `Outgoing.method_on_the_wire`. Before the first answer HTTP/1.1 is supposed."""
        return "CONNECT" if self._is_h2 else "GET"

    def headers_on_the_wire(self) -> Headers:
        """See `Outgoing.headers_on_the_wire`: the whole handshake.

        Fields that say whom it asks, and who asks, come before those of the handshake where the caller's begin with Host.
        """
        source, is_h2 = for_origin(self.headers), self._is_h2
        request = self.handshake.to_request(
            self.uri.scheme, source.get(":authority", ""), source.get(":path", "/"), is_h2
        )
        asked = list(request.each())
        pseudo = sum(name[:1] == ":" for name, _, _ in asked)
        own = [field for field in source.each() if field[0][:1] != ":" and not (is_h2 and field[0].lower() == "host")]
        before = _count_first(own) if own and own[0][0].lower() == _FIRST_FIELDS[0] else 0
        headers = Headers()
        for name, value, never_index in (*asked[:pseudo], *own[:before], *asked[pseudo:], *own[before:]):
            headers.append(name, value, never_index)
        self.sent = headers
        return headers


def _count_first(fields: Sequence[tuple[str, str, bool]]) -> int:
    """How many of the fields are of those that come first, in their order."""
    awaited = iter(_FIRST_FIELDS)
    return next((count for count, field in enumerate(fields) if field[0].lower() not in awaited), len(fields))


def check_websocket_uri(uri: Uri) -> Uri:
    """`uri`, which is one of a WebSocket.

    Raises:
        UsageError: it is not.
    """
    if uri.scheme not in ("ws", "wss"):
        raise UsageError(f"a WebSocket's URI is of the scheme ws or wss, not {uri.scheme}")
    return uri


def compose_websocket(
    composer: Composer,
    origins: Origins,
    uri: Uri,
    protocols: Sequence[str],
    headers: Headers,
    auth: AuthSource,
    compression: DeflateOptions | None,
) -> WebSocketOutgoing:
    """Make a handshake for one client.

    Args:
        composer, origins: the client's.
        uri: of the scheme ws or wss.
        protocols: the subprotocols to offer, the best first.
        headers: further fields, in the place of the client's of the same name.
        auth: how to authenticate, instead of the client's way.
        compression: how to offer compression, None for none.

    Raises:
        UsageError: not such a URI, no such protocols, or fields that belong to the handshake.
    """
    target = as_http(check_websocket_uri(uri))
    # To have them checked.
    ClientHandshake(protocols).to_request(target.scheme, target.authority, target.target, False, headers)
    source = composer.compose("GET", target.to_string(with_userinfo=True), headers=headers, auth=auth)
    if source.key.version == 1.0:
        raise UsageError("a WebSocket needs HTTP/1.1 or HTTP/2")
    for name in HANDSHAKE_FIELDS:
        source.headers.delete(name)  # of those that the client sends with every request
    if not headers.has("accept-encoding"):
        # What a server has to say in place of a WebSocket is passed on as it comes.
        source.headers.delete("accept-encoding")
    return WebSocketOutgoing(source, origins, protocols, compression)


async def establish_websocket(
    agent: UserAgent,
    outgoing: WebSocketOutgoing,
    timeouts: Timeouts,
    redirects: RedirectPolicy,
    options: WebSocketOptions,
) -> WebSocketConnection:
    """Send a handshake by the agent's rules, redirects followed, and make a WebSocket of the answer.

    Args:
        agent: whose rules and connections.
        outgoing: see `compose_websocket`.
        timeouts: for the opening; they are over when it is.
        redirects: which are followed.
        options: settings of the WebSocket.

    Raises:
        WebSocketHandshakeError: the server refused, or its answer makes no sense. It has the whole answer.
        EngineError: see `errors`; no connection is left in use then.
    """
    response = await agent.send(outgoing, timeouts, redirects)
    try:
        final = response.outgoing
        assert isinstance(final, WebSocketOutgoing)
        websocket = await take_websocket(
            response.stream,
            final.handshake,
            final.sent,
            response.headers,
            options,
            owns_connection=False,
            deadline=response.deadline,
        )
    except BaseException:
        response.close()
        raise
    if isinstance(response.connection, H2Connection):
        _give_back_at_end(websocket, response)
    else:
        agent.pool.detach(response.part_from_connection())
    return websocket


def _give_back_at_end(websocket: WebSocketConnection, response: ResponseCore) -> None:
    """Give the use of a shared connection back once, whatever comes first: the stream's end, or that of `websocket`."""
    finalizer = weakref.finalize(websocket, ResponseCore.forsake, response)
    finalizer.atexit = False

    def ended() -> None:
        if finalizer.detach() is not None:
            response.give_back_lent()

    response.stream.on_end(ended)
