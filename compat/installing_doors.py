"""One name of another library led to ours, in its module and for those who took it from there before, until it is undone."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from types import FunctionType, ModuleType
from typing import Any

__all__ = ["Door", "count_instances", "derived_before", "shown"]


class Door:
    """A function or a class of another library, led to ours.

    - A function does what ours does.
    - Calling a class gives what ours gives. What a class derived from it gives is that class's, then ours.
    - Ours becomes a kind of the original class, where Python allows that.

    Args:
        module: where the name is.
        name: of the function or class.
        ours: what it leads to.
        is_replaced: whether the name leads to ours in the module too; otherwise only what it stands for now does.
        is_led: tells of the arguments that a class is called with whether that leads to ours; None for always. Without it
            things could not go on that were begun before.

    Attributes:
        original: what the name stood for.
        ours: see above.
        gaps: what cannot be had, in lines.
    """

    def __init__(
        self,
        module: ModuleType,
        name: str,
        ours: Any,
        *,
        is_replaced: bool = True,
        is_led: Callable[..., bool] | None = None,
    ) -> None:
        self.gaps: list[str] = []
        self.original: Any = vars(module)[name]
        self.ours = ours
        self._undoings: list[Callable[[], None]] = []
        self._adapters: dict[type, type] = {}
        if is_replaced:
            setattr(module, name, ours)
            self._undoings.append(lambda: self._put_back(module, name))
        if isinstance(self.original, FunctionType):
            self._lead_function(self.original)
        elif isinstance(self.original, type):
            if isinstance(ours, type):
                self._make_kind(ours)
            else:
                self.gaps += derived_before(self.original)
            self._lead_class(is_led)

    def undo(self) -> None:
        """Give everything back but what somebody else has replaced since. What was made in the meantime stays ours."""
        while self._undoings:
            self._undoings.pop()()

    def _put_back(self, module: ModuleType, name: str) -> None:
        if vars(module).get(name) is self.ours:
            setattr(module, name, self.original)

    def _lead_function(self, original: FunctionType) -> None:
        if original.__code__.co_freevars:
            self.gaps.append(f"{shown(original)} was made in a function: who took it from its module goes on with it")
            return
        before = original.__code__, original.__defaults__, original.__kwdefaults__

        def undo() -> None:
            if original.__code__ is _through.__code__:
                original.__code__, original.__defaults__, original.__kwdefaults__ = before

        original.__code__, original.__defaults__ = _through.__code__, None
        original.__kwdefaults__ = {"_ours": self.ours}
        self._undoings.append(undo)

    def _make_kind(self, ours: type) -> None:
        before = ours.__bases__

        def undo() -> None:
            if self.original in ours.__bases__:
                ours.__bases__ = before

        if not issubclass(ours, self.original):
            try:
                ours.__bases__ = (*before, self.original)
            except TypeError:  # it has no base of its own to stand beside
                return
            self._undoings.append(undo)
            if "__new__" not in vars(ours):
                # That of the original, which is none of its business, could not be taken away from it again.
                ours.__new__ = staticmethod(_new)  # type: ignore[method-assign, assignment]

    def _lead_class(self, is_led: Callable[..., bool] | None) -> None:
        original, ours = self.original, self.ours

        def lead(kind: type, *args: Any, **kwargs: Any) -> Any:
            if is_led is not None and not is_led(*args, **kwargs):
                return object.__new__(kind)
            if kind is not original:
                return object.__new__(self._adapter(kind))
            # Python initializes what is an instance of the class that was called.
            return object.__new__(ours) if _is_kind(ours, original) else ours(*args, **kwargs)

        def undo() -> None:
            if vars(original).get("__new__") is door:
                # Python does not let a class forget that it had one: this is what `object` does.
                original.__new__ = staticmethod(_new)

        door = staticmethod(lead)
        original.__new__ = door
        self._undoings.append(undo)

    def _adapter(self, kind: type) -> type:
        """The class for what `kind`, which a program derived from the original, is to give."""
        found = self._adapters.get(kind)
        if found is None:
            ours = self.ours
            if isinstance(ours, type) and not issubclass(kind, ours):
                if not issubclass(ours, self.original):
                    ours = type(ours.__name__, (ours, self.original), {"__module__": ours.__module__})
                names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
                found = type(kind.__name__, (kind, ours), names)
            else:
                found = kind
            self._adapters[kind] = found
        return found


def _through(*args: Any, _ours: Any, **kwargs: Any) -> Any:
    """The code of functions that lead to ours."""
    return _ours(*args, **kwargs)


def _new(kind: type, *_args: Any, **_kwargs: Any) -> Any:
    return object.__new__(kind)


def _is_kind(ours: Any, original: type) -> bool:
    return isinstance(ours, type) and issubclass(ours, original)


def count_instances(kinds: Iterable[type]) -> int:
    """How many objects there are of some classes and of what is derived from them."""
    wanted = set(kinds)
    pending: list[Any] = list(wanted)
    while pending:
        below = [kind for kind in pending.pop().__subclasses__() if kind not in wanted]
        wanted.update(below)
        pending += below
    # By their types: asking the objects themselves would wake those that pretend to be something else.
    return sum(type(thing) in wanted for thing in gc.get_objects()) if wanted else 0


def derived_before(original: Any) -> list[str]:
    """Lines about the classes that programs have derived from one of a library."""
    package = original.__module__.partition(".")[0]
    kinds: list[type] = [kind for kind in original.__subclasses__() if kind.__module__.partition(".")[0] != package]
    return [f"the class {shown(kind)} was derived from {shown(original)} before" for kind in kinds if not _is_own(kind)]


def _is_own(kind: type) -> bool:
    return kind.__module__.startswith("drivetrain.")


def shown(thing: Any) -> str:
    """A function or class as it is called in reports."""
    return f"{getattr(thing, '__module__', '?')}.{getattr(thing, '__qualname__', type(thing).__qualname__)}"
