"""A WebSocket's server side by hand, for `RawServer`: the handshake, and frames one by one. Nothing but the standard library."""

from __future__ import annotations

import base64
import hashlib
import socket
from collections.abc import Callable
from typing import NamedTuple

from tests.support.servers import Handler, read_exactly, read_head

__all__ = [
    "RawFrame",
    "accept_raw",
    "accept_value",
    "close_payload",
    "field_of",
    "frame",
    "read_frame",
    "read_until_close",
    "saying",
]

_CLOSE = 8
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class RawFrame(NamedTuple):
    """A frame as a client sent it, unmasked."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv1: bool = False


def field_of(head: bytes, name: str) -> str:
    """The value of a field of a request head."""
    for line in head.decode("latin-1").split("\r\n")[1:]:
        found, _, value = line.partition(":")
        if found.lower() == name.lower():
            return value.strip()
    raise AssertionError(f"no {name} in {head!r}")


def accept_value(head: bytes) -> str:
    """What `Sec-WebSocket-Accept` has to be for a request."""
    key = field_of(head, "Sec-WebSocket-Key").encode()
    return base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()


def frame(opcode: int, payload: bytes | str = b"", fin: bool = True, rsv: int = 0, masked: bool = False) -> bytes:
    """A frame to be sent; servers do not mask."""
    data = payload.encode() if isinstance(payload, str) else payload
    bit, size = 0x80 if masked else 0, len(data)
    head = bytes((fin << 7 | rsv << 4 | opcode, bit | (size if size < 126 else 126 if size < 65536 else 127)))
    head += size.to_bytes(2 if size < 65536 else 8, "big") if size >= 126 else b""
    return head + bytes(4) + data if masked else head + data


def close_payload(code: int, reason: str = "") -> bytes:
    """What a Close frame carries."""
    return code.to_bytes(2, "big") + reason.encode()


def accept_raw(connection: socket.socket, *fields: str) -> bytes:
    """Read a handshake and agree to it, with further fields in the answer; returns the request's head."""
    head = read_head(connection)
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_value(head)}",
        *fields,
    ]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return head


def read_frame(connection: socket.socket) -> RawFrame:
    """Read a client's frame, which must be masked."""
    first, second = read_exactly(connection, 2)
    assert second & 0x80, "a client masks"
    size = second & 0x7F
    if size >= 126:
        size = int.from_bytes(read_exactly(connection, 2 if size == 126 else 8), "big")
    key = read_exactly(connection, 4)
    payload = bytes(byte ^ key[at % 4] for at, byte in enumerate(read_exactly(connection, size)))
    return RawFrame(first & 0x0F, payload, bool(first & 0x80), bool(first & 0x40))


def read_until_close(connection: socket.socket) -> None:
    """Read frames up to the client's Close frame."""
    while read_frame(connection).opcode != _CLOSE:
        pass


def saying(data: bytes, *fields: str, then: Callable[[socket.socket], object] = read_until_close) -> Handler:
    """A handler that agrees to a handshake, sends some bytes, and then, for example, waits for the client's Close frame."""

    def handler(connection: socket.socket) -> None:
        accept_raw(connection, *fields)
        connection.sendall(data)
        then(connection)

    return handler
