"""A server whose every byte a test writes by hand, in a thread.

::

    with RawServer(answering(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")) as server:
        socket.create_connection(server.address)

- each connection gets its own thread and a call of `handler(connection)`, a blocking socket with a time limit;
- the connection is closed when the handler returns;
- leaving the `with` block ends every handler's input (it reads an end of file), joins the threads and raises the first
  error of a handler, so that assertions inside handlers count; when the block itself failed, its error has precedence.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType

__all__ = ["Handler", "RawServer", "answering", "read_exactly", "read_head", "read_until_eof"]

Handler = Callable[[socket.socket], object]


class RawServer:
    """A loopback server on a port the system chooses. See the module's laws.

    Args:
        handler: called with each accepted (and, with `context`, TLS-wrapped) connection.
        context: makes it a TLS server; a failing handshake is kept in `handshake_errors`, not raised.
        family: `AF_INET` or `AF_INET6`; `AF_UNIX` with `path`.
        path: where to bind a UNIX-domain socket.
        tolerate: errors of a handler that are no fault, such as ConnectionError where the client breaks off.
        patience: seconds for each of a handler's socket operations, and for its end.

    Attributes:
        address: host and port, once entered.
        connections: how many were accepted so far.
        handshake_errors: see `context`.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        context: ssl.SSLContext | None = None,
        family: int = socket.AF_INET,
        path: str | None = None,
        tolerate: tuple[type[BaseException], ...] = (),
        patience: float = 10.0,
    ) -> None:
        self.connections = 0
        self.address: tuple[str, int] = ("", 0)
        self.handshake_errors: list[OSError] = []
        self._errors: list[BaseException] = []
        self._handler = handler
        self._context = context
        self._bind = path if path is not None else ("::1" if family == socket.AF_INET6 else "127.0.0.1", 0)
        self._family = socket.AF_UNIX if path is not None else family
        self._tolerate = tolerate
        self._patience = patience
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    @property
    def port(self) -> int:
        return self.address[1]

    @property
    def url(self) -> str:
        """The root of the server, without a slash at the end."""
        host, port = self.address
        name = f"[{host}]" if ":" in host else host
        return f"{'https' if self._context else 'http'}://{name}:{port}"

    def __enter__(self) -> RawServer:
        self._listener = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            self._listener.bind(self._bind)
            self._listener.listen(64)
            self.address = self._listener.getsockname()[:2]
        except OSError:
            self._listener.close()
            raise
        self._bell, self._bell_pull = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept, name="raw server")
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bell_pull.send(b"x")
        self._acceptor.join()
        for ended in (self._listener, self._bell, self._bell_pull):
            ended.close()
        self._shut(socket.SHUT_RD)
        late = self._join()
        if late:
            self._shut(socket.SHUT_RDWR)
            self._join()
        if error is None:
            if self._errors:
                raise self._errors[0]
            if late:
                raise AssertionError(f"{late} handler(s) did not end")

    def _join(self) -> int:
        for thread in self._threads:
            thread.join(self._patience)
        return sum(thread.is_alive() for thread in self._threads)

    def _shut(self, how: int) -> None:
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(how)

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._bell, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if self._bell in ready:
                    return
                connection, _ = self._listener.accept()
                connection.settimeout(self._patience)
                self.connections += 1
                with self._lock:
                    self._open.add(connection)
                thread = threading.Thread(target=self._serve, args=(connection,), name="raw server's handler")
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        # `connection` stays the owner of the descriptor: shutting down an SSLSocket from another thread would take its
        # session away in mid-call, so TLS runs on a duplicate.
        try:
            if self._context is None:
                self._handler(connection)
                return
            inner = connection.dup()
            inner.settimeout(self._patience)
            try:
                wrapped = self._context.wrap_socket(inner, server_side=True)
            except OSError as error:
                self.handshake_errors.append(error)
                inner.close()
                return
            with wrapped:
                self._handler(wrapped)
        except BaseException as error:
            if not isinstance(error, self._tolerate):
                self._errors.append(error)
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()


def _receive(connection: socket.socket, length: int) -> bytes:
    try:
        return connection.recv(length)
    except BrokenPipeError:  # OpenSSL sends tickets while it reads: nobody was there any more to take them
        return b""


def read_head(connection: socket.socket) -> bytes:
    """Read up to and including an empty line, and nothing behind it; b"" at the end of input."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = _receive(connection, 1)  # byte by byte: what follows belongs to the next reader
        if not piece:
            assert not head, f"the client broke off inside a head: {head!r}"
            return b""
        head += piece
    return head


def read_exactly(connection: socket.socket, length: int) -> bytes:
    """Read `length` bytes; an earlier end of input is an error."""
    data = bytearray()
    while len(data) < length:
        piece = _receive(connection, length - len(data))
        assert piece, f"{length} bytes expected, the client ended after {bytes(data)!r}"
        data += piece
    return bytes(data)


def read_until_eof(connection: socket.socket) -> bytes:
    """Read everything up to the end of input."""
    data = bytearray()
    while piece := _receive(connection, 65536):
        data += piece
    return bytes(data)


def answering(*answers: bytes) -> Handler:
    """A handler that reads one request head before sending each answer, then waits for the client to end."""

    def handler(connection: socket.socket) -> None:
        for answer in answers:
            if not read_head(connection):
                return
            connection.sendall(answer)
        read_until_eof(connection)

    return handler
