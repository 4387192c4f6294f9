"""Whatever a peer sends is read without error, the same however it comes, within the limits, and answered by a good frame.

The first byte of the input says which side reads, what was agreed on and which limits hold; frames follow.
"""

from __future__ import annotations

import zlib
from typing import Any

from drivetrain.engine.protocol.websocket_deflate import DeflateParameters
from drivetrain.engine.protocol.websocket_events import CloseReceived, Failed, Piece, is_valid_close_code
from drivetrain.engine.protocol.websocket_limits import WebSocketLimits
from drivetrain.engine.protocol.websocket_machine import WebSocketMachine
from tests.protocol.websocket_support import close_payload, frame, library, told_by_library

ROLES = ("client", "server")
DEFLATES = (None, DeflateParameters(), DeflateParameters(True, True, 9, 9), DeflateParameters(client_max_window_bits=8))
LIMITS = (
    WebSocketLimits(),
    WebSocketLimits(max_message_size=1000),
    WebSocketLimits(max_message_size=None, max_frame_size=200),
    WebSocketLimits(max_message_size=0),
)
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def packed(data: bytes) -> bytes:
    """A message as permessage-deflate has it on the wire."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -9)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def talk(masked: bool) -> tuple[bytes, ...]:
    """Good frames, and bad ones."""

    def made(
        opcode: int, payload: bytes | str = b"", fin: bool = True, rsv: int = 0, width: int | None = None
    ) -> bytes:
        return frame(opcode, payload, fin, rsv, masked, width)

    return (
        made(TEXT, "héllo") + made(BINARY, bytes(300)) + made(CLOSE, close_payload(1000, "bye")),
        made(TEXT, "h\u20ac"[:2], fin=False) + made(PING, b"p") + made(CONT, "", fin=False) + made(CONT, "llo"),
        made(TEXT, packed(b"hello " * 50), rsv=4) + made(TEXT, packed(b"hello " * 50), rsv=4) + made(PONG),
        made(BINARY, packed(bytes(5000))[:4], fin=False, rsv=4) + made(CONT, packed(bytes(5000))[4:]),
        made(BINARY, bytes(5), width=2) + made(3) + made(TEXT, b"\xff") + made(CLOSE, b"\x03"),
        made(CLOSE, close_payload(1005)) + made(BINARY, b"", fin=False) + made(TEXT, b"") + made(PING, bytes(126)),
        made(BINARY, bytes(70000))[:80],
    )


SEEDS = tuple(bytes((number,)) + said for number in range(0, 32, 5) for said in talk(number % 2 == 1))


def told(machine: WebSocketMachine, data: bytes, size: int) -> list[tuple[str, Any]]:
    """What it has to tell of `data`, fed in pieces: messages put together, the one that was not ended left out."""
    entries: list[tuple[str, Any]] = []
    parts: list[Any] = []
    for at in range(0, len(data), size):
        machine.receive(data[at : at + size])
        while (event := machine.next_event()) is not None:
            if isinstance(event, Piece):
                parts.append(event.data)
                length = sum(len(part.encode() if isinstance(part, str) else part) for part in parts)
                assert machine.limits.max_message_size is None or length <= machine.limits.max_message_size
                assert len({type(part) for part in parts}) == 1
                if event.last:
                    entries.append(("message", parts[0][:0].join(parts)))
                    parts = []
            elif isinstance(event, (CloseReceived, Failed)):
                # Of two faults in one frame, that is found first which comes first.
                entries.append(("failed", None) if isinstance(event, Failed) else ("close", event.close))
                check_answer(machine, event)
            else:
                assert len(event.data) <= 125
                entries.append((type(event).__name__, event.data))
    return entries


def check_answer(machine: WebSocketMachine, event: CloseReceived | Failed) -> None:
    """The end: it is answered by a Close frame that anybody can read, and nothing follows."""
    code = event.close.code
    assert is_valid_close_code(code) or (code == 1005 and isinstance(event, CloseReceived))
    answer = machine.answer(event)
    if code != 1014:  # which the library does not know
        assert told_by_library(library(ROLES[machine.client]), answer) == [("close", (code, event.close.reason))] or (
            isinstance(event, Failed)
        )
    assert machine.next_event() is None
    assert not machine.is_receiving
    assert machine.answer(event) == b""


def check(data: bytes) -> None:
    if not data:
        return
    choice, rest = data[0], data[1:]
    role: Any = ROLES[choice % 2]
    deflate, limits = DEFLATES[choice // 2 % 4], LIMITS[choice // 8 % 4]
    whole = told(WebSocketMachine(role, limits, deflate), rest, max(len(rest), 1))
    for size in (1, 7):
        assert told(WebSocketMachine(role, limits, deflate), rest, size) == whole
