"""The API of `websockets`, versions 15 to 17, on drivetrain's engine: clients and servers, for asyncio and for threads.

::

    from drivetrain.compat import websockets_api as websockets          # or install("websockets"), and change nothing

    async with websockets.connect("wss://chat.example/room") as websocket:
        await websocket.send("hello")
        async for message in websocket:
            ...

Laws:

- modules, names, signatures, exceptions and what goes over the wire are those of `websockets` 17.4; the protocol is the
  engine's, and nothing here is a second one;
- the original need not be installed. Where it is, our exceptions are kinds of its exceptions, and its enumerations are ours:
  what was imported from the one can be used with the other;
- nothing is imported before it is asked for: names come from their modules when they are first used;
- not here: the protocols without I/O (`sans_io` says what stands for them), extensions other than permessage-deflate, trio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivetrain.compat.websockets_api.imports import lazy_names as _lazy_names
from drivetrain.compat.websockets_api.version import version as __version__  # noqa: F401  # not in `__all__`, as in the original

if TYPE_CHECKING:
    from drivetrain.compat.websockets_api.asyncio.client import ClientConnection, connect, unix_connect
    from drivetrain.compat.websockets_api.asyncio.router import Router, route, unix_route
    from drivetrain.compat.websockets_api.asyncio.server import (
        Server,
        ServerConnection,
        basic_auth,
        broadcast,
        serve,
        unix_serve,
    )
    from drivetrain.compat.websockets_api.client import ClientProtocol
    from drivetrain.compat.websockets_api.datastructures import Headers, HeadersLike, MultipleValuesError
    from drivetrain.compat.websockets_api.exceptions import (
        ConcurrencyError,
        ConnectionClosed,
        ConnectionClosedError,
        ConnectionClosedOK,
        DuplicateParameter,
        HeaderLineTooLong,
        InvalidHandshake,
        InvalidHeader,
        InvalidHeaderFormat,
        InvalidHeaderValue,
        InvalidMessage,
        InvalidMethod,
        InvalidOrigin,
        InvalidParameterName,
        InvalidParameterValue,
        InvalidProtocol,
        InvalidProxy,
        InvalidProxyMessage,
        InvalidProxyStatus,
        InvalidState,
        InvalidStatus,
        InvalidUpgrade,
        InvalidURI,
        NegotiationError,
        PayloadTooBig,
        ProtocolError,
        ProxyError,
        RequestLineTooLong,
        SecurityError,
        StatusLineTooLong,
        TooManyFragments,
        TooManyHeaders,
        WebSocketException,
    )
    from drivetrain.compat.websockets_api.frames import Close, CloseCode, Frame, Opcode
    from drivetrain.compat.websockets_api.http11 import Request, Response
    from drivetrain.compat.websockets_api.protocol import Protocol, Side, State
    from drivetrain.compat.websockets_api.server import ServerProtocol
    from drivetrain.compat.websockets_api.typing import (
        Data,
        ExtensionName,
        ExtensionParameter,
        LoggerLike,
        Origin,
        StatusLike,
        Subprotocol,
    )

__all__ = [
    "ClientConnection",
    "ClientProtocol",
    "Close",
    "CloseCode",
    "ConcurrencyError",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "Data",
    "DuplicateParameter",
    "ExtensionName",
    "ExtensionParameter",
    "Frame",
    "HeaderLineTooLong",
    "Headers",
    "HeadersLike",
    "InvalidHandshake",
    "InvalidHeader",
    "InvalidHeaderFormat",
    "InvalidHeaderValue",
    "InvalidMessage",
    "InvalidMethod",
    "InvalidOrigin",
    "InvalidParameterName",
    "InvalidParameterValue",
    "InvalidProtocol",
    "InvalidProxy",
    "InvalidProxyMessage",
    "InvalidProxyStatus",
    "InvalidState",
    "InvalidStatus",
    "InvalidURI",
    "InvalidUpgrade",
    "LoggerLike",
    "MultipleValuesError",
    "NegotiationError",
    "Opcode",
    "Origin",
    "PayloadTooBig",
    "Protocol",
    "ProtocolError",
    "ProxyError",
    "Request",
    "RequestLineTooLong",
    "Response",
    "Router",
    "SecurityError",
    "Server",
    "ServerConnection",
    "ServerProtocol",
    "Side",
    "State",
    "StatusLike",
    "StatusLineTooLong",
    "Subprotocol",
    "TooManyFragments",
    "TooManyHeaders",
    "WebSocketException",
    "basic_auth",
    "broadcast",
    "connect",
    "route",
    "serve",
    "unix_connect",
    "unix_route",
    "unix_serve",
]

# The names of `exceptions` are all the others.
_HOMES = {
    "asyncio.client": ("ClientConnection", "connect", "unix_connect"),
    "asyncio.router": ("Router", "route", "unix_route"),
    "asyncio.server": ("Server", "ServerConnection", "basic_auth", "broadcast", "serve", "unix_serve"),
    "client": ("ClientProtocol",),
    "datastructures": ("Headers", "HeadersLike", "MultipleValuesError"),
    "frames": ("Close", "CloseCode", "Frame", "Opcode"),
    "http11": ("Request", "Response"),
    "protocol": ("Protocol", "Side", "State"),
    "server": ("ServerProtocol",),
    "typing": (
        "Data",
        "ExtensionName",
        "ExtensionParameter",
        "LoggerLike",
        "Origin",
        "StatusLike",
        "Subprotocol",
    ),
}
_NAMES = dict.fromkeys(__all__, "exceptions") | {name: home for home, names in _HOMES.items() for name in names}

_DEPRECATED = {
    "AbortHandshake": "legacy.exceptions",
    "BasicAuthWebSocketServerProtocol": "legacy.auth",
    "InvalidStatusCode": "legacy.exceptions",
    "RedirectHandshake": "legacy.exceptions",
    "WebSocketClientProtocol": "legacy.client",
    "WebSocketCommonProtocol": "legacy.protocol",
    "WebSocketProtocolError": "legacy.exceptions",
    "WebSocketServer": "legacy.server",
    "WebSocketServerProtocol": "legacy.server",
    "WebSocketURI": "uri",
    "basic_auth_protocol_factory": "legacy.auth",
    "parse_uri": "uri",
}

# In the original some of these are there only after something has imported them; nobody relies on that.
_MODULES = (
    "asyncio",
    "auth",
    "cli",
    "client",
    "connection",
    "datastructures",
    "exceptions",
    "extensions",
    "frames",
    "headers",
    "http",
    "http11",
    "legacy",
    "protocol",
    "proxy",
    "server",
    "streams",
    "sync",
    "typing",
    "uri",
    "utils",
)

__getattr__, __dir__ = _lazy_names(__name__, _NAMES | dict.fromkeys(_MODULES, ""), _DEPRECATED)
