"""The way back to the engine from those who take the place of requests' `HTTPAdapter.send`, or hand out its pools.

Test libraries replace that function, are asked first therefore, and call the one they found there for the requests that
they let pass. That may be requests' own, which asks the adapter for one of urllib3's pools: it gets a `PoolDoor`, and so does
a subclass with a copy of that function, or with a `get_connection_with_tls_context` of its own. Or it may be the engine's, which
must not ask them again: `Asked` knows.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from requests.adapters import HTTPAdapter

from drivetrain.compat.requests_api.pool_reading import EnginesPool
from drivetrain.compat.requests_api.trust import NotUnderstood

__all__ = ["OWN_SENDS", "STAND_INS", "Asked", "PoolDoor", "replaced_send"]

_AS_REQUESTS_CALLS = {"redirect": False, "preload_content": False, "decode_content": False}

STAND_INS: list[type] = []
"""The class that stands in the place of `requests.adapters.HTTPAdapter`, while there is one."""


OWN_SENDS: set[Any] = {HTTPAdapter.send}
"""What `requests.adapters.HTTPAdapter.send` may be without having been replaced by somebody else."""


def replaced_send(adapter: Any) -> Callable[..., Any] | None:
    """What somebody has put in the place of requests' `send` and has to be asked first, of `adapter`; None for nothing."""
    if HTTPAdapter.send not in OWN_SENDS:
        return _bound(HTTPAdapter.send, adapter)
    for kind in STAND_INS:
        # Adapters of that class have asked it before they came here.
        if "send" in vars(kind) and not isinstance(adapter, kind):
            return _bound(vars(kind)["send"], adapter)
    return None


def _bound(found: Any, adapter: Any) -> Callable[..., Any]:
    """What `adapter.send` would be: of a function its method; but a mock, which binds to nothing, sees no adapter."""
    bind = getattr(type(found), "__get__", None)
    method: Callable[..., Any] = found if bind is None else bind(found, adapter, type(adapter))
    return method


class PoolDoor:
    """One of urllib3's pools, whose `urlopen` sends one prepared request through the engine.

    What somebody sets on the door is set on the pool, where the engine reads it. Where it cannot do that, the pool itself sends.

    Args:
        pool: urllib3's; has every other attribute, and every call that is not as requests makes it.
        request: the prepared request it was asked for.
        exchange: sends that with the target, timeout and retries it is given, and returns the raw response, or raises
            `NotUnderstood`.
    """

    def __init__(
        self,
        pool: Any,
        request: Any,
        exchange: Callable[[str, Any, Any], Any],
    ) -> None:
        vars(self).update(_pool=pool, _request=request, _exchange=exchange)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._pool)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._pool, name, value)

    def urlopen(self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> Any:
        """See `urllib3.HTTPConnectionPool.urlopen`."""
        request = self._request
        if (
            method == request.method
            and body is request.body
            and headers is request.headers
            and all(options.get(name, True) == value for name, value in _AS_REQUESTS_CALLS.items())
        ):
            try:
                return self._exchange(url, options.get("timeout"), options.get("retries"))
            except NotUnderstood as error:
                if type(self._pool) is EnginesPool and error.__cause__ is not None:
                    raise error.__cause__ from error.__cause__.__cause__
        return self._pool.urlopen(method, url, body=body, headers=headers, **options)


class Asked:
    """The requests that somebody else has been asked about and has not answered yet. Any number of threads may use one."""

    def __init__(self) -> None:
        self._under_way: set[tuple[int, int]] = set()

    def __contains__(self, request: object) -> bool:
        return bool(self._under_way) and (threading.get_ident(), id(request)) in self._under_way

    @contextlib.contextmanager
    def asking(self, request: object) -> Iterator[None]:
        """For the time of the question."""
        key = (threading.get_ident(), id(request))
        self._under_way.add(key)
        try:
            yield
        finally:
            self._under_way.discard(key)
