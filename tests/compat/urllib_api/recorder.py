"""A server that answers every request with the same response and keeps what it received, byte for byte."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from tests.support.servers import read_exactly, read_head

__all__ = ["OK", "Recorder", "Recording", "response"]


def response(body: bytes = b"ok", status: str = "200 OK", *fields: str) -> bytes:
    """A response with Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


OK = response()


@dataclass(frozen=True)
class Recording:
    """One request: its head as it came, and its body without the framing of chunks."""

    head: bytes
    body: bytes

    @property
    def lines(self) -> list[str]:
        return self.head.decode("latin-1").split("\r\n")[:-2]

    def value(self, name: str) -> str | None:
        found = [line.partition(": ")[2] for line in self.lines[1:] if line.lower().startswith(f"{name.lower()}:")]
        return found[0] if found else None


@dataclass
class Recorder:
    """A handler for `RawServer`: answers in turns, the last one for ever. `requests` has one list per connection."""

    answers: tuple[bytes, ...] = (OK,)
    requests: list[list[Recording]] = field(default_factory=list)

    @property
    def all(self) -> list[Recording]:
        return [request for connection in self.requests for request in connection]

    def __call__(self, connection: socket.socket) -> None:
        mine: list[Recording] = []
        self.requests.append(mine)
        while request := self._read(connection):
            number = len(self.all)
            mine.append(request)
            answer = self.answers[min(number, len(self.answers) - 1)]
            connection.sendall(answer)
            if b"\r\nConnection: close\r\n" in request.head or b"\r\nConnection: close\r\n" in answer:
                return

    def _read(self, connection: socket.socket) -> Recording | None:
        head = read_head(connection)
        if not head:
            return None
        request = Recording(head, b"")
        length = request.value("content-length")
        if length is not None:
            return Recording(head, read_exactly(connection, int(length)))
        return Recording(head, _read_chunks(connection)) if request.value("transfer-encoding") else request


def _read_chunks(connection: socket.socket) -> bytes:
    body = b""
    while True:
        line = b""
        while not line.endswith(b"\r\n"):
            line += read_exactly(connection, 1)
        piece = read_exactly(connection, int(line, 16) + 2)
        if len(piece) == 2:
            return body
        body += piece[:-2]
