"""The work done through a `urlopen`: the standard library's, and ours."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator
from typing import Any
from urllib.request import Request

from bench.job import PIECE, Job

__all__ = ["UrlopenWork"]


class UrlopenWork:
    """Every kind of work through one `urlopen` function."""

    def __init__(self, urlopen: Callable[..., Any]) -> None:
        self._urlopen = urlopen

    @contextlib.contextmanager
    def small_get(self, job: Job) -> Iterator[Callable[[], int]]:
        def operation() -> int:
            with self._urlopen(job.url) as response:
                return len(response.read())

        yield operation

    @contextlib.contextmanager
    def download(self, job: Job) -> Iterator[Callable[[], int]]:
        def operation() -> int:
            total = 0
            with self._urlopen(job.url) as response:
                while piece := response.read(PIECE):
                    total += len(piece)
            return total

        yield operation

    @contextlib.contextmanager
    def upload_file(self, job: Job) -> Iterator[Callable[[], int]]:
        def operation() -> int:
            with open(job.upload_path, "rb") as file:
                fields = {"Content-Length": str(job.size), "Content-Type": "text/plain"}
                with self._urlopen(Request(job.url, file, fields)) as response:
                    response.read()
            return job.size

        yield operation

    @contextlib.contextmanager
    def upload_pieces(self, job: Job) -> Iterator[Callable[[], int]]:
        def operation() -> int:
            request = Request(job.url, job.pieces(), {"Content-Type": "text/plain"})
            with self._urlopen(request) as response:
                response.read()
            return job.size

        yield operation

    @contextlib.contextmanager
    def handshake(self, job: Job) -> Iterator[Callable[[], int]]:
        context = ssl.create_default_context(cafile=job.ca_file)
        request = Request(job.url, headers={"Connection": "close"})

        def operation() -> int:
            with self._urlopen(request, context=context) as response:
                return len(response.read())

        yield operation
