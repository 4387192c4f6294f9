"""A requests.Session of a program that knows nothing of us: the engine is installed below requests."""

from __future__ import annotations

import requests

import drivetrain.compat
from bench.contenders.on_requests import SessionWork

drivetrain.compat.install("requests")
session_threads = SessionWork(requests.Session).session_threads
