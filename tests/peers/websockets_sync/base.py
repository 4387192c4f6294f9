"""What the programs of this package are written with."""

from __future__ import annotations

import contextlib
import importlib
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.peers.websockets_sync.raw import make_handler
from tests.support.servers import RawServer

__all__ = [
    "DIFFERENCES",
    "SCENARIOS",
    "Library",
    "Site",
    "cause_of",
    "difference",
    "facts",
    "scenario",
    "told",
    "tried",
]


class Library:
    """The modules of one implementation.

    Args:
        package: where they are.
    """

    def __init__(self, package: str) -> None:
        self.client = importlib.import_module(f"{package}.sync.client")
        self.exceptions = importlib.import_module(f"{package}.exceptions")
        self.datastructures = importlib.import_module(f"{package}.datastructures")
        self.deflate = importlib.import_module(f"{package}.extensions.permessage_deflate")
        self.protocol = importlib.import_module(f"{package}.protocol")

    def open(self, uri: str, **options: Any) -> Any:
        """A connection, to be closed by the caller; without the warning that this is not the future."""
        return self.client.connect(uri, **{"proxy": None, "legacy": True, **options})


@dataclass
class Site:
    """Where the servers are.

    Attributes:
        port: of the server of `server.py`.
        tls_port: the same over TLS, with a certificate for localhost.
        unix: the path of a socket of the same.
        context: for clients; trusts that certificate.
        server_context: for servers, with that certificate.
        seen: what raw servers noted down, in order.
    """

    port: int
    tls_port: int
    unix: str
    context: ssl.SSLContext
    server_context: ssl.SSLContext
    seen: list[Any] = field(default_factory=list)
    noted: threading.Condition = field(default_factory=threading.Condition)

    @property
    def base(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def secure(self) -> str:
        return f"wss://localhost:{self.tls_port}"

    @contextlib.contextmanager
    def raw(self, name: str) -> Iterator[str]:
        """A server of `raw.py`; its base."""
        with RawServer(make_handler(name, self.note), tolerate=(ConnectionError, AssertionError)) as server:
            yield f"ws://127.0.0.1:{server.port}"

    def note(self, value: Any) -> None:
        """For raw servers: tell what came."""
        with self.noted:
            self.seen.append(value)
            self.noted.notify_all()

    def take(self) -> Any:
        """What a raw server noted next."""
        with self.noted:
            assert self.noted.wait_for(lambda: self.seen, 10)
            return self.seen.pop(0)


def told(error: BaseException) -> Any:
    """An exception: its kinds, what it says, what it carries."""
    builtin = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
    details = {
        name: str(getattr(error, name))
        for name in ("rcvd", "sent", "rcvd_then_sent", "errno", "name", "value", "uri", "msg")
        if getattr(error, name, None) is not None
    }
    response = getattr(error, "response", None)
    if response is not None:
        details["response"] = (response.status_code, response.reason_phrase, bytes(response.body or b""))
        fields = response.headers.raw_items()
        details["fields"] = [(name, "…" if name == "Date" else value) for name, value in fields]
    return type(error).__name__, builtin, str(error), details


def tried(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a call returned, or what it raised."""
    try:
        return "returned", call(*args, **kwargs)
    except Exception as error:
        return "raised", told(error)


def cause_of(call: Callable[..., Any], *args: Any) -> str | None:
    try:
        call(*args)
    except Exception as error:
        return None if error.__cause__ is None else type(error.__cause__).__name__
    return "nothing was raised"


def facts(websocket: Any) -> Any:
    return {
        "state": websocket.state.name,
        "code": websocket.close_code,
        "reason": websocket.close_reason,
        "subprotocol": websocket.subprotocol,
        "latency is known": websocket.latency > 0,
    }


Scenario = Callable[[Library, Site], Any]
SCENARIOS: dict[str, Scenario] = {}
DIFFERENCES: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    """Mark a program that ends the same with both."""
    SCENARIOS[function.__name__] = function
    return function


def difference(function: Scenario) -> Scenario:
    """Mark a program that does not."""
    DIFFERENCES[function.__name__] = function
    return function
