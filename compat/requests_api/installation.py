"""Putting the engine below requests itself, in a running program, and taking it away again.

What is changed, and changed back:

- `requests.adapters.HTTPAdapter`, and the name of it that `Session.__init__` looks up, become `InstalledAdapter`;
- requests' own class turns what is made of it into that; classes that were derived from it before derive from that now, and
  adapters that were made before, of it or of them, send through the engine;
- its `send` does so with what was made before and was not found, as garbage collection does not show everything;
- three methods of `requests.Session` become those of `fast`. The class stays the same.

What somebody else has replaced before is left as it is, and reported: below requests too, see `originals`. Taking the engine
away also takes it from adapters,
sessions and classes that were made in the meantime, unless they were made of this package's own classes.
"""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import requests.adapters
import requests.sessions

from drivetrain.compat.requests_api.adapter import EngineAdapter
from drivetrain.compat.requests_api.fast import METHODS, ORIGINALS
from drivetrain.compat.requests_api.installed_adapter import InstalledAdapter
from drivetrain.compat.requests_api.originals import find_replaced
from drivetrain.compat.requests_api.passing import OWN_SENDS, STAND_INS

__all__ = ["Installation"]

_Own: Any = requests.adapters.HTTPAdapter
_Installed: Any = InstalledAdapter
_Session: Any = requests.sessions.Session
_OWN_INIT = _Own.__init__
_OWN_SEND = _Own.send
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
        _Installed.engine_defaults = dict(options)
        STAND_INS[:] = [_Installed]
        OWN_SENDS.add(_send)
        _Own.__init__ = _init
        for place in _PLACES:
            if place.HTTPAdapter is _Own:
                place.HTTPAdapter = _Installed
            elif place.HTTPAdapter is not _Installed:
                self.gaps.append(f"{place.__name__}.HTTPAdapter was replaced before, by {_name(place.HTTPAdapter)}")
        for name, method in METHODS.items():
            found = getattr(_Session, name)
            if found is ORIGINALS[name]:
                setattr(_Session, name, method)
            elif found is not method:
                self.gaps.append(f"requests.Session.{name} was replaced before, by {_name(found)}")
        if _Own.send is _OWN_SEND:
            _Own.send = _send
        elif _Own.send is not _send:
            self.gaps.append(
                f"requests.adapters.HTTPAdapter.send was replaced before, by {_name(_Own.send)}, which is asked first"
            )
        for kind in _Own.__subclasses__():
            if not issubclass(kind, EngineAdapter):
                refusal = _derive_anew(kind, _Own, _Installed)
                if refusal is not None:
                    self.gaps.append(f"the class {_name(kind)} was made before and cannot be changed: {refusal}")
        for adapter in _instances({_Own, *_all_below(_Installed)}):
            _turn(adapter)
        self.gaps += _copies()
        self.gaps += [
            f"{name} was replaced before, by {home}: urllib3 sends, so that it is called"
            for name, home in find_replaced().items()
        ]

    def undo(self) -> None:
        """Give everything back but what somebody else has replaced since."""
        for place in _PLACES:
            if place.HTTPAdapter is _Installed:
                place.HTTPAdapter = _Own
        if _Own.__init__ is _init:
            _Own.__init__ = _OWN_INIT
        if _Own.send is _send:
            _Own.send = _OWN_SEND
        for name, method in METHODS.items():
            if getattr(_Session, name) is method:
                setattr(_Session, name, ORIGINALS[name])
        adapters = list(_instances({_Installed, *_all_below(_Installed)}))
        for kind in _Installed.__subclasses__():
            _derive_anew(kind, _Installed, _Own)
        for adapter in adapters:
            if type(adapter) is _Installed:
                adapter.__class__ = _Own
            EngineAdapter._engine_close(adapter)
        STAND_INS.clear()
        _Installed.engine_defaults = {}


@functools.wraps(_OWN_INIT)
def _init(self: Any, *args: Any, **kwargs: Any) -> None:
    """Requests' own class makes adapters of the engine: who imported it before need not know."""
    _OWN_INIT(self, *args, **kwargs)
    if type(self) is _Own or (isinstance(self, _Installed) and "_engine_options" not in vars(self)):
        _turn(self)


@functools.wraps(_OWN_SEND)
def _send(self: Any, *args: Any, **kwargs: Any) -> Any:
    if type(self) is not _Own or not STAND_INS:
        return _OWN_SEND(self, *args, **kwargs)
    _turn(self)
    return self.send(*args, **kwargs)


def _turn(adapter: Any) -> None:
    """Make an adapter that was not made as one of the engine's into one; one that is used before is so by itself then."""
    for name in ("_engine_options", "_engine_begun_with"):  # of an installation before
        vars(adapter).pop(name, None)
    if type(adapter) is _Own:
        adapter.__class__ = _Installed
    adapter._engine_start_anew()


def _derive_anew(kind: Any, old: type, new: type) -> TypeError | None:
    """Replace a base of a class. Returns: why that was refused."""
    try:
        kind.__bases__ = tuple(new if base is old else base for base in kind.__bases__)
    except TypeError as error:
        return error
    return None


def _instances(kinds: set[type]) -> Iterator[Any]:
    # By their types: asking the objects themselves would wake those that pretend to be something else.
    return (thing for thing in gc.get_objects() if type(thing) in kinds and "poolmanager" in vars(thing))


def _all_below(kind: Any) -> Iterator[Any]:
    for derived in kind.__subclasses__():
        yield derived
        yield from _all_below(derived)


def _copies() -> Iterator[str]:
    """Other copies of requests that were imported, such as pip's."""
    for name, module in list(sys.modules.items()):
        found = name.endswith(".requests.adapters") and getattr(module, "HTTPAdapter", None)
        if isinstance(found, type) and not issubclass(found, _Own):
            yield f"{name.removesuffix('.adapters')} is a copy of requests of its own"


def _name(thing: Any) -> str:
    return f"{getattr(thing, '__module__', '?')}.{getattr(thing, '__qualname__', type(thing).__qualname__)}"
