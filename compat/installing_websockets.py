"""Putting the engine below `websockets`, in a running program, and taking it away again.

Where `websockets` is installed, its doors become ours: `connect`, `serve`, `route`, their twins for UNIX-domain sockets, and
the classes of connections and servers, in the modules of `asyncio`, `sync` and `legacy`; in those imported already at once, in
the others when they are imported. Who took a door out of its module before is led to ours as well. What carries no bytes stays
as it is: exceptions, of which ours are kinds, enumerations, which are the same, frames, headers, addresses; and the protocols
without I/O, on which ASGI servers are built.

Where it is not installed, ours is found under its name.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import CodeType, FunctionType, ModuleType
from typing import Any

from drivetrain.compat.installing_doors import Door, count_instances, derived_before, shown

__all__ = ["Installation"]

_NAME = "websockets"
_OURS = "drivetrain.compat.websockets_api"

# Called by programs.
_DOORS: dict[str, tuple[str, ...]] = {
    "asyncio.client": ("connect", "unix_connect"),
    "asyncio.server": ("basic_auth", "serve", "unix_serve"),
    "asyncio.router": ("Router", "route", "unix_route"),
    "sync.client": ("connect", "reconnect", "unix_connect", "unix_reconnect"),
    "sync.server": ("basic_auth", "serve", "unix_serve"),
    "sync.router": ("Router", "route", "unix_route"),
    "legacy.client": ("Connect", "connect", "unix_connect"),
}
# Called by what these have made, with a protocol that tells whose it is.
_CONNECTIONS: dict[str, tuple[str, ...]] = {
    "asyncio.client": ("ClientConnection",),
    "asyncio.server": ("ServerConnection",),
    "sync.client": ("ClientConnection",),
    "sync.server": ("ServerConnection",),
}
# To ask after with `isinstance`, and to derive classes from.
_KINDS: dict[str, tuple[str, ...]] = {
    "asyncio.server": ("Server",),
    "sync.server": ("Server",),
    "legacy.client": ("WebSocketClientProtocol",),
}
# Not replaced in their modules, for the original's own classes are derived from them.
_BASES: dict[str, tuple[str, ...]] = {"asyncio.connection": ("Connection",), "sync.connection": ("Connection",)}
_BROADCASTING = ("asyncio.connection", "sync.connection")
_MODULES = dict.fromkeys((*_BASES, *_DOORS))

_OF_THEIR_OWN = (
    "the servers of websockets.legacy, websockets.trio, and what is built on the protocols without I/O "
    "(uvicorn, sanic) speak for themselves"
)
_NO_PROTOCOLS = "websockets is not installed, and ours has no protocols without I/O: uvicorn needs --ws wsproto"
_NOT_NAMED = "websockets is not installed; when it is asked for by name, ours takes its place"


class Installation:
    """The engine below websockets, from when this is made until `undo`. One at a time.

    Args:
        options: `named`, whether websockets was asked for by name: otherwise nothing is done where it is not installed.
            `hsts` has no effect.

    Attributes:
        gaps: what the engine does not get, and why, in lines.
        covers: whether it gets anything.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.gaps: list[str] = []
        self._way: _Beside | _Instead | None = None
        ours: Any = importlib.import_module(f"{_OURS}.exceptions")
        original: Any = importlib.import_module(f"{_OURS}.originals").original_module("exceptions")
        if original is not None and issubclass(ours.WebSocketException, original.WebSocketException):
            self._way = _Beside(self.gaps)
        elif importlib.util.find_spec(_NAME) is not None:
            version = getattr(sys.modules.get(_NAME), "__version__", "that is there")
            self.gaps.append(f"the websockets {version} is older than version 15, or cannot be imported")
        elif options.get("named", True):
            self._way = _Instead()
            self.gaps.append(_NO_PROTOCOLS)
        else:
            self.gaps.append(_NOT_NAMED)
        self.covers = self._way is not None
        if self.covers and options.get("hsts") is not None:
            self.gaps.append("addresses of the scheme ws are not turned to wss for hosts that want TLS only")

    def undo(self) -> None:
        """Give everything back but what somebody else has replaced since. Connections that are open stay with the engine."""
        if self._way is not None:
            self._way.undo()


# --- beside the original ----------------------------------------------------------------------------------------------


class _Beside:
    """The original's doors, led to ours.

    Args:
        gaps: what cannot be had is added here.
    """

    def __init__(self, gaps: list[str]) -> None:
        self._gaps = gaps
        self._doors: list[Door] = []
        modules = [module for name in _MODULES if (module := sys.modules.get(f"{_NAME}.{name}")) is not None]
        gaps.append(_OF_THEIR_OWN)
        gaps += _open_already(modules)
        self._watch = _Watch([f"{_NAME}.{name}" for name in _MODULES], self._lead)
        sys.meta_path.insert(0, self._watch)
        try:
            for module in modules:
                self._lead(module)
        except BaseException:
            self.undo()
            raise

    def _lead(self, module: ModuleType) -> None:
        """Lead what is in one of the original's modules to ours."""
        home = module.__name__.removeprefix(f"{_NAME}.")
        with warnings.catch_warnings():
            # The original has said what is deprecated already.
            warnings.simplefilter("ignore", DeprecationWarning)
            ours = importlib.import_module(f"{_OURS}.{home}")
        for name in _DOORS.get(home, ()):
            self._open(module, name, ours)
        for name in _CONNECTIONS.get(home, ()):
            self._open(module, name, ours, is_led=_is_of_ours)
        for name in _KINDS.get(home, ()):
            if name in vars(module):
                self._gaps += derived_before(vars(module)[name])
            self._open(module, name, ours, is_led=_never)
        for name in _BASES.get(home, ()):
            self._open(module, name, ours, is_led=_never, is_replaced=False)
        broadcast = vars(module).get("broadcast")
        if home in _BROADCASTING and isinstance(broadcast, FunctionType) and hasattr(ours, "broadcast"):
            # Its name must go on to mean what it meant: also for connections that were there before.
            self._open(module, "broadcast", _BroadcastToBoth(broadcast, ours), is_replaced=False)

    def _open(self, module: ModuleType, name: str, ours: Any, **options: Any) -> None:
        found: Any = vars(module).get(name)
        target = getattr(ours, name, None) if isinstance(ours, ModuleType) else ours
        if found is None or target is None or target is found:
            return  # of another version
        if not str(getattr(found, "__module__", "")).startswith(f"{_NAME}."):
            self._gaps.append(f"{module.__name__}.{name} was replaced before, by {shown(found)}")
            return
        door = Door(module, name, target, **options)
        self._gaps += door.gaps
        self._doors.append(door)

    def undo(self) -> None:
        """Give the doors back."""
        if self._watch in sys.meta_path:
            sys.meta_path.remove(self._watch)
        originals = {id(door.ours): door.original for door in self._doors}
        while self._doors:
            self._doors.pop().undo()
        # The original's modules that were imported in the meantime took ours from one another.
        for module_name, module in list(sys.modules.items()):
            if module_name.startswith(f"{_NAME}."):
                for name, value in list(vars(module).items()):
                    if id(value) in originals:
                        setattr(module, name, originals[id(value)])


def _open_already(modules: Iterable[ModuleType]) -> Iterable[str]:
    names = ("Connection", "Server", "WebSocketClientProtocol")
    kinds = [vars(module).get(name) for module in modules for name in names]
    count = count_instances({kind for kind in kinds if isinstance(kind, type)})
    if count:
        yield f"connections and servers of websockets that were open before stay with it: {count}"


def _never(*_args: Any, **_kwargs: Any) -> bool:
    return False


def _is_of_ours(protocol: Any = None, *_args: Any, **_kwargs: Any) -> bool:
    """Whether a connection with that protocol is one of ours."""
    return type(protocol).__module__.startswith(f"{_OURS}.")


class _BroadcastToBoth:
    """Broadcasts to our connections and to the original's.

    Args:
        original: the original's function, as it is now.
        ours: our module of that name.
    """

    def __init__(self, original: FunctionType, ours: Any) -> None:
        self._theirs: Any = FunctionType(
            original.__code__, original.__globals__, original.__name__, original.__defaults__, original.__closure__
        )
        self._theirs.__kwdefaults__ = original.__kwdefaults__
        self._ours = ours

    def __call__(self, connections: Iterable[Any], message: Any, *args: Any, **kwargs: Any) -> None:
        both: tuple[list[Any], list[Any]] = ([], [])
        for connection in connections:
            both[_is_of_ours(getattr(connection, "protocol", None))].append(connection)
        if both[False]:
            self._theirs(both[False], message, *args, **kwargs)
        self._ours.broadcast(both[True], message, *args, **kwargs)


class _Watch(importlib.abc.MetaPathFinder):
    """Tells when one of some modules was imported.

    Args:
        names: full names of the modules.
        imported: called with each, once it has run.
    """

    def __init__(self, names: Collection[str], imported: Callable[[ModuleType], None]) -> None:
        self._names = frozenset(names)
        self._imported = imported

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find what the others find, to be told when it has run."""
        if fullname not in self._names:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if finder is self or find is None else find(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Telling(spec.loader, self._imported)
                return spec
        return None


class _Telling(importlib.abc.Loader):
    """A loader that does what another one does, and then tells of it."""

    def __init__(self, loader: Any, imported: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._imported = imported

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the other one does."""
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        """As the other one does; the module does not notice."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._imported(module)


# --- in the place of the original -------------------------------------------------------------------------------------


class _Instead(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds our modules under the original's names: the same modules, not copies."""

    def __init__(self) -> None:
        self._specs: dict[str, ModuleSpec | None] = {}
        sys.meta_path.insert(0, self)

    @staticmethod
    def _own_name(fullname: str) -> str:
        return _OURS + fullname.removeprefix(_NAME)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find one of ours."""
        if fullname != _NAME and not fullname.startswith(f"{_NAME}."):
            return None
        own = importlib.util.find_spec(self._own_name(fullname))
        if own is None:
            return None
        spec = ModuleSpec(fullname, self, origin=own.origin, is_package=own.submodule_search_locations is not None)
        spec.has_location = own.has_location
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module under its own name, imported."""
        module = importlib.import_module(self._own_name(spec.name))
        self._specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It has run already, and keeps its own specification."""
        for name, spec in list(self._specs.items()):
            if spec is not None and spec.name == module.__name__:
                module.__spec__ = self._specs.pop(name)

    def get_code(self, fullname: str) -> CodeType | None:
        """For `python -m`."""
        own = importlib.util.find_spec(self._own_name(fullname))
        loader: Any = None if own is None else own.loader
        code: CodeType | None = None if own is None else loader.get_code(own.name)
        return code

    def undo(self) -> None:
        """Nothing is found under the original's names any more."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for name, module in list(sys.modules.items()):
            if (name == _NAME or name.startswith(f"{_NAME}.")) and module is sys.modules.get(self._own_name(name)):
                del sys.modules[name]
