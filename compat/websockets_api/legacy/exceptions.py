"""Exceptions that only the deprecated API raises."""

from __future__ import annotations

import http

from drivetrain.compat.websockets_api import exceptions
from drivetrain.compat.websockets_api.datastructures import Headers, HeadersLike
from drivetrain.compat.websockets_api.originals import caught_as_original
from drivetrain.compat.websockets_api.typing import StatusLike

__all__ = ["AbortHandshake", "InvalidMessage", "InvalidStatusCode", "RedirectHandshake", "WebSocketProtocolError"]

InvalidMessage = exceptions.InvalidMessage
WebSocketProtocolError = exceptions.ProtocolError

_kind_of_original = caught_as_original("legacy.exceptions")


@_kind_of_original
class InvalidStatusCode(exceptions.InvalidHandshake):
    """The server answered with another status than 101.

    Attributes:
        status_code: that status.
        headers: fields of the answer.
    """

    def __init__(self, status_code: int, headers: Headers) -> None:
        self.status_code = status_code
        self.headers = headers

    def __str__(self) -> str:
        return f"server rejected WebSocket connection: HTTP {self.status_code}"


@_kind_of_original
class AbortHandshake(exceptions.InvalidHandshake):
    """The server answers the request itself, instead of opening a WebSocket.

    Attributes:
        status, headers, body: of the answer.
    """

    def __init__(self, status: StatusLike, headers: HeadersLike, body: bytes = b"") -> None:
        self.status = http.HTTPStatus(status)
        self.headers = Headers(headers)
        self.body = body

    def __str__(self) -> str:
        return f"HTTP {self.status:d}, {len(self.headers)} headers, {len(self.body)} bytes"


@_kind_of_original
class RedirectHandshake(exceptions.InvalidHandshake):
    """The server sends the client to another place.

    Attributes:
        uri: that place, which may be relative to the one before.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def __str__(self) -> str:
        return f"redirect to {self.uri}"
