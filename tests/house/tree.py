"""The project's own source as data: every module of `engine` and `compat`, parsed once, with its imports resolved.

The checks in this folder are functions from modules to complaints (`path:line: text`), so that each is tested on small
made-up sources as well as on the tree.
"""

from __future__ import annotations

import ast
import functools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "drivetrain"
FOLDERS = ("engine", "compat")

Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BLOCKS = (ast.stmt, ast.excepthandler, ast.match_case)  # where statements stand: no import is inside an expression

N = TypeVar("N", bound=ast.AST)


@dataclass(frozen=True)
class Import:
    """One import of an own module: `target` dotted below `drivetrain`, `name` what is taken from it (None: itself)."""

    target: str
    name: str | None
    line: int
    relative: bool
    in_function: bool
    for_types_only: bool


@dataclass(frozen=True)
class Module:
    """One source file. `name` is dotted below `drivetrain`: `engine.wire.headers`."""

    name: str
    text: str
    path: str
    is_package: bool = False
    known: frozenset[str] = field(default=frozenset(), repr=False)

    @functools.cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @functools.cached_property
    def package(self) -> list[str]:
        parts = self.name.split(".")
        return parts if self.is_package else parts[:-1]

    def at(self, line: int, text: str) -> str:
        return f"{self.path}:{line}: {text}"

    @functools.cached_property
    def nodes(self) -> dict[type[ast.AST], list[ast.AST]]:
        """Every node by its type: the tree is walked once for all checks."""
        found = defaultdict(list)
        for node in ast.walk(self.tree):
            found[type(node)].append(node)
        return found

    def every(self, *kinds: type[N]) -> Iterator[N]:
        for kind in kinds:
            yield from self.nodes.get(kind, ())  # type: ignore[misc]

    @functools.cached_property
    def imports(self) -> list[Import]:
        """Own imports, wherever they stand. `from . import x` counts as one of the module x where x is one."""
        found = []
        pending: list[tuple[ast.AST, bool, bool]] = [(self.tree, False, False)]
        while pending:
            node, in_function, types = pending.pop()
            for target, name, relative in self._targets(node):
                line = getattr(node, "lineno", 0)
                found.append(Import(target, name, line, relative, in_function, types))
            in_function = in_function or isinstance(node, FUNCTIONS)
            types = types or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
            inner = (child for child in ast.iter_child_nodes(node) if isinstance(child, BLOCKS))
            pending.extend((child, in_function, types) for child in inner)
        return found

    def _targets(self, node: ast.AST) -> Iterator[tuple[str, str | None, bool]]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == PACKAGE:
                    yield alias.name.partition(".")[2], None, False
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = self.package[: len(self.package) - node.level + 1] + (node.module or "").split(".")
            elif (node.module or "").split(".")[0] == PACKAGE:
                base = (node.module or "").split(".")[1:]
            else:
                return
            dotted = ".".join(part for part in base if part)
            for alias in node.names:
                inner = f"{dotted}.{alias.name}".lstrip(".")
                if inner in self.known:
                    yield inner, None, bool(node.level)
                else:
                    yield dotted, alias.name, bool(node.level)

    def functions(self) -> Iterator[Function]:
        yield from self.every(*FUNCTIONS)


def module_of(text: str, name: str = "engine.wire.sample", *, is_package: bool = False, known: str = "") -> Module:
    """A made-up module for testing a check; `known` names the modules that exist beside it."""
    return Module(name, text, name.replace(".", "/") + ".py", is_package, frozenset(known.split()))


@functools.cache
def project() -> dict[str, Module]:
    """Every module of the project by name."""
    paths: dict[str, Path] = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    known = frozenset(paths)
    return {
        name: Module(
            name,
            path.read_text(encoding="utf-8"),
            path.relative_to(ROOT).as_posix(),
            path.name == "__init__.py",
            known,
        )
        for name, path in paths.items()
    }


def modules_under(*folders: str) -> list[Module]:
    """The project's modules in some of its top folders."""
    return [module for name, module in project().items() if name.split(".")[0] in folders]


def other_modules(*folders: str) -> list[Module]:
    """The Python files of folders that are no part of the package: tests, bench, examples. See the fixture `users`."""
    return [
        Module(path.stem, path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]
