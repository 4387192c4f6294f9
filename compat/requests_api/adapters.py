"""`requests.adapters` name for name, with an `HTTPAdapter` that sends through the engine."""

from __future__ import annotations

import ssl
from typing import Any, ClassVar

import requests.adapters
from requests.adapters import DEFAULT_POOLBLOCK, DEFAULT_POOLSIZE, DEFAULT_RETRIES
from urllib3.util.retry import Retry

from drivetrain.compat.requests_api.adapter import EngineAdapter
from drivetrain.compat.requests_api.mirror import mirror
from drivetrain.engine import HstsStore

__all__ = ["HTTPAdapter"]


class HTTPAdapter(EngineAdapter):
    """The adapter that sessions mount by themselves: `EngineAdapter` under the name that programs know.

    Args:
        pool_connections, pool_maxsize, max_retries, pool_block: as for `requests.adapters.HTTPAdapter`.
        total_timeout, ssl_context, options: as for `EngineAdapter`.

    Attributes:
        default_options: options of `EngineAdapter` for every adapter made from now on that is not given them.
    """

    default_options: ClassVar[dict[str, Any]] = {}

    # For adapters that were pickled as requests' own class, or made as such before this one took its place.
    _engine_options: Any = {}  # noqa: RUF012  # never changed in place
    _total_timeout: float | None = None
    hsts: HstsStore | None = None

    def __init__(
        self,
        pool_connections: int = DEFAULT_POOLSIZE,
        pool_maxsize: int = DEFAULT_POOLSIZE,
        max_retries: int | Retry = DEFAULT_RETRIES,
        pool_block: bool = DEFAULT_POOLBLOCK,
        *,
        total_timeout: float | None = None,
        ssl_context: ssl.SSLContext | None = None,
        **options: Any,
    ) -> None:
        options = {**type(self).default_options, **options}
        super().__init__(
            pool_connections,
            pool_maxsize,
            max_retries,
            pool_block,
            total_timeout=total_timeout,
            ssl_context=ssl_context,
            **options,
        )

    def take_defaults(self) -> None:
        """Begin to use the engine: for an adapter whose constructor was that of requests' own class."""
        options = dict(type(self).default_options)
        hsts = options.pop("hsts", False)
        self.hsts = HstsStore() if hsts is True else None if hsts is False else hsts
        self._engine_options = options
        self._start()


def __getattr__(name: str) -> Any:  # for type checkers
    return getattr(requests.adapters, name)


mirror(__name__, requests.adapters)
