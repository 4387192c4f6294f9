"""What a WebSocket does while nobody receives: answering Pings, keeping alive, and its end.

Laws:

- the pump never competes with who receives. Where the stream tells of input by itself (`ByteStream.announce_input`) it looks
  when something came and nobody receives; elsewhere it reads while nobody receives, and steps aside when somebody does;
- what it reads waits in the queue, within its limits;
- it returns when the connection below is closed, and closes it when the closing handshake is over.
"""

from __future__ import annotations

from ..backends.base import FOREVER, Backend, ByteStream, Waiter
from ..errors import NetworkError, ReadTimeout, Timeout, WebSocketClosed
from ..protocol.websocket_machine import WebSocketMachine
from .websocket_core import WebSocketCore

__all__ = ["CLOSE_TIMEOUT", "WebSocketPump"]

CLOSE_TIMEOUT = 3.0
"""Seconds to wait for the peer's side of a closing handshake: lua-http's figure."""

# How much of what a peer goes on sending is read after it was told of its fault.
_LINGER_BYTES = 500 * 1024
_NOW = -FOREVER
# How long the end of a stream of HTTP/2 is waited for, once the peer answered our Close frame, in seconds.
_H2_GRACE = 0.25
# How long nobody may have received before the pump reads where it has to wait for input, in seconds.
_GRACE = 0.02


class WebSocketPump(WebSocketCore):
    """The part of `WebSocketConnection` that needs no user; that documents the attributes."""

    __slots__ = ("_break", "_calls", "_is_ending", "_is_parked", "_is_wanted", "_receiving", "close_timeout", "version")

    def __init__(self, stream: ByteStream, backend: Backend, machine: WebSocketMachine) -> None:
        super().__init__(stream, backend, machine)
        self.close_timeout = CLOSE_TIMEOUT
        self.version = 1.1  # of HTTP below
        self._receiving = False
        self._calls = 0  # how often somebody began to receive
        self._is_parked = False  # the pump waits for who receives to leave
        self._break: Waiter | None = None  # while the pump waits whether somebody receives again
        self._is_ending = False  # somebody ends this side of the connection
        self._is_wanted = False  # somebody waits for what the pump is to read

    async def pump(self) -> None:
        """Read while nobody receives, keep alive, and close the connection when it is over; messages wait to be received.

        For a task or thread of its own, of which there may be one for each WebSocket. It costs those who receive nothing.
        Raises nothing; what happened is told to those who send or receive. Cancelled, it leaves the WebSocket as it is.
        """
        announced = self.stream.announce_input(self._input_came)
        try:
            if announced:
                await self._attend()
            else:
                await self._take_turns()
            await self._finish(self.backend.now() + self.close_timeout)
        finally:
            self.stream.announce_input(None)

    def _input_came(self) -> None:
        if self._reading:
            self._came = True  # who reads may not read all of it
        else:
            with self.guard:
                self._call_attendant()

    async def _attend(self) -> None:
        """The pump where input announces itself."""
        while True:
            await self._take_in()
            self._flush_soon()  # what could not be sent at once
            with self.guard:
                if self.is_over:
                    return
                full = not self._may_read()
                waiter = self._register() if full else self._new_attendant()
            if full:
                await self._follow(waiter, self._look_at)
            else:
                await waiter.wait(self._look_at)
            with self.guard:
                self._keep_alive(self.backend.now())

    def _new_attendant(self) -> Waiter:
        waiter = self._attendant = self.backend.create_waiter()
        return waiter

    async def _take_in(self) -> None:
        """Read what is there, without waiting for more, unless somebody else reads."""
        while True:
            with self.guard:
                if self._unparsed:
                    self._fill_queue()
                if self._reading or self.is_over or not self._may_read() or not self.stream.is_readable():
                    break
                self._reading = True
            try:
                await self._read(_NOW)
            except ReadTimeout:
                break
        if self._outbox:
            await self._flush_now()

    async def _take_turns(self) -> None:
        """The pump where somebody has to wait for input."""
        while True:
            await self._wait_until(lambda: self.is_over or self._receiving, FOREVER)
            while not self.is_over:
                calls = self._calls
                with self.guard:
                    waiter = self._break = self.backend.create_waiter()
                    is_wanted = self._is_wanted
                if not is_wanted:
                    await waiter.wait(self.backend.now() + _GRACE)
                    if calls != self._calls and not self._is_wanted:
                        continue
                with self.guard:
                    self._break, self._is_wanted = None, False
                    # In this order: who leaves does not take the guard to say so, and looks for us afterwards.
                    self._is_parked = True
                    waiter = self._new_attendant()
                    if not self._receiving:
                        self._is_parked, self._attendant = False, None
                        break
                await waiter.wait(FOREVER)
            if self.is_over:
                return

    def _end_break(self) -> None:
        """Have the pump look at once. Under the guard."""
        self._is_wanted = True
        if self._break is not None:
            self._break.wake()

    def _leave_receiving(self) -> None:
        """Somebody receives no more."""
        self._receiving = False
        if self._attendant is not None and (self._is_parked or self._unparsed):
            with self.guard:
                self._is_parked = False
                self._call_attendant()

    # -- the end -------------------------------------------------------------------------------------------------------

    async def _finish(self, deadline: float) -> None:
        """What follows the closing handshake: the end of the connection below (RFC 6455 section 7.1.1). Never raises."""
        if self.stream.is_closed:
            return
        deadline = min(deadline, self.backend.now() + self.close_timeout)
        try:
            await self.flush_by(deadline)
            if not self._ended:
                if self.machine.failure is not None:
                    # What the peer is still sending would have the system cut the connection, and our Close frame with it.
                    with self.guard:
                        is_first, self._is_ending = not self._is_ending, True
                    if is_first:
                        await self.stream.send_eof(deadline)
                    await self._wait_until(lambda: self._ended or self._dropped > _LINGER_BYTES, deadline)
                elif self.machine.client and self.machine.close_received is not None:
                    # The server goes first. A stream of HTTP/2 needs that less than a connection (there is no TIME_WAIT), but
                    # one that is reset counts against us; there are servers that never end it.
                    if self.version >= 2 and not self.peer_closed_first:
                        deadline = min(deadline, self.backend.now() + _H2_GRACE)
                    await self._wait_until(lambda: self._ended, deadline)
        except (NetworkError, Timeout, WebSocketClosed):
            pass
        finally:
            self._drop()

    def _drop(self, is_given_up: bool = False) -> None:
        """Close the connection below, now; what waits there to be sent still is, unless that `is_given_up`."""
        with self.guard:
            self._closing = True
        if is_given_up:
            self.stream.abort()
        else:
            self.stream.close()
        with self.guard:
            self._ended = True
            if self._outbox:
                self._give_up_output()
            self._pings.end()
            self._wake()
            self._call_attendant()
            self._end_break()

    def abort(self, at_once: bool = True) -> None:
        """Give the connection up, now and without goodbyes. Idempotent, from any thread (of the loop); who waits is told.

        Args:
            at_once: whether to drop what was sent and is not on its way yet, too.
        """
        with self.guard:
            if not self._ended:
                machine = self.machine
                text = "this side gave the connection up"
                self._lose(WebSocketClosed(text, machine.close_received, machine.close_sent))
        self._drop(is_given_up=at_once)
