"""What the HTTP/1 machine reports, complete and immutable. Names are past participles: an event is never a command."""

from __future__ import annotations

from typing import NamedTuple

from ..wire.headers import Headers

__all__ = [
    "ConnectionEnded",
    "DataReceived",
    "EndReceived",
    "Event",
    "InformationalReceived",
    "RequestReceived",
    "ResponseReceived",
]


class RequestReceived(NamedTuple):
    """The head of a request (server role).

    Attributes:
        headers: begins with `:method`, then, as they apply, `:scheme`, `:authority` and `:path`; `Host` is left out.
        version: 1.0 or 1.1.
        has_body: whether data can follow.
        expects_continue: whether the client waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1).
    """

    headers: Headers
    version: float
    has_body: bool
    expects_continue: bool


class ResponseReceived(NamedTuple):
    """The head of a final response (client role), or of `101 Switching Protocols`.

    Attributes:
        headers: begins with `:status`.
        version: 1.0 or 1.1.
        reason: the reason phrase, perhaps empty.
        has_body: whether data can follow.
        length: the body's length in bytes where the head tells it, else None.
        switched: the bytes after this head are no longer HTTP: a CONNECT tunnel or an upgraded protocol.
    """

    headers: Headers
    version: float
    reason: str
    has_body: bool
    length: int | None
    switched: bool


class InformationalReceived(NamedTuple):
    """The head of a 1xx response other than 101: the final one is still to come."""

    headers: Headers
    version: float
    reason: str


class DataReceived(NamedTuple):
    """A piece of the body, transfer codings removed. Piece boundaries mean nothing."""

    data: bytes


class EndReceived(NamedTuple):
    """The message is complete. `trailers` is None where there was no trailer section."""

    trailers: Headers | None


class ConnectionEnded(NamedTuple):
    """The peer ended its side between two messages."""


Event = RequestReceived | ResponseReceived | InformationalReceived | DataReceived | EndReceived | ConnectionEnded
