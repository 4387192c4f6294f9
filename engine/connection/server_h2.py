"""Serving the streams of an HTTP/2 connection, all at once.

The connection's own thread or task takes the streams in, hands them to workers and sees to what concerns no stream: whether
the connection is idle, whether the client takes anything at all, whether a header section ends. How long ago something
began is known as well as it is looked at, which is at least once in the shortest of the limits: a limit may be passed by as
much again.
"""

from __future__ import annotations

import contextlib

from ..errors import (
    ClosedError,
    EngineError,
    NetworkError,
    ReadTimeout,
    RemoteProtocolError,
    Timeout,
)
from ..wire.h2_errors import H2Error, H2ErrorCode
from .h2_connection import H2Connection
from .h2_server_stream import H2ServerStream
from .server_linger import LINGER_TIME, drop_input
from .server_serving import ServerContext, Serving
from .server_workers import StreamWorkers

__all__ = ["H2Serving"]

# How long the client may be silent at the end of a connection, in seconds.
_SILENCE = 0.5
# So much the system sends without having heard from the client, in bytes (RFC 6928).
_ON_THE_WAY = 14_000
# With these a client says that it has lost interest, not that something was wrong.
_LOST_INTEREST = frozenset((H2ErrorCode.NO_ERROR, H2ErrorCode.CANCEL, H2ErrorCode.REFUSED_STREAM))


class _Since:
    """How long something has been as it is."""

    __slots__ = ("_since", "_what")

    def __init__(self) -> None:
        self._what: int | None = None
        self._since = 0.0

    def look(self, what: int | None, now: float) -> float | None:
        """Since when it has been `what`, as far as known; None when that is None."""
        if what != self._what:
            self._what, self._since = what, now
        return None if what is None else self._since


class H2Serving(Serving):
    """See `Serving` and the module.

    Args:
        context: the server's.
        connection: the connection; the client's preface may be still to come.
        setup_deadline: for the preface and the client's settings.
        refusal: why nothing is served, None when it is.
    """

    def __init__(
        self, context: ServerContext, connection: H2Connection, setup_deadline: float, refusal: H2Error | None = None
    ) -> None:
        self._context = context
        self._backend = context.backend
        self._connection = connection
        self._setup_deadline = setup_deadline
        self._refusal = refusal
        self._over = context.backend.create_waiter()
        self._ending = False
        self._section = _Since()
        self._stall = _Since()
        self._idle_since = 0.0
        self._sent_before = 0  # how much had been sent when there was something to do again
        self._workers = StreamWorkers(
            context.backend,
            context.options.h2_limits.max_concurrent_streams,
            self._serve_stream,
            self._all_served,
            f"drivetrain stream {connection.peername().host}",
        )

    @property
    def is_current(self) -> bool | None:
        """See `Serving.is_current`."""
        return self._workers.is_current

    def end_soon(self) -> bool:
        """See `Serving.end_soon`."""
        self._say_goodbye()
        self._connection.flush_without_waiting()
        if self._connection.streams or self._connection.has_output:
            return False
        # A handler that has something else to do after its answer does not count.
        if self._is_settled():
            return True
        if not self._workers.active:
            try:
                self._workers.poke()
            except RuntimeError:  # no more threads
                return True
        return False

    def _is_settled(self) -> bool:
        """Whether what was answered can be taken to have reached the client.

        What a client sends to a socket that is closed already, and be it a window update, destroys what is on its way.
        """
        if self._connection.bytes_sent - self._sent_before < _ON_THE_WAY:
            return True
        return not self._workers.active and self._backend.now() - self._idle_since >= _SILENCE

    def cut(self) -> None:
        """See `Serving.cut`."""
        self._connection.close()

    def _say_goodbye(self, code: H2ErrorCode = H2ErrorCode.NO_ERROR, why: str = "") -> None:
        """Take no further streams. Those under way go on."""
        connection = self._connection
        with connection.guard:
            self._ending = True
            if not connection.machine.said_goaway:
                connection.machine.say_goaway(int(code), why.encode())
                connection.collect()
                connection.wake(connection.incoming)

    # -- the connection's own thread or task ---------------------------------------------------------------------------

    async def serve(self) -> None:
        """See `Serving.serve`."""
        try:
            await self._serve_streams()
            await self._workers.close()
        except BaseException:
            # Cancelled: there is no time for goodbyes.
            self._workers.cancel()
            await self._workers.close()
            raise
        fault = self._connection.fault
        if isinstance(fault, RemoteProtocolError):
            self._context.report(fault, "reading a request")
        await self._close()

    async def _serve_streams(self) -> None:
        try:
            if self._refusal is not None:
                self._say_goodbye(self._refusal.code, self._refusal.message or "")
            elif await self._is_begun():
                await self._take_streams()
        except (NetworkError, RemoteProtocolError, Timeout, ClosedError):
            return  # the client went away, or is not to be understood
        finally:
            self._over.wake()

    async def _is_begun(self) -> bool:
        """Wait for the client's preface and settings; False when they do not come in time."""
        connection = self._connection
        try:
            await connection.wait_until(
                lambda: connection.machine.settings_seen, connection.incoming, self._setup_deadline
            )
        except ReadTimeout:
            self._say_goodbye(H2ErrorCode.SETTINGS_TIMEOUT)
            return False
        return True

    async def _take_streams(self) -> None:
        """Hand the streams that come to the workers, until no more will, and go on reading until the last one is over."""
        connection = self._connection
        self._idle_since = self._backend.now()
        look_at = self._next_look(self._idle_since)
        while True:
            try:
                stream = await connection.next_incoming_stream(look_at)
                if stream is not None:
                    self._serve_soon(stream)
                    for another in connection.take_incoming_streams():
                        self._serve_soon(another)
                    if self._backend.colour == "async":
                        await connection.flush_together()
                    continue
                self._say_goodbye()
                if not self._workers.active:
                    return
                await connection.wait_until(lambda: False, connection.incoming, look_at)
            except ReadTimeout:
                now = self._backend.now()
                if not self._is_well(now):
                    return
                look_at = self._next_look(now)

    def _serve_soon(self, stream: H2ServerStream) -> None:
        stream.read_timeout = stream.write_timeout = self._context.options.stream_timeout
        if not self._workers.active:
            self._sent_before = self._connection.bytes_sent
        try:
            self._workers.submit(stream)
        except RuntimeError as error:
            # No more threads.
            stream.cancel(H2ErrorCode.REFUSED_STREAM)
            self._context.report(error, "serving a stream")

    # -- looking after the connection ----------------------------------------------------------------------------------

    def _next_look(self, now: float) -> float:
        options = self._context.options
        until = now + min(options.stream_timeout, options.header_timeout)
        idle_until = self._idle_since + options.intra_stream_timeout
        if self._workers.active or idle_until <= now:
            idle_until = now + options.intra_stream_timeout
        return min(until, idle_until)

    def _is_well(self, now: float) -> bool:
        """Whether the connection may go on; otherwise the goodbye is queued, where there is somebody to hear it."""
        connection, options = self._connection, self._context.options
        with connection.guard:
            section_since = self._section.look(connection.machine.open_section, now)
            stalled_since = self._stall.look(connection.bytes_sent if connection.has_output else None, now)
        if stalled_since is not None and now - stalled_since >= options.stream_timeout:
            connection.close()
            return False
        if section_since is not None and now - section_since >= options.header_timeout:
            self._say_goodbye(H2ErrorCode.ENHANCE_YOUR_CALM, "the header section did not come in time")
            with connection.guard:
                connection.fail(ClosedError("the client was too slow"))
            return False
        if stalled_since is not None or self._workers.active or now - self._idle_since < options.intra_stream_timeout:
            return True
        self._say_goodbye()
        return False

    # -- one stream, in a worker ---------------------------------------------------------------------------------------

    async def _serve_stream(self, stream: H2ServerStream) -> None:
        if stream.state == "closed":
            # The client has thought better of it. What it sent holds the connection's window until it is dropped.
            await stream.shutdown()
            return
        context = self._context
        try:
            await context.handler(stream)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises
            if not _is_the_clients(stream, error):
                context.report(error, "handling a request")
                await self._answer_500(stream)
        except BaseException:
            # Cancelled, or the process is ending.
            stream.cancel(H2ErrorCode.INTERNAL_ERROR)
            raise
        await stream.shutdown()
        with contextlib.suppress(EngineError):
            # Nobody else may be about to send anything.
            await self._connection.flush_by(context.in_stream_time())

    async def _answer_500(self, stream: H2ServerStream) -> None:
        """When nothing was answered; a fault of the request itself is answered by `shutdown`."""
        if stream.status is None and stream.fault is None and stream.state != "closed":
            with contextlib.suppress(EngineError):
                await stream.refuse(500, self._context.in_stream_time())

    async def _all_served(self) -> None:
        """In the worker that served the last stream of all, or in one for this purpose when there was none."""
        self._idle_since = self._backend.now()
        connection = self._connection
        with connection.guard:
            if not self._ending or connection.streams:
                return
        # The thread that reads cannot be told to look again: it sees the client close, or is cut off when the client, which
        # may still be taking in the answers, is silent for a while.
        deadline = self._context.in_stream_time()
        with contextlib.suppress(EngineError):
            await connection.end_output(deadline)
            rounds = -1
            while connection.rounds != rounds and self._backend.now() < deadline:
                rounds = connection.rounds
                if await self._over.wait(self._backend.now() + _SILENCE):
                    return
        connection.close()

    # -- the end -------------------------------------------------------------------------------------------------------

    async def _close(self) -> None:
        """Say what is left to be said and close, reading on for a moment: the client may still be sending."""
        connection = self._connection
        deadline = self._backend.now() + LINGER_TIME
        if not connection.stream.is_closed:
            with contextlib.suppress(EngineError):
                await connection.end_output(deadline)
            with contextlib.suppress(EngineError):
                await drop_input(connection.stream, deadline)
        connection.close()


def _is_the_clients(stream: H2ServerStream, error: Exception) -> bool:
    """Whether an error of a handler says that its client went away or stalled, rather than somebody else it talked to."""
    if isinstance(error, Timeout):
        return error is stream.fault
    if isinstance(error, H2Error) and error.code not in _LOST_INTEREST and stream.connection.fault is None:
        return False
    gone = isinstance(error, (NetworkError, ClosedError, RemoteProtocolError))
    return gone and (stream.is_broken or stream.connection.is_closed)
