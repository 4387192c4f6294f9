"""A request as the request loop sends it: complete headers, a body that may be rewound, and where it goes."""

from __future__ import annotations

from ..connection.connector import OriginKey
from ..wire.headers import Headers
from ..wire.uri import Uri
from .bodies import RequestBody

__all__ = ["Outgoing"]

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})


class Outgoing:
    """One hop's request.

    Attributes:
        method, uri: what is asked of whom; `uri` is what the user sees, the headers are what is sent.
        headers: all of them, pseudo-header fields included.
        body: None for a request without one.
        key: the origin whose connections may carry it.
        continue_wait: seconds to wait for 100 Continue when the headers announce that (RFC 9110 section 10.1.1).
    """

    __slots__ = ("body", "continue_wait", "headers", "key", "method", "uri")

    def __init__(self, method: str, uri: Uri, headers: Headers, body: RequestBody | None, key: OriginKey) -> None:
        self.method = method
        self.uri = uri
        self.headers = headers
        self.body = body
        self.key = key
        self.continue_wait = 1.0

    @property
    def waits_for_continue(self) -> bool:
        """Whether the body is held back until the server has said that it wants it."""
        return self.headers.first_values().get("expect", "").lower() == "100-continue"

    @property
    def may_be_repeated(self) -> bool:
        """Whether sending it twice does no more than sending it once (RFC 9110 section 9.2.2), and can be done."""
        return self.method in _IDEMPOTENT and (self.body is None or self.body.is_replayable)
