"""The verdict of `make conformance` on made-up runs, what it forgives and what it must not; and the page it writes."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from conformance import __main__ as program
from conformance import page
from conformance.comparison import (
    FAILED,
    ORIGINAL,
    PASSED,
    SKIPPED,
    CannotRun,
    Review,
    Run,
    Suite,
    Verdict,
    compare,
    joined,
    judge,
    line_of,
    load,
    save,
)
from conformance.cpython_suites import SUITES
from conformance.library_suites import LIBRARIES
from conformance.reviewed import REVIEWED
from conformance.watching import bare_environment

REVIEWS = {"t2": Review("looks inside", "poolmanager", ("mount",))}


def run(mode: str, outcomes: dict[str, str], failures: dict[str, str] | None = None, exchanges: int = 0) -> Run:
    return Run("suite", mode, outcomes, failures or {}, exchanges)


KNOWN = run(ORIGINAL, {"t1": PASSED, "t2": PASSED, "t3": FAILED, "t4": SKIPPED})


def verdict(engine: Run, uses_network: bool = True) -> Verdict:
    return compare(KNOWN, engine, REVIEWS, uses_network=uses_network)


def test_what_the_original_does_not_pass_does_not_count() -> None:
    found = verdict(run("mount", {"t1": PASSED, "t2": PASSED, "t3": FAILED, "t4": FAILED}, exchanges=3))
    assert (found.faults, found.reviewed) == ([], [])
    assert found.notes == [
        "passes now, needs no review any more: t2",
        "failed with the original too: t3 (failed with the engine)",
        "3 requests through the engine, 0 connections past it",
    ]


def test_a_reviewed_failure_is_forgiven() -> None:
    found = verdict(run("mount", {"t1": PASSED, "t2": FAILED}, {"t2": "no poolmanager.pools"}, 1))
    assert (found.faults, found.reviewed) == ([], ["t2"])
    assert "reviewed, 1 failed: looks inside" in found.notes
    found = verdict(run("install", {"t1": PASSED, "t2": PASSED}, exchanges=1))
    assert not any("no review" in note for note in found.notes)


@pytest.mark.parametrize(
    ("mode", "outcomes", "failures", "exchanges", "expected"),
    [
        (
            "mount",
            {"t1": FAILED, "t2": PASSED},
            {"t1": "why"},
            1,
            "t1 passes with the original; with the engine: failed\nwhy",
        ),
        ("mount", {"t1": SKIPPED, "t2": PASSED}, {}, 1, "t1 passes with the original; with the engine: skipped"),
        ("mount", {"t2": PASSED}, {}, 1, "t1 passes with the original; with the engine: was not run"),
        ("mount", {"t1": PASSED, "t2": FAILED}, {"t2": "another reason"}, 1, "t2 passes with the original"),
        (
            "install",
            {"t1": PASSED, "t2": FAILED},
            {"t2": "poolmanager"},
            1,
            "suite install: t2 passes with the original",
        ),
        ("mount", {"t1": PASSED, "t2": PASSED}, {}, 0, "no request went through the engine"),
    ],
)
def test_a_fault_is_found(
    mode: str, outcomes: dict[str, str], failures: dict[str, str], exchanges: int, expected: str
) -> None:
    (fault,) = verdict(run(mode, outcomes, failures, exchanges)).faults
    assert expected in fault


def test_an_original_that_proves_nothing() -> None:
    assert list(judge(KNOWN)) == []
    (fault,) = judge(run(ORIGINAL, {"t1": FAILED}))
    assert "nothing was compared" in fault
    (fault,) = judge(run(ORIGINAL, {"t1": PASSED}, exchanges=2))
    assert "2 requests of the original" in fault


def test_a_run_is_written_and_read(tmp_path: Path) -> None:
    save(tmp_path / "run.json", {"t1": PASSED, "t2": FAILED}, {"t2": "why"}, 7, 1)
    found = load(tmp_path / "run.json", "suite", "engine")
    assert found == Run("suite", "engine", {"t1": PASSED, "t2": FAILED}, {"t2": "why"}, 7, 1)
    both = joined(found, Run("suite", "engine", {"t3": SKIPPED}, {}, 1, 1))
    assert both == Run("suite", "engine", {"t1": PASSED, "t2": FAILED, "t3": SKIPPED}, {"t2": "why"}, 8, 2)
    assert line_of(found).split() == ["suite", "engine", "1", "1", "0"]


# --- the program ------------------------------------------------------------------------------------------------------


def fake_suites(names: list[str], *_: Any, broken: str = "", **__: Any) -> list[Suite]:
    """Suites that need no time: one test each, which fails in the mode `broken`."""

    def answer(name: str, mode: str) -> Run:
        if mode == broken == "none":
            raise CannotRun("it did not run")
        outcome = FAILED if mode == broken else PASSED
        return Run(name, mode, {"t1": outcome}, {"t1": "broke"}, int(mode != ORIGINAL))

    return [Suite(name, "1.0", ("module", "none"), True, functools.partial(answer, name), {}) for name in names]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[page.Results]:
    """What was written down."""
    found: list[page.Results] = []
    monkeypatch.setattr(page, "update", found.append)
    return found


@pytest.mark.parametrize(
    ("broken", "status", "said"),
    [("", 0, ""), ("module", 1, "requests module: t1 passes"), ("none", 2, "it did not run")],
)
def test_a_run_of_everything(
    broken: str,
    status: int,
    said: str,
    kept: list[page.Results],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = functools.partial(fake_suites, broken=broken)
    monkeypatch.setattr(program.cpython_suites, "suites", made)
    monkeypatch.setattr(program.library_suites, "suites", made)
    assert program.main(["--write"]) == status
    shown = capsys.readouterr()
    assert said in shown.err
    assert [len(results["suites"]) for results in kept] == ([] if status else [len(REVIEWED)])
    if not status:
        lines = [line.split() for line in shown.out.splitlines()]
        assert lines[0] == ["suite", "mode", "passed", "failed", "skipped"]
        assert ["test_urllib", "module", "1", "0", "0"] in lines


@pytest.mark.parametrize("words", [["no_such_suite"], ["--write", "requests"], ["--write", "--modes", "install"]])
def test_what_is_not_run(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        program.main(words)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_the_environment_of_a_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "https_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("KEPT", "y")
    found = bare_environment(MORE="z")
    assert (found["KEPT"], found["MORE"]) == ("y", "z")
    assert not {"REQUESTS_CA_BUNDLE", "https_proxy", "NO_PROXY"} & set(found)


# --- the page ---------------------------------------------------------------------------------------------------------


def test_every_suite_has_a_list_of_reviews() -> None:
    assert set(REVIEWED) == {*LIBRARIES, *SUITES}
    modes = {name: library.modes for name, library in LIBRARIES.items()} | {name: SUITES[name][0] for name in SUITES}
    for suite, reviews in REVIEWED.items():
        for test, review in reviews.items():
            assert review.reason, test
            assert review.text, test
            assert set(review.modes) <= set(modes[suite]), test


def test_the_page_is_what_the_program_writes() -> None:
    results = page.read_results()
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.put_in(text, page.render(results)) == text, "run `make conformance`"
    for one in results:
        assert page.is_whole(one), f"not all suites were run with Python {one['python']}: run `make conformance`"
        for suite, found in one["suites"].items():
            for mode, counts in found["runs"].items():
                for test in counts.get("reviewed", ()):
                    assert test in REVIEWED[suite], f"it is not reviewed: {test}"
                    assert REVIEWED[suite][test].concerns(mode), f"it needs no review in mode {mode}: {test}"


RESULTS: page.Results = {
    "python": "3.11.7",
    "date": "2026-01-02",
    "suites": {
        "requests": {
            "version": "2.1",
            "failed with the original": ["tests/a.py::T::test_b"],
            "runs": {
                ORIGINAL: {PASSED: 2, FAILED: 1, SKIPPED: 0},
                "mount": {PASSED: 1, FAILED: 2, SKIPPED: 0, "reviewed": [next(iter(REVIEWED["requests"]))]},
            },
        },
        "test_urllib2": {"version": "3.11.7", "failed with the original": [], "runs": {}},
    },
}


def test_the_figures() -> None:
    later = json.loads(json.dumps(RESULTS).replace("3.11.7", "3.13.1"))
    del later["suites"]["requests"]["runs"]["mount"]
    text = page.render([RESULTS, later])
    assert "| suite      | mode     | Python 3.11 | Python 3.13 |\n| ---------- | -------- | ----------: | -" in text
    assert "| `requests` | mount    |       1 2 0 |             |" in text
    assert "- Python 3.11.7, requests 2.1: 2026-01-02\n" in text
    assert "- `requests` (mount): counts urllib3's pools in adapter.poolmanager; the engine" in text
    assert "- `requests`, Python 3.13: `test_b`." in text
    assert not page.is_whole(RESULTS)


def test_figures_are_put_between_the_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(page, "RESULTS", tmp_path / "results")
    marks = [
        line for line in (page.ROOT / "docs" / "compatibility.md").read_text("utf-8").splitlines() if "<!--" in line
    ]
    page.PAGE.write_text(f"# Before\n{marks[0]}\nold\n{marks[1]}\nAfter\n", encoding="utf-8")
    for python in ("3.9.1", "3.11.6", "3.11.7"):
        page.update({**RESULTS, "python": python})
    text = page.PAGE.read_text(encoding="utf-8")
    assert text.startswith("# Before\n")
    assert text.endswith("\nAfter\n")
    assert "old" not in text
    assert "Python 3.9 | Python 3.11 |" in text
    assert "3.11.6" not in text
    with pytest.raises(ValueError, match="lacks the marks"):
        page.put_in("nothing", "x")


def test_what_is_kept_of_a_run() -> None:
    suite = Suite("requests", "2.1", ("mount",), True, lambda _: KNOWN, REVIEWS)
    engine = run("mount", {"t1": PASSED, "t2": FAILED}, {"t2": "poolmanager"}, 1)
    found = page.results_of([(suite, KNOWN, [compare(KNOWN, engine, REVIEWS, uses_network=True)])])["suites"]
    assert found["requests"] == {
        "version": "2.1",
        "failed with the original": ["t3"],
        "runs": {
            ORIGINAL: {PASSED: 2, FAILED: 1, SKIPPED: 1},
            "mount": {PASSED: 1, FAILED: 1, SKIPPED: 0, "reviewed": ["t2"]},
        },
    }
