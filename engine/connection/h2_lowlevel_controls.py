"""What concerns the whole of an `H2Connection`: pings, settings, GOAWAY, its window, priorities."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from h2.events import PriorityUpdated
from h2.exceptions import ProtocolError as LibraryError

from ..backends.base import Backend, ByteStream
from ..errors import ClosedError, LocalProtocolError, ReadTimeout, Timeout, UsageError
from ..protocol.h2_by_hand import H2ByHand
from ..protocol.h2_machine import H2Machine
from ..wire import h2_frames as wire
from ..wire.h2_errors import H2Error, H2ErrorCode, H2ErrorLike
from .h2_core import H2Core
from .h2_lowlevel_zero import H2StreamZero
from .h2_output import Place, fresh
from .h2_priority import PriorityTree
from .pool_forks import restart_in_forked_child

if TYPE_CHECKING:
    from .h2_connection import H2Connection
    from .h2_stream import H2Stream

__all__ = ["H2Controls"]


class H2Controls(H2Core):
    """Base of `H2LowLevel`. See the module.

    Attributes:
        by_hand: makes frames with the machine's books kept.
        streams: the open streams by id.
        picked: streams that took an id and are not open yet, by id.
        priorities: the tree of RFC 7540.
    """

    def __init__(self, stream: ByteStream, backend: Backend, machine: H2Machine) -> None:
        super().__init__(stream, backend, machine)
        self.by_hand = H2ByHand(machine)
        self.streams: dict[int, H2Stream] = {}
        self.picked: dict[int, H2Stream] = {}
        self.priorities = PriorityTree()
        self._pings: dict[bytes, Place] = {}
        self._ping_count = 0
        self._acknowledging: Place = []
        self._stream0: H2StreamZero | None = None
        restart_in_forked_child(self)

    def restart_in_child(self) -> None:
        """Be closed in a forked child: the connection is the parent's, one of whose threads may have held the guard."""
        self.guard = self.backend.create_guard()
        self._fault = self._write_fault = ClosedError("the connection is that of the parent process")
        self._outbox = bytearray()
        self._reading = self._flushing = False
        self._reads_for = self._heir = None
        self._due.clear()
        self._waiting.clear()
        places = (self.room, self._after_input, self._acknowledging, self._me.opening, self._me.incoming)
        for place in (*places, *self._pings.values()):
            place.clear()
        streams = list(self.streams.values())
        self.streams.clear()
        for stream in streams:
            stream.reading.clear()
            stream.writing.clear()
            stream.failed(self._fault)

    @property
    def stream0(self) -> H2StreamZero:
        """The connection as a stream, for the frames that concern all of it."""
        if self._stream0 is None:
            self._stream0 = H2StreamZero(self._me)
        return self._stream0

    @property
    def _me(self) -> H2Connection:
        return self  # type: ignore[return-value]

    # -- what the connection does --------------------------------------------------------------------------------------

    @abstractmethod
    def going_away(self) -> None:
        """This side said GOAWAY: tell those who wait to open or for incoming streams. Under the guard."""

    @abstractmethod
    def peer_settings_changed(self) -> None:
        """The peer's settings are new ones: tell those who wait for what they allow. Under the guard."""

    def check_open(self) -> None:
        """Raise what ended the connection, if something did. Under the guard."""
        if self._fault is not None or self._write_fault is not None:
            raise fresh(self._fault or self._write_fault or ClosedError("the connection was closed"))

    # -- frames of the connection --------------------------------------------------------------------------------------

    async def ping(self, timeout: float | None = None) -> float:
        """Measure a round trip; returns seconds. Pings of the peer are answered by whoever reads.

        Raises:
            ReadTimeout: no answer came in time; a late one is ignored.
        """
        deadline = self.deadline_after(timeout)
        started = self.backend.now()
        place: Place = []
        with self.guard:
            if self._fault is not None:
                raise fresh(self._fault)
            self._ping_count += 1
            data = self._ping_count.to_bytes(8, "big")
            self.machine.library.ping(data)
            self._pings[data] = place
            self._collect()
        try:
            await self.flush_by(deadline)
            await self.wait_until(lambda: data not in self._pings, place, deadline)
        finally:
            with self.guard:
                self._pings.pop(data, None)
        return self.backend.now() - started

    def _on_ping_ack(self, event: Any) -> None:
        place = self._pings.pop(event.ping_data, None)
        if place is not None:
            self.wake(place)

    async def write_window_update(self, inc: int, timeout: float | None = None) -> None:
        """Let `inc` bytes more come on the connection, beyond what reading lets come by itself; 0 does nothing.

        Raises:
            LocalProtocolError: the window would pass 2**31 - 1.
        """
        await self.stream0.write_window_update(inc, timeout)

    async def write_goaway_frame(
        self,
        last_stream_id: int | None = None,
        err_code: H2ErrorLike = H2ErrorCode.NO_ERROR,
        debug_msg: str | bytes = b"",
        timeout: float | None = None,
    ) -> None:
        """Write GOAWAY: this side opens no streams any more and refuses new ones. Those under way go on.

        Args:
            last_stream_id: the highest stream of the peer's that was looked at; None for the highest that came.
            err_code: why.
            debug_msg: text for whoever reads the peer's log.
            timeout: seconds for sending, None for no limit.

        Raises:
            LocalProtocolError: an earlier GOAWAY named a lower stream.
        """
        await self.stream0.write_goaway_frame(last_stream_id, err_code, debug_msg, timeout)

    def say_goaway(self, last_stream_id: int | None, err_code: H2ErrorLike, debug_msg: str | bytes) -> None:
        """Queue GOAWAY and act on it. Under the guard."""
        self.check_open()
        if last_stream_id is not None:
            wire.check_uint(last_stream_id, "a stream id", wire.MAX_STREAM_ID)
        debug_data = debug_msg.encode() if isinstance(debug_msg, str) else debug_msg
        self.by_hand.goaway(last_stream_id, int(H2Error(err_code).code), debug_data)
        self._collect()
        self.going_away()

    # -- settings ------------------------------------------------------------------------------------------------------

    async def settings(self, tbl: wire.SettingsLike, timeout: float | None = None) -> bool:
        """Change this side's settings: send them and wait until the peer has acknowledged them; returns True.

        Args:
            tbl: by name or number, such as {"INITIAL_WINDOW_SIZE": 65535}.
            timeout: seconds, None for no limit.

        Raises:
            ReadTimeout: they were not acknowledged in time. GOAWAY with SETTINGS_TIMEOUT was sent.
            UsageError: a name, number or value that cannot be.
        """
        deadline = self.deadline_after(timeout)
        own = self.machine.own_settings
        try:
            number = await self.stream0.write_settings_frame(False, tbl, timeout)
            assert number is not None
            await self.wait_until(lambda: own.acknowledged >= number, self._acknowledging, deadline)
        except Timeout:
            with self.guard:
                if self._fault is None:
                    self.say_goaway(None, H2ErrorCode.SETTINGS_TIMEOUT, b"settings not acknowledged")
            await self.flush_now()
            raise ReadTimeout("the peer did not acknowledge the settings in time") from None
        return True

    def _on_settings_acknowledged(self, _: Any) -> None:
        self.wake(self._acknowledging)

    def ack_settings(self) -> None:
        """Take the oldest of this side's SETTINGS that waits for its acknowledgement as acknowledged.

        The connection does so when the acknowledgement comes; this is for who takes frames away by `read_http2_frame`.
        """
        with self.guard:
            self.machine.library.apply_own_settings()
            self.wake(self._acknowledging)

    def set_peer_settings(self, peer_settings: wire.SettingsLike) -> None:
        """Take these for the peer's settings, as if its SETTINGS had come; nothing is sent.

        Raises:
            UsageError: a name, number or value that cannot be, or that the peer may not send.
        """
        values = wire.settings_of(peer_settings)
        if self.machine.role == "client" and values.get(wire.Setting.ENABLE_PUSH):
            raise UsageError("a server does not take pushes (RFC 9113 section 6.5.2)")
        with self.guard:
            try:
                self.machine.library.apply_peer_settings(values)
            except LibraryError as error:
                raise UsageError(f"not settings of a peer: {error}") from error
            self.machine.frame_taken()
            self.peer_settings_changed()

    @property
    def peer_allows_extended_connect(self) -> bool:
        """Whether the peer, a server, has said that it takes CONNECT with `:protocol` (RFC 8441). False before it spoke."""
        return bool(self.machine.library.remote_settings.enable_connect_protocol) and self.machine.role == "client"

    async def check_extended_connect(self, deadline: float) -> None:
        """Wait for the peer's first settings and refuse `:protocol` unless they allow it.

        Raises:
            LocalProtocolError: they do not.
        """
        if not self.machine.settings_seen:
            await self.wait_until(lambda: self.machine.settings_seen, self._me.opening, deadline)
        if not self.peer_allows_extended_connect:
            raise LocalProtocolError("the server does not take extended CONNECT (RFC 8441)")

    # -- priorities ----------------------------------------------------------------------------------------------------

    def stream_ids(self) -> list[int]:
        """The ids of all streams that are there. Under the guard."""
        return [*self.streams, *self.picked]

    def priority_said(self, stream_id: int, priority: wire.Priority) -> None:
        """A frame of either side says where a stream belongs in the tree. Under the guard."""
        ids = self.stream_ids()
        if stream_id in ids:
            self.priorities.apply(stream_id, priority, ids, ids)

    def _on_priority(self, event: PriorityUpdated) -> None:
        """Deprecated and acted on by nobody; what would be a fault in it is one of the stream (RFC 7540 section 5.3.1)."""
        if event.stream_id not in self.streams or event.depends_on is None or event.weight is None:
            return
        if event.depends_on == event.stream_id:
            raise H2Error(H2ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself", stream_error=True)
        self.priority_said(event.stream_id, wire.Priority(event.depends_on, event.weight, bool(event.exclusive)))
