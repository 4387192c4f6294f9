"""Who may import whom: the arrows of the architecture, no cycles, no hidden imports, every module on its own."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.house.tree import FOLDERS, FUNCTIONS, PACKAGE, ROOT, Module, module_of, modules_under, project

# Beside `drivetrain.engine` itself: what adapters may import.
PUBLIC_MODULES = ("errors", "tls", "util", "version")
BACKENDS = ("blocking", "asyncio_", "trio_", "memory")  # the concrete ones
EVENT_LOOPS = ("asyncio", "trio", "anyio", "sniffio", "curio", "uvloop")

# Layer -> what it may import. `interface` is `backends.base`; `door` is `drivetrain.engine` itself.
BELOW_CONNECTION = {"base", "wire", "protocol"}
BELOW_POLICY = BELOW_CONNECTION | {"interface", "connection"}
MAY_IMPORT = {
    "base": {"base"},
    "wire": {"base", "wire"},
    "protocol": BELOW_CONNECTION,
    "interface": {"base", "interface"},
    "backends": {"base", "interface", "backends"},
    "connection": BELOW_POLICY,
    "policy": BELOW_POLICY | {"policy"},
    "faces": BELOW_POLICY | {"policy", "backends", "faces"},
    "door": BELOW_POLICY | {"policy", "backends", "faces"},
}


def layer_of(name: str) -> str | None:
    """The layer of an engine module; None when it belongs to none."""
    parts = name.split(".")
    if len(parts) == 1:
        return "door"
    if parts[1] == "backends":
        return "interface" if parts[2:] in ([], ["base"]) else "backends"
    if len(parts) == 2 and parts[1] in PUBLIC_MODULES:
        return "base"
    return parts[1] if parts[1] in MAY_IMPORT else None


def backend_of(name: str) -> str | None:
    """The concrete backend a module belongs to."""
    parts = name.split(".")
    return parts[2] if parts[:2] == ["engine", "backends"] and len(parts) > 2 and parts[2] in BACKENDS else None


def engine_direction(module: Module) -> Iterator[str]:
    mine = layer_of(module.name)
    if mine is None:
        yield module.at(1, f"{module.name} belongs to no layer")
        return
    for found in module.imports:
        if found.target.split(".")[0] != "engine":
            yield module.at(found.line, f"the engine imports {found.target}")
            continue
        theirs = layer_of(found.target)
        if theirs not in MAY_IMPORT[mine]:
            yield module.at(found.line, f"{mine} must not import {found.target}")
        own, other = backend_of(module.name), backend_of(found.target)
        if own and other and own != other:
            yield module.at(found.line, f"one backend imports another: {found.target}")
        if not found.relative:
            yield module.at(found.line, "inside the engine imports of its own are relative")


def compat_direction(module: Module, public: frozenset[str]) -> Iterator[str]:
    adapter = module.name.split(".")[1:2]
    allowed = {f"engine.{name}" for name in PUBLIC_MODULES}
    for found in module.imports:
        if found.relative:
            yield module.at(found.line, "adapters import absolutely")
        parts = found.target.split(".")
        if parts[0] == "compat":
            if len(parts) > 2 and parts[1:2] != adapter:
                yield module.at(found.line, f"one adapter imports another: {found.target}")
        elif found.target == "engine":
            if found.name is not None and found.name not in public:
                yield module.at(found.line, f"not a public name of the engine: {found.name}")
        elif found.target not in allowed:
            yield module.at(found.line, f"an adapter reaches inside the engine: {found.target}")


def public_names_of_the_engine() -> frozenset[str]:
    for node in project()["engine"].tree.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id == "__all__":
                return frozenset(ast.literal_eval(node.value)) | frozenset(PUBLIC_MODULES)
    return frozenset(PUBLIC_MODULES)


def hidden_imports(module: Module) -> Iterator[str]:
    for found in module.imports:
        if found.in_function:
            yield module.at(found.line, f"own import inside a function: {found.target}")


def private_imports(module: Module) -> Iterator[str]:
    mine = ".".join(module.package)
    for found in module.imports:
        theirs = found.target if found.target in module.known else found.target.rpartition(".")[0]
        if found.name and found.name.startswith("_") and not found.name.startswith("__"):
            home = theirs.rpartition(".")[0] if not _is_package(theirs) else theirs
            if home != mine:
                yield module.at(found.line, f"{found.name} is private to {theirs}")


def _is_package(name: str) -> bool:
    return name in project() and project()[name].is_package


def event_loops(module: Module) -> Iterator[str]:
    """No event loop outside backends/, neither imported nor asked after at run time."""
    for node in module.every(ast.Import, ast.ImportFrom, ast.Call, ast.Subscript):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        elif isinstance(node, (ast.Call, ast.Subscript)):
            inner = node.args if isinstance(node, ast.Call) else [node.slice]
            names = [arg.value for arg in inner if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        for name in names:
            if name.split(".")[0] in EVENT_LOOPS:
                yield module.at(node.lineno, f"{name.split('.')[0]} outside backends/")


def bare_imports(module: Module) -> Iterator[str]:
    """The root is on the path of tests and bench, where `engine` would be a second copy of `drivetrain.engine`."""
    for node in module.every(ast.Import, ast.ImportFrom):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        for name in names:
            if name.split(".")[0] in FOLDERS:
                yield module.at(node.lineno, f"import {PACKAGE}.{name}")


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components with more than one member or a self-edge (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for after in sorted(graph.get(node, ())):
            if after not in index:
                visit(after)
                low[node] = min(low[node], low[after])
            elif after in stack:
                low[node] = min(low[node], index[after])
        if low[node] == index[node]:
            component = [stack.pop()]
            while component[-1] != node:
                component.append(stack.pop())
            if len(component) > 1 or node in graph.get(node, ()):
                found.append(sorted(component))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def import_graph(modules: list[Module]) -> dict[str, set[str]]:
    """Module -> modules it imports when it is itself imported (imports for types only do not run)."""
    return {
        module.name: {found.target for found in module.imports if not found.in_function and not found.for_types_only}
        for module in modules
    }


def complaints(check: str) -> list[str]:
    engine, compat = modules_under("engine"), modules_under("compat")
    public = public_names_of_the_engine()
    lines = {
        "engine_direction": lambda: [line for m in engine for line in engine_direction(m)],
        "compat_direction": lambda: [line for m in compat for line in compat_direction(m, public)],
        "hidden_imports": lambda: [line for m in engine + compat for line in hidden_imports(m)],
        "private_imports": lambda: [line for m in engine + compat for line in private_imports(m)],
        "event_loops": lambda: [line for m in engine if ".backends." not in m.name for line in event_loops(m)],
        "cycles": lambda: [" <-> ".join(cycle) for cycle in cycles(import_graph(engine + compat))],
    }
    return lines[check]()


@pytest.mark.parametrize(
    "check",
    [
        "engine_direction",
        "compat_direction",
        "hidden_imports",
        "private_imports",
        "event_loops",
        "cycles",
    ],
)
def test_the_tree_keeps_to(check: str) -> None:
    assert complaints(check) == []


def test_users_of_the_package_import_it_by_its_whole_name(users: list[Module]) -> None:
    assert [line for module in users for line in bare_imports(module)] == []


# --- every module alone ----------------------------------------------------------------------------------------------

# What importing its package brings along is imported in the same order whether it is asked for by name or not.
ALONE = """
import importlib, os, sys, traceback
brought = {}
for name in sys.argv[1:]:
    parents = [name[:end] for end, char in enumerate(name) if char == "."]
    if any(name in brought.get(parent, ()) for parent in parents):
        continue
    ours, its = os.pipe()
    child = os.fork()
    if not child:
        os.close(ours)
        try:
            importlib.import_module(name)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        with os.fdopen(its, "w") as file:
            print(*sys.modules, file=file)
        os._exit(0)
    os.close(its)
    with os.fdopen(ours) as file:
        brought[name] = set(file.read().split())
    if os.waitpid(child, 0)[1]:
        print(name)
"""


def import_each_alone(names: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Import each module in an interpreter that has imported nothing of ours; failing names go to standard output."""
    # Deprecated modules of `websockets` say so when they are imported, and so do ours.
    words = ("websockets.", "Headers and MultipleValuesError were moved")
    deprecated = [f"-Wignore:{text}:DeprecationWarning" for text in words]
    command = [sys.executable, "-W", "error", *deprecated, "-c", ALONE, *names]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks one interpreter per module to stay fast")
def test_every_module_can_be_imported_first() -> None:
    result = import_each_alone([f"{PACKAGE}.{name}" for name in project()], {**os.environ, "PYTHONPATH": ""})
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks one interpreter per module to stay fast")
def test_a_module_that_cannot_be_imported_is_found() -> None:
    result = import_each_alone(["json", f"{PACKAGE}.no_such_module"], dict(os.environ))
    assert result.stdout.split() == [f"{PACKAGE}.no_such_module"]
    assert "ModuleNotFoundError" in result.stderr


# --- the checks themselves -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("engine.wire.a", "from ..protocol import b", "wire must not import engine.protocol"),
        ("engine.protocol.a", "from ..backends.base import Backend", "protocol must not import engine.backends.base"),
        (
            "engine.connection.a",
            "from ..backends import blocking",
            "connection must not import engine.backends.blocking",
        ),
        ("engine.connection.a", "from ..policy.b import C", "connection must not import engine.policy.b"),
        ("engine.policy.a", "from .. import Client", "policy must not import engine"),
        ("engine.errors", "from .wire.b import C", "base must not import engine.wire.b"),
        ("engine.faces.a", "from drivetrain.engine.errors import Timeout", "imports of its own are relative"),
        ("engine.faces.a", "from drivetrain.compat import x", "the engine imports compat"),
        ("engine.backends.memory", "from .blocking import x", "one backend imports another"),
        ("engine.stray", "", "belongs to no layer"),
        ("engine.wire.a", "def f():\n    from ..faces import b", "wire must not import engine.faces"),
    ],
)
def test_a_wrong_arrow_in_the_engine_is_found(name: str, source: str, expected: str) -> None:
    found = list(engine_direction(module_of(source, name, known="engine.backends.blocking engine.backends.base")))
    assert len(found) == 1
    assert expected in found[0]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("engine.faces.client", "from ..backends.blocking import run\nfrom ..policy.b import c\nfrom .x import y"),
        (
            "engine.connection.a",
            "from ..backends.base import Backend\nfrom ..protocol.h1 import X\nfrom ..errors import E",
        ),
        ("engine.backends.blocking.streams", "from ..base import ByteStream\nfrom ...errors import ReadError"),
        ("engine.protocol.a", "from ..wire import headers\nimport asyncio"),
    ],
)
def test_right_arrows_pass(name: str, source: str) -> None:
    assert list(engine_direction(module_of(source, name, known="engine.wire.headers engine.backends.base"))) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from drivetrain.engine.wire.headers import Headers", "reaches inside the engine: engine.wire.headers"),
        ("import drivetrain.engine.backends.base", "reaches inside the engine: engine.backends.base"),
        ("from drivetrain.engine import wire", "not a public name of the engine: wire"),
        ("from .body import x", "adapters import absolutely"),
        ("from drivetrain.compat.urllib_api.handler import x", "one adapter imports another"),
    ],
)
def test_a_wrong_arrow_in_an_adapter_is_found(source: str, expected: str) -> None:
    module = module_of(source, "compat.requests_api.adapter")
    found = list(compat_direction(module, frozenset({"Client"})))
    assert len(found) == 1
    assert expected in found[0]


def test_an_adapter_may_use_the_public_engine_and_itself() -> None:
    source = (
        "from drivetrain.engine import Client\nfrom drivetrain.engine.errors import Timeout\nimport drivetrain.engine\n"
        "from drivetrain.compat.requests_api.body import x\n"
    )
    assert list(compat_direction(module_of(source, "compat.requests_api.adapter"), frozenset({"Client"}))) == []


def test_hidden_and_private_imports_are_found() -> None:
    module = module_of("from ..wire.b import _c\ndef f():\n    from ..errors import E\n", "engine.policy.a")
    assert [line.split(": ", 1)[1] for line in hidden_imports(module)] == [
        "own import inside a function: engine.errors"
    ]
    assert len(list(private_imports(module))) == 1


@pytest.mark.parametrize(
    "source",
    ["import asyncio", "from trio import open_nursery", "x = sys.modules['asyncio']", "import_module('anyio.abc')"],
)
def test_an_event_loop_is_found(source: str) -> None:
    assert len(list(event_loops(module_of(source)))) == 1


def test_a_bare_import_is_found() -> None:
    source = "import engine.wire\nfrom compat import x\nfrom drivetrain.engine import y\nfrom .engine import z\n"
    found = [line.split(": ", 1)[1] for line in bare_imports(module_of(source))]
    assert found == ["import drivetrain.engine.wire", "import drivetrain.compat"]


def test_cycles_are_found_and_imports_for_types_are_none() -> None:
    a = module_of("from .b import x", "engine.wire.a")
    b = module_of("from .a import x", "engine.wire.b")
    assert cycles(import_graph([a, b])) == [["engine.wire.a", "engine.wire.b"]]
    for_types = module_of("if TYPE_CHECKING:\n    from .a import x", "engine.wire.b")
    assert cycles(import_graph([a, for_types])) == []


def test_imports_are_found_at_any_depth() -> None:
    module = module_of("class A:\n    if x:\n        from ..errors import E\n", "engine.wire.a")
    assert [(found.target, found.name, found.line) for found in module.imports] == [("engine.errors", "E", 3)]
    assert not any(isinstance(node, FUNCTIONS) for node in ast.walk(module.tree))


def test_the_project_was_found() -> None:
    assert {"engine", "engine.errors", "engine.backends.base", "compat"} <= set(project())
    assert (ROOT / "pyproject.toml").is_file()
