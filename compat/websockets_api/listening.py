"""Listening sockets, for what `serve` passes on: the keywords of asyncio's `create_server` and `create_unix_server`.

The sockets are made here, and bound, but do not listen yet: the engine's servers are given them when they are to accept.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl as ssl_module
import stat
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from drivetrain.compat.websockets_api.typing import PathLike

__all__ = ["Listening", "create_server", "create_unix_server"]

_BACKLOG = 100


@dataclass
class Listening:
    """What a server is going to listen on, and how.

    Args:
        sockets: bound, but not listening.
        ssl: for TLS, None for none.
        backlog: connections the system may queue.
        setup_timeout: seconds for the TLS handshake, None for the default.
        start_serving: whether to accept from the beginning.
        cleanup: paths to remove in the end, each with the number of its file.
    """

    sockets: list[socket.socket]
    ssl: ssl_module.SSLContext | None = None
    backlog: int = _BACKLOG
    setup_timeout: float | None = None
    start_serving: bool = True
    cleanup: list[tuple[Any, int]] = field(default_factory=list)

    def close(self) -> None:
        """Close the sockets, and remove what they leave."""
        for sock in self.sockets:
            sock.close()
        self.remove_paths()

    def remove_paths(self) -> None:
        """Remove what is left of UNIX-domain sockets, unless somebody else has put theirs there."""
        for path, number in self.cleanup:
            try:
                if os.stat(path).st_ino == number:
                    os.unlink(path)
            except OSError:
                continue
        self.cleanup.clear()


async def create_server(
    host: str | Sequence[str] | None = None,
    port: int | str | None = None,
    *,
    family: int = socket.AF_UNSPEC,
    flags: int = socket.AI_PASSIVE,
    sock: socket.socket | None = None,
    backlog: int = _BACKLOG,
    ssl: ssl_module.SSLContext | None = None,
    reuse_address: bool | None = None,
    reuse_port: bool | None = None,
    keep_alive: bool | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    start_serving: bool = True,
) -> Listening:
    """Bind TCP sockets. The keywords are those of asyncio's `create_server`; `ssl_shutdown_timeout` means nothing here.

    Raises:
        OSError: an address cannot be had.
        ValueError, TypeError: the arguments contradict each other.
    """
    _check_tls(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
    if host is None and port is None:
        if sock is None:
            raise ValueError("neither host and port nor sock were given")
        if sock.type != socket.SOCK_STREAM:
            raise ValueError(f"a stream socket was expected, not {sock!r}")
        sockets = [sock]
    else:
        if sock is not None:
            raise ValueError("host and port cannot be given together with sock")
        if reuse_address is None:
            reuse_address = os.name == "posix" and sys.platform != "cygwin"
        options = [
            name
            for name, wanted in (
                ("SO_REUSEADDR", reuse_address),
                ("SO_REUSEPORT", reuse_port),
                ("SO_KEEPALIVE", keep_alive),
            )
            if wanted
        ]
        sockets = _bind_all(await _resolve(host, port, family, flags), options)
    return Listening(sockets, ssl, backlog, ssl_handshake_timeout, start_serving)


async def create_unix_server(
    path: PathLike | None = None,
    *,
    sock: socket.socket | None = None,
    backlog: int = _BACKLOG,
    ssl: ssl_module.SSLContext | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    start_serving: bool = True,
    cleanup_socket: bool = True,
) -> Listening:
    """Bind a UNIX-domain socket. The keywords are those of asyncio's `create_unix_server`.

    Raises:
        As `create_server`.
    """
    _check_tls(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
    cleanup = []
    if path is None:
        if sock is None:
            raise ValueError("neither path nor sock were given")
        if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
            raise ValueError(f"a UNIX-domain stream socket was expected, not {sock!r}")
    else:
        if sock is not None:
            raise ValueError("path cannot be given together with sock")
        place = os.fspath(path)
        sock = _bind_path(place)
        if cleanup_socket and not _is_abstract(place):
            cleanup.append((place, os.stat(place).st_ino))
    return Listening([sock], ssl, backlog, ssl_handshake_timeout, start_serving, cleanup)


def _check_tls(ssl: Any, handshake_timeout: float | None, shutdown_timeout: float | None) -> None:
    if isinstance(ssl, bool):
        raise TypeError("ssl is an SSLContext, or None")
    if ssl is None:
        for name, value in (("handshake", handshake_timeout), ("shutdown", shutdown_timeout)):
            if value is not None:
                raise ValueError(f"ssl_{name}_timeout means nothing without ssl")


async def _resolve(host: Any, port: int | str | None, family: int, flags: int) -> list[tuple[Any, ...]]:
    """Every address of every host, once."""
    if host == "":
        hosts: Iterable[Any] = [None]
    else:
        hosts = [host] if isinstance(host, str) or not isinstance(host, Iterable) else host
    loop = asyncio.get_running_loop()
    looking = [loop.getaddrinfo(name, port, family=family, type=socket.SOCK_STREAM, flags=flags) for name in hosts]
    found = await asyncio.gather(*looking)
    return list(dict.fromkeys(info for infos in found for info in infos))


def _bind_all(infos: list[tuple[Any, ...]], options: list[str]) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for family, kind, proto, _, address in infos:
            try:
                sock = socket.socket(family, kind, proto)
            except OSError:
                continue  # the system knows the family, but does not have it
            sockets.append(sock)
            for name in options:
                if not hasattr(socket, name):
                    raise ValueError(f"{name} is not supported here")
                sock.setsockopt(socket.SOL_SOCKET, getattr(socket, name), 1)
            if family == socket.AF_INET6:
                # IPv4 has a socket of its own.
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                sock.bind(address)
            except OSError as error:
                text = f"error while attempting to bind on address {address!r}: {(error.strerror or '').lower()}"
                raise OSError(error.errno, text) from None
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    if not sockets:
        raise OSError(errno.EADDRNOTAVAIL, "there is no address to bind")
    return sockets


def _is_abstract(path: str | bytes) -> bool:
    """Whether it is a name that Linux keeps in no file system."""
    return path.startswith("\0") if isinstance(path, str) else path.startswith(b"\0")


def _bind_path(path: str | bytes) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if not _is_abstract(path):
            try:
                if stat.S_ISSOCK(os.stat(path).st_mode):
                    os.remove(path)
            except FileNotFoundError:
                pass
        sock.bind(path)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise OSError(error.errno, f"Address {path!r} is already in use") from None
        raise
    except BaseException:
        sock.close()
        raise
    return sock
