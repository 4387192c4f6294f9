"""The frames of one stream that carry its messages, written by hand (lua-http's `http.h2_stream`).

For programs that test peers, or that need what whole messages do not offer: padding, chosen splits, priorities. Laws:

- the books are kept: a frame written here counts for windows, states and compression as one the engine wrote;
- what is not legal raises `LocalProtocolError`, numbers out of range `UsageError`, before anything is sent;
- frames are queued at once and in order; then, unless `flush` is False, what is queued is sent. A `WriteTimeout` means that
  only this sending was not finished: the rest goes out with what is done next on the connection;
- nothing here waits for windows or for the peer to take more streams: see `write_chunk` and `write_headers` for that;
- a header block in several frames is held back until its last piece is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from ..errors import LocalProtocolError, StreamRefused
from ..protocol.h2_by_hand import HandBlock
from ..wire import h2_frames as wire
from ..wire.h2_fields import WireField, to_h2_fields
from ..wire.headers import Headers
from .h2_lowlevel_stream import H2StreamControls

if TYPE_CHECKING:
    from .h2_push import H2PromisedStream

__all__ = ["H2FrameWriters"]


class _OpenBlock:
    """A header block whose last piece has not been written."""

    def __init__(self, piece: bytes, end_stream: bool, padded: int | None, priority: wire.Priority | None) -> None:
        self.pieces = [piece]
        self.end_stream = end_stream
        self.padded = padded
        self.priority = priority
        self.promised: int | None = None


class H2FrameWriters(H2StreamControls):
    """Base of `H2Stream`. See the module."""

    _open_block: _OpenBlock | None = None

    # -- hooks of the roles --------------------------------------------------------------------------------------------

    def check_block(self, pseudo: Mapping[bytes, bytes], end_stream: bool) -> None:
        """Raise `LocalProtocolError` if a header block with these pseudo-header fields has no place here. Guarded."""
        raise LocalProtocolError("this stream has no header blocks")

    def block_sent(self, pseudo: Mapping[bytes, bytes]) -> None:
        """A header block with these pseudo-header fields was queued. Guarded."""

    # -- the body ------------------------------------------------------------------------------------------------------

    async def write_data_frame(
        self,
        payload: bytes,
        end_stream: bool = False,
        padded: int | None = None,
        timeout: float | None = None,
        flush: bool = True,
    ) -> None:
        """Write one DATA frame.

        Args:
            payload: what it carries.
            end_stream: whether the message ends with it.
            padded: bytes of padding, 0 to 255, which count against the windows; None for a frame without.
            timeout: seconds for sending, None for no limit.
            flush: whether to send now.

        Raises:
            LocalProtocolError: the stream is not open for data, or the windows or the frame size do not allow so much.
        """
        connection = self.connection
        self._of_a_stream("DATA")
        with connection.guard:
            stream_id = self._check_may_send()
            self.check_data()
            connection.by_hand.data(stream_id, payload, end_stream, padded)
            connection.collect()
            if end_stream:
                self._sent()
        await self._send(timeout, flush)

    def check_data(self) -> None:
        """Raise `LocalProtocolError` if a body has no place here yet. Guarded."""

    # -- header blocks -------------------------------------------------------------------------------------------------

    async def write_headers_frame(
        self,
        payload: bytes | Headers,
        end_stream: bool = False,
        end_headers: bool = True,
        padded: int | None = None,
        exclusive: bool | None = None,
        stream_dep: int | None = None,
        weight: int | None = None,
        timeout: float | None = None,
        flush: bool = True,
    ) -> None:
        """Write HEADERS: it opens an idle stream of a client, answers on a server, and later is the trailer section.

        Args:
            payload: `Headers`, which are encoded for the connection and split by the peer's frame size; or a block of a
                program's own `HpackContext`, the whole of it or with `end_headers` False its beginning. Such a context
                must encode every block of the connection, or add nothing to its table.
            end_stream: whether the message ends with it.
            end_headers: False when `write_continuation_frame` goes on with the block: until then it is held back.
            padded: bytes of padding, 0 to 255; None for a frame without.
            exclusive, stream_dep, weight: the stream's place in the tree of priorities (RFC 7540), weight 1 to 256; the
                frame says nothing of it when all are None.
            timeout: seconds for sending, None for no limit.
            flush: whether to send now.

        Raises:
            LocalProtocolError: it has no place here, could not be decoded, or the peer takes no more streams now.
            StreamRefused: the connection takes no new streams any more.
        """
        self._no_open_block()
        priority = self._priority(exclusive, stream_dep, weight)
        wire.check_padding(padded)
        with self.connection.guard:
            if isinstance(payload, Headers):
                if not end_headers:
                    raise LocalProtocolError("Headers are a whole block")
                self._queue_block(HandBlock(fields=to_h2_fields(payload)), end_stream, padded, priority)
            else:
                block = _OpenBlock(payload, end_stream, padded, priority)
                self._begin_block(block, end_headers)
        await self._send(timeout, flush)

    async def write_continuation_frame(
        self, payload: bytes, end_headers: bool = True, timeout: float | None = None, flush: bool = True
    ) -> None:
        """Write CONTINUATION: a further piece of a block begun with `end_headers` False, and with True its last.

        Raises:
            LocalProtocolError: as for the frame that began the block, of which nothing was sent; or none was begun.
        """
        with self.connection.guard:
            block = self._open_block
            if block is None:
                raise LocalProtocolError("CONTINUATION goes on with a header block, and none is open")
            block.pieces.append(payload)
            self._begin_block(block, end_headers)
        await self._send(timeout, flush)

    def _begin_block(self, block: _OpenBlock, end_headers: bool) -> None:
        self._open_block = None if end_headers else block
        if not end_headers:
            return
        whole = HandBlock(block.pieces)
        if block.promised is None:
            self._queue_block(whole, block.end_stream, block.padded, block.priority)
        else:
            self._queue_promise(block.promised, whole, block.padded)

    def _no_open_block(self) -> None:
        if self._open_block is not None:
            raise LocalProtocolError("the header block before has not ended")

    def _priority(self, exclusive: bool | None, stream_dep: int | None, weight: int | None) -> wire.Priority | None:
        if exclusive is None and stream_dep is None and weight is None:
            return None
        dep = wire.check_uint(stream_dep or 0, "a stream to depend on", wire.MAX_STREAM_ID)
        if dep and dep == self.id:
            raise LocalProtocolError("a stream cannot depend on itself")
        share = wire.check_uint(16 if weight is None else weight, "a weight", 256, 1)
        return wire.Priority(dep, share, bool(exclusive))

    def _queue_block(
        self, block: HandBlock, end_stream: bool, padded: int | None, priority: wire.Priority | None
    ) -> None:
        """Check and queue a whole block. Under the guard."""
        connection = self.connection
        pseudo = self._pseudo_of(connection.by_hand.fields_of(block))
        opening = self.is_idle
        if opening:
            self._check_may_open()
        else:
            self._check_may_send()
        self.check_block(pseudo, end_stream)
        stream_id = connection.machine.next_stream_id() if self.id is None else self.id
        if priority is not None and priority.stream_dep == stream_id:
            raise LocalProtocolError("a stream cannot depend on itself")
        connection.by_hand.headers(stream_id, block, end_stream, padded, priority)
        self.id = stream_id
        if opening:
            connection.opened(self._me)
        connection.collect()
        if priority is not None:
            connection.priority_said(stream_id, priority)
        self.block_sent(pseudo)
        if end_stream:
            self._sent()

    def _check_may_open(self) -> None:
        connection = self.connection
        connection.check_open()
        if self.state != "idle":
            raise LocalProtocolError("the stream is closed")
        if not connection.machine.may_open:
            raise StreamRefused("the connection takes no new streams any more")
        if connection.machine.free_streams <= 0:
            raise LocalProtocolError("the peer takes no more streams at the moment")

    @staticmethod
    def _pseudo_of(fields: Sequence[WireField]) -> dict[bytes, bytes]:
        return {name: value for name, value in fields if name[:1] == b":"}

    # -- pushes --------------------------------------------------------------------------------------------------------

    async def write_push_promise_frame(
        self,
        promised_stream_id: int,
        payload: bytes | Headers,
        end_headers: bool = True,
        padded: int | None = None,
        timeout: float | None = None,
        flush: bool = True,
    ) -> None:
        """Write PUSH_PROMISE on a request's stream (servers). `push_promise` does all of it.

        Args:
            promised_stream_id: an even id, picked by a stream of `H2Connection.new_stream`.
            payload, end_headers, padded, timeout, flush: as for `write_headers_frame`.

        Raises:
            LocalProtocolError: the peer takes no pushes (now), or the frame has no place here.
            StreamRefused: the connection takes no new streams any more.
        """
        self._no_open_block()
        wire.check_stream_id(promised_stream_id, "a promised stream id")
        wire.check_padding(padded)
        with self.connection.guard:
            self.connection.check_push()
            if isinstance(payload, Headers):
                if not end_headers:
                    raise LocalProtocolError("Headers are a whole block")
                self._queue_promise(promised_stream_id, HandBlock(fields=to_h2_fields(payload)), padded)
            else:
                block = _OpenBlock(payload, False, padded, None)
                block.promised = promised_stream_id
                self._begin_block(block, end_headers)
        await self._send(timeout, flush)

    def _queue_promise(self, promised: int, block: HandBlock, padded: int | None) -> None:
        """Check and queue a whole promise. Under the guard."""
        connection = self.connection
        connection.check_push()
        stream_id = self._of_a_stream("PUSH_PROMISE")
        if self.is_idle or self.state not in ("open", "half closed (remote)"):
            raise LocalProtocolError(f"a {self.state} stream promises nothing")
        stream = connection.picked.get(promised)
        if stream is None or not stream.is_pushed:
            raise LocalProtocolError(f"stream {promised} was picked by no stream of this connection")
        fields = connection.by_hand.fields_of(block)
        if not self._pseudo_of(fields).get(b":authority"):
            raise LocalProtocolError("a promised request names its :authority (RFC 9113 section 8.4.1)")
        promise = connection.check_promise(fields)
        connection.by_hand.push_promise(stream_id, promised, block, padded)
        connection.promised(cast("H2PromisedStream", stream), promise, stream_id)
        connection.collect()

    async def push_promise(self, headers: Headers, timeout: float | None = None) -> H2PromisedStream:
        """Promise the answer to a request that the client did not make (servers), before the client could (RFC 9113 section 8.4).

        Call it before that part of the response goes out which would make the client ask.

        Args:
            headers: the request: a GET or HEAD without a body, with `:authority`, which the client takes only for that of
                the request answered here.
            timeout: seconds for sending, None for no limit.

        Returns:
            The pushed stream, to send the response on.

        Raises:
            LocalProtocolError: the client takes no pushes, or no more at the moment, or not this one; or this is a client.
            StreamRefused: the connection takes no new streams any more.
        """
        connection = self.connection
        block = HandBlock(fields=to_h2_fields(headers))
        self._no_open_block()
        with connection.guard:
            connection.check_push()
            stream = connection.make_promised_stream()
            promised = stream.pick_under_guard()
            try:
                self._queue_promise(promised, block, None)
            except BaseException:
                connection.picked.pop(promised, None)
                raise
        await self._send(timeout, True)
        return stream

    # -- priorities -----------------------------------------------------------------------------------------

    async def write_priority_frame(
        self,
        exclusive: bool = False,
        stream_dep: int = 0,
        weight: int = 16,
        timeout: float | None = None,
        flush: bool = True,
    ) -> None:
        """Write PRIORITY, which RFC 9113 deprecates; the arguments are those of `write_headers_frame`.

        A stream without an id takes one.
        """
        if self.id is None:
            self.pick_id()
        stream_id = self._of_a_stream("PRIORITY")
        priority = self._priority(exclusive, stream_dep, weight)
        assert priority is not None
        connection = self.connection
        with connection.guard:
            connection.check_open()
            connection.by_hand.priority(stream_id, priority)
            connection.collect()
            connection.priority_said(stream_id, priority)
        await self._send(timeout, flush)
