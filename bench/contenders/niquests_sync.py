"""A niquests.Session."""

from __future__ import annotations

import niquests

from bench.contenders.on_requests import SessionWork

work = SessionWork(niquests.Session)
