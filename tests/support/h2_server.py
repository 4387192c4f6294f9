"""An HTTP/2 server that does what a test tells it to, in a thread: the h2 library, and frames by hand where it would not.

::

    with H2Server() as server:                       # answers by path, see `pages`
        Client(version=2).get(server.url + "/bytes/1000")

    with H2Server(hold) as server:                   # answers nothing by itself
        ...
        exchange = server.next()                     # the next request, waited for
        exchange.respond(200, b"late")               # from any thread, at any time

- `answer(exchange)` is called in the connection's thread for each request that is complete (with `early`, whose head came);
  it must not wait for the client. To answer later, keep the exchange and call its methods from where you like;
- a `Wire` is one connection; what it is told (`goaway`, `say`, `change_settings`, …) it sends in that order;
- what the client does is on record: `server.wires`, and of each wire `exchanges`, `frames`, `resets`, `goaways`, `most_open`;
- faults of the client that the h2 library notices end the connection and are raised when the `with` block is left, as are
  errors of `answer`; leaving it ends every connection and joins the threads.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from drivetrain.engine.errors import EngineError
from tests.support.h2_wire import Exchange, Seen, Wire
from tests.support.servers import Handler

__all__ = ["Exchange", "H2Server", "Seen", "Wire", "hold", "pages", "pattern"]


def pattern(length: int) -> bytes:
    """So many bytes that are not all alike."""
    block = bytes(range(251))
    return (block * (length // 251 + 1))[:length]


def hold(exchange: Exchange) -> None:
    """An `answer` that leaves it to the test."""


def pages(exchange: Exchange) -> None:
    """An `answer` by path: /bytes/N, /echo, /digest (length and SHA-256 of the body), /held (nothing); else the path."""
    name, _, argument = exchange.path.lstrip("/").partition("/")
    if name == "held":
        return
    if name == "bytes":
        exchange.respond(200, pattern(int(argument)))
    elif name == "echo":
        exchange.respond(200, bytes(exchange.body))
    elif name == "digest":
        exchange.respond(200, f"{exchange.received} {exchange.digest.hexdigest()}".encode())
    else:
        exchange.respond(200, exchange.path.encode())


class H2Server:
    """A loopback server for HTTP/2. See the module's text.

    Args:
        answer: see the module's text.
        context: makes it a TLS server; its ALPN decides what is spoken, HTTP/2 by `answer`, the rest by `fallback`.
        fallback: serves connections on which ALPN did not agree on "h2".
        settings: the server's first SETTINGS, by their RFC names in lower case.
        greet: send them at once; otherwise only when `Wire.greet` is called.
        early: call `answer` when a request's head came.
        credits: give credit for what was received; otherwise only `Wire.credit` does.
        keep_bodies: keep request bodies.
        on_connect: called with each `Wire` in its thread before anything is read.
        tolerate: faults of the client and errors of `answer` that are expected.
        patience: seconds for each wait.

    Attributes:
        wires: the HTTP/2 connections, in order; `connections` counts all that were accepted.
        handshake_errors: TLS handshakes that failed.
    """

    def __init__(
        self,
        answer: Callable[[Exchange], None] = pages,
        *,
        context: ssl.SSLContext | None = None,
        fallback: Handler | None = None,
        settings: dict[str, int] | None = None,
        greet: bool = True,
        early: bool = False,
        credits: bool = True,
        keep_bodies: bool = True,
        on_connect: Callable[[Wire], None] | None = None,
        tolerate: tuple[type[BaseException], ...] = (),
        patience: float = 10.0,
    ) -> None:
        self.wires: list[Wire] = []
        self.connections = 0
        self.handshake_errors: list[OSError] = []
        self.early = early
        self.credits = credits
        self.keep_bodies = keep_bodies
        self.changed = threading.Condition()
        self._answer = answer
        self._context = context
        self._fallback = fallback
        self._settings = {"max_concurrent_streams": 2**31 - 1, **(settings or {})}
        self._greet = greet
        self._on_connect = on_connect
        self._tolerate = tolerate
        self._patience = patience
        self._errors: list[BaseException] = []
        self._arrived: list[Exchange] = []
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        """The root of the server, without a slash at the end."""
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    @property
    def wire(self) -> Wire:
        """The newest connection."""
        return self.wires[-1]

    @property
    def exchanges(self) -> list[Exchange]:
        """All requests so far, by connection."""
        return [exchange for wire in list(self.wires) for exchange in list(wire.exchanges)]

    # -- waiting -------------------------------------------------------------------------------------------------------

    def notify(self) -> None:
        """Something changed."""
        with self.changed:
            self.changed.notify_all()

    def wait(self, condition: Callable[[], Any], what: str = "what was waited for") -> Any:
        """Wait until `condition()` is true, and return that; it is looked at whenever something came."""
        with self.changed:
            found = self.changed.wait_for(condition, self._patience)
        assert found, f"{what} did not happen"
        return found

    def settle(self) -> None:
        """Wait until the client knows the settings of the newest connection."""
        self.wait(lambda: self.wires and self.wires[-1].acknowledged, "the acknowledgement of the settings")

    def next(self, path: str | None = None) -> Exchange:
        """The next request (for `path`) that `answer` was called for and that was not asked for yet."""

        def find() -> Exchange | None:
            for exchange in self._arrived:
                if path is None or exchange.path == path:
                    self._arrived.remove(exchange)
                    return exchange
            return None

        found: Exchange = self.wait(find, f"a request for {path or 'anything'}")
        return found

    # -- told by wires -------------------------------------------------------------------------------------------------

    def arrived(self, exchange: Exchange) -> None:
        """A request is there to be answered. In the wire's thread."""
        with self.changed:
            self._arrived.append(exchange)
        try:
            self._answer(exchange)
        except Exception as error:
            self.fault(error)

    def fault(self, error: BaseException) -> None:
        """Keep an error for the end."""
        if not isinstance(error, self._tolerate):
            self._errors.append(error)

    # -- life ----------------------------------------------------------------------------------------------------------

    def __enter__(self) -> H2Server:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._acceptor = threading.Thread(target=self._accept, name="h2 server")
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        for wire in self.wires:
            wire.abort()
        for sock in list(self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(self._patience)
        if self._errors and (error is None or isinstance(error, EngineError)):
            # What the client complains of may be no more than the consequence.
            raise self._errors[0]
        if error is None:
            assert not any(thread.is_alive() for thread in self._threads), "a connection's thread did not end"

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
            sock.settimeout(self._patience)
            self.connections += 1
            self._sockets.add(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), name="h2 server's connection")
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        # `sock` stays the owner of the descriptor, TLS runs on a duplicate: see `RawServer`.
        try:
            with sock.dup() as inner:
                inner.settimeout(self._patience)
                if self._context is None:
                    self._speak(inner, "h2")
                    return
                try:
                    wrapped = self._context.wrap_socket(inner, server_side=True)
                except OSError as error:
                    self.handshake_errors.append(error)
                    return
                with wrapped:
                    self._speak(wrapped, wrapped.selected_alpn_protocol())
        except BaseException as error:
            self.fault(error)
        finally:
            self._sockets.discard(sock)
            sock.close()
            for wire in self.wires:
                wire.ended = wire.ended or wire.thread is threading.current_thread()
            self.notify()

    def _speak(self, sock: socket.socket, protocol: str | None) -> None:
        if protocol != "h2":
            assert self._fallback is not None, f"the client agreed on {protocol}"
            with contextlib.suppress(ConnectionError):  # a client that closes with something unread resets
                self._fallback(sock)
            return
        wire = Wire(self, sock)
        with self.changed:
            self.wires.append(wire)
            self.changed.notify_all()
        if self._on_connect is not None:
            self._on_connect(wire)
        wire.run(self._settings, self._greet)
