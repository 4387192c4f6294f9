"""What one HTTP/2 stream offers beyond messages: its id and state by hand, resets, windows, single frames.

With `h2_frames`, which has the frames that carry messages and the laws of both, this is what lua-http's `http.h2_stream` has
and `MessageStream` has not.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, cast

from ..errors import LocalProtocolError, StreamRefused, UsageError
from ..wire import h2_frames as wire
from ..wire.h2_errors import H2Error, H2ErrorCode, H2ErrorLike
from .message_stream import MessageStream

if TYPE_CHECKING:
    from .h2_connection import H2Connection
    from .h2_stream import H2Stream

__all__ = ["H2StreamControls"]

_RANKS = {
    "idle": 1,
    "open": 2,
    "reserved (local)": 2,
    "reserved (remote)": 2,
    "half closed (local)": 3,
    "half closed (remote)": 3,
    "closed": 4,
}


class H2StreamControls(MessageStream):
    """Base of `H2FrameWriters`. See the module.

    Attributes:
        id: the stream id, None before one was taken.
        is_idle: whether no HEADERS and no PUSH_PROMISE opened the stream yet.
    """

    connection: H2Connection
    id: int | None
    is_idle: bool

    @property
    @abstractmethod
    def state(self) -> str:
        """Where the stream stands, in RFC 9113's words."""

    @abstractmethod
    def _sent(self) -> None:
        """This side's message is complete. Under the guard."""

    @abstractmethod
    def end_received(self) -> None:
        """The peer's message is complete. Under the guard."""

    @abstractmethod
    def give_up(self, code: int = 0x8) -> None:
        """Queue RST_STREAM, unless the stream is over, and give its credit back. Under the guard."""

    @abstractmethod
    def _check_may_send(self) -> int:
        """The stream id; raises unless the message is open for data. Under the guard."""

    @property
    def _me(self) -> H2Stream:
        return cast("H2Stream", self)

    # -- the stream's place --------------------------------------------------------------------------------------------

    def pick_id(self, id: int | None = None) -> int:
        """Take a stream id now rather than with the first HEADERS.

        The first use of a higher id closes the streams with lower ones that are still idle (RFC 9113 section 5.1.1).

        Args:
            id: which, of this side's parity (odd on clients, even on servers); None for the next one. One that is lower
                than an id used before makes the stream closed at once.

        Returns:
            The id.

        Raises:
            StreamRefused: without `id`, after either side's GOAWAY.
            LocalProtocolError: the stream has an id.
            UsageError: `id` is out of range, of the peer's parity or taken.
        """
        with self.connection.guard:
            return self.pick_under_guard(id)

    def pick_under_guard(self, wanted: int | None = None) -> int:
        """`pick_id`, under the guard."""
        connection = self.connection
        machine = connection.machine
        if self.id is not None or self.state != "idle":
            raise LocalProtocolError("the stream has an id already, or is closed")
        if wanted is None:
            if not machine.may_open:
                raise StreamRefused("the connection takes no new streams any more")
            wanted = machine.next_stream_id()
        elif wire.check_stream_id(wanted) % 2 != (machine.role == "client"):
            raise UsageError(f"stream {wanted} is for the peer to open")
        elif wanted in connection.streams or wanted in connection.picked:
            raise UsageError(f"stream {wanted} is taken")
        self.id = wanted
        if wanted > machine.library.highest_outbound_stream_id:
            machine.highest_picked = max(machine.highest_picked, wanted)
            connection.picked[wanted] = self._me
        return wanted

    def set_state(self, new: str) -> None:
        """Set the state by hand, for who writes raw frames: nothing is sent.

        Args:
            new: "open", "reserved (local)" (servers), "half closed (local)", "half closed (remote)" or "closed".

        Raises:
            UsageError: no such state, or not a move forward: idle, open or reserved, half closed, closed.
            LocalProtocolError: an idle stream without an id.
        """
        connection = self.connection
        with connection.guard:
            if new not in _RANKS or _RANKS[new] <= _RANKS[self.state]:
                raise UsageError(f"a stream does not go from {self.state!r} to {new!r}")
            if new == "reserved (remote)" or (new == "reserved (local)" and connection.type != "server"):
                raise UsageError(f"a stream of this {connection.type} is never {new!r} on its own account")
            if self.id is None and new != "closed":
                raise LocalProtocolError("the stream has no id: pick_id first")
            if self.id is not None:
                connection.machine.library.force_state(self.id, new)
            if self.is_idle and new != "closed":
                connection.opened(self._me)
            if new == "half closed (local)":
                self._sent()
            elif new == "half closed (remote)":
                self._me.expect_any_length()
                self.end_received()
            elif new == "closed":
                self.give_up()
        connection.run_due()

    def reprioritise(self, child: H2StreamControls, exclusive: bool = False) -> None:
        """Make `child` depend on this stream (RFC 7540 section 5.3). Sends nothing, and nothing is scheduled by it.

        Args:
            child: another stream of the connection, with an id.
            exclusive: all other streams that depend on this one depend on `child` from now on.

        Raises:
            LocalProtocolError: `child` is this stream, of another connection, or without an id.
        """
        connection = self.connection
        with connection.guard:
            if child is self or child.connection is not connection or self.id is None or not child.id:
                raise LocalProtocolError("a stream depends on another one of its connection, and both have ids")
            connection.priorities.move(child.id, self.id, exclusive, connection.stream_ids())

    # -- any frame -----------------------------------------------------------------------------------------------------

    async def write_http2_frame(
        self,
        type: int,
        flags: int,
        payload: bytes,
        timeout: float | None = None,
        flush: bool = True,
    ) -> None:
        """Write a frame with this stream's id as it is; see `H2Connection.write_http2_frame`."""
        await self.connection.write_http2_frame(type, flags, self._need_id(), payload, timeout, flush)

    def _need_id(self) -> int:
        if self.id is None:
            raise LocalProtocolError("the stream has no id: pick_id first")
        return self.id

    def _of_a_stream(self, frame: str) -> int:
        number = self._need_id()
        if number == 0:
            raise LocalProtocolError(f"{frame} is about a stream, and this is the connection")
        return number

    def _of_the_connection(self, frame: str) -> None:
        if self.id != 0:
            raise LocalProtocolError(f"{frame} is about the connection: use its stream0")

    async def _send(self, timeout: float | None, flush: bool) -> None:
        """Put what was queued on its way."""
        connection = self.connection
        if flush:
            await connection.flush_by(connection.deadline_after(timeout))
        else:
            connection.run_due()

    # -- resets -------------------------------------------------------------------------------------------------------

    async def write_rst_stream_frame(
        self, err_code: H2ErrorLike = H2ErrorCode.NO_ERROR, timeout: float | None = None, flush: bool = True
    ) -> None:
        """Write RST_STREAM, which closes the stream.

        Raises:
            LocalProtocolError: the stream is idle or closed.
        """
        self._of_a_stream("RST_STREAM")
        code = H2Error(err_code).code
        with self.connection.guard:
            if self.is_idle or self.state == "closed":
                raise LocalProtocolError(f"RST_STREAM has no place on a {self.state} stream")
            self.connection.check_open()
            self.give_up(int(code))
        await self._send(timeout, flush)

    async def rst_stream(self, err: H2ErrorLike | BaseException | None = None, timeout: float | None = None) -> None:
        """Reset the stream; nothing is left to do on one that is idle or closed.

        Args:
            err: an `H2Error`, a code, its number or name; None for NO_ERROR; any other exception for INTERNAL_ERROR. Only
                the code is sent.
            timeout: seconds for sending, None for no limit.
        """
        if err is None:
            err = H2ErrorCode.NO_ERROR
        elif isinstance(err, BaseException) and not isinstance(err, H2Error):
            err = H2ErrorCode.INTERNAL_ERROR
        code = H2Error(err).code
        with self.connection.guard:
            self.give_up(int(code))
        await self._send(timeout, True)

    # -- windows -------------------------------------------------------------------------------------------------------

    async def write_window_update_frame(self, inc: int, timeout: float | None = None, flush: bool = True) -> None:
        """Write WINDOW_UPDATE: let `inc` bytes more come on this stream, beyond what reading lets come by itself.

        Raises:
            LocalProtocolError: the stream is not there, or the window would pass 2**31 - 1.
        """
        wire.check_uint(inc, "an increment", wire.MAX_WINDOW, 1)
        connection = self.connection
        with connection.guard:
            connection.check_open()
            connection.by_hand.window_update(self._need_id(), inc)
            connection.collect()
        await self._send(timeout, flush)

    async def write_window_update(self, inc: int, timeout: float | None = None) -> None:
        """`write_window_update_frame`; an increment of 0 does nothing."""
        if inc != 0:
            await self.write_window_update_frame(inc, timeout)

    # -- the connection's own frames, on its `stream0` -----------------------------------------------------------------

    async def write_settings_frame(
        self,
        ack: bool = False,
        settings: wire.SettingsLike | None = None,
        timeout: float | None = None,
        flush: bool = True,
    ) -> int | None:
        """Write SETTINGS, or with `ack` an acknowledgement beside those sent by themselves.

        Args:
            ack: True for an acknowledgement, which has no settings.
            settings: by name or number, such as {"INITIAL_WINDOW_SIZE": 65535}.
            timeout: seconds for sending, None for no limit.
            flush: whether to send now.

        Returns:
            The frame's number, counted from 1, which is that of the connection's first; its values take effect when its
            acknowledgement comes. None with `ack`.

        Raises:
            UsageError: a name, number or value that cannot be.
            LocalProtocolError: not on `stream0`; or values that this side may not send.
        """
        self._of_the_connection("SETTINGS")
        values = wire.settings_of(settings or {})
        if ack and values:
            raise UsageError("an acknowledgement has no settings")
        connection = self.connection
        number = None
        with connection.guard:
            connection.check_open()
            if ack:
                connection.by_hand.settings_ack()
            else:
                number = connection.by_hand.settings(values)
            connection.collect()
        await self._send(timeout, flush)
        return number

    async def write_ping_frame(
        self, ack: bool = False, payload: bytes = b"\0" * 8, timeout: float | None = None, flush: bool = True
    ) -> None:
        """Write PING with 8 bytes, or with `ack` an answer beside those sent by themselves. See `H2Connection.ping`."""
        self._of_the_connection("PING")
        connection = self.connection
        with connection.guard:
            connection.check_open()
            connection.by_hand.ping(payload, ack)
            connection.collect()
        await self._send(timeout, flush)

    async def write_goaway_frame(
        self,
        last_streamid: int | None = None,
        err_code: H2ErrorLike = H2ErrorCode.NO_ERROR,
        debug_msg: str | bytes = b"",
        timeout: float | None = None,
        flush: bool = True,
    ) -> None:
        """Write GOAWAY; see `H2Connection.write_goaway_frame`."""
        self._of_the_connection("GOAWAY")
        connection = self.connection
        with connection.guard:
            connection.say_goaway(last_streamid, err_code, debug_msg)
        await self._send(timeout, flush)
