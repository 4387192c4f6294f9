"""Time limits as requests writes them, as the engine's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from urllib3.util import Timeout

from drivetrain.engine import Timeouts

__all__ = ["TimeoutTable"]

_MAX_KNOWN = 1000


class TimeoutTable:
    """Turns the `timeout` argument of a request into `Timeouts`, and remembers those it has seen.

    As in requests, the first figure bounds connecting (name, TCP and TLS together) and each wait for the peer to take
    data, the second each wait for the peer to send some; neither bounds the whole.

    Args:
        total: seconds for each whole call, body included; None for no limit.
    """

    def __init__(self, total: float | None = None) -> None:
        self._total = total
        self._known: dict[Any, Timeouts] = {}

    def resolve(self, timeout: Any) -> Timeouts:
        """Read a number of seconds, a (connect, read) pair, None, or urllib3's `Timeout`.

        Raises:
            ValueError: it is none of these, with the message that requests gives.
        """
        kind = type(timeout)
        if kind is float or timeout is None:
            key = timeout
        elif kind is tuple:
            # True equals 1, but is no timeout: the types belong to the key.
            key = (timeout, tuple(map(type, timeout)))
        else:
            key = (timeout, kind)
        try:
            return self._known[key]
        except (KeyError, TypeError):
            pass
        resolved = self._read(timeout)
        if not isinstance(timeout, Timeout) and len(self._known) < _MAX_KNOWN:
            self._known[key] = resolved
        return resolved

    def _read(self, timeout: Any) -> Timeouts:
        if isinstance(timeout, tuple):
            try:
                connect, read = timeout
                sauce = Timeout(connect=connect, read=read)
            except ValueError:
                raise ValueError(
                    f"Invalid timeout {timeout}. Pass a (connect, read) timeout tuple, "
                    f"or a single float to set both timeouts to the same value."
                ) from None
        elif isinstance(timeout, Timeout):
            sauce = timeout.clone()
            sauce.start_connect()
        else:
            sauce = Timeout(connect=timeout, read=timeout)
        resolve: Callable[[Any], float | None] = Timeout.resolve_default_timeout
        connect_limit = resolve(sauce.connect_timeout)
        read_limit = resolve(sauce.read_timeout)
        return Timeouts(total=self._total, connect=connect_limit, read=read_limit, write=connect_limit)
