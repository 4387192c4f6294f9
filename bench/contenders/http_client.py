"""The standard library's http.client, one connection kept alive."""

from __future__ import annotations

import contextlib
import http.client
import ssl
from collections.abc import Callable, Iterator

from bench.job import PIECE, Job


@contextlib.contextmanager
def small_get(job: Job) -> Iterator[Callable[[], int]]:
    with contextlib.closing(http.client.HTTPConnection(job.host, job.port)) as connection:

        def operation() -> int:
            connection.request("GET", job.target)
            response = connection.getresponse()
            assert response.status == 200
            return len(response.read())

        yield operation


@contextlib.contextmanager
def download(job: Job) -> Iterator[Callable[[], int]]:
    with contextlib.closing(http.client.HTTPConnection(job.host, job.port)) as connection:

        def operation() -> int:
            connection.request("GET", job.target)
            response = connection.getresponse()
            total = 0
            while piece := response.read(PIECE):
                total += len(piece)
            return total

        yield operation


@contextlib.contextmanager
def _upload(job: Job, send: Callable[[http.client.HTTPConnection], None]) -> Iterator[Callable[[], int]]:
    with contextlib.closing(http.client.HTTPConnection(job.host, job.port, blocksize=PIECE)) as connection:

        def operation() -> int:
            send(connection)
            response = connection.getresponse()
            response.read()
            assert response.status == 200
            return job.size

        yield operation


def upload_file(job: Job) -> contextlib.AbstractContextManager[Callable[[], int]]:
    def send(connection: http.client.HTTPConnection) -> None:
        with open(job.upload_path, "rb") as file:
            connection.request("POST", job.target, file, {"Content-Length": str(job.size)})

    return _upload(job, send)


def upload_pieces(job: Job) -> contextlib.AbstractContextManager[Callable[[], int]]:
    return _upload(job, lambda connection: connection.request("POST", job.target, job.pieces(), encode_chunked=True))


@contextlib.contextmanager
def handshake(job: Job) -> Iterator[Callable[[], int]]:
    context = ssl.create_default_context(cafile=job.ca_file)

    def operation() -> int:
        with contextlib.closing(http.client.HTTPSConnection(job.host, job.port, context=context)) as connection:
            connection.request("GET", job.target, headers={"Connection": "close"})
            return len(connection.getresponse().read())

    yield operation
