"""permessage-deflate (RFC 7692): settings, what they mean for each side, and the compression itself.

The library's extension of the same name is not used: it unpacks whatever is sent to whatever size it has, forgets after a
control frame that the message around it is compressed, and compresses every message.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from wsproto.frame_protocol import CloseReason, ParseFailed

from ..errors import UsageError

__all__ = ["DeflateOptions", "DeflateParameters", "MessageDeflater", "MessageInflater"]

# What ends a flush, left out at the end of each message (RFC 7692 section 7.2.1).
_TAIL = b"\x00\x00\xff\xff"
# Each stream inside a message costs an object to unpack it with.
_MAX_STREAMS = 100


@dataclass(frozen=True, slots=True)
class DeflateOptions:
    """How this side wants to compress, and have compressed.

    Args:
        server_no_context_takeover: have the server begin each message with an empty window: worse compression, less memory.
        client_no_context_takeover: the same for the client.
        server_max_window_bits: logarithm of the server's window, 9 to 15; memory for both sides. A client that sets it asks
            for it, a server that does keeps to it.
        client_max_window_bits: the same for the client. A client always says that it can be told.
        level: of compression, 0 to 9, -1 for zlib's default.
        mem_level: how much memory a compressor uses for its state, 1 to 9.
        min_size: messages with fewer bytes are sent as they are, unless compression is asked for.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = 12
    client_max_window_bits: int | None = 12
    level: int = -1
    mem_level: int = 5
    min_size: int = 0

    def __post_init__(self) -> None:
        for bits in (self.server_max_window_bits, self.client_max_window_bits):
            if bits is not None and not 9 <= bits <= 15:
                raise UsageError("a window has from 9 to 15 bits")  # zlib has no 8
        if not -1 <= self.level <= 9 or not 1 <= self.mem_level <= 9:
            raise UsageError("level is from -1 to 9, mem_level from 1 to 9")


@dataclass(frozen=True, slots=True)
class DeflateParameters:
    """What both sides agreed on. Window bits are 8 to 15."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = 15
    client_max_window_bits: int = 15


class MessageDeflater:
    """Compresses this side's messages.

    Args:
        bits: of the window. With 8, which zlib does not have, nothing can be compressed: see `can_compress`.
        no_takeover: whether each message begins with an empty window.
        level, mem_level: see `DeflateOptions`.
    """

    __slots__ = ("_bits", "_level", "_mem_level", "_no_takeover", "_packer")

    def __init__(self, bits: int, no_takeover: bool, level: int = -1, mem_level: int = 8) -> None:
        self._bits = bits
        self._no_takeover = no_takeover
        self._level = level
        self._mem_level = mem_level
        self._packer: zlib._Compress | None = None

    @property
    def can_compress(self) -> bool:
        """Whether the agreed window is one that zlib can keep to."""
        return self._bits >= 9

    def deflate(self, data: bytes | bytearray | memoryview, last: bool) -> bytes:
        """Compress the next part of a message, all of it: who sends in parts wants each to be received."""
        packer = self._packer
        if packer is None:
            packer = self._packer = zlib.compressobj(self._level, zlib.DEFLATED, -self._bits, self._mem_level)
        packed = packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)
        if last:
            # A flush with nothing to flush says nothing: then an empty block must be said (RFC 7692 section 7.2.3.6).
            packed = packed[:-4] or b"\x00"
            if self._no_takeover:
                self._packer = None
        return packed


class MessageInflater:
    """Unpacks the peer's messages, no more at a time than it is asked for.

    Args:
        bits: of the window.
        no_takeover: whether each message begins with an empty window.
    """

    __slots__ = ("_bits", "_ends", "_no_takeover", "_rest", "_streams", "_unpacker")

    def __init__(self, bits: int, no_takeover: bool) -> None:
        self._bits = max(bits, 9)
        self._no_takeover = no_takeover
        self._unpacker: zlib._Decompress | None = None
        self._rest = b""
        self._ends = False
        self._streams = 0

    def feed(self, data: bytes, last: bool) -> None:
        """Take the next part of a message's compressed data, with `last` the rest of it. First use up what came before."""
        self._rest = data + _TAIL if last else data
        self._ends = last

    @property
    def has_more(self) -> bool:
        """Whether `inflate` has not come to the end of what it was fed."""
        return bool(self._rest)

    def inflate(self, size: int) -> bytes:
        """Unpack on, up to `size` bytes, at least 1; fewer where what was fed is used up.

        Raises:
            ParseFailed: the data is corrupt.
        """
        pieces: list[bytes] = []
        while self._rest and size > 0:
            unpacker = self._unpacker
            if unpacker is None or unpacker.eof:
                # After a final block, which peers may end a message with, another stream begins (section 7.2.3.4).
                unpacker = self._unpacker = zlib.decompressobj(-self._bits)
                self._streams += 1
                if self._streams > _MAX_STREAMS:
                    raise ParseFailed("too many final blocks in a message", CloseReason.POLICY_VIOLATION)
            try:
                piece = unpacker.decompress(self._rest, size)
            except zlib.error as error:
                raise ParseFailed(
                    f"the compressed data is corrupt: {error}", CloseReason.INVALID_FRAME_PAYLOAD_DATA
                ) from None
            self._rest = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
            size -= len(piece)
            pieces.append(piece)
            if unpacker.eof and self._ends and self._rest == _TAIL:
                self._rest = b""
        if not self._rest and self._ends:
            self._ends = False
            self._streams = 0
            if self._no_takeover:
                self._unpacker = None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
