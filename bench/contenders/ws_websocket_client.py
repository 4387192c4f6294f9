"""websocket-client, which knows no compression."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import websocket

from bench.contenders.websocket_work import Message, Talk, Work
from bench.job import Job


@contextlib.contextmanager
def connection(job: Job) -> Iterator[Talk]:
    if job.compression:
        raise NotImplementedError("no compression")
    connected = websocket.create_connection(job.url)

    def send(message: Message) -> None:
        if isinstance(message, str):
            connected.send(message)
        else:
            connected.send_binary(message)

    try:
        yield send, connected.recv
    finally:
        connected.close()


work = Work(connection)
