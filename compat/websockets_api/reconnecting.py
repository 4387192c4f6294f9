"""Connecting again and again: which failures are worth another attempt, and how long to wait before it.

The environment sets the waiting, in seconds: `WEBSOCKETS_BACKOFF_INITIAL_DELAY`, `WEBSOCKETS_BACKOFF_MIN_DELAY`,
`WEBSOCKETS_BACKOFF_MAX_DELAY` and, as a number to multiply by, `WEBSOCKETS_BACKOFF_FACTOR`; and how many redirects are followed:
`WEBSOCKETS_MAX_REDIRECTS`.
"""

from __future__ import annotations

import os
import random
from collections.abc import Generator

from drivetrain.compat.websockets_api.exceptions import InvalidMessage, InvalidStatus

__all__ = [
    "BACKOFF_FACTOR",
    "BACKOFF_INITIAL_DELAY",
    "BACKOFF_MAX_DELAY",
    "BACKOFF_MIN_DELAY",
    "MAX_REDIRECTS",
    "backoff",
    "process_exception",
]

BACKOFF_INITIAL_DELAY = float(os.environ.get("WEBSOCKETS_BACKOFF_INITIAL_DELAY", "5"))
BACKOFF_MIN_DELAY = float(os.environ.get("WEBSOCKETS_BACKOFF_MIN_DELAY", "3.1"))
BACKOFF_MAX_DELAY = float(os.environ.get("WEBSOCKETS_BACKOFF_MAX_DELAY", "90.0"))
BACKOFF_FACTOR = float(os.environ.get("WEBSOCKETS_BACKOFF_FACTOR", "1.618"))
MAX_REDIRECTS = int(os.environ.get("WEBSOCKETS_MAX_REDIRECTS", "10"))

_WORTH_ANOTHER = frozenset((500, 502, 503, 504))


def process_exception(exc: Exception) -> Exception | None:
    """Tell a failure that may pass from one that will not; for `connect(process_exception=…)`.

    Returns:
        None where another attempt may succeed: after errors of the network, a connection that ended before the answer, and
        the statuses 500, 502, 503 and 504. Otherwise `exc`, to be raised.
    """
    if isinstance(exc, (OSError, TimeoutError)):
        return None
    if isinstance(exc, InvalidMessage) and isinstance(exc.__cause__, EOFError):
        return None
    if isinstance(exc, InvalidStatus) and exc.response.status_code in _WORTH_ANOTHER:
        return None
    return exc


def backoff(
    initial_delay: float = BACKOFF_INITIAL_DELAY,
    min_delay: float = BACKOFF_MIN_DELAY,
    max_delay: float = BACKOFF_MAX_DELAY,
    factor: float = BACKOFF_FACTOR,
) -> Generator[float, None, None]:
    """How many seconds to wait before each of the next attempts, without end.

    The first figure is by chance, so that clients which lost one server do not come back all at once (RFC 6455 section
    7.2.3).
    """
    yield random.random() * initial_delay  # noqa: S311 - nobody is to guess it, but nothing depends on that
    delay = min_delay
    while delay < max_delay:
        yield delay
        delay *= factor
    while True:
        yield max_delay
