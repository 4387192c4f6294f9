"""drivetrain's own blocking client."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from bench.job import Job
from drivetrain.engine import Client


def _client(job: Job) -> Client:
    return Client(version=2, verify=job.ca_file) if job.http2 else Client()


@contextlib.contextmanager
def small_get(job: Job) -> Iterator[Callable[[], int]]:
    with _client(job) as client:

        def operation() -> int:
            response = client.get(job.url)
            assert response.status == 200
            return len(response.content)

        yield operation


@contextlib.contextmanager
def download(job: Job) -> Iterator[Callable[[], int]]:
    with _client(job) as client:

        def operation() -> int:
            with client.stream("GET", job.url) as response:
                return sum(len(piece) for piece in response.iter_bytes())

        yield operation


@contextlib.contextmanager
def upload_file(job: Job) -> Iterator[Callable[[], int]]:
    with _client(job) as client:

        def operation() -> int:
            with open(job.upload_path, "rb") as file:
                assert client.post(job.url, content=file).status == 200
            return job.size

        yield operation


@contextlib.contextmanager
def upload_pieces(job: Job) -> Iterator[Callable[[], int]]:
    with Client() as client:

        def operation() -> int:
            assert client.post(job.url, content=job.pieces()).status == 200
            return job.size

        yield operation


@contextlib.contextmanager
def handshake(job: Job) -> Iterator[Callable[[], int]]:
    with Client(verify=job.ca_file) as client:

        def operation() -> int:
            return len(client.get(job.url, headers={"Connection": "close"}).content)

        yield operation


h2_get = h2_threads = small_get
h2_download = download
h2_upload = upload_file
