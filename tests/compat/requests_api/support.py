"""Sessions and scripted servers for the adapter's tests."""

from __future__ import annotations

import socket

import requests
from requests.adapters import HTTPAdapter

from tests.support.servers import Handler, read_exactly, read_head, read_until_eof

__all__ = ["OK", "Recorder", "answer", "chunked", "echoing", "session_with"]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


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


class Recorder:
    """A handler that answers each request with the next of `answers` (the last one again and again) and keeps them."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers) or [OK]
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []

    def __call__(self, connection: socket.socket) -> None:
        while head := read_head(connection):
            self.heads.append(head)
            self.bodies.append(self.read_body(connection, head.lower()))
            connection.sendall(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])

    def read_body(self, connection: socket.socket, head: bytes) -> bytes:
        if b"transfer-encoding: chunked" in head:
            return read_chunked_body(connection)
        if b"content-length: " in head:
            return read_exactly(connection, int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
        return b""

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
