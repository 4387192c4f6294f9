"""From a host to the addresses to connect to.

In this order: an IP address needs no lookup; then the caller's own resolver is asked; then names under `.localhost` stand
for the loopback addresses (RFC 6761 section 6.3); then the system's resolver is asked, off the event loop. The order within
the result is the resolver's: `protocol.happy_eyeballs.order_addresses` makes a race of it.

A function that a program has put in the place of `socket.getaddrinfo` is asked about all hosts that the caller's resolver is
not asked about, addresses too, as others ask it: (host as text, port, family, type).
"""

from __future__ import annotations

import functools
import inspect
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from ..errors import ConnectTimeout, ResolveError, Timeout, UsageError
from ..util import is_ip

if TYPE_CHECKING:
    from ..backends.base import Backend, Colour

__all__ = ["HostMap", "ResolvedAddress", "Resolver", "ResolverFunction", "check_resolver", "literal_address", "resolve"]

T = TypeVar("T")

HostMap: TypeAlias = Mapping[str, str | Sequence[str]]
"""Addresses by host, like curl's `--resolve`: `{"example.com": "127.0.0.1", "example.com:443": ["127.0.0.1", "::1"]}`.

The most telling key counts: "host:port", "host", "*:port", "*". Hosts compare without regard to case or a trailing dot; a
host that matches no key is left to the system's resolver.
"""

ResolverFunction: TypeAlias = Callable[[str, int], "Iterable[str] | Awaitable[Iterable[str]]"]
"""Called with (host, port), returns IP addresses in order of preference.

On an event loop a plain function is called in a helper thread, a coroutine function as a task.
"""

Resolver: TypeAlias = HostMap | ResolverFunction | None
"""How to find the addresses of a host; None is the system's way."""

ResolvedAddress: TypeAlias = tuple[int, tuple[Any, ...]]
"""`AF_INET` or `AF_INET6`, and the address as `socket` wants it."""

_NO_SUCH_NAME = {
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY") if hasattr(socket, name)
}
_FAMILIES = frozenset({socket.AF_INET, socket.AF_INET6})
_LOOPBACK = ("::1", "127.0.0.1") if socket.has_ipv6 else ("127.0.0.1",)


def check_resolver(resolver: Resolver, colour: Colour) -> None:
    """Refuse a resolver that cannot work on a backend of this colour.

    Raises:
        TypeError: it is a coroutine function and the backend is blocking, or it is neither a mapping nor callable.
    """
    if resolver is None or isinstance(resolver, Mapping):
        return
    if not callable(resolver):
        raise TypeError(f"a resolver is a mapping or a function, not {type(resolver).__name__}")
    if colour == "blocking" and _is_coroutine_function(resolver):
        raise TypeError(_wrong_colour(resolver))


async def resolve(backend: Backend, host: str, port: int, resolver: Resolver, deadline: float) -> list[ResolvedAddress]:
    """Find the addresses of a host, at least one.

    Args:
        backend: where to wait.
        host: a name in ASCII form (IDNA done), or an IP address without brackets; an IPv6 zone (`%eth0`) may follow.
        port: the port, part of each address returned.
        resolver: see `Resolver`; it is not asked about IP addresses.
        deadline: on the backend's clock.

    Raises:
        ResolveError: the host has no address, or asking failed; the text names the host.
        ConnectTimeout: there was no answer by the deadline.
        UsageError: the host is empty, or the resolver gave something that is not an IP address.
        TypeError: the resolver is of the wrong colour, see `check_resolver`.
    """
    if not host:
        raise UsageError("the host is empty")  # getaddrinfo would take it for this machine
    literal = literal_address(host, port)
    is_replaced = _is_replaced(socket.getaddrinfo)
    if literal is not None and not is_replaced:
        return [literal]
    check_resolver(resolver, backend.colour)
    given: Sequence[str] | None = None
    if literal is not None:
        pass
    elif isinstance(resolver, Mapping):
        given = _look_up(resolver, host, port)
    elif resolver is not None:
        given = await _ask_function(backend, host, port, resolver, deadline)
    if given is None and is_replaced:
        found = await _off_loop(backend, functools.partial(_ask_replacement, host, port), host, deadline)
        if not found:
            raise ResolveError(f"cannot resolve {host!r}: it has no address")
        return found
    if given is None and host.rstrip(".").lower().endswith(".localhost"):
        given = _LOOPBACK
    if given is None:
        found = await _off_loop(backend, functools.partial(_ask_system, host, port), host, deadline)
    else:
        found = [_given_address(address, host, port) for address in given]
    if not found:
        raise ResolveError(f"cannot resolve {host!r}: it has no address")
    return found


def literal_address(host: str, port: int) -> ResolvedAddress | None:
    """Turn an IP address without brackets into a socket's address; None for names and old spellings such as `127.1`.

    Raises:
        ResolveError: it names an IPv6 zone (`fe80::1%eth0`) that this machine does not have.
    """
    if not is_ip(host):
        return None
    if ":" not in host:
        return socket.AF_INET, (host, port)
    if "%" not in host:
        return socket.AF_INET6, (host, port, 0, 0)
    try:  # the number of a zone is the system's to know; with AI_NUMERICHOST it asks nobody
        flags = socket.AI_NUMERICHOST
        found = socket.getaddrinfo(host, port, socket.AF_INET6, socket.SOCK_STREAM, flags=flags)
    except OSError as error:
        raise ResolveError(error.errno, f"cannot resolve {host!r}: {error.strerror}") from error
    return socket.AF_INET6, found[0][4]


def _given_address(address: object, host: str, port: int) -> ResolvedAddress:
    found = literal_address(str(address), port)  # str, for objects of `ipaddress` are welcome
    if found is None:
        raise UsageError(f"the resolver gave {address!r} for {host!r}: not an IP address")
    return found


# --- the caller's resolver ---


def _look_up(hosts: HostMap, host: str, port: int) -> list[str] | None:
    by_name = {key.lower(): value for key, value in hosts.items()}
    name = host.rstrip(".").lower()
    for key in (f"{name}:{port}", name, f"*:{port}", "*"):
        if key in by_name:
            value = by_name[key]
            return [value] if isinstance(value, str) else list(value)
    return None


async def _ask_function(
    backend: Backend, host: str, port: int, function: ResolverFunction, deadline: float
) -> list[str]:
    answer: Any
    try:
        if _is_coroutine_function(function):
            answer = function(host, port)
        else:
            answer = await _off_loop(backend, lambda: function(host, port), host, deadline)
        if inspect.isawaitable(answer):
            if backend.colour == "blocking":
                if inspect.iscoroutine(answer):
                    answer.close()  # else Python warns that it was never awaited
                raise TypeError(_wrong_colour(function))
            answer = await _await_by(backend, answer, host, deadline)
    except (ResolveError, Timeout):
        raise
    except OSError as error:
        raise ResolveError(f"cannot resolve {host!r}: {error}") from error
    return [answer] if isinstance(answer, str) else list(answer)


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _wrong_colour(function: Callable[..., Any]) -> str:
    name = getattr(function, "__qualname__", type(function).__name__)
    return f"the resolver {name} is asynchronous and cannot be used by a blocking client: give a plain function"


async def _await_by(backend: Backend, awaitable: Awaitable[T], host: str, deadline: float) -> T:
    """Await foreign code with a deadline it knows nothing of: as a task of its own, cancelled when the time is up."""
    results: list[T] = []
    errors: list[Exception] = []

    async def run() -> None:
        try:
            results.append(await awaitable)
        except Exception as error:  # noqa: BLE001 — raised by whoever waits
            errors.append(error)

    coroutine: Coroutine[Any, Any, None] = run()
    task = backend.spawn(coroutine, f"resolve {host}")
    try:
        in_time = await task.join(deadline)
    finally:
        task.cancel()  # does nothing once it is over
    if errors:
        raise errors[0]
    if results:
        return results[0]
    if not in_time:
        raise ConnectTimeout(f"resolving {host!r} took too long")
    raise ResolveError(f"cannot resolve {host!r}: the resolver was cancelled")


# --- the system's resolver ---


async def _off_loop(backend: Backend, function: Callable[[], T], host: str, deadline: float) -> T:
    try:
        return await backend.run_blocking(function, deadline)
    except ConnectTimeout:
        raise
    except Timeout as error:
        raise ConnectTimeout(f"resolving {host!r} took too long") from error


def _ask_system(host: str, port: int) -> list[ResolvedAddress]:
    # Only addresses of families this machine has, except for names that may stand for the loopback interface, which
    # does not count there. The name goes as bytes: as text it would pass through Python's IDNA 2003 codec.
    try:
        name = host.encode("ascii")
    except UnicodeEncodeError as error:
        raise ResolveError(f"cannot resolve {host!r}: not in ASCII (IDNA) form") from error
    is_localhost = host.rstrip(".").lower() == "localhost"
    try:
        try:
            found = _getaddrinfo(name, port, 0 if is_localhost else socket.AI_ADDRCONFIG)
        except socket.gaierror as error:
            if error.errno not in _NO_SUCH_NAME:
                raise
            if is_localhost:  # RFC 6761: it may be answered without asking anybody
                return [_given_address(address, host, port) for address in _LOOPBACK]
            found = _getaddrinfo(name, port, 0)
    except OSError as error:
        raise ResolveError(error.errno, f"cannot resolve {host!r}: {error.strerror}") from error
    except (UnicodeError, ValueError, OverflowError) as error:  # a NUL in the name, a port that is none
        raise ResolveError(f"cannot resolve {host!r}: {error}") from error
    return found


def _is_replaced(function: object) -> bool:
    return getattr(function, "__globals__", None) is not vars(socket)


def _ask_replacement(host: str, port: int) -> list[ResolvedAddress]:
    try:
        found = socket.getaddrinfo(host, port, socket.AF_UNSPEC, socket.SOCK_STREAM)
        return [(family, address) for family, _, _, _, address in found if family in _FAMILIES]
    except OSError as error:
        text = f"cannot resolve {host!r}: {error.strerror or error}"
        raise (ResolveError(text) if error.errno is None else ResolveError(error.errno, text)) from error
    except UnicodeError as error:
        raise ResolveError(f"cannot resolve {host!r}: {error}") from error


def _getaddrinfo(name: bytes, port: int, flags: int) -> list[ResolvedAddress]:
    found = socket.getaddrinfo(name, port, socket.AF_UNSPEC, socket.SOCK_STREAM, socket.IPPROTO_TCP, flags)
    return [(family, address) for family, _, _, _, address in found if family in _FAMILIES]
