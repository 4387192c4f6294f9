"""One exchange on a connection of the pool: take one, send, read the head, repeat what may safely be repeated.

Laws:

- a request is sent a second time only when the connection was a reused one, it broke before a byte of the answer, and
  sending twice does no more than sending once (RFC 9110 section 9.2.2); then once, on a new connection;
- a request that the server says it has not looked at (`StreamRefused`) is sent again, whatever it does, a few times;
- where the server wants HTTP/1.1 for it (HTTP_1_1_REQUIRED), it is sent again over that, and so are later ones;
- an exchange leaves here over, or its connection closed (HTTP/1) or its stream reset (HTTP/2), and the pool told.
"""

from __future__ import annotations

from ..backends.base import Backend
from ..connection.connector import (
    DEFAULT_CONNECTION_LIMITS,
    ClientConnection,
    ClientStream,
    ConnectionLimits,
    OriginKey,
    open_connection,
)
from ..connection.h2_connection import H2Connection
from ..connection.pool import Pool
from ..connection.pool_limits import PoolLimits
from ..connection.tunnel import Authenticate
from ..errors import ConnectionClosed, EngineError, ReadError, ReadTimeout, StreamRefused, WriteError
from ..wire.decoders import DEFAULT_DECODING_LIMITS, DecodingLimits
from ..wire.h2_errors import H2Error, H2ErrorCode
from ..wire.headers import Headers
from .bodies import RequestBody
from .origins import Origins
from .outgoing import CallersError, Outgoing
from .response_core import ResponseCore
from .timeouts import Timeouts
from .timings import Timings

__all__ = ["Sender"]

_BROKEN = (ConnectionClosed, ReadError, WriteError)
# Up to this size head and body go out in one write; beyond, copying them together costs more than a system call.
_ONE_WRITE = 64 * 1024
# How often a request that the server did not look at is sent again.
_MAX_REFUSALS = 4


class Sender:
    """Sends single requests over a pool of connections. Any number of threads (blocking) or tasks (asyncio) may use one.

    Args:
        backend: does the I/O.
        origins: makes pool keys for URIs.
        pool_limits, limits, decoding_limits: bounds on connections, on what peers may send, and on what that may grow to.
    """

    def __init__(
        self,
        backend: Backend,
        origins: Origins,
        pool_limits: PoolLimits,
        limits: ConnectionLimits = DEFAULT_CONNECTION_LIMITS,
        decoding_limits: DecodingLimits = DEFAULT_DECODING_LIMITS,
    ) -> None:
        self.backend = backend
        self.origins = origins
        self._limits = limits
        self.decoding_limits = decoding_limits
        self._lent: set[ResponseCore] = set()
        self.pool: Pool[OriginKey, ClientConnection] = Pool(backend, pool_limits, self._open)

    async def _open(self, key: OriginKey, deadline: float) -> ClientConnection:
        authenticate = None if key.proxy is None else self.authenticator(key)
        connection = await open_connection(self.backend, key, deadline, self._limits, authenticate)
        if isinstance(connection, H2Connection):
            connection.onchange = self._changed
        return connection

    def _changed(self, connection: H2Connection) -> None:
        """Told by a shared connection that takes more exchanges, fewer, or none any more."""
        if connection.is_open_for_more:
            self.pool.capacity_changed(connection)
        else:
            self.pool.retire(connection)

    def authenticator(self, key: OriginKey) -> Authenticate | None:
        """What answers a proxy that wants other credentials for a tunnel; None for nothing."""
        return None

    def close(self) -> None:
        """Close idle connections now and those in use when they are given back. Idempotent."""
        self.pool.close()
        self.sweep()

    def finished(self, response: ResponseCore, reusable: bool) -> None:
        """Told by a response whose exchange is over, and whether the connection takes further ones."""
        self._lent.discard(response)
        self.pool.release(response.connection, reusable)

    def abandoned(self, response: ResponseCore) -> None:
        """Told by a response that was given up."""
        self.pool.release(response.connection, response.stream.abandon())

    def forsaken(self, response: ResponseCore) -> None:
        """Told by a response that was garbage before it was over, in the middle of anything."""
        response.stream.forsake()
        self.pool.release_from_finalizer(response.connection)

    def lend(self, response: ResponseCore) -> None:
        """Remember a response whose stream the user reads without it."""
        self._lent.add(response)

    def sweep(self) -> None:
        """Take back the lent connections that their users have closed: those tell nobody."""
        for response in list(self._lent):
            if response.connection.is_closed:
                response.give_back_lent()

    # -- one hop -------------------------------------------------------------------------------------------------------

    async def hop(self, outgoing: Outgoing, timeouts: Timeouts, deadline: float, timings: Timings) -> ResponseCore:
        """Send a request and return its final response, whatever that is, body unread."""
        fresh = False
        refusals = 0
        body = outgoing.body
        while True:
            early: list[Headers] = []
            stream: ClientStream | None = None
            connection, reused = await self.pool.acquire(
                outgoing.key, deadline, fresh, wait_limit=timeouts.pool, open_limit=timeouts.connect
            )
            try:
                timings.connected = self.backend.now()
                stream = connection.new_stream()
                stream.limit_waits(timeouts.read, timeouts.write)
                if outgoing.is_websocket:
                    patience = timeouts.read
                    until = deadline if patience is None else min(deadline, self.backend.now() + patience)
                    await outgoing.meet(connection, until)
                return await self._exchange(stream, outgoing, deadline, timings, reused, early)
            except StreamRefused:
                self._drop(connection, stream)
                # A connection that answered others before it said goodbye did not refuse this request in particular, and
                # as often as there are others that may happen.
                refusals += not (isinstance(connection, H2Connection) and connection.answered_others)
                if early or not (body is None or body.is_replayable):
                    raise
                if refusals > _MAX_REFUSALS:
                    if not outgoing.key.upgrade:
                        raise
                    # Some servers give up what was upgraded as soon as it is idle.
                    outgoing.pin_http1(self.origins)
            except _BROKEN:
                answered = bool(early) or (stream is not None and stream.was_answered)
                self._drop(connection, stream)
                if not reused or answered or not outgoing.may_be_repeated:
                    raise
                fresh = True
            except H2Error as error:
                self._drop(connection, stream)
                wants_h1 = error.code == H2ErrorCode.HTTP_1_1_REQUIRED and outgoing.key.version is None
                if not wants_h1 or early or not (body is None or body.is_replayable):
                    raise
                outgoing.pin_http1(self.origins)
            except BaseException:
                self._drop(connection, stream)
                raise
            if body is not None:
                body.rewind()

    def _drop(self, connection: ClientConnection, stream: ClientStream | None) -> None:
        """Give an exchange up and its connection back."""
        self.pool.release(connection, stream is not None and stream.abandon())

    async def _exchange(
        self,
        stream: ClientStream,
        outgoing: Outgoing,
        deadline: float,
        timings: Timings,
        reused: bool,
        early: list[Headers],
    ) -> ResponseCore:
        """Send the request and read until the final response's head."""
        answered = False
        try:
            if outgoing.body is None:
                await stream.write_head(outgoing.headers_on_the_wire(), True, deadline)
            else:
                answered = not await self._send_with_body(stream, outgoing.body, outgoing, deadline, early)
        except (WriteError, H2Error):
            # A server that refuses a body often answers and closes, or resets the stream; the answer may have come before
            # the end.
            if not await stream.find_answer(deadline):
                raise
        # While the server works: what can be done without its answer.
        response = ResponseCore(self, outgoing, stream, reused, deadline, timings, early)
        if outgoing.meanwhile is not None:
            try:
                outgoing.meanwhile()
            except EngineError as error:
                raise CallersError(error) from None
        while not answered:
            answered = _is_final(await stream.read_head(deadline), stream, early)
        timings.head_received = self.backend.now()
        response.begin()
        return response

    async def _send_with_body(
        self, stream: ClientStream, body: RequestBody, outgoing: Outgoing, deadline: float, early: list[Headers]
    ) -> bool:
        """Send head and body; False when the final response's head was read already."""
        if body.whole is not None and len(body.whole) <= _ONE_WRITE and not outgoing.waits_for_continue:
            await stream.write_message(outgoing.headers_on_the_wire(), body.whole, deadline)
            return True
        return await self._upload(stream, body, outgoing, deadline, early)

    async def _upload(
        self, stream: ClientStream, body: RequestBody, outgoing: Outgoing, deadline: float, early: list[Headers]
    ) -> bool:
        """Send head and body piece by piece, until the end or until the server has answered (RFC 9112 section 9.3.1).

        Returns:
            False when the final response's head was read already.
        """
        await stream.write_head(outgoing.headers_on_the_wire(), False, deadline)
        if outgoing.waits_for_continue and not await self._may_continue(stream, outgoing, deadline, early):
            stream.give_up_sending()
            return False
        while piece := await body.read():
            if not await stream.write_piece_unless_answered(piece, deadline):
                return True
        await stream.write_piece(b"", True, deadline)
        return True

    async def _may_continue(
        self, stream: ClientStream, outgoing: Outgoing, deadline: float, early: list[Headers]
    ) -> bool:
        """Wait for 100 Continue; False when the final response came instead. Other 1xx responses change nothing."""
        until = min(deadline, self.backend.now() + outgoing.continue_wait)
        try:
            while not _is_final(await stream.read_head(until), stream, early):
                if early[-1].get(":status") == "100":
                    return True
        except ReadTimeout:
            # A server that knows no 100 Continue waits for the body (RFC 9110 section 10.1.1).
            return True
        return False


def _is_final(headers: Headers | None, stream: ClientStream, early: list[Headers]) -> bool:
    """Whether a header block that was read is the final response's; if not, it is added to `early`."""
    response = stream.response
    if response is not None and headers is response.headers:
        return True
    if headers is not None:
        early.append(headers)
    return False
