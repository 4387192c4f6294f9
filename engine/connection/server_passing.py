"""Connections that are not spoken HTTP on by the server itself: whoever asked for them gets them as they are."""

from __future__ import annotations

from ..backends.base import ByteStream
from ..errors import ClosedError, NetworkError, Timeout
from .server_serving import ConnectionHandler, ServerContext, Serving

__all__ = ["PassedOn"]


class PassedOn(Serving):
    """See `Serving`. The connection ends with the handler's call.

    Args:
        context: the server's.
        stream: the connected byte stream, after the TLS handshake where there is one.
        handler: what it is passed to.
    """

    def __init__(self, context: ServerContext, stream: ByteStream, handler: ConnectionHandler) -> None:
        self._context = context
        self._stream = stream
        self._handler = handler

    async def serve(self) -> Serving | None:
        """See `Serving.serve`."""
        try:
            await self._handler(self._stream)
        except (NetworkError, Timeout, ClosedError):
            raise  # a client that goes away is nobody's error
        except Exception as error:  # noqa: BLE001 - whatever a handler raises
            self._context.report(error, "handling a connection")
        return None

    def end_soon(self) -> bool:
        """See `Serving.end_soon`. Only the handler knows, so it is waited for."""
        return False

    def cut(self) -> None:
        """See `Serving.cut`."""
        self._stream.close()
