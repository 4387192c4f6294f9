"""Whatever comes as coded content, it decodes to the same bytes in any pieces, or to an error, and never beyond its limit."""

from __future__ import annotations

import gzip
import zlib

from drivetrain.engine.errors import DecodingError, LimitExceeded
from drivetrain.engine.wire.decoders import ContentDecoder, DecodingLimits

# The first byte says which codings, the second how large the pieces are, both in and out.
LISTS = (["gzip"], ["deflate"], ["br"], ["zstd"], ["gzip", "deflate"], ["br", "gzip"], ["deflate", "zstd"])
SEEDS = (
    b"\x00\x01" + gzip.compress(b"one") + gzip.compress(b"two") + b"\0\0x",
    b"\x01\x02" + zlib.compress(b"abc" * 50),
    b"\x01\x03" + zlib.compress(b"abc" * 50)[2:-4],
    b"\x02\x05" + bytes.fromhex("8b0280616263616263616203"),
    b"\x03\x01" + bytes.fromhex("28b52ffd0403190000616263df02ad9f"),
    b"\x04\x07" + zlib.compress(gzip.compress(b"abc")),
)
LIMIT = 100_000


def check(data: bytes) -> None:
    codings = LISTS[data[0] % len(LISTS)] if data else LISTS[0]
    size = data[1] % 17 + 1 if len(data) > 1 else 1
    body = data[2:]
    whole = _decode(codings, [body], LIMIT)
    pieces = _decode(codings, [body[start : start + size] for start in range(0, len(body), size)], size * 100)
    assert whole == pieces
    assert whole is None or len(whole) <= LIMIT


def _decode(codings: list[str], pieces: list[bytes], room: int) -> bytes | None:
    """What comes out; None for an error."""
    decoder = ContentDecoder(codings, DecodingLimits(max_ratio=None, max_size=LIMIT))
    output = bytearray()
    try:
        for piece in pieces:
            output += decoder.decode(piece, room)
            while decoder.has_pending:
                output += decoder.decode(b"", room)
        decoder.finish()
    except (DecodingError, LimitExceeded):
        return None
    return bytes(output)
