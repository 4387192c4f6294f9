"""One connection of `h2_server.H2Server`, and its requests: the h2 library, and frames by hand where it would not."""

from __future__ import annotations

import contextlib
import hashlib
import selectors
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from h2.config import H2Configuration
from h2.connection import ConnectionState
from h2.connection import H2Connection as Library
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hyperframe.frame import ContinuationFrame, Frame, GoAwayFrame, HeadersFrame, PushPromiseFrame

__all__ = ["Exchange", "Field", "Owner", "Seen", "Wire"]

_PREFACE = 24
_READ = 256 * 1024
_OUTBOX = 512 * 1024
_LINGER_NOTHING = struct.pack("ii", 1, 0)
_KINDS = ("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE")
Field = tuple[str, str]


class Owner(Protocol):
    """What a wire asks of its server."""

    early: bool
    credits: bool
    keep_bodies: bool

    def arrived(self, exchange: Exchange) -> None:
        """A request is there."""

    def fault(self, error: BaseException) -> None:
        """Something went wrong."""

    def notify(self) -> None:
        """Something changed."""


class Seen(NamedTuple):
    """A frame of the client's; `payload` is kept where it is short."""

    kind: str
    stream_id: int
    flags: int
    length: int
    payload: bytes


class Exchange:
    """A request and its answer. Its methods do nothing once the stream is closed.

    Attributes:
        fields: the request's header section; `trailers` those of its end, None without.
        body: what came of the body, if the server keeps bodies; `received` its length and `digest` its SHA-256.
        complete: whether the request came to its end.
        reset_code: of the client's RST_STREAM, None without one.
    """

    def __init__(self, wire: Wire, stream_id: int, fields: list[Field]) -> None:
        self.wire = wire
        self.id = stream_id
        self.fields = fields
        self.trailers: list[Field] | None = None
        self.body = bytearray()
        self.received = 0
        self.digest = hashlib.sha256()
        self.complete = False
        self.reset_code: int | None = None
        self.queue: deque[tuple[memoryview | list[Field], bool, int | None]] = deque()
        self.over = False

    def __repr__(self) -> str:
        return f"<Exchange {self.id} {self.method} {self.path}>"

    def get(self, name: str) -> str | None:
        """The first field of that name."""
        return next((value for key, value in self.fields if key == name), None)

    @property
    def method(self) -> str:
        return self.get(":method") or ""

    @property
    def path(self) -> str:
        return self.get(":path") or ""

    def respond(self, status: int = 200, body: bytes = b"", *fields: Field, trailers: Iterable[Field] = ()) -> None:
        """A whole answer with Content-Length, the body as the windows allow."""
        last = list(trailers)
        with self.wire.lock:
            self.head(status, *fields, ("content-length", str(len(body))), end=not body and not last)
            if body or last:
                self.data(body, end=not last)
            if last:
                self.end_with(last)

    def head(self, status: int, *fields: Field, end: bool = False, split: int = 0, pad: int | None = None) -> None:
        """A header section, informational ones too; cut into CONTINUATION frames of `split` bytes, padded with `pad`."""
        with self.wire.lock:
            if not self.over:
                self.wire.send_headers(self, [(":status", str(status)), *fields], end, split, pad)
        self.wire.ring()

    def data(self, data: bytes, end: bool = False, pad: int | None = None) -> None:
        """A piece of the body, sent as the windows allow."""
        with self.wire.lock:
            if not self.over:
                self.queue.append((memoryview(data), end, pad))
                self.wire.sending[self.id] = self
        self.wire.ring()

    def end_with(self, trailers: list[Field]) -> None:
        """A trailer section behind what was said before."""
        with self.wire.lock:
            if not self.over:
                self.queue.append((trailers, True, None))
                self.wire.sending[self.id] = self
        self.wire.ring()

    def reset(self, code: int) -> None:
        """RST_STREAM; what was not sent yet is dropped."""
        with self.wire.lock:
            if not self.over:
                self.over = True
                self.queue.clear()
                with contextlib.suppress(ProtocolError):
                    self.wire.library.reset_stream(self.id, code)
        self.wire.ring()

    def push(self, path: str, promised_id: int = 2) -> None:
        """PUSH_PROMISE for a GET, whether the client allows it or not."""
        fields = [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", path)]
        frame = PushPromiseFrame(self.id, promised_id, flags=("END_HEADERS",))
        frame.data = self.wire.encode(fields)
        self.wire.say(frame)


class Wire:
    """One connection of the client's. What `close` and `abort` do is done when `output_ended` and `ended` say so.

    Attributes:
        exchanges: the requests in the order they came; `most_open` how many were open at once.
        frames: every frame that came; `resets` the codes of RST_STREAM by stream id, `goaways` the codes of GOAWAY.
        acknowledged: how many of this side's SETTINGS the client has acknowledged.
        output_ended: whether `close` has ended this side's output.
        ended: whether the connection is gone: the client has ended its side, or this one was told to `abort`.
        reading: clear it, and nothing more is read from the socket.
        library: the h2 connection; hold `lock` around its use, and `ring` afterwards.
    """

    def __init__(self, server: Owner, sock: socket.socket) -> None:
        self.server = server
        self.socket = sock
        self.lock = threading.RLock()
        self.thread = threading.current_thread()
        self.library = Library(
            H2Configuration(client_side=False, validate_outbound_headers=False, normalize_outbound_headers=False)
        )
        self.exchanges: list[Exchange] = []
        self.by_id: dict[int, Exchange] = {}
        self.sending: dict[int, Exchange] = {}
        self.frames: list[Seen] = []
        self.resets: dict[int, int] = {}
        self.goaways: list[int] = []
        self.most_open = 0
        self.acknowledged = 0
        self.bytes_received = 0
        self.ended = False
        self.output_ended = False
        self.reading = threading.Event()
        self.reading.set()
        self._outbox = bytearray()
        self._input = bytearray()
        self._skip = _PREFACE
        self._settings: dict[SettingCodes | int, int] = {}
        self._goodbye: str | None = None
        self._deaf = False
        self._greeted = False
        self._changes: deque[dict[SettingCodes | int, int]] = deque()
        self._changes_sent = 0
        self._bell, self._bell_pull = socket.socketpair()
        self._bell_pull.setblocking(False)

    # -- told by tests -------------------------------------------------------------------------------------------------

    def ring(self) -> None:
        """Have the connection's thread look again."""
        with contextlib.suppress(OSError):
            self._bell_pull.send(b"x")

    def encode(self, fields: list[Field]) -> bytes:
        """A header block in the connection's HPACK context: it must be sent, and before any other."""
        with self.lock:
            return bytes(self.library.encoder.encode(fields))

    def say(self, *frames: Frame | bytes) -> None:
        """Send frames (or any bytes) past the library."""
        with self.lock:
            self._collect()
            for frame in frames:
                self._outbox += frame if isinstance(frame, bytes) else frame.serialize()
        self.ring()

    def goaway(self, last_stream_id: int, code: int = 0, debug: bytes = b"") -> None:
        """GOAWAY; streams go on."""
        self.say(GoAwayFrame(0, last_stream_id, code, debug))

    def change_settings(self, **values: int) -> None:
        """SETTINGS, by their RFC names in lower case; they hold once the client has acknowledged them.

        They go out when those before are acknowledged: the library would take one acknowledgement for several.
        """
        with self.lock:
            self._changes.append(_settings(values))
            self._change_settings()
        self.ring()

    def _change_settings(self) -> None:
        if self._changes and self.acknowledged == self._changes_sent:
            self._changes_sent += 1
            self.library.update_settings(self._changes.popleft())

    def greet(self) -> None:
        """The first SETTINGS, where the server was told to keep quiet."""
        with self.lock:
            late = self.library.data_to_send()  # answers to what the client has said already
            own = self.library.local_settings
            own.update(self._settings)
            own.acknowledge()
            self.library.max_inbound_frame_size = own.max_frame_size
            self.library.initiate_connection()
            # A client is bound by the limit once it has acknowledged it, and the library's check begins then.
            limit = own.max_concurrent_streams
            own._settings[SettingCodes.MAX_CONCURRENT_STREAMS] = deque([2**31 - 1, limit])
            self._outbox += self.library.data_to_send() + late
            self._greeted = True
            self._changes_sent = 1
        self.ring()

    def credit(self, count: int, stream_id: int | None = None) -> None:
        """WINDOW_UPDATE for a stream or, without one, the connection."""
        with self.lock:
            self.library.increment_flow_control_window(count, stream_id)
        self.ring()

    def close(self) -> None:
        """End this side's output when what was said is sent; the rest of the input is ignored."""
        self._goodbye = self._goodbye or "close"
        self.ring()

    def abort(self) -> None:
        """Send what was said, as far as it goes at once, and reset the TCP connection."""
        self._goodbye = "abort"
        self.ring()

    def open_count(self) -> int:
        """How many streams are open."""
        with self.lock:
            return self.library.open_inbound_streams

    def connection_window(self) -> int:
        """How many bytes the client lets this side send on all streams together."""
        with self.lock:
            return self.library.outbound_flow_control_window

    # -- the connection's thread ---------------------------------------------------------------------------------------

    def run(self, settings: dict[str, int], greet: bool) -> None:
        """Serve until either side ends the connection."""
        self._settings = _settings(settings)
        if greet:
            self.greet()
        self.socket.setblocking(False)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._bell, selectors.EVENT_READ)
                selector.register(self.socket, selectors.EVENT_READ)
                while self._turn(selector):
                    pass
        except OSError:
            return
        finally:
            with self.lock:
                for exchange in self.exchanges:
                    exchange.over = True
            self._bell.close()
            self._bell_pull.close()

    def _turn(self, selector: selectors.BaseSelector) -> bool:
        with self.lock:
            self._pump()
            wanted = selectors.EVENT_READ if self.reading.is_set() else 0
            more = self._send()
        if self._goodbye == "abort":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOTHING)
            return False
        if self._goodbye == "close" and not more:
            self._goodbye = "closed"
            self._end_output()
        wanted |= selectors.EVENT_WRITE if more else 0
        if self.socket in selector.get_map():
            selector.unregister(self.socket)
        if wanted:
            selector.register(self.socket, wanted)
        ready = {key.fileobj for key, _ in selector.select()}
        if self._bell in ready:
            self._bell.recv(4096)
        return self._read() if self.reading.is_set() and self.socket in ready else True

    def _end_output(self) -> None:
        """A close with unread input behind it would be a reset: what the client still says is read."""
        if isinstance(self.socket, ssl.SSLSocket):
            with contextlib.suppress(OSError):
                self.socket.unwrap()
        socket.socket.shutdown(self.socket, socket.SHUT_WR)
        self.output_ended = True
        self.server.notify()

    def _send(self) -> bool:
        while self._outbox:
            try:
                sent = self.socket.send(memoryview(self._outbox)[: 64 * 1024])
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return True
            del self._outbox[:sent]
            self._pump()
        return False

    def _read(self) -> bool:
        while True:
            try:
                data = self.socket.recv(_READ)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return True
            if not data:
                return False
            with self.lock:
                self._take(data)
            self.server.notify()
            if not isinstance(self.socket, ssl.SSLSocket) or not self.socket.pending():
                return True

    def _take(self, data: bytes) -> None:
        self.bytes_received += len(data)
        self._log(data)
        if self._deaf or self._goodbye is not None:
            return
        try:
            events = self.library.receive_data(data)
        except ProtocolError as error:
            self._deaf = True
            self.server.fault(error)
            self.close()
            return
        for event in events:
            self._act(event)

    def _log(self, data: bytes) -> None:
        self._input += data
        at = 0
        if self._skip:
            at = min(self._skip, len(self._input))
            self._skip -= at
        while len(self._input) >= at + 9:
            length = int.from_bytes(self._input[at : at + 3], "big")
            if len(self._input) < at + 9 + length:
                break
            number, flags = self._input[at + 3], self._input[at + 4]
            stream_id = int.from_bytes(self._input[at + 5 : at + 9], "big")
            payload = bytes(self._input[at + 9 : at + 9 + length]) if length <= 256 else b""
            kind = _KINDS[number] if number < len(_KINDS) else str(number)
            self.frames.append(Seen(kind, stream_id, flags, length, payload))
            if kind == "RST_STREAM":
                self.resets[stream_id] = int.from_bytes(payload, "big")
            elif kind == "GOAWAY":
                self.goaways.append(int.from_bytes(payload[4:8], "big"))
            at += 9 + length
        del self._input[:at]

    def _act(self, event: Event) -> None:
        exchange = self.by_id.get(getattr(event, "stream_id", 0) or 0)
        if isinstance(event, RequestReceived):
            exchange = Exchange(self, event.stream_id, _text(event.headers))
            self.by_id[exchange.id] = exchange
            self.exchanges.append(exchange)
            self.most_open = max(self.most_open, self.library.open_inbound_streams)
            if self.server.early:
                self.server.arrived(exchange)
        elif isinstance(event, DataReceived) and exchange is not None:
            exchange.received += len(event.data)
            exchange.digest.update(event.data)
            if self.server.keep_bodies:
                exchange.body += event.data
            if self.server.credits and event.flow_controlled_length:
                self.library.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, TrailersReceived) and exchange is not None:
            exchange.trailers = _text(event.headers)
        elif isinstance(event, StreamEnded) and exchange is not None:
            exchange.complete = True
            if not self.server.early:
                self.server.arrived(exchange)
        elif isinstance(event, StreamReset) and exchange is not None:
            exchange.over = True
            exchange.queue.clear()
            exchange.reset_code = int(event.error_code)
        elif isinstance(event, SettingsAcknowledged):
            self.acknowledged += 1
            self._change_settings()
            if self.server.credits:
                self._settle_credit()
        elif isinstance(event, ConnectionTerminated):
            self._deaf = True

    def _settle_credit(self) -> None:
        """Where windows shrank, give the credit that the library still holds back: the client may be waiting for it."""
        for stream in self.library.streams.values():
            if stream.open:
                self.library._prepare_for_sending(stream.acknowledge_received_data(0))

    # -- sending, under the lock ---------------------------------------------------------------------------------------

    def _collect(self) -> None:
        if self._greeted:
            self._outbox += self.library.data_to_send()

    def _pump(self) -> None:
        self._collect()
        if self._deaf:
            return
        moved = True
        while moved and len(self._outbox) < _OUTBOX:
            moved = False
            for exchange in list(self.sending.values()):
                moved = self._send_next(exchange) or moved
                if not exchange.queue:
                    self.sending.pop(exchange.id, None)
            self._collect()

    def _is_gone(self, exchange: Exchange) -> bool:
        """Whether the client has ended stream or connection with something that was not acted upon yet."""
        stream = self.library.streams.get(exchange.id)
        return stream is None or stream.closed or self.library.state_machine.state is ConnectionState.CLOSED

    def _send_next(self, exchange: Exchange) -> bool:
        if not exchange.queue or self._is_gone(exchange):
            exchange.queue.clear()
            return False
        data, end, pad = exchange.queue[0]
        if isinstance(data, list):
            exchange.queue.popleft()
            self.send_headers(exchange, data, True, 0, None)
            return True
        cost = 0 if pad is None else pad + 1
        window = min(self.library.local_flow_control_window(exchange.id), self.library.max_outbound_frame_size) - cost
        if len(data) and window <= 0:
            return False
        piece = data[: max(0, window)]
        rest = data[len(piece) :]
        self.library.send_data(exchange.id, bytes(piece), end_stream=end and not len(rest), pad_length=pad)
        exchange.queue.popleft()
        if len(rest):
            exchange.queue.appendleft((rest, end, pad))
        return True

    def send_headers(self, exchange: Exchange, fields: list[Field], end: bool, split: int, pad: int | None) -> None:
        """Send a header section by way of the library, its frames cut and padded anew. Under the lock."""
        self._collect()
        if self._is_gone(exchange):
            return
        self.library.send_headers(exchange.id, fields, end_stream=end)
        if split or pad is not None:
            self._outbox += _reshape(self.library.data_to_send(), split, pad)


def _settings(values: dict[str, int]) -> dict[SettingCodes | int, int]:
    return {SettingCodes[name.upper()]: value for name, value in values.items()}


def _text(headers: Iterable[tuple[Any, Any]]) -> list[Field]:
    return [(bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in headers]


def _reshape(data: bytes, split: int, pad: int | None) -> bytes:
    """Cut the one header section in `data` into frames of `split` bytes, and pad the first."""
    block, first = b"", None
    while data:
        frame, length = Frame.parse_frame_header(memoryview(data[:9]))
        frame.parse_body(memoryview(data[9 : 9 + length]))
        assert isinstance(frame, (HeadersFrame, ContinuationFrame))
        first = first or frame
        block += frame.data
        data = data[9 + length :]
    assert isinstance(first, HeadersFrame)
    pieces = [block[at : at + split] for at in range(0, len(block), split)] if split else [block]
    first.flags.discard("END_HEADERS")
    first.data = pieces[0]
    if pad is not None:
        first.flags.add("PADDED")
        first.pad_length = pad
    frames: list[Frame] = [first, *(ContinuationFrame(first.stream_id, piece) for piece in pieces[1:])]
    frames[-1].flags.add("END_HEADERS")
    return b"".join(frame.serialize() for frame in frames)
