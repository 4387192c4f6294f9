"""Whatever a response says of when to come back, it is a number of seconds from zero on, or nothing, in any time zone."""

from __future__ import annotations

import math

from drivetrain.engine.policy.retries import Retries, retry_after
from drivetrain.engine.wire.headers import Headers

SEEDS = (
    b"120",
    b"Wed, 21 Oct 2037 07:28:00 GMT",
    b"Wednesday, 21-Oct-37 07:28:00 GMT",
    b"Wed Oct 21 07:28:00 2037",
    b"Wed, 21 Oct 2037 07:28:00 -0000",
    b"Wed, 21 Oct 99999 25:61:00 +9999",
    b"-1\n120",
)

NOW = 1_000_000_000.0


def check(data: bytes) -> None:
    lines = data.decode("latin-1").split("\n")
    headers = Headers.adopt([("retry-after", line) for line in lines])
    wait = retry_after(headers, lambda: NOW)
    assert wait is None or (math.isfinite(wait) and wait >= 0)
    asked = Retries(attempts=1, max_retry_after=60.0).after_response(0, "GET", 503, headers, lambda: NOW)
    assert asked is None or 0 <= asked <= 60.0
    if len(lines) == 1 and lines[0].isdecimal() and lines[0].isascii() and len(lines[0]) <= 10:
        assert wait == int(lines[0])
