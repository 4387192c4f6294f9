"""A requests.Session as people run it, on its own."""

from __future__ import annotations

import requests

from bench.contenders.on_requests import SessionWork

work = SessionWork(requests.Session)
