"""Origins with made-up names for the tests of what a user agent does: they record every request and answer as told."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from typing import Any

from drivetrain.engine import H2Limits, Headers, Server, Stream, WebSocket
from drivetrain.engine.errors import WebSocketError
from tests.faces.colours import Clients
from tests.faces.site import Site, Target
from tests.support.certificates import Certificates

__all__ = ["NAMES", "Origin", "Page", "World", "echo", "moved", "say"]

NAMES = ("origin.example", "sub.origin.example", "other.example")
Page = Callable[[Target], None]


class Origin(Site):
    """A site whose pages are functions in `pages`, by path; a list of them is gone through, its last one stays.

    Attributes:
        seen: the headers of every request, in order.
    """

    def __init__(self, context: ssl.SSLContext | None = None, **options: Any) -> None:
        super().__init__(context, **options)
        self.seen: list[Headers] = []
        self.pages: dict[str, Page | list[Page]] = {}

    def _handle(self, server: Server, stream: Stream[Any]) -> None:
        headers = stream.get_headers()
        assert headers is not None
        target = Target(stream, headers)
        self.seen.append(headers)
        page = self.pages.get(target.path, say(200))
        if isinstance(page, list):
            page = page.pop(0) if len(page) > 1 else page[0]
        page(target)

    def at(self, path: str = "/", host: str = NAMES[0]) -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def ws(self, path: str = "/", host: str = NAMES[0]) -> str:
        """`at` as the address of a WebSocket."""
        return self.at(path, host).replace("http", "ws", 1)

    @property
    def port(self) -> int:
        return int(self.server.localname().port)

    def told(self, name: str) -> list[str | None]:
        """What each request had in this field; several lines of it are joined by " | "."""
        return [" | ".join(headers.get_as_sequence(name)) or None for headers in self.seen]

    @property
    def paths(self) -> list[str]:
        return [headers.get(":path", "") for headers in self.seen]


def say(status: int = 200, *fields: tuple[str, str], body: bytes | None = None, read: bool = True) -> Page:
    """A page that answers with this; the body is the request's own unless it is given, and left alone without `read`."""

    def page(target: Target) -> None:
        got = target.stream.get_body_as_string() if read else b""
        target.answer(status, got or b"fine" if body is None else body, *fields)

    return page


def moved(to: str, status: int = 302, *fields: tuple[str, str]) -> Page:
    """A page that leads to another."""
    return say(status, ("location", to), *fields, body=b"over there")


def echo(*fields: tuple[str, str], protocols: tuple[str, ...] = (), compression: bool = False) -> Page:
    """A WebSocket that sends back what it gets; `fields` go into the answer to its handshake."""

    def page(target: Target) -> None:
        websocket = WebSocket.from_stream(target.stream, target.headers, compression=compression)
        assert websocket is not None
        websocket.accept(Headers(fields), protocols)
        with contextlib.suppress(WebSocketError), websocket:
            for message in websocket:
                websocket.send(message)

    return page


class World:
    """One origin in clear and one over TLS, both of which answer for all of `NAMES`.

    Args:
        certificates: for those names.
        alpn: what the secure one speaks.
        clients: makes clients that know where the names are, and trust the authority.
        takes_websockets: whether they take WebSockets over HTTP/2.
    """

    def __init__(
        self, certificates: Certificates, alpn: list[str], clients: Clients, takes_websockets: bool = True
    ) -> None:
        self.certificates = certificates
        self.version = "2" if "h2" in alpn else "1.1"
        limits = H2Limits(enable_connect_protocol=takes_websockets)
        self.plain = Origin(h2_limits=limits)
        self.secure = Origin(certificates.server_context(alpn), h2_limits=limits)
        self.colour = clients.colour
        self.pieces = clients.pieces
        self._clients = clients
        self._made: list[Any] = []

    def client(self, **options: Any) -> Any:
        trust = {} if "ssl_context" in options else {"verify": self.certificates.ca_file}
        where = dict.fromkeys(NAMES, "127.0.0.1")
        self._made.append(self._clients(**{**trust, "resolver": where, "proxies": False, **options}))
        return self._made[-1]

    def close_clients(self) -> None:
        for client in self._made:
            assert client.statistics.in_use == 0
            client.close()
