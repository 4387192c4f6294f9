"""Serving the requests of an HTTP/1 connection, one after the other."""

from __future__ import annotations

import contextlib

from ..backends.base import ByteStream
from ..errors import (
    ClosedError,
    EngineError,
    IncompleteMessage,
    NetworkError,
    ReadTimeout,
    RemoteProtocolError,
    Timeout,
    WriteTimeout,
)
from ..protocol.h1_server import H1ServerMachine
from ..wire.headers import Headers
from .h1_connection import H1Connection
from .h1_server_stream import H1ServerStream
from .h2_upgrade import UpgradeRequest, accept_upgrade, find_upgrade
from .server_h2 import H2Serving
from .server_linger import LINGER_TIME, drop_input
from .server_serving import ServerContext, Serving

__all__ = ["H1Serving"]


class H1Serving(Serving):
    """See `Serving`.

    Args:
        context: the server's.
        stream: the connected byte stream.
        received: what was read of it already.
        first_deadline: for the first byte of the first request.
        refusal: why every request is refused, None when they are served.
    """

    def __init__(
        self,
        context: ServerContext,
        stream: ByteStream,
        received: bytes,
        first_deadline: float,
        refusal: RemoteProtocolError | None = None,
    ) -> None:
        options = context.options
        version = options.version if options.version in (1.0, 1.1) else 1.1
        scheme = "http" if stream.ssl_object is None else "https"
        connection = H1Connection(stream, context.backend, "server", version, options.limits, scheme)
        machine = connection.machine
        assert isinstance(machine, H1ServerMachine)
        if received:
            machine.receive(received)
        connection.write_timeout = options.stream_timeout
        self._context = context
        self._stream = stream
        self._connection = connection
        self._machine = machine
        self._deadline = first_deadline
        self._refusal = refusal
        self._may_upgrade = options.version is None and stream.ssl_object is None
        self._guard = context.backend.create_guard()
        self._idle = False

    def end_soon(self) -> bool:
        """See `Serving.end_soon`."""
        with self._guard:
            if self._machine.exchanges:
                # Its thread may be completing the exchange at this moment; then there is nothing to refuse.
                with contextlib.suppress(IndexError):
                    self._machine.refuse_further()
            return self._idle

    def cut(self) -> None:
        """See `Serving.cut`."""
        self._stream.close()

    async def serve(self) -> Serving | None:
        """See `Serving.serve`."""
        connection, machine = self._connection, self._machine
        try:
            while machine.keep_alive and not connection.is_closed:
                stream = await self._next_stream()
                if stream is None:
                    break
                if self._may_upgrade and (request := _offered_upgrade(stream)) is not None:
                    return await self._upgrade(stream, request)
                await self._handle(stream)
                if connection.is_closed:
                    return None
                self._deadline = self._context.backend.now() + self._context.options.intra_stream_timeout
            await self._end()
        finally:
            self.taken = connection.is_closed and not self._stream.is_closed
        return None

    async def _next_stream(self) -> H1ServerStream | None:
        """Wait for a request, within the idle limit for its first byte and the header limit for the rest."""
        connection, machine, options = self._connection, self._machine, self._context.options
        with self._guard:
            if self._context.closing and not machine.buffered:
                return None
            self._idle = True
        connection.read_timeout = None
        try:
            if not machine.buffered:
                await connection.receive(self._deadline)
        except ReadTimeout:
            return None
        finally:
            with self._guard:
                self._idle = False
        connection.read_timeout = options.stream_timeout
        try:
            stream = await connection.next_incoming_stream(self._context.backend.now() + options.header_timeout)
        except ReadTimeout:
            await self._refuse(RemoteProtocolError("the header section did not come in time", 408))
        except RemoteProtocolError as error:
            if not isinstance(error, IncompleteMessage):
                self._context.report(error, "reading a request")
            await self._refuse(error)
        else:
            if self._refusal is None or stream is None:
                return stream
            await stream.refuse(self._refusal.status, self._context.in_stream_time())
            stream.cut_off(str(self._refusal))
        return None

    async def _refuse(self, error: RemoteProtocolError) -> None:
        await self._connection.refuse(error, self._context.in_stream_time())

    async def _upgrade(self, stream: H1ServerStream, request: UpgradeRequest) -> Serving | None:
        """Answer 101 and go on in HTTP/2, where the answer to the request itself is given."""
        answer = Headers.adopt([(":status", "101"), ("connection", "Upgrade"), ("upgrade", "h2c")])
        await stream.write_head(answer, False, self._context.in_stream_time())
        rest = self._connection.take_socket()
        if rest is None:
            return None
        context = self._context
        connection = accept_upgrade(rest, context.backend, request, context.options.h2_limits)
        deadline = context.backend.now() + context.options.connection_setup_timeout
        return H2Serving(context, connection, deadline)

    async def _handle(self, stream: H1ServerStream) -> None:
        context, machine = self._context, self._machine
        if context.closing:
            machine.refuse_further()
        try:
            await context.handler(stream)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises
            if not _is_the_clients(stream, error):
                context.report(error, "handling a request")
            await self._fail(stream, error)
        except BaseException:
            # Cancelled, or the process is ending: there is no time for goodbyes.
            stream.connection.close()
            raise
        if not machine.switched:
            await stream.shutdown(context.options.stream_timeout)
            if not stream.connection.is_closed:
                # What a write that timed out left behind must not wait for the client's next request.
                await stream.connection.flush_by(context.in_stream_time())

    async def _fail(self, stream: H1ServerStream, error: Exception) -> None:
        """Answer 500 when nothing was answered; a fault of the request itself is answered by `shutdown`."""
        if isinstance(error, WriteTimeout) and _is_the_clients(stream, error):
            stream.connection.close()
        if stream.status is not None or stream.connection.is_closed:
            return
        if isinstance(error, ReadTimeout) and _is_the_clients(stream, error):
            stream.fault = error
        elif stream.fault is None:
            try:
                await stream.refuse(500, self._context.in_stream_time())
            except EngineError:
                stream.connection.close()

    async def _end(self) -> None:
        """Close after the last response, reading on for a moment where the client may still be sending."""
        connection, machine = self._connection, self._machine
        if connection.is_closed or machine.switched or machine.keep_alive:
            # An idle connection may be closed at any time, and clients know it (RFC 9112 section 9.5).
            return
        deadline = self._context.backend.now() + LINGER_TIME
        await connection.flush_by(deadline)
        await connection.stream.send_eof(deadline)
        if not machine.ended:
            await drop_input(connection.stream, deadline)


def _offered_upgrade(stream: H1ServerStream) -> UpgradeRequest | None:
    """The upgrade to HTTP/2 that a request offers. One with a body is answered in HTTP/1.1.

    Its body would have to be kept until its end before the client may hear anything (RFC 7540 section 3.2).
    """
    request = stream.request
    if request is None or request.has_body or request.version != 1.1:
        return None
    return find_upgrade(request.headers)


def _is_the_clients(stream: H1ServerStream, error: Exception) -> bool:
    """Whether an error of a handler says that its client went away or stalled, rather than somebody else it talked to."""
    if not isinstance(error, (NetworkError, Timeout, ClosedError)):
        return False
    connection = stream.connection
    seen = [type(connection.error(direction)) for direction in "rw"]
    return connection.is_closed or stream.state == "closed" or type(error) in seen
