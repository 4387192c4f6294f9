"""Names of a module that are fetched from another one when they are first asked for (PEP 562)."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["lazy_names"]

_PACKAGE = "drivetrain.compat.websockets_api"
_NONE: Mapping[str, str] = {}


def lazy_names(
    module: str, names: Mapping[str, str] = _NONE, deprecated: Mapping[str, str] = _NONE
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the functions `__getattr__` and `__dir__` of a module.

    ::

        __getattr__, __dir__ = lazy_names(__name__, {"connect": "asyncio.client"})

    Args:
        module: its full name.
        names: name -> the module of this package that has it. An empty string stands for the package: the name is one of
            its modules.
        deprecated: the same, for names that are given out with a `DeprecationWarning`, which has the words of the original.
    """
    namespace = vars(importlib.import_module(module))
    shown_as = "websockets" + module.removeprefix(_PACKAGE)

    def fetch(name: str) -> Any:
        if name in names:
            source = names[name]
        elif name in deprecated:
            source = deprecated[name]
            warnings.warn(f"{shown_as}.{name} is deprecated", DeprecationWarning, stacklevel=2)
        else:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if not source:
            return importlib.import_module(f"{_PACKAGE}.{name}")
        return getattr(importlib.import_module(f"{_PACKAGE}.{source}"), name)

    def list_names() -> list[str]:
        return sorted({*namespace, *names, *deprecated})

    return fetch, list_names
