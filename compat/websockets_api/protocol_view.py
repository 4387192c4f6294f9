"""What programs look at in `connection.protocol`.

In `websockets` that is the protocol without I/O, which here is the engine's: so this is a view of the engine's connection, with
the same names, to look at. It exists before the connection does, for `create_connection` is given one.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from typing import Any, cast

from drivetrain.compat.websockets_api.closing import build_close_exc, to_close
from drivetrain.compat.websockets_api.compression import agreed_extensions
from drivetrain.compat.websockets_api.exceptions import ConnectionClosed
from drivetrain.compat.websockets_api.extensions.permessage_deflate import PerMessageDeflate
from drivetrain.compat.websockets_api.frames import Close, CloseCode
from drivetrain.compat.websockets_api.protocol import Side, State
from drivetrain.compat.websockets_api.settings import MaxSize, split_max_size
from drivetrain.compat.websockets_api.typing import LoggerLike, Origin, Subprotocol
from drivetrain.compat.websockets_api.uri import WebSocketURI
from drivetrain.engine import WebSocketConnection

__all__ = ["ProtocolView"]


class ProtocolView:
    """A view of the protocol of one connection.

    Args:
        side: which one this is.
        max_size: limits, see `settings.split_max_size`.
        logger: for this connection; None for "websockets.client" or "websockets.server". `ConnectionBase` replaces it by an
            adapter that knows the connection.
        uri: on a client, where to.
        origin: on a client, what it says to be on.
        extensions: factories of those that this side would use.
        subprotocols: those that this side speaks.

    Attributes:
        core: the engine's connection, None before the handshake is over.
        side, logger, uri, origin: see above.
        max_message_size, max_fragment_size: in bytes, None for no limit.
        debug: whether the logger wants to know everything.
        available_extensions, available_subprotocols: what was given as `extensions` and `subprotocols`.
        handshake_exc: why the handshake failed, None otherwise.
        connection_exc: what broke the connection, of what the engine does not know; None otherwise.
        is_lost: whether the connection was given up before there was a `core`.
        has_failed: whether this side failed the connection on its own account: what the peer says then does not count.
    """

    def __init__(
        self,
        side: Side,
        *,
        max_size: MaxSize = 1 << 20,
        logger: LoggerLike | None = None,
        uri: WebSocketURI | None = None,
        origin: Origin | None = None,
        extensions: Sequence[Any] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
    ) -> None:
        self.core: WebSocketConnection | None = None
        self.side = side
        if logger is None:
            logger = logging.getLogger(f"websockets.{side.name.lower()}")
        self.logger: LoggerLike = logger
        self.debug = logger.isEnabledFor(logging.DEBUG)
        self.max_message_size, self.max_fragment_size = split_max_size(max_size)
        self.uri = uri
        self.origin = origin
        self.available_extensions = extensions
        self.available_subprotocols = subprotocols
        self.handshake_exc: Exception | None = None
        self.connection_exc: BaseException | None = None
        self.is_lost = False
        self.has_failed = False
        self._id: uuid.UUID | None = None
        self._extensions: list[PerMessageDeflate] | None = None

    @property
    def id(self) -> uuid.UUID:
        """Identifies the connection, in logs."""
        if self._id is None:
            self._id = uuid.uuid4()
        return self._id

    @property
    def state(self) -> State:
        """The state of the WebSocket (RFC 6455 sections 4.1, 7.1.3 and 7.1.4)."""
        core = self.core
        if core is None:
            return State.CLOSED if self.is_lost else State.CONNECTING
        if core.is_closed:
            return State.CLOSED
        if core.close_sent is not None or core.is_over:
            return State.CLOSING
        return State.OPEN

    @property
    def subprotocol(self) -> Subprotocol | None:
        """The subprotocol that was agreed on, None for none."""
        return None if self.core is None else cast("Subprotocol | None", self.core.protocol)

    @property
    def extensions(self) -> list[PerMessageDeflate]:
        """The extensions that were agreed on. To look at: they have no part in what is sent and received."""
        if self.core is None:
            return []
        if self._extensions is None:
            self._extensions = agreed_extensions(self.core, self.available_extensions)
        return self._extensions

    @property
    def max_size(self) -> int | None:
        """The limit on messages, in bytes; None for none."""
        return self.max_message_size

    # -- the end -------------------------------------------------------------------------------------------------------

    @property
    def close_rcvd(self) -> Close | None:
        """The peer's Close frame, None before or without one."""
        return None if self.core is None or self.has_failed else to_close(self.core.close_received)

    @property
    def close_sent(self) -> Close | None:
        """This side's Close frame, None before or without one."""
        return None if self.core is None else to_close(self.core.close_sent)

    @property
    def close_rcvd_then_sent(self) -> bool | None:
        """When both sides sent a Close frame, whether the peer's was first."""
        return None if self.core is None or self.has_failed else self.core.peer_closed_first

    @property
    def close_code(self) -> int | None:
        """The peer's close code, 1006 where there was none; None while the connection is not closed."""
        if self.state is not State.CLOSED:
            return None
        received = self.close_rcvd
        return CloseCode.ABNORMAL_CLOSURE if received is None else received.code

    @property
    def close_reason(self) -> str | None:
        """The peer's reason, "" where there was none; None while the connection is not closed."""
        if self.state is not State.CLOSED:
            return None
        received = self.close_rcvd
        return "" if received is None else received.reason

    @property
    def close_exc(self) -> ConnectionClosed:
        """What to raise to those who use a closed connection; a new exception each time.

        Raises:
            AssertionError: the connection is not closed yet.
        """
        assert self.state is State.CLOSED, "connection isn't closed yet"
        return build_close_exc(self.core, self.connection_exc, self.max_message_size, self.has_failed)

    def set_connection_exc(self, exc: BaseException | None) -> None:
        """Note what broke the connection, unless something did before."""
        if self.connection_exc is None:
            self.connection_exc = exc

    def __repr__(self) -> str:
        return f"<ProtocolView {self.side.name.lower()} {self.state.name.lower()}>"
