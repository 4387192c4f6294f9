"""The one request loop: take a connection, send, read the head, follow redirects, retry what may be retried.

Every door goes through here, in both colours. Laws:

- the total deadline is fixed when the call begins and covers everything until the last byte of the body;
- a request is sent a second time only when the connection was a reused one, it broke before a byte of the answer, and
  sending twice does no more than sending once (RFC 9110 section 9.2.2); then once, on a new connection;
- a connection leaves here either to the pool, clean, or closed.
"""

from __future__ import annotations

from ..backends.base import FOREVER, Backend
from ..connection.connector import OriginKey, open_connection
from ..connection.h1_client_stream import H1ClientStream
from ..connection.h1_connection import H1Connection
from ..connection.pool import Pool
from ..connection.pool_limits import PoolLimits
from ..errors import ConnectionClosed, EngineError, ReadError, ReadTimeout, TooManyRedirects, WriteError
from ..protocol.h1 import DEFAULT_LIMITS
from ..protocol.h1_limits import H1Limits
from ..wire.headers import Headers
from ..wire.uri import Uri
from .bodies import RequestBody
from .origins import Origins
from .outgoing import Outgoing
from .redirects import RedirectPolicy, is_redirect, next_location, redirected_headers, redirected_method
from .response_core import ResponseCore
from .timeouts import Timeouts
from .timings import Timings

__all__ = ["UserAgent"]

_BROKEN = (ConnectionClosed, ReadError, WriteError)
# Up to this size head and body go out in one write; beyond, copying them together costs more than a system call.
_ONE_WRITE = 64 * 1024
# What reading the body of a redirect may cost before a new connection is cheaper, in bytes and seconds.
_DISCARD_BYTES = 16 * 1024
_DISCARD_TIME = 1.0


class UserAgent:
    """Sends requests over a pool of connections. Any number of threads (blocking) or tasks (asyncio) may use one.

    Args:
        backend: does the I/O.
        origins: makes pool keys for URIs.
        pool_limits, h1_limits: bounds on connections and on what peers may send.
    """

    def __init__(
        self, backend: Backend, origins: Origins, pool_limits: PoolLimits, h1_limits: H1Limits = DEFAULT_LIMITS
    ) -> None:
        self.backend = backend
        self.origins = origins
        self.h1_limits = h1_limits
        self._lent: set[ResponseCore] = set()
        self.pool: Pool[OriginKey, H1Connection] = Pool(backend, pool_limits, self._open)

    async def _open(self, key: OriginKey, deadline: float) -> H1Connection:
        return await open_connection(self.backend, key, deadline, self.h1_limits)

    def close(self) -> None:
        """Close idle connections now and those in use when they are given back. Idempotent."""
        self.pool.close()
        self.sweep()

    def finished(self, response: ResponseCore) -> None:
        """Told by a response whose exchange is over."""
        connection = response.connection
        self._lent.discard(response)
        self.pool.release(connection, connection.machine.can_continue)

    def abandoned(self, response: ResponseCore) -> None:
        """Told by a response that was given up."""
        response.connection.machine.keep_alive = False
        self.pool.release(response.connection, False)

    def forsaken(self, response: ResponseCore) -> None:
        """Told by a response that was garbage before it was over, in the middle of anything."""
        self.pool.release_from_finalizer(response.connection)

    def lend(self, response: ResponseCore) -> None:
        """Remember a response whose stream the user reads without it."""
        self._lent.add(response)

    def sweep(self) -> None:
        """Take back the lent connections that their users have closed: those tell nobody."""
        for response in list(self._lent):
            if response.connection.is_closed:
                response.give_back_lent()

    # -- the loop ------------------------------------------------------------------------------------------------------

    async def send(self, outgoing: Outgoing, timeouts: Timeouts, redirects: RedirectPolicy) -> ResponseCore:
        """Send a request and return its final response, body unread, redirects followed.

        Raises:
            EngineError: see `errors`; no connection is left open then.
        """
        now = self.backend.now()
        deadline = FOREVER if timeouts.total is None else now + timeouts.total
        timings = Timings(now)
        response = await self._hop(outgoing, timeouts, deadline, timings)
        if not redirects.follow or not is_redirect(response.status, response.headers):
            return response
        return await self._follow(response, timeouts, redirects)

    async def _follow(self, response: ResponseCore, timeouts: Timeouts, policy: RedirectPolicy) -> ResponseCore:
        history: list[ResponseCore] = []
        deadline = response.deadline
        chain: tuple[str, ...] = (str(response.outgoing.uri),)
        while is_redirect(response.status, response.headers):
            try:
                target = next_location(response.outgoing.uri, response.headers, chain)
                chain = (*chain, str(target))
                if len(history) >= policy.limit:
                    raise TooManyRedirects(f"more than {policy.limit} redirects", chain)
                outgoing = self._redirected(response, target, policy)
            except BaseException:
                response.close()
                raise
            await self.discard(response)
            history.append(response)
            response = await self._hop(outgoing, timeouts, deadline, response.timings)
        response.history = tuple(history)
        return response

    def _redirected(self, response: ResponseCore, target: Uri, policy: RedirectPolicy) -> Outgoing:
        source = response.outgoing
        method = redirected_method(source.method, response.status, policy)
        body = source.body if method == source.method else None
        if body is not None:
            body.rewind()
        headers = redirected_headers(source.headers, source.uri, target, method == source.method)
        headers.upsert(":method", method)
        headers.upsert(":scheme", target.scheme)
        headers.upsert(":authority", target.authority)
        headers.upsert(":path", target.target)
        return Outgoing(method, target, headers, body, self.origins.key_for(target))

    async def discard(self, response: ResponseCore) -> None:
        """Be done with a redirect: read a small body to keep the connection, close that of a large, slow or broken one."""
        head = response.stream.response
        left = _DISCARD_BYTES
        if head is not None and (head.length or 0) <= left:
            deadline = response.deadline
            response.deadline = min(deadline, self.backend.now() + _DISCARD_TIME)
            try:
                while left > 0 and (piece := await response.read_raw()) is not None:
                    left -= len(piece)
            except EngineError:
                # Nobody wants to read it; where to go next is known.
                if self.backend.now() >= deadline:
                    raise
            finally:
                response.deadline = deadline
                response.close()
        response.close()

    # -- one hop -------------------------------------------------------------------------------------------------------

    async def _hop(self, outgoing: Outgoing, timeouts: Timeouts, deadline: float, timings: Timings) -> ResponseCore:
        fresh = False
        while True:
            connection, reused = await self.pool.acquire(
                outgoing.key, deadline, fresh, wait_limit=timeouts.pool, open_limit=timeouts.connect
            )
            early: list[Headers] = []
            try:
                timings.connected = self.backend.now()
                connection.read_timeout = timeouts.read
                connection.write_timeout = timeouts.write
                stream = connection.new_stream()
                await self._exchange(stream, outgoing, deadline, early)
                timings.head_received = self.backend.now()
                return ResponseCore(self, outgoing, stream, reused, deadline, timings, early)
            except _BROKEN:
                machine = connection.machine
                answered = bool(early or machine.receiving or machine.buffered)
                self._discard_connection(connection)
                if not reused or answered or not outgoing.may_be_repeated:
                    raise
            except BaseException:
                self._discard_connection(connection)
                raise
            if outgoing.body is not None:
                outgoing.body.rewind()
            fresh = True

    def _discard_connection(self, connection: H1Connection) -> None:
        connection.machine.keep_alive = False
        self.pool.release(connection, False)

    async def _exchange(
        self, stream: H1ClientStream, outgoing: Outgoing, deadline: float, early: list[Headers]
    ) -> None:
        """Send the request and read until the final response's head, which is then `stream.response`."""
        body = outgoing.body
        try:
            if body is None:
                await stream.write_head(outgoing.headers, True, deadline)
            elif body.whole is not None and len(body.whole) <= _ONE_WRITE and not outgoing.waits_for_continue:
                await stream.write_message(outgoing.headers, body.whole, deadline)
            elif not await self._upload(stream, body, outgoing, deadline, early):
                return
        except WriteError:
            # A server that refuses a body often answers and closes; the answer may have come before the end.
            if not await stream.find_answer(deadline):
                raise
        while not await self._read_head(stream, deadline, early):
            pass

    async def _read_head(self, stream: H1ClientStream, deadline: float, early: list[Headers]) -> bool:
        """Read a header block; True when it was the final one, otherwise it is added to `early`."""
        headers = await stream.read_head(deadline)
        if stream.response is not None and headers is stream.response.headers:
            return True
        if headers is not None:
            early.append(headers)
        return False

    async def _upload(
        self, stream: H1ClientStream, body: RequestBody, outgoing: Outgoing, deadline: float, early: list[Headers]
    ) -> bool:
        """Send head and body piece by piece, until the end or until the server has answered (RFC 9112 section 9.3.1).

        Returns:
            False when the final response's head was read already.
        """
        await stream.write_head(outgoing.headers, False, deadline)
        if outgoing.waits_for_continue and not await self._may_continue(stream, outgoing, deadline, early):
            stream.give_up_sending()
            return False
        while piece := await body.read():
            if not await stream.write_piece_unless_answered(piece, deadline):
                return True
        await stream.write_piece(b"", True, deadline)
        return True

    async def _may_continue(
        self, stream: H1ClientStream, outgoing: Outgoing, deadline: float, early: list[Headers]
    ) -> bool:
        """Wait for 100 Continue; False when the final response came instead. Other 1xx responses change nothing."""
        until = min(deadline, self.backend.now() + outgoing.continue_wait)
        try:
            while not await self._read_head(stream, until, early):
                if early[-1].get(":status") == "100":
                    return True
        except ReadTimeout:
            # A server that knows no 100 Continue waits for the body (RFC 9110 section 10.1.1).
            return True
        return False
