"""What a server can be set to, and the listening socket that follows from it."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import stat
from dataclasses import dataclass

from .. import tls
from ..errors import ConnectError, UsageError
from ..protocol.h1 import DEFAULT_LIMITS
from ..protocol.h1_limits import H1Limits
from ..protocol.h2_limits import H2Limits

__all__ = ["SERVER_H2_LIMITS", "ServerOptions", "bind_listener", "prepare_context"]


# As many windows of streams as there may be streams fit into that of the connection: handlers that do not read what they are
# sent hold up no others.
SERVER_H2_LIMITS = H2Limits(stream_window=512 * 1024, connection_window=50 * 1024 * 1024)


@dataclass(frozen=True)
class ServerOptions:
    """Settings of `Server` and `AsyncServer` (lua-http's `http.server`); times in seconds.

    Args:
        host: numeric address or name to listen on. Loopback unless told otherwise.
        port: 0 for one the system chooses.
        path: a UNIX-domain socket to listen on instead.
        socket: a listening socket to take over instead.
        context: server `ssl.SSLContext`; with it every connection is TLS, without it none is. What it offers by ALPN decides
            between HTTP/2 and HTTP/1.1, unless `version` does: then what it offers is set when the server is made.
        version: 1.0, 1.1 or 2 to pin what the server speaks. Otherwise HTTP/2 is spoken with those who agree on it by ALPN
            or, without ALPN or in clear, send its preface, or upgrade to it from HTTP/1.1 (in clear, requests without a
            body); HTTP/1.1 with the others. A server of HTTP/2 alone answers requests in HTTP/1 with 505.
        connection_setup_timeout: for the TLS handshake and the first byte of the first request; in HTTP/2 for the client's
            settings.
        intra_stream_timeout: how long a connection may stay idle between requests.
        header_timeout: for a header section, from its first byte to its last.
        stream_timeout: how long a client may neither send nor take anything while a request is being served. In HTTP/2 for
            each stream, and for the connection as a whole.
        max_concurrent: connections served at a time; further ones wait to be accepted. None for no limit.
        limits: bounds on what clients may send in HTTP/1.
        h2_limits: bounds on what clients may send in HTTP/2, how many requests are served at a time on one connection
            among them.
        backlog: connections the system may queue.
        v6only, reuseaddr, reuseport: socket options. reuseaddr is on by default, as servers need it to restart.
        mode: permission bits for `path`.
        unlink: remove a socket left over at `path` before binding. Other kinds of file are never removed.
    """

    host: str = "127.0.0.1"
    port: int = 0
    path: str | None = None
    socket: socket.socket | None = None
    context: ssl.SSLContext | None = None
    version: float | None = None
    connection_setup_timeout: float = 10.0
    intra_stream_timeout: float = 10.0
    header_timeout: float = 10.0
    stream_timeout: float = 60.0
    max_concurrent: int | None = None
    limits: H1Limits = DEFAULT_LIMITS
    h2_limits: H2Limits = SERVER_H2_LIMITS
    backlog: int = 1024
    v6only: bool = False
    reuseaddr: bool = True
    reuseport: bool = False
    mode: int | None = None
    unlink: bool = False

    def __post_init__(self) -> None:
        if self.version not in (None, 1.0, 1.1, 2.0):
            raise UsageError(f"HTTP version {self.version!r} is not one of 1.0, 1.1, 2 and None")
        if self.max_concurrent is not None and self.max_concurrent < 1:
            raise UsageError("max_concurrent is at least 1")


def prepare_context(options: ServerOptions) -> None:
    """Have the TLS context of a server that is pinned to a version offer just that."""
    if options.context is not None and options.version is not None and tls.has_alpn:
        options.context.set_alpn_protocols(["h2" if options.version == 2 else "http/1.1"])


def bind_listener(options: ServerOptions) -> socket.socket:
    """Make the listening socket.

    Raises:
        ConnectError: the address cannot be had.
    """
    if options.socket is not None:
        return options.socket
    where = options.path or f"{options.host}:{options.port}"
    try:
        return _bind_unix(options, options.path) if options.path is not None else _bind_tcp(options)
    except OSError as error:
        raise ConnectError(error.errno, f"cannot listen on {where}: {error.strerror or error}") from error


def _bind_tcp(options: ServerOptions) -> socket.socket:
    found = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if options.reuseaddr and os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if options.reuseport:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(options.v6only))
        sock.bind(address)
        sock.listen(options.backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_unix(options: ServerOptions, path: str) -> socket.socket:
    if options.unlink:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.stat(path).st_mode):
                os.unlink(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        if options.mode is not None:
            os.chmod(path, options.mode)
        sock.listen(options.backlog)
    except BaseException:
        sock.close()
        raise
    return sock
