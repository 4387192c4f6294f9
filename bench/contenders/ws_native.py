"""The engine's blocking WebSocket."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bench.contenders.websocket_work import Talk, Work
from bench.job import Job
from drivetrain.engine import WebSocketLimits, connect_websocket

LIMITS = WebSocketLimits(max_message_size=None)


@contextlib.contextmanager
def connection(job: Job) -> Iterator[Talk]:
    with connect_websocket(job.url, compression=job.compression, limits=LIMITS) as websocket:
        yield websocket.send, websocket.receive  # type: ignore[misc]


work = Work(connection)
