"""The verdict of `make conformance` on made-up runs: what it forgives, and what it must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.comparison import FAILED, PASSED, SKIPPED, Review, Run, compare, line_of, load, save

REVIEWED = {"t2": Review("looks inside", "poolmanager")}


def run(mode: str, outcomes: dict[str, str], failures: dict[str, str] | None = None, exchanges: int = 0) -> Run:
    return Run("suite", mode, outcomes, failures or {}, exchanges)


ORIGINAL = run("original", {"t1": PASSED, "t2": PASSED, "t3": FAILED, "t4": SKIPPED})


def verdict(engine: Run, original: Run = ORIGINAL, uses_network: bool = True) -> list[str]:
    return compare(original, engine, REVIEWED, uses_network=uses_network)


def test_what_the_original_does_not_pass_does_not_count(capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict(run("engine", {"t1": PASSED, "t2": PASSED, "t3": FAILED, "t4": FAILED}, exchanges=3)) == []
    shown = capsys.readouterr().out
    assert "failed with the original too: t3" in shown
    assert "passes now, needs no review any more: t2" in shown


def test_a_reviewed_failure_is_forgiven(capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict(run("engine", {"t1": PASSED, "t2": FAILED}, {"t2": "no poolmanager.pools"}, 1)) == []
    assert "reviewed: t2: looks inside" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("outcomes", "failures", "exchanges", "expected"),
    [
        ({"t1": FAILED, "t2": PASSED}, {"t1": "why"}, 1, "t1 passes with the original; with the engine: failed\nwhy"),
        ({"t1": SKIPPED, "t2": PASSED}, {}, 1, "t1 passes with the original; with the engine: skipped"),
        ({"t2": PASSED}, {}, 1, "t1 passes with the original; with the engine: was not run"),
        ({"t1": PASSED, "t2": FAILED}, {"t2": "another reason"}, 1, "t2 passes with the original"),
        ({"t1": PASSED, "t2": PASSED}, {}, 0, "no request went through the engine"),
    ],
)
def test_a_fault_is_found(outcomes: dict[str, str], failures: dict[str, str], exchanges: int, expected: str) -> None:
    (fault,) = verdict(run("engine", outcomes, failures, exchanges))
    assert expected in fault


def test_an_original_that_did_not_run_proves_nothing() -> None:
    (fault,) = verdict(run("engine", {}, exchanges=1), run("original", {}))
    assert "nothing was compared" in fault


def test_an_original_that_ran_on_the_engine_proves_nothing() -> None:
    same = run("original", {"t1": PASSED}, exchanges=2)
    (fault,) = verdict(run("engine", {"t1": PASSED}, exchanges=2), same)
    assert "2 requests of the original" in fault


def test_a_run_is_written_and_read(tmp_path: Path) -> None:
    save(tmp_path / "run.json", {"t1": PASSED, "t2": FAILED}, {"t2": "why"}, 7)
    found = load(tmp_path / "run.json", "suite", "engine")
    assert found == run("engine", {"t1": PASSED, "t2": FAILED}, {"t2": "why"}, 7)
    assert line_of(found).split() == ["suite", "engine", "1", "1", "0"]
