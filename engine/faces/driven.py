"""Making a blocking method of an engine coroutine method, with its name, parameters, types and documentation."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

__all__ = ["Driver", "driven"]

P = ParamSpec("P")
T = TypeVar("T")


class Driver(Protocol):
    """Runs an engine coroutine to its end for a caller that blocks."""

    def __call__(self, coroutine: Coroutine[Any, Any, T], /) -> T:
        """Run it."""


def driven(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[Any, P], T]:
    """The blocking counterpart of `method`, for a class with the attributes `core` (the object) and `drive` (a `Driver`)."""
    name = method.__name__

    @wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        # By name: the object's class may have a method of its own.
        result: T = self.drive(getattr(self.core, name)(*args, **kwargs))
        return result

    return call
