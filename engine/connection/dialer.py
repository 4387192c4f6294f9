"""Connections that a program makes itself, with a function of its own."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from ..backends.base import FOREVER
from ..errors import ConnectError, ConnectTimeout, EngineError, ResolveError, Timeout

if TYPE_CHECKING:
    from ..backends.base import Backend, ByteStream

__all__ = ["Connect", "Dialer", "dial_by"]

Connect: TypeAlias = Callable[[float | None], socket.socket]
"""Called with the seconds that are left, None for no limit; returns a connected socket, which is the engine's then.

It may block and has to keep the limit itself: a blocking client calls it in the thread of the request, an event loop in a
helper thread. What it raises as an `OSError` is a failure to connect; `socket.gaierror` one to resolve the name.
"""

Dialer: TypeAlias = Callable[[str, int], Connect | None]
"""Asked with (host, port) before a connection is made; returns what makes it, or None to leave it to the engine.

It is asked about proxies as about origins, not about UNIX-domain sockets, and must not block.
"""


class _Call:
    """One call whose result may come too late for whoever waits."""

    def __init__(self, connect: Connect, left: float | None) -> None:
        self._connect = connect
        self._left = left
        self._sock: socket.socket | None = None
        self.is_abandoned = False

    def __call__(self) -> socket.socket:
        self._sock = self._connect(self._left)
        if self.is_abandoned:
            self._sock.close()
        return self._sock

    def abandon(self) -> None:
        """Nobody wants it any more. Whichever comes second of this and the result closes it."""
        self.is_abandoned = True
        if self._sock is not None:
            self._sock.close()


async def dial_by(backend: Backend, connect: Connect, target: str, deadline: float) -> ByteStream:
    """Let `connect` make a connection.

    Args:
        target: what errors call it.
        deadline: on the backend's clock.

    Raises:
        ResolveError, ConnectError: what `connect` raised, as one of ours.
        ConnectTimeout: it gave up, or was not done by the deadline.
        Exception: anything else that it raised, as it is.
    """
    left = None if deadline == FOREVER else deadline - backend.now()
    if left is not None and left <= 0:
        raise ConnectTimeout(f"connecting to {target} took too long")
    call = _Call(connect, left)
    try:
        # A function may know its caller by the thread it is called in.
        sock = await backend.run_blocking(call, FOREVER if backend.colour == "blocking" else deadline)
    except EngineError as error:
        call.abandon()
        if isinstance(error, Timeout) and not isinstance(error, ConnectTimeout):
            raise ConnectTimeout(f"connecting to {target} took too long") from error
        raise
    except OSError as error:
        if isinstance(error, TimeoutError) and error.errno != errno.ETIMEDOUT:
            raise ConnectTimeout(f"connecting to {target} took too long") from error
        kind = ResolveError if isinstance(error, socket.gaierror) else ConnectError
        text = f"cannot connect to {target} ({error.strerror or error})"
        raise (kind(text) if error.errno is None else kind(error.errno, text)) from error
    except BaseException:
        call.abandon()
        raise
    return await backend.adopt_socket(sock)
