"""The WebSocket handshake: an Upgrade of HTTP/1.1 (RFC 6455 section 4), or an extended CONNECT of HTTP/2 (RFC 8441).

No I/O: header fields in, header fields out, for both sides and both versions. Laws:

- nothing here has a side effect, so a server may look at any request tentatively;
- what the peer chose must be among what was offered: the protocol, and the extension with its parameters.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from ..errors import UsageError, WebSocketHandshakeError
from ..util import TOKEN, split_authority
from ..wire.field_values import has_list_item, split_list
from ..wire.headers import Headers
from .websocket_deflate import DeflateOptions, DeflateParameters
from .websocket_extensions import Extension, accept_deflate, format_offer, parse_extensions, read_answer

__all__ = [
    "HANDSHAKE_FIELDS",
    "Agreement",
    "ClientHandshake",
    "ServerHandshake",
    "accept_key",
    "is_websocket_request",
]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION = "13"
_IS_TOKEN = re.compile(TOKEN).fullmatch
HANDSHAKE_FIELDS = frozenset(
    (
        "upgrade",
        "connection",
        "sec-websocket-key",
        "sec-websocket-accept",
        "sec-websocket-version",
        "sec-websocket-extensions",
        "sec-websocket-protocol",
        "content-length",
        "transfer-encoding",
    )
)
"""What the handshake itself says, or must not say; in lower case. No other part of a program may."""


class Agreement(NamedTuple):
    """What both sides agreed on: a subprotocol or None, and how to compress or None."""

    protocol: str | None
    deflate: DeflateParameters | None


def accept_key(key: str) -> str:
    """What a server answers to a Sec-WebSocket-Key (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()).decode("ascii")


def _check_protocols(protocols: Sequence[str]) -> tuple[str, ...]:
    if isinstance(protocols, str):
        raise UsageError("protocols is a sequence of names, not one of them")
    for name in protocols:
        if not _IS_TOKEN(name):
            raise UsageError(f"{name!r} is no name of a subprotocol")
    if len(set(protocols)) != len(protocols):
        raise UsageError("a subprotocol is named twice")
    return tuple(protocols)


# --- the client's side ------------------------------------------------------------------------------------------------


class ClientHandshake:
    """What a client asks for. One for each attempt: the key must not be used again.

    Args:
        protocols: the subprotocols it speaks, the best first.
        compression: what it offers, None for no compression.
        key: Sec-WebSocket-Key, for tests; otherwise by chance.
    """

    __slots__ = ("compression", "key", "protocols")

    def __init__(
        self, protocols: Sequence[str] = (), compression: DeflateOptions | None = None, key: str | None = None
    ) -> None:
        self.protocols = _check_protocols(protocols)
        self.compression = compression
        self.key = base64.b64encode(os.urandom(16)).decode("ascii") if key is None else key

    def request_fields(self, is_h2: bool) -> list[tuple[str, str]]:
        """The fields of the request that make it a handshake, without pseudo-header fields. See `to_request`."""
        fields = []
        if not is_h2:
            fields += [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Key", self.key)]
        fields.append(("Sec-WebSocket-Version", _VERSION))
        if self.compression is not None:
            fields.append(("Sec-WebSocket-Extensions", format_offer(self.compression)))
        if self.protocols:
            fields.append(("Sec-WebSocket-Protocol", ", ".join(self.protocols)))
        return [(name.lower(), value) for name, value in fields] if is_h2 else fields

    def to_request(
        self, scheme: str, authority: str, target: str, is_h2: bool, extra: Headers | None = None
    ) -> Headers:
        """The whole request.

        Args:
            scheme: "http" or "https".
            authority: host and port, as in `Uri.authority`.
            target: path and query.
            is_h2: whether it is for HTTP/2.
            extra: further fields: Origin, Cookie, Authorization, …

        Raises:
            UsageError: `extra` has a field that belongs to the handshake.
        """
        pseudo = [(":method", "CONNECT" if is_h2 else "GET")]
        if is_h2:
            pseudo.append((":protocol", "websocket"))
        pseudo += [(":scheme", scheme), (":authority", authority), (":path", target)]
        headers = Headers.adopt(pseudo + self.request_fields(is_h2))
        for name, value in extra or ():
            if name.lower() in HANDSHAKE_FIELDS or name[:1] == ":":
                raise UsageError(f"{name} belongs to the handshake")
            if not (is_h2 and name.lower() == "host"):
                headers.append(name, value)
        return headers

    def read_response(self, headers: Headers, is_h2: bool) -> Agreement:
        """What the server's final response says.

        Raises:
            WebSocketHandshakeError: it refused, or its answer makes no sense.
        """
        status = headers.get(":status") or ""
        if status != ("200" if is_h2 else "101") and not (is_h2 and status[:1] == "2"):
            raise WebSocketHandshakeError(f"the server answered {status} and no WebSocket", int(status), headers)
        try:
            if not is_h2:
                self._check_upgrade(headers)
            protocol = self._chosen_protocol(headers)
            extensions = parse_extensions(headers.get_as_sequence("sec-websocket-extensions"))
            return Agreement(protocol, read_answer(extensions, self.compression))
        except WebSocketHandshakeError as error:
            error.status, error.headers = int(status), headers
            raise

    def _check_upgrade(self, headers: Headers) -> None:
        if [value.lower() for value in headers.get_as_sequence("upgrade")] != ["websocket"]:
            raise WebSocketHandshakeError("the server did not upgrade to websocket")
        if not has_list_item(headers.get_as_sequence("connection"), "upgrade"):
            raise WebSocketHandshakeError("the server's Connection field does not say upgrade")
        if headers.get_as_sequence("sec-websocket-accept") != [accept_key(self.key)]:
            raise WebSocketHandshakeError("the server's Sec-WebSocket-Accept does not fit the key")

    def _chosen_protocol(self, headers: Headers) -> str | None:
        chosen = headers.get_as_sequence("sec-websocket-protocol")
        if not chosen:
            return None
        if len(chosen) > 1 or chosen[0] not in self.protocols:
            raise WebSocketHandshakeError(f"the server chose a subprotocol that was not offered: {chosen[0][:60]!r}")
        return chosen[0]


# --- the server's side ------------------------------------------------------------------------------------------------


def is_websocket_request(headers: Headers) -> bool:
    """Whether a request means to be a WebSocket handshake, well made or not."""
    if headers.get(":protocol") is not None:
        return headers.get(":protocol") == "websocket" and headers.get(":method") == "CONNECT"
    return has_list_item(headers.get_as_sequence("upgrade"), "websocket")


class ServerHandshake:
    """A client's handshake as a server reads it. No side effects.

    Args:
        headers: the request's, pseudo-header fields among them.
        is_h2: whether it came over HTTP/2.

    Attributes:
        headers: the request's.
        protocols: the subprotocols the client speaks, the best first.
        extensions: what it offers.
        origin: of the page that the client is on, where it is a browser; None without one.

    Raises:
        WebSocketHandshakeError: the request is no good handshake; its `status` and `headers` are for the refusal.
    """

    __slots__ = ("extensions", "headers", "is_h2", "key", "origin", "protocols")

    def __init__(self, headers: Headers, is_h2: bool) -> None:
        self.headers = headers
        self.is_h2 = is_h2
        self.key = ""
        self._check_version(headers)
        if is_h2:
            if headers.get(":method") != "CONNECT" or headers.get(":protocol") != "websocket":
                raise WebSocketHandshakeError("no extended CONNECT for websocket")
        else:
            self._check_upgrade(headers)
        self.protocols = self._read_protocols(headers)
        self.extensions: list[Extension] = parse_extensions(headers.get_as_sequence("sec-websocket-extensions"))
        origins = headers.get_as_sequence("origin")
        if len(origins) > 1:
            raise WebSocketHandshakeError("more than one Origin field")
        self.origin: str | None = origins[0] if origins else None

    def _check_version(self, headers: Headers) -> None:
        versions = headers.get_as_sequence("sec-websocket-version")
        if versions != [_VERSION]:
            # RFC 6455 section 4.4.
            status = 426 if len(versions) == 1 else 400
            say = [("sec-websocket-version", _VERSION)]
            if status == 426 and not self.is_h2:
                say += [("upgrade", "websocket"), ("connection", "Upgrade")]
            raise WebSocketHandshakeError("Sec-WebSocket-Version is not 13", status, Headers.adopt(say))

    def _check_upgrade(self, headers: Headers) -> None:
        if headers.get(":method") != "GET":
            raise WebSocketHandshakeError("a WebSocket handshake is a GET")
        if headers.has("transfer-encoding") or (headers.get("content-length") or "0") != "0":
            # It would be taken for frames.
            raise WebSocketHandshakeError("a WebSocket handshake has no body")
        if not has_list_item(headers.get_as_sequence("upgrade"), "websocket"):
            raise WebSocketHandshakeError("the Upgrade field does not say websocket", 426)
        if not has_list_item(headers.get_as_sequence("connection"), "upgrade"):
            raise WebSocketHandshakeError("the Connection field does not say upgrade")
        keys = headers.get_as_sequence("sec-websocket-key")
        try:
            if len(keys) != 1 or len(base64.b64decode(keys[0], validate=True)) != 16:
                raise WebSocketHandshakeError("Sec-WebSocket-Key is not 16 bytes in base64")
        except (binascii.Error, ValueError):
            raise WebSocketHandshakeError("Sec-WebSocket-Key is not 16 bytes in base64") from None
        self.key = keys[0]

    @staticmethod
    def _read_protocols(headers: Headers) -> list[str]:
        protocols = [name for value in headers.get_as_sequence("sec-websocket-protocol") for name in split_list(value)]
        for name in protocols:
            if not _IS_TOKEN(name):
                raise WebSocketHandshakeError(f"malformed Sec-WebSocket-Protocol: {name[:60]!r}")
        return protocols

    def check_origin(self, origins: Collection[str | None]) -> None:
        """Refuse pages of other origins: browsers let any page connect (RFC 6455 section 10.2).

        Args:
            origins: those that may, such as "https://example.com"; None among them for clients that say none.

        Raises:
            WebSocketHandshakeError: status 403.
        """
        if self.origin not in origins:
            raise WebSocketHandshakeError(f"the origin {(self.origin or '')[:100]!r} may not connect", 403)

    def check_host(self, hosts: Collection[str]) -> None:
        """Refuse requests for other names, as a page gets there by binding its own name to this address.

        Args:
            hosts: names or addresses, in lower case, with a port where it matters.

        Raises:
            WebSocketHandshakeError: status 421.
        """
        authority = (self.headers.get(":authority") or "").lower()
        try:
            host = split_authority(authority, "http")[0]
        except ValueError:
            host = ""
        if authority not in hosts and (not host or host not in hosts):
            raise WebSocketHandshakeError(f"the host {authority[:100]!r} is not served here", 421)

    def choose_protocol(self, protocols: Sequence[str]) -> str | None:
        """The first of `protocols`, the server's, that the client speaks; None where there is none."""
        return next((name for name in protocols if name in self.protocols), None)

    def _named(self, name: str) -> str:
        return name.lower() if self.is_h2 else name

    def accept(
        self,
        protocols: Sequence[str] = (),
        compression: DeflateOptions | None = None,
        extra: Headers | None = None,
    ) -> tuple[Headers, Agreement]:
        """The response that accepts, and what was agreed on.

        Args:
            protocols: the subprotocols the server speaks, the best first.
            compression: how it would compress, None for no compression.
            extra: further fields of the response.

        Raises:
            UsageError: `extra` has a field that belongs to the handshake.
        """
        fields = [(":status", "200" if self.is_h2 else "101")]
        if not self.is_h2:
            fields += [("Upgrade", "websocket"), ("Connection", "Upgrade")]
            fields.append(("Sec-WebSocket-Accept", accept_key(self.key)))
        protocol = self.choose_protocol(_check_protocols(protocols))
        if protocol is not None:
            fields.append((self._named("Sec-WebSocket-Protocol"), protocol))
        deflate = None if compression is None else accept_deflate(self.extensions, compression)
        if deflate is not None:
            fields.append((self._named("Sec-WebSocket-Extensions"), deflate[0]))
        headers = Headers.adopt(fields)
        for name, value in extra or ():
            if name.lower() in HANDSHAKE_FIELDS:
                raise UsageError(f"{name} belongs to the handshake")
            if name != ":status":
                headers.append(name, value)
        return headers, Agreement(protocol, None if deflate is None else deflate[1])
