"""Attributes that are there to be looked at, and give way to whatever a program puts in their place."""

from __future__ import annotations

from typing import Any

__all__ = ["Shown"]


class Shown:
    """Shows another attribute of the object, unless the object or a class derived from its class has one of this name.

    Args:
        name: the other one.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, thing: Any, kind: Any = None) -> Any:
        return self if thing is None else getattr(thing, self._name)
