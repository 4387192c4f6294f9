"""The error codes of HTTP/2 and the error object that carries one (RFC 9113 section 7; lua-http's `http.h2_error`).

Laws:

- a code is an `H2ErrorCode`, which is an `int`. Every number of 32 bits is one: an unregistered number has the name
  `UNKNOWN_0x…`, is equal to itself wherever it comes from and has no behaviour of its own, as section 7 demands;
- codes are compared as numbers: ``error.code == H2ErrorCode.CANCEL``;
- an `H2Error` is about one stream when `stream_error` is true, which is answered with RST_STREAM, and about the whole
  connection when it is false, which is answered with GOAWAY;
- it is raised for what the peer did, and is a plain value where a program says why it resets a stream. What this side
  is about to do wrong is a `LocalProtocolError`.
"""

from __future__ import annotations

import traceback as tracebacks
from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar

from ..errors import LimitExceeded, RemoteProtocolError, UsageError

__all__ = ["H2_ERRORS", "H2Error", "H2ErrorCode", "H2ErrorLike", "H2LimitExceeded", "error_name", "is_h2_error"]

T = TypeVar("T")

_MAX_CODE = 2**32 - 1
_DESCRIPTIONS = {
    0x0: "Graceful shutdown",
    0x1: "Protocol error detected",
    0x2: "Implementation fault",
    0x3: "Flow-control limits exceeded",
    0x4: "Settings not acknowledged",
    0x5: "Frame received for closed stream",
    0x6: "Frame size incorrect",
    0x7: "Stream not processed",
    0x8: "Stream cancelled",
    0x9: "Compression state not updated",
    0xA: "TCP connection error for CONNECT method",
    0xB: "Processing capacity exceeded",
    0xC: "Negotiated TLS parameters not acceptable",
    0xD: "Use HTTP/1.1 for the request",
}


class H2ErrorCode(IntEnum):
    """The registry of error codes. `H2ErrorCode(number)` takes any number of 32 bits, `H2ErrorCode[name]` known names.

    Iteration and `len` cover the registered codes only.
    """

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD

    @classmethod
    def _missing_(cls, value: object) -> H2ErrorCode | None:
        # Not remembered by the class: peers choose these numbers, and there are four thousand million of them.
        if not isinstance(value, int) or not 0 <= value <= _MAX_CODE:
            return None
        code = int.__new__(cls, value)
        code._name_ = f"UNKNOWN_0x{value:x}"
        code._value_ = value
        return code

    @property
    def description(self) -> str:
        """What the code means, in a few words."""
        return _DESCRIPTIONS.get(self, "Unregistered error code")

    @property
    def registered(self) -> bool:
        """Whether RFC 9113 names the code."""
        return self in _DESCRIPTIONS

    def new(self, message: str | None = None, *, stream_error: bool = False) -> H2Error:
        """Return an `H2Error` with this code."""
        return H2Error(self, message, stream_error=stream_error)

    def new_traceback(self, message: str | None = None, stream_error: bool = False, level: int = 1) -> H2Error:
        """Return an `H2Error` with this code that has recorded where it was made; see `H2Error.new_traceback`."""
        return H2Error.new_traceback(self, message, stream_error, level + 1 if level else 0)

    def error(self, message: str | None = None, *, stream_error: bool = False) -> NoReturn:
        """Raise an `H2Error` with this code."""
        raise H2Error(self, message, stream_error=stream_error)

    def check(self, condition: T, message: str | None = None, *, stream_error: bool = False) -> T:
        """Return `condition` if it is true, else raise an `H2Error` with this code (lua-http's `assert`)."""
        if not condition:
            raise H2Error(self, message, stream_error=stream_error)
        return condition


H2_ERRORS: Mapping[int | str, H2ErrorCode] = MappingProxyType(
    {key: code for code in H2ErrorCode for key in (int(code), code.name)}
)
"""The registered codes by number and by name: ``H2_ERRORS[0x1] is H2_ERRORS["PROTOCOL_ERROR"]``. Read only."""


class H2Error(RemoteProtocolError):
    """An error of HTTP/2: a code of the registry, what it is about, and whether it ends a stream or the connection.

    Args:
        code: a code, its number or its name, or another `H2Error` whose name, code and description are taken over.
        message: what happened, naming the offending part and no value of a field; None when the code says it all.
        stream_error: whether only one stream is affected.
        name: stands for the code's own name.
        description: stands for the code's own description.
        traceback: text that tells where the error was made, kept for `str` (lua-http's field of that name). Python's
            own traceback of a raised error is `__traceback__`, as ever.
        status: the status code a server answers such a request with where it still can.

    Raises:
        UsageError: `code` is not in the registry by that name, or not a number of 32 bits.
    """

    def __init__(
        self,
        code: H2ErrorLike,
        message: str | None = None,
        *,
        stream_error: bool = False,
        name: str | None = None,
        description: str | None = None,
        traceback: str | None = None,
        status: int = 400,
    ) -> None:
        found = _find_code(code)
        parent = code if isinstance(code, H2Error) else None
        self.code = found
        self.name: str = name or (parent.name if parent else found.name)
        self.description: str = description or (parent.description if parent else found.description)
        self.message = message
        self.stream_error = stream_error
        self.traceback = traceback
        super().__init__(str(self), status)

    @classmethod
    def new(cls, code: H2ErrorLike, message: str | None = None, **fields: Any) -> H2Error:
        """Return a new error, like the class itself; lua-http's name for it, e.g. ``H2Error.new(parent, "why")``."""
        return cls(code, message, **fields)

    @classmethod
    def new_traceback(
        cls, code: H2ErrorLike, message: str | None = None, stream_error: bool = False, level: int = 1
    ) -> H2Error:
        """Return a new error that has recorded where it was made.

        Args:
            code, message, stream_error: as for the class.
            level: where the record ends: 1 at the caller, 2 at the caller's caller, …; 0 for no record.
        """
        stack = _stack_text(level + 1) if level else None
        return cls(code, message, stream_error=stream_error, traceback=stack)

    def __str__(self) -> str:
        text = f"{self.name}(0x{self.code:x}): {self.description}"
        if self.message is not None:
            text += f": {self.message}"
        if self.traceback is not None:
            text += f"\n{self.traceback}"
        return text

    def __repr__(self) -> str:
        scope = "stream" if self.stream_error else "connection"
        return (
            f"<{type(self).__name__} {self.name}(0x{self.code:x}) of the {scope}: {self.message or self.description}>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (int(self.code), self.message), self.__dict__


class H2LimitExceeded(H2Error, LimitExceeded):
    """An HTTP/2 error because the peer sent more than this side is set to accept; usually ENHANCE_YOUR_CALM."""


H2ErrorLike = H2ErrorCode | int | str | H2Error
"""What names an error code: a code, a number, a registered name, or an error that has one."""


def _stack_text(level: int) -> str:
    stack = tracebacks.format_stack()
    return "".join(stack[: len(stack) - level]).rstrip("\n")


def _find_code(which: H2ErrorLike) -> H2ErrorCode:
    if isinstance(which, H2Error):
        return which.code
    try:
        return H2_ERRORS[which] if isinstance(which, str) else H2ErrorCode(which)
    except (KeyError, ValueError):
        raise UsageError(f"not an HTTP/2 error code: {which!r}") from None


def error_name(code: H2ErrorLike) -> str:
    """Return the name of an error code, `UNKNOWN_0x…` for an unregistered number.

    Raises:
        UsageError: no such name, or not a number of 32 bits.
    """
    return _find_code(code).name


def is_h2_error(ob: object) -> bool:
    """Tell whether `ob` is an `H2Error`."""
    return isinstance(ob, H2Error)
