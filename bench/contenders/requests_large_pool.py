"""A requests.Session whose pool keeps a connection for every thread, as who knows of its default of ten writes it."""

from __future__ import annotations

import requests

from bench.contenders.on_requests import SessionWork
from bench.job import Job


class _Work(SessionWork):
    def _open(self, job: Job) -> requests.Session:
        session: requests.Session = super()._open(job)
        session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=job.concurrency))
        return session


session_threads = _Work(requests.Session).session_threads
