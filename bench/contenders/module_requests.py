"""Our module in the place of requests: its Session, and the adapters that it mounts by itself."""

from __future__ import annotations

import requests

from bench.contenders.on_requests import H2SessionWork
from bench.job import Job
from drivetrain.compat import requests_api


class _Work(H2SessionWork):
    """Over HTTP/2 the adapters insist on it, in clear too."""

    def _open(self, job: Job) -> requests.Session:
        session: requests.Session = super()._open(job)
        if job.http2:
            session.mount("http://", requests_api.adapters.HTTPAdapter(version=2))
            session.mount("https://", requests_api.adapters.HTTPAdapter(version=2))
        return session


work = _Work(requests_api.Session)
