"""drivetrain's websockets_api, blocking."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bench.contenders.websocket_work import Talk, Work
from bench.job import Job
from drivetrain.compat.websockets_api.sync.client import connect


@contextlib.contextmanager
def connection(job: Job) -> Iterator[Talk]:
    compression = "deflate" if job.compression else None
    with connect(job.url, compression=compression, max_size=None, proxy=None) as websocket:
        yield websocket.send, websocket.recv


work = Work(connection)
