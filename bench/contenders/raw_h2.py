"""The h2 library on a blocking socket, as its documentation shows it: what HTTP/2 costs before any client begins.

The library's defaults are kept (it checks and normalises header fields both ways); only the windows are made large enough
to be out of the way.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator

from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded
from h2.settings import SettingCodes

from bench.job import PIECE, Job

__all__ = ["Exchange", "h2_download", "h2_get", "h2_upload"]

WINDOW = 16 * 1024 * 1024


class Exchange:
    """One connection: requests that are sent, and events that come."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.h2 = H2Connection()
        self.h2.initiate_connection()
        self.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: WINDOW})
        self.h2.increment_flow_control_window(WINDOW)
        self.sock = socket.create_connection((job.host, job.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if job.tls:
            context = ssl.create_default_context(cafile=job.ca_file)
            context.set_alpn_protocols(["h2"])
            self.sock = context.wrap_socket(self.sock, server_hostname=job.host)
        self.flush()

    def send_head(self, method: str, *fields: tuple[str, str], end_stream: bool = True) -> int:
        """Queue a request's head; returns its stream's id."""
        job = self.job
        stream_id = self.h2.get_next_available_stream_id()
        scheme = "https" if job.tls else "http"
        head = [
            (":method", method),
            (":scheme", scheme),
            (":authority", f"{job.host}:{job.port}"),
            (":path", job.target),
        ]
        self.h2.send_headers(stream_id, [*head, ("accept", "*/*"), *fields], end_stream=end_stream)
        return stream_id

    def flush(self) -> None:
        """Send what is queued."""
        data = self.h2.data_to_send()
        if data:
            self.sock.sendall(data)

    def receive(self) -> list[Event]:
        """Wait for something and return what it means."""
        data = self.sock.recv(PIECE)
        assert data
        return self.h2.receive_data(data)

    def take(self, event: Event) -> tuple[int, bool]:
        """What an event of a response adds to its body, and whether it is its end."""
        if isinstance(event, DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            return len(event.data), False
        if isinstance(event, ResponseReceived):
            assert (b":status", b"200") in event.headers
        return 0, isinstance(event, StreamEnded)

    def read_answer(self) -> int:
        """Read the one response that is under way; returns the length of its body."""
        total, ended = 0, False
        while not ended:
            for event in self.receive():
                length, last = self.take(event)
                total += length
                ended = ended or last
            self.flush()
        return total


@contextlib.contextmanager
def h2_get(job: Job) -> Iterator[Callable[[], int]]:
    exchange = Exchange(job)
    with exchange.sock:

        def operation() -> int:
            exchange.send_head("GET")
            exchange.flush()
            return exchange.read_answer()

        yield operation


h2_download = h2_get


@contextlib.contextmanager
def h2_upload(job: Job) -> Iterator[Callable[[], int]]:
    exchange = Exchange(job)
    h2 = exchange.h2

    def send(stream_id: int, data: bytes) -> None:
        while data:
            size = min(len(data), h2.local_flow_control_window(stream_id), h2.max_outbound_frame_size)
            if size:
                h2.send_data(stream_id, data[:size])
                data = data[size:]
            else:
                exchange.flush()
                exchange.receive()
        exchange.flush()

    with exchange.sock:

        def operation() -> int:
            stream_id = exchange.send_head("POST", ("content-length", str(job.size)), end_stream=False)
            with open(job.upload_path, "rb") as file:
                while piece := file.read(PIECE):
                    send(stream_id, piece)
            h2.end_stream(stream_id)
            exchange.flush()
            exchange.read_answer()
            return job.size

        yield operation
