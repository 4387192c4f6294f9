"""What a handler with a debug level prints: the lines that `http.client` prints of a request and its answer.

"send:" is printed when the engine is given the request or takes a piece of its body, which over a connection that is kept is
when it is sent. Over HTTP/2 the lines are those that HTTP/1.1 would have had.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from drivetrain.engine import Response

__all__ = ["tell_request", "tell_response"]


def tell_request(
    method: str, target: str, fields: list[tuple[str, str]], body: bytes | Iterable[bytes] | None
) -> bytes | Iterable[bytes] | None:
    """Print a request.

    Args:
        method, target, fields, body: of it.

    Returns:
        The body to send in the place of the one given, which prints its pieces.
    """
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    _tell("send:", "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1", "replace"))
    if body is None or isinstance(body, bytes):
        if body:
            _tell("send:", body)
        return body
    is_chunked = any(name == "Transfer-Encoding" for name, _ in fields)
    # What can be iterated once must not look like what can be sent a second time.
    return _pieces(body, is_chunked) if isinstance(body, Iterator) else _Told(body, is_chunked)


def tell_response(response: Response) -> None:
    """Print the head of a response."""
    _tell("reply:", f"HTTP/{response.http_version} {response.status} {response.reason}\r\n")
    for name, value in response.headers.raw_fields()[1:]:
        print("header:", f"{name}:", value)  # noqa: T201  # who sets a debug level asks for this


def _tell(what: str, text: Any) -> None:
    print(what, repr(text))  # noqa: T201


def _pieces(body: Iterable[bytes], is_chunked: bool) -> Iterator[bytes]:
    for piece in body:
        _tell("send:", b"%X\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
        yield piece
    if is_chunked:
        _tell("send:", b"0\r\n\r\n")


class _Told:
    def __init__(self, body: Iterable[bytes], is_chunked: bool) -> None:
        self._body = body
        self._is_chunked = is_chunked

    def __iter__(self) -> Iterator[bytes]:
        return _pieces(self._body, self._is_chunked)
