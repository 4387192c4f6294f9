"""What stands where urllib3's response keeps http.client's: for cookie jars, and for code that reaches that deep."""

from __future__ import annotations

import weakref
from functools import cached_property
from http.client import HTTPMessage
from typing import Any

from drivetrain.compat.field_names import fields_as_written
from drivetrain.compat.http_versions import VERSION_NUMBERS
from drivetrain.engine import Response

__all__ = ["HEAD_NAMES", "OriginalResponse"]

HEAD_NAMES = frozenset({"code", "getheader", "getheaders", "headers", "info", "msg", "reason", "status", "version"})
"""What a response of http.client tells of its head."""

_BODY_NAMES = frozenset(
    {
        *("chunk_left", "chunked", "fp", "length", "will_close"),
        *("fileno", "flush", "read", "read1", "readable", "readinto", "readline"),
    }
)


class OriginalResponse:
    """A response in http.client's terms. It reads from the body that urllib3's response has.

    It is false when the response sets no cookie: requests looks for cookies twice in every response, at length, and skips
    both looks when what it is to look into is false.

    Args:
        raw: the `RawResponse` that has it; None where nobody asks about the body.
        response: the engine's; None until the raw response has it.

    Attributes:
        response: the engine's.
    """

    response: Response

    def __init__(self, raw: Any, response: Response | None = None) -> None:
        # Weak, for it has this object.
        self._raw = None if raw is None else weakref.ref(raw)
        if response is not None:
            self.response = response

    def __bool__(self) -> bool:
        return "set-cookie" in self.response.headers.first_values()

    # One is made for every response, and hardly anybody looks at it.
    @cached_property
    def status(self) -> int:
        """The status code."""
        return self.response.status

    @cached_property
    def code(self) -> int:
        """`status`."""
        return self.response.status

    @cached_property
    def reason(self) -> str:
        """The reason phrase."""
        return self.response.reason

    @cached_property
    def version(self) -> int:
        """10, 11, or 20 over HTTP/2."""
        return VERSION_NUMBERS[self.response.http_version]

    @cached_property
    def msg(self) -> HTTPMessage:
        """The header section, with every repeated field."""
        message = HTTPMessage()
        for name, value in self.getheaders():
            message.add_header(name, value)
        return message

    @cached_property
    def headers(self) -> HTTPMessage:
        """`msg`."""
        return self.msg

    def info(self) -> HTTPMessage:
        """`msg`."""
        return self.msg

    def getheader(self, name: str, default: str | None = None) -> str | None:
        """The values of a field, joined by commas."""
        values = self.response.headers.get_as_sequence(name)
        return ", ".join(values) if values else default

    def getheaders(self) -> list[tuple[str, str]]:
        """All fields, in order."""
        return fields_as_written(self.response.headers.raw_fields(), self.response.http_version)

    def _body(self) -> Any:
        raw = None if self._raw is None else self._raw()
        return None if raw is None else raw.body_file()

    def isclosed(self) -> bool:
        """Whether the body was read to its end or given up."""
        raw = None if self._raw is None else self._raw()
        return True if raw is None else raw.is_over

    closed = property(isclosed)

    def close(self) -> None:
        """Give the rest of the body up."""
        if not self.isclosed():
            self._body().close()

    def __getattr__(self, name: str) -> Any:
        body = self._body() if name in _BODY_NAMES else None
        if body is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(body, name)
