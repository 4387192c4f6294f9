"""The engine's heads of the handshake as the `Request` and `Response` that programs see."""

from __future__ import annotations

from drivetrain.compat.websockets_api.datastructures import Headers
from drivetrain.compat.websockets_api.http11 import Request, Response
from drivetrain.engine import Headers as EngineHeaders
from drivetrain.engine import reason_phrase

__all__ = ["to_headers", "to_request", "to_response"]


def to_headers(fields: EngineHeaders) -> Headers:
    """The fields, without pseudo-header fields; their order and the case of their names are kept."""
    headers = Headers()
    for name, value in fields:
        if name[:1] != ":":
            headers[name] = value
    return headers


def to_request(fields: EngineHeaders) -> Request:
    """A request. A Host field is made of `:authority` where there is none."""
    headers = Headers()
    authority = fields.get(":authority")
    if authority is not None and not fields.has("host"):
        headers["Host"] = authority
    for name, value in fields:
        if name[:1] != ":":
            headers[name] = value
    return Request(fields.get(":path") or "/", headers)


def to_response(fields: EngineHeaders, reason: str = "", body: bytes = b"", status: int | None = None) -> Response:
    """A response.

    Args:
        fields: those of the response.
        reason: its reason phrase; where it is empty, the usual one.
        body: what was read of its body.
        status: its status code, None for what `fields` say.
    """
    if status is None:
        status = int(fields.get(":status") or 101)
    return Response(status, reason or reason_phrase(status), to_headers(fields), body)
