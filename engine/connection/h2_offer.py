"""A client's offer to go on with HTTP/2 on a connection in clear, made before the first request (RFC 7540 section 3.2).

The offer travels with an `OPTIONS *` of its own, as the RFC suggests for requests that should not wait for the answer or have
a body: whatever the server makes of it, no request of the user is part of the negotiation.
"""

from __future__ import annotations

from ..backends.base import Backend
from ..errors import ConnectTimeout, NetworkError, RemoteProtocolError, Timeout
from ..protocol.h2_limits import H2Limits
from ..wire.headers import Headers
from .h1_client_stream import H1ClientStream
from .h1_connection import H1Connection
from .h2_connection import H2Connection
from .h2_upgrade import client_upgraded, upgrade_fields

__all__ = ["offer_h2"]

# What an answer in HTTP/1.1 may hold before a new connection is cheaper, in bytes.
_DISCARD = 16 * 1024


async def offer_h2(
    backend: Backend, connection: H1Connection, authority: str, limits: H2Limits, deadline: float
) -> H1Connection | H2Connection | None:
    """Offer HTTP/2 on a new connection to the server at `authority` ("host[:port]").

    Returns:
        The connection to go on with: of HTTP/2 when the server accepted, the same one when it did not; None when it is of
        no more use, and closed.

    Raises:
        ConnectTimeout: the answer did not come in time; the connection is closed.
    """
    pseudo = [(":method", "OPTIONS"), (":scheme", "http"), (":authority", authority), (":path", "*")]
    try:
        stream = connection.new_stream()
        await stream.write_head(Headers(pseudo + upgrade_fields(limits)), True, deadline)
        while stream.response is None:
            await stream.read_head(deadline)
        if stream.response.switched:
            return await _go_on(backend, connection, limits, deadline)
        if await _is_read(stream, deadline):
            return connection
    except (NetworkError, RemoteProtocolError):
        pass  # a server that cannot stand the offer may do well without
    except Timeout as error:
        connection.close()
        raise ConnectTimeout("the server did not answer the offer to speak HTTP/2 in time") from error
    except BaseException:
        connection.close()
        raise
    connection.close()
    return None


async def _go_on(backend: Backend, old: H1Connection, limits: H2Limits, deadline: float) -> H2Connection:
    raw = old.take_socket()
    assert raw is not None
    connection, answer = client_upgraded(raw, backend, "OPTIONS", limits)
    try:
        while answer.response is None:
            await answer.read_head(deadline)
        await answer.shutdown()
    except BaseException:
        connection.close()
        raise
    return connection


async def _is_read(stream: H1ClientStream, deadline: float) -> bool:
    """Read the answer that declines; whether its connection can carry a request now."""
    left = _DISCARD
    while left > 0 and (piece := await stream.read_piece(deadline)) is not None:
        left -= len(piece)
    return stream.connection.machine.can_continue
