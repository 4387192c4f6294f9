"""The data modules of `websockets`, ours beside the original: run by the Python of the peers' environment.

    python surface.py [SEED]

Every public name of the original has to be ours as well, whatever version from 15 on it is. With the version that ours
matches, signatures, constants and what comes of calls have to be the same too; see `surface_calls`, and `surface_random`,
whose calls SEED repeats. The exit status is 0 when everything was as it should be; the last line then says how many
comparisons were made.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import importlib
import inspect
import random
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any

import surface_calls
import surface_random

PACKAGES = ("websockets", "drivetrain.compat.websockets_api")
MODULES = (
    "exceptions",
    "frames",
    "datastructures",
    "http11",
    "typing",
    "uri",
    "headers",
    "version",
    "proxy",
    "protocol",
    "streams",
    "utils",
    "http",
    "extensions",
    "extensions.base",
    "extensions.permessage_deflate",
    "legacy.exceptions",
)
# Names that the original's modules have by accident, or for themselves.
NOT_MEANT = {"T", "get_commit", "get_version", "released"}
# Made in another way on purpose: names that stand for something, and the base of all mappings.
OTHER_SIGNATURES = {"Protocol", "SupportsKeysAndGetItem", "MAX_LOG_SIZE"}


def load(package: str, name: str) -> Any:
    """A module of one of the two, or None."""
    try:
        return importlib.import_module(f"{package}.{name}")
    except ModuleNotFoundError:
        return None


def own_names(module: Any) -> set[str]:
    """Public names that a module of the original makes itself, as its source tells."""
    made: set[str] = set()
    for statement in ast.parse(inspect.getsource(module)).body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            made.add(statement.name)
        elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            made |= {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    return {name for name in made if not name.startswith("_")} - NOT_MEANT


def compare_names(name: str, theirs: Any, ours: Any) -> Iterator[str]:
    """What the original has and ours has not."""
    for each in sorted({*own_names(theirs), *getattr(theirs, "__all__", ())}):
        yield "" if hasattr(ours, each) else f"{name}.{each} is missing"


def compare_meanings(name: str, theirs: Any, ours: Any) -> Iterator[str]:
    """Signatures and values that are not the same."""
    for each in sorted(own_names(theirs)):
        if each not in OTHER_SIGNATURES and hasattr(ours, each):
            yield from compare_values(f"{name}.{each}", getattr(theirs, each), getattr(ours, each))


def compare_values(name: str, theirs: Any, ours: Any) -> Iterator[str]:
    if isinstance(theirs, type) and issubclass(theirs, enum.Enum):
        yield "" if theirs is ours else f"{name} is another enumeration"
    elif isinstance(theirs, type):
        yield from compare_classes(name, theirs, ours)
    elif isinstance(theirs, types.FunctionType):
        yield same(name, parameters(theirs), parameters(ours))
    elif isinstance(theirs, (str, bytes, int, dict, set, tuple)):
        yield same(name, theirs, ours)


def compare_classes(name: str, theirs: type, ours: type) -> Iterator[str]:
    if issubclass(theirs, Exception):
        yield "" if issubclass(ours, theirs) else f"{name} is not caught as the original's"
    if dataclasses.is_dataclass(theirs):
        yield same(name, fields(theirs), fields(ours))
    for each, member in vars(theirs).items():
        if each.startswith("_") and each not in ("__init__", "__contains__", "__eq__"):
            continue
        here = f"{name}.{each}"
        mine = inspect.getattr_static(ours, each, inspect)
        if mine is inspect:
            yield f"{here} is missing"
        elif isinstance(member, types.FunctionType):
            yield same(here, parameters(member), parameters(mine))
        elif isinstance(member, (staticmethod, classmethod)):
            yield same(here, (type(member), parameters(member.__func__)), (type(mine), parameters(mine.__func__)))
        elif isinstance(member, property):
            yield "" if isinstance(mine, property) else f"{here} is no property"


def fields(cls: Any) -> list[Any]:
    return [(field.name, field.default, field.repr, field.compare) for field in dataclasses.fields(cls)]


def parameters(function: Any) -> list[Any]:
    """What a caller sees of a function, without the annotations."""
    found = inspect.signature(function).parameters.values()
    return [(each.name, each.kind.name, getattr(each.default, "__name__", each.default)) for each in found]


def same(name: str, theirs: Any, ours: Any) -> str:
    return "" if theirs == ours else f"{name}: {theirs!r}, but ours is {ours!r}"


def compare_calls(seed: str) -> Iterator[str]:
    """What comes of the same calls."""
    theirs, ours = (surface_calls.Library(package) for package in PACKAGES)
    for name, call in [*surface_calls.fixed_calls(), *surface_random.random_calls(random.Random(seed))]:
        yield same(f"[{seed}] {name}", surface_calls.outcome(call, theirs), surface_calls.outcome(call, ours))


def main() -> int:
    """See the module."""
    warnings.simplefilter("ignore", DeprecationWarning)
    seed = sys.argv[1] if len(sys.argv) > 1 else str(random.getrandbits(32))
    original, our = (load(package, "version") for package in PACKAGES)
    is_same_version = original.version == our.version
    found: list[str] = []
    for name in MODULES:
        theirs, ours = (load(package, name) for package in PACKAGES)
        if theirs is not None:
            found += compare_names(name, theirs, ours)
            if is_same_version:
                found += compare_meanings(name, theirs, ours)
    if is_same_version:
        found += compare_calls(seed)
    complaints = [line for line in found if line]
    print(*complaints, f"{len(found)} comparisons with {original.version}", sep="\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
