"""Sessions and scripted servers for the adapter's tests."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from tests.support.servers import Handler, read_exactly, read_head, read_until_eof

__all__ = [
    "OK",
    "Recorder",
    "answer",
    "chunked",
    "describe",
    "echoing",
    "full_listener",
    "listening",
    "read_body",
    "session_with",
]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


_listeners: list[Callable[[str, tuple[Any, ...]], None]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    for listener in _listeners:
        listener(event, arguments)


sys.addaudithook(_audit)


@contextmanager
def listening(listener: Callable[[str, tuple[Any, ...]], None]) -> Iterator[None]:
    """Hear Python's audit events: of sockets, whoever connects them, and of `http.client`, with which urllib3 sends."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def session_with(adapter: HTTPAdapter) -> requests.Session:
    session = requests.Session()
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def answer(body: bytes = b"ok", *fields: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def read_chunked_body(connection: socket.socket) -> bytes:
    body = b""
    while True:
        line = b""
        while not line.endswith(b"\r\n"):
            line += read_exactly(connection, 1)
        size = int(line, 16)
        body += read_exactly(connection, size)
        assert read_exactly(connection, 2) == b"\r\n"
        if not size:
            return body


def read_body(connection: socket.socket, head: bytes) -> bytes:
    """The body of a request. Args: head: in lower case."""
    if b"transfer-encoding: chunked" in head:
        return read_chunked_body(connection)
    if b"content-length: " in head:
        return read_exactly(connection, int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
    return b""


class Recorder:
    """A handler that answers each request with the next of `answers` (the last one again and again) and keeps them."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers) or [OK]
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []

    def __call__(self, connection: socket.socket) -> None:
        while head := read_head(connection):
            self.heads.append(head)
            self.bodies.append(read_body(connection, head.lower()))
            connection.sendall(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])

    @property
    def lines(self) -> list[str]:
        """The lines of the last head."""
        return self.heads[-1].decode("latin-1").split("\r\n")[:-2]


def echoing(prefix: bytes, *, then_wait: bool) -> Handler:
    """A handler that answers with fixed bytes, and then closes or waits for the client to end."""

    def handler(connection: socket.socket) -> None:
        if read_head(connection):
            connection.sendall(prefix)
            if then_wait:
                read_until_eof(connection)

    return handler


def describe(error: BaseException | None) -> list[str]:
    """An error and the errors inside it, each with its class and text; addresses of objects left out."""
    found: list[str] = []
    while error is not None:
        found.append(f"{type(error).__name__}: {re.sub('0x[0-9a-f]{6,}', '0x', str(error))}")
        inner = getattr(error, "reason", None) or next((a for a in error.args if isinstance(a, BaseException)), None)
        error = inner if isinstance(inner, BaseException) else None
    return found


@contextmanager
def full_listener() -> Iterator[int]:
    """A port that does not answer: its queue of connections is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        try:
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(address)
            yield address[1]
        finally:
            for each in waiting:
                each.close()
