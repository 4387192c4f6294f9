"""Frames by hand, and machines fed whole or a byte at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from wsproto.connection import CLIENT, SERVER, Connection, ConnectionState
from wsproto.events import CloseConnection, Message, Ping, Pong

from drivetrain.engine.protocol.websocket_deflate import DeflateOptions, DeflateParameters
from drivetrain.engine.protocol.websocket_events import CloseReceived, Failed, Piece, PingReceived, PongReceived
from drivetrain.engine.protocol.websocket_limits import WebSocketLimits
from drivetrain.engine.protocol.websocket_machine import WebSocketMachine

__all__ = ["KEY", "Told", "close_payload", "frame", "library", "new", "read", "reads", "told_by_library"]

Told = list[tuple[str, Any]]
KEY = b"\x12\x34\x56\x78"


def frame(
    opcode: int,
    payload: bytes | str = b"",
    fin: bool = True,
    rsv: int = 0,
    masked: bool = False,
    width: int | None = None,
    key: bytes = KEY,
) -> bytes:
    """A frame; `width` 0, 2 or 8 forces the form of its length."""
    data = payload.encode() if isinstance(payload, str) else payload
    size = len(data)
    if width is None:
        width = 0 if size < 126 else 2 if size < 65536 else 8
    bit = 0x80 if masked else 0
    short = {0: size, 2: 126, 8: 127}[width]
    head = bytes((fin << 7 | rsv << 4 | opcode, bit | short)) + (size.to_bytes(width, "big") if width else b"")
    if not masked:
        return head + data
    return head + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(data))


def close_payload(code: int, reason: str = "") -> bytes:
    return code.to_bytes(2, "big") + reason.encode()


def new(
    role: Literal["client", "server"] = "client",
    deflate: DeflateParameters | None = None,
    limits: WebSocketLimits = WebSocketLimits(),  # noqa: B008 - immutable
    options: DeflateOptions = DeflateOptions(),  # noqa: B008 - immutable
) -> WebSocketMachine:
    return WebSocketMachine(role, limits, deflate, options)


def reads(machine: WebSocketMachine) -> Told:
    """What the machine has to tell, with pieces of messages put together as far as they came."""
    told: Told = []
    while (event := machine.next_event()) is not None:
        if isinstance(event, Piece):
            if told and told[-1][0] == "part":
                told[-1] = ("part", told[-1][1] + event.data)
            else:
                told.append(("part", event.data))
            if event.last:
                told[-1] = ("message", told[-1][1])
        elif isinstance(event, CloseReceived):
            told.append(("close", tuple(event.close)))
        elif isinstance(event, Failed):
            told.append(("failed", event.close.code))
        else:
            told.append(({PingReceived: "ping", PongReceived: "pong"}[type(event)], event.data))
    return told


def read(machine: WebSocketMachine, data: bytes, sizes: Iterable[int] = ()) -> Told:
    """Feed `data` in pieces of these sizes, the rest at once; a part that goes on is joined to what follows it."""
    told: Told = []
    at = 0
    for size in [*sizes, len(data)]:
        machine.receive(data[at : at + size])
        at += size
        for kind, what in reads(machine):
            open_parts = [i for i, entry in enumerate(told) if entry[0] == "part"]
            if kind in ("part", "message") and open_parts:
                before = told.pop(open_parts[-1])[1]
                told.append((kind, before + what))
            else:
                told.append((kind, what))
    return told


def told_by_library(connection: Connection, data: bytes) -> Told:
    """What wsproto makes of the same bytes."""
    told: Told = []
    connection.receive_data(data)
    parts: list[Any] = []
    for event in connection.events():
        if isinstance(event, Message):
            parts.append(event.data)
            if event.message_finished:
                told.append(("message", parts[0][:0].join(parts)))
                parts = []
        elif isinstance(event, Ping):
            told.append(("ping", bytes(event.payload)))
        elif isinstance(event, Pong):
            told.append(("pong", bytes(event.payload)))
        elif isinstance(event, CloseConnection):
            ordinary = connection.state in (ConnectionState.REMOTE_CLOSING, ConnectionState.CLOSED)
            told.append(("close", (int(event.code), event.reason)) if ordinary else ("failed", int(event.code)))
    return told


def library(role: str) -> Connection:
    return Connection(CLIENT if role == "client" else SERVER)
