"""pycurl: libcurl's easy interface, one handle kept."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from io import BytesIO

import pycurl

from bench.job import PIECE, Job

__all__ = ["new_handle"]


@contextlib.contextmanager
def new_handle(job: Job) -> Iterator[pycurl.Curl]:
    """A handle for the job's URL."""
    with contextlib.closing(pycurl.Curl()) as handle:
        handle.setopt(pycurl.URL, job.url)
        handle.setopt(pycurl.BUFFERSIZE, PIECE)
        handle.setopt(pycurl.NOSIGNAL, 1)
        if job.http2:
            known = pycurl.CURL_HTTP_VERSION_2TLS if job.tls else pycurl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
            handle.setopt(pycurl.HTTP_VERSION, known)
            handle.setopt(pycurl.CAINFO, job.ca_file)
        yield handle


@contextlib.contextmanager
def small_get(job: Job) -> Iterator[Callable[[], int]]:
    with new_handle(job) as handle:

        def operation() -> int:
            buffer = BytesIO()
            handle.setopt(pycurl.WRITEDATA, buffer)
            handle.perform()
            assert handle.getinfo(pycurl.RESPONSE_CODE) == 200
            return len(buffer.getvalue())

        yield operation


@contextlib.contextmanager
def download(job: Job) -> Iterator[Callable[[], int]]:
    with new_handle(job) as handle:
        total = 0

        def take(piece: bytes) -> None:
            nonlocal total
            total += len(piece)

        def operation() -> int:
            nonlocal total
            total = 0
            handle.setopt(pycurl.WRITEFUNCTION, take)
            handle.perform()
            return total

        yield operation


@contextlib.contextmanager
def upload_file(job: Job) -> Iterator[Callable[[], int]]:
    with new_handle(job) as handle:

        def operation() -> int:
            handle.setopt(pycurl.POST, 1)
            handle.setopt(pycurl.POSTFIELDSIZE_LARGE, job.size)
            handle.setopt(pycurl.UPLOAD_BUFFERSIZE, PIECE)
            handle.setopt(pycurl.HTTPHEADER, ["Expect:"])
            handle.setopt(pycurl.WRITEDATA, BytesIO())
            with open(job.upload_path, "rb") as file:
                handle.setopt(pycurl.READDATA, file)
                handle.perform()
            assert handle.getinfo(pycurl.RESPONSE_CODE) == 200
            return job.size

        yield operation


@contextlib.contextmanager
def upload_pieces(job: Job) -> Iterator[Callable[[], int]]:
    with new_handle(job) as handle:

        def operation() -> int:
            pieces = job.pieces()
            left = b""

            def give(room: int) -> bytes:
                nonlocal left
                left = left or next(pieces, b"")
                piece, left = left[:room], left[room:]
                return piece

            handle.setopt(pycurl.POST, 1)
            handle.setopt(pycurl.UPLOAD_BUFFERSIZE, PIECE)
            handle.setopt(pycurl.HTTPHEADER, ["Expect:", "Transfer-Encoding: chunked"])
            handle.setopt(pycurl.WRITEDATA, BytesIO())
            handle.setopt(pycurl.READFUNCTION, give)
            handle.perform()
            assert handle.getinfo(pycurl.RESPONSE_CODE) == 200
            return job.size

        yield operation


@contextlib.contextmanager
def handshake(job: Job) -> Iterator[Callable[[], int]]:
    with new_handle(job) as handle:
        handle.setopt(pycurl.CAINFO, job.ca_file)
        handle.setopt(pycurl.FORBID_REUSE, 1)
        handle.setopt(pycurl.SSL_SESSIONID_CACHE, 0)  # a full handshake each time, as with the others

        def operation() -> int:
            buffer = BytesIO()
            handle.setopt(pycurl.WRITEDATA, buffer)
            handle.perform()
            return len(buffer.getvalue())

        yield operation


h2_get = small_get
h2_download = download
h2_upload = upload_file
