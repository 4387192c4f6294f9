"""Frames of a WebSocket (RFC 6455 section 5), one at a time, and what close frames say.

Connections do not go through here: the engine has its own. This is for programs that make or read frames themselves, and
for the words of the debug log.
"""

from __future__ import annotations

import dataclasses
import enum
import os
import secrets
import struct
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING

from drivetrain.compat.websockets_api import close_codes, frame_text, utils
from drivetrain.compat.websockets_api.exceptions import PayloadTooBig, ProtocolError
from drivetrain.compat.websockets_api.originals import as_original
from drivetrain.compat.websockets_api.typing import BytesLike

if TYPE_CHECKING:
    from drivetrain.compat.websockets_api.extensions.base import Extension

__all__ = [
    "BINARY",
    "CLOSE",
    "CLOSE_CODE_EXPLANATIONS",
    "CONT",
    "CTRL_OPCODES",
    "DATA_OPCODES",
    "EXTERNAL_CLOSE_CODES",
    "OK_CLOSE_CODES",
    "OP_BINARY",
    "OP_CLOSE",
    "OP_CONT",
    "OP_PING",
    "OP_PONG",
    "OP_TEXT",
    "PING",
    "PONG",
    "TEXT",
    "Close",
    "CloseCode",
    "Frame",
    "Opcode",
    "apply_mask",
    "is_space_or_printable_ascii",
    "is_utf8_fragment",
]

CloseCode = close_codes.CloseCode
apply_mask = utils.apply_mask
is_space_or_printable_ascii = frame_text.is_space_or_printable_ascii
is_utf8_fragment = frame_text.is_utf8_fragment


@as_original("frames")
class Opcode(enum.IntEnum):
    """Kinds of frames."""

    CONT = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


CONT = OP_CONT = Opcode.CONT
TEXT = OP_TEXT = Opcode.TEXT
BINARY = OP_BINARY = Opcode.BINARY
CLOSE = OP_CLOSE = Opcode.CLOSE
PING = OP_PING = Opcode.PING
PONG = OP_PONG = Opcode.PONG

DATA_OPCODES = CONT, TEXT, BINARY
CTRL_OPCODES = CLOSE, PING, PONG

CLOSE_CODE_EXPLANATIONS: dict[int, str] = {
    CloseCode.NORMAL_CLOSURE: "OK",
    CloseCode.GOING_AWAY: "going away",
    CloseCode.PROTOCOL_ERROR: "protocol error",
    CloseCode.UNSUPPORTED_DATA: "unsupported data",
    CloseCode.NO_STATUS_RCVD: "no status received [internal]",
    CloseCode.ABNORMAL_CLOSURE: "abnormal closure [internal]",
    CloseCode.INVALID_DATA: "invalid frame payload data",
    CloseCode.POLICY_VIOLATION: "policy violation",
    CloseCode.MESSAGE_TOO_BIG: "message too big",
    CloseCode.MANDATORY_EXTENSION: "mandatory extension",
    CloseCode.INTERNAL_ERROR: "internal error",
    CloseCode.SERVICE_RESTART: "service restart",
    CloseCode.TRY_AGAIN_LATER: "try again later",
    CloseCode.BAD_GATEWAY: "bad gateway",
    CloseCode.TLS_HANDSHAKE: "TLS handshake failure [internal]",
}

EXTERNAL_CLOSE_CODES = set(CloseCode) - {
    CloseCode.NO_STATUS_RCVD,
    CloseCode.ABNORMAL_CLOSURE,
    CloseCode.TLS_HANDSHAKE,
}
"""Those that may be in a close frame."""

OK_CLOSE_CODES = {CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RCVD}
"""Those that do not mean an error."""


@dataclasses.dataclass
class Frame:
    """A frame, apart from its mask.

    Attributes:
        opcode: what kind.
        data: the payload, not masked.
        fin: whether the message ends with it.
        rsv1: first of the bits for extensions.
        rsv2: the second.
        rsv3: the third.
    """

    opcode: Opcode
    data: BytesLike
    fin: bool = True
    rsv1: bool = False
    rsv2: bool = False
    rsv3: bool = False

    # Not annotated, so that they are no fields. How many characters of a payload are shown:
    MAX_LOG_SIZE = int(os.environ.get("WEBSOCKETS_MAX_LOG_SIZE", "75"))

    # What need not be said of a payload because the opcode says it.
    DEFAULT_IS_TEXT = {TEXT: True, BINARY: False, CLOSE: True}  # noqa: RUF012

    def __str__(self) -> str:
        text, is_text = self._show()
        size = len(self.data)
        remarks = ["1 byte" if size == 1 else f"{size} bytes"]
        if is_text != self.DEFAULT_IS_TEXT.get(self.opcode):
            remarks.insert(0, "text" if is_text else "binary")
        if not self.fin:
            remarks.append("continued")
        return f"{self.opcode.name} {text} [{', '.join(remarks)}]"

    def _show(self) -> tuple[str, bool | None]:
        """The payload for people to read, and whether it is text."""
        limit = self.MAX_LOG_SIZE
        if not self.data:
            return "''", self.DEFAULT_IS_TEXT.get(self.opcode)
        if self.opcode is CLOSE:
            try:
                text, is_text = str(Close.parse(self.data)), True
            except (ProtocolError, UnicodeDecodeError):
                text, is_text = frame_text.in_hexadecimal(self.data), False
        elif self.opcode in CTRL_OPCODES:
            text, is_text = frame_text.show_control(self.data)
        else:
            is_first = self.opcode is not CONT
            text, is_text = frame_text.show_data(self.data, is_first=is_first, is_last=self.fin, limit=limit)
        return frame_text.shorten(text, limit), is_text

    @classmethod
    def parse(
        cls,
        read_exact: Callable[[int], Generator[None, None, bytes | bytearray]],
        *,
        mask: bool,
        max_size: int | None = None,
        extensions: Sequence[Extension] | None = None,
    ) -> Generator[None, None, Frame]:
        """Read a frame; a generator that yields whenever `read_exact` does, and returns the frame.

        Args:
            read_exact: makes a generator that returns so many bytes.
            mask: whether the frame has to be masked, as those of clients are.
            max_size: limit of the payload, in bytes.
            extensions: decode the frame, the last one first.

        Raises:
            EOFError: the stream ends before the frame does; raised by `read_exact`.
            PayloadTooBig: the payload is larger than `max_size`.
            ProtocolError: the frame is against RFC 6455.
        """
        first, second = yield from read_exact(2)
        try:
            opcode = Opcode(first & 0x0F)
        except ValueError as error:
            raise ProtocolError("invalid opcode") from error
        if bool(second & 0x80) != mask:
            raise ProtocolError("incorrect masking")
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes((yield from read_exact(2 if size == 126 else 8)), "big")
        if max_size is not None and size > max_size:
            raise PayloadTooBig(size, max_size)
        key = (yield from read_exact(4)) if mask else None
        data: BytesLike = yield from read_exact(size)
        if key is not None:
            data = apply_mask(data, key)

        frame = cls(opcode, data, bool(first & 0x80), bool(first & 0x40), bool(first & 0x20), bool(first & 0x10))
        for extension in reversed(extensions or ()):
            frame = extension.decode(frame, max_size=max_size)
        frame.check()
        return frame

    def serialize(self, *, mask: bool, extensions: Sequence[Extension] | None = None) -> bytes:
        """The frame as it is sent.

        Args:
            mask: whether to mask it, as clients do, with a new key.
            extensions: encode the frame, the first one first.

        Raises:
            ProtocolError: the frame is against RFC 6455.
        """
        self.check()
        frame = self
        for extension in extensions or ():
            frame = extension.encode(frame)
        bits = (frame.fin << 7) | (frame.rsv1 << 6) | (frame.rsv2 << 5) | (frame.rsv3 << 4)
        size, masked = len(frame.data), 0x80 if mask else 0
        if size < 126:
            head = struct.pack("!BB", bits | frame.opcode, masked | size)
        elif size < 0x10000:
            head = struct.pack("!BBH", bits | frame.opcode, masked | 126, size)
        else:
            head = struct.pack("!BBQ", bits | frame.opcode, masked | 127, size)
        if not mask:
            return b"".join((head, frame.data))
        key = secrets.token_bytes(4)
        return b"".join((head, key, apply_mask(frame.data, key)))

    def check(self) -> None:
        """See whether it may be sent like this, when no extension has its hand in it.

        Raises:
            ProtocolError: a bit for extensions is set, or it is a control frame that is too long or fragmented.
        """
        if self.rsv1 or self.rsv2 or self.rsv3:
            raise ProtocolError("reserved bits must be 0")
        if self.opcode in CTRL_OPCODES:
            if len(self.data) > 125:
                raise ProtocolError("control frame too long")
            if not self.fin:
                raise ProtocolError("fragmented control frame")


@dataclasses.dataclass
class Close:
    """What a close frame says.

    Attributes:
        code: one of `CloseCode`, or from 3000 to 4999.
        reason: in the sender's own words.
    """

    code: CloseCode | int
    reason: str

    def __str__(self) -> str:
        if 3000 <= self.code < 5000:
            meaning = "registered" if self.code < 4000 else "private use"
        else:
            meaning = CLOSE_CODE_EXPLANATIONS.get(self.code, "unknown")
        return f"{self.code} ({meaning})" + (f" {self.reason}" if self.reason else "")

    @classmethod
    def parse(cls, data: BytesLike) -> Close:
        """Read the payload of a close frame.

        Raises:
            ProtocolError: it is a single byte, or has a code that may not be sent.
            UnicodeDecodeError: the reason is not UTF-8.
        """
        payload = bytes(data)
        if not payload:
            return cls(CloseCode.NO_STATUS_RCVD, "")
        if len(payload) == 1:
            raise ProtocolError("close frame too short")
        close = cls(int.from_bytes(payload[:2], "big"), payload[2:].decode())
        close.check()
        return close

    def serialize(self) -> bytes:
        """The payload of a close frame.

        Raises:
            ProtocolError: the code may not be sent.
        """
        self.check()
        return struct.pack("!H", self.code) + self.reason.encode()

    def check(self) -> None:
        """See whether the code may be in a close frame.

        Raises:
            ProtocolError: it may not.
        """
        if self.code not in EXTERNAL_CLOSE_CODES and not 3000 <= self.code < 5000:
            raise ProtocolError("invalid status code")
