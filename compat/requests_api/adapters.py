"""`requests.adapters` name for name, with an `HTTPAdapter` that sends through the engine."""

from __future__ import annotations

from typing import Any

import requests.adapters

from drivetrain.compat.requests_api.adapter import EngineAdapter
from drivetrain.compat.requests_api.mirror import mirror

__all__ = ["HTTPAdapter"]


class HTTPAdapter(EngineAdapter):
    """The adapter that sessions mount by themselves: `EngineAdapter` under the name that programs know."""


def __getattr__(name: str) -> Any:  # for type checkers
    return getattr(requests.adapters, name)


mirror(__name__, requests.adapters)
