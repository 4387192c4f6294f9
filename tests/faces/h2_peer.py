"""A client of HTTP/2 on a bare socket and the h2 library, which says what a test tells it to and no more."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes, Settings
from hyperframe.frame import SettingsFrame

from tests.faces.serving import Running, dial

__all__ = ["PREFACE", "Answer", "H2Peer", "h2_peer", "settings_header"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@dataclass
class Answer:
    """What came on one stream."""

    heads: list[dict[str, str]] = field(default_factory=list)
    body: bytes = b""
    trailers: dict[str, str] | None = None
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        return int(self.heads[-1][":status"])

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None


class H2Peer:
    """See the module.

    Args:
        sock: connected, with a time limit.
        window: what each stream may be sent before this side says more; None for plenty, given back as it comes.
        upgraded: the connection comes from `Upgrade: h2c`.

    Attributes:
        mute: send nothing any more.
    """

    def __init__(self, sock: socket.socket, window: int | None = None, upgraded: bool = False) -> None:
        self.sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.library = H2Connection(
            H2Configuration(header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False)
        )
        self.answers: dict[int, Answer] = {}
        self.goaway: events.ConnectionTerminated | None = None
        self.settings_came = False
        self.pongs = 0
        self.ended = False
        self._input = b""
        self._keep = window is not None
        self.mute = False
        if window is not None:
            self.library.local_settings = Settings(True, {SettingCodes.INITIAL_WINDOW_SIZE: window})
        if upgraded:
            self.library.initiate_upgrade_connection()
            self.answers[1] = Answer()
        else:
            self.library.initiate_connection()
        if window is None:
            self.library.increment_flow_control_window(1 << 24)

    def flush(self) -> None:
        if not self.mute:
            self.sock.sendall(self.library.data_to_send())

    def ask(
        self,
        path: str = "/",
        *fields: tuple[str, str],
        method: str = "GET",
        scheme: str = "http",
        body: bytes | None = None,
        end: bool = True,
    ) -> int:
        """Send a request, with its end unless told otherwise; returns the stream id."""
        head = [(":method", method)]
        if method != "CONNECT":
            head += [(":scheme", scheme), (":path", path)]
        head += [(":authority", "h:80"), *fields]
        stream_id = self.library.get_next_available_stream_id()
        self.library.send_headers(stream_id, head, end_stream=end and body is None)
        if body is not None:
            self.library.send_data(stream_id, body, end_stream=end)
        self.answers[stream_id] = Answer()
        self.flush()
        return stream_id

    def send(self, stream_id: int, data: bytes, end: bool = False) -> None:
        """Send a piece of the body, at most as large as a frame may be, when the window allows."""
        self.until(lambda: self.library.local_flow_control_window(stream_id) >= len(data))
        self.library.send_data(stream_id, data, end_stream=end)
        self.flush()

    def step(self) -> bool:
        """Take in what comes next; False at the end."""
        try:
            data = self.sock.recv(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            self.ended = True
            return False
        self._input += data
        while len(self._input) >= 9 and len(self._input) >= (end := 9 + int.from_bytes(self._input[:3], "big")):
            frame, self._input = self._input[:end], self._input[end:]
            # The library takes nothing after GOAWAY.
            for event in self.library.receive_data(frame) if self.goaway is None else ():
                self._take(event)
        with contextlib.suppress(OSError):
            self.flush()
        return True

    def _take(self, event: Any) -> None:
        answer = self.answers.get(getattr(event, "stream_id", None) or 0)
        if isinstance(event, events.ConnectionTerminated):
            self.goaway = event
        elif isinstance(event, events.RemoteSettingsChanged):
            self.settings_came = True
        elif isinstance(event, events.PingAckReceived):
            self.pongs += 1
        elif answer is None:
            return
        elif isinstance(event, (events.ResponseReceived, events.InformationalResponseReceived)):
            answer.heads.append(dict(event.headers))
        elif isinstance(event, events.TrailersReceived):
            answer.trailers = dict(event.headers)
        elif isinstance(event, events.DataReceived):
            answer.body += event.data
            if not self._keep:
                with contextlib.suppress(Exception):  # the stream may be over
                    self.library.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, events.StreamEnded):
            answer.ended = True
        elif isinstance(event, events.StreamReset):
            answer.reset = int(event.error_code)

    def until(self, condition: Any) -> None:
        while not condition():
            assert self.step(), "the server closed the connection"

    def answer(self, stream_id: int) -> Answer:
        """Wait for all of a stream's answer."""
        self.until(lambda: self.answers[stream_id].over)
        return self.answers[stream_id]

    def get(self, path: str = "/", *fields: tuple[str, str], **options: Any) -> Answer:
        return self.answer(self.ask(path, *fields, **options))

    def ping(self) -> None:
        """Wait until the server has taken in all that was sent before."""
        pongs = self.pongs
        self.library.ping(bytes(8))
        self.flush()
        self.until(lambda: self.pongs > pongs)

    def until_end(self) -> None:
        while self.step():
            pass


@contextlib.contextmanager
def h2_peer(running: Running, window: int | None = None) -> Iterator[H2Peer]:
    with dial(running) as sock:
        yield H2Peer(sock, window)


def settings_header(**settings: int) -> bytes:
    """The value of HTTP2-Settings without base64, by hyperframe's names in lower case."""
    values = {getattr(SettingsFrame, name.upper()): value for name, value in settings.items()}
    return SettingsFrame(0, settings=values).serialize_body()
