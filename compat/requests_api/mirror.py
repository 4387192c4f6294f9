"""Modules that have some names of their own and all others from one of requests', also when those are replaced."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

__all__ = ["Mirror", "mirror"]


class Mirror(ModuleType):
    """A module beside an original: what it does not define is read, replaced and deleted there."""

    _original: ModuleType
    _names: frozenset[str]  # what the original had at first: what was deleted there comes back there

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in vars(self) and (name in self._names or name in vars(self._original)):
            setattr(self._original, name, value)
        else:
            super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if name not in vars(self) and name in vars(self._original):
            delattr(self._original, name)
        else:
            super().__delattr__(name)

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *dir(self._original)})


def mirror(name: str, original: ModuleType) -> None:
    """Make the module of that name, which is being imported, a `Mirror`."""
    module = sys.modules[name]
    vars(module).update(_original=original, _names=frozenset(vars(original)))
    module.__class__ = Mirror
