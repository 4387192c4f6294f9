"""httpx.Client."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator

import httpx

from bench.job import PIECE, Job


def _client(job: Job) -> httpx.Client:
    if job.http2:
        return httpx.Client(http1=False, http2=True, verify=ssl.create_default_context(cafile=job.ca_file), timeout=60)
    return httpx.Client()


@contextlib.contextmanager
def small_get(job: Job) -> Iterator[Callable[[], int]]:
    with _client(job) as client:

        def operation() -> int:
            response = client.get(job.url)
            assert response.status_code == 200
            return len(response.content)

        yield operation


@contextlib.contextmanager
def download(job: Job) -> Iterator[Callable[[], int]]:
    with _client(job) as client:

        def operation() -> int:
            with client.stream("GET", job.url) as response:
                return sum(len(piece) for piece in response.iter_bytes(PIECE))

        yield operation


@contextlib.contextmanager
def upload_file(job: Job) -> Iterator[Callable[[], int]]:
    with _client(job) as client:
        client.timeout = 60

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


@contextlib.contextmanager
def h2_threads(job: Job) -> Iterator[Callable[[], int]]:
    """As `small_get`. Threads that share a connection break it now and then in a race; what that hits is sent again."""
    with small_get(job) as once:

        def operation() -> int:
            for _ in range(20):
                with contextlib.suppress(httpx.TransportError):
                    return once()
            return once()

        yield operation


h2_get = small_get
h2_download = download
h2_upload = upload_file
