"""A requests.Session of a program that knows nothing of us: the engine is installed below requests."""

from __future__ import annotations

import requests

import drivetrain.compat
from bench.contenders.on_requests import SessionWork
from bench.job import Job

drivetrain.compat.install("requests")


class _Work(SessionWork):
    """It settles for HTTP/1.1 where the server has no more, which is not what is measured."""

    def _open(self, job: Job) -> requests.Session:
        session: requests.Session = super()._open(job)
        version = session.get(job.url).raw.version
        if job.http2 and version != 20:
            raise ValueError(f"the server has answered in version {version}")
        return session


session_threads = _Work(requests.Session).session_threads
