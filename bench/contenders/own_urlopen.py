"""drivetrain's urlopen: the standard library's interface over a shared pool."""

from __future__ import annotations

from bench.contenders.on_urlopen import UrlopenWork
from drivetrain.compat.urllib_api import urlopen

work = UrlopenWork(urlopen)
