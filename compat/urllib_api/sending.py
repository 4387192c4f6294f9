"""From a `urllib.request.Request` to what goes on the wire, byte for byte as `http.client` sends it for urllib.

The order is that of `HTTPConnection.request` behind `AbstractHTTPHandler.do_open`: Accept-Encoding, Content-Length where
the original adds it late, the unredirected fields, the others; names in title case. Of a name that is among both, the value
is the unredirected one's or the other's, as this version of Python has it. One line is missing on purpose:
`Connection: close`, which the original sends because it cannot keep a connection. A Connection field of the caller's is
sent as it is.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
from collections.abc import Iterable, Iterator
from functools import lru_cache
from socket import _GLOBAL_DEFAULT_TIMEOUT  # type: ignore[attr-defined]
from typing import Any
from urllib.error import URLError
from urllib.request import AbstractHTTPHandler, Request

from drivetrain.engine import Timeouts

__all__ = [
    "as_text",
    "body_of",
    "checked_target",
    "fields_of",
    "missing_framing",
    "origin_of",
    "target_of",
    "timeouts_of",
]

_METHODS_EXPECTING_BODY = frozenset({"PATCH", "POST", "PUT"})
_PIECE = 64 * 1024
_find_disallowed = re.compile("[\x00-\x20\x7f]").search
_PORTS = {"http": http.client.HTTP_PORT, "https": http.client.HTTPS_PORT}
_NO_LIMITS = Timeouts()


class _Asked(Exception):
    """What a connection was asked for."""


class _Asking:
    """A connection that only tells what it is asked for."""

    def __init__(self, host: str, **_options: Any) -> None: ...

    def set_debuglevel(self, level: int) -> None: ...

    def request(self, method: str, target: str, body: Any, headers: dict[str, str], **_options: Any) -> None:
        raise _Asked(headers["X"])

    def close(self) -> None: ...


def _redirected_win() -> bool:
    request = Request("http://localhost/", headers={"X": "redirected"})
    request.add_unredirected_header("X", "unredirected")
    request.timeout = 0
    try:
        AbstractHTTPHandler().do_open(_Asking, request)  # type: ignore[arg-type]
    except _Asked as asked:
        return asked.args == ("redirected",)
    return False


_REDIRECTED_WIN = (
    _redirected_win()
)  # since 3.14.7, and asked, as older versions may come to it in any of their releases


@lru_cache(256)
def _title(name: str | bytes) -> str:
    return name.title() if isinstance(name, str) else name.decode("latin-1").title()


@lru_cache(256)
def origin_of(scheme: str, host: str) -> str:
    """The URL of a server's root.

    Args:
        scheme: "http" or "https".
        host: "host[:port]" as in `Request.host`.

    Raises:
        http.client.InvalidURL: it is not of that form.
        URLError: there cannot be such a host.
    """
    found = _find_disallowed(host)
    if found:
        raise http.client.InvalidURL(
            f"URL can't contain control characters. {host!r} (found at least {found.group()!r})"
        )
    name, colon, port = host.rpartition(":")
    if not colon or "]" in port:
        name, port = host, ""
    if not port:
        port = str(_PORTS[scheme])
    if not (port.isascii() and port.isdigit()):
        raise http.client.InvalidURL(f"nonnumeric port: {port!r}")
    if "@" in name:
        # User information is none to the original: it looks up a host of that name.
        raise URLError(
            socket.gaierror(socket.EAI_NONAME, f"cannot resolve {name.rpartition('@')[2]!r} with user information")
        )
    return f"{scheme}://{name}:{port}/"


def target_of(request: Request, selector: str | None = None) -> str:
    """The request target, exactly as the request has it, or as `selector` says.

    Raises:
        http.client.InvalidURL: it holds blanks or control characters.
        UnicodeEncodeError: it holds characters that are not ASCII.
    """
    return checked_target((request.selector if selector is None else selector) or "/")


def checked_target(target: str) -> str:
    """The same, which is a request target.

    Raises:
        http.client.InvalidURL, UnicodeEncodeError: see `target_of`.
    """
    if not (target.isascii() and target.isprintable()) or " " in target:
        found = _find_disallowed(target)
        if found:
            raise http.client.InvalidURL(
                f"URL can't contain control characters. {target!r} (found at least {found.group()!r})"
            )
        target.encode("ascii")
    return target


def fields_of(request: Request, method: str) -> list[tuple[str, str]]:
    """The field lines of a request that went through `do_request_`, as the original orders and spells them."""
    merged = {_title(name): value for name, value in request.unredirected_hdrs.items()}
    headers = request.headers
    if headers:
        unredirected = () if _REDIRECTED_WIN else request.unredirected_hdrs
        for name, value in headers.items():
            if name not in unredirected:
                merged[_title(name)] = value
    fields = [] if "Accept-Encoding" in merged else [("Accept-Encoding", "identity")]
    if (request.data is not None or method.upper() in _METHODS_EXPECTING_BODY) and (
        "Content-Length" not in merged and "Transfer-Encoding" not in merged
    ):
        fields.append(missing_framing(request.data))
    for name, value in merged.items():
        fields.append((name, value if type(value) is str else as_text(value)))
    return fields


def missing_framing(data: Any) -> tuple[str, str]:
    """What `HTTPConnection.request` adds: for a method that expects a body and has none, or where a handler was replaced."""
    if data is None:
        return "Content-Length", "0"
    try:
        return "Content-Length", str(memoryview(data).nbytes)
    except TypeError:
        return "Transfer-Encoding", "chunked"


def as_text(value: Any) -> str:
    """A field value of a kind that `http.client` takes too: bytes, a whole number, or text of a subclass.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("latin-1")
    if isinstance(value, str):
        return str.__str__(value)  # its characters: `str` makes something else of a member of an enumeration
    if not isinstance(value, int):
        raise TypeError(f"expected string or bytes-like object, got {type(value).__name__!r}")
    return str(value)


def body_of(data: Any) -> bytes | Iterable[bytes] | None:
    """A request's `data` (bytes-like, a file, an iterable of bytes) as a body for the engine.

    A file is read to its end, wherever that is: its length, which for a compressed one is another, is not asked.

    Raises:
        TypeError: it is none of these.
    """
    if data is None or type(data) is bytes:
        return data
    if hasattr(data, "read"):
        return _RewindableFile(data) if _is_seekable(data) else _pieces_of(data)
    try:
        return bytes(memoryview(data))
    except TypeError:
        pass
    if isinstance(data, str) or not isinstance(data, Iterable):
        raise TypeError(f"message_body should be a bytes-like object or an iterable, got {type(data)!r}")
    # What can be iterated once must not look like what can be sent a second time.
    return _pieces_in(data) if isinstance(data, Iterator) else _Iterated(data)


def _is_seekable(file: Any) -> bool:
    try:
        return bool(file.seekable())
    except (AttributeError, OSError, ValueError):
        return False


def _pieces_of(file: Any) -> Iterator[bytes]:
    is_text = isinstance(file, io.TextIOBase)
    while piece := file.read(_PIECE):
        yield piece.encode("iso-8859-1") if is_text else piece


def _pieces_in(data: Iterable[Any]) -> Iterator[bytes]:
    for piece in data:
        if isinstance(piece, str):
            raise TypeError("can't concat str to bytes")
        yield piece if type(piece) is bytes else bytes(memoryview(piece))


class _Iterated:
    """The pieces of an iterable, as often as it is iterated."""

    def __init__(self, data: Iterable[Any]) -> None:
        self._data = data

    def __iter__(self) -> Iterator[bytes]:
        return _pieces_in(self._data)


class _RewindableFile:
    """The rest of a file, as often as it is iterated: what can be sent a second time after a stale connection."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._start = file.tell()
        self._started = False

    def __iter__(self) -> Iterator[bytes]:
        if self._started:
            self._file.seek(self._start)
        self._started = True
        return _pieces_of(self._file)


def timeouts_of(timeout: object) -> Timeouts:
    """A urllib timeout, which holds for each socket operation, in the engine's terms.

    Raises:
        ValueError, TypeError, OverflowError: it is no number of seconds that a socket takes.
    """
    if timeout is _GLOBAL_DEFAULT_TIMEOUT:
        timeout = socket.getdefaulttimeout()
    return _NO_LIMITS if timeout is None else _timeouts(timeout)


@lru_cache(64, typed=True)
def _timeouts(value: Any) -> Timeouts:
    with socket.socket() as judge:
        judge.settimeout(value)
    seconds = float(value)
    return Timeouts(connect=seconds, read=seconds, write=seconds)
