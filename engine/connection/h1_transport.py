"""The lowest floor of an HTTP/1 connection: its byte stream, its machine's buffer, its outbox and its time limits.

Laws:

- bytes the system did not take yet stay in the outbox, in order, so a timed-out or cancelled write loses nothing;
- received bytes go to the machine's buffer and nowhere else, so reading lines by hand and reading events never disagree.
"""

from __future__ import annotations

import copy

from ..backends.base import Backend, ByteStream
from ..errors import ClosedError, EngineError, IncompleteMessage
from ..protocol.h1_client import H1ClientMachine
from ..protocol.h1_server import H1ServerMachine
from .transport_facts import TransportFacts

__all__ = ["H1Transport"]

# No more than a moment's memory; streams start smaller and grow towards it while the peer keeps up.
_READ_SIZE = 1024 * 1024


class H1Transport(TransportFacts):
    """Moves bytes between a `ByteStream` and an HTTP/1 machine. Base of `H1Connection`, which documents the attributes."""

    def __init__(self, stream: ByteStream, backend: Backend, machine: H1ClientMachine | H1ServerMachine) -> None:
        self.stream = stream
        self.backend = backend
        self.machine = machine
        self.read_timeout: float | None = None
        self.write_timeout: float | None = None
        self.accept_ragged_end = False
        self._outbox: bytes = b""
        # Why nothing can be read or written any more; empty while it can.
        self._no_reading = ""
        self._no_writing = ""
        self._errors: dict[str, EngineError] = {}

    # -- moving bytes --------------------------------------------------------------------------------------------------

    async def receive(self, deadline: float) -> None:
        """Wait for bytes, or for the end of the peer's side, and give them to the machine."""
        if self._no_reading:
            raise ClosedError(self._no_reading)
        if self.read_timeout is not None:
            deadline = min(deadline, self.backend.now() + self.read_timeout)
        try:
            data = await self.stream.receive_some(_READ_SIZE, deadline)
            if not data and self.machine.receiving:
                self.check_end()
        except EngineError as error:
            self.remember("r", error)
            raise
        self.machine.receive(data)

    def check_end(self) -> None:
        """Refuse an end of the peer's side that an attacker could have made, for a body that lasts until that end.

        Raises:
            IncompleteMessage: TLS ended without its goodbye, and `accept_ragged_end` is off.
        """
        if not self.accept_ragged_end and not self.stream.ended_cleanly:
            raise IncompleteMessage("the TLS connection was cut: the end of the body cannot be trusted")

    async def send(self, data: bytes, deadline: float) -> None:
        """Send `data` after what the outbox holds. After a timeout or cancellation the rest waits in the outbox."""
        if self._no_writing:
            raise ClosedError(self._no_writing)
        if self._outbox:
            data, self._outbox = self._outbox + data, b""
        sent = 0
        try:
            until = deadline if self.write_timeout is None else self.write_deadline(deadline)
            sent = await self.stream.send_some(data, until)
            while sent < len(data):
                sent += await self.stream.send_some(memoryview(data)[sent:], self.write_deadline(deadline))
        except EngineError as error:
            self.remember("w", error)
            raise
        finally:
            if sent < len(data):
                self._outbox = data[sent:]

    def write_deadline(self, deadline: float) -> float:
        """`deadline`, or the point at which `write_timeout` runs out if that is earlier."""
        return deadline if self.write_timeout is None else min(deadline, self.backend.now() + self.write_timeout)

    async def flush(self, timeout: float | None = None) -> None:
        """Send what earlier writes left in the outbox (`timeout` in seconds); raises `WriteTimeout` when some is left."""
        await self.flush_by(self.deadline_after(timeout))

    async def flush_by(self, deadline: float) -> None:
        """`flush` with a deadline."""
        if self._outbox:
            await self.send(b"", deadline)

    def put_in_outbox(self, data: bytes) -> None:
        """Queue bytes for the next `send` or `flush`."""
        if self._no_writing:
            raise ClosedError(self._no_writing)
        self._outbox += data

    # -- errors --------------------------------------------------------------------------------------------------------

    def remember(self, kind: str, error: EngineError) -> None:
        """Keep `error` as the last one of reading ("r") or writing ("w")."""
        # A copy has no traceback: the frames in it would keep this connection, and whatever the caller holds, alive.
        self._errors[kind] = copy.copy(error)

    def error(self, kind: str = "rw") -> EngineError | None:
        """The last error of reading or writing, in the order in which `kind` names them; None without one.

        It is a copy without traceback of what was raised, by whichever call: a time limit, a broken connection, or (reading)
        a fault in what the peer sent. It only informs: nothing is refused because of it, and a call that failed may be
        repeated, which after a time limit goes on where it stopped and after a fault raises it again.
        """
        for direction in kind:
            if direction in self._errors:
                return self._errors[direction]
        return None

    def clearerr(self, kind: str = "rw") -> EngineError | None:
        """Forget the last error of the directions that `kind` names, and return what `error` would have."""
        found = self.error(kind)
        for direction in kind:
            self._errors.pop(direction, None)
        return found

    # -- facts ---------------------------------------------------------------------------------------------------------

    def timeout(self) -> float | None:
        """Seconds after which to call again whatever `pollfd` says: 0 while buffered input waits, None for no need."""
        return 0.0 if self.machine.buffered and not self._taken else None
