"""The router of the asyncio server: a handler for each path, by rules of werkzeug."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from drivetrain.compat.websockets_api.asyncio.server import Server, ServerConnection, serve
from drivetrain.compat.websockets_api.http11 import Request, Response
from drivetrain.compat.websockets_api.routing import RouterBase, TlsArgument, need_werkzeug, split_ssl
from drivetrain.compat.websockets_api.typing import PathLike

if TYPE_CHECKING:
    from werkzeug.routing import Map

__all__ = ["Router", "route", "unix_route"]


def route(
    url_map: Map,
    *args: Any,
    server_name: str | None = None,
    ssl: TlsArgument = None,
    create_router: type[Router] | None = None,
    **kwargs: Any,
) -> Server:
    """Serve WebSockets, each by the handler that its path leads to.

    Args:
        url_map: werkzeug rules; the endpoint of each is a handler, called with the connection and what the rule found.
        args: as for `serve`, without the handler.
        server_name: host name of the server as clients see it, for redirects; None to go by the Host field.
        ssl: for TLS; True when a reverse proxy does it.
        create_router: called instead of `Router`.
        kwargs: as for `serve`.

    Raises:
        ImportError: werkzeug is not installed.
    """
    need_werkzeug("route")
    scheme = split_ssl(ssl, kwargs)
    router = (create_router or Router)(url_map, server_name, scheme)
    first = kwargs.pop("process_request", None)

    async def process_request(connection: ServerConnection, request: Request) -> Response | None:
        response = first(connection, request)
        if inspect.isawaitable(response):
            response = await response
        return response if response is not None else router.route_request(connection, request)

    kwargs["process_request"] = router.route_request if first is None else process_request
    return serve(router.handler, *args, **kwargs)


def unix_route(url_map: Map, path: PathLike | None = None, **kwargs: Any) -> Server:
    """`route` on a UNIX-domain socket.

    Args:
        url_map: see `route`.
        path: where to listen.
        kwargs: as for `route`.

    Raises:
        ImportError: werkzeug is not installed.
    """
    need_werkzeug("unix_route")
    return route(url_map, unix=True, path=path, **kwargs)


class Router(RouterBase):
    """What `route` serves by. See `RouterBase`."""

    async def handler(self, connection: ServerConnection) -> None:
        """Handle a connection, by the handler that was found for it."""
        await connection.handler(connection, **connection.handler_kwargs)
