"""From HTTP/1.1 to HTTP/2 in clear by `Upgrade: h2c` (RFC 7540 section 3.2), both sides of it.

The request that offers the upgrade becomes stream 1, complete on the client's side; the answer to it comes over HTTP/2.
RFC 9113 calls the mechanism obsolete, and nobody needs it who knows beforehand what the server speaks; curl's `--http2` and
nghttp's `-u` still use it.
"""

from __future__ import annotations

import base64
import re

from hyperframe.frame import SettingsFrame

from ..backends.base import Backend, ByteStream
from ..errors import LocalProtocolError, RemoteProtocolError, UsageError
from ..protocol.h1_framing import connection_options
from ..protocol.h2_limits import H2Limits
from ..protocol.h2_machine import H2Machine
from ..wire.field_values import split_list
from ..wire.h2_fields import SectionKind, from_h2_fields, to_h2_fields
from ..wire.headers import Headers
from .h2_client_stream import H2ClientStream
from .h2_connection import DEFAULT_H2_LIMITS, H2Connection

__all__ = ["UpgradeRequest", "accept_upgrade", "client_upgraded", "find_upgrade", "upgrade_fields"]

_is_token68 = re.compile(r"[A-Za-z0-9_-]+={0,2}").fullmatch
_ENABLE_PUSH, _INITIAL_WINDOW_SIZE, _MAX_FRAME_SIZE = 2, 4, 5


class UpgradeRequest:
    """A request that may become stream 1 of an HTTP/2 connection.

    Attributes:
        headers: its head as HTTP/2 would have brought it.
        settings: what its HTTP2-Settings field said, with padding.
    """

    __slots__ = ("headers", "settings")

    def __init__(self, headers: Headers, settings: bytes) -> None:
        self.headers = headers
        self.settings = settings


def find_upgrade(headers: Headers) -> UpgradeRequest | None:
    """What a request's head says about an upgrade to HTTP/2; None when it offers none that could be accepted.

    A malformed offer is none: the request is answered in HTTP/1.1, which RFC 7540 section 3.2 always allows.
    """
    first = headers.first_values()
    if "http2-settings" not in first or "upgrade" not in first:
        return None
    if "h2c" not in [name.lower() for name in split_list(headers.get_comma_separated("upgrade") or "")]:
        return None
    values = headers.get_as_sequence("http2-settings")
    options = connection_options(headers) or frozenset()
    if len(values) != 1 or not {"upgrade", "http2-settings"} <= options:
        return None
    settings = _checked_settings(values[0])
    if settings is None:
        return None
    try:
        return UpgradeRequest(from_h2_fields(to_h2_fields(headers), SectionKind.REQUEST), settings)
    except (UsageError, LocalProtocolError, RemoteProtocolError):
        return None  # e.g. an empty Host, which HTTP/2 does not have


def _checked_settings(value: str) -> bytes | None:
    """The settings with their padding, None when they are not the payload of a SETTINGS frame."""
    if not _is_token68(value):
        return None
    value = value.rstrip("=")
    padded = (value + "=" * (-len(value) % 4)).encode()
    try:
        payload = base64.urlsafe_b64decode(padded)
    except ValueError:
        return None
    if len(payload) % 6:
        return None
    for position in range(0, len(payload), 6):
        number = int.from_bytes(payload[position : position + 2], "big")
        setting = int.from_bytes(payload[position + 2 : position + 6], "big")
        # RFC 9113 section 6.5.2.
        if (
            (number == _ENABLE_PUSH and setting > 1)
            or (number == _INITIAL_WINDOW_SIZE and setting > 2**31 - 1)
            or (number == _MAX_FRAME_SIZE and not 2**14 <= setting < 2**24)
        ):
            return None
    return padded


def accept_upgrade(stream: ByteStream, backend: Backend, request: UpgradeRequest, limits: H2Limits) -> H2Connection:
    """The HTTP/2 connection of a server that has answered `request` with 101; its first incoming stream is that request.

    Args:
        stream: what is left of the HTTP/1.1 connection (`H1Connection.take_socket`).
    """
    connection = H2Connection(stream, backend, "server", limits, request.settings)
    with connection.guard:
        connection.request_received(1, request.headers).end_received()
    return connection


def upgrade_fields(limits: H2Limits = DEFAULT_H2_LIMITS) -> list[tuple[str, str]]:
    """The fields with which a client's request, of HTTP/1.1 and in clear, offers the upgrade.

    Args:
        limits: those which `client_upgraded` will be given.
    """
    frame = SettingsFrame(0, settings=dict(H2Machine("client", limits).library.local_settings))
    settings = base64.urlsafe_b64encode(frame.serialize_body()).rstrip(b"=").decode()
    return [("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c"), ("http2-settings", settings)]


def client_upgraded(
    stream: ByteStream, backend: Backend, method: str, limits: H2Limits = DEFAULT_H2_LIMITS
) -> tuple[H2Connection, H2ClientStream]:
    """The HTTP/2 connection of a client whose offer was answered with 101, and the stream where the final response comes.

    Args:
        stream: what is left of the HTTP/1.1 connection (`H1Connection.take_socket`).
        method: of the request that offered the upgrade.
        limits: those which `upgrade_fields` was given.
    """
    connection = H2Connection(stream, backend, "client", limits, b"")
    answer = connection.new_stream()
    with connection.guard:
        answer.sent_before(1, method)
        connection.opened(answer)
    return connection, answer
