"""Autobahn's cases, the quick ones of every category: `make conformance` runs all of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.house.tree import ROOT

pytestmark = pytest.mark.peers

RUNS = [(role, colour) for role in ("server", "client") for colour in ("blocking", "asyncio")]


@pytest.fixture(scope="module")
def runs() -> Iterator[dict[tuple[str, str], subprocess.Popen[str]]]:
    """All of them at once: most of their time they wait."""
    command = [sys.executable, "-m", "conformance.websocket_autobahn", "--quick"]
    started = {
        (role, colour): subprocess.Popen(
            [*command, f"--{role}", f"--{colour}"],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for role, colour in RUNS
    }
    yield started
    for process in started.values():
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize("run", RUNS, ids="-".join)
def test_every_case_is_ok(run: tuple[str, str], runs: dict[tuple[str, str], subprocess.Popen[str]]) -> None:
    said, _ = runs[run].communicate(timeout=120)
    assert runs[run].returncode == 0, said
    assert said.startswith(f"{run[0]} {run[1]}: 275 cases; OK/OK 272"), said
