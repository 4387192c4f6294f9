"""websockets, blocking."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from websockets.sync.client import connect

from bench.contenders.websocket_work import Talk, Work
from bench.job import Job


@contextlib.contextmanager
def connection(job: Job) -> Iterator[Talk]:
    compression = "deflate" if job.compression else None
    with connect(job.url, compression=compression, max_size=None, proxy=None) as websocket:
        yield websocket.send, websocket.recv


work = Work(connection)
