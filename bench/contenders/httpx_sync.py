"""httpx.Client."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator

import httpx

from bench.job import PIECE, Job


@contextlib.contextmanager
def small_get(job: Job) -> Iterator[Callable[[], int]]:
    with httpx.Client() as client:

        def operation() -> int:
            response = client.get(job.url)
            assert response.status_code == 200
            return len(response.content)

        yield operation


@contextlib.contextmanager
def download(job: Job) -> Iterator[Callable[[], int]]:
    with httpx.Client() as client:

        def operation() -> int:
            with client.stream("GET", job.url) as response:
                return sum(len(piece) for piece in response.iter_bytes(PIECE))

        yield operation


@contextlib.contextmanager
def upload_file(job: Job) -> Iterator[Callable[[], int]]:
    with httpx.Client(timeout=60) as client:

        def operation() -> int:
            with open(job.upload_path, "rb") as file:
                assert client.post(job.url, content=file).status_code == 200
            return job.size

        yield operation


@contextlib.contextmanager
def upload_pieces(job: Job) -> Iterator[Callable[[], int]]:
    with httpx.Client(timeout=60) as client:

        def operation() -> int:
            assert client.post(job.url, content=job.pieces()).status_code == 200
            return job.size

        yield operation


@contextlib.contextmanager
def handshake(job: Job) -> Iterator[Callable[[], int]]:
    context = ssl.create_default_context(cafile=job.ca_file)
    with httpx.Client(verify=context, headers={"Connection": "close"}) as client:

        def operation() -> int:
            return len(client.get(job.url).content)

        yield operation
