"""What is installed is what stands in the tree: packages, type marker, version, entry points of the Makefile."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import drivetrain.engine
from tests.house.tree import FOLDERS, PACKAGE, ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def folders_with_modules() -> list[str]:
    folders = {path.parent for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    return sorted(".".join((PACKAGE, *folder.relative_to(ROOT).parts)) for folder in folders)


def test_every_package_is_listed(settings: dict[str, Any]) -> None:
    assert settings["tool"]["setuptools"]["packages"] == folders_with_modules()


def test_every_package_has_an_init() -> None:
    folders = [ROOT.joinpath(*name.split(".")[1:]) for name in folders_with_modules()]
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_namespace_is_bare() -> None:
    assert not (ROOT / "__init__.py").exists()
    assert getattr(sys.modules[PACKAGE], "__file__", None) is None


@pytest.mark.parametrize("folder", FOLDERS)
def test_types_are_marked(folder: str, settings: dict[str, Any]) -> None:
    assert (ROOT / folder / "py.typed").is_file()
    assert "py.typed" in settings["tool"]["setuptools"]["package-data"][f"{PACKAGE}.{folder}"]


def test_the_tests_run_on_this_tree() -> None:
    assert Path(drivetrain.engine.__file__).resolve() == ROOT / "engine" / "__init__.py"


def test_the_version_is_that_of_the_engine() -> None:
    text = (ROOT / "engine" / "version.py").read_text(encoding="utf-8")
    match = re.search(r'^version(?:: \w+)? = "([^"]+)"', text, re.MULTILINE)
    assert match, "engine/version.py must hold the version as a literal: the build reads it without importing"
    assert importlib.metadata.version(PACKAGE) == match[1]


def test_every_make_target_is_declared_phony() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):(?!=)", text, re.MULTILINE))
    phony = set(re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split())  # type: ignore[index]
    assert {"demo", "test", "check", "bench", "test-peers", "clean"} <= targets
    assert targets == phony


def test_ci_runs_every_gate() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("make ")] == [
        "make check",
        "make test",
        "make test-peers",
        "make conformance-suites",
    ]
    assert "set -euo pipefail" in lines
