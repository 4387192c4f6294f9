"""A requests.Session with our adapter mounted."""

from __future__ import annotations

import requests

from bench.contenders.on_requests import SessionWork
from drivetrain.compat.requests_api import EngineAdapter


def _session() -> requests.Session:
    session = requests.Session()
    adapter = EngineAdapter()
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


work = SessionWork(_session)
