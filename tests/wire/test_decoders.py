"""Content codings: each, several in a row, in any pieces, broken ones, and those that blow up."""

from __future__ import annotations

import gzip
import importlib
import itertools
import sys
import zlib
from collections.abc import Callable

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivetrain.engine.errors import DecodingError, LimitExceeded, UsageError
from drivetrain.engine.wire.decoders import ContentDecoder, DecodingLimits, accepted_codings, known_codings

zstd = importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")

ENCODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}
TEXT = b"".join(b"%d bottles of beer on the wall\n" % number for number in range(2000))


def encode(data: bytes, codings: tuple[str, ...]) -> bytes:
    for coding in codings:
        data = ENCODE[coding](data)
    return data


def decode(decoder: ContentDecoder, pieces: list[bytes], size: int = 256 * 1024) -> bytes:
    output = []
    for piece in pieces:
        output.append(decoder.decode(piece, size))
        while decoder.has_pending:
            output.append(decoder.decode(b"", size))
    decoder.finish()
    return b"".join(output)


def test_what_is_known() -> None:
    assert known_codings() == ENCODE.keys()
    assert accepted_codings() == "gzip, deflate, br, zstd"


@pytest.mark.parametrize("coding", ENCODE)
def test_each(coding: str) -> None:
    assert decode(ContentDecoder([coding.upper()]), [encode(TEXT, (coding,))]) == TEXT


@pytest.mark.parametrize("coding", ENCODE)
def test_nothing_at_all_is_an_empty_body(coding: str) -> None:
    assert decode(ContentDecoder([coding]), []) == b""
    assert decode(ContentDecoder([coding]), [encode(b"", (coding,))]) == b""


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(ENCODE)), min_size=1, max_size=3),
    st.binary(max_size=300) | st.just(TEXT[:20_000]),
    st.lists(st.integers(0, 20_000), max_size=6),
    st.sampled_from([1, 100, 65536]),
)
def test_pieces_make_no_difference(codings: list[str], data: bytes, cuts: list[int], size: int) -> None:
    encoded = encode(data, tuple(codings))
    bounds = [0, *sorted(min(cut, len(encoded)) for cut in cuts), len(encoded)]
    pieces = [encoded[start:end] for start, end in itertools.pairwise(bounds)]
    assert decode(ContentDecoder(codings), pieces, size if len(data) < 1000 else 65536) == data


@pytest.mark.parametrize("coding", ENCODE)
def test_byte_by_byte(coding: str) -> None:
    encoded = encode(TEXT[:2000], (coding,))
    assert (
        decode(ContentDecoder([coding]), [encoded[index : index + 1] for index in range(len(encoded))]) == TEXT[:2000]
    )


@pytest.mark.parametrize("coding", ENCODE)
def test_cut_short(coding: str) -> None:
    encoded = encode(TEXT, (coding,))
    for length in (1, len(encoded) // 2, len(encoded) - 1):
        with pytest.raises(DecodingError):
            decode(ContentDecoder([coding]), [encoded[:length]])


@pytest.mark.parametrize("coding", ENCODE)
def test_corrupt(coding: str) -> None:
    encoded = bytearray(encode(TEXT, (coding,)))
    encoded[2:40] = bytes(38)
    with pytest.raises(DecodingError):
        decode(ContentDecoder([coding]), [bytes(encoded)])


@given(st.sampled_from(sorted(ENCODE)), st.binary(max_size=200))
def test_garbage_is_an_error_or_decodes(coding: str, data: bytes) -> None:
    try:
        output = decode(ContentDecoder([coding], DecodingLimits(max_size=10_000_000)), [data])
    except (DecodingError, LimitExceeded):
        return
    assert len(output) <= 10_000_000


def test_several_frames_of_zstd() -> None:
    frames = zstd.compress(b"one ") + zstd.compress(b"") + zstd.compress(b"two")
    assert decode(ContentDecoder(["zstd"]), [frames]) == b"one two"
    assert decode(ContentDecoder(["zstd"]), [frames[index : index + 1] for index in range(len(frames))]) == b"one two"


def test_a_window_too_large_for_content() -> None:
    huge = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    data = huge.compress(bytes(64)) + huge.flush()
    with pytest.raises(DecodingError, match="zstd"):
        decode(ContentDecoder(["zstd"]), [data])


@pytest.mark.parametrize("codings", [("gzip",), ("br",), ("zstd",), ("gzip", "gzip"), ("br", "gzip")])
def test_a_bomb_is_noticed_before_it_goes_off(codings: tuple[str, ...]) -> None:
    bomb = encode(bytes(20_000_000), codings)
    decoder = ContentDecoder(codings, DecodingLimits(ratio_from=1_000_000))
    largest = 0
    with pytest.raises(LimitExceeded, match="250-fold"):
        for start in range(0, len(bomb), 1000):
            largest = max(largest, len(decoder.decode(bomb[start : start + 1000], 65536)))
            while decoder.has_pending:
                largest = max(largest, len(decoder.decode(b"", 65536)))
    assert largest <= 4 * 65536  # brotli rounds up


def test_limits() -> None:
    repeated = encode(bytes(1_000_000), ("gzip",))
    assert len(decode(ContentDecoder(["gzip"]), [repeated])) == 1_000_000
    with pytest.raises(LimitExceeded, match="more than 999999 bytes"):
        decode(ContentDecoder(["gzip"], DecodingLimits(max_size=999_999)), [repeated])
    none = DecodingLimits(max_ratio=None, max_size=None)
    assert len(decode(ContentDecoder(["gzip"], none), [encode(bytes(30_000_000), ("gzip",))])) == 30_000_000


def test_too_many_and_unknown() -> None:
    with pytest.raises(DecodingError, match="6 content codings"):
        ContentDecoder(["gzip"] * 6)
    with pytest.raises(UsageError, match="compress"):
        ContentDecoder(["compress"])
