"""A niquests.Session."""

from __future__ import annotations

import niquests

from bench.contenders.on_requests import H2SessionWork
from bench.job import Job


class _Work(H2SessionWork):
    """It settles for HTTP/1.1 where it cannot agree on HTTP/2, which is not what is measured."""

    def _open(self, job: Job) -> niquests.Session:
        session: niquests.Session = super()._open(job)
        if job.http2 and not job.tls:
            raise ValueError("HTTP/2 over TLS only")
        return session


work = _Work(niquests.Session)
