"""The blocking faces of streams and connections: lua-http's whole interface, driven.

`Stream` and `Connection` have what every HTTP version has. What is of one version only is on `H1StreamFace`,
`H1ConnectionFace`, `H2StreamFace` and `H2ConnectionFace`; `make_stream_face` and `make_connection_face` choose.
"""

from __future__ import annotations

import ssl
from typing import Any, Generic, TypeVar

from ..backends.base import Address, ByteStream
from ..connection.h1_client_stream import H1ClientStream
from ..connection.h1_connection import H1Connection, IdleHandler
from ..connection.h1_stream import H1Stream
from ..connection.h2_client_stream import H2ClientStream
from ..connection.h2_connection import H2Connection
from ..connection.h2_lowlevel import H2IdleHandler
from ..connection.h2_push import H2PromisedStream
from ..connection.h2_stream import H2Stream
from ..connection.message_stream import MessageStream
from ..errors import EngineError
from ..wire.h2_frames import SettingsLike
from ..wire.headers import Headers
from .driven import Driver, driven

__all__ = [
    "Chunks",
    "Connection",
    "H1ConnectionFace",
    "H1StreamFace",
    "H2ConnectionFace",
    "H2StreamFace",
    "Stream",
    "make_connection_face",
    "make_stream_face",
]

S = TypeVar("S", bound=MessageStream)
S1 = TypeVar("S1", bound=H1Stream)
S2 = TypeVar("S2", bound=H2Stream)


class Chunks:
    """Iterator over `Stream.get_next_chunk`."""

    __slots__ = ("_stream",)

    def __init__(self, stream: Stream[Any]) -> None:
        self._stream = stream

    def __iter__(self) -> Chunks:
        return self

    def __next__(self) -> bytes:
        chunk = self._stream.get_next_chunk()
        if chunk is None:
            raise StopIteration
        return chunk


class Stream(Generic[S]):
    """A stream for callers that block: every method of `MessageStream`, with its parameters.

    Attributes:
        core: the stream behind it, for engine coroutines.
        drive: runs one of its coroutines.
    """

    __slots__ = ("core", "drive")

    def __init__(self, core: S, drive: Driver) -> None:
        self.core = core
        self.drive = drive

    get_headers = driven(MessageStream.get_headers)
    get_next_chunk = driven(MessageStream.get_next_chunk)
    get_body_as_string = driven(MessageStream.get_body_as_string)
    get_body_chars = driven(MessageStream.get_body_chars)
    get_body_until = driven(MessageStream.get_body_until)
    save_body_to_file = driven(MessageStream.save_body_to_file)
    get_body_as_file = driven(MessageStream.get_body_as_file)
    write_headers = driven(MessageStream.write_headers)
    write_continue = driven(MessageStream.write_continue)
    write_chunk = driven(MessageStream.write_chunk)
    write_body_from_string = driven(MessageStream.write_body_from_string)
    write_body_from_file = driven(MessageStream.write_body_from_file)
    shutdown = driven(MessageStream.shutdown)

    def each_chunk(self) -> Chunks:
        """Iterate over `get_next_chunk`."""
        return Chunks(self)

    def unget(self, data: bytes) -> bool:
        """See `MessageStream.unget`."""
        return self.core.unget(data)

    def set_state(self, new: str) -> None:
        """See `H1Stream.set_state` and `H2Stream.set_state`."""
        core: Any = self.core
        core.set_state(new)

    def checktls(self) -> ssl.SSLObject | None:
        """See `MessageStream.checktls`."""
        return self.core.checktls()

    def localname(self) -> Address:
        """See `MessageStream.localname`."""
        return self.core.localname()

    def peername(self) -> Address:
        """See `MessageStream.peername`."""
        return self.core.peername()

    @property
    def state(self) -> str:
        """See `H1Stream` and `H2Stream`."""
        core: Any = self.core
        state: str = core.state
        return state

    @property
    def version(self) -> float | None:
        """The version the peer speaks, as a float; None where it is not known yet."""
        core: Any = self.core
        version: float | None = core.version
        return version

    @property
    def connection(self) -> Connection[Any]:
        """The connection this stream runs on."""
        return make_connection_face(self.core.connection, self.drive)


class H1StreamFace(Stream[S1]):
    """An HTTP/1 stream for callers that block: every method of `H1Stream`, with its parameters."""

    __slots__ = ()

    read_headers = driven(H1Stream.read_headers)
    read_next_chunk = driven(H1Stream.read_next_chunk)

    @property
    def max_header_lines(self) -> int:
        """See `H1Stream.max_header_lines`."""
        return self.core.max_header_lines

    @max_header_lines.setter
    def max_header_lines(self, count: int) -> None:
        self.core.max_header_lines = count


class H2StreamFace(Stream[S2]):
    """An HTTP/2 stream for callers that block: every method of `H2Stream`, with its parameters."""

    __slots__ = ()

    write_http2_frame = driven(H2Stream.write_http2_frame)
    write_data_frame = driven(H2Stream.write_data_frame)
    write_headers_frame = driven(H2Stream.write_headers_frame)
    write_continuation_frame = driven(H2Stream.write_continuation_frame)
    write_priority_frame = driven(H2Stream.write_priority_frame)
    write_rst_stream_frame = driven(H2Stream.write_rst_stream_frame)
    rst_stream = driven(H2Stream.rst_stream)
    write_settings_frame = driven(H2Stream.write_settings_frame)
    write_push_promise_frame = driven(H2Stream.write_push_promise_frame)
    write_ping_frame = driven(H2Stream.write_ping_frame)
    write_goaway_frame = driven(H2Stream.write_goaway_frame)
    write_window_update_frame = driven(H2Stream.write_window_update_frame)
    write_window_update = driven(H2Stream.write_window_update)

    def push_promise(self, headers: Headers, timeout: float | None = None) -> H2StreamFace[H2PromisedStream]:
        """See `H2Stream.push_promise`."""
        return H2StreamFace(self.drive(self.core.push_promise(headers, timeout)), self.drive)

    def pick_id(self, id: int | None = None) -> int:
        """See `H2Stream.pick_id`."""
        return self.core.pick_id(id)

    def reprioritise(self, child: H2StreamFace[Any], exclusive: bool = False) -> None:
        """See `H2Stream.reprioritise`."""
        self.core.reprioritise(child.core, exclusive)

    @property
    def id(self) -> int | None:
        """See `H2Stream`."""
        return self.core.id


C = TypeVar("C", bound=H1Connection | H2Connection)


class Connection(Generic[C]):
    """A connection for callers that block: what connections of every version have.

    Attributes:
        core: the connection behind it, for engine coroutines.
        drive: runs one of its coroutines.
    """

    __slots__ = ("core", "drive")

    def __init__(self, core: C, drive: Driver) -> None:
        self.core = core
        self.drive = drive

    connect = driven(H1Connection.connect)
    flush = driven(H1Connection.flush)

    def get_next_incoming_stream(self, timeout: float | None = None) -> Any:
        """See `H1Connection.get_next_incoming_stream` and `H2Connection.get_next_incoming_stream`."""
        stream = self.drive(self.core.get_next_incoming_stream(timeout))
        return None if stream is None else make_stream_face(stream, self.drive)

    def close(self) -> None:
        """See `H1Connection.close`."""
        self.core.close()

    def checktls(self) -> ssl.SSLObject | None:
        """See `H1Connection.checktls`."""
        return self.core.checktls()

    def localname(self) -> Address:
        """See `H1Connection.localname`."""
        return self.core.localname()

    def peername(self) -> Address:
        """See `H1Connection.peername`."""
        return self.core.peername()

    def pollfd(self) -> int | None:
        """See `H1Connection.pollfd`."""
        return self.core.pollfd()

    def events(self) -> str | None:
        """See `H1Connection.events`."""
        return self.core.events()

    def timeout(self) -> float | None:
        """See `H1Connection.timeout`."""
        return self.core.timeout()

    @property
    def type(self) -> str:
        """The role, "client" or "server"."""
        return self.core.type

    @property
    def version(self) -> float:
        """The HTTP version, as a float."""
        return self.core.version


class H1ConnectionFace(Connection[H1Connection]):
    """An HTTP/1 connection for callers that block: every method of `H1Connection`, with its parameters."""

    __slots__ = ()

    shutdown = driven(H1Connection.shutdown)
    read_request_line = driven(H1Connection.read_request_line)
    read_status_line = driven(H1Connection.read_status_line)
    read_header = driven(H1Connection.read_header)
    read_headers_done = driven(H1Connection.read_headers_done)
    read_body_by_length = driven(H1Connection.read_body_by_length)
    read_body_till_close = driven(H1Connection.read_body_till_close)
    read_body_chunk = driven(H1Connection.read_body_chunk)
    write_request_line = driven(H1Connection.write_request_line)
    write_status_line = driven(H1Connection.write_status_line)
    write_header = driven(H1Connection.write_header)
    write_headers_done = driven(H1Connection.write_headers_done)
    write_body_chunk = driven(H1Connection.write_body_chunk)
    write_body_last_chunk = driven(H1Connection.write_body_last_chunk)
    write_body_plain = driven(H1Connection.write_body_plain)

    def new_stream(self) -> H1StreamFace[H1ClientStream]:
        """See `H1Connection.new_stream`."""
        return H1StreamFace(self.core.new_stream(), self.drive)

    def take_socket(self) -> ByteStream | None:
        """See `H1Connection.take_socket`."""
        return self.core.take_socket()

    def onidle(self, *handler: IdleHandler | None) -> IdleHandler | None:
        """See `H1Connection.onidle`."""
        return self.core.onidle(*handler)

    def error(self, kind: str = "rw") -> EngineError | None:
        """See `H1Connection.error`."""
        return self.core.error(kind)

    def clearerr(self, kind: str = "rw") -> EngineError | None:
        """See `H1Connection.clearerr`."""
        return self.core.clearerr(kind)

    def setmaxline(self, read_length: int) -> None:
        """See `H1Connection.setmaxline`."""
        self.core.setmaxline(read_length)


class H2ConnectionFace(Connection[H2Connection]):
    """An HTTP/2 connection for callers that block: every method of `H2Connection`, with its parameters."""

    __slots__ = ()

    shutdown = driven(H2Connection.shutdown)
    step = driven(H2Connection.step)
    loop = driven(H2Connection.loop)
    read_http2_frame = driven(H2Connection.read_http2_frame)
    write_http2_frame = driven(H2Connection.write_http2_frame)
    ping = driven(H2Connection.ping)
    write_window_update = driven(H2Connection.write_window_update)
    write_goaway_frame = driven(H2Connection.write_goaway_frame)
    settings = driven(H2Connection.settings)

    def new_stream(self, id: int | None = None) -> H2StreamFace[H2ClientStream]:
        """See `H2Connection.new_stream`."""
        return H2StreamFace(self.core.new_stream(id), self.drive)

    def new_promised_stream(self, id: int | None = None) -> H2StreamFace[H2PromisedStream]:
        """See `H2Connection.new_promised_stream`."""
        return H2StreamFace(self.core.new_promised_stream(id), self.drive)

    @property
    def stream0(self) -> H2StreamFace[H2Stream]:
        """See `H2Connection.stream0`."""
        return H2StreamFace(self.core.stream0, self.drive)

    def empty(self) -> bool:
        """See `H2Connection.empty`."""
        return self.core.empty()

    def set_peer_settings(self, peer_settings: SettingsLike) -> None:
        """See `H2Connection.set_peer_settings`."""
        self.core.set_peer_settings(peer_settings)

    def ack_settings(self) -> None:
        """See `H2Connection.ack_settings`."""
        self.core.ack_settings()

    def onidle(self, *handler: H2IdleHandler | None) -> H2IdleHandler | None:
        """See `H2Connection.onidle`."""
        return self.core.onidle(*handler)

    @property
    def peer_allows_extended_connect(self) -> bool:
        """See `H2Connection.peer_allows_extended_connect`."""
        return self.core.peer_allows_extended_connect


def make_stream_face(core: Any, drive: Driver) -> Stream[Any]:
    """The face of a stream of either version.

    Args:
        core: an `H1Stream` or `H2Stream`.
        drive: runs one of its coroutines.
    """
    return H2StreamFace(core, drive) if isinstance(core, H2Stream) else H1StreamFace(core, drive)


def make_connection_face(core: Any, drive: Driver) -> Connection[Any]:
    """The face of a connection of either version: an `H1Connection` or `H2Connection`."""
    return H2ConnectionFace(core, drive) if isinstance(core, H2Connection) else H1ConnectionFace(core, drive)
