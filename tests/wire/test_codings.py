"""codings: any split, bounded output, members, garbage, early ends; and that hostile input costs no more than its size."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine.errors import ClosedError, DecodingError, UsageError
from drivetrain.engine.wire.codings import CODINGS, Deflater, Inflater, deflate, inflate

DATA = b"the racecar raced around the racecar track" * 20


def raw_deflate(data: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-15)
    return encoder.compress(data) + encoder.flush()


ENCODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", lambda data: gzip.compress(data, mtime=0)),
    "x-gzip": ("X-GZIP", lambda data: gzip.compress(data, mtime=0)),
    "zlib": ("deflate", zlib.compress),
    "raw": ("Deflate", raw_deflate),
    "members": ("gzip", lambda data: gzip.compress(data[:5], mtime=0) + gzip.compress(data[5:], mtime=0)),
    "padded": (
        "gzip",
        lambda data: gzip.compress(data[:5], mtime=0) + b"\0\0" + gzip.compress(data[5:], mtime=0) + b"\0",
    ),
}


def decode_pieces(inflater: Inflater, pieces: list[bytes], max_length: int = 0) -> bytes:
    """Feed the pieces, fetch everything that is pending in between, and finish."""
    output = b""
    for piece in pieces:
        decoded = inflater.decode(piece, max_length)
        assert not max_length or len(decoded) <= max_length
        output += decoded
        while inflater.has_pending:
            decoded = inflater.decode(b"", max_length)
            assert len(decoded) <= max_length
            output += decoded
    inflater.finish()
    return output


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


class TestInflater:
    @pytest.mark.parametrize("kind", ENCODERS)
    @pytest.mark.parametrize("strict", [False, True])
    def test_whole_and_byte_by_byte(self, kind: str, strict: bool) -> None:
        coding, encode = ENCODERS[kind]
        encoded = encode(DATA)
        assert decode_pieces(Inflater(coding, strict=strict), [encoded]) == DATA
        assert decode_pieces(Inflater(coding, strict=strict), [bytes((byte,)) for byte in encoded]) == DATA
        assert decode_pieces(Inflater(coding, strict=strict), [encoded], max_length=7) == DATA

    @given(
        st.sampled_from(sorted(ENCODERS)),
        st.binary(max_size=300) | st.binary(max_size=9).map(lambda data: data * 300),
        st.lists(st.integers(0, 5000), max_size=6),
        st.sampled_from([0, 1, 3, 64, 1000]),
    )
    def test_any_split_and_bound_equals_the_whole(self, kind: str, data: bytes, cuts: list[int], bound: int) -> None:
        coding, encode = ENCODERS[kind]
        inflater = Inflater(coding, strict=True)
        assert decode_pieces(inflater, split(encode(data), cuts), bound) == data
        assert inflater.at_end

    @given(st.sampled_from(["gzip", "zlib", "raw"]), st.integers(0, 1000), st.lists(st.integers(0, 5000), max_size=3))
    def test_every_early_end_is_an_error(self, kind: str, kept: int, cuts: list[int]) -> None:
        coding, encode = ENCODERS[kind]
        encoded = encode(DATA)
        cut_short = encoded[: 1 + kept % (len(encoded) - 1)]
        with pytest.raises(DecodingError, match="cut short"):
            decode_pieces(Inflater(coding), split(cut_short, cuts))

    def test_an_input_without_a_byte(self) -> None:
        inflater = Inflater("gzip")
        assert inflater.decode(b"") == b""
        inflater.finish()
        with pytest.raises(DecodingError, match="cut short"):
            Inflater("gzip", strict=True).finish()

    @pytest.mark.parametrize("coding", sorted(CODINGS))
    @pytest.mark.parametrize("garbage", [b"garbage", b"\0\0x", b"\x1fx"])
    @pytest.mark.parametrize("size", [1, 100])
    def test_garbage_after_the_end(self, coding: str, garbage: bytes, size: int) -> None:
        encoder = Deflater(coding)
        encoded = encoder.encode(DATA) + encoder.finish() + garbage
        pieces = [encoded[start : start + size] for start in range(0, len(encoded), size)]
        assert decode_pieces(Inflater(coding), pieces) == DATA
        with pytest.raises(DecodingError, match="garbage after the end"):
            decode_pieces(Inflater(coding, strict=True), pieces)

    def test_half_a_member_header_at_the_end(self) -> None:
        encoded = gzip.compress(DATA) + b"\x1f"
        tolerant = Inflater("gzip")
        assert tolerant.decode(encoded) == DATA
        assert tolerant.unconsumed == b"\x1f"
        tolerant.finish()
        strict = Inflater("gzip", strict=True)
        assert strict.decode(encoded) == DATA
        with pytest.raises(DecodingError, match="garbage"):
            strict.finish()

    def test_a_second_member_cut_short(self) -> None:
        inflater = Inflater("gzip")
        assert inflater.decode(gzip.compress(DATA) + gzip.compress(DATA)[:-1]) == DATA * 2
        assert not inflater.at_end
        with pytest.raises(DecodingError, match="cut short"):
            inflater.finish()

    @pytest.mark.parametrize(
        ("coding", "data"),
        [
            ("gzip", b"not gzip"),
            ("gzip", zlib.compress(DATA)),
            ("gzip", gzip.compress(DATA)[:-8] + bytes(8)),  # wrong checksum
            ("deflate", zlib.compress(DATA)[:-4] + bytes(4)),
            ("deflate", b"\x78\xbb" + bytes(10)),  # asks for a preset dictionary
            ("deflate", gzip.compress(DATA)),
            ("deflate", b"\xff\xff\xff\xff"),
        ],
    )
    def test_corrupt_data_stays_an_error(self, coding: str, data: bytes) -> None:
        inflater = Inflater(coding)
        with pytest.raises(DecodingError) as caught:
            inflater.decode(data)
        assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, zlib.error)
        with pytest.raises(DecodingError):
            inflater.decode(b"")
        with pytest.raises(DecodingError):
            inflater.finish()

    def test_bounded_output_waits(self) -> None:
        bomb = gzip.compress(bytes(10_000_000))
        inflater = Inflater("gzip")
        assert len(inflater.decode(bomb, 1000)) == 1000
        assert inflater.has_pending
        assert not inflater.at_end
        assert 0 < len(inflater.unconsumed) <= len(bomb)
        with pytest.raises(UsageError, match="pending"):
            inflater.finish()
        total = 1000
        while inflater.has_pending:
            total += len(inflater.decode(b"", 1_000_000))
        inflater.finish()
        assert total == 10_000_000
        assert inflater.unconsumed == b""

    def test_bound_that_is_met_exactly(self) -> None:
        inflater = Inflater("deflate", strict=True)
        assert inflater.decode(zlib.compress(DATA), len(DATA)) == DATA
        assert inflater.decode(b"", 1) == b""
        assert not inflater.has_pending
        inflater.finish()

    def test_garbage_and_members_are_found_where_bounded_calls_left_off(self) -> None:
        # zlib's unconsumed_tail keeps a copy of what is in unused_data if the call before the end was cut by its bound.
        encoded = gzip.compress(b"\0\0") + gzip.compress(b"\1")
        assert decode_pieces(Inflater("gzip", strict=True), [encoded], max_length=1) == b"\0\0\1"

    def test_many_tiny_members_cost_no_more_than_their_size(self) -> None:
        data = (gzip.compress(b"", mtime=0) + b"\0") * 40_000  # 840 kB; copying the rest each time would take 17 GB
        started = time.process_time()
        assert decode_pieces(Inflater("gzip"), [data]) == b""
        assert time.process_time() - started < 5

    def test_arguments(self) -> None:
        with pytest.raises(UsageError, match="'br'"):
            Inflater("br")
        with pytest.raises(UsageError, match="max_length is -1"):
            Inflater("gzip").decode(b"", -1)
        assert Inflater("X-Gzip").coding == "gzip"

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_any_bytes_like_input(self, kind: Callable[[bytes], bytes]) -> None:
        encoded = gzip.compress(DATA)
        assert decode_pieces(Inflater("gzip"), [kind(encoded[:9]), kind(encoded[9:])], 50) == DATA


class TestDeflater:
    @pytest.mark.parametrize(
        ("coding", "decode"), [("gzip", gzip.decompress), ("x-gzip", gzip.decompress), ("deflate", zlib.decompress)]
    )
    @pytest.mark.parametrize("level", [-1, 0, 1, 9])
    def test_the_standard_library_reads_it(self, coding: str, decode: Callable[[bytes], bytes], level: int) -> None:
        encoder = Deflater(coding, level)
        encoded = encoder.encode(DATA[:100]) + encoder.encode(memoryview(DATA)[100:]) + encoder.finish()
        assert decode(encoded) == DATA
        assert (len(encoded) < len(DATA) / 5) == (level != 0)

    def test_equal_input_gives_equal_output(self) -> None:
        assert deflate()(DATA, True) == deflate()(DATA, True)  # no time stamp in the header

    @pytest.mark.parametrize("coding", sorted(CODINGS))
    def test_flush_lets_the_decoder_catch_up(self, coding: str) -> None:
        encoder, decoder = Deflater(coding), Inflater(coding, strict=True)
        for word in (b"one", b"two", b""):
            assert decoder.decode(encoder.encode(word) + encoder.flush()) == word
        assert decoder.decode(encoder.finish()) == b""
        decoder.finish()

    def test_after_the_end(self) -> None:
        encoder = Deflater("gzip")
        encoder.finish()
        for call in (lambda: encoder.encode(b"x"), encoder.flush, encoder.finish):
            with pytest.raises(ClosedError):
                call()

    @pytest.mark.parametrize(("coding", "level"), [("br", 1), ("identity", 1), ("gzip", 10), ("gzip", -2)])
    def test_arguments(self, coding: str, level: int) -> None:
        with pytest.raises(UsageError):
            Deflater(coding, level)


class TestLuaStyle:
    @pytest.mark.parametrize("coding", ["gzip", "deflate"])
    def test_round_trip_in_pieces(self, coding: str) -> None:
        deflater, inflater, named = deflate(coding), inflate(), inflate(coding)
        encoded = deflater(DATA[:50], False) + deflater(DATA[50:], True)
        assert len(encoded) < len(DATA)
        assert inflater(b"", False) == b""
        assert inflater(encoded[:1], False) + inflater(encoded[1:30], False) + inflater(encoded[30:], True) == DATA
        assert named(encoded, True) == DATA

    def test_errors(self) -> None:
        with pytest.raises(DecodingError, match="corrupt"):
            inflate()(b"\x1fnonsense", False)
        with pytest.raises(DecodingError, match="cut short"):
            inflate()(deflate()(DATA, True)[:-1], True)
        with pytest.raises(DecodingError, match="cut short"):
            inflate()(b"", True)

    def test_after_the_end(self) -> None:
        deflater, inflater = deflate(), inflate()
        inflater(deflater(b"", True), True)
        with pytest.raises(ClosedError):
            deflater(b"", True)
        with pytest.raises(ClosedError):
            inflater(b"", False)
