"""Calls of the data modules of `websockets`, of ours and of the original, and what comes of them; for `surface`."""

from __future__ import annotations

import importlib
import os
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock


class Library:
    """The modules of one of the two, by name."""

    def __init__(self, package: str) -> None:
        self._package = package

    def __getattr__(self, name: str) -> Any:
        return importlib.import_module(f"{self._package}.{name.replace('__', '.')}")


def outcome(call: Callable[[Library], Any], library: Library) -> Any:
    """What a call returns or raises, as text, and what it warns of."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            came: Any = ("returned", repr(call(library)))
        except Exception as error:
            came = ("raised", kind(error), str(error), repr(error.args))
    return came, [(each.category.__name__, str(each.message)) for each in warned]


def kind(error: BaseException) -> str:
    """The name of an exception's class; Python's own for those that are private to a module."""
    found = next(cls for cls in type(error).__mro__ if not cls.__name__.startswith("_"))
    return found.__name__


Call = tuple[str, Callable[[Library], Any]]


def of(module: str, function: str, *args: Any, **kwargs: Any) -> Call:
    """A call of a function with arguments that are the same for both."""
    name = f"{module}.{function}{args!r}{kwargs or ''}"
    return name, lambda library: getattr(getattr(library, module), function)(*args, **kwargs)


def fixed_calls() -> Iterator[Call]:
    for code in (0, 999, 1000, 1001, 1004, 1005, 1006, 1014, 1015, 1016, 2999, 3000, 3999, 4000, 4999, 5000, 65535):
        yield of("frames", "Close", code, "why")
        yield f"Close({code})", lambda library, code=code: str(library.frames.Close(code, "é"))
        yield f"Close({code}).serialize", lambda library, code=code: library.frames.Close(code, "é").serialize()
    for rcvd in (None, (1000, ""), (1011, "oops"), (4000, "x")):
        for sent in (None, (1000, ""), (1002, "no")):
            for order in (None, True, False):
                yield from closed(rcvd, sent, order)
    for module in ("exceptions", "legacy__exceptions"):
        for name, args in EXCEPTIONS[module]:
            yield from of_exception(module, name, args)
    for attribute in ("InvalidStatusCode", "AbortHandshake", "RedirectHandshake", "WebSocketProtocolError", "Nothing"):
        yield attribute, lambda library, attribute=attribute: getattr(library.exceptions, attribute, None).__name__
    yield from fixed_calls_of_functions()


def fixed_calls_of_functions() -> Iterator[Call]:
    for host in ("a", "::1", "127.0.0.1", "fe80::1%eth0"):
        for port in (80, 443, 8080):
            for secure in (True, False):
                yield of("headers", "build_host", host, port, secure)
                yield of("headers", "build_host", host, port, secure, always_include_port=True)
    for given in (["a"], ["a", "b c"], "ab", ("x",), {"a"}, [], [""], 3, None):
        yield of("headers", "validate_subprotocols", given)
    yield of("utils", "accept_key", "dGhlIHNhbXBsZSBub25jZQ==")
    for mask in (b"", b"abc", b"abcde"):
        yield of("utils", "apply_mask", b"data", mask)
    for environment in ENVIRONMENTS:
        for uri in ("ws://host/", "wss://host:8443/a", "ws://[::1]:80", "wss://10.0.0.1"):
            yield proxied(environment, uri)
    yield "generate_key", lambda library: len(library.utils.generate_key())


ENVIRONMENTS = (
    {},
    {"ws_proxy": "http://a:b%40@p:1", "http_proxy": "http://q"},
    {"wss_proxy": "https://p", "no_proxy": "host"},
    {"socks_proxy": "http://s:1080", "https_proxy": "http://h"},
    {"socks_proxy": "socks5://s", "http_proxy": "http://h"},
    {"https_proxy": "http://u:p@h:3128", "no_proxy": "10.0.0.1,x"},
    {"all_proxy": "http://h"},
)


def proxied(environment: dict[str, str], uri: str) -> Call:
    """Which proxy is taken, and what it is asked."""

    def found(library: Library) -> Any:
        target = library.uri.parse_uri(uri)
        with mock.patch.dict(os.environ, environment, clear=True):
            address = library.proxy.get_proxy(target)
        asked = [
            library.proxy.prepare_connect_request(library.proxy.parse_proxy(address), target, agent)
            for agent in (None, "x")
        ]
        return target.resource_name, target.user_info, address, asked

    return f"get_proxy {(environment, uri)}", found


def closed(rcvd: Any, sent: Any, order: bool | None) -> Iterator[Call]:
    def made(library: Library) -> Any:
        closes = [pair and library.frames.Close(*pair) for pair in (rcvd, sent)]
        error = library.exceptions.ConnectionClosedError(*closes, order)
        twin = pickle.loads(pickle.dumps(error))
        return str(error), error.code, error.reason, str(twin), twin.rcvd == error.rcvd, vars(error)

    if (order is None) == (rcvd is None or sent is None):
        yield f"ConnectionClosed{(rcvd, sent, order)}", made


EXCEPTIONS: dict[str, list[tuple[str, tuple[Any, ...]]]] = {
    "exceptions": [
        ("InvalidURI", ("ws:x", "why")),
        ("InvalidProxy", ("x", "why")),
        ("InvalidMethod", ("PUT",)),
        ("InvalidProtocol", ("HTTP/2",)),
        ("InvalidHeader", ("A",)),
        ("InvalidHeader", ("A", "")),
        ("InvalidHeader", ("A", "b")),
        ("InvalidHeaderFormat", ("A", "expected x", "abc", 2)),
        ("InvalidHeaderValue", ("A", "b")),
        ("InvalidOrigin", (None,)),
        ("InvalidOrigin", ("http://a",)),
        ("InvalidUpgrade", ("Upgrade", "x")),
        ("NegotiationError", ("why",)),
        ("DuplicateParameter", ("a",)),
        ("InvalidParameterName", ("a",)),
        ("InvalidParameterValue", ("a", None)),
        ("InvalidParameterValue", ("a", "")),
        ("InvalidParameterValue", ("a", "b")),
        ("PayloadTooBig", (10, 5)),
        ("PayloadTooBig", (None, 5)),
        ("PayloadTooBig", (10, 5, 3)),
        ("PayloadTooBig", ("old",)),
        ("ProtocolError", ("why",)),
        ("InvalidState", ("why",)),
        ("ConcurrencyError", ("why",)),
        ("InvalidMessage", ("why",)),
        ("InvalidProxyMessage", ("why",)),
        ("SecurityError", ()),
    ],
    "legacy__exceptions": [("RedirectHandshake", ("ws://a",)), ("AbortHandshake", (404, [("A", "b")], b"x"))],
}


def of_exception(module: str, name: str, args: tuple[Any, ...]) -> Iterator[Call]:
    def made(library: Library) -> Any:
        error = getattr(getattr(library, module), name)(*args)
        twin = pickle.loads(pickle.dumps(error))
        ancestors = [cls.__name__ for cls in type(error).__mro__]
        seen = {key: value for key, value in vars(error).items() if not key.startswith("_")}
        return str(error), repr(error), error.args, seen, str(twin), list(dict.fromkeys(ancestors))

    yield f"{name}{args}", made
