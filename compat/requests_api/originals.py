"""Requests' own functions as they were when this was imported, and whether somebody has replaced them since."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["Watch"]


class Watch:
    """Tells whether names still mean what they meant when this was made.

    Test libraries and programs put functions of their own in the place of requests'. Whoever takes a short way past such
    a function asks here first.

    Args:
        places: modules or classes, each with names in it. Names that are not there are not watched.
    """

    def __init__(self, *places: tuple[Any, Iterable[str]]) -> None:
        self._watched = [
            (vars(holder), name, vars(holder)[name])
            for holder, names in places
            for name in names
            if name in vars(holder)
        ]

    def unchanged(self) -> bool:
        """Whether every name still means the same."""
        for names, name, original in self._watched:  # noqa: SIM110  # which is slower, and this is done for every request
            if names.get(name) is not original:
                return False
        return True
