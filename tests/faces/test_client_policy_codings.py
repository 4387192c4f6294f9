"""Content codings through both clients: asked for, removed, bounded, and left alone where that is wanted."""

from __future__ import annotations

import gzip
import importlib
import random
import sys
import zlib
from collections.abc import Callable
from functools import lru_cache

import brotli
import pytest

from drivetrain.engine import DecodingLimits
from drivetrain.engine.errors import DecodingError, LimitExceeded
from tests.faces.policy_support import Page, World
from tests.faces.site import Target

zstd = importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def brotli_compress(data: bytes) -> bytes:
    return bytes(brotli.compress(data, quality=4))


@lru_cache
def bomb(coding: str, size: int = 20_000_000) -> bytes:
    return CODINGS[coding](bytes(size))


def raw_deflate(data: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-15)
    return encoder.compress(data) + encoder.flush()


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli_compress,
    "zstd": zstd.compress,
}
# Compresses, but not much: limits on growth are no matter here.
TEXT = bytes(random.Random(7).choices(b"abcdefgh", k=120_000))
MANY = DecodingLimits(max_ratio=50, ratio_from=1_000_000)


def coded(data: bytes, coding: str, length: bool = True) -> Page:
    """A page with this body, chunked (or over HTTP/2 without its length) where `length` is not wanted."""

    def page(target: Target) -> None:
        stream = target.stream
        fields = [(":status", "200"), ("content-encoding", coding)]
        if length:
            fields.append(("content-length", str(len(data))))
        stream.write_headers(type(target.headers)(fields), target.headers.get(":method") == "HEAD")
        if target.headers.get(":method") != "HEAD":
            for start in range(0, len(data), 16384):
                stream.write_chunk(data[start : start + 16384])
            stream.write_chunk(b"", True)

    return page


class TestDecoded:
    @pytest.mark.parametrize("coding", CODINGS)
    @pytest.mark.parametrize("length", [True, False], ids=["length", "open end"])
    def test_each(self, world: World, coding: str, length: bool) -> None:
        world.secure.pages["/"] = coded(CODINGS[coding](TEXT), coding.upper(), length)
        client = world.client()
        assert client.get(world.secure.at("/")).content == TEXT
        with client.stream("GET", world.secure.at("/")) as response:
            assert b"".join(response.iter_bytes(1000)) == TEXT
        assert client.statistics.created == 1

    def test_deflate_without_its_frame(self, world: World) -> None:
        world.secure.pages["/"] = coded(raw_deflate(TEXT), "deflate")
        assert world.client().get(world.secure.at("/")).content == TEXT

    @pytest.mark.parametrize("codings", [("gzip", "br"), ("zstd", "deflate", "gzip"), ("gzip", "identity", "gzip")])
    def test_several_in_a_row(self, world: World, codings: tuple[str, ...]) -> None:
        data = TEXT
        for coding in codings:
            data = CODINGS.get(coding, bytes)(data)
        world.secure.pages["/"] = coded(data, ", ".join(codings))
        assert world.client().get(world.secure.at("/")).content == TEXT

    def test_members_and_garbage(self, world: World) -> None:
        world.secure.pages["/"] = coded(gzip.compress(b"one ") + gzip.compress(b"two") + b"\0\0garbage", "gzip")
        client = world.client()
        assert client.get(world.secure.at("/")).content == b"one two"
        assert client.get(world.secure.at("/other")).status == 200
        assert client.statistics.created == 1

    def test_what_is_asked_for(self, world: World) -> None:
        client = world.client()
        client.get(world.secure.at("/"))
        client.get(world.secure.at("/"), headers={"Accept-Encoding": "identity"})
        assert world.secure.told("accept-encoding") == ["gzip, deflate, br, zstd", "identity"]

    def test_text_and_lines(self, world: World) -> None:
        world.secure.pages["/"] = coded(brotli_compress("eins\nzwei\nfünf".encode()), "br")
        client = world.client()
        assert client.get(world.secure.at("/")).text == "eins\nzwei\nfünf"
        with client.stream("GET", world.secure.at("/")) as response:
            assert list(response.iter_lines()) == ["eins", "zwei", "fünf"]


class TestLeftAlone:
    def test_raw(self, world: World) -> None:
        data = gzip.compress(TEXT)
        world.secure.pages["/"] = coded(data, "gzip")
        client = world.client()
        with client.stream("GET", world.secure.at("/")) as response:
            assert b"".join(response.iter_raw()) == data
            assert response.headers.get("content-encoding") == "gzip"
        assert client.statistics.open == 1

    def test_a_bomb_is_harmless_unread(self, world: World) -> None:
        data = bomb("gzip")
        world.secure.pages["/"] = coded(data, "gzip")
        with world.client(decoding_limits=MANY).stream("GET", world.secure.at("/")) as response:
            assert b"".join(response.iter_raw()) == data

    @pytest.mark.parametrize("coding", ["unheard-of", "gzip, unheard-of", "unheard-of, gzip"])
    def test_unknown(self, world: World, coding: str) -> None:
        """A half-decoded body would be neither one thing nor the other."""
        data = gzip.compress(b"x")
        world.secure.pages["/"] = coded(data, coding)
        assert world.client().get(world.secure.at("/")).content == data

    def test_head_and_304(self, world: World) -> None:
        world.secure.pages["/"] = coded(gzip.compress(TEXT), "gzip")
        world.secure.pages["/same"] = lambda target: target.stream.write_headers(
            type(target.headers)([(":status", "304"), ("content-encoding", "gzip")]), True
        )
        client = world.client()
        assert client.head(world.secure.at("/")).content == b""
        assert client.get(world.secure.at("/same")).content == b""
        assert client.statistics.created == 1

    @pytest.mark.parametrize("coding", CODINGS)
    def test_nothing_at_all(self, world: World, coding: str) -> None:
        world.secure.pages["/"] = coded(b"", coding)
        assert world.client().get(world.secure.at("/")).content == b""


class TestFaults:
    @pytest.mark.parametrize("coding", CODINGS)
    def test_cut_short(self, world: World, coding: str) -> None:
        world.secure.pages["/"] = coded(CODINGS[coding](TEXT)[:-20], coding)
        client = world.client()
        with pytest.raises(DecodingError, match="cut short"):
            client.get(world.secure.at("/"))
        assert client.statistics.in_use == 0
        assert client.get(world.secure.at("/other")).status == 200

    @pytest.mark.parametrize("coding", CODINGS)
    def test_corrupt(self, world: World, coding: str) -> None:
        # At the start: zstd and br prove nothing of the data itself.
        world.secure.pages["/"] = coded(b"\xff" * 30 + CODINGS[coding](TEXT)[30:], coding)
        client = world.client()
        with client.stream("GET", world.secure.at("/")) as response:
            for _ in range(2):  # it stays broken
                with pytest.raises(DecodingError):
                    response.read()
        assert client.statistics.in_use == 0

    def test_within_another(self, world: World) -> None:
        world.secure.pages["/"] = coded(brotli_compress(gzip.compress(TEXT)[:-9]), "gzip, br")
        with pytest.raises(DecodingError, match="cut short"):
            world.client().get(world.secure.at("/"))

    def test_too_many(self, world: World) -> None:
        world.secure.pages["/"] = coded(b"", ", ".join(["gzip"] * 6))
        with pytest.raises(DecodingError, match="6 content codings"):
            world.client().get(world.secure.at("/"))


class TestBombs:
    @pytest.mark.parametrize("coding", CODINGS)
    def test_by_ratio(self, world: World, coding: str) -> None:
        world.secure.pages["/"] = coded(bomb(coding), coding)
        client = world.client(decoding_limits=MANY)
        came = 0
        with client.stream("GET", world.secure.at("/")) as response, pytest.raises(LimitExceeded, match="50-fold"):
            for piece in response.iter_bytes():
                came += len(piece)
        assert came < 2_000_000
        assert client.statistics.in_use == 0
        assert client.get(world.secure.at("/other")).status == 200

    def test_by_size(self, world: World) -> None:
        world.secure.pages["/"] = coded(gzip.compress(TEXT), "gzip")
        limits = DecodingLimits(max_ratio=None, max_size=100_000)
        with pytest.raises(LimitExceeded, match="100000 bytes"):
            world.client(decoding_limits=limits).get(world.secure.at("/"))

    def test_by_default(self, world: World) -> None:
        world.secure.pages["/"] = coded(bomb("br", 64_000_000), "br")
        with pytest.raises(LimitExceeded, match="250-fold"):
            world.client().get(world.secure.at("/"))

    def test_in_layers(self, world: World) -> None:
        """Small by each layer's measure, large by both."""
        data = gzip.compress(bomb("gzip"))
        world.secure.pages["/"] = coded(data, "gzip, gzip")
        with pytest.raises(LimitExceeded):
            world.client(decoding_limits=MANY).get(world.secure.at("/"))

    def test_what_repeats_a_little_passes(self, world: World) -> None:
        world.secure.pages["/"] = coded(gzip.compress(bytes(900_000)), "gzip")
        assert world.client(decoding_limits=MANY).get(world.secure.at("/")).content == bytes(900_000)
