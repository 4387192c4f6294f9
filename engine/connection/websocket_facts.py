"""What can be said about a WebSocket at any time, without waiting."""

from __future__ import annotations

import ssl

from ..backends.base import Address, Backend, ByteStream
from ..errors import EngineError
from ..protocol.websocket_events import ABNORMAL, Close
from ..protocol.websocket_machine import WebSocketMachine
from .websocket_output import WebSocketOutput

__all__ = ["WebSocketFacts"]


class WebSocketFacts(WebSocketOutput):
    """The part of `WebSocketCore` that tells how things are."""

    __slots__ = ("_ended",)

    def __init__(self, stream: ByteStream, backend: Backend, machine: WebSocketMachine) -> None:
        super().__init__(stream, backend, machine)
        self._ended = False  # the peer ended its side, or the connection is lost

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be received. What was before may still wait in the queue."""
        return not self.machine.is_receiving or self._ended

    @property
    def is_closed(self) -> bool:
        """Whether the connection below was closed."""
        return self.stream.is_closed

    @property
    def close_received(self) -> Close | None:
        """The peer's Close frame, None before or without one."""
        return self.machine.close_received

    @property
    def close_sent(self) -> Close | None:
        """This side's Close frame, None before or without one."""
        return self.machine.close_sent

    @property
    def peer_closed_first(self) -> bool | None:
        """When both sides sent a Close frame, whether the peer's came before this side's was sent; None before."""
        return self.machine.peer_closed_first

    @property
    def failure(self) -> Close | None:
        """How this side failed the connection because of what the peer did wrong; None otherwise."""
        return self.machine.failure

    @property
    def fault(self) -> EngineError | None:
        """How the connection was lost without a closing handshake; None where it was not."""
        return self._fault or self._write_fault

    @property
    def is_fragmented(self) -> bool:
        """Whether a message was begun to be sent and not ended."""
        return self.machine.is_fragmented

    @property
    def close_code(self) -> int | None:
        """The peer's close code (1005: it gave none), 1006 where the connection was lost without one, None while open."""
        if self.machine.close_received is not None:
            return self.machine.close_received.code
        return ABNORMAL if self._ended or self.machine.failure is not None else None

    @property
    def close_reason(self) -> str | None:
        """What the peer said about why; None while open."""
        if self.machine.close_received is not None:
            return self.machine.close_received.reason
        return None if self.close_code is None else ""

    def localname(self) -> Address:
        """This end of the connection."""
        return self.stream.local_address

    def peername(self) -> Address:
        """The next hop: the proxy, where there is one."""
        return self.stream.peer_address

    def checktls(self) -> ssl.SSLObject | None:
        """The TLS session of the connection, None in clear."""
        return self.stream.ssl_object
