"""The wsproto library with what this engine needs beyond it. The only module that touches its inside.

From the library come the rules of messages, the incremental check of UTF-8 and the reading of Close frames. In its place:

- frames are taken apart without copying what is in them, unmasked and masked by `websocket_mask`;
- a payload's announced size is held against the limits before anything of it is kept, and so is what a compressed one is
  unpacked to, a piece at a time;
- a compressed message stays one when a control frame comes between its frames;
- the close code 1014, registered later, is known.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, cast

from wsproto.frame_protocol import (
    CloseReason,
    FrameDecoder,
    FrameProtocol,
    Header,
    MessageDecoder,
    Opcode,
    ParseFailed,
    RsvBits,
)
from wsproto.frame_protocol import Frame as LibraryFrame

from .websocket_deflate import MessageDeflater, MessageInflater
from .websocket_limits import WebSocketLimits
from .websocket_mask import Masker, apply_mask

__all__ = ["Decoder", "Encoder", "Library", "Output"]

Output = bytes | tuple[bytes, memoryview]
"""A frame: whole, or in two parts."""

_OPCODES: list[Opcode | None] = [Opcode(code) if code in (0, 1, 2, 8, 9, 10) else None for code in range(16)]
_NO_RSV = RsvBits(False, False, False)
# A compressed frame is unpacked so much at a time, in bytes.
_UNPACK = 64 * 1024
_BAD_GATEWAY = 1014
# Frames with a payload from which on they are made in two parts, and how much of it is in the first.
_LARGE, _FIRST_PART = 128 * 1024, 64 * 1024
_RSV1 = 0x40
_KEYS_AT_ONCE = 32
_WHOLE_TEXT = 0x81
_WHOLE = (_WHOLE_TEXT, 0x82)


class Encoder:
    """Makes frames; a client's are masked.

    Args:
        masked: whether they are.
    """

    __slots__ = ("_keys", "_masked", "_next_key")

    def __init__(self, masked: bool) -> None:
        self._masked = masked
        self._keys = b""
        self._next_key = 0

    def _new_key(self) -> bytes:
        # Unpredictable, so that nobody else chooses what is on the wire (RFC 6455 section 10.3). The system is asked for
        # some at once: each time would cost more than the masking.
        at = self._next_key
        if at == len(self._keys):
            self._keys = os.urandom(_KEYS_AT_ONCE * 4)
            at = 0
        self._next_key = at + 4
        return self._keys[at : at + 4]

    def frame(self, first: int, payload: bytes | bytearray | memoryview) -> bytes:
        """A frame with the first byte `first` (FIN, RSV bits and opcode)."""
        size = len(payload)
        if not self._masked:
            head = bytes((first, size)) if size <= 125 else _head(first, size, False)
            return b"".join((head, payload))
        key = self._new_key()
        head = bytes((first, 0x80 | size)) if size <= 125 else _head(first, size, True)
        return b"".join((head, key, apply_mask(payload, key))) if size else head + key

    def large_frame(self, first: int, payload: bytes | bytearray | memoryview) -> tuple[bytes, memoryview]:
        """The same in two parts, of which the second is not copied once more: memory is slower than one may think."""
        head = _head(first, len(payload), self._masked)
        if self._masked:
            key = self._new_key()
            head, payload = head + key, apply_mask(payload, key)
        elif type(payload) is not bytes:
            payload = bytes(payload)  # its owner may change it while it waits to be sent
        view = memoryview(payload)
        return b"".join((head, view[:_FIRST_PART])), view[_FIRST_PART:]


def _head(first: int, size: int, masked: bool) -> bytes:
    bit = 0x80 if masked else 0
    if size <= 125:
        return bytes((first, bit | size))
    if size <= 0xFFFF:
        return bytes((first, bit | 126)) + size.to_bytes(2, "big")
    return bytes((first, bit | 127)) + size.to_bytes(8, "big")


class Decoder(FrameDecoder):
    """Takes frames apart. See the module.

    Attributes:
        messages: the library's, which knows whether a message was begun; set by who owns both.

    Args:
        client: this side's role.
        limits: what frames and messages may be.
        inflater: unpacks compressed messages; None where compression was not agreed on.
    """

    messages: MessageDecoder

    def __init__(self, client: bool, limits: WebSocketLimits, inflater: MessageInflater | None) -> None:
        super().__init__(client)
        self.limits = limits
        self._inflater = inflater
        self._data = b""
        self._at = 0
        self._message_size = 0
        self._compressed = False  # the message that is being received
        self._unpacking = False
        self._usual_head = 2 if client else 6  # of a small frame: the masks are in those of clients
        sizes = [size for size in (limits.max_message_size, limits.max_frame_size) if size is not None]
        self._usual_size = min([0xFFFF, *sizes])

    @property
    def has_input(self) -> bool:
        """Whether something was received that was not looked at."""
        return self._at < len(self._data) or self._unpacking

    def receive_bytes(self, data: bytes) -> None:
        """See the library's."""
        # What is left over is the beginning of a frame at most, unless the receiver holds us back.
        self._data = self._data[self._at :] + data if self._at < len(self._data) else data
        self._at = 0

    def receive_message(self, data: bytes) -> str | bytes | None:
        """Take what came, and return it where it is one message of the usual case; see `take_message`."""
        if self._data:
            self.receive_bytes(data)
            return None
        self._data = data
        self._at = 0
        # Only what ends where the frame does: what follows would otherwise be forgotten.
        size = len(data) - self._usual_head
        if size < 0:
            return None
        announced = data[1] & 0x7F
        if announced == size or (announced == 126 and size >= 2 and (data[2] << 8 | data[3]) + 2 == size):
            return self.take_message()
        return None

    def take_message(self) -> str | bytes | None:
        """The next message where it is the usual case: one frame, not compressed, which has come whole, with nothing wrong.

        None for everything else, which then goes the long way.
        """
        data, at = self._data, self._at
        left = len(data) - at
        if left < 2 or self.header is not None or self.messages.opcode is not None or self._unpacking:
            return None
        first, second = data[at], data[at + 1]
        masked = second >= 0x80
        if first not in _WHOLE or masked is self.client:
            return None
        size = second & 0x7F
        start = at + 2
        if size == 126 and left >= 4:
            size = data[start] << 8 | data[start + 1]
            start += 2
            if size < 126:
                return None
        if masked:
            start += 4
        end = start + size
        if end > len(data) or size > self._usual_size or second & 0x7F == 127:
            return None
        payload = data[start:end]
        if masked and size:
            payload = apply_mask(payload, data[start - 4 : start])
        message: str | bytes = payload
        if first == _WHOLE_TEXT:
            try:
                message = payload.decode()
            except UnicodeDecodeError:
                return None
        if end == len(data):
            self._data, self._at = b"", 0  # an idle connection keeps nothing
        else:
            self._at = end
        return message

    def parse_header(self) -> bool:
        """See the library's."""
        data, at = self._data, self._at
        left = len(data) - at
        if left < 2:
            return False
        first, second = data[at], data[at + 1]
        opcode = _OPCODES[first & 0x0F]
        if opcode is None:
            raise ParseFailed(f"unknown opcode {first & 0x0F:#x}")
        size = second & 0x7F
        masked = second >= 0x80
        self._check_start(first, opcode, size, masked)
        start = 2
        if size >= 126:
            width = 2 if size == 126 else 8
            start += width
            if left < start:
                return False
            size = int.from_bytes(data[at + 2 : at + start], "big")
            if size <= (125 if width == 2 else 0xFFFF):
                raise ParseFailed("the length of a payload takes more bytes than it needs")
            if size >> 63:
                raise ParseFailed("the length of a payload has its highest bit set")
        if first & 0x08 == 0:
            self._check_size(size, opcode, bool(first & _RSV1))
        if masked:
            if left < start + 4:
                return False
            self.masker = cast("Any", Masker(data[at + start : at + start + 4]))
            start += 4
        else:
            self.masker = None
        self._at = at + start
        self.header = Header(first >= 0x80, _NO_RSV, opcode, size, None)
        self.effective_opcode = opcode
        self.payload_consumed = 0
        if first & 0x08 == 0 and opcode is not Opcode.CONTINUATION:
            self._compressed = bool(first & _RSV1)
            self._message_size = 0
        return True

    def _check_start(self, first: int, opcode: Opcode, size: int, masked: bool) -> None:
        if first & 0x70:
            if first & 0x30 or self._inflater is None:
                raise ParseFailed("a reserved bit is set that means nothing here")
            if first & 0x08 or opcode is Opcode.CONTINUATION:
                raise ParseFailed("only the first frame of a message says that it is compressed")
        if first & 0x08:
            if first < 0x80:
                raise ParseFailed("a control frame in fragments")
            if size > 125:
                raise ParseFailed("a control frame with more than 125 bytes")
        if masked is self.client:
            raise ParseFailed("a server masks nothing" if masked else "a client masks everything")

    def _check_size(self, size: int, opcode: Opcode, compressed: bool) -> None:
        """Refuse a frame that is going to pass a limit. What is compressed is counted when it is unpacked."""
        limits = self.limits
        if limits.max_frame_size is not None and size > limits.max_frame_size:
            raise ParseFailed(
                f"a frame of {size} bytes, where {limits.max_frame_size} are allowed", CloseReason.MESSAGE_TOO_BIG
            )
        is_first = opcode is not Opcode.CONTINUATION
        if limits.max_message_size is None or (compressed if is_first else self._compressed):
            return
        if size + (0 if is_first else self._message_size) > limits.max_message_size:
            self._too_big()

    def _too_big(self) -> None:
        limit = self.limits.max_message_size
        raise ParseFailed(f"a message of more than {limit} bytes", CloseReason.MESSAGE_TOO_BIG)

    def process_buffer(self) -> LibraryFrame | None:
        """See the library's: a whole control frame, or what there is of another; None where more must come first."""
        if self._unpacking:
            return self._unpack()
        header = self.header
        if header is None:
            if not self.parse_header():
                return None
            header = self.header
            assert header is not None
        data, at = self._data, self._at
        size = min(header.payload_len - self.payload_consumed, len(data) - at)
        if header.opcode & 0x08:
            if size < header.payload_len:
                return None
        elif not size and header.payload_len:
            return None
        payload = data if size == len(data) else data[at : at + size]
        if at + size == len(data):
            self._data, self._at = b"", 0
        else:
            self._at = at + size
        if self.masker is not None and size:
            payload = cast("Any", self.masker).process(payload)
        self.payload_consumed += size
        finished = self.payload_consumed == header.payload_len
        if header.opcode & 0x08:
            self.header = None
            return LibraryFrame(header.opcode, payload, True, True)
        if self._compressed and self._inflater is not None:
            self._inflater.feed(payload, finished and header.fin)
            return self._unpack()
        self._message_size += size
        return self._frame(payload, finished)

    def _frame(self, payload: bytes, finished: bool) -> LibraryFrame:
        header, opcode = self.header, self.effective_opcode
        assert header is not None
        assert opcode is not None
        if finished:
            self.header = None
        else:
            self.effective_opcode = Opcode.CONTINUATION
        return LibraryFrame(opcode, payload, finished, header.fin)

    def _unpack(self) -> LibraryFrame:
        """Give out the next piece of what the inflater was fed."""
        inflater, header, limit = self._inflater, self.header, self.limits.max_message_size
        assert inflater is not None
        assert header is not None
        size = _UNPACK if limit is None else min(_UNPACK, limit - self._message_size + 1)
        payload = inflater.inflate(size)
        self._message_size += len(payload)
        if limit is not None and self._message_size > limit:
            self._too_big()
        self._unpacking = inflater.has_more
        return self._frame(payload, not self._unpacking and self.payload_consumed == header.payload_len)


class Library(FrameProtocol):
    """The frames of one connection, both ways. See the module.

    Args:
        client: this side's role.
        limits: what the peer may send.
        inflater, deflater: for compressed messages; None where that was not agreed on.

    Attributes:
        output: makes the frames.
    """

    _parse_more: Iterator[LibraryFrame | None]  # type: ignore[assignment]
    _frame_decoder: Decoder

    def __init__(
        self, client: bool, limits: WebSocketLimits, inflater: MessageInflater | None, deflater: MessageDeflater | None
    ) -> None:
        super().__init__(client, [])
        # The library's own is a generator that holds on to us: what is garbage would stay until it is looked for.
        self._parse_more = iter(())
        self._frame_decoder = Decoder(client, limits, inflater)
        self._frame_decoder.messages = self._message_decoder
        self.output = Encoder(client)
        self._deflater = deflater
        self._is_compressing = False

    @property
    def input(self) -> Decoder:
        """Takes what is received, and takes it apart."""
        return self._frame_decoder

    def next_frame(self) -> LibraryFrame | None:
        """What came next, None where more must come first or nothing will.

        Raises:
            ParseFailed: the peer broke the protocol, or a limit. Nothing comes afterwards.
        """
        frame = self._frame_decoder.process_buffer()
        if frame is None:
            return None
        if not frame.opcode & 0x08:
            return self._message_decoder.process_frame(frame)
        return self._process_close(frame) if frame.opcode is Opcode.CLOSE else frame

    def _process_close(self, frame: LibraryFrame) -> LibraryFrame:
        data = frame.payload
        if isinstance(data, bytes) and int.from_bytes(data[:2], "big") == _BAD_GATEWAY:
            # The library checks the rest under another name.
            checked = super()._process_close(frame._replace(payload=b"\x03\xf5" + data[2:]))
            assert isinstance(checked.payload, tuple)
            return checked._replace(payload=(_BAD_GATEWAY, checked.payload[1]))
        return super()._process_close(frame)

    def send_part(self, opcode: Opcode, payload: bytes | bytearray | memoryview, last: bool, compress: bool) -> Output:
        """A frame of a message of type `opcode`, the first or a further one; `compress` counts with the first."""
        first = 0x80 if last else 0
        if self._outbound_opcode is None:
            first |= opcode
            self._is_compressing = compress and self._deflater is not None and self._deflater.can_compress
            if self._is_compressing:
                first |= _RSV1
        if self._is_compressing:
            assert self._deflater is not None
            payload = self._deflater.deflate(payload, last)
        self._outbound_opcode = None if last else opcode
        if len(payload) >= _LARGE:
            return self.output.large_frame(first, payload)
        return self.output.frame(first, payload)

    def _serialize_frame(self, opcode: Opcode, payload: bytes | bytearray = b"", fin: bool = True) -> bytearray:
        return cast("bytearray", self.output.frame((0x80 if fin else 0) | opcode, payload))
