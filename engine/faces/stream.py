"""The blocking faces of streams and connections: lua-http's whole interface, driven."""

from __future__ import annotations

import ssl
from typing import Any, Generic, TypeVar

from ..backends.base import Address, ByteStream
from ..connection.h1_client_stream import H1ClientStream
from ..connection.h1_connection import H1Connection, IdleHandler
from ..connection.h1_server_stream import H1ServerStream
from ..connection.h1_stream import H1Stream
from ..errors import EngineError
from .driven import Driver, driven

__all__ = ["Chunks", "Connection", "Stream"]

S = TypeVar("S", bound=H1Stream)


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
    """A stream for callers that block: every method of `H1Stream`, with its parameters.

    Attributes:
        core: the stream behind it, for engine coroutines.
        drive: runs one of its coroutines.
    """

    __slots__ = ("core", "drive")

    def __init__(self, core: S, drive: Driver) -> None:
        self.core = core
        self.drive = drive

    get_headers = driven(H1Stream.get_headers)
    read_headers = driven(H1Stream.read_headers)
    get_next_chunk = driven(H1Stream.get_next_chunk)
    read_next_chunk = driven(H1Stream.read_next_chunk)
    get_body_as_string = driven(H1Stream.get_body_as_string)
    get_body_chars = driven(H1Stream.get_body_chars)
    get_body_until = driven(H1Stream.get_body_until)
    save_body_to_file = driven(H1Stream.save_body_to_file)
    get_body_as_file = driven(H1Stream.get_body_as_file)
    write_headers = driven(H1Stream.write_headers)
    write_continue = driven(H1Stream.write_continue)
    write_chunk = driven(H1Stream.write_chunk)
    write_body_from_string = driven(H1Stream.write_body_from_string)
    write_body_from_file = driven(H1Stream.write_body_from_file)
    shutdown = driven(H1Stream.shutdown)

    def each_chunk(self) -> Chunks:
        """Iterate over `get_next_chunk`."""
        return Chunks(self)

    def unget(self, data: bytes) -> bool:
        """See `MessageStream.unget`."""
        return self.core.unget(data)

    def set_state(self, new: str) -> None:
        """See `H1Stream.set_state`."""
        self.core.set_state(new)

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
        """See `H1Stream`."""
        return self.core.state

    @property
    def version(self) -> float | None:
        """See `H1Stream`."""
        return self.core.version

    @property
    def max_header_lines(self) -> int:
        """See `H1Stream.max_header_lines`."""
        return self.core.max_header_lines

    @max_header_lines.setter
    def max_header_lines(self, count: int) -> None:
        self.core.max_header_lines = count

    @property
    def connection(self) -> Connection:
        """The connection this stream runs on."""
        return Connection(self.core.connection, self.drive)


class Connection:
    """A connection for callers that block: every method of `H1Connection`, with its parameters.

    Attributes:
        core: the connection behind it, for engine coroutines.
        drive: runs one of its coroutines.
    """

    __slots__ = ("core", "drive")

    def __init__(self, core: H1Connection, drive: Driver) -> None:
        self.core = core
        self.drive = drive

    connect = driven(H1Connection.connect)
    flush = driven(H1Connection.flush)
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

    def new_stream(self) -> Stream[H1ClientStream]:
        """See `H1Connection.new_stream`."""
        return Stream(self.core.new_stream(), self.drive)

    def get_next_incoming_stream(self, timeout: float | None = None) -> Stream[H1ServerStream] | None:
        """See `H1Connection.get_next_incoming_stream`."""
        stream = self.drive(self.core.get_next_incoming_stream(timeout))
        return None if stream is None else Stream(stream, self.drive)

    def take_socket(self) -> ByteStream | None:
        """See `H1Connection.take_socket`."""
        return self.core.take_socket()

    def close(self) -> None:
        """See `H1Connection.close`."""
        self.core.close()

    def onidle(self, *handler: IdleHandler | None) -> IdleHandler | None:
        """See `H1Connection.onidle`."""
        return self.core.onidle(*handler)

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

    def error(self, kind: str = "rw") -> EngineError | None:
        """See `H1Connection.error`."""
        return self.core.error(kind)

    def clearerr(self, kind: str = "rw") -> EngineError | None:
        """See `H1Connection.clearerr`."""
        return self.core.clearerr(kind)

    def setmaxline(self, read_length: int) -> None:
        """See `H1Connection.setmaxline`."""
        self.core.setmaxline(read_length)

    @property
    def type(self) -> str:
        """See `H1Connection`."""
        return self.core.type

    @property
    def version(self) -> float:
        """See `H1Connection`."""
        return self.core.version
