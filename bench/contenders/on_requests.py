"""The work done through a Session of requests' interface: requests, niquests, and requests with our adapter mounted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from bench.job import PIECE, Job

__all__ = ["H2SessionWork", "SessionWork"]


class SessionWork:
    """Every kind of work over sessions that `make_session` opens. The environment is looked at, as it is by default."""

    def __init__(self, make_session: Callable[[], Any]) -> None:
        self._make_session = make_session

    def _open(self, job: Job) -> Any:
        session = self._make_session()
        if job.http2:
            session.verify = job.ca_file
        return session

    @contextlib.contextmanager
    def small_get(self, job: Job) -> Iterator[Callable[[], int]]:
        with self._open(job) as session:

            def operation() -> int:
                response = session.get(job.url)
                assert response.status_code == 200
                return len(response.content)

            yield operation

    @contextlib.contextmanager
    def download(self, job: Job) -> Iterator[Callable[[], int]]:
        with self._open(job) as session:

            def operation() -> int:
                with session.get(job.url, stream=True) as response:
                    return sum(len(piece) for piece in response.iter_content(PIECE))

            yield operation

    @contextlib.contextmanager
    def upload_file(self, job: Job) -> Iterator[Callable[[], int]]:
        with self._open(job) as session:

            def operation() -> int:
                with open(job.upload_path, "rb") as file:
                    assert session.post(job.url, data=file).status_code == 200
                return job.size

            yield operation

    @contextlib.contextmanager
    def upload_pieces(self, job: Job) -> Iterator[Callable[[], int]]:
        with self._open(job) as session:

            def operation() -> int:
                assert session.post(job.url, data=job.pieces()).status_code == 200
                return job.size

            yield operation

    @contextlib.contextmanager
    def handshake(self, job: Job) -> Iterator[Callable[[], int]]:
        with self._open(job) as session:
            session.verify = job.ca_file
            session.headers["Connection"] = "close"

            def operation() -> int:
                response = session.get(job.url)
                assert response.status_code == 200
                return len(response.content)

            yield operation

    session_threads = small_get


class H2SessionWork(SessionWork):
    """The same for those that speak HTTP/2 where the server does."""

    h2_get = h2_threads = SessionWork.small_get
    h2_download = SessionWork.download
    h2_upload = SessionWork.upload_file
