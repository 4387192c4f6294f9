"""urllib3's PoolManager."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import urllib3

from bench.job import PIECE, Job

if int(urllib3.__version__.split(".")[2]) >= 900:
    # urllib3-future numbers its releases 2.x.9yy and installs itself over urllib3.
    raise ImportError(f"urllib3 {urllib3.__version__} is urllib3-future, installed over urllib3")


@contextlib.contextmanager
def small_get(job: Job) -> Iterator[Callable[[], int]]:
    with urllib3.PoolManager() as pool:

        def operation() -> int:
            response = pool.request("GET", job.url)
            assert response.status == 200
            return len(response.data)

        yield operation


@contextlib.contextmanager
def download(job: Job) -> Iterator[Callable[[], int]]:
    with urllib3.PoolManager() as pool:

        def operation() -> int:
            response = pool.request("GET", job.url, preload_content=False)
            total = sum(len(piece) for piece in response.stream(PIECE))
            response.release_conn()
            return total

        yield operation


@contextlib.contextmanager
def upload_file(job: Job) -> Iterator[Callable[[], int]]:
    with urllib3.PoolManager(blocksize=PIECE) as pool:

        def operation() -> int:
            with open(job.upload_path, "rb") as file:
                response = pool.request("POST", job.url, body=file, headers={"Content-Length": str(job.size)})
            assert response.status == 200
            return job.size

        yield operation


@contextlib.contextmanager
def upload_pieces(job: Job) -> Iterator[Callable[[], int]]:
    with urllib3.PoolManager() as pool:

        def operation() -> int:
            assert pool.request("POST", job.url, body=job.pieces()).status == 200
            return job.size

        yield operation


@contextlib.contextmanager
def handshake(job: Job) -> Iterator[Callable[[], int]]:
    with urllib3.PoolManager(ca_certs=job.ca_file, headers={"Connection": "close"}) as pool:

        def operation() -> int:
            return len(pool.request("GET", job.url).data)

        yield operation
