"""A requests.Session with our adapter mounted."""

from __future__ import annotations

import requests

from bench.contenders.on_requests import H2SessionWork
from bench.job import Job
from drivetrain.compat.requests_api import EngineAdapter


class _Work(H2SessionWork):
    """Over HTTP/2 the adapter insists on it, in clear too."""

    def _open(self, job: Job) -> requests.Session:
        session: requests.Session = super()._open(job)
        adapter = EngineAdapter(version=2) if job.http2 else EngineAdapter()
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        return session


work = _Work(requests.Session)
