"""One WebSocket shared by threads or tasks: who reads, who waits, what goes on by itself. No helper thread, no helper task.

Laws:

- reading is a *role*: whoever waits for something and finds nobody reading reads for everybody; a lone user never makes a
  waiter;
- what is read for others waits in a queue; when that is full nothing is read, so the peer has to wait. Nothing is parsed
  before somebody has room for it;
- Pings are answered, and keep-alive Pings sent, by who reads. Where nobody does, nothing happens: see `websocket_pump`;
- a time limit that passes, or a cancellation, loses nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ..backends.base import FOREVER, Backend, ByteStream, Interrupted, Waiter
from ..errors import EngineError, NetworkError, ReadTimeout, Timeout, WebSocketClosed, WriteTimeout
from ..protocol.websocket_events import CloseReceived, Event, Failed, Piece, PingReceived, PongReceived
from ..protocol.websocket_machine import WebSocketMachine
from .websocket_facts import WebSocketFacts
from .websocket_output import fresh
from .websocket_pings import OnPong, Pings

__all__ = ["WebSocketCore"]

_READ_SIZE = 256 * 1024
_NOW = -FOREVER  # a deadline that has passed: do what can be done without waiting
# So many times something may come after a deadline without that being the end of it: it may have been there before.
_LATE = 64
_KEEP_ALIVE_FAILED = 1011


class WebSocketCore(WebSocketFacts):
    """The reading half of `WebSocketConnection`, which documents the attributes."""

    __slots__ = (
        "_alive_key",
        "_attendant",
        "_came",
        "_closing",
        "_dropped",
        "_dropping",
        "_look_at",
        "_ping_at",
        "_pings",
        "_pong_due",
        "_queue",
        "_queue_size",
        "_reading",
        "_unparsed",
        "latency",
        "ping_interval",
        "ping_timeout",
    )

    def __init__(self, stream: ByteStream, backend: Backend, machine: WebSocketMachine) -> None:
        super().__init__(stream, backend, machine)
        self.ping_interval: float | None = None
        self.ping_timeout: float | None = None
        self.latency: float | None = None
        self._reading = False
        self._closing = False  # this side wants no more of it
        self._queue: deque[Piece] | None = None
        self._queue_size = 0
        self._unparsed = False  # the machine may have more for us than there was room for
        self._dropping = False
        self._dropped = 0  # bytes that came after the end
        self._pings = Pings()
        self._attendant: Waiter | None = None  # of who reads while nobody else does
        self._alive_key: bytes | None = None
        self._ping_at = self._pong_due = self._look_at = FOREVER
        self._came = False  # input was announced while somebody was reading

    # -- what was received ---------------------------------------------------------------------------------------------

    @property
    def _has_room(self) -> bool:
        queue, limits = self._queue, self.machine.limits
        return not queue or (len(queue) < limits.max_queue and self._queue_size < limits.queue_size)

    def _take_piece(self) -> Piece | None:
        """The next piece of a message, None where more must come first. Under the guard."""
        queue = self._queue
        if not queue:
            if self._dropping:
                self._fill_queue()  # what came before it is missing
                return None
            return self._next_piece() if self._unparsed else None
        piece = queue.popleft()
        self._queue_size -= len(piece.data)
        if not queue:
            self._queue = None  # idle connections are many
        if self._waiters:
            self._wake()
        return piece

    def _put_back(self, piece: Piece) -> None:
        """Return a piece that was taken. Under the guard."""
        if self._queue is None:
            self._queue = deque()
        self._queue.appendleft(piece)
        self._queue_size += len(piece.data)

    def _next_piece(self) -> Piece | None:
        """Act on what came up to the next piece of a message. Under the guard."""
        machine = self.machine
        while (event := machine.next_event()) is not None:
            if type(event) is Piece:
                self._unparsed = machine.has_input
                return event
            self._handle(event)
        self._unparsed = False
        return None

    def _fill_queue(self) -> None:
        """Put what came into the queue, as far as there is room. Under the guard."""
        while self._unparsed:
            if not self._has_room:
                if not self._closing:
                    return
                # Nobody takes it any more, and it is in the way of the peer's Close frame.
                self._dropping = True
            piece = self._next_piece()
            if piece is not None and not self._dropping:
                if self._queue is None:
                    self._queue = deque()
                self._queue.append(piece)
                self._queue_size += len(piece.data)

    def _handle(self, event: Event) -> None:
        """Act on an event other than a piece. Under the guard."""
        if type(event) is PingReceived:
            self._answer_ping(event.data)
        elif type(event) is PongReceived:
            self._pong_received(event.data)
        elif isinstance(event, (CloseReceived, Failed)):
            self._put(self.machine.answer(event))
            self._call_attendant()
        if self._waiters:
            self._wake()

    def _answer_ping(self, data: bytes) -> None:
        if self.machine.close_sent is not None:
            return
        if self._waiting_output < self.machine.limits.max_outbox:
            self._put(self.machine.send_pong(data))
        else:
            # The peer does not read: it is enough to answer the last one (RFC 6455 section 5.5.3).
            self._last_pong = data

    def _outbox_is_empty(self) -> None:
        data, self._last_pong = self._last_pong, None
        if data is not None:
            self._answer_ping(data)

    def _pong_received(self, data: bytes) -> None:
        answered = self._pings.answered(data, self.backend.now())
        if answered is not None:
            self.latency, keys = answered
            if self._alive_key in keys:
                self._alive_key, self._pong_due = None, FOREVER

    def _output_is_left(self) -> None:
        self._call_attendant()

    def _call_attendant(self) -> None:
        """Have the one who reads while nobody else does look at what happened. Under the guard."""
        attendant, self._attendant = self._attendant, None
        if attendant is not None:
            attendant.wake()

    def _lose(self, error: EngineError) -> None:
        """The connection broke. Under the guard."""
        self._ended = True
        if self.machine.is_receiving and not self._closing and self._fault is None:
            self._fault = fresh(error)
        self._pings.end()
        self._wake()
        self._call_attendant()

    def _end(self) -> None:
        """The peer ended its side. Under the guard."""
        machine = self.machine
        text = "the connection ended without the closing handshake"
        self._lose(WebSocketClosed(text, machine.close_received, machine.close_sent))

    # -- reading -------------------------------------------------------------------------------------------------------

    def _may_read(self) -> bool:
        return self._has_room or self._closing or not self.machine.is_receiving

    async def _wait_until(self, ready: Callable[[], bool], deadline: float) -> None:
        """Wait until `ready()`, reading for everybody while nobody else does.

        Args:
            ready: looked at under the guard; must become true when the connection is over.
            deadline: on the backend's clock.

        Raises:
            ReadTimeout: nothing is lost.
        """
        late = 0
        while True:
            waiter, until = None, deadline
            with self.guard:
                done = ready()
                if not done and self._unparsed:
                    self._fill_queue()
                    done = ready()
                if done:
                    break
                if self._reading:
                    waiter = self._register()
                elif not self._may_read():
                    waiter, until = self._register(), min(deadline, self._look_at)
                else:
                    self._reading = True
            if waiter is None:
                await self._read(deadline)
                late = self._count_late(late, deadline)
            elif not await self._follow(waiter, until):
                if until == deadline:
                    raise ReadTimeout("nothing came in time")
                # There is no room to read, so nobody who reads keeps the connection alive.
                with self.guard:
                    self._keep_alive(self.backend.now())
                await self._flush_now()
        if self._outbox:
            await self._flush_now()

    def _count_late(self, late: int, deadline: float) -> int:
        """Count what came, and was not enough, after the deadline: a peer could go on with it for ever.

        Raises:
            ReadTimeout: that was too often.
        """
        if deadline == FOREVER or self.backend.now() < deadline:
            return 0
        if late >= _LATE:
            raise ReadTimeout("nothing that is complete came in time")
        return late + 1

    def _stop_reading(self) -> None:
        """Give the reader's role back without having read."""
        with self.guard:
            self._reading = False
            self._wake()

    async def _read(self, deadline: float, is_receiver: bool = False) -> str | bytes | None:
        """Read once, for everybody; with something to send, send it while there is nothing to read.

        The caller has taken the reader's role, which this gives back.

        Args:
            deadline: on the backend's clock.
            is_receiver: whether the caller wants a message, and there was none in the queue.

        Returns:
            For a receiver, what came, where that is one whole message; None otherwise.

        Raises:
            ReadTimeout: nothing is lost.
        """
        data = fault = None
        limit = min(deadline, self._look_at)
        until: float | None = limit
        try:
            if self._outbox:
                until = await self._send_or_listen(limit)
            if until is not None:
                data = await self.stream.receive_some(_READ_SIZE, until)
        except Interrupted:
            pass  # look again
        except NetworkError as error:
            fault = error
        except BaseException as error:
            with self.guard:
                self._reading = False
                self._wake()
                if not isinstance(error, Timeout) or self._outbox:
                    self._call_attendant()  # who is cancelled may leave behind what came at that moment
            if not isinstance(error, Timeout):
                raise
            if self._is_too_late(until, deadline):
                raise ReadTimeout("nothing came in time") from None
            return None
        with self.guard:
            self._reading = False
            if self._waiters:
                self._wake()
            if self._came:
                self._came = False
                self._call_attendant()
            if data:
                return self._take(data, is_receiver)
            if data is not None:
                self._end()
            elif fault is not None:
                self._lose(fault)
            return None

    def _is_too_late(self, until: float | None, deadline: float) -> bool:
        """When nothing came `until` then: do what is due, and say whether that was all the time there is."""
        now = self.backend.now()
        with self.guard:
            self._keep_alive(now)
        return until == deadline or now >= deadline

    def _take(self, data: bytes, is_receiver: bool) -> str | bytes | None:
        """Give the machine what came; returns a message for a receiver, see `_read`. Under the guard."""
        machine = self.machine
        if not machine.is_receiving:
            self._dropped += len(data)
        elif is_receiver and not self._dropping:
            message = machine.receive_message(data)
            if message is not None:
                return message
            self._unparsed = True
        else:
            machine.receive(data)
            self._unparsed = True
        return None

    async def _send_or_listen(self, deadline: float) -> float | None:
        """Send some of the outbox, unless input comes first; returns until when to read, None for not at all."""
        with self.guard:
            if self._flushing or not self._outbox:
                return deadline
            self._flushing = True
            data = self._next_output()
        try:
            sent = await self.stream.send_some(data, deadline, or_readable=True)
            with self.guard:
                if sent:
                    self._sent_some(sent)
            # What waits may be nothing for us (TLS has messages of its own), and then there is still something to send.
            return None if sent else _NOW
        except WriteTimeout:
            raise
        except NetworkError as error:
            with self.guard:
                self._sending_failed(error)
            return deadline
        finally:
            with self.guard:
                self._flushing = False
                self._wake()

    # -- keeping alive -------------------------------------------------------------------------------------------------

    def keep_alive(self, interval: float | None, timeout: float | None) -> None:
        """Send a Ping every `interval` seconds, as long as somebody reads; give up when one is not answered in `timeout`.

        Who is reading already goes by the new interval when the old one is over.
        """
        with self.guard:
            self.ping_interval = interval
            self.ping_timeout = timeout
            self._ping_at = FOREVER if interval is None else self.backend.now() + interval
            self._look_at = min(self._ping_at, self._pong_due)
            self._call_attendant()

    def _new_ping(self, data: bytes | None, on_pong: OnPong | None = None) -> tuple[bytes, bytes]:
        """A Ping's frame, and what its Pong will carry. Under the guard.

        Raises:
            UsageError: one with the same data is under way.
        """
        key = self._pings.choose(data)
        frame = self.machine.send_ping(key)
        self._pings.sent(key, self.backend.now(), on_pong)
        return frame, key

    def _keep_alive(self, now: float) -> None:
        """Do what is due, if anything is. Under the guard."""
        if now < self._look_at:
            return
        if self.machine.close_sent is not None or self.ping_interval is None:
            self._look_at = FOREVER
            return
        if now >= self._pong_due:
            self._put(self.machine.send_close(_KEEP_ALIVE_FAILED, "keepalive ping timeout"))
            self._lose(WebSocketClosed("the peer did not answer a Ping in time", None, self.machine.close_sent))
            return
        if now >= self._ping_at:
            self._ping_at = now + self.ping_interval
            if self._alive_key is None:
                frame, self._alive_key = self._new_ping(None)
                self._put(frame)
                if self.ping_timeout is not None:
                    self._pong_due = now + self.ping_timeout
        self._look_at = min(self._ping_at, self._pong_due)
