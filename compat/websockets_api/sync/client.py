"""The client for threads: `connect`, and `reconnect` for connections that are to be made again."""

from __future__ import annotations

import socket
import ssl as ssl_module
from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

from drivetrain.compat.websockets_api import http11
from drivetrain.compat.websockets_api import reconnecting as _reconnecting
from drivetrain.compat.websockets_api.datastructures import HeadersLike
from drivetrain.compat.websockets_api.extensions.base import ClientExtensionFactory
from drivetrain.compat.websockets_api.settings import MaxQueue, MaxSize
from drivetrain.compat.websockets_api.sync import reconnecting
from drivetrain.compat.websockets_api.typing import LoggerLike, Origin, PathLike, Subprotocol
from drivetrain.engine import Client

__all__ = [
    "MAX_REDIRECTS",
    "USER_AGENT",
    "ClientConnection",
    "backoff",
    "connect",
    "process_exception",
    "reconnect",
    "unix_connect",
    "unix_reconnect",
]

ClientConnection = reconnecting.ClientConnection
reconnect = reconnecting.reconnect
backoff = _reconnecting.backoff
process_exception = _reconnecting.process_exception
MAX_REDIRECTS = _reconnecting.MAX_REDIRECTS
USER_AGENT = http11.USER_AGENT


@overload
def connect(uri: str, *, legacy: Literal[True] | None = None, **kwargs: Any) -> ClientConnection: ...


@overload
def connect(uri: str, *, legacy: Literal[False], **kwargs: Any) -> reconnect: ...


def connect(
    uri: str,
    *,
    sock: socket.socket | None = None,
    ssl: ssl_module.SSLContext | None = None,
    server_hostname: str | None = None,
    origin: Origin | None = None,
    extensions: Sequence[ClientExtensionFactory] | None = None,
    subprotocols: Sequence[Subprotocol] | None = None,
    compression: str | None = "deflate",
    additional_headers: HeadersLike | None = None,
    user_agent_header: str | None = USER_AGENT,
    proxy: str | Literal[True] | None = True,
    proxy_ssl: ssl_module.SSLContext | None = None,
    proxy_server_hostname: str | None = None,
    open_timeout: float | None = 10,
    ping_interval: float | None = 20,
    ping_timeout: float | None = 20,
    close_timeout: float | None = 10,
    max_size: MaxSize = 2**20,
    max_queue: MaxQueue = 16,
    logger: LoggerLike | None = None,
    create_connection: Callable[..., ClientConnection] | None = None,
    client: Client | None = None,
    legacy: bool | None = None,
    **kwargs: Any,
) -> ClientConnection | reconnect:
    """Connect to a server. To be used as a context manager.

    Args:
        legacy: False for a `reconnect`, True for no warning when the connection is not used as a context manager.
        uri, kwargs: and all others, see `reconnect`.

    Raises:
        InvalidURI, InvalidProxy, OSError, InvalidHandshake, TimeoutError: as `reconnect`.
    """
    place: dict[str, Any] = {"sock": sock, "ssl": ssl, "server_hostname": server_hostname}
    place.update(proxy_ssl=proxy_ssl, proxy_server_hostname=proxy_server_hostname)
    connecter = reconnect(
        uri,
        **place,
        origin=origin,
        extensions=extensions,
        subprotocols=subprotocols,
        compression=compression,
        additional_headers=additional_headers,
        user_agent_header=user_agent_header,
        proxy=proxy,
        open_timeout=open_timeout,
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
        close_timeout=close_timeout,
        max_size=max_size,
        max_queue=max_queue,
        logger=logger,
        create_connection=create_connection,
        client=client,
        **kwargs,
    )
    return _connected(connecter, legacy)


def _connected(connecter: reconnect, legacy: bool | None) -> ClientConnection | reconnect:
    if legacy is False:
        return connecter
    connection = connecter.connect()
    if legacy:
        connection.pending_legacy_warning = False
    return connection


def unix_reconnect(path: PathLike | None = None, uri: str | None = None, **kwargs: Any) -> reconnect:
    """Connections to a server that listens on a UNIX-domain socket, one after the other; see `reconnect`.

    Args:
        path: of the socket.
        uri: what to ask for; None for ws://localhost/, with `ssl` wss://localhost/.
        kwargs: as for `reconnect`.

    Raises:
        ValueError: neither `path` nor `sock`, or both.
    """
    sock = kwargs.get("sock")
    if path is None and sock is None:
        raise ValueError("missing path argument")
    if path is not None and sock is not None:
        raise ValueError("path is incompatible with sock")
    if uri is None:
        is_clear = kwargs.get("ssl") is None and kwargs.get("ssl_context") is None
        uri = "ws://localhost/" if is_clear else "wss://localhost/"
    return reconnect(uri, unix=True, path=path, **kwargs)


@overload
def unix_connect(
    path: PathLike | None = None, uri: str | None = None, *, legacy: Literal[True] | None = None, **kwargs: Any
) -> ClientConnection: ...


@overload
def unix_connect(
    path: PathLike | None = None, uri: str | None = None, *, legacy: Literal[False], **kwargs: Any
) -> reconnect: ...


def unix_connect(
    path: PathLike | None = None, uri: str | None = None, *, legacy: bool | None = None, **kwargs: Any
) -> ClientConnection | reconnect:
    """Connect to a server that listens on a UNIX-domain socket; see `unix_reconnect` and `connect`."""
    return _connected(unix_reconnect(path, uri, **kwargs), legacy)
