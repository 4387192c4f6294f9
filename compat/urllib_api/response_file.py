"""The `fp` of a response, for programs that look below it: `response.fp.raw._sock.getpeername()` and the like."""

from __future__ import annotations

import io
import socket
import ssl
from http.client import HTTPResponse
from typing import Any

from drivetrain.engine import Address, Response

__all__ = ["RawView", "ResponseFile", "SocketView"]


def _as_socket_says(address: Address) -> Any:
    if address.family == socket.AF_INET6:
        return address.host, address.port, 0, 0
    return address.host if address.port is None else (address.host, address.port)


class SocketView:
    """The facts that the socket of a response tells, and those of TLS where it is a TLS socket.

    Args:
        owner: the response as programs have it.
        response: the engine's.
    """

    def __init__(self, owner: HTTPResponse, response: Response) -> None:
        facts = response.connection
        self._owner = owner
        self._response = response
        self._peer = facts.peer
        self._local = facts.local
        self._tls: ssl.SSLObject | None = facts.ssl_object
        self.family = facts.peer.family

    def getpeername(self) -> Any:
        """The address of the other end."""
        return _as_socket_says(self._peer)

    def getsockname(self) -> Any:
        """The address of this end."""
        return _as_socket_says(self._local)

    def fileno(self) -> int:
        """The descriptor of the connection, -1 where there is none any more."""
        return -1 if self._owner.isclosed() else self._response.fileno()

    def shutdown(self, how: int) -> None:
        """Give the response up."""
        self._owner.close()

    def close(self) -> None:
        """Give the response up."""
        self._owner.close()

    def __getattr__(self, name: str) -> Any:
        # getpeercert, cipher, version, selected_alpn_protocol, context, …
        if name.startswith("_") or self._tls is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._tls, name)


class RawView:
    """What stands where `socket.SocketIO` would: it has the socket, and no more.

    Args:
        owner, response: see `SocketView`.
    """

    def __init__(self, owner: HTTPResponse, response: Response) -> None:
        self._sock = SocketView(owner, response)

    def fileno(self) -> int:
        """The descriptor of the connection."""
        return self._sock.fileno()


class ResponseFile(io.BufferedIOBase):
    """The same bytes as the response gives, in a file of its own.

    Args:
        owner, response: see `SocketView`.
    """

    def __init__(self, owner: HTTPResponse, response: Response) -> None:
        self._owner = owner
        self._response = response

    @property
    def raw(self) -> RawView:
        """See `RawView`."""
        return RawView(self._owner, self._response)

    @property
    def closed(self) -> bool:
        """Whether there is no more to read, or it was closed."""
        return self._owner.isclosed()

    def readable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """See `EngineResponse.fileno`."""
        return self._owner.fileno()

    def read(self, size: int | None = -1, /) -> bytes:
        """See `EngineResponse.read`."""
        return self._owner.read(None if size is None or size < 0 else size)

    def read1(self, size: int = -1, /) -> bytes:
        """See `EngineResponse.read1`."""
        return self._owner.read1(size)

    def readinto(self, buffer: Any, /) -> int:
        """See `EngineResponse.readinto`."""
        return self._owner.readinto(buffer)

    def readline(self, limit: int | None = -1, /) -> bytes:
        """See `EngineResponse.readline`."""
        return self._owner.readline(-1 if limit is None else limit)

    def peek(self, size: int = 0, /) -> bytes:
        """See `EngineResponse.peek`."""
        return self._owner.peek(size)

    def close(self) -> None:
        """Close the response."""
        self._owner.close()

    def __del__(self) -> None:
        """The base would close the response."""
