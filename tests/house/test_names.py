"""`__all__` is the truth about a module's public names; blocking and async faces are each other's mirror."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

import drivetrain.engine as engine
from tests.house.tree import FUNCTIONS, Module, module_of, modules_under

# --- __all__ ---------------------------------------------------------------------------------------------------------

TYPE_VARIABLES = ("TypeVar", "ParamSpec", "TypeVarTuple")


def top_level(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements run at import, those inside `if`, `try` and `with` included."""
    for statement in statements:
        yield statement
        for block in ("body", "orelse", "finalbody"):
            if not isinstance(statement, (*FUNCTIONS, ast.ClassDef)):
                yield from top_level(getattr(statement, block, []))
        for handler in getattr(statement, "handlers", []):
            yield from top_level(handler.body)


def assigned(statement: ast.stmt) -> Iterator[tuple[str, ast.expr | None]]:
    if isinstance(statement, ast.Assign):
        targets, value = statement.targets, statement.value
    elif isinstance(statement, ast.AnnAssign):
        targets, value = [statement.target], statement.value
    else:
        return
    for target in targets:
        for node in ast.walk(target):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id, value


def defined_names(module: Module) -> set[str]:
    """Public names a module makes itself: not what it imports, no type variables."""
    names = set()
    for statement in top_level(module.tree.body):
        if isinstance(statement, (*FUNCTIONS, ast.ClassDef)):
            names.add(statement.name)
        for name, value in assigned(statement):
            if not (isinstance(value, ast.Call) and ast.unparse(value.func).split(".")[-1] in TYPE_VARIABLES):
                names.add(name)
    return {name for name in names if not name.startswith("_")}


def reexported_names(module: Module) -> set[str]:
    """Public names a package takes from its own modules and so hands on."""
    names = set()
    for statement in top_level(module.tree.body):
        if isinstance(statement, ast.ImportFrom) and (
            statement.level or (statement.module or "").startswith("drivetrain")
        ):
            names.update(alias.asname or alias.name for alias in statement.names)
    return {name for name in names if not name.startswith("_")}


def declared_names(module: Module) -> list[str] | None:
    for statement in module.tree.body:
        for name, value in assigned(statement):
            if name == "__all__" and value is not None:
                return list(ast.literal_eval(value))
    return None


def order_of(name: str) -> tuple[int, list[tuple[int, int, str]]]:
    """CONSTANTS, then Classes, then functions; each in natural order (as ruff's RUF022 has it)."""
    kind = 0 if len(name) > 1 and name.isupper() else 1 if name[:1].isupper() else 2
    pieces = [piece for piece in re.split(r"(\d+)", name) if piece]
    return kind, [(0, int(piece), "") if piece.isdigit() else (1, 0, piece) for piece in pieces]


def wrong_all(module: Module) -> Iterator[str]:
    declared, wanted = declared_names(module), defined_names(module)
    if module.is_package:
        wanted |= reexported_names(module)
    if declared is None:
        if wanted:
            yield module.at(1, f"no __all__ though it defines {', '.join(sorted(wanted))}")
        return
    lazy = module.is_package and "__getattr__" in module.text
    for name in sorted(wanted - set(declared)):
        yield module.at(1, f"public but not in __all__: {name}")
    for name in sorted(set(declared) - wanted):
        if not lazy:
            yield module.at(1, f"in __all__ but not defined here: {name}")
    if declared != sorted(declared, key=order_of):
        yield module.at(1, "__all__ is not sorted (constants, classes, functions)")
    if len(declared) != len(set(declared)):
        yield module.at(1, "__all__ names something twice")


def test_all_names_exactly_what_is_public() -> None:
    assert [line for module in modules_under("engine", "compat") for line in wrong_all(module)] == []


# As the original's deprecated modules, so say ours.
@pytest.mark.filterwarnings("ignore:websockets[.]:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Headers and MultipleValuesError were moved:DeprecationWarning")
@pytest.mark.parametrize("module", modules_under("engine", "compat"), ids=lambda module: module.name)
def test_every_name_in_all_is_there(module: Module) -> None:
    loaded = importlib.import_module(f"drivetrain.{module.name}")
    assert [name for name in getattr(loaded, "__all__", []) if not hasattr(loaded, name)] == []


@pytest.mark.parametrize(
    ("source", "is_package", "expected"),
    [
        ("def f(): ...", False, "no __all__"),
        ("__all__ = []\nclass A: ...", False, "public but not in __all__: A"),
        ("__all__ = ['a']\nfrom os import a", False, "in __all__ but not defined here: a"),
        ("__all__ = ['a', 'B']\na = 1\nclass B: ...", False, "not sorted"),
        ("__all__ = ['a', 'a']\na = 1", False, "twice"),
        ("__all__ = []\ntry:\n    b = 1\nexcept E:\n    b = 2", False, "public but not in __all__: b"),
        ("__all__ = []\nfrom .x import A", True, "public but not in __all__: A"),
    ],
)
def test_a_wrong_all_is_found(source: str, is_package: bool, expected: str) -> None:
    found = list(wrong_all(module_of(source, is_package=is_package)))
    assert len(found) == 1
    assert expected in found[0]


def test_a_right_all_passes() -> None:
    source = "__all__ = ['LIMIT', 'A', 'TLSThing', 'h2', 'h10']\nfrom x import TypeVar, b\nT = TypeVar('T')\n"
    source += "LIMIT: int = 1\nTABLE[LIMIT] = b.c = 2\n_private = 1\n"
    source += "class A: ...\nclass TLSThing: ...\ndef h2(): ...\ndef h10(): ...\n"
    assert list(wrong_all(module_of(source))) == []


# --- sync and async faces --------------------------------------------------------------------------------------------

# Faces the engine must offer in both colours, as soon as it offers any. Each `X` stands beside an `AsyncX`.
FACES = ("Client", "Response", "Server")

MIRRORED = {
    "__enter__": "__aenter__",
    "__exit__": "__aexit__",
    "__iter__": "__aiter__",
    "__next__": "__anext__",
}


def async_names(names: list[str]) -> list[str]:
    return sorted(name for name in names if re.match(r"Async[A-Z]", name))


def surface(face: type) -> dict[str, Any]:
    """Public attribute -> what a caller sees of it: "property", or the parameters without the annotations."""
    members: dict[str, Any] = {}
    for name in dir(face):
        if name.startswith("_") and name not in MIRRORED and name not in MIRRORED.values():
            continue
        member = inspect.getattr_static(face, name)
        if isinstance(member, (staticmethod, classmethod)):
            members[name] = (type(member).__name__, parameters(member.__func__))
        elif inspect.isfunction(member):
            members[name] = ("method", parameters(member))
        else:
            members[name] = "property"
    return members


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    return [(p.name, p.kind, p.default) for p in list(inspect.signature(function).parameters.values())[1:]]


def differences(sync: type, twin: type) -> list[str]:
    """What the blocking face and its async twin do not have in common."""
    left = {MIRRORED.get(name, name): what for name, what in surface(sync).items()}
    right = surface(twin)
    found = [f"{sync.__name__} lacks {name}" for name in sorted(right.keys() - left.keys())]
    found += [f"{twin.__name__} lacks {name}" for name in sorted(left.keys() - right.keys())]
    for name in sorted(left.keys() & right.keys()):
        if left[name] != right[name]:
            found.append(f"{sync.__name__}.{name} {left[name]} differs from {twin.__name__}'s {right[name]}")
    return found


def test_every_face_exists_in_both_colours() -> None:
    exported = list(getattr(engine, "__all__", []))
    twins = async_names(exported)
    assert [name for name in twins if name[len("Async") :] not in exported] == []
    if twins:
        assert [name for name in FACES if name not in exported or f"Async{name}" not in exported] == []


@pytest.mark.parametrize("name", async_names(list(getattr(engine, "__all__", []))) or [None])
def test_both_colours_have_the_same_surface(name: str | None) -> None:
    if name is None:
        assert not [found for found in dir(engine) if found.startswith("Async")], "faces exist but are not in __all__"
        return
    sync, twin = getattr(engine, name[len("Async") :]), getattr(engine, name)
    assert differences(sync, twin) == []


class _Door:
    def get(self, url: str, *, timeout: float | None = None) -> bytes: ...
    def __enter__(self) -> _Door: ...
    @property
    def closed(self) -> bool: ...


class _AsyncDoor:
    async def get(self, url: str, *, timeout: float | None = None) -> bytes: ...
    async def __aenter__(self) -> _AsyncDoor: ...
    @property
    def closed(self) -> bool: ...


class _OtherDoor(_AsyncDoor):
    async def get(self, url: str, *, timeout: float = 5.0) -> bytes: ...
    async def put(self) -> None: ...


def test_the_mirror_sees_what_differs() -> None:
    assert differences(_Door, _AsyncDoor) == []
    found = differences(_Door, _OtherDoor)
    assert len(found) == 2
    assert found[0] == "_Door lacks put"
    assert "get" in found[1]


def test_property_and_method_are_not_the_same() -> None:
    class Loose(_AsyncDoor):
        def closed(self) -> bool: ...  # type: ignore[override]

    assert [line.split(" ")[0] for line in differences(_Door, Loose)] == ["_Door.closed"]
