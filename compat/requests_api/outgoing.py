"""A prepared request as the engine sends it: field lines in the order and case in which http.client puts them, and a body."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import urllib3
from requests import PreparedRequest
from requests.structures import CaseInsensitiveDict
from urllib3.util import SKIP_HEADER
from urllib3.util.request import SKIPPABLE_HEADERS

__all__ = ["content_of", "fields_of", "is_one_shot", "is_refused_unsent"]

_METHODS_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "TRACE", "OPTIONS", "CONNECT"})
_USER_AGENT = f"python-urllib3/{vars(urllib3)['__version__']}"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]").search
_PIECE = 16 * 1024
_TEXT_ONLY = {str}


def fields_of(request: PreparedRequest) -> list[tuple[str, str]]:
    """The field lines of a request, Host left to the engine unless the request has its own.

    What urllib3 and http.client add stands in front, as there. A request that has both Content-Length and
    Transfer-Encoding, as requests makes of a generator whose length the caller gave, keeps the length only: both together
    are what smuggling is made of.

    Raises:
        TypeError: a value that is neither text, bytes nor a whole number.
        UnicodeEncodeError: text that is not in ISO-8859-1.
    """
    headers: Any = request.headers
    if type(headers) is CaseInsensitiveDict:
        # The very pairs that are wanted; going through the mapping's methods costs more than sending them.
        names: Any = vars(headers)["_store"]
        fields = list(names.values())
    else:
        fields = list(headers.items())
        names = frozenset(_text(name).lower() for name in headers)
    words = [*chain.from_iterable(fields)]
    if words and (set(map(type, words)) != _TEXT_ONLY or SKIP_HEADER in words):
        fields = list(_converted(fields))
    body = request.body
    if "user-agent" not in names:
        fields.insert(0, ("User-Agent", _USER_AGENT))
    if "content-length" in names and not _said(fields, "content-length"):
        # As fields of a request that is passed on: of no body, or of one whose length is told in its place.
        fields = [field for field in fields if field[0].lower() != "content-length"]
        names = {name.lower() for name, _ in fields}
    if "content-length" in names:
        if "transfer-encoding" in names:
            fields = [field for field in fields if field[0].lower() != "transfer-encoding"]
    elif "transfer-encoding" not in names:
        if body is not None:
            fields.insert(0, ("Transfer-Encoding", "chunked"))
        elif request.method not in _METHODS_WITHOUT_BODY:
            fields.insert(0, ("Content-Length", "0"))
    if "accept-encoding" not in names:
        fields.insert(0, ("Accept-Encoding", "identity"))
    return fields


def _said(fields: Iterable[tuple[str, str]], name: str) -> bool:
    """Whether a field has a value."""
    return any(value.strip() for known, value in fields if known.lower() == name)


def is_refused_unsent(request: PreparedRequest, fields: Iterable[tuple[str, str]]) -> bool:
    """Whether it was the head that the engine refused, before it sent anything of the body: http.client looks for less."""
    if request.body is None:
        return True
    words = (request.method or "", *(name for name, _ in fields))
    return not all(map(_TOKEN, words)) or any(map(_CONTROL, (value for _, value in fields)))


def _text(value: Any) -> str:
    # Of a subclass the characters, which is what http.client sends, and not what `str` makes of a member of an enumeration.
    return str.__str__(value) if isinstance(value, str) else value.decode("latin-1")


def _converted(fields: Iterable[tuple[Any, Any]]) -> Iterator[tuple[str, str]]:
    for name, value in fields:
        name = _text(name)
        if isinstance(value, str):
            if value != SKIP_HEADER:
                yield name, _text(value)
            elif name.lower() not in SKIPPABLE_HEADERS:
                raise ValueError(f"urllib3.util.SKIP_HEADER only supports {', '.join(sorted(SKIPPABLE_HEADERS))}")
        elif isinstance(value, bytes):
            yield name, value.decode("latin-1")
        elif isinstance(value, int):
            yield name, str(value)
        else:
            raise TypeError(f"the value of header {name!r} must be of type str or bytes, not {type(value).__name__}")


class _Pieces:
    """Something with `read` that need not be a file: its pieces, text as UTF-8."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __iter__(self) -> _Pieces:
        return self

    def __next__(self) -> bytes:
        piece = self._source.read(_PIECE)
        if not piece:
            raise StopIteration
        return piece.encode() if isinstance(piece, str) else piece


def content_of(body: Any) -> Any:
    """A request's body as the engine takes it; None, bytes and text as they are.

    Raises:
        TypeError: it cannot be a body.
    """
    if body is None or isinstance(body, (bytes, str, bytearray, io.RawIOBase, io.BufferedIOBase)):
        return body
    if hasattr(body, "read"):
        return _Pieces(body)
    try:
        return bytes(memoryview(body))
    except TypeError:
        pass
    return body if isinstance(body, Iterable) else iter(body)


def is_one_shot(body: Any) -> bool:
    """Whether a body is gone once it was sent: an iterator, and no file that might be rewound."""
    return isinstance(body, Iterator) and not hasattr(body, "read")
