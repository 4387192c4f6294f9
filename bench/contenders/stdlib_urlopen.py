"""The standard library's urlopen: a new connection each time, which is all it can do."""

from __future__ import annotations

from urllib.request import urlopen

from bench.contenders.on_urlopen import UrlopenWork

work = UrlopenWork(urlopen)
