"""Exceptions of the `websockets` API: names, attributes and messages are those of the original.

Where the original is installed, each class is also a kind of the original's class of the same name; see `originals`.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from drivetrain.compat.websockets_api.close_codes import CloseCode
from drivetrain.compat.websockets_api.imports import lazy_names
from drivetrain.compat.websockets_api.originals import caught_as_original

if TYPE_CHECKING:
    from drivetrain.compat.websockets_api.frames import Close
    from drivetrain.compat.websockets_api.http11 import Response

__all__ = [
    "ConcurrencyError",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "DuplicateParameter",
    "HeaderLineTooLong",
    "InvalidHandshake",
    "InvalidHeader",
    "InvalidHeaderFormat",
    "InvalidHeaderValue",
    "InvalidMessage",
    "InvalidMethod",
    "InvalidOrigin",
    "InvalidParameterName",
    "InvalidParameterValue",
    "InvalidProtocol",
    "InvalidProxy",
    "InvalidProxyMessage",
    "InvalidProxyStatus",
    "InvalidState",
    "InvalidStatus",
    "InvalidURI",
    "InvalidUpgrade",
    "NegotiationError",
    "PayloadTooBig",
    "ProtocolError",
    "ProxyError",
    "RequestLineTooLong",
    "SecurityError",
    "StatusLineTooLong",
    "TooManyFragments",
    "TooManyHeaders",
    "WebSocketException",
]

_kind_of_original = caught_as_original("exceptions")


@_kind_of_original
class WebSocketException(Exception):
    """Every exception of this package is one."""


# --- connections -----------------------------------------------------------------------------------------------------


class ConnectionClosed(WebSocketException):
    """The connection is closed, or was closed in the meantime.

    Attributes:
        rcvd: what the peer's close frame says; None when none came.
        sent: what our close frame says; None when none was sent.
        rcvd_then_sent: whether the peer's came first; None unless there were both.
    """

    def __init__(self, rcvd: Close | None, sent: Close | None, rcvd_then_sent: bool | None = None) -> None:
        if (rcvd is not None and sent is not None) != (rcvd_then_sent is not None):
            raise AssertionError("rcvd_then_sent goes with two close frames, and only with them")
        self.rcvd = rcvd
        self.sent = sent
        self.rcvd_then_sent = rcvd_then_sent

    def __str__(self) -> str:
        sent, received = f"sent {self.sent}", f"received {self.rcvd}"
        if self.rcvd is None:
            return "no close frame received or sent" if self.sent is None else f"{sent}; no close frame received"
        if self.sent is None:
            return f"{received}; no close frame sent"
        return f"{received}; then {sent}" if self.rcvd_then_sent else f"{sent}; then {received}"

    @property
    def code(self) -> int:
        """Deprecated: the code of `rcvd`, or 1006."""
        self._deprecated("code")
        return CloseCode.ABNORMAL_CLOSURE if self.rcvd is None else self.rcvd.code

    @property
    def reason(self) -> str:
        """Deprecated: the reason of `rcvd`, or an empty string."""
        self._deprecated("reason")
        return "" if self.rcvd is None else self.rcvd.reason

    def _deprecated(self, name: str) -> None:
        text = f"ConnectionClosed.{name} is deprecated; use Protocol.close_{name} or ConnectionClosed.rcvd.{name}"
        warnings.warn(text, DeprecationWarning, stacklevel=2)


class ConnectionClosedOK(ConnectionClosed):
    """Closed in order: each side has sent a close frame, with code 1000 or 1001 or none."""


class ConnectionClosedError(ConnectionClosed):
    """Closed because of an error: by a close frame with another code, or without close frames both ways."""


class ProtocolError(WebSocketException):
    """A frame, or its place among the others, is against RFC 6455."""


class PayloadTooBig(WebSocketException):
    """A frame, or the message that it belongs to, is larger than is allowed.

    Extensions raise it from `decode`.

    Args:
        size_or_message: size of the frame, in bytes; None when it is not known. (A message instead of all three is
            deprecated.)
        max_size: what was allowed for the frame, in bytes.
        current_size: what was received of the message before, in bytes. The limit becomes that of the message.
    """

    def __init__(
        self, size_or_message: int | str | None, max_size: int | None = None, current_size: int | None = None
    ) -> None:
        self.message: str | None = None
        if isinstance(size_or_message, str):
            if max_size is not None or current_size is not None:
                raise AssertionError("either a message or sizes")
            text = "PayloadTooBig(message) is deprecated; change to PayloadTooBig(size, max_size)"
            warnings.warn(text, DeprecationWarning, stacklevel=1)
            self.message = size_or_message
            return
        if max_size is None:
            raise AssertionError("a size without the limit")
        self.size = size_or_message
        self.max_size = max_size
        self.current_size: int | None = None
        self.set_current_size(current_size)

    def __str__(self) -> str:
        if self.message is not None:
            return self.message
        size = "" if self.size is None else f"with {self.size} bytes "
        before = "" if self.current_size is None else f"after reading {self.current_size} bytes "
        return f"frame {size}{before}exceeds limit of {self.max_size} bytes"

    def set_current_size(self, current_size: int | None) -> None:
        """Tell what was received of the message before the frame, in bytes; once."""
        if self.current_size is not None:
            raise AssertionError("the current size is known already")
        if current_size is not None:
            self.current_size = current_size
            self.max_size += current_size

    @property
    def cur_size(self) -> int | None:
        """`current_size`, as it was called until version 16."""
        return self.current_size


class TooManyFragments(WebSocketException):
    """A message came in more frames than are allowed.

    Args:
        max_fragments: how many are.
    """

    def __init__(self, max_fragments: int) -> None:
        # Not super(): the next in line may be the original's class, which would make a message of the message.
        Exception.__init__(self, f"fragmented message exceeds limit of {max_fragments} frames")
        self._max_fragments = max_fragments

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._max_fragments,)


class InvalidState(WebSocketException, AssertionError):
    """The connection is not in a state in which such a frame could be sent."""


class ConcurrencyError(WebSocketException, RuntimeError):
    """Two receive, or two send, at the same time."""


# --- addresses -------------------------------------------------------------------------------------------------------


class InvalidURI(WebSocketException):
    """Not the URI of a WebSocket.

    Attributes:
        uri: as it was given.
        msg: what is wrong with it.
    """

    def __init__(self, uri: str, msg: str) -> None:
        self.uri = uri
        self.msg = msg

    def __str__(self) -> str:
        return f"{self.uri} isn't a valid URI: {self.msg}"


class InvalidProxy(WebSocketException):
    """Not the address of a proxy.

    Attributes:
        proxy: as it was given.
        msg: what is wrong with it.
    """

    def __init__(self, proxy: str, msg: str) -> None:
        self.proxy = proxy
        self.msg = msg

    def __str__(self) -> str:
        return f"{self.proxy} isn't a valid proxy: {self.msg}"


# --- opening handshake -----------------------------------------------------------------------------------------------


class InvalidHandshake(WebSocketException):
    """The opening handshake failed."""


class SecurityError(InvalidHandshake):
    """A request or response goes beyond one of the limits that protect us."""


class RequestLineTooLong(SecurityError):
    """The first line of a request is too long."""


class StatusLineTooLong(SecurityError):
    """The first line of a response is too long."""


class HeaderLineTooLong(SecurityError):
    """One of the lines after the first is too long."""


class TooManyHeaders(SecurityError):
    """There are too many header fields."""


class ProxyError(InvalidHandshake):
    """The proxy did not make a way to the server."""


class InvalidProxyMessage(ProxyError):
    """What the proxy answered is not HTTP."""


class InvalidProxyStatus(ProxyError):
    """The proxy refused.

    Attributes:
        response: what it answered.
    """

    def __init__(self, response: Response) -> None:
        self.response = response

    def __str__(self) -> str:
        return f"proxy rejected connection: HTTP {self.response.status_code:d}"


class InvalidMessage(InvalidHandshake):
    """A request or response is not HTTP."""


class InvalidMethod(InvalidHandshake):
    """A request whose method is not GET."""

    def __init__(self, method: str) -> None:
        self.method = method

    def __str__(self) -> str:
        return f"unsupported HTTP method: {self.method}"


class InvalidProtocol(InvalidHandshake):
    """A request in another version of HTTP than 1.1."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol

    def __str__(self) -> str:
        return f"unsupported HTTP version: {self.protocol}"


class InvalidStatus(InvalidHandshake):
    """The server answered with another status than 101.

    Attributes:
        response: the whole answer.
    """

    def __init__(self, response: Response) -> None:
        self.response = response

    def __str__(self) -> str:
        return f"server rejected WebSocket connection: HTTP {self.response.status_code:d}"


class InvalidHeader(InvalidHandshake):
    """A header field is missing, or says what it should not.

    Attributes:
        name: of the field.
        value: of the field; None when it is missing.
    """

    def __init__(self, name: str, value: str | None = None) -> None:
        self.name = name
        self.value = value

    def __str__(self) -> str:
        if self.value is None:
            return f"missing {self.name} header"
        return f"invalid {self.name} header: {self.value}" if self.value else f"empty {self.name} header"


class InvalidHeaderFormat(InvalidHeader):
    """A header field that cannot be read."""

    def __init__(self, name: str, error: str, header: str, pos: int) -> None:
        super().__init__(name, f"{error} at {pos} in {header}")


class InvalidHeaderValue(InvalidHeader):
    """A header field that can be read, but asks for what cannot be."""


class InvalidOrigin(InvalidHeader):
    """The request's origin is not one of those that are allowed."""

    def __init__(self, origin: str | None) -> None:
        super().__init__("Origin", origin)


class InvalidUpgrade(InvalidHeader):
    """`Upgrade` or `Connection` do not ask for, or agree to, a WebSocket."""


class NegotiationError(InvalidHandshake):
    """The two sides do not agree on an extension or a subprotocol."""


class DuplicateParameter(NegotiationError):
    """A parameter of an extension is there twice."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return f"duplicate parameter: {self.name}"


class InvalidParameterName(NegotiationError):
    """An extension has no such parameter."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return f"invalid parameter name: {self.name}"


class InvalidParameterValue(NegotiationError):
    """A parameter of an extension cannot have that value.

    Attributes:
        name: of the parameter.
        value: of the parameter; None when there is none.
    """

    def __init__(self, name: str, value: str | None) -> None:
        self.name = name
        self.value = value

    def __str__(self) -> str:
        if self.value is None:
            return f"missing value for parameter {self.name}"
        what = "invalid" if self.value else "empty"
        return f"{what} value for parameter {self.name}" + (f": {self.value}" if self.value else "")


# Parents and children in any order: Python works out the rest.
for _name in __all__:
    _kind_of_original(globals()[_name])

_DEPRECATED = ("AbortHandshake", "InvalidStatusCode", "RedirectHandshake", "WebSocketProtocolError")
__getattr__, __dir__ = lazy_names(__name__, deprecated=dict.fromkeys(_DEPRECATED, "legacy.exceptions"))
