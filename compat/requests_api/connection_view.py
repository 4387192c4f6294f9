"""The connection of a response, for code that asks urllib3's for its addresses, options and certificates."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

from urllib3.connection import HTTPConnection

from drivetrain.compat.requests_api.routes import Route
from drivetrain.compat.socket_view import SocketView
from drivetrain.engine import Response

__all__ = ["view_connection"]


def view_connection(
    response: Response, url: str, is_over: Callable[[], bool], give_up: Callable[[], None]
) -> HTTPConnection:
    """Make what urllib3 would have had a response from; closing it gives the response up.

    Args:
        response: the engine's.
        url: of whom it was asked of, see `Route.asked`.
        is_over, give_up: see `SocketView`.
    """
    timeout = response.read_timeout
    connection = Route(url).connection(timeout)
    sock: Any = SocketView(response, is_over, give_up)
    connection.sock = sock
    session = response.connection.ssl_object
    connection.is_verified = session is not None and session.context.verify_mode == ssl.CERT_REQUIRED
    return connection
