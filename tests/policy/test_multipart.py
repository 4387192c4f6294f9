"""multipart/form-data, read back with the standard library's parser."""

from __future__ import annotations

import email
import email.policy
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine import errors
from drivetrain.engine.backends.blocking import run
from drivetrain.engine.policy.multipart import MultipartBody


def read_all(body: MultipartBody) -> bytes:
    data = b""
    while piece := run(body.read()):
        data += piece
    return data


def parts_of(body: MultipartBody) -> list[tuple[Any, bytes]]:
    data = read_all(body)
    if body.length is not None:
        assert len(data) == body.length
    head = f"Content-Type: {body.content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + data, policy=email.policy.HTTP)
    return [(part, part.get_payload(decode=True)) for part in message.iter_parts()]  # type: ignore[attr-defined]


def make(fields: Any = (), files: Any = ()) -> MultipartBody:
    return MultipartBody(fields, files, "blocking")


def test_fields_and_files_in_order() -> None:
    body = make([("a", "1"), ("b", ["x", b"\xff"])], [("f", ("f.txt", "text")), ("g", b"plain")])
    parts = parts_of(body)
    names = [part.get_param("name", header="content-disposition") for part, _ in parts]
    assert names == ["a", "b", "b", "f", "g"]
    assert [content for _, content in parts] == [b"1", b"x", b"\xff", b"text", b"plain"]
    assert [part.get_filename() for part, _ in parts] == [None, None, None, "f.txt", None]
    assert parts[3][0].get_content_type() == "text/plain"


def test_names_of_files(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"png")
    with path.open("rb") as file:
        (part, content), (other, _) = parts_of(make(files={"f": file, "g": io.BytesIO(b"x")}))
    assert (part.get_filename(), part.get_content_type(), content) == ("photo.png", "image/png", b"png")
    assert (other.get_filename(), other.get_content_type()) == ("g", "application/octet-stream")


def test_types_and_more_fields() -> None:
    (part, _), (nameless, _) = parts_of(
        make(files=[("f", ("n", b"x", "a/b", {"X-More": "1"})), ("g", (None, b"{}", "application/json"))])
    )
    assert (part.get_content_type(), part["x-more"]) == ("a/b", "1")
    assert (nameless.get_filename(), nameless.get_content_type()) == (None, "application/json")


@pytest.mark.parametrize("name", ['a"b', "a\r\nb", "a\nX-Evil: 1", "grün", "\udcff"])
def test_names_cannot_break_out(name: str) -> None:
    data = read_all(make([("x", "y")], {name if name != "\udcff" else "s": (name, b"content")}))
    head = data.split(b"\r\n\r\n")[1]
    assert head.count(b"\r\n") == 3
    assert b"\nX-Evil" not in data


@pytest.mark.parametrize(
    "bad", [("n", b"", "a/b\r\nX: y"), ("n", b"", None, {"X\r\n": "y"}), ("n", b"", None, {"X": "\n"})]
)
def test_nor_can_field_lines(bad: Any) -> None:
    with pytest.raises(ValueError):
        make(files={"f": bad})


def test_unknown_lengths_and_one_shots() -> None:
    body = make(files={"f": ("n", iter([b"a", b"b"]))})
    assert body.length is None
    body.rewind()
    assert [content for _, content in parts_of(body)] == [b"ab"]
    assert not body.is_replayable
    with pytest.raises(errors.BodyNotReplayable):
        body.rewind()


def test_rewind(tmp_path: Path) -> None:
    body = make({"a": "1"}.items(), {"f": io.BytesIO(b"x" * 200_000)})
    first = read_all(body)
    body.rewind()
    assert read_all(body) == first
    assert len(first) == body.length


def test_one_file_twice() -> None:
    file = io.BytesIO(b"same")
    assert [content for _, content in parts_of(make(files=[("a", file), ("b", file)]))] == [b"same", b"same"]


def test_wrong_colours() -> None:
    async def later() -> Any:
        yield b"x"

    for bad in (later(), io.StringIO("text"), 7):
        with pytest.raises(TypeError):
            make(files={"f": ("n", bad)})


@given(st.lists(st.tuples(st.text("abc", min_size=1), st.binary(max_size=100)), max_size=5))
def test_contents_come_back(fields: list[tuple[str, bytes]]) -> None:
    data = read_all(body := make(fields))
    boundary = body.content_type.partition("boundary=")[2].encode()
    found = [part.partition(b"\r\n\r\n")[2][:-2] for part in data.split(b"--" + boundary)[1:-1]]
    assert found == [content for _, content in fields]
    assert len(data) == body.length
