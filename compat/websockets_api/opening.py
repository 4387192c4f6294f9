"""Opening a client's connection: from the keywords of `connect` to the engine, and from its errors to those of `websockets`.

Nothing here is bound to a colour. `Plan` is made for each attempt, redirects being new attempts; `Plan.arguments` is what the
engine's `WebSocket.from_uri` or `AsyncWebSocket.from_uri` takes, `Plan.translate` says what to raise when that fails.

Of the client that the engine makes for it nothing is used that `websockets` does not have: no cookies, no HSTS, no redirects,
no credentials from files, HTTP/1.1 only, no fields but those of the handshake. To have them, give `connect` a client of the
engine (`client=`, an extension of this package): see `Plan.client_arguments`.
"""

from __future__ import annotations

import socket
import ssl as ssl_module
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from drivetrain.compat.websockets_api.compression import client_deflate
from drivetrain.compat.websockets_api.datastructures import Headers, HeadersLike
from drivetrain.compat.websockets_api.handshake_errors import translate
from drivetrain.compat.websockets_api.headers import build_authorization_basic, build_host
from drivetrain.compat.websockets_api.proxy import parse_proxy
from drivetrain.compat.websockets_api.settings import Settings
from drivetrain.compat.websockets_api.typing import Origin, Subprotocol
from drivetrain.compat.websockets_api.uri import WebSocketURI
from drivetrain.engine import Proxies, Proxy, Timeouts

__all__ = ["Network", "Plan", "family_resolver"]

# What the engine says by itself. Programs that copied a browser's request say it, too.
_OF_THE_HANDSHAKE = frozenset(
    (
        "upgrade",
        "connection",
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "content-length",
        "transfer-encoding",
    )
)


def family_resolver(family: int, proto: int = 0, flags: int = 0) -> Callable[[str, int], list[str]]:
    """A resolver for the engine that asks the system for the addresses of one family, of `socket.AF_*`."""

    def resolve(host: str, port: int) -> list[str]:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, proto, flags)
        return [str(address[4][0]) for address in found]

    return resolve


@dataclass
class Network:
    """How to reach the server, beside its URI.

    Args:
        sock: a connected socket to use.
        unix_path: the path of a UNIX-domain socket.
        host, port: where to connect to instead of what the URI says, which still names the server.
        local_address: (host, port) to connect from.
        resolver: finds addresses, as the engine's `resolver`; None for the system's way.
        head_start: seconds that one address is tried alone; None for the default.
        ssl: a context; True for the default one; None for none, where the URI is of the scheme ws.
        server_hostname: the name for SNI and the certificate instead of the URI's.
        tls_timeout: seconds for connecting and the TLS handshake; None for no limit of their own.
        proxy: the URI of the proxy to use, None for none.
        proxy_ssl: as `ssl`, for a proxy of the scheme https.
        proxy_server_hostname: as `server_hostname`, for that proxy.
    """

    sock: socket.socket | None = None
    unix_path: str | None = None
    host: str | None = None
    port: int | None = None
    local_address: tuple[str, int] | None = None
    resolver: Any = None
    head_start: float | None = None
    ssl: ssl_module.SSLContext | bool | None = None
    server_hostname: str | None = None
    tls_timeout: float | None = None
    proxy: str | None = None
    proxy_ssl: ssl_module.SSLContext | bool | None = None
    proxy_server_hostname: str | None = None


@dataclass
class Plan:
    """One attempt to open a connection.

    Args:
        uri: where to.
        network: how to get there.
        settings: of the connection.
        origin: value of the Origin field, None for none.
        extensions: factories of the extensions to offer, that of `compression` among them.
        subprotocols: to offer, the best first.
        additional_headers: further fields of the request.
        user_agent_header: value of the User-Agent field, None for none.

    Raises:
        UnsupportedExtension: an extension other than permessage-deflate.
    """

    uri: WebSocketURI
    network: Network = field(default_factory=Network)
    settings: Settings = field(default_factory=Settings)
    origin: Origin | None = None
    extensions: Sequence[Any] | None = None
    subprotocols: Sequence[Subprotocol] | None = None
    additional_headers: HeadersLike | None = None
    user_agent_header: str | None = None

    def __post_init__(self) -> None:
        self._deflate = client_deflate(self.extensions)
        self._offered: list[str] = list(self.subprotocols or ())
        self._fields = self._make_fields()

    # -- what to ask for -----------------------------------------------------------------------------------------------

    def _make_fields(self) -> list[tuple[str, str]]:
        uri = self.uri
        fields: list[tuple[str, str]] = []
        if self._is_elsewhere or uri.user_info is not None or self.origin is not None:
            fields.append(("Host", build_host(uri.host, uri.port, uri.secure)))
        if uri.user_info is not None:
            fields.append(("Authorization", build_authorization_basic(*uri.user_info)))
        if self.origin is not None:
            fields.append(("Origin", self.origin))
        given = Headers()
        if self.additional_headers is not None:
            given.update(self.additional_headers)
        for name, value in given.raw_items():
            lower = name.lower()
            if lower == "sec-websocket-protocol":
                self._offered += [part for part in _split(_text(value)) if part not in self._offered]
            elif lower not in _OF_THE_HANDSHAKE:
                fields.append((name, _text(value)))
        if self.user_agent_header is not None and "User-Agent" not in given:
            fields.append(("User-Agent", _text(self.user_agent_header)))
        return fields

    @property
    def _is_elsewhere(self) -> bool:
        """Whether the connection goes to another place than the URI names."""
        return self.network.host is not None or self.network.port is not None

    @property
    def target(self) -> str:
        """The URI to connect to: that of the caller, without credentials, with the place of `network`."""
        uri, network = self.uri, self.network
        host = uri.host if network.host is None else network.host
        port = uri.port if network.port is None else network.port
        host = f"[{host}]" if ":" in host else host
        return f"{'wss' if uri.secure else 'ws'}://{host}:{port}{uri.resource_name}"

    def arguments(self, timeout: float | None) -> tuple[str, list[str], list[tuple[str, str]], dict[str, Any]]:
        """What the engine's `from_uri` takes: the URI, the subprotocols, the header fields, and the options.

        Args:
            timeout: seconds for opening the connection, None for no limit.

        Raises:
            InvalidProxy: `network.proxy` is not the URI of a proxy.
        """
        network = self.network
        options: dict[str, Any] = {
            "version": 1.1,
            "cookies": False,
            "hsts": False,
            "follow_redirects": False,
            "default_headers": False,
            "proxies": False,
            "timeout": Timeouts(total=timeout, connect=network.tls_timeout),
            "compression": self._deflate or False,
            **self.settings.options,
        }
        if network.sock is not None:
            options["sock"] = network.sock
        elif network.unix_path is not None:
            options["unix_socket"] = network.unix_path
        elif network.proxy is not None:
            options.update(self._proxy_options(network.proxy))
        if network.local_address is not None:
            bind = _local_address(network.local_address)
            if bind is not None:
                options["bind"] = bind
        if network.resolver is not None:
            options.setdefault("resolver", network.resolver)
        if network.head_start is not None:
            options["head_start"] = network.head_start
        if self.uri.secure:
            options["ssl_context"] = network.ssl if isinstance(network.ssl, ssl_module.SSLContext) else None
            name = network.server_hostname
            if name is None and self._is_elsewhere:
                name = self.uri.host
            if name:
                options["sendname"] = name
            elif name == "":
                options["sendname"] = False
        return self.target, self._offered, self._fields, options

    def client_arguments(self, timeout: float | None) -> tuple[str, list[str], list[tuple[str, str]], dict[str, Any]]:
        """What the engine's `Client.websocket` and `AsyncClient.websocket` take, of which the client has the rest."""
        options: dict[str, Any] = {"compression": self._deflate or False, **self.settings.options}
        if timeout is not None:
            options["timeout"] = timeout
        return self.target, self._offered, self._fields, options

    def _proxy_options(self, address: str) -> dict[str, Any]:
        network, parsed = self.network, parse_proxy(address)
        host, options = parsed.host, dict[str, Any]()
        fields: tuple[tuple[str, str], ...] = ()
        if not parsed.scheme.startswith("socks") and self.user_agent_header is not None:
            fields = (("User-Agent", self.user_agent_header),)
        if parsed.scheme == "https":
            if isinstance(network.proxy_ssl, ssl_module.SSLContext):
                options["proxy_ssl_context"] = network.proxy_ssl
            if network.proxy_server_hostname is not None and network.proxy_server_hostname != host:
                # To the engine a proxy has one name: the one to prove; it is found where the other one leads.
                options["resolver"] = _alias(network.proxy_server_hostname, host, network.resolver)
                host = network.proxy_server_hostname
        proxy = Proxy(parsed.scheme, host, parsed.port, parsed.username, parsed.password, fields)
        return {**options, "proxies": Proxies(all=proxy)}

    # -- what went wrong -----------------------------------------------------------------------------------------------

    def translate(self, error: Exception) -> Exception:
        """What to raise in the place of the engine's `error`; `error` itself where it is not the engine's.

        `TimeoutError` is returned for limits of time, with no message: the caller knows which one it was.
        """
        return translate(error, self.extensions, self.subprotocols)


def _text(value: object) -> str:
    """The value of a field; programs give numbers, too."""
    return value if isinstance(value, str) else str(value)


def _split(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _local_address(address: Any) -> str | None:
    """The local end as the engine has it; None where `address` leaves the choice to the system.

    Raises:
        OSError: it is no address of this host, nor a name of one.
    """
    host, port = address[0], address[1] or 0
    if not host:
        if not port:
            return None
        host = "0.0.0.0"  # noqa: S104 - connections come from there, none are accepted
    else:
        # It may be a name.
        host = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _alias(name: str, host: str, resolver: Any) -> Callable[[str, int], list[str]]:
    """A resolver that finds `host` when asked for `name`; `resolver` is a plain function or None."""
    resolve = resolver or family_resolver(0)

    def found(asked: str, port: int) -> list[str]:
        return list(resolve(host if asked == name else asked, port))

    return found
