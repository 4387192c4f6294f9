"""Putting the engine below requests itself, in a running program, and taking it away again.

What is changed, and changed back:

- `requests.adapters.HTTPAdapter`, and the name of it that `Session.__init__` looks up, become this package's `HTTPAdapter`;
- requests' own class turns what is made of it into that; classes that were derived from it before derive from that now, and
  adapters that were made before, of it or of them, send through the engine;
- three methods of `requests.Session` become those of `fast`. The class stays the same.

What somebody else has replaced before is left as it is, and reported.
"""

from __future__ import annotations

import functools
import gc
import sys
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import requests.adapters
import requests.sessions

from drivetrain.compat.requests_api.adapter import EngineAdapter
from drivetrain.compat.requests_api.adapters import HTTPAdapter
from drivetrain.compat.requests_api.fast import METHODS, ORIGINALS

__all__ = ["Installation"]

_Own: Any = requests.adapters.HTTPAdapter
_Session: Any = requests.sessions.Session
_OWN_INIT = _Own.__init__
_PLACES: tuple[Any, ...] = (requests.adapters, requests.sessions)


class Installation:
    """The engine below requests, from when this is made until `undo`. One at a time.

    Args:
        options: options of `EngineAdapter` for every adapter that is not given them.

    Attributes:
        gaps: what the engine does not get, and why, in lines.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.gaps: list[str] = []
        self._turned: weakref.WeakSet[Any] = weakref.WeakSet()
        self._derived: list[type] = []
        HTTPAdapter.default_options = dict(options)
        _Own.__init__ = _init
        for place in _PLACES:
            if place.HTTPAdapter is _Own:
                place.HTTPAdapter = HTTPAdapter
            elif place.HTTPAdapter is not HTTPAdapter:
                self.gaps.append(f"{place.__name__}.HTTPAdapter was replaced before, by {_name(place.HTTPAdapter)}")
        for name, method in METHODS.items():
            found = getattr(_Session, name)
            if found is ORIGINALS[name]:
                setattr(_Session, name, method)
            elif found is not method:
                self.gaps.append(f"requests.Session.{name} was replaced before, by {_name(found)}")
        if _Own.send is not _OWN_SEND:
            self.gaps.append(
                f"requests.adapters.HTTPAdapter.send was replaced before, by {_name(_Own.send)}, which is asked first"
            )
        self._derive_anew()
        self._turn_adapters()
        self.gaps += _copies()

    def _derive_anew(self) -> None:
        for kind in _Own.__subclasses__():
            if not issubclass(kind, EngineAdapter):
                try:
                    kind.__bases__ = tuple(HTTPAdapter if base is _Own else base for base in kind.__bases__)
                except TypeError as error:
                    self.gaps.append(f"the class {_name(kind)} was made before and cannot be changed: {error}")
                else:
                    self._derived.append(kind)

    def _turn_adapters(self) -> None:
        for adapter in _adapters_of({_Own, *_all_below(self._derived)}):
            _turn(adapter)
            self._turned.add(adapter)

    def undo(self) -> None:
        """Give everything back but what somebody else has replaced since, and the adapters that were made since."""
        for place in _PLACES:
            if place.HTTPAdapter is HTTPAdapter:
                place.HTTPAdapter = _Own
        if _Own.__init__ is _init:
            _Own.__init__ = _OWN_INIT
        for name, method in METHODS.items():
            if getattr(_Session, name) is method:
                setattr(_Session, name, ORIGINALS[name])
        for kind in self._derived:
            kind.__bases__ = tuple(_Own if base is HTTPAdapter else base for base in kind.__bases__)
        for adapter in list(self._turned):
            EngineAdapter.close_clients(adapter)
            if type(adapter) is HTTPAdapter:
                adapter.__class__ = _Own
        HTTPAdapter.default_options = {}


_OWN_SEND = _Own.send


@functools.wraps(_OWN_INIT)
def _init(self: Any, *args: Any, **kwargs: Any) -> None:
    """Requests' own class makes adapters of the engine: who imported it before need not know."""
    _OWN_INIT(self, *args, **kwargs)
    if type(self) is _Own or (isinstance(self, HTTPAdapter) and "_engine_options" not in vars(self)):
        _turn(self)


def _turn(adapter: Any) -> None:
    """Make an adapter that was not made as one of the engine's into one."""
    if type(adapter) is _Own:
        adapter.__class__ = HTTPAdapter
    adapter.take_defaults()


def _adapters_of(kinds: set[type]) -> Iterator[Any]:
    # By their types: asking the objects themselves would wake those that pretend to be something else.
    return (thing for thing in gc.get_objects() if type(thing) in kinds and "poolmanager" in vars(thing))


def _all_below(kinds: list[type]) -> Iterator[type]:
    for kind in kinds:
        yield kind
        yield from _all_below(kind.__subclasses__())


def _copies() -> Iterator[str]:
    """Other copies of requests that were imported, such as pip's."""
    for name, module in list(sys.modules.items()):
        found = name.endswith(".requests.adapters") and getattr(module, "HTTPAdapter", None)
        if isinstance(found, type) and not issubclass(found, _Own):
            yield f"{name.removesuffix('.adapters')} is a copy of requests of its own"


def _name(thing: Any) -> str:
    return f"{getattr(thing, '__module__', '?')}.{getattr(thing, '__qualname__', type(thing).__qualname__)}"
