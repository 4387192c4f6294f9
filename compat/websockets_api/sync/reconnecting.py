"""A client's connection for threads, and how it is made, again and again if need be. See `client`."""

from __future__ import annotations

import logging
import os
import socket
import ssl as ssl_module
import time
import traceback
import urllib.parse
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from types import TracebackType
from typing import Any, Literal, TypeVar

from drivetrain.compat.websockets_api.datastructures import Headers, HeadersLike
from drivetrain.compat.websockets_api.exceptions import InvalidStatus, SecurityError
from drivetrain.compat.websockets_api.extensions.base import ClientExtensionFactory
from drivetrain.compat.websockets_api.extensions.permessage_deflate import enable_client_permessage_deflate
from drivetrain.compat.websockets_api.handshake_log import log_handshake
from drivetrain.compat.websockets_api.headers import validate_subprotocols
from drivetrain.compat.websockets_api.http11 import USER_AGENT
from drivetrain.compat.websockets_api.http_views import to_request, to_response
from drivetrain.compat.websockets_api.opening import Network, Plan
from drivetrain.compat.websockets_api.protocol import Side
from drivetrain.compat.websockets_api.protocol_view import ProtocolView
from drivetrain.compat.websockets_api.proxy import get_proxy, parse_proxy
from drivetrain.compat.websockets_api.reconnecting import MAX_REDIRECTS, backoff, process_exception
from drivetrain.compat.websockets_api.settings import MaxQueue, MaxSize
from drivetrain.compat.websockets_api.sync.connection import Connection
from drivetrain.compat.websockets_api.sync.utils import Deadline
from drivetrain.compat.websockets_api.typing import LoggerLike, Origin, Subprotocol
from drivetrain.compat.websockets_api.uri import parse_uri
from drivetrain.engine import Client, WebSocket
from drivetrain.engine.errors import ConnectTimeout

__all__ = ["ClientConnection", "reconnect"]

C = TypeVar("C", bound="ClientConnection")

_REDIRECTS = frozenset((300, 301, 302, 303, 307, 308))
_CREDENTIALS = frozenset(("authorization", "cookie", "proxy-authorization"))
_UNSET = object()


class ClientConnection(Connection):
    """A client's connection for threads: what `connect` returns.

    ::

        with connect("wss://example.org/") as websocket:
            websocket.send("hello")
            for message in websocket:
                print(message)

    A context manager, which closes it, with code 1011 after an exception; and an iterator over messages, which ends when the
    connection was closed in order. See `Connection` for what it can do.
    """

    def __init__(
        self,
        sock: Any,
        protocol: ProtocolView,
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
        self.pending_legacy_warning = True

    def __enter__(self: C) -> C:  # noqa: PYI019 - `Self` is not in Python 3.10's typing
        self.pending_legacy_warning = False
        return super().__enter__()

    def maybe_raise_legacy_warning(self) -> None:
        """Warn, once, that connections which are no context managers want `legacy=True`."""
        if self.pending_legacy_warning:
            self.pending_legacy_warning = False
            warnings.warn(
                "connect() must be used as a context manager: with connect(...) as websocket: ...; alternatively, use "
                "websocket = connect(..., legacy=True) to connect directly",
                DeprecationWarning,
                stacklevel=3,
            )


class reconnect:  # noqa: N801 - its name in `websockets`
    """Connections to one server, one after the other.

    As an iterator, a new connection each time, without end: the last one is closed first, and attempts that fail are repeated
    after a while, unless there is no hope. As a context manager, one connection.

    ::

        for websocket in reconnect("wss://example.org/"):
            try:
                ...
            except ConnectionClosed:
                continue

    Args:
        uri: of the scheme ws or wss.
        sock: a connected socket to use.
        ssl: for wss, instead of the default context.
        server_hostname: the name for SNI and the certificate instead of the URI's.
        origin: value of the Origin field.
        extensions: factories of the extensions to offer: permessage-deflate.
        subprotocols: to offer, the best first.
        compression: "deflate" to offer compression, None not to.
        additional_headers: further fields of the request.
        user_agent_header: value of the User-Agent field, None for none.
        proxy: True for what the system says, the address of a proxy, None for none.
        proxy_ssl: for a proxy of the scheme https, instead of the default context.
        proxy_server_hostname: the name for that proxy's certificate instead of its own.
        process_exception: told each failure, says whether it is worth another attempt: see `process_exception` of `client`.
        reconnect_delays: makes an iterator over the seconds to wait between attempts.
        open_timeout: seconds until the connection must be open; None for no limit.
        ping_interval: seconds between keep-alive Pings; None for none.
        ping_timeout: seconds to wait for their Pongs; None for no limit.
        close_timeout: seconds to wait for the peer's side of the closing handshake; None for no limit.
        max_size: of a message, or (message, fragment), in bytes; None for no limit.
        max_queue: how many messages may wait to be received, or (high, low); None for no limit.
        logger: instead of "websockets.client".
        create_connection: makes the connection: a subclass of `ClientConnection`.
        client: a client of the engine, to connect by its rules and through its pool. `sock`, `ssl`, `server_hostname` and what is
            said about proxies do not count then. (An extension of this package.)
        kwargs: as for `socket.create_connection`: `address` to connect to another place than the URI says, `source_address`,
            `timeout`.

    Raises:
        InvalidURI, InvalidProxy: an address is none.
        OSError: the connection cannot be made.
        InvalidHandshake: the opening handshake failed.
        TimeoutError: the connection was not open in time.
    """

    def __init__(
        self,
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
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        open_timeout: float | None = 10,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        reconnect_delays: Callable[[], Iterator[float]] = backoff,
        max_size: MaxSize = 2**20,
        max_queue: MaxQueue = 16,
        logger: LoggerLike | None = None,
        create_connection: Callable[..., ClientConnection] | None = None,
        client: Client | None = None,
        **kwargs: Any,
    ) -> None:
        if ssl is None and "ssl_context" in kwargs:
            ssl = kwargs.pop("ssl_context")
            warnings.warn("ssl_context was renamed to ssl", DeprecationWarning, stacklevel=2)
        self.uri = uri
        self.ws_uri = parse_uri(uri)
        if ssl is not None and not self.ws_uri.secure:
            raise ValueError("ssl argument is incompatible with a ws:// URI")
        if subprotocols is not None:
            validate_subprotocols(subprotocols)
        extensions = _with_compression(extensions, compression)
        self.sock, self.ssl, self.server_hostname = sock, ssl, server_hostname
        self.additional_headers = additional_headers
        self.user_agent_header = user_agent_header
        self.proxy = proxy
        self.proxy_ssl = proxy_ssl
        self.proxy_server_hostname = proxy_server_hostname
        self.process_exception = process_exception
        self.open_timeout = open_timeout
        self.reconnect_delays = reconnect_delays
        self.logger: LoggerLike = logging.getLogger("websockets.client") if logger is None else logger
        self.create_connection = ClientConnection if create_connection is None else create_connection
        self.client = client
        self.open_socket_kwargs = kwargs
        self.protocol_kwargs: dict[str, Any] = {
            "origin": origin,
            "extensions": extensions,
            "subprotocols": subprotocols,
        }
        self.protocol_kwargs.update(max_size=max_size, logger=self.logger)
        self.connection_kwargs: dict[str, Any] = {"ping_interval": ping_interval, "ping_timeout": ping_timeout}
        self.connection_kwargs.update(close_timeout=close_timeout, max_queue=max_queue)

    # -- one attempt ---------------------------------------------------------------------------------------------------

    def _network(self, deadline: Deadline) -> Network:
        """How to get there, of the keywords about that."""
        network = Network(
            ssl=self.ssl,
            server_hostname=self.server_hostname,
            proxy_ssl=self.proxy_ssl,
            proxy_server_hostname=self.proxy_server_hostname,
        )
        kwargs = dict(self.open_socket_kwargs)
        if self.sock is not None:
            network.sock = self.sock
            return network
        if kwargs.pop("unix", False):
            network.unix_path = os.fsdecode(kwargs.pop("path"))
            return network
        proxy = get_proxy(self.ws_uri) if self.proxy is True else self.proxy
        if proxy is not None:
            scheme = parse_proxy(proxy).scheme
            if scheme == "http" and self.proxy_ssl is not None:
                raise ValueError("proxy_ssl argument is incompatible with an http:// proxy")
            network.proxy = proxy
        address = kwargs.pop("address", None)
        if address is not None:
            network.host, network.port = address
        network.tls_timeout = kwargs.pop("timeout", _UNSET)
        if network.tls_timeout is _UNSET:
            network.tls_timeout = deadline.timeout()
        network.local_address = kwargs.pop("source_address", None)
        kwargs.pop("all_errors", None)
        for name in kwargs:
            raise TypeError(f"create_connection() got an unexpected keyword argument {name!r}")
        return network

    def open_connection(self, deadline: Deadline) -> ClientConnection:
        """Make one attempt, at the present URI.

        Raises:
            As the class, `InvalidStatus` also for a redirect.
        """
        protocol = ProtocolView(Side.CLIENT, uri=self.ws_uri, **self.protocol_kwargs)
        try:
            connection = self.create_connection(self.sock, protocol, **self.connection_kwargs)
            plan = Plan(
                self.ws_uri,
                self._network(deadline),
                connection.settings,
                protocol.origin,
                protocol.available_extensions,
                protocol.available_subprotocols,
                self.additional_headers,
                self.user_agent_header,
            )
            websocket = self._opened(plan, deadline)
        except Exception as exc:
            if protocol.debug:
                log_handshake(protocol.logger, None, getattr(exc, "response", None))
            protocol.handshake_exc = exc
            protocol.is_lost = True
            if self.sock is not None:
                self.sock.close()
            raise
        core = websocket.core
        assert core.request is not None
        assert core.response is not None
        request, response = to_request(core.request), to_response(core.response, core.reason)
        if protocol.debug:
            log_handshake(protocol.logger, request, response)
        try:
            connection.attach(core, request, response)
        except Exception:
            core.abort()
            raise
        return connection

    def _opened(self, plan: Plan, deadline: Deadline) -> WebSocket:
        """The engine's connection, with its errors translated."""
        try:
            if self.client is not None:
                uri, protocols, headers, options = plan.client_arguments(deadline.timeout())
                return self.client.websocket(uri, protocols, headers, **options)
            uri, protocols, headers, options = plan.arguments(deadline.timeout())
            websocket = WebSocket.from_uri(uri, protocols, headers, **options)
            websocket.connect()
            return websocket
        except Exception as error:  # noqa: BLE001 - what is not the engine's is raised as it is
            fault = error
        exc = plan.translate(fault)
        if exc is fault:
            raise exc
        if isinstance(exc, TimeoutError) and not exc.args:
            in_time = (
                "timed out" if isinstance(fault, ConnectTimeout) else "timed out while waiting for handshake response"
            )
            exc = TimeoutError(in_time)
        raise exc

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Where a failed attempt leads to, if it is a redirect.

        Returns:
            The URI to try next; an exception, `exc` or another one, when there is none.
        """
        if not (
            isinstance(exc, InvalidStatus)
            and exc.response.status_code in _REDIRECTS
            and "Location" in exc.response.headers
        ):
            return exc
        new_uri = urllib.parse.urljoin(self.uri, exc.response.headers["Location"])
        old, new = self.ws_uri, parse_uri(new_uri)
        if self.sock is not None:
            return ValueError(f"cannot follow redirect to {new_uri} with a preexisting socket")
        if old.secure and not new.secure:
            return SecurityError(f"cannot follow redirect to non-secure URI {new_uri}")
        if (old.secure, old.host, old.port) == (new.secure, new.host, new.port):
            return new_uri
        if self.open_socket_kwargs.get("unix", False):
            return ValueError(f"cannot follow cross-origin redirect to {new_uri} with a Unix socket")
        if self.open_socket_kwargs.get("address") is not None:
            return ValueError(f"cannot follow cross-origin redirect to {new_uri} with an explicit host and port")
        if self.additional_headers is not None:
            given = Headers(self.additional_headers).raw_items()
            self.additional_headers = Headers(item for item in given if item[0].lower() not in _CREDENTIALS)
        return new_uri

    def connect(self) -> ClientConnection:
        """Make a connection, redirects followed.

        Raises:
            As the class.
        """
        deadline = Deadline(self.open_timeout)
        for _ in range(MAX_REDIRECTS):
            try:
                return self.open_connection(deadline)
            except Exception as exc:
                found = self.process_redirect(exc)
                if found is exc:
                    raise
                if isinstance(found, Exception):
                    raise found from exc
            self.uri = found
            self.ws_uri = parse_uri(found)
        raise SecurityError(f"more than {MAX_REDIRECTS} redirects")

    # -- one after the other -------------------------------------------------------------------------------------------

    def __enter__(self) -> ClientConnection:
        if hasattr(self, "connection"):
            raise RuntimeError("connect() isn't reentrant")
        self.connection = self.connect()
        return self.connection.__enter__()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        exc_traceback: TracebackType | None,
    ) -> None:
        try:
            self.connection.__exit__(exc_type, exc_value, exc_traceback)
        finally:
            del self.connection

    def __iter__(self) -> Generator[ClientConnection, None, None]:
        delays: Iterator[float] | None = None
        while True:
            try:
                with self as connection:
                    yield connection
            except Exception as exc:  # noqa: BLE001 - what it is worth is judged
                self._judge(exc)
                if delays is None:
                    delays = iter(self.reconnect_delays())
                delay = next(delays)
                why = traceback.format_exception_only(type(exc), exc)[-1].strip()
                self.logger.info("connect failed; reconnecting in %.1f seconds: %s", delay, why)
                time.sleep(delay)
            else:
                delays = None

    def _judge(self, exc: Exception) -> None:
        """Raise what ends the iteration; return where another attempt is due. Called while `exc` is handled."""
        try:
            judged = self.process_exception(exc)
        except Exception as raised:  # noqa: BLE001 - to raise is as good as to return
            judged = raised
        if judged is exc:
            raise exc
        if judged is not None:
            raise judged from exc


def _with_compression(
    extensions: Sequence[ClientExtensionFactory] | None, compression: str | None
) -> Sequence[ClientExtensionFactory] | None:
    if compression == "deflate":
        return enable_client_permessage_deflate(extensions)
    if compression is not None:
        raise ValueError(f"unsupported compression: {compression}")
    return extensions
