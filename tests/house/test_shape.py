"""Sizes, forbidden constructs and the habits of tests: what a reviewer should not have to look for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.tree import FUNCTIONS, ROOT, Function, Module, module_of, modules_under, project

FILE_LINES = 450
FUNCTION_LINES = 60
MARKS = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK:")
TEXT_FOLDERS = ("engine", "compat", "tests", "bench", "examples", "conformance", "docs", ".ci")
TEXT_ENDINGS = (".py", ".md", ".toml", ".txt", ".yml", ".cfg", ".sh")


def too_long(module: Module) -> Iterator[str]:
    lines = module.text.count("\n")
    if lines > FILE_LINES:
        yield module.at(1, f"{lines} lines in one file")
    for function in module.functions():
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        if length > FUNCTION_LINES:
            yield module.at(function.lineno, f"{function.name} is {length} lines long")


def own_nodes(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function's body without those of functions defined inside it."""
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.Lambda, ast.ClassDef)):
            pending.extend(ast.iter_child_nodes(node))


def async_generators(module: Module) -> Iterator[str]:
    for function in module.functions():
        if isinstance(function, ast.AsyncFunctionDef):
            if any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in own_nodes(function)):
                yield module.at(function.lineno, f"{function.name} is an async generator")


def unfinished(module: Module) -> Iterator[str]:
    for node in module.every(ast.Raise):
        if "NotImplementedError" in ast.dump(node):
            yield module.at(node.lineno, "raises NotImplementedError")


def swallowed_errors(module: Module) -> Iterator[str]:
    for node in module.every(ast.ExceptHandler):
        broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
        if broad and all(isinstance(statement, (ast.Pass, ast.Continue)) for statement in node.body):
            yield module.at(node.lineno, "a broad except swallows everything")


def undocumented(module: Module) -> Iterator[str]:
    if not ast.get_docstring(module.tree):
        yield module.at(1, "the module does not say what it is for")


@pytest.mark.parametrize("check", [too_long, async_generators, unfinished, swallowed_errors, undocumented])
def test_the_sources_are_free_of(check) -> None:
    assert [line for module in project().values() for line in check(module)] == []


def text_files() -> list[Path]:
    files = [path for path in ROOT.iterdir() if path.is_file() and path.suffix in TEXT_ENDINGS]
    for folder in TEXT_FOLDERS:
        files += [path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix in TEXT_ENDINGS]
    return files


def marks_in(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if any(mark in line for mark in MARKS)]


def test_nothing_is_marked_as_left_for_later() -> None:
    found = {str(path.relative_to(ROOT)): marks_in(path.read_text(encoding="utf-8")) for path in text_files()}
    assert {path: lines for path, lines in found.items() if lines} == {}


# --- tests -----------------------------------------------------------------------------------------------------------

ASSERTING = ("assert", "check", "expect", "raises", "warns", "fail", "verify", "run_state_machine")


def asserts_nothing(module: Module) -> Iterator[str]:
    """Test functions in which nothing could fail but an unexpected exception."""
    for function in module.functions():
        if not function.name.startswith("test") or any(isinstance(node, ast.Assert) for node in ast.walk(function)):
            continue
        names = [ast.unparse(node.func).lower() for node in ast.walk(function) if isinstance(node, ast.Call)]
        if not any(word in name for name in names for word in ASSERTING):
            yield module.at(function.lineno, f"{function.name} asserts nothing")


def last_name(called: ast.expr) -> str:
    """`c` of `a.b.c`: read from the tree, because writing out every call of the tests takes seconds."""
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""


def sleeps(module: Module) -> Iterator[str]:
    for node in module.every(ast.Call):
        if last_name(node.func) == "sleep" and ast.unparse(node.func) in ("time.sleep", "asyncio.sleep", "sleep"):
            if not (node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0):
                yield module.at(node.lineno, "a test sleeps: wait for the event itself, or use a virtual clock")


def skips_without_reason(module: Module) -> Iterator[str]:
    for mark in module.every(ast.Attribute):
        if mark.attr in ("skipif", "xfail") and f"{mark.attr}(" not in module.text.splitlines()[mark.lineno - 1]:
            yield module.at(mark.lineno, f"{mark.attr} without a reason")
    for node in module.every(ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("skipif", "xfail"):
            if not any(keyword.arg == "reason" for keyword in node.keywords):
                yield module.at(node.lineno, "skipif or xfail without a reason")


@pytest.mark.parametrize("check", [asserts_nothing, sleeps, skips_without_reason])
def test_the_tests_are_free_of(check, users: list[Module]) -> None:
    ours = [m for m in users if m.path.startswith("tests/") and not m.path.startswith("tests/house/")]
    assert [line for module in ours for line in check(module)] == []


# --- the checks themselves -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "source"),
    [
        (too_long, '"""x"""\n' * (FILE_LINES + 1)),
        (too_long, "def f():\n" + "    x = 1\n" * FUNCTION_LINES),
        (async_generators, "async def f():\n    yield 1\n"),
        (async_generators, "class A:\n    async def f(self):\n        for x in y:\n            yield x\n"),
        (unfinished, "def f():\n    raise NotImplementedError('later')\n"),
        (swallowed_errors, "try:\n    f()\nexcept Exception:\n    pass\n"),
        (swallowed_errors, "try:\n    f()\nexcept:\n    pass\n"),
        (undocumented, "x = 1\n"),
        (asserts_nothing, "def test_f():\n    f()\n"),
        (sleeps, "def test_f():\n    time.sleep(0.1)\n    assert f()\n"),
        (skips_without_reason, "@pytest.mark.skipif(x)\ndef test_f():\n    assert f()\n"),
        (skips_without_reason, "@pytest.mark.xfail\ndef test_f():\n    assert f()\n"),
    ],
)
def test_a_departure_is_found(check, source: str) -> None:
    assert len(list(check(module_of(source)))) == 1


@pytest.mark.parametrize(
    ("check", "source"),
    [
        (too_long, "def f():\n" + "    x = 1\n" * (FUNCTION_LINES - 1)),
        (async_generators, "async def f():\n    def g():\n        yield 1\n    return g\n"),
        (swallowed_errors, "try:\n    f()\nexcept OSError:\n    pass\n"),
        (asserts_nothing, "def test_f():\n    with pytest.raises(E):\n        f()\n"),
        (sleeps, "async def test_f():\n    await asyncio.sleep(0)\n"),
        (skips_without_reason, "@pytest.mark.skipif(x, reason='y')\ndef test_f():\n    assert f()\n"),
    ],
)
def test_the_usual_passes(check, source: str) -> None:
    assert list(check(module_of(source))) == []


def test_a_mark_is_found() -> None:
    assert marks_in("x = 1  # " + MARKS[0] + ": later\ny = 2\n") == ["x = 1  # " + MARKS[0] + ": later"]


def test_both_folders_are_looked_at() -> None:
    assert modules_under("engine")
    assert modules_under("compat")
    assert len(text_files()) > 20
