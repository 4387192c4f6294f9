"""multipart/form-data bodies (RFC 7578), streamed: files are read while they are sent."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Iterable, Mapping
from typing import IO, Any

from ..backends.base import Colour
from ..errors import BodyNotReplayable
from .bodies import BytesBody, RequestBody, make_body

__all__ = ["FileSource", "FilesSource", "MultipartBody"]

FileSource = str | bytes | IO[bytes] | tuple[Any, ...]
FilesSource = Mapping[str, FileSource] | Iterable[tuple[str, FileSource]]

_ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


class MultipartBody(RequestBody):
    """Form fields and files as one body.

    Args:
        fields: pairs of field name and text or bytes (or a list of them).
        files: pairs of field name and a file's contents (text, bytes, a binary file or an iterable of bytes), or a tuple
            (filename, contents[, content type[, more field lines as a mapping]]). Without a filename the file's own `name`
            is sent, its last component only.
        colour: of the client.
        boundary: at most 70 characters; None for a random one.

    Attributes:
        content_type: the value for Content-Type, boundary included.
    """

    def __init__(
        self, fields: Iterable[tuple[str, Any]], files: FilesSource, colour: Colour, boundary: str | None = None
    ) -> None:
        boundary = boundary or os.urandom(16).hex()
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._parts: list[RequestBody] = []
        delimiter = f"--{boundary}\r\n"
        for name, values in fields:
            for value in values if isinstance(values, (list, tuple)) else [values]:
                content = value if isinstance(value, bytes) else str(value).encode()
                self._add(
                    f'{delimiter}Content-Disposition: form-data; name="{_quote(name)}"\r\n\r\n', BytesBody(content)
                )
        for name, source in files.items() if isinstance(files, Mapping) else files:
            self._add_file(delimiter, name, source, colour)
        self._parts.append(BytesBody(f"--{boundary}--\r\n".encode("ascii")))
        lengths = [part.length for part in self._parts]
        self.length = None if None in lengths else sum(length for length in lengths if length is not None)
        self._current = 0

    def _add(self, head: str, body: RequestBody) -> None:
        self._parts += [BytesBody(head.encode("utf-8", "surrogateescape")), body, BytesBody(b"\r\n")]

    def _add_file(self, delimiter: str, name: str, source: FileSource, colour: Colour) -> None:
        filename: str | None = None
        content_type: str | None = None
        more: Mapping[str, str] = {}
        contents: Any = source
        if isinstance(source, tuple):
            filename, contents, *rest = source
            content_type = rest[0] if rest else None
            more = rest[1] if len(rest) > 1 else {}
        else:
            own_name = getattr(source, "name", None)
            if isinstance(own_name, str) and own_name and own_name[0] != "<":
                filename = os.path.basename(own_name)
            elif not isinstance(source, (str, bytes)):
                filename = name
        head = f'{delimiter}Content-Disposition: form-data; name="{_quote(name)}"'
        if filename is not None:
            head += f'; filename="{_quote(filename)}"'
            content_type = content_type or mimetypes.guess_type(filename)[0] or "application/octet-stream"
        if content_type is not None:
            head += f"\r\nContent-Type: {_one_line(content_type)}"
        for field, value in more.items():
            head += f"\r\n{_one_line(field)}: {_one_line(value)}"
        self._add(head + "\r\n\r\n", make_body(contents, colour))

    async def read(self) -> bytes:
        """See `RequestBody.read`. Short parts are put together into one piece."""
        pieces: list[bytes] = []
        size = 0
        while self._current < len(self._parts) and size < 64 * 1024:
            piece = await self._parts[self._current].read()
            if piece:
                pieces.append(piece)
                size += len(piece)
            else:
                self._current += 1
        return b"".join(pieces)

    def rewind(self) -> None:
        """See `RequestBody.rewind`."""
        if not self.is_replayable:
            raise BodyNotReplayable("a file of the form cannot be read again")
        for part in self._parts:
            part.rewind()
        self._current = 0

    @property
    def is_replayable(self) -> bool:
        """See `RequestBody.is_replayable`."""
        return all(part.is_replayable for part in self._parts)


def _quote(text: str) -> str:
    """Escape a name as browsers do (WHATWG HTML, multipart/form-data encoding algorithm)."""
    return text.translate(_ESCAPES)


def _one_line(text: str) -> str:
    if "\r" in text or "\n" in text or "\0" in text:
        raise ValueError(f"CR, LF or NUL in a field line of a form part: {text[:40]!r}")
    return text
