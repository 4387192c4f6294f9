"""What the accept loop knows of a connection, whatever is spoken on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

from ..backends.base import Backend, ByteStream
from .h1_server_stream import H1ServerStream
from .h2_server_stream import H2ServerStream
from .server_options import ServerOptions

__all__ = ["ConnectionHandler", "ErrorHandler", "ServerContext", "ServerStream", "Serving", "StreamHandler"]

ServerStream = H1ServerStream | H2ServerStream
StreamHandler = Callable[[ServerStream], Awaitable[None]]
ConnectionHandler = Callable[[ByteStream], Awaitable[None]]
ErrorHandler = Callable[[Any, BaseException, str], None]


class ServerContext:
    """What all connections of a server share.

    Args:
        backend: does the I/O.
        options: see `ServerOptions`.
        handler: serves one stream.
        onerror: called with (None, error, what was going on) for errors that nobody else sees.

    Attributes:
        closing: whether the server is being closed. Set before the connections are told.
    """

    def __init__(self, backend: Backend, options: ServerOptions, handler: StreamHandler, onerror: ErrorHandler) -> None:
        self.backend = backend
        self.options = options
        self.handler = handler
        self.closing = False
        self._onerror = onerror

    def report(self, error: BaseException, what: str) -> None:
        """Tell an error that nobody else sees, and `what` was going on."""
        self._onerror(None, error, what)

    def in_stream_time(self) -> float:
        """The deadline by which a client must have sent or taken something."""
        return self.backend.now() + self.options.stream_timeout


class Serving(ABC):
    """One protocol's way of serving a connection.

    Attributes:
        taken: whether a handler took the byte stream over, to keep it beyond its own end.
    """

    taken = False

    @abstractmethod
    async def serve(self) -> Serving | None:
        """Serve until the connection is to be closed; returns what goes on with it when it changes its protocol."""

    @abstractmethod
    def end_soon(self) -> bool:
        """The server closes: end when what is in flight is finished. From any thread (of the loop), at any time.

        Returns:
            Whether nothing is in flight, so that it may be cut.
        """

    @abstractmethod
    def cut(self) -> None:
        """Close the connection now. From any thread (of the loop), at any time."""

    @property
    def is_current(self) -> bool | None:
        """Whether the caller runs in a task that this connection started; None while one is just being started."""
        return False
