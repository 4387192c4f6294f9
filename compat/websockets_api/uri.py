"""URIs of WebSockets (RFC 6455 section 3)."""

from __future__ import annotations

import dataclasses
import urllib.parse

from drivetrain.compat.websockets_api import proxy as _proxy
from drivetrain.compat.websockets_api.exceptions import InvalidURI

__all__ = ["DELIMS", "Proxy", "WebSocketURI", "get_proxy", "parse_proxy", "parse_uri"]

DELIMS = ":/?#[]@!$&'()*+,;="
"""Characters of URIs that keep their meaning when others are encoded."""

# Where version 15 has them.
Proxy = _proxy.Proxy
get_proxy = _proxy.get_proxy
parse_proxy = _proxy.parse_proxy


@dataclasses.dataclass
class WebSocketURI:
    """A URI, in its parts.

    Attributes:
        secure: whether it is a wss URI.
        host: in lower case.
        port: the usual one where the URI has none.
        path: as it is in the URI, perhaps empty.
        query: as it is in the URI, perhaps empty.
        username: from the URI, decoded.
        password: from the URI, decoded.
    """

    secure: bool
    host: str
    port: int
    path: str
    query: str
    username: str | None = None
    password: str | None = None

    @property
    def resource_name(self) -> str:
        """What is asked for in the request: path and query."""
        path = self.path or "/"
        return f"{path}?{self.query}" if self.query else path

    @property
    def user_info(self) -> tuple[str, str] | None:
        """Name and password, if the URI has them."""
        return _proxy.pair_of(self.username, self.password)


def parse_uri(uri: str) -> WebSocketURI:
    """Take a URI apart. One that is not ASCII is encoded: its host for the DNS, path and query with percent signs.

    Raises:
        InvalidURI: it is not the URI of a WebSocket.
        ValueError: it is not a URI.
    """
    parts = urllib.parse.urlparse(uri)
    if parts.scheme not in ("ws", "wss"):
        raise InvalidURI(uri, "scheme isn't ws or wss")
    if parts.hostname is None:
        raise InvalidURI(uri, "hostname isn't provided")
    if parts.fragment:
        raise InvalidURI(uri, "fragment identifier is meaningless")
    host, path, query = parts.hostname, parts.path, parts.query
    secure = parts.scheme == "wss"
    port = parts.port or (443 if secure else 80)
    if parts.username is not None and parts.password is None:
        raise InvalidURI(uri, "username provided without password")
    username, password = _proxy.decoded(parts.username), _proxy.decoded(parts.password)
    if not uri.isascii():
        host = host.encode("idna").decode("ascii")
        path, query = (urllib.parse.quote(part, safe=DELIMS) for part in (path, query))
    return WebSocketURI(secure, host, port, path, query, username, password)
