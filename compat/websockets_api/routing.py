"""Finding the handler of a connection by the request's path, by rules of werkzeug, for servers of both colours.

werkzeug is optional: this module can be imported without it, and says so when it is to be used.
"""

from __future__ import annotations

import http
import ssl as ssl_module
import urllib.parse
from typing import TYPE_CHECKING, Any, Literal, cast

from drivetrain.compat.websockets_api.http11 import Request, Response

try:
    import werkzeug.exceptions
    import werkzeug.routing
except ImportError:
    _has_werkzeug = False
else:
    _has_werkzeug = True

if TYPE_CHECKING:
    from werkzeug.routing import Map

__all__ = ["RouterBase", "TlsArgument", "need_werkzeug", "split_ssl"]

TlsArgument = ssl_module.SSLContext | Literal[True] | None


def need_werkzeug(caller: str) -> None:
    """Raise `ImportError` where werkzeug is missing.

    Args:
        caller: what needs it, for the message.
    """
    if not _has_werkzeug:
        raise ImportError(f"{caller}() requires werkzeug")


def split_ssl(ssl: TlsArgument, kwargs: dict[str, Any]) -> str:
    """Tell what clients see, which is returned as a URI's scheme, from what `serve` is to do, which goes to `kwargs`.

    Args:
        ssl: True when a reverse proxy does TLS for us.
        kwargs: of `serve`.
    """
    if ssl is not None and ssl is not True:
        kwargs["ssl"] = ssl
    return "ws" if ssl is None else "wss"


class RouterBase:
    """What routers of both colours have in common.

    Args:
        url_map: werkzeug rules whose endpoints are handlers.
        server_name: host name of the server as clients see it, None to go by the Host field.
        url_scheme: "ws" or "wss", as clients see it.
    """

    def __init__(self, url_map: Map, server_name: str | None = None, url_scheme: str = "ws") -> None:
        self.url_map = url_map
        self.server_name = server_name
        self.url_scheme = url_scheme
        for rule in url_map.iter_rules():
            rule.websocket = True

    def get_server_name(self, connection: Any, request: Request) -> str:
        """The host name of the server as the client sees it."""
        return request.headers["Host"] if self.server_name is None else self.server_name

    def redirect(self, connection: Any, url: str) -> Response:
        """The answer to a request that should have gone elsewhere."""
        response = self._respond(connection, http.HTTPStatus.FOUND, f"Found at {url}")
        response.headers["Location"] = url
        return response

    def not_found(self, connection: Any) -> Response:
        """The answer to a request that no rule is for."""
        return self._respond(connection, http.HTTPStatus.NOT_FOUND, "Not Found")

    @staticmethod
    def _respond(connection: Any, status: http.HTTPStatus, text: str) -> Response:
        return cast("Response", connection.respond(status, text))

    def route_request(self, connection: Any, request: Request) -> Response | None:
        """Find the handler, as `connection.handler` with `connection.handler_kwargs`; or return what to answer instead."""
        adapter = self.url_map.bind(self.get_server_name(connection, request), url_scheme=self.url_scheme)
        parsed = urllib.parse.urlparse(request.path)
        try:
            found = adapter.match(path_info=parsed.path, query_args=parsed.query)
        except werkzeug.routing.RequestRedirect as redirect:
            return self.redirect(connection, redirect.new_url)
        except werkzeug.exceptions.NotFound:
            return self.not_found(connection)
        connection.handler, connection.handler_kwargs = found
        return None
