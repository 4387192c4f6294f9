"""When a request is sent again after a failure or an answer that asks for it, and after how long.

Off unless asked for. The safe repetitions are made in any case by the request loop and are no retries in this sense: on a
connection that turned out stale, and of what an HTTP/2 server did not look at.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime

from ..errors import (
    CertificateError,
    ConnectError,
    ConnectTimeout,
    EngineError,
    NetworkError,
    ProxyError,
    ReadTimeout,
    UsageError,
    WriteTimeout,
)
from ..wire.headers import Headers

__all__ = ["NO_RETRIES", "Retries", "retry_after"]

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
_is_seconds = re.compile("[0-9]{1,10}").fullmatch
# Nothing was sent: such a failure may be repeated whatever the method.
_NOT_SENT = (ConnectError, ConnectTimeout)
_FAILURES = (NetworkError, ConnectTimeout, ReadTimeout, WriteTimeout)


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, after what, and how long after it. Times in seconds.

    Args:
        attempts: how often a request is sent again at most, for all reasons together.
        statuses: answers after which it is.
        methods: those that are sent again; others only where nothing of the request can have been processed: when no
            connection came about.
        backoff: the wait before the first repetition; each further one waits twice as long,
        max_backoff: up to this.
        jitter: how much of each wait is left to chance, from 0 (none) to 1 (all of it), so that many clients that failed
            together do not come back together.
        respect_retry_after: wait as long as a response says, in both forms of Retry-After (RFC 9110 section 10.2.3);
        max_retry_after: unless that is longer than this: then the response is the answer.

    Raises:
        UsageError: a figure is out of range.
    """

    attempts: int = 0
    statuses: frozenset[int] = frozenset({429, 502, 503, 504})
    methods: frozenset[str] = _IDEMPOTENT
    backoff: float = 0.5
    max_backoff: float = 30.0
    jitter: float = 0.5
    respect_retry_after: bool = True
    max_retry_after: float = 120.0

    def __post_init__(self) -> None:
        if self.attempts < 0 or not (self.backoff >= 0 and self.max_backoff >= 0 and 0 <= self.jitter <= 1):
            raise UsageError("attempts and waits are not negative, and jitter is between 0 and 1")

    def after_failure(self, made: int, method: str, error: EngineError) -> float | None:
        """How many seconds to wait before sending again, `made` repetitions having been made; None for not again."""
        if made >= self.attempts or not isinstance(error, _FAILURES) or isinstance(error, CertificateError):
            return None
        if isinstance(error, ProxyError) and error.status is not None and error.status not in self.statuses:
            return None  # it would refuse again
        if method not in self.methods and not isinstance(error, _NOT_SENT):
            return None
        return self._wait(made)

    def after_response(
        self, made: int, method: str, status: int, headers: Headers, clock: Callable[[], float] = time.time
    ) -> float | None:
        """As `after_failure`, for a response. `clock` gives seconds since the epoch, for dates in Retry-After."""
        if made >= self.attempts or status not in self.statuses or method not in self.methods:
            return None
        asked = retry_after(headers, clock) if self.respect_retry_after else None
        if asked is None:
            return self._wait(made)
        return asked if asked <= self.max_retry_after else None

    def _wait(self, made: int) -> float:
        wait = min(self.max_backoff, self.backoff * 2.0 ** min(made, 60))
        return wait * (1 - self.jitter * random.random())  # noqa: S311 - nobody gains by guessing it


def retry_after(headers: Headers, clock: Callable[[], float] = time.time) -> float | None:
    """How many seconds a response asks to wait, None where it does not say, or nothing that can be understood."""
    value = headers.get("retry-after", "").strip() if len(headers.get_as_sequence("retry-after")) == 1 else ""
    if _is_seconds(value):
        return float(value)
    if not value:
        return None
    try:
        date = parsedate_to_datetime(value)
        # One without a zone is of Greenwich, as all dates of HTTP are (RFC 9110 section 5.6.7).
        return max(0.0, (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp() - clock())
    except (TypeError, ValueError, OverflowError):
        return None


NO_RETRIES = Retries()
