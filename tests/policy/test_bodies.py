"""Request bodies: lengths, pieces, rewinding, refusal of what is none."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from drivetrain.engine import errors
from drivetrain.engine.backends.blocking import run
from drivetrain.engine.policy.bodies import RequestBody, encode_form, encode_json, file_length, make_body


def read_all(body: RequestBody) -> bytes:
    data = b""
    while piece := run(body.read()):
        data += piece
    assert run(body.read()) == b""
    return data


class Lines:
    """Iterable again and again."""

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"a", b"b"])


@pytest.mark.parametrize(
    ("source", "expected", "length"),
    [
        (b"bytes", b"bytes", 5),
        ("grün", "grün".encode(), 5),
        (bytearray(b"x"), b"x", 1),
        (memoryview(b"xyz")[1:], b"yz", 2),
        ([b"a", b"", "ü", bytearray(b"c"), memoryview(b"d")], "aücd".encode(), None),
        ((b"a",), b"a", None),
        (Lines(), b"ab", None),
        (io.BytesIO(b"file"), b"file", 4),
    ],
)
def test_kinds_that_can_be_read_again(source: Any, expected: bytes, length: int | None) -> None:
    for colour in ("blocking", "async"):
        body = make_body(source, colour)  # type: ignore[arg-type]
        assert body.length == length
        for _ in range(2):
            assert body.is_replayable
            assert read_all(body) == expected
            body.rewind()
        if isinstance(source, io.BytesIO):
            source.seek(0)


def test_a_copy_is_made_of_what_may_change() -> None:
    source = bytearray(b"before")
    body = make_body(source, "blocking")
    source[:] = b"after!"
    assert read_all(body) == b"before"


def test_iterators_are_read_once() -> None:
    body = make_body(iter([b"a", b"b"]), "blocking")
    body.rewind()
    assert body.is_replayable
    assert run(body.read()) == b"a"
    assert not body.is_replayable
    with pytest.raises(errors.BodyNotReplayable):
        body.rewind()


def test_async_iterables() -> None:
    class Pieces:
        def __aiter__(self) -> AsyncIterator[bytes]:
            return once()

    async def once() -> AsyncIterator[bytes]:
        yield b"a"
        yield b""
        yield b"b"

    body = make_body(Pieces(), "async")
    assert read_all(body) == b"ab"
    body.rewind()
    assert read_all(body) == b"ab"
    body = make_body(once(), "async")
    assert read_all(body) == b"ab"
    with pytest.raises(errors.BodyNotReplayable):
        body.rewind()
    with pytest.raises(TypeError):
        make_body(Pieces(), "blocking")


@pytest.mark.parametrize("source", [1, None, object(), {"a": b"b"}, io.StringIO("x"), 1.5])
def test_what_is_no_body(source: Any) -> None:
    for colour in ("blocking", "async"):
        with pytest.raises(TypeError):
            make_body(source, colour)  # type: ignore[arg-type]


def test_text_files_are_refused_in_every_disguise(tmp_path: Path) -> None:
    with (tmp_path / "f").open("w+") as file, pytest.raises(TypeError):
        make_body(file, "blocking")  # type: ignore[arg-type]
    with tempfile.NamedTemporaryFile("w+") as named, pytest.raises(TypeError):
        make_body(named, "blocking")  # type: ignore[arg-type]


def test_files_that_are_read_by_coroutines_are_refused() -> None:
    class Remote:
        async def read(self, size: int = -1) -> bytes:
            return b""

    with pytest.raises(TypeError):
        make_body(Remote(), "async")  # type: ignore[arg-type]


def test_pieces_that_are_no_bytes() -> None:
    body = make_body([b"a", 7], "blocking")  # type: ignore[list-item]
    assert run(body.read()) == b"a"
    with pytest.raises(TypeError):
        run(body.read())


class TestFiles:
    def test_from_the_position_it_had(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(b"0123456789")
        with (tmp_path / "f").open("rb") as file:
            file.seek(7)
            body = make_body(file, "blocking")
            assert body.length == 3
            file.seek(0)  # by somebody else
            assert read_all(body) == b"789"
            body.rewind()
            assert read_all(body) == b"789"

    def test_one_that_shrinks(self, tmp_path: Path) -> None:
        path = tmp_path / "f"
        path.write_bytes(b"0123456789")
        with path.open("rb", buffering=0) as file:
            body = make_body(file, "blocking")  # type: ignore[arg-type]
            os.truncate(path, 5)
            assert run(body.read()) == b"01234"
            with pytest.raises(errors.UsageError):
                run(body.read())

    def test_one_that_grows(self, tmp_path: Path) -> None:
        path = tmp_path / "f"
        path.write_bytes(b"01234")
        with path.open("rb") as file:
            body = make_body(file, "blocking")
            with path.open("ab") as more:
                more.write(b"56789")
            assert read_all(body) == b"01234"

    def test_a_pipe_gives_what_is_there(self) -> None:
        reader, writer = os.pipe()
        with os.fdopen(reader, "rb") as file, os.fdopen(writer, "wb", buffering=0) as feed:
            body = make_body(file, "blocking")
            assert body.length is None
            feed.write(b"first")
            assert run(body.read()) == b"first"
            with pytest.raises(errors.BodyNotReplayable):
                body.rewind()

    @pytest.mark.parametrize("kind", [io.BytesIO, io.FileIO])
    def test_a_reader_that_a_program_has_put_there_is_called(self, kind: type, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"abc")

        class Loud(kind):  # type: ignore[misc]
            def read(self, *size: Any) -> bytes:
                return bytes(super().read(*size)).upper()

        def quietly(*size: Any) -> bytes:
            return open_file.read(*size).swapcase()

        with Loud(b"abc" if kind is io.BytesIO else path) as loud:
            assert read_all(make_body(loud, "blocking")) == b"ABC"
        with path.open("rb") as file, path.open("rb") as open_file:
            file.read = quietly
            assert read_all(make_body(file, "blocking")) == b"ABC"

    def test_compressed_files(self) -> None:
        with gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(b"inside"))) as file:
            body = make_body(file, "blocking")  # type: ignore[arg-type]
            assert body.length == 6
            assert read_all(body) == b"inside"

    def test_lengths(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(b"0123456789")
        with (tmp_path / "f").open("rb") as file:
            assert file_length(file) == 10
            file.seek(20)
            assert file_length(file) == 0
        with open("/dev/null", "rb") as null:
            assert file_length(null) == 0
        assert file_length(object()) is None


def test_json() -> None:
    assert encode_json({"a": [1, "ü"]}) == '{"a":[1,"ü"]}'.encode()
    with pytest.raises(ValueError):
        encode_json(float("inf"))


def test_form() -> None:
    assert encode_form({"a": "ü &", "b": [1, 2], "c": ("x",)}) == b"a=%C3%BC+%26&b=1&b=2&c=x"
    assert encode_form([("a", "1"), ("a", "2")]) == b"a=1&a=2"
    assert encode_form({}) == b""
