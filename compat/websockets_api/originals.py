"""The original `websockets`, where it is installed: what of ours has to be the same as, or a kind of, what is its.

Programs import names from the original before ours takes its place, and go on to use them: `except ConnectionClosed` has to
catch what ours raises, and `connection.state is State.OPEN` has to be true. So the original's exception classes become
further bases of ours, and its enumerations are used as they are.

Laws:

- without the original, with one older than version 15, and with one that cannot be imported, ours stand alone. Nothing that
  the original does can make an import of ours fail;
- our own package under the name of the original (`drivetrain.compat.install("websockets")`) is not taken for the original;
- what is found when this module is imported stays: nothing that is installed or replaced later changes our classes.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Callable
from enum import Enum
from types import ModuleType
from typing import Any, TypeVar, cast

__all__ = ["as_original", "caught_as_original", "original_module"]

E = TypeVar("E", bound=type[Exception])
M = TypeVar("M", bound=type[Enum])

_NAME = "websockets"
_OLDEST = 15  # the first version whose surface ours has
_OWN_FOLDER = os.path.dirname(os.path.abspath(__file__))


def _is_ours(module: ModuleType) -> bool:
    """Whether it is this package, under whatever name."""
    names = vars(module)
    file = names.get("__file__")
    if isinstance(file, str) and os.path.dirname(os.path.abspath(file)) == _OWN_FOLDER:
        return True
    return str(names.get("__name__")).startswith("drivetrain.")


def _import(name: str) -> ModuleType | None:
    """A module of the original; None where it is not there or does not work."""
    try:
        with warnings.catch_warnings():
            # Who imports ours has not asked for what is deprecated in the original.
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except Exception:  # noqa: BLE001  # somebody else's package, in whatever state
        return None


def _find() -> ModuleType | None:
    """The original's package, imported; None when there is none that ours could go with."""
    package = sys.modules.get(_NAME) or _import(_NAME)
    if not isinstance(package, ModuleType) or _is_ours(package):
        return None
    release = str(getattr(package, "__version__", "")).partition(".")[0]
    return package if release.isdecimal() and int(release) >= _OLDEST else None


_package = _find()


def original_module(name: str) -> ModuleType | None:
    """A module inside the original's package; None where there is none.

    Args:
        name: as in `legacy.exceptions`, without the package's own name.
    """
    found: Any = _package
    for part in name.split("."):
        # Modules are attributes of their packages, also after somebody has taken them out of sys.modules.
        found = vars(found).get(part) if isinstance(found, ModuleType) else None
    if isinstance(found, ModuleType):
        return found
    if _package is None or sys.modules.get(_NAME) is not _package:
        return None
    return _import(f"{_NAME}.{name}")


def caught_as_original(module: str) -> Callable[[E], E]:
    """Make a class decorator: who catches the original's exception of the same name shall catch the decorated one too.

    The decorated class must not use `super()` without arguments when its base is one of Python's own.

    Args:
        module: where the original has it, as for `original_module`.
    """

    def decorate(cls: E) -> E:
        original = getattr(original_module(module), cls.__name__, None)
        if not isinstance(original, type) or issubclass(cls, original) or _of_python(original) != _of_python(cls):
            return cls
        try:
            return _with_base(cls, original)
        except TypeError:  # their relatives do not fit with ours
            return cls

    return decorate


def _of_python(cls: type) -> set[type]:
    """The classes among its ancestors that are Python's own: with others it would be another kind of thing."""
    return {ancestor for ancestor in cls.__mro__ if ancestor.__module__ == "builtins"}


def _with_base(cls: E, original: type[Exception]) -> E:
    first, *others = cls.__bases__
    if first.__module__ == "builtins":
        # Python does not give such a class other bases once it is there.
        names = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
        rebuilt: Any = type(cls)
        return cast(E, rebuilt(cls.__name__, (original,), names))
    cls.__bases__ = (first, original, *others)
    return cls


def as_original(module: str) -> Callable[[M], M]:
    """Make a class decorator: the original's enumeration of the same name is to be used instead of the decorated one.

    One that lacks a member, or has another value for it, is left alone.

    Args:
        module: where the original has it, as for `original_module`.
    """

    def decorate(cls: M) -> M:
        original = getattr(original_module(module), cls.__name__, None)
        if not (isinstance(original, type) and issubclass(original, Enum)):
            return cls
        theirs = {name: member.value for name, member in original.__members__.items()}
        fits = all(theirs.get(name) == member.value for name, member in cls.__members__.items())
        return original if fits else cls  # type: ignore[return-value]  # the same to everybody who uses it

    return decorate
