"""drivetrain's engine: HTTP for clients and servers, blocking and asyncio, from one implementation.

One line::

    from drivetrain import engine
    print(engine.get("https://example.com/").text)

With a pool of your own, `Client` and `AsyncClient`; piece by piece, their `stream`; as objects to edit and send again,
`Request`; the server's side, `Server` and `AsyncServer`; what makes a client a user agent, `CookieStore`, `HstsStore`, `Proxies`,
`Auth`, `Retries`; down to streams, connections and single lines, `Stream`,
`H1Stream`, `Connection` and `H1Connection`. Every error is an `EngineError` (see `errors`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import errors, tls, util, version
from .backends.asyncio_ import AsyncioBackend
from .backends.base import Address, Backend, ByteStream
from .backends.blocking import BlockingBackend
from .backends.blocking import run as run_blocking
from .connection.adopted_websocket import adopt_websocket
from .connection.h1_connection import H1Connection
from .connection.h1_stream import H1Stream
from .connection.h2_connection import H2Connection
from .connection.h2_stream import H2Stream
from .connection.pool_limits import PoolLimits, PoolStatistics
from .connection.proxy import Proxy
from .connection.websocket import WebSocketConnection
from .errors import EngineError
from .faces.api import delete, get, head, options, patch, post, put, request, stream
from .faces.async_client import AsyncClient
from .faces.async_response import AsyncResponse
from .faces.async_server import AsyncServer
from .faces.async_websocket import AsyncWebSocket, connect_async_websocket
from .faces.client import Client
from .faces.raw_body import RawBody
from .faces.request import Request
from .faces.response import Response
from .faces.response_base import ConnectionInfo
from .faces.server import Server
from .faces.socks import AsyncSocks, Socks
from .faces.stream import (
    Connection,
    H1ConnectionFace,
    H1StreamFace,
    H2ConnectionFace,
    H2StreamFace,
    Stream,
    make_connection_face,
    make_stream_face,
)
from .faces.websocket import WebSocket, connect_websocket
from .policy.auth import AnswerHead, Auth, AuthFlow, BasicAuth, BearerAuth, DigestAuth, NetrcAuth
from .policy.cookie_rules import Cookie
from .policy.cookie_store import CookieStore
from .policy.hsts import HstsStore, parse_sts
from .policy.no_proxy import NoProxy
from .policy.outgoing import Outgoing
from .policy.proxies import Proxies
from .policy.redirects import RedirectPolicy
from .policy.retries import Retries
from .policy.timeouts import Timeouts
from .protocol.h1_limits import H1Limits
from .protocol.h2_limits import H2Limits
from .protocol.websocket_deflate import DeflateOptions, DeflateParameters
from .protocol.websocket_events import Close as WebSocketClose
from .protocol.websocket_events import Frame as WebSocketFrame
from .protocol.websocket_events import Piece as WebSocketPiece
from .protocol.websocket_limits import WebSocketLimits
from .wire.codings import Deflater, Inflater, deflate, inflate
from .wire.cookies import SetCookie, bake, parse_cookie, parse_cookies, parse_setcookie
from .wire.decoders import ContentDecoder, DecodingLimits
from .wire.h2_errors import H2_ERRORS, H2Error, H2ErrorCode
from .wire.headers import Headers
from .wire.hpack_context import HpackContext
from .wire.reason_phrases import REASON_PHRASES, reason_phrase
from .wire.uri import Uri, parse_uri, resolve_reference

if TYPE_CHECKING:
    from .policy.cookie_jar import StoreCookieJar

__all__ = [
    "H2_ERRORS",
    "REASON_PHRASES",
    "Address",
    "AnswerHead",
    "AsyncClient",
    "AsyncResponse",
    "AsyncServer",
    "AsyncSocks",
    "AsyncWebSocket",
    "AsyncioBackend",
    "Auth",
    "AuthFlow",
    "Backend",
    "BasicAuth",
    "BearerAuth",
    "BlockingBackend",
    "ByteStream",
    "Client",
    "Connection",
    "ConnectionInfo",
    "ContentDecoder",
    "Cookie",
    "CookieStore",
    "DecodingLimits",
    "DeflateOptions",
    "DeflateParameters",
    "Deflater",
    "DigestAuth",
    "EngineError",
    "H1Connection",
    "H1ConnectionFace",
    "H1Limits",
    "H1Stream",
    "H1StreamFace",
    "H2Connection",
    "H2ConnectionFace",
    "H2Error",
    "H2ErrorCode",
    "H2Limits",
    "H2Stream",
    "H2StreamFace",
    "Headers",
    "HpackContext",
    "HstsStore",
    "Inflater",
    "NetrcAuth",
    "NoProxy",
    "Outgoing",
    "PoolLimits",
    "PoolStatistics",
    "Proxies",
    "Proxy",
    "RawBody",
    "RedirectPolicy",
    "Request",
    "Response",
    "Retries",
    "Server",
    "SetCookie",
    "Socks",
    "StoreCookieJar",
    "Stream",
    "Timeouts",
    "Uri",
    "WebSocket",
    "WebSocketClose",
    "WebSocketConnection",
    "WebSocketFrame",
    "WebSocketLimits",
    "WebSocketPiece",
    "adopt_websocket",
    "bake",
    "connect_async_websocket",
    "connect_websocket",
    "deflate",
    "delete",
    "errors",
    "get",
    "head",
    "inflate",
    "make_connection_face",
    "make_stream_face",
    "options",
    "parse_cookie",
    "parse_cookies",
    "parse_setcookie",
    "parse_sts",
    "parse_uri",
    "patch",
    "post",
    "put",
    "reason_phrase",
    "request",
    "resolve_reference",
    "run_blocking",
    "stream",
    "tls",
    "util",
    "version",
]


def __getattr__(name: str) -> Any:
    """Bring what would make the import dear, `http.cookiejar` for one, when it is asked for."""
    if name == "StoreCookieJar":
        return import_module(".policy.cookie_jar", __name__).StoreCookieJar
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
