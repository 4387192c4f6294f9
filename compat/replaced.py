"""Whether names of other libraries still mean what they meant.

Test libraries, guards, recorders and tracers put functions of their own in the place of others'. Whoever goes past such a
function asks here first, for every request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from types import FunctionType, GetSetDescriptorType, MethodDescriptorType, WrapperDescriptorType
from typing import Any

__all__ = ["GREEN", "LIMITS", "NOTED", "Watch", "is_at_home"]

LIMITS = attrgetter("_MAXLINE", "_MAXHEADERS")
"""What of the module `http.client` programs raise for servers with huge heads."""

GREEN = ("gevent.", "eventlet.")
"""The homes of what makes the standard library wait for other greenlets: the engine runs on it."""

NOTED: dict[str, str] = {}
"""What was found replaced where it has an owner, and from where. Only added to."""

_OF_C = (MethodDescriptorType, WrapperDescriptorType, GetSetDescriptorType)
_missing = object()


class Watch:
    """Tells whether names still mean what they meant when this was made. Any number of threads may use one.

    Things are the same when they are identical: a proxy of a function says of itself that it equals that function.

    Args:
        places: modules or classes, each with names in it, which may have dots. Names that are not there are not watched.
        homes: the modules whose functions and classes the names are to mean, those that end with a dot with all below them.
            What means another module's then is replaced, though it was so from the beginning; and what comes from those
            modules is as good as what was there. A switch is to be off. Empty for whatever they meant.
    """

    def __init__(self, *places: tuple[Any, Iterable[str]], homes: tuple[str, ...] = ()) -> None:
        self._homes = homes
        self._watched = [
            (holder, name) for holder, names in places for name in names if _read(holder, name) is not _missing
        ]
        self._is_same: Callable[[], bool] = _never
        if not homes or not self.find_replaced():
            self._is_same = _comparison(self._watched)

    def unchanged(self) -> bool:
        """Whether every name still means the same."""
        return self._is_same() or (bool(self._homes) and self._look_again())

    def find_replaced(self) -> dict[str, str]:
        """Which names mean something that is not at home, and where that comes from."""
        found = {}
        for holder, name in self._watched:
            thing = _read(holder, name)
            home = _home_of(thing)
            if thing != 0 if type(thing) in (int, bool) else not is_at_home(thing, self._homes):
                of = holder.__name__ if not isinstance(holder, type) else f"{holder.__module__}.{holder.__qualname__}"
                found[f"{of}.{name}"] = home or type(thing).__module__
        return found

    def _look_again(self) -> bool:
        found = self.find_replaced()
        if found:
            NOTED.update(found)
            return False
        self._is_same = _comparison(self._watched)
        return True


def _never() -> bool:
    return False


def _read(holder: Any, name: str) -> Any:
    try:
        return attrgetter(name)(holder)
    except AttributeError:
        return _missing


def _comparison(watched: list[tuple[Any, str]]) -> Callable[[], bool]:
    """A function that compares them all: written out, for a loop takes three times as long, which every request would."""
    holders: dict[int, str] = {}
    values: dict[str, Any] = {}
    tests = []
    for number, (holder, name) in enumerate(watched):
        place = holders.setdefault(id(holder), f"holder{number}")
        values[place], values[f"thing{number}"] = holder, _read(holder, name)
        tests.append(f"{place}.{name} is thing{number}")
    # As defaults, for locals are found sooner than globals.
    lines = [f"def is_same({', '.join(f'{name}={name}' for name in values)}):", " try:"]
    lines += [f"  return {' and '.join(tests) or True}", " except AttributeError:", "  return False"]
    exec("\n".join(lines), values)  # noqa: S102  # of names that stand in this package
    made: Callable[[], bool] = values["is_same"]
    return made


def _home_of(thing: Any) -> str | None:
    """The module that made a class or function; None for what is neither."""
    kind = type(thing)  # and not what it says of itself
    if issubclass(kind, type):
        home: str = thing.__module__
    elif kind is FunctionType:
        # Its `__module__` may be that of a function which it wraps.
        home = thing.__globals__.get("__name__", "")
    elif kind in _OF_C:
        home = thing.__objclass__.__module__
    else:
        return None
    return home


def is_at_home(thing: Any, homes: tuple[str, ...]) -> bool:
    """Whether a class or function was made by one of these modules, see `Watch`."""
    home = _home_of(thing)
    return home is not None and any(home.startswith(place) if place.endswith(".") else home == place for place in homes)
