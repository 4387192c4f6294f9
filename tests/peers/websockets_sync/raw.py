"""Servers that do what no decent server does, and some that tell what came."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any

from tests.support.servers import Handler, answering, read_head, read_until_eof
from tests.support.websocket_raw import RawFrame, accept_raw, accept_value, close_payload, frame, read_frame, saying

__all__ = ["make_handler"]

CONT, TEXT, CLOSE, PING, PONG = 0, 1, 8, 9, 10


def hang_up(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)
    read_until_eof(connection)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def answer_third_ping(connection: socket.socket) -> None:
    accept_raw(connection)
    pings: list[RawFrame] = []
    while len(pings) < 4:
        pings.append(read_frame(connection))
    connection.sendall(frame(PONG, pings[2].payload))
    read_until_eof(connection)


def agreeing(
    *fields: str, accept: str | None = "", upgrade: str | None = "websocket", connection: str | None = "Upgrade"
) -> Handler:
    """A handshake with something wrong in it."""

    def handler(sock: socket.socket) -> None:
        head = read_head(sock)
        value = accept_value(head) if accept == "" else accept
        lines = ["HTTP/1.1 101 Switching Protocols"]
        lines += [f"Upgrade: {upgrade}"] if upgrade else []
        lines += [f"Connection: {connection}"] if connection else []
        lines += [f"Sec-WebSocket-Accept: {value}"] if value else []
        sock.sendall("\r\n".join([*lines, *fields, "", ""]).encode())
        sock.shutdown(socket.SHUT_WR)
        read_until_eof(sock)

    return handler


def refusing(status: str, *fields: str, body: bytes = b"") -> Handler:
    head = "\r\n".join([f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""])
    return answering(head.encode() + body)


def make_handler(name: str, note: Callable[[Any], None]) -> Handler:
    """What a raw server does with its connections.

    Args:
        name: see below.
        note: told what came, by some of them.
    """

    def note_fields(connection: socket.socket) -> None:
        head = read_head(connection).decode()
        note([line for line in head.split("\r\n")[1:] if line[:3] not in ("Hos", "Sec", "Use")])
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    def note_frames(connection: socket.socket) -> None:
        accept_raw(connection)
        frames: list[RawFrame] = []
        while not frames or frames[-1].opcode != CLOSE:
            frames.append(read_frame(connection))
        note([(sent.opcode, sent.payload.hex(), sent.fin) for sent in frames])
        connection.sendall(frame(CLOSE, frames[-1].payload))

    chunked = b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    two = "Sec-WebSocket-Accept: x"
    handlers: dict[str, Handler] = {
        # Ends
        "gone": saying(b"", then=hang_up),
        "reset": saying(b"", then=reset),
        "gone after a message": saying(frame(TEXT, "a"), then=hang_up),
        "gone in a frame": saying(frame(TEXT, "abc")[:3], then=hang_up),
        "close without code": saying(frame(CLOSE), then=hang_up),
        "close in a message": saying(frame(TEXT, "a", fin=False) + frame(CLOSE, close_payload(1000)), then=hang_up),
        "no answer to close": saying(frame(TEXT, "a"), then=read_until_eof),
        "silent": saying(b"", then=read_until_eof),
        "answers the third ping": answer_third_ping,
        # Faults
        "masked": saying(frame(TEXT, "a", masked=True)),
        "reserved bit": saying(frame(TEXT, "a", rsv=1)),
        "reserved opcode": saying(frame(3, "a")),
        "reserved control opcode": saying(frame(11, "a")),
        "continuation of nothing": saying(frame(CONT, "a")),
        "message in a message": saying(frame(TEXT, "a", fin=False) + frame(TEXT, "b")),
        "fragmented ping": saying(frame(PING, "a", fin=False)),
        "large ping": saying(frame(PING, "a" * 126)),
        "close of one byte": saying(frame(CLOSE, b"\x03")),
        "close with bad code": saying(frame(CLOSE, close_payload(1005))),
        "close with bad text": saying(frame(CLOSE, close_payload(1000) + b"\xff")),
        "text that is no text": saying(frame(TEXT, b"\xff\xfe")),
        # Refusals
        "200": refusing("200 OK", body=b"hello"),
        "301 without location": refusing("301 Moved Permanently"),
        "403": refusing("403 Forbidden", "X-Why: because"),
        "404 with body": refusing("404 Not Found", "Content-Type: text/plain", body=b"nothing here"),
        "500": refusing("500 Internal Server Error"),
        "503 in chunks": answering(chunked),
        "no upgrade": agreeing(upgrade=None),
        "other upgrade": agreeing(upgrade="h2c"),
        "no connection": agreeing(connection=None),
        "no accept": agreeing(accept=None),
        "other accept": agreeing(accept="AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        "two accepts": agreeing(two),
        "subprotocol nobody asked for": agreeing("Sec-WebSocket-Protocol: c"),
        "two subprotocols": agreeing("Sec-WebSocket-Protocol: a, b"),
        "extension nobody asked for": agreeing("Sec-WebSocket-Extensions: x-other; y=1"),
        "extension with odd parameter": agreeing("Sec-WebSocket-Extensions: permessage-deflate; odd"),
        "garbage": answering(b"SSH-2.0-server\r\n\r\n"),
        "http/1.0": answering(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
        "nothing": lambda connection: (read_head(connection), hang_up(connection)),
        "half a head": lambda connection: (
            read_head(connection),
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgr"),
            hang_up(connection),
        ),
        "mute": read_until_eof,
        "fields of the second": note_fields,
        "notes": note_frames,
    }
    return handlers[name]
