"""drivetrain's engine: HTTP for clients and servers, blocking and asyncio, from one implementation.

One line::

    from drivetrain import engine
    print(engine.get("https://example.com/").text)

With a pool of your own, `Client` and `AsyncClient`; piece by piece, their `stream`; as objects to edit and send again,
`Request`; the server's side, `Server` and `AsyncServer`; down to streams, connections and single lines, `Stream`,
`H1Stream`, `Connection` and `H1Connection`. Every error is an `EngineError` (see `errors`).
"""

from __future__ import annotations

from . import errors, tls, util, version
from .backends.asyncio_ import AsyncioBackend
from .backends.base import Address, Backend, ByteStream
from .backends.blocking import BlockingBackend
from .backends.blocking import run as run_blocking
from .connection.h1_connection import H1Connection
from .connection.h1_stream import H1Stream
from .connection.pool_limits import PoolLimits, PoolStatistics
from .errors import EngineError
from .faces.api import delete, get, head, options, patch, post, put, request, stream
from .faces.async_client import AsyncClient
from .faces.async_response import AsyncResponse
from .faces.async_server import AsyncServer
from .faces.client import Client
from .faces.raw_body import RawBody
from .faces.request import Request
from .faces.response import Response
from .faces.response_base import ConnectionInfo
from .faces.server import Server
from .faces.stream import Connection, Stream
from .policy.redirects import RedirectPolicy
from .policy.timeouts import Timeouts
from .protocol.h1_limits import H1Limits
from .wire.headers import Headers
from .wire.reason_phrases import REASON_PHRASES, reason_phrase
from .wire.uri import Uri, parse_uri, resolve_reference

__all__ = [
    "REASON_PHRASES",
    "Address",
    "AsyncClient",
    "AsyncResponse",
    "AsyncServer",
    "AsyncioBackend",
    "Backend",
    "BlockingBackend",
    "ByteStream",
    "Client",
    "Connection",
    "ConnectionInfo",
    "EngineError",
    "H1Connection",
    "H1Limits",
    "H1Stream",
    "Headers",
    "PoolLimits",
    "PoolStatistics",
    "RawBody",
    "RedirectPolicy",
    "Request",
    "Response",
    "Server",
    "Stream",
    "Timeouts",
    "Uri",
    "delete",
    "errors",
    "get",
    "head",
    "options",
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
