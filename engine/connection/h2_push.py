"""Server push: streams that a server opens by promising a request it answers itself (RFC 9113 section 8.4).

A server pushes with `push_promise` on the stream of a request. A client refuses unless `H2Limits.enable_push` is set; then it
finds the pushed streams through `get_next_incoming_stream` and reads of each first the promised request, then the response.

Pushes that nobody asks for must not hold up what was asked for: those not fetched yet may hold at most half of the connection's
window, and what comes beyond is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import LocalProtocolError
from ..util import scheme_to_port
from ..wire.h2_errors import H2Error, H2ErrorCode
from ..wire.h2_fields import content_length
from ..wire.headers import Headers
from .h2_client_stream import H2ClientStream
from .h2_server_stream import H2ServerStream

if TYPE_CHECKING:
    from .h2_connection import H2Connection

__all__ = ["H2PromisedStream", "H2PushedStream", "check_promised_request", "is_same_authority", "max_unclaimed"]

_CANCEL = 0x8


class H2PromisedStream(H2ServerStream):
    """The server's side of a push: `get_headers` gives the promised request, and the response is sent as any other.

    An informational response has no place on it. `shutdown` before the response is complete resets it with CANCEL.
    """

    is_pushed = True

    def __init__(self, connection: H2Connection) -> None:
        super().__init__(connection, 0)
        self.id = None

    @property
    def state(self) -> str:
        """As on any stream; "reserved (local)" between the promise and the response."""
        state = super().state
        return "reserved (local)" if state == "half closed (remote)" and self.status is None else state

    def promise_sent(self, request: Headers) -> None:
        """The promise was queued. Under the guard."""
        self.head_received(request)
        self._received_all = True

    def _queue_head(self, headers: Headers, end_stream: bool, body: int = 0) -> None:
        if self.status is None and headers.get(":status", "")[:1] == "1":
            raise LocalProtocolError("a pushed response has no informational ones before it")
        super()._queue_head(headers, end_stream, body)

    async def shutdown(self, timeout: float | None = None) -> None:
        """Give the push up: reset it unless it is complete. Never waits. Idempotent."""
        self.cancel(_CANCEL)


class H2PushedStream(H2ClientStream):
    """The client's side of a push: `get_headers` gives the promised request first, then the response.

    Attributes:
        request: the promised request.
    """

    is_pushed = True

    def __init__(self, connection: H2Connection, stream_id: int, request: Headers) -> None:
        super().__init__(connection)
        self.id = stream_id
        self.request = request
        self.method = request.get(":method")
        self._heads.append(request)
        self._sent_all = True

    @property
    def state(self) -> str:
        """As on any stream; "reserved (remote)" between the promise and the response."""
        state = super().state
        return "reserved (remote)" if state == "half closed (local)" and not self.was_answered else state


def check_promised_request(request: Headers) -> None:
    """Refuse a promise of what cannot be pushed.

    Raises:
        H2Error: PROTOCOL_ERROR of the stream: the method is not GET or HEAD, the safe ones that caches know, or the request
            has a body, or no `:authority`.
    """
    method = request.get(":method")
    if method not in ("GET", "HEAD"):
        message = "a promised request is a GET or HEAD"
    elif content_length(request):
        message = "a promised request has no body"
    elif not request.get(":authority"):
        message = "a promised request names its :authority"
    else:
        return
    raise H2Error(H2ErrorCode.PROTOCOL_ERROR, message, stream_error=True)


def is_same_authority(request: Headers, authority: bytes | None, scheme: str) -> bool:
    """Whether a promise is for what the client asked this server for: nothing else shows that it may speak for it.

    Args:
        request: the promised one.
        authority: that of the request which the promise came with, None when it is not known.
        scheme: that of the connection.
    """
    if authority is None or request.get(":scheme") != scheme:
        return False
    port = f":{scheme_to_port[scheme]}"
    mine, promised = authority.decode("latin-1").lower(), (request.get(":authority") or "").lower()
    return mine.removesuffix(port) == promised.removesuffix(port)


def max_unclaimed(connection_window: int, stream_window: int) -> int:
    """How many pushed streams may wait for the program to fetch them: what half of the connection's window has room for."""
    return max(1, connection_window // (2 * max(1, stream_window)))
