"""How to reach the server, from the keywords that `connect` would pass on to `loop.create_connection`."""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Mapping
from typing import Any

from drivetrain.compat.websockets_api.opening import Network, family_resolver
from drivetrain.compat.websockets_api.proxy import parse_proxy
from drivetrain.compat.websockets_api.uri import WebSocketURI
from drivetrain.engine.errors import ConnectError

__all__ = ["network_of", "to_error_of_loop"]

_TLS = ("server_hostname", "ssl", "ssl_handshake_timeout", "ssl_shutdown_timeout")
_TCP = ("all_errors", "family", "flags", "happy_eyeballs_delay", "host", "interleave", "local_addr", "port", "proto")
_FOR_TCP = frozenset((*_TLS, *_TCP, "sock"))
_FOR_UNIX = frozenset((*_TLS, "path", "sock"))
_FOR_PROXY = frozenset((*_TLS, *_TCP, *(f"proxy_{name}" for name in _TLS))) - {"host", "port"}

# That is what goes wrong with `local_addr`.
_OF_THIS_END = frozenset((errno.EADDRINUSE, errno.EADDRNOTAVAIL))


def network_of(options: Mapping[str, Any], uri: WebSocketURI, proxy: str | None) -> Network:
    """Read the keywords.

    Args:
        options: the keywords. `unix` says that `path` or `sock` is that of a UNIX-domain socket.
        uri: where to.
        proxy: the URI of the proxy to use, None for none.

    Raises:
        TypeError: there is no such keyword.
        ValueError: they do not go together.
        InvalidProxy: `proxy` is no URI of a proxy.
    """
    given = dict(options)
    if uri.secure and given.get("ssl", True) is None:
        raise ValueError("ssl=None is incompatible with a wss:// URI")
    if given.pop("unix", False):
        _check_names(given, _FOR_UNIX, "create_unix_connection")
        return _unix(given)
    if proxy is not None:
        _check_names(given, _FOR_PROXY, "create_connection")
        _check_proxy_tls(given, proxy)
    else:
        _check_names(given, _FOR_TCP, "create_connection")
    if given.get("sock") is not None and (given.get("host") is not None or given.get("port") is not None):
        raise ValueError("host/port and sock can not be specified at the same time")
    return Network(
        sock=given.get("sock"),
        host=given.get("host"),
        port=given.get("port"),
        local_address=given.get("local_addr"),
        resolver=_resolver(given),
        head_start=given.get("happy_eyeballs_delay"),
        proxy=proxy,
        proxy_ssl=given.get("proxy_ssl"),
        proxy_server_hostname=given.get("proxy_server_hostname"),
        **_tls(given),
    )


def _check_names(given: Mapping[str, Any], known: frozenset[str], function: str) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        loop = "_UnixSelectorEventLoop" if function == "create_unix_connection" else "BaseEventLoop"
        raise TypeError(f"{loop}.{function}() got an unexpected keyword argument {unknown[0]!r}")


def _unix(given: Mapping[str, Any]) -> Network:
    path, sock = given.get("path"), given.get("sock")
    if path is not None and sock is not None:
        raise ValueError("path and sock can not be specified at the same time")
    if path is None and sock is None:
        raise ValueError("no path and sock were specified")
    return Network(sock=sock, unix_path=None if path is None else os.fsdecode(path), **_tls(given))


def _tls(given: Mapping[str, Any]) -> dict[str, Any]:
    limit = given.get("ssl_handshake_timeout")
    return {"ssl": given.get("ssl"), "server_hostname": given.get("server_hostname"), "tls_timeout": limit}


def _resolver(given: Mapping[str, Any]) -> Any:
    family, proto, flags = given.get("family") or 0, given.get("proto") or 0, given.get("flags") or 0
    return family_resolver(family, proto, flags) if family or proto or flags else None


def _check_proxy_tls(given: Mapping[str, Any], proxy: str) -> None:
    scheme = parse_proxy(proxy).scheme
    if scheme == "https":
        if given.get("proxy_ssl", True) is None:
            raise ValueError("proxy_ssl=None is incompatible with an https:// proxy")
    elif scheme == "http" and given.get("proxy_ssl") is not None:
        raise ValueError("proxy_ssl argument is incompatible with an http:// proxy")


def to_error_of_loop(fault: Exception, error: BaseException | None) -> Exception:
    """What `loop.create_connection` would raise where other ways to connect raise `fault`: it names the addresses.

    Args:
        fault: what to raise.
        error: the engine's reason for it.
    """
    if isinstance(fault, ssl.SSLEOFError):
        lost = ConnectionResetError("the connection was closed in the TLS handshake")
        lost.__cause__ = fault
        return lost
    failures: tuple[tuple[Any, OSError], ...] = ()
    while isinstance(error, ConnectError) and not failures:
        failures, error = error.failures, error.__cause__
    if not failures or not isinstance(fault, OSError) or not all(isinstance(address, tuple) for address, _ in failures):
        return fault
    if any(failed.errno in _OF_THIS_END for _, failed in failures):
        return fault
    errors = [OSError(failed.errno, f"Connect call failed {address}") for address, failed in failures]
    if len(errors) == 1:
        return errors[0]
    # `OSError` there; but who waits for a `ConnectionRefusedError` is served as well.
    kinds = {type(each) for each in errors}
    kind = kinds.pop() if len(kinds) == 1 else OSError
    return kind(f"Multiple exceptions: {', '.join(map(str, errors))}")
